//! Names of buckets, keys and filters. Parsed once at the door; what comes from a server is never checked, only shown.
//!
//! Keys: `[-/_=.A-Za-z0-9]+`, no empty token, so no leading, trailing or double dot (SPEC.md and ADR-8). `_kv` in front is
//! reserved: reads allow it, writes do not. Filters: the same, and `*` for a token, `>` for the rest.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use crate::{
    error::{Error, ErrorCode},
    proto::subject,
    shown::{Quoted, QuotedChar},
    sorted::sort,
};

/// Stream names have at most 255 bytes, `KV_` among them.
const MAX_BUCKET: usize = 252;

/// A name that may become part of a stream's name.
pub(crate) fn check_bucket(name: &str) -> Result<(), Error> {
    let wrong =
        |why: String| Err(Error::new(ErrorCode::InvalidBucket, format!("bucket {name}: {why}", name = Quoted(name))));
    if name.is_empty() {
        return wrong("empty".into());
    }
    if name.len() > MAX_BUCKET {
        return wrong(format!("{} bytes, at most {MAX_BUCKET} are allowed", name.len()));
    }
    match name.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
        Some((at, c)) => wrong(format!("character {c} at byte {at}; allowed are A-Z a-z 0-9 _ -", c = QuotedChar(c))),
        None => Ok(()),
    }
}

/// Which characters tokens may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alphabet {
    /// What all clients agree on.
    Strict,
    /// What the server can store: printable ASCII, but wildcards.
    Permissive,
    /// Anything: it will be encoded.
    Any,
}

impl Alphabet {
    const fn has(self, c: char) -> bool {
        match self {
            Self::Strict => c.is_ascii_alphanumeric() || matches!(c, '-' | '/' | '_' | '='),
            Self::Permissive => c.is_ascii_graphic() && !matches!(c, '*' | '>'),
            Self::Any => true,
        }
    }

    const fn rule(self) -> &'static str {
        match self {
            Self::Strict => "allowed are A-Z a-z 0-9 - / _ = and . between tokens",
            Self::Permissive | Self::Any => "allowed is printable ASCII but * and >",
        }
    }
}

/// Refuses a stored key that may not be written.
pub(crate) fn check_reserved(stored: &str) -> Result<(), Error> {
    if stored.starts_with("_kv") {
        return Err(invalid("key", stored, "names that begin with `_kv` are reserved"));
    }
    Ok(())
}

/// The rules of tokens: none is empty, all their characters are of the alphabet; filters may have wildcards for tokens.
pub(crate) fn check_tokens(what: &str, text: &str, alphabet: Alphabet, is_filter: bool) -> Result<(), Error> {
    if is_plain(text) {
        return Ok(());
    }
    if text.is_empty() {
        return Err(invalid(what, text, "empty"));
    }
    let mut at = 0;
    for token in text.split('.') {
        if token.is_empty() {
            return Err(invalid(what, text, &format!("empty token at byte {at}")));
        }
        if is_filter && token == ">" && at + 1 < text.len() {
            return Err(invalid(what, text, &advice('>', at, alphabet, true))); // also where any text is a token
        }
        let is_wildcard = is_filter && matches!(token, "*" | ">");
        if !is_wildcard && let Some((offset, c)) = token.char_indices().find(|(_, c)| !alphabet.has(*c)) {
            return Err(invalid(what, text, &advice(c, at + offset, alphabet, is_filter)));
        }
        at += token.len() + 1;
    }
    Ok(())
}

/// Whether it has strict characters only and no empty token, as nearly every key: good for every alphabet, after one look at each byte.
fn is_plain(text: &str) -> bool {
    let mut is_in_token = false;
    for byte in text.bytes() {
        is_in_token = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'/' | b'_' | b'=' => true,
            b'.' if is_in_token => false,
            _ => return false,
        };
    }
    is_in_token
}

fn advice(c: char, at: usize, alphabet: Alphabet, is_filter: bool) -> String {
    let rule = alphabet.rule();
    match c {
        '*' | '>' if is_filter => {
            format!(
                "wildcard {c} at byte {at}: `*` stands for a whole token, `>` for all tokens at the end",
                c = QuotedChar(c)
            )
        }
        '*' | '>' => format!("wildcard {c} at byte {at}: a key names one key", c = QuotedChar(c)),
        ':' => format!(
            "character ':' at byte {at}; {rule}: write user.12345 for user:12345, or use the key policy permissive or escape"
        ),
        _ if alphabet == Alphabet::Strict => {
            format!(
                "character {c} at byte {at}; {rule}; the key policies permissive, base64 and escape take more",
                c = QuotedChar(c)
            )
        }
        _ => format!("character {c} at byte {at}; {rule}", c = QuotedChar(c)),
    }
}

fn invalid(what: &str, text: &str, why: &str) -> Error {
    // A key may be large; the message need not be.
    let shown: String = text.chars().take(80).collect();
    let dots = if shown.len() < text.len() { "…" } else { "" };
    Error::new(ErrorCode::InvalidKey, format!("{what} {shown}{dots}: {why}", shown = Quoted(&shown)))
}

/// Filters without repetitions and without those that another one covers; in their order. None given means all keys. Keys are looked
/// up, not compared with each other: there may be many thousands.
pub(crate) fn reduce<'a>(filters: impl IntoIterator<Item = Cow<'a, str>>) -> Vec<String> {
    let filters: Vec<Cow<'_, str>> = filters.into_iter().collect();
    if filters.is_empty() {
        return Vec::from([String::from(">")]);
    }
    let mut order: Vec<usize> = (0..filters.len()).collect();
    sort(&mut order, |a, b| filters[*a].cmp(&filters[*b]));
    order.dedup_by(|later, first| filters[*later] == filters[*first]);
    sort(&mut order, Ord::cmp);
    let wide: Vec<usize> = order.iter().copied().filter(|at| subject::is_filter(&filters[*at])).collect();
    let is_covered =
        |at: &usize| wide.iter().any(|other| other != at && subject::covers(&filters[*other], &filters[*at]));
    order.retain(|at| !is_covered(at));
    order.into_iter().map(|at| filters[at].clone().into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::policy::KeyPolicy;

    /// An interpreter has not the time for all.
    const STEP: usize = if cfg!(miri) { 97 } else { 1 };

    #[test]
    fn filters_are_reduced_as_if_each_were_compared_with_each() {
        let names = ["a", "b", "a.b", "a.*", "a.>", "*.b", "*", ">", "a.b.c", "*.>"];
        let plainly = |filters: &[&str]| -> Vec<String> {
            let is_covered = |at: usize| {
                let covers = |other: usize| subject::covers(filters[other], filters[at]);
                (0..filters.len()).any(|other| covers(other) && (filters[other] != filters[at] || other < at))
            };
            (0..filters.len()).filter(|&at| !is_covered(at)).map(|at| filters[at].into()).collect()
        };
        for seed in (0..10_000_usize).step_by(STEP) {
            let filters = [seed % 10, seed / 10 % 10, seed / 100 % 10, seed / 1000].map(|at| names[at]);
            assert_eq!(reduce(filters.map(Cow::Borrowed)), plainly(&filters), "{filters:?}");
        }
        assert_eq!(reduce([]), [">"]);
    }

    #[test]
    fn the_quick_look_says_what_the_rules_say() {
        let parts = ["a", "Z9", "-/_=", ".", "", ":", "*", ">", "é", " "];
        for seed in (0..10_000_usize).step_by(STEP) {
            let text = [seed % 10, seed / 10 % 10, seed / 100 % 10, seed / 1000].map(|at| parts[at]).concat();
            let has_empty = text.split('.').any(str::is_empty);
            let is_strict = text.chars().all(|c| c == '.' || Alphabet::Strict.has(c));
            assert_eq!(is_plain(&text), is_strict && !has_empty, "{text:?}");
        }
    }

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
            let error = KeyPolicy::Strict.encode(key).expect_err(key);
            assert!(error.message.contains(says), "{error}");
            assert_eq!(error.code, ErrorCode::InvalidKey);
        }
        assert!(KeyPolicy::Strict.encode("_kv.x").is_ok() && check_reserved("_kv.x").is_err());
        let is_filter = |filter| KeyPolicy::Strict.encode_filter(filter).is_ok();
        assert!(is_filter("a.>") && !is_filter(">.a") && !is_filter("a*"));
    }
}
