//! Which keys, filters and bucket names are taken.

use natskv_core::{ErrorCode, KeyPolicy, wire};
use proptest::prelude::*;

use crate::{oracle, tries};

proptest! {
    #![proptest_config(tries(3_000))]

    #[test]
    fn keys_are_taken_by_the_rule_and_refused_by_name(text in oracle::nearly()) {
        let is_taken = wire::check_key(&text);
        prop_assert_eq!(is_taken.is_ok(), oracle::is_writable(&text));
        if let Err(error) = is_taken {
            prop_assert_eq!(error.code, ErrorCode::InvalidKey);
            let shown: String = text.chars().take(80).collect();
            prop_assert!(error.message.starts_with(&format!("key {}", oracle::quoted(&shown))), "{}", error.message);
        }
    }

    #[test]
    fn reads_take_reserved_keys_too(text in oracle::nearly()) {
        prop_assert_eq!(wire::encode_key(KeyPolicy::Strict, &text).is_ok(), oracle::is_stored_key(&text));
        prop_assert_eq!(wire::encode_key(KeyPolicy::Permissive, &text).is_ok(), oracle::is_permissive(&text));
    }

    #[test]
    fn filters_are_taken_by_the_rule(text in oracle::nearly()) {
        prop_assert_eq!(wire::check_filter(&text).is_ok(), oracle::is_filter(&text));
    }

    #[test]
    fn buckets_are_taken_by_the_rule(text in prop_oneof![oracle::nearly(), "[A-Za-z0-9_-]{0,260}"]) {
        let is_name = (1..=252).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        prop_assert_eq!(wire::check_bucket(&text).is_ok(), is_name);
    }
}
