//! Core over one blocking socket: the plainest run loop there can be.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant as Clock},
};

use natskv_core::{
    Action, Client, Config, ConnId, Credentials, Error, Event, Instant, Lost, Notice, OpId, Outcome, Reason, Signature,
    State, WatchId, WatchItem,
};

/// A client with its socket, its clock, and the results that arrived.
#[derive(Debug)]
pub struct Live {
    pub client: Client,
    start: Clock,
    stream: Option<(ConnId, TcpStream)>,
    buffer: Vec<u8>,
    done: HashMap<u64, Result<Outcome, Error>>,
    pub opened: HashMap<u64, Result<(), Error>>,
    pub states: Vec<State>,
    pub notices: Vec<Notice>,
    /// Answers to `Action::Credentials`, for the next ones.
    pub answers: VecDeque<Result<Credentials, Error>>,
    /// Why credentials were asked for.
    pub asked: Vec<Reason>,
    /// Signs for credentials that say that somebody does.
    pub signer: Option<fn(&str) -> [u8; 64]>,
}

impl Live {
    /// A client of the server on this port, connected.
    pub fn connect(port: u16, config: Config) -> Result<Self, Error> {
        let mut live = Self::new(Config { servers: vec![format!("nats://127.0.0.1:{port}")], ..config })?;
        live.run(|client, now| client.ready(None, now))?;
        Ok(live)
    }

    /// A client that connects once it is waited for.
    pub fn new(config: Config) -> Result<Self, Error> {
        let hasher = RandomState::new();
        let mut entropy = [0; 32];
        for (at, word) in entropy.chunks_mut(8).enumerate() {
            word.copy_from_slice(&hasher.hash_one(at).to_le_bytes());
        }
        Ok(Self {
            client: Client::new(config, entropy, Instant::default())?,
            start: Clock::now(),
            stream: None,
            buffer: Vec::new(),
            done: HashMap::new(),
            opened: HashMap::new(),
            states: Vec::new(),
            notices: Vec::new(),
            answers: VecDeque::new(),
            asked: Vec::new(),
            signer: None,
        })
    }

    pub fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos() as u64)
    }

    /// Starts an operation and waits for its end.
    pub fn run(&mut self, start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>) -> Result<Outcome, Error> {
        let op = self.begin(start)?;
        self.wait(op)
    }

    /// Starts an operation.
    pub fn begin(&mut self, start: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>) -> Result<OpId, Error> {
        let now = self.now();
        let op = start(&mut self.client, now)?;
        self.pump();
        Ok(op)
    }

    /// Waits for an operation's end.
    pub fn wait(&mut self, op: OpId) -> Result<Outcome, Error> {
        loop {
            if let Some(result) = self.done.remove(&op.0) {
                return result;
            }
            self.turn(Duration::from_secs(10));
        }
    }

    /// Closes, and tells the server so.
    pub fn close(&mut self) {
        let now = self.now();
        self.client.close(now);
        self.pump();
    }

    /// Turns until the connection is old enough that its loss is no failed attempt.
    pub fn until_proven(&mut self) {
        let until = Clock::now() + Duration::from_millis(1100);
        while Clock::now() < until {
            self.turn(until.saturating_duration_since(Clock::now()));
        }
    }

    /// The next item of a watch, or None when nothing comes within `patience`.
    pub fn next(&mut self, watch: WatchId, patience: Duration) -> Option<WatchItem> {
        let deadline = Clock::now() + patience;
        loop {
            let now = self.now();
            let item = self.client.watch_next(watch, now);
            self.pump();
            if item.is_some() || Clock::now() >= deadline {
                return item;
            }
            self.turn(deadline.saturating_duration_since(Clock::now()));
        }
    }

    /// Reads once, or lets the deadline pass.
    pub fn turn(&mut self, patience: Duration) {
        let now = self.now();
        let until_deadline = self.client.deadline().map_or(patience, |deadline| deadline.since(now));
        let wait = patience.min(until_deadline).max(Duration::from_millis(1));
        let Some((conn, stream)) = &mut self.stream else {
            std::thread::sleep(wait.min(Duration::from_millis(5)));
            let now = self.now();
            self.client.handle_timeout(now);
            return self.pump();
        };
        let conn = *conn;
        let mut bytes = vec![0; 64 << 10];
        let _ = stream.set_read_timeout(Some(wait));
        let read = stream.read(&mut bytes);
        let now = self.now();
        match read {
            Ok(0) => self.client.transport_closed(conn, Lost::Eof, now),
            Ok(count) => self.client.receive(conn, &bytes[..count], now),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => self.client.transport_closed(conn, Lost::Reset, now),
        }
        self.client.handle_timeout(now);
        self.pump();
    }

    /// Drains the outputs, in the contract's order.
    pub fn pump(&mut self) {
        loop {
            let mut is_idle = true;
            while let Some(conn) = self.client.poll_transmit(&mut self.buffer) {
                is_idle = false;
                if let Some((own, stream)) = &mut self.stream
                    && *own == conn
                {
                    let _ = stream.write_all(&self.buffer); // a broken socket shows at the next read
                }
            }
            while let Some(action) = self.client.poll_action() {
                is_idle = false;
                self.perform(action);
            }
            while let Some(event) = self.client.poll_event() {
                is_idle = false;
                match event {
                    Event::Progress { .. } => {}
                    Event::Done { op, result } => {
                        assert!(self.done.insert(op.0, result).is_none(), "two Done for {op:?}");
                    }
                    Event::WatchOpen { watch, result } => {
                        self.opened.insert(watch.0, result);
                    }
                    Event::State(state) => self.states.push(state),
                    Event::Notice(notice) => self.notices.push(notice),
                    Event::WatchReady(_) => {}
                }
            }
            if is_idle {
                return;
            }
        }
    }

    fn perform(&mut self, action: Action) {
        let now = self.now();
        match action {
            Action::Connect { conn, server, .. } => match TcpStream::connect((server.host.as_str(), server.port)) {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    self.stream = Some((conn, stream));
                    self.client.transport_open(conn, now);
                }
                Err(_) => self.client.transport_closed(conn, Lost::Refused, now),
            },
            Action::Credentials { conn, reason } => {
                let given = self.answers.pop_front().unwrap_or_else(|| panic!("nothing to answer to {reason:?} with"));
                self.asked.push(reason);
                self.client.credentials(conn, given, now);
            }
            Action::Sign { conn, nonce, .. } => {
                let signer = self.signer.unwrap_or_else(|| panic!("core signs by itself here"));
                let given = Signature { signature: signer(&nonce), public_key: None };
                let now = self.now();
                self.client.signature(conn, Ok(given), now);
            }
            Action::StartTls { conn, .. } => {
                self.client.transport_closed(conn, Lost::Tls("no TLS in the tests' kit".into()), now)
            }
            Action::Disconnect { conn } => {
                if let Some((_, stream)) = self.stream.take_if(|(own, _)| *own == conn) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
        }
    }
}

impl Drop for Live {
    /// A client that ends takes its consumers along.
    fn drop(&mut self) {
        self.close();
    }
}
