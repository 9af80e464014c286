//! The log of changes backwards: what happened last, to a connection or to something of it.

use serde_json::Value;

use crate::db::events::{self as rows, HistoryRow};
use crate::db::{Conn, StoreError};

/// An entry of the log, as people read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    /// Its place in the log, from which earlier ones are asked for.
    pub sequence: i64,
    /// UTC microseconds.
    pub at: i64,
    /// The kind of who did it, such as `token`.
    pub actor: String,
    pub actor_id: Option<String>,
    pub request_id: Option<String>,
    pub action: String,
    /// The kind of what it is about, such as `user`.
    pub subject: String,
    pub subject_id: String,
    /// What was before and what is after; none where it is too large to be read with others.
    pub data: Option<Value>,
    /// Bytes of that.
    pub size: i64,
}

impl Happened {
    fn from_row(row: HistoryRow) -> Result<Self, StoreError> {
        Ok(Self {
            sequence: row.place,
            at: row.at,
            actor: row.actor,
            actor_id: row.actor_id,
            request_id: row.request_id,
            action: row.action,
            subject: row.subject,
            subject_id: row.subject_id,
            data: row.data.as_deref().map(serde_json::from_str).transpose()?,
            size: row.size,
        })
    }
}

/// What happened to one thing of a connection, newest first, before an entry.
///
/// # Errors
/// The store's.
pub fn of_subject(
    conn: &mut Conn,
    connection_id: &str,
    subject_id: &str,
    before: Option<i64>,
    count: i64,
) -> Result<Vec<Happened>, StoreError> {
    // By their sequence, which the index of subjects has.
    let found = rows::of_subject(conn, connection_id, subject_id, before, count)?;
    found.into_iter().map(Happened::from_row).collect()
}

/// What happened in a connection, newest first, before a place of the feed. Events that have no place
/// yet are not among them; see [`super::feed::place`].
///
/// # Errors
/// The store's.
pub fn of_connection(
    conn: &mut Conn,
    connection_id: &str,
    before: Option<i64>,
    count: i64,
) -> Result<Vec<Happened>, StoreError> {
    let found = rows::latest(conn, connection_id, before, count)?;
    found.into_iter().map(Happened::from_row).collect()
}

/// Whether events wait for a place in the feed.
///
/// # Errors
/// The store's.
pub fn is_behind(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(rows::any_without_position(conn)?)
}
