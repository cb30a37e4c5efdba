//! Names of buckets, keys and filters. Parsed once at the door; what comes from a server is never checked, only shown.
//!
//! Keys: `[-/_=.A-Za-z0-9]+`, no empty token, so no leading, trailing or double dot (SPEC.md and ADR-8). `_kv` in front is
//! reserved: reads allow it, writes do not. Filters: the same, and `*` for a token, `>` for the rest.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use crate::{
    error::{Error, ErrorCode},
    proto::subject,
};

/// Stream names have at most 255 bytes, `KV_` among them.
const MAX_BUCKET: usize = 252;

/// A name that may become part of a stream's name.
pub(crate) fn check_bucket(name: &str) -> Result<(), Error> {
    let wrong = |why: String| Err(Error::new(ErrorCode::InvalidBucket, format!("bucket {name:?}: {why}")));
    if name.is_empty() {
        return wrong("empty".into());
    }
    if name.len() > MAX_BUCKET {
        return wrong(format!("{} bytes, at most {MAX_BUCKET} are allowed", name.len()));
    }
    match name.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        Some((at, c)) => wrong(format!("character {c:?} at byte {at}; allowed are A-Z a-z 0-9 _ -")),
        None => Ok(()),
    }
}

/// A key for reading.
pub(crate) fn check_key(key: &str) -> Result<(), Error> {
    check_tokens("key", key, false)
}

/// A key for writing.
pub(crate) fn check_writable(key: &str) -> Result<(), Error> {
    check_key(key)?;
    if key.starts_with("_kv") {
        return Err(invalid("key", key, "names that begin with `_kv` are reserved"));
    }
    Ok(())
}

/// A filter for watches and lists.
pub(crate) fn check_filter(filter: &str) -> Result<(), Error> {
    check_tokens("filter", filter, true)
}

fn check_tokens(what: &str, text: &str, is_filter: bool) -> Result<(), Error> {
    if text.is_empty() {
        return Err(invalid(what, text, "empty"));
    }
    let mut at = 0;
    for token in text.split('.') {
        if token.is_empty() {
            return Err(invalid(what, text, &format!("empty token at byte {at}")));
        }
        let is_wildcard = is_filter && (token == "*" || token == ">" && at + 1 == text.len());
        if !is_wildcard && let Some((offset, c)) = token.char_indices().find(|(_, c)| !is_key_char(*c)) {
            return Err(invalid(what, text, &advice(c, at + offset, is_filter)));
        }
        at += token.len() + 1;
    }
    Ok(())
}

const fn is_key_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '=')
}

fn advice(c: char, at: usize, is_filter: bool) -> String {
    let rule = "allowed are A-Z a-z 0-9 - / _ = and . between tokens";
    match c {
        '*' | '>' if is_filter => {
            format!("wildcard {c:?} at byte {at}: `*` stands for a whole token, `>` for all tokens at the end")
        }
        '*' | '>' => format!("wildcard {c:?} at byte {at}: a key names one key"),
        ':' => format!("character ':' at byte {at}; {rule}: write user.12345 for user:12345"),
        _ => format!("character {c:?} at byte {at}; {rule}"),
    }
}

fn invalid(what: &str, text: &str, why: &str) -> Error {
    // A key may be large; the message need not be.
    let shown: String = text.chars().take(80).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Error::new(ErrorCode::InvalidKey, format!("{what} {shown:?}{dots}: {why}"))
}

/// The filters of a watch, checked, without repetitions and without those that another one covers; in their order. None given
/// means all keys.
pub(crate) fn reduce(filters: &[&str]) -> Result<Vec<String>, Error> {
    for filter in filters {
        check_filter(filter)?;
    }
    let mut reduced: Vec<&str> = Vec::new();
    for filter in filters {
        if reduced.iter().any(|wide| subject::covers(wide, filter)) {
            continue;
        }
        reduced.retain(|narrow| !subject::covers(filter, narrow));
        reduced.push(filter);
    }
    if reduced.is_empty() {
        reduced.push(">");
    }
    Ok(reduced.into_iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_value_rule_and_place() {
        for (key, says) in [
            ("a..b", "key \"a..b\": empty token at byte 2"),
            (".a", "empty token at byte 0"),
            ("a.", "empty token at byte 2"),
            ("a b", "character ' ' at byte 1"),
            ("a\r\nPUB x 0", "character '\\r' at byte 1"),
            ("user:12345", "character ':' at byte 4"),
            ("é", "character 'é' at byte 0"),
            ("a.*", "wildcard '*' at byte 2"),
        ] {
            let error = check_key(key).expect_err(key);
            assert!(error.message.contains(says), "{error}");
            assert_eq!(error.code, ErrorCode::InvalidKey);
        }
        assert!(check_key("_kv.x").is_ok() && check_writable("_kv.x").is_err());
        assert!(check_filter(">.a").is_err() && check_filter("a.>").is_ok() && check_filter("a*").is_err());
    }
}
