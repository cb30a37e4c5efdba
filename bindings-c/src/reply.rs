//! How the async forms answer: one kind of callback, one struct of everything that an answer can hold.

use std::{
    ffi::{CString, c_char, c_void},
    ptr,
    sync::Arc,
};

use natskv_core::{Error, Outcome};

use crate::{
    engine::{Callback, Engine},
    entry::{natskv_entries, natskv_entry, natskv_keys_list},
    ffi::{boxed, c_string, natskv_code, natskv_error, natskv_string_free, unbox},
    kv::natskv_kv,
    many::natskv_result,
    status::{natskv_bucket_status, natskv_status_list},
    watch::natskv_watcher,
};

/// Names one operation of the async form, for `natskv_op_cancel`; never 0, never used twice by one client.
pub type natskv_op = u64;

/// Watches are operations too while they are being established; this bit keeps their numbers apart.
pub(crate) const WATCH_BIT: natskv_op = 1 << 63;

/// The end of one operation of the async form. It lives until the callback returns, and then frees what its pointers hold.
/// To keep an object, copy the pointer and set the field to NULL; from then on it is yours to free.
#[repr(C)]
pub struct natskv_reply {
    /// NATSKV_OK, or why it failed.
    pub code: natskv_code,
    /// NULL when `code` is NATSKV_OK.
    pub error: *const natskv_error,
    /// put, create, update, touch, delete, purge: the new revision.
    pub revision: u64,
    /// purge_deletes: how many markers were removed. clear: how many keys were purged. count: how many keys there are.
    pub count: u64,
    /// flush: the round trip in nanoseconds.
    pub round_trip_ns: u64,
    /// get, get_revision, get_entry; else NULL.
    pub entry: *mut natskv_entry,
    /// history, get_many, list_entries; else NULL.
    pub entries: *mut natskv_entries,
    /// keys, bucket_names; else NULL.
    pub keys: *mut natskv_keys_list,
    /// bucket_open, bucket_create, bucket_update, bucket_create_or_update; else NULL.
    pub kv: *mut natskv_kv,
    /// watch; else NULL.
    pub watcher: *mut natskv_watcher,
    /// status; else NULL.
    pub status: *mut natskv_bucket_status,
    /// bucket_list; else NULL.
    pub statuses: *mut natskv_status_list,
    /// execute; else NULL.
    pub json: *mut c_char,
    /// put_many: what became of each item, also where `code` is the failure of one; else NULL. These go with the reply: copy them.
    pub results: *const natskv_result,
    /// How many `results`.
    pub result_count: usize,
}

/// Called exactly once for each operation of the async form that returned NATSKV_OK, never before that return when called
/// inside `natskv_process`, and on the library's own thread (one call at a time) where the client has one. It may start further
/// operations and free handles; blocking calls on the same client give NATSKV_WOULD_DEADLOCK. C++ exceptions must not leave it.
pub type natskv_callback = Option<extern "C" fn(user: *mut c_void, reply: Option<&mut natskv_reply>)>;

/// Told how far a long operation is: `done` keys of `total`, at most about a hundred times, the last time when it is at its end.
/// Blocking calls on the same client give NATSKV_WOULD_DEADLOCK in it.
pub type natskv_on_progress = Option<extern "C" fn(user: *mut c_void, done: u64, total: u64)>;

/// What went well.
pub(crate) enum Reply {
    Outcome(Outcome),
    Watcher(natskv_watcher),
}

impl natskv_reply {
    /// Calls back, then frees what was not taken.
    pub(crate) fn tell(engine: &Arc<Engine>, callback: Callback, answer: Result<Reply, Error>) {
        let Some(function) = callback.callback else { return };
        let (mut error, mut results) = (None, Vec::new());
        let mut reply = Self {
            code: natskv_code::NATSKV_OK,
            error: ptr::null(),
            revision: 0,
            count: 0,
            round_trip_ns: 0,
            entry: ptr::null_mut(),
            entries: ptr::null_mut(),
            keys: ptr::null_mut(),
            kv: ptr::null_mut(),
            watcher: ptr::null_mut(),
            status: ptr::null_mut(),
            statuses: ptr::null_mut(),
            json: ptr::null_mut(),
            results: ptr::null(),
            result_count: 0,
        };
        match answer {
            Ok(Reply::Watcher(watcher)) => reply.watcher = boxed(watcher),
            Ok(Reply::Outcome(Outcome::Written(written))) => {
                results.extend(written.iter().map(natskv_result::of));
                (reply.results, reply.result_count) = (results.as_ptr(), results.len());
                error = written.into_iter().find_map(Result::err);
            }
            Ok(Reply::Outcome(outcome)) => reply.fill(engine, &callback, outcome),
            Err(e) => error = Some(e),
        }
        let error = error.as_ref().map(natskv_error::of);
        if let Some(error) = &error {
            reply.code = error.code;
            reply.error = error;
        }
        function(callback.user.0, Some(&mut reply));
        reply.free();
    }

    fn fill(&mut self, engine: &Arc<Engine>, callback: &Callback, outcome: Outcome) {
        match outcome {
            Outcome::Unit | Outcome::Written(_) => {}
            Outcome::Revision(revision) => self.revision = revision,
            Outcome::Entry(entry) => self.entry = boxed(natskv_entry::new(entry, callback.bucket.clone())),
            Outcome::Entries(entries) => self.entries = boxed(natskv_entries::new(entries, None, &callback.bucket)),
            Outcome::Many { entries, as_of } => {
                self.entries = boxed(natskv_entries::new(entries, as_of, &callback.bucket));
            }
            Outcome::Names(names) => self.keys = boxed(natskv_keys_list::new(&names)),
            Outcome::Opened(opened) => {
                self.kv = boxed(natskv_kv::opened(Arc::clone(engine), &opened));
            }
            Outcome::Status(status) => self.status = boxed(natskv_bucket_status::new(*status)),
            Outcome::Statuses(statuses) => self.statuses = boxed(natskv_status_list::new(statuses)),
            Outcome::Purged(count) | Outcome::Count(count) => self.count = count,
            Outcome::RoundTrip(time) => self.round_trip_ns = time.as_nanos() as u64,
            Outcome::Json(json) => self.json = CString::into_raw(c_string(json)),
        }
    }

    fn free(&self) {
        unbox(self.entry);
        unbox(self.entries);
        unbox(self.keys);
        unbox(self.kv);
        unbox(self.watcher);
        unbox(self.status);
        unbox(self.statuses);
        natskv_string_free(self.json);
    }
}
