//! Time as core knows it: nanoseconds on the binding's monotonic clock, and RFC 3339 text of the server.
//!
//! Core never reads a clock. `now` is an argument of every call; only differences between two of them mean anything.

use alloc::{format, string::String};
use core::{ops::Add, time::Duration};

/// A point on the binding's monotonic clock, in nanoseconds from any fixed start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` after the clock's start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }
}

/// All its nanoseconds, or as many as there can be: `Duration::as_nanos` counts in 128 bits, which browsers have not.
pub(crate) fn nanos(wait: Duration) -> u64 {
    const SECOND: u64 = 1_000_000_000;
    if wait.as_secs() >= u64::MAX / SECOND {
        return u64::MAX;
    }
    wait.as_secs() * SECOND + u64::from(wait.subsec_nanos())
}

/// `2026-11-23T03:37:44.767241297Z` for nanoseconds since 1970, with as many fractional digits as are needed.
pub fn to_rfc3339(unix_ns: i64) -> String {
    let (seconds, nanos) = (unix_ns.div_euclid(1_000_000_000), unix_ns.rem_euclid(1_000_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    let mut text =
        format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    if nanos != 0 {
        let fraction = format!("{nanos:09}");
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// Nanoseconds since 1970 of an RFC 3339 time, or of the form `2022-08-06 00:29:27.587861324 +0000 UTC` that servers
/// before 2.10 wrote into direct-get replies. None when it is neither, or does not fit 64 bits.
pub(crate) fn from_rfc3339(text: &[u8]) -> Option<i64> {
    let number = |at: usize, len: usize| -> Option<i64> {
        let mut n = 0;
        for b in text.get(at..at + len)? {
            let digit = b.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            n = n * 10 + i64::from(digit);
        }
        Some(n)
    };
    let punctuation = |at: usize, allowed: &[u8]| text.get(at).is_some_and(|b| allowed.contains(b));
    if !(punctuation(4, b"-")
        && punctuation(7, b"-")
        && punctuation(10, b"Tt ")
        && punctuation(13, b":")
        && punctuation(16, b":"))
    {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    if !((1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61) {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0_i64;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let mut unit = 100_000_000_i64;
        while let Some(digit) = text.get(at).filter(|b| b.is_ascii_digit()) {
            nanos += i64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
    }
    let offset = match text.get(at..)? {
        b"Z" | b"z" | b" +0000 UTC" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let minutes = number(at + 1, 2)? * 60 + number(at + 4, 2)?;
            if *sign == b'-' { -minutes * 60 } else { minutes * 60 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; years run from March so that leap days end them.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_of_a_duration() {
        for (wait, count) in [
            (Duration::ZERO, 0),
            (Duration::new(1, 1), 1_000_000_001),
            (Duration::from_secs(18_446_744_072), 18_446_744_072_000_000_000),
            (Duration::MAX, u64::MAX),
        ] {
            assert_eq!(nanos(wait), count);
        }
        assert_eq!(Instant::from_nanos(1) + Duration::MAX, Instant::from_nanos(u64::MAX));
    }

    #[test]
    fn both_ways() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-11-23T03:37:44.767241297Z", 1_795_405_064_767_241_297),
            ("2000-02-29T23:59:59.5Z", 951_868_799_500_000_000),
            ("1969-12-31T23:59:59.000000001Z", -999_999_999),
        ] {
            assert_eq!(from_rfc3339(text.as_bytes()), Some(ns), "{text}");
            assert_eq!(to_rfc3339(ns), text);
        }
        assert_eq!(from_rfc3339(b"2022-08-06 00:29:27.587861324 +0000 UTC"), Some(1_659_745_767_587_861_324));
        assert_eq!(from_rfc3339(b"2022-08-06T02:29:27+02:00"), Some(1_659_745_767_000_000_000));
        assert_eq!(from_rfc3339(b"0001-01-01T00:00:00Z"), None, "outside of 64-bit nanoseconds");
        assert_eq!(from_rfc3339(b"yesterday"), None);
    }
}
