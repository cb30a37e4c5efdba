//! (temporary outline)
use crate::error::Error;
use alloc::{string::String, vec::Vec, collections::BTreeMap};
use core::time::Duration;

/// Where a bucket's stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// On disk. The default.
    File,
    /// In memory: lost when all its servers restart.
    Memory,
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
    /// Largest message (headers and value) in bytes. Default: no limit.
    pub max_value_size: Option<i32>,
    /// Revisions kept per key, 1 to 64. Default: 1.
    pub history: Option<u8>,
    /// Age at which every revision expires; at least 100 ms. Default, and 0: never.
    pub ttl: Option<Duration>,
    /// Largest size of the whole bucket in bytes. Default: no limit.
    pub max_bytes: Option<i64>,
    /// Default: file.
    pub storage: Option<Storage>,
    /// Copies in a cluster, 1 to 5. Default: 1.
    pub replicas: Option<u8>,
    /// S2 compression on disk. Default: false.
    pub compression: Option<bool>,
    /// The user's own pairs; names beginning `_nats.` are the server's.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Default: anywhere.
    pub placement: Option<Placement>,
    /// Default: none.
    pub republish: Option<Republish>,
    /// Makes the bucket a read-only copy of another one.
    pub mirror: Option<StreamSource>,
    /// Buckets or streams whose messages flow into this one.
    pub sources: Option<Vec<StreamSource>>,
    /// Whether keys may carry a TTL, and how long the markers of expired keys live; at least 1 s (server 2.11+). Default: no.
    pub limit_marker_ttl: Option<Duration>,
}

impl BucketConfig {
    /// A configuration of defaults for `bucket`.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self { bucket: bucket.into(), ..Self::default() }
    }

    /// Reads SPEC.md's JSON form: `bucket`, `description`, `max_value_size`, `history`, `ttl` (integer nanoseconds),
    /// `max_bucket_size` or `max_bytes`, `storage` ("file" or "memory"), `num_replicas` or `replicas`, `compression` ("s2", "none" or a bool), `metadata`,
    /// `placement` {cluster, tags}, `republish` {src, dest, headers_only}, `mirror` {name, filter_subject, opt_start_seq, opt_start_time,
    /// subject_transforms [{src, dest}], external {api, deliver}}, `sources` [mirror's form], `limit_marker_ttl` (ns).
    /// An unknown field, a wrong type or a value out of range is an error that names the field.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        let _ = json;
        unimplemented!()
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
    /// The configuration, every field given.
    pub config: BucketConfig,
    /// The server's whole STREAM.INFO answer, as JSON text.
    pub stream_info: String,
}

impl BucketStatus {
    /// `{bucket, values, history, ttl (ns), bytes, backing_store: "JetStream", compressed, limit_marker_ttl (ns), metadata, replicas,
    /// storage, config: {SPEC.md's form}, stream_info: {…}}` as JSON text.
    pub fn to_json(&self) -> String {
        unimplemented!()
    }
}
