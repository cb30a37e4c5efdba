//! A stream: which writes it takes, what a write does to older messages, when messages expire, and who leads its replicas.
//!
//! `store` is what is committed. With several replicas a write is proposed first and stored when it commits; followers learn of
//! each change later, and answer direct gets from what they have.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
};

use serde_json::{Value, json};

use super::{
    config::{Config, Refusal, Upstream},
    connection::{Publish, matches},
    consumer::Consumer,
    store::{Change, Message, Store, Why, header, size_of_message},
    unix_ns,
};

/// A write that is on its way to the followers.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) publish: Publish,
    pub(super) due: u64,
}

/// A follower's copy.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) node: usize,
    pub(super) store: Store,
    /// How much of the log it has.
    pub(super) applied: usize,
}

/// What becomes of a write.
#[derive(Debug)]
pub(super) enum Verdict {
    Accepted,
    Duplicate(u64),
    Refused(Refusal),
}

#[derive(Debug)]
pub struct Stream {
    /// Tells it from an earlier or later one of its name.
    pub id: u64,
    pub name: String,
    pub config: Config,
    pub(super) created_ns: i64,
    /// On the world's clock.
    pub created: u64,
    pub deleted: Option<u64>,
    /// All that ever happened to it, and when.
    pub log: Vec<(u64, Change)>,
    pub store: Store,
    pub(super) replicas: Vec<Replica>,
    /// The node that leads it now.
    pub(super) leader: Option<usize>,
    /// Counts its leaders, so that an election that was overtaken by another is told from it.
    pub(super) term: u64,
    pub(super) proposals: VecDeque<Proposal>,
    pub(super) consumers: BTreeMap<String, Consumer>,
    /// Message ids and what they were stored as, and when.
    ids: BTreeMap<String, (u64, u64)>,
    expiries: BTreeSet<(u64, u64)>,
    /// Writes are taken, and acknowledged, one after the other.
    pub(super) ingested: u64,
    pub(super) acknowledged: u64,
    /// How far a mirror or source has read each of its upstreams.
    pub(super) read: BTreeMap<u64, usize>,
}

impl Stream {
    pub(super) fn new(id: u64, name: &str, config: Config, nodes: &[usize], now: u64) -> Self {
        let (leader, followers) = nodes.split_first().expect("a stream lives somewhere");
        let replicas = followers.iter().map(|node| Replica { node: *node, store: Store::default(), applied: 0 });
        Self {
            id,
            name: name.into(),
            config,
            created_ns: unix_ns(now),
            created: now,
            deleted: None,
            log: Vec::new(),
            store: Store::default(),
            replicas: replicas.collect(),
            leader: Some(*leader),
            term: 0,
            proposals: VecDeque::new(),
            consumers: BTreeMap::new(),
            ids: BTreeMap::new(),
            expiries: BTreeSet::new(),
            ingested: 0,
            acknowledged: 0,
            read: BTreeMap::new(),
        }
    }

    /// Whether writes to this subject are its.
    pub(super) fn owns(&self, subject: &str) -> bool {
        self.deleted.is_none() && self.config.subjects.iter().any(|filter| matches(filter, subject))
    }

    /// Nodes that hold it, the leader's first.
    pub(super) fn nodes(&self) -> Vec<usize> {
        let followers = self.replicas.iter().map(|replica| replica.node);
        self.leader.into_iter().chain(followers).collect()
    }

    // ── writes

    /// Whether the leader takes a write, in the order in which servers look.
    pub(super) fn judge(&self, publish: &Publish, level: u64, now: u64) -> Verdict {
        let refuse = |code, err_code, text: &str| Verdict::Refused(Refusal::new(code, err_code, text));
        let headers = &publish.headers;
        let size = headers.len() + publish.payload.len();
        if self.config.is_sealed {
            return refuse(400, 10109, "invalid operation on sealed stream");
        }
        if headers.len() > 64 << 10 {
            return refuse(400, 10097, "header size exceeds maximum allowed of 64k");
        }
        let is_proposed = self.proposals.iter().any(|proposal| proposal.publish.subject == publish.subject);
        if let Some(expected) = header(headers, "Nats-Expected-Last-Subject-Sequence") {
            if is_proposed {
                return refuse(400, 10164, "wrong last sequence");
            }
            let last = self.store.last_of(&publish.subject).map_or(0, |message| message.seq);
            if expected.parse() != Ok(last) {
                return refuse(400, 10071, &format!("wrong last sequence: {last}"));
            }
        }
        if let Some(id) = header(headers, "Nats-Msg-Id") {
            if self.proposals.iter().any(|proposal| header(&proposal.publish.headers, "Nats-Msg-Id") == Some(id)) {
                return refuse(409, 10158, "duplicate message id is in process");
            }
            let known = self.ids.get(id).filter(|(_, at)| at + self.config.duplicate_window >= now);
            if let Some((seq, _)) = known {
                return Verdict::Duplicate(*seq);
            }
        }
        if self.config.max_message > 0 && size as u64 > self.config.max_message {
            return refuse(400, 10054, "message size exceeds maximum allowed");
        }
        if let Some(ttl) = header(headers, "Nats-TTL").filter(|_| level >= 1) {
            if !self.config.allows_ttl {
                return refuse(400, 10166, "per-message TTL is disabled");
            }
            if parse_ttl(ttl).is_none_or(|ttl| ttl < 1_000_000_000) {
                return refuse(400, 10165, "invalid per-message TTL");
            }
        }
        if header(headers, "Nats-Rollup").is_some() && !self.config.allows_rollup {
            return refuse(500, 10111, "rollup not permitted");
        }
        let new = size_of_message(&publish.subject, size);
        let is_larger = self.store.last_of(&publish.subject).is_none_or(|old| old.size() < new);
        if self.config.max_bytes > 0 && self.store.bytes + new > self.config.max_bytes && is_larger {
            return refuse(503, 10077, "maximum bytes exceeded");
        }
        Verdict::Accepted
    }

    /// Stores an accepted write.
    pub(super) fn store(&mut self, publish: &Publish, level: u64, now: u64) -> u64 {
        let mut headers = publish.headers.clone();
        let mut ttl = header(&headers, "Nats-TTL").filter(|_| level >= 1).and_then(parse_ttl);
        if let Some(given) = ttl.filter(|given| self.config.history != 1 && *given < self.config.marker_ttl) {
            ttl = Some(self.config.marker_ttl);
            let text = String::from_utf8_lossy(&headers);
            let seconds = format!("Nats-TTL: {}", self.config.marker_ttl / 1_000_000_000);
            let given = [format!("Nats-TTL: {}", given / 1_000_000_000), format!("Nats-TTL: {}ms", given / 1_000_000)];
            headers = given
                .iter()
                .fold(text.into_owned(), |text, old| text.replace(&format!("{old}\r"), &format!("{seconds}\r")))
                .into_bytes();
        }
        if let Some(id) = header(&headers, "Nats-Msg-Id") {
            self.ids.insert(id.into(), (self.store.last_seq + 1, now));
        }
        let is_rollup = header(&headers, "Nats-Rollup").is_some();
        let message = Message {
            conn: publish.conn,
            ..self.message(&publish.subject, headers, publish.payload.clone(), ttl, now)
        };
        self.add(message, is_rollup, now)
    }

    fn message(&self, subject: &str, headers: Vec<u8>, payload: Vec<u8>, ttl: Option<u64>, now: u64) -> Message {
        let age = Some(self.config.max_age).filter(|age| *age > 0);
        Message {
            seq: self.store.last_seq + 1,
            subject: subject.into(),
            headers,
            payload,
            time_ns: unix_ns(now),
            expires: ttl.into_iter().chain(age).min().map(|wait| now + wait),
            conn: 0,
        }
    }

    /// Appends a message, and removes what it replaces.
    fn add(&mut self, message: Message, is_rollup: bool, now: u64) -> u64 {
        let message = Rc::new(message);
        let (seq, subject) = (message.seq, message.subject.clone());
        if let Some(at) = message.expires {
            self.expiries.insert((at, seq));
        }
        self.change(Change::Stored(message), now);
        let of_subject: Vec<u64> = self.store.of(&subject).collect();
        let kept = if is_rollup { 1 } else { self.config.history.max(1) as usize };
        let why = if is_rollup { Why::Rollup } else { Why::Replaced };
        let surplus = of_subject.len().saturating_sub(kept);
        for seq in &of_subject[..surplus] {
            self.change(Change::Removed { seq: *seq, subject: subject.clone(), why }, now);
        }
        seq
    }

    /// The one way in which anything changes.
    fn change(&mut self, change: Change, now: u64) {
        self.store.learn(&change);
        for consumer in self.consumers.values_mut() {
            consumer.learn(&change);
        }
        self.log.push((now, change));
    }

    // ── what goes

    /// STREAM.PURGE: how many messages went.
    pub(super) fn purge(&mut self, filter: Option<&str>, before: Option<u64>, keep: Option<u64>, now: u64) -> u64 {
        let mut gone: Vec<Rc<Message>> = self.store.messages.values().cloned().collect();
        gone.retain(|message| filter.is_none_or(|filter| matches(filter, &message.subject)));
        gone.retain(|message| before.is_none_or(|before| message.seq < before));
        gone.truncate(gone.len() - gone.len().min(keep.unwrap_or_default() as usize));
        for message in &gone {
            let subject = message.subject.clone();
            self.change(Change::Removed { seq: message.seq, subject, why: Why::Purged }, now);
        }
        gone.len() as u64
    }

    /// The configuration may keep fewer revisions than before.
    pub(super) fn trim(&mut self, now: u64) {
        let kept = self.config.history.max(1) as usize;
        let all: Vec<Rc<str>> = self.store.subjects(&[String::from(">")]).cloned().collect();
        for subject in all {
            let sequences: Vec<u64> = self.store.of(&subject).collect();
            for seq in &sequences[..sequences.len().saturating_sub(kept)] {
                self.change(Change::Removed { seq: *seq, subject: subject.clone(), why: Why::Replaced }, now);
            }
        }
    }

    pub(super) fn next_expiry(&self) -> Option<u64> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Removes what is over, and leaves markers for keys of which nothing is left.
    pub(super) fn expire(&mut self, now: u64) {
        while let Some((_, seq)) = self.expiries.first().copied().filter(|(at, _)| *at <= now) {
            self.expiries.pop_first();
            let Some(message) = self.store.messages.get(&seq).cloned() else { continue };
            let subject = message.subject.clone();
            self.change(Change::Removed { seq, subject: subject.clone(), why: Why::Expired }, now);
            if self.config.marker_ttl > 0 && self.store.last_of(&subject).is_none() && !message.is_marker() {
                let ttl = self.config.marker_ttl;
                let block = format!(
                    "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: {}s\r\nNats-Rollup: sub\r\n\r\n",
                    ttl / 1_000_000_000
                );
                let marker = self.message(&subject, block.into_bytes(), Vec::new(), Some(ttl), now);
                self.add(marker, true, now);
            }
        }
    }

    // ── copies

    /// Takes over what an upstream stored since the last time; a mirror keeps sequences, a source gives its own.
    pub(super) fn copy_from(&mut self, news: &[Rc<Message>], upstream: Option<&Upstream>, now: u64) {
        for message in news {
            let Some(upstream) = upstream else {
                self.add(
                    Message { expires: None, ..(**message).clone() },
                    message.header("Nats-Rollup").is_some(),
                    now,
                );
                continue;
            };
            if upstream.filter.as_ref().is_some_and(|filter| !matches(filter, &message.subject)) {
                continue;
            }
            let renamed = upstream.transforms.iter().find_map(|(src, dest)| transform(src, dest, &message.subject));
            if renamed.is_none() && !upstream.transforms.is_empty() {
                continue; // they filter too
            }
            let subject = renamed.unwrap_or_else(|| message.subject.to_string());
            let mut block = message.headers.clone();
            if block.is_empty() {
                block = b"NATS/1.0\r\n\r\n".to_vec();
            }
            block.truncate(block.len() - 2);
            block.extend_from_slice(
                format!("Nats-Stream-Source: {} {}\r\n\r\n", upstream.stream, message.seq).as_bytes(),
            );
            let is_rollup = message.header("Nats-Rollup").is_some();
            let copy = self.message(&subject, block, message.payload.clone(), None, now);
            self.add(copy, is_rollup, now);
        }
    }

    /// What was stored after so many changes, and is still there.
    pub(super) fn kept_since(&self, changes: usize) -> Vec<Rc<Message>> {
        let stored = self.log[changes..].iter().filter_map(|(_, change)| match change {
            Change::Stored(message) => Some(message),
            Change::Removed { .. } => None,
        });
        stored.filter(|message| self.store.messages.contains_key(&message.seq)).cloned().collect()
    }

    /// How an upstream of this name is read; None: it is none.
    pub(super) fn upstream(&self, name: &str) -> Option<Option<Upstream>> {
        if self.config.mirror.as_deref() == Some(name) {
            return Some(None);
        }
        self.config.sources.iter().find(|source| source.stream == name).cloned().map(Some)
    }

    // ── replicas

    /// A follower learns of all up to `count` changes.
    pub(super) fn catch_up(&mut self, node: usize, count: usize) {
        let Self { replicas, log, .. } = self;
        let Some(replica) = replicas.iter_mut().find(|replica| replica.node == node) else { return };
        for (_, change) in log.get(replica.applied..count).unwrap_or_default() {
            replica.store.learn(change);
        }
        replica.applied = replica.applied.max(count);
    }

    /// How much of the log the slowest copy has.
    pub fn slowest(&self) -> usize {
        self.replicas.iter().map(|replica| replica.applied).min().unwrap_or(self.log.len())
    }

    // ── what it says of itself

    pub(super) fn info(&self, now: u64) -> Value {
        let time = |ns| natskv_core::to_rfc3339(ns);
        let Store { messages, bytes, last_seq, .. } = &self.store;
        let of = |message: Option<(&u64, &Rc<Message>)>| {
            message.map_or_else(|| "0001-01-01T00:00:00Z".into(), |(_, message)| time(message.time_ns))
        };
        json!({
            "config": self.config.fields,
            "created": time(self.created_ns),
            "ts": time(unix_ns(now)),
            "state": {
                "messages": messages.len(),
                "bytes": bytes,
                "first_seq": self.store.first_seq(),
                "first_ts": of(messages.first_key_value()),
                "last_seq": last_seq,
                "last_ts": of(messages.last_key_value()),
                "num_subjects": self.store.subject_count(),
                "consumer_count": self.consumers.len(),
            },
        })
    }
}

/// `Nats-TTL` in nanoseconds; `never` is as long as that.
fn parse_ttl(text: &str) -> Option<u64> {
    if text.eq_ignore_ascii_case("never") {
        return Some(u64::MAX / 4);
    }
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = match unit {
        "" | "s" => 1_000_000_000,
        "ms" => 1_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A subject under its new name, where it matches `src`; both end in the same wildcard or are literal.
fn transform(src: &str, dest: &str, subject: &str) -> Option<String> {
    if !matches(src, subject) {
        return None;
    }
    match (src.strip_suffix('>'), dest.strip_suffix('>')) {
        (Some(src), Some(dest)) => Some(format!("{dest}{}", &subject[src.len()..])),
        _ => Some(dest.into()),
    }
}
