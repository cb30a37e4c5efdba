//! keys, count, history, and the current picture of a filter: finite reads over a consumer, or over several one after the other where
//! there are more filters than one takes.
//!
//! Such a read completes or fails, never ends early: a lost connection or consumer is resumed inside, and the bucket's being made
//! anew starts it over. A key that is written while it is listed may be delivered twice; the newest state counts, once.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::{
    error::Error,
    event::Outcome,
    js::{
        direct::AckMeta,
        ordered::{Ordered, Step},
        tracker::Policy,
    },
    kv::{
        bucket::Bucket,
        entry::{Entry, Operation},
        get::not_found,
        op::{Cx, Progress},
        policy::KeyPolicy,
    },
    proto::parser::Message,
    sorted::sort,
};

/// What is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Keys,
    /// How many keys there are.
    Count,
    /// Keys with their revisions, for `take_live`.
    Live,
    /// All revisions of this key, as it is stored.
    History(String),
    /// The newest entry of each key, markers left out.
    Current,
}

#[derive(Debug)]
pub(crate) struct List {
    bucket: usize,
    what: What,
    /// The filters of each consumer, and which one is at work.
    groups: Vec<Vec<String>>,
    group: usize,
    names: Vec<Name>,
    entries: Vec<Entry>,
}

impl What {
    const fn is_names(&self) -> bool {
        matches!(self, Self::Keys | Self::Count | Self::Live)
    }
}

/// A stored key as it was last seen.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) key: Box<str>,
    pub(crate) revision: u64,
    is_live: bool,
}

impl List {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, what: What, keys: &[String]) -> Result<Self, Error> {
        let groups = keys.chunks(cx.limits.max_filters).map(<[String]>::to_vec).collect();
        let list = Self { bucket, what, groups, group: 0, names: Vec::new(), entries: Vec::new() };
        list.consume(cx)?;
        Ok(list)
    }

    fn consume(&self, cx: &mut Cx<'_>) -> Result<(), Error> {
        let mut plan = cx.buckets[self.bucket].plan(&self.groups[self.group], cx.limits);
        plan.policy = if matches!(self.what, What::History(_)) { Policy::All } else { Policy::LastPerSubject };
        plan.is_headers_only = self.what.is_names();
        cx.consume(plan)
    }

    pub(crate) fn on_step(&mut self, cx: &mut Cx<'_>, step: Step<'_>, message: Option<&Message<'_>>) -> Progress {
        match step {
            Step::Deliver { meta, caught_up } => {
                if let Some(message) = message {
                    self.take(&cx.buckets[self.bucket], cx, message, &meta);
                }
                if caught_up { self.end_group(cx) } else { Progress::Pending }
            }
            Step::CaughtUp | Step::Opened { caught_up: true } => self.end_group(cx),
            Step::FlowControl(reply) => {
                Ordered::flow_control(cx.net, &reply);
                Progress::Pending
            }
            Step::Reset => {
                self.names.clear();
                self.entries.clear();
                if core::mem::take(&mut self.group) > 0 {
                    return self.consume(cx).into();
                }
                Progress::Pending
            }
            Step::Failed(error) => error.into(),
            Step::Nothing | Step::Resumed(_) | Step::Opened { caught_up: false } => Progress::Pending,
        }
    }

    fn take(&mut self, bucket: &Bucket, cx: &Cx<'_>, message: &Message<'_>, meta: &AckMeta<'_>) {
        let subscription = cx.consumers.get(cx.slots.consumer).and_then(Option::as_ref);
        if subscription.is_some_and(|subscription| !subscription.ordered.is_wanted(message.subject)) {
            return;
        }
        if self.what.is_names() {
            let key = bucket.key_of(message.subject);
            let is_live = Operation::of(&message.headers) == Operation::Put;
            self.names.push(Name { key: String::from_utf8_lossy(key).into(), revision: meta.stream_seq, is_live });
            return;
        }
        self.entries.push(bucket.delivered(message, meta));
    }

    fn end_group(&mut self, cx: &mut Cx<'_>) -> Progress {
        if self.group + 1 < self.groups.len() {
            self.group += 1;
            return self.consume(cx).into();
        }
        let bucket = &cx.buckets[self.bucket];
        Progress::Done(match &self.what {
            What::Keys => Ok(Outcome::Names(self.shown(bucket))),
            What::Live => Ok(Outcome::Unit),
            What::Count => Ok(Outcome::Count(self.take_live().len() as u64)),
            What::History(key) if self.entries.is_empty() => Err(not_found(&bucket.shown(key), None)),
            What::History(_) => Ok(Outcome::Entries(core::mem::take(&mut self.entries))),
            What::Current => Ok(Outcome::Entries(current(core::mem::take(&mut self.entries)))),
        })
    }

    /// The keys that have a value, each once, sorted by how they are stored. They stay until they are taken.
    pub(crate) fn take_live(&mut self) -> Vec<Name> {
        self.settle();
        core::mem::take(&mut self.names)
    }

    fn settle(&mut self) {
        sort(&mut self.names, |a, b| a.key.cmp(&b.key).then(b.revision.cmp(&a.revision)));
        self.names.dedup_by(|later, first| later.key == first.key);
        self.names.retain(|name| name.is_live);
    }

    fn shown(&mut self, bucket: &Bucket) -> Vec<String> {
        self.settle();
        if bucket.keys == KeyPolicy::default() {
            return core::mem::take(&mut self.names).into_iter().map(|name| name.key.into_string()).collect();
        }
        let mut keys: Vec<String> = self.names.iter().map(|name| bucket.shown(&name.key).into_owned()).collect();
        sort(&mut keys, Ord::cmp);
        keys
    }
}

/// The newest of each key, in the order of their revisions.
fn current(mut entries: Vec<Entry>) -> Vec<Entry> {
    keep_newest(&mut entries);
    entries.retain(|entry| !entry.is_marker());
    sort(&mut entries, |a, b| a.revision.cmp(&b.revision));
    entries
}

/// The newest of each key, sorted by how the keys are stored.
pub(crate) fn keep_newest(entries: &mut Vec<Entry>) {
    sort(entries, |a, b| a.raw_key().cmp(b.raw_key()).then(b.revision.cmp(&a.revision)));
    entries.dedup_by(|later, first| later.raw_key() == first.raw_key());
}
