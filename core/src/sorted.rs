//! Sorting once: the comparison is called through a pointer, so that one sort is compiled for all types. In a browser each further
//! one would be four kilobytes of download.

use alloc::vec::Vec;
use core::{cmp::Ordering, mem};

/// Sorts by `order`; equals keep theirs.
pub(crate) fn sort<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let sorted = indices(items.len(), &|a, b| order(&items[a as usize], &items[b as usize]));
    arrange(sorted, &mut |a, b| items.swap(a, b));
}

#[inline(never)]
fn indices(len: usize, order: &dyn Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..len as u32).collect();
    indices.sort_unstable_by(|a, b| order(*a, *b).then(a.cmp(b)));
    indices
}

/// Swaps until each place has what was at the index given for it: cycle by cycle.
#[inline(never)]
fn arrange(mut from: Vec<u32>, swap: &mut dyn FnMut(usize, usize)) {
    for start in 0..from.len() {
        let mut at = start;
        loop {
            let other = mem::replace(&mut from[at], at as u32) as usize;
            if other == start {
                break;
            }
            swap(at, other);
            at = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;

    #[test]
    fn equals_keep_their_order() {
        let mut items: Vec<(u64, u64)> = (0..500).map(|at| (at * at * 7 % 31, at)).collect();
        let mut expected = items.clone();
        expected.sort_by_key(|(key, _)| *key);
        sort(&mut items, |(a, _), (b, _)| a.cmp(b));
        assert_eq!(items, expected);
    }

    #[test]
    fn any_type_is_sorted() {
        let mut words: Vec<String> = ["b", "", "c", "a", "b"].iter().map(ToString::to_string).collect();
        sort(&mut words, Ord::cmp);
        assert_eq!(words, ["", "a", "b", "b", "c"]);
    }
}
