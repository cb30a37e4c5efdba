//! The only public door of core. It routes: commands to the verb's file, bytes to the request or consumer they answer, time to
//! whoever armed a timer. It decides nothing itself.

mod route;

use alloc::{boxed::Box, collections::VecDeque, format, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    config::Config,
    error::{Error, ErrorCode},
    event::{
        Action, BucketId, Compare, ConnId, Event, Lost, OnDrift, OpId, Outcome, State, Stats, WatchId, WatchItem,
        WatchOptions,
    },
    kv::{
        admin::Task,
        bucket::{Bucket, DEFAULT_API, HandleOptions},
        clear::Clear,
        command::{self, Operation},
        config::BucketConfig,
        create::Create,
        get::Wants,
        get_many::GetMany,
        history::History,
        key,
        list::What,
        op::{Limits, Listener, Op, Subscription, Verb, subscribe},
        policy::KeyPolicy,
        purge_deletes::PurgeDeletes,
        put_many::PutMany,
        touch::Touch,
        ttl,
        watch::{self, Watch},
        write::{Kind, What as Written, about},
    },
    mux::{Bounds, Net},
    proto::{info::ServerInfo, subject},
    rng::Rng,
    session::{
        Read, Session,
        auth::{Credentials, Signature},
    },
    shown::{Quoted, Span},
    slab::Slab,
    time::Instant,
    timers::Timer,
};

/// Durations beyond this are mistakes of unit.
const MAX_TIMEOUT: Duration = Duration::from_secs(100 * 366 * 86_400);

/// Consumers of one watch.
const MAX_MEMBERS: usize = 64;

/// The whole client. One owner; bindings put it behind a Mutex or RefCell. The contract is in the crate's documentation.
#[derive(Debug)]
pub struct Client {
    net: Net,
    buckets: Vec<Bucket>,
    ops: Slab<Option<Op>>,
    watches: Slab<Watch>,
    consumers: Slab<Option<Subscription>>,
    /// Subscription number and consumer, sorted: a later subscription has a greater number.
    sids: Vec<(u64, u64)>,
    /// Consumers whose subscription the server may have refused; see `on_too_many`.
    doubted: Vec<u64>,
    events: VecDeque<Event>,
    state: State,
    limits: Limits,
    max_operations: usize,
    watch_limit: usize,
    drain_timeout: Duration,
    drain_deadline: Option<Instant>,
    /// Closed but for consumers whose creation is still to be answered: only then can they be deleted.
    lingers_until: Option<Instant>,
    now: Instant,
}

impl Client {
    /// Checks `config` and asks for the first connection at once.
    pub fn new(config: Config, entropy: [u8; 32], now: Instant) -> Result<Self, Error> {
        let api_prefix = check(&config)?;
        let mut rng = Rng::new(&entropy);
        let limits = Limits {
            heartbeat: config.watch_heartbeat,
            inactive_threshold: config.inactive_threshold,
            request_timeout: config.request_timeout,
            max_filters: config.max_filters.max(1),
            max_in_flight: config.max_in_flight.max(1),
            seen_keys: config.seen_keys,
            retry_writes: config.retry_writes,
        };
        let (max_operations, watch_limit) = (config.max_operations.min(Slab::<Op>::MAX / 4), config.watch_limit);
        let (bounds, drain_timeout, inbox_prefix) = (
            Bounds { waiting: config.pending_limit, unsent: config.unsent_limit },
            config.drain_timeout,
            config.inbox_prefix.clone(),
        );
        // The inbox's name is drawn first, from entropy nobody has seen a part of.
        let inbox_rng = Rng::new(&entropy);
        for _ in 0..64 {
            rng.next();
        }
        let session = Session::new(config, &mut rng, now)?;
        let mut client = Self {
            net: Net::new(session, inbox_rng, api_prefix, inbox_prefix, bounds),
            buckets: Vec::new(),
            ops: Slab::new(),
            watches: Slab::new(),
            consumers: Slab::new(),
            sids: Vec::new(),
            doubted: Vec::new(),
            events: VecDeque::new(),
            state: State::Connecting,
            limits,
            max_operations,
            watch_limit,
            drain_timeout,
            drain_deadline: None,
            lingers_until: None,
            now,
        };
        client.tell_states();
        Ok(client)
    }

    // ── commands: `timeout` None is Config::request_timeout. Bad arguments fail here; all else comes in Done.

    /// Done (Unit) when the client is connected, or with the error that closed it.
    pub fn ready(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        let op = self.start(timeout, now, |_| Ok(Verb::Ready))?;
        if self.net.session.is_ready() {
            self.finish(op.0, Ok(Outcome::Unit));
        }
        Ok(op)
    }

    /// PING, and Done (RoundTrip) at its PONG: everything sent before has reached the server.
    pub fn flush(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        self.start(timeout, now, |cx| {
            let is_sent = cx.net.session.is_ready();
            if is_sent {
                cx.net.session.flush(cx.op, cx.now);
            }
            Ok(Verb::Flush { is_sent })
        })
    }

    /// A handle without asking the server: a plain bucket is assumed, its history unknown, unless the bucket was opened before.
    /// A mirror has to be opened by asking, since its keys stand under its origin's name; so has a bucket whose keys have a codec,
    /// unless `handle` names it.
    pub fn bind(&mut self, bucket: &str, handle: &HandleOptions) -> Result<BucketId, Error> {
        key::check_bucket(bucket)?;
        let known = self.buckets.iter().position(|known| known.name == bucket && known.options == *handle);
        let index = known.unwrap_or_else(|| {
            self.buckets.push(Bucket::bound(bucket, &self.net.api_prefix, *handle));
            self.buckets.len() - 1
        });
        Ok(BucketId(index as u32))
    }

    /// Done (Opened), or BUCKET_NOT_FOUND, NOT_A_BUCKET; UNSUPPORTED where its metadata names a codec that is not known.
    pub fn open(
        &mut self,
        bucket: &str,
        handle: &HandleOptions,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        key::check_bucket(bucket)?;
        self.admin(bucket, Task::Open { handle: *handle }, timeout, now)
    }

    /// Done (Opened). An existing bucket that is equal (by `compare`) is opened; what happens to one that differs says `on_drift`.
    pub fn create_bucket(
        &mut self,
        config: &BucketConfig,
        handle: &HandleOptions,
        compare: Compare,
        on_drift: OnDrift,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        config.check()?;
        let task = Task::Create { config: config.clone(), handle: *handle, compare, on_drift };
        self.admin(&config.bucket, task, timeout, now)
    }

    /// Changes the fields that are given. Done (Opened), or BUCKET_NOT_FOUND.
    pub fn update_bucket(
        &mut self,
        config: &BucketConfig,
        handle: &HandleOptions,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        config.check()?;
        let task = Task::Update { config: config.clone(), handle: *handle, creates: false };
        self.admin(&config.bucket, task, timeout, now)
    }

    /// Updates, or creates where there is none. Done (Opened).
    pub fn create_or_update_bucket(
        &mut self,
        config: &BucketConfig,
        handle: &HandleOptions,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        config.check()?;
        let task = Task::Update { config: config.clone(), handle: *handle, creates: true };
        self.admin(&config.bucket, task, timeout, now)
    }

    /// Done (Unit), or BUCKET_NOT_FOUND.
    pub fn delete_bucket(&mut self, bucket: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        key::check_bucket(bucket)?;
        self.admin(bucket, Task::Delete, timeout, now)
    }

    /// Done (Names), sorted; mirrors included.
    pub fn bucket_names(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        self.admin("", Task::Names { found: Vec::new() }, timeout, now)
    }

    /// Done (Statuses), sorted by name; mirrors included.
    pub fn bucket_list(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        self.admin("", Task::List { found: Vec::new() }, timeout, now)
    }

    /// Done (Status).
    pub fn status(&mut self, bucket: BucketId, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> {
        let Bucket { name, options, keys, .. } = self.bucket(bucket)?.1;
        let (name, handle) = (name.clone(), HandleOptions { keys: Some(*keys), ..*options });
        self.admin(&name, Task::Status { handle }, timeout, now)
    }

    /// The live value, or the one at `revision`. Done (Entry), or KEY_NOT_FOUND (also for markers).
    pub fn get(
        &mut self,
        bucket: BucketId,
        key: &str,
        revision: Option<u64>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        check_revision(revision)?;
        self.read(bucket, key, Wants { revision, ..Wants::default() }, timeout, now)
    }

    /// The newest entry, marker or not. Done (Entry), or KEY_NOT_FOUND.
    pub fn entry(
        &mut self,
        bucket: BucketId,
        key: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.read(bucket, key, Wants { markers: true, ..Wants::default() }, timeout, now)
    }

    /// Done (Revision). `ttl`: at least 1 s, in buckets with `limit_marker_ttl` that keep one revision a key.
    pub fn put(
        &mut self,
        bucket: BucketId,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.write(bucket, Written { kind: Kind::Put, key, value, expected: None, ttl }, timeout, now)
    }

    /// Many puts, so many in flight that the server is busy. Done (Written): a result for each, in the order given. Bad arguments fail
    /// the whole call, and nothing is sent. `timeout` is the longest silence: what was not sent by then fails with TIMEOUT.
    pub fn put_many(
        &mut self,
        bucket: BucketId,
        items: &[(&str, &[u8])],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, opened) = self.bucket(bucket)?;
        let mut many = PutMany::new(index);
        for (key, value) in items {
            let key = opened.writable(key)?;
            opened.check_size(value.len()).map_err(|error| about(&key, error))?;
            many.add(&key, value);
        }
        let op = self.start_long(timeout, now, |_| Ok(Verb::PutMany(Box::new(many))))?;
        if items.is_empty() {
            self.finish(op.0, Ok(Outcome::Written(Vec::new())));
        }
        Ok(op)
    }

    /// The same value again, which now lives for `ttl` (at least 1 s, where `put` takes one). Done (Revision), or KEY_NOT_FOUND.
    pub fn touch(
        &mut self,
        bucket: BucketId,
        key: &str,
        ttl: Duration,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        ttl::header(ttl)?;
        let (index, bucket) = self.bucket(bucket)?;
        let touch = Touch::new(index, &bucket.writable(key)?, ttl);
        self.start_long(timeout, now, |_| Ok(Verb::Touch(Box::new(touch))))
    }

    /// Done (Revision), or KEY_EXISTS. `ttl`: at least 1 s, in buckets with `limit_marker_ttl`.
    pub fn create(
        &mut self,
        bucket: BucketId,
        key: &str,
        value: &[u8],
        ttl: Option<Duration>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let key = bucket.writable(key)?;
        self.start(timeout, now, |cx| Create::start(cx, index, &key, value, ttl).map(Verb::Create))
    }

    /// Done (Revision), or WRONG_REVISION. `ttl` as for `put`.
    #[expect(clippy::too_many_arguments, reason = "a call spelt out, as its siblings are")]
    pub fn update(
        &mut self,
        bucket: BucketId,
        key: &str,
        value: &[u8],
        revision: u64,
        ttl: Option<Duration>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        if revision == 0 {
            return Err(Error::argument("revision: 0 is no revision; use create for a key that must not exist"));
        }
        self.write(bucket, Written { kind: Kind::Put, key, value, expected: Some(revision), ttl }, timeout, now)
    }

    /// Done (Revision of the marker), or WRONG_REVISION when `expected` is given.
    pub fn delete(
        &mut self,
        bucket: BucketId,
        key: &str,
        expected: Option<u64>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        check_revision(expected)?;
        self.write(bucket, Written { kind: Kind::Delete, key, value: &[], expected, ttl: None }, timeout, now)
    }

    /// Done (Revision of the marker), or WRONG_REVISION when `expected` is given. `ttl`: how long the marker stays.
    pub fn purge(
        &mut self,
        bucket: BucketId,
        key: &str,
        expected: Option<u64>,
        ttl: Option<Duration>,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        check_revision(expected)?;
        self.write(bucket, Written { kind: Kind::Purge, key, value: &[], expected, ttl }, timeout, now)
    }

    /// All kept revisions, oldest first, markers included. Done (Entries), or KEY_NOT_FOUND. `timeout` is the longest silence.
    pub fn history(
        &mut self,
        bucket: BucketId,
        key: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let key = bucket.readable(key)?;
        self.start_long(timeout, now, |cx| Ok(Verb::History(Box::new(History::start(cx, index, &key)?))))
    }

    /// The live values of these keys; filters may stand among them. Keys without a value are left out. Done (Many). `timeout` is the
    /// longest silence.
    pub fn get_many(
        &mut self,
        bucket: BucketId,
        keys: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        let filters = bucket.reduced(keys)?;
        if keys.is_empty() {
            let op = self.start(timeout, now, |_| Ok(Verb::Ready))?;
            self.finish(op.0, Ok(Outcome::Many { entries: Vec::new(), as_of: None }));
            return Ok(op);
        }
        self.start_long(timeout, now, |cx| Ok(Verb::GetMany(Box::new(GetMany::start(cx, index, filters)?))))
    }

    /// The newest entry of each live key that matches any filter (none given: all), in the order of revisions. Done (Entries).
    /// `timeout` is the longest silence.
    pub fn entries(
        &mut self,
        bucket: BucketId,
        filters: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.list(bucket, What::Current, filters, timeout, now)
    }

    /// How many live keys match any filter (none given: all). Done (Count). `timeout` is the longest silence.
    pub fn count(
        &mut self,
        bucket: BucketId,
        filters: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.list(bucket, What::Count, filters, timeout, now)
    }

    /// Purges the key `prefix` and all keys under it (`prefix.>`); with wildcards it is a filter. Each key is purged only if nobody
    /// wrote it since it was listed. Markers stay, until `purge_deletes`. Done (Purged). `timeout` is the longest silence.
    pub fn clear(
        &mut self,
        bucket: BucketId,
        prefix: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, opened) = self.bucket(bucket)?;
        opened.check_writable()?;
        let mut keys = opened.reduced(&[prefix])?;
        if !subject::is_filter(&keys[0]) {
            keys.push(format!("{}.>", keys[0]));
        }
        self.start_long(timeout, now, |cx| Ok(Verb::Clear(Box::new(Clear::start(cx, index, &keys)?))))
    }

    /// Live keys that match any filter (none given: all), sorted. Done (Names). `timeout` is the longest silence.
    pub fn keys(
        &mut self,
        bucket: BucketId,
        filters: &[&str],
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.list(bucket, What::Keys, filters, timeout, now)
    }

    /// Removes markers older than `older_than` with all that is under them, never anything newer. Of younger markers only what is
    /// under them goes. Done (Purged). `timeout` is the longest silence.
    pub fn purge_deletes(
        &mut self,
        bucket: BucketId,
        older_than: Duration,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        let (index, bucket) = self.bucket(bucket)?;
        bucket.check_writable()?;
        self.start_long(timeout, now, |cx| {
            Ok(Verb::PurgeDeletes(Box::new(PurgeDeletes::start(cx, index, older_than)?)))
        })
    }

    /// SPEC.md's JSON operation. Done (Json), whose text is the reply, also where the operation failed or its object is wrong.
    pub fn execute(
        &mut self,
        bucket: BucketId,
        operation: &str,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        self.bucket(bucket)?;
        let started = Operation::parse(operation).and_then(|operation| {
            let op = self.dispatch(bucket, &operation, timeout, now)?;
            let form = operation.reply_form();
            if let Some(slot) = self.op_mut(op.0) {
                slot.reply_form = Some(form);
            } else if let Some(Event::Done { op: ended, result }) = self.events.back_mut()
                && *ended == op
            {
                // There was nothing to ask the server, such as for no keys at all.
                let name = &self.buckets[bucket.0 as usize].name;
                let outcome = core::mem::replace(result, Ok(Outcome::Json(String::new())));
                *result = Ok(Outcome::Json(command::reply(name, &form, outcome)));
            }
            Ok(op)
        });
        match started {
            Err(error) if !matches!(error.code, ErrorCode::Closed | ErrorCode::BufferFull) => {
                let op = self.start(timeout, now, |_| Ok(Verb::Ready))?;
                self.finish(op.0, Ok(Outcome::Json(error.to_json())));
                Ok(op)
            }
            other => other,
        }
    }

    fn dispatch(
        &mut self,
        bucket: BucketId,
        operation: &Operation,
        timeout: Option<Duration>,
        now: Instant,
    ) -> Result<OpId, Error> {
        match operation {
            Operation::Put { key, value, ttl } => self.put(bucket, key, value, *ttl, timeout, now),
            Operation::Get { key, revision } => self.get(bucket, key, *revision, timeout, now),
            Operation::Create { key, value, ttl } => self.create(bucket, key, value, *ttl, timeout, now),
            Operation::Update { key, value, revision, ttl } => {
                self.update(bucket, key, value, *revision, *ttl, timeout, now)
            }
            Operation::Touch { key, ttl } => self.touch(bucket, key, *ttl, timeout, now),
            Operation::GetMany { keys } => self.get_many(bucket, &strs(keys), timeout, now),
            Operation::PutMany { items } => {
                let items: Vec<_> = items.iter().map(|(key, value)| (key.as_str(), value.as_slice())).collect();
                self.put_many(bucket, &items, timeout, now)
            }
            Operation::Entries { filters } => self.entries(bucket, &strs(filters), timeout, now),
            Operation::Count { filters } => self.count(bucket, &strs(filters), timeout, now),
            Operation::Clear { prefix } => self.clear(bucket, prefix, timeout, now),
            Operation::PurgeDeletes { older_than } => self.purge_deletes(bucket, *older_than, timeout, now),
            Operation::Delete { key, revision } => self.delete(bucket, key, *revision, timeout, now),
            Operation::Purge { key, revision, ttl } => self.purge(bucket, key, *revision, *ttl, timeout, now),
            Operation::History { key, .. } => self.history(bucket, key, timeout, now),
            Operation::List { filters } => self.keys(bucket, &strs(filters), timeout, now),
            Operation::Watch { filters } => self.entries(bucket, &strs(filters), timeout, now),
        }
    }

    /// Ends the operation: Done (Err CANCELLED) if it is still in flight. Unknown ids are ignored.
    pub fn cancel(&mut self, op: OpId, now: Instant) {
        self.advance(now);
        let exposed = self.is_exposed(op.0);
        self.finish(op.0, Err(Error::from_code(ErrorCode::Cancelled).maybe_applied(exposed)));
        self.close_if_idle();
    }

    /// Starts a watch on the keys that match any filter (none given: all).
    pub fn watch(
        &mut self,
        bucket: BucketId,
        filters: &[&str],
        options: WatchOptions,
        now: Instant,
    ) -> Result<WatchId, Error> {
        self.advance(now);
        self.check_open()?;
        let policy = watch::policy(&options)?;
        let (index, bucket) = self.bucket(bucket)?;
        let keys = bucket.reduced(filters)?;
        let timeout = check_timeout(options.timeout)?.unwrap_or(self.limits.request_timeout);
        if self.watches.len() >= self.max_operations {
            return Err(too_many(self.max_operations));
        }
        let members = keys.len().div_ceil(self.limits.max_filters);
        if members > MAX_MEMBERS {
            let most = MAX_MEMBERS * self.limits.max_filters;
            return Err(Error::argument(format!("watch: {} filters, at most {most} are watched at once", keys.len())));
        }
        let id = self.watches.insert(Watch::new(index, &options, self.watch_limit, self.now + timeout));
        for keys in keys.chunks(self.limits.max_filters) {
            let mut plan = self.buckets[index].plan(keys, &self.limits);
            plan.policy = policy;
            plan.is_headers_only = options.meta_only;
            plan.is_lasting = true;
            let filters = plan.filters.clone();
            match subscribe(&mut self.consumers, &mut self.net, plan, Listener::Watch(id), self.now) {
                Ok(consumer) => {
                    if let Some(watch) = self.watches.get_mut(id) {
                        watch.add(consumer, filters);
                    }
                    self.net.timers.arm(self.now + timeout, Timer::Consumer(consumer));
                    self.index_sid(consumer, 0);
                }
                Err(error) => {
                    self.stop_members(id);
                    self.watches.remove(id);
                    return Err(error);
                }
            }
        }
        Ok(WatchId(id))
    }

    /// The next item, if one is there. Taking items is what lets the server send more.
    pub fn watch_next(&mut self, watch: WatchId, now: Instant) -> Option<WatchItem> {
        self.advance(now);
        let item = self.watches.get_mut(watch.0)?.next(&mut self.net);
        self.resume_paused(watch.0);
        item
    }

    /// Ends the watch and its consumer on the server. Unknown ids are ignored.
    pub fn watch_stop(&mut self, watch: WatchId, now: Instant) {
        self.advance(now);
        self.stop_members(watch.0);
        self.watches.remove(watch.0);
    }

    /// No new operations; finishes those in flight, ends the watches, then closes. Longest for `Config::drain_timeout`: what is not
    /// finished by then fails with TIMEOUT, which is also the error of `State::Closed`.
    pub fn drain(&mut self, now: Instant) {
        self.begin_drain(self.drain_timeout, now);
    }

    /// The same, with a time of its own.
    pub fn drain_within(&mut self, timeout: Duration, now: Instant) -> Result<(), Error> {
        check_timeout(Some(timeout))?;
        self.begin_drain(timeout, now);
        Ok(())
    }

    fn begin_drain(&mut self, timeout: Duration, now: Instant) {
        self.advance(now);
        if self.drain_deadline.is_some() || self.check_open().is_err() {
            return;
        }
        self.drain_deadline = Some(self.now + timeout);
        self.set_state(State::Draining);
        self.end_watches(&Error::from_code(ErrorCode::Closed));
        self.close_if_idle();
    }

    /// Ends everything now: operations in flight fail with CLOSED, consumers of ours are deleted on the way out. Where one is just being
    /// made, `State::Closed` comes when the server has answered, or a second later: it cannot be deleted before.
    pub fn close(&mut self, now: Instant) {
        self.advance(now);
        self.end(None);
    }

    /// Gives the connection up and makes no other until [`Client::wake`]: for a page that is about to be frozen. The server then
    /// removes our consumers by their inactive threshold, instead of holding them for a client that answers nothing.
    pub fn sleep(&mut self, now: Instant) {
        self.advance(now);
        let change = self.net.session.sleep(&mut self.net.rng, self.now);
        self.apply(change);
        self.close_if_idle();
    }

    /// Says that time may have been lost or the network be another one (a page thawed, a laptop opened, online again): a wait between
    /// attempts to connect ends now, and a connection that does not answer within `Config::connect_timeout` counts as lost.
    pub fn wake(&mut self, now: Instant) {
        self.advance(now);
        self.net.session.wake(self.now);
        self.handle_timeout(self.now);
    }

    // ── inputs: an older ConnId is ignored

    /// The transport asked for is open.
    pub fn transport_open(&mut self, conn: ConnId, now: Instant) {
        self.advance(now);
        if self.net.session.is_current(conn) {
            self.net.session.on_open(&mut self.net.rng);
        }
    }

    /// TLS asked for by `Action::StartTls` is up.
    pub fn transport_secured(&mut self, conn: ConnId, now: Instant) {
        self.advance(now);
        if self.net.session.is_current(conn) {
            let change = self.net.session.on_secured(&mut self.net.rng, self.now);
            self.apply(change);
        }
    }

    /// The answer to `Action::Credentials`. An error ends this attempt to connect, not the client.
    pub fn credentials(&mut self, conn: ConnId, given: Result<Credentials, Error>, now: Instant) {
        self.advance(now);
        if self.net.session.is_current(conn) {
            let change = self.net.session.on_credentials(given, &mut self.net.rng, self.now);
            self.apply(change);
        }
    }

    /// The answer to `Action::Sign`. An error ends this attempt to connect, not the client.
    pub fn signature(&mut self, conn: ConnId, given: Result<Signature, Error>, now: Instant) {
        self.advance(now);
        if self.net.session.is_current(conn) {
            let change = self.net.session.on_signature(given, &mut self.net.rng, self.now);
            self.apply(change);
        }
    }

    /// Bytes from the server, cut anywhere.
    pub fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Instant) {
        self.advance(now);
        if !self.net.session.is_current(conn) {
            return;
        }
        let mut rest = bytes;
        while self.net.session.is_current(conn) {
            match self.net.session.read(&mut rest, &mut self.net.rng, self.now) {
                Read::Nothing => break,
                Read::Nats(nats) => self.on_nats(conn, nats),
                Read::Lost(change) => self.apply(change),
            }
        }
        self.leave_if_idle();
        self.close_if_idle();
    }

    /// The transport is gone, or could not be made.
    pub fn transport_closed(&mut self, conn: ConnId, why: Lost, now: Instant) {
        self.advance(now);
        if self.net.session.is_current(conn) {
            let change = self.net.session.on_closed(why, &mut self.net.rng, self.now);
            self.apply(change);
            self.close_if_idle();
        }
    }

    /// The deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        let change = self.net.session.handle_timeout(&mut self.net.rng, self.now);
        self.apply(change);
        while let Some(timer) = self.net.timers.pop_due(self.now) {
            match timer {
                Timer::Op(op) => self.on_op_timer(op),
                Timer::Consumer(consumer) => self.on_consumer_timer(consumer),
            }
        }
        if self.lingers_until.is_some_and(|until| until <= self.now) {
            self.end_now(None);
        }
        if self.drain_deadline.is_some_and(|deadline| deadline <= self.now) {
            self.end(Some(Error::new(ErrorCode::Timeout, "drain: what was in flight did not end in the time allowed")));
        }
        self.leave_if_idle();
        self.close_if_idle();
        self.sweep();
    }

    // ── outputs: after any `&mut self` call drain transmit, actions, events, until all give None; then read deadline()

    /// Bytes to write, swapped into `buf` (whose old content is dropped and whose capacity is reused).
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<ConnId> {
        self.net.session.poll_transmit(buf, &mut self.net.rng)
    }

    /// How many bytes `poll_transmit` would give: for bindings that keep small writes back, but not many.
    pub fn pending_transmit(&self) -> usize {
        self.net.session.pending()
    }

    /// Something to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.net.session.poll_action()
    }

    /// Something to tell.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether `poll_action` or `poll_event` would give something, so that a binding need not ask.
    pub fn has_news(&self) -> bool {
        !self.events.is_empty() || self.net.session.has_action()
    }

    /// When `handle_timeout` is due; None: not at all.
    pub fn deadline(&self) -> Option<Instant> {
        // Not `flatten().min()` over all: the optimised code of that looks uninitialised to valgrind, in every C program.
        let mut next = self.net.session.deadline();
        for other in [self.net.timers.next(), self.drain_deadline, self.lingers_until].into_iter().flatten() {
            next = Some(next.map_or(other, |next| next.min(other)));
        }
        next
    }

    // ── getters

    /// The connection's state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What the connected server said of itself; None before the first connection.
    pub fn server_info(&self) -> Option<&ServerInfo> {
        self.net.session.info.as_ref()
    }

    /// The server in use or last used, as a URL without credentials.
    pub fn connected_url(&self) -> String {
        self.net.session.server_url()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.net.session.stats
    }

    /// The keys that a bucket's handle takes, and how they are stored; `Strict` for an id of another client.
    pub fn key_policy(&self, bucket: BucketId) -> KeyPolicy {
        self.bucket(bucket).map(|(_, bucket)| bucket.keys).unwrap_or_default()
    }

    /// Why a bucket's handle cannot write, as far as is known. None: it can.
    pub fn read_only(&self, bucket: BucketId) -> Option<&str> {
        self.bucket(bucket).ok()?.1.read_only.as_deref()
    }

    /// The name of an opened bucket; empty for an id of another client.
    pub fn bucket_name(&self, bucket: BucketId) -> &str {
        self.buckets.get(bucket.0 as usize).map_or("", |bucket| &bucket.name)
    }
}

/// Checks what can be wrong with a configuration; returns the API prefix.
fn check(config: &Config) -> Result<String, Error> {
    if config.websocket_in_core && !cfg!(feature = "websocket") {
        return Err(Error::new(ErrorCode::Unsupported, "websocket_in_core: this core is built without WebSocket"));
    }
    let named = |name: &str, error: Error| error.about(name);
    subject::check_publish(&config.inbox_prefix).map_err(|error| named("inbox_prefix", error))?;
    if config.watch_heartbeat < Duration::from_millis(100) {
        return Err(Error::argument(format!(
            "watch_heartbeat: {} is below the server's least, 100 ms",
            Span(config.watch_heartbeat)
        )));
    }
    for (name, duration, may_be_zero) in [
        ("connect_timeout", config.connect_timeout, false),
        ("request_timeout", config.request_timeout, false),
        ("ping_interval", config.ping_interval, false),
        ("drain_timeout", config.drain_timeout, false),
        ("watch_heartbeat", config.watch_heartbeat, false),
        ("inactive_threshold", config.inactive_threshold, true),
        ("reconnect_wait", config.reconnect_wait, true),
        ("max_reconnect_wait", config.max_reconnect_wait, true),
    ] {
        if !(may_be_zero && duration.is_zero()) {
            check_timeout(Some(duration)).map_err(|error| named(name, error))?;
        }
    }
    let prefix = match (&config.domain, &config.api_prefix) {
        (Some(_), Some(_)) => return Err(Error::argument("domain and api_prefix exclude each other")),
        (Some(domain), None) if domain.contains('.') => {
            return Err(Error::argument(format!("domain {domain}: one token, without dots", domain = Quoted(domain))));
        }
        (Some(domain), None) => format!("$JS.{domain}.API"),
        (None, Some(prefix)) => prefix.trim_end_matches('.').into(),
        (None, None) => DEFAULT_API.into(),
    };
    let name = if config.domain.is_some() { "domain" } else { "api_prefix" };
    subject::check_publish(&prefix).map_err(|error| named(name, error))?;
    Ok(prefix)
}

fn check_timeout(timeout: Option<Duration>) -> Result<Option<Duration>, Error> {
    match timeout {
        Some(Duration::ZERO) => Err(Error::argument("a timeout of 0 leaves no time at all")),
        Some(timeout) if timeout > MAX_TIMEOUT => {
            Err(Error::argument(format!("a timeout of {timeout} is over 100 years", timeout = Span(timeout))))
        }
        timeout => Ok(timeout),
    }
}

fn check_revision(revision: Option<u64>) -> Result<(), Error> {
    if revision == Some(0) { Err(Error::argument("revision: 0 is no revision; leave it out for none")) } else { Ok(()) }
}

fn too_many(limit: usize) -> Error {
    Error::new(ErrorCode::BufferFull, format!("{limit} operations are in flight (max_operations)"))
}

fn strs(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}
