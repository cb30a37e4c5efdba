//! The rules of keys and filters as PROTOCOL 4.1 puts them, in the plainest words; and texts that nearly follow them.

use proptest::prelude::*;

const SET: &str = "-/_=.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Full match of the set, no dot first or last, no empty token.
pub(crate) fn is_stored_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| SET.contains(c))
        && !text.starts_with('.')
        && !text.ends_with('.')
        && !text.contains("..")
}

/// The same, and not reserved.
pub(crate) fn is_writable(text: &str) -> bool {
    is_stored_key(text) && !text.starts_with("_kv")
}

/// Tokens of the same set, or exactly `*`, or exactly `>` at the end.
pub(crate) fn is_filter(text: &str) -> bool {
    let tokens: Vec<&str> = text.split('.').collect();
    tokens.iter().enumerate().all(|(at, token)| match *token {
        "*" => true,
        ">" => at + 1 == tokens.len(),
        _ => is_stored_key(token),
    })
}

/// Printable ASCII 33-126 but `*` and `>`, without empty tokens.
pub(crate) fn is_permissive(text: &str) -> bool {
    text.split('.').all(|token| !token.is_empty())
        && text.chars().all(|c| ('\u{21}'..='\u{7e}').contains(&c) && c != '*' && c != '>')
}

/// Whether a filter matches a key: `*` is any token, `>` one or more at the end.
pub(crate) fn matches(filter: &[&str], key: &[&str]) -> bool {
    match (filter, key) {
        ([], []) => true,
        ([">"], [_, ..]) => true,
        ([token, filter @ ..], [first, key @ ..]) => (*token == "*" || token == first) && matches(filter, key),
        _ => false,
    }
}

/// The same for texts whose tokens are separated by `separator`.
pub(crate) fn text_matches(filter: &str, key: &str, separator: char) -> bool {
    let (filter, key): (Vec<&str>, Vec<&str>) = (filter.split(separator).collect(), key.split(separator).collect());
    matches(&filter, &key)
}

/// Texts that are keys or filters, or nearly.
pub(crate) fn nearly() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "Zz", "09", "-", "/", "_", "=", "_kv", ".", ".", "..", "*", ">", " ", ":", "$", "é", "\r\n", "\0",
        "\u{7f}",
    ]);
    prop_oneof![
        4 => prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat()),
        1 => any::<String>(),
        2 => "[-/_=.A-Za-z0-9]{0,30}",
    ]
}

/// Text as messages show it: what is seen as it is, the rest as Rust writes it.
pub(crate) fn quoted(text: &str) -> String {
    let unseen = ["\u{ad}", "\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}", "\u{feff}"];
    let ranges = ["\u{300}\u{36f}", "\u{2028}\u{202e}", "\u{2060}\u{206f}", "\u{fe00}\u{fe0f}", "\u{e0000}\u{e0fff}"];
    let is_within = |c: char, range: &str| range.chars().next() <= Some(c) && Some(c) <= range.chars().last();
    let is_unseen =
        |c: char| c.is_control() || unseen.concat().contains(c) || ranges.iter().any(|range| is_within(c, range));
    let show = |c: char| match c {
        '"' | '\\' => c.escape_default().to_string(),
        '\0' | '\t' | '\n' | '\r' => c.escape_debug().to_string(),
        c if is_unseen(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(show).collect::<String>())
}
