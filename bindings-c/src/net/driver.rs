//! Core and its one socket: everything that moves bytes, without a thread and without ever blocking.
//!
//! The engine sleeps on what [`Driver::wants`] says, hands what woke it to [`Driver::process`], and takes what came of it from
//! [`Driver::pump`] until that gives None. Nothing here knows who waits for what.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, RawFd},
    time::{Duration, Instant as Clock},
};

use libc::{POLLIN, POLLOUT};
use natskv_core::{Action, Client, Config, ConnId, Error, ErrorCode, Event, Instant, Lost, Scheme, Server, TlsMode};
use socket2::{Domain, Protocol, Socket, Type};

use super::{
    poll::Wants,
    resolve::{Lookup, known},
};

/// Bytes read at once. The server's writes are up to 64 KiB as well.
const CHUNK: usize = 64 * 1024;
/// Reads in one go before others get their turn.
const READS: usize = 4;
/// How long the last bytes may take to leave after the end.
const LINGER: Duration = Duration::from_secs(1);

const NO_TLS: &str =
    "this build of natskv for C has no TLS yet; use a nats:// URL and a server that does not require TLS";

/// The whole client but for its waiters.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) core: Client,
    start: Clock,
    connect_timeout: Duration,
    conn: ConnId,
    link: Link,
    /// The descriptor that the caller's loop saw last. No new one gets its number: a loop that registers descriptors (epoll)
    /// could not tell the two apart, and would wait for one that is not registered.
    pub(crate) shown: RawFd,
    /// Taken from core, being written; `written` bytes of it are out.
    unsent: Vec<u8>,
    written: usize,
    chunk: Box<[u8]>,
}

#[derive(Debug)]
enum Link {
    None,
    Resolving(Lookup),
    Connecting(Attempt),
    Open(TcpStream),
    /// Disconnected by core while bytes were left to write.
    Closing(TcpStream, Instant),
}

/// One connect on its way, and the addresses that are left should it fail.
#[derive(Debug)]
struct Attempt {
    socket: Socket,
    rest: VecDeque<SocketAddr>,
    /// When to try the next address, so that one silent address does not use up the whole connect timeout. None at the last one.
    patience: Option<Instant>,
}

impl Driver {
    pub(crate) fn new(config: Config) -> Result<Self, Error> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("no randomness from the system: {e}")))?;
        let connect_timeout = config.connect_timeout;
        Ok(Self {
            core: Client::new(config, entropy, Instant::default())?,
            start: Clock::now(),
            connect_timeout,
            conn: ConnId(0),
            link: Link::None,
            shown: -1,
            unsent: Vec::new(),
            written: 0,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    /// What to sleep on.
    pub(crate) fn wants(&self) -> Wants {
        let is_writing = self.written < self.unsent.len() || self.core.pending_transmit() > 0;
        let (fd, events, own_deadline) = match &self.link {
            Link::None => (-1, 0, None),
            Link::Resolving(lookup) => (lookup.fd(), POLLIN, None),
            Link::Connecting(attempt) => (attempt.socket.as_raw_fd(), POLLOUT, attempt.patience),
            Link::Open(socket) => (socket.as_raw_fd(), if is_writing { POLLIN | POLLOUT } else { POLLIN }, None),
            Link::Closing(socket, until) => (socket.as_raw_fd(), POLLOUT, Some(*until)),
        };
        Wants { fd, events, until: [own_deadline, self.core.deadline()].into_iter().flatten().min() }
    }

    /// Bytes are still to leave after the end.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.link, Link::Closing(..))
    }

    /// Reads, writes and watches the time. `ready` are poll(2)'s bits; wrong or stale ones are harmless.
    pub(crate) fn process(&mut self, ready: i16, now: Instant) {
        match &self.link {
            Link::None => {}
            Link::Resolving(lookup) => match lookup.answer() {
                None => {}
                Some(Ok(addresses)) => self.dial(addresses.into(), now),
                Some(Err(e)) => {
                    let why = Lost::Other(format!("the name does not resolve: {e}"));
                    self.lose(why, now);
                }
            },
            Link::Connecting(_) => self.check_connect(ready, now),
            Link::Open(_) if ready & !POLLOUT != 0 => self.read(now),
            Link::Open(_) => {}
            Link::Closing(_, until) => {
                if *until <= now {
                    self.link = Link::None;
                } else {
                    self.write(now);
                }
            }
        }
        if self.core.deadline().is_some_and(|at| at <= now) {
            self.core.handle_timeout(now);
        }
    }

    /// The only place that drains core: writes, obeys, then gives the next event. After None everything is drained.
    pub(crate) fn pump(&mut self, now: Instant) -> Option<Event> {
        loop {
            self.write(now);
            match self.core.poll_action() {
                Some(action) => self.perform(action, now),
                None => return self.core.poll_event(),
            }
        }
    }

    fn perform(&mut self, action: Action, now: Instant) {
        match action {
            Action::Connect { conn, server, tls } => {
                self.conn = conn;
                self.link = Link::None;
                self.connect(&server, tls, now);
            }
            // No option of C sets `asks_credentials` or `signs`.
            Action::Credentials { .. } | Action::Sign { .. } => {}
            Action::StartTls { conn, .. } => {
                if conn == self.conn {
                    self.lose(Lost::Tls(NO_TLS.into()), now);
                }
            }
            Action::Disconnect { conn } => {
                if conn != self.conn {
                    return;
                }
                // Core names a new ConnId next time, so later news of this socket cannot be mistaken for another's.
                self.conn = ConnId(0);
                self.link = match std::mem::replace(&mut self.link, Link::None) {
                    Link::Open(socket) if self.written < self.unsent.len() => Link::Closing(socket, now + LINGER),
                    _ => Link::None,
                };
            }
        }
    }

    fn connect(&mut self, server: &Server, tls: TlsMode, now: Instant) {
        match (server.scheme, tls) {
            (Scheme::Nats | Scheme::Tls, TlsMode::Later) => {}
            (Scheme::Ws, _) => {
                return self.lose(Lost::Other("natskv for C has no WebSocket transport; use nats://".into()), now);
            }
            (Scheme::Wss, _) | (_, TlsMode::First) => return self.lose(Lost::Tls(NO_TLS.into()), now),
        }
        if let Some(addresses) = known(&server.host, server.port) {
            return self.dial(addresses.into(), now);
        }
        match Lookup::start(&server.host, server.port, self.shown) {
            Ok(lookup) => self.link = Link::Resolving(lookup),
            Err(e) => self.lose(Lost::Other(format!("no thread to resolve the name with: {e}")), now),
        }
    }

    /// Tries the addresses in their order; each gets its share of the connect timeout.
    fn dial(&mut self, mut addresses: VecDeque<SocketAddr>, now: Instant) {
        let mut why = Lost::Unreachable;
        while let Some(address) = addresses.pop_front() {
            match start_connect(address, self.shown) {
                Ok(socket) => {
                    let share = self.connect_timeout / (addresses.len() as u32 + 1);
                    let patience = (!addresses.is_empty()).then(|| now + share);
                    self.link = Link::Connecting(Attempt { socket, rest: addresses, patience });
                    return;
                }
                Err(e) => why = lost(&e),
            }
        }
        self.lose(why, now);
    }

    fn check_connect(&mut self, ready: i16, now: Instant) {
        let Link::Connecting(attempt) = &mut self.link else { return };
        let failure = match attempt.socket.take_error() {
            Ok(None) if ready != 0 && attempt.socket.peer_addr().is_ok() => None,
            Ok(None) if attempt.patience.is_none_or(|at| at > now) => return,
            Ok(None) => Some(io::ErrorKind::TimedOut.into()),
            Ok(Some(e)) | Err(e) => Some(e),
        };
        let Link::Connecting(attempt) = std::mem::replace(&mut self.link, Link::None) else { return };
        let Some(failure) = failure else {
            let _ = attempt.socket.set_tcp_nodelay(true);
            self.link = Link::Open(attempt.socket.into());
            self.core.transport_open(self.conn, now);
            return;
        };
        if attempt.rest.is_empty() {
            return self.lose(lost(&failure), now);
        }
        self.dial(attempt.rest, now);
    }

    fn read(&mut self, now: Instant) {
        for _ in 0..READS {
            let Link::Open(socket) = &mut self.link else { return };
            match socket.read(&mut self.chunk) {
                Ok(0) => return self.lose(Lost::Eof, now),
                Ok(n) => {
                    self.core.receive(self.conn, &self.chunk[..n], now);
                    if n < CHUNK {
                        return; // it is empty now; asking it again would cost a system call to hear so
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => return self.lose(lost(&e), now),
            }
        }
    }

    fn write(&mut self, now: Instant) {
        loop {
            if self.written == self.unsent.len() {
                self.written = 0;
                if let Link::Closing(..) = self.link {
                    self.link = Link::None; // all said
                }
                match self.core.poll_transmit(&mut self.unsent) {
                    None => return self.unsent.clear(),
                    Some(conn) if conn != self.conn => {
                        self.unsent.clear();
                        continue;
                    }
                    Some(_) => {}
                }
            }
            let (Link::Open(socket) | Link::Closing(socket, _)) = &mut self.link else {
                self.unsent.clear();
                self.written = 0;
                continue;
            };
            match socket.write(&self.unsent[self.written..]) {
                Ok(n) => self.written += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) => self.lose(lost(&e), now),
            }
        }
    }

    /// The transport is gone, or could not be made.
    fn lose(&mut self, why: Lost, now: Instant) {
        self.link = Link::None;
        self.unsent.clear();
        self.written = 0;
        self.core.transport_closed(self.conn, why, now);
    }
}

fn start_connect(address: SocketAddr, avoid: RawFd) -> io::Result<Socket> {
    let mut socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if socket.as_raw_fd() == avoid {
        socket = socket.try_clone()?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(e) if e.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(e) => Err(e),
        Ok(()) => Ok(socket),
    }
}

fn lost(error: &io::Error) -> Lost {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable,
    };
    match error.kind() {
        ConnectionRefused => Lost::Refused,
        ConnectionReset | ConnectionAborted | BrokenPipe => Lost::Reset,
        HostUnreachable | NetworkUnreachable => Lost::Unreachable,
        _ => Lost::Other(error.to_string()),
    }
}
