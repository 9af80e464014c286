//! Tables that forget what was not touched for longest, so that they never grow beyond a size.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values by key, at most a number of them.
///
/// There are two halves: what is touched is in the younger one, and when that is full it becomes the
/// elder one, whose entries go. So nothing has to be sorted, and each touch costs the same.
pub(super) struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Hash + Eq, V> Generations<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (capacity / 2).max(1) }
    }

    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// What was seen lately, shared by all threads.
pub(super) struct Recent<K>(Mutex<Generations<K, ()>>);

impl<K: Hash + Eq> Recent<K> {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(Generations::new(capacity)))
    }

    pub(super) fn note(&self, key: K) {
        locked(&self.0).put(key, ());
    }

    pub(super) fn has<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        locked(&self.0).get(key).is_some()
    }

    pub(super) fn forget<Q: Hash + Eq + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        locked(&self.0).remove(key);
    }
}

/// What is behind a lock. No thread leaves it half changed, so one that panicked is no reason to stop.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_stays_and_the_rest_goes() {
        let mut table = Generations::new(100);
        table.put(0, 0);
        for key in 1..10_000 {
            table.put(key, key);
            if key % 25 == 0 {
                table.put(0, key);
            }
            assert!(table.len() <= 100, "{}", table.len());
            assert_eq!(table.get(&key), Some(&key));
        }
        assert_eq!(table.get(&0), Some(&9975));
        assert_eq!(table.get(&1), None);
        table.remove(&0);
        assert_eq!(table.get(&0), None);
    }
}
