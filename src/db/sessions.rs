//! Who is signed in: sessions, and the codes and access tokens that hang on them.

use diesel::prelude::*;

use super::connection::Conn;
use super::rehearsal;
use super::schema::{access_tokens, codes, sessions};

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = sessions)]
pub struct SessionRow {
    pub id: String,
    pub hash: String,
    pub connection_id: String,
    pub user_id: String,
    pub created_at: i64,
    pub last_seen_at: i64,
    pub expires_at: i64,
}

/// A row of `codes`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = codes)]
pub struct CodeRow {
    pub hash: String,
    pub session_id: String,
    pub app_id: String,
    pub redirect_uri: String,
    pub code_challenge: Option<String>,
    pub expires_at: i64,
    pub used_at: Option<i64>,
}

/// A row of `access_tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = access_tokens)]
pub struct AccessTokenRow {
    pub hash: String,
    pub session_id: String,
    pub app_id: String,
    pub code_hash: Option<String>,
    pub created_at: i64,
    pub expires_at: i64,
}

/// Adds a session.
pub fn insert(conn: &mut Conn, row: &SessionRow) -> QueryResult<()> {
    diesel::insert_into(sessions::table).values(row).execute(conn).map(drop)
}

/// The session with that hash.
pub fn find_by_hash(conn: &mut Conn, hash: &str) -> QueryResult<Option<SessionRow>> {
    sessions::table.filter(sessions::hash.eq(hash)).first(conn).optional()
}

/// The session with that id.
pub fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<SessionRow>> {
    sessions::table.filter(sessions::id.eq(id)).first(conn).optional()
}

/// The sessions of a user, newest first.
pub fn of_user(conn: &mut Conn, user_id: &str) -> QueryResult<Vec<SessionRow>> {
    sessions::table.filter(sessions::user_id.eq(user_id)).order(sessions::id.desc()).load(conn)
}

/// Ends some sessions, with their codes and access tokens.
pub fn delete_each(conn: &mut Conn, ids: &[String]) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::id.eq_any(ids))).execute(conn)
}

/// Notes that a session was used.
pub fn touch(conn: &mut Conn, id: &str, now: i64) -> QueryResult<()> {
    diesel::update(sessions::table.filter(sessions::id.eq(id)))
        .set(sessions::last_seen_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Ends a session, with its codes and access tokens.
pub fn delete(conn: &mut Conn, id: &str) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::id.eq(id))).execute(conn)
}

/// Ends every session of a user, with its codes and access tokens.
pub fn delete_of_user(conn: &mut Conn, user_id: &str) -> QueryResult<usize> {
    tell_of_user(conn, user_id)?;
    diesel::delete(sessions::table.filter(sessions::user_id.eq(user_id))).execute(conn)
}

/// Tells whoever rehearses a write that the sessions of a user end by it.
pub(super) fn tell_of_user(conn: &mut Conn, user_id: &str) -> QueryResult<()> {
    if rehearsal::is_on() {
        let ended = sessions::table.filter(sessions::user_id.eq(user_id)).order(sessions::id);
        rehearsal::note_sessions(ended.load(conn)?);
    }
    Ok(())
}

/// Ends the sessions whose time is over.
pub fn delete_expired(conn: &mut Conn, now: i64) -> QueryResult<usize> {
    diesel::delete(sessions::table.filter(sessions::expires_at.le(now))).execute(conn)
}

/// Ends all sessions, with their codes and access tokens.
pub fn delete_all(conn: &mut Conn) -> QueryResult<usize> {
    diesel::delete(sessions::table).execute(conn)
}

/// Adds a code.
pub fn insert_code(conn: &mut Conn, row: &CodeRow) -> QueryResult<()> {
    diesel::insert_into(codes::table).values(row).execute(conn).map(drop)
}

/// The code with that hash.
pub fn find_code(conn: &mut Conn, hash: &str) -> QueryResult<Option<CodeRow>> {
    codes::table.filter(codes::hash.eq(hash)).first(conn).optional()
}

/// Marks a code as used; 0 rows if it was already.
pub fn use_code(conn: &mut Conn, hash: &str, now: i64) -> QueryResult<usize> {
    diesel::update(codes::table.filter(codes::hash.eq(hash)).filter(codes::used_at.is_null()))
        .set(codes::used_at.eq(now))
        .execute(conn)
}

/// Adds an access token.
pub fn insert_access_token(conn: &mut Conn, row: &AccessTokenRow) -> QueryResult<()> {
    diesel::insert_into(access_tokens::table).values(row).execute(conn).map(drop)
}

/// The access token with that hash.
pub fn find_access_token(conn: &mut Conn, hash: &str) -> QueryResult<Option<AccessTokenRow>> {
    access_tokens::table.filter(access_tokens::hash.eq(hash)).first(conn).optional()
}

/// Revokes the access tokens that a code was exchanged for.
pub fn revoke_of_code(conn: &mut Conn, code_hash: &str) -> QueryResult<usize> {
    diesel::delete(access_tokens::table.filter(access_tokens::code_hash.eq(code_hash)))
        .execute(conn)
}

/// Removes an access token of an application.
pub fn delete_access_token(conn: &mut Conn, hash: &str, app_id: &str) -> QueryResult<usize> {
    let of_the_app = access_tokens::table.filter(access_tokens::app_id.eq(app_id));
    diesel::delete(of_the_app.filter(access_tokens::hash.eq(hash))).execute(conn)
}

/// Removes a code of an application.
pub fn delete_code(conn: &mut Conn, hash: &str, app_id: &str) -> QueryResult<usize> {
    let of_the_app = codes::table.filter(codes::app_id.eq(app_id));
    diesel::delete(of_the_app.filter(codes::hash.eq(hash))).execute(conn)
}
