//! A bucket's configuration as a C struct.

use std::{ffi::c_char, mem::MaybeUninit, ptr};

use natskv_core::{BucketConfig, Error, ErrorCode, Pairs, Placement, Republish, Storage, StreamSource};

use crate::{
    ffi::{Options, array, invalid, millis, natskv_flag, optional_string, text, texts},
    handle::{natskv_handle_options, natskv_key_policy},
};

/// Where a bucket is kept.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_storage {
    /// Not given: file at create, unchanged at update.
    NATSKV_STORAGE_DEFAULT = 0,
    /// On disk.
    NATSKV_STORAGE_FILE = 1,
    /// In memory: lost when all its servers restart.
    NATSKV_STORAGE_MEMORY = 2,
}

/// A bucket or stream to mirror or to source from. All zeros but for the name is fine: no `_init` needed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_source {
    /// Bucket or stream name; "KV_" is put in front where it is missing, unless there are `transforms`.
    pub name: *const c_char,
    /// Where to start: sequence. 0: at the beginning.
    pub opt_start_seq: u64,
    /// Where to start: RFC 3339 time. NULL: not by time.
    pub opt_start_time: *const c_char,
    /// Only these subjects. NULL: all.
    pub filter_subject: *const c_char,
    /// Subject transforms: source, destination, source, destination, …
    pub transforms: *const *const c_char,
    /// How many pairs are in `transforms`.
    pub transform_count: usize,
    /// API prefix of another domain or account. NULL: the own one.
    pub external_api: *const c_char,
    /// Deliver prefix that goes with `external_api`. NULL: none.
    pub external_deliver: *const c_char,
}

/// A bucket's configuration. Call `natskv_config_init` first, then set `bucket` and what else you want. A field left as `_init`
/// set it is "not given": the default at create, unchanged at update. Everything is copied by the call that takes it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_config {
    /// Set by `natskv_config_init`.
    pub struct_size: usize,
    /// Name: `[A-Za-z0-9_-]+`. Required.
    pub bucket: *const c_char,
    /// Free text. NULL: not given.
    pub description: *const c_char,
    /// Largest message (headers and value) in bytes; -1: no limit. 0: not given. Default: no limit.
    pub max_value_size: i32,
    /// Revisions kept per key, 1 to 64. 0: not given. Default: 1.
    pub history: i32,
    /// Age at which every revision expires, in milliseconds, at least 100; 0: never. -1: not given. Default: never.
    pub ttl_ms: i64,
    /// Largest size of the whole bucket in bytes; -1: no limit. 0: not given. Default: no limit.
    pub max_bytes: i64,
    /// Where it is kept, a `natskv_storage`. Default: file.
    pub storage: i32,
    /// Copies in a cluster, 1 to 5. 0: not given. Default: 1.
    pub replicas: i32,
    /// Compression on disk: 0 no, 1 yes (S2). -1: not given. Default: no.
    pub compression: i32,
    /// Pairs of your own: name, value, name, value, … Not NULL with a count of 0: explicitly none. NULL: not given.
    pub metadata: *const *const c_char,
    /// How many pairs are in `metadata`.
    pub metadata_count: usize,
    /// Name of the cluster to keep it in. NULL: any.
    pub placement_cluster: *const c_char,
    /// Tags that each server must have, `placement_tag_count` of them.
    pub placement_tags: *const *const c_char,
    /// How many `placement_tags`.
    pub placement_tag_count: usize,
    /// Publish accepted writes anew: which of the bucket's subjects, such as "$KV.mybucket.>". NULL: no republish.
    pub republish_src: *const c_char,
    /// … and under which subject, such as "copy.>".
    pub republish_dest: *const c_char,
    /// Republish headers only, without values. Default: false.
    pub republish_headers_only: natskv_flag,
    /// Makes the bucket a read-only copy of another one. NULL: none.
    pub mirror: *const natskv_source,
    /// Buckets or streams whose messages flow into this one, `source_count` of them. NULL: not given.
    pub sources: *const natskv_source,
    /// How many `sources`.
    pub source_count: usize,
    /// How long the markers of expired keys live, in milliseconds, at least 1000; also what allows a TTL per key (server
    /// 2.11+). 0: no such markers. -1: not given. Default: none.
    pub limit_marker_ttl_ms: i64,
    /// How keys are stored: NATSKV_KEYS_BASE64, NATSKV_KEYS_PATH or NATSKV_KEYS_ESCAPE, recorded in the metadata as
    /// "natskv.key_codec", which every handle that asks the server obeys. 0: not given. Default: as they are.
    pub key_codec: i32,
    /// What the handle is to be like. NULL: all defaults.
    pub handle: *const natskv_handle_options,
    /// How long the call that takes this struct may last, in milliseconds. Default: 0, the client's `request_timeout_ms`.
    pub timeout_ms: i64,
}

// SAFETY: repr(C), begins with its size; pointers, numbers and a flag of one byte.
unsafe impl Options for natskv_config {
    const INIT: &'static str = "natskv_config_init";

    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            bucket: ptr::null(),
            description: ptr::null(),
            max_value_size: 0,
            history: 0,
            ttl_ms: -1,
            max_bytes: 0,
            storage: natskv_storage::NATSKV_STORAGE_DEFAULT as i32,
            replicas: 0,
            compression: -1,
            metadata: ptr::null(),
            metadata_count: 0,
            placement_cluster: ptr::null(),
            placement_tags: ptr::null(),
            placement_tag_count: 0,
            republish_src: ptr::null(),
            republish_dest: ptr::null(),
            republish_headers_only: false.into(),
            mirror: ptr::null(),
            sources: ptr::null(),
            source_count: 0,
            limit_marker_ttl_ms: -1,
            key_codec: 0,
            handle: ptr::null(),
            timeout_ms: 0,
        }
    }
}

/// Sets every field to "not given". Call it before setting fields. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_config_init(config: Option<&mut MaybeUninit<natskv_config>>) {
    if let Some(config) = config {
        config.write(natskv_config::defaults());
    }
}

impl natskv_config {
    /// Core's form. Core checks the values; here is only what its types cannot hold.
    pub(crate) fn core(&self) -> Result<BucketConfig, Error> {
        Ok(BucketConfig {
            key_codec: natskv_key_policy::core("key_codec", self.key_codec)?,
            bucket: text("bucket", self.bucket)?.into(),
            description: optional_string("description", self.description)?,
            max_value_size: given(self.max_value_size, 0),
            history: given(self.history, 0).map(history).transpose()?,
            ttl: given(self.ttl_ms, -1).map(|ms| duration("ttl_ms", ms)).transpose()?,
            max_bytes: given(self.max_bytes, 0),
            storage: self.storage()?,
            replicas: given(self.replicas, 0).map(replicas).transpose()?,
            compression: match self.compression {
                -1 => None,
                0 => Some(false),
                1 => Some(true),
                other => return Err(invalid(format!("compression is {other}; it must be 0, 1 or -1 (not given)"))),
            },
            metadata: self.metadata()?,
            placement: self.placement()?,
            republish: self.republish()?,
            mirror: array("mirror", self.mirror, usize::from(!self.mirror.is_null()))?
                .first()
                .map(source)
                .transpose()?,
            sources: self.sources()?,
            limit_marker_ttl: given(self.limit_marker_ttl_ms, -1)
                .map(|ms| duration("limit_marker_ttl_ms", ms))
                .transpose()?,
        })
    }

    fn storage(&self) -> Result<Option<Storage>, Error> {
        match self.storage {
            0 => Ok(None),
            1 => Ok(Some(Storage::File)),
            2 => Ok(Some(Storage::Memory)),
            other => Err(invalid(format!("storage is {other}; it must be one of the NATSKV_STORAGE_ values"))),
        }
    }

    fn metadata(&self) -> Result<Option<Pairs>, Error> {
        if self.metadata.is_null() && self.metadata_count == 0 {
            return Ok(None);
        }
        Ok(Some(pairs("metadata", self.metadata, self.metadata_count)?.into_iter().collect()))
    }

    fn placement(&self) -> Result<Option<Placement>, Error> {
        let cluster = optional_string("placement_cluster", self.placement_cluster)?;
        let tags = texts("placement_tags", self.placement_tags, self.placement_tag_count)?;
        if cluster.is_none() && tags.is_empty() {
            return Ok(None);
        }
        Ok(Some(Placement { cluster: cluster.unwrap_or_default(), tags: tags.into_iter().map(String::from).collect() }))
    }

    fn republish(&self) -> Result<Option<Republish>, Error> {
        let (src, dest) = (
            optional_string("republish_src", self.republish_src)?,
            optional_string("republish_dest", self.republish_dest)?,
        );
        match (src, dest) {
            (None, None) => Ok(None),
            (Some(src), Some(dest)) => {
                Ok(Some(Republish { src, dest, headers_only: self.republish_headers_only.is_set() }))
            }
            _ => Err(invalid("republish_src and republish_dest must be given together")),
        }
    }

    fn sources(&self) -> Result<Option<Vec<StreamSource>>, Error> {
        if self.sources.is_null() && self.source_count == 0 {
            return Ok(None);
        }
        let sources = array("sources", self.sources, self.source_count)?;
        sources.iter().map(source).collect::<Result<_, _>>().map(Some)
    }
}

fn source(source: &natskv_source) -> Result<StreamSource, Error> {
    let api = optional_string("external_api", source.external_api)?;
    let deliver = optional_string("external_deliver", source.external_deliver)?;
    if api.is_none() && deliver.is_some() {
        return Err(invalid("external_deliver without external_api"));
    }
    Ok(StreamSource {
        name: text("the name of a source", source.name)?.into(),
        opt_start_seq: given(source.opt_start_seq, 0),
        opt_start_time: optional_string("opt_start_time", source.opt_start_time)?,
        filter_subject: optional_string("filter_subject", source.filter_subject)?,
        subject_transforms: pairs("transforms", source.transforms, source.transform_count)?,
        external: api.map(|api| (api, deliver.unwrap_or_default())),
    })
}

fn given<T: PartialEq>(value: T, absent: T) -> Option<T> {
    (value != absent).then_some(value)
}

fn history(history: i32) -> Result<u8, Error> {
    u8::try_from(history).map_err(|_| {
        if history > 0 {
            Error::new(ErrorCode::HistoryTooLarge, format!("history {history}: at most 64 revisions are kept per key"))
        } else {
            invalid(format!("history {history}: it must be 1 to 64"))
        }
    })
}

fn replicas(replicas: i32) -> Result<u8, Error> {
    u8::try_from(replicas).map_err(|_| invalid(format!("replicas {replicas}: it must be 1 to 5")))
}

/// Milliseconds where 0 has a meaning of its own: none.
fn duration(name: &'static str, ms: i64) -> Result<std::time::Duration, Error> {
    Ok(millis(name, ms)?.unwrap_or_default())
}

fn pairs(name: &'static str, list: *const *const c_char, count: usize) -> Result<Vec<(String, String)>, Error> {
    let texts = texts(name, list, count.saturating_mul(2))?;
    Ok(texts.chunks_exact(2).map(|pair| (pair[0].into(), pair[1].into())).collect())
}
