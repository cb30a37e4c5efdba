//! INFO, which servers send first and again whenever something changed; and CONNECT, our answer to the first one.

use alloc::{string::String, vec::Vec};

use crate::{
    error::Error,
    json::{Object, Value},
    secret::Secret,
};

/// What the server said of itself. Unknown fields are ignored; all of it is kept as text too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// The INFO line's JSON text.
    pub json: String,
    /// Unique id of the server.
    pub server_id: String,
    /// Name of the server.
    pub server_name: String,
    /// Version text, such as `2.15.1`; for people, never to decide on.
    pub version: String,
    /// Largest message it takes, headers included.
    pub max_payload: usize,
    /// JetStream API level: 2 for server 2.12, 4 for 2.14, 5 for 2.15; 0 where it does not say, as before 2.12.
    pub api_level: u64,
    pub(crate) has_headers: bool,
    pub(crate) is_tls_required: bool,
    pub(crate) is_tls_available: bool,
    pub(crate) is_lame_duck: bool,
    /// What an nkey signs; in the first INFO of a connection, where the server knows nkeys.
    pub(crate) nonce: Option<String>,
    /// `host:port` of the cluster's members, for TCP and for WebSocket.
    pub(crate) connect_urls: Vec<String>,
    pub(crate) ws_connect_urls: Vec<String>,
}

impl ServerInfo {
    pub(crate) fn parse(json: &[u8]) -> Result<Self, Error> {
        let text = core::str::from_utf8(json).map_err(|_| Error::protocol("INFO is not UTF-8"))?.trim();
        let Ok(Value::Object(fields)) = Value::parse(text) else {
            return Err(Error::protocol("INFO is not a JSON object"));
        };
        let string = |name: &str| String::from(fields.get(name).and_then(Value::as_str).unwrap_or_default());
        let is = |name: &str| fields.get(name).and_then(Value::as_bool).unwrap_or(false);
        let list = |name: &str| fields.get(name).map(Value::texts).unwrap_or_default();
        Ok(Self {
            json: String::from(text),
            server_id: string("server_id"),
            server_name: string("server_name"),
            version: string("version"),
            max_payload: fields.get("max_payload").and_then(Value::as_u64).map_or(DEFAULT_MAX_PAYLOAD, |n| n as usize),
            api_level: fields.get("api_lvl").and_then(Value::as_u64).unwrap_or_default(),
            has_headers: is("headers"),
            is_tls_required: is("tls_required"),
            is_tls_available: is("tls_available"),
            is_lame_duck: is("ldm"),
            nonce: fields.get("nonce").and_then(Value::as_str).filter(|nonce| !nonce.is_empty()).map(String::from),
            connect_urls: list("connect_urls"),
            ws_connect_urls: list("ws_connect_urls"),
        })
    }
}

/// What servers allow when they do not say.
const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;

/// What CONNECT says beside the login.
pub(crate) struct ConnectOptions<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) lang: &'a str,
    pub(crate) is_tls: bool,
    pub(crate) echo: bool,
}

/// The JSON of CONNECT. `verbose` and `pedantic` are always sent as false: left out, the server takes both as true, and then
/// refuses consumer-create subjects that end in a filter with `>`.
pub(crate) fn connect_json(options: &ConnectOptions<'_>, login: &[(&str, Secret)], info: &ServerInfo) -> Value {
    let mut fields = Object::default();
    let mut put = |name: &str, value: Value| fields.insert(String::from(name), value);
    put("verbose", false.into());
    put("pedantic", false.into());
    put("tls_required", options.is_tls.into());
    put("lang", options.lang.into());
    put("version", env!("CARGO_PKG_VERSION").into());
    put("protocol", 1.into());
    put("echo", options.echo.into());
    put("headers", info.has_headers.into());
    put("no_responders", info.has_headers.into());
    if let Some(name) = options.name {
        put("name", name.into());
    }
    for (name, secret) in login {
        put(name, secret.as_str().into());
    }
    Value::Object(fields)
}
