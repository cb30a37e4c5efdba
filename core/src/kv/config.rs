//! A bucket's configuration: SPEC.md's JSON form, the stream that it makes, and the way back.
//!
//! `None` in a field is "not given": the default at create, unchanged at update. Three rules are ours, not the server's: history is
//! at most 64, metadata beginning `_nats.` belongs to servers, and a republish that no server accepts is refused with the pair that works.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    json::{Object, Value, object},
    kv::{
        bucket::Bucket,
        fields::Fields,
        key::check_bucket,
        pairs::Pairs,
        policy::{self, KeyPolicy},
    },
    number::parse_u64,
    shown::{Quoted, Span},
    time::nanos,
};

/// Revisions that a key may keep: a rule of all clients (ADR-8); servers allow more.
const MAX_HISTORY: u8 = 64;

/// Durations over 100 years are mistakes of unit.
const MAX_DURATION: Duration = Duration::from_secs(100 * 366 * 86_400);

/// How long the server remembers message ids, unless the bucket's TTL is shorter: its own default, spelt out since an update
/// that leaves it would keep the old one.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Where a bucket's stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// On disk. The default.
    File,
    /// In memory: lost when all its servers restart.
    Memory,
}

impl Storage {
    /// `file` or `memory`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Memory => "memory",
        }
    }
}

/// Which servers of a cluster hold the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Name of the cluster; empty: any.
    pub cluster: String,
    /// Tags that each server must have.
    pub tags: Vec<String>,
}

/// Publishing of every accepted write under another subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Republish {
    /// Which of the bucket's subjects, such as `$KV.<bucket>.>`.
    pub src: String,
    /// Where to, such as `kv.copy.>`; `{{wildcard(n)}}` names the n-th `*` of `src`.
    pub dest: String,
    /// Headers only, without values.
    pub headers_only: bool,
}

/// A stream to mirror or source from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamSource {
    /// Bucket or stream name; `KV_` is put in front where it is missing, unless `subject_transforms` are given.
    pub name: String,
    /// Where to start: sequence.
    pub opt_start_seq: Option<u64>,
    /// Where to start: RFC 3339 time.
    pub opt_start_time: Option<String>,
    /// Only these subjects.
    pub filter_subject: Option<String>,
    /// Pairs of source and destination subject.
    pub subject_transforms: Vec<(String, String)>,
    /// API prefix and deliver prefix of another domain or account.
    pub external: Option<(String, String)>,
}

/// A bucket's configuration. `None` is "not given": the default at create, unchanged at update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketConfig {
    /// Name: `[A-Za-z0-9_-]+`, at most 252 bytes.
    pub bucket: String,
    /// Free text.
    pub description: Option<String>,
    /// Largest message (headers and value) in bytes; 0 and -1: no limit. Default: no limit.
    pub max_value_size: Option<i32>,
    /// Revisions kept per key, 1 to 64; 0 counts as 1. Default: 1.
    pub history: Option<u8>,
    /// Age at which every revision expires; at least 100 ms. Default, and 0: never.
    pub ttl: Option<Duration>,
    /// Largest size of the whole bucket in bytes; 0 and -1: no limit. Default: no limit.
    pub max_bytes: Option<i64>,
    /// Default: file.
    pub storage: Option<Storage>,
    /// Copies in a cluster, 1 to 5. Default: 1.
    pub replicas: Option<u8>,
    /// S2 compression on disk. Default: false.
    pub compression: Option<bool>,
    /// The user's own pairs; names beginning `_nats.` are the server's.
    pub metadata: Option<Pairs>,
    /// Default: anywhere.
    pub placement: Option<Placement>,
    /// Default: none.
    pub republish: Option<Republish>,
    /// Makes the bucket a copy of another one; writes go to the origin.
    pub mirror: Option<StreamSource>,
    /// Buckets or streams whose messages flow into this one.
    pub sources: Option<Vec<StreamSource>>,
    /// How keys are stored: `Base64`, `Path` or `Escape`, recorded in the metadata as `natskv.key_codec`. Default: as they are.
    pub key_codec: Option<KeyPolicy>,
    /// Whether keys may carry a TTL, and how long the markers of expired keys live; at least 1 s, 0: no (server 2.11+). Default: no.
    pub limit_marker_ttl: Option<Duration>,
}

impl BucketConfig {
    /// A configuration of defaults for `bucket`.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), ..Self::default() }
    }

    /// Reads SPEC.md's JSON form: `bucket`, `description`, `max_value_size`, `history`, `ttl` (integer nanoseconds),
    /// `max_bucket_size` or `max_bytes`, `storage` ("file" or "memory"), `num_replicas` or `replicas`, `compression` ("s2", "none" or
    /// a bool), `metadata`, `placement` {cluster, tags}, `republish` {src, dest, headers_only}, `mirror` {name, filter_subject,
    /// opt_start_seq, opt_start_time, subject_transforms [{src, dest}], external {api, deliver}}, `sources` [mirror's form],
    /// `limit_marker_ttl` (ns), `key_codec` ("base64", "path" or "escape"). `null` is not given. An unknown field, a wrong type or a value out of range is an error that names
    /// the field.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let value = Value::parse(json).map_err(|error| Error::argument(format!("config: {error}")))?;
        Self::from_value(value)
    }

    pub(crate) fn from_value(value: Value) -> Result<Self, Error> {
        let mut fields = Fields::new("config", value)?;
        let Some(bucket) = fields.string("bucket")? else {
            return Err(Error::argument("config: `bucket` is missing"));
        };
        let mut config = Self::new(bucket);
        config.description = fields.string("description")?;
        config.max_value_size = fields.integer("max_value_size", -1, i64::from(i32::MAX))?.map(|n| n as i32);
        config.history = match fields.integer("history", 0, i64::MAX)? {
            Some(history) if history > i64::from(MAX_HISTORY) => return Err(history_too_large(history)),
            history => history.map(|n| n as u8),
        };
        config.ttl = fields.nanos("ttl")?;
        config.max_bytes = fields.either(["max_bytes", "max_bucket_size"], -1, i64::MAX)?;
        config.storage = match fields.string("storage")?.as_deref() {
            None => None,
            Some("file") => Some(Storage::File),
            Some("memory") => Some(Storage::Memory),
            Some(other) => {
                let why = format!("{other} is neither \"file\" nor \"memory\"", other = Quoted(other));
                return Err(fields.wrong("storage", &why));
            }
        };
        config.replicas = fields.either(["num_replicas", "replicas"], 0, 5)?.map(|n| n as u8);
        config.compression = match fields.take("compression") {
            None => None,
            Some(Value::Bool(compression)) => Some(compression),
            Some(Value::String(name)) if name == "s2" => Some(true),
            Some(Value::String(name)) if name == "none" => Some(false),
            Some(other) => {
                return Err(fields.wrong("compression", &format!("{other} is not \"s2\", \"none\", true or false")));
            }
        };
        config.metadata = fields.take("metadata").map(metadata).transpose()?;
        config.placement = fields.take("placement").map(placement).transpose()?;
        config.republish = fields.take("republish").map(republish).transpose()?;
        config.mirror = fields.take("mirror").map(|value| source("mirror", value)).transpose()?;
        config.sources = fields.list("sources", |value| source("sources", value))?;
        config.limit_marker_ttl = fields.nanos("limit_marker_ttl")?;
        if let Some(name) = fields.string("key_codec")? {
            let Some(codec) = KeyPolicy::parse_codec(&name) else {
                let why = format!("{name} is unknown; known are base64, path, escape", name = Quoted(&name));
                return Err(fields.wrong("key_codec", &why));
            };
            config.key_codec = Some(codec);
        }
        fields.finish()?;
        Ok(config)
    }

    /// SPEC.md's form of the fields that are given.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut fields = Object::default();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name, value);
            }
        };
        put("bucket", Some(self.bucket.as_str().into()));
        put("description", self.description.as_deref().map(Value::from));
        put("max_value_size", self.max_value_size.map(Value::from));
        put("history", self.history.map(Value::from));
        put("ttl", self.ttl.map(nanos_value));
        put("max_bucket_size", self.max_bytes.map(Value::from));
        put("storage", self.storage.map(|storage| storage.name().into()));
        put("num_replicas", self.replicas.map(Value::from));
        put("compression", self.compression.map(|on| if on { "s2".into() } else { "none".into() }));
        put("metadata", self.metadata.as_ref().map(Pairs::to_value));
        put("placement", self.placement.as_ref().map(placement_value));
        put("republish", self.republish.as_ref().map(republish_value));
        put("mirror", self.mirror.as_ref().map(StreamSource::to_value));
        put("sources", self.sources.as_ref().map(|sources| sources.iter().map(StreamSource::to_value).collect()));
        put("limit_marker_ttl", self.limit_marker_ttl.filter(|ttl| !ttl.is_zero()).map(nanos_value));
        put("key_codec", self.key_codec.map(|codec| codec.name().into()));
        Value::Object(fields)
    }

    /// What can be known to be wrong before a server is asked.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_bucket(&self.bucket)?;
        if let Some(history) = self.history.filter(|history| *history > MAX_HISTORY) {
            return Err(history_too_large(i64::from(history)));
        }
        if let Some(replicas) = self.replicas.filter(|replicas| *replicas > 5) {
            return Err(Error::argument(format!("num_replicas: {replicas} is not between 1 and 5")));
        }
        let too_short = |name: &str, ttl: Option<Duration>, least: Duration| match ttl {
            Some(ttl) if !ttl.is_zero() && ttl < least => Err(Error::argument(format!(
                "{name}: {ttl} is below the least, {least}",
                ttl = Span(ttl),
                least = Span(least)
            ))),
            Some(ttl) if ttl > MAX_DURATION => {
                Err(Error::argument(format!("{name}: {ttl} is over 100 years", ttl = Span(ttl))))
            }
            _ => Ok(()),
        };
        too_short("ttl", self.ttl, Duration::from_millis(100))?;
        too_short("limit_marker_ttl", self.limit_marker_ttl, Duration::from_secs(1))?;
        for (name, _) in self.metadata.iter().flat_map(Pairs::iter) {
            if name.starts_with("_nats.") {
                return Err(Error::argument(format!(
                    "metadata: {name}: names that begin with `_nats.` are the server's",
                    name = Quoted(name)
                )));
            }
        }
        let named = self.metadata.as_ref().and_then(|pairs| pairs.get(policy::METADATA));
        KeyPolicy::of_metadata(&self.bucket, named)?;
        if let Some(codec) = self.key_codec {
            let is_codec = KeyPolicy::parse_codec(codec.name()).is_some();
            if !is_codec || named.is_some_and(|named| named != codec.name()) {
                let text =
                    format!("key_codec: {} is no codec, or not the one that metadata names", Quoted(codec.name()));
                return Err(Error::argument(text));
            }
        }
        if self.mirror.is_some() && self.sources.as_ref().is_some_and(|sources| !sources.is_empty()) {
            return Err(Error::argument("mirror and sources exclude each other"));
        }
        self.republish.as_ref().map_or(Ok(()), |republish| check_republish(&self.bucket, republish))
    }

    /// The stream of a new bucket (PROTOCOL 4.2).
    pub(crate) fn to_stream(&self) -> Object {
        let name = format!("KV_{}", self.bucket);
        let mut stream = object! {
            "name" => name,
            "retention" => "limits",
            "max_consumers" => -1_i64,
            "max_msgs" => -1_i64,
            "max_bytes" => -1_i64,
            "max_age" => 0_u64,
            "max_msgs_per_subject" => 1_u64,
            "max_msg_size" => -1_i64,
            "discard" => "new",
            "storage" => "file",
            "num_replicas" => 1_u64,
            "allow_rollup_hdrs" => true,
            "deny_delete" => true,
            "deny_purge" => false,
            "allow_direct" => true,
        };
        if self.mirror.is_none() {
            stream.insert("subjects", Vec::from([format!("$KV.{}.>", self.bucket)]));
        }
        self.apply(&mut stream);
        stream
    }

    /// Puts the fields that are given into a stream's configuration, new or fetched.
    pub(crate) fn apply(&self, stream: &mut Object) {
        let mut put = |name: &str, value: Value| stream.insert(name, value);
        if let Some(description) = &self.description {
            put("description", description.as_str().into());
        }
        if let Some(history) = self.history {
            put("max_msgs_per_subject", history.max(1).into());
        }
        if let Some(size) = self.max_value_size {
            put("max_msg_size", if size == 0 { -1 } else { size }.into());
        }
        if let Some(bytes) = self.max_bytes {
            put("max_bytes", if bytes == 0 { -1 } else { bytes }.into());
        }
        if let Some(storage) = self.storage {
            put("storage", storage.name().into());
        }
        if let Some(replicas) = self.replicas {
            put("num_replicas", replicas.max(1).into());
        }
        if let Some(ttl) = self.ttl {
            put("max_age", nanos_value(ttl));
        }
        if let Some(compression) = self.compression {
            put("compression", if compression { "s2" } else { "none" }.into());
        }
        if let Some(placement) = &self.placement {
            put("placement", placement_value(placement));
        }
        if let Some(republish) = &self.republish {
            put("republish", republish_value(republish));
        }
        if let Some(ttl) = self.limit_marker_ttl.filter(|ttl| !ttl.is_zero()) {
            put("allow_msg_ttl", true.into());
            put("subject_delete_marker_ttl", nanos_value(ttl));
        }
        if let Some(mirror) = &self.mirror {
            put("mirror", mirror.with_prefix().to_value());
            put("mirror_direct", true.into());
        }
        if let Some(sources) = &self.sources {
            put("sources", sources.iter().map(|source| source.for_bucket(&self.bucket).to_value()).collect());
        }
        if self.compression == Some(false) && stream.get("compression").is_some_and(|c| c == "none") {
            stream.remove("compression"); // the default; servers before 2.10 do not know the field
        }
        if self.limit_marker_ttl.is_some_and(|ttl| ttl.is_zero()) {
            stream.remove("subject_delete_marker_ttl"); // left out is none; `allow_msg_ttl` cannot be taken back
        }
        if let Some(metadata) = &self.metadata {
            stream.insert("metadata", metadata.to_value());
        }
        if let Some(codec) = self.key_codec {
            let mut metadata = match stream.remove("metadata") {
                Some(Value::Object(pairs)) => pairs,
                _ => Object::default(),
            };
            metadata.insert(policy::METADATA, codec.name());
            stream.insert("metadata", metadata);
        }
        self.set_duplicate_window(stream);
    }

    /// Never longer than the TTL, or the server refuses; a mirror has none.
    fn set_duplicate_window(&self, stream: &mut Object) {
        if stream.contains_key("mirror") {
            return;
        }
        let max_age = stream.get("max_age").and_then(Value::as_u64).unwrap_or_default();
        let window = if max_age == 0 { DUPLICATE_WINDOW } else { DUPLICATE_WINDOW.min(Duration::from_nanos(max_age)) };
        stream.insert("duplicate_window", nanos_value(window));
    }

    /// The configuration of an existing stream, every field given.
    pub(crate) fn of_stream(bucket: &str, stream: &Object) -> Self {
        let integer = |name: &str| stream.get(name).and_then(Value::as_i64);
        let duration = |name: &str| Duration::from_nanos(stream.get(name).and_then(Value::as_u64).unwrap_or_default());
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
        Self {
            bucket: bucket.into(),
            description: Some(stream.get("description").and_then(Value::as_str).unwrap_or_default().into()),
            max_value_size: Some(integer("max_msg_size").and_then(|n| i32::try_from(n).ok()).unwrap_or(-1)),
            history: Some(integer("max_msgs_per_subject").and_then(|n| u8::try_from(n).ok()).unwrap_or(u8::MAX)),
            ttl: Some(duration("max_age")),
            max_bytes: Some(integer("max_bytes").unwrap_or(-1)),
            storage: Some(if stream.get("storage").is_some_and(|s| s == "memory") {
                Storage::Memory
            } else {
                Storage::File
            }),
            replicas: Some(integer("num_replicas").and_then(|n| u8::try_from(n).ok()).unwrap_or(1)),
            compression: Some(stream.get("compression").is_some_and(|compression| compression == "s2")),
            metadata: Some(own_metadata(stream)),
            placement: stream.get("placement").map(|placement| Placement {
                cluster: text(placement, "cluster"),
                tags: placement.get("tags").map(Value::texts).unwrap_or_default(),
            }),
            republish: stream.get("republish").map(|republish| Republish {
                src: text(republish, "src"),
                dest: text(republish, "dest"),
                headers_only: republish.get("headers_only").and_then(Value::as_bool).unwrap_or(false),
            }),
            mirror: stream.get("mirror").map(StreamSource::of_stream),
            sources: stream
                .get("sources")
                .and_then(Value::as_array)
                .map(|sources| sources.iter().map(StreamSource::of_stream).collect()),
            limit_marker_ttl: Some(duration("subject_delete_marker_ttl")),
            key_codec: None,
        }
    }

    /// The fields in which an existing bucket differs from what is asked for. With `only_given`, fields not given are not compared.
    pub(crate) fn differences(&self, existing: &Object, only_given: bool) -> Vec<String> {
        let mut wanted = self.to_stream();
        if only_given {
            let mut given = Object::default();
            self.apply(&mut given);
            given.remove("duplicate_window");
            wanted = given;
        }
        const COMPARED: &[(&str, &str)] = &[
            ("description", "description"),
            ("max_msg_size", "max_value_size"),
            ("max_msgs_per_subject", "history"),
            ("max_age", "ttl"),
            ("max_bytes", "max_bytes"),
            ("storage", "storage"),
            ("num_replicas", "replicas"),
            ("compression", "compression"),
            ("metadata", "metadata"),
            ("placement", "placement"),
            ("republish", "republish"),
            ("mirror", "mirror"),
            ("sources", "sources"),
            ("subject_delete_marker_ttl", "limit_marker_ttl"),
        ];
        let mut existing = existing.clone();
        let mut metadata = own_metadata(&existing);
        if only_given && self.metadata.is_none() {
            metadata.retain(|name| name == policy::METADATA); // of the pairs, only the codec may be asked for
        }
        existing.insert("metadata", metadata.to_value());
        let mut differing = Vec::new();
        for (stream_name, name) in COMPARED {
            let (wanted, found) = (wanted.get(stream_name), existing.get(stream_name));
            let is_asked_away = match *name {
                "compression" => self.compression == Some(false),
                "limit_marker_ttl" => self.limit_marker_ttl.is_some_and(|ttl| ttl.is_zero()),
                _ => false,
            };
            let is_asked = !only_given || wanted.is_some() || is_asked_away;
            if is_asked && normal(wanted) != normal(found) {
                let shown = |value: Option<&Value>| value.map_or_else(|| "none".to_string(), ToString::to_string);
                differing.push(format!("{name} (is {}, asked for {})", shown(found), shown(wanted)));
            }
        }
        differing
    }
}

/// What the server fills in or leaves out means the same.
fn normal(value: Option<&Value>) -> Value {
    match value {
        None => Value::Null,
        Some(Value::String(text)) if text.is_empty() || text == "none" => Value::Null,
        Some(Value::Unsigned(0)) => Value::Null,
        Some(Value::Bool(false)) => Value::Null,
        Some(Value::Array(items)) if items.is_empty() => Value::Null,
        Some(Value::Array(items)) => items.iter().map(|item| normal(Some(item))).collect(),
        Some(Value::Object(fields)) => {
            let kept = fields.iter().map(|(name, value)| (String::from(name), normal(Some(value))));
            let kept: Object = kept.filter(|(_, value)| *value != Value::Null).collect();
            if kept.is_empty() { Value::Null } else { kept.into() }
        }
        Some(other) => other.clone(),
    }
}

/// A stream's metadata without what servers put there.
fn own_metadata(stream: &Object) -> Pairs {
    let mut metadata = stream.get("metadata").and_then(Value::as_object).map(Pairs::of).unwrap_or_default();
    metadata.retain(|name| !name.starts_with("_nats."));
    metadata
}

/// A fetched configuration, ready to be sent back: servers refuse fields they added themselves under `_nats.`.
pub(crate) fn for_update(stream: &Object) -> Object {
    let mut stream = stream.clone();
    let metadata = own_metadata(&stream);
    stream.remove("metadata");
    if !metadata.is_empty() {
        stream.insert("metadata", metadata.to_value());
    }
    stream
}

impl StreamSource {
    fn of_stream(value: &Value) -> Self {
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(ToString::to_string);
        let external = value.get("external").map(|external| {
            let part = |name: &str| external.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
            (part("api"), part("deliver"))
        });
        let transforms = value.get("subject_transforms").and_then(Value::as_array).into_iter().flatten();
        Self {
            name: text("name").unwrap_or_default(),
            opt_start_seq: value.get("opt_start_seq").and_then(Value::as_u64),
            opt_start_time: text("opt_start_time"),
            filter_subject: text("filter_subject"),
            subject_transforms: transforms
                .map(|pair| {
                    let part = |name: &str| pair.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
                    (part("src"), part("dest"))
                })
                .collect(),
            external,
        }
    }

    fn with_prefix(&self) -> Self {
        let name = if self.name.starts_with("KV_") { self.name.clone() } else { format!("KV_{}", self.name) };
        Self { name, ..self.clone() }
    }

    /// A source bucket's keys move under this bucket's prefix (ADR-57); who gives transforms of his own gets them untouched.
    fn for_bucket(&self, bucket: &str) -> Self {
        if !self.subject_transforms.is_empty() {
            return self.clone();
        }
        let mut source = self.with_prefix();
        let origin = &source.name[3..];
        if source.external.is_none() || origin != bucket {
            source.subject_transforms = Vec::from([(format!("$KV.{origin}.>"), format!("$KV.{bucket}.>"))]);
        }
        source
    }

    fn to_value(&self) -> Value {
        let mut fields = Object::default();
        fields.insert("name", self.name.as_str());
        if let Some(sequence) = self.opt_start_seq {
            fields.insert("opt_start_seq", sequence);
        }
        if let Some(time) = &self.opt_start_time {
            fields.insert("opt_start_time", time.as_str());
        }
        if let Some(filter) = &self.filter_subject {
            fields.insert("filter_subject", filter.as_str());
        }
        if !self.subject_transforms.is_empty() {
            let pairs =
                self.subject_transforms.iter().map(|(src, dest)| Value::from(object! { "src" => src, "dest" => dest }));
            fields.insert("subject_transforms", pairs.collect::<Value>());
        }
        if let Some((api, deliver)) = &self.external {
            fields.insert("external", object! { "api" => api, "deliver" => deliver });
        }
        Value::Object(fields)
    }
}

/// What a bucket is and holds, as the server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketStatus {
    /// The bucket's name.
    pub bucket: String,
    /// Messages: all revisions of all keys, markers included.
    pub values: u64,
    /// Revisions kept per key.
    pub history: i64,
    /// Age at which revisions expire; zero: never.
    pub ttl: Duration,
    /// Bytes stored.
    pub bytes: u64,
    /// How long markers of expired keys live; zero: no such markers.
    pub limit_marker_ttl: Duration,
    /// The keys that the handle takes, and how they are stored.
    pub keys: KeyPolicy,
    /// Why the handle cannot write. None: it can.
    pub read_only: Option<String>,
    /// The configuration, every field given.
    pub config: BucketConfig,
    /// The server's whole STREAM.INFO answer, as JSON text.
    pub stream_info: String,
}

impl BucketStatus {
    pub(crate) fn of_info(bucket: &Bucket, info: &Object) -> Self {
        let empty = Object::default();
        let stream = info.get("config").and_then(Value::as_object).unwrap_or(&empty);
        let state = |name: &str| {
            info.get("state").and_then(|state| state.get(name)).and_then(Value::as_u64).unwrap_or_default()
        };
        let config = BucketConfig::of_stream(&bucket.name, stream);
        Self {
            bucket: bucket.name.clone(),
            keys: bucket.keys,
            read_only: bucket.read_only.clone(),
            values: state("messages"),
            history: stream.get("max_msgs_per_subject").and_then(Value::as_i64).unwrap_or_default(),
            ttl: config.ttl.unwrap_or_default(),
            bytes: state("bytes"),
            limit_marker_ttl: config.limit_marker_ttl.unwrap_or_default(),
            config,
            stream_info: Value::Object(info.clone()).to_string(),
        }
    }

    /// `{bucket, values, history, ttl (ns), bytes, backing_store: "JetStream", compressed, limit_marker_ttl (ns), metadata, replicas,
    /// storage, key_policy, read_only (null, or why), config: {SPEC.md's form}, stream_info: {…}}` as JSON text.
    pub fn to_json(&self) -> String {
        let info = Value::parse(&self.stream_info).unwrap_or_default();
        let config = self.config.to_value();
        object! {
            "bucket" => &self.bucket,
            "values" => self.values,
            "history" => self.history,
            "ttl" => nanos_value(self.ttl),
            "bytes" => self.bytes,
            "backing_store" => "JetStream",
            "compressed" => self.config.compression.unwrap_or(false),
            "limit_marker_ttl" => nanos_value(self.limit_marker_ttl),
            "metadata" => config.get("metadata").cloned().unwrap_or_else(|| Object::default().into()),
            "replicas" => self.config.replicas.unwrap_or(1),
            "storage" => self.config.storage.unwrap_or(Storage::File).name(),
            "key_policy" => self.keys.name(),
            "read_only" => self.read_only.as_deref(),
            "config" => config,
            "stream_info" => info,
        }
        .to_string()
    }
}

/// Servers refuse a `{{wildcard(n)}}` that no `*` of `src` answers, and a destination inside the bucket.
fn check_republish(bucket: &str, republish: &Republish) -> Result<(), Error> {
    let Republish { src, dest, .. } = republish;
    let stars = src.split('.').filter(|token| *token == "*").count() as u64;
    for rest in dest.split("{{wildcard(").skip(1) {
        let number = rest.split(')').next().and_then(|digits| parse_u64(digits.trim().as_bytes()));
        if number.is_some_and(|number| (1..=stars).contains(&number)) {
            continue;
        }
        let prefix = dest.split("{{").next().unwrap_or_default();
        return Err(Error::argument(format!(
            "republish: dest {dest} names a wildcard that src {src} does not have, no server accepts it; right would be \
             {{\"src\": \"$KV.{bucket}.>\", \"dest\": \"{prefix}>\"}} for all keys, or {{\"src\": \"$KV.{bucket}.*\", \"dest\": \
             \"{prefix}{{{{wildcard(1)}}}}\"}} for keys of one token",
            dest = Quoted(dest),
            src = Quoted(src)
        )));
    }
    if src.is_empty() || dest.is_empty() {
        return Err(Error::argument("republish: src and dest must both be given"));
    }
    if dest.starts_with(&format!("$KV.{bucket}.")) {
        return Err(Error::argument(format!("republish: dest {dest} lies in the bucket itself", dest = Quoted(dest))));
    }
    Ok(())
}

fn history_too_large(history: i64) -> Error {
    Error::new(
        ErrorCode::HistoryTooLarge,
        format!("history: {history} is too much, at most {MAX_HISTORY} revisions are kept"),
    )
}

fn nanos_value(duration: Duration) -> Value {
    nanos(duration).into()
}

fn metadata(value: Value) -> Result<Pairs, Error> {
    let fields = Fields::new("metadata", value)?;
    match fields.rest.iter().find(|(_, value)| value.as_str().is_none()) {
        Some((name, value)) => {
            Err(Error::argument(format!("metadata: {name}: {value} is not a string", name = Quoted(name))))
        }
        None => Ok(Pairs::of(&fields.rest)),
    }
}

fn placement_value(placement: &Placement) -> Value {
    object! { "cluster" => &placement.cluster, "tags" => &placement.tags[..] }.into()
}

fn placement(value: Value) -> Result<Placement, Error> {
    let mut fields = Fields::new("placement", value)?;
    let placement = Placement { cluster: fields.string("cluster")?.unwrap_or_default(), tags: fields.strings("tags")? };
    fields.finish()?;
    Ok(placement)
}

fn republish_value(republish: &Republish) -> Value {
    let mut value = object! { "src" => &republish.src, "dest" => &republish.dest };
    if republish.headers_only {
        value.insert("headers_only", true);
    }
    value.into()
}

fn republish(value: Value) -> Result<Republish, Error> {
    let mut fields = Fields::new("republish", value)?;
    let republish = Republish {
        src: fields.string("src")?.unwrap_or_default(),
        dest: fields.string("dest")?.unwrap_or_default(),
        headers_only: fields.boolean("headers_only")?.unwrap_or(false),
    };
    fields.finish()?;
    Ok(republish)
}

fn source(what: &'static str, value: Value) -> Result<StreamSource, Error> {
    let mut fields = Fields::new(what, value)?;
    let mut source = StreamSource {
        subject_transforms: fields.list("subject_transforms", transform)?.unwrap_or_default(),
        ..StreamSource::default()
    };
    if let Some(value) = fields.take("external") {
        let mut external = Fields::new("external", value)?;
        source.external =
            Some((external.string("api")?.unwrap_or_default(), external.string("deliver")?.unwrap_or_default()));
        external.finish()?;
    }
    source.name = fields.string("name")?.unwrap_or_default();
    if source.name.is_empty() {
        return Err(Error::argument(format!("{what}: `name` is missing")));
    }
    source.opt_start_seq = fields.integer("opt_start_seq", 1, i64::MAX)?.map(|n| n as u64);
    source.opt_start_time = fields.string("opt_start_time")?;
    source.filter_subject = fields.string("filter_subject")?;
    fields.finish()?;
    Ok(source)
}

fn transform(value: Value) -> Result<(String, String), Error> {
    let mut fields = Fields::new("subject_transforms", value)?;
    let pair = (fields.string("src")?.unwrap_or_default(), fields.string("dest")?.unwrap_or_default());
    fields.finish()?;
    Ok(pair)
}
