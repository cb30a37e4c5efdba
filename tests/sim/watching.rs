//! What a watch promises, checked at every item that it hands out.
//!
//! Revisions strictly increase; nothing comes that never was; the newest state of every key comes before anything newer does; once
//! the initial values are complete, and always where history was asked for, a revision may be left out only if it was gone from the
//! bucket when the next one was handed out. Watches of several consumers keep that order for each key.

use std::collections::{BTreeMap, VecDeque};

use natskv_core::{Entry, Error, WatchItem, WatchOptions};
use natskv_kit::fake::{Message, matches};

use crate::{
    judge,
    plan::BucketPlan,
    truth::{Mark, Truth},
};

#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) bucket: usize,
    filters: Vec<String>,
    options: WatchOptions,
    /// It may have several consumers: order holds for each key.
    is_split: bool,
    start: Mark,
    /// When it was told to be established.
    open: Option<Mark>,
    /// The stream whose messages it gives; None: nothing has shown it yet, or since the last Reset.
    stream: Option<u64>,
    /// There was no Reset yet.
    is_original: bool,
    /// It can be none older than this.
    oldest_stream: u64,
    /// Where the bucket was when it was known to be another; of Resets that are still to be read, and of the last one read.
    resets: VecDeque<Mark>,
    reset: Mark,
    is_caught_up: bool,
    /// The last revision before CaughtUp.
    boundary: u64,
    last: u64,
    /// The last revision given of each subject.
    given: BTreeMap<String, u64>,
    pub(crate) ended: Option<Error>,
    pub(crate) is_ready: bool,
    /// How many items are taken at once, and how often that happens, in a thousand.
    pub(crate) appetite: (u64, u64),
    pub(crate) opened: u32,
    pub(crate) open_by: u64,
    pub(crate) items: u64,
}

impl Watcher {
    pub(crate) fn new(
        bucket: usize,
        plan: &BucketPlan,
        filters: &[String],
        options: WatchOptions,
        is_split: bool,
        start: Mark,
        open_by: u64,
    ) -> Self {
        let all = [String::from(">")];
        let filters = if filters.is_empty() { &all } else { filters };
        Self {
            bucket,
            filters: filters.iter().map(|filter| plan.subject(filter)).collect(),
            options,
            is_split,
            start,
            open: None,
            stream: None,
            is_original: true,
            oldest_stream: start.stream.unwrap_or(start.streams),
            resets: VecDeque::new(),
            reset: Mark::default(),
            is_caught_up: false,
            boundary: 0,
            last: 0,
            given: BTreeMap::new(),
            ended: None,
            is_ready: false,
            appetite: (1, 1000),
            opened: 0,
            open_by,
            items: 0,
        }
    }

    pub(crate) fn on_open(&mut self, mark: Mark) {
        self.opened += 1;
        self.open = Some(mark);
    }

    /// The client found that the bucket is another one.
    pub(crate) fn on_reset(&mut self, mark: Mark) {
        self.resets.push_back(mark);
    }

    fn is_wanted(&self, subject: &str) -> bool {
        self.filters.iter().any(|filter| matches(filter, subject))
    }

    /// Revisions below this are not its business.
    fn floor(&self) -> u64 {
        if self.is_original { self.options.resume_from_revision.unwrap_or_default() } else { 0 }
    }

    fn is_updates_only(&self) -> bool {
        self.options.updates_only && self.options.resume_from_revision.is_none()
    }

    /// Whether a message that is still there must have been given before a later one.
    fn is_due(&self, message: &Message, is_newest: bool) -> bool {
        if message.seq < self.floor() || (self.options.ignore_deletes && message.is_marker()) {
            return false;
        }
        if self.is_updates_only() && self.is_original {
            // Only of the stream that it was then is anything known.
            return self.open.is_some_and(|open| open.stream == self.stream && message.seq > open.last_seq);
        }
        let gives_all = self.options.include_history || self.options.resume_from_revision.is_some();
        is_newest || gives_all || (self.is_caught_up && message.seq > self.boundary)
    }

    pub(crate) fn on_item(&mut self, item: WatchItem, plan: &BucketPlan, truth: &Truth) -> Result<(), String> {
        self.items += 1;
        if let Some(error) = &self.ended {
            return Err(format!("{item:?} after it ended with {error}"));
        }
        match item {
            WatchItem::Entry(entry) => self.on_entry(&entry, plan, truth),
            WatchItem::CaughtUp => self.on_caught_up(plan, truth),
            WatchItem::Reset => self.on_new_bucket(plan, truth),
            WatchItem::Ended(error) => {
                self.ended = Some(error);
                Ok(())
            }
        }
    }

    fn on_entry(&mut self, entry: &Entry, plan: &BucketPlan, truth: &Truth) -> Result<(), String> {
        let subject = plan.subject(entry.raw_key());
        if !self.is_wanted(&subject) {
            return Err(format!("{entry:?} was not asked for"));
        }
        let is_same = |past: &crate::truth::Past| {
            past.stored
                .get(&entry.revision)
                .is_some_and(|(_, message)| judge::is_entry(entry, message, plan, self.options.meta_only))
        };
        let candidates = self.stream.map_or(self.oldest_stream..truth.pasts.len() as u64, |id| id..id + 1);
        let mut found = candidates.filter(|id| truth.past(*id).name == plan.stream_name() && is_same(truth.past(*id)));
        let Some(id) = found.next() else {
            return Err(format!("{entry:?} is nothing that was ever stored in stream {:?}", self.stream));
        };
        self.stream = Some(id);
        let least = if self.is_split { self.given.get(&subject).copied().unwrap_or_default() } else { self.last };
        if entry.revision <= least {
            return Err(format!("{entry:?} comes after revision {least}"));
        }
        if self.options.ignore_deletes && entry.is_marker() {
            return Err(format!("{entry:?} although deletes are not wanted"));
        }
        if entry.revision < self.floor() {
            return Err(format!("{entry:?} is before the revision to resume from"));
        }
        let is_old = self.start.stream == self.stream && entry.revision <= self.start.last_seq;
        if self.is_updates_only() && self.is_original && is_old {
            return Err(format!("{entry:?} is no update: the bucket was at {} already", self.start.last_seq));
        }
        let past = truth.past(id);
        for message in past.store.messages.range(least + 1..entry.revision).map(|(_, message)| message) {
            // Where this one has expired meanwhile an older one of its key is the newest again.
            let is_older = *message.subject == *subject;
            let is_last = past.store.last_of(&message.subject).is_some_and(|last| last.seq == message.seq);
            let is_newest = is_last && !is_older;
            let is_its = self.is_wanted(&message.subject) && (!self.is_split || *message.subject == *subject);
            if is_its && self.is_due(message, is_newest) {
                let what = if is_newest { "the newest of its key" } else { "still kept" };
                return Err(format!(
                    "{entry:?} comes, but {} at {} did not: it is {what}",
                    message.subject, message.seq
                ));
            }
        }
        self.last = entry.revision;
        self.given.insert(subject, entry.revision);
        Ok(())
    }

    fn on_caught_up(&mut self, plan: &BucketPlan, truth: &Truth) -> Result<(), String> {
        if std::mem::replace(&mut self.is_caught_up, true) {
            return Err("caught up twice".into());
        }
        // The last initial one may have been a marker that is not wanted.
        let latest = || truth.pasts.iter().rfind(|past| past.name == plan.stream_name());
        let past = self.stream.map_or_else(latest, |id| Some(truth.past(id)));
        let newest = past.map_or(0, |past| past.store.last_seq);
        self.boundary = if self.options.ignore_deletes { newest } else { self.last };
        if self.is_updates_only() && self.is_original {
            return Ok(());
        }
        let Some(id) = self.stream.or_else(|| self.only_stream(plan, truth)) else { return Ok(()) };
        let since = if self.is_original { self.start } else { self.reset };
        let was_there = (since.stream == Some(id)).then_some(since.last_seq);
        self.check_all(id, truth, "is caught up", |message| was_there.is_some_and(|last| message.seq <= last))
    }

    /// The stream that it must be, where there is no other.
    fn only_stream(&self, plan: &BucketPlan, truth: &Truth) -> Option<u64> {
        let mut ids =
            (self.oldest_stream..truth.pasts.len() as u64).filter(|id| truth.past(*id).name == plan.stream_name());
        ids.next().filter(|_| ids.next().is_none())
    }

    fn on_new_bucket(&mut self, plan: &BucketPlan, truth: &Truth) -> Result<(), String> {
        let of_name = |id: &u64| truth.past(*id).name == plan.stream_name();
        let known = self.stream.unwrap_or(self.oldest_stream);
        // A handle may be older than the bucket that its watch was started on: then it finds out late, and gives the same anew.
        if (0..truth.pasts.len() as u64).filter(of_name).count() < 2 {
            return Err("a reset, but the bucket never was another".into());
        }
        self.oldest_stream = known;
        self.reset = self.resets.pop_front().ok_or("a reset without a notice of it")?;
        self.stream = None;
        self.is_original = false;
        self.is_caught_up = false;
        (self.last, self.boundary) = (0, 0);
        self.given.clear();
        Ok(())
    }

    /// Of every key the newest message, where it has to be given, was given.
    fn check_all(
        &self,
        id: u64,
        truth: &Truth,
        when: &str,
        is_in_time: impl Fn(&Message) -> bool,
    ) -> Result<(), String> {
        let store = &truth.past(id).store;
        for subject in store.subjects(&self.filters) {
            let Some(message) = store.last_of(subject) else { continue };
            let given = self.given.get(&**subject).copied().unwrap_or_default();
            // Where a newer one expired an older one may be the newest again, of which nobody is told.
            if is_in_time(message) && self.is_due(message, true) && given < message.seq {
                return Err(format!("{when}, but {subject} is at {}, and was given at {given}", message.seq));
            }
        }
        Ok(())
    }

    /// Everything is quiet: what it gave is what the bucket holds.
    pub(crate) fn check_converged(&self, newest: u64, plan: &BucketPlan, truth: &Truth) -> Result<(), String> {
        if self.ended.is_some() {
            return Ok(());
        }
        if let Some(known) = self.stream.filter(|known| *known != newest) {
            return Err(format!("it is still at stream {known}, the bucket {} is stream {newest} now", plan.name));
        }
        if !self.is_caught_up {
            return Err("it never was caught up".into());
        }
        self.check_all(newest, truth, "all is quiet", |_| true)
    }
}
