//! One seed from its first connection to its last: clients at work, what goes wrong, and what must hold all the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use natskv_core::{Error, ErrorCode, Event, Notice, OpId, Outcome, State, WatchId};
use natskv_kit::{
    dice::Dice,
    ledger,
    world::{Cut, Weather, World, op_name},
};

use crate::{
    judge::{self, Name, Record},
    plan::{MS, Plan, SECOND},
    recorder::{Recorded, Recorder},
    truth::{Mark, Truth},
    watching::Watcher,
    work::{Call, Handle, Muse},
};

/// How long after the work everything must have come to rest, and be told.
const QUIET: u64 = 60 * SECOND;

/// After that, how long servers may need to forget what clients left behind.
const FORGOTTEN: u64 = 60 * SECOND;

/// No seed has so many events, unless something never comes to rest.
const MOST_STEPS: u64 = 400_000;

/// What a client may hold beside what its configuration bounds and what was asked for: its tables and buffers.
const OWN: i64 = 1 << 20;

/// And what it may still hold when everything has come to rest; for each handle, of what it saw of keys; for each operation of the
/// many that were in flight at once, in tables that do not shrink.
const AT_REST: i64 = 512 << 10;
const PER_HANDLE: i64 = 70 << 10;
const PER_OPERATION: i64 = 2 << 10;

/// A command that has not ended.
#[derive(Debug)]
struct Pending {
    call: Call,
    handle: Handle,
    from: Mark,
    /// Revisions that the client had written or read when it was started.
    known: BTreeMap<String, u64>,
    timeout: u64,
    started: u64,
    /// The same on the clock of `Recorder`.
    began: u64,
    is_blocked: bool,
}

/// Where a write was meant to go, and which it was.
type Target = (usize, String, Name);

/// How many times a write ended in which way.
#[derive(Clone, Copy, Debug, Default)]
struct Fates {
    applied: u64,
    maybe: u64,
}

/// clear() purges what it found: which of the stored purges are its is not told.
#[derive(Debug)]
struct Cleared {
    seat: usize,
    filters: Vec<String>,
    from: Mark,
    may_have: bool,
}

/// A client and what it is at.
#[derive(Debug, Default)]
struct Actor {
    handles: Vec<Handle>,
    ops: BTreeMap<OpId, Pending>,
    watches: BTreeMap<WatchId, Watcher>,
    /// Revisions that it wrote or read, by handle and stream.
    known: BTreeMap<(u32, u64), BTreeMap<String, u64>>,
    /// So many operations were in flight at once.
    most_ops: usize,
    /// It was told to end.
    is_ending: bool,
    closed: u32,
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) steps: u64,
    /// How often each command ended in which way.
    pub(crate) ends: BTreeMap<String, u64>,
    pub(crate) items: u64,
    pub(crate) notices: u64,
}

#[derive(Debug)]
pub(crate) struct Simulation {
    plan: Plan,
    world: World,
    truth: Truth,
    actors: Vec<Actor>,
    muse: Muse,
    fates: BTreeMap<Target, Fates>,
    /// Frames that were handed to a transport.
    handed: BTreeMap<Target, u64>,
    cleared: Vec<Cleared>,
    recorder: Recorder,
    told: Told,
    is_working: bool,
}

/// What a script's token means.
#[derive(Clone, Copy, Debug)]
enum Cue {
    Work(usize),
    Pull(usize),
    Fault,
    Audit,
}

impl Cue {
    const fn token(self) -> u64 {
        match self {
            Self::Work(seat) => 1 << 32 | seat as u64,
            Self::Pull(seat) => 2 << 32 | seat as u64,
            Self::Fault => 3 << 32,
            Self::Audit => 4 << 32,
        }
    }

    const fn of(token: u64) -> Option<Self> {
        let seat = (token & 0xffff_ffff) as usize;
        match token >> 32 {
            1 => Some(Self::Work(seat)),
            2 => Some(Self::Pull(seat)),
            3 => Some(Self::Fault),
            4 => Some(Self::Audit),
            _ => None,
        }
    }
}

/// Runs one seed. The story is told only if somebody wants it.
pub(crate) fn run(seed: u64, has_story: bool) -> (Result<Told, String>, Vec<String>) {
    let plan = Plan::of(seed);
    ledger::forget();
    let mut world = World::new(seed, plan.settings.clone(), plan.weather.clone());
    if has_story {
        world.story = Some(vec![format!("seed {seed}: {plan:#?}")]);
    }
    let mut simulation = Simulation {
        muse: Muse::new(Dice::new(seed ^ 0xca11), plan.largest_value),
        world,
        truth: Truth::default(),
        actors: Vec::new(),
        fates: BTreeMap::new(),
        handed: BTreeMap::new(),
        cleared: Vec::new(),
        recorder: Recorder::default(),
        told: Told::default(),
        is_working: true,
        plan,
    };
    let result = simulation.play();
    let now = simulation.world.now;
    let consumers = simulation.world.server.consumers();
    simulation.world.tell(|| consumers);
    let story = simulation.world.story.take().unwrap_or_default();
    let result = result.map(|()| {
        simulation.told.steps = simulation.world.steps;
        simulation.told
    });
    (result.map_err(|why| format!("at {:.6} s: {why}", now as f64 / 1e9)), story)
}

impl Simulation {
    fn play(&mut self) -> Result<(), String> {
        for bucket in self.plan.buckets.clone() {
            let name = bucket.stream_name();
            self.world.serve(|server, now| server.operate(&format!("STREAM.CREATE.{name}"), &bucket.stream, now));
        }
        self.truth.learn(&self.world.server, self.world.now)?;
        for config in self.plan.clients.clone() {
            let seat = self.world.seat(config).map_err(|error| format!("config: {error}"))?;
            self.actors.push(Actor::default());
            for (at, bucket) in self.plan.buckets.clone().iter().enumerate() {
                let options = self.muse.handle();
                let id =
                    self.world.call(seat, |c, _| c.bind(&bucket.name, &options)).map_err(|e| format!("bind: {e}"))?;
                self.actors[seat].handles.push(Handle { id, bucket: at, reads_leader: options.leader_reads });
            }
            let first = self.world.now + self.muse.dice.below(2 * self.plan.pace);
            self.world.script(first, Cue::Work(seat).token());
            self.world.script(first, Cue::Pull(seat).token());
        }
        self.world.script(100 * MS, Cue::Fault.token());
        self.world.script(100 * MS, Cue::Audit.token());
        self.go_on(self.plan.duration)?;
        self.heal();
        self.go_on(self.world.now + QUIET)?;
        self.check_quiet()?;
        self.end();
        self.go_on(self.world.now + FORGOTTEN)?;
        self.check_end()
    }

    /// Lets the world go on to this time.
    fn go_on(&mut self, until: u64) -> Result<(), String> {
        while self.world.next_at().is_some_and(|at| at <= until) {
            let token = self.world.step().unwrap_or_default();
            self.look()?;
            if self.world.steps > MOST_STEPS {
                return Err(format!("more than {MOST_STEPS} events: something goes round in circles"));
            }
            if let Some(cue) = Cue::of(token) {
                self.act(cue)?;
                self.look()?;
            }
        }
        self.world.now = self.world.now.max(until);
        Ok(())
    }

    /// Takes in all that came out.
    fn look(&mut self) -> Result<(), String> {
        self.truth.learn(&self.world.server, self.world.now)?;
        if let Some(complaint) = self.world.server.complaints.pop().or_else(|| self.world.broken.pop()) {
            return Err(complaint);
        }
        for seat in 0..self.actors.len() {
            for publish in std::mem::take(&mut self.world.seats[seat].written) {
                let name = Name::of(&publish.headers, &publish.payload);
                *self.handed.entry((seat, publish.subject, name)).or_default() += 1;
            }
            while let Some(event) = self.world.seats[seat].events.pop_front() {
                self.on_event(seat, event).map_err(|why| format!("client {seat}: {why}"))?;
            }
        }
        Ok(())
    }

    fn mark(&self, bucket: usize) -> Mark {
        self.truth.mark(&self.world.server, &self.plan.buckets[bucket].stream_name())
    }

    fn slack(&self) -> u64 {
        self.plan.weather.lateness.end + MS
    }

    // ── what clients tell

    fn on_event(&mut self, seat: usize, event: Event) -> Result<(), String> {
        match event {
            Event::Done { op, result } => self.on_done(seat, op, result),
            Event::WatchOpen { watch, result } => {
                let Some(watcher) = self.actors[seat].watches.get(&watch) else {
                    return Err(format!("WatchOpen for {watch:?}, which is unknown"));
                };
                let mark = self.mark(watcher.bucket);
                let watcher = self.actors[seat].watches.get_mut(&watch).expect("it is there");
                watcher.on_open(mark);
                if watcher.opened > 1 {
                    return Err(format!("two WatchOpen for {watch:?}"));
                }
                if let Err(error) = result {
                    self.count("watch", error.code.name());
                    self.check_end_of_watch(seat, &error)?;
                    self.actors[seat].watches.remove(&watch);
                }
                Ok(())
            }
            Event::WatchReady(watch) => {
                if let Some(watcher) = self.actors[seat].watches.get_mut(&watch)
                    && std::mem::replace(&mut watcher.is_ready, true)
                {
                    return Err(format!("{watch:?} is told to be ready twice"));
                }
                Ok(())
            }
            Event::Progress { op, done, total } => {
                let is_known = self.actors[seat].ops.contains_key(&op);
                if is_known && done <= total { Ok(()) } else { Err(format!("progress {done} of {total} of {op:?}")) }
            }
            Event::State(State::Closed(error)) => {
                let actor = &mut self.actors[seat];
                actor.closed += 1;
                match (actor.closed, actor.is_ending, error) {
                    (1, true, _) => Ok(()),
                    (1, false, Some(error)) => Err(format!("it closed by itself: {error}")),
                    (_, _, error) => Err(format!("closed unasked or twice: {error:?}")),
                }
            }
            Event::State(_) => Ok(()),
            Event::Notice(notice) => {
                self.told.notices += 1;
                if let Notice::WatchReset(watch) = notice
                    && let Some(bucket) = self.actors[seat].watches.get(&watch).map(|watcher| watcher.bucket)
                {
                    let mark = self.mark(bucket);
                    self.actors[seat].watches.get_mut(&watch).expect("it is there").on_reset(mark);
                }
                Ok(())
            }
        }
    }

    fn on_done(&mut self, seat: usize, op: OpId, result: Result<Outcome, Error>) -> Result<(), String> {
        let Some(pending) = self.actors[seat].ops.remove(&op) else {
            return Err(format!("Done for {op:?}, which is unknown or was done before"));
        };
        let Pending { call, handle, from, .. } = &pending;
        let end = match &result {
            Ok(_) => "ok",
            Err(error) => error.code.name(),
        };
        self.count(verb(call), end);
        self.check_deadline(seat, &pending)?;
        let bucket = &self.plan.buckets[handle.bucket];
        let to = self.mark(handle.bucket);
        let record = Record { call, bucket, reads_leader: handle.reads_leader, from: *from, to, known: &pending.known };
        record.judge(&self.truth, &self.plan, &result).map_err(|why| format!("{call:?}: {why}"))?;
        // What ended after the bucket was deleted was at work on it all the same.
        let is_one_stream = to.stream.is_none_or(|to| from.stream == Some(to));
        if let Some(stream) = from.stream.filter(|_| is_one_stream && !bucket.expires()) {
            let reader = Recorded { stream, bucket, keys: &self.plan.keys, reads_leader: handle.reads_leader };
            self.recorder.record(&reader, call, pending.began, &result);
        }
        self.remember(seat, &pending, to, &result)
    }

    /// Who wrote what, and what is known from now on.
    fn remember(
        &mut self,
        seat: usize,
        pending: &Pending,
        to: Mark,
        result: &Result<Outcome, Error>,
    ) -> Result<(), String> {
        let Pending { call, handle, from, .. } = pending;
        let bucket = self.plan.buckets[handle.bucket].clone();
        let mut known = Vec::new();
        let is_maybe = result.as_ref().is_err_and(|error| error.maybe_applied);
        match (call, result) {
            (Call::PutMany { items }, result) => {
                for (at, (key, value)) in items.iter().enumerate() {
                    let name = Name::of(&[], value);
                    let (is_ok, is_maybe) = match result {
                        Ok(Outcome::Written(results)) => match &results[at] {
                            Ok(revision) => {
                                known.push((bucket.subject(key), *revision));
                                (true, false)
                            }
                            Err(error) => (false, error.maybe_applied),
                        },
                        _ => (false, is_maybe),
                    };
                    self.settle((seat, bucket.subject(key), name), is_ok, is_maybe, true)?;
                }
            }
            (Call::Clear { prefix }, result) => {
                let filters = [bucket.subject(prefix), bucket.subject(&format!("{prefix}.>"))];
                let may_have = result.as_ref().map_or_else(|error| error.maybe_applied, |_| true);
                self.cleared.push(Cleared { seat, filters: filters.into(), from: *from, may_have });
            }
            (call, result) => {
                if let Some((key, name)) = judge::name_of(call) {
                    let target = (seat, bucket.subject(key), name);
                    result.as_ref().map_or_else(|error| self.check_doubt(&target, error), |_| Ok(()))?;
                    let is_blocked =
                        pending.is_blocked || self.world.is_blocked(seat) || matches!(call, Call::Touch { .. });
                    self.settle(target, result.is_ok(), is_maybe, is_blocked)?;
                } else if is_maybe && !matches!(call, Call::MakeBucket | Call::DropBucket) {
                    return Err(format!("{call:?} writes nothing, and is said to be applied, maybe"));
                }
                match (call, result) {
                    (Call::Get { revision: None, .. } | Call::Entry { .. }, Ok(Outcome::Entry(entry))) => {
                        known.push((bucket.subject(entry.key()), entry.revision));
                    }
                    (call, Ok(Outcome::Revision(revision))) => {
                        known.extend(judge::name_of(call).map(|(key, _)| (bucket.subject(key), *revision)));
                    }
                    (Call::Open, Ok(Outcome::Opened(opened))) => {
                        let handle = Handle { id: opened.bucket, ..*handle };
                        if self.actors[seat].handles.len() < 6 {
                            self.actors[seat].handles.push(handle);
                        }
                    }
                    _ => {}
                }
            }
        }
        // A revision of a bucket that was made anew meanwhile may be of either.
        if let Some(stream) = to.stream.filter(|stream| from.stream == Some(*stream)) {
            let of_handle = self.actors[seat].known.entry((handle.id.0, stream)).or_default();
            for (subject, revision) in known {
                let last = of_handle.entry(subject).or_default();
                *last = revision.max(*last);
            }
        }
        Ok(())
    }

    /// A write has ended. What is said to be applied, maybe, must at least have been handed to a transport.
    fn settle(&mut self, target: Target, is_ok: bool, is_maybe: bool, may_be_unsent: bool) -> Result<(), String> {
        let fates = self.fates.entry(target.clone()).or_default();
        fates.applied += u64::from(is_ok);
        fates.maybe += u64::from(is_maybe);
        if is_maybe && !may_be_unsent && !self.handed.contains_key(&target) {
            return Err(format!("{target:?} is said to be applied, maybe, and was never sent"));
        }
        Ok(())
    }

    /// Who was answered knows, unless an earlier frame of the same write was not answered.
    fn check_doubt(&self, target: &Target, error: &Error) -> Result<(), String> {
        let is_answered = matches!(error.code, ErrorCode::WrongRevision | ErrorCode::KeyExists | ErrorCode::BucketFull);
        let handed = self.handed.get(target).copied().unwrap_or_default();
        if is_answered && error.maybe_applied && handed < 2 {
            return Err(format!("{target:?} was answered, and is said to be applied, maybe: {error}"));
        }
        Ok(())
    }

    /// Short operations end by their deadline; long ones when nothing was heard for so long, and their parts have had their time too.
    fn check_deadline(&self, seat: usize, pending: &Pending) -> Result<(), String> {
        let Pending { call, started, timeout, .. } = pending;
        let by = if call.is_long() {
            self.world.seats[seat].last_news.max(*started) + 2 * timeout + 2 * SECOND
        } else {
            started + timeout
        };
        if self.world.now <= by + self.slack() {
            return Ok(());
        }
        let (started, timeout) = (*started as f64 / 1e9, timeout / MS);
        Err(format!("{call:?}, started at {started:.3}, has not ended within {timeout} ms"))
    }

    /// Whether there is a reason for a watch to end.
    fn check_end_of_watch(&self, seat: usize, error: &Error) -> Result<(), String> {
        let is_right = match error.code {
            ErrorCode::Closed => self.actors[seat].is_ending,
            ErrorCode::Permission => !self.plan.settings.denied.is_empty(),
            ErrorCode::BucketNotFound => self.plan.faults.recreate > 0,
            ErrorCode::Timeout => !self.plan.is_calm,
            ErrorCode::BufferFull => self.plan.clients[seat].unsent_limit < 1 << 20,
            _ => false,
        };
        if is_right { Ok(()) } else { Err(format!("a watch died: {} {error}", error.code.name())) }
    }

    fn count(&mut self, verb: &str, end: &str) {
        *self.told.ends.entry(format!("{verb} {end}")).or_default() += 1;
    }

    // ── what is done

    fn act(&mut self, cue: Cue) -> Result<(), String> {
        let now = self.world.now;
        match cue {
            Cue::Work(seat) => {
                if self.is_working {
                    self.work(seat)?;
                    let next = now + 1 + self.muse.dice.below(2 * self.plan.pace);
                    self.world.script(next, cue.token());
                }
            }
            Cue::Pull(seat) => {
                self.pull_all(seat)?;
                let next = now + 1 + self.muse.dice.below(40 * MS);
                self.world.script(next, cue.token());
            }
            Cue::Fault => {
                if self.is_working {
                    self.go_wrong();
                    self.world.script(now + 100 * MS, cue.token());
                }
            }
            Cue::Audit => {
                self.audit()?;
                self.world.script(now + 500 * MS, cue.token());
            }
        }
        Ok(())
    }

    /// One command of a client, or something about its watches.
    fn work(&mut self, seat: usize) -> Result<(), String> {
        let handle = *self.muse.dice.pick(&self.actors[seat].handles);
        let plan = self.plan.buckets[handle.bucket].clone();
        let keys = self.plan.keys.clone();
        let mark = self.mark(handle.bucket);
        match self.muse.dice.below(100) {
            0..=5 if self.actors[seat].watches.len() < 4 => return self.watch(seat, handle, mark),
            6 | 7 => {
                let watches: Vec<WatchId> = self.actors[seat].watches.keys().copied().collect();
                if let Some(watch) = watches.first().filter(|_| self.muse.dice.permille(500)) {
                    let watch = *watch;
                    self.world.tell(|| format!("client {seat} stops {watch:?}"));
                    self.world.call(seat, |c, now| c.watch_stop(watch, now));
                    self.actors[seat].watches.remove(&watch);
                }
                return Ok(());
            }
            8 | 9 => {
                let ops: Vec<OpId> = self.actors[seat].ops.keys().copied().collect();
                if !ops.is_empty() {
                    let op = *self.muse.dice.pick(&ops);
                    self.world.tell(|| format!("client {seat} cancels {}", op_name(op)));
                    self.world.call(seat, |c, now| c.cancel(op, now));
                }
                return Ok(());
            }
            _ => {}
        }
        let call = if self.plan.faults.recreate > 0 && self.muse.dice.permille(8) {
            if self.muse.dice.permille(500) { Call::DropBucket } else { Call::MakeBucket }
        } else {
            let truth = &self.truth;
            let known = |key: &str| {
                let store = mark.stream.map(|stream| &truth.past(stream).store);
                store.and_then(|store| store.last_of(&plan.subject(key))).map_or(0, |message| message.seq)
            };
            self.muse.call(&keys, &plan, known)
        };
        self.start(seat, handle, call, mark)
    }

    fn start(&mut self, seat: usize, handle: Handle, call: Call, from: Mark) -> Result<(), String> {
        let own = self.muse.dice.permille(300).then(|| Duration::from_millis(100 + self.muse.dice.below(4000)));
        let own = own.filter(|_| !self.plan.is_calm);
        let timeout = own.unwrap_or(self.plan.clients[seat].request_timeout);
        let name = self.plan.buckets[handle.bucket].name.clone();
        self.world.tell(|| format!("client {seat} {call:?} on {name}, within {timeout:?}"));
        let started = self.world.now;
        let op = self.world.call(seat, |client, now| call.start(client, handle, &name, own, now));
        match op {
            Ok(op) => {
                self.world.tell(|| format!("client {seat} that is {}", op_name(op)));
                let timeout = timeout.as_nanos() as u64;
                let is_blocked = self.world.is_blocked(seat);
                let stream = from.stream.unwrap_or(u64::MAX);
                let known = self.actors[seat].known.get(&(handle.id.0, stream)).cloned().unwrap_or_default();
                let began = self.recorder.tick();
                if matches!(call, Call::PurgeDeletes { .. }) {
                    let bucket = self.plan.buckets[handle.bucket].stream_name();
                    self.truth.purges.push((started, bucket, from.streams));
                }
                let pending = Pending { call, handle, from, known, timeout, started, began, is_blocked };
                if self.actors[seat].ops.insert(op, pending).is_some() {
                    return Err(format!("{op:?} was used before"));
                }
                self.actors[seat].most_ops = self.actors[seat].most_ops.max(self.actors[seat].ops.len());
                Ok(())
            }
            Err(error) => {
                let config = &self.plan.clients[seat];
                let is_tight = config.pending_limit < 1 << 20; // or heavy
                let is_right = match error.code {
                    ErrorCode::BufferFull => is_tight,
                    ErrorCode::Closed => self.actors[seat].is_ending,
                    ErrorCode::Unsupported => true, // a TTL where the bucket takes none
                    ErrorCode::Permission => !self.plan.settings.denied.is_empty(),
                    _ => false,
                };
                self.count(verb(&call), error.code.name());
                if is_right { Ok(()) } else { Err(format!("client {seat}: {call:?} is refused: {error}")) }
            }
        }
    }

    fn watch(&mut self, seat: usize, handle: Handle, mark: Mark) -> Result<(), String> {
        let (filters, options) = self.muse.watch(&self.plan.keys, mark.last_seq);
        let texts: Vec<&str> = filters.iter().map(String::as_str).collect();
        let config = &self.plan.clients[seat];
        let is_split = filters.len() > config.max_filters;
        let open_by = self.world.now + config.request_timeout.as_nanos() as u64 + self.slack();
        let watch = self.world.call(seat, |c, now| c.watch(handle.id, &texts, options, now));
        self.world.tell(|| format!("client {seat} watches {filters:?} with {options:?}: {watch:?}"));
        match watch {
            Ok(watch) => {
                let bucket = &self.plan.buckets[handle.bucket];
                let mut watcher = Watcher::new(handle.bucket, bucket, &filters, options, is_split, mark, open_by);
                watcher.appetite = (1 + self.muse.dice.below(20), *self.muse.dice.pick(&[1000, 1000, 300, 50, 5]));
                self.actors[seat].watches.insert(watch, watcher);
                Ok(())
            }
            Err(error) if matches!(error.code, ErrorCode::BufferFull | ErrorCode::Closed | ErrorCode::Permission) => {
                Ok(())
            }
            Err(error) => Err(format!("client {seat}: watch is refused: {error}")),
        }
    }

    /// Readers take what is there, as far as they feel like it.
    fn pull_all(&mut self, seat: usize) -> Result<(), String> {
        let watches: Vec<WatchId> = self.actors[seat].watches.keys().copied().collect();
        for watch in watches {
            let Some(watcher) = self.actors[seat].watches.get(&watch) else { continue };
            let (most, chance) = watcher.appetite;
            if !watcher.is_ready || (self.is_working && !self.muse.dice.permille(chance)) {
                continue;
            }
            for _ in 0..most {
                let item = self.world.call(seat, |c, now| c.watch_next(watch, now));
                self.world.tell(|| format!("client {seat} {watch:?} gives {item:?}"));
                let Some(watcher) = self.actors[seat].watches.get_mut(&watch) else { break };
                let Some(item) = item else {
                    watcher.is_ready = false;
                    break;
                };
                self.told.items += 1;
                let plan = &self.plan.buckets[watcher.bucket];
                watcher.on_item(item, plan, &self.truth).map_err(|why| format!("client {seat}, {watch:?}: {why}"))?;
                if let Some(error) = watcher.ended.clone() {
                    self.check_end_of_watch(seat, &error)?;
                }
                self.look()?;
            }
        }
        Ok(())
    }

    /// Nothing hangs, and nothing grows beyond its bounds.
    fn audit(&self) -> Result<(), String> {
        for (seat, actor) in self.actors.iter().enumerate() {
            for pending in actor.ops.values() {
                self.check_deadline(seat, pending).map_err(|why| format!("client {seat}: {why}"))?;
            }
            for (watch, watcher) in &actor.watches {
                if watcher.opened == 0 && self.world.now > watcher.open_by {
                    return Err(format!("client {seat}: {watch:?} is neither established nor failed in its time"));
                }
            }
            let held = self.world.bytes_of(seat);
            let most = self.most_bytes(seat);
            if held > most {
                return Err(format!("client {seat}: holds {held} bytes, at most {most} by its configuration"));
            }
        }
        Ok(())
    }

    /// What a client's configuration, and what it was asked for, let it hold.
    fn most_bytes(&self, seat: usize) -> i64 {
        let (config, actor) = (&self.plan.clients[seat], &self.actors[seat]);
        // Buffers double when they grow; an entry has its key and headers too; one value may be larger than the limit.
        let largest = self.plan.largest_value as i64 + 1000;
        let watches = actor.watches.len() as i64 * (4 * config.watch_limit.min(1 << 20) as i64 + 4 * largest);
        let keys = self.plan.keys.len() as i64;
        let of_op = |pending: &Pending| match &pending.call {
            Call::History { .. } | Call::Execute { .. } => 4 * 64 * largest,
            Call::Entries { .. } | Call::GetMany { .. } => 8 * keys * largest,
            Call::PutMany { items } => 4 * items.len() as i64 * largest,
            _ => 4 * largest,
        };
        let ops: i64 = actor.ops.values().map(of_op).sum();
        let unsent = 4 * (config.pending_limit.min(1 << 20) + config.unsent_limit.min(1 << 20)) as i64;
        let tables = PER_HANDLE * actor.handles.len() as i64 + PER_OPERATION * actor.most_ops as i64;
        OWN + tables + watches + ops + unsent + 8 * largest
    }

    // ── what goes wrong

    fn go_wrong(&mut self) {
        let faults = self.plan.faults.clone();
        for seat in 0..self.actors.len() {
            if self.muse.dice.permille(faults.cut) && self.world.is_linked(seat) {
                let kinds = [
                    Cut::Reset,
                    Cut::Reset,
                    Cut::Silent { server_after: self.muse.dice.below(8 * SECOND) },
                    Cut::Deaf,
                    Cut::Mute,
                ];
                let cut = *self.muse.dice.pick(&kinds);
                self.world.cut(seat, cut);
            }
            if self.muse.dice.permille(faults.block) {
                let time = self.muse.dice.below(2 * SECOND);
                self.world.block(seat, time);
            }
            if self.muse.dice.permille(faults.sleep) {
                self.world.tell(|| format!("client {seat} sleeps or wakes"));
                self.world.call(seat, |c, now| c.sleep(now));
                self.world.call(seat, |c, now| c.wake(now));
            }
        }
        if self.muse.dice.permille(faults.kill) {
            let node = self.muse.dice.below(self.plan.settings.nodes as u64) as usize;
            if self.world.server.is_up(node) {
                self.world.tell(|| format!("node {node} dies"));
                self.world.serve(|server, now| server.kill(node, now));
            }
        }
        for node in 0..self.plan.settings.nodes {
            if !self.world.server.is_up(node) && self.muse.dice.permille(80) {
                self.world.tell(|| format!("node {node} is up again"));
                self.world.serve(|server, now| server.start(node, now));
            }
        }
        let streams = self.world.server.streams.len() as u64;
        if self.muse.dice.permille(faults.elect) {
            let id = self.muse.dice.below(streams);
            self.world.tell(|| format!("stream {id} loses its leader"));
            self.world.serve(|server, now| server.elect(id, now));
        }
        if self.muse.dice.permille(faults.lose_consumer) {
            let is_lost = self.world.serve(|server, now| server.lose_consumer(now));
            self.world.tell(|| format!("a consumer is lost: {is_lost}"));
        }
        if self.muse.dice.permille(faults.lame_duck) {
            let node = self.muse.dice.below(self.plan.settings.nodes as u64) as usize;
            self.world.tell(|| format!("node {node} is a lame duck"));
            let grace = self.muse.dice.below(2 * SECOND);
            self.world.serve(|server, now| server.lame_duck(node, grace, now));
        }
        if self.muse.dice.permille(faults.recreate) {
            let bucket = self.muse.dice.pick(&self.plan.buckets).clone();
            let name = bucket.stream_name();
            if self.world.server.stream(&name).is_some() {
                self.operate(&format!("STREAM.DELETE.{name}"), &serde_json::json!({}));
            }
            if self.muse.dice.permille(700) {
                self.operate(&format!("STREAM.CREATE.{name}"), &bucket.stream);
            }
        }
    }

    fn operate(&mut self, endpoint: &str, body: &serde_json::Value) {
        self.world.tell(|| format!("an operator: {endpoint}"));
        self.world.serve(|server, now| server.operate(endpoint, body, now));
    }

    /// The weather clears up, and nobody has anything more to do.
    fn heal(&mut self) {
        self.world.tell(|| "── the work is done, the weather clears up".into());
        self.is_working = false;
        self.world.weather = Weather {
            chunks: self.plan.weather.chunks,
            lateness: self.plan.weather.lateness.clone(),
            ..Weather::default()
        };
        self.world.server.settings.unanswered = 0;
        for node in 0..self.plan.settings.nodes {
            if !self.world.server.is_up(node) {
                self.world.serve(|server, now| server.start(node, now));
            }
        }
        for bucket in self.plan.buckets.clone() {
            let name = bucket.stream_name();
            if self.world.server.stream(&name).is_none() {
                self.world.server.settings.folder = 0..1;
                self.operate(&format!("STREAM.CREATE.{name}"), &bucket.stream);
            }
        }
    }

    // ── the end

    fn check_quiet(&self) -> Result<(), String> {
        for (seat, actor) in self.actors.iter().enumerate() {
            if let Some((op, pending)) = actor.ops.first_key_value() {
                return Err(format!("client {seat}: {op:?} never ended: {pending:?}"));
            }
            for (watch, watcher) in &actor.watches {
                let plan = &self.plan.buckets[watcher.bucket];
                let Some(stream) = self.mark(watcher.bucket).stream else { continue };
                watcher
                    .check_converged(stream, plan, &self.truth)
                    .map_err(|why| format!("client {seat}: {watch:?}: {why}"))?;
            }
            let handles: BTreeSet<u32> = actor.handles.iter().map(|handle| handle.id.0).collect();
            let tables = PER_HANDLE * handles.len() as i64 + PER_OPERATION * actor.most_ops as i64;
            let (held, most) = (self.world.bytes_of(seat), AT_REST + tables + 20 * self.plan.largest_value as i64);
            if held > most {
                return Err(format!("client {seat}: holds {held} bytes when all is quiet, at most {most} are its own"));
            }
        }
        Ok(())
    }

    /// Each client ends in one of the ways it can.
    fn end(&mut self) {
        for seat in 0..self.actors.len() {
            self.actors[seat].is_ending = true;
            match self.muse.dice.below(3) {
                0 => {
                    let watches: Vec<WatchId> = self.actors[seat].watches.keys().copied().collect();
                    for watch in watches {
                        self.world.call(seat, |c, now| c.watch_stop(watch, now));
                        self.actors[seat].watches.remove(&watch);
                    }
                    self.world.call(seat, |c, now| c.drain(now));
                }
                1 => self.world.call(seat, |c, now| c.drain(now)),
                _ => self.world.call(seat, |c, now| c.close(now)),
            }
        }
    }

    fn check_end(&self) -> Result<(), String> {
        for (seat, actor) in self.actors.iter().enumerate() {
            if actor.closed != 1 {
                return Err(format!("client {seat}: closed {} times", actor.closed));
            }
        }
        let left = self.world.server.consumer_count();
        if left > 0 {
            return Err(format!("{left} consumers were left behind"));
        }
        // Of a bucket that was made anew, nobody can say for each operation which one it met.
        let names: Vec<&str> = self.truth.pasts.iter().map(|past| past.name.as_str()).collect();
        let is_only = |id: u64| names.iter().filter(|name| **name == names[id as usize]).count() == 1;
        self.recorder.check(is_only)?;
        self.check_fates()
    }

    /// Every stored message is somebody's: as often as its writer said, and no more than it said to be possible.
    fn check_fates(&self) -> Result<(), String> {
        let mut stored: BTreeMap<Target, BTreeMap<usize, u64>> = BTreeMap::new();
        let mut clearable: BTreeMap<Target, u64> = BTreeMap::new();
        for (id, past) in self.truth.pasts.iter().enumerate() {
            for (index, message) in past.stored.values().filter(|(_, message)| message.conn > 0) {
                let Some(seat) = self.world.seat_of(message.conn) else { continue };
                let target = (seat, message.subject.to_string(), Name::of(&message.headers, &message.payload));
                let is_its = |cleared: &&Cleared| {
                    let is_after = (cleared.from.stream.unwrap_or_default(), cleared.from.index) <= (id as u64, *index);
                    cleared.seat == seat
                        && cleared.may_have
                        && is_after
                        && cleared.filters.iter().any(|filter| natskv_kit::fake::matches(filter, &message.subject))
                };
                if matches!(target.2, Name::Purge(_)) {
                    *clearable.entry(target.clone()).or_default() += self.cleared.iter().filter(is_its).count() as u64;
                }
                *stored.entry(target).or_default().entry(id).or_default() += 1;
            }
        }
        let targets: BTreeSet<&Target> = stored.keys().chain(self.fates.keys()).collect();
        for target in targets {
            let none = BTreeMap::new();
            let by_stream = stored.get(target).unwrap_or(&none).values();
            // A bucket that is made anew has forgotten which message ids it had.
            let is_retried = self.plan.clients[target.0].retry_writes;
            let count: u64 = by_stream.clone().sum();
            let at_once = if is_retried { by_stream.max().copied().unwrap_or_default() } else { count };
            let fates = self.fates.get(target).copied().unwrap_or_default();
            let most = fates.applied + fates.maybe + clearable.get(target).copied().unwrap_or_default();
            if count < fates.applied || at_once > most {
                return Err(format!("{target:?} was stored {count} times; said were {fates:?}"));
            }
        }
        Ok(())
    }
}

fn verb(call: &Call) -> &'static str {
    match call {
        Call::Put { .. } => "put",
        Call::Update { .. } => "update",
        Call::Create { .. } => "create",
        Call::Delete { .. } => "delete",
        Call::Purge { .. } => "purge",
        Call::Touch { .. } => "touch",
        Call::Get { .. } => "get",
        Call::Entry { .. } => "entry",
        Call::History { .. } => "history",
        Call::Keys { .. } => "keys",
        Call::Count { .. } => "count",
        Call::Entries { .. } => "entries",
        Call::GetMany { .. } => "get_many",
        Call::PutMany { .. } => "put_many",
        Call::Clear { .. } => "clear",
        Call::PurgeDeletes { .. } => "purge_deletes",
        Call::Execute { .. } => "execute",
        Call::Status => "status",
        Call::Open => "open",
        Call::MakeBucket => "create_bucket",
        Call::DropBucket => "delete_bucket",
        Call::Names => "bucket_names",
        Call::Flush => "flush",
        Call::Ready => "ready",
    }
}
