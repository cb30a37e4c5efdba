//! get_many: the newest values of many keys, in as few requests as the server allows.
//!
//! One direct get takes up to 1024 subjects and answers with one picture of all of them, and with the revision of the bucket that it
//! shows. What more keys need further requests for is one picture too when nothing in it is newer than the least of those revisions;
//! that does not ask for an older state (`up_to_seq`), since a replica that has not got that far would answer and not tell. Wildcards
//! and some keys go together; wildcards that match more than 1024 keys go over a consumer. Servers before 2.11, and buckets that allow no
//! direct get, are asked key by key, many at a time.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    event::Outcome,
    js::{
        ordered,
        series::{Part, Series},
        status::Context,
    },
    json::object,
    kv::{
        bucket::Bucket,
        entry::Entry,
        list::{List, What, keep_newest},
        missing::{self, Tries},
        op::{Child, Cx, Progress, Single},
    },
    mux::{Answer, Ask},
    proto::{parser::Message, subject},
    sorted::sort,
};

/// Subjects that one request may match.
const MAX_SUBJECTS: usize = 1024;

/// Keys that may go along with wildcards, and leave them room for what they match.
const MAX_BESIDE_WILDCARDS: usize = MAX_SUBJECTS / 2;

/// Bytes of subjects in one request, below every `max_payload` in use.
const MAX_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(crate) struct GetMany {
    bucket: usize,
    step: Step,
    /// Filters that are still to be asked for, before the keys or with them.
    wildcards: Vec<String>,
    /// All stored keys that were asked for by name, each once.
    all: Vec<String>,
    /// Those of this step; before `next` they are read, and the request in flight asks for those up to `asked`.
    keys: Vec<String>,
    next: usize,
    asked: usize,
    /// Direct gets of many are possible.
    has_batches: bool,
    series: Series,
    /// Where the page in flight begins: in `entries`, and in the stream.
    page_start: usize,
    page_seq: u64,
    entries: Vec<Entry>,
    /// The least revision that an answer was of; none when something was read that does not say.
    moment: Option<u64>,
    /// What the page before this one was of.
    page_of: Option<u64>,
    /// A page came from a replica that is behind that of the page before: a key that was written in between may be in neither.
    is_torn: bool,
    /// Reads one by one that are on their way.
    singles: usize,
    tries: Tries,
}

#[derive(Debug)]
enum Step {
    /// Many in one request.
    Together,
    /// Wildcards over a consumer.
    Listing(Box<List>),
    /// Key by key.
    Singly,
    /// Keys that were answered by a replica that lags behind, or torn between pages, from the leader.
    FromLeader,
    /// Nobody answered: is there a bucket, and may it be read directly?
    Checking,
}

impl GetMany {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> usize {
        self.bucket
    }

    /// `filters`: reduced, keys and wildcards.
    pub(crate) fn start(cx: &mut Cx<'_>, bucket: usize, filters: Vec<String>) -> Result<Self, Error> {
        let (wildcards, mut keys): (Vec<_>, Vec<_>) =
            filters.into_iter().partition(|filter| subject::is_filter(filter));
        sort(&mut keys, Ord::cmp);
        let Bucket { allows_direct, allows_batches, .. } = &cx.buckets[bucket];
        let mut many = Self {
            bucket,
            step: Step::Together,
            wildcards,
            all: keys.clone(),
            keys,
            next: 0,
            asked: 0,
            has_batches: *allows_direct && *allows_batches != Some(false),
            series: Series::default(),
            page_start: 0,
            page_seq: 0,
            entries: Vec::new(),
            moment: Some(u64::MAX),
            page_of: None,
            is_torn: false,
            singles: 0,
            tries: Tries::default(),
        };
        match many.go_on(cx) {
            Progress::Done(Err(error)) => Err(error),
            _ => Ok(many),
        }
    }

    /// Asks for what is still to be read.
    fn go_on(&mut self, cx: &mut Cx<'_>) -> Progress {
        if matches!(self.step, Step::Checking) {
            self.step = Step::Together;
            let Bucket { allows_direct, allows_batches, .. } = &cx.buckets[self.bucket];
            self.has_batches &= *allows_direct && *allows_batches != Some(false);
        }
        if !self.wildcards.is_empty() && !self.has_batches {
            return self.list(cx);
        }
        let keys = &self.keys[self.next..];
        if keys.is_empty() && self.wildcards.is_empty() {
            return self.end_round(cx);
        }
        if !self.has_batches {
            self.step = Step::Singly;
            self.moment = None;
            return Progress::Pending; // they are taken by `next_child`
        }
        let mut room = MAX_BYTES;
        let fits = |key: &&String| {
            let size = key.len() + cx.buckets[self.bucket].read_prefix.len() + 3;
            room.checked_sub(size).map(|left| room = left).is_some()
        };
        let mut count = keys.iter().take(MAX_SUBJECTS).take_while(fits).count();
        if self.wildcards.is_empty() {
            count = count.max(1);
        } else if count < keys.len() || count > MAX_BESIDE_WILDCARDS {
            count = 0; // there will be several requests anyhow
        }
        self.asked = self.next + count;
        let asked = self.wildcards.iter().chain(&keys[..count]);
        let mut body = object! { "multi_last" => cx.buckets[self.bucket].filters(asked) };
        if self.page_seq > 0 {
            body.insert("seq", self.page_seq);
        }
        self.series = Series::default();
        self.page_start = self.entries.len();
        let body = format!("{body}");
        cx.ask(self.bucket, ".DIRECT.GET.", Ask { payload: body.as_bytes(), is_many: true, ..Ask::default() }).into()
    }

    fn list(&mut self, cx: &mut Cx<'_>) -> Progress {
        let wildcards = core::mem::take(&mut self.wildcards);
        match List::start(cx, self.bucket, What::Current, &wildcards) {
            Ok(list) => {
                self.step = Step::Listing(Box::new(list));
                Progress::Pending
            }
            Err(error) => error.into(),
        }
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        if matches!(self.step, Step::Checking) {
            return match missing::judge(cx, self.bucket, answer) {
                Err(error) => error.into(),
                Ok(true) if !cx.buckets[self.bucket].allows_direct => self.go_on(cx),
                Ok(is_there) => self.later(missing::no_responders("direct get", is_there)),
            };
        }
        let part = match answer {
            Answer::Failed(error) if error.code == ErrorCode::Permission => Part::Unsupported,
            Answer::Failed(error) => return error.clone().into(),
            Answer::NoResponders => {
                self.drop_request(cx);
                self.step = Step::Checking;
                return missing::ask(cx, self.bucket).into();
            }
            Answer::Reply { headers, .. } => self.series.on_reply(headers, Context::DirectMulti),
        };
        match (part, answer) {
            (Part::Message { meta, is_first }, Answer::Reply { payload, .. }) => {
                if is_first {
                    self.entries.truncate(self.page_start);
                }
                self.entries.push(cx.buckets[self.bucket].gotten(&meta, payload));
                return Progress::Pending;
            }
            (Part::End { pending, last, up_to }, _) => {
                cx.net.forget(request);
                let is_behind = up_to < Some(cx.buckets[self.bucket].seen.newest());
                if !self.wildcards.is_empty() && (pending > 0 || is_behind) {
                    // A key that is written meanwhile would be missing in the next page, or in a replica that lags behind, and nobody
                    // could know.
                    self.entries.truncate(self.page_start);
                    return self.list(cx);
                }
                self.moment = self.moment.min(up_to); // none is the least
                self.is_torn |= self.page_seq > 0 && up_to < self.page_of;
                if pending > 0 {
                    self.page_of = up_to;
                    self.page_seq = last.saturating_add(1);
                    return self.go_on(cx);
                }
                self.end_request();
            }
            (Part::Empty, _) => {
                cx.net.forget(request);
                self.entries.truncate(self.page_start); // of an attempt that was cut off
                if !self.wildcards.is_empty() && cx.buckets[self.bucket].seen.newest() > 0 {
                    return self.list(cx); // a replica may know nothing yet
                }
                self.moment = None;
                self.is_torn |= self.page_seq > 0;
                self.end_request();
            }
            (Part::TooMany, _) if !self.wildcards.is_empty() => {
                self.drop_request(cx);
                return self.list(cx);
            }
            (Part::Unsupported, _) => {
                self.drop_request(cx);
                if !matches!(answer, Answer::Failed(_)) {
                    cx.buckets[self.bucket].allows_batches = Some(false);
                }
                self.has_batches = false;
            }
            _ => {
                self.drop_request(cx);
                return self.later(Error::new(ErrorCode::Unavailable, "direct get: the server broke its answer off"));
            }
        }
        self.go_on(cx)
    }

    /// The request in flight is answered in full.
    fn end_request(&mut self) {
        self.page_seq = 0;
        self.wildcards.clear();
        self.next = self.asked;
    }

    /// The request in flight ends without its answer.
    fn drop_request(&mut self, cx: &mut Cx<'_>) {
        cx.net.forget(cx.slots.current);
        self.entries.truncate(self.page_start);
        self.page_seq = 0; // what its earlier pages gave is kept
    }

    fn later(&mut self, error: Error) -> Progress {
        self.tries.again(|| error).map_or_else(Progress::from, Progress::Later)
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        self.go_on(cx)
    }

    pub(crate) fn on_step(
        &mut self,
        cx: &mut Cx<'_>,
        step: ordered::Step<'_>,
        message: Option<&Message<'_>>,
    ) -> Progress {
        let Step::Listing(list) = &mut self.step else { return Progress::Pending };
        match list.on_step(cx, step, message) {
            Progress::Done(Ok(Outcome::Entries(entries))) => {
                self.entries.extend(entries);
                self.moment = None; // a consumer reads over a span of time
                cx.slots.consumer = 0;
                self.step = Step::Together;
                self.go_on(cx)
            }
            other => other,
        }
    }

    /// The next key to be read by itself.
    pub(crate) fn next_child(&mut self) -> Option<Child<'_>> {
        let by_leader = match self.step {
            Step::Singly => false,
            Step::FromLeader => true,
            _ => return None,
        };
        let index = self.next;
        let key = self.keys.get(index)?;
        self.next += 1;
        self.singles += 1;
        Some(Child { index, what: Single::Get { key, by_leader } })
    }

    /// The last one could not be started yet.
    pub(crate) fn return_child(&mut self) {
        self.next -= 1;
        self.singles -= 1;
    }

    pub(crate) fn on_child(&mut self, cx: &Cx<'_>, index: usize, result: Result<Outcome, Error>) -> Progress {
        self.singles -= 1;
        if matches!(self.step, Step::FromLeader) {
            let key = &self.keys[index];
            self.entries.retain(|entry| entry.raw_key() != key);
        }
        match result {
            Ok(Outcome::Entry(entry)) => self.entries.push(entry),
            Err(error) if error.code != ErrorCode::KeyNotFound => return error.into(),
            Ok(_) | Err(_) => {}
        }
        if self.singles == 0 && self.next == self.keys.len() { self.end_round(cx) } else { Progress::Pending }
    }

    /// All that was asked for in this step is read.
    fn end_round(&mut self, cx: &Cx<'_>) -> Progress {
        keep_newest(&mut self.entries);
        if !matches!(self.step, Step::FromLeader) {
            let seen = &cx.buckets[self.bucket].seen;
            let is_stale =
                |key: &str, revision| seen.is_behind(key.as_bytes(), revision) || (self.is_torn && revision == 0);
            let stale = self.keys_where(is_stale);
            if !stale.is_empty() {
                (self.step, self.keys, self.next, self.moment) = (Step::FromLeader, stale, 0, None);
                return Progress::Pending;
            }
        }
        let mut entries = core::mem::take(&mut self.entries);
        let newest = entries.iter().map(|entry| entry.revision).max();
        let as_of = self.moment.filter(|moment| newest.is_some_and(|newest| newest <= *moment));
        entries.retain(|entry| !entry.is_marker());
        sort(&mut entries, |a, b| a.key().cmp(b.key()));
        Progress::Done(Ok(Outcome::Many { entries, as_of }))
    }

    /// The keys of which this holds, with the revisions they were found at; 0: not found.
    fn keys_where(&self, holds: impl Fn(&str, u64) -> bool) -> Vec<String> {
        let found = |key: &str| self.entries.binary_search_by(|entry| entry.raw_key().cmp(key));
        let revision = |key: &str| found(key).map_or(0, |at| self.entries[at].revision);
        self.all.iter().filter(|key| holds(key, revision(key))).cloned().collect()
    }
}
