//! What this client wrote or read last: a direct get may be answered by a replica that lags behind, and then the leader is asked.
//!
//! A table of fixed size (`Config::seen_keys`), indexed by a hash of the key. A key that takes another's place only loses the other's guard.

use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Hash, and what is known of the key: its revision, twice, and one more where the leader said that nothing is left of it.
    slots: Vec<(u64, u64)>,
    /// The newest revision of any key.
    newest: u64,
}

impl Seen {
    /// The key is at this revision, or was.
    pub(crate) fn record(&mut self, key: &[u8], revision: u64, size: usize) {
        if self.slots.is_empty() {
            self.slots.resize(size, (0, 0));
        }
        self.newest = self.newest.max(revision);
        let hash = hash(key);
        if let Some(slot) = self.slot(hash) {
            let known = if slot.0 == hash { slot.1 >> 1 } else { 0 };
            *slot = (hash, revision.max(known) << 1); // it is back, of a bucket made anew perhaps: the leader knows
        }
    }

    /// The leader says which revision the key is at now (0: none): what was seen before is history, as after a restore. A replica that still
    /// has it lags behind.
    pub(crate) fn correct(&mut self, key: &[u8], revision: u64) {
        let hash = hash(key);
        if let Some(slot) = self.slot(hash).filter(|slot| slot.0 == hash) {
            slot.1 = if revision == 0 { slot.1 | 1 } else { revision << 1 };
        }
    }

    /// The bucket was made anew, and is at this revision now. Of the new one something may have been seen already, so nothing is
    /// forgotten: the leader corrects what is of the old one, key by key.
    pub(crate) fn restart(&mut self, last_seq: u64) {
        self.newest = last_seq;
    }

    /// Whether an answer that has the key at this revision, or has none (0), is older than what is known.
    pub(crate) fn is_behind(&self, key: &[u8], revision: u64) -> bool {
        let known = self.known(key);
        let is_gone = known & 1 == 1;
        if revision == 0 { known > 0 && !is_gone } else { revision < (known >> 1) + u64::from(is_gone) }
    }

    /// What is known of a key, to be compared with what is known later; 0 is nothing.
    pub(crate) fn known(&self, key: &[u8]) -> u64 {
        let hash = hash(key);
        let slot = (hash as usize).checked_rem(self.slots.len()).map(|at| self.slots[at]);
        slot.filter(|slot| slot.0 == hash).map_or(0, |slot| slot.1)
    }

    /// The newest revision of any key: a copy of the bucket that has it has all.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    fn slot(&mut self, hash: u64) -> Option<&mut (u64, u64)> {
        let at = (hash as usize).checked_rem(self.slots.len())?;
        self.slots.get_mut(at)
    }
}

/// FNV-1a over words of eight bytes, folded.
fn hash(key: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for chunk in key.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
        hash ^= hash >> 29;
    }
    // The upper bits of a product depend on all bits; the lower ones, which choose the slot, are often the
    // same for keys that differ little, such as `k1` and `k2`.
    let mixed = (hash ^ key.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    mixed.max(1) // 0 is no key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_the_newest_until_the_leader_corrects() {
        let mut seen = Seen::default();
        let behind = |seen: &Seen, key: &[u8]| [0, 1, 5, 6, 7].map(|revision| seen.is_behind(key, revision));
        assert_eq!(behind(&seen, b"a"), [false; 5]);
        seen.record(b"a", 7, 16);
        seen.record(b"a", 5, 16);
        assert_eq!(behind(&seen, b"a"), [true, true, true, true, false]);
        assert_eq!(behind(&seen, b"b"), [false; 5]);
        seen.correct(b"a", 5);
        assert_eq!(behind(&seen, b"a"), [true, true, false, false, false]);
        seen.correct(b"a", 0);
        assert_eq!(behind(&seen, b"a"), [false, true, true, false, false], "gone, and so are its revisions");
        seen.record(b"a", 3, 16);
        assert_eq!(behind(&seen, b"a"), [true, true, false, false, false], "written in a bucket made anew");
        seen.record(b"a", 7, 16);
        assert_eq!(behind(&seen, b"a"), [true, true, true, true, false]);
        let keys: Vec<_> = (0..400).map(|n| alloc::format!("k{n}")).collect();
        let mut many = Seen::default();
        keys.iter().for_each(|key| many.record(key.as_bytes(), 9, 4096));
        let kept = keys.iter().filter(|key| many.is_behind(key.as_bytes(), 8)).count();
        assert!(kept > 370, "keys that differ little take each other's places: {kept}");
        let mut none = Seen::default();
        none.record(b"a", 7, 0);
        assert!(!none.is_behind(b"a", 1));
    }
}
