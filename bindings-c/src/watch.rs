//! Watchers.

use std::{
    ffi::{CStr, c_char, c_void},
    mem::MaybeUninit,
    sync::Arc,
    time::Duration,
};

use natskv_core::{Error, ErrorCode, WatchId, WatchItem};

use crate::{
    engine::{Engine, Next},
    entry::natskv_entry,
    ffi::{self, OwnedUser, boxed, guard, guard_code, natskv_code, natskv_error, required},
    kv::natskv_kv,
    kv_async::callback,
    reply::{WATCH_BIT, natskv_callback, natskv_op},
    verb_options::{natskv_on_item, natskv_watch_options},
};

/// A running watch. It keeps its client alive as far as memory goes; when the client is closed it gives NATSKV_CLOSED.
#[derive(Debug)]
pub struct natskv_watcher {
    engine: Arc<Engine>,
    id: WatchId,
    bucket: Arc<CStr>,
}

impl natskv_watcher {
    pub(crate) fn new(engine: Arc<Engine>, id: WatchId, bucket: Arc<CStr>) -> Self {
        Self { engine, id, bucket }
    }
}

impl Drop for natskv_watcher {
    fn drop(&mut self) {
        let _ = self.engine.stop(self.id); // fails only on a client that panicked, which watches nothing
    }
}

/// Who gets the items of a watch in callback form.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) on_item: natskv_on_item,
    pub(crate) user: OwnedUser,
    pub(crate) bucket: Arc<CStr>,
}

impl Hook {
    /// None where the items are read with `natskv_watcher_next`; then `user` is given back at once.
    fn new(options: &natskv_watch_options, user: OwnedUser, kv: &natskv_kv) -> Option<Arc<Self>> {
        options.on_item.is_some().then(|| Arc::new(Self { on_item: options.on_item, user, bucket: kv.name.clone() }))
    }
}

/// Watches the keys that match any of `n` filters; none (`filters` NULL, `n` 0): all keys. A filter is a key in which `*` stands
/// for one token and a last `>` for all that follow.
///
/// First come the initial values in revision order, then exactly one NATSKV_CAUGHT_UP, then updates as they happen. Revisions
/// strictly increase, across reconnects and server restarts too. The newest state of every key arrives; a revision that was
/// overwritten before it could be sent arrives as far as the bucket's history still keeps it. Waits until the server has the
/// watch.
///
/// Errors: NATSKV_INVALID_KEY for a filter, NATSKV_INVALID_ARGUMENT, NATSKV_BUCKET_NOT_FOUND, NATSKV_TIMEOUT and those of the
/// connection. Any thread; inside a callback of the same client NATSKV_WOULD_DEADLOCK. Free the watcher with
/// `natskv_watcher_free`.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watch(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    options: *const natskv_watch_options,
    out: Option<&mut MaybeUninit<*mut natskv_watcher>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard(err, || {
        let options = ffi::options(options)?;
        let user = OwnedUser::new(options.user, options.drop);
        let (kv, out) = (required("kv", kv)?, required("out", out)?);
        let filters = ffi::texts("filters", filters, n)?;
        let watch = options.core(kv.timeout())?;
        let hook = Hook::new(&options, user, kv);
        let id = kv.engine.watch(hook, |core, now| core.watch(kv.bucket, &filters, watch, now))?;
        out.write(boxed(natskv_watcher::new(Arc::clone(&kv.engine), id, kv.name.clone())));
        Ok(())
    })
}

/// `natskv_watch` without waiting: `callback` gets the watcher in `reply->watcher`. With `on_item`, items may come before that.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watch_async(
    kv: Option<&natskv_kv>,
    filters: *const *const c_char,
    n: usize,
    options: *const natskv_watch_options,
    callback: natskv_callback,
    user: *mut c_void,
    op: Option<&mut MaybeUninit<natskv_op>>,
) -> natskv_code {
    guard(None, || {
        let options = ffi::options(options)?;
        let item_user = OwnedUser::new(options.user, options.drop);
        let kv = required("kv", kv)?;
        let filters = ffi::texts("filters", filters, n)?;
        let watch = options.core(kv.timeout())?;
        let callback = self::callback(callback, user, &kv.name)?;
        let hook = Hook::new(&options, item_user, kv);
        let id = kv.engine.submit_watch(callback, hook, |core, now| core.watch(kv.bucket, &filters, watch, now))?;
        if let Some(op) = op {
            op.write(id.0 | WATCH_BIT);
        }
        Ok(())
    })
}

/// The next item of a watch. Waits at most `timeout_ms`; 0: not at all, negative: for ever.
///
/// NATSKV_OK: an entry in `*out`, to be freed with `natskv_entry_free`; it may be a delete or purge marker.
/// NATSKV_CAUGHT_UP: all initial values were handed out. NATSKV_RESET: the bucket was created anew, forget all keys.
/// NATSKV_TIMEOUT: nothing came. NATSKV_CLOSED: the watch was stopped or the client closed. Any other error ends the watch.
/// `*out` is written only with NATSKV_OK, `*err` only with errors (NATSKV_TIMEOUT and NATSKV_CLOSED included).
///
/// Any thread, several at once too: each item goes to one of them. Inside a callback of the same client it gives what is there
/// already, or NATSKV_WOULD_DEADLOCK unless `timeout_ms` is 0.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watcher_next(
    watcher: Option<&natskv_watcher>,
    timeout_ms: i64,
    out: Option<&mut MaybeUninit<*mut natskv_entry>>,
    err: Option<&mut MaybeUninit<natskv_error>>,
) -> natskv_code {
    guard_code(err, || {
        let (watcher, out) = (required("watcher", watcher)?, required("out", out)?);
        let patience = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        match watcher.engine.next(watcher.id, patience)? {
            Next::Item(WatchItem::Entry(entry)) => {
                out.write(boxed(natskv_entry::new(entry, watcher.bucket.clone())));
                Ok(natskv_code::NATSKV_OK)
            }
            Next::Item(WatchItem::CaughtUp) => Ok(natskv_code::NATSKV_CAUGHT_UP),
            Next::Item(WatchItem::Reset) => Ok(natskv_code::NATSKV_RESET),
            Next::Item(WatchItem::Ended(error)) => Err(error),
            Next::TimedOut => Err(Error::new(ErrorCode::Timeout, "no item came in time")),
            Next::Over => Err(Error::new(ErrorCode::Closed, "the watch was stopped, or its client closed")),
        }
    })
}

/// Stops the watch, here and on the server, without waiting for it. Who waits in `natskv_watcher_next` gets NATSKV_CLOSED.
/// In callback form at most the item that is being handed out follows, then `drop`. Stopping twice is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watcher_stop(watcher: Option<&natskv_watcher>) -> natskv_code {
    guard(None, || {
        let watcher = required("watcher", watcher)?;
        watcher.engine.stop(watcher.id)
    })
}

/// Stops the watch and frees the watcher; no other call may be using it. Inside its own `on_item` it is fine. NULL is fine.
/// Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_watcher_free(watcher: Option<Box<natskv_watcher>>) {
    let _: natskv_code = guard(None, || {
        drop(watcher);
        Ok(())
    });
}
