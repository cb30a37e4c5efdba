//! A private nats-server on free ports. It ends when dropped, and also when this process is gone for whatever
//! reason; the test fails when a consumer is left on it.

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::raw::Raw;

/// A cluster on a slow machine may need several elections.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What a closing client sent last may still be on its way.
const GONE_WITHIN: Duration = Duration::from_secs(10);

/// What `start_with` takes beside the defaults: JetStream, and a WebSocket listener without TLS.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What stands in the `websocket` block beside its address.
    pub websocket: String,
    /// Further lines of the configuration.
    pub extra: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { websocket: "no_tls: true".into(), extra: String::new() }
    }
}

/// A running server, or one that was killed and can be started again on the same ports and files.
#[derive(Debug)]
pub struct Server {
    running: Option<Running>,
    pub port: u16,
    pub ws_port: u16,
    pub monitor_port: u16,
    folder: PathBuf,
    /// Anybody may log in, so that it can be asked in the end for consumers left behind.
    is_open: bool,
}

/// A shell that holds a pipe of ours: it kills the server when that closes.
#[derive(Debug)]
struct Running {
    guard: Child,
    server: String,
}

impl Server {
    /// Starts the server that `NATSKV_SERVER` names, or the one that `cargo xtask setup` installs; None when there is neither.
    pub fn start() -> io::Result<Option<Self>> {
        Self::start_with(&Settings::default())
    }

    /// The same with more of a configuration.
    pub fn start_with(settings: &Settings) -> io::Result<Option<Self>> {
        let Some(server) = Self::begin(settings)? else { return Ok(None) };
        server.wait_until_ready()?;
        Ok(Some(server))
    }

    /// The same without waiting for it.
    pub(crate) fn begin(settings: &Settings) -> io::Result<Option<Self>> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        if binary().is_none() {
            return Ok(None);
        }
        let [port, ws_port, monitor_port] = free_ports()?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("natskv-{}-{number}-{port}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let is_open = settings.extra.is_empty();
        let mut server = Self { running: None, port, ws_port, monitor_port, folder, is_open };
        server.configure(settings)?;
        server.start_again()?;
        Ok(Some(server))
    }

    /// Writes another configuration, which the next start or `signal("HUP")` reads.
    pub fn configure(&self, Settings { websocket, extra }: &Settings) -> io::Result<()> {
        let Self { port, ws_port, monitor_port, folder, .. } = self;
        let store = folder.join("store");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nhttp: \"127.0.0.1:{monitor_port}\"\njetstream {{ store_dir: {store:?} }}\n\
             websocket {{ listen: \"127.0.0.1:{ws_port}\", {websocket} }}\n{extra}\n"
        );
        fs::write(folder.join("conf"), text)
    }

    /// Kills it without warning and starts it again on the same ports and store.
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill()?;
        self.start_again()?;
        self.wait_until_ready()
    }

    /// Kills it without warning.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(Running { mut guard, .. }) = self.running.take() else { return Ok(()) };
        drop(guard.stdin.take());
        guard.wait().map(|_| ())
    }

    /// Starts it after `kill`, without waiting for it.
    pub fn start_again(&mut self) -> io::Result<()> {
        const GUARD: &str = "trap '' INT; log=$1; shift; \"$@\" </dev/null >>\"$log\" 2>&1 & echo $!; read -r _; kill -KILL $! 2>/dev/null; wait";
        if self.running.is_some() && self.is_listening() {
            return Ok(());
        }
        self.kill()?; // it may have ended by itself
        let binary = binary().ok_or(io::ErrorKind::NotFound)?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(self.folder.join("log"))
            .arg(binary)
            .arg("-c")
            .arg(self.folder.join("conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut server = String::new();
        BufReader::new(guard.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut server)?;
        self.running = Some(Running { guard, server: server.trim().to_owned() });
        Ok(())
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

    /// Asks it to end, and waits until it has.
    pub fn stop(&mut self) -> io::Result<()> {
        self.signal("TERM")?;
        let deadline = Instant::now() + READY_WITHIN;
        while self.is_listening() {
            if Instant::now() > deadline {
                return Err(io::Error::other("nats-server does not end"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.kill()
    }

    fn is_listening(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.monitor_port)).is_ok()
    }

    /// Sends it a signal: `HUP` reads the configuration again, `USR2` begins lame duck mode, `STOP` and `CONT` freeze and thaw it.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let Some(Running { server, .. }) = &self.running else { return Err(io::Error::other("it is not running")) };
        let status = Command::new("kill").arg(format!("-{name}")).arg(server).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill -{name}: {status}"))) }
    }

    /// The body of an answer of its monitoring port, to a path such as `/connz`.
    pub fn monitor(&self, path: &str) -> io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.monitor_port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        if head.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(io::Error::other(answer)) }
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until it serves.
    pub fn wait_until_ready(&self) -> io::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        while self.monitor("/healthz").is_err() {
            if Instant::now() > deadline || self.log().contains("[FTL]") || self.log().contains("nats-server: ") {
                return Err(io::Error::other(format!("nats-server is not ready:\n{}", self.log())));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let is_asked = self.is_open && self.running.is_some() && self.is_listening() && !thread::panicking();
        let left = is_asked.then(|| self.left_behind());
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
        if let Some(left) = left {
            assert_eq!(left.expect("the server answers"), [""; 0], "consumers left behind");
        }
    }
}

fn binary() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dev/venv/bin/nats-server");
    env::var_os("NATSKV_SERVER").map(PathBuf::from).or(Some(installed)).filter(|path| path.is_file())
}

/// Ports that nobody listens on, each given out once by this process. They lie below those that systems take for outgoing connections,
/// which otherwise could have one by the time it is listened on.
pub(crate) fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let mut ports = [0; N];
    for port in &mut ports {
        let mut tried = 0_u32;
        *port = loop {
            // Test programs that run beside each other begin in different places.
            let at = std::process::id().wrapping_mul(7919).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
            let number = (FIRST + at % COUNT) as u16;
            match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                Ok(_) => break number,
                Err(error) if tried == COUNT => return Err(error),
                Err(_) => tried += 1,
            }
        };
    }
    Ok(ports)
}
