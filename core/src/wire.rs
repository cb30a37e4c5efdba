//! The rules of the wire as pure functions, for tests and tools: what `Client` does with bytes, without a client.
//!
//! Nothing here is a second implementation; each item is, or calls, what the floors of core use. `tests/vectors` runs against it.

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    config::Config,
    error::{Error, ErrorCode},
    js::{api, direct::DirectMeta, puback},
    json::{Object, Value},
    kv::{
        bucket::{Bucket, DEFAULT_API, HandleOptions},
        config::BucketConfig,
        entry::{Entry, Operation},
        key,
        policy::KeyPolicy,
        purge_deletes, ttl,
    },
    proto::{
        encode,
        info::{ConnectOptions, ServerInfo, connect_json},
        parser::{Frame, Parser},
        subject,
    },
    session::{
        auth::{Login, Signing},
        pool,
    },
};
pub use crate::{
    js::{
        api::{ApiError, CreateFailure},
        direct::AckMeta,
        puback::{Ack, PubAck},
        status::{Context, Meaning, meaning},
        tracker::{Policy, Tracker, Verdict},
    },
    proto::{
        creds::Creds,
        headers::Headers,
        nkey::{KeyKind, Seed, encode_public},
        server_error::ServerError,
    },
};

fn bound(bucket: &str, api_prefix: &str) -> Bucket {
    Bucket::bound(bucket, api_prefix, HandleOptions::default())
}

// ── names

/// A key that may be written.
pub fn check_key(key: &str) -> Result<(), Error> {
    bound("b", DEFAULT_API).writable(key).map(|_| ())
}

/// The key as a policy stores it.
pub fn encode_key(policy: KeyPolicy, key: &str) -> Result<String, Error> {
    policy.encode(key).map(Cow::into_owned)
}

/// The filter as a policy sends it.
pub fn encode_filter(policy: KeyPolicy, filter: &str) -> Result<String, Error> {
    policy.encode_filter(filter).map(Cow::into_owned)
}

/// The key of what is stored; as it stands where it does not follow the policy's codec.
pub fn decode_key(policy: KeyPolicy, stored: &str) -> String {
    policy.decode(stored).into_owned()
}

/// A bucket's name.
pub fn check_bucket(name: &str) -> Result<(), Error> {
    key::check_bucket(name)
}

/// A filter of a watch or list.
pub fn check_filter(filter: &str) -> Result<(), Error> {
    KeyPolicy::Strict.encode_filter(filter).map(|_| ())
}

/// Filters without repetitions and without those that another covers; and whether two of the rest match a common key.
pub fn reduce_filters(filters: &[&str]) -> Result<(Vec<String>, bool), Error> {
    let reduced = bound("b", DEFAULT_API).reduced(filters)?;
    let is_crossing = |(at, a): (usize, &String)| reduced[at + 1..].iter().any(|b| subject::overlaps(a, b));
    let crossing = reduced.iter().enumerate().any(is_crossing);
    Ok((reduced, crossing))
}

// ── subjects

/// The subjects of one bucket.
#[derive(Clone, Debug)]
pub struct Subjects(Bucket);

impl Subjects {
    /// Of a bucket reached through an API prefix (default `$JS.API`); for a mirror, with its stream's `mirror` object.
    pub fn new(bucket: &str, api_prefix: Option<&str>, mirror: Option<&Object>) -> Self {
        let mut opened = bound(bucket, api_prefix.unwrap_or(DEFAULT_API));
        if let Some(mirror) = mirror {
            opened.mirrors(mirror);
        }
        Self(opened)
    }

    /// Where a key is written.
    pub fn write(&self, key: &str) -> String {
        self.0.write_subject(key).concat()
    }

    /// Where a key is asked for.
    pub fn direct_get(&self, key: &str) -> String {
        self.0.get_subject(key).concat()
    }

    /// An endpoint that ends with the stream's name, such as `STREAM.INFO` or `DIRECT.GET`.
    pub fn endpoint(&self, endpoint: &str) -> String {
        format!("{}.{endpoint}.{}", self.0.api_prefix, self.0.stream)
    }

    /// Where a consumer of these key filters is created.
    pub fn consumer_create(&self, name: &str, filters: &[&str]) -> String {
        let keys: Vec<String> = filters.iter().map(ToString::to_string).collect();
        crate::js::ordered::create_subject(&self.0.api_prefix, &self.0.stream, name, &self.0.filters(&keys)).concat()
    }

    /// Where a consumer is deleted.
    pub fn consumer_delete(&self, name: &str) -> String {
        crate::js::ordered::delete_subject(&self.0.api_prefix, &self.0.stream, name).concat()
    }

    /// The key of a stored subject.
    pub fn key_of<'a>(&self, subject: &'a str) -> &'a str {
        core::str::from_utf8(self.0.key_of(subject.as_bytes())).unwrap_or(subject)
    }
}

// ── frames

/// PUB, or HPUB where there are headers. Refuses what a server would close the connection over.
pub fn publish(
    subject: &str,
    reply: Option<&str>,
    headers: &[(&str, &str)],
    payload: &[u8],
    max_payload: usize,
) -> Result<Vec<u8>, Error> {
    subject::check_publish(subject)?;
    let mut out = Vec::new();
    encode::publish(&mut out, &[subject], reply.as_slice(), headers, payload, max_payload)?;
    Ok(out)
}

/// SUB.
pub fn subscribe(subject: &str, queue: Option<&str>, sid: u64) -> Vec<u8> {
    let mut out = Vec::new();
    encode::subscribe(&mut out, subject, queue, sid);
    out
}

/// UNSUB.
pub fn unsubscribe(sid: u64, max: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    encode::unsubscribe(&mut out, sid, max);
    out
}

/// The block that stands for these headers.
pub fn encode_headers(headers: &[(&str, &str)]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    crate::proto::headers::encode_block(headers, &mut out)?;
    Ok(out)
}

/// A frame of the server, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// INFO, its JSON text.
    Info(String),
    /// MSG or HMSG.
    Message {
        /// The message's own subject.
        subject: Vec<u8>,
        /// The subscription.
        sid: Vec<u8>,
        /// Where an answer goes.
        reply: Option<Vec<u8>>,
        /// The header block; empty for MSG.
        headers: Vec<u8>,
        /// The payload.
        payload: Vec<u8>,
    },
    /// PING
    Ping,
    /// PONG
    Pong,
    /// +OK
    Ok,
    /// -ERR, its text.
    Err(String),
    /// Not NATS; nothing follows.
    ProtocolError(Error),
}

/// The frames of a server's bytes, however they are cut. The size of a message is bounded by Config's default.
pub fn parse(chunks: &[&[u8]]) -> Vec<Parsed> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut parser = Parser::new(Config::default().max_message);
    let mut parsed = Vec::new();
    for chunk in chunks {
        let mut frames = parser.frames(chunk);
        while let Some(frame) = frames.next() {
            parsed.push(match frame {
                Ok(Frame::Message(message)) => Parsed::Message {
                    subject: message.subject.into(),
                    sid: message.sid.into(),
                    reply: message.reply.map(Vec::from),
                    headers: message.headers.block().into(),
                    payload: message.payload.into(),
                },
                Ok(Frame::Info(json)) => Parsed::Info(text(json.trim_ascii())),
                Ok(Frame::Ping) => Parsed::Ping,
                Ok(Frame::Pong) => Parsed::Pong,
                Ok(Frame::Ok) => Parsed::Ok,
                Ok(Frame::Err(error)) => Parsed::Err(text(error)),
                Err(error) => {
                    parsed.push(Parsed::ProtocolError(error));
                    return parsed;
                }
            });
        }
    }
    parsed
}

/// WebSocket frames: one of data for a server, and a server's as they come.
#[cfg(feature = "websocket")]
pub use crate::proto::websocket::{Decoder as WebDecoder, Piece as WebPiece, encode_data as web_frame};

/// The JSON of CONNECT, for an INFO and what the user configured. `url` may carry credentials, which win.
pub fn connect(info_json: &str, config: &Config, url: Option<&str>) -> Result<Value, Error> {
    let info = ServerInfo::parse(info_json.as_bytes())?;
    let login = match url.map(pool::parse_url).transpose()? {
        Some((_, login)) if login != Login::Nobody => login,
        _ => Login::of_config(config)?,
    };
    let Signing::Done(signature) = login.sign(info.nonce.as_deref())? else {
        return Err(Error::new(ErrorCode::Unsupported, "only a client can have its binding sign"));
    };
    let options =
        ConnectOptions { name: config.name.as_deref(), lang: config.lang, is_tls: config.tls, echo: config.echo };
    Ok(connect_json(&options, &login.fields(signature.as_ref())?, &info))
}

// ── JetStream

/// The answer to a publish.
pub fn pub_ack(payload: &[u8]) -> Result<PubAck, Error> {
    puback::read(payload)
}

/// The error of an API answer; None when it is none.
pub fn api_error(response: &[u8]) -> Option<ApiError> {
    match api::answer(response) {
        Err(api::ApiFailure::Refused(error)) => Some(error),
        Ok(_) | Err(api::ApiFailure::Malformed(_)) => None,
    }
}

// ── Key/Value

/// The stream that a new bucket of this configuration has.
pub fn stream_config(config: &BucketConfig) -> Result<Value, Error> {
    config.check()?;
    Ok(Value::Object(config.to_stream()))
}

/// The configuration of the bucket that has this stream, every field given.
pub fn bucket_config(bucket: &str, stream: &Value) -> BucketConfig {
    stream.as_object().map_or_else(|| BucketConfig::new(bucket), |stream| BucketConfig::of_stream(bucket, stream))
}

/// The operation that a message's headers stand for.
pub fn operation(headers: &Headers<'_>) -> Operation {
    Operation::of(headers)
}

/// The entry that a message of a bucket stands for.
pub fn entry(headers: &Headers<'_>, value: &[u8]) -> Entry {
    Entry::new("", "", headers, value, 0, 0, 0)
}

/// The entry that the answer to a direct get carries; None when it has no metadata.
pub fn direct_entry(bucket: &str, headers: &Headers<'_>, value: &[u8]) -> Option<Entry> {
    let meta = DirectMeta::of(headers)?;
    Some(bound(bucket, DEFAULT_API).gotten(&meta, value))
}

/// `seq` of the STREAM.PURGE that purge_deletes sends for a marker at `revision`.
pub fn purge_before(revision: u64, is_old: bool) -> u64 {
    purge_deletes::purge_before(revision, is_old)
}

/// The text of `Nats-TTL`.
pub fn ttl_header(ttl: Duration) -> Result<String, Error> {
    ttl::header(ttl)
}
