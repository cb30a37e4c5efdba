//! FakeServer: a model of nats-server's JetStream, as far as Key/Value uses it. One cluster of any number of nodes, without a socket,
//! a clock or a thread: bytes, `now` and dice go in, bytes come out.
//!
//! It follows what was seen on real servers, the awkward things above all: data before the create response, acknowledgements,
//! answers and deliveries that overtake each other, replicas that lag, elections that answer 503, consumers that die in silence,
//! and servers too old to know what they are asked. The scenarios run on it and on a real server alike.

mod api;
mod config;
mod connection;
mod consumer;
mod direct;
mod store;
mod stream;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    ops::Range,
};

use crate::dice::Dice;
use connection::{Connection, Said, message};
pub use connection::{Publish, Tap, matches};
pub use store::{Change, Message, Store, Why, header};
pub use stream::Stream;
use stream::{Proposal, Verdict};

/// When the world's clock says 0, in seconds since 1970.
const EPOCH_S: i64 = 1_800_000_000;

/// How often a server asks its clients whether they live, and how many questions may stay open.
const PING_EVERY: u64 = 5_000_000_000;
const MAX_PINGS_OUT: u32 = 2;

pub(crate) fn unix_ns(now: u64) -> i64 {
    EPOCH_S * 1_000_000_000 + now as i64
}

/// What kind of server it is, and how long things take in it; nanoseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    pub nodes: usize,
    /// API level: 0 is 2.10, 1 is 2.11, 2 is 2.12, 4 is 2.14, 5 is 2.15.
    pub level: u64,
    pub max_payload: usize,
    /// Bytes that a consumer sends without an answer to its flow control.
    pub window: u64,
    /// Subjects that the wildcards of one direct get may match.
    pub multi_limit: usize,
    /// Messages that one direct get gives at most.
    pub page: usize,
    pub max_consumers: usize,
    /// Reply subjects of deliveries have 11 tokens.
    pub has_long_acks: bool,
    /// From a request of the API to its being carried out, and from there to its answer.
    pub api: Range<u64>,
    /// From a write to its being looked at, and from its being stored to its acknowledgement.
    pub ingest: Range<u64>,
    /// From a write's proposal to its commit, where there are replicas; and from there to the followers.
    pub commit: Range<u64>,
    pub lag: Range<u64>,
    /// Between two deliveries of a consumer.
    pub delivery: Range<u64>,
    pub election: Range<u64>,
    /// From the end of a message's time to its removal.
    pub expiry: Range<u64>,
    /// From a bucket's deletion until one of its name can be made.
    pub folder: Range<u64>,
    /// How many requests of the API in a thousand stay unanswered.
    pub unanswered: u64,
    /// What clients may not publish to.
    pub denied: Vec<String>,
}

impl Default for Settings {
    /// One node of the newest server, in which everything happens at once.
    fn default() -> Self {
        Self {
            nodes: 1,
            level: 5,
            max_payload: 1 << 20,
            window: 2 << 20,
            multi_limit: 1024,
            page: usize::MAX,
            max_consumers: 1000,
            has_long_acks: false,
            api: 0..1,
            ingest: 0..1,
            commit: 0..1,
            lag: 0..1,
            delivery: 0..1,
            election: 200_000_000..300_000_000,
            expiry: 0..1,
            folder: 0..1,
            unanswered: 0,
            denied: Vec::new(),
        }
    }
}

/// What it does to its connections.
#[derive(Debug)]
pub enum Output {
    /// Bytes; `is_idle`: they only say that the server lives.
    Bytes {
        conn: u64,
        bytes: Vec<u8>,
        is_idle: bool,
    },
    Close {
        conn: u64,
    },
}

/// A message of the server's own.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    /// Who is subscribed to this gets it …
    to: String,
    /// … under this subject.
    subject: String,
    reply: Option<String>,
    headers: Vec<u8>,
    payload: Vec<u8>,
    is_idle: bool,
}

/// What is to be done at its time.
#[derive(Debug)]
enum Job {
    Api(Publish),
    Ingest(Publish),
    Posts(Vec<Post>),
    Commit { stream: u64 },
    CatchUp { stream: u64, node: usize, count: usize },
    Copy { from: u64 },
    Deliver { stream: u64, consumer: String },
    Heartbeat { stream: u64, consumer: String },
    Forget { stream: u64, consumer: String },
    Expire { stream: u64 },
    Elect { stream: u64, term: u64 },
    Ping { conn: u64 },
    Close { conn: u64 },
}

#[derive(Debug)]
struct Due {
    at: u64,
    order: u64,
    job: Job,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

#[derive(Debug)]
pub struct FakeServer {
    pub settings: Settings,
    dice: Dice,
    now: u64,
    jobs: BinaryHeap<Reverse<Due>>,
    /// Jobs so far.
    order: u64,
    nodes: Vec<bool>,
    connections: BTreeMap<u64, Connection>,
    /// All streams that ever were, by their ids.
    pub streams: Vec<Stream>,
    /// Names of deleted streams that cannot be used again yet, and until when.
    busy_names: BTreeMap<String, u64>,
    outputs: VecDeque<Output>,
    /// What clients did that none should.
    pub complaints: Vec<String>,
}

impl FakeServer {
    pub fn new(settings: Settings, dice: Dice) -> Self {
        Self {
            nodes: vec![true; settings.nodes],
            settings,
            dice,
            now: 0,
            jobs: BinaryHeap::new(),
            order: 0,
            connections: BTreeMap::new(),
            streams: Vec::new(),
            busy_names: BTreeMap::new(),
            outputs: VecDeque::new(),
            complaints: Vec::new(),
        }
    }

    // ── connections

    /// Whether a node can be dialled.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).copied().unwrap_or_default()
    }

    /// A client is connected to `node`: it is told who is there.
    pub fn accept(&mut self, conn: u64, node: usize, now: u64) {
        self.now = now;
        self.connections.insert(conn, Connection::new(conn, node, self.settings.max_payload));
        let info = self.info_line(node, false);
        self.output(conn, info, false);
        let wait = 2_000_000_000 + self.dice.below(PING_EVERY);
        self.later(wait, Job::Ping { conn });
    }

    fn info_line(&self, node: usize, is_lame_duck: bool) -> Vec<u8> {
        let Settings { level, max_payload, .. } = self.settings;
        let version = match level {
            0 => "2.10.25",
            1 => "2.11.9",
            2 | 3 => "2.12.4",
            4 => "2.14.0",
            _ => "2.15.1",
        };
        let mut text = format!(
            "INFO {{\"server_id\":\"N{node}\",\"server_name\":\"n{node}\",\"version\":\"{version}\",\"proto\":1,\
             \"headers\":true,\"max_payload\":{max_payload},\"jetstream\":true"
        );
        if level >= 2 {
            text.push_str(&format!(",\"api_lvl\":{level}"));
        }
        if is_lame_duck {
            text.push_str(",\"ldm\":true");
        }
        text.push_str("} \r\n");
        text.into_bytes()
    }

    /// Bytes of a client, cut anywhere.
    pub fn receive(&mut self, conn: u64, bytes: &[u8], now: u64) {
        self.now = now;
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.feed(bytes);
        }
        while let Some(connection) = self.connections.get_mut(&conn) {
            match connection.next() {
                Ok(None) => return,
                Ok(Some(said)) => self.on_said(conn, said),
                Err(why) => {
                    self.complaints.push(format!("connection {conn}: {why}"));
                    self.output(conn, format!("-ERR '{why}'\r\n").into_bytes(), false);
                    self.close(conn);
                }
            }
        }
    }

    /// The server noticed that a connection is gone.
    pub fn lost(&mut self, conn: u64, now: u64) {
        self.now = now;
        self.connections.remove(&conn);
        self.note_interest();
    }

    fn close(&mut self, conn: u64) {
        if self.connections.remove(&conn).is_some() {
            self.outputs.push_back(Output::Close { conn });
            self.note_interest();
        }
    }

    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn output(&mut self, conn: u64, bytes: Vec<u8>, is_idle: bool) {
        self.outputs.push_back(Output::Bytes { conn, bytes, is_idle });
    }

    fn on_said(&mut self, conn: u64, said: Said) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        match said {
            Said::Connect => connection.has_said_connect = true,
            Said::Ping => {
                let is_first = !std::mem::replace(&mut connection.has_ponged, true);
                let node = connection.node;
                self.output(conn, b"PONG\r\n".to_vec(), false);
                if is_first && self.settings.level >= 2 {
                    let info = self.info_line(node, false);
                    self.output(conn, info, true);
                }
            }
            Said::Pong => connection.pings_out = 0,
            Said::Subscribe { subject, sid } => {
                if let Err(why) = connection.subscribe(subject, sid) {
                    self.complaints.push(format!("connection {conn}: {why}"));
                }
                self.note_interest();
            }
            Said::Unsubscribe { sid } => {
                connection.unsubscribe(sid);
                self.note_interest();
            }
            Said::Publish(publish) => self.on_publish(publish),
        }
    }

    fn on_publish(&mut self, publish: Publish) {
        let subject = publish.subject.as_str();
        if self.settings.denied.iter().any(|denied| matches(denied, subject)) {
            let error = format!("-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n");
            return self.output(publish.conn, error.into_bytes(), false);
        }
        if subject.starts_with("$JS.FC.") {
            return self.on_flow_control(&publish);
        }
        if let Some(endpoint) = subject.strip_prefix("$JS.API.") {
            if publish.reply.is_none() {
                return; // JetStream does nothing for requests without a reply subject
            }
            if self.dice.permille(self.settings.unanswered) {
                return;
            }
            if !self.answers(endpoint) {
                return self.no_responders(&publish);
            }
            let wait = self.dice.within(&self.settings.api.clone());
            return self.later(wait, Job::Api(publish));
        }
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.owns(subject) && stream.leader.is_some())
        else {
            return self.no_responders(&publish);
        };
        stream.ingested = stream.ingested.max(self.now + self.dice.within(&self.settings.ingest));
        let wait = stream.ingested - self.now;
        self.later(wait, Job::Ingest(publish));
    }

    fn no_responders(&mut self, publish: &Publish) {
        let Some(reply) = &publish.reply else { return };
        let more =
            if self.settings.level >= 2 { format!("Nats-Subject: {}\r\n", publish.subject) } else { String::new() };
        let headers = format!("NATS/1.0 503\r\n{more}\r\n").into_bytes();
        self.post(Post {
            to: reply.clone(),
            subject: reply.clone(),
            reply: None,
            headers,
            payload: Vec::new(),
            is_idle: false,
        });
    }

    /// Hands a message to all that are subscribed.
    fn post(&mut self, post: Post) {
        let Post { to, subject, reply, headers, payload, is_idle } = post;
        let mut bytes = Vec::new();
        for connection in self.connections.values() {
            for sid in connection.sids(&to) {
                bytes.push((connection.id, message(&subject, sid, reply.as_deref(), &headers, &payload)));
            }
        }
        for (conn, bytes) in bytes {
            self.output(conn, bytes, is_idle);
        }
    }

    // ── time

    pub fn deadline(&self) -> Option<u64> {
        self.jobs.peek().map(|Reverse(due)| due.at)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: u64) {
        self.now = now;
        while self.deadline().is_some_and(|at| at <= now)
            && let Some(Reverse(due)) = self.jobs.pop()
        {
            self.perform(due.job);
        }
    }

    fn later(&mut self, wait: u64, job: Job) {
        self.order += 1;
        self.jobs.push(Reverse(Due { at: self.now + wait, order: self.order, job }));
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Api(publish) => self.on_request(&publish),
            Job::Ingest(publish) => self.ingest(publish),
            Job::Posts(posts) => posts.into_iter().for_each(|post| self.post(post)),
            Job::Commit { stream } => self.commit(stream),
            Job::CatchUp { stream, node, count } => {
                if self.is_up(node) {
                    self.stream_mut(stream).catch_up(node, count);
                }
            }
            Job::Copy { from } => self.copy(from),
            Job::Deliver { stream, consumer } => self.deliver(stream, &consumer),
            Job::Heartbeat { stream, consumer } => self.heartbeat(stream, consumer),
            Job::Forget { stream, consumer } => self.forget(stream, consumer),
            Job::Expire { stream } => self.expire(stream),
            Job::Elect { stream, term } => self.elected(stream, term),
            Job::Ping { conn } => self.ping(conn),
            Job::Close { conn } => self.close(conn),
        }
    }

    fn ping(&mut self, conn: u64) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if connection.pings_out > MAX_PINGS_OUT {
            self.output(conn, b"-ERR 'Stale Connection'\r\n".to_vec(), false);
            return self.close(conn);
        }
        connection.pings_out += 1;
        self.output(conn, b"PING\r\n".to_vec(), true);
        self.later(PING_EVERY, Job::Ping { conn });
    }

    // ── streams

    fn stream_mut(&mut self, id: u64) -> &mut Stream {
        &mut self.streams[id as usize]
    }

    /// The stream of this name that there is now.
    pub fn stream(&self, name: &str) -> Option<&Stream> {
        self.streams.iter().rev().find(|stream| stream.deleted.is_none() && stream.name == name)
    }

    fn ingest(&mut self, publish: Publish) {
        let owner = self.streams.iter().find(|stream| stream.owns(&publish.subject) && stream.leader.is_some());
        let Some(id) = owner.map(|stream| stream.id) else { return }; // taken by a leader that is none any more
        let (now, level) = (self.now, self.settings.level);
        let stream = self.stream_mut(id);
        match stream.judge(&publish, level, now) {
            Verdict::Accepted if stream.replicas.is_empty() => {
                let seq = stream.store(&publish, level, now);
                self.acknowledge(id, &publish, seq, false);
                self.changed(id);
            }
            Verdict::Accepted => {
                let wait = self.dice.within(&self.settings.commit.clone());
                let stream = self.stream_mut(id);
                let due = stream.proposals.back().map_or(now, |last| last.due).max(now + wait);
                stream.proposals.push_back(Proposal { publish, due });
                self.later(due - now, Job::Commit { stream: id });
            }
            Verdict::Duplicate(seq) => self.acknowledge(id, &publish, seq, true),
            Verdict::Refused(refusal) => {
                let body = serde_json::json!({"error": refusal.to_json(), "stream": stream.name, "seq": 0});
                self.answer_write(id, &publish, &body.to_string());
            }
        }
    }

    fn commit(&mut self, id: u64) {
        let (now, level) = (self.now, self.settings.level);
        let stream = self.stream_mut(id);
        let Some(proposal) = stream.proposals.pop_front_if(|first| first.due <= now) else { return };
        if stream.deleted.is_some() {
            return;
        }
        let seq = stream.store(&proposal.publish, level, now);
        self.acknowledge(id, &proposal.publish, seq, false);
        self.changed(id);
    }

    fn acknowledge(&mut self, id: u64, publish: &Publish, seq: u64, is_duplicate: bool) {
        let space = if self.settings.level < 1 { " " } else { "" };
        let duplicate = if is_duplicate { ",\"duplicate\":true" } else { "" };
        let name = &self.streams[id as usize].name;
        let body = format!("{{\"stream\":\"{name}\",{space}\"seq\":{seq}{duplicate}}}");
        self.answer_write(id, publish, &body);
    }

    /// Answers to writes come in their order.
    fn answer_write(&mut self, id: u64, publish: &Publish, body: &str) {
        let Some(reply) = &publish.reply else { return };
        let wait = self.dice.within(&self.settings.ingest.clone());
        let now = self.now;
        let stream = self.stream_mut(id);
        stream.acknowledged = stream.acknowledged.max(now + wait);
        let wait = stream.acknowledged - now;
        let post = Post {
            to: reply.clone(),
            subject: reply.clone(),
            reply: None,
            headers: Vec::new(),
            payload: body.as_bytes().to_vec(),
            is_idle: false,
        };
        self.later(wait, Job::Posts(vec![post]));
    }

    /// What follows when a stream's messages are others than before.
    fn changed(&mut self, id: u64) {
        let now = self.now;
        let stream = &mut self.streams[id as usize];
        let count = stream.log.len();
        let followers: Vec<usize> = stream.replicas.iter().map(|replica| replica.node).collect();
        let waiting: Vec<String> =
            stream.consumers.values().filter(|c| c.has_pending()).map(|c| c.name.clone()).collect();
        let expiry = stream.next_expiry();
        let name = stream.name.clone();
        for node in followers {
            let wait = self.dice.within(&self.settings.lag.clone());
            self.later(wait, Job::CatchUp { stream: id, node, count });
        }
        for consumer in waiting {
            self.wake(id, &consumer);
        }
        if let Some(at) = expiry {
            let late = self.dice.within(&self.settings.expiry.clone());
            self.later(at.saturating_sub(now) + late, Job::Expire { stream: id });
        }
        if self.streams.iter().any(|other| other.deleted.is_none() && other.upstream(&name).is_some()) {
            let wait = self.dice.within(&self.settings.lag.clone());
            self.later(wait, Job::Copy { from: id });
        }
    }

    fn expire(&mut self, id: u64) {
        let now = self.now;
        let stream = self.stream_mut(id);
        let before = stream.log.len();
        if stream.deleted.is_none() && stream.leader.is_some() {
            stream.expire(now);
        }
        if self.streams[id as usize].log.len() > before {
            self.changed(id);
        }
    }

    /// Mirrors and sources take over what is new in a stream.
    fn copy(&mut self, from: u64) {
        let (now, name) = (self.now, self.streams[from as usize].name.clone());
        for id in 0..self.streams.len() as u64 {
            let (news, upstream) = {
                let (stream, origin) = (&self.streams[id as usize], &self.streams[from as usize]);
                let Some(upstream) = stream.upstream(&name).filter(|_| stream.deleted.is_none()) else { continue };
                let read = stream.read.get(&from).copied().unwrap_or_default();
                (origin.kept_since(read), upstream)
            };
            let read = self.streams[from as usize].log.len();
            self.stream_mut(id).read.insert(from, read);
            if !news.is_empty() {
                self.stream_mut(id).copy_from(&news, upstream.as_ref(), now);
                self.changed(id);
            }
        }
    }

    // ── consumers

    fn has_interest(&self, deliver: &str) -> bool {
        self.connections.values().any(|connection| connection.has_literal(deliver))
    }

    /// Subscriptions changed: consumers that are listened to go on, others will be forgotten.
    fn note_interest(&mut self) {
        let mut woken = Vec::new();
        let mut idle = Vec::new();
        for stream in &self.streams {
            for consumer in stream.consumers.values() {
                match (self.has_interest(&consumer.deliver), consumer.idle_since) {
                    (true, Some(_)) => woken.push((stream.id, consumer.name.clone())),
                    (false, None) => idle.push((stream.id, consumer.name.clone(), consumer.threshold)),
                    _ => {}
                }
            }
        }
        let now = self.now;
        for (stream, name) in woken {
            if let Some(consumer) = self.stream_mut(stream).consumers.get_mut(&name) {
                consumer.idle_since = None;
            }
            self.wake(stream, &name);
        }
        for (stream, name, threshold) in idle {
            if let Some(consumer) = self.stream_mut(stream).consumers.get_mut(&name) {
                consumer.idle_since = Some(now);
            }
            self.later(threshold, Job::Forget { stream, consumer: name });
        }
    }

    /// Lets a consumer deliver, if it may.
    fn wake(&mut self, id: u64, name: &str) {
        let window = self.settings.window;
        let Some(consumer) = self.stream_mut(id).consumers.get_mut(name) else { return };
        let may_deliver = consumer.idle_since.is_none() && consumer.has_pending() && !consumer.is_stalled(window);
        if may_deliver && !std::mem::replace(&mut consumer.is_delivering, true) {
            let wait = self.dice.within(&self.settings.delivery.clone());
            self.later(wait, Job::Deliver { stream: id, consumer: name.into() });
        }
    }

    fn deliver(&mut self, id: u64, name: &str) {
        let (now, window) = (self.now, self.settings.window);
        let Self { streams, settings, .. } = self;
        let stream = &mut streams[id as usize];
        let Some(consumer) = stream.consumers.get_mut(name) else { return };
        consumer.is_delivering = false;
        if consumer.idle_since.is_some() || consumer.is_stalled(window) {
            return;
        }
        let posts = consumer.deliver(&stream.name, &stream.store, settings, now);
        posts.into_iter().for_each(|post| self.post(post));
        self.wake(id, name);
    }

    fn on_flow_control(&mut self, publish: &Publish) {
        let mut found = None;
        for stream in &mut self.streams {
            for consumer in stream.consumers.values_mut() {
                consumer.on_flow_control(&publish.subject);
                if publish.subject.split('.').nth(3) == Some(&consumer.name) {
                    found = Some((stream.id, consumer.name.clone()));
                }
            }
        }
        if let Some((stream, name)) = found {
            self.wake(stream, &name);
        }
    }

    fn heartbeat(&mut self, id: u64, name: String) {
        let now = self.now;
        let Some(consumer) = self.stream_mut(id).consumers.get_mut(&name) else { return };
        let due = consumer.last_sent + consumer.heartbeat;
        let every = consumer.heartbeat;
        if due > now {
            return self.later(due - now, Job::Heartbeat { stream: id, consumer: name });
        }
        // The server looks for messages before it sends one, in the same loop: none overtakes what is to be delivered.
        if consumer.idle_since.is_none() && !consumer.is_delivering {
            let post = consumer.idle_heartbeat(now);
            self.post(post);
        }
        self.later(every, Job::Heartbeat { stream: id, consumer: name });
    }

    /// Nobody has listened to a consumer for a while.
    fn forget(&mut self, id: u64, name: String) {
        let now = self.now;
        let consumers = &mut self.stream_mut(id).consumers;
        let is_over = |idle: u64, threshold: u64| idle + threshold <= now;
        if consumers.get(&name).is_some_and(|c| c.idle_since.is_some_and(|idle| is_over(idle, c.threshold))) {
            consumers.remove(&name);
        }
    }

    /// All consumers, to be read by people.
    pub fn consumers(&self) -> String {
        let all: Vec<_> = self.streams.iter().flat_map(|stream| stream.consumers.values()).collect();
        format!("{all:#?}")
    }

    /// How many consumers there are.
    pub fn consumer_count(&self) -> usize {
        self.streams.iter().map(|stream| stream.consumers.len()).sum()
    }

    // ── what goes wrong

    /// A node dies, with its connections and consumers; streams that it led have no leader until others elect one.
    pub fn kill(&mut self, node: usize, now: u64) {
        self.now = now;
        if !std::mem::replace(&mut self.nodes[node], false) {
            return;
        }
        let lost: Vec<u64> = self.connections.values().filter(|c| c.node == node).map(|c| c.id).collect();
        lost.into_iter().for_each(|conn| self.close(conn));
        for id in 0..self.streams.len() as u64 {
            let stream = self.stream_mut(id);
            stream.consumers.retain(|_, consumer| consumer.node != node);
            if stream.leader == Some(node) {
                self.elect(id, now);
            }
        }
    }

    /// A node that was killed is there again.
    pub fn start(&mut self, node: usize, now: u64) {
        self.now = now;
        self.nodes[node] = true;
        for id in 0..self.streams.len() as u64 {
            let stream = &self.streams[id as usize];
            let count = stream.log.len();
            if stream.leader.is_none() {
                self.elect(id, now);
            }
            let wait = self.dice.within(&self.settings.lag.clone());
            self.later(wait, Job::CatchUp { stream: id, node, count });
        }
    }

    /// A stream loses its leader: of what was proposed the first part may survive, the rest is gone. Nobody tells.
    pub fn elect(&mut self, id: u64, now: u64) {
        self.now = now;
        let stream = &mut self.streams[id as usize];
        if stream.deleted.is_some() {
            return;
        }
        let survivors = self.dice.below(stream.proposals.len() as u64 + 1) as usize;
        let survivors: Vec<Proposal> = stream.proposals.drain(..).take(survivors).collect();
        for proposal in &survivors {
            stream.store(&proposal.publish, self.settings.level, now);
        }
        stream.term += 1;
        let term = stream.term;
        if let Some(leader) = stream.leader.take() {
            // It keeps its copy: it is a follower until it leads again.
            stream.replicas.push(stream::Replica {
                node: leader,
                store: stream.store.clone(),
                applied: stream.log.len(),
            });
        }
        if !survivors.is_empty() {
            self.changed(id);
        }
        let wait = self.dice.within(&self.settings.election.clone());
        self.later(wait, Job::Elect { stream: id, term });
    }

    fn elected(&mut self, id: u64, term: u64) {
        let stream = &self.streams[id as usize];
        let up: Vec<usize> = stream.nodes().into_iter().filter(|node| self.nodes[*node]).collect();
        if stream.term != term || stream.leader.is_some() || up.len() * 2 <= stream.nodes().len() {
            return; // without a majority nobody leads; a node that starts tries again
        }
        let leader = *self.dice.pick(&up);
        let stream = self.stream_mut(id);
        stream.replicas.retain(|replica| replica.node != leader);
        stream.leader = Some(leader);
        self.changed(id);
    }

    /// Carries out a request of the API at once, as an operator of the server may.
    pub fn operate(&mut self, endpoint: &str, body: &serde_json::Value, now: u64) {
        self.now = now;
        let payload = body.to_string().into_bytes();
        let subject = format!("$JS.API.{endpoint}");
        self.on_request(&Publish { conn: 0, subject, reply: None, headers: Vec::new(), payload });
    }

    /// A consumer is gone, as when its node lost it. Whether there was one.
    pub fn lose_consumer(&mut self, now: u64) -> bool {
        self.now = now;
        let all = self.streams.iter().flat_map(|s| s.consumers.keys().map(|name| (s.id, name.clone())));
        let all: Vec<(u64, String)> = all.collect();
        if all.is_empty() {
            return false;
        }
        let (stream, name) = self.dice.pick(&all).clone();
        self.stream_mut(stream).consumers.remove(&name);
        true
    }

    /// A node says that it will end, and ends its connections after a while.
    pub fn lame_duck(&mut self, node: usize, grace: u64, now: u64) {
        self.now = now;
        let on_node: Vec<u64> = self.connections.values().filter(|c| c.node == node).map(|c| c.id).collect();
        let info = self.info_line(node, true);
        for conn in on_node {
            self.output(conn, info.clone(), false);
            self.later(grace, Job::Close { conn });
        }
    }
}
