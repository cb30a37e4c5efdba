//! One connection at a time, and the decision when to make the next. Knows nothing of requests, JetStream or KV.
//!
//! A connection goes [Asking] → Dialing → Greeting → [Securing] → [Signing] → Handshake (CONNECT and PING in one write) → Ready. Whatever ends it, `on_lost` decides: another attempt, now or after a wait, or the end.

pub(crate) mod auth;
pub(crate) mod link;
pub(crate) mod pool;
#[cfg_attr(not(feature = "websocket"), path = "no_web.rs")]
mod web;

use alloc::{collections::VecDeque, format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    config::Config,
    error::{Error, ErrorCode},
    event::{Action, ConnId, Lost, State, Stats, TlsMode},
    proto::{
        info::{ConnectOptions, ServerInfo, connect_json},
        parser::Parser,
        server_error::ServerError,
    },
    rng::Rng,
    session::{
        auth::{Credentials, Login, Reason, Signature, Signing},
        link::{Inbound, Link},
        pool::{Pool, Scheme},
    },
    time::Instant,
};

/// A connection that is lost sooner than this after its PONG counts as a failed attempt: servers accept expired credentials
/// with a PONG and refuse them right after (seen on 2.15.1).
const PROVEN_AFTER: Duration = Duration::from_secs(1);

/// A deadline that is noticed later than this was slept through: by the machine, a frozen page, a process that stood still.
const LATE_AFTER: Duration = Duration::from_secs(1);

/// What the session tells its owner after an input.
#[derive(Debug)]
pub(crate) enum Change {
    Nothing,
    /// Subscriptions and requests may go out now.
    Connected,
    /// The connection that was up is gone.
    Lost(Error),
    /// The end.
    Closed(Error),
    /// The PONG of a flush, with the moment its PING was written.
    Flushed {
        op: u64,
        sent: Instant,
    },
    /// A subject was refused; the connection stays.
    Denied(ServerError, Error),
    /// An -ERR that concerns no one in particular.
    Noted(String),
    /// The server will shut down.
    LameDuck,
}

/// What the transport's bytes turned out to be.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// All were taken.
    Nothing,
    Nats(&'a [u8]),
    Lost(Change),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// None: until `wake`.
    Waiting {
        until: Option<Instant>,
    },
    Trying(Step),
    Ready {
        since: Instant,
    },
    Closed,
}

/// What an attempt waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Credentials.
    Asking,
    /// The transport.
    Dialing,
    /// The answer of HTTP.
    Upgrading,
    /// INFO.
    Greeting,
    /// TLS.
    Securing,
    /// A signature.
    Signing,
    /// PONG.
    Handshake,
}

impl Step {
    const fn waits(self) -> &'static str {
        match self {
            Self::Asking => "for credentials",
            Self::Dialing => "to connect",
            Self::Upgrading => "for the answer to the WebSocket upgrade",
            Self::Greeting => "for INFO (a server with handshake_first needs tls_first)",
            Self::Securing => "for TLS",
            Self::Signing => "for a signature",
            Self::Handshake => "for PONG",
        }
    }
}

/// How a connection or an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Broken,
    /// The server wants other credentials.
    Refused,
    /// Trying again cannot help.
    Hopeless,
}

/// Who waits for a PONG; the server answers PINGs in order.
#[derive(Clone, Copy, Debug)]
enum Ping {
    Handshake,
    KeepAlive,
    Wake,
    Flush { op: u64, sent: Instant },
}

#[derive(Debug)]
pub(crate) struct Session {
    config: Config,
    /// For servers whose URL has none of its own.
    login: Login,
    /// Counts the logins that differed from the one before; 0 is a URL's.
    login_version: u64,
    /// Why credentials are asked for next time.
    reason: Reason,
    pool: Pool,
    phase: Phase,
    conn: ConnId,
    /// For the phases of an attempt.
    attempt_deadline: Instant,
    /// Attempts that failed in a row.
    failures: u32,
    was_connected: bool,
    pub(crate) parser: Parser,
    pub(crate) info: Option<ServerInfo>,
    is_secured: bool,
    /// What `poll_transmit` hands out next.
    link: Link,
    pings: VecDeque<Ping>,
    next_ping: Instant,
    last_inbound: Instant,
    /// Until when the PING of `wake` has to be answered.
    proof_due: Option<Instant>,
    /// That deadline was slept through, and moved.
    is_proof_extended: bool,
    /// `wake` came during the attempt: should it fail, the next follows at once.
    is_hurried: bool,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) states: VecDeque<State>,
    pub(crate) stats: Stats,
}

impl Session {
    pub(crate) fn new(mut config: Config, rng: &mut Rng, now: Instant) -> Result<Self, Error> {
        let login = Login::of_config(&config)?;
        let pool = Pool::new(&config, rng)?;
        // What is secret is in these two now, and nowhere else.
        config.credentials = Credentials::default();
        config.servers.clear();
        let mut session = Self {
            login,
            login_version: 1,
            reason: Reason::First,
            pool,
            parser: Parser::new(config.max_message),
            config,
            phase: Phase::Waiting { until: Some(now) },
            conn: ConnId(0),
            attempt_deadline: now,
            failures: 0,
            was_connected: false,
            info: None,
            is_secured: false,
            link: Link::default(),
            pings: VecDeque::new(),
            next_ping: now,
            last_inbound: now,
            proof_due: None,
            is_proof_extended: false,
            is_hurried: false,
            actions: VecDeque::new(),
            states: VecDeque::new(),
            stats: Stats::default(),
        };
        session.states.push_back(State::Connecting);
        session.dial(now);
        Ok(session)
    }

    // ── for those above

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    pub(crate) fn is_current(&self, conn: ConnId) -> bool {
        self.conn == conn && !matches!(self.phase, Phase::Closed | Phase::Waiting { .. })
    }

    pub(crate) fn is_securing(&self) -> bool {
        self.phase == Phase::Trying(Step::Securing)
    }

    /// Where frames are written; meant for a session that is ready.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        self.link.bytes()
    }

    pub(crate) fn pending(&self) -> usize {
        self.link.len()
    }

    /// How many bytes have been written on this connection, handed out or not.
    pub(crate) fn written(&self) -> u64 {
        self.link.written()
    }

    /// Bytes before this position may have reached the server.
    pub(crate) fn handed(&self) -> u64 {
        self.link.handed()
    }

    /// The largest message the server takes; before the first one has said it, there is no limit.
    pub(crate) fn max_payload(&self) -> usize {
        self.info.as_ref().map_or(usize::MAX, |info| info.max_payload)
    }

    pub(crate) fn server_url(&self) -> String {
        format!("{}", self.pool.current().server)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { until } => until,
            Phase::Trying(_) => Some(self.attempt_deadline),
            Phase::Ready { .. } => Some(self.proof_due.map_or(self.next_ping, |due| due.min(self.next_ping))),
            Phase::Closed => None,
        }
    }

    pub(crate) fn poll_transmit(&mut self, buf: &mut Vec<u8>, rng: &mut Rng) -> Option<ConnId> {
        if self.link.len() == 0 {
            return None;
        }
        self.stats.out_bytes += self.link.take(buf, rng);
        Some(self.conn)
    }

    /// A Disconnect waits until the last bytes are taken.
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if self.link.len() > 0 && matches!(self.actions.front(), Some(Action::Disconnect { .. })) {
            return None;
        }
        self.actions.pop_front()
    }

    /// PING; its PONG comes as `Change::Flushed`.
    pub(crate) fn flush(&mut self, op: u64, now: Instant) {
        self.link.bytes().extend_from_slice(b"PING\r\n");
        self.pings.push_back(Ping::Flush { op, sent: now });
    }

    /// Gives the connection up, and makes no other until `wake`.
    pub(crate) fn sleep(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let mut change = Change::Nothing;
        match self.phase {
            Phase::Closed => return change,
            Phase::Waiting { .. } => {}
            Phase::Ready { .. } => {
                let text = format!("connection to {} given up to sleep", self.server_url());
                change = self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
            }
            Phase::Trying(_) => {
                self.actions.push_back(Action::Disconnect { conn: self.conn });
                self.link.clear();
                self.pings.clear();
            }
        }
        if self.phase != Phase::Closed {
            self.phase = Phase::Waiting { until: None };
        }
        change
    }

    /// Ends a wait between attempts, the next one too if one is being made, and asks a connection for proof that it lives.
    pub(crate) fn wake(&mut self, now: Instant) {
        match self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Waiting { until: Some(now) },
            Phase::Ready { .. } if self.proof_due.is_none() => {
                self.link.bytes().extend_from_slice(b"PING\r\n");
                self.pings.push_back(Ping::Wake);
                self.proof_due = Some(now + self.config.connect_timeout);
                self.is_proof_extended = false;
            }
            Phase::Trying(_) => self.is_hurried = true,
            Phase::Ready { .. } | Phase::Closed => {}
        }
    }

    /// Ends it for good, after what is still to be written.
    pub(crate) fn close(&mut self) {
        if self.phase == Phase::Closed {
            return;
        }
        self.link.leave();
        if !matches!(self.phase, Phase::Waiting { .. }) {
            self.actions.push_back(Action::Disconnect { conn: self.conn });
        }
        self.phase = Phase::Closed;
        self.pings.clear();
    }

    // ── inputs

    pub(crate) fn on_credentials(&mut self, given: Result<Credentials, Error>, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Asking) {
            return Change::Nothing;
        }
        match given.and_then(|credentials| Login::of(&credentials)) {
            Ok(login) => {
                if login != self.login {
                    self.login = login;
                    self.login_version += 1;
                }
                self.connect(now);
                Change::Nothing
            }
            Err(error) => {
                let text = format!("no credentials for {}: {}", self.server_url(), error.message);
                self.on_lost(error.saying(text), Ending::Broken, rng, now)
            }
        }
    }

    pub(crate) fn on_signature(&mut self, given: Result<Signature, Error>, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Signing) {
            return Change::Nothing;
        }
        match given {
            Ok(signature) => self.send_connect(Some(&signature), rng, now),
            Err(error) => {
                let text = format!("no signature for {}: {}", self.server_url(), error.message);
                self.abandon(error.saying(text), rng, now)
            }
        }
    }

    pub(crate) fn on_open(&mut self, rng: &mut Rng) {
        if self.phase != Phase::Trying(Step::Dialing) {
            return;
        }
        self.phase = Phase::Trying(Step::Greeting);
        let server = &self.pool.current().server;
        if self.config.websocket_in_core && server.scheme.is_websocket() {
            self.link.upgrade(server, rng);
            self.phase = Phase::Trying(Step::Upgrading);
        }
    }

    pub(crate) fn on_secured(&mut self, rng: &mut Rng, now: Instant) -> Change {
        if self.phase != Phase::Trying(Step::Securing) {
            return Change::Nothing;
        }
        self.is_secured = true;
        self.parser = Parser::new(self.config.max_message);
        self.authenticate(rng, now)
    }

    /// Takes the transport's bytes from the front of `input`: NATS comes back, or what followed from them.
    pub(crate) fn read<'a>(&mut self, input: &mut &'a [u8], rng: &mut Rng, now: Instant) -> Read<'a> {
        self.last_inbound = now;
        loop {
            match self.link.read(input, rng) {
                Inbound::Nothing => return Read::Nothing,
                Inbound::Upgraded => {
                    if self.phase == Phase::Trying(Step::Upgrading) {
                        self.phase = Phase::Trying(Step::Greeting);
                    }
                }
                Inbound::Nats(bytes) => {
                    self.stats.in_bytes += bytes.len() as u64;
                    return Read::Nats(bytes);
                }
                Inbound::Lost(error) => {
                    let server = self.server_url();
                    let error = match self.is_ready() {
                        true => error.about(format_args!("connection to {server} lost")),
                        false => Error::new(ErrorCode::ConnectFailed, format!("{server}: {}", error.message)),
                    };
                    return Read::Lost(self.abandon(error, rng, now));
                }
            }
        }
    }

    pub(crate) fn on_info(&mut self, json: &[u8], rng: &mut Rng, now: Instant) -> Change {
        let info = match ServerInfo::parse(json) {
            Ok(info) => info,
            Err(error) => return self.abandon(error, rng, now),
        };
        self.pool.discover(&info, rng);
        let was_lame_duck = self.info.as_ref().is_some_and(|info| info.is_lame_duck);
        let is_lame_duck = info.is_lame_duck;
        self.info = Some(info);
        match self.phase {
            Phase::Trying(Step::Greeting) => self.on_greeting(rng, now),
            Phase::Ready { .. } if is_lame_duck && !was_lame_duck => Change::LameDuck,
            _ => Change::Nothing, // 2.12+ sends a second INFO after the first PONG
        }
    }

    pub(crate) fn on_ping(&mut self) {
        self.link.bytes().extend_from_slice(b"PONG\r\n");
    }

    pub(crate) fn on_pong(&mut self, now: Instant) -> Change {
        match self.pings.pop_front() {
            Some(Ping::Handshake) => {
                self.phase = Phase::Ready { since: now };
                self.next_ping = now + self.config.ping_interval;
                self.stats.reconnects += u64::from(self.was_connected);
                self.was_connected = true;
                self.reason = Reason::Reconnect;
                self.is_hurried = false;
                self.states.push_back(State::Connected);
                Change::Connected
            }
            Some(Ping::Flush { op, sent }) => Change::Flushed { op, sent },
            Some(Ping::Wake) => {
                self.proof_due = None;
                Change::Nothing
            }
            Some(Ping::KeepAlive) | None => Change::Nothing,
        }
    }

    pub(crate) fn on_err(&mut self, text: &[u8], rng: &mut Rng, now: Instant) -> Change {
        let text = String::from_utf8_lossy(text);
        let server_error = ServerError::parse(&text);
        let error = server_error.to_error(&text);
        if server_error.closes() {
            let ending = match server_error {
                ServerError::Auth => Ending::Refused,
                ServerError::Config => Ending::Hopeless,
                _ => Ending::Broken,
            };
            self.actions.push_back(Action::Disconnect { conn: self.conn });
            return self.on_lost(error, ending, rng, now);
        }
        match server_error {
            ServerError::PublishDenied { .. } | ServerError::SubscribeDenied { .. } => {
                Change::Denied(server_error, error)
            }
            _ if !self.is_ready() => self.abandon(error, rng, now),
            _ => Change::Noted(text.into_owned()),
        }
    }

    pub(crate) fn on_closed(&mut self, why: Lost, rng: &mut Rng, now: Instant) -> Change {
        let server = self.server_url();
        let error = match (self.is_ready(), why) {
            (_, Lost::Tls(text)) => Error::new(ErrorCode::Tls, format!("{server}: TLS: {text}")),
            (true, why) => {
                Error::new(ErrorCode::Disconnected, format!("connection to {server} lost: {}", lost_text(&why)))
            }
            (false, why) => Error::new(ErrorCode::ConnectFailed, format!("{server}: {}", lost_text(&why))),
        };
        self.on_lost(error, Ending::Broken, rng, now)
    }

    pub(crate) fn handle_timeout(&mut self, rng: &mut Rng, now: Instant) -> Change {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Change::Nothing;
        }
        match self.phase {
            Phase::Waiting { .. } => {
                self.dial(now);
                Change::Nothing
            }
            Phase::Ready { .. } => self.keep_alive(rng, now),
            Phase::Closed => Change::Nothing,
            Phase::Trying(step) => {
                let (server, time) = (self.server_url(), self.config.connect_timeout);
                let text = format!("{server}: waited {time:?} {}", step.waits());
                self.abandon(Error::new(ErrorCode::ConnectFailed, text), rng, now)
            }
        }
    }

    /// Gives up a connection that the transport still holds.
    pub(crate) fn abandon(&mut self, error: Error, rng: &mut Rng, now: Instant) -> Change {
        self.actions.push_back(Action::Disconnect { conn: self.conn });
        self.on_lost(error, Ending::Broken, rng, now)
    }

    // ── inside

    fn dial(&mut self, now: Instant) {
        self.conn = ConnId(self.conn.0 + 1);
        self.parser = Parser::new(self.config.max_message);
        self.link.reset();
        self.pings.clear();
        self.proof_due = None;
        if self.asks() {
            self.phase = Phase::Trying(Step::Asking);
            self.attempt_deadline = now + self.config.connect_timeout;
            self.actions.push_back(Action::Credentials { conn: self.conn, reason: self.reason });
        } else {
            self.connect(now);
        }
    }

    /// Whether the current server is one that credentials are asked for.
    fn asks(&self) -> bool {
        self.config.asks_credentials && self.pool.current().login == Login::Nobody
    }

    fn connect(&mut self, now: Instant) {
        self.phase = Phase::Trying(Step::Dialing);
        self.attempt_deadline = now + self.config.connect_timeout;
        let server = self.pool.current().server.clone();
        let tls = if server.scheme == Scheme::Wss || self.config.tls_first { TlsMode::First } else { TlsMode::Later };
        self.is_secured = tls == TlsMode::First;
        self.actions.push_back(Action::Connect { conn: self.conn, server, tls });
    }

    fn on_greeting(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let member = self.pool.current();
        let wants_tls = self.config.tls || member.server.scheme == Scheme::Tls;
        let (is_required, is_offered) = self
            .info
            .as_ref()
            .map_or((false, false), |info| (info.is_tls_required, info.is_tls_required || info.is_tls_available));
        if self.is_secured || member.server.scheme.is_websocket() || !(is_required || wants_tls) {
            return self.authenticate(rng, now);
        }
        if !is_offered {
            let text = format!("{}: TLS was asked for and the server does not offer it", self.server_url());
            return self.abandon(Error::new(ErrorCode::Tls, text), rng, now);
        }
        self.phase = Phase::Trying(Step::Securing);
        self.actions.push_back(Action::StartTls { conn: self.conn, server_name: member.server.tls_name.clone() });
        Change::Nothing
    }

    /// The login for the current server, and its version.
    fn login(&self) -> (&Login, u64) {
        let own = &self.pool.current().login;
        if *own == Login::Nobody { (&self.login, self.login_version) } else { (own, 0) }
    }

    fn authenticate(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let nonce = self.info.as_ref().and_then(|info| info.nonce.as_deref());
        match self.login().0.sign(nonce) {
            Ok(Signing::Done(signature)) => self.send_connect(signature.as_ref(), rng, now),
            Ok(Signing::Asked { nonce, seed }) => {
                self.phase = Phase::Trying(Step::Signing);
                self.actions.push_back(Action::Sign { conn: self.conn, nonce, seed });
                Change::Nothing
            }
            Err(error) => {
                let text = format!("{}: {}", self.server_url(), error.message);
                self.abandon(error.saying(text), rng, now)
            }
        }
    }

    fn send_connect(&mut self, signature: Option<&Signature>, rng: &mut Rng, now: Instant) -> Change {
        let Some(info) = &self.info else { return Change::Nothing };
        let options = ConnectOptions {
            name: self.config.name.as_deref(),
            lang: self.config.lang,
            is_tls: self.is_secured,
            echo: self.config.echo,
        };
        match self.login().0.fields(signature) {
            Ok(login) => {
                let json = connect_json(&options, &login, info);
                self.link.bytes().extend_from_slice(format!("CONNECT {json}\r\nPING\r\n").as_bytes());
                self.pings.push_back(Ping::Handshake);
                self.phase = Phase::Trying(Step::Handshake);
                Change::Nothing
            }
            Err(error) => self.abandon(error, rng, now),
        }
    }

    fn keep_alive(&mut self, rng: &mut Rng, now: Instant) -> Change {
        if let Some(due) = self.proof_due.filter(|due| *due <= now) {
            if now.since(due) <= LATE_AFTER || self.is_proof_extended {
                let text = format!("{}: stale connection, no answer after waking", self.server_url());
                return self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
            }
            // The answer may lie in the socket: it gets a little time to be read, once.
            self.proof_due = Some(now + LATE_AFTER);
            self.is_proof_extended = true;
            return Change::Nothing;
        }
        let quiet_until = self.last_inbound + self.config.ping_interval;
        if quiet_until > now {
            self.next_ping = quiet_until; // whatever came in proves the server alive
            return Change::Nothing;
        }
        if self.next_ping > now {
            return Change::Nothing;
        }
        if now.since(self.next_ping) > LATE_AFTER {
            // This machine or page stood still. What was to be answered meanwhile says nothing; a PING of now does.
            self.wake(now);
            self.next_ping = now + self.config.ping_interval;
            return Change::Nothing;
        }
        // Not the flushes: one that was just sent says nothing about the silence before it.
        let unanswered = self.pings.iter().filter(|ping| matches!(ping, Ping::KeepAlive)).count();
        if unanswered as u64 >= u64::from(self.config.max_pings_out) {
            let text = format!("{}: stale connection, {unanswered} pings unanswered", self.server_url());
            return self.abandon(Error::new(ErrorCode::Disconnected, text), rng, now);
        }
        self.link.bytes().extend_from_slice(b"PING\r\n");
        self.pings.push_back(Ping::KeepAlive);
        self.next_ping = now + self.config.ping_interval;
        Change::Nothing
    }

    /// The one place that decides what follows from the end of a connection or an attempt.
    fn on_lost(&mut self, error: Error, ending: Ending, rng: &mut Rng, now: Instant) -> Change {
        let was_ready = self.is_ready();
        let is_proven = matches!(self.phase, Phase::Ready { since } if now.since(since) >= PROVEN_AFTER);
        self.link.clear();
        self.pings.clear();
        if is_proven {
            self.failures = 0;
            self.pool.current_mut().refused = None;
        }
        let is_hopeless = match ending {
            Ending::Broken => false,
            Ending::Refused => self.on_refused(was_ready),
            Ending::Hopeless => true,
        };
        // Credentials that are asked for may only be old: a first refusal is a reason to ask for fresh ones.
        let may_ask_again = ending == Ending::Refused && self.asks() && self.failures == 0;
        let round = self.pool.len() as u32;
        let is_first_round_over =
            !self.was_connected && !self.config.retry_first_connect && self.failures + 1 >= round && !may_ask_again;
        let is_used_up =
            !is_proven && self.was_connected && self.config.max_reconnects.is_some_and(|max| self.failures + 1 >= max);
        let is_unwanted = self.was_connected && !self.config.reconnect;
        if is_hopeless || is_first_round_over || is_used_up || is_unwanted {
            self.phase = Phase::Closed;
            return Change::Closed(error);
        }
        if was_ready {
            self.states.push_back(State::Disconnected(error.clone()));
            self.states.push_back(State::Reconnecting);
        }
        let is_hurried = core::mem::take(&mut self.is_hurried);
        let wait = if was_ready && is_proven || is_hurried { Duration::ZERO } else { self.next_wait(rng) };
        if !is_proven {
            self.failures += 1;
        }
        self.pool.rotate();
        self.phase = Phase::Waiting { until: Some(now + wait) };
        if was_ready { Change::Lost(error) } else { Change::Nothing }
    }

    /// Remembers that the server refused the login; whether it has done so before.
    fn on_refused(&mut self, was_ready: bool) -> bool {
        self.reason = if was_ready { Reason::Expired } else { Reason::Refused };
        let version = self.login().1;
        self.pool.current_mut().refused.replace(version) == Some(version)
    }

    /// No wait within the first round over the pool; then `reconnect_wait` doubling at each round, jitter ±25 %.
    fn next_wait(&self, rng: &mut Rng) -> Duration {
        let round = (self.failures + 1) / self.pool.len() as u32;
        if !(self.failures + 1).is_multiple_of(self.pool.len() as u32) {
            return Duration::ZERO;
        }
        let base =
            self.config.reconnect_wait.saturating_mul(1 << (round - 1).min(20)).min(self.config.max_reconnect_wait);
        base * 3 / 4 + base.saturating_mul(rng.below(1024) as u32) / 2048
    }
}

fn lost_text(why: &Lost) -> &str {
    match why {
        Lost::Refused => "connection refused",
        Lost::Unreachable => "host not found or unreachable",
        Lost::Eof => "closed by the server",
        Lost::Reset => "broken connection",
        Lost::Tls(text) | Lost::Other(text) => text,
    }
}
