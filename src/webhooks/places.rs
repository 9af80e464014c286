//! Which webhooks are delivered to at a time. There are so many places and no more; who waits for one gets it
//! in turn, and who has had it for some time gives it up while somebody waits.

use std::collections::{HashSet, VecDeque};

/// How many webhooks are delivered to at a time.
const MOST: usize = 64;

/// The webhooks that have a place, and those that wait for one.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Those that are being delivered to by this process.
    taken: HashSet<String>,
    /// Those that were without a place when it was last looked, who came first in front.
    waiting: VecDeque<String>,
}

impl Places {
    /// Whether a webhook is being delivered to.
    pub(super) fn has(&self, id: &str) -> bool {
        self.taken.contains(id)
    }

    /// Whether somebody waits for a place.
    pub(super) fn are_wanted(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Gives the places that are free to the webhooks that may be delivered to and have none yet: first to those that
    /// waited already, then in the order given. Gives back who got one.
    pub(super) fn give(&mut self, able: Vec<String>) -> Vec<String> {
        let are_able: HashSet<&String> = able.iter().collect();
        self.waiting.retain(|id| are_able.contains(id));
        let waited: HashSet<String> = self.waiting.iter().cloned().collect();
        self.waiting.extend(able.into_iter().filter(|id| !waited.contains(id)));
        let free = MOST.saturating_sub(self.taken.len()).min(self.waiting.len());
        let begun: Vec<String> = self.waiting.drain(..free).collect();
        self.taken.extend(begun.iter().cloned());
        begun
    }

    /// A webhook is not delivered to any more.
    pub(super) fn leave(&mut self, id: &str) {
        self.taken.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<usize>) -> Vec<String> {
        range.map(|number| number.to_string()).collect()
    }

    #[test]
    fn whoever_waited_longest_is_first() {
        let mut places = Places::default();
        assert_eq!(places.give(ids(0..MOST + 36)), ids(0..MOST));
        assert!(places.are_wanted());
        // All are done for now and have more: those that waited go before them.
        for id in ids(0..MOST) {
            places.leave(&id);
        }
        let begun = places.give(ids(0..MOST + 36));
        assert_eq!(begun, [ids(MOST..MOST + 36), ids(0..MOST - 36)].concat());
        // Those that were left over are before others that come later.
        for id in &begun {
            places.leave(id);
        }
        let all = [ids(1_000..1_100), ids(0..MOST + 36)].concat();
        assert_eq!(places.give(all)[..36], ids(MOST - 36..MOST));
    }

    #[test]
    fn nobody_waits_who_has_nothing_to_send_any_more() {
        let mut places = Places::default();
        places.give(ids(0..MOST + 2));
        assert_eq!(places.give(ids(MOST + 1..MOST + 2)), Vec::<String>::new());
        places.leave("0");
        assert!(places.has("1") && !places.has("0"));
        assert_eq!(places.give(ids(MOST + 1..MOST + 2)), ids(MOST + 1..MOST + 2));
        assert!(!places.are_wanted());
    }
}
