//! `Engine`: one core client behind a mutex. Both APIs drive it; it drives nothing itself.
//!
//! A command makes what its end is waited for with (a future, or the blocking API's waiter), if it is given none, and
//! gives it back from `poll_events` with the result: so no end can arrive before its waiter is known. Python code can
//! run whenever a Python object is made or dropped, so under the lock none is: collect, release, convert.

use std::{
    iter, mem,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant as Clock,
};

use natskv_core::{
    Action, BucketId, Client, Compare, ConnId, Error, ErrorCode, Event, Instant, OpId, Outcome, Signature, WatchId,
    WatchItem, WatchOptions,
};
use pyo3::{
    buffer::PyBuffer,
    exceptions::{PyBaseException, PyEOFError},
    gc::{PyTraverseError, PyVisit},
    prelude::*,
    pybacked::PyBackedStr,
    sync::MutexExt,
    types::{PyBytes, PyDict, PyList, PyString, PyTuple},
};

use rustc_hash::FxHashMap;

use crate::{
    convert::{self, Context, Drift, Handle, Items, Json, Revision, Spec, Time, Value},
    entry::KeyValueEntry,
    errors,
    turn::{Came, Plain},
};

/// How much `turn` reads at a time.
const RECEIVED: usize = 128 << 10;

/// An opened bucket: what every verb on keys names it by.
#[pyclass(frozen, module = "natskv._native")]
pub(crate) struct Bucket {
    id: BucketId,
    name: Py<PyString>,
    drift: Py<PyTuple>,
}

impl Bucket {
    pub(crate) fn new(py: Python<'_>, id: BucketId, name: &str, drift: Py<PyTuple>) -> Self {
        Self { id, name: PyString::new(py, name).unbind(), drift }
    }

    fn context(&self, py: Python<'_>) -> Context {
        Context::Bucket(self.name.clone_ref(py))
    }
}

#[pymethods]
impl Bucket {
    /// The bucket's name.
    #[getter]
    fn name(&self, py: Python<'_>) -> Py<PyString> {
        self.name.clone_ref(py)
    }

    /// What differed from the configuration asked for, when it was opened: a text a field.
    #[getter]
    fn drift(&self, py: Python<'_>) -> Py<PyTuple> {
        self.drift.clone_ref(py)
    }
}

/// How many forks this process came out of, as far as Python was told.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// This process is a fork: what its parent made is not ours to use.
pub(crate) fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// One client of core.
#[pyclass(frozen, module = "natskv._native")]
pub(crate) struct Engine {
    inner: Mutex<Inner>,
    /// `FORKS` when it was made. In a fork the mutex may be held by a thread that is not there, so it is never taken.
    forks: u32,
    clock: Clock,
    /// Makes what an end is waited for with.
    new_waiter: Py<PyAny>,
    /// What Python's `time.monotonic()` said when `clock` was started.
    start: f64,
}

struct Inner {
    client: Client,
    /// Swapped with core's bytes, so that its capacity is used again.
    transmit: Vec<u8>,
    /// What found no room in a socket.
    unsent: Option<(ConnId, Vec<u8>)>,
    /// What `turn` reads into.
    received: Vec<u8>,
    waiters: FxHashMap<OpId, Waiter>,
    watches: FxHashMap<WatchId, Watch>,
    /// The newest connection that `poll_action` asked for.
    connection: u64,
}

/// Who waits for an operation, and what its result needs to be told.
struct Waiter {
    object: Py<PyAny>,
    context: Context,
}

/// Who waits until a watch is established, and whom to tell that it has something.
struct Watch {
    opened: Option<Py<PyAny>>,
    ready: Py<PyAny>,
}

/// Progress, ends, watches that are ready, and news, each as a list of Python's.
type Lists<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>, Bound<'py, PyList>);

/// A command that was taken: its number, its waiter, and how many bytes `poll_transmit` would give.
type Begun = (u64, Py<PyAny>, usize);

/// What `turn` returns.
#[cfg(unix)]
type Turned = (bool, bool, Option<Py<PyBaseException>>);

/// An event of core together with whom it is for; converted when the lock is released.
enum News {
    Progress(Py<PyAny>, u64, u64),
    Done(Waiter, Result<Outcome, Error>),
    Opened(Py<PyAny>, Result<(), Error>),
    Ready(Py<PyAny>),
    Told(&'static str, Option<Error>, String),
}

#[pymethods]
impl Engine {
    /// A client with `options` (those of `connect`), 32 random bytes, the present `time.monotonic()`, and what makes
    /// waiters.
    #[new]
    fn new(
        py: Python<'_>,
        options: &Bound<'_, PyDict>,
        entropy: [u8; 32],
        start: f64,
        new_waiter: Py<PyAny>,
    ) -> PyResult<Self> {
        let clock = Clock::now();
        let client = Client::new(convert::config(options)?, entropy, Instant::from_nanos(0));
        let client = client.map_err(|error| errors::raise(py, &error))?;
        let (waiters, watches) = (FxHashMap::default(), FxHashMap::default());
        let inner =
            Inner { client, transmit: Vec::new(), unsent: None, received: Vec::new(), waiters, watches, connection: 0 };
        Ok(Self { inner: Mutex::new(inner), forks: FORKS.load(Ordering::Relaxed), clock, new_waiter, start })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.new_waiter)
    }

    /// Raises CLOSED in a fork of the process that made this client. All but `cancel`, `watch_stop`, `state` and
    /// `is_forked` do so by themselves; these do nothing there.
    fn check_process(&self, py: Python<'_>) -> PyResult<()> {
        if !self.is_forked() {
            return Ok(());
        }
        let message = "this client was made before a fork, and only the process that made it can use it; connect anew";
        Err(errors::raise(py, &Error::new(ErrorCode::Closed, message)))
    }

    /// Whether this is a fork of the process that made this client.
    #[getter]
    fn is_forked(&self) -> bool {
        self.forks != FORKS.load(Ordering::Relaxed)
    }

    // ── commands on the client: their waiters get what is said after the arrow

    /// → None, once connected.
    fn ready(&self, py: Python<'_>, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.ready(timeout.0, now))
    }

    /// → float, seconds of the round trip.
    fn flush(&self, py: Python<'_>, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.flush(timeout.0, now))
    }

    /// A bucket's handle without asking the server.
    fn bind(&self, py: Python<'_>, bucket: &str, handle: Handle) -> PyResult<Bucket> {
        let id = self.lock(py)?.client.bind(bucket, &handle.0);
        let id = id.map_err(|error| errors::raise(py, &error))?;
        Ok(Bucket::new(py, id, bucket, PyTuple::empty(py).unbind()))
    }

    /// → Bucket.
    fn open(&self, py: Python<'_>, bucket: &str, handle: Handle, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.open(bucket, &handle.0, timeout.0, now))
    }

    /// → Bucket. An existing bucket must be equal in every field, if `on_drift` does not say otherwise.
    fn create_bucket(
        &self,
        py: Python<'_>,
        config: Spec,
        handle: Handle,
        on_drift: Drift,
        timeout: Time,
    ) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| {
            core.create_bucket(&config.0, &handle.0, Compare::All, on_drift.0, timeout.0, now)
        })
    }

    /// → Bucket.
    fn update_bucket(&self, py: Python<'_>, config: Spec, handle: Handle, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.update_bucket(&config.0, &handle.0, timeout.0, now))
    }

    /// → Bucket.
    fn create_or_update_bucket(&self, py: Python<'_>, config: Spec, handle: Handle, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.create_or_update_bucket(&config.0, &handle.0, timeout.0, now))
    }

    /// → None.
    fn delete_bucket(&self, py: Python<'_>, bucket: &str, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.delete_bucket(bucket, timeout.0, now))
    }

    /// → list of names.
    fn bucket_names(&self, py: Python<'_>, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.bucket_names(timeout.0, now))
    }

    /// → list of statuses as JSON.
    fn bucket_list(&self, py: Python<'_>, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.bucket_list(timeout.0, now))
    }

    // ── commands on a bucket

    /// → status as JSON.
    fn status(&self, py: Python<'_>, bucket: &Bucket, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.status(bucket.id, timeout.0, now))
    }

    /// → KeyValueEntry.
    fn get(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        revision: Option<Revision>,
        timeout: Time,
    ) -> PyResult<Begun> {
        let revision = revision.map(|r| r.0);
        self.begin(py, bucket.context(py), |core, now| core.get(bucket.id, key, revision, timeout.0, now))
    }

    /// → KeyValueEntry, markers too.
    fn entry(&self, py: Python<'_>, bucket: &Bucket, key: &str, timeout: Time) -> PyResult<Begun> {
        self.begin(py, bucket.context(py), |core, now| core.entry(bucket.id, key, timeout.0, now))
    }

    /// → int, the revision.
    fn put(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        value: Value<'_>,
        ttl: Time,
        timeout: Time,
    ) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.put(bucket.id, key, &value, ttl.0, timeout.0, now))
    }

    /// → dict of keys to revisions or exceptions.
    fn put_many(&self, py: Python<'_>, bucket: &Bucket, items: Items<'_>, timeout: Time) -> PyResult<Begun> {
        let keys = items.0.iter().map(|(key, _)| key.clone().unbind()).collect();
        let items = items.0.iter().map(|(key, value)| Ok((key.to_str()?, &**value))).collect::<PyResult<Vec<_>>>()?;
        self.begin(py, Context::Keys(keys), |core, now| core.put_many(bucket.id, &items, timeout.0, now))
    }

    /// → int, the new revision.
    fn touch(&self, py: Python<'_>, bucket: &Bucket, key: &str, ttl: Time, timeout: Time) -> PyResult<Begun> {
        let ttl = ttl.0.unwrap_or_default();
        self.begin(py, Context::Nothing, |core, now| core.touch(bucket.id, key, ttl, timeout.0, now))
    }

    /// → int, the revision.
    fn create(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        value: Value<'_>,
        ttl: Time,
        timeout: Time,
    ) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.create(bucket.id, key, &value, ttl.0, timeout.0, now))
    }

    /// → int, the revision.
    #[expect(clippy::too_many_arguments, reason = "the verb's own")]
    fn update(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        value: Value<'_>,
        revision: Revision,
        ttl: Time,
        timeout: Time,
    ) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| {
            core.update(bucket.id, key, &value, revision.0, ttl.0, timeout.0, now)
        })
    }

    /// → int, the marker's revision.
    fn delete(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        expected: Option<Revision>,
        timeout: Time,
    ) -> PyResult<Begun> {
        let expected = expected.map(|r| r.0);
        self.begin(py, Context::Nothing, |core, now| core.delete(bucket.id, key, expected, timeout.0, now))
    }

    /// → int, the marker's revision.
    fn purge(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        key: &str,
        expected: Option<Revision>,
        ttl: Time,
        timeout: Time,
    ) -> PyResult<Begun> {
        let expected = expected.map(|r| r.0);
        self.begin(py, Context::Nothing, |core, now| core.purge(bucket.id, key, expected, ttl.0, timeout.0, now))
    }

    /// → list of KeyValueEntry.
    fn history(&self, py: Python<'_>, bucket: &Bucket, key: &str, timeout: Time) -> PyResult<Begun> {
        self.begin(py, bucket.context(py), |core, now| core.history(bucket.id, key, timeout.0, now))
    }

    /// → list of keys.
    fn keys(&self, py: Python<'_>, bucket: &Bucket, filters: Vec<PyBackedStr>, timeout: Time) -> PyResult<Begun> {
        let filters = convert::as_strs(&filters);
        self.begin(py, Context::Nothing, |core, now| core.keys(bucket.id, &filters, timeout.0, now))
    }

    /// → KeyValueEntries: the live values.
    fn get_many(&self, py: Python<'_>, bucket: &Bucket, keys: Vec<PyBackedStr>, timeout: Time) -> PyResult<Begun> {
        let keys = convert::as_strs(&keys);
        self.begin(py, bucket.context(py), |core, now| core.get_many(bucket.id, &keys, timeout.0, now))
    }

    /// → list of KeyValueEntry: the live values.
    fn entries(&self, py: Python<'_>, bucket: &Bucket, filters: Vec<PyBackedStr>, timeout: Time) -> PyResult<Begun> {
        let filters = convert::as_strs(&filters);
        self.begin(py, bucket.context(py), |core, now| core.entries(bucket.id, &filters, timeout.0, now))
    }

    /// → int, how many live keys.
    fn count(&self, py: Python<'_>, bucket: &Bucket, filters: Vec<PyBackedStr>, timeout: Time) -> PyResult<Begun> {
        let filters = convert::as_strs(&filters);
        self.begin(py, Context::Nothing, |core, now| core.count(bucket.id, &filters, timeout.0, now))
    }

    /// → int, how many keys were purged.
    #[pyo3(signature = (bucket, prefix, timeout, *, waiter = None))]
    fn clear(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        prefix: &str,
        timeout: Time,
        waiter: Option<Py<PyAny>>,
    ) -> PyResult<Begun> {
        self.begin_for(py, waiter, Context::Nothing, |core, now| core.clear(bucket.id, prefix, timeout.0, now))
    }

    /// → int, how many markers went.
    #[pyo3(signature = (bucket, older_than, timeout, *, waiter = None))]
    fn purge_deletes(
        &self,
        py: Python<'_>,
        bucket: &Bucket,
        older_than: Time,
        timeout: Time,
        waiter: Option<Py<PyAny>>,
    ) -> PyResult<Begun> {
        let older_than = older_than.0.unwrap_or_default();
        self.begin_for(py, waiter, Context::Nothing, |core, now| {
            core.purge_deletes(bucket.id, older_than, timeout.0, now)
        })
    }

    /// → the reply's JSON text.
    fn execute(&self, py: Python<'_>, bucket: &Bucket, operation: Json, timeout: Time) -> PyResult<Begun> {
        self.begin(py, Context::Nothing, |core, now| core.execute(bucket.id, &operation.0, timeout.0, now))
    }

    /// Ends an operation; nobody is told.
    fn cancel(&self, py: Python<'_>, op: u64) -> PyResult<()> {
        if self.is_forked() {
            return Ok(());
        }
        let _waiter = self.with(py, |inner, now| {
            inner.client.cancel(OpId(op), now);
            inner.waiters.remove(&OpId(op))
        })?;
        Ok(())
    }

    /// Starts a watch: `opened` waits until it is established, `ready` is handed out whenever it has items again.
    #[expect(clippy::too_many_arguments, reason = "the verb's own")]
    fn watch(
        &self,
        py: Python<'_>,
        opened: Py<PyAny>,
        ready: Py<PyAny>,
        bucket: &Bucket,
        filters: Vec<PyBackedStr>,
        include_history: bool,
        ignore_deletes: bool,
        meta_only: bool,
        updates_only: bool,
        resume_from_revision: Option<Revision>,
        timeout: Time,
    ) -> PyResult<u64> {
        let filters = convert::as_strs(&filters);
        let resume_from_revision = resume_from_revision.map(|r| r.0);
        let timeout = timeout.0;
        let options =
            WatchOptions { include_history, ignore_deletes, meta_only, updates_only, resume_from_revision, timeout };
        let watch = self.with(py, |inner, now| {
            let watch = inner.client.watch(bucket.id, &filters, options, now)?;
            inner.watches.insert(watch, Watch { opened: Some(opened), ready });
            Ok(watch.0)
        })?;
        watch.map_err(|error| errors::raise(py, &error))
    }

    /// What a watch has, at most 256 items or 1 MiB of values: entries; None for "caught up"; `"reset"`; an exception
    /// for its end. Taking items is what lets the server send more. After an empty list `ready` will be told.
    fn watch_batch<'py>(&self, py: Python<'py>, watch: u64, bucket: &Bucket) -> PyResult<Bound<'py, PyList>> {
        let items = self.with(py, |inner, now| {
            let mut items = Vec::new();
            let mut bytes = 0;
            while items.len() < 256 && bytes < 1 << 20 {
                let Some(item) = inner.client.watch_next(WatchId(watch), now) else { break };
                if let WatchItem::Entry(entry) = &item {
                    bytes += entry.value().len();
                }
                items.push(item);
            }
            items
        })?;
        let object = |item| match item {
            WatchItem::Entry(entry) => Ok(Py::new(py, KeyValueEntry::new(py, entry, &bucket.name))?.into_any()),
            WatchItem::CaughtUp => Ok(py.None()),
            WatchItem::Reset => Ok(PyString::intern(py, "reset").into_any().unbind()),
            WatchItem::Ended(error) => Ok(errors::instance(py, &error)?.unbind()),
        };
        PyList::new(py, items.into_iter().map(object).collect::<PyResult<Vec<_>>>()?)
    }

    /// Ends a watch and its consumer on the server.
    fn watch_stop(&self, py: Python<'_>, watch: u64) -> PyResult<()> {
        if self.is_forked() {
            return Ok(());
        }
        let _watch = self.with(py, |inner, now| {
            inner.client.watch_stop(WatchId(watch), now);
            inner.watches.remove(&WatchId(watch))
        })?;
        Ok(())
    }

    /// Finishes what is in flight, ends the watches, then closes; in this time.
    fn drain(&self, py: Python<'_>, timeout: Time) -> PyResult<()> {
        let begun = self.with(py, |inner, now| match timeout.0 {
            None => {
                inner.client.drain(now);
                Ok(())
            }
            Some(timeout) => inner.client.drain_within(timeout, now),
        })?;
        begun.map_err(|error| errors::raise(py, &error))
    }

    /// Ends everything now.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |inner, now| inner.client.close(now))
    }

    // ── inputs: what the transport tells

    /// The transport asked for is open.
    fn transport_open(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.with(py, |inner, now| inner.client.transport_open(ConnId(conn), now))
    }

    /// TLS is up.
    fn transport_secured(&self, py: Python<'_>, conn: u64) -> PyResult<()> {
        self.with(py, |inner, now| inner.client.transport_secured(ConnId(conn), now))
    }

    /// Who we are, for the connection that asked: the fields of `natskv.Credentials`.
    fn credentials(&self, py: Python<'_>, conn: u64, given: &Bound<'_, PyDict>) -> PyResult<()> {
        let given = convert::credentials(given)
            .map_err(|error| Error::new(ErrorCode::InvalidArgument, error.value(py).to_string()));
        self.with(py, |inner, now| inner.client.credentials(ConnId(conn), given, now))
    }

    /// They cannot be had; why.
    fn credentials_failed(&self, py: Python<'_>, conn: u64, why: String) -> PyResult<()> {
        let error = Error::new(ErrorCode::Auth, why);
        self.with(py, |inner, now| inner.client.credentials(ConnId(conn), Err(error), now))
    }

    /// The nonce, signed.
    fn signature(&self, py: Python<'_>, conn: u64, signature: [u8; 64]) -> PyResult<()> {
        let given = Signature { signature, public_key: None };
        self.with(py, |inner, now| inner.client.signature(ConnId(conn), Ok(given), now))
    }

    /// It cannot be had; why.
    fn signature_failed(&self, py: Python<'_>, conn: u64, why: String) -> PyResult<()> {
        let error = Error::new(ErrorCode::Auth, why);
        self.with(py, |inner, now| inner.client.signature(ConnId(conn), Err(error), now))
    }

    /// The first `length` bytes of `buffer` came from the server; they are parsed where they are.
    fn receive(&self, py: Python<'_>, conn: u64, buffer: PyBuffer<u8>, length: usize) -> PyResult<()> {
        let length = length.min(buffer.item_count());
        if length == 0 || !buffer.is_c_contiguous() {
            return Ok(());
        }
        // SAFETY: `buffer` is contiguous, at least `length` long, and not resized while this export lives. Nobody writes
        // to it meanwhile: it belongs to the transport, which fills it only after this call has returned.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.buf_ptr().cast::<u8>().cast_const(), length) };
        self.with(py, |inner, now| inner.client.receive(ConnId(conn), bytes, now))
    }

    /// A round over a plain socket: writes what there is; unless core has something to say, waits until the socket or
    /// `wake` can be read, until the deadline, or until `until` on the clock of `time.monotonic()`; gives core what came.
    ///
    /// Returns whether `wake` has something; whether any `poll_` does; and, when the connection is lost, OSError, or
    /// EOFError when the server has hung up. What is raised is what a handler of signals has raised.
    #[cfg(unix)]
    fn turn(&self, py: Python<'_>, conn: u64, socket: i32, wake: i32, until: Option<f64>) -> PyResult<Turned> {
        let plain = Plain { socket, wake };
        let (mut unsent, mut buffer, waits, within) = self.with(py, |inner, now| {
            let unsent = iter::from_fn(|| inner.output()).find(|(to, _)| to.0 == conn).map(|(_, bytes)| bytes);
            let until = until.map(|until| Instant::from_nanos(((until - self.start).max(0.0) * 1e9) as u64));
            let until = [until, inner.client.deadline()].into_iter().flatten().min();
            (unsent, mem::take(&mut inner.received), !inner.client.has_news(), until.map(|until| until.since(now)))
        })?;
        buffer.resize(RECEIVED, 0);
        let came = py.detach(|| {
            if let Some(unsent) = &mut unsent {
                plain.write(unsent)?;
            }
            if waits && unsent.as_ref().is_none_or(Vec::is_empty) {
                plain.read(within, &mut buffer)
            } else {
                Ok(Came::Nothing)
            }
        });
        let is_woken = matches!(came, Ok(Came::Wake));
        let has_news = self.with(py, |inner, now| {
            if let Ok(Came::Bytes(length)) = came {
                inner.client.receive(ConnId(conn), &buffer[..length], now);
            }
            if inner.client.deadline().is_some_and(|due| due <= now) {
                inner.client.handle_timeout(now);
            }
            inner.received = buffer;
            if let Some(bytes) = unsent {
                inner.put_back(ConnId(conn), bytes);
            }
            inner.unsent.is_some() || inner.client.has_news()
        })?;
        let lost = match came {
            Ok(Came::Bytes(0)) => Some(PyEOFError::new_err(()).into_value(py)),
            Ok(Came::Signal) => py.check_signals().map(|()| None)?,
            Ok(_) => None,
            Err(error) => Some(PyErr::from(error).into_value(py)),
        };
        Ok((is_woken, has_news, lost))
    }

    /// The transport is gone: `"refused"`, `"unreachable"`, `"eof"`, `"reset"`, `"tls"` or `"other"`, and why in words.
    fn transport_closed(&self, py: Python<'_>, conn: u64, kind: &str, text: String) -> PyResult<()> {
        let why = convert::lost(kind, text);
        self.with(py, |inner, now| inner.client.transport_closed(ConnId(conn), why, now))
    }

    /// The deadline may have passed.
    fn handle_timeout(&self, py: Python<'_>) -> PyResult<()> {
        self.with(py, |inner, now| inner.client.handle_timeout(now))
    }

    // ── outputs: drained by the pump, in this order

    /// (connection, bytes to write on it), or None.
    fn poll_transmit<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        let Some((conn, mut bytes)) = self.lock(py)?.output() else { return Ok(None) };
        let transmit = (conn.0, PyBytes::new(py, &bytes));
        bytes.clear();
        self.lock(py)?.put_back(conn, bytes);
        Ok(Some(transmit))
    }

    /// ("connect", connection, host, port, name for TLS first or None), ("start_tls", connection, server name),
    /// ("credentials", connection, reason), ("sign", connection, nonce) or ("disconnect", connection), or None.
    fn poll_action<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let action = self.lock(py)?.action();
        action.map(|action| convert::action(py, action)).transpose()
    }

    /// All events, or None: ([(waiter, done, of how many)], [(waiter, result, exception or None)], [ready],
    /// [(word, exception or None, sentence)]).
    fn poll_events<'py>(&self, py: Python<'py>) -> PyResult<Option<Lists<'py>>> {
        let news = self.lock(py)?.news(py);
        if news.is_empty() {
            return Ok(None);
        }
        let [progress, done, ready, told] = [(); 4].map(|()| PyList::empty(py));
        for item in news {
            match item {
                News::Progress(object, done, total) => progress.append((object, done, total))?,
                News::Done(waiter, Ok(outcome)) => {
                    let result = convert::outcome(py, outcome, &waiter.context)?;
                    done.append((waiter.object, result, py.None()))?;
                }
                News::Done(Waiter { object, .. }, Err(error)) | News::Opened(object, Err(error)) => {
                    done.append((object, py.None(), errors::instance(py, &error)?))?;
                }
                News::Opened(object, Ok(())) => done.append((object, py.None(), py.None()))?,
                News::Ready(object) => ready.append(object)?,
                News::Told(word, error, text) => {
                    let error = error.map(|error| errors::instance(py, &error)).transpose()?;
                    told.append((word, error, text))?;
                }
            }
        }
        Ok(Some((progress, done, ready, told)))
    }

    /// When `handle_timeout` is due, on the clock of `time.monotonic()`.
    fn deadline(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        let deadline = self.lock(py)?.client.deadline();
        Ok(deadline.map(|at| self.start + at.as_nanos() as f64 / 1e9))
    }

    /// How many bytes `poll_transmit` would give.
    fn pending_transmit(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.lock(py)?.client.pending_transmit())
    }

    // ── getters

    /// The name of the policy of a handle's keys.
    fn key_policy(&self, py: Python<'_>, bucket: &Bucket) -> PyResult<&'static str> {
        Ok(self.lock(py)?.client.key_policy(bucket.id).name())
    }

    /// Why a handle cannot write, as far as is known.
    fn read_only(&self, py: Python<'_>, bucket: &Bucket) -> PyResult<Option<String>> {
        Ok(self.lock(py)?.client.read_only(bucket.id).map(str::to_owned))
    }

    /// The newest connection that `poll_action` asked for.
    #[getter]
    fn connection(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.lock(py)?.connection)
    }

    /// The connection's state in a word.
    #[getter]
    fn state(&self, py: Python<'_>) -> PyResult<&'static str> {
        if self.is_forked() {
            return Ok("closed");
        }
        Ok(convert::state(self.lock(py)?.client.state()).0)
    }

    /// The INFO of the connected server.
    #[getter]
    fn server_info(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let text = self.lock(py)?.client.server_info().map(|info| info.json.clone());
        text.map(|text| convert::from_json(py, &text)).transpose()
    }

    /// URL of the server in use or last used, without credentials.
    #[getter]
    fn connected_url(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.lock(py)?.client.connected_url())
    }

    /// (messages in, bytes in, messages out, bytes out, reconnects, seconds of the last round trip).
    #[getter]
    fn stats(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64, u64, f64)> {
        let stats = self.lock(py)?.client.stats();
        let round_trip = stats.round_trip.as_secs_f64();
        Ok((stats.in_msgs, stats.in_bytes, stats.out_msgs, stats.out_bytes, stats.reconnects, round_trip))
    }
}

impl Engine {
    /// Every command: `command` is core's verb, which takes or refuses it now; what comes of it goes to a new waiter.
    fn begin(
        &self,
        py: Python<'_>,
        context: Context,
        command: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>,
    ) -> PyResult<Begun> {
        self.begin_for(py, None, context, command)
    }

    /// The same with a waiter of the caller's own.
    fn begin_for(
        &self,
        py: Python<'_>,
        waiter: Option<Py<PyAny>>,
        context: Context,
        command: impl FnOnce(&mut Client, Instant) -> Result<OpId, Error>,
    ) -> PyResult<Begun> {
        let object = waiter.map_or_else(|| self.new_waiter.call0(py), Ok)?;
        let waiter = Waiter { object: object.clone_ref(py), context };
        let started = self.with(py, |inner, now| match command(&mut inner.client, now) {
            Ok(op) => {
                inner.waiters.insert(op, waiter);
                Ok((op.0, inner.client.pending_transmit()))
            }
            Err(error) => Err((error, waiter)), // dropped after the lock
        })?;
        let (op, pending) = started.map_err(|(error, _waiter)| errors::raise(py, &error))?;
        Ok((op, object, pending))
    }

    fn with<T>(&self, py: Python<'_>, action: impl FnOnce(&mut Inner, Instant) -> T) -> PyResult<T> {
        let mut inner = self.lock(py)?;
        let now = Instant::from_nanos(self.clock.elapsed().as_nanos() as u64);
        Ok(action(&mut inner, now))
    }

    /// Fails in a fork, and after a panic inside core, which leaves nothing to go on with.
    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Inner>> {
        self.check_process(py)?;
        self.inner.lock_py_attached(py).map_err(|_| {
            let message = "an earlier panic made this client unusable; please report it";
            errors::raise(py, &Error::new(ErrorCode::Internal, message))
        })
    }
}

impl Inner {
    /// What there is to write.
    fn output(&mut self) -> Option<(ConnId, Vec<u8>)> {
        if let Some(unsent) = self.unsent.take() {
            return Some(unsent);
        }
        let conn = self.client.poll_transmit(&mut self.transmit)?;
        Some((conn, mem::take(&mut self.transmit)))
    }

    fn action(&mut self) -> Option<Action> {
        let action = self.client.poll_action();
        if let Some(Action::Connect { conn, .. } | Action::Credentials { conn, .. }) = &action {
            self.connection = conn.0;
        }
        action
    }

    /// Takes an output back: what is left of it, or its capacity.
    fn put_back(&mut self, conn: ConnId, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.unsent = Some((conn, bytes));
        } else if bytes.capacity() <= 1 << 20 {
            self.transmit = bytes;
        }
    }

    fn news(&mut self, py: Python<'_>) -> Vec<News> {
        let mut news = Vec::new();
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Progress { op, done, total } => {
                    let waiter = self.waiters.get(&op).map(|waiter| waiter.object.clone_ref(py));
                    news.extend(waiter.map(|waiter| News::Progress(waiter, done, total)));
                }
                Event::Done { op, result } => {
                    let Some(waiter) = self.waiters.remove(&op) else { continue }; // cancelled
                    news.push(News::Done(waiter, result));
                }
                Event::WatchOpen { watch, result } => {
                    let opened = self.watches.get_mut(&watch).and_then(|watch| watch.opened.take());
                    news.extend(opened.map(|opened| News::Opened(opened, result)));
                }
                Event::WatchReady(watch) => {
                    let ready = self.watches.get(&watch).map(|watch| watch.ready.clone_ref(py));
                    news.extend(ready.map(News::Ready));
                }
                Event::State(state) => {
                    let (word, error) = convert::state(&state);
                    let text = error.map_or_else(|| word.to_owned(), |error| format!("{word}: {error}"));
                    news.push(News::Told(word, error.cloned(), text));
                }
                Event::Notice(notice) => {
                    let (word, text) = convert::notice(notice);
                    news.push(News::Told(word, None, text));
                }
            }
        }
        news
    }
}
