//! How to connect, and what C is told about the connection.

use std::{
    ffi::{CString, c_char, c_void},
    mem::MaybeUninit,
};

use natskv_core::{Config, Error, Notice, State};

use crate::{
    credentials::{natskv_on_credentials, natskv_on_sign},
    ffi::{
        Options, OwnedUser, c_string, invalid, millis, natskv_drop, natskv_error, natskv_flag, optional_string,
        optional_text, texts, to_millis,
    },
};

/// The connection, as `on_status` and `natskv_state` tell it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_connection_state {
    /// The first connection is being made.
    NATSKV_STATE_CONNECTING = 0,
    /// Requests go out.
    NATSKV_STATE_CONNECTED = 1,
    /// The connection is lost; the error says why.
    NATSKV_STATE_DISCONNECTED = 2,
    /// A new one is being made.
    NATSKV_STATE_RECONNECTING = 3,
    /// No new operations; what is in flight is finished.
    NATSKV_STATE_DRAINING = 4,
    /// The end. With an error when it was not asked for.
    NATSKV_STATE_CLOSED = 5,
}

impl natskv_connection_state {
    pub(crate) fn of(state: &State) -> (Self, Option<&Error>) {
        match state {
            State::Connecting => (Self::NATSKV_STATE_CONNECTING, None),
            State::Connected => (Self::NATSKV_STATE_CONNECTED, None),
            State::Disconnected(error) => (Self::NATSKV_STATE_DISCONNECTED, Some(error)),
            State::Reconnecting => (Self::NATSKV_STATE_RECONNECTING, None),
            State::Draining => (Self::NATSKV_STATE_DRAINING, None),
            State::Closed(error) => (Self::NATSKV_STATE_CLOSED, error.as_ref()),
        }
    }
}

/// Something that happened and was dealt with; worth a log line.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum natskv_notice {
    /// The server sent an error that belongs to no operation.
    NATSKV_NOTICE_SERVER_ERROR = 0,
    /// The server is about to shut down; the client moves to another one.
    NATSKV_NOTICE_LAME_DUCK = 1,
    /// A watch was established anew after a gap; nothing is lost.
    NATSKV_NOTICE_WATCH_RESUMED = 2,
    /// A watch's reader was slower than `watch_limit` allows; what was unread is asked for again.
    NATSKV_NOTICE_WATCH_OVERFLOW = 3,
    /// The bucket under a watch was deleted and created again.
    NATSKV_NOTICE_WATCH_RESET = 4,
}

impl natskv_notice {
    pub(crate) fn of(notice: &Notice) -> (Self, CString) {
        match notice {
            Notice::ServerError(text) => (Self::NATSKV_NOTICE_SERVER_ERROR, c_string(text.as_str())),
            Notice::LameDuck => (Self::NATSKV_NOTICE_LAME_DUCK, c_string("the server is about to shut down")),
            Notice::WatchResumed(_, why) => (Self::NATSKV_NOTICE_WATCH_RESUMED, c_string(*why)),
            Notice::WatchOverflow(_) => (
                Self::NATSKV_NOTICE_WATCH_OVERFLOW,
                c_string("a watch was read too slowly; what was unread is asked for again"),
            ),
            Notice::WatchReset(_) => {
                (Self::NATSKV_NOTICE_WATCH_RESET, c_string("the bucket under a watch was deleted and created again"))
            }
        }
    }
}

/// Told of each change of the connection; `error` is NULL where there is none and lives until the callback returns.
pub type natskv_on_status =
    Option<extern "C" fn(user: *mut c_void, state: natskv_connection_state, error: *const natskv_error)>;

/// Told of what is worth a log line; `text` lives until the callback returns.
pub type natskv_on_notice = Option<extern "C" fn(user: *mut c_void, kind: natskv_notice, text: *const c_char)>;

/// How to connect. Call `natskv_options_init` first, then set what differs. Strings and lists are copied by
/// `natskv_connect`. All times are milliseconds. A time or a limit of 0 stands for the default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct natskv_options {
    /// Set by `natskv_options_init`.
    pub struct_size: usize,
    /// Where to connect: one URL such as "nats://127.0.0.1:4222", or several separated by commas. `user:password@` or `token@`
    /// in a URL win over the fields below. tls:// is nats:// with `tls`; ws:// and wss:// are WebSocket, for networks that let nothing
    /// else out, and do not mix with the others. NULL: `servers`; if that is empty too, "nats://127.0.0.1:4222".
    pub url: *const c_char,
    /// More URLs, `server_count` of them.
    pub servers: *const *const c_char,
    /// How many `servers`.
    pub server_count: usize,
    /// The client's name in the server's monitoring. NULL: none.
    pub name: *const c_char,
    /// User name. NULL: none.
    pub user_name: *const c_char,
    /// Password of `user_name`. NULL: none.
    pub password: *const c_char,
    /// Token, instead of user name and password. NULL: none.
    pub token: *const c_char,
    /// Seed of a user's nkey, "SU…": logs in by itself, or signs for `jwt`. NULL: none.
    pub nkey_seed: *const c_char,
    /// Public nkey, "U…", of a user whose seed stays elsewhere: `on_sign` signs. NULL: none.
    pub nkey: *const c_char,
    /// A user's JWT, for which `nkey_seed` or `on_sign` signs; with neither it is sent alone, which is enough for a bearer JWT.
    /// NULL: none.
    pub jwt: *const c_char,
    /// The text of a credentials file: a JWT, a seed, or both. NULL: none.
    pub credentials: *const c_char,
    /// A credentials file. It is read by `natskv_connect`, which answers NATSKV_INVALID_ARGUMENT where it is unusable, and anew for
    /// each connection, so a renewed one is taken up. NULL: none.
    pub credentials_file: *const c_char,
    /// TLS must be used: where the server does not offer it, connecting fails with NATSKV_TLS. Where the server requires it, it is
    /// used anyhow. Naming an authority, a certificate or a host name below sets it too. Default: false.
    pub tls: natskv_flag,
    /// TLS before the server's first line, for servers with `handshake_first`. Default: false.
    pub tls_first: natskv_flag,
    /// The name or address that the server's certificate must carry. NULL: the host of the URL; for an address learnt from a
    /// server, the host of the URL that led there.
    pub tls_hostname: *const c_char,
    /// Authorities to trust instead of the system's, one of which must have signed the server's certificate: a file of PEM
    /// certificates. The files of these options are read by `natskv_connect`, which answers NATSKV_INVALID_ARGUMENT where one is
    /// unusable, and anew for each connection, so renewed ones are taken up. NULL: `tls_ca_pem`; if that is NULL too, the
    /// authorities of the system, or those that the environment's SSL_CERT_FILE and SSL_CERT_DIR name.
    pub tls_ca_file: *const c_char,
    /// The PEM text itself in place of `tls_ca_file`.
    pub tls_ca_pem: *const c_char,
    /// Our own certificate, for servers that ask for one (`verify`): a PEM file, with the certificates between it and its authority
    /// behind it. NULL: `tls_cert_pem`, or none.
    pub tls_cert_file: *const c_char,
    /// The PEM text itself in place of `tls_cert_file`.
    pub tls_cert_pem: *const c_char,
    /// The private key of our certificate, not encrypted: a PEM file (PKCS#8, PKCS#1 or SEC1). NULL: `tls_key_pem`; if that is NULL
    /// too, the key stands beside the certificate.
    pub tls_key_file: *const c_char,
    /// The PEM text itself in place of `tls_key_file`.
    pub tls_key_pem: *const c_char,
    /// Any certificate is accepted, an expired or forged one too: whoever is on the way can then read and change everything,
    /// passwords included. For tests only. Default: false.
    pub tls_danger_accept_any_certificate: natskv_flag,
    /// How long one server may take from dialling to being ready. Default: 5000.
    pub connect_timeout_ms: i64,
    /// How long an operation may take where neither the call nor the bucket handle says. Default: 5000.
    pub request_timeout_ms: i64,
    /// How often the server is asked whether it lives. Default: 60000.
    pub ping_interval_ms: i64,
    /// Unanswered pings after which the connection counts as lost. Default: 2.
    pub max_pings_out: u32,
    /// A lost connection is made anew. Default: true.
    pub reconnect: natskv_flag,
    /// Failed attempts in a row, over all servers, after which the client closes. Default: -1, for ever.
    pub max_reconnects: i64,
    /// A failing first connect is retried like a later one, instead of failing `natskv_connect`. Default: false.
    pub retry_first_connect: natskv_flag,
    /// The wait after the second failed attempt; it doubles, with some jitter, up to `max_reconnect_wait_ms`. Default: 100.
    pub reconnect_wait_ms: i64,
    /// Upper end of the wait between attempts. Default: 5000.
    pub max_reconnect_wait_ms: i64,
    /// The servers are tried in random order. Default: true.
    pub randomize_servers: natskv_flag,
    /// First tokens of the reply inbox, for accounts whose permissions name one. NULL: "_INBOX".
    pub inbox_prefix: *const c_char,
    /// JetStream domain. NULL: none.
    pub domain: *const c_char,
    /// JetStream API prefix in full, for imported accounts; excludes `domain`. NULL: "$JS.API".
    pub api_prefix: *const c_char,
    /// Writes carry a message id (about 35 bytes more), so that one cut off by a lost connection is sent again and its outcome found
    /// out, instead of failing with NATSKV_DISCONNECTED and `maybe_applied`. Writes go without one to buckets that forget ids sooner than
    /// the call may take (their TTL, at most 2 minutes); one opened without asking is asked before a write is sent again. Default: false.
    pub retry_writes: natskv_flag,
    /// Bytes of requests kept while disconnected; beyond it a call fails with NATSKV_BUFFER_FULL. Default: 8 MiB.
    pub pending_limit: usize,
    /// Bytes that wait while connected, because the network takes them more slowly than they come; beyond it a call fails with
    /// NATSKV_BUFFER_FULL. Default: 64 MiB.
    pub unsent_limit: usize,
    /// Unread bytes that one watch keeps before it drops them and asks the server again. Default: 32 MiB.
    pub watch_limit: usize,
    /// Operations in flight; beyond it a call fails with NATSKV_BUFFER_FULL. Default: 65536.
    pub max_operations: usize,
    /// How long `natskv_drain` may take before it closes. Default: 30000.
    pub drain_timeout_ms: i64,
    /// Idle heartbeat asked of a watch; two missed ones and it is established anew. Default: 5000, at least 100.
    pub watch_heartbeat_ms: i64,
    /// Told of each change of the connection, on the library's thread or inside `natskv_process`. NULL: nobody.
    pub on_status: natskv_on_status,
    /// Told of what is worth a log line, likewise. NULL: nobody.
    pub on_notice: natskv_on_notice,
    /// Asked who we are before each connection, instead of the fields above: where `on_status` is told, or by a blocking call that
    /// waits on a client with a loop of your own. NULL: nobody.
    pub on_credentials: natskv_on_credentials,
    /// Asked to sign for `nkey` or `jwt`, likewise. NULL: nobody.
    pub on_sign: natskv_on_sign,
    /// Handed to `on_status`, `on_notice`, `on_credentials`, `on_sign` and `drop`.
    pub user: *mut c_void,
    /// Called exactly once, when `user` will not be used again: when the client is freed, or before a failing
    /// `natskv_connect` returns. NULL: nobody.
    pub drop: natskv_drop,
}

// SAFETY: repr(C), begins with its size; pointers, numbers, flags of one byte and nullable functions take what C can write.
unsafe impl Options for natskv_options {
    const INIT: &'static str = "natskv_options_init";

    fn defaults() -> Self {
        let config = Config::default();
        Self {
            struct_size: size_of::<Self>(),
            url: std::ptr::null(),
            servers: std::ptr::null(),
            server_count: 0,
            name: std::ptr::null(),
            user_name: std::ptr::null(),
            password: std::ptr::null(),
            token: std::ptr::null(),
            nkey_seed: std::ptr::null(),
            nkey: std::ptr::null(),
            jwt: std::ptr::null(),
            credentials: std::ptr::null(),
            credentials_file: std::ptr::null(),
            tls: config.tls.into(),
            tls_first: config.tls_first.into(),
            tls_hostname: std::ptr::null(),
            tls_ca_file: std::ptr::null(),
            tls_ca_pem: std::ptr::null(),
            tls_cert_file: std::ptr::null(),
            tls_cert_pem: std::ptr::null(),
            tls_key_file: std::ptr::null(),
            tls_key_pem: std::ptr::null(),
            tls_danger_accept_any_certificate: false.into(),
            connect_timeout_ms: to_millis(config.connect_timeout),
            request_timeout_ms: to_millis(config.request_timeout),
            ping_interval_ms: to_millis(config.ping_interval),
            max_pings_out: config.max_pings_out,
            reconnect: config.reconnect.into(),
            max_reconnects: -1,
            retry_first_connect: config.retry_first_connect.into(),
            reconnect_wait_ms: to_millis(config.reconnect_wait),
            max_reconnect_wait_ms: to_millis(config.max_reconnect_wait),
            randomize_servers: config.randomize_servers.into(),
            inbox_prefix: std::ptr::null(),
            domain: std::ptr::null(),
            api_prefix: std::ptr::null(),
            retry_writes: config.retry_writes.into(),
            pending_limit: config.pending_limit,
            unsent_limit: config.unsent_limit,
            watch_limit: config.watch_limit,
            max_operations: config.max_operations,
            drain_timeout_ms: to_millis(config.drain_timeout),
            watch_heartbeat_ms: to_millis(config.watch_heartbeat),
            on_status: None,
            on_notice: None,
            on_credentials: None,
            on_sign: None,
            user: std::ptr::null_mut(),
            drop: None,
        }
    }
}

/// Sets all defaults. Call it before setting fields. NULL is fine. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn natskv_options_init(options: Option<&mut MaybeUninit<natskv_options>>) {
    if let Some(options) = options {
        options.write(natskv_options::defaults());
    }
}

/// Whom a client tells about its connection.
#[derive(Debug)]
pub(crate) struct Hooks {
    pub(crate) on_status: natskv_on_status,
    pub(crate) on_notice: natskv_on_notice,
    pub(crate) on_credentials: natskv_on_credentials,
    pub(crate) on_sign: natskv_on_sign,
    pub(crate) user: OwnedUser,
}

impl natskv_options {
    /// Taken first, so that `drop` is called whatever fails later.
    pub(crate) fn hooks(&self) -> Hooks {
        Hooks {
            on_status: self.on_status,
            on_notice: self.on_notice,
            on_credentials: self.on_credentials,
            on_sign: self.on_sign,
            user: OwnedUser::new(self.user, self.drop),
        }
    }

    pub(crate) fn config(&self) -> Result<Config, Error> {
        let default = Config::default();
        Ok(Config {
            servers: self.server_list()?.unwrap_or(default.servers),
            name: optional_string("name", self.name)?,
            websocket_in_core: true,
            tls: self.tls.is_set() || self.speaks_of_tls(),
            tls_first: self.tls_first.is_set(),
            lang: "c",
            connect_timeout: millis("connect_timeout_ms", self.connect_timeout_ms)?.unwrap_or(default.connect_timeout),
            request_timeout: millis("request_timeout_ms", self.request_timeout_ms)?.unwrap_or(default.request_timeout),
            ping_interval: millis("ping_interval_ms", self.ping_interval_ms)?.unwrap_or(default.ping_interval),
            max_pings_out: or_default(self.max_pings_out, default.max_pings_out),
            reconnect: self.reconnect.is_set(),
            max_reconnects: attempts(self.max_reconnects)?,
            retry_first_connect: self.retry_first_connect.is_set(),
            reconnect_wait: millis("reconnect_wait_ms", self.reconnect_wait_ms)?.unwrap_or(default.reconnect_wait),
            max_reconnect_wait: millis("max_reconnect_wait_ms", self.max_reconnect_wait_ms)?
                .unwrap_or(default.max_reconnect_wait),
            randomize_servers: self.randomize_servers.is_set(),
            inbox_prefix: optional_string("inbox_prefix", self.inbox_prefix)?.unwrap_or(default.inbox_prefix),
            domain: optional_string("domain", self.domain)?,
            api_prefix: optional_string("api_prefix", self.api_prefix)?,
            retry_writes: self.retry_writes.is_set(),
            pending_limit: or_default(self.pending_limit, default.pending_limit),
            unsent_limit: or_default(self.unsent_limit, default.unsent_limit),
            watch_limit: or_default(self.watch_limit, default.watch_limit),
            max_operations: or_default(self.max_operations, default.max_operations),
            drain_timeout: millis("drain_timeout_ms", self.drain_timeout_ms)?.unwrap_or(default.drain_timeout),
            watch_heartbeat: millis("watch_heartbeat_ms", self.watch_heartbeat_ms)?.unwrap_or(default.watch_heartbeat),
            ..default
        })
    }

    fn server_list(&self) -> Result<Option<Vec<String>>, Error> {
        let mut servers: Vec<String> = Vec::new();
        if let Some(url) = optional_text("url", self.url)? {
            servers.extend(url.split(',').map(|server| server.trim().into()));
        }
        servers.extend(texts("servers", self.servers, self.server_count)?.into_iter().map(String::from));
        Ok(if servers.is_empty() { None } else { Some(servers) })
    }
}

/// For structs that were zeroed instead of initialised, as C's `= {0}` does.
fn or_default<T: Default + PartialEq>(given: T, default: T) -> T {
    if given == T::default() { default } else { given }
}

fn attempts(max_reconnects: i64) -> Result<Option<u32>, Error> {
    if max_reconnects == -1 {
        return Ok(None);
    }
    let attempts = u32::try_from(max_reconnects);
    attempts
        .map(Some)
        .map_err(|_| invalid(format!("max_reconnects {max_reconnects} is neither a number of attempts nor -1")))
}
