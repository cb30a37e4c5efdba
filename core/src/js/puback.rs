//! The acknowledgement of a publish into a stream: `{"stream":"KV_B","seq":7}`.
//!
//! The common form is read by hand; any other goes through the JSON parser and means the same.

use serde_json::Value;

use crate::{
    error::{Error, ErrorCode},
    js::api::ApiError,
    proto::headers::parse_u64,
};

/// What came back for a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PubAck {
    /// Stored at this sequence; `duplicate`: it had been there before.
    Stored {
        /// The sequence: the revision.
        seq: u64,
        /// The same `Nats-Msg-Id` was stored already; `seq` is the earlier one.
        duplicate: bool,
    },
    /// The stream said no.
    Refused(ApiError),
}

/// Reads an acknowledgement that must come from `stream`: any other responder on the subject could answer.
pub fn parse(payload: &[u8], stream: &str) -> Result<PubAck, Error> {
    if let Some(seq) = fast(payload, stream) {
        return Ok(PubAck::Stored { seq, duplicate: false });
    }
    let invalid = || Error::new(ErrorCode::Protocol, "the answer to a write is not a publish acknowledgement");
    let Ok(Value::Object(fields)) = serde_json::from_slice(payload) else { return Err(invalid()) };
    if let Some(error) = ApiError::of(&fields) {
        return Ok(PubAck::Refused(error));
    }
    let seq = fields.get("seq").and_then(Value::as_u64).filter(|seq| *seq > 0).ok_or_else(invalid)?;
    let name = fields.get("stream").and_then(Value::as_str).ok_or_else(invalid)?;
    if name != stream {
        let text = alloc::format!("stream {name:?} acknowledged a write meant for {stream:?}");
        return Err(Error::new(ErrorCode::Protocol, text));
    }
    Ok(PubAck::Stored { seq, duplicate: fields.get("duplicate").and_then(Value::as_bool).unwrap_or(false) })
}

/// `{"stream":"<stream>","seq":<digits>}`, with the space that servers before 2.11 put behind the comma.
fn fast(payload: &[u8], stream: &str) -> Option<u64> {
    let rest = payload.strip_prefix(b"{\"stream\":\"")?.strip_prefix(stream.as_bytes())?.strip_prefix(b"\",")?;
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    parse_u64(rest.strip_prefix(b"\"seq\":")?.strip_suffix(b"}")?)
}
