//! Python values as core wants them, and core's results as Python wants them.

use std::time::Duration;

use natskv_core::{
    Action, BucketConfig, Config, Credentials, Entry, HandleOptions, KeyPolicy, Lost, Notice, OnDrift, Outcome, Reason,
    State, TlsMode,
};
use pyo3::{
    IntoPyObjectExt,
    buffer::PyBuffer,
    exceptions::PyTypeError,
    prelude::*,
    pybacked::PyBackedStr,
    sync::PyOnceLock,
    types::{PyBool, PyBytes, PyDict, PyMapping, PyString, PyTuple, PyType},
};

use crate::{engine::Bucket, entry::KeyValueEntry, errors};

/// A value to write: `str` becomes UTF-8, anything else is taken through the buffer protocol.
pub(crate) struct Value<'py>(Bound<'py, PyBytes>);

impl std::ops::Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Value<'py> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = value.cast::<PyBytes>() {
            return Ok(Self(bytes.to_owned()));
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(Self(text.encode_utf8()?));
        }
        let py = value.py();
        let Ok(buffer) = PyBuffer::<u8>::get(&value) else {
            let kind = value.get_type().name()?;
            return Err(PyTypeError::new_err(format!("a value is bytes, bytearray, memoryview or str, not {kind}")));
        };
        Ok(Self(PyBytes::new(py, &buffer.to_vec(py)?)))
    }
}

/// Seconds as a number or a `timedelta`. `None` and 0 are "none given".
pub(crate) struct Time(pub(crate) Option<Duration>);

/// The longest time that is taken: longer ones are nearly always nanoseconds or milliseconds by mistake.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

impl<'a, 'py> FromPyObject<'a, 'py> for Time {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        if value.is_none() {
            return Ok(Self(None));
        }
        let wrong = || PyTypeError::new_err("a time is a number of seconds or a timedelta");
        if value.is_instance_of::<PyBool>() {
            return Err(wrong());
        }
        let seconds: f64 = match value.extract() {
            Ok(seconds) => seconds,
            Err(_) => value.call_method0("total_seconds").map_err(|_| wrong())?.extract()?,
        };
        if !(0.0..=LONGEST).contains(&seconds) {
            let message = format!("time {seconds}: expected 0 to 100 years, in seconds");
            return Err(errors::invalid(py, message));
        }
        Ok(Self(Some(Duration::from_secs_f64(seconds)).filter(|time| !time.is_zero())))
    }
}

/// A revision: an integer of 64 bits without sign.
#[derive(Clone, Copy)]
pub(crate) struct Revision(pub(crate) u64);

impl<'a, 'py> FromPyObject<'a, 'py> for Revision {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if value.is_instance_of::<PyBool>() || !value.hasattr("__index__")? {
            return Err(PyTypeError::new_err(format!("a revision is an int, not {}", value.get_type().name()?)));
        }
        let revision = value.extract().map(Self);
        revision.map_err(|_| errors::invalid(value.py(), format!("revision {}: expected 1 to 2**64 - 1", &*value)))
    }
}

/// A bucket's configuration: (a configuration in any of its forms, fields over it), as `natskv.config.spec` takes them.
pub(crate) struct Spec(pub(crate) BucketConfig);

impl<'a, 'py> FromPyObject<'a, 'py> for Spec {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let py = value.py();
        let text = py.import("natskv.config")?.getattr("spec")?.call1(value.cast::<PyTuple>()?.to_owned())?;
        BucketConfig::from_json(text.extract()?).map(Self).map_err(|error| errors::raise(py, &error))
    }
}

/// An operation for `execute`, in any of its forms.
pub(crate) struct Json(pub(crate) String);

impl<'a, 'py> FromPyObject<'a, 'py> for Json {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let text = value.py().import("natskv.config")?.getattr("operation")?.call1((value,))?;
        Ok(Self(text.extract()?))
    }
}

/// What a bucket handle is to be like: (key policy or None, leader reads, read only, reserved keys).
pub(crate) struct Handle(pub(crate) HandleOptions);

impl<'a, 'py> FromPyObject<'a, 'py> for Handle {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let (keys, leader_reads, read_only, reserved_keys): (Option<String>, bool, bool, bool) = value.extract()?;
        let keys = keys.map(|name| KeyPolicy::parse(&name)).transpose();
        let keys = keys.map_err(|error| errors::raise(value.py(), &error))?;
        Ok(Self(HandleOptions { keys, leader_reads, read_only, reserved_keys }))
    }
}

/// `"error"` or None, `"ignore"`, `"update"`.
pub(crate) struct Drift(pub(crate) OnDrift);

impl<'a, 'py> FromPyObject<'a, 'py> for Drift {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if value.is_none() {
            return Ok(Self(OnDrift::Error));
        }
        match value.extract::<&str>()? {
            "error" => Ok(Self(OnDrift::Error)),
            "ignore" => Ok(Self(OnDrift::Ignore)),
            "update" => Ok(Self(OnDrift::Update)),
            other => {
                let message = format!("on_drift {other:?}: expected \"error\", \"ignore\" or \"update\"");
                Err(errors::invalid(value.py(), message))
            }
        }
    }
}

/// Keys and values to write: any mapping.
pub(crate) struct Items<'py>(pub(crate) Vec<(Bound<'py, PyString>, Value<'py>)>);

impl<'a, 'py> FromPyObject<'a, 'py> for Items<'py> {
    type Error = PyErr;

    fn extract(mapping: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let Ok(mapping) = mapping.cast::<PyMapping>() else {
            let kind = mapping.get_type().name()?;
            return Err(PyTypeError::new_err(format!("expected a mapping of keys to values, not {kind}")));
        };
        let item = |item: Bound<'py, PyAny>| {
            let (key, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let named = |error: PyErr| PyTypeError::new_err(format!("key {key:?}: {}", error.value(key.py())));
            let value = value.extract::<Value<'py>>().map_err(named)?;
            let key = key.cast::<PyString>().map_err(|_| named(PyTypeError::new_err("a key is str")))?;
            Ok((key.clone(), value))
        };
        Ok(Self(mapping.items()?.iter().map(item).collect::<PyResult<_>>()?))
    }
}

/// Core's configuration from the options of `connect`: absent and `None` mean the default.
pub(crate) fn config(options: &Bound<'_, PyDict>) -> PyResult<Config> {
    let mut config = Config { lang: "python", websocket_in_core: true, ..Config::default() };
    for (name, value) in options {
        let name: &str = name.extract()?;
        if !value.is_none() {
            set_option(&mut config, name, &value).map_err(|error| {
                let py = value.py();
                errors::invalid(py, format!("option {name}: {}", error.value(py)))
            })?;
        }
    }
    Ok(config)
}

fn set_option(config: &mut Config, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    match name {
        "servers" => config.servers = value.extract()?,
        "name" => config.name = value.extract()?,
        "credentials" => config.credentials = credentials(value.cast()?)?,
        "asks_credentials" => config.asks_credentials = value.extract()?,
        "tls" => config.tls = value.extract()?,
        "tls_first" => config.tls_first = value.extract()?,
        "connect_timeout" => set_time(&mut config.connect_timeout, value)?,
        "request_timeout" => set_time(&mut config.request_timeout, value)?,
        "ping_interval" => set_time(&mut config.ping_interval, value)?,
        "max_pings_out" => config.max_pings_out = value.extract()?,
        "reconnect" => config.reconnect = value.extract()?,
        "max_reconnects" => config.max_reconnects = value.extract()?,
        "retry_first_connect" => config.retry_first_connect = value.extract()?,
        "reconnect_wait" => set_time(&mut config.reconnect_wait, value)?,
        "max_reconnect_wait" => set_time(&mut config.max_reconnect_wait, value)?,
        "randomize_servers" => config.randomize_servers = value.extract()?,
        "inbox_prefix" => config.inbox_prefix = value.extract()?,
        "domain" => config.domain = value.extract()?,
        "api_prefix" => config.api_prefix = value.extract()?,
        "retry_writes" => config.retry_writes = value.extract()?,
        "pending_limit" => config.pending_limit = value.extract()?,
        _ => return Err(PyTypeError::new_err("there is none of this name")),
    }
    Ok(())
}

/// Core's credentials from those of `natskv.Credentials`; no message has a value in it.
pub(crate) fn credentials(given: &Bound<'_, PyDict>) -> PyResult<Credentials> {
    let mut credentials = Credentials::default();
    for (name, value) in given {
        let name: &str = name.extract()?;
        if value.is_none() {
            continue;
        }
        if name == "signs" {
            credentials.signs = value.extract()?;
            continue;
        }
        let Ok(text) = value.extract::<String>() else {
            return Err(PyTypeError::new_err(format!("{name}: expected str, not {}", value.get_type().name()?)));
        };
        match name {
            "user" => credentials.user = Some(text),
            "password" => credentials.password = Some(text.into()),
            "token" => credentials.token = Some(text.into()),
            "nkey_seed" => credentials.nkey_seed = Some(text.into()),
            "nkey" => credentials.nkey = Some(text),
            "jwt" => credentials.jwt = Some(text.into()),
            "creds" => credentials.creds = Some(text.into()),
            _ => return Err(PyTypeError::new_err(format!("{name}: there is none of this name"))),
        }
    }
    Ok(credentials)
}

fn set_time(field: &mut Duration, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(time) = value.extract::<Time>()?.0 {
        *field = time;
    }
    Ok(())
}

/// What a result needs besides itself.
pub(crate) enum Context {
    Nothing,
    /// The bucket that its entries are of.
    Bucket(Py<PyString>),
    /// The keys that it is about, in the order given.
    Keys(Vec<Py<PyString>>),
}

impl Context {
    fn bucket(&self, py: Python<'_>) -> Py<PyString> {
        match self {
            Self::Bucket(name) => name.clone_ref(py),
            Self::Nothing | Self::Keys(_) => PyString::intern(py, "").unbind(),
        }
    }

    fn keys(&self) -> &[Py<PyString>] {
        match self {
            Self::Keys(keys) => keys,
            Self::Nothing | Self::Bucket(_) => &[],
        }
    }
}

/// How an operation ended well. JSON stays text: what makes objects of it runs where it was asked for, so that a failure,
/// or a Ctrl-C in the middle, is nobody else's.
pub(crate) fn outcome(py: Python<'_>, outcome: Outcome, context: &Context) -> PyResult<Py<PyAny>> {
    match outcome {
        Outcome::Unit => Ok(py.None()),
        Outcome::Revision(revision) => revision.into_py_any(py),
        Outcome::Entry(found) => KeyValueEntry::new(py, found, &context.bucket(py)).into_py_any(py),
        Outcome::Entries(entries) => {
            let bucket = context.bucket(py);
            let entries = entries.into_iter().map(|entry| KeyValueEntry::new(py, entry, &bucket));
            entries.collect::<Vec<_>>().into_py_any(py)
        }
        Outcome::Many { entries, as_of } => many(py, entries, as_of, &context.bucket(py)),
        Outcome::Written(results) => written(py, context.keys(), results),
        Outcome::Names(names) => names.into_py_any(py),
        Outcome::Opened(opened) => {
            let drift = PyTuple::new(py, opened.drift)?.unbind();
            Bucket::new(py, opened.bucket, &opened.status.bucket, drift).into_py_any(py)
        }
        Outcome::Status(status) => status.to_json().into_py_any(py),
        Outcome::Statuses(statuses) => statuses.iter().map(|s| s.to_json()).collect::<Vec<_>>().into_py_any(py),
        Outcome::Purged(count) | Outcome::Count(count) => count.into_py_any(py),
        Outcome::RoundTrip(time) => time.as_secs_f64().into_py_any(py),
        Outcome::Json(text) => text.into_py_any(py),
    }
}

/// What a JSON text describes.
pub(crate) fn from_json(py: Python<'_>, text: &str) -> PyResult<Py<PyAny>> {
    Ok(py.import("json")?.getattr("loads")?.call1((text,))?.unbind())
}

/// What get_many found, as a `KeyValueEntries`.
fn many(py: Python<'_>, entries: Vec<Entry>, as_of: Option<u64>, bucket: &Py<PyString>) -> PyResult<Py<PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let found = CLASS.import(py, "natskv.types", "KeyValueEntries")?.call0()?;
    let by_key = found.cast::<PyDict>()?;
    for entry in entries {
        let entry = Bound::new(py, KeyValueEntry::new(py, entry, bucket))?;
        by_key.set_item(entry.get().key(py), entry)?;
    }
    found.setattr("as_of", as_of)?;
    Ok(found.unbind())
}

/// What became of each key of put_many: its revision, or an exception that is not raised.
fn written(
    py: Python<'_>,
    keys: &[Py<PyString>],
    results: Vec<Result<u64, natskv_core::Error>>,
) -> PyResult<Py<PyAny>> {
    let by_key = PyDict::new(py);
    for (key, result) in keys.iter().zip(results) {
        match result {
            Ok(revision) => by_key.set_item(key, revision)?,
            Err(error) => by_key.set_item(key, errors::instance(py, &error)?)?,
        }
    }
    by_key.into_py_any(py)
}

/// An action as a tuple that Python takes apart with `match`.
pub(crate) fn action(py: Python<'_>, action: Action) -> PyResult<Bound<'_, PyTuple>> {
    match action {
        Action::Credentials { conn, reason } => ("credentials", conn.0, reason_name(reason)).into_pyobject(py),
        Action::Sign { conn, nonce, .. } => ("sign", conn.0, nonce).into_pyobject(py), // seeds sign in core
        Action::Connect { conn, server, tls } => {
            let tls_name = (tls == TlsMode::First).then_some(server.tls_name);
            ("connect", conn.0, server.host, server.port, tls_name).into_pyobject(py)
        }
        Action::StartTls { conn, server_name } => ("start_tls", conn.0, server_name).into_pyobject(py),
        Action::Disconnect { conn } => ("disconnect", conn.0).into_pyobject(py),
    }
}

/// Why credentials are asked for.
const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::First => "first",
        Reason::Reconnect => "reconnect",
        Reason::Refused => "refused",
        Reason::Expired => "expired",
    }
}

/// Why a transport is gone, from the word and the text that the transports give.
pub(crate) fn lost(kind: &str, text: String) -> Lost {
    match kind {
        "refused" => Lost::Refused,
        "unreachable" => Lost::Unreachable,
        "eof" => Lost::Eof,
        "reset" => Lost::Reset,
        "tls" => Lost::Tls(text),
        _ => Lost::Other(text),
    }
}

/// The word for a state, and the error that it carries.
pub(crate) fn state(state: &State) -> (&'static str, Option<&natskv_core::Error>) {
    match state {
        State::Connecting => ("connecting", None),
        State::Connected => ("connected", None),
        State::Disconnected(error) => ("disconnected", Some(error)),
        State::Reconnecting => ("reconnecting", None),
        State::Draining => ("draining", None),
        State::Closed(error) => ("closed", error.as_ref()),
    }
}

/// The word for a notice, and a sentence for the log.
pub(crate) fn notice(notice: Notice) -> (&'static str, String) {
    match notice {
        Notice::ServerError(text) => ("server_error", format!("the server says: {text}")),
        Notice::LameDuck => ("lame_duck", String::from("the server is about to shut down")),
        Notice::WatchResumed(_, why) => ("watch_resumed", format!("a watch asked for its consumer anew: {why}")),
        Notice::WatchOverflow(_) => {
            ("watch_overflow", String::from("a watch's reader was too slow; what was unread is asked for again"))
        }
        Notice::WatchReset(_) => {
            ("watch_reset", String::from("a bucket under a watch was deleted and created again; the watch starts anew"))
        }
    }
}

/// Filters as core takes them.
pub(crate) fn as_strs(filters: &[PyBackedStr]) -> Vec<&str> {
    filters.iter().map(|filter| &**filter).collect()
}
