//! Inside the client: who an answer, a message, a timer or a change of the connection is for, and what follows from it.

use alloc::{borrow::Cow, boxed::Box, format, string::String, vec::Vec};
use core::time::Duration;

use super::{Client, check_timeout, too_many};
use crate::{
    error::{Error, ErrorCode},
    event::{BucketId, ConnId, Event, Notice, OpId, Outcome, State, WatchId},
    js::ordered::{Ordered, Step},
    kv::{
        admin::{Admin, Task},
        bucket::Bucket,
        command,
        get::{Get, Wants},
        list::{List, What},
        op::{Cx, Listener, Op, PATIENCE, Progress, Single, Slots, Subscription, Verb},
        watch::{Told, Watch},
        write::{What as Written, Write},
    },
    mux::{Answer, INBOX_SID, Net, Owner},
    number::parse_u64,
    proto::{
        parser::{Frame, Message, Parser},
        server_error::ServerError,
    },
    session::Change,
    shown::Quoted,
    time::Instant,
    timers::Timer,
};

/// How long a closing client waits for answers that tell of something to be taken back.
const LINGER: Duration = Duration::from_secs(1);

impl Client {
    // ── operations

    /// A bucket, and where it is.
    pub(super) fn bucket(&self, id: BucketId) -> Result<(usize, &Bucket), Error> {
        match self.buckets.get(id.0 as usize) {
            Some(bucket) => Ok((id.0 as usize, bucket)),
            None => Err(Error::argument("the bucket handle belongs to another client")),
        }
    }

    pub(super) fn write(
        &mut self,
        bucket: BucketId,
        what: Written<'_>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let key = bucket.writable(what.key)?;
        self.start(timeout, now, |cx| Write::start(cx, index, Written { key: &key, ..what }).map(Verb::Write))
    }

    pub(super) fn read(
        &mut self,
        bucket: BucketId,
        key: &str,
        wants: Wants,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let key = bucket.readable(key)?;
        self.start(timeout, now, |cx| Get::start(cx, index, &key, wants).map(Verb::Get))
    }

    pub(super) fn list(
        &mut self,
        bucket: BucketId,
        what: What,
        filters: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let keys = bucket.reduced(filters)?;
        self.start_long(timeout, now, |cx| Ok(Verb::List(Box::new(List::start(cx, index, what, &keys)?))))
    }

    /// An operation of many answers: its timeout is the longest silence.
    pub(super) fn start_long(
        &mut self,
        timeout: Option<Duration>,
        now: Instant,
        begin: impl FnOnce(&mut Cx<'_>) -> Result<Verb, Error>,
    ) -> Result<OpId, Error> {
        let op = self.start(timeout, now, begin)?;
        self.mind_silence(op.0, timeout);
        Ok(op)
    }

    fn mind_silence(&mut self, id: u64, timeout: Option<Duration>) {
        let silence = timeout.unwrap_or(self.limits.request_timeout);
        if let Some(op) = self.op_mut(id) {
            op.silence = Some(silence);
            let consumer = op.slots.consumer;
            self.index_sid(consumer, 0);
        }
        self.feed(id);
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
        let timeout = self.admit(timeout, now)?;
        self.begin(timeout, None, begin).map(OpId)
    }

    /// Whether there may be one more operation; its timeout.
    fn admit(&mut self, timeout: Option<Duration>, now: Instant) -> Result<Duration, Error> {
        self.advance(now);
        self.check_open()?;
        let timeout = check_timeout(timeout)?.unwrap_or(self.limits.request_timeout);
        if self.ops.len() >= self.max_operations {
            return Err(too_many(self.max_operations));
        }
        Ok(timeout)
    }

    fn begin(
        &mut self,
        timeout: Duration,
        parent: Option<(u64, usize)>,
        begin: impl FnOnce(&mut Cx<'_>) -> Result<Verb, Error>,
    ) -> Result<u64, Error> {
        let (id, mut slots) = self.reserve(timeout);
        let begun = begin(&mut self.cx(&mut slots, id));
        self.enrol(id, parent, slots, begun)
    }

    // These two are not part of `begin` since that is compiled for each verb.

    fn reserve(&mut self, timeout: Duration) -> (u64, Slots) {
        if self.net.timers.is_crowded() {
            self.sweep();
        }
        (self.ops.insert(None), Slots { timeout, ..Slots::default() })
    }

    fn enrol(
        &mut self,
        id: u64,
        parent: Option<(u64, usize)>,
        slots: Slots,
        begun: Result<Verb, Error>,
    ) -> Result<u64, Error> {
        match begun {
            Ok(verb) => {
                let deadline = self.now + slots.timeout;
                self.net.timers.arm(deadline, Timer::Op(id));
                if let Some(slot) = self.ops.get_mut(id) {
                    *slot = Some(Op {
                        verb,
                        slots,
                        deadline,
                        retry_at: None,
                        silence: None,
                        reply_form: None,
                        parent,
                        children: 0,
                        told: 0,
                    });
                }
                Ok(id)
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
            limits: &self.limits,
            slots,
            op,
            now: self.now,
        }
    }

    pub(super) fn op_mut(&mut self, id: u64) -> Option<&mut Op> {
        self.ops.get_mut(id)?.as_mut()
    }

    /// Starts the children that an operation has for now, as many as may be in flight.
    pub(super) fn feed(&mut self, id: u64) {
        let Some(mut op) = self.ops.get_mut(id).and_then(Option::take) else { return };
        let bucket = op.verb.bucket().unwrap_or_default();
        let timeout = op.silence.unwrap_or(self.limits.request_timeout);
        let mut progress = Progress::Pending;
        while op.children < self.limits.max_in_flight
            && matches!(progress, Progress::Pending)
            && let Some(child) = op.verb.next_child()
        {
            let index = child.index;
            let started = self.begin(timeout, Some((id, index)), |cx| match child.what {
                Single::Get { key, by_leader } => {
                    let wants = Wants { leader: by_leader, markers: true, revision: None };
                    Get::start(cx, bucket, key, wants).map(Verb::Get)
                }
                Single::Write(what) => Write::start(cx, bucket, what).map(Verb::Write),
            });
            match started {
                Ok(_) => op.children += 1,
                Err(error) if error.code == ErrorCode::BufferFull && op.children > 0 => {
                    op.verb.return_child();
                    break;
                }
                Err(error) => progress = op.verb.on_child(&self.cx(&mut op.slots, id), index, Err(error)),
            }
        }
        if let Some(slot) = self.ops.get_mut(id) {
            *slot = Some(op);
        }
        if let Progress::Done(result) = progress {
            self.finish(id, result);
        }
    }

    fn tell_progress(&mut self, id: u64) {
        let Some(op) = self.op_mut(id) else { return };
        if let Some((done, total)) = op.verb.done_of()
            && (done >= op.told + total.div_ceil(100).max(1) || (done == total && op.told < total))
        {
            op.told = done;
            self.events.push_back(Event::Progress { op: OpId(id), done, total });
        }
    }

    /// Lets the operation's verb react, and does what follows from it.
    pub(super) fn drive(&mut self, id: u64, react: impl FnOnce(&mut Verb, &mut Cx<'_>) -> Progress) {
        self.hear(id);
        self.drive_on(id, react);
    }

    /// Something came for an operation whose timeout is the longest silence.
    fn hear(&mut self, id: u64) {
        let now = self.now;
        if let Some(op) = self.op_mut(id)
            && let Some(silence) = op.silence
        {
            op.deadline = now + silence; // the timer that is armed earlier looks here
        }
    }

    /// The same for what says nothing new.
    fn drive_on(&mut self, id: u64, react: impl FnOnce(&mut Verb, &mut Cx<'_>) -> Progress) {
        let Some((verb, mut cx)) = self.acting(id) else { return };
        let consumer = cx.slots.consumer;
        let progress = react(verb, &mut cx);
        self.proceed(id, consumer, progress);
    }

    /// An operation's verb where it lies, and what it acts on.
    fn acting(&mut self, id: u64) -> Option<(&mut Verb, Cx<'_>)> {
        let Op { verb, slots, .. } = self.ops.get_mut(id)?.as_mut()?;
        let Self { net, buckets, consumers, limits, now, .. } = self;
        Some((verb, Cx { net, buckets, consumers, limits, slots, op: id, now: *now }))
    }

    /// What follows from how far an operation is, which had this consumer before.
    fn proceed(&mut self, id: u64, old_consumer: u64, progress: Progress) {
        let Some(Some(op)) = self.ops.get_mut(id) else { return };
        let may_have_children = op.silence.is_some();
        let consumer = op.slots.consumer;
        if let Progress::Later(wait) = progress {
            op.retry_at = Some(self.now + wait);
            self.net.timers.arm(self.now + wait, Timer::Op(id));
        }
        if consumer != old_consumer {
            self.stop_consumer(old_consumer);
            self.index_sid(consumer, 0);
        }
        if may_have_children {
            self.tell_progress(id);
        }
        match progress {
            Progress::Done(result) => self.finish(id, result),
            _ if may_have_children => self.feed(id),
            _ => {}
        }
    }

    /// The one place where an operation ends.
    pub(super) fn finish(&mut self, id: u64, result: Result<Outcome, Error>) {
        let Some(Some(op)) = self.ops.remove(id) else { return };
        self.release(&op.slots);
        if op.children > 0 {
            self.drop_children(id);
        }
        if let Some((parent, index)) = op.parent {
            if let Some(parent) = self.op_mut(parent) {
                parent.children -= 1;
            }
            return self.drive(parent, |verb, cx| verb.on_child(cx, index, result));
        }
        let result = match (&op.reply_form, &op.verb) {
            (Some(form), verb) => Ok(Outcome::Json(command::reply(self.name_of(verb), form, result))),
            (None, _) => result,
        };
        self.events.push_back(Event::Done { op: OpId(id), result });
    }

    pub(super) fn name_of(&self, verb: &Verb) -> &str {
        verb.bucket().map_or("", |index| &self.buckets[index].name)
    }

    /// Children whose parent is over end without a word.
    fn drop_children(&mut self, parent: u64) {
        for id in self.ops.keys() {
            if self.op_mut(id).is_some_and(|op| op.parent.is_some_and(|(of, _)| of == parent))
                && let Some(Some(child)) = self.ops.remove(id)
            {
                self.release(&child.slots);
            }
        }
    }

    /// Frees what an operation holds.
    pub(super) fn release(&mut self, slots: &Slots) {
        for request in slots.others.iter().chain([&slots.current, &slots.held]) {
            self.net.forget(*request);
        }
        self.stop_consumer(slots.consumer);
    }

    pub(super) fn is_exposed(&self, id: u64) -> bool {
        let is_exposed =
            |op: &Op| [op.slots.current, op.slots.held].iter().any(|request| self.net.is_exposed_write(*request));
        let Some(Some(op)) = self.ops.get(id) else { return false };
        let mut children = self.ops.iter().filter_map(|(_, child)| child.as_ref());
        let is_exposed_child = |child: &Op| child.parent.is_some_and(|(of, _)| of == id) && is_exposed(child);
        is_exposed(op) || op.verb.has_applied() || (op.children > 0 && children.any(is_exposed_child))
    }

    pub(super) fn on_op_timer(&mut self, id: u64) {
        let now = self.now;
        let Some(op) = self.op_mut(id) else { return };
        if op.children > 0 && op.deadline <= now {
            op.deadline = now + op.silence.unwrap_or_default(); // they have deadlines of their own
        }
        if op.deadline <= now {
            let request = op.slots.current;
            let is_write = self.is_exposed(id);
            let text: Cow<'static, str> = match self.net.subject(request) {
                _ if !self.net.session.is_ready() => "timed out: not connected".into(),
                "" => "timed out".into(),
                subject => format!("timed out: no answer on {subject}", subject = Quoted(subject)).into(),
            };
            self.finish(id, Err(Error::new(ErrorCode::Timeout, text).maybe_applied(is_write)));
            return;
        }
        if let Some((request, _)) = op.slots.again.take_if(|(_, at)| *at <= now)
            && self.net.ask_again(request)
        {
            self.net.timers.arm(now + PATIENCE, Timer::Op(id));
            self.op_mut(id).into_iter().for_each(|op| op.slots.again = Some((request, now + PATIENCE)));
        }
        let Some(op) = self.op_mut(id) else { return };
        if op.retry_at.is_some_and(|at| at <= now) {
            op.retry_at = None;
            self.drive_on(id, Verb::on_retry);
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
                Ok(Frame::Pong) => self.net.session.on_pong(&mut self.net.rng, self.now),
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
        if let Ok(at) = self.sids.binary_search_by_key(&sid, |(known, _)| *known) {
            let consumer = self.sids[at].1;
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
        let old_sid = subscription.ordered.sid();
        let step = react(subscription, &mut self.net, self.now);
        self.on_step(id, old_sid, step, message);
    }

    fn on_step<'m>(&mut self, id: u64, old_sid: u64, step: Step<'m>, message: Option<&Message<'m>>) {
        if matches!(step, Step::Nothing) {
            self.index_sid(id, old_sid);
            return;
        }
        let Some(Some(subscription)) = self.consumers.get(id) else { return };
        match subscription.listener {
            Listener::Op(op) => {
                self.index_sid(id, old_sid);
                // A consumer that only says that it is stalled, or is made again and again, does not get on.
                if !matches!(step, Step::FlowControl(_) | Step::Resumed(_)) {
                    self.hear(op);
                }
                self.drive_on(op, |verb, cx| verb.on_step(cx, step, message));
            }
            Listener::Watch(watch_id) => {
                let Some(watch) = self.watches.get_mut(watch_id) else { return };
                let (is_over, begins) = (matches!(step, Step::Failed(_)), watch.begins(&step));
                let bucket = &self.buckets[watch.bucket];
                let told = watch.on_step(bucket, step, message, &subscription.ordered, &mut self.net);
                self.index_sid(id, old_sid);
                match &told {
                    Told::Overflow { consumer, position, is_caught_up } => {
                        let (position, is_caught_up) = (*position, *is_caught_up);
                        self.change_consumer(*consumer, |ordered, net, _| ordered.pause(position, is_caught_up, net));
                    }
                    Told::Reset => self.reset_others(watch_id, id),
                    _ => {}
                }
                self.tell(watch_id, told);
                if begins {
                    self.acquaint_others(watch_id, id);
                }
                if is_over {
                    self.stop_members(watch_id);
                }
            }
        }
    }

    /// What a watch had queued was read: consumers that waited for that go on.
    pub(super) fn resume_paused(&mut self, watch: u64) {
        for consumer in self.watches.get_mut(watch).map(Watch::take_paused).unwrap_or_default() {
            self.change_consumer(consumer, |ordered, net, now| ordered.resume(net, now));
        }
    }

    /// One consumer is there: those beside it have to be on the same stream, also if they are made much later.
    fn acquaint_others(&mut self, watch: u64, first: u64) {
        let Some(Some(subscription)) = self.consumers.get(first) else { return };
        let made_ns = subscription.ordered.made_ns();
        for consumer in self.members(watch).into_iter().filter(|consumer| *consumer != first) {
            self.change_consumer(consumer, |ordered, _, _| ordered.acquaint(made_ns));
        }
    }

    /// One consumer found that the bucket was made anew: those beside it start anew too, without finding it out again.
    fn reset_others(&mut self, watch: u64, finder: u64) {
        let created = match self.consumers.get(finder) {
            Some(Some(subscription)) => subscription.ordered.stream_created().map(String::from),
            _ => None,
        };
        for consumer in self.members(watch).into_iter().filter(|consumer| *consumer != finder) {
            self.change_consumer(consumer, |ordered, net, now| ordered.reset(created.clone(), net, now));
        }
    }

    fn change_consumer(&mut self, id: u64, change: impl FnOnce(&mut Ordered, &mut Net, Instant)) {
        let Some(Some(subscription)) = self.consumers.get_mut(id) else { return };
        let old_sid = subscription.ordered.sid();
        change(&mut subscription.ordered, &mut self.net, self.now);
        self.index_sid(id, old_sid);
    }

    fn members(&self, watch: u64) -> Vec<u64> {
        let members = self.watches.get(watch).map(|watch| &watch.members);
        members.into_iter().flatten().map(|member| member.consumer).collect()
    }

    pub(super) fn stop_members(&mut self, watch: u64) {
        for consumer in self.members(watch) {
            self.stop_consumer(consumer);
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
                self.stop_members(id);
                self.watches.remove(id);
            }
            Told::Resumed(why) => self.notice(id, Notice::WatchResumed(watch, why)),
            Told::Overflow { .. } => {
                if self.watches.get_mut(id).is_some_and(Watch::opens) {
                    self.tell(id, Told::Opened);
                }
                self.notice(id, Notice::WatchOverflow(watch));
            }
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
        self.sids.retain(|(known, _)| *known != old_sid);
        if sid != 0 {
            self.sids.push((sid, consumer));
        }
    }

    pub(super) fn stop_consumer(&mut self, id: u64) {
        let Some(Some(mut subscription)) = self.consumers.remove(id) else { return };
        let sid = subscription.ordered.sid();
        self.sids.retain(|(known, _)| *known != sid);
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
            Change::TooManySubscriptions(error) => self.on_too_many(error),
            Change::Fenced => self.doubted.clear(),
            Change::Noted(text) => self.events.push_back(Event::Notice(Notice::ServerError(text))),
            Change::LameDuck => self.events.push_back(Event::Notice(Notice::LameDuck)),
            Change::Leaving => {} // the caller looks, as after each input
        }
    }

    /// A connection to a server that shuts down is left when its last answer has come.
    pub(super) fn leave_if_idle(&mut self) {
        if self.net.session.may_leave() && !self.net.is_awaiting() {
            let change = self.net.session.leave(self.now);
            self.apply(change);
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
                | Verb::History(_)
                | Verb::PurgeDeletes(_)
                | Verb::GetMany(_)
                | Verb::PutMany(_)
                | Verb::Clear(_)
                | Verb::Touch(_) => {}
            }
        }
    }

    /// Consumers wait, reads will be sent again, writes that may have arrived end.
    pub(super) fn on_lost(&mut self, error: &Error) {
        self.doubted.clear();
        for id in self.consumers.keys() {
            if let Some(Some(subscription)) = self.consumers.get_mut(id) {
                subscription.ordered.on_lost(&mut self.net);
            }
        }
        let handed = self.net.session.handed();
        let lost = error.clone().of_kind(ErrorCode::Disconnected).maybe_applied(true);
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
                    let maybe = self.net.may_be_stored(request);
                    self.answer(request, owner, &Answer::Failed(error.clone().maybe_applied(maybe)));
                }
                for consumer in consumers {
                    self.with_consumer(consumer, None, |_, _, _| Step::Failed(error.clone()));
                }
            }
            _ => {}
        }
    }

    /// The server does not say which subscription it refused. It took the earlier ones, so it is the last of those that were on their way,
    /// and an error comes for each. A consumer on a refused subscription is made all the same, and may say so before its error comes:
    /// who was in doubt at the first error stays so until a PONG proves that all errors are here.
    fn on_too_many(&mut self, error: Error) {
        let is_unproven = |consumer: &Option<Subscription>| consumer.as_ref().is_some_and(|c| c.ordered.is_unproven());
        self.doubted.extend(self.consumers.iter().filter(|(_, consumer)| is_unproven(consumer)).map(|(id, _)| id));
        let last = self.sids.iter().rev().find(|(_, consumer)| self.doubted.contains(consumer)).copied();
        let Some((_, consumer)) = last else {
            let text = error.message.clone().into_owned();
            return self.events.push_back(Event::Notice(Notice::ServerError(text)));
        };
        self.net.session.fence(self.now);
        self.with_consumer(consumer, None, |_, _, _| Step::Failed(error));
    }

    /// No reply can come on this connection; what was published may have been stored all the same.
    fn on_inbox_denied(&mut self, error: Error) {
        let text = format!("{}: inbox_prefix must name subjects that this user may subscribe to", error.message);
        let error = error.saying(text);
        for (request, owner) in self.net.deny_inbox(&error) {
            let is_write = matches!(owner, Owner::Op(_)) && self.net.is_write(request);
            self.answer(request, owner, &Answer::Failed(error.clone().maybe_applied(is_write)));
        }
    }

    /// The end of everything, asked for or not.
    pub(super) fn end(&mut self, error: Option<Error>) {
        if matches!(self.state, State::Closed(_)) {
            return;
        }
        let error = error.filter(|_| self.lingers_until.is_none()); // it was asked to end, whatever comes now
        let reason = error.clone().unwrap_or_else(|| Error::from_code(ErrorCode::Closed));
        // Parents take their children with them.
        for id in self.ops.keys() {
            if self.op_mut(id).is_some_and(|op| op.parent.is_none()) {
                let exposed = self.is_exposed(id);
                self.finish(id, Err(reason.clone().maybe_applied(exposed)));
            }
        }
        self.end_watches(&reason);
        self.drain_deadline = None;
        if error.is_some() || !self.owes() {
            return self.end_now(error);
        }
        self.lingers_until.get_or_insert(self.now + LINGER);
        self.sweep();
    }

    /// The same for what is left when all operations and watches have ended.
    pub(super) fn end_now(&mut self, error: Option<Error>) {
        self.lingers_until = None;
        self.net.session.close();
        self.set_state(State::Closed(error));
        self.sweep();
    }

    /// Whether an answer is still to come that tells of something to be taken back.
    fn owes(&self) -> bool {
        self.net.session.is_ready() && self.net.has_disowned()
    }

    /// Each watch says its end; what it queued before stays to be read.
    pub(super) fn end_watches(&mut self, error: &Error) {
        for id in self.watches.keys() {
            let Some(watch) = self.watches.get_mut(id) else { continue };
            let told = watch.end(error.clone());
            self.stop_members(id);
            self.tell(id, told);
        }
    }

    pub(super) fn close_if_idle(&mut self) {
        if self.lingers_until.is_some() && !self.owes() {
            self.end_now(None);
        }
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
            _ if self.lingers_until.is_some() => Err(Error::new(ErrorCode::Closed, "the client is closed")),
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
