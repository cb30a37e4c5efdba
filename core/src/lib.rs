//! natskv's core.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod client;
mod config;
mod error;
mod event;
mod js;
mod kv;
mod mux;
mod proto;
mod rng;
mod session;
mod slab;
mod time;
mod timers;

pub use client::Client;
pub use config::Config;
pub use error::{Error, ErrorCode};
pub use event::{
    Action, BucketId, Compare, ConnId, Event, Lost, Notice, OpId, Outcome, State, Stats, TlsMode, WatchId, WatchItem, WatchOptions,
};
pub use kv::{
    config::{BucketConfig, BucketStatus, Placement, Republish, Storage, StreamSource},
    entry::{Entry, Operation},
};
pub use proto::info::ServerInfo;
pub use session::pool::{Scheme, Server};
pub use time::Instant;
