//! Connections: the tenants.

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::journal::{self, Change};
use super::schema::connections;
use super::secrets;
use super::sql::Sql;

/// A row of `connections`.
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
#[diesel(table_name = connections, treat_none_as_null = true)]
pub struct ConnectionRow {
    pub id: String,
    pub name: String,
    pub name_fold: String,
    pub provider: String,
    pub membership: String,
    pub unknown_members: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub client_secret_file: Option<String>,
    pub groups_claim: String,
    pub groups_filter: Option<String>,
    pub external_id_claim: Option<String>,
    pub user_name_claim: String,
    pub jit: bool,
    pub own_callback: bool,
    pub brake_users: Option<String>,
    pub brake_members: Option<i64>,
    pub brake_window: i64,
    /// Not in what older versions wrote.
    #[serde(default)]
    pub console_role: Option<String>,
}

/// All connections, by name.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<ConnectionRow>> {
    connections::table.order(connections::name_fold).load(conn)
}

/// The first connection, where it is the only one.
pub fn only(conn: &mut Conn) -> QueryResult<Option<ConnectionRow>> {
    let mut first: Vec<ConnectionRow> = connections::table.limit(2).load(conn)?;
    Ok(if first.len() == 1 { first.pop() } else { None })
}

/// Connections in whose folded name there is a text, by name: so many after so many, and how many there
/// are in all.
pub fn named_like(
    conn: &mut Conn,
    part: &str,
    after: i64,
    count: i64,
) -> QueryResult<(Vec<ConnectionRow>, i64)> {
    #[derive(QueryableByName)]
    struct Total {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        total: i64,
    }
    let place = if conn.is_postgres() { "strpos" } else { "instr" };
    let condition = |select: &str| {
        let sql = Sql::new(format!("SELECT {select} FROM connections WHERE {place}(name_fold, "));
        sql.text(part).raw(") > 0")
    };
    let Total { total } = condition("COUNT(*) AS total").get_result(conn)?;
    let page = condition("*").raw(" ORDER BY name_fold LIMIT ").integer(count);
    Ok((page.raw(" OFFSET ").integer(after).load(conn)?, total))
}

/// The connections whose people may use the console, by name.
pub fn with_console(conn: &mut Conn) -> QueryResult<Vec<ConnectionRow>> {
    connections::table
        .filter(connections::console_role.is_not_null())
        .order(connections::name_fold)
        .load(conn)
}

/// Whether there is any connection at all.
pub fn is_empty(conn: &mut Conn) -> QueryResult<bool> {
    let first: Option<String> =
        connections::table.select(connections::id).limit(1).first(conn).optional()?;
    Ok(first.is_none())
}

/// The connection with that id.
pub fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<ConnectionRow>> {
    connections::table.filter(connections::id.eq(id)).first(conn).optional()
}

/// The connections with those ids, by name.
pub fn with_ids(conn: &mut Conn, ids: &[&str]) -> QueryResult<Vec<ConnectionRow>> {
    Sql::new("SELECT * FROM connections WHERE id IN (")
        .set(conn, ids.iter().copied())
        .raw(") ORDER BY name_fold")
        .load(conn)
}

/// The connection with that folded name.
pub fn find_by_name(conn: &mut Conn, name_fold: &str) -> QueryResult<Option<ConnectionRow>> {
    connections::table.filter(connections::name_fold.eq(name_fold)).first(conn).optional()
}

/// The connection with that folded name, locked against other writers until the transaction ends.
pub fn lock_by_name(conn: &mut Conn, name_fold: &str) -> QueryResult<Option<ConnectionRow>> {
    if conn.is_postgres() {
        let lock = Sql::new("SELECT * FROM connections WHERE name_fold = ")
            .text(name_fold)
            .raw(" FOR NO KEY UPDATE");
        lock.get_result(conn).optional()
    } else {
        find_by_name(conn, name_fold)
    }
}

/// The connections with that issuer, by name.
pub fn find_by_issuer(conn: &mut Conn, issuer: &str) -> QueryResult<Vec<ConnectionRow>> {
    connections::table
        .filter(connections::issuer.eq(issuer))
        .order(connections::name_fold)
        .load(conn)
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &ConnectionRow) -> QueryResult<()> {
    diesel::insert_into(connections::table).values(row).execute(conn)?;
    journal::note(Change::Connection(row.clone()));
    Ok(())
}

/// Writes a row back.
pub fn update(conn: &mut Conn, row: &ConnectionRow) -> QueryResult<()> {
    diesel::update(connections::table.filter(connections::id.eq(&row.id)))
        .set(row)
        .execute(conn)?;
    journal::note(Change::Connection(row.clone()));
    secrets::begin_access_epoch(conn)?;
    Ok(())
}

/// Deletes a connection with all that belongs to it but its events.
pub fn delete(conn: &mut Conn, id: &str) -> QueryResult<usize> {
    let deleted =
        diesel::delete(connections::table.filter(connections::id.eq(id))).execute(conn)?;
    if deleted > 0 {
        journal::note(Change::ConnectionGone { id: id.to_owned() });
        secrets::begin_access_epoch(conn)?;
    }
    Ok(deleted)
}
