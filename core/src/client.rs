//! The only public door of core (outline: signatures are final, bodies follow).

use alloc::{string::String, vec::Vec};
use core::time::Duration;

use crate::{config::Config, error::Error, kv::{config::{BucketConfig, BucketStatus}, entry::Entry}, time::Instant};

/// Names one transport, from `Action::Connect` on. Inputs with an older one are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Names one accepted operation; never 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// Names one watch; never 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub u64);

/// Names one opened bucket: its prefixes, flags and history as known when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(pub u32);

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// TCP.
    Nats,
    /// TCP, TLS demanded.
    Tls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
}

/// One server of the pool. Credentials are not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How to reach it.
    pub scheme: Scheme,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query of a WebSocket URL, beginning with `/`; empty for others.
    pub path: String,
}

/// When TLS starts on a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// Not before `Action::StartTls` asks for it, if ever.
    Later,
    /// Right after the TCP connect, before any byte (also wss).
    First,
}

/// What the binding has to do to its world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Dial; answer with `transport_open` or `transport_closed`. Any earlier transport is to be dropped.
    Connect { conn: ConnId, server: Server, tls: TlsMode },
    /// Start TLS on the open transport, checking the certificate for `server_name`; answer with `transport_secured` or `transport_closed`.
    StartTls { conn: ConnId, server_name: String },
    /// Write what was handed out for this transport, then close it (or give up dialling). No answer is needed.
    Disconnect { conn: ConnId },
}

/// Why a transport is gone, in the binding's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Nobody listens there.
    Refused,
    /// The name does not resolve, or no route.
    Unreachable,
    /// The peer closed it.
    Eof,
    /// The network or the peer broke it.
    Reset,
    /// TLS failed; the text says how.
    Tls(String),
    /// Anything else, with text for the message.
    Other(String),
}

/// What the binding has to tell its users.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The operation is over. Comes exactly once for every OpId.
    Done { op: OpId, result: Result<Outcome, Error> },
    /// The watch is established on the server, or failed for good. Comes exactly once for every WatchId that is not stopped before.
    WatchOpen { watch: WatchId, result: Result<(), Error> },
    /// `watch_next` has something; comes again only after it gave None.
    WatchReady(WatchId),
    /// The connection changed.
    State(State),
    /// Worth a log line.
    Notice(Notice),
}

/// The connection, as `Event::State` and `Client::state` tell it.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// The first connection is being made.
    Connecting,
    /// Requests go out.
    Connected,
    /// The connection is lost, for this reason.
    Disconnected(Error),
    /// A new one is being made.
    Reconnecting,
    /// No new operations; what is in flight is finished.
    Draining,
    /// The end. The error when it was not asked for.
    Closed(Option<Error>),
}

/// Something that happened and was dealt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server sent an -ERR that belongs to no operation.
    ServerError(String),
    /// The server is about to shut down (lame duck).
    LameDuck,
    /// A watch asked for its consumer anew; why.
    WatchResumed(WatchId, &'static str),
    /// A watch's reader was too slow for `Config::watch_limit`; what was unread is asked for again.
    WatchOverflow(WatchId),
    /// The bucket under a watch was deleted and created again; the picture starts anew.
    WatchReset(WatchId),
}

/// How an operation ended well.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Nothing to tell (delete_bucket, ready).
    Unit,
    /// put, create, update, delete, purge: the new revision.
    Revision(u64),
    /// get, entry.
    Entry(Entry),
    /// history, entries.
    Entries(Vec<Entry>),
    /// keys (in the order of their newest revision, each once), bucket_names.
    Names(Vec<String>),
    /// open, create_bucket, update_bucket, create_or_update_bucket.
    Opened(BucketId, BucketStatus),
    /// status.
    Status(BucketStatus),
    /// bucket_list.
    Statuses(Vec<BucketStatus>),
    /// purge_deletes: markers removed.
    Purged(u64),
    /// flush: the round trip.
    RoundTrip(Duration),
    /// execute: SPEC.md's reply, also for errors of the operation.
    Json(String),
}

/// What a watch hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// A revision.
    Entry(Entry),
    /// All initial values were handed out.
    CaughtUp,
    /// The bucket was deleted and created again: forget all keys; a new initial picture follows, then CaughtUp again.
    Reset,
    /// The watch is over, for this reason. Nothing follows.
    Ended(Error),
}

/// What a watch delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// All revisions that history keeps, not only the newest of each key.
    pub include_history: bool,
    /// No delete and purge markers.
    pub ignore_deletes: bool,
    /// No values, only their length.
    pub meta_only: bool,
    /// No initial values. Excludes `include_history`.
    pub updates_only: bool,
    /// Everything from this revision on, it included; wins over `include_history` and `updates_only`.
    pub resume_from_revision: Option<u64>,
    /// How long the watch may take to be established; None: `Config::request_timeout`.
    pub timeout: Option<Duration>,
}

/// What a create or an update of a bucket compares and keeps; see [`Client::create_bucket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// An existing bucket must equal the whole configuration, defaults included.
    All,
    /// Only the fields that are given must be equal.
    Given,
}

/// Counters since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages received.
    pub in_msgs: u64,
    /// Bytes received.
    pub in_bytes: u64,
    /// Messages sent.
    pub out_msgs: u64,
    /// Bytes sent.
    pub out_bytes: u64,
    /// Connections made after the first.
    pub reconnects: u64,
}

/// What the server said of itself in INFO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// The INFO line's JSON text.
    pub json: String,
    /// Unique id of the server.
    pub server_id: String,
    /// Name of the server.
    pub server_name: String,
    /// Version text, such as `2.15.1`.
    pub version: String,
    /// Largest message it takes, headers included.
    pub max_payload: usize,
}

/// The whole client. One owner; bindings put it behind a Mutex or RefCell.
#[derive(Debug)]
pub struct Client {
    _private: (),
}

#[allow(unused_variables, missing_docs)]
impl Client {
    /// Checks `config` and asks for the first connection at once.
    pub fn new(config: Config, entropy: [u8; 32], now: Instant) -> Result<Self, Error> { unimplemented!() }

    // ── commands ─ `timeout` None: Config::request_timeout. Bad arguments fail here; all else comes in Done.

    /// Done (Unit) when the client is connected, or with the error that closed it.
    pub fn ready(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// PING, and Done (RoundTrip) at its PONG: everything sent before has reached the server.
    pub fn flush(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// A handle without asking the server: direct get assumed, history unknown.
    pub fn bind(&mut self, bucket: &str) -> Result<BucketId, Error> { unimplemented!() }
    /// Done (Opened), or BUCKET_NOT_FOUND, NOT_A_BUCKET.
    pub fn open(&mut self, bucket: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Opened). An existing bucket that is equal (by `compare`) is opened; BUCKET_EXISTS names the fields that differ.
    pub fn create_bucket(&mut self, config: &BucketConfig, compare: Compare, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Changes the fields that are given. Done (Opened), or BUCKET_NOT_FOUND.
    pub fn update_bucket(&mut self, config: &BucketConfig, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Updates, or creates where there is none. Done (Opened).
    pub fn create_or_update_bucket(&mut self, config: &BucketConfig, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Unit), or BUCKET_NOT_FOUND.
    pub fn delete_bucket(&mut self, bucket: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Names), sorted.
    pub fn bucket_names(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Statuses), sorted by name.
    pub fn bucket_list(&mut self, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Status).
    pub fn status(&mut self, bucket: BucketId, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }

    /// The live value, or at `revision`. Done (Entry), or KEY_NOT_FOUND (also for markers).
    pub fn get(&mut self, bucket: BucketId, key: &str, revision: Option<u64>, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// The newest entry, marker or not. Done (Entry), or KEY_NOT_FOUND.
    pub fn entry(&mut self, bucket: BucketId, key: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Revision).
    pub fn put(&mut self, bucket: BucketId, key: &str, value: &[u8], timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Revision), or KEY_EXISTS. `ttl`: at least 1 s, in buckets with `limit_marker_ttl`.
    pub fn create(&mut self, bucket: BucketId, key: &str, value: &[u8], ttl: Option<Duration>, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Revision), or WRONG_REVISION.
    pub fn update(&mut self, bucket: BucketId, key: &str, value: &[u8], revision: u64, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Revision of the marker), or WRONG_REVISION when `expected` is given.
    pub fn delete(&mut self, bucket: BucketId, key: &str, expected: Option<u64>, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Done (Revision of the marker), or WRONG_REVISION when `expected` is given. `ttl`: how long the marker stays.
    pub fn purge(&mut self, bucket: BucketId, key: &str, expected: Option<u64>, ttl: Option<Duration>, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// All kept revisions, oldest first, markers included. Done (Entries), or KEY_NOT_FOUND. `timeout` is the longest silence.
    pub fn history(&mut self, bucket: BucketId, key: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Live keys that match any filter (none given: all). Done (Names). `timeout` is the longest silence.
    pub fn keys(&mut self, bucket: BucketId, filters: &[&str], timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Removes markers older than `older_than` with all that is under them, never anything newer. Done (Purged).
    pub fn purge_deletes(&mut self, bucket: BucketId, older_than: Duration, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// SPEC.md's JSON operation. Done (Json), whose text is the reply, also where the operation failed.
    pub fn execute(&mut self, bucket: BucketId, operation: &str, timeout: Option<Duration>, now: Instant) -> Result<OpId, Error> { unimplemented!() }
    /// Ends the operation: Done (Err CANCELLED), or whatever it ended with before. Unknown ids are ignored.
    pub fn cancel(&mut self, op: OpId, now: Instant) { unimplemented!() }

    /// Starts a watch on the keys that match any filter (none given: all).
    pub fn watch(&mut self, bucket: BucketId, filters: &[&str], options: WatchOptions, now: Instant) -> Result<WatchId, Error> { unimplemented!() }
    /// The next item, if one is there. Taking items is what lets the server send more.
    pub fn watch_next(&mut self, watch: WatchId, now: Instant) -> Option<WatchItem> { unimplemented!() }
    /// Ends the watch and its consumer on the server. Unknown ids are ignored.
    pub fn watch_stop(&mut self, watch: WatchId, now: Instant) { unimplemented!() }

    /// No new operations; finishes those in flight, ends the watches, then closes.
    pub fn drain(&mut self, now: Instant) { unimplemented!() }
    /// Ends everything now: operations in flight fail with CLOSED, consumers of ours are deleted on the way out.
    pub fn close(&mut self, now: Instant) { unimplemented!() }

    // ── inputs ─ an older ConnId is ignored

    /// The transport asked for is open.
    pub fn transport_open(&mut self, conn: ConnId, now: Instant) { unimplemented!() }
    /// TLS asked for by `Action::StartTls` is up.
    pub fn transport_secured(&mut self, conn: ConnId, now: Instant) { unimplemented!() }
    /// Bytes from the server, cut anywhere.
    pub fn receive(&mut self, conn: ConnId, bytes: &[u8], now: Instant) { unimplemented!() }
    /// The transport is gone, or could not be made.
    pub fn transport_closed(&mut self, conn: ConnId, why: Lost, now: Instant) { unimplemented!() }
    /// The deadline may have passed.
    pub fn handle_timeout(&mut self, now: Instant) { unimplemented!() }

    // ── outputs ─ after any `&mut self` call: transmit, actions, events, until all give None; then deadline()

    /// Bytes to write, swapped into `buf` (whose old content is dropped and whose capacity is reused).
    pub fn poll_transmit(&mut self, buf: &mut Vec<u8>) -> Option<ConnId> { unimplemented!() }
    /// How many bytes `poll_transmit` would give: bindings that cork writes flush at once beyond 64 KiB.
    pub fn pending_transmit(&self) -> usize { unimplemented!() }
    /// Something to do.
    pub fn poll_action(&mut self) -> Option<Action> { unimplemented!() }
    /// Something to tell.
    pub fn poll_event(&mut self) -> Option<Event> { unimplemented!() }
    /// When `handle_timeout` is due; None: not at all.
    pub fn deadline(&self) -> Option<Instant> { unimplemented!() }

    // ── getters

    /// The connection's state.
    pub fn state(&self) -> &State { unimplemented!() }
    /// What the connected server said of itself; None before the first connection.
    pub fn server_info(&self) -> Option<&ServerInfo> { unimplemented!() }
    /// The server in use or last used, as a URL without credentials.
    pub fn connected_url(&self) -> String { unimplemented!() }
    /// Counters.
    pub fn stats(&self) -> Stats { unimplemented!() }
    /// The name of an opened bucket.
    pub fn bucket_name(&self, bucket: BucketId) -> &str { unimplemented!() }
}
