//! Randomness from the 32 bytes that `Client::new` was given: unguessable names once, jitter for ever after.
//!
//! xoshiro256** is not for secrets; the inbox prefix, which others must not guess, is drawn from fresh entropy first.

/// A small deterministic generator, so that one seed replays one run.
#[derive(Clone, Debug)]
pub(crate) struct Rng([u64; 4]);

impl Rng {
    pub(crate) fn new(entropy: &[u8; 32]) -> Self {
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(entropy.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |n, &b| n << 8 | u64::from(b));
        }
        if state == [0; 4] {
            state[0] = 1; // the all-zero state never leaves itself
        }
        Self(state)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let result = self.0[1].wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = self.0[1] << 17;
        self.0[2] ^= self.0[0];
        self.0[3] ^= self.0[1];
        self.0[1] ^= self.0[2];
        self.0[0] ^= self.0[3];
        self.0[2] ^= shifted;
        self.0[3] = self.0[3].rotate_left(45);
        result
    }

    /// A number below `bound`, which is not 0. The bias of the multiplication is below 2^-32 for our small bounds.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// `len` characters of `0-9A-Za-z`.
    pub(crate) fn token(&mut self, len: usize) -> alloc::string::String {
        const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..len).map(|_| char::from(ALPHABET[self.below(62) as usize])).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}
