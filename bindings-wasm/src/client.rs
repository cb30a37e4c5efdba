//! The one class that wasm exports. Users never see it: `ts/connection.ts` owns it.
//!
//! Times are milliseconds of `performance.now()`, durations are milliseconds, ids and revisions are numbers, and a number that
//! is not given is NaN. An error at the call is thrown as core's JSON text, of which TypeScript makes a `KvError`; what the
//! network says comes in a batch.

use natskv_core::{Client, ConnId, Error, ErrorCode, Instant, Lost, OpId, Signature, WatchId};
use wasm_bindgen::prelude::*;
use zeroize::Zeroizing;

use crate::{
    batch::Batch,
    options,
    verb::{self, Call},
};

/// One connection's client and its way out.
#[wasm_bindgen]
pub struct Engine {
    client: Client,
    batch: Batch,
}

#[wasm_bindgen]
impl Engine {
    /// `options` is the JSON form of `ConnectionOptions`, durations in milliseconds; `entropy` is 32 random bytes.
    #[wasm_bindgen(constructor)]
    pub fn new(options: String, entropy: &[u8], now: f64) -> Result<Self, JsValue> {
        let config = options::parse(&Zeroizing::new(options)).map_err(thrown)?;
        let mut seed = [0; 32];
        seed.iter_mut().zip(entropy).for_each(|(to, from)| *to = *from);
        let client = Client::new(config, seed, at(now)).map_err(thrown)?;
        Ok(Self { client, batch: Batch::default() })
    }

    // ── what users ask for

    /// Starts the verb of this number, and gives its id: of an operation, a watch or a bucket. `verb.rs` says what the arguments mean.
    #[expect(clippy::too_many_arguments, reason = "one call across the border is cheaper than an object")]
    pub fn start(
        &mut self,
        verb: u32,
        bucket: u32,
        text: &str,
        bytes: &[u8],
        number: f64,
        ttl: f64,
        timeout: f64,
        now: f64,
    ) -> Result<f64, JsValue> {
        let call = Call { bucket, text, bytes, number, ttl, timeout };
        verb::start(&mut self.client, verb, &call, at(now)).map_err(thrown)
    }

    pub fn cancel(&mut self, op: f64, now: f64) {
        self.client.cancel(OpId(op as u64), at(now));
    }

    /// A batch with the items that are there, up to a bound. Only an empty batch re-arms `WATCH_READY`.
    pub fn watch_pull(&mut self, watch: f64, now: f64) -> *const f64 {
        self.batch.pull(&mut self.client, WatchId(watch as u64), at(now))
    }

    pub fn watch_stop(&mut self, watch: f64, now: f64) {
        self.client.watch_stop(WatchId(watch as u64), at(now));
    }

    pub fn drain(&mut self, now: f64) {
        self.client.drain(at(now));
    }

    pub fn close(&mut self, now: f64) {
        self.client.close(at(now));
    }

    pub fn sleep(&mut self, now: f64) {
        self.client.sleep(at(now));
    }

    pub fn wake(&mut self, now: f64) {
        self.client.wake(at(now));
    }

    // ── who we are

    /// The answer to `CREDENTIALS`: JSON as `options::credentials` reads it, or why there are none.
    pub fn credentials(&mut self, conn: f64, said: String, is_error: bool, now: f64) {
        let said = Zeroizing::new(said);
        let given = if is_error { Err(refusal(&said)) } else { options::credentials(&said) };
        self.client.credentials(ConnId(conn as u64), given, at(now));
    }

    /// The answer to `SIGN`: 64 bytes of signature and, after those, the public key where core gave the seed; or why there is none.
    pub fn signature(&mut self, conn: f64, bytes: &[u8], error: Option<String>, is_unsupported: bool, now: f64) {
        let given = match (error, bytes.split_first_chunk()) {
            (Some(why), _) if is_unsupported => Err(Error::new(ErrorCode::Unsupported, why)),
            (Some(why), _) => Err(refusal(&why)),
            (None, Some((signature, rest))) => {
                Ok(Signature { signature: *signature, public_key: rest.first_chunk().copied() })
            }
            (None, None) => Err(refusal("a signature has 64 bytes")),
        };
        self.client.signature(ConnId(conn as u64), given, at(now));
    }

    // ── the transport's side

    pub fn transport_open(&mut self, conn: f64, now: f64) {
        self.client.transport_open(ConnId(conn as u64), at(now));
    }

    pub fn transport_secured(&mut self, conn: f64, now: f64) {
        self.client.transport_secured(ConnId(conn as u64), at(now));
    }

    pub fn receive(&mut self, conn: f64, bytes: &[u8], now: f64) {
        self.client.receive(ConnId(conn as u64), bytes, at(now));
    }

    /// `why` is one of "refused", "unreachable", "eof" and "reset", or free text for the message; `is_tls`: TLS failed.
    pub fn transport_closed(&mut self, conn: f64, why: &str, is_tls: bool, now: f64) {
        let why = match why {
            text if is_tls => Lost::Tls(text.into()),
            "refused" => Lost::Refused,
            "unreachable" => Lost::Unreachable,
            "eof" => Lost::Eof,
            "reset" => Lost::Reset,
            text => Lost::Other(text.into()),
        };
        self.client.transport_closed(ConnId(conn as u64), why, at(now));
    }

    pub fn handle_timeout(&mut self, now: f64) {
        self.client.handle_timeout(at(now));
    }

    /// Everything that core has to say, as a batch; see `batch.rs` for its form. Without `write`, output stays in core.
    pub fn poll(&mut self, write: bool) -> *const f64 {
        self.batch.poll(&mut self.client, write)
    }

    pub fn pending_transmit(&self) -> usize {
        self.client.pending_transmit()
    }

    // ── getters

    /// The server's INFO as JSON text.
    pub fn server_info(&self) -> Option<String> {
        self.client.server_info().map(|info| info.json.clone())
    }

    pub fn connected_url(&self) -> String {
        self.client.connected_url()
    }

    /// Messages in, bytes in, messages out, bytes out, reconnects.
    pub fn stats(&self) -> Vec<f64> {
        let stats = self.client.stats();
        [stats.in_msgs, stats.in_bytes, stats.out_msgs, stats.out_bytes, stats.reconnects].map(|n| n as f64).into()
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as map_err(thrown)")]
fn thrown(error: Error) -> JsValue {
    JsValue::from_str(&error.to_json())
}

fn refusal(why: &str) -> Error {
    Error::new(ErrorCode::Auth, why.to_owned())
}

fn at(millis: f64) -> Instant {
    Instant::from_nanos((millis * 1e6) as u64)
}
