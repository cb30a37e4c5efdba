//! Core's errors as the exceptions of `natskv.errors`, which says what class belongs to what code.

use natskv_core::{Error, ErrorCode};
use pyo3::{
    exceptions::PyKeyError,
    intern,
    prelude::*,
    sync::PyOnceLock,
    types::{IntoPyDict, PyDict},
};

/// The exception for `error`, ready to be raised from a call.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    match instance(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failure) => failure,
    }
}

/// The exception for `error`, as a value that is raised later or elsewhere.
pub(crate) fn instance<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let class = classes(py)?.get_item(error.code.name())?;
    let class = class.ok_or_else(|| PyKeyError::new_err(error.code.name()))?;
    let details = [
        (intern!(py, "code"), error.code.name().into_pyobject(py)?.into_any()),
        (intern!(py, "api_code"), error.api_code.into_pyobject(py)?.into_any()),
        (intern!(py, "revision"), error.revision.into_pyobject(py)?.into_any()),
        (intern!(py, "maybe_applied"), error.maybe_applied.into_pyobject(py)?.to_owned().into_any()),
        (intern!(py, "json"), error.to_json().into_pyobject(py)?.into_any()),
    ];
    class.call((&*error.message,), Some(&details.into_py_dict(py)?))
}

/// The exception for a code by its name.
pub(crate) fn from_name<'py>(py: Python<'py>, name: &str, message: String) -> PyResult<Bound<'py, PyAny>> {
    let code = ErrorCode::ALL.iter().copied().find(|code| code.name() == name);
    let code = code.ok_or_else(|| PyKeyError::new_err(name.to_owned()))?;
    instance(py, &Error::new(code, message))
}

/// INVALID_ARGUMENT, for what this binding refuses before core sees it.
pub(crate) fn invalid(py: Python<'_>, message: String) -> PyErr {
    raise(py, &Error::new(ErrorCode::InvalidArgument, message))
}

fn classes(py: Python<'_>) -> PyResult<&Bound<'_, PyDict>> {
    static CLASSES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    CLASSES.import(py, "natskv.errors", "BY_CODE")
}
