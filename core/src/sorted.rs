//! Sorting once: the comparison is called through a pointer, so that one sort is compiled for all types. In a browser each further
//! one would be four kilobytes of download.

use alloc::vec::Vec;
use core::{cmp::Ordering, mem};

/// Sorts by `order`; equals keep theirs.
pub(crate) fn sort<T>(items: &mut Vec<T>, order: impl Fn(&T, &T) -> Ordering) {
    let sorted = indices(items.len(), &|a, b| order(&items[a as usize], &items[b as usize]));
    let mut taken: Vec<Option<T>> = mem::take(items).into_iter().map(Some).collect();
    items.extend(sorted.into_iter().filter_map(|at| taken[at as usize].take()));
}

#[inline(never)]
fn indices(len: usize, order: &dyn Fn(u32, u32) -> Ordering) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..len as u32).collect();
    indices.sort_unstable_by(|a, b| order(*a, *b).then(a.cmp(b)));
    indices
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};

    use super::*;

    #[test]
    fn any_type_is_sorted() {
        let mut words: Vec<String> = ["b", "", "c", "a", "b"].iter().map(ToString::to_string).collect();
        sort(&mut words, Ord::cmp);
        assert_eq!(words, ["", "a", "b", "b", "c"]);
    }
}
