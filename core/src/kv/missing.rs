//! Nobody answered on a bucket's subject: is there no bucket, may it not be read directly, or is there an election?
//!
//! STREAM.INFO tells. A 503 alone does not: a stream without a leader answers the same for some hundred milliseconds.

use core::time::Duration;

use alloc::format;

use crate::{
    error::{Error, ErrorCode},
    js::api::{self, ApiFailure},
    kv::op::Cx,
    mux::Answer,
    shown::Quoted,
};

/// Tries of one operation, and the wait between two of them.
const MAX_TRIES: u8 = 8;
const RETRY_WAIT: Duration = Duration::from_millis(250);

/// Counts the tries of an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries(u8);

impl Tries {
    /// One more try, or the error that ends it.
    pub(crate) fn again(&mut self, error: impl FnOnce() -> Error) -> Result<Duration, Error> {
        self.0 += 1;
        if self.0 >= MAX_TRIES { Err(error()) } else { Ok(RETRY_WAIT) }
    }
}

/// Asks for the bucket's stream.
pub(crate) fn ask(cx: &mut Cx<'_>, bucket: usize) -> Result<(), Error> {
    cx.ask_stream(bucket, ".STREAM.INFO.", &[])
}

/// What the answer means. `Ok(true)`: the bucket is there, and its flags are up to date now; `Ok(false)`: not to be known now.
pub(crate) fn judge(cx: &mut Cx<'_>, bucket: usize, answer: &Answer<'_>) -> Result<bool, Error> {
    let fields = match answer {
        Answer::Reply { payload, .. } => api::answer(payload),
        Answer::NoResponders => return Ok(false),
        Answer::Failed(_) => return Ok(false), // least privilege: not allowed to ask
    };
    match fields {
        Ok(info) => {
            cx.buckets[bucket] = cx.buckets[bucket].refreshed(&info)?;
            Ok(true)
        }
        Err(ApiFailure::Refused(error)) if error.is_retryable() => Ok(false),
        Err(ApiFailure::Refused(error)) if error.err_code == 10059 => {
            let name = &cx.buckets[bucket].name;
            let text = format!("bucket not found: {name}: {} (10059)", error.description, name = Quoted(name));
            Err(error.to_error().saying(text))
        }
        Err(failure) => Err(failure.to_error()),
    }
}

/// The end of the tries. `is_there`: STREAM.INFO knows the bucket, so that it is a leader that is missing.
pub(crate) fn no_responders(subject: &str, is_there: bool) -> Error {
    if is_there {
        let text = format!(
            "no responders on {subject}, although the bucket exists: its stream has no leader now",
            subject = Quoted(subject)
        );
        return Error::new(ErrorCode::Unavailable, text);
    }
    let text = format!(
        "no responders on {subject}: no stream leader, or JetStream is not enabled here",
        subject = Quoted(subject)
    );
    Error::new(ErrorCode::NoResponders, text)
}
