//! nkeys: ed25519 keys as text, whose first letters tell what they are for. `U…` is a user's public key, `SU…` a user's seed.
//!
//! The text is base32 (RFC 4648, upper case, no padding) of prefix, key and a checksum. A seed's prefix of two bytes holds two
//! 5-bit letters, `S` and the kind's, which is why it takes shifting.

use alloc::{format, string::String, vec::Vec};

use zeroize::{Zeroize, Zeroizing};

use crate::{error::Error, shown::Quoted};

/// What a key is for: the first letter of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum KeyKind {
    /// `A`
    Account = 0,
    /// `C`
    Cluster = 2 << 3,
    /// `N`
    Server = 13 << 3,
    /// `O`
    Operator = 14 << 3,
    /// `U`
    User = 20 << 3,
    /// `X`
    Curve = 23 << 3,
}

impl KeyKind {
    const ALL: [Self; 6] = [Self::Account, Self::Cluster, Self::Server, Self::Operator, Self::User, Self::Curve];

    /// `user`, `account` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Cluster => "cluster",
            Self::Server => "server",
            Self::Operator => "operator",
            Self::User => "user",
            Self::Curve => "curve",
        }
    }
}

const SEED: u8 = 18 << 3;
const SEED_TEXT_LEN: usize = 58;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The text of a public key.
pub fn encode_public(kind: KeyKind, key: &[u8; 32]) -> String {
    encode(&[kind as u8], key)
}

/// Whether this is the text of a user's public key.
pub(crate) fn check_public_user(text: &str) -> Result<(), Error> {
    let sum = decode(text.as_bytes()).and_then(|bytes| {
        let (body, sum) = bytes.split_last_chunk::<2>()?;
        Some(body.len() == 33 && body[0] == KeyKind::User as u8 && crc16(body) == u16::from_le_bytes(*sum))
    });
    if sum == Some(true) {
        Ok(())
    } else {
        Err(Error::argument(format!("nkey {text}: this is no user's public key, U…", text = Quoted(text))))
    }
}

/// The secret half of a key. Forgotten bytes are overwritten; neither Debug nor an error shows any of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed {
    kind: KeyKind,
    bytes: [u8; 32],
}

impl Seed {
    /// Of 32 random bytes.
    pub const fn new(kind: KeyKind, bytes: [u8; 32]) -> Self {
        Self { kind, bytes }
    }

    /// Of its text, `SU…` for a user. The error tells which rule is broken, and nothing of the text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error::argument(format!("nkey seed: {why}")));
        let text = text.trim().as_bytes();
        let Some(bytes) = decode(text).map(Zeroizing::new) else {
            return wrong("a character outside of A-Z and 2-7");
        };
        if bytes.len() < 2 || bytes[0] & 0xf8 != SEED {
            return wrong("it must begin with S (a public key is no seed)");
        }
        let Some((body, sum)) = bytes.split_last_chunk::<2>().filter(|_| text.len() == SEED_TEXT_LEN) else {
            let length = text.len();
            return wrong(&format!("{length} characters, it must have {SEED_TEXT_LEN}"));
        };
        if crc16(body) != u16::from_le_bytes(*sum) {
            return wrong("its checksum does not fit: a character is mistyped or missing");
        }
        let letter = (body[0] & 7) << 5 | (body[1] & 0xf8) >> 3;
        let Some(kind) = KeyKind::ALL.into_iter().find(|kind| *kind as u8 == letter) else {
            return wrong("its second letter must be one of U, A, O, N, C and X");
        };
        let mut seed = Self { kind, bytes: [0; 32] };
        seed.bytes.copy_from_slice(&body[2..]);
        Ok(seed)
    }

    /// Its text.
    pub fn encode(&self) -> Zeroizing<String> {
        let letter = self.kind as u8;
        Zeroizing::new(encode(&[SEED | letter >> 5, (letter & 31) << 3], &self.bytes))
    }

    /// What the key is for.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The seed of RFC 8032, which WebCrypto takes too. Its keeper overwrites it.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

#[cfg(feature = "nkeys")]
impl Seed {
    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        *self.pair().pk
    }

    /// The signature of `message`.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        *self.pair().sk.sign(message, None)
    }

    /// Overwrites itself when dropped.
    fn pair(&self) -> ed25519_compact::KeyPair {
        ed25519_compact::KeyPair::from_seed(ed25519_compact::Seed::new(self.bytes))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Seed({}, hidden)", self.kind.name())
    }
}

fn encode(prefix: &[u8], key: &[u8; 32]) -> String {
    let mut bytes = Zeroizing::new(Vec::with_capacity(36));
    bytes.extend_from_slice(prefix);
    bytes.extend_from_slice(key);
    let sum = crc16(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    let mut text = String::with_capacity(SEED_TEXT_LEN);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in bytes.iter() {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            text.push(char::from(ALPHABET[(bits >> held & 31) as usize]));
        }
    }
    if held > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - held) & 31) as usize]));
    }
    text
}

/// None: a character that is not of the alphabet.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0);
    for character in text {
        let five = match character {
            b'A'..=b'Z' => character - b'A',
            b'2'..=b'7' => character - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(five);
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    Some(bytes)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| if sum & 0x8000 == 0 { sum << 1 } else { sum << 1 ^ 0x1021 })
    })
}
