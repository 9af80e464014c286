//! Secrets that all servers on the store share.

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::secrets;

/// The secret of that name.
pub fn find(conn: &mut Conn, name: &str) -> QueryResult<Option<String>> {
    secrets::table.filter(secrets::name.eq(name)).select(secrets::value).first(conn).optional()
}

/// Adds a secret.
pub fn insert(conn: &mut Conn, name: &str, value: &str) -> QueryResult<()> {
    diesel::insert_into(secrets::table)
        .values((secrets::name.eq(name), secrets::value.eq(value)))
        .execute(conn)
        .map(drop)
}
