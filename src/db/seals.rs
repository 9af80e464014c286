//! Seals over the log of events.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::schema::seals;

/// A row of `seals`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = seals)]
pub struct SealRow {
    /// 1, 2, 3 and so on.
    pub number: i64,
    pub first_position: i64,
    pub last_position: i64,
    /// Of the events alone.
    pub events_hash: String,
    /// Of this seal and the one before it.
    pub hash: String,
    /// UTC microseconds.
    pub sealed_at: i64,
    /// When the events were removed.
    pub pruned_at: Option<i64>,
}

/// The latest seal.
pub fn last(conn: &mut Conn) -> QueryResult<Option<SealRow>> {
    seals::table.order(seals::number.desc()).first(conn).optional()
}

/// The seal of that number.
pub fn find(conn: &mut Conn, number: i64) -> QueryResult<Option<SealRow>> {
    seals::table.filter(seals::number.eq(number)).first(conn).optional()
}

/// The latest seal that ends at a position or before it.
pub fn last_up_to(conn: &mut Conn, position: i64) -> QueryResult<Option<SealRow>> {
    seals::table
        .filter(seals::last_position.le(position))
        .order(seals::number.desc())
        .first(conn)
        .optional()
}

/// The seals after a number, in order, at most `limit`.
pub fn page(conn: &mut Conn, after: i64, limit: i64) -> QueryResult<Vec<SealRow>> {
    seals::table.filter(seals::number.gt(after)).order(seals::number).limit(limit).load(conn)
}

/// The first seal whose events are there.
pub fn first_kept(conn: &mut Conn) -> QueryResult<Option<SealRow>> {
    seals::table.filter(seals::pruned_at.is_null()).order(seals::number).first(conn).optional()
}

/// Adds a seal.
pub fn insert(conn: &mut Conn, row: &SealRow) -> QueryResult<()> {
    diesel::insert_into(seals::table).values(row).execute(conn).map(drop)
}

/// Notes that the events under a seal were removed; 0 rows if they were already.
pub fn prune(conn: &mut Conn, number: i64, now: i64) -> QueryResult<usize> {
    let kept = seals::table.filter(seals::number.eq(number)).filter(seals::pruned_at.is_null());
    diesel::update(kept).set(seals::pruned_at.eq(now)).execute(conn)
}
