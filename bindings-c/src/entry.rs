//! What reads hand out: entries, lists of them, lists of names.

use std::{
    ffi::{CStr, CString, c_char},
    mem::MaybeUninit,
    ptr,
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use natskv_core::{Entry, Operation};

use crate::ffi::{c_string, guard_value, natskv_slice, optional_text, to_millis};

/// One revision of a key. It owns its bytes and never changes: it outlives the bucket handle and the client, needs no other
/// object, and any thread may read it. What its functions hand out lives until `natskv_entry_free`.
#[derive(Debug)]
pub struct natskv_entry {
    entry: Entry,
    bucket: Arc<CStr>,
    /// Made when first asked for: C wants a NUL behind them, core has none.
    key: OnceLock<CString>,
    raw_key: OnceLock<CString>,
}

impl natskv_entry {
    pub(crate) fn new(entry: Entry, bucket: Arc<CStr>) -> Self {
        Self { entry, bucket, key: OnceLock::new(), raw_key: OnceLock::new() }
    }
}

/// What a revision did to its key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_operation {
    /// A value was written.
    NATSKV_PUT = 0,
    /// The key was deleted; earlier revisions stay as far as history goes.
    NATSKV_DELETE = 1,
    /// The key was purged with all earlier revisions, or it expired.
    NATSKV_PURGE = 2,
}

/// The bucket's name. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_bucket(entry: Option<&natskv_entry>) -> *const c_char {
    entry.map_or(c"".as_ptr(), |entry| entry.bucket.as_ptr())
}

/// The key. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_key(entry: Option<&natskv_entry>) -> *const c_char {
    let Some(entry) = entry else { return c"".as_ptr() };
    guard_value(c"".as_ptr(), || entry.key.get_or_init(|| c_string(entry.entry.key())).as_ptr())
}

/// The key as it stands in the bucket; another than `natskv_entry_key` where the handle has a codec. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_raw_key(entry: Option<&natskv_entry>) -> *const c_char {
    let Some(entry) = entry else { return c"".as_ptr() };
    guard_value(c"".as_ptr(), || entry.raw_key.get_or_init(|| c_string(entry.entry.raw_key())).as_ptr())
}

/// The value; length 0 for markers, for empty values, where only metadata was asked for, and for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_value(entry: Option<&natskv_entry>) -> natskv_slice {
    entry.map_or(natskv_slice::NONE, |entry| natskv_slice::of(entry.entry.value()))
}

/// Length of the value in bytes; also where only metadata was asked for (`meta_only`) and the value is not there. 0 for NULL.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_length(entry: Option<&natskv_entry>) -> u64 {
    entry.map_or(0, |entry| entry.entry.length)
}

/// The revision, unique in the bucket and never 0. 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_revision(entry: Option<&natskv_entry>) -> u64 {
    entry.map_or(0, |entry| entry.entry.revision)
}

/// When the server stored it, in nanoseconds since 1970 (UTC). 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_created_ns(entry: Option<&natskv_entry>) -> i64 {
    entry.map_or(0, |entry| entry.entry.created_ns)
}

/// How many further entries matched when this one was delivered: 0 for the newest, and for every get. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_delta(entry: Option<&natskv_entry>) -> u64 {
    entry.map_or(0, |entry| entry.entry.delta)
}

/// What this revision did: a value, a delete marker or a purge marker. NATSKV_PUT for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_operation(entry: Option<&natskv_entry>) -> natskv_operation {
    match entry.map(|entry| entry.entry.operation) {
        Some(Operation::Put) | None => natskv_operation::NATSKV_PUT,
        Some(Operation::Delete) => natskv_operation::NATSKV_DELETE,
        Some(Operation::Purge) => natskv_operation::NATSKV_PURGE,
    }
}

/// The operation as the JSON form says it: "PUT", "DEL" or "PURGE"; "UNKNOWN" for other numbers. Lives for ever. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_operation_name(operation: i32) -> *const c_char {
    match operation {
        0 => c"PUT".as_ptr(),
        1 => c"DEL".as_ptr(),
        2 => c"PURGE".as_ptr(),
        _ => c"UNKNOWN".as_ptr(),
    }
}

/// The TTL that this revision was written with, in milliseconds; 0: without one. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_ttl_ms(entry: Option<&natskv_entry>) -> i64 {
    guard_value(0, || entry.and_then(|entry| entry.entry.ttl()).map_or(0, to_millis))
}

/// When it expires, by its own TTL or the bucket's, in nanoseconds since 1970 (UTC); 0: never. The bucket's counts where the handle
/// asked the server (it was not bound). Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_expires_ns(entry: Option<&natskv_entry>) -> i64 {
    entry.and_then(|entry| entry.entry.expires_ns).unwrap_or(0)
}

/// How much time is left until it expires, in milliseconds by this machine's clock; 0: it is over; -1: it does not expire. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_remaining_ms(entry: Option<&natskv_entry>) -> i64 {
    guard_value(-1, || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_nanos() as i64);
        entry.and_then(|entry| entry.entry.remaining_ttl(now)).map_or(-1, to_millis)
    })
}

/// Why the server itself put this marker: "MaxAge", "Purge" or "Remove" (server 2.11+); no data for all other entries.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_marker_reason(entry: Option<&natskv_entry>) -> natskv_slice {
    entry.and_then(|entry| entry.entry.marker_reason()).map_or(natskv_slice::NONE, natskv_slice::of)
}

/// How many headers the entry carries. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_header_count(entry: Option<&natskv_entry>) -> usize {
    guard_value(0, || entry.map_or(0, |entry| entry.entry.headers().count()))
}

/// Name and value of the header at `index`, in the order they were stored. False, outputs untouched, beyond the last one.
/// `name` and `value` may be NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_header_at(
    entry: Option<&natskv_entry>,
    index: usize,
    name: Option<&mut MaybeUninit<natskv_slice>>,
    value: Option<&mut MaybeUninit<natskv_slice>>,
) -> bool {
    guard_value(false, || {
        let Some((header, text)) = entry.and_then(|entry| entry.entry.headers().nth(index)) else { return false };
        if let Some(name) = name {
            name.write(natskv_slice::of(header.as_bytes()));
        }
        if let Some(value) = value {
            value.write(natskv_slice::of(text));
        }
        true
    })
}

/// The value of the last header with exactly this name; no data where there is none. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_header(entry: Option<&natskv_entry>, name: *const c_char) -> natskv_slice {
    guard_value(natskv_slice::NONE, || {
        let (Some(entry), Ok(Some(name))) = (entry, optional_text("name", name)) else { return natskv_slice::NONE };
        let found = entry.entry.headers().filter(|(header, _)| *header == name).last();
        found.map_or(natskv_slice::NONE, |(_, value)| natskv_slice::of(value))
    })
}

/// Frees an entry that a function or a reply handed over to you; not those of lists and of `on_item`. NULL is fine.
/// Any thread, while no other call uses it.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entry_free(entry: Option<Box<natskv_entry>>) {
    drop(entry);
}

/// A list of entries. It owns its entries; any thread may read it.
#[derive(Debug)]
pub struct natskv_entries {
    entries: Vec<natskv_entry>,
    as_of: Option<u64>,
}

impl natskv_entries {
    pub(crate) fn new(entries: Vec<Entry>, as_of: Option<u64>, bucket: &Arc<CStr>) -> Self {
        let entries = entries.into_iter().map(|entry| natskv_entry::new(entry, bucket.clone())).collect();
        Self { entries, as_of }
    }
}

/// How many entries. 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entries_count(entries: Option<&natskv_entries>) -> usize {
    entries.map_or(0, |entries| entries.entries.len())
}

/// The entry at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_entries_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entries_at(entries: Option<&natskv_entries>, index: usize) -> *const natskv_entry {
    entries.and_then(|entries| entries.entries.get(index)).map_or(ptr::null(), ptr::from_ref)
}

/// `natskv_get_many`: the bucket's revision at which these all were the newest of their keys. 0 where several requests saw several
/// moments, for lists of other functions, and for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entries_as_of(entries: Option<&natskv_entries>) -> u64 {
    entries.and_then(|entries| entries.as_of).unwrap_or(0)
}

/// Frees the list and its entries. NULL is fine. Any thread, while no other call uses it.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_entries_free(entries: Option<Box<natskv_entries>>) {
    drop(entries);
}

/// A list of names: keys, or buckets. It owns its strings; any thread may read it.
#[derive(Debug)]
pub struct natskv_keys_list {
    /// All names, each with a NUL behind it: one block instead of one allocation a name.
    text: Vec<u8>,
    starts: Vec<usize>,
}

impl natskv_keys_list {
    pub(crate) fn new(names: &[String]) -> Self {
        let mut text = Vec::with_capacity(names.iter().map(|name| name.len() + 1).sum());
        let mut starts = Vec::with_capacity(names.len());
        for name in names {
            starts.push(text.len());
            text.extend_from_slice(name.as_bytes());
            text.push(0);
        }
        Self { text, starts }
    }
}

/// How many names. 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_keys_list_count(list: Option<&natskv_keys_list>) -> usize {
    list.map_or(0, |list| list.starts.len())
}

/// The name at `index`, which the list owns; NULL beyond the last one. It lives until `natskv_keys_list_free`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_keys_list_at(list: Option<&natskv_keys_list>, index: usize) -> *const c_char {
    let start = list.and_then(|list| Some(&list.text[*list.starts.get(index)?..]));
    start.map_or(ptr::null(), |text| text.as_ptr().cast())
}

/// Frees the list and its strings. NULL is fine. Any thread, while no other call uses it.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_keys_list_free(list: Option<Box<natskv_keys_list>>) {
    drop(list);
}
