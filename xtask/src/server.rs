//! A private nats-server: JetStream and WebSocket on free loopback ports, its store in a folder that goes with it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::dev::Dev;
use crate::run;

/// The folder that goes when the program has ended, for `guarded`.
const LITTER: &str = "NATSKV_LITTER";

/// Ends when dropped, and also when this process is gone for whatever reason.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: PathBuf,
    /// `nats://127.0.0.1:port`
    pub(crate) url: String,
    /// `ws://127.0.0.1:port`
    pub(crate) ws_url: String,
    /// `127.0.0.1:port` of its monitoring.
    http: String,
}

impl Server {
    /// Starts one and waits until it serves.
    pub(crate) fn start(dev: &Dev) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("natskv-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let at = folder.display();
        let config = format!(
            "host: 127.0.0.1\nport: -1\nhttp: \"127.0.0.1:-1\"\nports_file_dir: \"{at}\"\nlog_file: \"{at}/log\"\n\
             jetstream {{ store_dir: \"{at}/store\" }}\nwebsocket {{ host: 127.0.0.1, port: -1, no_tls: true }}\n"
        );
        fs::write(folder.join("conf"), config)?;
        let mut command = dev.command(dev.server());
        command.arg("-c").arg(folder.join("conf")).env(LITTER, &folder);
        let child = guarded(&command, Stdio::null()).context("cannot start nats-server")?;
        let mut server = Self { child, folder, url: String::new(), ws_url: String::new(), http: String::new() };
        server.wait().with_context(|| server.log())?;
        Ok(server)
    }

    fn wait(&mut self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(15);
        loop {
            ensure!(Instant::now() < until, "nats-server did not get ready in 15 s");
            if let Some(status) = self.child.try_wait()? {
                bail!("nats-server ended: {status}");
            }
            if let Some(ports) = self.ports() {
                let first = |of: &str| ports[of][0].as_str().map(str::to_owned);
                if let (Some(url), Some(ws_url), Some(http)) = (first("nats"), first("websocket"), first("monitoring"))
                {
                    (self.url, self.ws_url, self.http) = (url, ws_url, http.replace("http://", ""));
                    if self.ask("/healthz").is_ok() {
                        return Ok(());
                    }
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Fails when a consumer stays that should be gone, after what is on its way has arrived.
    pub(crate) fn has_no_consumers(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.ask("/jsz")?["consumers"].as_u64().context("/jsz tells no number of consumers")?;
            if left == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{left} consumers left behind");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let address: SocketAddr = self.http.parse()?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "{path}: {head}");
        serde_json::from_str(body).with_context(|| format!("{path}: no JSON"))
    }

    fn ports(&self) -> Option<Value> {
        let mut files = fs::read_dir(&self.folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let file = files.find(|path| path.extension().is_some_and(|extension| extension == "ports"))?;
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // the guard ends the server when this pipe closes
        let _ = run::wait(&mut self.child, Instant::now() + Duration::from_secs(5));
    }
}

/// Starts `command` so that it cannot outlive us: a shell holds a pipe of ours, and ends the program when it
/// closes; then it removes the folder that `LITTER` names, if any.
pub(crate) fn guarded(command: &Command, output: Stdio) -> Result<Child> {
    const GUARD: &str = "trap '' INT; \"$@\" </dev/null & read -r _; kill $!; wait; [ -z \"$NATSKV_LITTER\" ] || rm -rf \"$NATSKV_LITTER\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", GUARD, "guard"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    shell.stdin(Stdio::piped()).stdout(output).stderr(Stdio::null());
    shell.spawn().context("cannot start sh")
}
