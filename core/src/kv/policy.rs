//! Which keys a bucket handle takes, and how they stand in subjects.
//!
//! The codecs write the same bytes in every language: `base64` and `path` those of orbit.go's kvcodec, `escape` is natskv's own. A
//! bucket names its codec in its metadata, so that every handle that asks the server uses the same one.

use alloc::{borrow::Cow, format, string::String, vec::Vec};
use core::fmt::Write;

use crate::{
    base64::URL_SAFE_NO_PAD,
    error::{Error, ErrorCode},
    kv::key::{self, Alphabet},
    shown::Quoted,
};

/// Where a bucket's metadata names the codec of its keys.
pub(crate) const METADATA: &str = "natskv.key_codec";

/// What the path codec puts in place of a leading slash, since no subject begins with a dot.
const ROOT: &str = "_root_";

/// Which keys a handle takes, and how they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyPolicy {
    /// `[-/_=.A-Za-z0-9]+` without empty tokens, stored as they are: what all clients agree on (ADR-8).
    #[default]
    Strict,
    /// Printable ASCII but `*` and `>`, without empty tokens, stored as it is; such as `user:12345`. Other clients may refuse these.
    Permissive,
    /// Any text. Each token (between dots) is stored as base64, URL alphabet, not padded.
    Base64,
    /// Paths: `/a/b` is stored as `_root_.a.b`, `a/b` as `a.b`; a slash at the end goes.
    Path,
    /// Any text. Bytes outside `[A-Za-z0-9_/-]` are stored as `=` and two upper-case hex digits; dots separate tokens.
    Escape,
}

impl KeyPolicy {
    /// By its name: `strict`, `permissive`, `base64`, `path`, `escape`.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "strict" => Ok(Self::Strict),
            "permissive" => Ok(Self::Permissive),
            _ => Self::parse_codec(name).ok_or_else(|| {
                Error::argument(format!(
                    "key policy {name} is unknown; known are strict, permissive, base64, path, escape",
                    name = Quoted(name)
                ))
            }),
        }
    }

    /// The codecs among the policies: what metadata may name.
    pub(crate) fn parse_codec(name: &str) -> Option<Self> {
        match name {
            "base64" => Some(Self::Base64),
            "path" => Some(Self::Path),
            "escape" => Some(Self::Escape),
            _ => None,
        }
    }

    /// The name that `parse` reads.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Permissive => "permissive",
            Self::Base64 => "base64",
            Self::Path => "path",
            Self::Escape => "escape",
        }
    }

    /// What a bucket's metadata says of its keys. A codec that natskv does not know would be read and written wrongly.
    pub(crate) fn of_metadata(bucket: &str, codec: Option<&str>) -> Result<Option<Self>, Error> {
        let Some(name) = codec else { return Ok(None) };
        Self::parse_codec(name).map(Some).ok_or_else(|| {
            let text = format!(
                "bucket {bucket}: its keys have the codec {name} (metadata {METADATA}); known are base64, path, escape",
                bucket = Quoted(bucket),
                name = Quoted(name)
            );
            Error::new(ErrorCode::Unsupported, text)
        })
    }

    const fn is_codec(self) -> bool {
        matches!(self, Self::Base64 | Self::Path | Self::Escape)
    }

    /// The key as it is stored, checked.
    pub(crate) fn encode(self, key: &str) -> Result<Cow<'_, str>, Error> {
        self.encode_as("key", key)
    }

    /// The filter as the server sees it, checked.
    pub(crate) fn encode_filter(self, filter: &str) -> Result<Cow<'_, str>, Error> {
        self.encode_as("filter", filter)
    }

    fn encode_as<'a>(self, what: &str, text: &'a str) -> Result<Cow<'a, str>, Error> {
        let is_filter = what == "filter";
        let alphabet = match self {
            Self::Strict => Alphabet::Strict,
            Self::Permissive => Alphabet::Permissive,
            Self::Base64 | Self::Escape => Alphabet::Any,
            Self::Path => {
                let encoded = encode_path(text);
                return match key::check_tokens(what, &encoded, Alphabet::Strict, is_filter) {
                    Ok(()) => Ok(encoded),
                    Err(error) if *encoded == *text => Err(error),
                    Err(error) => {
                        let message = format!("{what} {text}, as a path: {}", error.message, text = Quoted(text));
                        Err(error.saying(message))
                    }
                };
            }
        };
        key::check_tokens(what, text, alphabet, is_filter)?;
        if !self.is_codec() {
            return Ok(Cow::Borrowed(text));
        }
        let mut encoded = String::with_capacity(text.len() * 2);
        for token in text.split('.') {
            if !encoded.is_empty() {
                encoded.push('.');
            }
            match token {
                "*" | ">" if is_filter => encoded.push_str(token),
                _ if self == Self::Base64 => URL_SAFE_NO_PAD.encode_to(token.as_bytes(), &mut encoded),
                _ => escape(token, &mut encoded),
            }
        }
        Ok(Cow::Owned(encoded))
    }

    /// The key of what is stored; as it stands where another writer did not follow the codec.
    pub(crate) fn decode(self, stored: &str) -> Cow<'_, str> {
        match self {
            Self::Strict | Self::Permissive => Cow::Borrowed(stored),
            Self::Path => decode_path(stored),
            Self::Base64 | Self::Escape => {
                let mut key = Vec::with_capacity(stored.len());
                for token in stored.split('.') {
                    if !key.is_empty() {
                        key.push(b'.');
                    }
                    let is_read = match self {
                        Self::Base64 => URL_SAFE_NO_PAD.decode_to(token, &mut key).is_some(),
                        _ => unescape(token.as_bytes(), &mut key).is_some(),
                    };
                    if !is_read {
                        return Cow::Borrowed(stored);
                    }
                }
                String::from_utf8(key).map_or(Cow::Borrowed(stored), Cow::Owned)
            }
        }
    }
}

fn encode_path(path: &str) -> Cow<'_, str> {
    if !path.contains('/') {
        return Cow::Borrowed(path);
    }
    let (root, rest) = match path.strip_prefix('/') {
        Some("") => return Cow::Borrowed(ROOT),
        Some(rest) => (true, rest),
        None => (false, path),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest).replace('/', ".");
    Cow::Owned(if root { format!("{ROOT}.{rest}") } else { rest })
}

fn decode_path(stored: &str) -> Cow<'_, str> {
    if stored == ROOT {
        return Cow::Borrowed("/");
    }
    match stored.strip_prefix(ROOT).and_then(|rest| rest.strip_prefix('.')) {
        Some(rest) => Cow::Owned(format!("/{}", rest.replace('.', "/"))),
        None if stored.contains('.') => Cow::Owned(stored.replace('.', "/")),
        None => Cow::Borrowed(stored),
    }
}

fn escape(token: &str, out: &mut String) {
    for byte in token.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'/' | b'-') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "={byte:02X}"); // writing to a String cannot fail
        }
    }
}

fn unescape(token: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut bytes = token.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'=' {
            out.push(*byte);
            continue;
        }
        let mut digit = || match *bytes.next()? {
            digit @ b'0'..=b'9' => Some(digit - b'0'),
            digit @ b'A'..=b'F' => Some(digit - b'A' + 10),
            _ => None,
        };
        let (high, low) = (digit()?, digit()?);
        out.push(high << 4 | low);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_write_the_bytes_that_others_do() {
        for (policy, key, stored) in [
            (KeyPolicy::Base64, "Acme Inc.contact", "QWNtZSBJbmM.Y29udGFjdA"),
            (KeyPolicy::Base64, "~~~", "fn5-"),
            (KeyPolicy::Base64, "😀", "8J-YgA"),
            (KeyPolicy::Path, "/a/b", "_root_.a.b"),
            (KeyPolicy::Path, "/", "_root_"),
            (KeyPolicy::Path, "a/b", "a.b"),
            (KeyPolicy::Escape, "user:12345", "user=3A12345"),
            (KeyPolicy::Escape, "a=b.é *", "a=3Db.=C3=A9=20=2A"),
            (KeyPolicy::Permissive, "user:12345", "user:12345"),
        ] {
            assert_eq!(policy.encode(key).expect(key), stored);
            assert_eq!(policy.decode(stored), key);
        }
        assert_eq!(KeyPolicy::Path.encode("a/b/").expect("slash at the end"), "a.b");
    }

    #[test]
    fn filters_keep_their_wildcards() {
        for (policy, filter, sent) in [
            (KeyPolicy::Base64, "users.*.x.>", "dXNlcnM.*.eA.>"),
            (KeyPolicy::Path, "/a/*/>", "_root_.a.*.>"),
            (KeyPolicy::Escape, "a:b.*.>", "a=3Ab.*.>"),
        ] {
            assert_eq!(policy.encode_filter(filter).expect(filter), sent);
        }
    }

    #[test]
    fn the_rest_is_at_the_end() {
        for policy in [KeyPolicy::Strict, KeyPolicy::Permissive, KeyPolicy::Base64, KeyPolicy::Escape] {
            let error = policy.encode_filter("a.>.b").expect_err("`>` in the middle");
            assert!(error.message.contains("wildcard '>' at byte 2"), "{error}");
        }
        assert!(KeyPolicy::Path.encode_filter("a/>/b").is_err());
    }

    #[test]
    fn what_is_no_key_is_named() {
        for (policy, key, says) in [
            (KeyPolicy::Base64, "a..b", "key \"a..b\": empty token at byte 2"),
            (KeyPolicy::Base64, "", "empty"),
            (KeyPolicy::Path, "a//b", "key \"a//b\", as a path: key \"a..b\": empty token at byte 2"),
            (KeyPolicy::Path, "a b", "character ' ' at byte 1"),
            (KeyPolicy::Permissive, "a b", "character ' ' at byte 1"),
            (KeyPolicy::Permissive, "a*", "wildcard '*' at byte 1"),
            (KeyPolicy::Permissive, "é", "character 'é' at byte 0"),
        ] {
            let error = policy.encode(key).expect_err(key);
            assert!(error.message.contains(says), "{error}");
        }
    }

    #[test]
    fn what_another_writer_stored_is_shown_as_it_is() {
        for stored in ["=3a", "=", "=F", "=FF"] {
            assert_eq!(KeyPolicy::Escape.decode(stored), stored);
        }
        assert_eq!(KeyPolicy::Base64.decode("not base64!"), "not base64!");
        assert_eq!(KeyPolicy::Base64.decode("_w"), "_w"); // not UTF-8
    }
}
