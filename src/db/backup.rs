//! A copy of the whole store, as it was at one moment, in a SQLite file.
//!
//! The columns are the same on both databases, so a copy of a PostgreSQL store is a SQLite store
//! too: it can be served as it stands, to look at or to move.

use std::path::Path;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use super::connection::{Access, Conn, keep_private};
use super::migrations;
use super::pool::StoreError;
use super::sql::Sql;
use super::url::DatabaseUrl;

/// The tables, parents before children.
pub const TABLES: [&str; 24] = [
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
    "seals",
    "brakes",
    "removals",
    "apps",
    "admin_tokens",
    "webhooks",
    "webhook_deliveries",
    "flows",
    "sessions",
    "codes",
    "access_tokens",
    "console_sessions",
    "share_links",
    "secrets",
];
/// The tables that are in no copy: what was asked of the server is no state of it, and is not to outlive
/// the days for which it is kept.
pub const NOT_COPIED: [&str; 2] = ["requests", "request_hours"];
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
        written.map_err(StoreError::from).and_then(|_| leave_out(file))
    };
    if written.is_err() {
        // The error at hand says more than one about the removal would.
        let _ = std::fs::remove_file(file);
    }
    written
}

/// Takes out of a file what is in no copy, so that nothing is left of it.
fn leave_out(file: &Path) -> Result<(), StoreError> {
    let mut copy = open(file)?;
    let mut removed = 0;
    for table in NOT_COPIED {
        // Where the file is from before, there is no such table.
        let is_there = Sql::new("SELECT COUNT(*) AS total FROM sqlite_schema WHERE name = ");
        if super::count(&mut copy, is_there.text(table))? > 0 {
            removed += Sql::new(format!("DELETE FROM {table}")).execute(&mut copy)?;
        }
    }
    if removed > 0 {
        diesel::sql_query("VACUUM").execute(&mut copy)?;
    }
    close(copy)
}

fn open(file: &Path) -> Result<Conn, StoreError> {
    Conn::open(&DatabaseUrl::Sqlite(file.to_owned()), Access::Write)
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// One file is easier to carry away than one with a journal beside it.
fn close(mut copy: Conn) -> Result<(), StoreError> {
    diesel::sql_query("PRAGMA journal_mode = DELETE").execute(&mut copy)?;
    Ok(())
}

fn copy(from: &mut Conn, file: &Path) -> Result<(), StoreError> {
    let mut to = open(file)?;
    migrations::migrate(&mut to).map_err(|error| StoreError::Unavailable(error.to_string()))?;
    to.write(|to| {
        for table in TABLES {
            copy_table(from, to, table)?;
        }
        Ok::<_, StoreError>(())
    })?;
    close(to)
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

/// Why a copy cannot be carried back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The file is no copy of a store, or the copy cannot be read.
    #[error("{0} is no backup: {1}")]
    NoBackup(String, String),
    /// What is there already would be lost.
    #[error("the store is not empty; a backup is carried back into an empty one")]
    NotEmpty,
    /// Rows of another version do not fit into the tables.
    #[error(
        "the backup is from another version; carry it into a new SQLite store, which brings it up to \
         date, and that one into PostgreSQL"
    )]
    AnotherVersion,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for RestoreError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Carries a copy back into a store that is not there yet, or is empty, and brings it up to date.
///
/// # Errors
/// The file is no copy, the store is not empty, or the database fails.
pub fn restore(file: &Path, url: &DatabaseUrl) -> Result<(), RestoreError> {
    let no_backup = |error: String| RestoreError::NoBackup(file.display().to_string(), error);
    if !file.is_file() {
        return Err(no_backup("there is no such file".to_owned()));
    }
    let mut from = Conn::open(&DatabaseUrl::Sqlite(file.to_owned()), Access::Read)
        .map_err(|error| no_backup(error.to_string()))?;
    // A database without migrations is another program's.
    let migrations = Sql::new("SELECT COUNT(*) AS total FROM __diesel_schema_migrations");
    super::count(&mut from, migrations).map_err(|error| no_backup(error.to_string()))?;
    if let DatabaseUrl::Sqlite(target) = url {
        if target.exists() {
            return Err(RestoreError::NotEmpty);
        }
        write(&mut from, target)?;
        return migrated(url).map(drop);
    }
    let pending =
        migrations::is_pending(&mut from).map_err(|error| no_backup(error.to_string()))?;
    if pending {
        return Err(RestoreError::AnotherVersion);
    }
    let mut to = migrated(url)?;
    to.write(|to| {
        for table in TABLES {
            let rows = Sql::new(format!("SELECT COUNT(*) AS total FROM {table}"));
            if super::count(to, rows)? > 0 {
                return Err(RestoreError::NotEmpty);
            }
        }
        for table in TABLES {
            carry_back(&mut from, to, table)?;
        }
        Ok(super::events::continue_sequence(to)?)
    })
}

fn migrated(url: &DatabaseUrl) -> Result<Conn, RestoreError> {
    let unavailable = |error: String| StoreError::Unavailable(error);
    let mut conn =
        Conn::open(url, Access::Write).map_err(|error| unavailable(error.to_string()))?;
    migrations::migrate(&mut conn).map_err(|error| unavailable(error.to_string()))?;
    Ok(conn)
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
    /// The place in the key, from 1 on; 0 if it is no part of it.
    #[diesel(sql_type = BigInt)]
    place: i64,
}

/// Copies a table of a SQLite store to PostgreSQL, page by page in the order of its key.
fn carry_back(from: &mut Conn, to: &mut Conn, table: &str) -> Result<(), RestoreError> {
    let statement = format!("SELECT name, pk AS place FROM pragma_table_info('{table}')");
    let columns: Vec<Column> = Sql::new(statement).load(from)?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let mut key: Vec<&Column> = columns.iter().filter(|column| column.place > 0).collect();
    key.sort_by_key(|column| column.place);
    let key: Vec<&str> = key.iter().map(|column| column.name.as_str()).collect();
    let pairs: Vec<String> = names.iter().map(|name| format!("'{name}', {name}")).collect();
    let row = format!("json_object({})", pairs.join(", "));
    let own = if table == "events" { "OVERRIDING SYSTEM VALUE " } else { "" };
    let mut last: Option<Value> = None;
    loop {
        let mut page = Sql::new(format!("SELECT {row} AS row_text FROM {table}"));
        if let Some(last) = &last {
            page = page.raw(format!(" WHERE ({}) > (", key.join(", ")));
            for (place, name) in key.iter().enumerate() {
                page = if place == 0 { page } else { page.raw(", ") };
                page = match last.get(*name) {
                    Some(Value::Number(number)) => {
                        page.integer(number.as_i64().unwrap_or_default())
                    }
                    value => page.text(value.and_then(Value::as_str).unwrap_or_default()),
                };
            }
            page = page.raw(")");
        }
        let page = page.raw(format!(" ORDER BY {} LIMIT {BATCH}", key.join(", ")));
        let rows: Vec<RowText> = page.load(from)?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = Some(serde_json::from_str(&end.row_text).map_err(StoreError::from)?);
        let texts: Vec<&str> = rows.iter().map(|row| row.row_text.as_str()).collect();
        let names = names.join(", ");
        Sql::new(format!(
            "INSERT INTO {table} ({names}) {own}SELECT {names} \
             FROM json_populate_recordset(NULL::{table}, "
        ))
        .text(format!("[{}]", texts.join(",")))
        .raw("::json)")
        .execute(to)?;
    }
}
