//! The options of `connect()` as core's Config.
//!
//! Names and units are those of `ConnectionOptions` in `ts/types.ts`; what is not known is refused, since a misspelt
//! option that is silently dropped is worse than an error.

use core::time::Duration;

use natskv_core::{Config, Error, ErrorCode};
use serde_json::Value;

pub(crate) fn parse(json: &str) -> Result<Config, Error> {
    let Ok(Value::Object(options)) = serde_json::from_str(json) else {
        return Err(invalid("connect options must be an object"));
    };
    let mut config = Config { lang: "javascript", ..Config::default() };
    for (name, value) in &options {
        let option = Given { name, value };
        match name.as_str() {
            "servers" => config.servers = option.texts()?,
            "name" => config.name = Some(option.text()?),
            "user" => config.user = Some(option.text()?),
            "pass" => config.password = Some(option.text()?),
            "token" => config.token = Some(option.text()?),
            "timeout" => config.connect_timeout = option.millis()?,
            "requestTimeout" => config.request_timeout = option.millis()?,
            "pingInterval" => config.ping_interval = option.millis()?,
            "maxPingOut" => config.max_pings_out = option.number(1.0, f64::from(u32::MAX))? as u32,
            "reconnect" => config.reconnect = option.flag()?,
            "maxReconnectAttempts" => {
                let attempts = option.number(-1.0, f64::from(u32::MAX))?;
                config.max_reconnects = (attempts >= 0.0).then_some(attempts as u32);
            }
            "waitOnFirstConnect" => config.retry_first_connect = option.flag()?,
            "reconnectTimeWait" => config.reconnect_wait = option.millis()?,
            "maxReconnectTimeWait" => config.max_reconnect_wait = option.millis()?,
            "noRandomize" => config.randomize_servers = !option.flag()?,
            "inboxPrefix" => config.inbox_prefix = option.text()?,
            "domain" => config.domain = Some(option.text()?),
            "apiPrefix" => config.api_prefix = Some(option.text()?),
            "pendingLimit" => config.pending_limit = option.number(0.0, f64::from(u32::MAX))? as usize,
            "watchLimit" => config.watch_limit = option.number(0.0, f64::from(u32::MAX))? as usize,
            _ => return Err(invalid(format!("connect option \"{name}\" is not known"))),
        }
    }
    Ok(config)
}

struct Given<'a> {
    name: &'a str,
    value: &'a Value,
}

impl Given<'_> {
    fn text(&self) -> Result<String, Error> {
        self.value.as_str().map(String::from).ok_or_else(|| self.wrong("a string"))
    }

    fn texts(&self) -> Result<Vec<String>, Error> {
        match self.value {
            Value::String(text) => Ok(vec![text.clone()]),
            Value::Array(texts) if !texts.is_empty() => {
                texts.iter().map(|value| Given { name: self.name, value }.text()).collect()
            }
            _ => Err(self.wrong("a string or a list of strings")),
        }
    }

    fn flag(&self) -> Result<bool, Error> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    fn number(&self, least: f64, most: f64) -> Result<f64, Error> {
        let number = self.value.as_f64().filter(|n| (least..=most).contains(n) && *n % 1.0 == 0.0);
        number.ok_or_else(|| self.wrong(&format!("a whole number from {least} to {most}")))
    }

    fn millis(&self) -> Result<Duration, Error> {
        let millis = self.value.as_f64().filter(|n| *n > 0.0);
        millis.map(|n| Duration::from_nanos((n * 1e6) as u64)).ok_or_else(|| self.wrong("a duration above zero"))
    }

    fn wrong(&self, right: &str) -> Error {
        invalid(format!("connect option \"{}\": {} must be {right}", self.name, self.value))
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}
