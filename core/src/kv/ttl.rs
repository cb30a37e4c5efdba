//! `Nats-TTL`: how long one message lives (server 2.11+, buckets with `limit_marker_ttl`).

use alloc::{format, string::String};
use core::time::Duration;

use crate::{error::Error, number::parse_u64, shown::Span, time::nanos};

/// The header's text: whole seconds where that is exact, else milliseconds. Servers take 1 s and more.
pub(crate) fn header(ttl: Duration) -> Result<String, Error> {
    if ttl < Duration::from_secs(1) {
        return Err(Error::argument(format!("ttl: {ttl} is below the least that servers take, 1 s", ttl = Span(ttl))));
    }
    if ttl > Duration::from_secs(100 * 366 * 86_400) {
        return Err(Error::argument(format!("ttl: {ttl} is over 100 years", ttl = Span(ttl))));
    }
    if ttl.subsec_nanos() == 0 {
        return Ok(format!("{}", ttl.as_secs()));
    }
    Ok(format!("{}ms", nanos(ttl).div_ceil(1_000_000)))
}

/// The header's meaning: whole seconds, or a Go duration such as `1h30m`, `1.5s` or `1500ms`. None: no duration, so also for `never`.
pub(crate) fn parse(header: &[u8]) -> Option<Duration> {
    let mut text = core::str::from_utf8(header).ok()?;
    if let Some(seconds) = parse_u64(text.as_bytes()).filter(|seconds| *seconds <= u32::MAX.into()) {
        return Some(Duration::from_secs(seconds));
    }
    let mut total = Duration::ZERO;
    while !text.is_empty() {
        let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, rest) = text.split_at(number_end);
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, rest) = rest.split_at(unit_end);
        let nanos: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') {
            return None;
        }
        let whole = parse_u64(whole.as_bytes())?.checked_mul(nanos)?;
        let fraction = fraction.bytes().rev().fold(0, |below, digit| (below + u64::from(digit - b'0') * nanos) / 10);
        total = total.checked_add(Duration::from_nanos(whole.checked_add(fraction)?))?;
        text = rest;
    }
    Some(total).filter(|total| !total.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_write_seconds_and_go_durations() {
        for (text, millis) in [("60", 60_000), ("1500ms", 1500), ("1h30m", 5_400_000), ("1.5s", 1500), ("2s", 2000)] {
            assert_eq!(parse(text.as_bytes()), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["never", "s", "1x", "-1", "1s!", "1.2.3s"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
