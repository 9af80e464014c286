//! Which compatibility rules tokens made use of.

use diesel::prelude::*;
use serde_json::json;

use super::connection::Conn;
use super::schema::token_quirks;
use super::sql::Sql;

/// A row of `token_quirks`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct TokenQuirkRow {
    pub token_id: String,
    pub quirk: String,
    pub first_used_at: i64,
    pub last_used_at: i64,
    pub uses: i64,
}

/// All rows, by token and rule.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<TokenQuirkRow>> {
    token_quirks::table.order((token_quirks::token_id, token_quirks::quirk)).load(conn)
}

/// Adds uses to those that are there, in one statement; of tokens that are gone, none.
pub fn add(conn: &mut Conn, rows: &[TokenQuirkRow]) -> QueryResult<()> {
    let array: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "token_id": row.token_id,
                "quirk": row.quirk,
                "first_used_at": row.first_used_at,
                "last_used_at": row.last_used_at,
                "uses": row.uses,
            })
        })
        .collect();
    let array = serde_json::Value::from(array).to_string();
    let statement = Sql::new(
        "INSERT INTO token_quirks (token_id, quirk, first_used_at, last_used_at, uses) \
         SELECT tokens.id, given.quirk, given.first_used_at, given.last_used_at, given.uses FROM ",
    );
    let statement = if conn.is_postgres() {
        statement.raw("json_to_recordset(").text(array).raw(
            "::json) AS given (token_id text, quirk text, first_used_at bigint, \
             last_used_at bigint, uses bigint)",
        )
    } else {
        statement
            .raw(
                "(SELECT json_extract(value, '$.token_id') AS token_id, \
                 json_extract(value, '$.quirk') AS quirk, \
                 json_extract(value, '$.first_used_at') AS first_used_at, \
                 json_extract(value, '$.last_used_at') AS last_used_at, \
                 json_extract(value, '$.uses') AS uses FROM json_each(",
            )
            .text(array)
            .raw(")) AS given")
    };
    // Without a WHERE, SQLite would take ON CONFLICT for a part of the join.
    statement
        .raw(
            " JOIN tokens ON tokens.id = given.token_id WHERE TRUE \
             ON CONFLICT (token_id, quirk) DO UPDATE SET \
             uses = token_quirks.uses + excluded.uses, \
             first_used_at = CASE WHEN excluded.first_used_at < token_quirks.first_used_at \
             THEN excluded.first_used_at ELSE token_quirks.first_used_at END, \
             last_used_at = CASE WHEN excluded.last_used_at > token_quirks.last_used_at \
             THEN excluded.last_used_at ELSE token_quirks.last_used_at END",
        )
        .execute(conn)
        .map(drop)
}
