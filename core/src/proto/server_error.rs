//! The texts of `-ERR`, and what each means. Matched by prefix, without regard to case; a server that closes does so by itself.

use alloc::{format, string::String};

use crate::error::{Error, ErrorCode};

/// What an -ERR is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerError {
    /// The credentials were refused, expired or revoked.
    Auth,
    /// The server waited too long for CONNECT.
    AuthTimeout,
    /// The server missed our pongs.
    Stale,
    /// Too many connections; another server may have room.
    MaxConnections,
    /// A message was too large, which we check before sending: the limit was lowered meanwhile.
    MaxPayload,
    /// TLS is demanded.
    TlsRequired,
    /// The two sides cannot agree; trying again cannot help.
    Config,
    /// We or something between us broke the protocol.
    Protocol,
    /// Publishing to this subject is not allowed. The connection stays.
    PublishDenied {
        /// The subject.
        subject: String,
    },
    /// Subscribing to this subject is not allowed. The connection stays.
    SubscribeDenied {
        /// The subject.
        subject: String,
        /// The queue group, where one was asked for.
        queue: Option<String>,
    },
    /// A subscription more than the account may have. The connection stays.
    MaxSubscriptions,
    /// A subject the server does not take. The connection stays.
    InvalidSubject,
    /// The server says that it goes away or gave up on us.
    Going,
    /// Anything else.
    Unknown,
}

impl ServerError {
    /// What the text of an -ERR, without its quotes, is about.
    pub fn parse(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        let is = |prefix: &str| lower.starts_with(prefix);
        if is("permissions violation for publish to") {
            return Self::PublishDenied { subject: quoted(text).map(String::from).unwrap_or_default() };
        }
        if is("permissions violation for subscription to") {
            let queue = lower.find("using queue").and_then(|at| quoted(&text[at..])).map(String::from);
            return Self::SubscribeDenied { subject: quoted(text).map(String::from).unwrap_or_default(), queue };
        }
        const TABLE: &[(&str, ServerError)] = &[
            ("authorization violation", ServerError::Auth),
            ("user authentication expired", ServerError::Auth),
            ("user authentication revoked", ServerError::Auth),
            ("account authentication expired", ServerError::Auth),
            ("authentication timeout", ServerError::AuthTimeout),
            ("stale connection", ServerError::Stale),
            ("maximum connections exceeded", ServerError::MaxConnections),
            ("maximum account active connections exceeded", ServerError::MaxConnections),
            ("connection throttling is active", ServerError::MaxConnections),
            ("maximum payload violation", ServerError::MaxPayload),
            ("secure connection - tls required", ServerError::TlsRequired),
            ("failed account registration", ServerError::Config),
            ("no responders requires headers support", ServerError::Config),
            ("invalid client protocol", ServerError::Config),
            ("parser error", ServerError::Protocol),
            ("unknown protocol operation", ServerError::Protocol),
            ("maximum control line exceeded", ServerError::Protocol),
            ("maximum subscriptions exceeded", ServerError::MaxSubscriptions),
            ("invalid subject", ServerError::InvalidSubject),
            ("invalid publish subject", ServerError::InvalidSubject),
            ("server shutdown", ServerError::Going),
            ("slow consumer", ServerError::Going),
        ];
        TABLE.iter().find(|(prefix, _)| is(prefix)).map_or(Self::Unknown, |(_, error)| error.clone())
    }

    /// Whether the server closes the connection after it.
    pub fn closes(&self) -> bool {
        !matches!(
            self,
            Self::PublishDenied { .. }
                | Self::SubscribeDenied { .. }
                | Self::MaxSubscriptions
                | Self::InvalidSubject
                | Self::Unknown
        )
    }

    /// The error that operations hit by it end with.
    pub fn to_error(&self, text: &str) -> Error {
        let code = match self {
            Self::Auth | Self::AuthTimeout => ErrorCode::Auth,
            Self::Stale | Self::Going | Self::Unknown => ErrorCode::Disconnected,
            Self::MaxConnections => ErrorCode::ConnectFailed,
            Self::MaxPayload => ErrorCode::TooLarge,
            Self::TlsRequired => ErrorCode::Tls,
            Self::Config => ErrorCode::InvalidArgument,
            Self::MaxSubscriptions => ErrorCode::Server,
            Self::Protocol | Self::InvalidSubject => ErrorCode::Protocol,
            Self::PublishDenied { .. } | Self::SubscribeDenied { .. } => ErrorCode::Permission,
        };
        Error::new(code, format!("the server says: {text}"))
    }
}

/// What stands between the first pair of double quotes.
fn quoted(text: &str) -> Option<&str> {
    let rest = &text[text.find('"')? + 1..];
    Some(&rest[..rest.find('"')?])
}
