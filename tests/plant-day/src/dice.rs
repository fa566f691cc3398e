//! Chance that is the same on every machine: whole numbers out of ChaCha8, no floating point, nothing of the platform's.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A stream of chance, named by up to four numbers.
#[derive(Debug)]
pub(crate) struct Dice(ChaCha8Rng);

// === impl Dice ===

impl Dice {
    /// The stream of this name: other names, other streams.
    pub(crate) fn of(name: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, number) in seed.chunks_exact_mut(8).zip(name) {
            bytes.copy_from_slice(&number.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number from `low` up to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        let choices = u64::from(high.saturating_sub(low)) + 1;
        // The upper half of a product is even enough: what is off is less than one part in a thousand million.
        let chosen = (u64::from(self.0.next_u32()) * choices) >> 32;
        low.saturating_add(u32::try_from(chosen).unwrap_or_default())
    }

    /// Yes, in so many of a hundred cases.
    pub(crate) fn percent(&mut self, chance: u32) -> bool {
        self.between(1, 100) <= chance
    }

    /// One of them; `None` of nothing.
    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        let last = u32::try_from(choices.len()).ok()?.checked_sub(1)?;
        choices.get(usize::try_from(self.between(0, last)).ok()?)
    }

    /// Sixteen bytes, for an id.
    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_a_range_comes_and_no_other() {
        let mut dice = Dice::of([1, 2, 3, 4]);
        let thrown: std::collections::BTreeSet<u32> =
            (0..1000).map(|_| dice.between(1, 6)).collect();
        assert_eq!(Vec::from_iter(thrown), [1, 2, 3, 4, 5, 6]);
        assert_eq!(dice.between(7, 7), 7);
        assert_eq!(dice.one_of::<u8>(&[]), None);
    }

    #[test]
    fn another_name_is_another_stream() {
        let first = |name| Dice::of(name).bytes();
        assert_eq!(first([1, 0, 0, 0]), first([1, 0, 0, 0]));
        assert_ne!(first([1, 0, 0, 0]), first([0, 1, 0, 0]));
    }
}
