//! Codec.
pub mod headers;
