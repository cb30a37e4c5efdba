//! Core at the doors that `cargo xtask test access` tries: one socket, core's own WebSocket and signatures, no TLS.
//!
//! Reads a door a line, knocks, and answers with a line: `code`, and all that the client shows of itself. Asks with `{"sign": nonce}`
//! where a signature is to come from elsewhere.

#[cfg(not(target_family = "wasm"))]
fn main() -> std::io::Result<()> {
    probe::main()
}

#[cfg(target_family = "wasm")]
fn main() {}

#[cfg(not(target_family = "wasm"))]
mod probe {
    use std::{
        fmt::Write as _,
        io::{self, BufRead, Write as _},
        time::Duration,
    };

    use natskv_core::{
        BucketConfig, Compare, Config, Credentials, Error, HandleOptions, OnDrift, Outcome, Secret, Storage,
    };
    use natskv_kit::live::Live;
    use serde_json::{Value, json};

    pub(crate) fn main() -> io::Result<()> {
        while let Some(door) = hear()? {
            let mut shown = String::new();
            let code = match knock(&door, &mut shown) {
                Ok(()) => "OK".to_owned(),
                Err(error) => {
                    let _ = write!(shown, "{error} {error:?}");
                    error.code.name().to_owned()
                }
            };
            tell(&json!({"code": code, "shown": shown}))?;
        }
        Ok(())
    }

    fn hear() -> io::Result<Option<Value>> {
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
    }

    fn tell(value: &Value) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{value}")?;
        out.flush()
    }

    /// Connects, writes and reads; puts into `shown` whatever can be printed of the client.
    fn knock(door: &Value, shown: &mut String) -> Result<(), Error> {
        let text = |name: &str| door[name].as_str().map(String::from);
        let secret = |name: &str| text(name).map(Secret::from);
        let credentials = Credentials {
            user: text("user"),
            password: secret("password"),
            token: secret("token"),
            nkey_seed: secret("nkey_seed"),
            nkey: text("nkey"),
            jwt: secret("jwt"),
            creds: secret("creds_text"),
            signs: door["sign"] == true,
        };
        let mut config = Config {
            servers: text("url").into_iter().collect(),
            websocket_in_core: true,
            credentials,
            ..Config::default()
        };
        if let Some(prefix) = text("inbox_prefix") {
            config.inbox_prefix = prefix;
        }
        let _ = write!(shown, "{config:?} ");
        let mut live = Live::new(config)?;
        live.signer = Some(signature);
        let result = use_it(&mut live, door);
        let _ = write!(shown, "{:?} {:?} {:?} ", live.client, live.states, live.notices);
        result
    }

    fn use_it(live: &mut Live, door: &Value) -> Result<(), Error> {
        live.run(|c, now| c.ready(Some(Duration::from_secs(20)), now))?;
        let name = door["bucket"].as_str().unwrap_or("access");
        let config = BucketConfig { storage: Some(Storage::Memory), ..BucketConfig::new(name) };
        let options = HandleOptions::default();
        let opened = if door["opens"] == true {
            live.run(|c, now| c.open(name, &options, None, now))?
        } else {
            live.run(|c, now| c.create_bucket(&config, &options, Compare::Given, OnDrift::Error, None, now))?
        };
        let Outcome::Opened(opened) = opened else { panic!("{opened:?}") };
        let bucket = opened.bucket;
        live.run(|c, now| c.put(bucket, "k", b"v", None, None, now))?;
        let Outcome::Entry(entry) = live.run(|c, now| c.get(bucket, "k", None, None, now))? else { panic!("an entry") };
        assert_eq!(entry.value(), b"v");
        Ok(())
    }

    fn signature(nonce: &str) -> [u8; 64] {
        tell(&json!({"sign": nonce})).expect("somebody listens");
        let answer = hear().expect("an answer").expect("an answer");
        let text = answer["signature"].as_str().expect("a signature");
        let bytes: Vec<u8> =
            (0..64).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect();
        bytes.try_into().expect("64 bytes")
    }
}
