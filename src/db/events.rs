//! The event log: one row a change, written in the transaction that makes the change, and the feed
//! of what is committed.
//!
//! A row's `sequence` is taken before its transaction commits, so on PostgreSQL a lower one can
//! appear after a higher one was read. The feed's order is therefore `position`, which rows get
//! after they are committed, in [`place`]: one transaction at a time, so that whoever sees a
//! position sees all those before it.

#![expect(clippy::ref_option_ref, reason = "the library derives it for borrowed columns")]

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::connection::{Conn, on_either};
use super::rehearsal;
use super::schema::events;
use super::sql::Sql;

/// Key of the PostgreSQL advisory lock under which positions are given.
const PLACE_LOCK: i64 = 0x006d_7573_7466_6565;
/// How far apart the times of events may be that are beside each other in the log, in microseconds.
const SLACK: i64 = 60_000_000;

/// Rows that are written at a time.
const BATCH: usize = 500;

/// A row to append to `events`.
#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub struct NewEvent<'a> {
    pub connection_id: &'a str,
    pub at: i64,
    pub actor: &'a str,
    pub actor_id: Option<&'a str>,
    pub request_id: Option<&'a str>,
    pub action: &'a str,
    pub subject: &'a str,
    pub subject_id: &'a str,
    pub data: String,
    pub changes: String,
}

/// Appends an event.
pub fn append(conn: &mut Conn, event: &NewEvent<'_>) -> QueryResult<()> {
    on_either!(conn, |conn| diesel::insert_into(events::table).values(event).execute(conn))?;
    rehearsal::note_event(event);
    Ok(())
}

/// Appends events in one statement, or some where there are very many.
pub fn append_each(conn: &mut Conn, events: &[NewEvent<'_>]) -> QueryResult<()> {
    for batch in events.chunks(BATCH) {
        on_either!(conn, |conn| diesel::insert_into(events::table).values(batch).execute(conn))?;
    }
    events.iter().for_each(rehearsal::note_event);
    Ok(())
}

/// A committed event with all that is stored of it, as the log is read, copied and sealed.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Serialize, Deserialize)]
#[diesel(table_name = events)]
pub struct LogRow {
    pub sequence: i64,
    pub connection_id: String,
    pub at: i64,
    pub actor: String,
    pub actor_id: Option<String>,
    pub request_id: Option<String>,
    pub action: String,
    pub subject: String,
    pub subject_id: String,
    pub data: String,
    pub position: Option<i64>,
    /// What it changed; nothing where it is older than the changes in the log.
    pub changes: Option<String>,
}

/// The events from one position to another, in order.
pub fn log(conn: &mut Conn, first: i64, last: i64) -> QueryResult<Vec<LogRow>> {
    let found = events::table.filter(events::position.between(first, last)).order(events::position);
    on_either!(conn, |conn| found.load(conn))
}

/// The last of the positions after `after` whose events have no more than `max_bytes` together and
/// are no more than `limit`, but at least one; `None` if there is no event after it.
pub fn batch_end(
    conn: &mut Conn,
    after: i64,
    limit: i64,
    max_bytes: i64,
) -> QueryResult<Option<i64>> {
    let statement = Sql::new(
        "SELECT position, CAST(octet_length(data) + COALESCE(octet_length(changes), 0) AS BIGINT) \
         FROM events WHERE position > ",
    )
    .integer(after)
    .raw(" ORDER BY position LIMIT ")
    .integer(limit)
    .columns::<(BigInt, BigInt)>();
    let sizes: Vec<(i64, i64)> = on_either!(conn, |conn| statement.load(conn))?;
    let mut total = 0_i64;
    let within = sizes.iter().enumerate().take_while(|(place, (_, size))| {
        total = total.saturating_add(*size);
        *place == 0 || total <= max_bytes
    });
    Ok(within.last().map(|(_, (position, _))| *position))
}

/// The event with that sequence, if it has no position.
pub fn unplaced(conn: &mut Conn, sequence: i64) -> QueryResult<Option<LogRow>> {
    events::table
        .filter(events::sequence.eq(sequence))
        .filter(events::position.is_null())
        .first(conn)
        .optional()
}

/// Gives an event the position that it has in another copy of the store.
pub fn set_position(conn: &mut Conn, sequence: i64, position: i64) -> QueryResult<()> {
    diesel::update(events::table.filter(events::sequence.eq(sequence)))
        .set(events::position.eq(position))
        .execute(conn)
        .map(drop)
}

/// Adds an event of another copy of the store, as it is there.
pub fn insert_logged(conn: &mut Conn, row: &LogRow) -> QueryResult<()> {
    // PostgreSQL gives sequences itself, unless it is told not to.
    let own = if conn.is_postgres() { "OVERRIDING SYSTEM VALUE " } else { "" };
    let optional = |statement: Sql, value: &Option<String>| match value {
        Some(text) => statement.raw(", ").text(text),
        None => statement.raw(", NULL"),
    };
    let mut statement = Sql::new(format!(
        "INSERT INTO events (sequence, connection_id, at, actor, action, subject, subject_id, data, \
         position, actor_id, request_id, changes) {own}VALUES ("
    ))
    .integer(row.sequence)
    .raw(", ")
    .text(&row.connection_id)
    .raw(", ")
    .integer(row.at);
    for text in [&row.actor, &row.action, &row.subject, &row.subject_id, &row.data] {
        statement = statement.raw(", ").text(text);
    }
    statement = match row.position {
        Some(position) => statement.raw(", ").integer(position),
        None => statement.raw(", NULL"),
    };
    statement = optional(statement, &row.actor_id);
    statement = optional(statement, &row.request_id);
    optional(statement, &row.changes).raw(")").execute(conn).map(drop)
}

/// Sees to it that the next event comes after all those that were added with a sequence of their
/// own. SQLite does so by itself.
pub fn continue_sequence(conn: &mut Conn) -> QueryResult<()> {
    if conn.is_postgres() {
        Sql::new(
            "SELECT setval(pg_get_serial_sequence('events', 'sequence'), \
             (SELECT COALESCE(MAX(sequence), 0) + 1 FROM events), false)",
        )
        .execute(conn)?;
    }
    Ok(())
}

/// Removes the events from one position to another.
pub fn remove(conn: &mut Conn, first: i64, last: i64) -> QueryResult<usize> {
    diesel::delete(events::table.filter(events::position.between(first, last))).execute(conn)
}

/// When the latest of the events from one position to another was; `None` if there is none.
pub fn latest_time(conn: &mut Conn, first: i64, last: i64) -> QueryResult<Option<i64>> {
    events::table
        .filter(events::position.between(first, last))
        .select(diesel::dsl::max(events::at))
        .first(conn)
}

/// The first position that the log still has; `None` if it has none.
pub fn first_position(conn: &mut Conn) -> QueryResult<Option<i64>> {
    events::table.select(diesel::dsl::min(events::position)).first(conn)
}

/// An event in the feed.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct FeedRow {
    #[diesel(sql_type = BigInt)]
    pub position: i64,
    #[diesel(sql_type = Text)]
    pub connection_id: String,
    /// How the connection is called; it may be gone.
    #[diesel(sql_type = Nullable<Text>)]
    pub connection: Option<String>,
    #[diesel(sql_type = BigInt)]
    pub at: i64,
    #[diesel(sql_type = Text)]
    pub actor: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub actor_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub request_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub action: String,
    #[diesel(sql_type = Text)]
    pub subject: String,
    #[diesel(sql_type = Text)]
    pub subject_id: String,
    #[diesel(sql_type = Text)]
    pub data: String,
}

/// Where an event of the feed is, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct SizeRow {
    #[diesel(sql_type = BigInt)]
    pub position: i64,
    /// Bytes of its data.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// The sizes of the events after a position, in order, at most `limit`: those of one connection, or
/// of all. Neither database reads the data for it.
pub fn sizes(
    conn: &mut Conn,
    connection_id: Option<&str>,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<SizeRow>> {
    Sql::new(
        "SELECT e.position AS position, CAST(octet_length(e.data) AS BIGINT) AS size \
         FROM events AS e WHERE e.position > ",
    )
    .integer(after)
    .append(of_connection(connection_id))
    .raw(" ORDER BY e.position LIMIT ")
    .integer(limit)
    .load(conn)
}

/// The events after one position up to another, in order: those of one connection, or of all.
pub fn between(
    conn: &mut Conn,
    connection_id: Option<&str>,
    after: i64,
    last: i64,
) -> QueryResult<Vec<FeedRow>> {
    Sql::new(
        "SELECT e.position AS position, e.connection_id AS connection_id, c.name AS connection, \
         e.at AS at, e.actor AS actor, e.actor_id AS actor_id, e.request_id AS request_id, \
         e.action AS action, e.subject AS subject, e.subject_id AS subject_id, e.data AS data \
         FROM events AS e LEFT JOIN connections AS c ON c.id = e.connection_id \
         WHERE e.position > ",
    )
    .integer(after)
    .raw(" AND e.position <= ")
    .integer(last)
    .append(of_connection(connection_id))
    .raw(" ORDER BY e.position")
    .load(conn)
}

fn of_connection(connection_id: Option<&str>) -> Sql {
    match connection_id {
        Some(id) => Sql::new(" AND e.connection_id = ").text(id),
        None => Sql::default(),
    }
}

/// The position of the last event of the feed; 0 if it has none.
pub fn last_position(conn: &mut Conn) -> QueryResult<i64> {
    let last: Option<i64> = events::table.select(diesel::dsl::max(events::position)).first(conn)?;
    Ok(last.unwrap_or(0))
}

/// How many events have no position yet.
pub fn without_position(conn: &mut Conn) -> QueryResult<i64> {
    events::table.filter(events::position.is_null()).count().get_result(conn)
}

/// Whether there are events without a position.
pub fn any_without_position(conn: &mut Conn) -> QueryResult<bool> {
    let row: Found =
        Sql::new("SELECT EXISTS (SELECT 1 FROM events WHERE position IS NULL) AS found")
            .get_result(conn)?;
    Ok(row.found)
}

/// Gives the next positions to committed events without one, at most `limit`, in the order of
/// their sequence; returns to how many. Has to be all that its write transaction does.
pub fn place(conn: &mut Conn, limit: i64) -> QueryResult<usize> {
    // SQLite's write transaction is such a lock itself. PostgreSQL lets go of it after the
    // transaction has become visible.
    if conn.is_postgres() {
        Sql::new("SELECT pg_advisory_xact_lock(").integer(PLACE_LOCK).raw(")").execute(conn)?;
    }
    let last = last_position(conn)?;
    Sql::new("UPDATE events SET position = listed.place + ")
        .integer(last)
        .raw(
            " FROM (SELECT sequence, ROW_NUMBER() OVER (ORDER BY sequence) AS place \
             FROM (SELECT sequence FROM events WHERE position IS NULL ORDER BY sequence LIMIT ",
        )
        .integer(limit)
        .raw(") AS unplaced) AS listed WHERE events.sequence = listed.sequence")
        .execute(conn)
}

/// What the latest event of a kind about something holds.
pub fn latest_data(
    conn: &mut Conn,
    connection_id: &str,
    subject_id: &str,
    action: &str,
) -> QueryResult<Option<String>> {
    events::table
        .filter(events::connection_id.eq(connection_id))
        .filter(events::subject_id.eq(subject_id))
        .filter(events::action.eq(action))
        .order(events::sequence.desc())
        .select(events::data)
        .first(conn)
        .optional()
}

/// So many bytes the data of an event may have that is read together with others, where each may have
/// megabytes.
const READABLE: i64 = 64 * 1024;

/// An event as people look through the log.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct HistoryRow {
    /// Its sequence or position, whichever it was looked for by.
    #[diesel(sql_type = BigInt)]
    pub place: i64,
    #[diesel(sql_type = BigInt)]
    pub at: i64,
    #[diesel(sql_type = Text)]
    pub actor: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub actor_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub request_id: Option<String>,
    #[diesel(sql_type = Text)]
    pub action: String,
    #[diesel(sql_type = Text)]
    pub subject: String,
    #[diesel(sql_type = Text)]
    pub subject_id: String,
    /// None where it has more than 64 KiB.
    #[diesel(sql_type = Nullable<Text>)]
    pub data: Option<String>,
    /// Bytes of its data.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

/// The beginning of a statement that reads events of a connection, by the column that is their place.
/// Neither database reads data for its length.
fn history(place: &str, connection_id: &str) -> Sql {
    Sql::new(format!(
        "SELECT {place} AS place, at, actor, actor_id, request_id, action, subject, subject_id, \
         CASE WHEN octet_length(data) <= {READABLE} THEN data END AS data, \
         CAST(octet_length(data) AS BIGINT) AS size FROM events WHERE connection_id = "
    ))
    .text(connection_id)
}

/// The events about one thing, by their sequence, newest first, before one.
pub fn of_subject(
    conn: &mut Conn,
    connection_id: &str,
    subject_id: &str,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<HistoryRow>> {
    history("sequence", connection_id)
        .raw(" AND subject_id = ")
        .text(subject_id)
        .raw(" AND sequence < ")
        .integer(before.unwrap_or(i64::MAX))
        .raw(" ORDER BY sequence DESC LIMIT ")
        .integer(limit)
        .load(conn)
}

/// The events of a connection that have a position, by that, newest first, before one.
pub fn latest(
    conn: &mut Conn,
    connection_id: &str,
    before: Option<i64>,
    limit: i64,
) -> QueryResult<Vec<HistoryRow>> {
    history("position", connection_id)
        .raw(" AND position < ")
        .integer(before.unwrap_or(i64::MAX))
        .raw(" ORDER BY position DESC LIMIT ")
        .integer(limit)
        .load(conn)
}

/// The data of events, by their sequence.
pub fn data_of(conn: &mut Conn, sequences: &[i64]) -> QueryResult<BTreeMap<i64, String>> {
    if sequences.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = events::table.filter(events::sequence.eq_any(sequences));
    let found = found.select((events::sequence, events::data)).load(conn)?;
    Ok(found.into_iter().collect())
}

/// The position before the first event that was at a time or after it; that of the last event if there
/// is none.
pub fn position_before(conn: &mut Conn, at: i64) -> QueryResult<i64> {
    // Times go up with positions but for the slack, so there is no need to go through all of them.
    let end = last_position(conn)?.saturating_add(1);
    let (mut low, mut high) = (first_position(conn)?.unwrap_or(0), end);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> = events::table
            .filter(events::position.ge(middle))
            .order(events::position)
            .select((events::position.assume_not_null(), events::at))
            .first(conn)
            .optional()?;
        match found {
            Some((position, time)) if time < at.saturating_sub(SLACK) => low = position + 1,
            _ => high = middle,
        }
    }
    let first: Option<i64> = events::table
        .filter(events::position.ge(low))
        .filter(events::at.ge(at))
        .order(events::position)
        .select(events::position.assume_not_null())
        .first(conn)
        .optional()?;
    Ok(first.unwrap_or(end) - 1)
}

/// When the first event after a position was; `None` if there is none.
pub fn time_after(conn: &mut Conn, position: i64) -> QueryResult<Option<i64>> {
    events::table
        .filter(events::position.gt(position))
        .order(events::position)
        .select(events::at)
        .first(conn)
        .optional()
}
