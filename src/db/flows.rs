//! Sign-ins on their way to the provider and back.

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::flows;

/// A row of `flows`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
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
