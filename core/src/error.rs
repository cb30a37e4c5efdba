//! The numbered errors that every binding derives its own from.
//!
//! Numbers are C values and never reused; the decade tells whose fault it is: below 10 the caller's, 10–19 the
//! connection's, 20–29 the moment's, 30–39 the server said no, 90 ours. `tests/vectors/errors.json` holds the
//! same table as data and a test compares them.

use alloc::{borrow::Cow, boxed::Box, format, string::String};
use core::{fmt, ops::Deref};

use crate::json::{Object, object};

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal, $status:literal, $api:literal, $text:literal;)+) => {
        /// What went wrong, as a number that stays the same in every language and version.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum ErrorCode { $($(#[doc = $doc])+ $variant = $number,)+ }

        impl ErrorCode {
            /// Every code, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name as JS spells it, and C with the prefix `NATSKV_`.
            pub const fn name(self) -> &'static str { match self { $(Self::$variant => $name,)+ } }

            /// The `code` and `err_code` that the JSON form of an error reports when the server gave none.
            const fn canonical(self) -> (u16, u32) { match self { $(Self::$variant => ($status, $api),)+ } }

            /// What is said when there is nothing more to say.
            const fn text(self) -> &'static str { match self { $(Self::$variant => $text,)+ } }
        }
    };
}

error_codes! {
    /// An argument breaks a rule that has no code of its own; the message names value and rule.
    InvalidArgument = 1, "INVALID_ARGUMENT", 400, 0, "invalid argument";
    /// A key or filter that cannot be written: charset, empty token, reserved prefix.
    InvalidKey = 2, "INVALID_KEY", 400, 0, "invalid key";
    /// A bucket name outside `[A-Za-z0-9_-]+`.
    InvalidBucket = 3, "INVALID_BUCKET", 400, 0, "invalid bucket name";
    /// The value, or the message it makes, is larger than the server or the bucket takes.
    TooLarge = 4, "TOO_LARGE", 400, 0, "value too large";
    /// The server, the bucket or this build lacks the feature asked for.
    Unsupported = 5, "UNSUPPORTED", 400, 0, "not supported";
    /// A blocking call from inside a callback that the same client runs.
    WouldDeadlock = 6, "WOULD_DEADLOCK", 400, 0, "a blocking call inside a callback of the same client";
    /// More than 64 revisions a key were asked for.
    HistoryTooLarge = 7, "HISTORY_TOO_LARGE", 400, 0, "history is limited to 64 revisions";
    /// No server of the pool could be reached, or each refused for a reason that is not the credentials.
    ConnectFailed = 10, "CONNECT_FAILED", 400, 0, "could not connect";
    /// The connection was lost while the operation was in flight; see `maybe_applied`.
    Disconnected = 11, "DISCONNECTED", 400, 0, "connection lost";
    /// The client, the watcher or the bucket handle was closed.
    Closed = 12, "CLOSED", 400, 0, "closed";
    /// TLS could not be set up, or the two sides disagree about using it.
    Tls = 13, "TLS", 400, 0, "TLS failed";
    /// The server refused the credentials.
    Auth = 14, "AUTH", 401, 0, "authorization violation";
    /// The credentials are good, the subject is not allowed to them.
    Permission = 15, "PERMISSION", 403, 0, "permission denied";
    /// Bytes that are not NATS, or an answer that cannot be one.
    Protocol = 16, "PROTOCOL", 400, 0, "protocol error";
    /// A queue reached the bound that Config gives it.
    BufferFull = 17, "BUFFER_FULL", 400, 0, "buffer full";
    /// The deadline passed first.
    Timeout = 20, "TIMEOUT", 408, 0, "timed out";
    /// The caller cancelled.
    Cancelled = 21, "CANCELLED", 400, 0, "cancelled";
    /// Nobody listens on the subject asked.
    NoResponders = 22, "NO_RESPONDERS", 503, 0, "no responders";
    /// The server is there but cannot serve now (election, overload); it was retried until the deadline.
    Unavailable = 23, "UNAVAILABLE", 503, 0, "temporarily unavailable";
    /// No such bucket.
    BucketNotFound = 30, "BUCKET_NOT_FOUND", 404, 10059, "bucket not found";
    /// The bucket exists with another configuration.
    BucketExists = 31, "BUCKET_EXISTS", 400, 10058, "bucket exists with a different configuration";
    /// The stream exists but is not a key/value bucket.
    NotABucket = 32, "NOT_A_BUCKET", 400, 0, "the stream is not a key/value bucket";
    /// The key has no live value.
    KeyNotFound = 33, "KEY_NOT_FOUND", 404, 10037, "key not found";
    /// The key has a live value already. (10048, which SPEC.md names for it, is a stream that a cluster could not place.)
    KeyExists = 34, "KEY_EXISTS", 400, 10071, "key exists";
    /// The key is at another revision than the one expected.
    WrongRevision = 35, "WRONG_REVISION", 400, 10071, "wrong last revision";
    /// The bucket reached its `max_bytes`.
    BucketFull = 36, "BUCKET_FULL", 503, 10077, "bucket full: maximum bytes exceeded";
    /// Any other refusal of the server; the message carries its words.
    Server = 37, "SERVER", 500, 0, "server error";
    /// A bug in natskv.
    Internal = 90, "INTERNAL", 500, 0, "internal error";
}

impl ErrorCode {
    /// The number that C sees.
    pub const fn number(self) -> u16 {
        self as u16
    }
}

/// One failure, complete enough to act on without parsing its message. It is one pointer wide: results that carry it stay small.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Failure>);

/// What an [`Error`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind.
    pub code: ErrorCode,
    /// What was wrong with which value, and what would be right; the server's own words where it spoke.
    pub message: Cow<'static, str>,
    /// The HTTP-like status of the JSON form (404 for a missing key).
    pub status: u16,
    /// The JetStream `err_code` (10071 for a wrong revision); 0 when the error was made locally.
    pub api_code: u32,
    /// The revision that the key really is at, when the server told it.
    pub revision: Option<u64>,
    /// The write may have been stored although it failed here. Never true for reads.
    pub maybe_applied: bool,
}

impl Deref for Error {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error {
    /// An error with the code's own text.
    pub fn from_code(code: ErrorCode) -> Self {
        Self::new(code, code.text())
    }

    /// An error with a message of its own.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self::make(code, message.into())
    }

    #[cold]
    #[inline(never)]
    fn make(code: ErrorCode, message: Cow<'static, str>) -> Self {
        let (status, api_code) = code.canonical();
        Self(Box::new(Failure { code, message, status, api_code, revision: None, maybe_applied: false }))
    }

    /// The same error in other words.
    pub(crate) fn saying(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// The same error, saying what it is about.
    pub(crate) fn about(self, what: impl fmt::Display) -> Self {
        let text = format!("{what}: {}", self.message);
        self.saying(text)
    }

    /// The same error, of another kind.
    pub(crate) fn of_kind(mut self, code: ErrorCode) -> Self {
        self.0.code = code;
        self
    }

    /// The same error, knowing the revision that the key is at.
    pub(crate) fn at(mut self, revision: Option<u64>) -> Self {
        self.0.revision = revision;
        self
    }

    /// The same error with what the server said of it.
    pub(crate) fn answered(mut self, status: u16, api_code: u32) -> Self {
        (self.0.status, self.0.api_code) = (status, api_code);
        self
    }

    pub(crate) fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn protocol(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::Protocol, message)
    }

    /// The same error, knowing that the write may have been stored.
    pub(crate) fn maybe_applied(mut self, maybe: bool) -> Self {
        self.0.maybe_applied = maybe;
        self
    }

    /// The JSON form of SPEC.md, `{"type", "error": {"code", "err_code", "description"}}`; beside these `kind`, and `revision` and
    /// `maybe_applied` where they say something.
    pub fn to_json(&self) -> String {
        format!("{}", self.to_object())
    }

    pub(crate) fn to_object(&self) -> Object {
        // In the order of their names, here and in all replies: whoever has no parser can look for them.
        let mut object = object! {
            "error" => object! { "code" => self.status, "description" => &*self.message, "err_code" => self.api_code },
            "kind" => self.code.name(),
        };
        if self.maybe_applied {
            object.insert("maybe_applied", true);
        }
        if let Some(revision) = self.revision {
            object.insert("revision", revision);
        }
        object.insert("type", "io.nats.jetstream.api.v1.error_response");
        object
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl core::error::Error for Error {}
