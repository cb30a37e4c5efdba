//! The options of single verbs, with their `_init` functions.

use std::{ffi::c_void, mem::MaybeUninit, time::Duration};

use natskv_core::{Error, WatchOptions};

use crate::{
    entry::natskv_entry,
    ffi::{Options, invalid, millis, natskv_code, natskv_drop, natskv_flag},
    kv::natskv_kv,
};

/// How to write, delete or purge. Call `natskv_write_options_init` first. NULL in place of the struct: all defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_write_options {
    /// Set by `natskv_write_options_init`.
    pub struct_size: usize,
    /// Only if the key's newest revision is this one, else NATSKV_WRONG_REVISION. Default: 0, whatever it is.
    pub expected_revision: u64,
    /// How long the value lives, or the marker of a purge, in milliseconds, at least 1000, in buckets with `limit_marker_ttl_ms`; values
    /// only where the bucket keeps one revision of a key. Not for delete. Default: 0, as long as the bucket keeps it.
    pub ttl_ms: i64,
    /// How long it may take, in milliseconds. Default: 0, the bucket handle's timeout.
    pub timeout_ms: i64,
}

// SAFETY: repr(C), begins with its size, plain numbers.
unsafe impl Options for natskv_write_options {
    const INIT: &'static str = "natskv_write_options_init";

    fn defaults() -> Self {
        Self { struct_size: size_of::<Self>(), expected_revision: 0, ttl_ms: 0, timeout_ms: 0 }
    }
}

/// Sets all defaults. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_write_options_init(options: Option<&mut MaybeUninit<natskv_write_options>>) {
    if let Some(options) = options {
        options.write(natskv_write_options::defaults());
    }
}

impl natskv_write_options {
    pub(crate) fn expected(&self) -> Option<u64> {
        (self.expected_revision != 0).then_some(self.expected_revision)
    }

    pub(crate) fn ttl(&self) -> Result<Option<Duration>, Error> {
        millis("ttl_ms", self.ttl_ms)
    }

    pub(crate) fn refuse_ttl(&self) -> Result<(), Error> {
        if self.ttl_ms == 0 { Ok(()) } else { Err(invalid("ttl_ms: a delete marker takes none; natskv_purge does")) }
    }

    pub(crate) fn timeout(&self, kv: &natskv_kv) -> Result<Option<Duration>, Error> {
        Ok(millis("timeout_ms", self.timeout_ms)?.or_else(|| kv.timeout()))
    }
}

/// Gets the items of a watch in its callback form. `code` is NATSKV_OK with an entry, which lives until the callback returns;
/// NATSKV_CAUGHT_UP or NATSKV_RESET with NULL; or, with NULL, the error that ended the watch (`natskv_last_error` has its
/// text), after which nothing follows but `drop`. It may call natskv's functions; blocking ones on the same client give
/// NATSKV_WOULD_DEADLOCK. Items wait while it runs, and the server sends no more than the watch may hold.
pub type natskv_on_item = Option<extern "C" fn(user: *mut c_void, code: natskv_code, entry: *const natskv_entry)>;

/// What a watch delivers. Call `natskv_watch_options_init` first. NULL in place of the struct: all defaults.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_watch_options {
    /// Set by `natskv_watch_options_init`.
    pub struct_size: usize,
    /// All revisions that history keeps, not only the newest of each key. Default: false.
    pub include_history: natskv_flag,
    /// No delete and purge markers. Default: false.
    pub ignore_deletes: natskv_flag,
    /// No values, only their length. Default: false.
    pub meta_only: natskv_flag,
    /// No initial values. Excludes `include_history`. Default: false.
    pub updates_only: natskv_flag,
    /// Everything from this revision on, it included; wins over `include_history` and `updates_only`. Default: 0, no.
    pub resume_from_revision: u64,
    /// How long establishing the watch may take, in milliseconds. Default: 0, the bucket handle's timeout.
    pub timeout_ms: i64,
    /// Callback form: gets every item, on the library's thread or inside `natskv_process`, maybe already before the watch
    /// function returns. Default: NULL, the items are read with `natskv_watcher_next`.
    pub on_item: natskv_on_item,
    /// Handed to `on_item` and `drop`.
    pub user: *mut c_void,
    /// Called exactly once, also when the watch function fails: when `user` will not be used again, which is after the last
    /// `on_item`, or at once where that is NULL. Default: NULL, nobody.
    pub drop: natskv_drop,
}

// SAFETY: repr(C), begins with its size; numbers, flags of one byte, a pointer and nullable functions.
unsafe impl Options for natskv_watch_options {
    const INIT: &'static str = "natskv_watch_options_init";

    fn defaults() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            include_history: false.into(),
            ignore_deletes: false.into(),
            meta_only: false.into(),
            updates_only: false.into(),
            resume_from_revision: 0,
            timeout_ms: 0,
            on_item: None,
            user: std::ptr::null_mut(),
            drop: None,
        }
    }
}

/// Sets all defaults. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watch_options_init(options: Option<&mut MaybeUninit<natskv_watch_options>>) {
    if let Some(options) = options {
        options.write(natskv_watch_options::defaults());
    }
}

impl natskv_watch_options {
    pub(crate) fn core(&self, timeout: Option<Duration>) -> Result<WatchOptions, Error> {
        Ok(WatchOptions {
            include_history: self.include_history.is_set(),
            ignore_deletes: self.ignore_deletes.is_set(),
            meta_only: self.meta_only.is_set(),
            updates_only: self.updates_only.is_set(),
            resume_from_revision: (self.resume_from_revision != 0).then_some(self.resume_from_revision),
            timeout: millis("timeout_ms", self.timeout_ms)?.or(timeout),
        })
    }
}
