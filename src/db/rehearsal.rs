//! Rehearsed writes: carried out for real, in a write transaction like any other, seen by a witness,
//! and rolled back.
//!
//! That such a transaction is never committed is its type's doing: a rehearsed piece of work tells why
//! nothing of it is kept, and has no other way to end. To those beside it, it is one more write that was refused.

use std::cell::RefCell;
use std::sync::Arc;

use diesel::result::Error as DieselError;

use super::connection::Conn;
use super::events::NewEvent;
use super::pool::StoreError;
use super::sessions::SessionRow;
use super::sql::Sql;
use super::work::{Ended, Undone};

/// So many bytes are kept of what a rehearsed write does. One that does more is given up.
const MOST: usize = 32 << 20;

/// An event that a rehearsed write would have left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    pub action: String,
    pub subject: String,
    pub subject_id: String,
    pub data: String,
}

/// What a rehearsed write has done so far.
#[derive(Default)]
pub struct Told {
    pub events: Vec<ToldEvent>,
    /// The sessions that it ends.
    pub sessions: Vec<SessionRow>,
    /// How much of [`MOST`] is used up, also by what was undone since.
    bytes: usize,
    /// Whoever looks at it in the end.
    witness: Option<Arc<dyn Witness>>,
}

impl Told {
    /// Whether there is room for something of that size. Once there was none, nothing more is kept.
    fn has_room(&mut self, size: usize) -> bool {
        self.bytes = self.bytes.saturating_add(size);
        let witness = self.witness.as_ref().filter(|_| self.bytes <= MOST);
        if witness.is_some_and(|witness| !witness.has_room(size)) {
            self.bytes = usize::MAX;
        }
        self.bytes <= MOST
    }
}

/// Looks at what a rehearsed write has done, before it is undone.
pub trait Witness: Send + Sync {
    /// Whether there is memory to keep so many bytes more until it looks. Where there is not, the
    /// rehearsal is given up.
    fn has_room(&self, _bytes: usize) -> bool {
        true
    }

    /// Looks. What was seen before counts no more: the transaction may have begun anew.
    ///
    /// # Errors
    /// The store's.
    fn look(&self, conn: &mut Conn, told: Told) -> Result<(), StoreError>;
}

thread_local! {
    /// What the write that this thread rehearses has done; `None` where it rehearses none.
    static TOLD: RefCell<Option<Told>> = const { RefCell::new(None) };
}

/// Whether this thread rehearses a write.
pub(super) fn is_on() -> bool {
    TOLD.with_borrow(Option::is_some)
}

fn tell(add: impl FnOnce(&mut Told)) {
    TOLD.with_borrow_mut(|told| told.as_mut().map(add));
}

/// Takes down an event.
pub(super) fn note_event(event: &NewEvent<'_>) {
    tell(|told| {
        let size = size_of::<ToldEvent>() + event.data.len() + event.subject_id.len();
        if !told.has_room(size) {
            return;
        }
        told.events.push(ToldEvent {
            action: event.action.to_owned(),
            subject: event.subject.to_owned(),
            subject_id: event.subject_id.to_owned(),
            data: event.data.clone(),
        });
    });
}

/// Takes down sessions that end.
pub(super) fn note_sessions(rows: Vec<SessionRow>) {
    tell(|told| {
        // An id and an address or so of each.
        let size = rows.len().saturating_mul(size_of::<SessionRow>() + 256);
        if told.has_room(size) {
            told.sessions.extend(rows);
        }
    });
}

/// Whether this thread rehearses a write that has done more than can be kept of it.
pub fn is_too_large() -> bool {
    TOLD.with_borrow(|told| told.as_ref().is_some_and(|told| told.bytes > MOST))
}

/// Carries `work` out and shows it to the witness. Says why the transaction is to be rolled back: that
/// the work has its answer, or that it could not be rehearsed.
pub(super) fn rehearse(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Ended,
    witness: &Arc<dyn Witness>,
) -> Undone {
    /// Nothing is taken down of what this thread does later, however this ends.
    struct Over;
    impl Drop for Over {
        fn drop(&mut self) {
            TOLD.set(None);
        }
    }
    TOLD.set(Some(Told { witness: Some(witness.clone()), ..Told::default() }));
    let _over = Over;
    if let Err(undone) = work(conn) {
        return undone;
    }
    if is_too_large() {
        return StoreError::LargeRehearsal.into();
    }
    match witness.look(conn, TOLD.take().unwrap_or_default()) {
        Ok(()) => Undone::Answered,
        Err(error) => error.into(),
    }
}

/// Runs `work` in a part of the write transaction, of which nothing is left if it fails: neither rows
/// nor what was taken down.
///
/// # Errors
/// What `work` or the database says.
pub fn step<T, E: From<DieselError>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> Result<T, E>,
) -> Result<T, E> {
    let mark = TOLD.with_borrow(|told| {
        told.as_ref().map_or((0, 0), |told| (told.events.len(), told.sessions.len()))
    });
    let mut is_intact = true;
    let done = conn.part(work, &mut is_intact);
    if !is_intact {
        return Err(DieselError::BrokenTransactionManager.into());
    }
    if done.is_err() {
        tell(|told| {
            told.events.truncate(mark.0);
            told.sessions.truncate(mark.1);
        });
    }
    done
}

/// How users, or teams, are called: id and name of those of the ids that the connection has.
fn names(
    conn: &mut Conn,
    connection_id: &str,
    (table, name): (&str, &str),
    ids: &[&str],
) -> diesel::QueryResult<Vec<(String, String)>> {
    use diesel::RunQueryDsl;
    use diesel::sql_types::Text;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let statement = Sql::new(format!("SELECT id, {name} FROM {table} WHERE connection_id = "))
        .text(connection_id)
        .raw(" AND id IN (")
        .set(conn, ids.iter().copied())
        .raw(")")
        .columns::<(Text, Text)>();
    super::connection::on_either!(conn, |conn| statement.load(conn))
}

/// The user names of users.
pub fn user_names(
    conn: &mut Conn,
    connection_id: &str,
    ids: &[&str],
) -> diesel::QueryResult<Vec<(String, String)>> {
    names(conn, connection_id, ("users", "user_name"), ids)
}

/// The display names of teams.
pub fn team_names(
    conn: &mut Conn,
    connection_id: &str,
    ids: &[&str],
) -> diesel::QueryResult<Vec<(String, String)>> {
    names(conn, connection_id, ("teams", "display_name"), ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(data: String) -> NewEvent<'static> {
        NewEvent {
            connection_id: "c",
            at: 0,
            actor: "token",
            actor_id: None,
            request_id: None,
            action: "updated",
            subject: "team",
            subject_id: "t",
            data,
            changes: String::new(),
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        note_event(&event("x".repeat(MOST)));
        assert!(!is_too_large(), "nothing is rehearsed");
        TOLD.set(Some(Told::default()));
        for _ in 0..31 {
            note_event(&event("x".repeat(1 << 20)));
        }
        assert!(!is_too_large());
        note_event(&event("x".repeat(1 << 20)));
        assert!(is_too_large());
        // One that is small is kept no more either: nothing is left out in silence.
        note_event(&event(String::new()));
        let told = TOLD.take().expect("what was told");
        assert_eq!(told.events.len(), 31);
    }
}
