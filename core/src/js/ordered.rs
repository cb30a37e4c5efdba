//! One ordered push consumer: its subscription, its creation, its watchdog, and its replacement whenever something is amiss.
//!
//! States: Creating (request sent; the first one's SUB is written before it, and messages count already) → Active ⇄ Probing (is it still
//! there after a reconnect?). One that replaces another is subscribed to only when Checking has shown that its stream is still the
//! same: asked before it is made, the answer could be void by then. Or Waiting before another try. Servers say nothing when a consumer
//! dies with its node or its stream: missed heartbeats are the only sign.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::time::Duration;

use crate::{
    error::{Error, ErrorCode},
    js::{
        api::{self, ApiError, ApiFailure, CreateFailure},
        direct::AckMeta,
        status::{Context, Meaning, meaning},
        tracker::{Policy, Tracker, Verdict},
    },
    json::{Object, Value, object},
    mux::{Answer, Ask, Net, OnLoss, Owner},
    proto::{parser::Message, subject},
    time::{Instant, from_rfc3339, nanos},
    timers::Timer,
};

/// The first wait before another try; doubles up to the last.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LAST_WAIT: Duration = Duration::from_secs(10);

/// The API level from which on pending messages are counted rightly for every set of filters.
const COUNTS_RIGHTLY: u64 = 2;

/// How long the question after a reconnect may stay open: a server that has just started leaves it unanswered now and then
/// (seen on 2.15.1), and the watch would be deaf for a whole request timeout.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);

/// Silence for this many heartbeats means that the consumer is gone.
const MISSED_HEARTBEATS: u32 = 2;

/// What the owner of a consumer gets to know.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    Nothing,
    /// A message to hand out, and whether the initial values end with it.
    Deliver {
        meta: AckMeta<'a>,
        caught_up: bool,
    },
    /// The initial values ended without a message.
    CaughtUp,
    /// To be answered through `flow_control` once everything before it was taken by the application.
    FlowControl(String),
    /// The stream was deleted and created again: everything starts anew.
    Reset,
    /// A new consumer replaces the old one, for this reason.
    Resumed(&'static str),
    /// The first create succeeded; there may be no initial values at all.
    Opened {
        caught_up: bool,
    },
    /// It cannot go on.
    Failed(Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Offline,
    Creating {
        request: u64,
    },
    Active,
    Probing {
        request: u64,
    },
    /// `pending` and `stream_seq` are what its create response said.
    Checking {
        request: u64,
        pending: u64,
        stream_seq: u64,
    },
    Waiting,
    /// Until its owner resumes it.
    Paused,
}

/// What it is to deliver.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) api_prefix: String,
    pub(crate) stream: String,
    /// Full subjects, reduced: none covers another.
    pub(crate) filters: Vec<String>,
    pub(crate) policy: Policy,
    pub(crate) has_single_revisions: bool,
    pub(crate) is_headers_only: bool,
    /// It goes on until it is stopped, and so has to know which stream it is on.
    pub(crate) is_lasting: bool,
    /// `created` of the stream when the bucket was opened.
    pub(crate) stream_created: Option<String>,
    pub(crate) heartbeat: Duration,
    pub(crate) inactive_threshold: Duration,
    pub(crate) request_timeout: Duration,
}

#[derive(Debug)]
pub(crate) struct Ordered {
    id: u64,
    plan: Plan,
    pub(crate) tracker: Tracker,
    state: State,
    sid: u64,
    inbox: String,
    name: String,
    /// One subject that covers the plan's filters, where the server does not take filters that cross (before 2.14) or counts wrongly
    /// with them (before 2.12): what is too much is left out here.
    widened: Option<Vec<String>>,
    failures: u32,
    is_open: bool,
    /// It takes the place of one that delivered, or comes beside one that has begun: its stream may be another one by now.
    is_replacing: bool,
    /// The connection broke over a create: it may have succeeded, its answer is lost.
    is_in_doubt: bool,
    last_activity: Instant,
    /// The request of `learn`; 0 is none.
    learning: u64,
    /// It may not ask.
    is_learning_denied: bool,
    /// When the consumer was made, by the server's clock; before that is told, when the last message was stored.
    made_ns: i64,
    /// When the state's patience ends; the armed timer may come earlier.
    wake_at: Instant,
    /// The nearest armed timer; those behind it are left over and ignored.
    timer_at: Option<Instant>,
}

impl Ordered {
    /// Subscribes and asks for the consumer, now or when there is a connection.
    pub(crate) fn start(id: u64, plan: Plan, net: &mut Net, now: Instant) -> Result<Self, Error> {
        let tracker = Tracker::new(plan.policy, plan.has_single_revisions);
        let mut ordered = Self {
            id,
            plan,
            tracker,
            state: State::Offline,
            sid: 0,
            inbox: String::new(),
            name: String::new(),
            widened: None,
            failures: 0,
            is_open: false,
            is_replacing: false,
            is_in_doubt: false,
            last_activity: now,
            wake_at: now,
            timer_at: None,
            learning: 0,
            is_learning_denied: false,
            made_ns: i64::MAX,
        };
        if net.session.is_ready() {
            ordered.create(net, now)?;
        }
        Ok(ordered)
    }

    /// The consumer's number here.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn sid(&self) -> u64 {
        self.sid
    }

    /// Asks, beside all else, which stream it is on: only so is a later one told from it.
    fn learn(&mut self, net: &mut Net) {
        net.forget(self.learning);
        let subject = [&self.plan.api_prefix, ".STREAM.INFO.", &self.plan.stream];
        self.learning = net.request(Owner::Consumer(self.id), &subject, Ask::default()).unwrap_or_default();
    }

    /// Whether it cannot do without this subject: its inbox, or `$JS.FC.<stream>.<name>.<token>`, without which the server stalls.
    pub(crate) fn needs(&self, subject: &str) -> bool {
        let is_flow_control = subject.starts_with("$JS.FC.") && subject.split('.').any(|token| token == self.name);
        self.sid != 0 && (subject == self.inbox || is_flow_control)
    }

    /// Whether its subscription may still be refused.
    pub(crate) fn is_unproven(&self) -> bool {
        matches!(self.state, State::Creating { .. } | State::Probing { .. })
    }

    /// Ends it: no more messages, and the server need not wait for the inactive threshold to forget it.
    pub(crate) fn stop(&mut self, net: &mut Net) {
        self.let_go(net);
        net.forget(self.learning);
        self.leave(net);
        self.state = State::Offline;
    }

    /// Another consumer of the same watch found that the bucket was made anew, at `created`: so this one starts anew too.
    pub(crate) fn reset(&mut self, created: Option<String>, net: &mut Net, now: Instant) {
        self.tracker.reset();
        self.plan.stream_created = created;
        self.replace(net, now);
    }

    /// Another consumer of the same watch has begun, on a stream that was there at `made_ns`. Where this one has still to be made, a
    /// stream that is younger is another one.
    pub(crate) fn acquaint(&mut self, made_ns: i64) {
        if !self.is_open && self.tracker.position() == 0 {
            self.made_ns = made_ns;
        }
    }

    /// When the stream it is on was there, by the server's clock.
    pub(crate) fn made_ns(&self) -> i64 {
        self.made_ns
    }

    /// `created` of the stream it is known to be of.
    pub(crate) fn stream_created(&self) -> Option<&str> {
        self.plan.stream_created.as_deref()
    }

    /// Whether it is asked for this subject.
    pub(crate) fn covers(&self, subject: &str) -> bool {
        self.plan.filters.iter().any(|filter| subject::covers(filter, subject))
    }

    /// The owner has no room for the message that just came: it goes on behind `position` when `resume` says so.
    pub(crate) fn pause(&mut self, position: u64, is_caught_up: bool, net: &mut Net) {
        self.tracker.rewind(position, is_caught_up);
        self.let_go(net);
        self.leave(net);
        self.is_open = true; // what has delivered was created, whether the answer has come or not
        if self.wants_to_learn() && self.learning == 0 {
            self.learn(net); // the pause may outlast the bucket
        }
        self.state = State::Paused;
    }

    /// There is room again.
    pub(crate) fn resume(&mut self, net: &mut Net, now: Instant) {
        if self.state != State::Paused {
            return;
        }
        self.state = State::Offline;
        if net.session.is_ready() {
            self.replace(net, now);
        }
    }

    /// Answers a flow-control request: the server sends on.
    pub(crate) fn flow_control(net: &mut Net, reply: &str) {
        net.signal(&[reply], false);
    }

    /// Whether a delivered subject is one that was asked for, where the consumer's filter is wider.
    pub(crate) fn is_wanted(&self, subject: &[u8]) -> bool {
        self.widened.is_none() || core::str::from_utf8(subject).is_ok_and(|subject| self.covers(subject))
    }

    /// What the consumer filters by.
    fn filters(&self) -> &[String] {
        self.widened.as_deref().unwrap_or(&self.plan.filters)
    }

    // ── inputs

    pub(crate) fn on_connected(&mut self, net: &mut Net, now: Instant) -> Step<'static> {
        if self.state != State::Offline {
            return Step::Nothing;
        }
        if self.is_open && !self.is_in_doubt {
            return self.probe(net, now);
        }
        self.is_in_doubt = false;
        self.leave(net);
        self.attempt(net, now)
    }

    pub(crate) fn on_lost(&mut self, net: &mut Net) {
        if self.state == State::Paused {
            return;
        }
        if let State::Creating { request } | State::Probing { request } | State::Checking { request, .. } = self.state {
            net.forget(request);
        }
        self.is_in_doubt |= matches!(self.state, State::Creating { .. } | State::Checking { .. });
        self.state = State::Offline;
    }

    pub(crate) fn on_message<'a>(&mut self, message: &Message<'a>, net: &mut Net, now: Instant) -> Step<'a> {
        self.last_activity = now;
        // Before the status: servers relay any header block, so a stored message may begin with one.
        let Some(meta) = message.reply.and_then(AckMeta::parse) else { return self.on_control(message, net, now) };
        match self.tracker.on_message(meta.stream_seq, meta.consumer_seq, meta.pending) {
            Verdict::Deliver { caught_up } => {
                if !self.is_open {
                    self.made_ns = meta.timestamp_ns; // the create response may never come
                }
                Step::Deliver { meta, caught_up }
            }
            Verdict::Skip { caught_up: true } => Step::CaughtUp,
            Verdict::Skip { caught_up: false } => Step::Nothing,
            Verdict::Lost(why) => self.recreate(why, net, now),
        }
    }

    fn on_control<'a>(&mut self, message: &Message<'a>, net: &mut Net, now: Instant) -> Step<'a> {
        let Some(status) = message.headers.status() else { return Step::Nothing };
        match meaning(status, message.headers.description(), message.reply.is_some(), Context::Push) {
            Meaning::FlowControl => message.reply.map_or(Step::Nothing, |reply| Step::FlowControl(text(reply))),
            Meaning::Heartbeat => self.on_heartbeat(message, net, now),
            _ => Step::Nothing,
        }
    }

    fn on_heartbeat<'a>(&mut self, message: &Message<'a>, net: &mut Net, now: Instant) -> Step<'a> {
        let stalled = message.headers.last("Nats-Consumer-Stalled");
        match self.tracker.on_heartbeat(message.headers.last_u64("Nats-Last-Consumer"), stalled.is_some()) {
            Verdict::Lost(why) => self.recreate(why, net, now),
            Verdict::Skip { caught_up: true } => Step::CaughtUp,
            Verdict::Skip { .. } | Verdict::Deliver { .. } => {
                stalled.map_or(Step::Nothing, |reply| Step::FlowControl(text(reply)))
            }
        }
    }

    pub(crate) fn on_answer(
        &mut self,
        request: u64,
        answer: &Answer<'_>,
        net: &mut Net,
        now: Instant,
    ) -> Step<'static> {
        match self.state {
            State::Creating { request: own } if own == request => self.on_created(answer, net, now),
            State::Probing { request: own } if own == request => self.on_probed(answer, net, now),
            State::Checking { request: own, pending, stream_seq } if own == request => {
                self.on_checked(answer, pending, stream_seq, net, now)
            }
            _ => {
                if request == self.learning {
                    self.on_learnt(answer);
                }
                Step::Nothing
            }
        }
    }

    fn wants_to_learn(&self) -> bool {
        self.plan.is_lasting && self.plan.stream_created.is_none() && !self.is_learning_denied
    }

    fn on_learnt(&mut self, answer: &Answer<'_>) {
        self.learning = 0;
        let info = match answer {
            Answer::Reply { payload, .. } => api::answer(payload),
            Answer::NoResponders => return,
            Answer::Failed(_) => {
                self.is_learning_denied = true;
                return;
            }
        };
        let created = match &info {
            Ok(info) => info.get("created").and_then(Value::as_str).map(|created| (created, self.is_younger(created))),
            Err(ApiFailure::Refused(error)) if error.err_code == 10059 => Some(("", true)),
            Err(_) => None,
        };
        if let Some((created, is_another)) = created
            && self.plan.stream_created.is_none()
        {
            // The stream that the consumer was made on is gone: whatever comes has another name than none.
            self.plan.stream_created = Some(if is_another { String::new() } else { created.into() });
        }
    }

    /// Whether a stream made at this time is younger than the consumer, and so not the one that it was made on.
    fn is_younger(&self, created: &str) -> bool {
        from_rfc3339(created.as_bytes()).is_some_and(|created_ns| created_ns > self.made_ns)
    }

    pub(crate) fn on_timer(&mut self, net: &mut Net, now: Instant) -> Step<'static> {
        if self.timer_at.is_some_and(|at| at > now) {
            return Step::Nothing;
        }
        self.timer_at = None;
        if self.state == State::Active {
            self.wake_at = self.last_activity + self.plan.heartbeat * MISSED_HEARTBEATS;
            if self.wants_to_learn() {
                self.learn(net); // servers leave a question unanswered now and then
            }
        }
        if self.wake_at > now {
            self.arm(net);
            return Step::Nothing;
        }
        match self.state {
            State::Offline | State::Paused => Step::Nothing,
            State::Active => self.recreate("heartbeats are missing", net, now),
            State::Waiting => self.attempt(net, now),
            State::Creating { .. } | State::Probing { .. } | State::Checking { .. } => {
                self.let_go(net);
                self.retry(net, now)
            }
        }
    }

    // ── inside

    fn recreate(&mut self, why: &'static str, net: &mut Net, now: Instant) -> Step<'static> {
        self.replace(net, now);
        Step::Resumed(why)
    }

    fn replace(&mut self, net: &mut Net, now: Instant) {
        self.let_go(net);
        self.leave(net);
        if let Step::Failed(_) = self.attempt(net, now) {
            self.wait(net, now);
        }
    }

    /// Waits no longer for the answer that the state is about.
    fn let_go(&self, net: &mut Net) {
        match self.state {
            State::Creating { request } => {
                net.disown(request, delete_subject(&self.plan.api_prefix, &self.plan.stream, &self.name).concat());
            }
            State::Probing { request } | State::Checking { request, .. } => net.forget(request),
            State::Offline | State::Active | State::Waiting | State::Paused => {}
        }
    }

    /// Unsubscribes, and lets the server forget the old consumer.
    fn leave(&mut self, net: &mut Net) {
        if self.sid == 0 {
            return;
        }
        net.unsubscribe(self.sid);
        net.signal(&delete_subject(&self.plan.api_prefix, &self.plan.stream, &self.name), true);
        self.sid = 0;
    }

    fn attempt(&mut self, net: &mut Net, now: Instant) -> Step<'static> {
        self.create(net, now).map_or_else(Step::Failed, |()| Step::Nothing)
    }

    /// Is it still the same bucket? A start sequence beyond the end is accepted and would wait for ever.
    fn check(&mut self, pending: u64, stream_seq: u64, net: &mut Net, now: Instant) -> Result<(), Error> {
        let subject = [&self.plan.api_prefix, ".STREAM.INFO.", &self.plan.stream];
        let request = net.request(Owner::Consumer(self.id), &subject, Ask::default())?;
        self.enter(State::Checking { request, pending, stream_seq }, self.plan.request_timeout, net, now);
        Ok(())
    }

    fn on_checked(
        &mut self,
        answer: &Answer<'_>,
        pending: u64,
        stream_seq: u64,
        net: &mut Net,
        now: Instant,
    ) -> Step<'static> {
        let info = match answer {
            Answer::Reply { payload, .. } => api::answer(payload),
            Answer::NoResponders => return self.retry(net, now),
            // Not allowed to ask: go on without knowing.
            Answer::Failed(_) => Ok(Object::default()),
        };
        let info = match info {
            Ok(info) => info,
            Err(ApiFailure::Refused(error)) if error.is_retryable() => return self.retry(net, now),
            Err(ApiFailure::Refused(error)) if error.err_code == 10059 => return Step::Failed(error.to_error()),
            Err(_) => Object::default(),
        };
        if self.is_another_stream(&info) {
            self.tracker.reset();
            self.replace(net, now);
            return Step::Reset;
        }
        net.subscribe(&self.inbox, self.sid);
        self.last_activity = now;
        self.enter(State::Active, self.plan.heartbeat * MISSED_HEARTBEATS, net, now);
        let caught_up = self.tracker.on_created(pending, stream_seq);
        match (core::mem::replace(&mut self.is_open, true), caught_up) {
            (false, caught_up) => Step::Opened { caught_up },
            (true, true) => Step::CaughtUp,
            (true, false) => Step::Nothing,
        }
    }

    /// Whether the stream was made after the one we knew, or has lost what we have seen. Remembers which one it is.
    fn is_another_stream(&mut self, info: &Object) -> bool {
        let created = info.get("created").and_then(Value::as_str);
        let last_seq = info.get("state").and_then(|state| state.get("last_seq")).and_then(Value::as_u64);
        let known = self.plan.stream_created.take();
        self.plan.stream_created = created.map(ToString::to_string).or_else(|| known.clone());
        let is_made_anew = match (&known, created) {
            (Some(known), Some(created)) => known != created,
            (None, Some(created)) => self.is_younger(created),
            (_, None) => false,
        };
        is_made_anew || last_seq.is_some_and(|last| last < self.tracker.position())
    }

    fn create(&mut self, net: &mut Net, now: Instant) -> Result<(), Error> {
        (self.sid, self.inbox) = net.new_inbox();
        self.name = format!("natskv{}", net.rng.token(10));
        self.tracker.restart();
        self.is_replacing = self.is_open || self.made_ns < i64::MAX || self.tracker.position() > 0;
        if self.widened.is_none() && net.api_level() < COUNTS_RIGHTLY && is_miscounted(&self.plan.filters) {
            self.widened = Some(covering(&self.plan.filters));
        }
        if !self.is_replacing {
            net.subscribe(&self.inbox, self.sid);
        }
        let body = self.create_request().to_string();
        let ask = Ask { payload: body.as_bytes(), on_loss: OnLoss::Fail, ..Ask::default() };
        let subject = create_subject(&self.plan.api_prefix, &self.plan.stream, &self.name, self.filters());
        let request =
            net.request(Owner::Consumer(self.id), &subject, ask).inspect_err(|_| net.unsubscribe(self.sid))?;
        self.enter(State::Creating { request }, self.plan.request_timeout, net, now);
        Ok(())
    }

    fn create_request(&self) -> Object {
        let mut config = object! {
            "name" => &self.name,
            "deliver_subject" => &self.inbox,
            "ack_policy" => "none",
            "max_deliver" => 1,
            "replay_policy" => "instant",
            "flow_control" => true,
            "idle_heartbeat" => nanos(self.plan.heartbeat),
            "inactive_threshold" => nanos(self.plan.inactive_threshold),
            "num_replicas" => 1,
            "mem_storage" => true,
        };
        let (policy, start) = match self.tracker.policy() {
            Policy::LastPerSubject => ("last_per_subject", None),
            Policy::All => ("all", None),
            Policy::New => ("new", None),
            Policy::ByStartSequence(sequence) => ("by_start_sequence", Some(sequence)),
        };
        config.insert("deliver_policy", policy);
        if let Some(start) = start {
            config.insert("opt_start_seq", start);
        }
        match self.filters() {
            [filter] => config.insert("filter_subject", filter.as_str()),
            filters => config.insert("filter_subjects", filters),
        }
        if self.plan.is_headers_only {
            config.insert("headers_only", true);
        }
        object! { "action" => "create", "config" => config, "stream_name" => &self.plan.stream }
    }

    fn on_created(&mut self, answer: &Answer<'_>, net: &mut Net, now: Instant) -> Step<'static> {
        let fields = match answer {
            Answer::Reply { payload, .. } => api::answer(payload),
            Answer::NoResponders => return self.retry(net, now),
            Answer::Failed(error) => return Step::Failed(error.clone()),
        };
        let fields = match fields {
            Ok(fields) => fields,
            Err(ApiFailure::Refused(error)) => match error.create_failure() {
                CreateFailure::Retry => return self.retry(net, now),
                CreateFailure::Final if self.is_passing(&error) => return self.retry(net, now),
                CreateFailure::FiltersCross if self.filters().len() > 1 => {
                    self.widened = Some(covering(&self.plan.filters));
                    self.leave(net);
                    return self.create(net, now).map_or_else(Step::Failed, |()| Step::Nothing);
                }
                CreateFailure::FiltersCross | CreateFailure::Final => return Step::Failed(error.to_error()),
            },
            Err(failure) => return Step::Failed(failure.to_error()),
        };
        let pending = fields.get("num_pending").and_then(Value::as_u64).unwrap_or_default();
        let delivered =
            fields.get("delivered").and_then(|delivered| delivered.get("stream_seq")).and_then(Value::as_u64);
        let (delivered, made) = (delivered.unwrap_or_default(), fields.get("created").and_then(Value::as_str));
        self.failures = 0;
        if self.is_replacing {
            return self.check(pending, delivered, net, now).map_or_else(Step::Failed, |()| Step::Nothing);
        }
        self.is_open = true;
        self.made_ns = made.and_then(|made| from_rfc3339(made.as_bytes())).unwrap_or(i64::MAX);
        self.last_activity = now;
        self.enter(State::Active, self.plan.heartbeat * MISSED_HEARTBEATS, net, now);
        if self.wants_to_learn() {
            self.learn(net);
        }
        Step::Opened { caught_up: self.tracker.on_created(pending, delivered) }
    }

    /// Whether a refusal that is final for a new consumer may be over by the next try.
    fn is_passing(&self, error: &ApiError) -> bool {
        match error.err_code {
            10026 => self.is_open, // too many consumers: those that were replaced still count until their inactive threshold
            10039 | 10076 => self.failures == 0, // JetStream is not enabled: a server that starts says so too, but not twice
            _ => false,
        }
    }

    /// After a reconnect: the old subscription again, and one question instead of two heartbeats of waiting.
    fn probe(&mut self, net: &mut Net, now: Instant) -> Step<'static> {
        if self.sid == 0 {
            return self.attempt(net, now);
        }
        net.subscribe(&self.inbox, self.sid);
        self.last_activity = now;
        let subject = [&self.plan.api_prefix, ".CONSUMER.INFO.", &self.plan.stream, ".", &self.name];
        match net.request(Owner::Consumer(self.id), &subject, Ask::default()) {
            Ok(request) => {
                self.enter(State::Probing { request }, self.plan.request_timeout.min(PROBE_PATIENCE), net, now)
            }
            Err(error) => return Step::Failed(error),
        }
        Step::Nothing
    }

    fn on_probed(&mut self, answer: &Answer<'_>, net: &mut Net, now: Instant) -> Step<'static> {
        match answer {
            Answer::Reply { payload, .. } => match api::answer(payload) {
                Ok(info) => {
                    let sent = info.get("delivered").and_then(|delivered| delivered.get("consumer_seq"));
                    if sent.and_then(Value::as_u64).is_some_and(|sent| self.tracker.has_missed(sent)) {
                        return self.recreate("messages went to the lost connection", net, now);
                    }
                }
                Err(ApiFailure::Refused(error)) if error.is_retryable() => return self.retry(net, now),
                Err(_) => return self.recreate("the server forgot the consumer", net, now),
            },
            Answer::NoResponders => return self.retry(net, now),
            Answer::Failed(_) => {} // not allowed to ask: the heartbeats will tell
        }
        self.enter(State::Active, self.plan.heartbeat * MISSED_HEARTBEATS, net, now);
        Step::Nothing
    }

    fn retry(&mut self, net: &mut Net, now: Instant) -> Step<'static> {
        self.leave(net);
        self.wait(net, now);
        Step::Nothing
    }

    fn wait(&mut self, net: &mut Net, now: Instant) {
        let wait = (FIRST_WAIT * (1 << self.failures.min(10))).min(LAST_WAIT);
        let jitter = wait.as_millis() as u64 / 4;
        self.failures += 1;
        self.enter(State::Waiting, wait + Duration::from_millis(net.rng.below(jitter + 1)), net, now);
    }

    fn enter(&mut self, state: State, patience: Duration, net: &mut Net, now: Instant) {
        self.state = state;
        self.wake_at = now + patience;
        self.arm(net);
    }

    fn arm(&mut self, net: &mut Net) {
        if self.timer_at.is_none_or(|at| at > self.wake_at) {
            self.timer_at = Some(self.wake_at);
            net.arm(self.wake_at, Timer::Consumer(self.id));
        }
    }

    /// Why the first create is not through yet, for an owner whose patience ended.
    pub(crate) fn timeout_error(&self) -> Error {
        Error::new(ErrorCode::Timeout, format!("the consumer on {} was not created in time", self.plan.stream))
    }
}

/// A single filter stands in the subject too, where permissions can see it.
pub(crate) fn create_subject<'a>(
    api_prefix: &'a str,
    stream: &'a str,
    name: &'a str,
    filters: &'a [String],
) -> Vec<&'a str> {
    let mut subject = Vec::from([api_prefix, ".CONSUMER.CREATE.", stream, ".", name]);
    if let [filter] = filters {
        subject.extend([".", filter]);
    }
    subject
}

pub(crate) const fn delete_subject<'a>(api_prefix: &'a str, stream: &'a str, name: &'a str) -> [&'a str; 5] {
    [api_prefix, ".CONSUMER.DELETE.", stream, ".", name]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether servers before 2.12 lose count of what is pending, and so would end the initial values early: where one filter has `*` and
/// another a literal in the same place (seen on 2.10.25 and 2.11.9, with `last_per_subject`).
fn is_miscounted(filters: &[String]) -> bool {
    let is_pair = |a: &str, b: &str| {
        let mut places = a.split('.').zip(b.split('.')).skip_while(|(x, y)| x == y);
        places.next().is_some_and(|(x, y)| (x == "*") != (y == "*"))
    };
    let mut with_wildcard =
        filters.iter().enumerate().filter(|(_, filter)| filter.split('.').any(|token| token == "*"));
    with_wildcard.any(|(at, a)| filters.iter().enumerate().any(|(other, b)| other != at && is_pair(a, b)))
}

/// One filter that matches all that `filters` match: their common first tokens, then `>`.
fn covering(filters: &[String]) -> Vec<String> {
    let mut common: Vec<&str> = filters.first().map(|filter| filter.split('.').collect()).unwrap_or_default();
    for filter in filters {
        let same = common.iter().zip(filter.split('.')).take_while(|(a, b)| **a == *b).count();
        common.truncate(same);
    }
    let shortest = filters.iter().map(|filter| filter.split('.').count()).min().unwrap_or_default();
    common.truncate(shortest.saturating_sub(1));
    common.push(">");
    Vec::from([common.join(".")])
}
