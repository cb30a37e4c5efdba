//! The verbs on many keys at once, in both forms.

use std::{
    ffi::{c_char, c_void},
    mem::MaybeUninit,
    time::Duration,
};

use natskv_core::{Client as Core, Entry, Error, Instant, OpId, Outcome};

use crate::{
    engine::unexpected,
    entry::natskv_entries,
    ffi::{array, boxed, bytes, guard, millis, natskv_code, natskv_error, out_array, required, text, texts},
    kv::natskv_kv,
    reply::{natskv_callback, natskv_on_progress, natskv_op},
};

impl natskv_kv {
    /// A verb that answers with a list of entries, to its end.
    fn read_many(
        &self,
        out: &mut MaybeUninit<*mut natskv_entries>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let (entries, as_of): (Vec<Entry>, _) = match self.engine.call(verb)? {
            Outcome::Entries(entries) => (entries, None),
            Outcome::Many { entries, as_of } => (entries, as_of),
            _ => return Err(unexpected()),
        };
        out.write(boxed(natskv_entries::new(entries, as_of, &self.name)));
        Ok(())
    }

    /// A verb that answers with a number and tells how far it is, to its end. The caller's thread runs `on_progress`.
    fn work(
        &self,
        on_progress: natskv_on_progress,
        user: *mut c_void,
        out: Option<&mut MaybeUninit<u64>>,
        verb: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<(), Error> {
        let outcome = self.engine.call_watched(verb, |done, total| {
            if let Some(on_progress) = on_progress {
                on_progress(user, done, total);
            }
        })?;
        let (Outcome::Purged(count) | Outcome::Count(count)) = outcome else { return Err(unexpected()) };
        if let Some(out) = out {
            out.write(count);
        }
        Ok(())
    }
}

/// The live values of `n` keys, in the order of the keys, each once; filters may stand among them. Keys without a live value are left
/// out. As few requests as the server allows: `natskv_entries_as_of` tells whether they are all of one moment. Free the list with
/// `natskv_entries_free`. NATSKV_INVALID_KEY for a key or filter; NATSKV_TIMEOUT after so much silence; otherwise as `natskv_get`.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_many(
    kv: Option<&natskv_kv>,
    keys: *const *const c_char,
    n: usize,
    out: Option<&mut MaybeUninit<*mut natskv_entries>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, keys, out) = (required("kv", kv)?, texts("keys", keys, n)?, required("out", out)?);
        kv.read_many(out, |core, now| core.get_many(kv.bucket, &keys, kv.timeout(), now))
    })
}

/// `natskv_get_many` without waiting: the list comes in `reply->entries`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_get_many_async(
    kv: Option<&natskv_kv>,
    keys: *const *const c_char,
    n: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, keys) = (required("kv", kv)?, texts("keys", keys, n)?);
        kv.submit(callback, user, op, |core, now| core.get_many(kv.bucket, &keys, kv.timeout(), now))
    })
}

/// The newest entry of each live key that matches any of `n` filters (`filters` NULL, `n` 0: all keys), in the order of their
/// revisions. Free the list with `natskv_entries_free`. Otherwise as `natskv_keys`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_list_entries(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    out: Option<&mut MaybeUninit<*mut natskv_entries>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, filters, out) = (required("kv", kv)?, texts("filters", filters, n)?, required("out", out)?);
        kv.read_many(out, |core, now| core.entries(kv.bucket, &filters, kv.timeout(), now))
    })
}

/// `natskv_list_entries` without waiting: the list comes in `reply->entries`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_list_entries_async(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, filters) = (required("kv", kv)?, texts("filters", filters, n)?);
        kv.submit(callback, user, op, |core, now| core.entries(kv.bucket, &filters, kv.timeout(), now))
    })
}

/// How many live keys match any of `n` filters (`filters` NULL, `n` 0: all keys): as many as `natskv_keys` lists. Otherwise as that.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_count(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    out: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, filters, out) = (required("kv", kv)?, texts("filters", filters, n)?, required("out", out)?);
        kv.work(None, std::ptr::null_mut(), Some(out), |core, now| core.count(kv.bucket, &filters, kv.timeout(), now))
    })
}

/// `natskv_count` without waiting: the number comes in `reply->count`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_count_async(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, filters) = (required("kv", kv)?, texts("filters", filters, n)?);
        kv.submit(callback, user, op, |core, now| core.count(kv.bucket, &filters, kv.timeout(), now))
    })
}

/// A key and its value, for `natskv_put_many`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_item {
    /// The key.
    pub key: *const c_char,
    /// First byte of the value; may be NULL where `len` is 0.
    pub value: *const c_void,
    /// Its length.
    pub len: usize,
}

/// What became of one item of `natskv_put_many`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct natskv_result {
    /// NATSKV_OK, or why it failed.
    pub code: natskv_code,
    /// The write may have been stored although it failed here.
    pub maybe_applied: bool,
    /// The new revision; 0 where it failed.
    pub revision: u64,
}

impl natskv_result {
    pub(crate) fn of(result: &Result<u64, Error>) -> Self {
        match result {
            Ok(revision) => Self { code: natskv_code::NATSKV_OK, maybe_applied: false, revision: *revision },
            Err(error) => Self { code: natskv_code::of(error.code), maybe_applied: error.maybe_applied, revision: 0 },
        }
    }
}

/// Puts `n` values, so many in flight that the server is busy. `results`, which may be NULL, gets what became of each, in the order of
/// `items`. Of a key that stands there twice the last value wins.
///
/// NATSKV_OK: all are stored. Else what the first of those that failed says, and `err` with it; the others may be stored, look at
/// `results`. A bad argument (NATSKV_INVALID_KEY, NATSKV_TOO_LARGE, …) fails the whole call, nothing is sent, and each result says so.
/// The time of the handle is the longest silence: what was not sent by then fails with NATSKV_TIMEOUT. Otherwise as `natskv_put`.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_many(
    kv: Option<&natskv_kv>,
    items: *const natskv_item,
    n: usize,
    results: *mut natskv_result,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let results = out_array("results", results, n)?;
        let written = required("kv", kv).and_then(|kv| {
            let items = items_of(items, n)?;
            match kv.engine.call(|core, now| core.put_many(kv.bucket, &items, kv.timeout(), now))? {
                Outcome::Written(written) => Ok(written),
                _ => Err(unexpected()),
            }
        });
        for (at, result) in results.into_iter().flatten().enumerate() {
            result.write(match &written {
                Ok(written) => written.get(at).map_or_else(|| natskv_result::of(&Err(unexpected())), natskv_result::of),
                Err(error) => natskv_result::of(&Err(error.clone())),
            });
        }
        written?.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    })
}

/// `natskv_put_many` without waiting: the results come in `reply->results`, `reply->result_count` of them. The values are copied.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_put_many_async(
    kv: Option<&natskv_kv>,
    items: *const natskv_item,
    n: usize,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, items) = (required("kv", kv)?, items_of(items, n)?);
        kv.submit(callback, user, op, |core, now| core.put_many(kv.bucket, &items, kv.timeout(), now))
    })
}

fn items_of<'a>(items: *const natskv_item, n: usize) -> Result<Vec<(&'a str, &'a [u8])>, Error> {
    let items = array("items", items, n)?;
    items
        .iter()
        .map(|item| Ok((text("the key of an item", item.key)?, bytes("the value of an item", item.value, item.len)?)))
        .collect()
}

/// Purges the key `prefix` and all keys under it ("a.b": "a.b" and "a.b.>"); with wildcards it is a filter. A key that somebody writes
/// meanwhile is left alone. Markers stay, until `natskv_purge_deletes`. `cleared`, which may be NULL, gets how many keys were purged.
///
/// `on_progress`, which may be NULL, is called with `user` on this thread while it waits. Errors as for `natskv_keys` and
/// `natskv_purge`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_clear(
    kv: Option<&natskv_kv>,
    prefix: *const c_char,
    on_progress: natskv_on_progress,
    user: *mut c_void,
    cleared: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, prefix) = (required("kv", kv)?, text("prefix", prefix)?);
        kv.work(on_progress, user, cleared, |core, now| core.clear(kv.bucket, prefix, kv.timeout(), now))
    })
}

/// `natskv_clear` without waiting: the number comes in `reply->count`. `on_progress`, which may be NULL, is called where `callback` is
/// and before it, with the same `user`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_clear_async(
    kv: Option<&natskv_kv>,
    prefix: *const c_char,
    on_progress: natskv_on_progress,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, prefix) = (required("kv", kv)?, text("prefix", prefix)?);
        kv.submit_watched(on_progress, callback, user, op, |core, now| core.clear(kv.bucket, prefix, kv.timeout(), now))
    })
}

/// How old markers must be for `natskv_purge_deletes` when -1 is given.
const DEFAULT_OLDER_THAN: Duration = Duration::from_secs(30 * 60);

/// Age of markers in C's form.
fn older_than(older_than_ms: i64) -> Result<Duration, Error> {
    if older_than_ms == -1 {
        return Ok(DEFAULT_OLDER_THAN);
    }
    Ok(millis("older_than_ms", older_than_ms)?.unwrap_or_default())
}

/// Removes delete and purge markers older than `older_than_ms` milliseconds with all that is under them, never anything newer.
/// 0: all markers; -1: 30 minutes. `purged`, which may be NULL, gets how many markers were removed. `on_progress`, which may be NULL,
/// is called with `user` on this thread while it waits. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_purge_deletes(
    kv: Option<&natskv_kv>,
    older_than_ms: i64,
    on_progress: natskv_on_progress,
    user: *mut c_void,
    purged: Option<&mut MaybeUninit<u64>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let (kv, age) = (required("kv", kv)?, older_than(older_than_ms)?);
        kv.work(on_progress, user, purged, |core, now| core.purge_deletes(kv.bucket, age, kv.timeout(), now))
    })
}

/// `natskv_purge_deletes` without waiting: the number comes in `reply->count`. `on_progress`, which may be NULL, is called where
/// `callback` is and before it, with the same `user`. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_purge_deletes_async(
    kv: Option<&natskv_kv>,
    older_than_ms: i64,
    on_progress: natskv_on_progress,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let (kv, age) = (required("kv", kv)?, older_than(older_than_ms)?);
        kv.submit_watched(on_progress, callback, user, op, |core, now| {
            core.purge_deletes(kv.bucket, age, kv.timeout(), now)
        })
    })
}
