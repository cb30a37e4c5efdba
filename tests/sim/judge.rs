//! Whether what an operation said can be true, given all that happened between its start and its end.

use std::collections::BTreeMap;

use natskv_core::{Entry, Error, ErrorCode, Operation, Outcome};
use natskv_kit::fake::{Message, header, matches};

use crate::{
    plan::{BucketPlan, Plan},
    truth::{Mark, State, Truth},
    work::{Call, NAMING_TTL},
};

/// A command that ended.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) call: &'a Call,
    pub(crate) bucket: &'a BucketPlan,
    pub(crate) reads_leader: bool,
    pub(crate) from: Mark,
    pub(crate) to: Mark,
    /// Revisions of this bucket that the client had written or read before, by subject.
    pub(crate) known: &'a BTreeMap<String, u64>,
}

/// Whether an entry is this message.
pub(crate) fn is_entry(entry: &Entry, message: &Message, bucket: &BucketPlan, is_meta_only: bool) -> bool {
    let is_same_value = if is_meta_only { entry.value().is_empty() } else { entry.value() == message.payload };
    *message.subject == *bucket.subject(entry.raw_key())
        && entry.revision == message.seq
        && entry.created_ns == message.time_ns
        && entry.length == message.payload.len() as u64
        && is_same_value
        && entry.operation == operation(message)
}

fn operation(message: &Message) -> Operation {
    match (message.header("KV-Operation"), message.header("Nats-Marker-Reason")) {
        (Some("DEL"), _) => Operation::Delete,
        (Some("PURGE"), _) | (None, Some(_)) => Operation::Purge,
        _ => Operation::Put,
    }
}

fn is_live(state: &State) -> bool {
    state.as_ref().is_some_and(|message| !message.is_marker())
}

impl Record<'_> {
    /// What the key may have been for a read of one copy: not older than what this client knows.
    fn seen(&self, truth: &Truth, key: &str) -> Vec<State> {
        let subject = self.bucket.subject(key);
        let mut from = self.from;
        if !self.reads_leader
            && let Some(stream) = from.stream
        {
            let known = self.known.get(&subject).map_or(0, |revision| truth.past(stream).index_of(&subject, *revision));
            from.index = from.slowest.max(known);
        }
        truth.states(&self.bucket.stream_name(), &subject, &from, &self.to)
    }

    /// What the key was at its stream's leader.
    fn led(&self, truth: &Truth, key: &str) -> Vec<State> {
        truth.states(&self.bucket.stream_name(), &self.bucket.subject(key), &self.from, &self.to)
    }

    fn keys(&self, truth: &Truth, filters: &[String]) -> Vec<String> {
        let all = [String::from(">")];
        let filters = if filters.is_empty() { &all } else { filters };
        let filters: Vec<String> = filters.iter().map(|filter| self.bucket.subject(filter)).collect();
        let prefix = self.bucket.subject("");
        let subjects = truth.subjects(&self.bucket.stream_name(), &self.from, &self.to);
        let wanted = subjects.iter().filter(|subject| filters.iter().any(|filter| matches(filter, subject)));
        wanted.map(|subject| subject[prefix.len()..].to_owned()).collect()
    }

    pub(crate) fn judge(&self, truth: &Truth, plan: &Plan, result: &Result<Outcome, Error>) -> Result<(), String> {
        match result {
            Ok(outcome) => self.judge_outcome(truth, outcome),
            Err(error) => self.judge_error(truth, plan, error),
        }
    }

    fn judge_outcome(&self, truth: &Truth, outcome: &Outcome) -> Result<(), String> {
        match (self.call, outcome) {
            (Call::Get { key, revision: Some(revision) }, Outcome::Entry(entry)) => {
                let spans = truth.spans(&self.bucket.stream_name(), &self.from, &self.to);
                let mut found = spans.iter().filter_map(|(past, ..)| past.stored.get(revision));
                let is_true = found.any(|(_, message)| is_entry(entry, message, self.bucket, false));
                if entry.key() == key && is_true { Ok(()) } else { Err(format!("{entry:?} never was")) }
            }
            (Call::Get { key, revision: None } | Call::Entry { key }, Outcome::Entry(entry)) => {
                self.check_entry(key, entry, &self.seen(truth, key))
            }
            (Call::History { key }, Outcome::Entries(entries)) => self.check_history(truth, key, entries),
            (Call::Keys { filters }, Outcome::Names(names)) => {
                for key in self.keys(truth, filters) {
                    let states = self.led(truth, &key);
                    let is_told = names.contains(&key);
                    if !states.iter().any(|state| is_live(state) == is_told) {
                        return Err(format!("keys: {key:?} told: {is_told}, which it was at no moment: {states:?}"));
                    }
                }
                let known = self.keys(truth, filters);
                names
                    .iter()
                    .find(|name| !known.contains(name))
                    .map_or(Ok(()), |name| Err(format!("keys: {name:?} never was")))
            }
            (Call::Count { filters }, Outcome::Count(count)) => {
                let keys = self.keys(truth, filters);
                let states: Vec<Vec<State>> = keys.iter().map(|key| self.led(truth, key)).collect();
                let least = states.iter().filter(|states| states.iter().all(is_live)).count() as u64;
                let most = states.iter().filter(|states| states.iter().any(is_live)).count() as u64;
                if (least..=most).contains(count) {
                    Ok(())
                } else {
                    Err(format!("count {count} is not in {least}..={most}"))
                }
            }
            (Call::Entries { filters }, Outcome::Entries(entries)) => {
                if !entries.is_sorted_by_key(|entry| entry.revision) {
                    return Err("entries: not in the order of revisions".into());
                }
                self.check_picture(&self.keys(truth, filters), entries, |key| self.led(truth, key))
            }
            (Call::GetMany { keys }, Outcome::Many { entries, as_of }) => {
                // Wildcards may go over a consumer, which reads where the leader is.
                let wanted = if keys.is_empty() { Vec::new() } else { self.keys(truth, keys) };
                if !entries.is_sorted_by(|a, b| a.key() < b.key()) {
                    return Err("get_many: not sorted".into());
                }
                self.check_picture(&wanted, entries, |key| self.seen(truth, key))?;
                as_of.map_or(Ok(()), |as_of| self.check_as_of(truth, &wanted, entries, as_of))
            }
            (Call::PutMany { items }, Outcome::Written(results)) => {
                if results.len() != items.len() {
                    return Err(format!("put_many: {} results of {}", results.len(), items.len()));
                }
                for ((key, value), result) in items.iter().zip(results) {
                    if let Ok(revision) = result {
                        let call = Call::Put { key: key.clone(), value: value.clone(), ttl: None };
                        self.check_written(truth, &call, *revision)?;
                    }
                }
                Ok(())
            }
            (call, Outcome::Revision(revision)) => self.check_written(truth, call, *revision),
            _ => Ok(()),
        }
    }

    fn check_entry(&self, key: &str, entry: &Entry, states: &[State]) -> Result<(), String> {
        let is_it = |state: &State| state.as_ref().is_some_and(|message| is_entry(entry, message, self.bucket, false));
        if entry.key() == key && states.iter().any(is_it) {
            return Ok(());
        }
        Err(format!("{entry:?} is what {key:?} was at no moment it may be from: {states:?}"))
    }

    /// Each key as it was at some moment.
    fn check_picture(
        &self,
        keys: &[String],
        entries: &[Entry],
        states: impl Fn(&str) -> Vec<State>,
    ) -> Result<(), String> {
        for key in keys {
            let states = states(key);
            match entries.iter().find(|entry| entry.key() == key) {
                Some(entry) => self.check_entry(key, entry, &states)?,
                None if states.iter().all(is_live) => {
                    return Err(format!("{key:?} is missing, but had a value all the time: {states:?}"));
                }
                None => {}
            }
        }
        match entries.iter().find(|entry| entry.is_marker() || !keys.iter().any(|key| key == entry.key())) {
            Some(entry) => Err(format!("{entry:?} was not asked for, or never was")),
            None => Ok(()),
        }
    }

    /// All keys as they were when the bucket's last revision was `as_of`.
    fn check_as_of(&self, truth: &Truth, keys: &[String], entries: &[Entry], as_of: u64) -> Result<(), String> {
        let spans = truth.spans(&self.bucket.stream_name(), &self.from, &self.to);
        let [(past, ..)] = spans.as_slice() else { return Ok(()) };
        for key in keys {
            let then = past.state_at(&self.bucket.subject(key), as_of);
            let told = entries.iter().find(|entry| entry.key() == key);
            let is_so = match (then.filter(|message| !message.is_marker()), told) {
                (Some(message), Some(entry)) => message.seq == entry.revision,
                (None, None) => true,
                // What expired left no revision.
                (Some(message), None) => !past.store.messages.contains_key(&message.seq) && message.expires.is_some(),
                (None, Some(_)) => false,
            };
            if !is_so {
                return Err(format!("as of {as_of} {key:?} was {then:?}, not {told:?}"));
            }
        }
        Ok(())
    }

    /// Revisions in order, each of which was; all that were there the whole time; the last one was the newest.
    fn check_history(&self, truth: &Truth, key: &str, entries: &[Entry]) -> Result<(), String> {
        let subject = self.bucket.subject(key);
        if !entries.is_sorted_by(|a, b| a.revision < b.revision) {
            return Err("history: not in order".into());
        }
        let spans = truth.spans(&self.bucket.stream_name(), &self.from, &self.to);
        let mut states = self.seen(truth, key);
        if spans.len() == 1 {
            let (past, lo, _) = &spans[0];
            for entry in entries {
                let stored = past.stored.get(&entry.revision);
                if !stored.is_some_and(|(_, message)| is_entry(entry, message, self.bucket, false)) {
                    return Err(format!("history: {entry:?} never was"));
                }
            }
            let first = self.from.slowest.min(*lo);
            for (index, message) in past.stored.values() {
                let is_told = entries.iter().any(|entry| entry.revision == message.seq);
                let was_there = *index <= first && past.store.messages.contains_key(&message.seq);
                if *message.subject == *subject && was_there && !is_told {
                    return Err(format!("history: revision {} is missing", message.seq));
                }
            }
        }
        states.retain(Option::is_some);
        entries.last().map_or(Ok(()), |last| self.check_entry(key, last, &states))
    }

    fn check_written(&self, truth: &Truth, call: &Call, revision: u64) -> Result<(), String> {
        let Some((key, name)) = name_of(call) else { return Ok(()) };
        let subject = self.bucket.subject(key);
        let spans = truth.spans(&self.bucket.stream_name(), &self.from, &self.to);
        let is_it = |(past, lo, hi): &(&crate::truth::Past, usize, usize)| {
            past.stored.get(&revision).is_some_and(|(index, message)| {
                let is_in_time = *index > *lo && *index <= *hi;
                *message.subject == *subject && is_in_time && Name::of(&message.headers, &message.payload) == name
            })
        };
        if spans.iter().any(is_it) {
            return Ok(());
        }
        Err(format!("{call:?} is said to be revision {revision}, which is another, or none, or from another time"))
    }

    fn judge_error(&self, truth: &Truth, plan: &Plan, error: &Error) -> Result<(), String> {
        let code = error.code;
        if matches!(code, ErrorCode::Internal | ErrorCode::Protocol | ErrorCode::TooLarge | ErrorCode::NotABucket) {
            return Err(format!("{code:?} without a cause: {error}"));
        }
        match (self.call, code) {
            (
                Call::Get { key, revision: None } | Call::Entry { key } | Call::History { key },
                ErrorCode::KeyNotFound,
            ) => {
                let states = self.seen(truth, key);
                // An entry may be a marker; only what is nothing is not found.
                let is_none = |state: &State| {
                    if matches!(self.call, Call::Get { .. }) { !is_live(state) } else { state.is_none() }
                };
                let is_never = !states.iter().any(is_none);
                if is_never { Err(format!("{key:?} is not found, but was always there: {states:?}")) } else { Ok(()) }
            }
            (Call::Get { key, revision: Some(revision) }, ErrorCode::KeyNotFound) => {
                self.check_no_revision(truth, key, *revision)
            }
            (Call::Touch { key, .. }, ErrorCode::KeyNotFound) => {
                let states = self.led(truth, key);
                if states.iter().all(is_live) { Err(format!("{key:?} was there: {states:?}")) } else { Ok(()) }
            }
            (Call::Create { key, .. }, ErrorCode::KeyExists) if !error.maybe_applied => {
                let states = self.led(truth, key);
                let is_told = |state: &State| match (state, error.revision) {
                    (Some(message), Some(revision)) => message.seq == revision && !message.is_marker(),
                    (state, None) => is_live(state),
                    (None, Some(_)) => false,
                };
                // Who loses several rounds against others gives up, whatever was the last that won.
                let has_many = states.len() > 3;
                if has_many || states.iter().any(is_told) { Ok(()) } else { Err(format!("{error}: {states:?}")) }
            }
            (
                Call::Update { key, .. } | Call::Delete { key, .. } | Call::Purge { key, .. },
                ErrorCode::WrongRevision,
            ) if !error.maybe_applied => {
                let expected = match self.call {
                    Call::Update { expected, .. } => *expected,
                    Call::Delete { expected, .. } | Call::Purge { expected, .. } => expected.unwrap_or_default(),
                    _ => 0,
                };
                self.check_conflict(truth, key, expected, error)
            }
            _ if plan.is_calm => self.check_calm(code, error),
            _ => Ok(()),
        }
    }

    fn check_no_revision(&self, truth: &Truth, key: &str, revision: u64) -> Result<(), String> {
        let spans = truth.spans(&self.bucket.stream_name(), &self.from, &self.to);
        let [(past, lo, _)] = spans.as_slice() else { return Ok(()) };
        let first = if self.reads_leader { *lo } else { self.from.slowest };
        let Some((index, message)) = past.stored.get(&revision) else { return Ok(()) };
        let is_kept = past.store.messages.contains_key(&revision) && *index <= first && !message.is_marker();
        if is_kept && *message.subject == *self.bucket.subject(key) {
            return Err(format!("{key:?} at {revision} was there all the time"));
        }
        Ok(())
    }

    fn check_conflict(&self, truth: &Truth, key: &str, expected: u64, error: &Error) -> Result<(), String> {
        if error.message.contains("10164") {
            return Ok(()); // a write that was on its way, and may have been lost in an election
        }
        let states = self.led(truth, key);
        let seqs: Vec<u64> = states.iter().map(|state| state.as_ref().map_or(0, |message| message.seq)).collect();
        let is_told = |seq: &u64| *seq != expected && error.revision.is_none_or(|revision| revision == *seq);
        if seqs.iter().any(is_told) {
            return Ok(());
        }
        Err(format!("{error}: but {key:?} was at {seqs:?}, expected {expected}"))
    }

    /// Where nothing goes wrong, only what the bucket holds can be a reason.
    fn check_calm(&self, code: ErrorCode, error: &Error) -> Result<(), String> {
        let is_right = matches!(
            code,
            ErrorCode::KeyNotFound
                | ErrorCode::KeyExists
                | ErrorCode::WrongRevision
                | ErrorCode::Cancelled
                | ErrorCode::Closed
        );
        if is_right { Ok(()) } else { Err(format!("nothing went wrong, but: {error}")) }
    }
}

/// What tells a write from all others of its client and key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// The number in its value.
    Value(u64),
    /// The number that its TTL is.
    Ttl(u64),
    /// Markers have nothing but what they expect.
    Delete(u64),
    Purge(u64),
}

impl Name {
    pub(crate) fn of(headers: &[u8], payload: &[u8]) -> Self {
        let number = |name: &str| header(headers, name).and_then(|text| text.parse::<u64>().ok());
        if let Some(ttl) = number("Nats-TTL").filter(|ttl| *ttl >= NAMING_TTL) {
            return Self::Ttl(ttl);
        }
        let expected = number("Nats-Expected-Last-Subject-Sequence").unwrap_or_default();
        match header(headers, "KV-Operation") {
            Some("DEL") => Self::Delete(expected),
            Some("PURGE") => Self::Purge(expected),
            _ => {
                let digits = payload.split(|b| *b == b'.').next().unwrap_or_default();
                Self::Value(std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).unwrap_or_default())
            }
        }
    }

    fn value(value: &[u8], ttl: Option<u64>) -> Self {
        match ttl.filter(|ttl| *ttl >= NAMING_TTL) {
            Some(ttl) => Self::Ttl(ttl),
            None => Self::of(&[], value),
        }
    }
}

/// The key that a command writes, and the write's name; None for those that write none, or many.
pub(crate) fn name_of(call: &Call) -> Option<(&str, Name)> {
    Some(match call {
        Call::Put { key, value, ttl } | Call::Create { key, value, ttl } => (key, Name::value(value, *ttl)),
        Call::Update { key, value, .. } => (key, Name::value(value, None)),
        Call::Delete { key, expected } => (key, Name::Delete(expected.unwrap_or_default())),
        Call::Purge { key, ttl: Some(ttl), .. } if *ttl >= NAMING_TTL => (key, Name::Ttl(*ttl)),
        Call::Purge { key, expected, .. } => (key, Name::Purge(expected.unwrap_or_default())),
        Call::Touch { key, ttl } => (key, Name::Ttl(*ttl)),
        _ => return None,
    })
}
