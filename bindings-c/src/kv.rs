//! The verbs on one bucket, blocking. Each converts its arguments, has core do it, and writes the outputs.

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use natskv_core::{BucketId, Client as Core, Error, Instant, OpId, Opened, Outcome};

use crate::{
    engine::{Engine, unexpected},
    entry::{natskv_entries, natskv_entry, natskv_keys_list},
    ffi::{self, boxed, bytes, c_string, guard, invalid, millis, natskv_code, natskv_error, required, text, texts},
    status::natskv_bucket_status,
    verb_options::natskv_write_options,
};

/// An opened bucket. Any thread may use it, several at once too. It is independent of `natskv_client_free` as far as memory
/// goes; after that its functions return NATSKV_CLOSED.
#[derive(Debug)]
pub struct natskv_kv {
    pub(crate) engine: Arc<Engine>,
    pub(crate) bucket: BucketId,
    pub(crate) name: Arc<CStr>,
    /// What differed from what its creation asked for.
    pub(crate) drift: Vec<CString>,
    /// Milliseconds; 0: the client's.
    timeout_ms: AtomicI64,
}

impl natskv_kv {
    pub(crate) fn new(engine: Arc<Engine>, bucket: BucketId, name: &str) -> Self {
        Self { engine, bucket, name: c_string(name).into(), drift: Vec::new(), timeout_ms: AtomicI64::new(0) }
    }

    pub(crate) fn opened(engine: Arc<Engine>, opened: &Opened) -> Self {
        let drift = opened.drift.iter().map(|text| c_string(text.as_str())).collect();
        Self { drift, ..Self::new(engine, opened.bucket, &opened.status.bucket) }
    }

    /// None: the client's `request_timeout_ms`.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        match self.timeout_ms.load(Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(ms.unsigned_abs())),
        }
    }

    /// A verb that answers with a revision, to its end.
    fn write(
        &self,
        revision: Option<&mut MaybeUninit<u64>>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let Outcome::Revision(new) = self.engine.call(verb)? else { return Err(unexpected()) };
        if let Some(revision) = revision {
            revision.write(new);
        }
        Ok(())
    }

    /// A verb that answers with an entry, to its end.
    fn read(
        &self,
        out: &mut MaybeUninit<*mut natskv_entry>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let Outcome::Entry(entry) = self.engine.call(verb)? else { return Err(unexpected()) };
        out.write(boxed(natskv_entry::new(entry, self.name.clone())));
        Ok(())
    }
}

/// The bucket's name; lives as long as the handle. "" for NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_bucket(kv: Option<&natskv_kv>) -> *const c_char {
    kv.map_or(c"".as_ptr(), |kv| kv.name.as_ptr())
}

/// How long each further operation through this handle may take, in milliseconds; 0: the client's `request_timeout_ms`.
/// For keys and history it is the longest silence, not the whole time. NATSKV_INVALID_ARGUMENT when negative. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_set_timeout_ms(kv: Option<&natskv_kv>, timeout_ms: i64) -> natskv_code {
    guard(None, || {
        let kv = required("kv", kv)?;
        millis("timeout_ms", timeout_ms)?;
        kv.timeout_ms.store(timeout_ms, Relaxed);
        Ok(())
    })
}

/// Frees the handle; the bucket stays. No other call may be using it. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_kv_free(kv: Option<Box<natskv_kv>>) {
    let _: natskv_code = guard(None, || {
        drop(kv);
        Ok(())
    });
}

/// The live value of `key`, in an entry to be freed with `natskv_entry_free`.
///
/// Errors: NATSKV_KEY_NOT_FOUND, also for deleted, purged and expired keys; NATSKV_INVALID_KEY; NATSKV_BUCKET_NOT_FOUND;
/// NATSKV_TIMEOUT and those of the connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK (this
/// holds for all blocking functions).
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_entry>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, out) = (required("kv", kv)?, text("key", key)?, required("out", out)?);
        kv.read(out, |core, now| core.get(kv.bucket, key, None, kv.timeout(), now))
    })
}

/// The value that `key` had at `revision`, as far as history keeps it. NATSKV_KEY_NOT_FOUND where that revision is gone, is a
/// marker, or belongs to another key; NATSKV_INVALID_ARGUMENT for revision 0. Otherwise as `natskv_get`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_revision(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    revision: u64,
    out: Option<&mut MaybeUninit<*mut natskv_entry>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, out) = (required("kv", kv)?, text("key", key)?, required("out", out)?);
        kv.read(out, |core, now| core.get(kv.bucket, key, Some(revision), kv.timeout(), now))
    })
}

/// The newest entry of `key`, also when it is a delete or purge marker. NATSKV_KEY_NOT_FOUND where there is nothing at all.
/// Otherwise as `natskv_get`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_entry(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_entry>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, out) = (required("kv", kv)?, text("key", key)?, required("out", out)?);
        kv.read(out, |core, now| core.entry(kv.bucket, key, kv.timeout(), now))
    })
}

/// Writes `len` bytes as the value of `key`, whatever is there. `value` may be NULL where `len` is 0. `revision`, which may be
/// NULL, gets the new revision.
///
/// Errors: NATSKV_INVALID_KEY, also for keys that begin with `_kv`; NATSKV_TOO_LARGE before anything is sent; NATSKV_BUCKET_FULL;
/// NATSKV_DISCONNECTED with `maybe_applied` when the connection broke before the answer; NATSKV_TIMEOUT and those of the
/// connection. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.write(revision, |core, now| core.put(kv.bucket, key, value, None, kv.timeout(), now))
    })
}

/// `natskv_put` of a NUL-terminated string, without its NUL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_string(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_char,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, text("value", value)?);
        kv.write(revision, |core, now| core.put(kv.bucket, key, value.as_bytes(), None, kv.timeout(), now))
    })
}

/// `natskv_put` with `options`, which may be NULL: with an `expected_revision` it is `natskv_update`, and `ttl_ms` is how long the value
/// lives, at least 1000, in buckets with `limit_marker_ttl_ms` that keep one revision of a key. NATSKV_UNSUPPORTED for a TTL that the
/// bucket does not allow: where history is kept, the older value would come back. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_with(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    options: *const natskv_write_options,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.write(revision, put(kv, key, value, ffi::options(options)?)?)
    })
}

/// put or update, as the options say.
pub(crate) fn put<'a>(
    kv: &natskv_kv,
    key: &'a str,
    value: &'a [u8],
    options: natskv_write_options,
) -> Result<impl FnOnce(&mut Core, Instant) -> Result<OpId, Error> + use<'a>, Error> {
    let (bucket, expected, ttl, timeout) = (kv.bucket, options.expected(), options.ttl()?, options.timeout(kv)?);
    Ok(move |core: &mut Core, now| match expected {
        Some(expected) => core.update(bucket, key, value, expected, ttl, timeout, now),
        None => core.put(bucket, key, value, ttl, timeout, now),
    })
}

/// Writes the same value again, which now lives for `ttl_ms` milliseconds from then on, at least 1000; never over a value that somebody
/// else wrote meanwhile. NATSKV_KEY_NOT_FOUND where there is no live value; NATSKV_UNSUPPORTED where `natskv_put_with` takes no TTL.
/// Otherwise as `natskv_put`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_touch(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    ttl_ms: i64,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, ttl) = (required("kv", kv)?, text("key", key)?, some_ttl(ttl_ms)?);
        kv.write(revision, |core, now| core.touch(kv.bucket, key, ttl, kv.timeout(), now))
    })
}

/// A TTL that must be there.
pub(crate) fn some_ttl(ttl_ms: i64) -> Result<Duration, Error> {
    millis("ttl_ms", ttl_ms)?.ok_or_else(|| invalid("ttl_ms is 0; it must be at least 1000"))
}

/// Writes only if `key` has no live value: it was never written, or is deleted, purged or expired. `ttl_ms`: how long the value
/// lives, in milliseconds, at least 1000, in buckets with `limit_marker_ttl_ms`; 0: for ever.
///
/// NATSKV_KEY_EXISTS when it has one; NATSKV_UNSUPPORTED for a TTL that the bucket does not allow. Otherwise as `natskv_put`.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_create(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    ttl_ms: i64,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        let ttl = millis("ttl_ms", ttl_ms)?;
        kv.write(revision, |core, now| core.create(kv.bucket, key, value, ttl, kv.timeout(), now))
    })
}

/// Writes only if the newest revision of `key` is `expected`, else NATSKV_WRONG_REVISION, whose `natskv_error.revision` is the
/// actual one where the server told it. NATSKV_INVALID_ARGUMENT for 0: that is what `natskv_create` is for. Otherwise as
/// `natskv_put`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_update(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    expected: u64,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.write(revision, |core, now| core.update(kv.bucket, key, value, expected, None, kv.timeout(), now))
    })
}

/// Puts a delete marker; earlier revisions stay as far as history goes. A key that never existed is fine. `options` may be NULL.
/// `revision`, which may be NULL, gets the marker's revision.
///
/// NATSKV_WRONG_REVISION where `options->expected_revision` is not the newest; NATSKV_INVALID_ARGUMENT for a TTL, which only
/// purge takes. Otherwise as `natskv_put`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_delete(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    options: *const natskv_write_options,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, options) = (required("kv", kv)?, text("key", key)?, ffi::options(options)?);
        let (expected, timeout) = (options.expected(), options.timeout(kv)?);
        options.refuse_ttl()?;
        kv.write(revision, |core, now| core.delete(kv.bucket, key, expected, timeout, now))
    })
}

/// Puts a purge marker and removes all earlier revisions. A key that never existed is fine. `options` may be NULL; its `ttl_ms`
/// is how long the marker stays. Otherwise as `natskv_delete`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_purge(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    options: *const natskv_write_options,
    revision: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, options) = (required("kv", kv)?, text("key", key)?, ffi::options(options)?);
        let (expected, ttl, timeout) = (options.expected(), options.ttl()?, options.timeout(kv)?);
        kv.write(revision, |core, now| core.purge(kv.bucket, key, expected, ttl, timeout, now))
    })
}

/// The live keys that match any of `n` filters, each once, sorted; none (`filters` NULL, `n` 0): all keys. An empty list is a success. Free the list with `natskv_keys_list_free`.
///
/// NATSKV_INVALID_KEY for a filter; NATSKV_TIMEOUT after so much silence; otherwise as `natskv_get`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_keys(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    out: Option<&mut MaybeUninit<*mut natskv_keys_list>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, filters, out) = (required("kv", kv)?, texts("filters", filters, n)?, required("out", out)?);
        let keys = kv.engine.call(|core, now| core.keys(kv.bucket, &filters, kv.timeout(), now))?;
        let Outcome::Names(keys) = keys else { return Err(unexpected()) };
        out.write(boxed(natskv_keys_list::new(&keys)));
        Ok(())
    })
}

/// All revisions of `key` that the bucket keeps, oldest first, markers included. NATSKV_KEY_NOT_FOUND where there is none.
/// Free the list with `natskv_entries_free`. Otherwise as `natskv_keys`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_history(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    out: Option<&mut MaybeUninit<*mut natskv_entries>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, key, out) = (required("kv", kv)?, text("key", key)?, required("out", out)?);
        let entries = kv.engine.call(|core, now| core.history(kv.bucket, key, kv.timeout(), now))?;
        let Outcome::Entries(entries) = entries else { return Err(unexpected()) };
        out.write(boxed(natskv_entries::new(entries, None, &kv.name)));
        Ok(())
    })
}

/// What the bucket is and holds now. Free it with `natskv_status_free`. NATSKV_BUCKET_NOT_FOUND when it is gone. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status(
    kv: Option<&natskv_kv>,
    out: Option<&mut MaybeUninit<*mut natskv_bucket_status>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, out) = (required("kv", kv)?, required("out", out)?);
        let status = kv.engine.call(|core, now| core.status(kv.bucket, kv.timeout(), now))?;
        let Outcome::Status(status) = status else { return Err(unexpected()) };
        out.write(boxed(natskv_bucket_status::new(*status)));
        Ok(())
    })
}

/// Runs one operation in its JSON form, such as `{"operation": "PUT", "key": "a", "value": "aGk="}`: PUT, GET, CREATE, UPDATE,
/// TOUCH, DELETE, PURGE, HISTORY, LIST, WATCH, ENTRIES, COUNT, GET_MANY, PUT_MANY, CLEAR, PURGE_DELETES. `*out_json` gets the reply. Where the operation failed or is none, that is the error's
/// JSON form, and the function returns NATSKV_OK all the same. Free it with `natskv_string_free`. Durations in it are integer
/// nanoseconds.
///
/// Errors, without a reply: NATSKV_INVALID_ARGUMENT for NULL and for what is not UTF-8, NATSKV_CLOSED, NATSKV_BUFFER_FULL,
/// NATSKV_WOULD_DEADLOCK. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_execute(
    kv: Option<&natskv_kv>,
    json: *const c_char,
    out_json: Option<&mut MaybeUninit<*mut c_char>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, json, out_json) = (required("kv", kv)?, text("json", json)?, required("out_json", out_json)?);
        let reply = kv.engine.call(|core, now| core.execute(kv.bucket, json, kv.timeout(), now))?;
        let Outcome::Json(reply) = reply else { return Err(unexpected()) };
        out_json.write(CString::into_raw(c_string(reply)));
        Ok(())
    })
}
