//! Base64 (RFC 4648), strictly: exactly what `encode` writes is read, so no two texts are the same bytes.
//!
//! Our own since it goes to browsers: two alphabets and no options.

use alloc::{string::String, vec::Vec};

/// An alphabet, and whether texts are filled up with `=` to a multiple of four.
pub(crate) struct Base64 {
    digits: [u8; 64],
    /// By digit; of what is no digit, more than 63.
    values: [u8; 256],
    is_padded: bool,
}

pub(crate) static STANDARD: Base64 = Base64::new(*b"+/", true);
pub(crate) static URL_SAFE_NO_PAD: Base64 = Base64::new(*b"-_", false);

impl Base64 {
    const fn new(last_digits: [u8; 2], is_padded: bool) -> Self {
        let mut digits = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789..";
        [digits[62], digits[63]] = last_digits;
        let mut values = [u8::MAX; 256];
        let mut value = 0;
        while value < 64 {
            values[digits[value as usize] as usize] = value;
            value += 1;
        }
        Self { digits, values, is_padded }
    }

    pub(crate) fn encode(&self, bytes: &[u8]) -> String {
        let mut text = String::new();
        self.encode_to(bytes, &mut text);
        text
    }

    pub(crate) fn encode_to(&self, bytes: &[u8], text: &mut String) {
        text.reserve(bytes.len().div_ceil(3) * 4);
        for three in bytes.chunks(3) {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            for at in 0..4 {
                if at <= three.len() {
                    text.push(char::from(self.digits[(bits >> (18 - 6 * at)) as usize & 63]));
                } else if self.is_padded {
                    text.push('=');
                }
            }
        }
    }

    pub(crate) fn decode(&self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.decode_to(text, &mut bytes)?;
        Some(bytes)
    }

    /// None for what is not base64; some bytes may be there then.
    pub(crate) fn decode_to(&self, text: &str, bytes: &mut Vec<u8>) -> Option<()> {
        let mut digits = text.as_bytes();
        if self.is_padded {
            if !digits.len().is_multiple_of(4) {
                return None;
            }
            digits = digits.strip_suffix(b"==").or_else(|| digits.strip_suffix(b"=")).unwrap_or(digits);
        }
        bytes.reserve(digits.len() / 4 * 3 + 2);
        for four in digits.chunks(4) {
            let mut bits = 0;
            for digit in four {
                let value = self.values[usize::from(*digit)];
                if value > 63 {
                    return None;
                }
                bits = bits << 6 | u32::from(value);
            }
            bits <<= 32 - 6 * four.len();
            let len = four.len() * 6 / 8;
            if len == 0 || bits << (8 * len) != 0 {
                return None; // bits that are no byte
            }
            bytes.extend_from_slice(&bits.to_be_bytes()[..len]);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use base64::{
        Engine,
        engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD as BARE},
    };

    use super::*;
    use crate::rng::Rng;

    #[test]
    fn written_and_read_as_others_do() {
        let mut rng = Rng::new(&[7; 32]);
        for len in 0..200 {
            let bytes: Vec<u8> = (0..len).map(|_| rng.below(256) as u8).collect();
            for (text, ours, theirs) in [
                (PADDED.encode(&bytes), &STANDARD, STANDARD.encode(&bytes)),
                (BARE.encode(&bytes), &URL_SAFE_NO_PAD, URL_SAFE_NO_PAD.encode(&bytes)),
            ] {
                assert_eq!(text, theirs);
                assert_eq!(ours.decode(&text), Some(bytes.clone()));
            }
        }
    }

    #[test]
    fn no_other_text_is_read() {
        let tries = if cfg!(miri) { 1_000 } else { 100_000 };
        let mut rng = Rng::new(&[8; 32]);
        let mut read = 0;
        for _ in 0..tries {
            let text: String =
                (0..rng.below(9)).map(|_| char::from(b"AQgwZz09+/-_==.\n "[rng.below(17) as usize])).collect();
            assert_eq!(STANDARD.decode(&text), PADDED.decode(&text).ok(), "{text:?}");
            assert_eq!(URL_SAFE_NO_PAD.decode(&text), BARE.decode(&text).ok(), "{text:?}");
            read += usize::from(STANDARD.decode(&text).is_some());
        }
        assert!(read > tries / 100, "{read}");
        assert_eq!(STANDARD.decode(&format!("AAAA{}", "ž")), None);
    }
}
