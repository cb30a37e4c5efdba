//! The ordered consumer's bookkeeping, without I/O: is this the next message, are the initial values all here, and where does a
//! new consumer go on. PROTOCOL: "Watcher state machine".
//!
//! The surprising parts: messages may come before the create response; a heartbeat can be the only sign that the tail of the
//! initial values was purged away; a key that is written during them moves behind others; and `last_per_subject` cannot be resumed by
//! sequence while superseded revisions exist.

/// Where a consumer starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The newest message of each subject, in sequence order, then all that follow.
    LastPerSubject,
    /// All messages.
    All,
    /// Only messages stored after the consumer was created.
    New,
    /// All messages from this sequence on.
    ByStartSequence(u64),
}

/// What a message or heartbeat means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hand it out; `caught_up`: and say that the initial values end with it.
    Deliver {
        /// It completes the initial values.
        caught_up: bool,
    },
    /// Seen before: not to be handed out; it may still complete the initial values.
    Skip {
        /// It completes the initial values.
        caught_up: bool,
    },
    /// Something was lost: the consumer must be made anew.
    Lost(&'static str),
}

/// One ordered consumer's position, over all the consumers that replace each other on the server.
#[derive(Clone, Debug)]
pub struct Tracker {
    original: Policy,
    /// The bucket keeps one revision a key, so that no superseded one can come back.
    has_single_revisions: bool,
    /// Consumer sequence of the next message.
    next_consumer_seq: u64,
    /// Stream sequence of the last message handed out.
    position: u64,
    /// Stream sequence behind which everything is an update: where the initial values ended, or where there were none.
    base: Option<u64>,
    /// The create response is there.
    is_created: bool,
    is_caught_up: bool,
}

impl Tracker {
    /// For a consumer that starts with `policy`.
    pub fn new(policy: Policy, has_single_revisions: bool) -> Self {
        Self {
            original: policy,
            has_single_revisions,
            next_consumer_seq: 1,
            position: 0,
            base: None,
            is_created: false,
            is_caught_up: false,
        }
    }

    /// The policy to create the consumer with: the original one until something forbids it.
    pub fn policy(&self) -> Policy {
        let behind = |seq: u64| Policy::ByStartSequence(seq.saturating_add(1));
        match (self.original, self.base) {
            // What is behind the base is an update, each of which has to come, also where none has come yet.
            (Policy::New | Policy::LastPerSubject, Some(base)) => behind(base.max(self.position)),
            (original, _) if self.position == 0 => original,
            (Policy::LastPerSubject, None) if !self.has_single_revisions => Policy::LastPerSubject,
            _ => behind(self.position),
        }
    }

    /// A new consumer is about to replace the old one.
    pub fn restart(&mut self) {
        self.next_consumer_seq = 1;
        self.is_created = false;
    }

    /// The bucket is another one now: all that was seen is void, and whatever it holds is news to who wanted only updates, or what
    /// is behind a revision of the old one.
    pub fn reset(&mut self) {
        let policy = match self.original {
            Policy::LastPerSubject => Policy::LastPerSubject,
            Policy::All | Policy::New | Policy::ByStartSequence(_) => Policy::All,
        };
        *self = Self::new(policy, self.has_single_revisions);
    }

    /// What was handed out beyond this point was taken back: it is asked for again.
    pub fn rewind(&mut self, position: u64, is_caught_up: bool) {
        self.position = position;
        self.is_caught_up = is_caught_up;
        self.base = match self.original {
            Policy::New => self.base.or(Some(position)),
            _ => self.base.filter(|_| is_caught_up),
        };
    }

    /// The create response: how many initial messages there are, and the stream sequence before the first. True: there are
    /// none left to come.
    pub fn on_created(&mut self, pending: u64, stream_seq: u64) -> bool {
        self.is_created = true;
        let has_none = pending == 0 || self.original == Policy::New;
        has_none && self.catch_up(stream_seq)
    }

    /// A message, by its stream and consumer sequence and the number of messages pending behind it.
    ///
    /// Only when nothing is pending are the initial values complete. Their number at the start does not tell: a key that is written
    /// meanwhile moves behind others, which are then counted in its place (seen on 2.10-2.15).
    pub fn on_message(&mut self, stream_seq: u64, consumer_seq: u64, pending: u64) -> Verdict {
        if consumer_seq != self.next_consumer_seq {
            return Verdict::Lost("a message is missing");
        }
        self.next_consumer_seq += 1;
        let is_seen = stream_seq <= self.position;
        if !is_seen {
            self.position = stream_seq;
        }
        let caught_up = pending == 0 && self.catch_up(stream_seq);
        if is_seen { Verdict::Skip { caught_up } } else { Verdict::Deliver { caught_up } }
    }

    /// An idle heartbeat, by the consumer sequence it says was sent last. A stalled consumer has more to say.
    pub fn on_heartbeat(&mut self, last_consumer_seq: Option<u64>, is_stalled: bool) -> Verdict {
        if last_consumer_seq.is_some_and(|last| last != self.next_consumer_seq - 1) {
            return Verdict::Lost("the heartbeat knows of a message that did not come");
        }
        // Only after the create response: before it, silence says nothing about what is still to come.
        Verdict::Skip { caught_up: !is_stalled && self.is_created && self.catch_up(self.position) }
    }

    /// What the server says after a reconnect that it has sent. More than came went to the lost connection; less is an answer that
    /// a message has overtaken.
    pub fn has_missed(&self, last_consumer_seq: u64) -> bool {
        last_consumer_seq >= self.next_consumer_seq
    }

    /// Stream sequence of the last message handed out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// All up to this stream sequence is known.
    fn catch_up(&mut self, stream_seq: u64) -> bool {
        self.base.get_or_insert(stream_seq);
        !core::mem::replace(&mut self.is_caught_up, true)
    }
}
