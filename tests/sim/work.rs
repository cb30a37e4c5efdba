//! Commands: what clients are asked to do, drawn at random.

use std::{fmt, time::Duration};

use natskv_core::{
    BucketConfig, BucketId, Client, Compare, Error, HandleOptions, Instant, KeyPolicy, OnDrift, OpId, WatchOptions,
};
use natskv_kit::dice::Dice;

use crate::plan::BucketPlan;

/// TTLs from here on are numbers that tell a write from all others; shorter ones are to expire.
pub(crate) const NAMING_TTL: u64 = 1_000_000;

#[derive(Clone)]
pub(crate) enum Call {
    Put { key: String, value: Vec<u8>, ttl: Option<u64> },
    Update { key: String, value: Vec<u8>, expected: u64 },
    Create { key: String, value: Vec<u8>, ttl: Option<u64> },
    Delete { key: String, expected: Option<u64> },
    Purge { key: String, expected: Option<u64>, ttl: Option<u64> },
    Touch { key: String, ttl: u64 },
    Get { key: String, revision: Option<u64> },
    Entry { key: String },
    History { key: String },
    Keys { filters: Vec<String> },
    Count { filters: Vec<String> },
    Entries { filters: Vec<String> },
    GetMany { keys: Vec<String> },
    PutMany { items: Vec<(String, Vec<u8>)> },
    Clear { prefix: String },
    PurgeDeletes { older_than: Duration },
    Execute { json: String },
    Status,
    Open,
    MakeBucket,
    DropBucket,
    Names,
    Flush,
    Ready,
}

/// Values are long; their numbers are what one wants to read.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |value: &[u8]| String::from_utf8_lossy(&value[..value.len().min(6)]).into_owned();
        match self {
            Self::Put { key, value, ttl } => write!(f, "put {key} = {} ttl {ttl:?}", short(value)),
            Self::Update { key, value, expected } => write!(f, "update {key} = {} at {expected}", short(value)),
            Self::Create { key, value, ttl } => write!(f, "create {key} = {} ttl {ttl:?}", short(value)),
            Self::Delete { key, expected } => write!(f, "delete {key} at {expected:?}"),
            Self::Purge { key, expected, ttl } => write!(f, "purge {key} at {expected:?} ttl {ttl:?}"),
            Self::Touch { key, ttl } => write!(f, "touch {key} ttl {ttl}"),
            Self::Get { key, revision } => write!(f, "get {key} at {revision:?}"),
            Self::Entry { key } => write!(f, "entry {key}"),
            Self::History { key } => write!(f, "history {key}"),
            Self::Keys { filters } => write!(f, "keys {filters:?}"),
            Self::Count { filters } => write!(f, "count {filters:?}"),
            Self::Entries { filters } => write!(f, "entries {filters:?}"),
            Self::GetMany { keys } => write!(f, "get_many {keys:?}"),
            Self::PutMany { items } => {
                let items: Vec<String> = items.iter().map(|(key, value)| format!("{key} = {}", short(value))).collect();
                write!(f, "put_many {}", items.join(", "))
            }
            Self::Clear { prefix } => write!(f, "clear {prefix}"),
            Self::PurgeDeletes { older_than } => write!(f, "purge_deletes {older_than:?}"),
            Self::Execute { json } => write!(f, "execute {json}"),
            Self::Status => write!(f, "status"),
            Self::Open => write!(f, "open"),
            Self::MakeBucket => write!(f, "create_bucket"),
            Self::DropBucket => write!(f, "delete_bucket"),
            Self::Names => write!(f, "bucket_names"),
            Self::Flush => write!(f, "flush"),
            Self::Ready => write!(f, "ready"),
        }
    }
}

/// A bucket as one client opened it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Handle {
    pub(crate) id: BucketId,
    pub(crate) bucket: usize,
    pub(crate) reads_leader: bool,
}

fn texts(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

impl Call {
    pub(crate) fn start(
        &self,
        client: &mut Client,
        handle: Handle,
        name: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let b = handle.id;
        let seconds = |ttl: &Option<u64>| ttl.map(Duration::from_secs);
        match self {
            Self::Put { key, value, ttl } => client.put(b, key, value, seconds(ttl), timeout, now),
            Self::Update { key, value, expected } => client.update(b, key, value, *expected, None, timeout, now),
            Self::Create { key, value, ttl } => client.create(b, key, value, seconds(ttl), timeout, now),
            Self::Delete { key, expected } => client.delete(b, key, *expected, timeout, now),
            Self::Purge { key, expected, ttl } => client.purge(b, key, *expected, seconds(ttl), timeout, now),
            Self::Touch { key, ttl } => client.touch(b, key, Duration::from_secs(*ttl), timeout, now),
            Self::Get { key, revision } => client.get(b, key, *revision, timeout, now),
            Self::Entry { key } => client.entry(b, key, timeout, now),
            Self::History { key } => client.history(b, key, timeout, now),
            Self::Keys { filters } => client.keys(b, &texts(filters), timeout, now),
            Self::Count { filters } => client.count(b, &texts(filters), timeout, now),
            Self::Entries { filters } => client.entries(b, &texts(filters), timeout, now),
            Self::GetMany { keys } => client.get_many(b, &texts(keys), timeout, now),
            Self::PutMany { items } => {
                let items: Vec<(&str, &[u8])> =
                    items.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
                client.put_many(b, &items, timeout, now)
            }
            Self::Clear { prefix } => client.clear(b, prefix, timeout, now),
            Self::PurgeDeletes { older_than } => client.purge_deletes(b, *older_than, timeout, now),
            Self::Execute { json } => client.execute(b, json, timeout, now),
            Self::Status => client.status(b, timeout, now),
            Self::Open => {
                let options = HandleOptions { leader_reads: handle.reads_leader, ..HandleOptions::default() };
                client.open(name, &options, timeout, now)
            }
            Self::MakeBucket => {
                let (config, options) = (BucketConfig::new(name), HandleOptions::default());
                client.create_bucket(&config, &options, Compare::Given, OnDrift::Ignore, timeout, now)
            }
            Self::DropBucket => client.delete_bucket(name, timeout, now),
            Self::Names => client.bucket_names(timeout, now),
            Self::Flush => client.flush(timeout, now),
            Self::Ready => client.ready(timeout, now),
        }
    }

    /// Whether its timeout is the longest silence.
    pub(crate) const fn is_long(&self) -> bool {
        matches!(
            self,
            Self::Touch { .. }
                | Self::History { .. }
                | Self::Keys { .. }
                | Self::Count { .. }
                | Self::Entries { .. }
                | Self::GetMany { .. }
                | Self::PutMany { .. }
                | Self::Clear { .. }
                | Self::PurgeDeletes { .. }
                | Self::Execute { .. }
        )
    }
}

/// Numbers that name writes, and chance.
#[derive(Debug)]
pub(crate) struct Muse {
    pub(crate) dice: Dice,
    last: u64,
    largest_value: u64,
}

impl Muse {
    pub(crate) const fn new(dice: Dice, largest_value: u64) -> Self {
        Self { dice, last: 0, largest_value }
    }

    const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A value that no other write has.
    fn value(&mut self) -> Vec<u8> {
        let mut value = format!("{}.", self.number()).into_bytes();
        let most = *self.dice.pick(&[1, 20, 20, self.largest_value]);
        value.resize(value.len() + self.dice.below(most) as usize, b'x');
        value
    }

    fn key(&mut self, keys: &[&str]) -> String {
        (*self.dice.pick(keys)).to_owned()
    }

    pub(crate) fn filters(&mut self, keys: &[&str]) -> Vec<String> {
        const WILD: [&str; 8] = [">", "a.*", "a.>", "*.b", "*", "x.>", "a.*.c", "*.*"];
        let count = self.dice.below(4);
        let mut one = |_| if self.dice.permille(600) { (*self.dice.pick(&WILD)).to_owned() } else { self.key(keys) };
        (0..count).map(&mut one).collect()
    }

    /// Where not `None`, a TTL that expires soon, or one that names the write.
    fn ttl(&mut self, is_allowed: bool) -> Option<u64> {
        match self.dice.below(10) {
            0..=6 => None,
            _ if !is_allowed => None,
            7 | 8 => Some(1 + self.dice.below(4)),
            _ => Some(NAMING_TTL + self.number()),
        }
    }

    /// Any command. `known` is a revision that the key may be at.
    pub(crate) fn call(&mut self, keys: &[&str], bucket: &BucketPlan, known: impl Fn(&str) -> u64) -> Call {
        let key = self.key(keys);
        let revision = known(&key).saturating_sub(if self.dice.permille(150) { 1 } else { 0 });
        let expected = Some(revision).filter(|revision| *revision > 0 && self.dice.permille(400));
        match self.dice.below(100) {
            0..=19 => {
                let (value, ttl) = (self.value(), self.ttl(bucket.has_ttl && bucket.history == 1));
                Call::Put { key, value, ttl }
            }
            20..=31 if revision > 0 => Call::Update { key, value: self.value(), expected: revision },
            20..=41 => Call::Create { key, value: self.value(), ttl: self.ttl(bucket.has_ttl) },
            42..=46 => Call::Delete { key, expected },
            47..=50 => Call::Purge { key, expected, ttl: self.ttl(bucket.has_ttl) },
            51..=52 if bucket.has_ttl && bucket.history == 1 => Call::Touch { key, ttl: NAMING_TTL + self.number() },
            51..=60 => Call::Get { key, revision: expected },
            61..=63 => Call::Entry { key },
            64..=67 => Call::History { key },
            68..=70 => Call::Keys { filters: self.filters(keys) },
            71 => Call::Count { filters: self.filters(keys) },
            72..=74 => Call::Entries { filters: self.filters(keys) },
            75..=80 => {
                let mut wanted = if self.dice.permille(300) { self.filters(keys) } else { Vec::new() };
                wanted.extend((0..self.dice.below(8)).map(|_| self.key(keys)));
                Call::GetMany { keys: wanted }
            }
            81..=85 => {
                let count = self.dice.below(12);
                let items = (0..count).map(|_| (self.key(keys), self.value())).collect();
                Call::PutMany { items }
            }
            86..=87 => Call::Clear { prefix: if self.dice.permille(300) { "a.*".into() } else { key } },
            88..=89 => Call::PurgeDeletes { older_than: Duration::from_millis(self.dice.below(3000)) },
            90 => {
                let operation = *self.dice.pick(&["GET", "HISTORY", "LIST", "WATCH", "COUNT", "ENTRIES"]);
                let about =
                    if matches!(operation, "GET" | "HISTORY") { format!(",\"key\":\"{key}\"") } else { String::new() };
                Call::Execute { json: format!("{{\"operation\":\"{operation}\"{about}}}") }
            }
            91 => Call::Status,
            92 => Call::Open,
            93 => Call::Names,
            94..=95 => Call::Flush,
            96 => Call::Ready,
            _ => Call::Put { key, value: self.value(), ttl: None },
        }
    }

    pub(crate) fn watch(&mut self, keys: &[&str], known: u64) -> (Vec<String>, WatchOptions) {
        let resume = self.dice.permille(150).then(|| 1 + self.dice.below(known.max(1)));
        let kind = self.dice.below(10);
        let options = WatchOptions {
            include_history: kind < 2,
            updates_only: kind == 2,
            ignore_deletes: self.dice.permille(250),
            meta_only: self.dice.permille(200),
            resume_from_revision: resume,
            timeout: None,
        };
        (self.filters(keys), options)
    }

    pub(crate) fn handle(&mut self) -> HandleOptions {
        HandleOptions {
            keys: self.dice.permille(100).then_some(KeyPolicy::Permissive),
            leader_reads: self.dice.permille(200),
            ..HandleOptions::default()
        }
    }
}
