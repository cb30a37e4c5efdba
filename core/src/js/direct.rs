//! Where a message's metadata stands: headers that the server appends to a direct get, JSON of STREAM.MSG.GET, and the reply
//! subject of a consumer's delivery.

use alloc::{string::String, vec::Vec};

use crate::{
    base64::STANDARD,
    json::{Object, Value},
    number::parse_u64,
    proto::headers::Headers,
    time::from_rfc3339,
};

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
        for (at, line) in headers.lines() {
            let Some(line) = line.strip_prefix(b"Nats-") else { continue };
            if let Some(value) = line.strip_prefix(b"Subject:") {
                subject = Some(value.trim_ascii());
            } else if let Some(value) = line.strip_prefix(b"Sequence:") {
                sequence = Some(value.trim_ascii());
            } else if let Some(value) = line.strip_prefix(b"Time-Stamp:") {
                created = Some(value.trim_ascii());
            } else if line.starts_with(b"Stream:") {
                stored_end = Some(at); // the first of those appended
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
            Some(text) => STANDARD.decode(text),
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
        let mut tokens = Tokens { rest: Some(reply.strip_prefix(b"$JS.ACK.")?) };
        if let Some((meta, None)) = Self::of(Tokens { ..tokens }) {
            return Some(meta);
        }
        let domain = tokens.next()?;
        tokens.next()?; // the account
        let (meta, _) = Self::of(tokens)?;
        Some(Self { domain: Some(domain).filter(|domain| *domain != b"_"), ..meta })
    }

    /// From the stream's name to what is pending, and what follows.
    fn of(mut tokens: Tokens<'a>) -> Option<(Self, Option<&'a [u8]>)> {
        let meta = Self {
            stream: tokens.next()?,
            consumer: tokens.next()?,
            domain: None,
            delivered: parse_u64(tokens.next()?)?,
            stream_seq: parse_u64(tokens.next()?)?,
            consumer_seq: parse_u64(tokens.next()?)?,
            timestamp_ns: i64::try_from(parse_u64(tokens.next()?)?).ok()?,
            pending: parse_u64(tokens.next()?)?,
        };
        Some((meta, tokens.rest))
    }
}

/// What stands between dots.
struct Tokens<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let (token, rest) = match rest.iter().position(|byte| *byte == b'.') {
            Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
            None => (rest, None),
        };
        self.rest = rest;
        Some(token)
    }
}
