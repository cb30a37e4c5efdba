//! An opened bucket: the prefixes its subjects have, and what its stream is known to allow.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use serde_json::{Map, Value};

use crate::{
    error::{Error, ErrorCode},
    js::{ordered::Plan, tracker::Policy},
    kv::op::Limits,
};

/// The API prefix that needs no prefix on writes.
pub(crate) const DEFAULT_API: &str = "$JS.API";

#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    pub(crate) name: String,
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
    /// `created` of the stream, which tells it from a later one of the same name.
    pub(crate) created: Option<String>,
}

impl Bucket {
    /// Assumes a plain bucket made by a client that follows ADR-8.
    pub(crate) fn bound(name: &str, api_prefix: &str) -> Self {
        let read_prefix = format!("$KV.{name}.");
        let write_prefix = write_prefix(api_prefix, &read_prefix);
        let stream = format!("KV_{name}");
        Self {
            name: name.into(),
            ack_stream: stream.clone(),
            stream,
            api_prefix: api_prefix.into(),
            read_prefix,
            write_prefix,
            max_value_size: None,
            history: None,
            allows_direct: true,
            allows_ttl: None,
            created: None,
        }
    }

    /// With what STREAM.INFO says of its stream.
    pub(crate) fn opened(name: &str, api_prefix: &str, info: &Map<String, Value>) -> Result<Self, Error> {
        let mut bucket = Self::bound(name, api_prefix);
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
        bucket.allows_direct = is("allow_direct");
        bucket.allows_ttl = Some(is("allow_msg_ttl"));
        bucket.max_value_size = config.get("max_msg_size").and_then(Value::as_u64);
        bucket.created = info.get("created").and_then(Value::as_str).map(ToString::to_string);
        if let Some(mirror) = config.get("mirror").and_then(Value::as_object) {
            bucket.mirrors(mirror);
        }
        Ok(bucket)
    }

    /// A mirror's messages keep the origin's subjects, and writes go to the origin (PROTOCOL 4.4).
    pub(crate) fn mirrors(&mut self, mirror: &Map<String, Value>) {
        let Some(origin_stream) = mirror.get("name").and_then(Value::as_str) else { return };
        let origin = origin_stream.strip_prefix("KV_").unwrap_or(origin_stream);
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
            stream_created: self.created.clone(),
            heartbeat: limits.heartbeat,
            inactive_threshold: limits.inactive_threshold,
            request_timeout: limits.request_timeout,
            max_filters: limits.max_filters,
        }
    }

    pub(crate) fn filters(&self, keys: &[String]) -> Vec<String> {
        keys.iter().map(|key| format!("{}{key}", self.read_prefix)).collect()
    }

    /// What a message of this size in this bucket would be refused for, as far as known. The server counts headers too.
    pub(crate) fn check_size(&self, size: usize) -> Result<(), Error> {
        let Some(limit) = self.max_value_size.filter(|limit| size as u64 > *limit) else { return Ok(()) };
        let text = format!(
            "the message has {size} bytes with its headers, bucket {:?} takes {limit} (max_value_size)",
            self.name
        );
        Err(Error::new(ErrorCode::TooLarge, text))
    }
}

/// Writes into another domain or account go through its API prefix, reads and filters never do.
fn write_prefix(api_prefix: &str, read_prefix: &str) -> String {
    if api_prefix == DEFAULT_API { read_prefix.into() } else { format!("{api_prefix}.{read_prefix}") }
}
