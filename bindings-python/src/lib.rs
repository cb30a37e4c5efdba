//! `natskv._native`: core behind Python objects. It owns no socket, no thread and no protocol.
//!
//! [`engine`] is one client of core with a mutex around it, [`convert`] turns Python values into core's and back,
//! [`errors`] turns core's errors into the classes of `natskv.errors`. The Python files do everything that moves:
//! `natskv/aio.py` on an event loop, `natskv/sync.py` on a socket; only a round of the latter over plain TCP is made
//! here, in `turn`, since that is a third less work.

mod convert;
mod engine;
mod entry;
mod errors;
#[cfg(unix)]
mod turn;

use pyo3::prelude::*;

/// Native part of natskv; its names are private to the package.
#[pymodule(gil_used = false)]
mod _native {
    #[pymodule_export]
    use crate::{
        engine::{Bucket, Engine},
        entry::KeyValueEntry,
    };
    use pyo3::{
        prelude::*,
        types::{PyDict, PyString},
    };

    /// Raises what core thinks of a bucket configuration in SPEC.md's JSON form.
    #[pyfunction]
    fn check_config(py: Python<'_>, config: &str) -> PyResult<()> {
        natskv_core::BucketConfig::from_json(config).map(drop).map_err(|error| crate::errors::raise(py, &error))
    }

    /// The exception for an error code by its name (`"UNSUPPORTED"`), with `message`.
    #[pyfunction]
    fn error<'py>(py: Python<'py>, code: &str, message: String) -> PyResult<Bound<'py, PyAny>> {
        crate::errors::from_name(py, code, message)
    }

    /// Seconds as a number or a timedelta, in nanoseconds.
    #[pyfunction]
    fn nanoseconds(time: crate::convert::Time) -> u64 {
        time.0.map_or(0, |time| time.as_nanos() as u64)
    }

    /// Raises what core thinks of credentials, given as the fields of `natskv.Credentials`.
    #[pyfunction]
    fn check_credentials(py: Python<'_>, given: &Bound<'_, PyDict>) -> PyResult<()> {
        let given = crate::convert::credentials(given)
            .map_err(|error| crate::errors::invalid(py, format!("option {}", error.value(py))))?;
        given.check().map_err(|error| crate::errors::raise(py, &error))
    }

    /// The entry in the bytes that a pickled one holds.
    #[pyfunction]
    fn restore_entry(py: Python<'_>, bucket: &Bound<'_, PyString>, data: &[u8]) -> PyResult<KeyValueEntry> {
        crate::entry::restore(py, bucket, data)
    }

    /// To be called in the child after every fork.
    #[pyfunction]
    fn after_fork() {
        crate::engine::after_fork();
    }

    /// Number and name of every error code.
    #[pyfunction]
    fn error_codes() -> Vec<(u16, &'static str)> {
        natskv_core::ErrorCode::ALL.iter().map(|code| (code.number(), code.name())).collect()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", PyString::new(module.py(), env!("CARGO_PKG_VERSION")))
    }
}
