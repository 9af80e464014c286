//! The e-mail addresses of users, by which clients look them up.

use diesel::prelude::*;

use super::connection::{Conn, on_either};
use super::schema::user_emails;
use super::sql::Sql;

/// Addresses of a user up to which the statement is kept prepared; hardly anybody has more.
const KEPT: i64 = 4;

/// Makes the table say what the user's document says.
pub fn replace<'a>(
    conn: &mut Conn,
    connection_id: &str,
    user_id: &str,
    folded: impl IntoIterator<Item = &'a str>,
) -> QueryResult<()> {
    diesel::delete(user_emails::table.filter(user_emails::user_id.eq(user_id))).execute(conn)?;
    insert(conn, connection_id, user_id, folded)
}

/// Adds the addresses of a user who has none yet.
pub fn insert<'a>(
    conn: &mut Conn,
    connection_id: &str,
    user_id: &str,
    folded: impl IntoIterator<Item = &'a str>,
) -> QueryResult<()> {
    let mut statement =
        Sql::new("INSERT INTO user_emails (user_id, position, connection_id, value_fold) VALUES ");
    let mut position = 0;
    for value in folded {
        statement = statement
            .raw(if position == 0 { "(" } else { ", (" })
            .text(user_id)
            .raw(", ")
            .integer(position)
            .raw(", ")
            .text(connection_id)
            .raw(", ")
            .text(value)
            .raw(")");
        position += 1;
    }
    if position == 0 {
        return Ok(());
    }
    if position > KEPT {
        statement = statement.one_off();
    }
    let statement = statement.columns::<()>();
    on_either!(conn, |conn| statement.execute(conn)).map(drop)
}
