//! A private nats-server on a free port, killed when dropped; the test fails when a consumer is left on it.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::raw::Raw;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// What a closing client sent last may still be on its way.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// A running server and the directory it keeps its streams in.
#[derive(Debug)]
pub struct Server {
    binary: OsString,
    child: Child,
    pub port: u16,
    store: PathBuf,
}

impl Server {
    /// Starts the server that `NATSKV_SERVER` names, with JetStream; None when the variable is not set.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(binary) = env::var_os("NATSKV_SERVER") else { return Ok(None) };
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let store = env::temp_dir().join(format!("natskv-kit-{}-{number}", std::process::id()));
        fs::create_dir_all(&store)?;
        let child = spawn(&binary, None, &store)?;
        let mut server = Self { binary, child, port: 0, store };
        server.wait_until_ready()?;
        Ok(Some(server))
    }

    /// Kills it without warning and starts it again on the same port and store.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.child = spawn(&self.binary, Some(self.port), &self.store)?;
        self.wait_until_ready()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }

    fn wait_until_ready(&mut self) -> io::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        loop {
            if let Some(port) = self.port_in_use() {
                self.port = port;
                if Raw::connect(port).and_then(|mut raw| raw.ask("INFO", &json!({}))).is_ok() {
                    return Ok(());
                }
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("nats-server ended at once: {status}")));
            }
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The port, as the server tells it in a file when it listens.
    fn port_in_use(&self) -> Option<u16> {
        let file = fs::read(self.store.join(format!("nats-server_{}.ports", self.child.id()))).ok()?;
        let ports: Value = serde_json::from_slice(&file).ok()?;
        ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
    }

    /// The consumers that are still there when what is on its way has arrived.
    fn left_behind(&self) -> io::Result<Vec<String>> {
        let until = Instant::now() + GONE_WITHIN;
        let mut raw = Raw::connect(self.port)?;
        loop {
            let consumers = raw.consumers()?;
            if consumers.is_empty() || Instant::now() > until {
                return Ok(consumers);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_running = matches!(self.child.try_wait(), Ok(None));
        let left = (is_running && !thread::panicking()).then(|| self.left_behind());
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.store);
        if let Some(left) = left {
            assert_eq!(left.expect("the server answers"), [""; 0], "consumers left behind");
        }
    }
}

fn spawn(binary: &OsString, port: Option<u16>, store: &Path) -> io::Result<Child> {
    Command::new(binary)
        .args(["-a", "127.0.0.1", "-p", &port.map_or_else(|| "-1".into(), |port| port.to_string())])
        .arg("--ports_file_dir")
        .arg(store)
        .args(["-js", "-sd"])
        .arg(store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}
