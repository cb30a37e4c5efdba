//! What the Rust tests share: core driven over a real socket, private nats-servers of every kind, a client without a world, and
//! a whole simulated world.

#[cfg(not(target_family = "wasm"))]
pub mod certificates;
pub mod dice;
pub mod fake;
#[cfg(not(target_family = "wasm"))]
pub mod jwt;
pub mod ledger;
pub mod linear;
pub mod live;
#[cfg(not(target_family = "wasm"))]
pub mod proof;
pub mod raw;
pub mod rig;
pub mod server;
pub mod world;
