//! What really happened: the log of every stream, and at each point of it the newest message of each key.

use std::{collections::BTreeMap, rc::Rc};

use natskv_kit::fake::{Change, FakeServer, Message, Store, Why};

use crate::plan::SECOND;

/// The newest message of a key, or none.
pub(crate) type State = Option<Rc<Message>>;

/// A point in a bucket's history: the stream that it was then, and how many changes that had seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    pub(crate) stream: Option<u64>,
    /// How many streams there had been, of any name.
    pub(crate) streams: u64,
    pub(crate) index: usize,
    /// How many of them its slowest replica had seen.
    pub(crate) slowest: usize,
    pub(crate) last_seq: u64,
}

/// What one stream was, up to now.
#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) name: String,
    pub(crate) store: Store,
    index: usize,
    /// Of each subject: from which change on which message was its newest.
    states: BTreeMap<Rc<str>, Vec<(usize, State)>>,
    /// Every message that was ever stored, and the change that stored it.
    pub(crate) stored: BTreeMap<u64, (usize, Rc<Message>)>,
}

#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) pasts: Vec<Past>,
    /// When a purge_deletes began, of which bucket, and how many streams there had been.
    pub(crate) purges: Vec<(u64, String, u64)>,
}

/// What a purge_deletes has sent is carried out within this time of its start.
const LONGEST_PURGE: u64 = 15 * SECOND;

impl Truth {
    /// Takes in what happened since the last time.
    pub(crate) fn learn(&mut self, server: &FakeServer, now: u64) -> Result<(), String> {
        self.purges.retain(|(began, ..)| began + LONGEST_PURGE > now);
        for stream in &server.streams[self.pasts.len()..] {
            let name = stream.name.clone();
            let (store, states, stored) = (Store::default(), BTreeMap::new(), BTreeMap::new());
            self.pasts.push(Past { name, store, index: 0, states, stored });
        }
        let Self { pasts, purges } = self;
        for (past, stream) in pasts.iter_mut().zip(&server.streams) {
            // STREAM.PURGE names a bucket, and cannot say which: what was listed in one may meet the next of that name.
            let is_at_risk = purges.iter().any(|(_, name, streams)| *name == past.name && *streams <= stream.id);
            for (_, change) in &stream.log[past.index..] {
                past.learn(change, is_at_risk)?;
            }
        }
        Ok(())
    }

    /// Where the bucket whose stream has this name is now.
    pub(crate) fn mark(&self, server: &FakeServer, name: &str) -> Mark {
        let streams = server.streams.len() as u64;
        let Some(stream) = server.stream(name) else { return Mark { streams, ..Mark::default() } };
        let (index, slowest) = (stream.log.len(), stream.slowest());
        Mark { stream: Some(stream.id), streams, index, slowest, last_seq: stream.store.last_seq }
    }

    /// The streams that a bucket was between two points, and the changes in between.
    pub(crate) fn spans(&self, name: &str, from: &Mark, to: &Mark) -> Vec<(&Past, usize, usize)> {
        let range = from.stream.unwrap_or(from.streams)..to.streams;
        let within = self.pasts.iter().enumerate().filter(|(id, _)| range.contains(&(*id as u64)));
        let spans = within.filter(|(_, past)| past.name == name).map(|(id, past)| {
            let is_first = from.stream == Some(id as u64);
            let is_last = to.stream == Some(id as u64);
            (past, if is_first { from.index } else { 0 }, if is_last { to.index } else { past.index })
        });
        spans.collect()
    }

    /// All that a key was between two points.
    pub(crate) fn states(&self, name: &str, subject: &str, from: &Mark, to: &Mark) -> Vec<State> {
        let mut states = Vec::new();
        if from.stream.is_none() {
            states.push(None);
        }
        for (past, lo, hi) in self.spans(name, from, to) {
            past.states_within(subject, lo, hi, &mut states);
        }
        states
    }

    /// Every subject that a bucket knew up to a point.
    pub(crate) fn subjects(&self, name: &str, from: &Mark, to: &Mark) -> Vec<Rc<str>> {
        let mut all: Vec<Rc<str>> =
            self.spans(name, from, to).iter().flat_map(|(past, ..)| past.states.keys().cloned()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    pub(crate) fn past(&self, id: u64) -> &Past {
        &self.pasts[id as usize]
    }
}

impl Past {
    fn learn(&mut self, change: &Change, is_at_risk: bool) -> Result<(), String> {
        self.index += 1;
        let subject = match change {
            Change::Stored(message) => {
                self.stored.insert(message.seq, (self.index, message.clone()));
                message.subject.clone()
            }
            Change::Removed { seq, subject, why } => {
                let is_newest = self.store.last_of(subject).is_some_and(|last| last.seq == *seq && !last.is_marker());
                if *why == Why::Purged && is_newest && !is_at_risk {
                    return Err(format!("a live value was purged: {subject} at {seq}"));
                }
                subject.clone()
            }
        };
        // Read along, as a replica does.
        self.store.learn(change);
        let state = self.store.last_of(&subject).cloned();
        let states = self.states.entry(subject).or_default();
        if states.last().map(|(_, last)| last.as_ref().map(|m| m.seq)) != Some(state.as_ref().map(|m| m.seq)) {
            states.push((self.index, state));
        }
        Ok(())
    }

    /// What the subject was after `lo` changes, and whatever it became up to `hi`.
    fn states_within(&self, subject: &str, lo: usize, hi: usize, into: &mut Vec<State>) {
        let states = self.states.get(subject).map(Vec::as_slice).unwrap_or_default();
        let first = states.partition_point(|(index, _)| *index <= lo);
        into.push(first.checked_sub(1).and_then(|at| states[at].1.clone()));
        into.extend(states[first..].iter().take_while(|(index, _)| *index <= hi).map(|(_, state)| state.clone()));
    }

    /// The change after which the subject was first at this revision or a later one.
    pub(crate) fn index_of(&self, subject: &str, revision: u64) -> usize {
        let states = self.states.get(subject).map(Vec::as_slice).unwrap_or_default();
        let first = states.iter().find(|(_, state)| state.as_ref().is_some_and(|message| message.seq >= revision));
        first.map_or(0, |(index, _)| *index)
    }

    /// What the subject was when the stream's last message was `seq`, as far as messages alone tell.
    pub(crate) fn state_at(&self, subject: &str, seq: u64) -> Option<&Rc<Message>> {
        let of_subject = self.stored.range(..=seq).rev().map(|(_, (_, message))| message);
        of_subject.into_iter().find(|message| &*message.subject == subject)
    }
}
