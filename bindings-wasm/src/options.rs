//! The options of `connect()` as core's Config.
//!
//! Names and units are those of `ConnectionOptions` in `ts/types.ts`. Names and types were checked in `ts/options.ts`,
//! where it costs less to carry; what is absent here keeps core's default.

use core::time::Duration;

use natskv_core::{
    Config, Credentials, Error, ErrorCode, Secret,
    json::{Object, Value},
};

pub(crate) fn parse(json: &str) -> Result<Config, Error> {
    let mut options = object(json)?;
    let credentials = take_credentials(&mut options);
    let given = Given(&options);
    let mut config = Config { lang: "javascript", credentials, ..Config::default() };
    config.asks_credentials = given.flag("asksCredentials", false);
    if let Some(servers) = options.get("servers") {
        config.servers = servers.texts();
    }
    config.name = given.text("name");
    config.domain = given.text("domain");
    config.api_prefix = given.text("apiPrefix");
    if let Some(prefix) = given.text("inboxPrefix") {
        config.inbox_prefix = prefix;
    }
    given.duration("timeout", &mut config.connect_timeout);
    given.duration("requestTimeout", &mut config.request_timeout);
    given.duration("pingInterval", &mut config.ping_interval);
    given.duration("reconnectTimeWait", &mut config.reconnect_wait);
    given.duration("maxReconnectTimeWait", &mut config.max_reconnect_wait);
    if let Some(most) = given.number("maxPingOut") {
        config.max_pings_out = most as u32;
    }
    config.max_reconnects = given.number("maxReconnectAttempts").and_then(|most| u32::try_from(most).ok());
    if let Some(limit) = given.number("pendingLimit") {
        config.pending_limit = limit as usize;
    }
    if let Some(limit) = given.number("watchLimit") {
        config.watch_limit = limit as usize;
    }
    config.tls = given.flag("tls", false);
    config.tls_first = given.flag("tlsFirst", false);
    config.retry_writes = given.flag("retryWrites", false);
    config.reconnect = given.flag("reconnect", true);
    config.retry_first_connect = given.flag("waitOnFirstConnect", false);
    config.randomize_servers = !given.flag("noRandomize", false);
    Ok(config)
}

/// What an authenticator said, in the form of `ts/auth.ts`.
pub(crate) fn credentials(json: &str) -> Result<Credentials, Error> {
    object(json).map(|mut said| take_credentials(&mut said))
}

fn object(json: &str) -> Result<Object, Error> {
    match Value::parse(json) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(Error::new(ErrorCode::InvalidArgument, "an object is needed")),
    }
}

/// Takes them out, so that no copy stays behind.
fn take_credentials(options: &mut Object) -> Credentials {
    let mut text = |name: &str| match options.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Credentials {
        user: text("user"),
        password: text("pass").map(Secret::from),
        token: text("token").map(Secret::from),
        nkey_seed: text("seed").map(Secret::from),
        nkey: text("nkey"),
        jwt: text("jwt").map(Secret::from),
        creds: text("creds").map(Secret::from),
        signs: options.contains_key("signs"),
    }
}

struct Given<'a>(&'a Object);

impl Given<'_> {
    fn text(&self, name: &str) -> Option<String> {
        self.0.get(name)?.as_str().map(String::from)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    fn flag(&self, name: &str, default: bool) -> bool {
        self.0.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    fn duration(&self, name: &str, to: &mut Duration) {
        if let Some(millis) = self.number(name) {
            *to = Duration::from_millis(millis.unsigned_abs());
        }
    }
}
