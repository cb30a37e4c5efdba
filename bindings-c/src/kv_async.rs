//! The verbs on one bucket in their async form: they return at once, and the end comes to a callback.
//!
//! Same arguments, same meaning and same errors as the blocking forms in kv.rs. What can be known at once (bad arguments) is
//! returned at once, and then the callback is not called.

use std::{
    ffi::{CStr, c_char, c_void},
    mem::MaybeUninit,
    sync::Arc,
};

use natskv_core::{Client as Core, Error, Instant, OpId};

use crate::{
    engine::Callback,
    ffi::{self, User, bytes, guard, invalid, millis, natskv_code, required, text, texts},
    kv::{natskv_kv, put, some_ttl},
    reply::{natskv_callback, natskv_on_progress, natskv_op},
    verb_options::natskv_write_options,
};

/// The callback of an async form, which must be there.
pub(crate) fn callback(callback: natskv_callback, user: *mut c_void, bucket: &Arc<CStr>) -> Result<Callback, Error> {
    if callback.is_none() {
        return Err(invalid("callback is NULL"));
    }
    Ok(Callback { callback, on_progress: None, user: User(user), bucket: Arc::clone(bucket) })
}

impl natskv_kv {
    /// Starts a verb.
    pub(crate) fn submit(
        &self,
        callback: natskv_callback,
        user: *mut c_void,
        op: Option<&mut MaybeUninit<natskv_op>>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        self.submit_watched(None, callback, user, op, verb)
    }

    /// Starts a verb that tells how far it is.
    pub(crate) fn submit_watched(
        &self,
        on_progress: natskv_on_progress,
        callback: natskv_callback,
        user: *mut c_void,
        op: Option<&mut MaybeUninit<natskv_op>>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let callback = Callback { on_progress, ..self::callback(callback, user, &self.name)? };
        let id = self.engine.submit(callback, verb)?;
        if let Some(op) = op {
            op.write(id.0);
        }
        Ok(())
    }
}

/// `natskv_get` without waiting: the entry comes in `reply->entry`.
///
/// As all async forms: NATSKV_OK means that `callback(user, reply)` will be called exactly once. Any other code means that it
/// will not; `natskv_last_error` has the text. `op`, which may be NULL, gets a number for `natskv_op_cancel`. Any thread, and
/// inside callbacks too. On a client with a loop of your own: on the loop's thread, or wake the loop afterwards.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key) = (required("kv", kv)?, text("key", key)?);
        kv.submit(callback, user, op, |core, now| core.get(kv.bucket, key, None, kv.timeout(), now))
    })
}

/// `natskv_get_revision` without waiting: the entry comes in `reply->entry`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_revision_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    revision: u64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key) = (required("kv", kv)?, text("key", key)?);
        kv.submit(callback, user, op, |core, now| core.get(kv.bucket, key, Some(revision), kv.timeout(), now))
    })
}

/// `natskv_get_entry` without waiting: the entry comes in `reply->entry`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_entry_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key) = (required("kv", kv)?, text("key", key)?);
        kv.submit(callback, user, op, |core, now| core.entry(kv.bucket, key, kv.timeout(), now))
    })
}

/// `natskv_put` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.submit(callback, user, op, |core, now| core.put(kv.bucket, key, value, None, kv.timeout(), now))
    })
}

/// `natskv_put_string` without waiting: the revision comes in `reply->revision`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_string_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, text("value", value)?);
        kv.submit(callback, user, op, |core, now| core.put(kv.bucket, key, value.as_bytes(), None, kv.timeout(), now))
    })
}

/// `natskv_put_with` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_with_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    options: *const natskv_write_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.submit(callback, user, op, put(kv, key, value, ffi::options(options)?)?)
    })
}

/// `natskv_touch` without waiting: the revision comes in `reply->revision`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_touch_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    ttl_ms: i64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, ttl) = (required("kv", kv)?, text("key", key)?, some_ttl(ttl_ms)?);
        kv.submit(callback, user, op, |core, now| core.touch(kv.bucket, key, ttl, kv.timeout(), now))
    })
}

/// `natskv_create` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_create_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    ttl_ms: i64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        let ttl = millis("ttl_ms", ttl_ms)?;
        kv.submit(callback, user, op, |core, now| core.create(kv.bucket, key, value, ttl, kv.timeout(), now))
    })
}

/// `natskv_update` without waiting: the revision comes in `reply->revision`. The value is copied. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_update_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    value: *const c_void,
    len: usize,
    expected: u64,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, value) = (required("kv", kv)?, text("key", key)?, bytes("value", value, len)?);
        kv.submit(callback, user, op, |core, now| core.update(kv.bucket, key, value, expected, None, kv.timeout(), now))
    })
}

/// `natskv_delete` without waiting: the marker's revision comes in `reply->revision`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_delete_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    options: *const natskv_write_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, options) = (required("kv", kv)?, text("key", key)?, ffi::options(options)?);
        let (expected, timeout) = (options.expected(), options.timeout(kv)?);
        options.refuse_ttl()?;
        kv.submit(callback, user, op, |core, now| core.delete(kv.bucket, key, expected, timeout, now))
    })
}

/// `natskv_purge` without waiting: the marker's revision comes in `reply->revision`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_purge_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    options: *const natskv_write_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key, options) = (required("kv", kv)?, text("key", key)?, ffi::options(options)?);
        let (expected, ttl, timeout) = (options.expected(), options.ttl()?, options.timeout(kv)?);
        kv.submit(callback, user, op, |core, now| core.purge(kv.bucket, key, expected, ttl, timeout, now))
    })
}

/// `natskv_keys` without waiting: the list comes in `reply->keys`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_keys_async(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, filters) = (required("kv", kv)?, texts("filters", filters, n)?);
        kv.submit(callback, user, op, |core, now| core.keys(kv.bucket, &filters, kv.timeout(), now))
    })
}

/// `natskv_history` without waiting: the list comes in `reply->entries`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_history_async(
    kv: Option<&natskv_kv>,
    key: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, key) = (required("kv", kv)?, text("key", key)?);
        kv.submit(callback, user, op, |core, now| core.history(kv.bucket, key, kv.timeout(), now))
    })
}

/// `natskv_status` without waiting: the status comes in `reply->status`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_status_async(
    kv: Option<&natskv_kv>,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let kv = required("kv", kv)?;
        kv.submit(callback, user, op, |core, now| core.status(kv.bucket, kv.timeout(), now))
    })
}

/// `natskv_execute` without waiting: the reply comes in `reply->json`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_execute_async(
    kv: Option<&natskv_kv>,
    json: *const c_char,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, json) = (required("kv", kv)?, text("json", json)?);
        kv.submit(callback, user, op, |core, now| core.execute(kv.bucket, json, kv.timeout(), now))
    })
}
