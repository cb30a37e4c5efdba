//! What the vectors of each group mean: how their input is given to core, and how its answer is compared.

mod keys;
mod names;
mod protocol;
mod watching;

use std::time::Duration;

use natskv_core::{Error, ErrorCode, wire};
use serde_json::{Map, Value, json};

use crate::Kinds;

/// What core makes of a vector's input.
pub(crate) enum Found {
    /// A value of the shape that the vector expects, or an error of core.
    Answer(Result<Value, Error>),
    /// Part of the input belongs to something that is not built yet.
    Later(&'static str),
}

/// A vector whose input says something that nothing here reads is not passed by accident.
pub(crate) type Read = Result<Found, String>;

pub(crate) fn run(group: &str, input: &Value, kinds: &Kinds) -> Read {
    match group {
        "key_valid" => names::valid(wire::check_key(text(input, "key")?)),
        "bucket_valid" => names::valid(wire::check_bucket(text(input, "bucket")?)),
        "filter_valid" => names::valid(wire::check_filter(text(input, "filter")?)),
        "filters_reduce" => names::filters_reduce(input),
        "subject" => names::subject(input),
        "proto_encode" => protocol::encode(input),
        "proto_parse" => protocol::parse(input),
        "proto_err" => protocol::server_error(input),
        "header_encode" => protocol::header_encode(input),
        "header_parse" => protocol::header_parse(input),
        "ws_frame" => protocol::web_frame(input),
        "nkey" => keys::nkey(input),
        "creds" => keys::creds(input),
        "connect_json" => protocol::connect(input),
        "status" => status(input),
        "ack_subject" => ack_subject(input),
        "puback" => puback(input),
        "error_map" => error_map(input),
        "api_error" => api_error(input, kinds),
        "stream_config" => stream_config(input),
        "entry" => entry(input),
        "direct_get" => direct_get(input),
        "watch_trace" => watching::trace(input),
        "purge_deletes" => purge_deletes(input),
        "ttl" => ttl(input),
        other => Err(format!("group {other} is unknown")),
    }
}

/// Whether each field that is expected was found. Null and absent are the same; `kind`, `meaning` and `get` name errors by
/// a word, which is compared with the number that was found.
pub(crate) fn compare(expect: &Value, found: &Value, kinds: &Kinds) -> Result<(), String> {
    for (name, expected) in expect.as_object().into_iter().flatten() {
        let found = &found[name];
        let is_equal = match (name.as_str(), expected) {
            ("kind" | "meaning" | "get", Value::String(word)) => word_agrees(word, found, kinds),
            ("json", _) => contains(expected, found),
            ("out", _) => steps_agree(expected, found, kinds),
            _ => same(expected, found),
        };
        if !is_equal {
            return Err(format!("{name}: expected {expected}, got {found}"));
        }
    }
    Ok(())
}

fn word_agrees(word: &str, found: &Value, kinds: &Kinds) -> bool {
    let Some(number) = found["code"].as_u64() else { return found == word };
    let mut parts = word.split(':');
    let is_kind = parts.next().and_then(|kind| kinds.number(kind)).is_some_and(|kind| u64::from(kind) == number);
    is_kind && parts.map(Value::from).eq(found["details"].as_array().into_iter().flatten().cloned())
}

/// Steps of a watch; the last word of `closed BucketDeleted` is an error.
fn steps_agree(expected: &Value, found: &Value, kinds: &Kinds) -> bool {
    let (Some(expected), Some(found)) = (expected.as_array(), found.as_array()) else { return false };
    expected.len() == found.len()
        && expected.iter().zip(found).all(|(expected, found)| {
            let closed = expected.as_str().and_then(|step| step.strip_prefix("closed "));
            closed.map_or(expected == found, |kind| word_agrees(kind, &found["closed"], kinds))
        })
}

/// Equal, where a field that is null equals one that is absent.
fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let names = a.keys().chain(b.keys());
            names.into_iter().all(|name| same(a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (a, b) => a == b,
    }
}

/// All that is expected is there, and possibly more.
fn contains(expected: &Value, found: &Value) -> bool {
    match expected {
        Value::Object(fields) => fields.iter().all(|(name, value)| contains(value, &found[name])),
        other => other == found,
    }
}

// ── what is read of inputs

pub(crate) fn answer(value: Value) -> Read {
    Ok(Found::Answer(Ok(value)))
}

pub(crate) fn refused(error: Error) -> Read {
    Ok(Found::Answer(Err(error)))
}

pub(crate) fn text<'a>(input: &'a Value, name: &str) -> Result<&'a str, String> {
    input[name].as_str().ok_or_else(|| format!("the input has no text {name:?}: {input}"))
}

pub(crate) fn number(input: &Value, name: &str) -> Result<u64, String> {
    input[name].as_u64().ok_or_else(|| format!("the input has no number {name:?}: {input}"))
}

pub(crate) fn texts<'a>(input: &'a Value, name: &str) -> Result<Vec<&'a str>, String> {
    let list = input[name].as_array().ok_or_else(|| format!("the input has no list {name:?}: {input}"))?;
    list.iter().map(|item| item.as_str().ok_or_else(|| format!("{item} is not a text"))).collect()
}

pub(crate) fn pairs<'a>(input: &'a Value, name: &str) -> Result<Vec<(&'a str, &'a str)>, String> {
    let list = input[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let pair = |pair: &'a Value| Some((pair[0].as_str()?, pair[1].as_str()?));
    list.iter().map(|item| pair(item).ok_or_else(|| format!("{item} is not a pair of texts"))).collect()
}

/// Nothing in the input may be passed over in silence.
pub(crate) fn only(input: &Value, known: &[&str]) -> Result<(), String> {
    let mut names = input.as_object().into_iter().flat_map(Map::keys);
    match names.find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("the input's {name:?} is unknown here")),
        None => Ok(()),
    }
}

/// JSON as core has it.
pub(crate) fn own(value: &Value) -> natskv_core::json::Value {
    natskv_core::json::Value::parse(&value.to_string()).unwrap_or_default()
}

/// JSON that core made.
pub(crate) fn of_core(value: &natskv_core::json::Value) -> Value {
    serde_json::from_str(&value.to_string()).unwrap_or_default()
}

pub(crate) fn lossy(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Result<Vec<u8>, String> {
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
    bytes.ok_or_else(|| format!("{text:?} is not hex"))
}

/// An error as `compare` takes it: its number, and what the word for it names beside.
pub(crate) fn kind(code: ErrorCode, details: &[&str]) -> Value {
    json!({"code": code.number(), "details": details})
}

// ── groups of a few lines

fn status(input: &Value) -> Read {
    use wire::{Context, Meaning};
    only(input, &["status", "description", "reply", "context"])?;
    let context = match text(input, "context")? {
        "push" => Context::Push,
        "pull" => Context::Pull,
        "direct_get" => Context::DirectGet,
        "direct_multi" => Context::DirectMulti,
        "direct_batch" => Context::DirectBatch,
        _ => Context::Other,
    };
    let status = u16::try_from(number(input, "status")?).map_err(|error| error.to_string())?;
    let description = text(input, "description")?.as_bytes();
    let meaning = wire::meaning(status, description, !input["reply"].is_null(), context);
    let word = match meaning {
        Meaning::Heartbeat => "heartbeat",
        Meaning::FlowControl => "flow_control",
        Meaning::EndOfBatch => "end_of_batch",
        Meaning::Empty => "empty",
        Meaning::PullExpired => "pull_expired",
        Meaning::ConsumerDeleted => "consumer_deleted",
        Meaning::NotFound
        | Meaning::NotSupported
        | Meaning::TooManyResults
        | Meaning::NoResponders
        | Meaning::Failed => {
            return answer(json!({"meaning": kind(code_of(meaning), &[])}));
        }
    };
    answer(json!({ "meaning": word }))
}

/// The error that a status without a body stands for.
fn code_of(meaning: wire::Meaning) -> ErrorCode {
    use wire::Meaning;
    match meaning {
        Meaning::NotFound => ErrorCode::KeyNotFound,
        Meaning::NotSupported => ErrorCode::Unsupported,
        Meaning::TooManyResults => ErrorCode::TooLarge,
        Meaning::NoResponders => ErrorCode::NoResponders,
        _ => ErrorCode::Server,
    }
}

fn ack_subject(input: &Value) -> Read {
    only(input, &["reply"])?;
    let Some(meta) = wire::AckMeta::parse(text(input, "reply")?.as_bytes()) else {
        return refused(Error::new(ErrorCode::Protocol, "not the reply subject of a delivery"));
    };
    answer(json!({
        "stream": lossy(meta.stream), "consumer": lossy(meta.consumer), "domain": meta.domain.map(lossy),
        "delivered": meta.delivered, "stream_seq": meta.stream_seq, "consumer_seq": meta.consumer_seq,
        "timestamp_ns": meta.timestamp_ns, "pending": meta.pending,
    }))
}

fn puback(input: &Value) -> Read {
    only(input, &["payload"])?;
    let payload = text(input, "payload")?;
    match wire::pub_ack(payload.as_bytes()) {
        Ok(wire::PubAck::Stored(ack)) => answer(json!({
            "stream": ack.stream, "seq": ack.seq, "duplicate": ack.duplicate, "domain": ack.domain, "val": ack.value,
        })),
        Ok(wire::PubAck::Refused(error)) => answer(json!({
            "error": {"code": error.code, "err_code": error.err_code, "actual": error.actual_sequence()},
        })),
        Ok(wire::PubAck::InBatch) => answer(json!({"batch_ack": true})),
        Err(error) => refused(error),
    }
}

fn error_map(input: &Value) -> Read {
    only(input, &["op", "status", "err_code", "description"])?;
    let description = input["description"].as_str().unwrap_or_default();
    let status = input["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let Some(err_code) = input["err_code"].as_u64().and_then(|code| u32::try_from(code).ok()) else {
        let status = status.ok_or("neither status nor err_code is given")?;
        let meaning = wire::meaning(status, description.as_bytes(), false, wire::Context::DirectGet);
        return answer(json!({"kind": kind(code_of(meaning), &[])}));
    };
    let error = wire::ApiError { code: status.unwrap_or(0), err_code, description: description.into() };
    // Create looks for a marker first, and only then says KEY_EXISTS: a scenario proves that on a real server.
    let is_conflict_of_create = input["op"] == "create" && error.is_wrong_sequence();
    let code = if is_conflict_of_create { ErrorCode::KeyExists } else { error.to_error().code };
    answer(json!({"kind": kind(code, &[])}))
}

fn api_error(input: &Value, kinds: &Kinds) -> Read {
    only(input, &["response", "kind", "to_json"])?;
    if let Some(response) = input["response"].as_str() {
        let error = wire::api_error(response.as_bytes());
        return answer(
            error
                .map_or(Value::Null, |e| json!({"code": e.code, "err_code": e.err_code, "description": e.description})),
        );
    }
    let kind = text(input, "kind")?;
    let number = kinds.number(kind).ok_or_else(|| format!("errors.json knows no kind {kind}"))?;
    let code = ErrorCode::ALL.iter().find(|code| code.number() == number).ok_or("core has no error of that number")?;
    let json: Value = serde_json::from_str(&Error::from_code(*code).to_json()).map_err(|error| error.to_string())?;
    answer(json!({ "json": json }))
}

fn stream_config(input: &Value) -> Read {
    only(input, &["config"])?;
    match natskv_core::BucketConfig::from_json(&input["config"].to_string())
        .and_then(|config| wire::stream_config(&config))
    {
        Ok(stream) => answer(json!({ "stream": of_core(&stream) })),
        Err(error) => refused(error),
    }
}

fn entry(input: &Value) -> Read {
    only(input, &["headers", "payload"])?;
    let block = wire::encode_headers(&pairs(input, "headers")?).map_err(|error| error.to_string())?;
    let payload = input["payload"].as_str().unwrap_or_default();
    let entry = wire::entry(&wire::Headers::parse(&block), payload.as_bytes());
    answer(json!({
        "operation": entry.operation.name(), "marker_reason": entry.marker_reason().map(lossy), "ttl": entry.headers().filter(|(name, _)| *name == "Nats-TTL").last().map(|(_, ttl)| lossy(ttl)),
        "value_len": entry.length,
    }))
}

fn direct_get(input: &Value) -> Read {
    only(input, &["bucket", "block", "payload", "requested_key", "requested_revision"])?;
    let headers = wire::Headers::parse(text(input, "block")?.as_bytes());
    let payload = input["payload"].as_str().unwrap_or_default();
    let Some(entry) = wire::direct_entry(text(input, "bucket")?, &headers, payload.as_bytes()) else {
        return refused(Error::new(ErrorCode::Protocol, "no metadata in the answer"));
    };
    let is_other_key = input["requested_key"].as_str().is_some_and(|key| key != entry.key());
    if is_other_key {
        return refused(Error::from_code(ErrorCode::KeyNotFound));
    }
    answer(json!({
        "key": entry.key(), "revision": entry.revision, "created_ns": entry.created_ns, "operation": entry.operation.name(),
        "value": lossy(entry.value()), "value_len": entry.length,
        "get": if entry.is_marker() { kind(ErrorCode::KeyNotFound, &[]) } else { Value::Null },
    }))
}

fn purge_deletes(input: &Value) -> Read {
    only(input, &["subject", "revision", "older"])?;
    let is_old = input["older"].as_bool().ok_or("`older` is not given")?;
    let before = wire::purge_before(number(input, "revision")?, is_old);
    answer(json!({"request": {"filter": text(input, "subject")?, "seq": before}}))
}

fn ttl(input: &Value) -> Read {
    only(input, &["millis", "server_header"])?;
    let Some(millis) = input["millis"].as_u64() else {
        return Ok(Found::Later("what a server makes of a header that we never write"));
    };
    match wire::ttl_header(Duration::from_millis(millis)) {
        Ok(header) => answer(json!({"header": header})),
        Err(error) => refused(error),
    }
}
