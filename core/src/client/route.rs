//! Inside the client: who an answer, a message, a timer or a change of the connection is for, and what follows from it.

use alloc::{borrow::Cow, boxed::Box, format, vec::Vec};
use core::time::Duration;

use super::{Client, check_timeout, too_many};
use crate::{
    error::{Error, ErrorCode},
    event::{BucketId, ConnId, Event, Notice, OpId, Outcome, State, WatchId},
    js::ordered::Step,
    kv::{
        admin::{Admin, Task},
        bucket::Bucket,
        command, key,
        list::{List, What},
        op::{Cx, Listener, Op, Progress, Slots, Subscription, Verb},
        watch::{Told, Watch},
        write::{What as Written, Write},
    },
    mux::{Answer, INBOX_SID, Net, Owner},
    proto::{
        headers::parse_u64,
        parser::{Frame, Message, Parser},
        server_error::ServerError,
    },
    session::Change,
    time::Instant,
    timers::Timer,
};

impl Client {
    // ── operations

    pub(super) fn bucket(&self, id: BucketId) -> Result<&Bucket, Error> {
        self.buckets.get(id.0 as usize).ok_or_else(|| Error::argument("the bucket handle belongs to another client"))
    }

    pub(super) fn index(&self, id: BucketId) -> Result<usize, Error> {
        self.bucket(id).map(|_| id.0 as usize)
    }

    pub(super) fn write(
        &mut self,
        bucket: BucketId,
        what: Written<'_>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        key::check_writable(what.key)?;
        let index = self.index(bucket)?;
        self.start(timeout, now, |cx| Write::start(cx, index, what).map(Verb::Write))
    }

    pub(super) fn list(
        &mut self,
        bucket: BucketId,
        what: What,
        filters: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let keys = key::reduce(filters)?;
        let index = self.index(bucket)?;
        let op = self.start(timeout, now, |cx| Ok(Verb::List(Box::new(List::start(cx, index, what, &keys)?))))?;
        self.set_silence(op, timeout);
        if let Some(consumer) = self.op_mut(op.0).map(|op| op.slots.consumer) {
            self.index_sid(consumer, 0);
        }
        Ok(op)
    }

    pub(super) fn admin(
        &mut self,
        bucket: &str,
        task: Task,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.start(timeout, now, |cx| Ok(Verb::Admin(Box::new(Admin::start(cx, bucket, task)?))))
    }

    /// Makes an operation of what `begin` returns, with a deadline.
    pub(super) fn start(
        &mut self,
        timeout: Option<Duration>,
        now: Instant,
        begin: impl FnOnce(&mut Cx<'_>) -> Result<Verb, Error>,
    ) -> Result<OpId, Error> {
        self.advance(now);
        self.check_open()?;
        if self.net.timers.is_crowded() {
            self.sweep();
        }
        let timeout = check_timeout(timeout)?.unwrap_or(self.limits.request_timeout);
        if self.ops.len() >= self.max_operations {
            return Err(too_many(self.max_operations));
        }
        let id = self.ops.insert(None);
        let mut slots = Slots::default();
        let begun = begin(&mut self.cx(&mut slots, id));
        match begun {
            Ok(verb) => {
                let deadline = self.now + timeout;
                self.net.timers.arm(deadline, Timer::Op(id));
                if let Some(slot) = self.ops.get_mut(id) {
                    *slot = Some(Op { verb, slots, deadline, retry_at: None, silence: None, reply_form: None });
                }
                Ok(OpId(id))
            }
            Err(error) => {
                self.ops.remove(id);
                self.release(&slots);
                Err(error)
            }
        }
    }

    pub(super) fn cx<'a>(&'a mut self, slots: &'a mut Slots, op: u64) -> Cx<'a> {
        Cx {
            net: &mut self.net,
            buckets: &mut self.buckets,
            consumers: &mut self.consumers,
            limits: self.limits,
            slots,
            op,
            now: self.now,
        }
    }

    pub(super) fn op_mut(&mut self, id: u64) -> Option<&mut Op> {
        self.ops.get_mut(id)?.as_mut()
    }

    pub(super) fn set_silence(&mut self, op: OpId, timeout: Option<Duration>) {
        let silence = timeout.unwrap_or(self.limits.request_timeout);
        if let Some(op) = self.op_mut(op.0) {
            op.silence = Some(silence);
        }
    }

    /// Lets the operation's verb react, and does what follows from it.
    pub(super) fn drive(&mut self, id: u64, react: impl FnOnce(&mut Verb, &mut Cx<'_>) -> Progress) {
        let Some(mut op) = self.ops.get_mut(id).and_then(Option::take) else { return };
        if let Some(silence) = op.silence {
            op.deadline = self.now + silence; // the timer that is armed earlier looks here
        }
        let consumer = op.slots.consumer;
        let progress = react(&mut op.verb, &mut self.cx(&mut op.slots, id));
        if op.slots.consumer != consumer {
            self.stop_consumer(consumer);
            self.index_sid(op.slots.consumer, 0);
        }
        if let Progress::Later(wait) = progress {
            op.retry_at = Some(self.now + wait);
            self.net.timers.arm(self.now + wait, Timer::Op(id));
        }
        if let Some(slot) = self.ops.get_mut(id) {
            *slot = Some(op);
        }
        if let Progress::Done(result) = progress {
            self.finish(id, result);
        }
    }

    /// The one place where an operation ends.
    pub(super) fn finish(&mut self, id: u64, result: Result<Outcome, Error>) {
        let Some(Some(op)) = self.ops.remove(id) else { return };
        self.release(&op.slots);
        let result = match (&op.reply_form, &op.verb) {
            (Some(form), verb) => Ok(Outcome::Json(command::reply(self.name_of(verb), form, result))),
            (None, _) => result,
        };
        self.events.push_back(Event::Done { op: OpId(id), result });
    }

    pub(super) fn name_of(&self, verb: &Verb) -> &str {
        let index = match verb {
            Verb::Get(get) => get.bucket(),
            Verb::Write(write) => write.bucket(),
            Verb::Create(create) => create.bucket(),
            Verb::List(list) => list.bucket(),
            Verb::Ready | Verb::Flush { .. } | Verb::Admin(_) | Verb::PurgeDeletes(_) => return "",
        };
        &self.buckets[index].name
    }

    /// Frees what an operation holds.
    pub(super) fn release(&mut self, slots: &Slots) {
        for request in slots.others.iter().chain([&slots.current, &slots.held]) {
            self.net.forget(*request);
        }
        self.stop_consumer(slots.consumer);
    }

    pub(super) fn is_exposed(&self, id: u64) -> bool {
        let op = self.ops.get(id).and_then(Option::as_ref);
        op.is_some_and(|op| [op.slots.current, op.slots.held].iter().any(|request| self.net.is_exposed_write(*request)))
    }

    pub(super) fn on_op_timer(&mut self, id: u64) {
        let now = self.now;
        let Some(op) = self.op_mut(id) else { return };
        if op.deadline <= now {
            let request = op.slots.current;
            let is_write = self.is_exposed(id);
            let text: Cow<'static, str> = match self.net.subject(request) {
                _ if !self.net.session.is_ready() => "timed out: not connected".into(),
                "" => "timed out".into(),
                subject => format!("timed out: no answer on {subject:?}").into(),
            };
            self.finish(id, Err(Error::new(ErrorCode::Timeout, text).maybe_applied(is_write)));
            return;
        }
        if op.retry_at.is_some_and(|at| at <= now) {
            op.retry_at = None;
            self.drive(id, Verb::on_retry);
        }
        // The timer that was armed for a deadline that has moved may be this one.
        if let Some(deadline) = self.op_mut(id).filter(|op| op.silence.is_some()).map(|op| op.deadline) {
            self.net.timers.arm(deadline, Timer::Op(id));
        }
    }

    // ── messages

    /// Bytes of NATS from the current connection.
    pub(super) fn on_nats(&mut self, conn: ConnId, bytes: &[u8]) {
        // The parser's frames borrow it; an input may replace the connection, and its parser with it.
        let mut parser = core::mem::replace(&mut self.net.session.parser, Parser::new(0));
        let mut frames = parser.frames(bytes);
        while let Some(frame) = frames.next() {
            let change = match frame {
                Ok(Frame::Message(message)) => {
                    self.on_message(&message);
                    Change::Nothing
                }
                Ok(Frame::Info(json)) => self.net.session.on_info(json, &mut self.net.rng, self.now),
                Ok(Frame::Ping) => {
                    self.net.session.on_ping();
                    Change::Nothing
                }
                Ok(Frame::Pong) => self.net.session.on_pong(self.now),
                Ok(Frame::Ok) => Change::Nothing,
                Ok(Frame::Err(text)) => self.net.session.on_err(text, &mut self.net.rng, self.now),
                Err(error) => self.net.session.abandon(error, &mut self.net.rng, self.now),
            };
            self.apply(change);
            // What comes in the clear behind the INFO that starts TLS is nobody's word.
            if !self.net.session.is_current(conn) || self.net.session.is_securing() {
                return;
            }
        }
        self.net.session.parser = parser;
    }

    pub(super) fn on_message(&mut self, message: &Message<'_>) {
        self.net.session.stats.in_msgs += 1;
        let Some(sid) = parse_u64(message.sid) else { return };
        if sid == INBOX_SID {
            if let Some((request, owner, answer)) = self.net.on_message(message) {
                self.answer(request, owner, &answer);
            }
            return;
        }
        if let Some(consumer) = self.sids.get(&sid).copied() {
            self.with_consumer(consumer, Some(message), |subscription, net, now| {
                subscription.ordered.on_message(message, net, now)
            });
        }
    }

    pub(super) fn answer(&mut self, request: u64, owner: Owner, answer: &Answer<'_>) {
        match owner {
            Owner::Op(op) => self.drive(op, |verb, cx| verb.on_answer(cx, request, answer)),
            Owner::Nobody => self.net.on_disowned(request),
            Owner::Consumer(consumer) => {
                self.with_consumer(consumer, None, |subscription, net, now| {
                    subscription.ordered.on_answer(request, answer, net, now)
                });
            }
        }
        self.net.release(request);
    }

    /// Lets a consumer react, and hands what it says to its listener.
    pub(super) fn with_consumer<'m>(
        &mut self,
        id: u64,
        message: Option<&Message<'m>>,
        react: impl FnOnce(&mut Subscription, &mut Net, Instant) -> Step<'m>,
    ) {
        let Some(Some(subscription)) = self.consumers.get_mut(id) else { return };
        let listener = subscription.listener;
        let old_sid = subscription.ordered.sid();
        let step = react(subscription, &mut self.net, self.now);
        if matches!(step, Step::Nothing) {
            self.index_sid(id, old_sid);
            return;
        }
        match listener {
            Listener::Op(op) => {
                self.index_sid(id, old_sid);
                self.drive(op, |verb, cx| verb.on_step(cx, step, message));
            }
            Listener::Watch(watch_id) => {
                let Some(watch) = self.watches.get_mut(watch_id) else { return };
                let is_over = matches!(step, Step::Failed(_));
                let is_opened = matches!(step, Step::Opened { .. });
                let bucket = &self.buckets[watch.bucket];
                let told = watch.on_step(bucket, step, message, &mut subscription.ordered, &mut self.net, self.now);
                if is_opened {
                    subscription.ordered.learn(&mut self.net);
                }
                self.index_sid(id, old_sid);
                self.tell(watch_id, told);
                if is_over {
                    self.stop_consumer(id);
                }
            }
        }
    }

    pub(super) fn tell(&mut self, id: u64, told: Told) {
        let watch = WatchId(id);
        match told {
            Told::Nothing => {}
            Told::Ready => self.events.push_back(Event::WatchReady(watch)),
            Told::Opened => {
                self.events.push_back(Event::WatchOpen { watch, result: Ok(()) });
                self.tell_ready(id);
            }
            Told::OpenFailed(error) => {
                self.events.push_back(Event::WatchOpen { watch, result: Err(error) });
                if let Some(watch) = self.watches.remove(id) {
                    self.stop_consumer(watch.consumer);
                }
            }
            Told::Resumed(why) => self.notice(id, Notice::WatchResumed(watch, why)),
            Told::Overflow => self.notice(id, Notice::WatchOverflow(watch)),
            Told::Reset => self.notice(id, Notice::WatchReset(watch)),
        }
    }

    pub(super) fn notice(&mut self, id: u64, notice: Notice) {
        self.events.push_back(Event::Notice(notice));
        self.tell_ready(id);
    }

    pub(super) fn tell_ready(&mut self, id: u64) {
        if let Some(Told::Ready) = self.watches.get_mut(id).map(Watch::tell) {
            self.events.push_back(Event::WatchReady(WatchId(id)));
        }
    }

    /// A consumer's subscription may have changed: messages find it by its number.
    pub(super) fn index_sid(&mut self, consumer: u64, old_sid: u64) {
        let Some(Some(subscription)) = self.consumers.get(consumer) else { return };
        let sid = subscription.ordered.sid();
        if sid == old_sid {
            return;
        }
        self.sids.remove(&old_sid);
        if sid != 0 {
            self.sids.insert(sid, consumer);
        }
    }

    pub(super) fn stop_consumer(&mut self, id: u64) {
        let Some(Some(mut subscription)) = self.consumers.remove(id) else { return };
        self.sids.remove(&subscription.ordered.sid());
        subscription.ordered.stop(&mut self.net);
    }

    pub(super) fn on_consumer_timer(&mut self, id: u64) {
        let Some(Some(subscription)) = self.consumers.get(id) else { return };
        if let Listener::Watch(watch_id) = subscription.listener
            && let Some(watch) = self.watches.get_mut(watch_id)
            && watch.open_deadline.is_some_and(|deadline| deadline <= self.now)
        {
            let told = watch.end(subscription.ordered.timeout_error());
            self.tell(watch_id, told);
            return;
        }
        self.with_consumer(id, None, |subscription, net, now| subscription.ordered.on_timer(net, now));
    }

    // ── the connection

    /// Does what follows from a change of the session.
    pub(super) fn apply(&mut self, change: Change) {
        self.tell_states();
        match change {
            Change::Nothing => {}
            Change::Connected => self.on_connected(),
            Change::Lost(error) => self.on_lost(&error),
            Change::Closed(error) => {
                self.on_lost(&error);
                self.end(Some(error));
            }
            Change::Flushed { op, sent } => {
                let trip = self.now.since(sent);
                self.finish(op, Ok(Outcome::RoundTrip(trip)));
            }
            Change::Denied(what, error) => self.on_denied(&what, error),
            Change::Noted(text) => self.events.push_back(Event::Notice(Notice::ServerError(text))),
            Change::LameDuck => self.events.push_back(Event::Notice(Notice::LameDuck)),
        }
    }

    pub(super) fn on_connected(&mut self) {
        // First, so that no answer comes before its subscription.
        for (request, owner, error) in self.net.on_connected() {
            self.answer(request, owner, &Answer::Failed(error));
        }
        for id in self.consumers.keys() {
            self.with_consumer(id, None, |subscription, net, now| subscription.ordered.on_connected(net, now));
        }
        for id in self.ops.keys() {
            let now = self.now;
            let Some(op) = self.op_mut(id) else { continue };
            match &mut op.verb {
                Verb::Ready => self.finish(id, Ok(Outcome::Unit)),
                Verb::Flush { is_sent } => {
                    *is_sent = true;
                    self.net.session.flush(id, now);
                }
                Verb::Get(_)
                | Verb::Write(_)
                | Verb::Create(_)
                | Verb::Admin(_)
                | Verb::List(_)
                | Verb::PurgeDeletes(_) => {}
            }
        }
    }

    /// Consumers wait, reads will be sent again, writes that may have arrived end.
    pub(super) fn on_lost(&mut self, error: &Error) {
        for id in self.consumers.keys() {
            if let Some(Some(subscription)) = self.consumers.get_mut(id) {
                subscription.ordered.on_lost(&mut self.net);
            }
        }
        let handed = self.net.session.handed();
        let lost = Error { code: ErrorCode::Disconnected, ..error.clone() }.maybe_applied(true);
        for (request, owner) in self.net.on_lost(handed) {
            self.answer(request, owner, &Answer::Failed(lost.clone()));
        }
    }

    /// Permissions refuse without an answer: whoever waits for one is told.
    pub(super) fn on_denied(&mut self, what: &ServerError, error: Error) {
        match what {
            ServerError::SubscribeDenied { subject, .. } if self.net.is_inbox(subject) => self.on_inbox_denied(error),
            ServerError::PublishDenied { subject } | ServerError::SubscribeDenied { subject, .. } => {
                let requests = self.net.denied(subject);
                let consumers: Vec<u64> = self
                    .consumers
                    .iter()
                    .filter(|(_, consumer)| consumer.as_ref().is_some_and(|consumer| consumer.ordered.needs(subject)))
                    .map(|(id, _)| id)
                    .collect();
                if requests.is_empty() && consumers.is_empty() {
                    self.events.push_back(Event::Notice(Notice::ServerError(error.message.clone().into_owned())));
                }
                for (request, owner) in requests {
                    self.answer(request, owner, &Answer::Failed(error.clone()));
                }
                for consumer in consumers {
                    self.with_consumer(consumer, None, |_, _, _| Step::Failed(error.clone()));
                }
            }
            _ => {}
        }
    }

    /// No reply can come on this connection; what was published may have been stored all the same.
    fn on_inbox_denied(&mut self, error: Error) {
        let text = format!("{}: inbox_prefix must name subjects that this user may subscribe to", error.message);
        let error = Error { message: text.into(), ..error };
        for (request, owner) in self.net.deny_inbox(&error) {
            let is_write = matches!(owner, Owner::Op(_)) && !self.net.is_repeatable(request);
            self.answer(request, owner, &Answer::Failed(error.clone().maybe_applied(is_write)));
        }
    }

    /// The end of everything, asked for or not.
    pub(super) fn end(&mut self, error: Option<Error>) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let reason = error.clone().unwrap_or_else(|| Error::from_code(ErrorCode::Closed));
        for id in self.ops.keys() {
            let exposed = self.is_exposed(id);
            self.finish(id, Err(reason.clone().maybe_applied(exposed)));
        }
        self.end_watches(&reason);
        self.net.session.close();
        self.drain_deadline = None;
        self.set_state(State::Closed(error));
        self.sweep();
    }

    /// Each watch says its end; what it queued before stays to be read.
    pub(super) fn end_watches(&mut self, error: &Error) {
        for id in self.watches.keys() {
            let Some(watch) = self.watches.get_mut(id) else { continue };
            let consumer = core::mem::take(&mut watch.consumer);
            let told = watch.end(error.clone());
            self.tell(id, told);
            self.stop_consumer(consumer);
        }
    }

    pub(super) fn close_if_drained(&mut self) {
        if self.drain_deadline.is_some() && self.ops.len() == 0 {
            self.end(None);
        }
    }

    pub(super) fn tell_states(&mut self) {
        while let Some(state) = self.net.session.states.pop_front() {
            if !matches!(self.state, State::Draining) {
                self.set_state(state);
            }
        }
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.state = state.clone();
        self.events.push_back(Event::State(state));
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &self.state {
            State::Closed(Some(error)) => {
                Err(Error::new(ErrorCode::Closed, format!("the client is closed: {}", error.message)))
            }
            State::Closed(None) => Err(Error::new(ErrorCode::Closed, "the client is closed")),
            State::Draining => Err(Error::new(ErrorCode::Closed, "the client is draining")),
            State::Connecting | State::Connected | State::Disconnected(_) | State::Reconnecting => Ok(()),
        }
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    pub(super) fn sweep(&mut self) {
        let Self { net, ops, consumers, .. } = self;
        net.timers.sweep(|timer| match timer {
            Timer::Op(op) => ops.get(op).is_some(),
            Timer::Consumer(consumer) => consumers.get(consumer).is_some(),
        });
    }
}
