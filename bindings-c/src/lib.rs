//! libnatskv: the C face of natskv. Its manual is the header that is generated from these files' doc comments.
//!
//! Nothing here knows NATS: a function converts its arguments (`ffi`), calls core, and has the `engine` move bytes until
//! the answer is there. How one call runs, `natskv_put` for instance:
//!
//! ```text
//! kv.rs          natskv_put          C's arguments become Rust's; Engine::call(|core, now| core.put(..))
//! engine.rs      Engine::call        under the one lock: the command, then the wait; this thread writes and reads meanwhile
//! net/driver.rs  Driver::pump        writes what core hands out, obeys its actions, gives its events back
//! ```
//!
//! The `extern "C"` functions are safe to Rust's eyes and safe in truth only under C's contract (pointers are NULL or good);
//! Rust programs use natskv-core instead. `unsafe` lives in `ffi.rs`, `net/poll.rs` and `net/clock.rs`.

#![allow(non_camel_case_types)] // the names are C's

pub mod bucket;
pub mod bucket_config;
pub mod client;
pub mod credentials;
mod engine;
pub mod entry;
pub mod ffi;
pub mod handle;
pub mod kv;
pub mod kv_async;
pub mod many;
mod net;
pub mod options;
pub mod reply;
pub mod status;
mod tls_options;
pub mod verb_options;
pub mod watch;

/// C hands these from thread to thread and uses them from several at once: every function of theirs says "Any thread".
const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<client::natskv_client>();
    is_shared::<kv::natskv_kv>();
    is_shared::<watch::natskv_watcher>();
    is_shared::<entry::natskv_entry>();
    is_shared::<entry::natskv_entries>();
    is_shared::<entry::natskv_keys_list>();
    is_shared::<status::natskv_bucket_status>();
    is_shared::<status::natskv_status_list>();
};
