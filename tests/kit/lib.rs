//! What the Rust tests share: core driven over a real socket, and a private nats-server.

pub mod live;
pub mod raw;
pub mod rig;
pub mod server;
