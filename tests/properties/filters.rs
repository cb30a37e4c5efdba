//! Filters are reduced: what they match together stays the same, and none that is left is covered by another.

use std::collections::BTreeSet;

use natskv_core::wire;
use proptest::prelude::*;

use crate::{oracle, tries};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Every key of up to four of these tokens: deeper and wider than any filter here tells apart.
fn universe() -> Vec<String> {
    let mut keys: Vec<String> = NAMES.map(String::from).to_vec();
    let mut longest = keys.clone();
    for _ in 0..3 {
        longest = longest.iter().flat_map(|key| NAMES.map(|name| format!("{key}.{name}"))).collect();
        keys.extend(longest.clone());
    }
    keys
}

/// Filters of up to three tokens of `a`, `b` and the wildcards; `c` is what only wildcards match.
fn filter() -> impl Strategy<Value = String> {
    let token = || prop::sample::select(vec!["a", "b", "*"]);
    (prop::collection::vec(token(), 0..3), prop::sample::select(vec!["a", "b", "*", ">"])).prop_map(
        |(mut tokens, last)| {
            tokens.push(last);
            tokens.join(".")
        },
    )
}

fn matched<'a>(filter: &str, keys: &'a [String]) -> BTreeSet<&'a str> {
    keys.iter().map(String::as_str).filter(|key| oracle::text_matches(filter, key, '.')).collect()
}

proptest! {
    #![proptest_config(tries(600))]

    #[test]
    fn reduced_filters_match_the_same_and_none_is_covered(filters in prop::collection::vec(filter(), 1..7)) {
        let keys = universe();
        let given: Vec<&str> = filters.iter().map(String::as_str).collect();
        let (reduced, is_crossing) = wire::reduce_filters(&given).expect("filters by the rule");
        let all = |filters: &[String]| -> BTreeSet<&str> { filters.iter().flat_map(|filter| matched(filter, &keys)).collect() };
        prop_assert_eq!(all(&filters), all(&reduced));
        prop_assert!(reduced.iter().all(|filter| filters.contains(filter)), "{:?} is not of {:?}", reduced, filters);
        let sets: Vec<BTreeSet<&str>> = reduced.iter().map(|filter| matched(filter, &keys)).collect();
        let mut has_common = false;
        for (at, one) in sets.iter().enumerate() {
            for (other_at, other) in sets.iter().enumerate() {
                prop_assert!(at == other_at || !one.is_subset(other), "{:?} is covered in {:?}", reduced[at], reduced);
                has_common |= at != other_at && !one.is_disjoint(other);
            }
        }
        prop_assert_eq!(is_crossing, has_common, "{:?}", reduced);
    }
}
