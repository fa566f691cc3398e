//! Who has asked of late under one rule: a bounded number of keys, each of them 16 bytes.
//!
//! A key is a hash already, and its state one point in time: when everything it has asked for would have come at the rule's even
//! pace. A key whose time is past is as good as one that was never seen, and goes at the next sweep. Were every place taken by keys
//! that still count, any one of them makes room for a new one: that forgives one client a few requests, where to refuse newcomers
//! would shut out everybody.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

/// Of one rule: 2 MB. More clients than any plant has, and what an attacker with many addresses can't exceed.
const MAX_KEYS: usize = 50_000;
/// A map that holds so much less than it could gives its memory back.
const SPARSE: usize = 8;

#[derive(Debug, Default)]
pub struct Keys(Mutex<HashMap<u64, Nanos>>);

// === impl Keys ===

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Keys {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut keys = self.lock();
        let (outcome, until) = decide(keys.get(key).copied())?;
        if keys.len() >= MAX_KEYS
            && !keys.contains_key(key)
            && let Some(any) = keys.keys().next().copied()
        {
            keys.remove(&any);
        }
        keys.insert(*key, until);
        Ok(outcome)
    }
}

impl ShrinkableKeyedStateStore<u64> for Keys {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut keys = self.lock();
        keys.retain(|_, until| *until > drop_below);
        if keys.capacity() / SPARSE > keys.len() {
            keys.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.lock().len()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &Keys, key: u64, until: u64) {
        let decided: Result<(), ()> =
            keys.measure_and_replace(&key, |_| Ok(((), Nanos::from(until))));
        decided.unwrap();
    }

    #[test]
    fn there_are_never_more_keys_than_the_bound() {
        let keys = Keys::default();
        for key in 0..MAX_KEYS as u64 + 100 {
            set(&keys, key, 1);
        }
        assert_eq!(keys.len(), MAX_KEYS);
        // One that is there already takes nobody's place.
        let newest = MAX_KEYS as u64 + 99;
        set(&keys, newest, 2);
        assert_eq!(keys.len(), MAX_KEYS);
        assert_eq!(keys.lock().get(&newest), Some(&Nanos::from(2)));
    }

    #[test]
    fn a_sweep_keeps_those_that_count_and_gives_back_memory() {
        let keys = Keys::default();
        for key in 0..10_000 {
            set(&keys, key, if key < 10 { 100 } else { 50 });
        }
        keys.retain_recent(Nanos::from(50));
        assert_eq!(keys.len(), 10);
        assert!(keys.lock().capacity() < 100);
    }

    #[test]
    fn a_refusal_changes_nothing() {
        let keys = Keys::default();
        let refused: Result<(), &str> = keys.measure_and_replace(&7, |_| Err("no"));
        assert_eq!(refused, Err("no"));
        assert!(keys.is_empty());
    }
}
