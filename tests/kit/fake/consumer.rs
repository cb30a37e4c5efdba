//! A push consumer: what it still has to deliver, and the flow control that stops it.
//!
//! What is pending is a set of sequences, which is all that the rules need: `last_per_subject` is the last sequence of each subject
//! when it was created, whatever is stored afterwards joins, whatever is removed leaves.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    Post, Settings,
    config::Refusal,
    connection::{is_filter, overlap},
    store::{Change, Message, Store, matches_any},
};

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) name: String,
    /// On which node it lives, and dies.
    pub(super) node: usize,
    pub(super) deliver: String,
    filters: Vec<String>,
    is_headers_only: bool,
    has_flow_control: bool,
    pub(super) heartbeat: u64,
    pub(super) threshold: u64,
    fields: Map<String, Value>,
    pub(super) created_ns: i64,
    /// What is stored from this sequence on is delivered.
    start: u64,
    pending: BTreeSet<u64>,
    /// Stream sequence before the first one, then of the last one delivered.
    stream_seq: u64,
    delivered: u64,
    /// Bytes since the last flow-control request that was answered.
    unanswered: u64,
    /// The flow-control request in flight, and how many bytes its answer is for.
    asked: Option<(String, u64)>,
    asks: u64,
    /// Servers before 2.12 lose count with certain filters.
    is_miscounting: bool,
    pub(super) last_sent: u64,
    pub(super) is_delivering: bool,
    /// When nobody listened any more; None: somebody does.
    pub(super) idle_since: Option<u64>,
}

impl Consumer {
    /// Of a create request's `config`, on the messages there are.
    pub(super) fn new(
        fields: &Map<String, Value>,
        store: &Store,
        settings: &Settings,
        now: u64,
        unix_ns: i64,
    ) -> Result<Self, Refusal> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
        let filters = filters(fields, settings.level)?;
        let policy = text("deliver_policy");
        let (start, pending) = match policy.as_str() {
            "new" => (store.last_seq + 1, BTreeSet::new()),
            "last_per_subject" if filters.is_empty() => {
                return Err(Refusal::new(
                    400,
                    10094,
                    "consumer delivery policy is deliver last per subject, but FilterSubject is not set",
                ));
            }
            "last_per_subject" => (store.last_seq + 1, store.last_seqs(&filters, u64::MAX).into_iter().collect()),
            "all" | "by_start_sequence" => {
                let start = number("opt_start_seq").max(1);
                let is_wanted =
                    |message: &&std::rc::Rc<Message>| filters.is_empty() || matches_any(&filters, &message.subject);
                (
                    start,
                    store
                        .messages
                        .range(start..)
                        .map(|(_, message)| message)
                        .filter(is_wanted)
                        .map(|m| m.seq)
                        .collect(),
                )
            }
            other => return Err(Refusal::new(400, 10025, format!("invalid JSON: unknown deliver policy {other:?}"))),
        };
        let heartbeat = number("idle_heartbeat");
        if heartbeat < 100_000_000 {
            return Err(Refusal::new(400, 10083, "consumer idle heartbeat needs to be >= 100ms"));
        }
        let stream_seq = if policy == "new" { store.last_seq } else { start.saturating_sub(1).min(store.last_seq) };
        Ok(Self {
            name: text("name"),
            node: 0,
            deliver: text("deliver_subject"),
            is_miscounting: settings.level < 2 && policy == "last_per_subject" && is_miscounted(&filters),
            filters,
            is_headers_only: fields.get("headers_only") == Some(&Value::Bool(true)),
            has_flow_control: fields.get("flow_control") == Some(&Value::Bool(true)),
            heartbeat,
            threshold: number("inactive_threshold").max(1_000_000_000),
            fields: fields.clone(),
            created_ns: unix_ns,
            start,
            pending,
            stream_seq,
            delivered: 0,
            unanswered: 0,
            asked: None,
            asks: 0,
            last_sent: now,
            is_delivering: false,
            idle_since: Some(now),
        })
    }

    /// What its stream's change means for it.
    pub(super) fn learn(&mut self, change: &Change) {
        match change {
            Change::Stored(message) => {
                if message.seq >= self.start
                    && (self.filters.is_empty() || matches_any(&self.filters, &message.subject))
                {
                    self.pending.insert(message.seq);
                }
            }
            Change::Removed { seq, .. } => {
                self.pending.remove(seq);
            }
        }
    }

    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether it waits for an answer to go on.
    pub(super) fn is_stalled(&self, window: u64) -> bool {
        self.has_flow_control && self.asked.is_some() && self.unanswered >= window
    }

    fn pending_count(&self) -> u64 {
        let count = self.pending.len() as u64;
        if self.is_miscounting { count / 2 } else { count }
    }

    /// The next message, and the flow-control request that may follow it.
    pub(super) fn deliver(&mut self, stream: &str, store: &Store, settings: &Settings, now: u64) -> Vec<Post> {
        let Some(message) = self.pending.pop_first().and_then(|seq| store.messages.get(&seq)) else {
            return Vec::new();
        };
        self.delivered += 1;
        self.stream_seq = message.seq;
        self.last_sent = now;
        let place = if settings.has_long_acks { "_.ACCHASH." } else { "" };
        let reply = format!(
            "$JS.ACK.{place}{stream}.{}.1.{}.{}.{}.{}",
            self.name,
            message.seq,
            self.delivered,
            message.time_ns,
            self.pending_count()
        );
        let mut headers = message.headers.clone();
        let mut payload = message.payload.clone();
        if self.is_headers_only {
            if headers.is_empty() {
                headers = b"NATS/1.0\r\n\r\n".to_vec();
            }
            headers.truncate(headers.len() - 2);
            headers.extend_from_slice(format!("Nats-Msg-Size: {}\r\n\r\n", payload.len()).as_bytes());
            payload.clear();
        }
        self.unanswered += (headers.len() + payload.len() + message.subject.len()) as u64;
        let mut posts = vec![Post {
            to: self.deliver.clone(),
            subject: message.subject.to_string(),
            reply: Some(reply),
            headers,
            payload,
            is_idle: false,
        }];
        if self.has_flow_control && self.asked.is_none() && self.unanswered > settings.window / 2 {
            self.asks += 1;
            let reply = format!("$JS.FC.{stream}.{}.q{}", self.name, self.asks);
            self.asked = Some((reply.clone(), self.unanswered));
            posts.push(self.control("NATS/1.0 100 FlowControl Request\r\n\r\n", Some(reply)));
        }
        posts
    }

    /// The answer to a flow-control request.
    pub(super) fn on_flow_control(&mut self, reply: &str) {
        if let Some((_, size)) = self.asked.take_if(|(asked, _)| asked == reply) {
            self.unanswered -= size.min(self.unanswered);
        }
    }

    pub(super) fn idle_heartbeat(&mut self, now: u64) -> Post {
        self.last_sent = now;
        let stalled = match &self.asked {
            Some((reply, _)) => format!("Nats-Consumer-Stalled: {reply}\r\n"),
            None => String::new(),
        };
        let block = format!(
            "NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: {}\r\nNats-Last-Stream: {}\r\n{stalled}\r\n",
            self.delivered, self.stream_seq
        );
        self.control(&block, None)
    }

    fn control(&self, block: &str, reply: Option<String>) -> Post {
        let is_idle = reply.is_none();
        Post {
            to: self.deliver.clone(),
            subject: self.deliver.clone(),
            reply,
            headers: block.as_bytes().to_vec(),
            payload: Vec::new(),
            is_idle,
        }
    }

    pub(super) fn info(&self, stream: &str) -> Value {
        json!({
            "stream_name": stream,
            "name": self.name,
            "created": natskv_core::to_rfc3339(self.created_ns),
            "config": self.fields,
            "delivered": {"consumer_seq": self.delivered, "stream_seq": self.stream_seq},
            "ack_floor": {"consumer_seq": 0, "stream_seq": 0},
            "num_ack_pending": 0,
            "num_redelivered": 0,
            "num_waiting": 0,
            "num_pending": self.pending_count(),
            "push_bound": self.idle_since.is_none(),
        })
    }
}

/// The filters of a create request, if servers of this level take them.
fn filters(fields: &Map<String, Value>, level: u64) -> Result<Vec<String>, Refusal> {
    let single = fields.get("filter_subject").and_then(Value::as_str).filter(|filter| !filter.is_empty());
    let several = fields.get("filter_subjects").and_then(Value::as_array);
    let filters: Vec<String> = match (single, several) {
        (Some(_), Some(_)) => {
            return Err(Refusal::new(
                400,
                10136,
                "consumer cannot have both FilterSubject and FilterSubjects specified",
            ));
        }
        (Some(filter), None) => vec![filter.into()],
        (None, several) => {
            several.into_iter().flatten().filter_map(|filter| filter.as_str().map(String::from)).collect()
        }
    };
    for (at, a) in filters.iter().enumerate() {
        let is_refused = |b: &String| {
            let is_covered = super::connection::matches(a, b) || super::connection::matches(b, a);
            is_covered || (level < 4 && overlap(a, b))
        };
        if filters[at + 1..].iter().any(is_refused) {
            return Err(Refusal::new(400, 10138, "consumer subject filters cannot overlap"));
        }
    }
    Ok(filters)
}

/// Where one filter has `*` and another a literal in the same place, servers before 2.12 tell too little.
fn is_miscounted(filters: &[String]) -> bool {
    let crosses = |a: &String, b: &String| {
        let mut places = a.split('.').zip(b.split('.')).skip_while(|(x, y)| x == y);
        places.next().is_some_and(|(x, y)| (x == "*") != (y == "*"))
    };
    filters.iter().any(|a| is_filter(a) && filters.iter().any(|b| a != b && crosses(a, b)))
}
