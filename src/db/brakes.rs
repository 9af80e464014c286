//! The mass-change brake: what was removed lately, and whether more of it is held.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::connection::Conn;
use super::schema::{brakes, removals};
use super::sql::Sql;

/// A row of `brakes`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName)]
#[diesel(table_name = brakes)]
pub struct BrakeRow {
    pub connection_id: String,
    /// Since when removals are held, in UTC microseconds.
    pub held_at: Option<i64>,
    /// Until when nothing is counted, in UTC microseconds.
    pub released_until: Option<i64>,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, QueryableByName)]
pub struct Removed {
    /// Users who were deactivated or deleted.
    #[diesel(sql_type = BigInt)]
    pub users: i64,
    /// Members who were taken out of groups.
    #[diesel(sql_type = BigInt)]
    pub members: i64,
}

/// The brake of a connection, locked until the transaction ends: removals of one connection are
/// counted one after the other.
pub fn lock(conn: &mut Conn, connection_id: &str) -> QueryResult<BrakeRow> {
    Sql::new("INSERT INTO brakes (connection_id) VALUES (")
        .text(connection_id)
        .raw(") ON CONFLICT (connection_id) DO NOTHING")
        .execute(conn)?;
    let lock = if conn.is_postgres() { " FOR UPDATE" } else { "" };
    Sql::new("SELECT * FROM brakes WHERE connection_id = ")
        .text(connection_id)
        .raw(lock)
        .get_result(conn)
}

/// The brake of a connection, if it was ever needed.
pub fn find(conn: &mut Conn, connection_id: &str) -> QueryResult<Option<BrakeRow>> {
    brakes::table.filter(brakes::connection_id.eq(connection_id)).first(conn).optional()
}

/// How much was removed after a time.
pub fn removed_since(conn: &mut Conn, connection_id: &str, since: i64) -> QueryResult<Removed> {
    Sql::new(
        "SELECT CAST(COALESCE(SUM(users), 0) AS BIGINT) AS users, \
         CAST(COALESCE(SUM(members), 0) AS BIGINT) AS members FROM removals WHERE connection_id = ",
    )
    .text(connection_id)
    .raw(" AND at > ")
    .integer(since)
    .get_result(conn)
}

/// Notes a removal.
pub fn add(
    conn: &mut Conn,
    id: &str,
    connection_id: &str,
    at: i64,
    removed: Removed,
) -> QueryResult<()> {
    diesel::insert_into(removals::table)
        .values((
            removals::id.eq(id),
            removals::connection_id.eq(connection_id),
            removals::at.eq(at),
            removals::users.eq(removed.users),
            removals::members.eq(removed.members),
        ))
        .execute(conn)
        .map(drop)
}

/// Forgets removals up to a time.
pub fn forget(conn: &mut Conn, connection_id: &str, until: i64) -> QueryResult<()> {
    let old = removals::table
        .filter(removals::connection_id.eq(connection_id))
        .filter(removals::at.le(until));
    diesel::delete(old).execute(conn).map(drop)
}

/// Sets whether removals are held, and until when nothing is counted.
pub fn set(
    conn: &mut Conn,
    connection_id: &str,
    held_at: Option<i64>,
    released_until: Option<i64>,
) -> QueryResult<()> {
    diesel::update(brakes::table.filter(brakes::connection_id.eq(connection_id)))
        .set((brakes::held_at.eq(held_at), brakes::released_until.eq(released_until)))
        .execute(conn)
        .map(drop)
}
