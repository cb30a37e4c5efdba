//! Key/Value on top of JetStream: each verb a small state machine in the file of its name.

pub(crate) mod admin;
pub(crate) mod bucket;
pub(crate) mod clear;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod create;
pub(crate) mod entry;
pub(crate) mod fields;
pub(crate) mod get;
pub(crate) mod get_many;
pub(crate) mod history;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod missing;
pub(crate) mod op;
pub(crate) mod pairs;
pub(crate) mod policy;
pub(crate) mod purge_deletes;
pub(crate) mod put_many;
pub(crate) mod seen;
pub(crate) mod touch;
pub(crate) mod ttl;
pub(crate) mod watch;
pub(crate) mod write;
