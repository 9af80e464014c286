//! SCIM tokens, by their hashes.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::connections::ConnectionRow;
use super::journal::{self, Change};
use super::schema::{connections, tokens};
use super::secrets;
use super::sql::Sql;

/// A row of `tokens`.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    Queryable,
    QueryableByName,
    Insertable,
    AsChangeset,
    Serialize,
    Deserialize,
)]
#[diesel(table_name = tokens, treat_none_as_null = true)]
pub struct TokenRow {
    pub id: String,
    pub connection_id: String,
    pub hash: String,
    pub label: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// What it may do, with spaces in between.
    pub scopes: String,
    /// The networks it may be used from, with spaces in between; none is everywhere.
    pub allow_from: String,
}

/// The token with that hash.
pub fn find_by_hash(conn: &mut Conn, hash: &str) -> QueryResult<Option<TokenRow>> {
    tokens::table.filter(tokens::hash.eq(hash)).first(conn).optional()
}

/// All tokens, or those of one connection, each with its connection, oldest first.
pub fn all(
    conn: &mut Conn,
    connection_id: Option<&str>,
) -> QueryResult<Vec<(TokenRow, ConnectionRow)>> {
    let rows: Vec<TokenRow> = match connection_id {
        Some(id) => {
            tokens::table.filter(tokens::connection_id.eq(id)).order(tokens::id).load(conn)?
        }
        None => tokens::table.order(tokens::id).load(conn)?,
    };
    let parents: Vec<ConnectionRow> = connections::table.load(conn)?;
    let parent =
        |row: &TokenRow| parents.iter().find(|parent| parent.id == row.connection_id).cloned();
    Ok(rows.into_iter().filter_map(|row| parent(&row).map(|parent| (row, parent))).collect())
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &TokenRow) -> QueryResult<()> {
    diesel::insert_into(tokens::table).values(row).execute(conn)?;
    journal::note(Change::Token(row.clone()));
    Ok(())
}

/// Revokes a live token; 0 rows where there is none with that id.
pub fn revoke(conn: &mut Conn, id: &str, now: i64) -> QueryResult<usize> {
    let live = tokens::table.filter(tokens::id.eq(id)).filter(tokens::revoked_at.is_null());
    let revoked = diesel::update(live).set(tokens::revoked_at.eq(now)).execute(conn)?;
    if revoked > 0 {
        journal::note(Change::TokenRevoked { id: id.to_owned(), at: now });
        secrets::begin_access_epoch(conn)?;
    }
    Ok(revoked)
}

/// The token with that id.
pub fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<TokenRow>> {
    tokens::table.filter(tokens::id.eq(id)).first(conn).optional()
}

/// The token with that id, held against other changes until the end of the transaction.
pub fn lock(conn: &mut Conn, id: &str) -> QueryResult<Option<TokenRow>> {
    if conn.is_postgres() {
        let lock = Sql::new("SELECT * FROM tokens WHERE id = ").text(id).raw(" FOR NO KEY UPDATE");
        lock.get_result(conn).optional()
    } else {
        find(conn, id)
    }
}

/// Writes what can be changed of a token.
pub fn update(conn: &mut Conn, row: &TokenRow) -> QueryResult<()> {
    diesel::update(tokens::table.filter(tokens::id.eq(&row.id)))
        .set((
            tokens::label.eq(&row.label),
            tokens::scopes.eq(&row.scopes),
            tokens::allow_from.eq(&row.allow_from),
        ))
        .execute(conn)?;
    journal::note(Change::Token(row.clone()));
    secrets::begin_access_epoch(conn)?;
    Ok(())
}

/// Notes when a token was used.
pub fn touch(conn: &mut Conn, id: &str, now: i64) -> QueryResult<()> {
    diesel::update(tokens::table.filter(tokens::id.eq(id)))
        .set(tokens::last_used_at.eq(now))
        .execute(conn)
        .map(drop)
}
