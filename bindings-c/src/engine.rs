//! Who waits for what, and who moves the bytes meanwhile: leader and followers over the one [`Driver`].
//!
//! A thread that waits in a blocking call writes and reads the socket itself while nobody else does: it leads. Others that wait
//! at the same time follow; they sleep until the leader has their answer or leaves them the lead. When nobody has led for
//! [`IDLE`], the quiet thread takes over and serves pings, reconnects and callbacks; a caller that comes takes the lead from it.
//! So one operation after another costs no wake-up of another thread. A client on the caller's own loop has no quiet thread.
//!
//! The one mutex guards all; it is never held while anybody sleeps or user code runs.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    ffi::CStr,
    hash::{BuildHasherDefault, Hasher},
    os::fd::RawFd,
    ptr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use natskv_core::{Client as Core, Error, ErrorCode, Event, Instant, Notice, OpId, Outcome, State, WatchId, WatchItem};

use crate::{
    ffi::{User, invalid},
    net::{
        driver::Driver,
        poll::{Waker, Wants, poll},
    },
    options::Hooks,
    reply::{natskv_callback, natskv_on_progress},
    watch::Hook,
};

mod deliver;

use deliver::Inside;

/// How long nobody must have led before the quiet thread does.
const IDLE: Duration = Duration::from_millis(1);
/// The same while callers are busy without a pause: it grows up to here, since each look takes the lock and a processor from them.
const LONGEST_IDLE: Duration = Duration::from_millis(8);
/// The longest sleep of a follower before it looks up, in case its leader died of a panic.
const NAP: Duration = Duration::from_secs(1);
/// Requests of the async form wait for the next turn of the loop up to here, and then go out at once: with more of them the server
/// would wait for us and we for it in turn.
const CORK: usize = 24 * 1024;

/// One client: core, its socket, and everybody who waits for it.
#[derive(Debug)]
pub(crate) struct Engine {
    inner: Mutex<Inner>,
    /// Something panicked while the lock was free. A panic under the lock poisons that.
    is_broken: AtomicBool,
    lead_waker: Waker,
    /// None: the client lives on the caller's loop.
    quiet: Option<Quiet>,
}

/// How the quiet thread is reached: in poll(2) while it leads, else at its condition variable.
#[derive(Debug)]
struct Quiet {
    waker: Waker,
    bell: Condvar,
}

pub(crate) type Guard<'a> = MutexGuard<'a, Inner>;

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) driver: Driver,
    leader: Leader,
    /// What the leader sleeps on; None while it is up, or was rung already.
    asleep_on: Option<Wants>,
    /// Turns led by callers, for the quiet thread to see whether anybody is busy.
    rounds: u64,
    /// The quiet thread waits for its bell without a time limit.
    is_quiet_asleep: bool,
    calls: ById<OpId, Call>,
    watches: ById<WatchId, Watch>,
    closers: Vec<Callback>,
    parked: Vec<Parked>,
    deliveries: VecDeque<Delivery>,
    is_delivering: bool,
    is_ending: bool,
    hooks: Option<Arc<Hooks>>,
}

/// Core counts its ids up, so nobody can choose them to collide and one multiplication spreads them well enough.
type ById<Id, T> = HashMap<Id, T, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Nobody,
    Quiet,
    Caller,
}

#[derive(Debug)]
enum Call {
    /// With what its thread has not heard yet: how many are done of how many.
    Waiting(Option<(u64, u64)>),
    Done(Result<Outcome, Error>, Option<(u64, u64)>),
    Callback(Callback),
}

/// What a call that waits hears next.
enum Step {
    Progress(u64, u64),
    Done(Result<Outcome, Error>),
}

/// Where the answer of an async call goes.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    pub(crate) callback: natskv_callback,
    pub(crate) on_progress: natskv_on_progress,
    pub(crate) user: User,
    /// The bucket of the verb, which its entries and watchers name.
    pub(crate) bucket: Arc<CStr>,
}

#[derive(Debug)]
struct Watch {
    opening: Option<Callback>,
    opened: Option<Result<(), Error>>,
    /// Callback form: who gets the items.
    hook: Option<Arc<Hook>>,
}

/// A follower, asleep.
#[derive(Debug)]
struct Parked {
    what: Waits,
    bell: Arc<Condvar>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    Op(OpId),
    Watch(WatchId),
    Closed,
}

/// User code to run, once the lock is free.
#[derive(Debug)]
enum Delivery {
    Reply(Callback, Result<Answer, Error>),
    Progress(Callback, u64, u64),
    Items(WatchId),
    Status(State),
    Notice(Notice),
    /// The end of the watch's `user`.
    Drop(Arc<Hook>),
}

#[derive(Debug)]
enum Answer {
    Outcome(Outcome),
    Watcher(WatchId),
}

/// What [`Engine::next`] found.
pub(crate) enum Next {
    Item(WatchItem),
    TimedOut,
    /// Stopped, or ended before.
    Over,
}

thread_local! {
    /// The engine whose callback this thread runs.
    static INSIDE: Cell<*const Engine> = const { Cell::new(ptr::null()) };
    /// Where this thread sleeps as a follower.
    static BELL: Arc<Condvar> = Arc::new(Condvar::new());
}

impl Engine {
    pub(crate) fn new(driver: Driver, hooks: Hooks, is_external: bool) -> Result<Self, Error> {
        let waker = || Waker::new().map_err(|e| Error::new(ErrorCode::Internal, format!("no descriptors left: {e}")));
        let quiet = if is_external { None } else { Some(Quiet { waker: waker()?, bell: Condvar::new() }) };
        let inner = Inner {
            driver,
            leader: Leader::Nobody,
            asleep_on: None,
            rounds: 0,
            is_quiet_asleep: false,
            calls: ById::default(),
            watches: ById::default(),
            closers: Vec::new(),
            parked: Vec::new(),
            deliveries: VecDeque::new(),
            is_delivering: false,
            is_ending: false,
            hooks: Some(Arc::new(hooks)),
        };
        Ok(Self { inner: Mutex::new(inner), is_broken: AtomicBool::new(false), lead_waker: waker()?, quiet })
    }

    // ── what the functions of the C face are made of

    /// Runs one command to its end, on this thread.
    pub(crate) fn call(
        &self,
        command: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<Outcome, Error> {
        self.call_watched(command, |_, _| ())
    }

    /// The same; `on_progress` hears on this thread how far it is: `done` of `total`.
    pub(crate) fn call_watched(
        &self,
        command: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
        mut on_progress: impl FnMut(u64, u64),
    ) -> Result<Outcome, Error> {
        self.refuse_inside()?;
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let op = command(&mut inner.driver.core, now)?;
        inner.calls.insert(op, Call::Waiting(None));
        self.pump(&mut inner, now);
        loop {
            match self.wait(inner, Waits::Op(op), None, |inner, _| inner.take_step(op))? {
                Some(Step::Progress(done, total)) => {
                    let _inside = Inside::enter(self);
                    on_progress(done, total);
                }
                Some(Step::Done(result)) => return result,
                None => return Err(internal("a call without a time limit timed out")),
            }
            inner = self.lock()?;
        }
    }

    /// Starts one command; its end calls back. The bytes leave with the next turn of the loop, together with others'.
    pub(crate) fn submit(
        &self,
        callback: Callback,
        command: impl FnOnce(&mut Core, Instant) -> Result<OpId, Error>,
    ) -> Result<OpId, Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let op = command(&mut inner.driver.core, now)?;
        inner.calls.insert(op, Call::Callback(callback));
        match inner.driver.core.pending_transmit() {
            1..CORK => self.settle(&mut inner),
            _ => self.pump(&mut inner, now),
        }
        Ok(op)
    }

    /// One call into core that is over at once.
    pub(crate) fn tell<T>(&self, tell: impl FnOnce(&mut Core, Instant) -> T) -> Result<T, Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let told = tell(&mut inner.driver.core, now);
        self.pump(&mut inner, now);
        Ok(told)
    }

    /// Establishes a watch and waits until the server has it.
    pub(crate) fn watch(
        &self,
        hook: Option<Arc<Hook>>,
        command: impl FnOnce(&mut Core, Instant) -> Result<WatchId, Error>,
    ) -> Result<WatchId, Error> {
        self.refuse_inside()?;
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let id = command(&mut inner.driver.core, now)?;
        inner.watches.insert(id, Watch { opening: None, opened: None, hook });
        self.pump(&mut inner, now);
        let opened = self.wait(inner, Waits::Watch(id), None, |inner, _| match inner.watches.get_mut(&id) {
            Some(watch) => watch.opened.take(),
            None => Some(Err(Error::from_code(ErrorCode::Closed))),
        })?;
        let opened = opened.unwrap_or_else(|| Err(internal("a call without a time limit timed out")));
        if opened.is_err() {
            self.stop(id)?;
        }
        opened.map(|()| id)
    }

    /// Establishes a watch; `callback` gets it, or why not.
    pub(crate) fn submit_watch(
        &self,
        callback: Callback,
        hook: Option<Arc<Hook>>,
        command: impl FnOnce(&mut Core, Instant) -> Result<WatchId, Error>,
    ) -> Result<WatchId, Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        let id = command(&mut inner.driver.core, now)?;
        inner.watches.insert(id, Watch { opening: Some(callback), opened: None, hook });
        self.pump(&mut inner, now);
        Ok(id)
    }

    /// The next item of a watch; waits at most `patience` (None: for ever).
    pub(crate) fn next(&self, id: WatchId, patience: Option<Duration>) -> Result<Next, Error> {
        let mut inner = self.lock()?;
        if inner.watches.get(&id).is_some_and(|watch| watch.hook.is_some()) {
            return Err(invalid("the items of this watch go to its on_item"));
        }
        let now = inner.driver.now();
        if let Some(next) = self.take_next(&mut inner, id, now) {
            return Ok(next); // there already: no wait, whoever leads, and fine inside of callbacks
        }
        if patience == Some(Duration::ZERO) {
            return Ok(Next::TimedOut);
        }
        self.refuse_inside()?;
        let until = patience.map(|patience| now + patience);
        let next = self.wait(inner, Waits::Watch(id), until, |inner, now| self.take_next(inner, id, now))?;
        Ok(next.unwrap_or(Next::TimedOut))
    }

    /// Ends a watch. Its `user` is dropped with the next callbacks, after one that may be running.
    pub(crate) fn stop(&self, id: WatchId) -> Result<(), Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        inner.driver.core.watch_stop(id, now);
        self.forget_watch(&mut inner, id);
        self.pump(&mut inner, now);
        Ok(())
    }

    /// Ends an operation of the async form with CANCELLED, unless it ended already.
    pub(crate) fn cancel(&self, op: OpId) -> Result<(), Error> {
        self.tell(|core, now| core.cancel(op, now))
    }

    /// Ends a watch that is being established.
    pub(crate) fn cancel_watch(&self, id: WatchId) -> Result<(), Error> {
        let mut inner = self.lock()?;
        let Some(callback) = inner.watches.get_mut(&id).and_then(|watch| watch.opening.take()) else { return Ok(()) };
        let cancelled = Err(Error::from_code(ErrorCode::Cancelled));
        inner.deliveries.push_back(Delivery::Reply(callback, cancelled));
        drop(inner);
        self.stop(id)
    }

    /// Finishes what is in flight, closes, and waits for it.
    pub(crate) fn drain(&self) -> Result<(), Error> {
        self.refuse_inside()?;
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        inner.driver.core.drain(now);
        self.pump(&mut inner, now);
        let is_closed = |inner: &mut Inner, _| matches!(inner.driver.core.state(), State::Closed(_)).then_some(());
        self.wait(inner, Waits::Closed, None, is_closed)?;
        self.lock()?.drain_error().map_or(Ok(()), Err)
    }

    /// Finishes what is in flight and closes; then calls back.
    pub(crate) fn submit_drain(&self, callback: Callback) -> Result<(), Error> {
        let mut inner = self.lock()?;
        let now = inner.driver.now();
        inner.closers.push(callback);
        inner.driver.core.drain(now);
        self.pump(&mut inner, now);
        if matches!(inner.driver.core.state(), State::Closed(_)) {
            self.answer_closers(&mut inner); // closed before: no event will say so again
        }
        self.settle(&mut inner);
        Ok(())
    }

    /// The descriptor that a loop has to wait for.
    pub(crate) fn fd(&self) -> Result<RawFd, Error> {
        let mut inner = self.lock()?;
        inner.driver.shown = inner.driver.wants().fd;
        Ok(inner.driver.shown)
    }

    /// What to wait for there.
    pub(crate) fn interest(&self) -> Result<i16, Error> {
        Ok(self.lock()?.driver.wants().events)
    }

    /// How long a loop may sleep; zero while callbacks are due, None for ever.
    pub(crate) fn timeout(&self) -> Result<Option<Duration>, Error> {
        let inner = self.lock()?;
        if inner.has_callbacks() {
            return Ok(Some(Duration::ZERO));
        }
        let now = inner.driver.now();
        Ok(inner.driver.wants().until.map(|at| at.since(now)))
    }

    /// Looks at core without changing it.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Core) -> T) -> Result<T, Error> {
        Ok(look(&self.lock()?.driver.core))
    }

    /// WOULD_DEADLOCK on a thread that runs a callback of this client.
    pub(crate) fn refuse_inside(&self) -> Result<(), Error> {
        if self.is_inside() { Err(Error::from_code(ErrorCode::WouldDeadlock)) } else { Ok(()) }
    }

    pub(crate) fn is_inside(&self) -> bool {
        INSIDE.get() == ptr::from_ref(self)
    }

    // ── waiting

    /// Leads or follows until `ready` gives something, or `until` passes (None).
    fn wait<'a, T>(
        &'a self,
        mut inner: Guard<'a>,
        what: Waits,
        until: Option<Instant>,
        mut ready: impl FnMut(&mut Inner, Instant) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        loop {
            let now = inner.driver.now();
            let value = ready(&mut inner, now);
            if value.is_some() || until.is_some_and(|at| at <= now) {
                self.leave(&mut inner);
                return Ok(value);
            }
            if self.quiet.is_none() && inner.driver.question.is_some() && !inner.is_delivering {
                inner.is_delivering = true; // no `natskv_process` may come before the call that waits for the connection
                inner = self.ask(inner)?;
                inner.is_delivering = false;
                continue;
            }
            inner = match inner.leader {
                Leader::Caller => self.follow(inner, what, until.map(|at| at.since(now)))?,
                Leader::Nobody | Leader::Quiet => self.lead(inner, Leader::Caller, until)?,
            };
        }
    }

    /// One turn at the socket: sleeps without the lock, then reads, writes and takes what came of it.
    fn lead<'a>(&'a self, mut inner: Guard<'a>, me: Leader, until: Option<Instant>) -> Result<Guard<'a>, Error> {
        let my_waker = match (&self.quiet, me) {
            (Some(quiet), Leader::Quiet) => &quiet.waker,
            (Some(quiet), _) if inner.leader == Leader::Quiet => {
                quiet.waker.wake(); // it gives way
                &self.lead_waker
            }
            _ => &self.lead_waker,
        };
        let mut wants = inner.driver.wants();
        wants.until = [wants.until, until].into_iter().flatten().min();
        let now = inner.driver.now();
        inner.leader = me;
        inner.asleep_on = Some(wants);
        if me == Leader::Caller {
            inner.rounds += 1;
        }
        drop(inner);
        let ready = poll(wants, now, my_waker);
        if ready.woken {
            my_waker.drain();
        }
        let mut inner = self.lock()?;
        if inner.leader == me {
            inner.leader = Leader::Nobody;
            inner.asleep_on = None;
            let now = inner.driver.now();
            inner.driver.process(ready.events, now);
            self.pump(&mut inner, now);
        }
        Ok(inner)
    }

    fn follow<'a>(&'a self, mut inner: Guard<'a>, what: Waits, patience: Option<Duration>) -> Result<Guard<'a>, Error> {
        let bell = BELL.with(Arc::clone);
        inner.parked.push(Parked { what, bell: bell.clone() });
        let nap = patience.map_or(NAP, |patience| patience.min(NAP));
        let (mut inner, _) = bell.wait_timeout(inner, nap).map_err(|_| poisoned())?;
        inner.parked.retain(|parked| !Arc::ptr_eq(&parked.bell, &bell));
        if self.is_broken.load(Relaxed) { Err(poisoned()) } else { Ok(inner) }
    }

    /// Somebody else must lead now, if anybody waits.
    fn leave(&self, inner: &mut Inner) {
        if inner.leader != Leader::Nobody {
            return;
        }
        if let Some(parked) = inner.parked.first() {
            parked.bell.notify_one();
        } else if inner.is_quiet_asleep {
            self.ring_quiet(inner);
        }
    }

    /// The quiet thread's life.
    pub(crate) fn serve_idle(self: &Arc<Self>) -> Result<(), Error> {
        let Some(quiet) = &self.quiet else { return Ok(()) };
        let mut inner = self.lock()?;
        let mut seen = inner.rounds;
        let mut idle = IDLE;
        loop {
            if inner.has_callbacks() {
                inner = self.deliver(inner)?;
            }
            if inner.is_ending && inner.deliveries.is_empty() && !inner.driver.is_closing() {
                return Ok(());
            }
            let is_unchanged = std::mem::replace(&mut seen, inner.rounds) == inner.rounds;
            idle = if is_unchanged { IDLE } else { LONGEST_IDLE.min(idle * 2) };
            let is_due = inner.has_callbacks();
            let is_corked = inner.driver.core.pending_transmit() > 0;
            inner = match inner.leader {
                Leader::Nobody if is_unchanged || is_due || is_corked => {
                    let until = if is_due { Some(Instant::default()) } else { None };
                    self.lead(inner, Leader::Quiet, until)?
                }
                Leader::Caller if is_due => inner, // it serves the socket; on with the callbacks
                Leader::Nobody | Leader::Quiet => quiet.bell.wait_timeout(inner, idle).map_err(|_| poisoned())?.0,
                Leader::Caller if is_unchanged => {
                    inner.is_quiet_asleep = true; // it may sleep at the socket for hours; its leaving rings
                    let mut inner = quiet.bell.wait_timeout(inner, NAP).map_err(|_| poisoned())?.0;
                    inner.is_quiet_asleep = false;
                    inner
                }
                Leader::Caller => quiet.bell.wait_timeout(inner, idle).map_err(|_| poisoned())?.0,
            };
        }
    }

    fn ring_quiet(&self, inner: &mut Inner) {
        let Some(quiet) = &self.quiet else { return };
        if inner.leader == Leader::Quiet {
            quiet.waker.wake();
            inner.asleep_on = None;
        } else {
            quiet.bell.notify_one();
        }
    }

    // ── what comes out of core

    pub(crate) fn lock(&self) -> Result<Guard<'_>, Error> {
        let inner = self.inner.lock().map_err(|_| poisoned())?;
        if self.is_broken.load(Relaxed) { Err(poisoned()) } else { Ok(inner) }
    }

    /// Takes all that core has to say, and wakes whom it concerns.
    fn pump(&self, inner: &mut Inner, now: Instant) {
        while let Some(event) = inner.driver.pump(now) {
            self.on_event(inner, event);
        }
        self.settle(inner);
    }

    fn on_event(&self, inner: &mut Inner, event: Event) {
        match event {
            Event::Done { op, result } => match inner.calls.remove(&op) {
                Some(Call::Callback(callback)) => {
                    inner.deliveries.push_back(Delivery::Reply(callback, result.map(Answer::Outcome)));
                }
                Some(Call::Waiting(progress) | Call::Done(_, progress)) => {
                    inner.calls.insert(op, Call::Done(result, progress));
                    self.notify(inner, Waits::Op(op));
                }
                None => {} // nobody asked
            },
            Event::Progress { op, done, total } => match inner.calls.get_mut(&op) {
                Some(Call::Callback(callback)) if callback.on_progress.is_some() => {
                    let callback = callback.clone();
                    inner.deliveries.push_back(Delivery::Progress(callback, done, total));
                }
                Some(Call::Waiting(progress)) => {
                    *progress = Some((done, total));
                    self.notify(inner, Waits::Op(op));
                }
                Some(Call::Callback(_) | Call::Done(..)) | None => {}
            },
            Event::WatchOpen { watch: id, result } => {
                let Some(watch) = inner.watches.get_mut(&id) else { return };
                let Some(callback) = watch.opening.take() else {
                    watch.opened = Some(result);
                    return self.notify(inner, Waits::Watch(id));
                };
                let has_failed = result.is_err();
                inner.deliveries.push_back(Delivery::Reply(callback, result.map(|()| Answer::Watcher(id))));
                if has_failed {
                    self.forget_watch(inner, id);
                }
            }
            Event::WatchReady(id) => match inner.watches.get(&id) {
                Some(Watch { hook: Some(_), .. }) => inner.deliveries.push_back(Delivery::Items(id)),
                Some(_) => self.notify(inner, Waits::Watch(id)),
                None => {}
            },
            Event::State(state) => {
                if let State::Closed(_) = state {
                    self.answer_closers(inner);
                    inner.parked.iter().for_each(|parked| parked.bell.notify_one());
                    if inner.leader == Leader::Caller {
                        self.lead_waker.wake();
                    }
                }
                if inner.hooks.as_ref().is_some_and(|hooks| hooks.on_status.is_some()) {
                    inner.deliveries.push_back(Delivery::Status(state));
                }
            }
            Event::Notice(notice) => {
                if inner.hooks.as_ref().is_some_and(|hooks| hooks.on_notice.is_some()) {
                    inner.deliveries.push_back(Delivery::Notice(notice));
                }
            }
        }
    }

    /// Wakes who waits for `what`; if it is not among the followers, it is the leader, who may be asleep.
    fn notify(&self, inner: &Inner, what: Waits) {
        if let Some(parked) = inner.parked.iter().find(|parked| parked.what == what) {
            parked.bell.notify_one();
        } else if inner.leader == Leader::Caller {
            self.lead_waker.wake();
        }
    }

    /// After any change: a sleeping leader that would miss something is woken, and so is the quiet thread for callbacks.
    fn settle(&self, inner: &mut Inner) {
        if inner.asleep_on.is_some_and(|on| on.misses(&inner.driver.wants())) {
            inner.asleep_on = None;
            match (inner.leader, &self.quiet) {
                (Leader::Quiet, Some(quiet)) => quiet.waker.wake(),
                _ => self.lead_waker.wake(),
            }
        }
        let is_busy = inner.is_delivering || self.quiet.is_none();
        let has_work =
            inner.has_callbacks() || (inner.leader == Leader::Nobody && inner.driver.core.pending_transmit() > 0);
        if has_work && !is_busy {
            self.ring_quiet(inner);
        }
    }

    fn answer_closers(&self, inner: &mut Inner) {
        let error = inner.drain_error();
        for callback in std::mem::take(&mut inner.closers) {
            let answer = error.clone().map_or(Ok(Answer::Outcome(Outcome::Unit)), Err);
            inner.deliveries.push_back(Delivery::Reply(callback, answer));
        }
    }

    fn take_next(&self, inner: &mut Inner, id: WatchId, now: Instant) -> Option<Next> {
        if !inner.watches.contains_key(&id) {
            return Some(Next::Over);
        }
        let item = inner.driver.core.watch_next(id, now);
        self.pump(inner, now); // taking may let the server send more
        match item {
            Some(item @ WatchItem::Ended(_)) => {
                self.forget_watch(inner, id);
                Some(Next::Item(item))
            }
            Some(item) => Some(Next::Item(item)),
            None if matches!(inner.driver.core.state(), State::Closed(_)) => Some(Next::Over),
            None => None,
        }
    }

    /// Forgets a watch that is over; whoever waits for it wakes to see so.
    fn forget_watch(&self, inner: &mut Inner, id: WatchId) {
        let Some(watch) = inner.watches.remove(&id) else { return };
        if let Some(hook) = watch.hook {
            inner.deliveries.push_back(Delivery::Drop(hook));
        }
        inner
            .parked
            .iter()
            .filter(|parked| parked.what == Waits::Watch(id))
            .for_each(|parked| parked.bell.notify_one());
        if inner.leader == Leader::Caller {
            self.lead_waker.wake();
        }
    }
}

impl Inner {
    /// User code is to be run.
    fn has_callbacks(&self) -> bool {
        !self.deliveries.is_empty() || self.driver.question.is_some()
    }

    /// A drain that ran out of time. Whatever else closed the client, nothing is left to drain.
    fn drain_error(&self) -> Option<Error> {
        match self.driver.core.state() {
            State::Closed(Some(error)) if error.code == ErrorCode::Timeout => Some(error.clone()),
            _ => None,
        }
    }

    fn take_step(&mut self, op: OpId) -> Option<Step> {
        let (is_done, progress) = match self.calls.get_mut(&op)? {
            Call::Waiting(progress) => (false, progress.take()),
            Call::Done(_, progress) => (true, progress.take()),
            Call::Callback(_) => return None,
        };
        match (progress, is_done) {
            (Some((done, total)), _) => Some(Step::Progress(done, total)),
            (None, false) => None,
            (None, true) => match self.calls.remove(&op)? {
                Call::Done(result, _) => Some(Step::Done(result)),
                Call::Waiting(_) | Call::Callback(_) => None,
            },
        }
    }
}

fn poisoned() -> Error {
    internal("an earlier call panicked; the client cannot be used any more")
}

pub(crate) fn internal(message: &'static str) -> Error {
    Error::new(ErrorCode::Internal, message)
}

/// What core answered is not what the verb answers with.
pub(crate) fn unexpected() -> Error {
    internal("core answered with another kind of outcome")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credentials::Source,
        ffi::{Options, guard, natskv_code},
        net::trust::Trust,
        options::natskv_options,
    };
    use natskv_core::Config;

    #[test]
    fn a_panic_in_core_breaks_the_client_and_nothing_else() {
        let options = natskv_options::defaults();
        let driver = Driver::new(Config::default(), Trust::default(), Source::Asked).expect("a default configuration");
        let engine = Engine::new(driver, options.hooks(), true).expect("descriptors are left");
        let code = guard(None, || engine.tell(|_, _| panic!("a bug")));
        assert_eq!(code, natskv_code::NATSKV_INTERNAL);
        let error = engine.call(|core, now| core.flush(None, now)).expect_err("it is broken");
        assert_eq!(error.code, ErrorCode::Internal);
        assert!(engine.fd().is_err());
    }
}
