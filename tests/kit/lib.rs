//! What the Rust tests share: core driven over a real socket, private nats-servers of every kind, and a client without a world.

#[cfg(not(target_family = "wasm"))]
pub mod certificates;
#[cfg(not(target_family = "wasm"))]
pub mod jwt;
pub mod live;
#[cfg(not(target_family = "wasm"))]
pub mod proof;
pub mod raw;
pub mod rig;
pub mod server;
