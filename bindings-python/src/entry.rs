//! `KeyValueEntry`: one revision of a key, whose Python fields are made when they are touched.
//!
//! Listing 100,000 keys hands out 100,000 of these, and most programs touch one field of each.

use std::hash::{DefaultHasher, Hash, Hasher};

use natskv_core::{Entry, Operation};
use pyo3::{
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyList, PyString},
};

/// One revision of a key, as reads and watches hand it out. Immutable; two are equal when all their fields are.
#[pyclass(frozen, module = "natskv")]
pub(crate) struct KeyValueEntry {
    bucket: Option<Py<PyString>>,
    entry: Entry,
    value: PyOnceLock<Py<PyBytes>>,
}

impl KeyValueEntry {
    pub(crate) fn new(py: Python<'_>, entry: Entry, bucket: Option<&Py<PyString>>) -> Self {
        Self { bucket: bucket.map(|name| name.clone_ref(py)), entry, value: PyOnceLock::new() }
    }
}

#[pymethods]
impl KeyValueEntry {
    /// Name of the bucket.
    #[getter]
    fn bucket(&self, py: Python<'_>) -> Option<Py<PyString>> {
        self.bucket.as_ref().map(|name| name.clone_ref(py))
    }

    /// The key.
    #[getter]
    fn key(&self) -> &str {
        self.entry.key()
    }

    /// The value. Empty for markers, for empty values, and where only metadata was asked for.
    #[getter]
    fn value(&self, py: Python<'_>) -> Py<PyBytes> {
        self.value.get_or_init(py, || PyBytes::new(py, self.entry.value()).unbind()).clone_ref(py)
    }

    /// The revision: unique in the bucket, and higher for later writes.
    #[getter]
    fn revision(&self) -> u64 {
        self.entry.revision
    }

    /// When the server stored it: an aware datetime in UTC, cut to microseconds.
    #[getter]
    fn created<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        static TIMEDELTA: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let epoch = EPOCH.get_or_try_init(py, || epoch(py))?.bind(py);
        let delta = TIMEDELTA.import(py, "datetime", "timedelta")?;
        epoch.add(delta.call1((0, 0, self.entry.created_ns.div_euclid(1000)))?)
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

    /// The `Nats-TTL` it was written with, as the header says it (`"60"`, `"1m30s"`), or None.
    #[getter]
    fn ttl(&self) -> Option<String> {
        self.entry.ttl().map(|ttl| format!("{}ms", ttl.as_millis()))
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

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let Entry { revision, length, .. } = self.entry;
        let (bucket, key, operation) = (self.name(py)?, self.entry.key(), self.entry.operation.name());
        Ok(format!("<KeyValueEntry {bucket}/{key} {operation} revision={revision} length={length}>"))
    }
}

impl KeyValueEntry {
    fn name<'py>(&'py self, py: Python<'py>) -> PyResult<&'py str> {
        self.bucket.as_ref().map_or(Ok(""), |name| name.bind(py).to_str())
    }
}

fn epoch(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let datetime = py.import("datetime")?;
    let utc = datetime.getattr("timezone")?.getattr("utc")?;
    Ok(datetime.getattr("datetime")?.call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind())
}
