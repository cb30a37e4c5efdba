//! The messages of a stream, and what can happen to them. A replica is another store that is told of the same changes later.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};

use super::connection::{is_filter, matches};

/// A stored message.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub seq: u64,
    pub subject: Rc<str>,
    /// The header block, or nothing.
    pub headers: Vec<u8>,
    pub payload: Vec<u8>,
    /// Nanoseconds since 1970.
    pub time_ns: i64,
    /// When it goes, on the world's clock.
    pub expires: Option<u64>,
    /// Whose publish it was; 0: the server's own.
    pub conn: u64,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.is_marker() { "marker" } else { "value" };
        write!(f, "{what} of {} @{} {} bytes", self.subject, self.seq, self.payload.len())
    }
}

impl Message {
    /// The value of a header; the last of several.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// Whether it is a delete or purge marker, a client's or the server's.
    pub fn is_marker(&self) -> bool {
        match self.header("KV-Operation") {
            Some(operation) => matches!(operation, "DEL" | "PURGE"),
            None => self.header("Nats-Marker-Reason").is_some(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        size_of_message(&self.subject, self.headers.len() + self.payload.len())
    }
}

/// What a message takes of `max_bytes`.
pub(super) fn size_of_message(subject: &str, body: usize) -> u64 {
    (22 + subject.len() + body + 8) as u64
}

/// The value of a header of a block; the last of several.
pub fn header<'a>(block: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(block).ok()?;
    let values = text.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    values.filter(|(other, _)| *other == name).map(|(_, value)| value.trim()).last()
}

/// Why a message is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A newer one of its subject took its place.
    Replaced,
    /// Its subject was purged by a rollup.
    Rollup,
    /// STREAM.PURGE.
    Purged,
    /// Its time was over.
    Expired,
}

#[derive(Clone, Debug)]
pub enum Change {
    Stored(Rc<Message>),
    Removed { seq: u64, subject: Rc<str>, why: Why },
}

#[derive(Clone, Debug, Default)]
pub struct Store {
    pub messages: BTreeMap<u64, Rc<Message>>,
    subjects: BTreeMap<Rc<str>, BTreeSet<u64>>,
    pub last_seq: u64,
    pub bytes: u64,
}

impl Store {
    pub fn learn(&mut self, change: &Change) {
        match change {
            Change::Stored(message) => {
                self.last_seq = message.seq;
                self.bytes += message.size();
                self.subjects.entry(message.subject.clone()).or_default().insert(message.seq);
                self.messages.insert(message.seq, message.clone());
            }
            Change::Removed { seq, subject, .. } => {
                let Some(message) = self.messages.remove(seq) else { return };
                self.bytes -= message.size();
                if let Some(sequences) = self.subjects.get_mut(subject) {
                    sequences.remove(seq);
                    if sequences.is_empty() {
                        self.subjects.remove(subject);
                    }
                }
            }
        }
    }

    /// Sequences of a subject, oldest first.
    pub(super) fn of(&self, subject: &str) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.subjects.get(subject).into_iter().flatten().copied()
    }

    pub fn last_of(&self, subject: &str) -> Option<&Rc<Message>> {
        self.messages.get(&self.of(subject).next_back()?)
    }

    pub(super) fn first_seq(&self) -> u64 {
        self.messages.first_key_value().map_or(self.last_seq + 1, |(seq, _)| *seq)
    }

    /// Subjects that match any filter.
    pub fn subjects<'a>(&'a self, filters: &'a [String]) -> impl Iterator<Item = &'a Rc<str>> + 'a {
        self.subjects.keys().filter(|subject| matches_any(filters, subject))
    }

    pub(super) fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    /// The last sequence up to `most` of each matching subject, ascending.
    pub(super) fn last_seqs(&self, filters: &[String], most: u64) -> Vec<u64> {
        let last = |subject: &Rc<str>| self.of(subject).rfind(|seq| *seq <= most);
        let mut seqs: Vec<u64> = if filters.iter().any(|filter| is_filter(filter)) {
            self.subjects(filters).filter_map(last).collect()
        } else {
            filters.iter().filter_map(|subject| self.of(subject).rfind(|seq| *seq <= most)).collect()
        };
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }
}

pub(super) fn matches_any(filters: &[String], subject: &str) -> bool {
    filters.iter().any(|filter| matches(filter, subject))
}
