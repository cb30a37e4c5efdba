//! An opened bucket: the prefixes its subjects have, and what its stream is known to allow.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    js::{
        direct::{AckMeta, DirectMeta},
        ordered::Plan,
        tracker::Policy,
    },
    json::{Object, Value},
    kv::{
        entry::Entry,
        key,
        op::Limits,
        policy::{self, KeyPolicy},
        seen::Seen,
    },
    number::parse_u64,
    proto::{headers::Headers, parser::Message},
    shown::Quoted,
};

/// The API prefix that needs no prefix on writes.
pub(crate) const DEFAULT_API: &str = "$JS.API";

/// What a bucket handle is to be like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HandleOptions {
    /// Which keys it takes. None: what the bucket's metadata says where the server is asked, else `Strict`.
    pub keys: Option<KeyPolicy>,
    /// Reads of keys go to the stream's leader, which knows every write that was acknowledged. Else any replica may answer, and only
    /// keys that this client wrote or read before are sure not to go back.
    pub leader_reads: bool,
    /// Writes are refused here.
    pub read_only: bool,
    /// Writes to keys beginning `_kv` are allowed.
    pub reserved_keys: bool,
}

/// That of servers whose stream says nothing else.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) options: HandleOptions,
    pub(crate) keys: KeyPolicy,
    /// Why it cannot be written, where that is known.
    pub(crate) read_only: Option<String>,
    pub(crate) stream: String,
    pub(crate) api_prefix: String,
    /// In front of keys in stored subjects: what reads and filters name.
    pub(crate) read_prefix: String,
    /// In front of keys that are written.
    pub(crate) write_prefix: String,
    /// The stream that acknowledges writes: the origin's for a mirror.
    pub(crate) ack_stream: String,
    pub(crate) max_value_size: Option<u64>,
    /// Revisions kept; None: unknown, so it counts as more than one.
    pub(crate) history: Option<i64>,
    /// Whether any replica may answer reads; unknown counts as yes, and a 503 then tells.
    pub(crate) allows_direct: bool,
    /// Whether messages may carry a TTL; None: unknown.
    pub(crate) allows_ttl: Option<bool>,
    /// Whether direct gets of many messages are known (API level 1); None: to be tried.
    pub(crate) allows_batches: Option<bool>,
    /// Age at which revisions expire, in nanoseconds; 0: never, or unknown.
    pub(crate) max_age: i64,
    /// How long the server knows a message id again; None: unknown.
    pub(crate) duplicate_window: Option<Duration>,
    pub(crate) seen: Seen,
    /// `created` of the stream, which tells it from a later one of the same name.
    pub(crate) created: Option<String>,
}

impl Bucket {
    /// Assumes a plain bucket made by a client that follows ADR-8.
    pub(crate) fn bound(name: &str, api_prefix: &str, options: HandleOptions) -> Self {
        let read_prefix = format!("$KV.{name}.");
        let write_prefix = write_prefix(api_prefix, &read_prefix);
        let stream = format!("KV_{name}");
        Self {
            name: name.into(),
            options,
            keys: options.keys.unwrap_or_default(),
            read_only: options.read_only.then(|| "it was opened so".into()),
            ack_stream: stream.clone(),
            stream,
            api_prefix: api_prefix.into(),
            read_prefix,
            write_prefix,
            max_value_size: None,
            history: None,
            allows_direct: !options.leader_reads,
            allows_ttl: None,
            allows_batches: None,
            max_age: 0,
            duplicate_window: None,
            seen: Seen::default(),
            created: None,
        }
    }

    /// With what STREAM.INFO says of its stream.
    pub(crate) fn opened(name: &str, api_prefix: &str, options: HandleOptions, info: &Object) -> Result<Self, Error> {
        let mut bucket = Self::bound(name, api_prefix, options);
        let Some(config) = info.get("config").and_then(Value::as_object) else {
            return Err(Error::protocol("STREAM.INFO has no config"));
        };
        let is = |field: &str| config.get(field).and_then(Value::as_bool).unwrap_or(false);
        let history = config.get("max_msgs_per_subject").and_then(Value::as_i64).unwrap_or_default();
        if history < 1 {
            let text = format!("stream {} is not a key/value bucket: max_msgs_per_subject is {history}", bucket.stream);
            return Err(Error::new(ErrorCode::NotABucket, text));
        }
        bucket.history = Some(history);
        bucket.allows_direct &= is("allow_direct");
        bucket.allows_ttl = Some(is("allow_msg_ttl"));
        bucket.max_value_size = config.get("max_msg_size").and_then(Value::as_u64);
        bucket.created = info.get("created").and_then(Value::as_str).map(ToString::to_string);
        bucket.max_age = config.get("max_age").and_then(Value::as_i64).unwrap_or_default();
        let window = config.get("duplicate_window").and_then(Value::as_u64).map(Duration::from_nanos);
        bucket.duplicate_window = Some(window.unwrap_or(DUPLICATE_WINDOW));
        let metadata = |name: &str| config.get("metadata").and_then(|pairs| pairs.get(name)).and_then(Value::as_str);
        let codec = policy::METADATA;
        if options.keys.is_none() {
            bucket.keys = KeyPolicy::of_metadata(name, metadata(codec))?.unwrap_or_default();
        }
        let level = metadata("_nats.level").and_then(|level| parse_u64(level.as_bytes()));
        bucket.allows_batches = level.map(|level| level >= 1);
        if let Some(mirror) = config.get("mirror").and_then(Value::as_object) {
            bucket.mirrors(mirror);
        }
        if is("sealed") && bucket.read_only.is_none() {
            bucket.read_only = Some("its stream is sealed".into());
        }
        Ok(bucket)
    }

    /// The same handle with what STREAM.INFO says now. Its keys keep their policy: half of them would else be stored otherwise.
    pub(crate) fn refreshed(&self, info: &Object) -> Result<Self, Error> {
        let options = HandleOptions { keys: Some(self.keys), ..self.options };
        let fresh = Self::opened(&self.name, &self.api_prefix, options, info)?;
        Ok(Self { options: self.options, ..fresh.succeeding(self, info) })
    }

    /// With what an older view of the same handle has seen.
    pub(crate) fn succeeding(self, known: &Self, info: &Object) -> Self {
        let mut seen = known.seen.clone();
        if known.is_another(&self) {
            let last_seq = info.get("state").and_then(|state| state.get("last_seq")).and_then(Value::as_u64);
            seen.restart(last_seq.unwrap_or_default());
        }
        Self { seen, ..self }
    }

    /// Whether the bucket was deleted and made anew in between.
    fn is_another(&self, fresh: &Self) -> bool {
        matches!((&self.created, &fresh.created), (Some(known), Some(fresh)) if known != fresh)
    }

    /// A mirror's messages keep the origin's subjects, and writes go to the origin (PROTOCOL 4.4).
    pub(crate) fn mirrors(&mut self, mirror: &Object) {
        let Some(origin_stream) = mirror.get("name").and_then(Value::as_str) else { return };
        let origin = origin_stream.strip_prefix("KV_").unwrap_or(origin_stream);
        if origin == origin_stream && self.read_only.is_none() {
            self.read_only = Some(format!("it mirrors stream {origin}, which is no bucket", origin = Quoted(origin)));
        }
        self.read_prefix = format!("$KV.{origin}.");
        let external = mirror.get("external").and_then(|external| external.get("api")).and_then(Value::as_str);
        self.write_prefix = match external {
            Some(api) if !api.is_empty() => format!("{api}.{}", self.read_prefix),
            _ => write_prefix(&self.api_prefix, &self.read_prefix),
        };
        self.ack_stream = origin_stream.into();
    }

    /// Where a key is written, in pieces.
    pub(crate) fn write_subject<'a>(&'a self, key: &'a str) -> [&'a str; 2] {
        [&self.write_prefix, key]
    }

    /// Where a key is asked for, in pieces.
    pub(crate) fn get_subject<'a>(&'a self, key: &'a str) -> [&'a str; 6] {
        [&self.api_prefix, ".DIRECT.GET.", &self.stream, ".", &self.read_prefix, key]
    }

    /// The stored key that `get_subject` names.
    pub(crate) fn asked_key<'a>(&self, subject: &'a str) -> &'a str {
        let prefix = self.get_subject("").iter().map(|part| part.len()).sum::<usize>();
        subject.get(prefix..).unwrap_or_default()
    }

    /// A key for reading, as it is stored.
    pub(crate) fn readable<'a>(&self, key: &'a str) -> Result<Cow<'a, str>, Error> {
        self.keys.encode(key)
    }

    /// A key for writing, as it is stored.
    pub(crate) fn writable<'a>(&self, key: &'a str) -> Result<Cow<'a, str>, Error> {
        self.check_writable()?;
        let stored = self.keys.encode(key)?;
        if !self.options.reserved_keys {
            key::check_reserved(&stored)?;
        }
        Ok(stored)
    }

    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        let Some(why) = &self.read_only else { return Ok(()) };
        Err(Error::new(ErrorCode::Unsupported, format!("bucket {} is read-only: {why}", Quoted(&self.name))))
    }

    /// Filters as the server sees them, none of which covers another; without the prefix. None given means all keys.
    pub(crate) fn reduced(&self, filters: &[&str]) -> Result<Vec<String>, Error> {
        let encoded: Result<Vec<_>, _> = filters.iter().map(|filter| self.keys.encode_filter(filter)).collect();
        Ok(key::reduce(encoded?))
    }

    /// The user's key of a stored one.
    pub(crate) fn shown<'a>(&self, stored: &'a str) -> Cow<'a, str> {
        self.keys.decode(stored)
    }

    /// The entry of a message that a consumer delivered.
    pub(crate) fn delivered(&self, message: &Message<'_>, meta: &AckMeta<'_>) -> Entry {
        let found = (meta.stream_seq, meta.timestamp_ns, meta.pending);
        self.entry(self.key_of(message.subject), &message.headers, message.payload, found)
    }

    /// The entry of a message that a direct get answered with.
    pub(crate) fn gotten(&self, meta: &DirectMeta<'_>, payload: &[u8]) -> Entry {
        self.entry(self.key_of(meta.subject), &meta.stored, payload, (meta.sequence, meta.created_ns, 0))
    }

    /// `found`: revision, time and delta.
    pub(crate) fn entry(&self, key: &[u8], headers: &Headers<'_>, value: &[u8], found: (u64, i64, u64)) -> Entry {
        let stored = String::from_utf8_lossy(key); // borrows unless some writer's key is not UTF-8
        let (revision, created_ns, delta) = found;
        let mut entry = Entry::new(&self.shown(&stored), &stored, headers, value, revision, created_ns, delta);
        entry.limit_age(self.max_age);
        entry
    }

    /// The key of a stored subject; the whole subject where a transform took the prefix away.
    pub(crate) fn key_of<'a>(&self, subject: &'a [u8]) -> &'a [u8] {
        subject.strip_prefix(self.read_prefix.as_bytes()).unwrap_or(subject)
    }

    /// A consumer of these keys: the newest of each, values included. Its user changes what is to be different.
    pub(crate) fn plan(&self, keys: &[String], limits: &Limits) -> Plan {
        Plan {
            api_prefix: self.api_prefix.clone(),
            stream: self.stream.clone(),
            filters: self.filters(keys),
            policy: Policy::LastPerSubject,
            has_single_revisions: self.history == Some(1),
            is_headers_only: false,
            is_lasting: false,
            stream_created: self.created.clone(),
            heartbeat: limits.heartbeat,
            inactive_threshold: limits.inactive_threshold,
            request_timeout: limits.request_timeout,
        }
    }

    pub(crate) fn filters<'k>(&self, keys: impl IntoIterator<Item = &'k String>) -> Vec<String> {
        keys.into_iter().map(|key| self.subject(key)).collect()
    }

    /// The subject under which a key is stored.
    pub(crate) fn subject(&self, key: &str) -> String {
        format!("{}{key}", self.read_prefix)
    }

    /// What a message of this size in this bucket would be refused for, as far as known. The server counts headers too.
    pub(crate) fn check_size(&self, size: usize) -> Result<(), Error> {
        let Some(limit) = self.max_value_size.filter(|limit| size as u64 > *limit) else { return Ok(()) };
        let text = format!(
            "the message has {size} bytes with its headers, bucket {} takes {limit} (max_value_size)",
            Quoted(&self.name)
        );
        Err(Error::new(ErrorCode::TooLarge, text))
    }
}

/// Writes into another domain or account go through its API prefix, reads and filters never do.
fn write_prefix(api_prefix: &str, read_prefix: &str) -> String {
    if api_prefix == DEFAULT_API { read_prefix.into() } else { format!("{api_prefix}.{read_prefix}") }
}
