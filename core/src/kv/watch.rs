//! A watch: what its consumer delivers, queued until the application takes it.
//!
//! Flow control is the back-pressure. The server's request for it is queued like an entry, and answered when the application
//! has taken all before it: a slow reader slows the server for this watch alone, over any transport.

use alloc::{collections::VecDeque, string::String};

use crate::{
    error::Error,
    event::{WatchItem, WatchOptions},
    js::{
        ordered::{Ordered, Step},
        tracker::Policy,
    },
    kv::{
        bucket::Bucket,
        entry::{Entry, Operation},
    },
    mux::Net,
    proto::parser::Message,
    time::Instant,
};

#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) bucket: usize,
    pub(crate) consumer: u64,
    ignore_deletes: bool,
    updates_only: bool,
    queue: VecDeque<Queued>,
    bytes: usize,
    limit: usize,
    /// `WatchReady` was told and `watch_next` has not said None since.
    is_told: bool,
    /// Until then the first create has to succeed; None once it did, or failed.
    pub(crate) open_deadline: Option<Instant>,
    /// What the application has been given, which is where a watch that overflowed goes on.
    taken_revision: u64,
    taken_caught_up: bool,
    /// CaughtUp is queued or taken.
    is_caught_up: bool,
    is_ended: bool,
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
    /// The unread was dropped and is asked for again.
    Overflow,
    /// The bucket is another one now.
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
            consumer: 0,
            ignore_deletes: options.ignore_deletes,
            updates_only: options.updates_only && options.resume_from_revision.is_none(),
            queue: VecDeque::new(),
            bytes: 0,
            limit,
            is_told: false,
            open_deadline: Some(open_deadline),
            taken_revision: 0,
            taken_caught_up: false,
            is_caught_up: false,
            is_ended: false,
        }
    }

    /// The next item; answers the flow-control requests that stand before it.
    pub(crate) fn next(&mut self, net: &mut Net) -> Option<WatchItem> {
        loop {
            match self.queue.pop_front() {
                Some(Queued::FlowControl(reply)) => Ordered::flow_control(net, &reply),
                Some(Queued::Item(item)) => {
                    match &item {
                        WatchItem::Entry(entry) => {
                            self.bytes -= entry.size();
                            self.taken_revision = entry.revision;
                        }
                        WatchItem::CaughtUp => self.taken_caught_up = true,
                        WatchItem::Reset => (self.taken_revision, self.taken_caught_up) = (0, false),
                        WatchItem::Ended(_) => {}
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

    /// Takes in what the consumer has to say.
    pub(crate) fn on_step(
        &mut self,
        bucket: &Bucket,
        step: Step<'_>,
        message: Option<&Message<'_>>,
        ordered: &mut Ordered,
        net: &mut Net,
        now: Instant,
    ) -> Told {
        match step {
            Step::Nothing => return Told::Nothing,
            Step::Deliver { meta, caught_up } => {
                let unread = self.bytes;
                if self.updates_only {
                    self.catch_up(); // what comes before the create response is an update too
                }
                if let Some(message) = message
                    && ordered.is_wanted(message.subject)
                    && !(self.ignore_deletes && Operation::of(&message.headers) != Operation::Put)
                {
                    let key = bucket.key_of(message.subject);
                    let entry = Entry::new(
                        key,
                        &message.headers,
                        message.payload,
                        meta.stream_seq,
                        meta.timestamp_ns,
                        meta.pending,
                    );
                    self.bytes += entry.size();
                    self.push(WatchItem::Entry(entry));
                }
                if caught_up {
                    self.catch_up();
                }
                // A value that is larger than the limit by itself would never come through.
                if unread > 0 && self.bytes > self.limit {
                    self.overflow(ordered, net, now);
                    return Told::Overflow;
                }
            }
            Step::CaughtUp => self.catch_up(),
            Step::FlowControl(reply) if self.queue.is_empty() => {
                Ordered::flow_control(net, &reply);
                return Told::Nothing;
            }
            Step::FlowControl(reply) => self.queue_flow_control(reply),
            Step::Reset => {
                self.push(WatchItem::Reset);
                self.is_caught_up = false;
                return Told::Reset;
            }
            Step::Resumed(why) => return Told::Resumed(why),
            Step::Opened { caught_up } => {
                self.open_deadline = None;
                if caught_up {
                    self.catch_up();
                }
                return Told::Opened;
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
    fn catch_up(&mut self) {
        if !core::mem::replace(&mut self.is_caught_up, true) {
            self.push(WatchItem::CaughtUp);
        }
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

    /// The reader is too slow for the bound: what is unread is dropped and asked for again. What it was promised holds: order,
    /// the newest state of every key, and superseded revisions as far as history keeps them.
    fn overflow(&mut self, ordered: &mut Ordered, net: &mut Net, now: Instant) {
        let is_reset_unread = self.queue.iter().any(|queued| matches!(queued, Queued::Item(WatchItem::Reset)));
        self.queue.clear();
        self.bytes = 0;
        if is_reset_unread {
            self.push(WatchItem::Reset);
            self.is_caught_up = false;
            ordered.rewind(0, false, net, now);
            return;
        }
        self.is_caught_up = self.taken_caught_up;
        ordered.rewind(self.taken_revision, self.taken_caught_up, net, now);
    }
}
