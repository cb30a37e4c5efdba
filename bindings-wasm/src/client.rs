//! The one class that wasm exports. Users never see it: `ts/connection.ts` owns it.
//!
//! Times are milliseconds of `performance.now()`, durations are milliseconds, ids and revisions are numbers. An error at
//! the call is thrown as core's JSON text, of which TypeScript makes a `KvError`; what the network says comes in a batch.

use core::time::Duration;

use natskv_core::{
    BucketConfig, BucketId, Client, Compare, ConnId, Error, HandleOptions, Instant, Lost, OnDrift, OpId, WatchId,
    WatchOptions,
};
use wasm_bindgen::prelude::*;

use crate::{batch::Batch, options};

/// An OpId, or core's error as JSON text.
type Started = Result<f64, JsValue>;

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
    pub fn new(options: &str, entropy: &[u8], now: f64) -> Result<Self, JsValue> {
        let config = options::parse(options).map_err(thrown)?;
        let mut seed = [0; 32];
        seed.iter_mut().zip(entropy).for_each(|(to, from)| *to = *from);
        let client = Client::new(config, seed, at(now)).map_err(thrown)?;
        Ok(Self { client, batch: Batch::default() })
    }

    // ── connection

    pub fn ready(&mut self, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.ready(wait(timeout), at(now)))
    }

    pub fn flush(&mut self, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.flush(wait(timeout), at(now)))
    }

    pub fn cancel(&mut self, op: f64, now: f64) {
        self.client.cancel(OpId(op as u64), at(now));
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

    // ── buckets

    pub fn bind(&mut self, bucket: &str) -> Started {
        self.client.bind(bucket, &HandleOptions::default()).map(|bucket| f64::from(bucket.0)).map_err(thrown)
    }

    pub fn open(&mut self, bucket: &str, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.open(bucket, &HandleOptions::default(), wait(timeout), at(now)))
    }

    /// `config` is SPEC.md's JSON form; `given`: an existing bucket may differ in what `config` does not name.
    pub fn create_bucket(&mut self, config: &str, given: bool, timeout: Option<f64>, now: f64) -> Started {
        let config = BucketConfig::from_json(config).map_err(thrown)?;
        let compare = if given { Compare::Given } else { Compare::All };
        started(self.client.create_bucket(
            &config,
            &HandleOptions::default(),
            compare,
            OnDrift::Error,
            wait(timeout),
            at(now),
        ))
    }

    pub fn update_bucket(&mut self, config: &str, timeout: Option<f64>, now: f64) -> Started {
        let config = BucketConfig::from_json(config).map_err(thrown)?;
        started(self.client.update_bucket(&config, &HandleOptions::default(), wait(timeout), at(now)))
    }

    pub fn create_or_update_bucket(&mut self, config: &str, timeout: Option<f64>, now: f64) -> Started {
        let config = BucketConfig::from_json(config).map_err(thrown)?;
        started(self.client.create_or_update_bucket(&config, &HandleOptions::default(), wait(timeout), at(now)))
    }

    pub fn delete_bucket(&mut self, bucket: &str, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.delete_bucket(bucket, wait(timeout), at(now)))
    }

    pub fn bucket_names(&mut self, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.bucket_names(wait(timeout), at(now)))
    }

    pub fn bucket_list(&mut self, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.bucket_list(wait(timeout), at(now)))
    }

    pub fn status(&mut self, bucket: u32, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.status(BucketId(bucket), wait(timeout), at(now)))
    }

    // ── keys

    pub fn get(&mut self, bucket: u32, key: &str, revision: Option<f64>, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.get(BucketId(bucket), key, number(revision), wait(timeout), at(now)))
    }

    pub fn entry(&mut self, bucket: u32, key: &str, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.entry(BucketId(bucket), key, wait(timeout), at(now)))
    }

    pub fn put(&mut self, bucket: u32, key: &str, value: &[u8], timeout: Option<f64>, now: f64) -> Started {
        started(self.client.put(BucketId(bucket), key, value, None, wait(timeout), at(now)))
    }

    pub fn create(
        &mut self,
        bucket: u32,
        key: &str,
        value: &[u8],
        ttl: Option<f64>,
        timeout: Option<f64>,
        now: f64,
    ) -> Started {
        started(self.client.create(BucketId(bucket), key, value, wait(ttl), wait(timeout), at(now)))
    }

    pub fn update(
        &mut self,
        bucket: u32,
        key: &str,
        value: &[u8],
        revision: f64,
        timeout: Option<f64>,
        now: f64,
    ) -> Started {
        started(self.client.update(BucketId(bucket), key, value, revision as u64, None, wait(timeout), at(now)))
    }

    pub fn delete(&mut self, bucket: u32, key: &str, expected: Option<f64>, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.delete(BucketId(bucket), key, number(expected), wait(timeout), at(now)))
    }

    pub fn purge(
        &mut self,
        bucket: u32,
        key: &str,
        expected: Option<f64>,
        ttl: Option<f64>,
        timeout: Option<f64>,
        now: f64,
    ) -> Started {
        started(self.client.purge(BucketId(bucket), key, number(expected), wait(ttl), wait(timeout), at(now)))
    }

    pub fn history(&mut self, bucket: u32, key: &str, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.history(BucketId(bucket), key, wait(timeout), at(now)))
    }

    pub fn keys(&mut self, bucket: u32, filters: Vec<String>, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.keys(BucketId(bucket), &borrowed(&filters), wait(timeout), at(now)))
    }

    pub fn purge_deletes(&mut self, bucket: u32, older_than: f64, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.purge_deletes(BucketId(bucket), millis(older_than), wait(timeout), at(now)))
    }

    pub fn execute(&mut self, bucket: u32, operation: &str, timeout: Option<f64>, now: f64) -> Started {
        started(self.client.execute(BucketId(bucket), operation, wait(timeout), at(now)))
    }

    // ── watches

    #[expect(clippy::too_many_arguments, reason = "one call across the border is cheaper than an object")]
    pub fn watch(
        &mut self,
        bucket: u32,
        filters: Vec<String>,
        include_history: bool,
        ignore_deletes: bool,
        meta_only: bool,
        updates_only: bool,
        resume_from_revision: Option<f64>,
        timeout: Option<f64>,
        now: f64,
    ) -> Started {
        let options = WatchOptions {
            include_history,
            ignore_deletes,
            meta_only,
            updates_only,
            resume_from_revision: number(resume_from_revision),
            timeout: wait(timeout),
        };
        let watch = self.client.watch(BucketId(bucket), &borrowed(&filters), options, at(now));
        watch.map(|watch| watch.0 as f64).map_err(thrown)
    }

    /// A batch with the items that are there, up to a bound. Only an empty batch re-arms `WATCH_READY`.
    pub fn watch_pull(&mut self, watch: f64, now: f64) -> *const f64 {
        self.batch.pull(&mut self.client, WatchId(watch as u64), at(now))
    }

    pub fn watch_stop(&mut self, watch: f64, now: f64) {
        self.client.watch_stop(WatchId(watch as u64), at(now));
    }

    // ── the transport's side

    pub fn transport_open(&mut self, conn: f64, now: f64) {
        self.client.transport_open(ConnId(conn as u64), at(now));
    }

    pub fn receive(&mut self, conn: f64, bytes: &[u8], now: f64) {
        self.client.receive(ConnId(conn as u64), bytes, at(now));
    }

    pub fn transport_secured(&mut self, conn: f64, now: f64) {
        self.client.transport_secured(ConnId(conn as u64), at(now));
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

fn started(op: Result<OpId, Error>) -> Started {
    op.map(|op| op.0 as f64).map_err(thrown)
}

#[expect(clippy::needless_pass_by_value, reason = "used as map_err(thrown)")]
fn thrown(error: Error) -> JsValue {
    JsValue::from_str(&error.to_json())
}

fn at(millis: f64) -> Instant {
    Instant::from_nanos((millis * 1e6) as u64)
}

fn millis(millis: f64) -> Duration {
    Duration::from_nanos((millis * 1e6) as u64)
}

fn wait(duration: Option<f64>) -> Option<Duration> {
    duration.map(millis)
}

/// TypeScript refuses numbers beyond 2^53 - 1, fractions and negative ones before they come here.
fn number(revision: Option<f64>) -> Option<u64> {
    revision.map(|revision| revision as u64)
}

fn borrowed(filters: &[String]) -> Vec<&str> {
    filters.iter().map(String::as_str).collect()
}
