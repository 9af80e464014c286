//! The feed: every committed event once, in one order that everybody sees.
//!
//! A reader pages by position. Events get theirs when a reader comes (see [`crate::db::events`]), so
//! a page that is not full has to be looked at again after [`place`], if events wait for it.

use serde_json::{Value, json};

use super::events::NO_CONNECTION;
use crate::clock::rfc3339;
use crate::db::events::{self as rows, FeedRow};
use crate::db::{Conn, Db, StoreError};

/// How many events get a position in one transaction.
const BATCH: i64 = 2_000;
/// How many bytes the data of a page's events may have for a reader of the API, if there is more than one.
pub const MAX_BYTES: i64 = 8 * 1024 * 1024;

/// What a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The events of one connection, or of all.
    pub connection_id: Option<String>,
    /// The position of the last event that the reader has.
    pub after: i64,
    pub count: i64,
    /// How many bytes the data of the events may have, if there is more than one.
    pub bytes: i64,
}

/// A page of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPage {
    pub events: Vec<Value>,
    /// The position of the last event, or of the one that the page begins after.
    pub next: i64,
    /// Whether there may be more events, which have no position yet.
    pub incomplete: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The cursor is of another store, or of a later state of this one.
    #[error(
        "the cursor is ahead of the log; the store has been restored from an older copy. Begin again \
         without 'after'"
    )]
    Ahead,
    /// Events after the cursor are not kept any more.
    #[error(
        "events after the cursor were removed because of their age; read users and teams anew, and go \
         on from the 'next' of a request without 'after'"
    )]
    Gone,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for FeedError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl crate::db::MayBeStore for FeedError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            other @ (Self::Ahead | Self::Gone) => Err(other),
        }
    }
}

/// A page of the events that have a position.
///
/// # Errors
/// The cursor is ahead of the log, or behind what is kept of it.
pub fn page(conn: &mut Conn, wanted: &Wanted) -> Result<FeedPage, FeedError> {
    let connection_id = wanted.connection_id.as_deref();
    let first = if wanted.after > 0 { rows::first_position(conn)? } else { None };
    if first.is_some_and(|first| first - 1 > wanted.after) {
        return Err(FeedError::Gone);
    }
    let sizes = rows::sizes(conn, connection_id, wanted.after, wanted.count)?;
    let mut bytes: i64 = 0;
    let fitting = sizes
        .iter()
        .enumerate()
        .take_while(|(place, row)| {
            bytes = bytes.saturating_add(row.size);
            *place == 0 || bytes <= wanted.bytes
        })
        .count();
    let Some(last) = fitting.checked_sub(1).and_then(|last| sizes.get(last)) else {
        if wanted.after > 0 && wanted.after > rows::last_position(conn)? {
            return Err(FeedError::Ahead);
        }
        let incomplete = rows::any_without_position(conn)?;
        return Ok(FeedPage { events: Vec::new(), next: wanted.after, incomplete });
    };
    let found = rows::between(conn, connection_id, wanted.after, last.position)?;
    let is_full = fitting < sizes.len() || i64::try_from(fitting).is_ok_and(|n| n >= wanted.count);
    let incomplete = !is_full && rows::any_without_position(conn)?;
    let events = found.iter().map(shown).collect::<Result<_, _>>()?;
    Ok(FeedPage { events, next: last.position, incomplete })
}

/// Gives a batch of committed events their positions, in a write transaction that does nothing else;
/// says whether there were more than one batch holds.
///
/// # Errors
/// The store's.
pub fn place(conn: &mut Conn) -> Result<bool, StoreError> {
    let placed = rows::place(conn, BATCH)?;
    Ok(i64::try_from(placed).is_ok_and(|placed| placed >= BATCH))
}

/// Gives all events that are committed their positions.
///
/// # Errors
/// The store's.
pub async fn place_all(db: &Db) -> Result<(), StoreError> {
    while db.note("place_events", place).await? {}
    Ok(())
}

/// A position as readers keep it.
pub fn cursor(position: i64) -> String {
    position.to_string()
}

/// The position that a reader kept; `None` for what is none.
pub fn position(cursor: &str) -> Option<i64> {
    let position: i64 = cursor.parse().ok()?;
    (position >= 0 && self::cursor(position) == cursor).then_some(position)
}

fn shown(row: &FeedRow) -> Result<Value, StoreError> {
    let data: Value = serde_json::from_str(&row.data)?;
    Ok(json!({
        "cursor": cursor(row.position),
        "connection": row.connection,
        "connectionId": Some(&row.connection_id).filter(|id| *id != NO_CONNECTION),
        "time": rfc3339(row.at),
        "actor": { "type": row.actor, "id": row.actor_id },
        "requestId": row.request_id,
        "action": row.action,
        "subject": { "type": row.subject, "id": row.subject_id },
        "data": data,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_what_was_given_out_and_nothing_else() {
        assert_eq!(position(&cursor(42)), Some(42));
        for garbled in ["", "-1", "+1", "01", "1 ", "x", "1.0", "99999999999999999999"] {
            assert_eq!(position(garbled), None, "{garbled}");
        }
    }
}
