//! Key/Value on top of JetStream: each verb a small state machine in the file of its name.

pub mod config;
pub mod entry;
pub mod key;
