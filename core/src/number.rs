//! Whole numbers as text: one reader for all types, where the standard library has one for each.

/// A decimal number without sign; None when it is anything else or does not fit.
pub(crate) fn parse_u64(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let (safe, rest) = digits.split_at(digits.len().min(19)); // nineteen digits always fit
    let mut n = 0_u64;
    for b in safe {
        n = n * 10 + digit(*b)?;
    }
    rest.iter().try_fold(n, |n, b| n.checked_mul(10)?.checked_add(digit(*b)?))
}

fn digit(byte: u8) -> Option<u64> {
    let digit = byte.wrapping_sub(b'0');
    (digit <= 9).then_some(digit.into())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn digits_only_and_64_bits() {
        for number in [0, 7, 10_000_000_000_000_000_000, u64::MAX] {
            assert_eq!(parse_u64(number.to_string().as_bytes()), Some(number));
        }
        for text in ["", "-1", "+1", " 1", "1_0", "0x1", "18446744073709551616", "99999999999999999999"] {
            assert_eq!(parse_u64(text.as_bytes()), None, "{text}");
        }
    }
}
