//! natskv's engine for JavaScript: `natskv_core::Client` behind wasm-bindgen, and nothing else.
//!
//! The world (sockets, the timer, promises, iterators) is in TypeScript, in `ts/`, because all of it is JavaScript's
//! own and would only cross the border twice. What crosses:
//!
//! - in: one call per command, and one per chunk or frame from the server, which is copied once into linear memory;
//! - out: one [`batch`] per pump, numbers and text in linear memory that TypeScript reads in place. Values are copied
//!   once, straight from core's own buffers. No closure and no JavaScript object is held here, so nothing here can call
//!   into JavaScript while core is borrowed.
//!
//! `client.rs` is the class, `verb.rs` what can be asked of it, `batch.rs` the way out, `options.rs` the connect options.

mod batch;
mod client;
mod options;
mod verb;
