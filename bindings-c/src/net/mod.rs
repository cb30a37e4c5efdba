//! Sockets: everything that touches the operating system to move bytes.

pub(crate) mod driver;
pub(crate) mod poll;
pub(crate) mod resolve;
