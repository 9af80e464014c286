//! Which compatibility rules each token made use of: what its client gets wrong, so to speak.
//!
//! Requests only add to a [`Pending`] in memory, which is written now and then; a process that is
//! killed loses what was not written yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::tokens::LAST_USE_GRAIN;
use crate::clock::rfc3339;
use crate::db::token_quirks::{self as rows, TokenQuirkRow};
use crate::db::{Conn, StoreError};
use crate::scim::quirks::Quirks;

/// The use that a token made of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuirkUse {
    /// The rule's name.
    pub name: String,
    pub first_used_at: i64,
    /// When it was last used, give or take a minute.
    pub last_used_at: i64,
    /// Requests that used it.
    pub uses: i64,
}

impl QuirkUse {
    /// The use for programs, keys in snake case.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "first_used_at": rfc3339(self.first_used_at),
            "last_used_at": rfc3339(self.last_used_at),
            "uses": self.uses,
        })
    }
}

/// Uses that are not yet written.
#[derive(Debug, Default)]
pub struct Pending(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By token and rule.
    uses: BTreeMap<(String, &'static str), Use>,
    /// When some were last taken away to be written.
    taken_at: Option<i64>,
    /// Whether somebody has been told to take them away.
    is_due: bool,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    first: i64,
    last: i64,
    count: i64,
}

impl Pending {
    /// Adds the rules that a request made use of. Where they have to be written and nobody has been
    /// told so yet, the answer is how long to wait before: at once, or what is left of a minute.
    pub fn note(&self, token_id: &str, quirks: &Quirks, now: i64) -> Option<Duration> {
        if quirks.is_empty() {
            return None;
        }
        let mut state = self.state();
        for quirk in quirks.iter() {
            state.add((token_id.to_owned(), quirk.name()), Use { first: now, last: now, count: 1 });
        }
        if std::mem::replace(&mut state.is_due, true) {
            return None;
        }
        let due = state.taken_at.map_or(now, |at| at.saturating_add(LAST_USE_GRAIN));
        Some(Duration::from_micros(u64::try_from(due.saturating_sub(now)).unwrap_or_default()))
    }

    /// Takes all uses away, to be written.
    pub fn take(&self, now: i64) -> Vec<TokenQuirkRow> {
        let mut state = self.state();
        state.is_due = false;
        state.taken_at = Some(now);
        let row = |((token_id, quirk), used): ((String, &'static str), Use)| TokenQuirkRow {
            token_id,
            quirk: quirk.to_owned(),
            first_used_at: used.first,
            last_used_at: used.last,
            uses: used.count,
        };
        std::mem::take(&mut state.uses).into_iter().map(row).collect()
    }

    /// Gives back what could not be written; it goes with the next.
    pub fn put_back(&self, rows: &[TokenQuirkRow]) {
        use crate::scim::quirks::Quirk;
        let mut state = self.state();
        for row in rows {
            let Some(quirk) = Quirk::from_name(&row.quirk) else { continue };
            let used = Use { first: row.first_used_at, last: row.last_used_at, count: row.uses };
            state.add((row.token_id.clone(), quirk.name()), used);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, key: (String, &'static str), more: Use) {
        let used = self.uses.entry(key).or_insert(Use { count: 0, ..more });
        used.first = used.first.min(more.first);
        used.last = used.last.max(more.last);
        used.count = used.count.saturating_add(more.count);
    }
}

/// Writes uses down, on top of those that are there. A token that is gone is passed over.
///
/// # Errors
/// The store's.
pub fn save(conn: &mut Conn, uses: &[TokenQuirkRow]) -> Result<(), StoreError> {
    Ok(rows::add(conn, uses)?)
}

/// The uses of every token, by its id, each token's by name.
///
/// # Errors
/// The store's.
pub fn by_token(conn: &mut Conn) -> Result<HashMap<String, Vec<QuirkUse>>, StoreError> {
    let mut found: HashMap<String, Vec<QuirkUse>> = HashMap::new();
    for row in rows::all(conn)? {
        found.entry(row.token_id).or_default().push(QuirkUse {
            name: row.quirk,
            first_used_at: row.first_used_at,
            last_used_at: row.last_used_at,
            uses: row.uses,
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::quirks::Quirk;

    const MINUTE: i64 = LAST_USE_GRAIN;

    fn used(quirk: Quirk) -> Quirks {
        let mut quirks = Quirks::default();
        quirks.note(quirk);
        quirks
    }

    #[test]
    fn the_first_use_is_due_at_once_and_later_ones_together() {
        let pending = Pending::default();
        let quirks = used(Quirk::StringBoolean);
        assert_eq!(pending.note("t", &Quirks::default(), 0), None);
        assert_eq!(pending.note("t", &quirks, 0), Some(Duration::ZERO));
        assert_eq!(pending.note("t", &quirks, 1), None, "somebody is on it");
        let row = &pending.take(2)[0];
        assert_eq!((row.first_used_at, row.last_used_at, row.uses), (0, 1, 2));
        assert_eq!(pending.take(3), []);
        let wait = Duration::from_micros(60_000_000 - 4);
        assert_eq!(pending.note("t", &quirks, 7), Some(wait));
        assert_eq!(pending.note("u", &quirks, 8), None);
        assert_eq!(pending.take(MINUTE).len(), 2);
        assert_eq!(pending.note("t", &quirks, 5 * MINUTE), Some(Duration::ZERO));
    }

    #[test]
    fn what_could_not_be_written_is_written_with_the_next() {
        let pending = Pending::default();
        pending.note("t", &used(Quirk::OldPatch), 10);
        let rows = pending.take(11);
        pending.put_back(&rows);
        pending.note("t", &used(Quirk::OldPatch), 5);
        let row = &pending.take(20)[0];
        assert_eq!((row.first_used_at, row.last_used_at, row.uses), (5, 10, 2));
    }
}
