//! What one seed stands for: which server, which weather, which clients, and how much goes wrong.

use std::time::Duration;

use natskv_core::Config;
use natskv_kit::{
    dice::Dice,
    fake::Settings,
    world::{Chunks, Weather},
};
use serde_json::{Value, json};

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// A bucket of the simulation.
#[derive(Clone, Debug)]
pub(crate) struct BucketPlan {
    pub(crate) name: String,
    pub(crate) history: u64,
    pub(crate) has_ttl: bool,
    /// The stream's configuration, as an operator would give it.
    pub(crate) stream: Value,
}

impl BucketPlan {
    /// Whether anything goes by itself.
    pub(crate) fn expires(&self) -> bool {
        self.has_ttl || self.stream.get("max_age").is_some()
    }

    pub(crate) fn stream_name(&self) -> String {
        format!("KV_{}", self.name)
    }

    pub(crate) fn subject(&self, key: &str) -> String {
        format!("$KV.{}.{key}", self.name)
    }
}

/// How often something goes wrong: so many times in a thousand, every tenth of a second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) cut: u64,
    pub(crate) kill: u64,
    pub(crate) elect: u64,
    pub(crate) lose_consumer: u64,
    pub(crate) lame_duck: u64,
    pub(crate) block: u64,
    pub(crate) recreate: u64,
    pub(crate) sleep: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) settings: Settings,
    pub(crate) weather: Weather,
    pub(crate) clients: Vec<Config>,
    pub(crate) buckets: Vec<BucketPlan>,
    pub(crate) keys: Vec<&'static str>,
    /// The length of the longest value.
    pub(crate) largest_value: u64,
    pub(crate) faults: Faults,
    /// How long the clients work, and how long between two commands of one; nanoseconds.
    pub(crate) duration: u64,
    pub(crate) pace: u64,
    /// Whether anything can go wrong at all: if not, no command may fail for want of a server.
    pub(crate) is_calm: bool,
}

const MOST_COMMANDS: u64 = 1500;

const KEYS: [&str; 12] =
    ["a", "b", "c", "a.b", "a.c", "b.b", "a.b.c", "x.y.z", "x.y", "long-key_name/with=all", "d", "e.f"];

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed ^ 0x5eed);
        let is_calm = dice.permille(120);
        // Large values against narrow bounds.
        let is_heavy = !is_calm && dice.permille(60);
        let nodes = if dice.permille(400) { 3 } else { 1 };
        let level = *dice.pick(&[5, 5, 5, 4, 2, 1, 0]);
        let settings = settings(dice, nodes, level, is_calm);
        let weather = weather(dice, is_calm);
        let buckets = (0..1 + dice.below(2)).map(|at| bucket(dice, at, nodes, level)).collect();
        let mut keys = KEYS.to_vec();
        keys.truncate(2 + dice.below(KEYS.len() as u64 - 1) as usize);
        let clients: Vec<Config> = (0..1 + dice.below(4)).map(|_| client(dice, is_calm, is_heavy)).collect();
        let is_denied = |part: &str| settings.denied.iter().any(|denied| denied.contains(part));
        let mut rate = |most: u64| if is_calm || dice.permille(400) { 0 } else { 1 + dice.below(most) };
        let faults = Faults {
            cut: rate(60),
            kill: rate(25),
            elect: if nodes > 1 { rate(30) } else { 0 },
            lose_consumer: rate(40),
            lame_duck: rate(10),
            block: rate(30),
            sleep: rate(10),
            // Who may not ask which stream it is cannot know that it is another one.
            recreate: if is_denied("STREAM.INFO") || dice.permille(600) || is_calm { 0 } else { 1 + dice.below(15) },
        };
        let pace = *dice.pick(&[5 * MS, 20 * MS, 60 * MS, 200 * MS]);
        // So many commands that a seed takes a fraction of a second.
        let most = (MOST_COMMANDS * pace / clients.len() as u64).max(2 * SECOND);
        let duration = ((2 + dice.below(25)) * SECOND).min(most);
        let largest_value = if is_heavy { 20_000 } else { 400 };
        Self { settings, weather, clients, buckets, keys, largest_value, faults, duration, pace, is_calm }
    }
}

/// Up to `most`, or nothing at all.
fn span(dice: &mut Dice, most: u64) -> std::ops::Range<u64> {
    if dice.permille(300) { 0..1 } else { 0..1 + dice.below(most) }
}

fn settings(dice: &mut Dice, nodes: usize, level: u64, is_calm: bool) -> Settings {
    let mut denied = Vec::new();
    if !is_calm && dice.permille(80) {
        let all = ["STREAM.INFO.>", "CONSUMER.INFO.>", "STREAM.MSG.GET.>", "DIRECT.GET.>", "CONSUMER.DELETE.>"];
        denied.push(format!("$JS.API.{}", dice.pick(&all)));
    }
    let most_lag = if dice.permille(200) { 3 * SECOND } else { 50 * MS };
    Settings {
        nodes,
        level,
        max_payload: 1 << 20,
        window: *dice.pick(&[300, 2000, 20_000, 2 << 20]),
        multi_limit: *dice.pick(&[3, 6, 1024, 1024]),
        page: *dice.pick(&[1, 3, usize::MAX, usize::MAX]),
        // Who may not delete them has to leave them behind.
        max_consumers: if denied.is_empty() { 1000 } else { usize::MAX },
        has_long_acks: level >= 4 && dice.permille(300),
        api: span(dice, 30 * MS),
        ingest: span(dice, 10 * MS),
        commit: span(dice, 20 * MS),
        lag: span(dice, most_lag),
        delivery: span(dice, 5 * MS),
        election: 20 * MS..(30 + dice.below(3000)) * MS,
        expiry: span(dice, 500 * MS),
        folder: span(dice, 50 * MS),
        unanswered: if is_calm || dice.permille(700) { 0 } else { dice.below(40) },
        denied,
    }
}

fn weather(dice: &mut Dice, is_calm: bool) -> Weather {
    Weather {
        latency: span(dice, 40 * MS),
        dial: span(dice, 60 * MS),
        refusals: if is_calm { 0 } else { dice.below(200) },
        black_holes: if is_calm || dice.permille(700) { 0 } else { dice.below(100) },
        lateness: span(dice, 20 * MS),
        chunks: *dice.pick(&[
            Chunks::Whole,
            Chunks::Whole,
            Chunks::Whole,
            Chunks::Any,
            Chunks::Any,
            Chunks::Any,
            Chunks::Any,
            Chunks::Single,
        ]),
        mischief: if dice.permille(500) { 0 } else { dice.below(100) },
    }
}

fn bucket(dice: &mut Dice, at: u64, nodes: usize, level: u64) -> BucketPlan {
    let name = format!("b{at}");
    let history = *dice.pick(&[1, 1, 2, 5, 64]);
    let has_ttl = level >= 1 && dice.permille(300);
    let mut stream = json!({
        "name": format!("KV_{name}"),
        "subjects": [format!("$KV.{name}.>")],
        "max_msgs_per_subject": history,
        "discard": "new",
        // Servers before 2.11 answer nothing where it is off, so that a bound handle cannot know.
        "allow_direct": level < 1 || dice.permille(900),
        "allow_rollup_hdrs": true,
        "deny_delete": true,
        "num_replicas": if nodes == 3 && dice.permille(700) { 3 } else { 1 },
    });
    if has_ttl {
        stream["allow_msg_ttl"] = true.into();
        stream["subject_delete_marker_ttl"] = (*dice.pick(&[1, 5, 60]) * SECOND).into();
    }
    if dice.permille(80) {
        stream["max_age"] = ((2 + dice.below(20)) * SECOND).into();
    }
    BucketPlan { name, history, has_ttl, stream }
}

fn client(dice: &mut Dice, is_calm: bool, is_heavy: bool) -> Config {
    let ms = |dice: &mut Dice, from: u64, to: u64| Duration::from_millis(from + dice.below(to - from));
    let is_tight = !is_calm && dice.permille(200);
    let bound = |wide: usize| match (is_heavy, is_tight) {
        (true, _) => 64 << 10,
        (false, true) => 2000,
        (false, false) => wide,
    };
    Config {
        connect_timeout: ms(dice, 300, 3000),
        request_timeout: ms(dice, if is_calm { 3000 } else { 400 }, 5000),
        ping_interval: ms(dice, 500, 10_000),
        reconnect_wait: ms(dice, 1, 200),
        max_reconnect_wait: ms(dice, 200, 3000),
        retry_first_connect: true,
        retry_writes: dice.permille(300),
        watch_heartbeat: ms(dice, 100, 5000),
        inactive_threshold: ms(dice, 2000, 30_000),
        watch_limit: match (is_calm, is_heavy) {
            (true, _) => 32 << 20,
            (_, true) => 40 << 10,
            (false, false) => *dice.pick(&[300, 2000, 1 << 20]),
        },
        pending_limit: bound(8 << 20),
        unsent_limit: bound(64 << 20),
        max_operations: if is_tight { 16 } else { 65_536 },
        max_filters: *dice.pick(&[1, 2, 256, 256]),
        drain_timeout: ms(dice, 500, 10_000),
        ..Config::default()
    }
}
