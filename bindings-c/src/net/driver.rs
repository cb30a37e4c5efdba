//! Core and its one socket: everything that moves bytes, without a thread and without ever blocking.
//!
//! The engine sleeps on what [`Driver::wants`] says, hands what woke it to [`Driver::process`], and takes what came of it from
//! [`Driver::pump`] until that gives None. Nothing here knows who waits for what.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, RawFd},
    sync::Arc,
    time::Duration,
};

use libc::{POLLIN, POLLOUT};
use natskv_core::{Action, Client, Config, ConnId, Error, ErrorCode, Event, Instant, Lost, Server, State, TlsMode};
use socket2::{Domain, Protocol, Socket, Type};

use crate::credentials::{self, Question, Source};

use super::{
    clock::Clock,
    poll::Wants,
    resolve::{Lookup, known},
    transport::{Transport, lost},
    trust::Trust,
};

/// Bytes read at once. The server's writes are up to 64 KiB as well.
const CHUNK: usize = 64 * 1024;
/// Reads in one go before others get their turn.
const READS: usize = 4;
/// How long the last bytes may take to leave after the end.
const LINGER: Duration = Duration::from_secs(1);

/// The whole client but for its waiters.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) core: Client,
    clock: Clock,
    connect_timeout: Duration,
    trust: Arc<Trust>,
    credentials_file: Option<String>,
    /// What core wants to know of the user; whoever takes it answers.
    pub(crate) question: Option<Question>,
    conn: ConnId,
    /// The name for a certificate where TLS comes first on `conn`, until that begins.
    tls_first: Option<String>,
    /// The handshake that is under way, by what core asked for: it waits to hear that the transport is open, or secured.
    handshake: Option<TlsMode>,
    link: Link,
    /// The descriptor that the caller's loop saw last. No new one gets its number: a loop that registers descriptors (epoll)
    /// could not tell the two apart, and would wait for one that is not registered.
    pub(crate) shown: RawFd,
    /// Taken from core, being written; `written` bytes of it are given to the transport.
    unsent: Vec<u8>,
    written: usize,
    chunk: Box<[u8]>,
}

#[derive(Debug)]
enum Link {
    None,
    Resolving(Lookup),
    Connecting(Attempt),
    Open(Transport),
    /// Disconnected by core; what is left to write may take until then.
    Closing(Transport, Instant),
    /// All is written, and the server knows that nothing follows; until it has hung up too. A socket that is closed with something
    /// unread in it resets the connection, and the server may drop what it has not dealt with.
    Leaving(Transport, Instant),
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
    pub(crate) fn new(config: Config, trust: Trust, credentials: Source) -> Result<Self, Error> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|e| Error::new(ErrorCode::Internal, format!("no randomness from the system: {e}")))?;
        let connect_timeout = config.connect_timeout;
        let (credentials, credentials_file) = match credentials {
            Source::Given(given) => (Some(given), None),
            Source::File(path) => (None, Some(path)),
            Source::Asked => (None, None),
        };
        let asks_credentials = credentials.is_none();
        let config = Config { credentials: credentials.unwrap_or_default(), asks_credentials, ..config };
        Ok(Self {
            core: Client::new(config, entropy, Instant::default())?,
            clock: Clock::new(),
            connect_timeout,
            trust: Arc::new(trust),
            credentials_file,
            question: None,
            conn: ConnId(0),
            tls_first: None,
            handshake: None,
            link: Link::None,
            shown: -1,
            unsent: Vec::new(),
            written: 0,
            chunk: vec![0; CHUNK].into_boxed_slice(),
        })
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// What to sleep on.
    pub(crate) fn wants(&self) -> Wants {
        let is_corked = self.written < self.unsent.len() || self.core.pending_transmit() > 0;
        let (fd, events, own_deadline) = match &self.link {
            Link::None => (-1, 0, None),
            Link::Resolving(lookup) => (lookup.fd(), POLLIN, None),
            Link::Connecting(attempt) => (attempt.socket.as_raw_fd(), POLLOUT, attempt.patience),
            Link::Open(transport) => {
                let is_writing = is_corked || transport.has_unsent();
                (transport.fd(), if is_writing { POLLIN | POLLOUT } else { POLLIN }, None)
            }
            Link::Closing(transport, until) => (transport.fd(), POLLOUT, Some(*until)),
            Link::Leaving(transport, until) => (transport.fd(), POLLIN, Some(*until)),
        };
        Wants { fd, events, until: [own_deadline, self.core.deadline()].into_iter().flatten().min() }
    }

    /// Asked after the end: bytes are still to leave, or core still waits for an answer.
    pub(crate) fn is_closing(&self) -> bool {
        matches!(self.link, Link::Closing(..) | Link::Leaving(..)) || !matches!(self.core.state(), State::Closed(_))
    }

    /// Reads, writes and watches the time. `ready` are poll(2)'s bits; wrong or stale ones are harmless.
    pub(crate) fn process(&mut self, ready: i16, now: Instant) {
        match &mut self.link {
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
            Link::Closing(_, until) | Link::Leaving(_, until) if *until <= now => self.link = Link::None,
            Link::Closing(..) => self.write(now),
            Link::Leaving(transport, _) => {
                if transport.has_ended(&mut self.chunk) {
                    self.link = Link::None;
                }
            }
        }
        if self.core.deadline().is_some_and(|at| at <= now) {
            if self.clock.has_slept() {
                self.core.wake(now); // the network may be another one, and the server have forgotten us long since
            }
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
                self.connect(server, tls, now);
            }
            Action::Credentials { conn, reason } => match &self.credentials_file {
                Some(path) => self.core.credentials(conn, credentials::read(path), now),
                None => self.question = Some(Question::Credentials(conn, reason)),
            },
            Action::Sign { conn, nonce, .. } => self.question = Some(Question::Sign(conn, nonce)),
            Action::StartTls { conn, server_name } => {
                if conn == self.conn {
                    self.start_tls(&server_name, TlsMode::Later, now);
                }
            }
            Action::Disconnect { conn } => {
                self.question.take_if(|question| question.conn() == conn);
                if conn != self.conn {
                    return;
                }
                // Core names a new ConnId next time, so later news of this socket cannot be mistaken for another's.
                self.conn = ConnId(0);
                self.handshake = None;
                self.link = match std::mem::replace(&mut self.link, Link::None) {
                    Link::Open(transport) => Link::Closing(transport, now + LINGER),
                    _ => Link::None,
                };
            }
        }
    }

    fn connect(&mut self, server: Server, tls: TlsMode, now: Instant) {
        self.tls_first = (tls == TlsMode::First).then_some(server.tls_name);
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
            self.link = Link::Open(Transport::new(attempt.socket.into()));
            return match self.tls_first.take() {
                Some(name) => self.start_tls(&name, TlsMode::First, now),
                None => self.core.transport_open(self.conn, now),
            };
        };
        if attempt.rest.is_empty() {
            return self.lose(lost(&failure), now);
        }
        self.dial(attempt.rest, now);
    }

    /// The handshake itself is reads and writes like any other.
    fn start_tls(&mut self, name: &str, mode: TlsMode, now: Instant) {
        let Link::Open(transport) = &mut self.link else { return };
        match transport.secure(&self.trust, name) {
            Ok(()) => self.handshake = Some(mode),
            Err(why) => self.lose(why, now),
        }
    }

    fn read(&mut self, now: Instant) {
        for _ in 0..READS {
            let Self { core, conn, link: Link::Open(transport), chunk, handshake, .. } = self else { return };
            let read = transport.read(chunk, |bytes| {
                tell_secured(core, *conn, handshake.take(), now); // its last message and the first bytes may come together
                core.receive(*conn, bytes, now);
            });
            if !transport.is_handshaking() {
                tell_secured(core, *conn, handshake.take(), now);
            }
            match read {
                Ok(true) => {}
                Ok(false) => return,
                Err(why) => return self.lose(why, now),
            }
        }
    }

    fn write(&mut self, now: Instant) {
        loop {
            if self.written == self.unsent.len() {
                self.written = 0;
                match self.core.poll_transmit(&mut self.unsent) {
                    None => {
                        self.unsent.clear();
                        return self.flush(now);
                    }
                    Some(conn) if conn != self.conn => {
                        self.unsent.clear();
                        continue;
                    }
                    Some(_) => {}
                }
            }
            let (Link::Open(transport) | Link::Closing(transport, _)) = &mut self.link else {
                self.unsent.clear();
                self.written = 0;
                continue;
            };
            match transport.write(&self.unsent[self.written..]) {
                Ok(0) => return,
                Ok(count) => self.written += count,
                Err(why) => self.lose_writing(why, now),
            }
        }
    }

    /// Core has no more to write; TLS may have, and a transport at its end has only that.
    fn flush(&mut self, now: Instant) {
        match &mut self.link {
            Link::Open(transport) => {
                if let Err(why) = transport.flush() {
                    self.lose_writing(why, now);
                }
            }
            Link::Closing(transport, until) => {
                let until = *until;
                transport.finish();
                if matches!(transport.flush(), Ok(false)) {
                    return;
                }
                self.link = match std::mem::replace(&mut self.link, Link::None) {
                    Link::Closing(transport, _) if transport.hang_up() => Link::Leaving(transport, until),
                    _ => Link::None,
                };
            }
            Link::None | Link::Resolving(_) | Link::Connecting(_) | Link::Leaving(..) => {}
        }
    }

    /// A write failed: what the server said before it closed (an -ERR, an alert) explains it better.
    fn lose_writing(&mut self, why: Lost, now: Instant) {
        self.read(now);
        if let Link::Open(_) | Link::Closing(..) = self.link {
            self.lose(why, now);
        }
    }

    /// The transport is gone, or could not be made.
    fn lose(&mut self, why: Lost, now: Instant) {
        self.link = Link::None;
        self.handshake = None;
        self.unsent.clear();
        self.written = 0;
        self.core.transport_closed(self.conn, why, now);
    }
}

/// Tells core what it waits for since it asked for TLS.
fn tell_secured(core: &mut Client, conn: ConnId, handshake: Option<TlsMode>, now: Instant) {
    match handshake {
        Some(TlsMode::First) => core.transport_open(conn, now),
        Some(TlsMode::Later) => core.transport_secured(conn, now),
        None => {}
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
