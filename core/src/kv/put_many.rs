//! put_many: many values at once, each a put of its own, so many in flight that the server is busy; one result a key.

use alloc::{string::String, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    kv::{
        op::{Child, Progress, Single},
        write::{Kind, What},
    },
};

#[derive(Debug)]
pub(crate) struct PutMany {
    bucket: usize,
    /// Stored keys and values, behind each other; of each item where its key and where its value ends.
    text: String,
    values: Vec<u8>,
    ends: Vec<(usize, usize)>,
    next: usize,
    results: Vec<Result<u64, Error>>,
    left: usize,
}

impl PutMany {
    pub(crate) fn new(bucket: usize) -> Self {
        Self {
            bucket,
            text: String::new(),
            values: Vec::new(),
            ends: Vec::new(),
            next: 0,
            results: Vec::new(),
            left: 0,
        }
    }

    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn add(&mut self, key: &str, value: &[u8]) {
        self.text.push_str(key);
        self.values.extend_from_slice(value);
        self.ends.push((self.text.len(), self.values.len()));
        // What becomes of it if it is never sent.
        self.results.push(Err(Error::new(ErrorCode::Timeout, "timed out: not sent")));
        self.left += 1;
    }

    pub(crate) fn next_child(&mut self) -> Option<Child<'_>> {
        let index = self.next;
        let (key_end, value_end) = *self.ends.get(index)?;
        let (key_start, value_start) = if index == 0 { (0, 0) } else { self.ends[index - 1] };
        self.next += 1;
        let (key, value) = (&self.text[key_start..key_end], &self.values[value_start..value_end]);
        Some(Child { index, what: Single::Write(What { kind: Kind::Put, key, value, expected: None, ttl: None }) })
    }

    /// The last one could not be started yet.
    pub(crate) fn return_child(&mut self) {
        self.next -= 1;
    }

    pub(crate) fn on_child(&mut self, index: usize, result: Result<Outcome, Error>) -> Progress {
        let is_silent = matches!(&result, Err(error) if error.code == ErrorCode::Timeout);
        self.results[index] = match result {
            Ok(Outcome::Revision(revision)) => Ok(revision),
            Ok(_) => Err(Error::from_code(ErrorCode::Internal)),
            Err(error) => Err(error),
        };
        self.left -= 1;
        if is_silent {
            self.left -= self.ends.len() - self.next;
            self.next = self.ends.len();
        }
        self.progress()
    }

    /// Whether any of them is stored, or may be.
    pub(crate) fn has_applied(&self) -> bool {
        self.results.iter().any(|result| result.as_ref().map_or_else(|error| error.maybe_applied, |_| true))
    }

    pub(crate) fn progress(&mut self) -> Progress {
        if self.left > 0 {
            Progress::Pending
        } else {
            Progress::Done(Ok(Outcome::Written(core::mem::take(&mut self.results))))
        }
    }
}
