//! One connection at a time, and the decision when to make the next. Knows nothing of requests, JetStream or KV.
//!
//! A connection goes Waiting → Trying (attempt.rs has the steps) → Ready (alive.rs) → [Leaving]. Whatever ends it, `on_lost` in ending.rs
//! decides: another attempt, now or after a wait, or the end.

mod alive;
mod attempt;
pub(crate) mod auth;
mod ending;
pub(crate) mod link;
pub(crate) mod pool;
#[cfg_attr(not(feature = "websocket"), path = "no_web.rs")]
mod web;

use alloc::{collections::VecDeque, format, string::String, vec::Vec};

use crate::{
    config::Config,
    error::{Error, ErrorCode},
    event::{Action, ConnId, State, Stats},
    proto::{info::ServerInfo, parser::Parser, server_error::ServerError},
    rng::Rng,
    session::{
        attempt::Step,
        auth::{Credentials, Login, Reason},
        ending::Ending,
        link::{Inbound, Link},
        pool::Pool,
    },
    shown::Span,
    time::Instant,
};

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
    /// Everything sent before the last `fence` was judged.
    Fenced,
    /// A subject was refused; the connection stays.
    Denied(ServerError, Error),
    /// The last subscription was one too many; the connection stays.
    TooManySubscriptions(Error),
    /// An -ERR that concerns no one in particular.
    Noted(String),
    /// The server will shut down.
    LameDuck,
    /// The connection is about to be left: once nothing is in flight, `leave` does it.
    Leaving,
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
    /// The server shuts down. What is in flight is finished, the rest waits for the next connection.
    Leaving {
        since: Instant,
        until: Instant,
    },
    Closed,
}

/// A PING on its way; the server answers them in order.
#[derive(Clone, Copy, Debug)]
struct Ping {
    sent: Instant,
    why: Why,
}

/// Who waits for a PONG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Handshake,
    KeepAlive,
    Wake,
    Flush(u64),
    Fence,
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
    /// When a server that shuts down is left.
    leave_at: Option<Instant>,
    /// The server that was left, by its id; it is not to be come back to.
    left: Option<String>,
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
            leave_at: None,
            left: None,
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

    /// Whether a connection is up, if only for what is in flight.
    fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. } | Phase::Leaving { .. })
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
            Phase::Ready { .. } => {
                let others = [self.proof_due, self.leave_at].into_iter().flatten();
                Some(others.fold(self.next_ping, Instant::min))
            }
            Phase::Leaving { until, .. } => Some(until),
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
    pub(crate) fn has_action(&self) -> bool {
        match self.actions.front() {
            Some(Action::Disconnect { .. }) => self.link.len() == 0,
            action => action.is_some(),
        }
    }

    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        if self.has_action() { self.actions.pop_front() } else { None }
    }

    /// PING; its PONG comes as `Change::Flushed`.
    pub(crate) fn flush(&mut self, op: u64, now: Instant) {
        self.ping(Why::Flush(op), now);
    }

    /// PING; its PONG comes as `Change::Fenced`.
    pub(crate) fn fence(&mut self, now: Instant) {
        self.ping(Why::Fence, now);
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
                    let error = match self.is_up() {
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
            Phase::Ready { .. } if is_lame_duck && !was_lame_duck => {
                self.plan_to_leave(rng, now);
                Change::LameDuck
            }
            _ => Change::Nothing, // 2.12+ sends a second INFO after the first PONG
        }
    }

    pub(crate) fn on_ping(&mut self) {
        self.link.bytes().extend_from_slice(b"PONG\r\n");
    }

    pub(crate) fn on_pong(&mut self, rng: &mut Rng, now: Instant) -> Change {
        let Some(Ping { sent, why }) = self.pings.pop_front() else { return Change::Nothing };
        self.stats.round_trip = now.since(sent);
        match why {
            Why::Handshake => {
                self.phase = Phase::Ready { since: now };
                self.next_ping = now + self.config.ping_interval;
                self.stats.reconnects += u64::from(self.was_connected);
                self.was_connected = true;
                self.reason = Reason::Reconnect;
                self.is_hurried = false;
                self.left = None;
                self.leave_at = None;
                if self.info.as_ref().is_some_and(|info| info.is_lame_duck) {
                    self.plan_to_leave(rng, now);
                }
                self.states.push_back(State::Connected);
                Change::Connected
            }
            Why::Flush(op) => Change::Flushed { op, sent },
            Why::Fence if self.pings.iter().all(|ping| ping.why != Why::Fence) => Change::Fenced,
            Why::Fence => Change::Nothing,
            Why::Wake => {
                self.proof_due = None;
                Change::Nothing
            }
            Why::KeepAlive => Change::Nothing,
        }
    }

    pub(crate) fn on_err(&mut self, text: &[u8], rng: &mut Rng, now: Instant) -> Change {
        let text = String::from_utf8_lossy(text);
        let server_error = ServerError::parse(&text);
        let mut error = server_error.to_error(&text);
        if server_error == ServerError::Auth && *self.login().0 == Login::Nobody {
            let text = format!("{} (no credentials were given)", error.message);
            error = error.saying(text);
        }
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
            _ if !self.is_up() => self.abandon(error, rng, now),
            ServerError::MaxSubscriptions => Change::TooManySubscriptions(error),
            _ => Change::Noted(text.into_owned()),
        }
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
            Phase::Ready { since } if self.leave_at.is_some_and(|at| at <= now) => self.begin_to_leave(since, now),
            Phase::Ready { .. } => self.keep_alive(rng, now),
            Phase::Leaving { .. } => self.leave_anyway(rng, now),
            Phase::Closed => Change::Nothing,
            Phase::Trying(step) => {
                let (server, time) = (self.server_url(), self.config.connect_timeout);
                let text = format!("{server}: waited {time} {}", step.waits(), time = Span(time));
                self.abandon(Error::new(ErrorCode::ConnectFailed, text), rng, now)
            }
        }
    }
}
