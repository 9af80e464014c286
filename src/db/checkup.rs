//! Questions about the store itself, for a diagnosis. None of them looks at all users: where there may
//! be many of something, a number of them is looked at, and that is said.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connection::Conn;
use super::events;
use super::sql::Sql;

#[derive(QueryableByName)]
struct TextRow {
    #[diesel(sql_type = Text)]
    value: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

fn text(conn: &mut Conn, statement: &str) -> QueryResult<String> {
    let row: TextRow = Sql::new(statement).get_result(conn)?;
    Ok(row.value)
}

fn number(conn: &mut Conn, statement: &str) -> QueryResult<i64> {
    let row: Number = Sql::new(statement).get_result(conn)?;
    Ok(row.value)
}

/// Which database it is, with its version.
pub fn version(conn: &mut Conn) -> QueryResult<String> {
    Ok(if conn.is_postgres() {
        format!("PostgreSQL {}", text(conn, "SELECT current_setting('server_version') AS value")?)
    } else {
        format!("SQLite {}", text(conn, "SELECT sqlite_version() AS value")?)
    })
}

/// Whether there are tables of this program at all, of whatever age. To ask that of the library would
/// make one.
pub fn has_tables(conn: &mut Conn) -> QueryResult<bool> {
    let known = "__diesel_schema_migrations";
    let statement = if conn.is_postgres() {
        Sql::new("SELECT CAST(COUNT(to_regclass(").text(known).raw(")) AS BIGINT) AS total")
    } else {
        Sql::new("SELECT COUNT(*) AS total FROM sqlite_schema WHERE name = ").text(known)
    };
    Ok(super::count(conn, statement)? > 0)
}

/// What time the database's machine has, in UTC microseconds; none where that is this machine.
pub fn clock(conn: &mut Conn) -> QueryResult<Option<i64>> {
    if !conn.is_postgres() {
        return Ok(None);
    }
    let statement =
        "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) AS value";
    number(conn, statement).map(Some)
}

/// How large a SQLite store is, in bytes.
pub fn size(conn: &mut Conn) -> QueryResult<i64> {
    let statement =
        "SELECT page_count * page_size AS value FROM pragma_page_count, pragma_page_size";
    number(conn, statement)
}

/// What a check of a SQLite file found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Integrity {
    /// Nothing is wrong.
    Whole,
    /// There was no time for more than so many of the tables; nothing is wrong with those.
    InPart(usize, usize),
    /// What SQLite says is wrong.
    Broken(String),
}

/// Checks a SQLite file, table by table, until the time is up: the one that is looked at then is
/// finished.
pub fn integrity(conn: &mut Conn, limit: Duration) -> QueryResult<Integrity> {
    let begun = Instant::now();
    let tables = Sql::new(
        "SELECT name AS value FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    );
    let tables: Vec<TextRow> = tables.load(conn)?;
    for (place, table) in tables.iter().enumerate() {
        if begun.elapsed() > limit {
            return Ok(Integrity::InPart(place, tables.len()));
        }
        let found: Vec<TextRow> = Sql::new("SELECT quick_check AS value FROM pragma_quick_check(")
            .text(&table.value)
            .raw(") LIMIT 1")
            .load(conn)?;
        if let Some(wrong) = found.into_iter().find(|row| row.value != "ok") {
            return Ok(Integrity::Broken(wrong.value));
        }
    }
    Ok(Integrity::Whole)
}

/// Room on the disk of a file: free for Muster, and in all, in bytes.
///
/// # Errors
/// The system does not say.
#[cfg(unix)]
pub fn room(file: &Path) -> std::io::Result<(u64, u64)> {
    let found = rustix::fs::statvfs(file)?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
    Ok((bytes(found.f_bavail), bytes(found.f_blocks)))
}

/// Room on the disk of a file.
///
/// # Errors
/// It is not known here.
#[cfg(not(unix))]
pub fn room(_: &Path) -> std::io::Result<(u64, u64)> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// How large SQLite's journal beside a file is, in bytes.
pub fn journal_size(file: &Path) -> u64 {
    let mut name = file.as_os_str().to_owned();
    name.push("-wal");
    std::fs::metadata(PathBuf::from(name)).map_or(0, |found| found.len())
}

/// How many users and teams there are, by the totals.
pub fn resources(conn: &mut Conn) -> QueryResult<i64> {
    number(conn, "SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) AS value FROM totals")
}

/// What is not sealed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Unsealed {
    #[diesel(sql_type = BigInt)]
    pub events: i64,
    /// When the oldest of them was, in UTC microseconds.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub since: Option<i64>,
}

/// What is not sealed of the events after a position; no more than `limit` of them are looked at.
pub fn unsealed(conn: &mut Conn, after: i64, limit: i64) -> QueryResult<Unsealed> {
    let some = |from: Sql| {
        Sql::new("SELECT at FROM (SELECT at FROM events WHERE ")
            .append(from)
            .raw(" LIMIT ")
            .integer(limit)
            .raw(") AS some_events")
    };
    let placed = some(Sql::new("position > ").integer(after).raw(" ORDER BY position"));
    let others = some(Sql::new("position IS NULL ORDER BY sequence"));
    Sql::new("SELECT COUNT(*) AS events, MIN(at) AS since FROM (")
        .append(placed)
        .raw(" UNION ALL ")
        .append(others)
        .raw(") AS unsealed_events")
        .get_result(conn)
}

/// A recent event of a connection.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Recent {
    #[diesel(sql_type = BigInt)]
    pub sequence: i64,
    #[diesel(sql_type = BigInt)]
    pub at: i64,
    #[diesel(sql_type = Text)]
    pub actor: String,
    #[diesel(sql_type = Text)]
    pub action: String,
    /// What it says, if it is about a sign-in.
    #[diesel(sql_type = Nullable<Text>)]
    pub data: Option<String>,
}

/// The last events of a connection, the latest first; at most `limit`.
pub fn recent(conn: &mut Conn, connection_id: &str, limit: i64) -> QueryResult<Vec<Recent>> {
    let some = |which: &str| {
        Sql::new(
            "SELECT sequence, at, actor, action, CASE WHEN action IN ('signed-in', \
             'sign-in-refused') THEN data END AS data FROM events WHERE connection_id = ",
        )
        .text(connection_id)
        .raw(which)
        .raw(" LIMIT ")
        .integer(limit)
    };
    let mut found: Vec<Recent> = Vec::new();
    // Those without a position are few, and the index of them is the way to them.
    if events::any_without_position(conn)? {
        found = some(" AND position IS NULL ORDER BY sequence DESC").load(conn)?;
    }
    let placed: Vec<Recent> =
        some(" AND position IS NOT NULL ORDER BY position DESC").load(conn)?;
    found.extend(placed);
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(found)
}

/// A team by its names.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TeamNames {
    #[diesel(sql_type = Text)]
    pub display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub external_id: Option<String>,
    /// What is counted of it.
    #[diesel(sql_type = BigInt)]
    pub total: i64,
}

/// Some teams of a connection; nothing is counted of them.
pub fn teams(conn: &mut Conn, connection_id: &str, limit: i64) -> QueryResult<Vec<TeamNames>> {
    Sql::new(
        "SELECT display_name, external_id, CAST(0 AS BIGINT) AS total FROM teams \
         WHERE connection_id = ",
    )
    .text(connection_id)
    .raw(" ORDER BY id LIMIT ")
    .integer(limit)
    .load(conn)
}

/// In which teams SCIM, which decides, and the last complete claim differ, and of how many users: of
/// those who have signed in at the issuer, no more than `limit` of them. The most come first.
pub fn differing(conn: &mut Conn, connection_id: &str, limit: i64) -> QueryResult<Vec<TeamNames>> {
    Sql::new(
        "SELECT t.display_name AS display_name, t.external_id AS external_id, \
         COUNT(*) AS total FROM (SELECT id, scim_owned, claim_issued_at FROM users \
         WHERE subject IS NOT NULL AND connection_id = ",
    )
    .text(connection_id)
    .raw(" ORDER BY issuer, subject LIMIT ")
    .integer(limit)
    .raw(
        ") AS u JOIN memberships AS m ON m.user_id = u.id JOIN teams AS t ON t.id = m.team_id \
         WHERE u.scim_owned AND u.claim_issued_at IS NOT NULL AND t.scim_managed \
         AND m.scim <> m.claim GROUP BY t.id, t.display_name, t.external_id \
         ORDER BY COUNT(*) DESC, t.display_name LIMIT 1000",
    )
    .load(conn)
}

/// Who of the newest active users comes from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Origins {
    /// How many were looked at.
    #[diesel(sql_type = BigInt)]
    pub all: i64,
    /// Pushed, and never signed in.
    #[diesel(sql_type = BigInt)]
    pub pushed: i64,
    /// Signed in, and never pushed.
    #[diesel(sql_type = BigInt)]
    pub signed_in: i64,
}

const SIGNED_IN_ALONE: &str = "NOT scim_owned AND subject IS NOT NULL";

fn newest(connection_id: &str, limit: i64) -> Sql {
    Sql::new(
        " FROM (SELECT id, user_name, active, scim_owned, subject FROM users WHERE connection_id = ",
    )
    .text(connection_id)
    .raw(" ORDER BY id DESC LIMIT ")
    .integer(limit)
    .raw(") AS newest WHERE active")
}

/// Counts who comes from where among the newest users, no more than `limit` of them.
pub fn origins(conn: &mut Conn, connection_id: &str, limit: i64) -> QueryResult<Origins> {
    let count = |which: &str| {
        format!("CAST(COALESCE(SUM(CASE WHEN {which} THEN 1 ELSE 0 END), 0) AS BIGINT)")
    };
    Sql::new(format!(
        "SELECT COUNT(*) AS \"all\", {} AS pushed, {} AS signed_in",
        count("scim_owned AND subject IS NULL"),
        count(SIGNED_IN_ALONE)
    ))
    .append(newest(connection_id, limit))
    .get_result(conn)
}

/// The names of some who signed in and were never pushed, among the newest users.
pub fn never_pushed(
    conn: &mut Conn,
    connection_id: &str,
    limit: i64,
    most: i64,
) -> QueryResult<Vec<String>> {
    let found: Vec<TextRow> = Sql::new("SELECT user_name AS value")
        .append(newest(connection_id, limit))
        .raw(format!(" AND {SIGNED_IN_ALONE} ORDER BY id DESC LIMIT "))
        .integer(most)
        .load(conn)?;
    Ok(found.into_iter().map(|row| row.value).collect())
}
