//! The client protocol's codec: bytes to frames and back, no state beyond a frame that is not whole yet.

pub(crate) mod creds;
pub(crate) mod encode;
pub(crate) mod headers;
pub(crate) mod info;
pub(crate) mod nkey;
pub(crate) mod parser;
pub(crate) mod server_error;
pub(crate) mod subject;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;
