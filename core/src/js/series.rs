//! The answers to one direct get of many messages (server 2.11+): message after message, then an end that says what is left.

use crate::{
    js::{
        direct::DirectMeta,
        status::{Context, Meaning, meaning},
    },
    proto::headers::Headers,
};

/// How far one such request is answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Series {
    /// Sequence of the last message that came.
    last: u64,
}

/// One answer.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// `is_first`: whatever came before belongs to an earlier attempt at the same request.
    Message { meta: DirectMeta<'a>, is_first: bool },
    /// All that this request gives was given. `pending` more match behind `last`; `up_to` is the sequence the picture is of.
    End { pending: u64, last: u64, up_to: Option<u64> },
    /// Nothing matches.
    Empty,
    /// More than 1024 subjects match.
    TooMany,
    /// The server knows no such request.
    Unsupported,
    /// A message is missing, or the server failed: the request is to be sent again.
    Broken,
}

impl Series {
    pub(crate) fn on_reply<'a>(&mut self, headers: &Headers<'a>, context: Context) -> Part<'a> {
        // Before the status: a stored message may begin with any.
        if let Some(meta) = DirectMeta::of(headers) {
            let Some(previous) = headers.last_u64("Nats-Last-Sequence") else {
                return Part::Unsupported; // servers before 2.11 take it for a get of one message
            };
            if previous != 0 && previous != self.last {
                return Part::Broken;
            }
            self.last = meta.sequence;
            return Part::Message { meta, is_first: previous == 0 };
        }
        let Some(status) = headers.status() else { return Part::Broken };
        match meaning(status, headers.description(), false, context) {
            Meaning::EndOfBatch => {
                let last = headers.last_u64("Nats-Last-Sequence").unwrap_or(self.last);
                if last != self.last {
                    return Part::Broken;
                }
                let pending = headers.last_u64("Nats-Num-Pending").unwrap_or_default();
                Part::End { pending, last, up_to: headers.last_u64("Nats-UpTo-Sequence") }
            }
            Meaning::NotFound | Meaning::Empty => Part::Empty,
            Meaning::TooManyResults => Part::TooMany,
            Meaning::NotSupported => Part::Unsupported,
            _ => Part::Broken,
        }
    }
}
