//! A leaking bucket for each key: so many units at once, and then so many in a time.

use std::hash::Hash;
use std::sync::Mutex;

use super::recent::{Generations, locked};

/// Longest that anybody has to wait who has taken more than there was, in microseconds.
const LONGEST: i64 = 60 * 1_000_000;

/// The buckets. Of each the time is known at which it has leaked empty, and no more.
pub(super) struct Buckets<K> {
    /// How long a unit takes to leak, in microseconds; 0 is no limit.
    unit: i64,
    /// How long a full bucket takes to leak.
    full: i64,
    empty_at: Mutex<Generations<K, i64>>,
}

impl<K: Hash + Eq> Buckets<K> {
    /// Buckets that hold `full` microseconds' worth of units, of which `rate` leak in `period`.
    pub(super) fn new(rate: u32, period: i64, full: i64, capacity: usize) -> Self {
        let unit = period.checked_div(i64::from(rate)).map_or(0, |unit| unit.max(1));
        Self { unit, full: full.max(unit), empty_at: Mutex::new(Generations::new(capacity)) }
    }

    /// Puts a unit in, if there is room.
    ///
    /// # Errors
    /// How many seconds to wait for it.
    pub(super) fn take(&self, key: K, now: i64) -> Result<(), u64> {
        if self.unit == 0 {
            return Ok(());
        }
        let mut table = locked(&self.empty_at);
        let after = self.level(table.get(&key), now).saturating_add(self.unit);
        if let Some(seconds) = self.seconds(after, now) {
            return Err(seconds);
        }
        table.put(key, after);
        Ok(())
    }

    /// How many seconds to wait until there is room for a unit; `None` if there is.
    pub(super) fn wait(&self, key: &K, now: i64) -> Option<u64> {
        if self.unit == 0 {
            return None;
        }
        let level = self.level(locked(&self.empty_at).get(key), now);
        self.seconds(level.saturating_add(self.unit), now)
    }

    /// Puts units in, whether or not there is room.
    pub(super) fn charge(&self, key: K, units: i64, now: i64) {
        if self.unit == 0 {
            return;
        }
        let mut table = locked(&self.empty_at);
        let after =
            self.level(table.get(&key), now).saturating_add(self.unit.saturating_mul(units));
        let after = after.min(self.latest(now));
        table.put(key, after);
    }

    /// When a bucket has leaked empty. Nobody waits longer than the longest because a clock was set
    /// back.
    fn level(&self, empty_at: Option<&i64>, now: i64) -> i64 {
        empty_at.copied().unwrap_or(now).clamp(now, self.latest(now))
    }

    fn latest(&self, now: i64) -> i64 {
        now.saturating_add(self.full).saturating_add(LONGEST)
    }

    /// How long until a bucket that would be empty at `after` is no more than full, in whole seconds.
    fn seconds(&self, after: i64, now: i64) -> Option<u64> {
        let over = u64::try_from(after.saturating_sub(now).saturating_sub(self.full)).unwrap_or(0);
        (over > 0).then(|| over.div_ceil(1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let buckets = Buckets::new(1, 1_000_000, 1_000_000, 10);
        let later = 1_000 * LONGEST;
        assert_eq!(buckets.take('a', later), Ok(()));
        assert!(buckets.take('a', 0).is_err_and(|seconds| seconds <= 61));
        buckets.charge('b', i64::MAX, 0);
        assert_eq!(buckets.wait(&'b', 0), Some(61));
        assert_eq!(buckets.wait(&'b', i64::MAX), None);
    }

    proptest! {
        /// However requests come, in any stretch of time there go no more through than a full bucket
        /// and what leaks meanwhile; and whoever waits as long as is said goes through.
        #[test]
        fn no_more_goes_through_than_is_said(
            rate in 1_u32..50,
            burst in 1_i64..5,
            gaps in prop::collection::vec(0_i64..400_000, 1..200),
        ) {
            let buckets = Buckets::new(rate, 1_000_000, burst * 1_000_000, 10);
            let (mut now, mut passed) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                match buckets.take('a', now) {
                    Ok(()) => passed.push(now),
                    Err(seconds) => {
                        let then = now + i64::try_from(seconds).unwrap() * 1_000_000;
                        prop_assert_eq!(buckets.wait(&'a', then), None);
                    }
                }
            }
            let unit = 1_000_000 / i64::from(rate);
            for (first, from) in passed.iter().enumerate() {
                for (last, until) in passed.iter().enumerate().skip(first) {
                    let most = (burst * 1_000_000 + (until - from)) / unit + 1;
                    prop_assert!(i64::try_from(last - first + 1).unwrap() <= most);
                }
            }
        }
    }
}
