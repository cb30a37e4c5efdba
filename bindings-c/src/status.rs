//! What a bucket is and holds, for C to look at.

use std::{
    ffi::{CString, c_char},
    mem::MaybeUninit,
    ptr,
};

use natskv_core::{BucketStatus, Pairs, Storage};

use crate::{
    bucket_config::natskv_storage,
    ffi::{c_string, to_millis},
    handle::natskv_key_policy,
};

/// What a bucket is and holds, as the server said when asked. It owns its strings and never changes; any thread may read it.
/// What its functions hand out lives until `natskv_status_free`.
#[derive(Debug)]
pub struct natskv_bucket_status {
    status: BucketStatus,
    bucket: CString,
    description: CString,
    read_only: CString,
    metadata: Vec<(CString, CString)>,
    json: CString,
    stream_info: CString,
}

impl natskv_bucket_status {
    pub(crate) fn new(status: BucketStatus) -> Self {
        let metadata = status.config.metadata.iter().flat_map(Pairs::iter);
        Self {
            bucket: c_string(status.bucket.as_str()),
            description: c_string(status.config.description.as_deref().unwrap_or_default()),
            read_only: c_string(status.read_only.as_deref().unwrap_or_default()),
            metadata: metadata.map(|(name, value)| (c_string(name), c_string(value))).collect(),
            json: c_string(status.to_json()),
            stream_info: c_string(status.stream_info.as_str()),
            status,
        }
    }
}

/// The bucket's name. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_bucket(status: Option<&natskv_bucket_status>) -> *const c_char {
    status.map_or(c"".as_ptr(), |status| status.bucket.as_ptr())
}

/// The description; "" where there is none. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_description(status: Option<&natskv_bucket_status>) -> *const c_char {
    status.map_or(c"".as_ptr(), |status| status.description.as_ptr())
}

/// Messages stored: all revisions of all keys, markers included. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_values(status: Option<&natskv_bucket_status>) -> u64 {
    status.map_or(0, |status| status.status.values)
}

/// Revisions kept per key. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_history(status: Option<&natskv_bucket_status>) -> i64 {
    status.map_or(0, |status| status.status.history)
}

/// Age at which revisions expire, in milliseconds; 0: never. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_ttl_ms(status: Option<&natskv_bucket_status>) -> i64 {
    status.map_or(0, |status| to_millis(status.status.ttl))
}

/// How long the markers of expired keys live, in milliseconds; 0: there are no such markers. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_limit_marker_ttl_ms(status: Option<&natskv_bucket_status>) -> i64 {
    status.map_or(0, |status| to_millis(status.status.limit_marker_ttl))
}

/// Bytes stored. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_bytes(status: Option<&natskv_bucket_status>) -> u64 {
    status.map_or(0, |status| status.status.bytes)
}

/// Largest size of the whole bucket in bytes; -1: no limit. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_max_bytes(status: Option<&natskv_bucket_status>) -> i64 {
    status.and_then(|status| status.status.config.max_bytes).unwrap_or(-1)
}

/// Largest message in bytes; -1: no limit. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_max_value_size(status: Option<&natskv_bucket_status>) -> i32 {
    status.and_then(|status| status.status.config.max_value_size).unwrap_or(-1)
}

/// Copies in a cluster. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_replicas(status: Option<&natskv_bucket_status>) -> i32 {
    status.map_or(0, |status| status.status.config.replicas.unwrap_or(1).into())
}

/// Where the bucket is kept; NATSKV_STORAGE_DEFAULT for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_storage(status: Option<&natskv_bucket_status>) -> natskv_storage {
    match status.map(|status| status.status.config.storage) {
        None => natskv_storage::NATSKV_STORAGE_DEFAULT,
        Some(Some(Storage::Memory)) => natskv_storage::NATSKV_STORAGE_MEMORY,
        Some(Some(Storage::File) | None) => natskv_storage::NATSKV_STORAGE_FILE,
    }
}

/// Whether the bucket is compressed on disk. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_compressed(status: Option<&natskv_bucket_status>) -> bool {
    status.is_some_and(|status| status.status.config.compression == Some(true))
}

/// How many pairs of metadata the bucket has, the server's own (`_nats.…`) included. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_metadata_count(status: Option<&natskv_bucket_status>) -> usize {
    status.map_or(0, |status| status.metadata.len())
}

/// Name and value of the pair of metadata at `index`, sorted by name. False, outputs untouched, beyond the last one. `name`
/// and `value` may be NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_metadata_at(
    status: Option<&natskv_bucket_status>,
    index: usize,
    name: Option<&mut MaybeUninit<*const c_char>>,
    value: Option<&mut MaybeUninit<*const c_char>>,
) -> bool {
    let Some((key, text)) = status.and_then(|status| status.metadata.get(index)) else { return false };
    if let Some(name) = name {
        name.write(key.as_ptr());
    }
    if let Some(value) = value {
        value.write(text.as_ptr());
    }
    true
}

/// The keys that the handle takes, and how they are stored. NATSKV_KEYS_AS_BUCKET for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_key_policy(status: Option<&natskv_bucket_status>) -> natskv_key_policy {
    status.map_or(natskv_key_policy::NATSKV_KEYS_AS_BUCKET, |status| natskv_key_policy::of(status.status.keys))
}

/// Why the handle cannot write; "" where it can, and for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_read_only(status: Option<&natskv_bucket_status>) -> *const c_char {
    status.map_or(c"".as_ptr(), |status| status.read_only.as_ptr())
}

/// Everything as JSON: `{bucket, values, history, ttl, bytes, backing_store, compressed, limit_marker_ttl, metadata, replicas,
/// storage, key_policy, read_only, config, stream_info}`, durations in integer nanoseconds. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_json(status: Option<&natskv_bucket_status>) -> *const c_char {
    status.map_or(c"".as_ptr(), |status| status.json.as_ptr())
}

/// The server's whole answer to STREAM.INFO, as JSON. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_stream_info_json(status: Option<&natskv_bucket_status>) -> *const c_char {
    status.map_or(c"".as_ptr(), |status| status.stream_info.as_ptr())
}

/// Frees a status that a function or a reply handed over to you; not those of lists. NULL is fine.
/// Any thread, while no other call uses it.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_free(status: Option<Box<natskv_bucket_status>>) {
    drop(status);
}

/// A list of statuses, sorted by bucket. It owns them; any thread may read it.
#[derive(Debug)]
pub struct natskv_status_list {
    statuses: Vec<natskv_bucket_status>,
}

impl natskv_status_list {
    pub(crate) fn new(statuses: Vec<BucketStatus>) -> Self {
        Self { statuses: statuses.into_iter().map(natskv_bucket_status::new).collect() }
    }
}

/// How many statuses. 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_list_count(list: Option<&natskv_status_list>) -> usize {
    list.map_or(0, |list| list.statuses.len())
}

/// The status at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_status_list_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_list_at(
    list: Option<&natskv_status_list>,
    index: usize,
) -> *const natskv_bucket_status {
    list.and_then(|list| list.statuses.get(index)).map_or(ptr::null(), ptr::from_ref)
}

/// Frees the list and its statuses. NULL is fine. Any thread, while no other call uses it.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_list_free(list: Option<Box<natskv_status_list>>) {
    drop(list);
}
