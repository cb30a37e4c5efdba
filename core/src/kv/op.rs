//! What all verbs share: the operation they are a part of, and the world they act on.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    error::Error,
    event::Outcome,
    js::ordered::{Ordered, Plan, Step},
    kv::{
        admin::Admin,
        bucket::Bucket,
        clear::Clear,
        command::ReplyForm,
        create::Create,
        get::Get,
        get_many::GetMany,
        history::History,
        list::List,
        purge_deletes::PurgeDeletes,
        put_many::PutMany,
        touch::Touch,
        write::{What, Write},
    },
    mux::{Answer, Ask, Net, OnLoss, Owner},
    proto::parser::Message,
    slab::Slab,
    time::Instant,
    timers::Timer,
};

/// How far an operation is.
#[derive(Debug)]
pub(crate) enum Progress {
    Pending,
    /// To go on with `on_retry` after this wait.
    Later(Duration),
    Done(Result<Outcome, Error>),
}

/// Errors end an operation.
impl From<Error> for Progress {
    fn from(error: Error) -> Self {
        Self::Done(Err(error))
    }
}

/// What was asked for is on its way, or cannot be asked for.
impl From<Result<(), Error>> for Progress {
    fn from(asked: Result<(), Error>) -> Self {
        asked.map_or_else(Self::from, |()| Self::Pending)
    }
}

/// A part of an operation that is an operation of its own, with its own tries and deadline; its result comes to `on_child` under
/// this index.
#[derive(Debug)]
pub(crate) struct Child<'a> {
    pub(crate) index: usize,
    pub(crate) what: Single<'a>,
}

/// What one child does. Keys are stored ones.
#[derive(Debug)]
pub(crate) enum Single<'a> {
    Get { key: &'a str, by_leader: bool },
    Write(What<'a>),
}

#[derive(Debug)]
pub(crate) enum Verb {
    /// Waits for a connection.
    Ready,
    /// Waits for a PONG; not sent yet while there is no connection.
    Flush {
        is_sent: bool,
    },
    Get(Get),
    Write(Write),
    Create(Create),
    Admin(Box<Admin>),
    List(Box<List>),
    History(Box<History>),
    PurgeDeletes(Box<PurgeDeletes>),
    GetMany(Box<GetMany>),
    PutMany(Box<PutMany>),
    Clear(Box<Clear>),
    Touch(Box<Touch>),
}

/// An operation in flight.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) verb: Verb,
    pub(crate) slots: Slots,
    pub(crate) deadline: Instant,
    pub(crate) retry_at: Option<Instant>,
    /// For operations whose timeout means silence: each answer and message moves the deadline.
    pub(crate) silence: Option<Duration>,
    pub(crate) reply_form: Option<ReplyForm>,
    /// Whose child it is, and which.
    pub(crate) parent: Option<(u64, usize)>,
    /// Children in flight.
    pub(crate) children: usize,
    /// How far it was when that was last told.
    pub(crate) told: u64,
}

/// The requests and the consumer that an operation owns; 0 is none. What is in here ends with the operation.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// How long the operation may take.
    pub(crate) timeout: Duration,
    /// The request whose answer is awaited.
    pub(crate) current: u64,
    /// A request kept to be sent again.
    pub(crate) held: u64,
    pub(crate) consumer: u64,
    /// Of operations that have many requests in flight.
    pub(crate) others: Vec<u64>,
    /// A question, and when it is asked again if it is not answered by then.
    pub(crate) again: Option<(u64, Instant)>,
}

/// How long a question may stay open before it is asked again: what goes to a stream without a leader, or to a server that has just
/// started, is now and then left without an answer (seen on 2.15.1).
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// Who is handed what a consumer delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Watch(u64),
    Op(u64),
}

#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) ordered: Ordered,
    pub(crate) listener: Listener,
}

/// Settings of Config that verbs need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) heartbeat: Duration,
    pub(crate) inactive_threshold: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) max_filters: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) seen_keys: usize,
    pub(crate) retry_writes: bool,
}

/// What a verb acts on while it is given something.
pub(crate) struct Cx<'a> {
    pub(crate) net: &'a mut Net,
    pub(crate) buckets: &'a mut Vec<Bucket>,
    pub(crate) consumers: &'a mut Slab<Option<Subscription>>,
    pub(crate) limits: &'a Limits,
    pub(crate) slots: &'a mut Slots,
    pub(crate) op: u64,
    pub(crate) now: Instant,
}

impl Cx<'_> {
    /// A fresh message id for a write, if Config asks for them and the bucket is not known to forget it too soon.
    pub(crate) fn message_id(&mut self, bucket: usize) -> Option<String> {
        (self.limits.retry_writes && self.remembers(bucket) != Some(false)).then(|| self.net.rng.token(22))
    }

    /// Whether the bucket knows a message id for longer than a write may take; None: unknown.
    pub(crate) fn remembers(&self, bucket: usize) -> Option<bool> {
        self.buckets[bucket].duplicate_window.map(|window| self.slots.timeout < window)
    }

    /// Sends a request whose answer comes to `on_answer`.
    pub(crate) fn request(&mut self, subject: &[&str], ask: Ask<'_>) -> Result<u64, Error> {
        self.slots.current = self.net.request(Owner::Op(self.op), subject, ask)?;
        Ok(self.slots.current)
    }

    /// Asks the JetStream API about a bucket's stream; may be repeated at will.
    pub(crate) fn ask(&mut self, bucket: usize, endpoint: &str, ask: Ask<'_>) -> Result<(), Error> {
        let Bucket { api_prefix, stream, .. } = &self.buckets[bucket];
        self.slots.current = self.net.request(Owner::Op(self.op), &[api_prefix, endpoint, stream], ask)?;
        Ok(())
    }

    /// The same, with nothing but a payload, for one answer; asked again until it comes.
    pub(crate) fn ask_stream(&mut self, bucket: usize, endpoint: &str, payload: &[u8]) -> Result<(), Error> {
        self.ask(bucket, endpoint, Ask { payload, ..Ask::default() })?;
        self.insist();
        Ok(())
    }

    /// The current request is a question: where it stays without an answer it is asked again, as long as the operation has time.
    fn insist(&mut self) {
        let again_at = self.now + PATIENCE;
        self.slots.again = Some((self.slots.current, again_at));
        self.net.arm(again_at, Timer::Op(self.op));
    }

    /// A request of the JetStream API that may be repeated at will.
    pub(crate) fn query(&mut self, api: &str, endpoint: &str, name: &str, payload: &[u8]) -> Result<(), Error> {
        self.request(&[api, endpoint, name], Ask { payload, ..Ask::default() })?;
        self.insist();
        Ok(())
    }

    /// A request of the JetStream API that changes something: sent again after a reconnect, a delete could hit what somebody
    /// made anew meanwhile, or fail for having succeeded.
    pub(crate) fn change(&mut self, api: &str, endpoint: &str, name: &str, payload: &[u8]) -> Result<(), Error> {
        self.request(&[api, endpoint, name], Ask { payload, on_loss: OnLoss::Fail, ..Ask::default() })?;
        Ok(())
    }

    /// Keeps the request that was just answered.
    pub(crate) fn hold(&mut self, request: u64) {
        self.net.hold(request);
        self.slots.held = request;
        self.slots.current = 0;
    }

    /// Sends the kept request; its answer comes to `on_answer`.
    pub(crate) fn send_held(&mut self) {
        self.slots.current = core::mem::take(&mut self.slots.held);
        self.net.resend(self.slots.current);
    }

    /// Starts a consumer whose messages come to `on_step`.
    pub(crate) fn consume(&mut self, plan: Plan) -> Result<(), Error> {
        self.slots.consumer = subscribe(self.consumers, self.net, plan, Listener::Op(self.op), self.now)?;
        Ok(())
    }
}

/// Starts a consumer for `listener`.
pub(crate) fn subscribe(
    consumers: &mut Slab<Option<Subscription>>,
    net: &mut Net,
    plan: Plan,
    listener: Listener,
    now: Instant,
) -> Result<u64, Error> {
    let id = consumers.insert(None);
    match Ordered::start(id, plan, net, now) {
        Ok(ordered) => {
            if let Some(slot) = consumers.get_mut(id) {
                *slot = Some(Subscription { ordered, listener });
            }
            Ok(id)
        }
        Err(error) => {
            consumers.remove(id);
            Err(error)
        }
    }
}

impl Verb {
    /// Which bucket it is about.
    pub(crate) fn bucket(&self) -> Option<usize> {
        Some(match self {
            Self::Get(get) => get.bucket(),
            Self::Write(write) => write.bucket(),
            Self::Create(create) => create.bucket(),
            Self::List(list) => list.bucket(),
            Self::History(history) => history.bucket(),
            Self::PurgeDeletes(purge) => purge.bucket(),
            Self::GetMany(many) => many.bucket(),
            Self::PutMany(many) => many.bucket(),
            Self::Clear(clear) => clear.bucket(),
            Self::Touch(touch) => touch.bucket(),
            Self::Ready | Self::Flush { .. } | Self::Admin(_) => return None,
        })
    }

    pub(crate) fn on_answer(&mut self, cx: &mut Cx<'_>, request: u64, answer: &Answer<'_>) -> Progress {
        match self {
            Self::Get(get) => get.on_answer(cx, request, answer),
            Self::Write(write) => write.on_answer(cx, request, answer),
            Self::Create(create) => create.on_answer(cx, request, answer),
            Self::Admin(admin) => admin.on_answer(cx, answer),
            Self::History(history) => history.on_answer(cx, request, answer),
            Self::PurgeDeletes(purge) => purge.on_answer(cx, request, answer),
            Self::GetMany(many) => many.on_answer(cx, request, answer),
            _ => Progress::Pending,
        }
    }

    pub(crate) fn on_retry(&mut self, cx: &mut Cx<'_>) -> Progress {
        match self {
            Self::Get(get) => get.on_retry(cx),
            Self::Write(write) => write.on_retry(cx),
            Self::Create(create) => create.on_retry(cx),
            Self::Admin(admin) => admin.on_retry(cx),
            Self::PurgeDeletes(purge) => purge.on_retry(cx),
            Self::GetMany(many) => many.on_retry(cx),
            _ => Progress::Pending,
        }
    }

    pub(crate) fn on_step(&mut self, cx: &mut Cx<'_>, step: Step<'_>, message: Option<&Message<'_>>) -> Progress {
        match self {
            Self::List(list) => list.on_step(cx, step, message),
            Self::History(history) => history.on_step(cx, step, message),
            Self::PurgeDeletes(purge) => purge.on_step(cx, step, message),
            Self::GetMany(many) => many.on_step(cx, step, message),
            Self::Clear(clear) => clear.on_step(cx, step, message),
            _ => Progress::Pending,
        }
    }

    /// What is to be started next, if anything is.
    pub(crate) fn next_child(&mut self) -> Option<Child<'_>> {
        match self {
            Self::GetMany(many) => many.next_child(),
            Self::PutMany(many) => many.next_child(),
            Self::Clear(clear) => clear.next_child(),
            Self::Touch(touch) => touch.next_child(),
            _ => None,
        }
    }

    /// The one just taken could not be started for want of room: it is to be given out again.
    pub(crate) fn return_child(&mut self) {
        match self {
            Self::GetMany(many) => many.return_child(),
            Self::PutMany(many) => many.return_child(),
            Self::Clear(clear) => clear.return_child(),
            Self::Touch(touch) => touch.return_child(),
            _ => {}
        }
    }

    pub(crate) fn on_child(&mut self, cx: &Cx<'_>, index: usize, result: Result<Outcome, Error>) -> Progress {
        match self {
            Self::GetMany(many) => many.on_child(cx, index, result),
            Self::PutMany(many) => many.on_child(index, result),
            Self::Clear(clear) => clear.on_child(result),
            Self::Touch(touch) => touch.on_child(result),
            _ => Progress::Pending,
        }
    }

    /// Whether parts of it that are over were stored, or may have been: so that is true of the whole, however it ends.
    pub(crate) fn has_applied(&self) -> bool {
        match self {
            Self::Create(create) => create.is_in_doubt(),
            Self::PutMany(many) => many.has_applied(),
            Self::Clear(clear) => clear.has_applied(),
            _ => false,
        }
    }

    /// How much of how much is done, for those that tell.
    pub(crate) fn done_of(&self) -> Option<(u64, u64)> {
        match self {
            Self::PurgeDeletes(purge) => purge.done_of(),
            Self::Clear(clear) => clear.done_of(),
            _ => None,
        }
    }
}
