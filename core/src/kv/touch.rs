//! touch: the same value again, with a new TTL. Read from the leader, written only if nobody wrote in between; who did makes another
//! round, and the rounds are counted.

use alloc::string::String;
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    kv::{
        entry::Entry,
        op::{Child, Progress, Single},
        write::{Kind, What},
    },
};

/// Writers that may come in between before it is given up.
const MAX_ROUNDS: u8 = 8;

#[derive(Debug)]
pub(crate) struct Touch {
    bucket: usize,
    key: String,
    ttl: Duration,
    /// What was read, to be written again.
    read: Option<Entry>,
    is_waiting: bool,
    /// Until it is found not to be allowed to ask the leader: a replica's answer costs another round when it is stale.
    by_leader: bool,
    rounds: u8,
}

impl Touch {
    pub(crate) fn new(bucket: usize, key: &str, ttl: Duration) -> Self {
        Self { bucket, key: key.into(), ttl, read: None, is_waiting: false, by_leader: true, rounds: 0 }
    }

    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn next_child(&mut self) -> Option<Child<'_>> {
        if core::mem::replace(&mut self.is_waiting, true) {
            return None;
        }
        let what = match &self.read {
            None => Single::Get { key: &self.key, by_leader: self.by_leader },
            Some(entry) => Single::Write(What {
                kind: Kind::Put,
                key: &self.key,
                value: entry.value(),
                expected: Some(entry.revision),
                ttl: Some(self.ttl),
            }),
        };
        Some(Child { index: 0, what })
    }

    /// The last one could not be started yet.
    pub(crate) fn return_child(&mut self) {
        self.is_waiting = false;
    }

    pub(crate) fn on_child(&mut self, result: Result<Outcome, Error>) -> Progress {
        self.is_waiting = false;
        match result {
            Ok(Outcome::Entry(entry)) => {
                if entry.is_marker() {
                    return super::get::not_found(entry.key(), None).into();
                }
                self.read = Some(entry);
                Progress::Pending
            }
            Err(error) if error.code == ErrorCode::Permission && self.by_leader && self.read.is_none() => {
                self.by_leader = false;
                Progress::Pending
            }
            Err(error)
                if error.code == ErrorCode::WrongRevision && !error.maybe_applied && self.rounds < MAX_ROUNDS =>
            {
                self.rounds += 1;
                self.read = None;
                Progress::Pending
            }
            other => Progress::Done(other),
        }
    }
}
