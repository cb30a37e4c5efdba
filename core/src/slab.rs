//! Things by number: an index into a vector, with a generation above it so that a number never names two things.

use alloc::vec::Vec;

/// Bits of a key that are the index; the bound of every slab.
const INDEX_BITS: u32 = 24;

/// Values under keys that are never 0 and never used twice.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u64,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) const MAX: usize = 1 << INDEX_BITS;

    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0 }
    }

    /// Stores `value`; the caller keeps `len` below `MAX`.
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        self.len += 1;
        let index = self.free.pop().map_or(self.slots.len(), |index| index as usize);
        if index == self.slots.len() {
            self.slots.push(Slot { generation: 0, value: None });
        }
        let slot = &mut self.slots[index];
        slot.generation += 1;
        slot.value = Some(value);
        slot.generation << INDEX_BITS | index as u64
    }

    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        let slot = self.slots.get(index_of(key)).filter(|slot| slot.generation == key >> INDEX_BITS)?;
        slot.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        let slot = self.slots.get_mut(index_of(key)).filter(|slot| slot.generation == key >> INDEX_BITS)?;
        slot.value.as_mut()
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let slot = self.slots.get_mut(index_of(key)).filter(|slot| slot.generation == key >> INDEX_BITS)?;
        let value = slot.value.take()?;
        self.free.push(index_of(key) as u32);
        self.len -= 1;
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// All keys, in the order of their slots.
    pub(crate) fn keys(&self) -> Vec<u64> {
        let mut keys = Vec::with_capacity(self.len);
        for (key, _) in self.iter() {
            keys.push(key);
        }
        keys
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            slot.value.as_ref().map(|value| (slot.generation << INDEX_BITS | index as u64, value))
        })
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| slot.value.as_mut())
    }
}

const fn index_of(key: u64) -> usize {
    (key & ((1 << INDEX_BITS) - 1)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_names_one_thing() {
        let mut slab = Slab::new();
        let a = slab.insert('a');
        assert_eq!(slab.remove(a), Some('a'));
        let b = slab.insert('b');
        assert!(a != b && a != 0 && b != 0);
        assert_eq!((slab.get(a), slab.get(b)), (None, Some(&'b')));
        assert_eq!(slab.remove(a), None);
        assert_eq!((slab.len(), slab.keys()), (1, alloc::vec![b]));
    }
}
