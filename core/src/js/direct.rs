//! Where a message's metadata stands: headers that the server appends to a direct get, JSON of STREAM.MSG.GET, and the reply
//! subject of a consumer's delivery.

use alloc::{string::String, vec::Vec};

use crate::{
    json::{Object, Value},
    proto::headers::{Headers, parse_u64},
    time::from_rfc3339,
};
use base64::{Engine, engine::general_purpose::STANDARD};

/// What a direct get says of its message. Of each name the last occurrence counts: a writer can store headers with these names,
/// and the server appends its own behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DirectMeta<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) sequence: u64,
    pub(crate) created_ns: i64,
    /// The headers as they were stored, without what the server appended.
    pub(crate) stored: Headers<'a>,
}

impl<'a> DirectMeta<'a> {
    pub(crate) fn of(headers: &Headers<'a>) -> Option<Self> {
        let (mut subject, mut sequence, mut created, mut stored_end) = (None, None, None, None);
        for (at, name, value) in headers.offsets() {
            match name {
                b"Nats-Stream" => stored_end = Some(at), // the first of those appended
                b"Nats-Subject" => subject = Some(value),
                b"Nats-Sequence" => sequence = Some(value),
                b"Nats-Time-Stamp" => created = Some(value),
                _ => {}
            }
        }
        Some(Self {
            subject: subject?,
            sequence: parse_u64(sequence?)?,
            created_ns: created.and_then(from_rfc3339).unwrap_or_default(),
            stored: headers.before(stored_end?),
        })
    }
}

/// A message from STREAM.MSG.GET, which the stream's leader answers.
#[derive(Clone, Debug)]
pub(crate) struct StoredMessage {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) created_ns: i64,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl StoredMessage {
    pub(crate) fn of(fields: &Object) -> Option<Self> {
        let message = fields.get("message")?.as_object()?;
        let decoded = |name: &str| match message.get(name).and_then(Value::as_str) {
            Some(text) => STANDARD.decode(text).ok(),
            None => Some(Vec::new()),
        };
        Some(Self {
            subject: message.get("subject")?.as_str()?.into(),
            sequence: message.get("seq")?.as_u64()?,
            created_ns: message
                .get("time")
                .and_then(Value::as_str)
                .and_then(|time| from_rfc3339(time.as_bytes()))
                .unwrap_or_default(),
            headers: decoded("hdrs")?,
            payload: decoded("data")?,
        })
    }
}

/// What a delivery's reply subject says: `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckMeta<'a> {
    /// The stream's name.
    pub stream: &'a [u8],
    /// The consumer's name.
    pub consumer: &'a [u8],
    /// The domain; None when it says `_` or has no such token.
    pub domain: Option<&'a [u8]>,
    /// How often this message was delivered.
    pub delivered: u64,
    /// The message's sequence in the stream: the revision.
    pub stream_seq: u64,
    /// The delivery's sequence in the consumer: consecutive unless something was lost.
    pub consumer_seq: u64,
    /// When it was stored, nanoseconds since 1970.
    pub timestamp_ns: i64,
    /// How many further messages match the consumer's filter.
    pub pending: u64,
}

impl<'a> AckMeta<'a> {
    /// Reads both forms: 9 tokens, or 11 and more with domain and account in front (server 2.14+, when its operator asks for it).
    pub fn parse(reply: &'a [u8]) -> Option<Self> {
        let mut tokens: [&[u8]; 11] = [&[]; 11];
        let (mut count, mut rest) = (0, reply.strip_prefix(b"$JS.ACK.")?);
        // Tokens are short: a loop over bytes is quicker than a search.
        loop {
            let end = rest.iter().position(|byte| *byte == b'.').unwrap_or(rest.len());
            if let Some(slot) = tokens.get_mut(count) {
                *slot = &rest[..end];
            }
            count += 1;
            let Some(after) = rest.get(end + 1..) else { break };
            rest = after;
        }
        let (domain, rest) = match count {
            7 => (None, &tokens[..7]),
            9.. => (Some(tokens[0]).filter(|domain| *domain != b"_"), &tokens[2..9]),
            _ => return None,
        };
        Some(Self {
            stream: rest[0],
            consumer: rest[1],
            domain,
            delivered: parse_u64(rest[2])?,
            stream_seq: parse_u64(rest[3])?,
            consumer_seq: parse_u64(rest[4])?,
            timestamp_ns: i64::try_from(parse_u64(rest[5])?).ok()?,
            pending: parse_u64(rest[6])?,
        })
    }
}
