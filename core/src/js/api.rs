//! The JSON API: answers are one message, an `error` in them decides, its `err_code` says which.
//!
//! Never the description, but for 10077, where only the text tells a full bucket from a broken disk, and for the number in
//! `wrong last sequence: 7`, which no field carries.

use alloc::{
    format,
    string::{String, ToString},
};

use crate::{
    error::{Error, ErrorCode},
    json::{Object, Value},
    number::parse_u64,
};

/// The `error` object of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP-like status.
    pub code: u16,
    /// The server's own number, such as 10071.
    pub err_code: u32,
    /// The server's words.
    pub description: String,
}

impl ApiError {
    /// `error` of an API answer or a publish acknowledgement.
    pub(crate) fn of(fields: &Object) -> Option<Self> {
        let error = fields.get("error")?.as_object()?;
        let number = |name: &str| error.get(name).and_then(Value::as_u64).unwrap_or_default();
        Some(Self {
            code: u16::try_from(number("code")).unwrap_or(500),
            err_code: u32::try_from(number("err_code")).unwrap_or_default(),
            description: error.get("description").and_then(Value::as_str).unwrap_or_default().to_string(),
        })
    }

    /// The last sequence that the server found, from `wrong last sequence: N`. 0 means that there is no message.
    pub fn actual_sequence(&self) -> Option<u64> {
        parse_u64(self.description.strip_prefix("wrong last sequence: ")?.as_bytes())
    }

    /// Whether it is a CAS conflict. 10164 is the same without the number: a concurrent write on a replicated stream.
    pub fn is_wrong_sequence(&self) -> bool {
        matches!(self.err_code, 10071 | 10164)
    }

    /// Whether asking again a little later may help: elections, overload, a leader that is not ready.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.err_code,
            10004 | 10008 | 10009 | 10012 | 10023 | 10118 | 10119 | 10158 | 10163 | 10167 | 10194 | 10195
        )
    }

    /// What a refused consumer create means for its watch.
    pub fn create_failure(&self) -> CreateFailure {
        match self.err_code {
            10138 => CreateFailure::FiltersCross,
            10014 | 10047 => CreateFailure::Retry, // the old consumer vanished; storage is short at the moment
            _ if self.is_retryable() => CreateFailure::Retry,
            _ => CreateFailure::Final,
        }
    }

    /// The kind that users see. Create tells KEY_EXISTS from WRONG_REVISION itself, having looked for a marker.
    pub fn to_error(&self) -> Error {
        let says_full = self.description.contains("maximum bytes exceeded");
        let code = match self.err_code {
            10071 | 10164 => ErrorCode::WrongRevision,
            10037 => ErrorCode::KeyNotFound,
            10059 => ErrorCode::BucketNotFound,
            10058 => ErrorCode::BucketExists,
            10054 | 10097 => ErrorCode::TooLarge,
            10077 if says_full => ErrorCode::BucketFull,
            10165 => ErrorCode::InvalidArgument,
            10166 | 10174 | 10185 | 10039 | 10076 => ErrorCode::Unsupported,
            _ if self.is_retryable() => ErrorCode::Unavailable,
            _ => ErrorCode::Server,
        };
        let text = format!("{}: {} ({})", Error::from_code(code).message, self.description, self.err_code);
        // 10071 stands for both, as it does in SPEC.md.
        let api_code = if self.err_code == 10164 { 10071 } else { self.err_code };
        let revision = self.actual_sequence().filter(|revision| *revision > 0);
        Error::new(code, text).answered(self.code, api_code).at(revision)
    }
}

/// What to do about a consumer that could not be created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateFailure {
    /// Try again after a while.
    Retry,
    /// Servers before 2.14 refuse filters that match a common subject: ask for more and choose here.
    FiltersCross,
    /// It cannot work.
    Final,
}

/// The fields of an API answer, or its error.
pub(crate) fn answer(payload: &[u8]) -> Result<Object, ApiFailure> {
    let Some(Value::Object(fields)) = Value::of_bytes(payload) else {
        return Err(ApiFailure::Malformed(Error::protocol("the answer of the JetStream API is not a JSON object")));
    };
    match ApiError::of(&fields) {
        Some(error) => Err(ApiFailure::Refused(error)),
        None => Ok(fields),
    }
}

/// Why there are no fields.
#[derive(Clone, Debug)]
pub(crate) enum ApiFailure {
    Refused(ApiError),
    Malformed(Error),
}

impl ApiFailure {
    pub(crate) fn to_error(&self) -> Error {
        match self {
            Self::Refused(error) => error.to_error(),
            Self::Malformed(error) => error.clone(),
        }
    }
}
