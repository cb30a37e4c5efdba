//! What each fuzz target does with its bytes, and what must hold whatever they are.
//!
//! Built twice: by cargo-fuzz, a target each, and by tests/fuzz/replay.rs, which plays the corpus through them on stable.

#![allow(dead_code)] // a target uses one of them

use std::{str, time::Duration};

use natskv_core::{
    Action, BucketConfig, BucketId, Client, Compare, Config, ConnId, Event, HandleOptions, Instant, KeyPolicy, Lost,
    OnDrift, OpId, Outcome, State, WatchId, WatchOptions, json, wire,
};

/// Frames: however the bytes are cut, the same comes out, up to the first error.
pub(crate) fn parser(data: &[u8]) {
    let [first, second, rest @ ..] = data else { return };
    let whole = wire::parse(&[rest]);
    let at = (usize::from(*first) << 8 | usize::from(*second)).min(rest.len());
    let (head, tail) = rest.split_at(at);
    assert_eq!(wire::parse(&[head, tail]), whole, "cut at {at}");
    if rest.len() < 200 {
        let bytes: Vec<&[u8]> = rest.chunks(1).collect();
        assert_eq!(wire::parse(&bytes), whole, "byte by byte");
    }
    let _ = wire::pub_ack(rest);
    let _ = wire::api_error(rest);
}

/// A header block, and what a message with it is.
pub(crate) fn headers(data: &[u8]) {
    let headers = wire::Headers::parse(data);
    assert_eq!(headers.block(), data);
    for (name, value) in headers.iter() {
        assert!(headers.last(name).is_some(), "{name:?} is listed");
        let _ = (headers.last_u64(name), str::from_utf8(value));
    }
    let _ = (headers.status(), headers.description(), headers.is_malformed(), wire::operation(&headers));
    for context in [wire::Context::Push, wire::Context::DirectGet, wire::Context::DirectBatch, wire::Context::Other] {
        if let Some(status) = headers.status() {
            let _ = wire::meaning(status, headers.description(), true, context);
        }
    }
    let entry = wire::entry(&headers, b"value");
    let _ = (entry.ttl(), entry.remaining_ttl(0), entry.marker_reason(), entry.headers().count());
    if let Some(entry) = wire::direct_entry("b", &headers, b"value") {
        let copy = natskv_core::Entry::from_bytes(&entry.to_bytes()).expect("what was written is read");
        assert_eq!(copy, entry);
    }
    let _ = natskv_core::Entry::from_bytes(data);
}

/// The text of a credentials file, and of seeds and times.
pub(crate) fn creds(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(creds) = wire::Creds::parse(text) {
        let found = [creds.jwt, creds.seed].into_iter().flatten();
        assert!(found.into_iter().all(|found| text.contains(found)), "what is found stands in the text");
    }
    let _ = natskv_core::Seed::parse(text);
    for policy in [KeyPolicy::Strict, KeyPolicy::Permissive, KeyPolicy::Base64, KeyPolicy::Path, KeyPolicy::Escape] {
        if let Ok(stored) = wire::encode_key(policy, text) {
            // Paths are those of orbit.go: dots come back as slashes, and `_root_` as none.
            let is_exact = policy != KeyPolicy::Path;
            assert!(!is_exact || wire::decode_key(policy, &stored) == text, "{policy:?} of {stored:?}");
        }
        let _ = wire::encode_filter(policy, text);
        let _ = wire::decode_key(policy, text);
    }
    let filters: Vec<&str> = text.split('\n').collect();
    if let Ok((reduced, _)) = wire::reduce_filters(&filters) {
        let texts: Vec<&str> = reduced.iter().map(String::as_str).collect();
        let (again, _) = wire::reduce_filters(&texts).expect("what came out goes in");
        assert_eq!(again, reduced);
    }
}

/// A bucket's configuration, and JSON as such.
pub(crate) fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    if let Ok(value) = json::Value::parse(text) {
        let written = value.to_string();
        assert_eq!(json::Value::parse(&written).as_ref(), Ok(&value), "{written:?}");
    }
    if let Ok(config) = BucketConfig::from_json(text) {
        let _ = wire::stream_config(&config);
    }
    let _ = wire::connect(text, &Config::default(), None);
}

/// An operation in JSON: refused, or sent to a server that then answers nothing.
pub(crate) fn execute(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut play = Play::new(Config::default());
    play.establish();
    let bucket = play.bucket;
    let op = play.call(|client, now| client.execute(bucket, text, None, now)).expect("its errors are replies");
    play.ops.push(op);
    play.end();
    let reply = play.replies.iter().find_map(|(done, reply)| (*done == op).then_some(reply)).expect("a reply");
    assert!(json::Value::parse(reply).is_ok(), "{reply:?}");
}

/// Whatever a server says, to a client in any state.
pub(crate) fn receive(data: &[u8]) {
    let [state, rest @ ..] = data else { return };
    let mut play = Play::new(narrow());
    play.reach(state % 7);
    play.hear(rest);
    play.end();
}

/// The same where core speaks WebSocket itself.
pub(crate) fn web(data: &[u8]) {
    let [state, rest @ ..] = data else { return };
    let config = Config { servers: vec!["ws://127.0.0.1:80".into()], websocket_in_core: true, ..narrow() };
    let mut play = Play::new(config);
    if state % 2 == 1 {
        play.open();
        play.upgrade();
    }
    play.start_all();
    play.hear(rest);
    play.end();
}

fn narrow() -> Config {
    Config {
        max_message: 64 << 10,
        watch_limit: 4 << 10,
        pending_limit: 64 << 10,
        seen_keys: 16,
        retry_first_connect: true,
        retry_writes: true,
        randomize_servers: false,
        ..Config::default()
    }
}

/// A client that is closed waits no longer than this for answers.
const LINGER: Duration = Duration::from_secs(1);

const INFO: &str = "INFO {\"server_id\":\"S\",\"headers\":true,\"api_lvl\":4,\"max_payload\":1048576} \r\n";

/// A client, and all that it promised.
struct Play {
    client: Client,
    now: Instant,
    conn: ConnId,
    bucket: BucketId,
    ops: Vec<OpId>,
    watches: Vec<WatchId>,
    done: Vec<OpId>,
    replies: Vec<(OpId, String)>,
    written: Vec<u8>,
    is_closed: bool,
}

impl Play {
    fn new(config: Config) -> Self {
        let now = Instant::from_nanos(1);
        let mut client = Client::new(config, [42; 32], now).expect("a configuration of ours");
        let bucket = client.bind("b", &HandleOptions::default()).expect("a plain name");
        let mut play = Self {
            client,
            now,
            conn: ConnId(0),
            bucket,
            ops: Vec::new(),
            watches: Vec::new(),
            done: Vec::new(),
            replies: Vec::new(),
            written: Vec::new(),
            is_closed: false,
        };
        play.pump();
        play
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Client, Instant) -> T) -> T {
        let result = call(&mut self.client, self.now);
        self.pump();
        result
    }

    fn pump(&mut self) {
        let mut buffer = Vec::new();
        while self.client.poll_transmit(&mut buffer).is_some() {
            self.written.extend_from_slice(&buffer);
            assert!(self.written.len() < 8 << 20, "it writes and writes");
        }
        while let Some(action) = self.client.poll_action() {
            if let Action::Connect { conn, .. } = action {
                assert!(!self.is_closed, "it connects although it is closed");
                self.conn = conn;
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Done { op, result } => {
                    assert!(!self.done.contains(&op), "{op:?} is done twice");
                    self.done.push(op);
                    if let Ok(Outcome::Json(reply)) = result {
                        self.replies.push((op, reply));
                    }
                }
                Event::State(State::Closed(_)) => self.is_closed = true,
                _ => {}
            }
        }
    }

    fn open(&mut self) {
        let conn = self.conn;
        self.call(|client, now| client.transport_open(conn, now));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let conn = self.conn;
        self.call(|client, now| client.receive(conn, bytes, now));
    }

    fn establish(&mut self) {
        self.open();
        self.bytes(INFO.as_bytes());
        self.bytes(b"PONG\r\n");
    }

    /// Answers the upgrade of a WebSocket. The client's key comes from its entropy, which is always the same.
    fn upgrade(&mut self) {
        let asked = String::from_utf8_lossy(&self.written).into_owned();
        assert!(asked.contains("Sec-WebSocket-Key: h6gqc56GK6v2BAHPlC0KGg==\r\n"), "{asked}");
        self.bytes(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: Tu1oOo5RwSGTws6dLHSyakS7hyI=\r\n\r\n",
        );
    }

    /// How far the connection is, and what is in flight on it.
    fn reach(&mut self, state: u8) {
        match state {
            0 => {}
            1 => self.open(),
            2 => {
                self.open();
                self.bytes(INFO.as_bytes());
            }
            3 => self.establish(),
            4 => {
                self.establish();
                self.start_all();
            }
            5 => {
                self.start_all();
                self.establish();
                self.call(|client, now| client.drain(now));
            }
            _ => {
                self.establish();
                self.start_all();
                let conn = self.conn;
                self.call(|client, now| client.transport_closed(conn, Lost::Reset, now));
                self.pass(Duration::from_secs(1));
                self.establish();
            }
        }
    }

    /// One of everything in flight. Requests are numbered from 16777216 on, subscriptions from 2.
    fn start_all(&mut self) {
        let b = self.bucket;
        let options = WatchOptions { include_history: true, ..WatchOptions::default() };
        type Start = fn(&mut Client, BucketId, Instant) -> Result<OpId, natskv_core::Error>;
        let starts: [Start; 14] = [
            |c, b, now| c.get(b, "k", None, None, now),
            |c, b, now| c.put(b, "k", b"v", None, None, now),
            |c, b, now| c.create(b, "k", b"v", None, None, now),
            |c, b, now| c.update(b, "k", b"v", 1, None, None, now),
            |c, b, now| c.history(b, "k", None, now),
            |c, b, now| c.keys(b, &[], None, now),
            |c, b, now| c.get_many(b, &["a", "b.*"], None, now),
            |c, b, now| c.put_many(b, &[("a", b"1"), ("b", b"2")], None, now),
            |c, b, now| c.purge_deletes(b, Duration::ZERO, None, now),
            |c, b, now| c.clear(b, "a", None, now),
            |c, b, now| c.touch(b, "k", Duration::from_secs(1), None, now),
            |c, _, now| c.open("b", &HandleOptions::default(), None, now),
            |c, _, now| c.bucket_list(None, now),
            |c, _, now| {
                let config = BucketConfig::new("b");
                c.create_bucket(&config, &HandleOptions::default(), Compare::All, OnDrift::Update, None, now)
            },
        ];
        for start in starts {
            if let Ok(op) = self.call(|client, now| start(client, b, now)) {
                self.ops.push(op);
            }
        }
        for options in [WatchOptions::default(), options] {
            if let Ok(watch) = self.call(|client, now| client.watch(b, &["a.>", "k"], options, now)) {
                self.watches.push(watch);
            }
        }
    }

    /// 0xfe, and how long: time passes; 0xff: the connection is lost and made anew. What is between comes in one piece. `@` is the inbox
    /// of requests, so that one need not guess it.
    fn hear(&mut self, data: &[u8]) {
        let text = String::from_utf8_lossy(&self.written).into_owned();
        let inbox = text.lines().find_map(|line| line.strip_prefix("SUB ")?.strip_suffix("* 1"));
        let inbox = inbox.unwrap_or("_INBOX.x.").as_bytes().to_vec();
        let mut rest = data;
        while !rest.is_empty() {
            let at = rest.iter().position(|b| *b >= 0xfe).unwrap_or(rest.len());
            let piece = rest[..at].split(|b| *b == b'@').collect::<Vec<_>>().join(&inbox[..]);
            self.bytes(&piece);
            self.read();
            match rest[at..] {
                [0xfe, time, ..] => self.pass(Duration::from_millis(u64::from(time) * 100)),
                [0xff, ..] => {
                    let conn = self.conn;
                    self.call(|client, now| client.transport_closed(conn, Lost::Reset, now));
                    self.pass(Duration::from_secs(1));
                    self.establish();
                }
                _ => {}
            }
            rest = rest.get(at + if rest.get(at) == Some(&0xfe) { 2 } else { 1 }..).unwrap_or_default();
        }
    }

    fn read(&mut self) {
        for watch in self.watches.clone() {
            while self.call(|client, now| client.watch_next(watch, now)).is_some() {}
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut wakes = 0;
        while let Some(deadline) = self.client.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.call(|client, now| client.handle_timeout(now));
            wakes += 1;
            assert!(wakes < 20_000, "woken again and again");
        }
        self.now = end;
    }

    /// Nothing more is said: everything ends.
    fn end(&mut self) {
        self.read();
        self.pass(Duration::from_secs(120));
        for op in &self.ops {
            assert!(self.done.contains(op), "{op:?} has not ended");
        }
        self.call(|client, now| client.close(now));
        self.pass(LINGER);
        assert!(self.is_closed, "it does not close");
        assert_eq!(self.client.deadline(), None, "it is closed");
    }
}
