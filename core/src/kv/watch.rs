//! A watch: what its consumers deliver, queued until the application takes it. One consumer, or several where there are more filters
//! than one takes: then revisions increase per key, and all is caught up when all of them are.
//!
//! Flow control is the back-pressure. The server's request for it is queued like an entry, and answered when the application
//! has taken all before it: a slow reader slows the server for this watch alone, over any transport.

use alloc::{collections::VecDeque, string::String, vec::Vec};

use crate::{
    error::Error,
    event::{WatchItem, WatchOptions},
    js::{
        ordered::{Ordered, Step},
        tracker::Policy,
    },
    kv::{bucket::Bucket, entry::Operation},
    mux::Net,
    proto::{parser::Message, subject},
    time::Instant,
};

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) bucket: usize,
    pub(crate) members: Vec<Member>,
    /// The members' filters may match common keys: the first of them counts.
    are_crossing: bool,
    ignore_deletes: bool,
    updates_only: bool,
    queue: VecDeque<Queued>,
    bytes: usize,
    limit: usize,
    /// `WatchReady` was told and `watch_next` has not said None since.
    is_told: bool,
    /// Until then the first create has to succeed; None once it did, or failed.
    pub(crate) open_deadline: Option<Instant>,
    /// One of its consumers was made.
    has_begun: bool,
    /// CaughtUp is queued or taken.
    is_caught_up: bool,
    is_ended: bool,
}

/// One consumer of a watch.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) consumer: u64,
    filters: Vec<String>,
    is_open: bool,
    is_caught_up: bool,
    /// It has no consumer until the reader has taken what is queued.
    is_paused: bool,
}

#[derive(Debug)]
enum Queued {
    Item(WatchItem),
    FlowControl(String),
}

/// What happened to a watch, for its client to tell.
#[derive(Debug)]
pub(crate) enum Told {
    Nothing,
    Ready,
    Opened,
    OpenFailed(Error),
    /// A new consumer replaces the old one, for this reason.
    Resumed(&'static str),
    /// There was no room for a message of this consumer: it goes on behind this revision once the queue is read, having been caught up
    /// or not.
    Overflow {
        consumer: u64,
        position: u64,
        is_caught_up: bool,
    },
    /// The bucket is another one now, as this consumer found out.
    Reset,
}

/// Where the consumer starts.
pub(crate) fn policy(options: &WatchOptions) -> Result<Policy, Error> {
    if let Some(revision) = options.resume_from_revision {
        return Ok(Policy::ByStartSequence(revision.max(1)));
    }
    match (options.include_history, options.updates_only) {
        (true, true) => Err(Error::argument("watch: include_history and updates_only exclude each other")),
        (true, false) => Ok(Policy::All),
        (false, true) => Ok(Policy::New),
        (false, false) => Ok(Policy::LastPerSubject),
    }
}

impl Watch {
    pub(crate) fn new(bucket: usize, options: &WatchOptions, limit: usize, open_deadline: Instant) -> Self {
        Self {
            bucket,
            members: Vec::new(),
            are_crossing: false,
            ignore_deletes: options.ignore_deletes,
            updates_only: options.updates_only && options.resume_from_revision.is_none(),
            queue: VecDeque::new(),
            bytes: 0,
            limit,
            is_told: false,
            open_deadline: Some(open_deadline),
            has_begun: false,
            is_caught_up: false,
            is_ended: false,
        }
    }

    /// One more consumer, of these subjects.
    pub(crate) fn add(&mut self, consumer: u64, filters: Vec<String>) {
        let is_common = |other: &String| filters.iter().any(|filter| subject::overlaps(filter, other));
        self.are_crossing |= self.members.iter().any(|member| {
            // Literal subjects, each of which was given once, need no look at each other.
            let has_wildcards = member.filters.iter().chain(&filters).any(|filter| subject::is_filter(filter));
            has_wildcards && member.filters.iter().any(is_common)
        });
        self.members.push(Member { consumer, filters, is_open: false, is_caught_up: false, is_paused: false });
    }

    /// The next item; answers the flow-control requests that stand before it.
    pub(crate) fn next(&mut self, net: &mut Net) -> Option<WatchItem> {
        loop {
            match self.queue.pop_front() {
                Some(Queued::FlowControl(reply)) => Ordered::flow_control(net, &reply),
                Some(Queued::Item(item)) => {
                    if let WatchItem::Entry(entry) = &item {
                        self.bytes -= entry.size();
                    }
                    return Some(item);
                }
                None => {
                    self.is_told = false;
                    return None;
                }
            }
        }
    }

    /// Whether this is the first sign of a stream, and there are consumers beside this one to be told of it.
    pub(crate) fn begins(&mut self, step: &Step<'_>) -> bool {
        self.members.len() > 1
            && matches!(step, Step::Deliver { .. } | Step::Opened { .. })
            && !core::mem::replace(&mut self.has_begun, true)
    }

    /// Takes in what a consumer of it has to say.
    pub(crate) fn on_step(
        &mut self,
        bucket: &Bucket,
        step: Step<'_>,
        message: Option<&Message<'_>>,
        ordered: &Ordered,
        net: &mut Net,
    ) -> Told {
        let Some(at) = self.members.iter().position(|member| member.consumer == ordered.id()) else {
            return Told::Nothing;
        };
        match step {
            Step::Nothing => return Told::Nothing,
            Step::Deliver { meta, caught_up } => {
                if self.updates_only {
                    self.catch_up(at); // what comes before the create response is an update too
                }
                if let Some(message) = message
                    && ordered.is_wanted(message.subject)
                    && !self.is_of_another(at, message.subject)
                    && !(self.ignore_deletes && Operation::of(&message.headers) != Operation::Put)
                {
                    let entry = bucket.delivered(message, &meta);
                    // A value that is larger than the limit by itself would never come through.
                    if self.bytes > 0 && self.bytes + entry.size() > self.limit {
                        return self.overflow(at, meta.stream_seq.saturating_sub(1));
                    }
                    self.bytes += entry.size();
                    self.push(WatchItem::Entry(entry));
                }
                if caught_up {
                    self.catch_up(at);
                }
            }
            Step::CaughtUp => self.catch_up(at),
            Step::FlowControl(reply) if self.queue.is_empty() => {
                Ordered::flow_control(net, &reply);
                return Told::Nothing;
            }
            Step::FlowControl(reply) => self.queue_flow_control(reply),
            Step::Reset => {
                self.push(WatchItem::Reset);
                self.start_anew();
                self.updates_only = false; // all that the new bucket holds is an update
                return Told::Reset;
            }
            Step::Resumed(why) => return Told::Resumed(why),
            Step::Opened { caught_up } => {
                self.members[at].is_open = true;
                if caught_up {
                    self.catch_up(at);
                }
                if self.opens() {
                    return Told::Opened;
                }
            }
            Step::Failed(error) => return self.end(error),
        }
        self.tell()
    }

    /// The watch is over, for the first reason given. Before it was opened, that is how opening it failed.
    pub(crate) fn end(&mut self, error: Error) -> Told {
        if self.open_deadline.take().is_some() {
            return Told::OpenFailed(error);
        }
        if core::mem::replace(&mut self.is_ended, true) {
            return Told::Nothing;
        }
        self.push(WatchItem::Ended(error));
        self.tell()
    }

    /// Whether there is news to tell of.
    pub(crate) fn tell(&mut self) -> Told {
        if self.queue.is_empty() || core::mem::replace(&mut self.is_told, true) { Told::Nothing } else { Told::Ready }
    }

    fn push(&mut self, item: WatchItem) {
        self.queue.push_back(Queued::Item(item));
    }

    /// Says once, and again after a Reset, that the initial values are all there.
    fn catch_up(&mut self, at: usize) {
        self.members[at].is_caught_up = true;
        if !self.is_caught_up && self.members.iter().all(|member| member.is_caught_up) {
            self.is_caught_up = true;
            self.push(WatchItem::CaughtUp);
        }
    }

    /// All members begin again, as if nothing had been seen.
    fn start_anew(&mut self) {
        self.is_caught_up = false;
        for member in &mut self.members {
            (member.is_caught_up, member.is_paused) = (false, false);
        }
    }

    /// Whether an earlier member delivers this subject too.
    fn is_of_another(&self, at: usize, subject: &[u8]) -> bool {
        self.are_crossing
            && core::str::from_utf8(subject).is_ok_and(|subject| {
                self.members[..at]
                    .iter()
                    .any(|member| member.filters.iter().any(|filter| subject::covers(filter, subject)))
            })
    }

    /// The server repeats the request in each heartbeat while it waits: one of them is enough.
    fn queue_flow_control(&mut self, reply: String) {
        let is_queued = self
            .queue
            .iter()
            .rev()
            .take(64)
            .any(|queued| matches!(queued, Queued::FlowControl(other) if *other == reply));
        if !is_queued {
            self.queue.push_back(Queued::FlowControl(reply));
        }
    }

    /// The reader is too slow for the bound. What is queued stays, what comes now is asked for again when it was read: so a reader gets
    /// on however slow it is, and nothing goes round in circles. What was promised holds: order, the newest state of every key, and
    /// superseded revisions as far as history keeps them.
    fn overflow(&mut self, at: usize, position: u64) -> Told {
        let member = &mut self.members[at];
        (member.is_open, member.is_paused) = (true, true); // it has delivered: so there is a consumer
        Told::Overflow { consumer: member.consumer, position, is_caught_up: member.is_caught_up }
    }

    /// Whether the watch is established now, which is told once.
    pub(crate) fn opens(&mut self) -> bool {
        self.members.iter().all(|member| member.is_open) && self.open_deadline.take().is_some()
    }

    /// The consumers that were waiting for what is queued to be read, if it is.
    pub(crate) fn take_paused(&mut self) -> Vec<u64> {
        if !self.queue.is_empty() {
            return Vec::new();
        }
        let resume = |member: &mut Member| core::mem::take(&mut member.is_paused).then_some(member.consumer);
        self.members.iter_mut().filter_map(resume).collect()
    }
}
