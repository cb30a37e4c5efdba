//! W5, W6, W7k: a push consumer with flow control, as every watch has one.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    Result,
    measure::{Arguments, Meter, Report, ready},
    prepare::key,
    wire::{Wire, inbox},
};

/// A push consumer's messages come here. It has to be subscribed to literally: to one under a wildcard nothing is sent.
const DELIVERY: &str = "_LIMIT_DELIVERY";

/// W5 and W7k: the newest of all keys, `is_keys` without their values.
pub(crate) fn snapshot(wire: &mut Wire, arguments: &Arguments, is_keys: bool) -> Result<Report> {
    let meter = Meter::start();
    consume(wire, "bench", "last_per_subject", is_keys)?;
    count(wire, "bench", arguments.keys, || {})?;
    let report = meter.stop(arguments.keys);
    end(wire, "bench")?;
    Ok(report)
}

/// W6: what another process writes; counted from the first that arrives.
pub(crate) fn live(wire: &mut Wire, arguments: &Arguments) -> Result<Report> {
    consume(wire, "live", "new", false)?;
    ready()?;
    let mut first = None;
    count(wire, "live", arguments.keys, || {
        first.get_or_insert_with(|| (Instant::now(), Meter::start()));
    })?;
    let (_, meter) = first.ok_or("nothing was written")?;
    let report = meter.stop(arguments.keys - 1);
    end(wire, "live")?;
    Ok(report)
}

/// Removes the consumer.
fn end(wire: &mut Wire, bucket: &str) -> Result<()> {
    wire.write(b"UNSUB 2\r\n")?;
    wire.must(&format!("CONSUMER.DELETE.KV_{bucket}.limit"), &Value::Null)?;
    Ok(())
}

fn consume(wire: &mut Wire, bucket: &str, policy: &str, is_keys: bool) -> Result<()> {
    wire.write(format!("SUB {DELIVERY} 2\r\n").as_bytes())?;
    let config = json!({
        "stream_name": format!("KV_{bucket}"), "action": "create",
        "config": {
            "name": "limit", "deliver_policy": policy, "ack_policy": "none", "deliver_subject": DELIVERY, "max_deliver": 1,
            "filter_subject": format!("$KV.{bucket}.>"), "flow_control": true, "idle_heartbeat": 5_000_000_000u64,
            "headers_only": is_keys, "mem_storage": true, "num_replicas": 1,
        },
    });
    let mut request = config.to_string();
    request = format!(
        "PUB $JS.API.CONSUMER.CREATE.KV_{bucket}.limit.$KV.{bucket}.> {}ask {}\r\n{request}\r\n",
        inbox(),
        request.len()
    );
    wire.write(request.as_bytes())
}

/// Counts keys until `wanted` came, answering flow control; the last one has to be the bucket's last.
fn count(wire: &mut Wire, bucket: &str, wanted: usize, mut each: impl FnMut()) -> Result<()> {
    let prefix = format!("$KV.{bucket}.");
    let mut came = 0;
    let mut last = Vec::new();
    let mut asked: Option<Vec<u8>> = None;
    while came < wanted {
        match wire.try_next()? {
            Some(message) if message.subject.starts_with(b"$KV.") => {
                each();
                came += 1;
                if came == wanted {
                    last = message.subject.to_vec();
                }
            }
            Some(message) if message.subject == DELIVERY.as_bytes() => {
                if !message.reply.is_empty() {
                    asked = Some(message.reply.to_vec());
                }
            }
            Some(message) => {
                let answer = String::from_utf8_lossy(message.payload);
                if answer.contains("\"error\"") {
                    return Err(answer.into_owned().into());
                }
            }
            None => wire.fill()?,
        }
        if let Some(reply) = asked.take() {
            wire.write(&[b"PUB ", &reply[..], b" 0\r\n\r\n"].concat())?;
        }
    }
    let wanted = format!("{prefix}{}", key(wanted - 1));
    if last == wanted.as_bytes() {
        Ok(())
    } else {
        Err(format!("the last key is {}", String::from_utf8_lossy(&last)).into())
    }
}
