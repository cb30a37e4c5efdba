//! The verbs, by the numbers that `ts/verb.ts` gives them. All go through one door, since each export of its own would cost
//! glue on both sides of the border.

use core::time::Duration;

use natskv_core::{
    BucketConfig, BucketId, Client, Compare, Error, ErrorCode, HandleOptions, Instant, KeyPolicy, OnDrift, OpId,
    WatchOptions, json::Value,
};

/// What a verb is given; each uses its part of it.
pub(crate) struct Call<'a> {
    pub(crate) bucket: u32,
    /// A key, a bucket's name, or JSON.
    pub(crate) text: &'a str,
    /// A value.
    pub(crate) bytes: &'a [u8],
    /// A revision, a duration, or flags.
    pub(crate) number: f64,
    pub(crate) ttl: f64,
    pub(crate) timeout: f64,
}

/// Gives the id of the operation, the watch or the bucket.
pub(crate) fn start(client: &mut Client, verb: u32, call: &Call<'_>, now: Instant) -> Result<f64, Error> {
    let Call { text, bytes, .. } = *call;
    let bucket = BucketId(call.bucket);
    let (number, ttl, timeout) = (whole(call.number), wait(call.ttl), wait(call.timeout));
    let started = match verb {
        0 => client.ready(timeout, now),
        1 => client.flush(timeout, now),
        2 => return client.bind(text, &handle(call)).map(|bucket| f64::from(bucket.0)),
        3 => client.open(text, &handle(call), timeout, now),
        4 => {
            let on_drift = [OnDrift::Error, OnDrift::Ignore, OnDrift::Update][bits(call, 6, 2).min(2)];
            client.create_bucket(&BucketConfig::from_json(text)?, &handle(call), Compare::Given, on_drift, timeout, now)
        }
        5 => client.update_bucket(&BucketConfig::from_json(text)?, &handle(call), timeout, now),
        6 => client.create_or_update_bucket(&BucketConfig::from_json(text)?, &handle(call), timeout, now),
        7 => client.delete_bucket(text, timeout, now),
        8 => client.bucket_names(timeout, now),
        9 => client.bucket_list(timeout, now),
        10 => client.status(bucket, timeout, now),
        11 => client.get(bucket, text, number, timeout, now),
        12 => client.entry(bucket, text, timeout, now),
        13 => client.put(bucket, text, bytes, ttl, timeout, now),
        14 => client.create(bucket, text, bytes, ttl, timeout, now),
        15 => client.update(bucket, text, bytes, number.unwrap_or(0), ttl, timeout, now),
        16 => client.touch(bucket, text, ttl.unwrap_or_default(), timeout, now),
        17 => client.delete(bucket, text, number, timeout, now),
        18 => client.purge(bucket, text, number, ttl, timeout, now),
        19 => client.history(bucket, text, timeout, now),
        20 => client.keys(bucket, &strs(&list(text)), timeout, now),
        21 => client.entries(bucket, &strs(&list(text)), timeout, now),
        22 => client.count(bucket, &strs(&list(text)), timeout, now),
        23 => client.get_many(bucket, &strs(&list(text)), timeout, now),
        24 => client.put_many(bucket, &items(&list(text), bytes), timeout, now),
        25 => client.clear(bucket, text, timeout, now),
        26 => client.purge_deletes(bucket, wait(call.number).unwrap_or_default(), timeout, now),
        27 => client.execute(bucket, text, timeout, now),
        28 => return watch(client, call, now),
        _ => Err(Error::new(ErrorCode::Internal, "no such verb")),
    };
    started.map(|OpId(op)| op as f64)
}

/// `text` is the list of filters, `ttl` the revision to resume from.
fn watch(client: &mut Client, call: &Call<'_>, now: Instant) -> Result<f64, Error> {
    let options = WatchOptions {
        include_history: bits(call, 0, 1) == 1,
        ignore_deletes: bits(call, 1, 1) == 1,
        meta_only: bits(call, 2, 1) == 1,
        updates_only: bits(call, 3, 1) == 1,
        resume_from_revision: whole(call.ttl),
        timeout: wait(call.timeout),
    };
    let watch = client.watch(BucketId(call.bucket), &strs(&list(call.text)), options, now)?;
    Ok(watch.0 as f64)
}

fn handle(call: &Call<'_>) -> HandleOptions {
    let keys = match bits(call, 3, 3) {
        1 => Some(KeyPolicy::Strict),
        2 => Some(KeyPolicy::Permissive),
        3 => Some(KeyPolicy::Base64),
        4 => Some(KeyPolicy::Path),
        5 => Some(KeyPolicy::Escape),
        _ => None,
    };
    HandleOptions {
        keys,
        leader_reads: bits(call, 0, 1) == 1,
        read_only: bits(call, 1, 1) == 1,
        reserved_keys: bits(call, 2, 1) == 1,
    }
}

/// Some of the flags that `number` is.
fn bits(call: &Call<'_>, from: u32, count: u32) -> usize {
    (call.number as usize >> from) & ((1 << count) - 1)
}

fn wait(millis: f64) -> Option<Duration> {
    (!millis.is_nan()).then(|| Duration::from_nanos((millis * 1e6) as u64))
}

/// TypeScript refuses numbers beyond 2^53 - 1, fractions and negative ones before they come here.
fn whole(number: f64) -> Option<u64> {
    (!number.is_nan()).then_some(number as u64)
}

/// A list of texts, as JSON: they may contain anything.
fn list(json: &str) -> Vec<Value> {
    match Value::parse(json) {
        Ok(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn strs(list: &[Value]) -> Vec<&str> {
    list.iter().filter_map(Value::as_str).collect()
}

/// Keys and the lengths of their values in turn; the values stand one after the other.
fn items<'a>(list: &'a [Value], bytes: &'a [u8]) -> Vec<(&'a str, &'a [u8])> {
    let mut rest = bytes;
    let item = |pair: &'a [Value]| {
        let (value, others) = rest.split_at_checked(pair.get(1)?.as_u64()? as usize)?;
        rest = others;
        Some((pair.first()?.as_str()?, value))
    };
    list.chunks(2).filter_map(item).collect()
}
