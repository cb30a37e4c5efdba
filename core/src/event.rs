//! What goes in and out of the client beside commands and bytes: names, actions, events, and what they carry.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::time::Duration;

use crate::{
    error::Error,
    kv::{config::BucketStatus, entry::Entry},
    proto::nkey::Seed,
    session::{auth::Reason, pool::Server},
};

/// Names one transport, from `Action::Connect` on. Inputs with an older one are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// Names one accepted operation; never 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(pub u64);

/// Names one watch; never 0, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchId(pub u64);

/// Names one bucket with its prefixes, flags and history as last known; the same however often it is opened with equal options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(pub u32);

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
    /// Say who we are, with `Client::credentials`, within `connect_timeout`. Comes before `Connect`, for the same transport; a
    /// `Disconnect` of it takes the question back.
    Credentials {
        /// The transport that they are for.
        conn: ConnId,
        /// Why they are asked for.
        reason: Reason,
    },
    /// Sign the bytes of `nonce`, and answer with `Client::signature`.
    Sign {
        /// The transport.
        conn: ConnId,
        /// What to sign.
        nonce: String,
        /// What to sign with; None: the binding knows.
        seed: Option<Seed>,
    },
    /// Dial; answer with `transport_open` or `transport_closed`. Any earlier transport is to be dropped.
    Connect {
        /// The new transport's name.
        conn: ConnId,
        /// Where to.
        server: Server,
        /// When TLS starts.
        tls: TlsMode,
    },
    /// Start TLS on the open transport, checking the certificate for `server_name`; answer with `transport_secured` or `transport_closed`.
    StartTls {
        /// The transport.
        conn: ConnId,
        /// The name that the certificate must carry.
        server_name: String,
    },
    /// Write what was handed out for this transport, then close it (or give up dialling). No answer is needed.
    Disconnect {
        /// The transport.
        conn: ConnId,
    },
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
    Done {
        /// Which.
        op: OpId,
        /// How it ended.
        result: Result<Outcome, Error>,
    },
    /// The watch is established on the server, or failed for good. Comes exactly once for every WatchId that is not stopped before.
    WatchOpen {
        /// Which.
        watch: WatchId,
        /// After an error the watch is gone.
        result: Result<(), Error>,
    },
    /// `watch_next` has something; comes again only after it gave None.
    WatchReady(WatchId),
    /// How much of purge_deletes or clear is done. At most about a hundred come for one operation.
    Progress {
        /// Which.
        op: OpId,
        /// Keys dealt with.
        done: u64,
        /// Of how many.
        total: u64,
    },
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
    /// A watch's reader was too slow for `Config::watch_limit`; what did not fit is asked for again when it has read the rest.
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
    /// get_many: the live entries that were found, sorted by key. `as_of`: the revision of the bucket at which they all are the newest;
    /// None where keys were written while several requests read them, where a replica lagged behind, and where a consumer read them.
    Many {
        /// The entries.
        entries: Vec<Entry>,
        /// The moment.
        as_of: Option<u64>,
    },
    /// put_many: in the order given.
    Written(Vec<Result<u64, Error>>),
    /// count: live keys.
    Count(u64),
    /// keys, bucket_names: sorted, each once.
    Names(Vec<String>),
    /// open, create_bucket, update_bucket, create_or_update_bucket.
    Opened(Box<Opened>),
    /// status.
    Status(Box<BucketStatus>),
    /// bucket_list.
    Statuses(Vec<BucketStatus>),
    /// purge_deletes: markers removed. clear: keys purged.
    Purged(u64),
    /// flush: the round trip.
    RoundTrip(Duration),
    /// execute: SPEC.md's reply, also for errors of the operation.
    Json(String),
}

/// A bucket that was opened, created or updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its handle.
    pub bucket: BucketId,
    /// What it is and holds.
    pub status: BucketStatus,
    /// What differs, or differed before the update, from what `create_bucket` asked for: a text a field. Else empty.
    pub drift: Vec<String>,
}

/// What a watch hands out.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// A revision.
    Entry(Entry),
    /// All initial values were handed out.
    CaughtUp,
    /// The bucket was deleted and created again: forget all keys; a new initial picture follows, then CaughtUp again. It holds the
    /// newest of each key, or all revisions where the watch was asked for history, for updates only, or to resume.
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

/// What `create_bucket` does when the bucket exists and differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDrift {
    /// BUCKET_EXISTS, naming the fields.
    #[default]
    Error,
    /// Opens it as it is, and tells the fields.
    Ignore,
    /// Changes it to what is asked for, and tells the fields.
    Update,
}

/// What `create_bucket` compares with an existing bucket.
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
    /// The last round trip measured: of the handshake, a keep-alive or a flush. Zero before the first.
    pub round_trip: Duration,
}
