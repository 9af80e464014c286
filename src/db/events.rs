//! The event log: one row a change, written in the transaction that makes the change.

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::events;

/// A row to append to `events`.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = events)]
pub struct NewEvent<'a> {
    pub connection_id: &'a str,
    pub at: i64,
    pub actor: &'a str,
    pub actor_id: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub action: &'a str,
    pub subject: &'a str,
    pub subject_id: &'a str,
    pub data: String,
}

/// A row of `events`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct EventRow {
    pub sequence: i64,
    pub connection_id: String,
    pub at: i64,
    pub actor: String,
    pub actor_id: Option<String>,
    pub request_id: Option<String>,
    pub action: String,
    pub subject: String,
    pub subject_id: String,
    pub data: String,
}

/// Appends an event.
pub fn append(conn: &mut Conn, event: &NewEvent<'_>) -> QueryResult<()> {
    diesel::insert_into(events::table).values(event).execute(conn).map(drop)
}

/// The events of a connection after `after`, in order, at most `limit`.
pub fn after(
    conn: &mut Conn,
    connection_id: &str,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<EventRow>> {
    events::table
        .filter(events::connection_id.eq(connection_id))
        .filter(events::sequence.gt(after))
        .order(events::sequence)
        .limit(limit)
        .load(conn)
}
