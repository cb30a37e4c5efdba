//! The contract of core's crate documentation, rule by rule, without a server.

mod auth;
mod consumer;
mod every_call;
mod lame_duck;
mod many;
mod operations;
mod permissions;
mod session;
mod transcript;
#[cfg(not(miri))] // the other side's SHA-1 is in assembly, which Miri cannot run
mod websocket;

/// How often something is tried: under Miri, which is hundreds of times slower, a few times.
const fn times(most: usize) -> usize {
    if cfg!(miri) && most > 5 { 5 } else { most }
}
