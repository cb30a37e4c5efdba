//! natskv's core: a whole NATS JetStream Key/Value client that knows nothing of the world.
//!
//! No socket, no clock, no thread, no random number: bytes, `now` and entropy are arguments, and what has to happen outside comes out
//! as [`Action`]s, bytes, [`Event`]s and one deadline. The compiler keeps that promise: the crate is `no_std` and forbids unsafe code.
//! Bindings for browsers, Python and C bring sockets and their own ways to wait.
//!
//! # The contract
//!
//! 1. After any call that takes `&mut self`, drain [`Client::poll_transmit`] (write the bytes), [`Client::poll_action`] and
//!    [`Client::poll_event`], in this order, until all give `None`; then read [`Client::deadline`] again.
//! 2. `now` never goes back; an older one counts as the newest seen.
//! 3. Extra [`Client::handle_timeout`] calls are harmless; late ones only delay work.
//! 4. Every accepted [`OpId`] ends in exactly one [`Event::Done`]: also after cancel, close, disconnect, and whatever a server may send.
//!    Bad arguments fail at the call, and then there is no `OpId`.
//! 5. After [`State::Closed`] nothing but remaining events comes out, and the bytes and the `Disconnect` that end the connection.
//!
//! Some actions are questions, to be answered whenever: `Connect` with `transport_open`, `StartTls` with `transport_secured` (either with
//! `transport_closed`), `Credentials` with `credentials`, `Sign` with `signature`. Whoever never answers meets `Config::connect_timeout`.
//!
//! Each transport has a [`ConnId`]; what an older one still has to say is ignored. `Disconnect` means: write what was handed out,
//! then close. A watch is pulled: [`Event::WatchReady`] says that [`Client::watch_next`] has something and comes again only after it
//! gave `None`. Taking items is what lets the server send more: rule 1 holds for `watch_next` too, whose bytes are the answers to the
//! server's flow control.
//!
//! # A complete run loop
//!
//! Here "the world" is a transcript; with a socket in its place this is a client.
//!
//! ```
//! use natskv_core::{Action, Client, Config, ConnId, Event, HandleOptions, Instant, Outcome};
//!
//! let mut now = Instant::from_nanos(0);
//! let mut client = Client::new(Config::default(), [7; 32], now)?;
//! let bucket = client.bind("settings", &HandleOptions::default())?;
//! let get = client.get(bucket, "color", None, None, now)?; // kept until there is a connection
//!
//! let mut sent = Vec::new();
//! let mut written = String::new();
//! let mut conn = ConnId(0);
//! let value = loop {
//!     // 1. bytes out, things to do, things to tell
//!     while client.poll_transmit(&mut sent).is_some() {
//!         written.push_str(&String::from_utf8_lossy(&sent)); // a binding writes them to the socket
//!     }
//!     while let Some(action) = client.poll_action() {
//!         if let Action::Connect { conn: new, .. } = action {
//!             conn = new; // a binding dials `server` here
//!             client.transport_open(conn, now);
//!         }
//!     }
//!     let mut done = None;
//!     while let Some(event) = client.poll_event() {
//!         if let Event::Done { op, result } = event {
//!             assert_eq!(op, get);
//!             done = Some(result?);
//!         }
//!     }
//!     if let Some(Outcome::Entry(entry)) = done {
//!         break entry.value().to_vec();
//!     }
//!     // 2. wait for bytes or the deadline
//!     match server(&mut written) {
//!         Some(bytes) => client.receive(conn, bytes.as_bytes(), now),
//!         None => {
//!             now = client.deadline().unwrap_or(now);
//!             client.handle_timeout(now);
//!         }
//!     }
//! };
//! assert_eq!(value, b"green");
//!
//! /// Plays nats-server: answers what was written.
//! fn server(written: &mut String) -> Option<String> {
//!     let seen = core::mem::take(written);
//!     if let Some(at) = seen.find("PUB $JS.API.DIRECT.GET.KV_settings.$KV.settings.color ") {
//!         let reply = seen[at..].split(' ').nth(2)?;
//!         let headers = "NATS/1.0\r\nNats-Stream: KV_settings\r\nNats-Subject: $KV.settings.color\r\n\
//!                        Nats-Sequence: 3\r\nNats-Time-Stamp: 2026-11-23T03:37:44Z\r\n\r\n";
//!         return Some(format!("HMSG {reply} 1 {} {}\r\n{headers}green\r\n", headers.len(), headers.len() + 5));
//!     }
//!     if seen.ends_with("PING\r\n") {
//!         return Some("PONG\r\n".into());
//!     }
//!     Some("INFO {\"headers\":true,\"max_payload\":1048576} \r\n".into())
//! }
//! # Ok::<(), natskv_core::Error>(())
//! ```
//!
//! # The floors
//!
//! A file uses only floors below its own. Calls go down, return values come up; there are no callbacks inside.
//!
//! | floor | files | what |
//! |---|---|---|
//! | 7 | `client` | the door: routes, decides nothing |
//! | 6 | `kv::*` | a verb a file, each a small state machine; keys, buckets, entries |
//! | 5 | `js::*` | API answers, acknowledgements, direct get, the ordered consumer |
//! | 4 | `mux`, `timers` | requests and replies over one inbox; deadlines |
//! | 3 | `session` | one connection at a time, and when to make the next |
//! | 2 | `config`, `session::{auth, pool}` | what a client can be told; who it says it is; the servers |
//! | 1 | `proto::*` | the codec |
//! | 0 | `time`, `rng`, `error`, `event`, `secret`, `slab`, `sorted`, `shown`, `number`, `base64` | words that all use |

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::use_debug))] // see shown.rs

extern crate alloc;

mod base64;
mod client;
mod config;
mod error;
mod event;
mod js;
pub mod json;
mod kv;
mod mux;
mod number;
mod proto;
mod rng;
mod secret;
mod session;
mod shown;
mod slab;
mod sorted;
mod time;
mod timers;
pub mod wire;

pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorCode};
pub use event::{
    Action, BucketId, Compare, ConnId, Event, Lost, Notice, OnDrift, OpId, Opened, Outcome, State, Stats, TlsMode,
    WatchId, WatchItem, WatchOptions,
};
pub use kv::{
    bucket::HandleOptions,
    config::{BucketConfig, BucketStatus, Placement, Republish, Storage, StreamSource},
    entry::{Entry, Operation},
    pairs::Pairs,
    policy::KeyPolicy,
};
pub use proto::{info::ServerInfo, nkey::Seed};
pub use secret::Secret;
pub use session::{
    auth::{Credentials, Reason, Signature},
    pool::{Scheme, Server},
};
pub use time::{Instant, to_rfc3339};
