//! What a client can be told, and every default and bound in one table.

use alloc::{string::String, vec, vec::Vec};
use core::{fmt, time::Duration};

use crate::session::{auth::Credentials, pool};

/// A client's configuration. `Config::default()` connects to `nats://127.0.0.1:4222`. Debug shows no secret.
#[derive(Clone)]
pub struct Config {
    /// Server URLs: `nats://`, `tls://`, `ws://` or `wss://`, or `host[:port]`. `user:password@` or `token@` in a URL win over
    /// the fields below. Default: `nats://127.0.0.1:4222`.
    pub servers: Vec<String>,
    /// The client's name in the server's monitoring. Default: none.
    pub name: Option<String>,
    /// Who the client says it is. Default: nobody.
    pub credentials: Credentials,
    /// Whether `Action::Credentials` asks for them before each connection, instead. Servers whose URL names some are not asked for.
    /// Default: false.
    pub asks_credentials: bool,
    /// Whether TLS must be used even where the scheme and the server do not ask for it. Default: false.
    pub tls: bool,
    /// TLS before the server's INFO (`handshake_first`, server 2.10.4+). Default: false.
    pub tls_first: bool,
    /// Whether core speaks WebSocket itself to ws:// and wss:// servers, since the binding has only a byte stream (with TLS first, for
    /// wss). Wants the feature `websocket`. Default: false, the binding's transport carries the payload of frames.
    pub websocket_in_core: bool,
    /// `lang` of CONNECT: which binding this is.
    pub lang: &'static str,
    /// How long one server may take from dialling to its first PONG. Default: 5 s.
    pub connect_timeout: Duration,
    /// How long an operation may take when the call does not say. Default: 5 s.
    pub request_timeout: Duration,
    /// How often the server is asked whether it lives. Default: 60 s.
    pub ping_interval: Duration,
    /// Unanswered pings after which the connection counts as stale. Default: 2.
    pub max_pings_out: u32,
    /// Whether a lost connection is made anew. Default: true.
    pub reconnect: bool,
    /// Failed attempts in a row, over all servers, after which the client closes. Default: none, for ever.
    pub max_reconnects: Option<u32>,
    /// Whether a failing first connect is retried like a later one, instead of closing the client. Default: false.
    pub retry_first_connect: bool,
    /// The wait after the second failed attempt; the first is tried at once. Doubles up to `max_reconnect_wait`,
    /// jitter ±25 %. Default: 100 ms.
    pub reconnect_wait: Duration,
    /// Upper end of the wait between attempts. Default: 5 s.
    pub max_reconnect_wait: Duration,
    /// Whether the servers are tried in random order. Default: true.
    pub randomize_servers: bool,
    /// First tokens of the reply inbox, for accounts whose permissions name one. Default: `_INBOX`.
    pub inbox_prefix: String,
    /// Whether writes carry a message id (`Nats-Msg-Id`, about 35 bytes more), so that one that was cut off by a lost connection is sent
    /// again and its outcome found out, instead of ending with `maybe_applied`. A bucket whose `duplicate_window` (2 minutes, or its TTL if
    /// that is shorter) is not longer than the call's timeout could store it twice: its writes go without, and a bucket bound without
    /// asking is asked before the first write is sent again. Default: false.
    pub retry_writes: bool,
    /// JetStream domain: the API prefix becomes `$JS.<domain>.API`. Default: none.
    pub domain: Option<String>,
    /// API prefix in full, for imported accounts; excludes `domain`. Default: `$JS.API`.
    pub api_prefix: Option<String>,
    /// Whether the server sends a client its own publishes back. A KV client publishes to no subject it subscribes to. Default: true.
    pub echo: bool,
    /// Bytes of requests kept while disconnected; beyond it a call fails with BUFFER_FULL. Default: 8 MiB.
    pub pending_limit: usize,
    /// Bytes that wait for the transport while connected, because it takes them more slowly than they come; beyond it a call fails
    /// with BUFFER_FULL. Default: 64 MiB.
    pub unsent_limit: usize,
    /// Unread bytes one watch keeps; what does not fit is asked for again when they were read. Default: 32 MiB.
    pub watch_limit: usize,
    /// Operations in flight; beyond it a call fails with BUFFER_FULL. Default: 65,536.
    pub max_operations: usize,
    /// The largest message a server may send. Default: 64 MiB.
    pub max_message: usize,
    /// Filters in one consumer; a watch of more has several consumers, at most 64. Default: 256.
    pub max_filters: usize,
    /// Writes or reads of one `put_many`, `clear` or `get_many` in flight at a time. Default: 1024.
    pub max_in_flight: usize,
    /// Keys per bucket of which is remembered what this client wrote or read last, so that no lagging replica takes it back; 16 bytes
    /// each. Default: 4096.
    pub seen_keys: usize,
    /// Idle heartbeat asked of a watch's consumer; two missed ones make it anew. Default: 5 s; at least 100 ms.
    pub watch_heartbeat: Duration,
    /// How long the server keeps a consumer nobody listens to. Default: 30 s.
    pub inactive_threshold: Duration,
    /// How long `drain` may take before it closes. Default: 30 s.
    pub drain_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            servers: vec![String::from("nats://127.0.0.1:4222")],
            name: None,
            credentials: Credentials::default(),
            asks_credentials: false,
            tls: false,
            tls_first: false,
            websocket_in_core: false,
            lang: "rust",
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(60),
            max_pings_out: 2,
            reconnect: true,
            max_reconnects: None,
            retry_first_connect: false,
            reconnect_wait: Duration::from_millis(100),
            max_reconnect_wait: Duration::from_secs(5),
            randomize_servers: true,
            inbox_prefix: String::from("_INBOX"),
            retry_writes: false,
            domain: None,
            api_prefix: None,
            echo: true,
            pending_limit: 8 << 20,
            unsent_limit: 64 << 20,
            watch_limit: 32 << 20,
            max_operations: 65_536,
            max_message: 64 << 20,
            max_filters: 256,
            max_in_flight: 1024,
            seen_keys: 4096,
            watch_heartbeat: Duration::from_secs(5),
            inactive_threshold: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|urls| pool::without_credentials(urls)).collect();
        f.debug_struct("Config").field("servers", &servers).field("name", &self.name).finish_non_exhaustive()
    }
}
