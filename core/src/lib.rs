//! natskv's core (outline).
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;
pub mod client; pub mod config; pub mod error; pub mod kv; pub mod proto; mod rng; pub mod time;
pub use client::*;
pub use config::Config;
pub use error::{Error, ErrorCode};
pub use kv::config::{BucketConfig, BucketStatus, Placement, Republish, Storage, StreamSource};
pub use kv::entry::{Entry, Operation};
pub use time::Instant;
