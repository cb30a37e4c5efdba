//! `KeyValueEntry`: one revision of a key, whose Python fields are made when they are touched.
//!
//! Listing 100,000 keys hands out 100,000 of these, and most programs touch one field of each.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use natskv_core::{Entry, Operation};
use pyo3::{
    exceptions::PyTypeError,
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyList, PyMapping, PyString, PyTuple},
};

use crate::{
    convert::{Revision, Time, Value},
    errors,
};

/// One revision of a key, as reads and watches hand it out. Immutable; two are equal when all their fields are.
#[pyclass(frozen, module = "natskv")]
pub(crate) struct KeyValueEntry {
    bucket: Py<PyString>,
    entry: Entry,
    key: OnceLock<Py<PyString>>,
    value: OnceLock<Py<PyBytes>>,
}

impl KeyValueEntry {
    pub(crate) fn new(py: Python<'_>, entry: Entry, bucket: &Py<PyString>) -> Self {
        Self { bucket: bucket.clone_ref(py), entry, key: OnceLock::new(), value: OnceLock::new() }
    }
}

/// A field that is made when it is first touched. `PyOnceLock` gives the interpreter away each time it makes something,
/// which costs more than the making; here nothing runs while the cell is locked, so there is nothing to give it away for.
fn kept<'py, T>(py: Python<'py>, cell: &OnceLock<Py<T>>, make: impl FnOnce() -> Bound<'py, T>) -> Py<T> {
    match cell.get() {
        Some(field) => field.clone_ref(py),
        None => {
            let made = make().unbind();
            cell.get_or_init(|| made).clone_ref(py)
        }
    }
}

/// The entry in the bytes that a pickled one holds.
pub(crate) fn restore(py: Python<'_>, bucket: &Bound<'_, PyString>, data: &[u8]) -> PyResult<KeyValueEntry> {
    let entry = Entry::from_bytes(data).map_err(|error| errors::raise(py, &error))?;
    Ok(KeyValueEntry::new(py, entry, bucket.as_unbound()))
}

#[pymethods]
impl KeyValueEntry {
    /// An entry for tests of your own; those of a bucket come from its reads and watches.
    #[new]
    #[pyo3(signature = (
        bucket, key, value=None, revision=None, created=None, delta=0, operation=None, *, ttl=None, headers=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "its fields")]
    fn made(
        py: Python<'_>,
        bucket: &Bound<'_, PyString>,
        key: &str,
        value: Option<Value<'_>>,
        revision: Option<Revision>,
        created: Option<&Bound<'_, PyAny>>,
        delta: u64,
        operation: Option<&str>,
        ttl: Option<Time>,
        headers: Option<&Bound<'_, PyMapping>>,
    ) -> PyResult<Self> {
        let operations = [Operation::Put, Operation::Delete, Operation::Purge];
        let operation = match operation {
            None => Operation::Put,
            Some(name) => operations.into_iter().find(|operation| operation.name() == name).ok_or_else(|| {
                errors::invalid(py, format!("operation {name:?}: expected one of KeyValueOp: PUT, DEL, PURGE"))
            })?,
        };
        let headers = headers.map(pairs).transpose()?.unwrap_or_default();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let entry = Entry::sample(
            key,
            operation,
            ttl.and_then(|ttl| ttl.0),
            &headers,
            value.as_deref().unwrap_or_default(),
            revision.map_or(1, |revision| revision.0),
            created.map_or(Ok(0), nanoseconds_of)?,
            delta,
        );
        Ok(Self::new(py, entry.map_err(|error| errors::raise(py, &error))?, bucket.as_unbound()))
    }

    /// Name of the bucket.
    #[getter]
    fn bucket(&self, py: Python<'_>) -> Py<PyString> {
        self.bucket.clone_ref(py)
    }

    /// The key.
    #[getter]
    pub(crate) fn key(&self, py: Python<'_>) -> Py<PyString> {
        kept(py, &self.key, || PyString::new(py, self.entry.key()))
    }

    /// The key as it stands in the bucket: another than `key` where the bucket's keys have a codec.
    #[getter]
    fn raw_key(&self) -> &str {
        self.entry.raw_key()
    }

    /// The value. Empty for markers, for empty values, and where only metadata was asked for.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyBytes> {
        kept(py, &self.value, || PyBytes::new(py, self.entry.value()))
    }

    /// The revision: unique in the bucket, and higher for later writes.
    #[getter]
    fn revision(&self) -> u64 {
        self.entry.revision
    }

    /// When the server stored it: an aware datetime in UTC, cut to microseconds.
    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        moment(py, self.entry.created_ns)
    }

    /// How many newer entries waited behind this one when the server sent it; 0 for the newest, and for every `get`.
    #[getter]
    fn delta(&self) -> u64 {
        self.entry.delta
    }

    /// What this revision did: `KeyValueOp.PUT`, `DELETE` or `PURGE`.
    #[getter]
    fn operation<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static PUT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static DELETE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static PURGE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let cell = match self.entry.operation {
            Operation::Put => &PUT,
            Operation::Delete => &DELETE,
            Operation::Purge => &PURGE,
        };
        let member = || {
            let class = py.import("natskv.types")?.getattr("KeyValueOp")?;
            Ok::<_, PyErr>(class.call1((self.entry.operation.name(),))?.unbind())
        };
        Ok(cell.get_or_try_init(py, member)?.bind(py).clone())
    }

    /// Length of the value in bytes; known also where only metadata was asked for.
    #[getter]
    fn length(&self) -> u64 {
        self.entry.length
    }

    /// The time to live that it was written with, as a timedelta; None: without one.
    #[getter]
    fn ttl(&self) -> Option<Duration> {
        self.entry.ttl()
    }

    /// When it expires, by its own `ttl` or the bucket's: an aware datetime in UTC; None: never.
    ///
    /// Of the bucket's, a handle knows that asked the server when it was opened.
    #[getter]
    fn expires<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.entry.expires_ns.map(|at| moment(py, at)).transpose()
    }

    /// How much of that time is left by this machine's clock, as a timedelta; 0 when it has passed, None: for ever.
    #[getter]
    fn remaining_ttl(&self) -> Option<Duration> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as i64);
        self.entry.remaining_ttl(now)
    }

    /// The message's headers: for each name the list of its values, in the order they were stored.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let headers = PyDict::new(py);
        for (name, value) in self.entry.headers() {
            let values = headers.call_method1(intern!(py, "setdefault"), (name, PyList::empty(py)))?;
            values.cast::<PyList>()?.append(String::from_utf8_lossy(value))?;
        }
        Ok(headers)
    }

    /// The value as text.
    ///
    /// Raises UnicodeDecodeError when it is not UTF-8.
    fn text<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.value(py).into_bound(py).call_method0(intern!(py, "decode"))
    }

    /// The value as the object that its JSON text describes.
    ///
    /// Raises json.JSONDecodeError (a ValueError) when it is not JSON.
    fn json<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static LOADS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        LOADS.import(py, "json", "loads")?.call1((self.value(py),))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let Ok(other) = other.cast::<Self>() else { return Ok(py.NotImplemented()) };
        let is_equal = self.entry == other.get().entry && self.name(py)? == other.get().name(py)?;
        Ok(is_equal.into_pyobject(py)?.to_owned().into_any().unbind())
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<u64> {
        let mut hasher = DefaultHasher::new();
        (self.name(py)?, self.entry.key(), self.entry.revision).hash(&mut hasher);
        Ok(hasher.finish())
    }

    fn __copy__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __deepcopy__(this: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        this
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let restore = py.import("natskv._native")?.getattr("restore_entry")?;
        (restore, (self.bucket(py), PyBytes::new(py, &self.entry.to_bytes()))).into_pyobject(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Entry { revision, length, .. } = self.entry;
        let (bucket, key, operation) = (self.name(py)?, self.entry.key(), self.entry.operation.name());
        Ok(format!("<KeyValueEntry {bucket}/{key} {operation} revision={revision} length={length}>"))
    }
}

impl KeyValueEntry {
    fn name<'py>(&'py self, py: Python<'py>) -> PyResult<&'py str> {
        self.bucket.bind(py).to_str()
    }
}

/// A time as Python tells it, cut to microseconds.
fn moment(py: Python<'_>, unix_ns: i64) -> PyResult<Bound<'_, PyAny>> {
    epoch(py)?.add(timedelta(py)?.call1((0, 0, unix_ns.div_euclid(1000)))?)
}

/// The reverse; an error for a datetime without a time zone.
fn nanoseconds_of(moment: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = moment.py();
    let since = moment.sub(epoch(py)?).map_err(|_| PyTypeError::new_err("created: expected an aware datetime"))?;
    let micros: i64 = since.floor_div(timedelta(py)?.call1((0, 0, 1))?)?.extract()?;
    micros.checked_mul(1000).ok_or_else(|| errors::invalid(py, format!("created {moment}: expected 1678 to 2262")))
}

fn timedelta(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static TIMEDELTA: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    TIMEDELTA.import(py, "datetime", "timedelta")
}

fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let made = || {
        let datetime = py.import("datetime")?;
        let utc = datetime.getattr("timezone")?.getattr("utc")?;
        Ok::<_, PyErr>(datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind())
    };
    Ok(EPOCH.get_or_try_init(py, made)?.bind(py))
}

/// Headers from a mapping of names to one value each, or to several.
fn pairs(headers: &Bound<'_, PyMapping>) -> PyResult<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for item in headers.items()? {
        let (name, values): (String, Bound<'_, PyAny>) = item.extract()?;
        let values = match values.extract::<String>() {
            Ok(value) => vec![value],
            Err(_) => values.extract()?,
        };
        pairs.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    Ok(pairs)
}
