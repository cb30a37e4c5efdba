//! keys, history, and the current picture of a filter: finite reads over one consumer.
//!
//! Such a read completes or fails, never ends early: a lost connection or consumer is resumed inside, and the bucket's being made
//! anew starts it over. A key that is written while it is listed may be delivered twice; the newest state counts, once.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use crate::{
    error::Error,
    event::Outcome,
    js::{
        ordered::{Ordered, Step},
        tracker::Policy,
    },
    kv::{
        bucket::Bucket,
        entry::{Entry, Operation},
        get::not_found,
        op::{Cx, Progress},
    },
    proto::parser::Message,
};

/// What is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    /// All revisions of this key.
    History(String),
    /// The newest entry of each key, markers left out.
    Current,
}

#[derive(Debug)]
pub(crate) struct List {
    bucket: usize,
    what: What,
    names: Vec<Name>,
    entries: Vec<Entry>,
}

/// A key as it was last seen.
#[derive(Debug)]
struct Name {
    key: Box<str>,
    revision: u64,
    is_live: bool,
}

impl List {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, what: What, keys: &[String]) -> Result<Self, Error> {
        let mut plan = cx.buckets[bucket].plan(keys, &cx.limits);
        plan.policy = if matches!(what, What::History(_)) { Policy::All } else { Policy::LastPerSubject };
        plan.is_headers_only = what == What::Keys;
        cx.consume(plan)?;
        Ok(Self { bucket, what, names: Vec::new(), entries: Vec::new() })
    }

    pub(crate) fn on_step(&mut self, cx: &mut Cx<'_>, step: Step<'_>, message: Option<&Message<'_>>) -> Progress {
        match step {
            Step::Deliver { meta, caught_up } => {
                if let Some(message) = message {
                    self.take(&cx.buckets[self.bucket], cx, message, &meta);
                }
                if caught_up { self.finish() } else { Progress::Pending }
            }
            Step::CaughtUp | Step::Opened { caught_up: true } => self.finish(),
            Step::FlowControl(reply) => {
                Ordered::flow_control(cx.net, &reply);
                Progress::Pending
            }
            Step::Reset => {
                self.names.clear();
                self.entries.clear();
                Progress::Pending
            }
            Step::Failed(error) => error.into(),
            Step::Nothing | Step::Resumed(_) | Step::Opened { caught_up: false } => Progress::Pending,
        }
    }

    fn take(&mut self, bucket: &Bucket, cx: &Cx<'_>, message: &Message<'_>, meta: &crate::js::direct::AckMeta<'_>) {
        let subscription = cx.consumers.get(cx.slots.consumer).and_then(Option::as_ref);
        if subscription.is_some_and(|subscription| !subscription.ordered.is_wanted(message.subject)) {
            return;
        }
        let key = bucket.key_of(message.subject);
        if self.what == What::Keys {
            let is_live = Operation::of(&message.headers) == Operation::Put;
            self.names.push(Name { key: String::from_utf8_lossy(key).into(), revision: meta.stream_seq, is_live });
            return;
        }
        self.entries.push(Entry::new(
            key,
            &message.headers,
            message.payload,
            meta.stream_seq,
            meta.timestamp_ns,
            meta.pending,
        ));
    }

    fn finish(&mut self) -> Progress {
        let entries = core::mem::take(&mut self.entries);
        Progress::Done(match &self.what {
            What::Keys => Ok(Outcome::Names(newest_live(core::mem::take(&mut self.names)))),
            What::History(key) if entries.is_empty() => Err(not_found(key, None)),
            What::History(_) => Ok(Outcome::Entries(entries)),
            What::Current => Ok(Outcome::Entries(current(entries))),
        })
    }
}

fn newest_live(mut names: Vec<Name>) -> Vec<String> {
    names.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(b.revision.cmp(&a.revision)));
    names.dedup_by(|later, first| later.key == first.key);
    names.into_iter().filter(|name| name.is_live).map(|name| name.key.into_string()).collect()
}

/// The newest of each key; they come, and stay, in the order of their revisions.
fn current(entries: Vec<Entry>) -> Vec<Entry> {
    let mut newest = BTreeMap::new();
    newest.extend(entries.iter().map(|entry| (String::from(entry.key()), entry.revision)));
    let is_shown = |entry: &Entry| newest.get(entry.key()) == Some(&entry.revision) && !entry.is_marker();
    entries.into_iter().filter(is_shown).collect()
}
