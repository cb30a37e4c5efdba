//! Conversations of a client with FakeServer, and all that the server said.

use std::{fmt, time::Duration};

use natskv_core::{
    BucketConfig, BucketId, Client, Compare, Config, HandleOptions, Instant, OnDrift, OpId, WatchId, WatchOptions,
};
use natskv_kit::{
    dice::Dice,
    fake::{FakeServer, Output, Settings},
    rig::Rig,
};

/// What happens to the client, in order.
#[derive(Clone)]
pub(crate) enum Step {
    /// It is asked for something: one of `Transcript::calls`.
    Call(usize),
    /// It receives this; what it dialled meanwhile was answered.
    Bytes(Vec<u8>),
    /// Its readers take what there is.
    Read,
    /// Time passes.
    Wait(Duration),
    /// Its connection is gone.
    Lose,
}

/// Bytes as people read them, and not too many.
impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(at) => write!(f, "call {at}"),
            Self::Bytes(bytes) => {
                write!(f, "{} bytes: {}", bytes.len(), bytes[..bytes.len().min(2000)].escape_ascii())
            }
            Self::Read => write!(f, "read"),
            Self::Wait(time) => write!(f, "wait {time:?}"),
            Self::Lose => write!(f, "lose"),
        }
    }
}

/// What a client is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    Op(fn(&mut Client, BucketId, Instant) -> Result<OpId, natskv_core::Error>),
    Watch(fn(&mut Client, BucketId, Instant) -> Result<WatchId, natskv_core::Error>),
}

pub(crate) struct Transcript {
    pub(crate) name: &'static str,
    pub(crate) calls: &'static [Call],
    pub(crate) steps: Vec<Step>,
    /// How many operations fail in it as it is.
    pub(crate) errors: u32,
}

/// With narrow bounds, so that it shows when one is passed.
pub(crate) fn config() -> Config {
    Config {
        max_message: 256 << 10,
        watch_limit: 64 << 10,
        pending_limit: 64 << 10,
        unsent_limit: 256 << 10,
        seen_keys: 64,
        retry_first_connect: true,
        watch_heartbeat: Duration::from_secs(2),
        ..Config::default()
    }
}

const WRITES: &[Call] = &[
    Call::Op(|c, b, now| c.put(b, "a", b"1", None, None, now)),
    Call::Op(|c, b, now| c.put(b, "b.c", b"two", None, None, now)),
    Call::Op(|c, b, now| c.create(b, "new", b"3", None, None, now)),
    Call::Op(|c, b, now| c.create(b, "a", b"4", None, None, now)),
    Call::Op(|c, b, now| c.update(b, "a", b"5", 1, None, None, now)),
    Call::Op(|c, b, now| c.update(b, "a", b"6", 1, None, None, now)),
    Call::Op(|c, b, now| c.delete(b, "b.c", None, None, now)),
    Call::Op(|c, b, now| c.create(b, "b.c", b"7", None, None, now)),
    Call::Op(|c, b, now| c.purge(b, "a", None, None, None, now)),
    Call::Op(|c, b, now| c.put_many(b, &[("m1", b"1"), ("m2", b"2"), ("m3", b"3")], None, now)),
    Call::Op(|c, b, now| c.clear(b, "m1", None, now)),
    Call::Op(|c, b, now| c.purge_deletes(b, Duration::ZERO, None, now)),
    Call::Op(|c, _, now| c.flush(None, now)),
];

const READS: &[Call] = &[
    Call::Op(|c, b, now| c.put_many(b, &[("a", b"1"), ("b.c", b"2"), ("b.d", b"3")], None, now)),
    Call::Op(|c, b, now| c.put(b, "a", b"4", None, None, now)),
    Call::Op(|c, b, now| c.delete(b, "b.d", None, None, now)),
    Call::Op(|c, b, now| c.get(b, "a", None, None, now)),
    Call::Op(|c, b, now| c.get(b, "none", None, None, now)),
    Call::Op(|c, b, now| c.get(b, "a", Some(1), None, now)),
    Call::Op(|c, b, now| c.entry(b, "b.d", None, now)),
    Call::Op(|c, b, now| c.history(b, "a", None, now)),
    Call::Op(|c, b, now| c.keys(b, &["b.>"], None, now)),
    Call::Op(|c, b, now| c.entries(b, &[], None, now)),
    Call::Op(|c, b, now| c.count(b, &["*"], None, now)),
    Call::Op(|c, b, now| c.get_many(b, &["a", "b.c", "none"], None, now)),
    Call::Op(|c, b, now| c.get_many(b, &["b.*"], None, now)),
    Call::Op(|c, b, now| c.execute(b, "{\"operation\":\"WATCH\"}", None, now)),
    Call::Op(|c, b, now| c.status(b, None, now)),
];

const ADMIN: &[Call] = &[
    Call::Op(|c, _, now| c.open("b", &HandleOptions::default(), None, now)),
    Call::Op(|c, _, now| {
        let config = BucketConfig { history: Some(3), ..BucketConfig::new("other") };
        c.create_bucket(&config, &HandleOptions::default(), Compare::Given, OnDrift::Error, None, now)
    }),
    Call::Op(|c, _, now| {
        c.create_bucket(&BucketConfig::new("b"), &HandleOptions::default(), Compare::Given, OnDrift::Ignore, None, now)
    }),
    Call::Op(|c, _, now| c.update_bucket(&BucketConfig::new("other"), &HandleOptions::default(), None, now)),
    Call::Op(|c, _, now| c.create_or_update_bucket(&BucketConfig::new("third"), &HandleOptions::default(), None, now)),
    Call::Op(|c, _, now| c.bucket_names(None, now)),
    Call::Op(|c, _, now| c.bucket_list(None, now)),
    Call::Op(|c, b, now| c.status(b, None, now)),
    Call::Op(|c, _, now| c.delete_bucket("other", None, now)),
    Call::Op(|c, _, now| c.delete_bucket("nowhere", None, now)),
];

const WATCHES: &[Call] = &[
    Call::Op(|c, b, now| c.put_many(b, &[("a", b"1"), ("b.c", b"2"), ("b.d", b"3")], None, now)),
    Call::Watch(|c, b, now| c.watch(b, &[], WatchOptions::default(), now)),
    Call::Watch(|c, b, now| {
        c.watch(b, &["b.*", "*.c"], WatchOptions { include_history: true, ..WatchOptions::default() }, now)
    }),
    Call::Op(|c, b, now| c.put(b, "a", &[b'x'; 700], None, None, now)),
    Call::Watch(|c, b, now| {
        c.watch(b, &["a"], WatchOptions { updates_only: true, meta_only: true, ..WatchOptions::default() }, now)
    }),
    Call::Op(|c, b, now| c.put(b, "a", &[b'y'; 700], None, None, now)),
    Call::Op(|c, b, now| c.put(b, "b.c", b"8", None, None, now)),
    Call::Op(|c, b, now| c.delete(b, "b.d", None, None, now)),
    Call::Op(|c, b, now| c.purge(b, "a", None, None, None, now)),
];

/// Every transcript; the same each time.
pub(crate) fn all() -> Vec<Transcript> {
    let usual = Settings::default();
    let narrow = Settings { window: 300, multi_limit: 2, page: 1, ..Settings::default() };
    let old = Settings { level: 0, ..Settings::default() };
    let slow = Settings { api: 0..30_000_000, ingest: 0..10_000_000, delivery: 0..5_000_000, ..Settings::default() };
    [
        ("writes", WRITES, &usual),
        ("writes on a slow server", WRITES, &slow),
        ("reads", READS, &usual),
        ("reads in pages", READS, &narrow),
        ("reads on 2.10", READS, &old),
        ("buckets", ADMIN, &usual),
        ("watches", WATCHES, &usual),
        ("watches with flow control", WATCHES, &narrow),
        ("watches on a slow server", WATCHES, &slow),
    ]
    .into_iter()
    .map(|(name, calls, settings)| Transcript {
        name,
        calls,
        steps: Recording::of(calls, settings.clone()).steps,
        errors: 0,
    })
    .collect()
}

/// A conversation while it goes on.
struct Recording {
    rig: Rig,
    server: FakeServer,
    link: u64,
    now: u64,
    steps: Vec<Step>,
    watches: Vec<WatchId>,
}

impl Recording {
    fn of(calls: &[Call], settings: Settings) -> Self {
        let mut server = FakeServer::new(settings, Dice::new(1));
        let stream = serde_json::json!({
            "name": "KV_b", "subjects": ["$KV.b.>"], "max_msgs_per_subject": 5, "discard": "new",
            "allow_direct": true, "allow_rollup_hdrs": true, "deny_delete": true,
        });
        server.operate("STREAM.CREATE.KV_b", &stream, 1);
        let mut rig = Rig::new(config());
        let bucket = rig.client.bind("b", &HandleOptions::default()).expect("a plain name");
        let mut recording = Self { rig, server, link: 0, now: 1, steps: Vec::new(), watches: Vec::new() };
        recording.connect();
        for (at, call) in calls.iter().enumerate() {
            recording.steps.push(Step::Call(at));
            match call {
                Call::Op(call) => drop(recording.rig.call(|c, now| call(c, bucket, now)).expect("it is right")),
                Call::Watch(call) => {
                    let watch = recording.rig.call(|c, now| call(c, bucket, now)).expect("it is right");
                    recording.watches.push(watch);
                }
            }
            recording.pass(Duration::from_millis(if at % 3 == 0 { 0 } else { 50 }));
            recording.read();
        }
        // Heartbeats; then the server goes away, and is found again.
        recording.pass(Duration::from_secs(5));
        recording.server.lost(recording.link, recording.now);
        recording.steps.push(Step::Lose);
        recording.rig.lose();
        recording.connect();
        recording.pass(Duration::from_secs(5));
        recording.read();
        recording
    }

    fn connect(&mut self) {
        self.link += 1;
        self.rig.open();
        self.server.accept(self.link, 0, self.now);
        self.exchange();
    }

    fn read(&mut self) {
        self.steps.push(Step::Read);
        for watch in self.watches.clone() {
            self.rig.items(watch);
        }
        self.exchange();
    }

    /// Both say what they have to, now.
    fn exchange(&mut self) {
        loop {
            self.rig.pump();
            let said = std::mem::take(&mut self.rig.raw);
            if !said.is_empty() {
                self.server.receive(self.link, &said, self.now);
            }
            self.server.handle_timeout(self.now);
            let mut heard = Vec::new();
            while let Some(output) = self.server.poll() {
                if let Output::Bytes { conn, bytes, .. } = output
                    && conn == self.link
                {
                    heard.extend(bytes);
                }
            }
            if heard.is_empty() && said.is_empty() {
                return;
            }
            if !heard.is_empty() {
                self.rig.receive(&heard);
                self.steps.push(Step::Bytes(heard));
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.exchange();
        let end = self.now + time.as_nanos() as u64;
        loop {
            let client = self.rig.client.deadline().map(Instant::as_nanos);
            let next = self.server.deadline().into_iter().chain(client).min().unwrap_or(end).clamp(self.now, end);
            if next > self.now {
                self.steps.push(Step::Wait(Duration::from_nanos(next - self.now)));
            }
            self.now = next;
            self.rig.now = Instant::from_nanos(self.now);
            self.rig.client.handle_timeout(self.rig.now);
            self.exchange();
            if self.now >= end {
                return;
            }
        }
    }
}
