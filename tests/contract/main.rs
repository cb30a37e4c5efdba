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
mod websocket;
