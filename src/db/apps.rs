//! The vendor's applications, and the tokens of its own back end.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::journal::{self, Change};
use super::schema::{admin_tokens, apps};

/// A row of `apps`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = apps)]
pub struct AppRow {
    pub id: String,
    pub name: String,
    pub name_fold: String,
    pub secret_hash: Option<String>,
    /// JSON array.
    pub redirect_uris: String,
    pub allow_implicit: bool,
    pub created_at: i64,
}

/// A row of `admin_tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = admin_tokens)]
pub struct AdminTokenRow {
    pub id: String,
    pub hash: String,
    pub label: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// The networks it may be used from, with spaces in between; none is everywhere.
    pub allow_from: String,
}

/// All applications, by name.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<AppRow>> {
    apps::table.order(apps::name_fold).load(conn)
}

/// The application with that client id.
pub fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<AppRow>> {
    apps::table.filter(apps::id.eq(id)).first(conn).optional()
}

/// The application with that folded name.
pub fn find_by_name(conn: &mut Conn, name_fold: &str) -> QueryResult<Option<AppRow>> {
    apps::table.filter(apps::name_fold.eq(name_fold)).first(conn).optional()
}

/// Adds an application.
pub fn insert(conn: &mut Conn, row: &AppRow) -> QueryResult<()> {
    diesel::insert_into(apps::table).values(row).execute(conn)?;
    journal::note(Change::App(row.clone()));
    Ok(())
}

/// Deletes an application, with its codes and access tokens.
pub fn delete(conn: &mut Conn, id: &str) -> QueryResult<usize> {
    let deleted = diesel::delete(apps::table.filter(apps::id.eq(id))).execute(conn)?;
    if deleted > 0 {
        journal::note(Change::AppGone { id: id.to_owned() });
    }
    Ok(deleted)
}

/// All admin tokens, oldest first.
pub fn admin_tokens(conn: &mut Conn) -> QueryResult<Vec<AdminTokenRow>> {
    admin_tokens::table.order(admin_tokens::id).load(conn)
}

/// The admin token with that hash.
pub fn find_admin_token(conn: &mut Conn, hash: &str) -> QueryResult<Option<AdminTokenRow>> {
    admin_tokens::table.filter(admin_tokens::hash.eq(hash)).first(conn).optional()
}

/// The admin token with that id.
pub fn find_admin_token_by_id(conn: &mut Conn, id: &str) -> QueryResult<Option<AdminTokenRow>> {
    admin_tokens::table.filter(admin_tokens::id.eq(id)).first(conn).optional()
}

/// Adds an admin token.
pub fn insert_admin_token(conn: &mut Conn, row: &AdminTokenRow) -> QueryResult<()> {
    diesel::insert_into(admin_tokens::table).values(row).execute(conn)?;
    journal::note(Change::AdminToken(row.clone()));
    Ok(())
}

/// Notes when an admin token was used.
pub fn touch_admin_token(conn: &mut Conn, id: &str, now: i64) -> QueryResult<()> {
    diesel::update(admin_tokens::table.filter(admin_tokens::id.eq(id)))
        .set(admin_tokens::last_used_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// Revokes an admin token; 0 rows if there is no live one with that id.
pub fn revoke_admin_token(conn: &mut Conn, id: &str, now: i64) -> QueryResult<usize> {
    let live = admin_tokens::table
        .filter(admin_tokens::id.eq(id))
        .filter(admin_tokens::revoked_at.is_null());
    let revoked = diesel::update(live).set(admin_tokens::revoked_at.eq(now)).execute(conn)?;
    if revoked > 0 {
        journal::note(Change::AdminTokenRevoked { id: id.to_owned(), at: now });
    }
    Ok(revoked)
}
