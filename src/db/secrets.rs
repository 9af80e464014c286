//! Secrets that all servers on the store share.

use diesel::prelude::*;

use super::connection::{Conn, on_either};
use super::schema::secrets;
use super::sql::Sql;

/// The name under which [`access_epoch`] is kept.
const ACCESS_EPOCH: &str = "access-epoch";
/// [`access_epoch`] as a column of a statement that finds something else.
pub(super) const EPOCH_COLUMN: &str =
    "COALESCE((SELECT secrets.value FROM secrets WHERE secrets.name = 'access-epoch'), '')";

/// The secret of that name.
pub fn find(conn: &mut Conn, name: &str) -> QueryResult<Option<String>> {
    let found = secrets::table.filter(secrets::name.eq(name)).select(secrets::value);
    on_either!(conn, |conn| found.first(conn)).optional()
}

/// Adds a secret.
pub fn insert(conn: &mut Conn, name: &str, value: &str) -> QueryResult<()> {
    diesel::insert_into(secrets::table)
        .values((secrets::name.eq(name), secrets::value.eq(value)))
        .execute(conn)
        .map(drop)
}

/// What tells whether tokens and connections are still as they were when it was read: it is another
/// one after each change that ends or alters what a token stands for. Empty before the first.
pub fn access_epoch(conn: &mut Conn) -> QueryResult<String> {
    Ok(find(conn, ACCESS_EPOCH)?.unwrap_or_default())
}

/// Begins another epoch, so that no process goes by what it knows of tokens and connections.
pub(super) fn begin_access_epoch(conn: &mut Conn) -> QueryResult<()> {
    let value = uuid::Uuid::now_v7().to_string();
    Sql::new("INSERT INTO secrets (name, value) VALUES (")
        .text(ACCESS_EPOCH)
        .raw(", ")
        .text(value)
        .raw(") ON CONFLICT (name) DO UPDATE SET value = excluded.value")
        .execute(conn)
        .map(drop)
}
