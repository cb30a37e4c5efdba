//! Core without a world: a clock that is a number, and a peer that answers what the test says.

use natskv_core::{
    Action, Client, Config, ConnId, Error, Event, Instant, Lost, OpId, Outcome, State, WatchId, WatchItem,
};
use std::time::Duration;

/// The INFO of a server that a test plays.
pub const INFO: &str =
    "INFO {\"server_id\":\"S\",\"version\":\"2.15.1\",\"headers\":true,\"api_lvl\":4,\"max_payload\":1048576} \r\n";

/// A client and all that came out of it.
#[derive(Debug)]
pub struct Rig {
    pub client: Client,
    pub now: Instant,
    pub conn: ConnId,
    /// Everything written on the current connection, not yet looked at.
    pub written: String,
    /// The same as it was written.
    pub raw: Vec<u8>,
    pub actions: Vec<Action>,
    pub events: Vec<Event>,
}

impl Rig {
    /// A client that has asked for its first connection.
    pub fn new(config: Config) -> Self {
        let config = Config { randomize_servers: false, ..config };
        let client = Client::new(config, [42; 32], Instant::from_nanos(1)).expect("config");
        let mut rig = Self {
            client,
            now: Instant::from_nanos(1),
            conn: ConnId(0),
            written: String::new(),
            raw: Vec::new(),
            actions: Vec::new(),
            events: Vec::new(),
        };
        rig.pump();
        rig
    }

    /// A client that is connected.
    pub fn connected() -> Self {
        let mut rig = Self::new(Config::default());
        rig.establish();
        rig
    }

    /// Answers the dialling, CONNECT and PING.
    pub fn establish(&mut self) {
        self.establish_with(INFO);
    }

    /// The same with another INFO.
    pub fn establish_with(&mut self, info: &str) {
        self.open();
        self.receive(info);
        assert!(self.written.contains("CONNECT {"), "{:?}", self.written);
        self.written.clear();
        self.receive("PONG\r\n");
    }

    pub fn open(&mut self) {
        self.client.transport_open(self.conn, self.now);
        self.pump();
    }

    pub fn receive(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.receive(self.conn, bytes.as_ref(), self.now);
        self.pump();
    }

    pub fn lose(&mut self) {
        self.client.transport_closed(self.conn, Lost::Eof, self.now);
        self.pump();
    }

    /// Lets time pass, waking the client at each of its deadlines.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.client.handle_timeout(self.now);
            self.pump();
        }
        self.now = end;
    }

    pub fn pump(&mut self) {
        let mut buffer = Vec::new();
        loop {
            let before = (self.written.len(), self.actions.len(), self.events.len());
            while self.client.poll_transmit(&mut buffer).is_some() {
                self.written.push_str(&String::from_utf8_lossy(&buffer));
                self.raw.extend_from_slice(&buffer);
            }
            let has_news = self.client.has_news();
            while let Some(action) = self.client.poll_action() {
                if let Action::Connect { conn, .. } = &action {
                    self.conn = *conn;
                    self.written.clear();
                    self.raw.clear();
                }
                self.actions.push(action);
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
            }
            assert_eq!(has_news, (before.1, before.2) != (self.actions.len(), self.events.len()), "has_news");
            if before == (self.written.len(), self.actions.len(), self.events.len()) {
                return;
            }
        }
    }

    /// Runs a command and drains.
    pub fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let result = call(&mut self.client, self.now);
        self.pump();
        result
    }

    /// Takes what was written since the last look.
    pub fn sent(&mut self) -> String {
        self.raw.clear();
        std::mem::take(&mut self.written)
    }

    /// The reply subject of the last request whose line contains `part`.
    pub fn reply_of(&self, part: &str) -> String {
        let line = self.written.lines().rev().find(|line| line.contains("PUB ") && line.contains(part));
        let line = line.unwrap_or_else(|| panic!("no request {part:?} in {:?}", self.written));
        line.split(' ').nth(2).expect("a reply subject").to_string()
    }

    /// Answers the last request whose line contains `part`.
    pub fn answer(&mut self, part: &str, payload: &str) {
        let reply = self.reply_of(part);
        self.receive(format!("MSG {reply} 1 {}\r\n{payload}\r\n", payload.len()));
    }

    /// Answers the last request whose line contains `part` with a status.
    pub fn answer_status(&mut self, part: &str, status: &str) {
        let reply = self.reply_of(part);
        let block = format!("NATS/1.0 {status}\r\n\r\n");
        self.receive(format!("HMSG {reply} 1 {} {}\r\n{block}\r\n", block.len(), block.len()));
    }

    /// How an operation ended; panics when it did not end exactly once.
    pub fn result(&self, op: OpId) -> &Result<Outcome, Error> {
        let mut results = self.events.iter().filter_map(|event| match event {
            Event::Done { op: done, result } if *done == op => Some(result),
            _ => None,
        });
        let first = results.next().unwrap_or_else(|| panic!("{op:?} has not ended"));
        assert!(results.next().is_none(), "{op:?} ended twice");
        first
    }

    pub fn is_done(&self, op: OpId) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Done { op: done, .. } if *done == op))
    }

    /// All items that a watch has.
    pub fn items(&mut self, watch: WatchId) -> Vec<WatchItem> {
        let mut items = Vec::new();
        while let Some(item) = self.client.watch_next(watch, self.now) {
            items.push(item);
        }
        self.pump();
        items
    }

    /// The states told of, in order.
    pub fn states(&self) -> Vec<&State> {
        self.events
            .iter()
            .filter_map(|event| if let Event::State(state) = event { Some(state) } else { None })
            .collect()
    }
}
