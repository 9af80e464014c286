//! Whether answers are those of some serial order. Versions say which: each change counts one.

use std::collections::BTreeMap;
use std::fmt::Debug;

use crate::support::{Case, pure_cases};

pub const CASES: &[Case] = pure_cases![
    an_order_is_found,
    a_lost_update_is_noticed,
    an_answer_that_shows_something_else_is_noticed,
    a_change_that_counts_twice_is_noticed,
];

/// A request that was acknowledged.
pub struct Done<S> {
    pub name: String,
    /// The version that it was answered with.
    pub version: u64,
    /// What it was answered with.
    pub shown: S,
    /// What it does.
    pub does: Box<dyn Fn(&S) -> S>,
}

/// Says why there is no order in which the requests lead from `start` to `end`, if there is none.
///
/// A request either changes something, and is answered with the next version, or changes nothing
/// and is answered with the version that it met.
pub fn check<S: PartialEq + Clone + Debug>(
    start: (u64, S),
    done: Vec<Done<S>>,
    end: (u64, &S),
) -> Result<(), String> {
    let (first, mut state) = start;
    let mut by_version = BTreeMap::<u64, Vec<Done<S>>>::new();
    for done in done {
        by_version.entry(done.version).or_default().push(done);
    }
    for version in first..=end.0.max(first) {
        let group = by_version.remove(&version).unwrap_or_default();
        let mut changer = None;
        if version > first {
            let found = group.iter().position(|done| {
                let after = (done.does)(&state);
                after != state && after == done.shown
            });
            let Some(found) = found else {
                let names: Vec<&str> = group.iter().map(|done| done.name.as_str()).collect();
                let shown = group.iter().map(|done| &done.shown).next();
                return Err(format!(
                    "none of {names:?} leads to version {version} from {state:?}, shown {shown:?}"
                ));
            };
            state = group[found].shown.clone();
            changer = Some(found);
        }
        for (number, done) in group.iter().enumerate() {
            if Some(number) != changer && (done.shown != state || (done.does)(&state) != state) {
                let (name, shown) = (&done.name, &done.shown);
                return Err(format!("{name} is lost at version {version}: {shown:?}, {state:?}"));
            }
        }
    }
    if let Some((version, group)) = by_version.first_key_value() {
        return Err(format!("{} is at version {version}, which is gone", group[0].name));
    }
    if state == *end.1 { Ok(()) } else { Err(format!("{:?} is not {state:?}", end.1)) }
}

/// Adds a number to a list of them.
fn adds(number: u8, version: u64, shown: &[u8]) -> Done<Vec<u8>> {
    let does = move |before: &Vec<u8>| {
        let mut after = before.clone();
        if !after.contains(&number) {
            after.push(number);
        }
        after
    };
    Done { name: format!("add {number}"), version, shown: shown.to_vec(), does: Box::new(does) }
}

fn an_order_is_found() {
    let done = vec![adds(2, 3, &[1, 2]), adds(1, 2, &[1]), adds(1, 2, &[1]), adds(1, 3, &[1, 2])];
    assert_eq!(check((1, vec![]), done, (3, &vec![1, 2])), Ok(()));
}

fn a_lost_update_is_noticed() {
    // Both read the same, and the second wrote over the first.
    let done = vec![adds(1, 2, &[1]), adds(2, 2, &[2])];
    assert!(check((1, vec![]), done, (2, &vec![2])).is_err());
    let done = vec![adds(1, 2, &[1]), adds(2, 3, &[2])];
    assert!(check((1, vec![]), done, (3, &vec![2])).is_err());
    let done = vec![adds(1, 2, &[1])];
    assert!(check((1, vec![]), done, (2, &vec![])).is_err());
}

fn an_answer_that_shows_something_else_is_noticed() {
    let done = vec![adds(1, 2, &[1, 7])];
    assert!(check((1, vec![]), done, (2, &vec![1])).is_err());
}

fn a_change_that_counts_twice_is_noticed() {
    let done = vec![adds(1, 3, &[1])];
    assert!(check((1, vec![]), done, (3, &vec![1])).is_err());
    let done = vec![adds(1, 2, &[1])];
    assert!(check((1, vec![]), done, (1, &vec![1])).is_err());
}
