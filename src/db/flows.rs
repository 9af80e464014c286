//! Sign-ins on their way to the provider and back.

use std::fmt;

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::flows;

/// A row of `flows`.
#[derive(Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = flows)]
pub struct FlowRow {
    pub state_hash: String,
    pub browser_hash: String,
    pub connection_id: String,
    pub nonce: String,
    pub pkce_verifier: String,
    /// What the application asked for, as JSON.
    pub request: String,
    pub created_at: i64,
}

impl fmt::Debug for FlowRow {
    /// Without what the sign-in is proved by.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlowRow")
            .field("connection_id", &self.connection_id)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Adds a flow.
pub fn insert(conn: &mut Conn, row: &FlowRow) -> QueryResult<()> {
    diesel::insert_into(flows::table).values(row).execute(conn).map(drop)
}

/// Takes a flow out: whoever gets it is the only one who does.
pub fn take(conn: &mut Conn, state_hash: &str) -> QueryResult<Option<FlowRow>> {
    let found: Option<FlowRow> =
        flows::table.filter(flows::state_hash.eq(state_hash)).first(conn).optional()?;
    let taken =
        diesel::delete(flows::table.filter(flows::state_hash.eq(state_hash))).execute(conn)?;
    Ok(found.filter(|_| taken > 0))
}

/// Removes flows that nobody came back from.
pub fn delete_older(conn: &mut Conn, before: i64) -> QueryResult<usize> {
    diesel::delete(flows::table.filter(flows::created_at.lt(before))).execute(conn)
}

/// Removes all flows but about so many that were begun last.
pub fn keep_newest(conn: &mut Conn, most: i64) -> QueryResult<usize> {
    let too_many: Option<i64> = flows::table
        .order(flows::created_at.desc())
        .select(flows::created_at)
        .offset(most)
        .first(conn)
        .optional()?;
    match too_many {
        Some(at) => diesel::delete(flows::table.filter(flows::created_at.le(at))).execute(conn),
        None => Ok(0),
    }
}
