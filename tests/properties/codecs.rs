//! Keys by a codec: they come back, no two are stored alike, and what is stored is a key for every client.

use natskv_core::{KeyPolicy, wire};
use proptest::prelude::*;

use crate::{oracle, tries};

/// Any text but the dot that separates tokens.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[^.]{1,6}",
        2 => prop::sample::select(vec!["a", "b", "user:1", "=", "=3A", "*", ">", " ", "é", "😀", "_kv", "_root_", "/"]).prop_map(String::from),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..4).prop_map(|tokens| tokens.join("."))
}

/// A path as `decode` gives it: no empty part, no dot, and not the mark of a leading slash.
fn path() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec("[a-z0-9=-]{1,4}", 1..4).prop_map(|parts| parts.join("/"));
    prop_oneof![
        Just("/".to_owned()),
        (any::<bool>(), parts).prop_map(|(is_root, path)| if is_root { format!("/{path}") } else { path })
    ]
}

/// A few tokens, so that filters match now and then; joined by the separator of the policy's keys.
fn tokens(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(of), 1..4)
}

const TOKENS: &[&str] = &["a", "b", "é ", "x:y"];
const WITH_WILDCARDS: &[&str] = &["a", "b", "é ", "x:y", "*", "*", ">"];
const PARTS: &[&str] = &["a", "b", "c-d"];
const PARTS_WITH_WILDCARDS: &[&str] = &["a", "b", "c-d", "*", "*", ">"];

proptest! {
    #![proptest_config(tries(1_500))]

    #[test]
    fn any_text_comes_back(key in key()) {
        for policy in [KeyPolicy::Base64, KeyPolicy::Escape] {
            let stored = wire::encode_key(policy, &key).expect("any text is a key");
            prop_assert!(oracle::is_stored_key(&stored), "{:?}: {:?}", policy, stored);
            prop_assert_eq!(&wire::decode_key(policy, &stored), &key);
            prop_assert_eq!(stored.split('.').count(), key.split('.').count());
        }
    }

    #[test]
    fn no_two_are_stored_alike(one in key(), other in key(), at in any::<prop::sample::Index>(), c in any::<char>()) {
        let mut near: Vec<char> = one.chars().collect();
        let place = at.index(near.len());
        near[place] = c; // one character apart, where a codec would slip if anywhere
        for other in [other, near.iter().collect()] {
            for policy in [KeyPolicy::Base64, KeyPolicy::Escape] {
                if let Ok(stored) = wire::encode_key(policy, &other) {
                    let first = wire::encode_key(policy, &one).expect("any text is a key");
                    prop_assert_eq!(first == stored, one == other, "{:?} and {:?}", one, other);
                }
            }
        }
    }

    #[test]
    fn paths_come_back(path in path(), other in path()) {
        let stored = wire::encode_key(KeyPolicy::Path, &path).expect("a path");
        prop_assert!(oracle::is_stored_key(&stored), "{:?}", stored);
        prop_assert_eq!(&wire::decode_key(KeyPolicy::Path, &stored), &path);
        prop_assert_eq!(wire::encode_key(KeyPolicy::Path, &other).expect("a path") == stored, path == other);
    }

    #[test]
    fn whatever_a_path_is_stored_as_is_read_and_stored_so_again(text in oracle::nearly()) {
        if let Ok(stored) = wire::encode_key(KeyPolicy::Path, &text) {
            prop_assert!(oracle::is_stored_key(&stored), "{:?}", stored);
            let shown = wire::decode_key(KeyPolicy::Path, &stored);
            prop_assert_eq!(wire::encode_key(KeyPolicy::Path, &shown).expect("what is shown is a key"), stored);
        }
    }

    #[test]
    fn stored_filters_match_what_filters_match(key in tokens(TOKENS), filter in tokens(WITH_WILDCARDS)) {
        let (key, filter) = (key.join("."), filter.join("."));
        for policy in [KeyPolicy::Base64, KeyPolicy::Escape] {
            let is_filter = !filter.split('.').rev().skip(1).any(|token| token == ">");
            prop_assert_eq!(wire::encode_filter(policy, &filter).is_ok(), is_filter);
            let Ok(sent) = wire::encode_filter(policy, &filter) else { continue };
            let stored = wire::encode_key(policy, &key).expect("any text is a key");
            prop_assert!(oracle::is_filter(&sent), "{:?}", sent);
            prop_assert_eq!(oracle::text_matches(&sent, &stored, '.'), oracle::text_matches(&filter, &key, '.'));
        }
    }

    #[test]
    fn stored_filters_of_paths_match_what_filters_match(
        key in tokens(PARTS), filter in tokens(PARTS_WITH_WILDCARDS), is_root in any::<bool>(),
    ) {
        let root = if is_root { "/" } else { "" };
        let (key, filter) = (format!("{root}{}", key.join("/")), format!("{root}{}", filter.join("/")));
        if let Ok(sent) = wire::encode_filter(KeyPolicy::Path, &filter) {
            let stored = wire::encode_key(KeyPolicy::Path, &key).expect("a path");
            prop_assert_eq!(oracle::text_matches(&sent, &stored, '.'), oracle::text_matches(&filter, &key, '/'), "{} and {}", sent, stored);
        }
    }

    #[test]
    fn reading_is_total(stored in any::<String>()) {
        for policy in [KeyPolicy::Strict, KeyPolicy::Permissive, KeyPolicy::Base64, KeyPolicy::Path, KeyPolicy::Escape] {
            wire::decode_key(policy, &stored); // whatever another writer stored
        }
    }
}
