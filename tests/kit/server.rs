//! A private nats-server on a free port, killed when dropped.

use std::{
    env, fs, io,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A running server and the directory it keeps its streams in.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub port: u16,
    store: PathBuf,
}

impl Server {
    /// Starts the server that `NATSKV_SERVER` names, with JetStream; None when the variable is not set.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(binary) = env::var_os("NATSKV_SERVER") else { return Ok(None) };
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let store = env::temp_dir().join(format!("natskv-{}-{port}", std::process::id()));
        fs::create_dir_all(&store)?;
        let mut child = spawn(&binary, port, &store)?;
        wait_until_ready(&mut child, port)?;
        Ok(Some(Self { child, port, store }))
    }

    /// Kills it without warning and starts it again on the same port and store.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        let binary = env::var_os("NATSKV_SERVER").ok_or(io::ErrorKind::NotFound)?;
        self.child = spawn(&binary, self.port, &self.store)?;
        wait_until_ready(&mut self.child, self.port)
    }

    /// Kills it without warning.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.store);
    }
}

fn spawn(binary: &std::ffi::OsStr, port: u16, store: &PathBuf) -> io::Result<Child> {
    Command::new(binary)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(store)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn wait_until_ready(child: &mut Child, port: u16) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("nats-server ended at once: {status}")));
        }
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::yield_now();
    }
    Ok(())
}
