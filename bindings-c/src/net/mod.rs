//! Sockets: everything that touches the operating system to move bytes.

mod clock;
pub(crate) mod driver;
pub(crate) mod poll;
mod refusal;
pub(crate) mod resolve;
mod transport;
pub(crate) mod trust;
