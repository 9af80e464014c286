//! Who is at the console: sessions of admin tokens, and links that show one page to a guest.

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::{console_sessions, share_links};

/// A row of `console_sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = console_sessions)]
pub struct ConsoleSessionRow {
    pub hash: String,
    pub admin_token_id: String,
    pub created_at: i64,
    pub last_seen_at: i64,
    pub expires_at: i64,
}

/// A row of `share_links`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = share_links)]
pub struct ShareLinkRow {
    pub id: String,
    pub hash: String,
    pub connection_id: String,
    pub label: String,
    pub may_set_up: bool,
    pub created_at: i64,
    pub expires_at: i64,
    pub revoked_at: Option<i64>,
}

/// Adds a session.
pub fn insert_session(conn: &mut Conn, row: &ConsoleSessionRow) -> QueryResult<()> {
    diesel::insert_into(console_sessions::table).values(row).execute(conn).map(drop)
}

/// The session with that hash.
pub fn find_session(conn: &mut Conn, hash: &str) -> QueryResult<Option<ConsoleSessionRow>> {
    console_sessions::table.filter(console_sessions::hash.eq(hash)).first(conn).optional()
}

/// Notes that a session was used.
pub fn touch_session(conn: &mut Conn, hash: &str, now: i64) -> QueryResult<()> {
    diesel::update(console_sessions::table.filter(console_sessions::hash.eq(hash)))
        .set(console_sessions::last_seen_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Ends a session.
pub fn delete_session(conn: &mut Conn, hash: &str) -> QueryResult<usize> {
    diesel::delete(console_sessions::table.filter(console_sessions::hash.eq(hash))).execute(conn)
}

/// Ends the sessions whose time is over.
pub fn delete_expired_sessions(conn: &mut Conn, now: i64) -> QueryResult<usize> {
    diesel::delete(console_sessions::table.filter(console_sessions::expires_at.le(now)))
        .execute(conn)
}

/// Ends all sessions and all links.
pub fn delete_all(conn: &mut Conn) -> QueryResult<()> {
    diesel::delete(console_sessions::table).execute(conn)?;
    diesel::delete(share_links::table).execute(conn).map(drop)
}

/// Adds a link.
pub fn insert_link(conn: &mut Conn, row: &ShareLinkRow) -> QueryResult<()> {
    diesel::insert_into(share_links::table).values(row).execute(conn).map(drop)
}

/// The link with that hash.
pub fn find_link(conn: &mut Conn, hash: &str) -> QueryResult<Option<ShareLinkRow>> {
    share_links::table.filter(share_links::hash.eq(hash)).first(conn).optional()
}

/// The links of a connection, newest first.
pub fn links_of(conn: &mut Conn, connection_id: &str) -> QueryResult<Vec<ShareLinkRow>> {
    share_links::table
        .filter(share_links::connection_id.eq(connection_id))
        .order(share_links::id.desc())
        .load(conn)
}

/// Revokes a link of a connection; 0 rows if there is no live one.
pub fn revoke_link(conn: &mut Conn, connection_id: &str, id: &str, now: i64) -> QueryResult<usize> {
    let live = share_links::table
        .filter(share_links::id.eq(id))
        .filter(share_links::connection_id.eq(connection_id))
        .filter(share_links::revoked_at.is_null());
    diesel::update(live).set(share_links::revoked_at.eq(now)).execute(conn)
}
