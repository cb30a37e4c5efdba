//! SPEC.md's JSON operations: an object in, an object out. The reply of a failed operation is its error's JSON form.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    base64::STANDARD,
    error::{Error, ErrorCode},
    event::Outcome,
    json::{Object, Value, object},
    kv::{entry::Entry, fields::Fields},
    shown::Quoted,
    time::to_rfc3339,
};
/// From what age on purge_deletes removes markers, unless it is told.
const HALF_AN_HOUR: Duration = Duration::from_secs(30 * 60);

/// An operation, its fields checked for form but not for the rules of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put { key: String, value: Vec<u8>, ttl: Option<Duration> },
    Get { key: String, revision: Option<u64> },
    Create { key: String, value: Vec<u8>, ttl: Option<Duration> },
    Update { key: String, value: Vec<u8>, revision: u64, ttl: Option<Duration> },
    Delete { key: String, revision: Option<u64> },
    Purge { key: String, revision: Option<u64>, ttl: Option<Duration> },
    History { key: String, include_deleted: bool },
    List { filters: Vec<String> },
    Watch { filters: Vec<String> },
    Touch { key: String, ttl: Duration },
    GetMany { keys: Vec<String> },
    PutMany { items: Vec<(String, Vec<u8>)> },
    Entries { filters: Vec<String> },
    Count { filters: Vec<String> },
    Clear { prefix: String },
    PurgeDeletes { older_than: Duration },
}

/// How the outcome is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReplyForm {
    Written {
        key: String,
    },
    Entry,
    Entries {
        with_markers: bool,
    },
    Keys,
    /// put_many's keys.
    Results {
        keys: Vec<String>,
    },
    /// A number under this name.
    Number(&'static str),
}

impl Operation {
    /// Reads SPEC.md's object. `value` is padded standard base64; `value_text` may stand instead.
    pub(crate) fn parse(json: &str) -> Result<Self, Error> {
        let value = Value::parse(json).map_err(|error| Error::argument(format!("operation: {error}")))?;
        let mut fields = Fields::new("operation", value)?;
        let name = fields.string("operation")?.ok_or_else(|| Error::argument("operation: `operation` is missing"))?;
        let operation = match name.as_str() {
            "PUT" => match fields.unsigned("revision")? {
                None => {
                    let (key, value, ttl) = written(&mut fields)?;
                    Self::Put { key, value, ttl }
                }
                Some(revision) => {
                    let (key, value, ttl) = written(&mut fields)?;
                    Self::Update { key, value, revision, ttl }
                }
            },
            "GET" => Self::Get { key: key(&mut fields)?, revision: fields.unsigned("revision")? },
            "CREATE" => {
                let (key, value, ttl) = written(&mut fields)?;
                Self::Create { key, value, ttl }
            }
            "UPDATE" => {
                let (key, value, ttl) = written(&mut fields)?;
                let revision = fields.unsigned("revision")?;
                let revision = revision.ok_or_else(|| Error::argument("operation: UPDATE needs `revision`"))?;
                Self::Update { key, value, revision, ttl }
            }
            "DELETE" => Self::Delete { key: key(&mut fields)?, revision: fields.unsigned("revision")? },
            "PURGE" => Self::Purge {
                key: key(&mut fields)?,
                revision: fields.unsigned("revision")?,
                ttl: lifetime(&mut fields)?,
            },
            "HISTORY" => Self::History {
                key: key(&mut fields)?,
                include_deleted: fields.boolean("include_deleted")?.unwrap_or(false),
            },
            "LIST" => Self::List { filters: filters(&mut fields)? },
            "WATCH" => Self::Watch { filters: filters(&mut fields)? },
            "TOUCH" => Self::Touch {
                key: key(&mut fields)?,
                ttl: lifetime(&mut fields)?.ok_or_else(|| Error::argument("operation: TOUCH needs `ttl`"))?,
            },
            "GET_MANY" => Self::GetMany { keys: fields.strings("keys")? },
            "PUT_MANY" => Self::PutMany { items: contents(&mut fields)? },
            "ENTRIES" => Self::Entries { filters: filters(&mut fields)? },
            "COUNT" => Self::Count { filters: filters(&mut fields)? },
            "CLEAR" => Self::Clear {
                prefix: fields
                    .string("prefix")?
                    .ok_or_else(|| Error::argument("operation: CLEAR needs `prefix`; `>` is everything"))?,
            },
            "PURGE_DELETES" => Self::PurgeDeletes { older_than: fields.nanos("older_than")?.unwrap_or(HALF_AN_HOUR) },
            other => {
                let known = "PUT, GET, CREATE, UPDATE, DELETE, PURGE, HISTORY, LIST, WATCH, TOUCH, GET_MANY, PUT_MANY, \
                             ENTRIES, COUNT, CLEAR, PURGE_DELETES";
                return Err(Error::argument(format!(
                    "operation: {other} is unknown; known are {known}",
                    other = Quoted(other)
                )));
            }
        };
        fields.finish()?;
        Ok(operation)
    }

    pub(crate) fn reply_form(&self) -> ReplyForm {
        match self {
            Self::Put { key, .. }
            | Self::Create { key, .. }
            | Self::Update { key, .. }
            | Self::Delete { key, .. }
            | Self::Purge { key, .. }
            | Self::Touch { key, .. } => ReplyForm::Written { key: key.clone() },
            Self::Get { .. } => ReplyForm::Entry,
            Self::History { include_deleted, .. } => ReplyForm::Entries { with_markers: *include_deleted },
            Self::Watch { .. } | Self::Entries { .. } | Self::GetMany { .. } => {
                ReplyForm::Entries { with_markers: false }
            }
            Self::PutMany { items } => ReplyForm::Results { keys: items.iter().map(|(key, _)| key.clone()).collect() },
            Self::Count { .. } => ReplyForm::Number("count"),
            Self::Clear { .. } | Self::PurgeDeletes { .. } => ReplyForm::Number("purged"),
            Self::List { .. } => ReplyForm::Keys,
        }
    }
}

fn key(fields: &mut Fields) -> Result<String, Error> {
    fields.string("key")?.ok_or_else(|| Error::argument("operation: `key` is missing"))
}

/// Key, value and lifetime.
fn written(fields: &mut Fields) -> Result<(String, Vec<u8>, Option<Duration>), Error> {
    Ok((key(fields)?, content(fields)?, lifetime(fields)?))
}

fn filters(fields: &mut Fields) -> Result<Vec<String>, Error> {
    let mut filters = fields.strings("filters")?;
    filters.extend(fields.string("filter")?);
    Ok(filters)
}

fn content(fields: &mut Fields) -> Result<Vec<u8>, Error> {
    if let Some(text) = fields.string("value_text")? {
        return Ok(text.into_bytes());
    }
    let Some(text) = fields.string("value")? else {
        return Err(Error::argument("operation: `value` (base64) or `value_text` is missing"));
    };
    STANDARD.decode(&text).ok_or_else(|| {
        fields.wrong(
            "value",
            &format!("{text} is not padded standard base64; `value_text` takes text", text = Quoted(&text)),
        )
    })
}

/// `values` (base64) and `values_text`, by key.
fn contents(fields: &mut Fields) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut items = Vec::new();
    for (name, is_text) in [("values", false), ("values_text", true)] {
        let Some(values) = fields.take(name) else { continue };
        let Value::Object(values) = values else { return Err(fields.wrong(name, "not an object of key and value")) };
        for (key, value) in values {
            let text = value.as_str();
            let bytes = if is_text { text.map(Vec::from) } else { text.and_then(|text| STANDARD.decode(text)) };
            let wrong = || {
                fields.wrong(
                    name,
                    &format!(
                        "the value of {key} is not {}",
                        if is_text { "text" } else { "base64" },
                        key = Quoted(&key)
                    ),
                )
            };
            items.push((key.clone(), bytes.ok_or_else(wrong)?));
        }
    }
    Ok(items)
}

/// Zero is none.
fn lifetime(fields: &mut Fields) -> Result<Option<Duration>, Error> {
    Ok(fields.nanos("ttl")?.filter(|ttl| !ttl.is_zero()))
}

/// The reply's text.
pub(crate) fn reply(bucket: &str, form: &ReplyForm, result: Result<Outcome, Error>) -> String {
    let value = match (form, result) {
        (_, Err(error)) => error.to_object(),
        (ReplyForm::Written { key }, Ok(Outcome::Revision(revision))) => {
            object! { "bucket" => bucket, "key" => key, "revision" => revision }
        }
        (_, Ok(Outcome::Entry(entry))) => entry_value(bucket, &entry),
        (ReplyForm::Entries { with_markers }, Ok(Outcome::Entries(entries))) => {
            let shown = entries.iter().filter(|entry| *with_markers || !entry.is_marker());
            object! { "bucket" => bucket, "entries" => shown.map(|entry| Value::from(entry_value(bucket, entry))).collect::<Value>() }
        }
        (_, Ok(Outcome::Many { entries, as_of })) => {
            let entries: Vec<Value> = entries.iter().map(|entry| entry_value(bucket, entry).into()).collect();
            object! { "as_of" => as_of, "bucket" => bucket, "entries" => entries }
        }
        (ReplyForm::Results { keys }, Ok(Outcome::Written(results))) => {
            let written = |(key, result): (&String, Result<u64, Error>)| {
                (key.clone(), result.map_or_else(|error| error.to_object().into(), Value::from))
            };
            let results: Object = keys.iter().zip(results).map(written).collect();
            object! { "bucket" => bucket, "results" => results }
        }
        (ReplyForm::Number(name), Ok(Outcome::Count(number) | Outcome::Purged(number))) => {
            let mut reply = object! { "bucket" => bucket };
            reply.insert(*name, number);
            reply
        }
        (_, Ok(Outcome::Names(keys))) => object! { "bucket" => bucket, "keys" => keys },
        // `Operation::reply_form` goes with the verb that `dispatch` calls.
        (_, Ok(_)) => Error::from_code(ErrorCode::Internal).to_object(),
    };
    value.to_string()
}

/// SPEC.md's Get response, and the operation.
fn entry_value(bucket: &str, entry: &Entry) -> Object {
    object! {
        "bucket" => bucket,
        "created" => to_rfc3339(entry.created_ns),
        "delta" => entry.delta,
        "key" => entry.key(),
        "operation" => entry.operation.name(),
        "revision" => entry.revision,
        "value" => STANDARD.encode(entry.value()),
    }
}
