//! A copy of the whole store, as it was at one moment, in a SQLite file.
//!
//! The columns are the same on both databases, so a copy of a PostgreSQL store is a SQLite store
//! too: it can be served as it stands, to look at or to move.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::connection::{Access, Conn, keep_private};
use super::migrations;
use super::pool::StoreError;
use super::sql::Sql;
use super::url::DatabaseUrl;

/// The tables, parents before children.
pub const TABLES: [&str; 17] = [
    "connections",
    "tokens",
    "token_quirks",
    "users",
    "user_emails",
    "teams",
    "memberships",
    "unique_values",
    "roles",
    "events",
    "apps",
    "admin_tokens",
    "flows",
    "sessions",
    "codes",
    "access_tokens",
    "secrets",
];
/// Rows that are copied at a time.
const BATCH: usize = 500;

#[derive(QueryableByName)]
struct RowText {
    #[diesel(sql_type = Text)]
    row_text: String,
}

#[derive(QueryableByName)]
struct ColumnName {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Writes the copy.
///
/// # Errors
/// The file cannot be written, or the database fails. What was written of the file is removed.
pub fn write(conn: &mut Conn, file: &Path) -> Result<(), StoreError> {
    let written = if conn.is_postgres() {
        conn.snapshot(|conn| copy(conn, file))
    } else {
        let name = file.to_str().ok_or_else(|| {
            StoreError::Unavailable("the name of the file is not UTF-8".to_owned())
        })?;
        // Writes to another file, which a connection for reading is not kept from by the database
        // but by its own setting.
        diesel::sql_query("PRAGMA query_only = OFF").execute(conn)?;
        keep_private(file);
        let written = Sql::new("VACUUM INTO ").text(name).execute(conn);
        diesel::sql_query("PRAGMA query_only = ON").execute(conn)?;
        written.map(drop).map_err(StoreError::from)
    };
    if written.is_err() {
        // The error at hand says more than one about the removal would.
        let _ = std::fs::remove_file(file);
    }
    written
}

fn copy(from: &mut Conn, file: &Path) -> Result<(), StoreError> {
    let url = DatabaseUrl::Sqlite(file.to_owned());
    let mut to = Conn::open(&url, Access::Write)
        .map_err(|error| StoreError::Unavailable(error.to_string()))?;
    migrations::migrate(&mut to).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    to.write(|to| {
        for table in TABLES {
            copy_table(from, to, table)?;
        }
        Ok::<_, StoreError>(())
    })?;
    // One file is easier to carry away than one with a journal beside it.
    diesel::sql_query("PRAGMA journal_mode = DELETE").execute(&mut to)?;
    Ok(())
}

fn copy_table(from: &mut Conn, to: &mut Conn, table: &str) -> Result<(), StoreError> {
    let columns: Vec<ColumnName> =
        Sql::new(format!("SELECT name FROM pragma_table_info('{table}')")).load(to)?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let values: Vec<String> =
        names.iter().map(|name| format!("json_extract(value, '$.{name}')")).collect();
    diesel::sql_query(format!(
        "DECLARE backup_rows NO SCROLL CURSOR FOR \
         SELECT row_to_json({table})::text AS row_text FROM {table}"
    ))
    .execute(from)?;
    loop {
        let rows: Vec<RowText> = Sql::new(format!("FETCH {BATCH} FROM backup_rows")).load(from)?;
        if rows.is_empty() {
            break;
        }
        let texts: Vec<&str> = rows.iter().map(|row| row.row_text.as_str()).collect();
        Sql::new(format!(
            "INSERT INTO {table} ({}) SELECT {} FROM json_each(",
            names.join(", "),
            values.join(", ")
        ))
        .text(format!("[{}]", texts.join(",")))
        .raw(")")
        .execute(to)?;
    }
    diesel::sql_query("CLOSE backup_rows").execute(from)?;
    Ok(())
}
