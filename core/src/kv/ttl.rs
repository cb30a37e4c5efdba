//! `Nats-TTL`: how long one message lives (server 2.11+, buckets with `limit_marker_ttl`).

use alloc::{format, string::String};
use core::time::Duration;

use crate::error::Error;

/// The header's text: whole seconds where that is exact, else milliseconds. Servers take 1 s and more.
pub(crate) fn header(ttl: Duration) -> Result<String, Error> {
    if ttl < Duration::from_secs(1) {
        return Err(Error::argument(format!("ttl: {ttl:?} is below the least that servers take, 1 s")));
    }
    if ttl > Duration::from_secs(100 * 366 * 86_400) {
        return Err(Error::argument(format!("ttl: {ttl:?} is over 100 years")));
    }
    if ttl.subsec_nanos() == 0 {
        return Ok(format!("{}", ttl.as_secs()));
    }
    Ok(format!("{}ms", ttl.as_nanos().div_ceil(1_000_000)))
}
