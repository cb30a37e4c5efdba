//! Outcomes as tests/scenarios/README.md writes them.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use natskv_core::{BucketStatus, Client, Entry, Error, Opened, Outcome, Pairs, Storage};
use serde_json::{Map, Value, json};

/// What the operation's name does not tell of how its outcome is written.
#[derive(Debug)]
pub(crate) enum Form<'a> {
    Plain,
    /// Markers are left out.
    Values,
    /// A list of this name.
    List(&'static str),
    /// put_many's keys.
    Results(&'a [String]),
}

pub(crate) fn reply(client: &Client, form: &Form<'_>, outcome: Outcome) -> Value {
    match outcome {
        Outcome::Revision(revision) => json!({ "revision": revision }),
        Outcome::Entry(entry) => described(&entry),
        Outcome::Entries(entries) => {
            let shown = entries.iter().filter(|entry| !matches!(form, Form::Values) || !entry.is_marker());
            json!({ "entries": shown.map(described).collect::<Vec<_>>() })
        }
        Outcome::Many { entries, as_of } => {
            json!({ "entries": entries.iter().map(described).collect::<Vec<_>>(), "as_of": as_of })
        }
        Outcome::Written(results) => {
            let Form::Results(keys) = form else { unreachable!("only put_many has results") };
            let result = |result: Result<u64, Error>| result.map_or_else(|error| error.code.name().into(), Value::from);
            let results: Map<String, Value> = keys.iter().cloned().zip(results.into_iter().map(result)).collect();
            json!({ "results": results })
        }
        Outcome::Count(count) => json!({ "count": count }),
        Outcome::Purged(purged) => json!({ "purged": purged }),
        Outcome::Names(mut names) => {
            let Form::List(name) = form else { unreachable!("only lists have names") };
            names.sort();
            json!({ *name: names })
        }
        Outcome::Opened(opened) => of_opened(client, &opened),
        Outcome::Status(status) => of_status(&status),
        Outcome::Unit => json!({}),
        other => unreachable!("{other:?} is no scenario's"),
    }
}

pub(crate) fn described(entry: &Entry) -> Value {
    json!({
        "key": entry.key(),
        "raw_key": entry.raw_key(),
        "ttl": entry.ttl().map(|ttl| ttl.as_nanos() as u64),
        "value": STANDARD.encode(entry.value()),
        "value_text": String::from_utf8_lossy(entry.value()),
        "length": entry.length,
        "revision": entry.revision,
        "operation": entry.operation.name(),
        "delta": entry.delta,
    })
}

fn of_opened(client: &Client, opened: &Opened) -> Value {
    json!({
        "key_policy": client.key_policy(opened.bucket).name(),
        "read_only": client.read_only(opened.bucket).is_some(),
        "drift": opened.drift,
    })
}

fn of_status(status: &BucketStatus) -> Value {
    let config = &status.config;
    json!({
        "bucket": status.bucket,
        "values": status.values,
        "history": status.history,
        "ttl": status.ttl.as_nanos() as u64,
        "storage": config.storage.map(Storage::name),
        "replicas": config.replicas,
        "compressed": config.compression,
        "metadata": config.metadata.iter().flat_map(Pairs::iter).collect::<BTreeMap<_, _>>(),
        "key_policy": status.keys.name(),
        "limit_marker_ttl": status.limit_marker_ttl.as_nanos() as u64,
    })
}

/// Whether `reply` has at least the fields of `expected`; lists are equal in length and order.
pub(crate) fn contains(reply: &Value, expected: &Value) -> bool {
    match (reply, expected) {
        (Value::Object(reply), Value::Object(expected)) => {
            expected.iter().all(|(name, expected)| reply.get(name).is_some_and(|reply| contains(reply, expected)))
        }
        (Value::Array(reply), Value::Array(expected)) => {
            reply.len() == expected.len() && reply.iter().zip(expected).all(|(a, b)| contains(a, b))
        }
        (reply, expected) => reply == expected,
    }
}

/// Whether the error is the expected one: a code, or an object of code and details.
pub(crate) fn is_expected(error: &Error, expected: &Value) -> Result<(), String> {
    let got = json!({ "kind": error.code.name(), "revision": error.revision, "api_code": error.api_code });
    let mut wanted = match expected {
        Value::String(kind) => json!({ "kind": kind }),
        other => other.clone(),
    };
    let says = wanted.as_object_mut().and_then(|wanted| wanted.remove("says")).unwrap_or_default();
    let mut rest: &str = &error.message;
    for text in says.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let at = rest.find(text).ok_or_else(|| format!("{:?} does not say {text:?}", error.message))?;
        rest = &rest[at + text.len()..];
    }
    if contains(&got, &wanted) { Ok(()) } else { Err(format!("got {got}: {error}")) }
}
