//! What the workloads find on the server, and what they must not leave there.
//!
//! Every value tells which it is, and in `bench` the revision of key n is n + 1, so that each client can check what it got.

use serde_json::{Value, json};

use crate::{
    Result,
    wire::{Wire, inbox},
};

/// Keys with values of 1 MiB.
pub(crate) const LARGE: usize = 4;
/// The key of W7h.
pub(crate) const HISTORY: &str = "bench.h";
/// Its revisions.
pub(crate) const REVISIONS: usize = 64;
/// Requests of one write when a bucket is filled.
const BURST: usize = 1000;

/// The n-th key.
pub(crate) fn key(index: usize) -> String {
    format!("bench.k{index:06}")
}

/// 128 bytes that begin with a number.
pub(crate) fn value(index: usize) -> Vec<u8> {
    filled(index, 128)
}

/// 1 MiB that begins with a number.
pub(crate) fn large(index: usize) -> Vec<u8> {
    filled(index, 1 << 20)
}

fn filled(index: usize, size: usize) -> Vec<u8> {
    let mut value = format!("{index:06}").into_bytes();
    value.resize(size, b'x');
    value
}

/// Puts every bucket into the state in which a workload expects it; cheap where it is in it.
pub(crate) fn prepare(wire: &mut Wire, keys: usize) -> Result<()> {
    for bucket in ["bench", "puts"] {
        if stream(wire, bucket, 1)? != keys as u64 {
            remake(wire, bucket, 1)?;
            fill(wire, bucket, keys, key, value)?;
        }
    }
    if stream(wire, "large", 1)? != LARGE as u64 {
        fill(wire, "large", LARGE, |index| format!("bench.large{index}"), large)?;
    }
    if stream(wire, "history", REVISIONS)? != REVISIONS as u64 {
        fill(wire, "history", REVISIONS, |_| HISTORY.to_owned(), value)?;
    }
    remake(wire, "live", 1)?;
    remake(wire, "counter", 1)?;
    fill(wire, "counter", 1, |_| "bench.counter".to_owned(), |_| b"0".to_vec())
}

/// Says how many consumers are there although nobody uses any, and removes them.
pub(crate) fn tidy(wire: &mut Wire) -> Result<()> {
    let mut left = 0;
    for bucket in ["bench", "live", "history"] {
        loop {
            let answer = wire.ask(&format!("CONSUMER.NAMES.KV_{bucket}"), &Value::Null)?;
            let names: Vec<&str> =
                answer["consumers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            if names.is_empty() {
                break;
            }
            left += names.len();
            for name in names {
                wire.ask(&format!("CONSUMER.DELETE.KV_{bucket}.{name}"), &Value::Null)?;
            }
        }
    }
    println!("left {left}");
    Ok(())
}

/// The other process of W6: every key once, as fast as the server takes them.
pub(crate) fn write(wire: &mut Wire, keys: usize) -> Result<()> {
    fill(wire, "live", keys, key, value)
}

/// How many messages a bucket's stream holds; it is made where there is none.
fn stream(wire: &mut Wire, bucket: &str, history: usize) -> Result<u64> {
    let mut info = wire.ask(&format!("STREAM.INFO.KV_{bucket}"), &Value::Null)?;
    if !info["error"].is_null() {
        info = make(wire, bucket, history)?;
    }
    info["state"]["messages"].as_u64().ok_or_else(|| format!("no state of KV_{bucket}: {info}").into())
}

fn make(wire: &mut Wire, bucket: &str, history: usize) -> Result<Value> {
    let config = json!({
        "name": format!("KV_{bucket}"), "subjects": [format!("$KV.{bucket}.>")], "storage": "memory", "retention": "limits",
        "max_msgs_per_subject": history, "max_msgs": -1, "max_bytes": -1, "max_msg_size": -1, "max_consumers": -1,
        "discard": "new", "num_replicas": 1, "allow_direct": true, "allow_rollup_hdrs": true, "deny_delete": true,
        "duplicate_window": 120_000_000_000u64,
    });
    wire.must(&format!("STREAM.CREATE.KV_{bucket}"), &config)
}

fn remake(wire: &mut Wire, bucket: &str, history: usize) -> Result<()> {
    wire.ask(&format!("STREAM.DELETE.KV_{bucket}"), &Value::Null)?;
    make(wire, bucket, history)?;
    Ok(())
}

/// Writes keys in order, a burst at a time, and waits for each burst's acknowledgements.
fn fill(
    wire: &mut Wire,
    bucket: &str,
    count: usize,
    key: impl Fn(usize) -> String,
    value: impl Fn(usize) -> Vec<u8>,
) -> Result<()> {
    let inbox = inbox();
    let mut frames = Vec::new();
    for from in (0..count).step_by(BURST) {
        let until = (from + BURST).min(count);
        frames.clear();
        for index in from..until {
            let value = value(index);
            frames
                .extend_from_slice(format!("PUB $KV.{bucket}.{} {inbox}r {}\r\n", key(index), value.len()).as_bytes());
            frames.extend_from_slice(&value);
            frames.extend_from_slice(b"\r\n");
        }
        wire.write(&frames)?;
        wire.take(until - from, |_, message| message.sequence().map(|_| ()))?;
    }
    Ok(())
}
