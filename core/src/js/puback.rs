//! The acknowledgement of a publish into a stream: `{"stream":"KV_B","seq":7}`.
//!
//! The common form is read by hand; any other goes through the JSON parser and means the same.

use alloc::string::{String, ToString};

use crate::{
    error::{Error, ErrorCode},
    js::api::ApiError,
    json::Value,
    number::parse_u64,
    shown::Quoted,
};

/// What came back for a publish into a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PubAck {
    /// It is stored.
    Stored(Ack),
    /// It is not.
    Refused(ApiError),
    /// A message of an atomic batch arrived; the batch is still open (an empty answer, server 2.12+).
    InBatch,
}

/// A message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The stream that stored it.
    pub stream: String,
    /// The sequence: the revision.
    pub seq: u64,
    /// The same `Nats-Msg-Id` was stored already; `seq` is the earlier one.
    pub duplicate: bool,
    /// The stream's domain, where it is another one.
    pub domain: Option<String>,
    /// A counter's value after the increment.
    pub value: Option<String>,
}

/// The revision of a write that `stream` must have stored: any other responder on the subject could answer.
pub(crate) fn parse(payload: &[u8], stream: &str) -> Result<Result<u64, ApiError>, Error> {
    if let Some(seq) = fast(payload, stream) {
        return Ok(Ok(seq));
    }
    let ack = match read(payload)? {
        PubAck::Stored(ack) => ack,
        PubAck::Refused(error) => return Ok(Err(error)),
        PubAck::InBatch => return Err(invalid()),
    };
    if ack.stream != stream {
        let text = alloc::format!("stream {} acknowledged a write meant for {}", Quoted(&ack.stream), Quoted(stream));
        return Err(Error::new(ErrorCode::Protocol, text));
    }
    Ok(Ok(ack.seq))
}

/// Any acknowledgement: stored, or refused.
pub(crate) fn read(payload: &[u8]) -> Result<PubAck, Error> {
    if payload.is_empty() {
        return Ok(PubAck::InBatch);
    }
    let Some(Value::Object(fields)) = Value::of_bytes(payload) else { return Err(invalid()) };
    if let Some(error) = ApiError::of(&fields) {
        return Ok(PubAck::Refused(error));
    }
    let seq = fields.get("seq").and_then(Value::as_u64).filter(|seq| *seq > 0).ok_or_else(invalid)?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(ToString::to_string);
    let duplicate = fields.get("duplicate").and_then(Value::as_bool).unwrap_or(false);
    Ok(PubAck::Stored(Ack {
        stream: text("stream").ok_or_else(invalid)?,
        seq,
        duplicate,
        domain: text("domain"),
        value: text("val"),
    }))
}

fn invalid() -> Error {
    Error::new(ErrorCode::Protocol, "the answer to a write is not a publish acknowledgement")
}

/// `{"stream":"<stream>","seq":<digits>}`, with the space that servers before 2.11 put behind the comma.
fn fast(payload: &[u8], stream: &str) -> Option<u64> {
    let rest = payload.strip_prefix(b"{\"stream\":\"")?.strip_prefix(stream.as_bytes())?.strip_prefix(b"\",")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    parse_u64(rest.strip_prefix(b"\"seq\":")?.strip_suffix(b"}")?).filter(|seq| *seq > 0)
}
