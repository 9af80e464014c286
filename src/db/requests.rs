//! The log of requests: what was asked of the server and how it was answered, in no backup and in no
//! event. Whoever writes it takes a lock, so that who has seen a row has seen all rows before it.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connection::{Conn, on_either};
use super::schema::{connections, request_hours, requests};
use super::sql::Sql;

/// Key of the PostgreSQL advisory lock under which rows are added.
const APPEND_LOCK: i64 = 0x006d_7573_7472_6571;

/// A row to add to `requests`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Insertable, QueryableByName)]
#[diesel(table_name = requests, treat_none_as_default_value = false)]
pub struct NewRequest {
    pub connection_id: Option<String>,
    pub at: i64,
    pub duration: i64,
    pub kind: String,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub status: i64,
    pub outcome: Option<String>,
    pub scim_type: Option<String>,
    pub detail: Option<String>,
    pub token_id: Option<String>,
    pub request_id: String,
    pub resource_type: Option<String>,
    pub user_id: Option<String>,
    pub user_name: Option<String>,
    pub user_name_fold: Option<String>,
    pub team_id: Option<String>,
    pub team_name: Option<String>,
    pub team_name_fold: Option<String>,
    pub client: Option<String>,
    pub user_agent: Option<String>,
    pub quirks: Option<String>,
    pub resources: Option<i64>,
    pub request_size: Option<i64>,
    pub request_body: Option<String>,
    pub answer_size: Option<i64>,
    pub answer_body: Option<String>,
    pub facts: Option<String>,
}

/// A row of `requests`; in a list the bodies are left out.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[diesel(table_name = requests)]
pub struct RequestRow {
    pub id: i64,
    #[diesel(embed)]
    pub request: NewRequest,
}

/// A row of `request_hours`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = request_hours, treat_none_as_default_value = false)]
pub struct HourRow {
    pub connection_id: String,
    pub hour: i64,
    pub requests: i64,
    pub errors: i64,
    pub last_push_at: Option<i64>,
    pub last_sign_in_at: Option<i64>,
}

/// Of whose requests a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose<'a> {
    All,
    Connection(&'a str),
    /// Those that said for nobody.
    Nobody,
}

/// What requests are about: any of the ids, or the folded name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    pub ids: Vec<String>,
    pub name_fold: String,
}

/// Which rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub whose: Whose<'a>,
    pub user: Option<About>,
    pub team: Option<About>,
    pub only_errors: bool,
    /// `scim` or `sign_in`.
    pub kind: Option<&'a str>,
    pub method: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// Only rows before this one.
    pub before: Option<i64>,
    /// Only rows after this one, and of them the first ones.
    pub after: Option<i64>,
    pub limit: i64,
}

impl Wanted<'_> {
    /// The condition, for the table `r`. What is in an index's own condition stands in it as it does
    /// there, since a database does not look into bound values.
    fn condition(&self) -> Sql {
        let mut sql = match self.whose {
            Whose::All => Sql::new("TRUE"),
            Whose::Connection(id) => Sql::new("r.connection_id = ").text(id),
            Whose::Nobody => Sql::new("r.connection_id IS NULL"),
        };
        if self.only_errors {
            sql = sql.raw(" AND r.status >= 400");
        }
        sql = match self.kind {
            Some("sign_in") => sql.raw(" AND r.kind = 'sign_in'"),
            Some(kind) => sql.raw(" AND r.kind = ").text(kind),
            None => sql,
        };
        if let Some(method) = self.method {
            if method != "GET" {
                sql = sql.raw(" AND r.method <> 'GET'");
            }
            sql = sql.raw(" AND r.method = ").text(method);
        }
        if let Some(id) = self.request_id {
            sql = sql.raw(" AND r.request_id = ").text(id);
        }
        if let Some(before) = self.before {
            sql = sql.raw(" AND r.id < ").integer(before);
        }
        if let Some(after) = self.after {
            sql = sql.raw(" AND r.id > ").integer(after);
        }
        sql
    }

    fn order(&self) -> &'static str {
        if self.after.is_some() { "ASC" } else { "DESC" }
    }

    /// The ids of the first rows that are about something: a look into an index for each way in which
    /// it may be called.
    fn about(&self, about: &About, what: &str) -> Sql {
        let mut sql = Sql::default();
        let ids = about.ids.iter().map(|id| ("id", id));
        for (place, (column, value)) in ids.chain([("name_fold", &about.name_fold)]).enumerate() {
            sql = sql
                .raw(if place == 0 { "" } else { " UNION " })
                .raw(format!(
                    "SELECT id FROM (SELECT r.id FROM requests AS r WHERE r.{what}_{column} = "
                ))
                .text(value.as_str())
                .raw(" AND ")
                .append(self.condition())
                .raw(format!(" ORDER BY r.id {} LIMIT ", self.order()))
                .integer(self.limit)
                .raw(format!(") AS found{place}"));
        }
        sql
    }
}

/// The statement that reads the rows that are wanted.
pub fn statement(wanted: &Wanted<'_>) -> Sql {
    let mut sql = Sql::new(
        "SELECT r.id, r.connection_id, r.at, r.duration, r.kind, r.method, r.path, r.query, r.status, \
         r.outcome, r.scim_type, r.detail, r.token_id, r.request_id, r.resource_type, r.user_id, \
         r.user_name, r.user_name_fold, r.team_id, r.team_name, r.team_name_fold, r.client, \
         r.user_agent, r.quirks, r.resources, r.request_size, CAST(NULL AS TEXT) AS request_body, \
         r.answer_size, CAST(NULL AS TEXT) AS answer_body, r.facts FROM requests AS r WHERE ",
    )
    .append(wanted.condition());
    for (about, what) in [(&wanted.user, "user"), (&wanted.team, "team")] {
        if let Some(about) = about {
            sql = sql.raw(" AND r.id IN (").append(wanted.about(about, what)).raw(")");
        }
    }
    sql.raw(format!(" ORDER BY r.id {} LIMIT ", wanted.order())).integer(wanted.limit)
}

/// The rows that are wanted, without bodies; the newest first.
pub fn page(conn: &mut Conn, wanted: &Wanted<'_>) -> QueryResult<Vec<RequestRow>> {
    let mut rows: Vec<RequestRow> = statement(wanted).load(conn)?;
    if wanted.after.is_some() {
        rows.reverse();
    }
    Ok(rows)
}

/// The row with that id.
pub fn find(conn: &mut Conn, id: i64) -> QueryResult<Option<RequestRow>> {
    Sql::new("SELECT * FROM requests WHERE id = ").integer(id).get_result(conn).optional()
}

/// The last row's id; 0 if there is none.
pub fn last_id(conn: &mut Conn) -> QueryResult<i64> {
    let last: Option<i64> = requests::table.select(diesel::dsl::max(requests::id)).first(conn)?;
    Ok(last.unwrap_or(0))
}

/// Adds rows, and counts them; those of connections that are gone are passed over. Has to be all that
/// its write transaction does.
pub fn append(conn: &mut Conn, rows: &[NewRequest], hours: &[HourRow]) -> QueryResult<()> {
    // SQLite's write transaction is such a lock itself.
    if conn.is_postgres() {
        Sql::new("SELECT pg_advisory_xact_lock(").integer(APPEND_LOCK).raw(")").execute(conn)?;
    }
    let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row.connection_id.as_deref()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let there: Vec<String> = if ids.is_empty() {
        Vec::new()
    } else {
        // Kept from going until these rows are there, which go with it then.
        let lock = if conn.is_postgres() { " FOR KEY SHARE" } else { "" };
        let found = Sql::new("SELECT id FROM connections WHERE id ").among(conn, &ids).raw(lock);
        let found = found.columns::<(Text,)>();
        let found: Vec<(String,)> = on_either!(conn, |conn| found.load(conn))?;
        found.into_iter().map(|(id,)| id).collect()
    };
    let is_there = |id: &str| there.iter().any(|found| found == id);
    let rows = rows.iter().filter(|row| row.connection_id.as_deref().is_none_or(is_there));
    match conn {
        // One statement, kept prepared, for one after the other: to prepare one for all of them costs more, and
        // takes more memory than all else that is done for the log.
        Conn::Sqlite(conn) => {
            for row in rows {
                diesel::insert_into(requests::table).values(row).execute(conn)?;
            }
        }
        // That would be a round trip each.
        Conn::Postgres(conn) => {
            let rows: Vec<&NewRequest> = rows.collect();
            if !rows.is_empty() {
                diesel::insert_into(requests::table).values(rows).execute(conn)?;
            }
        }
    }
    for hour in hours.iter().filter(|hour| is_there(&hour.connection_id)) {
        count(conn, hour)?;
    }
    Ok(())
}

/// Adds to what is counted of an hour.
fn count(conn: &mut Conn, more: &HourRow) -> QueryResult<()> {
    let optional = |sql: Sql, value: Option<i64>| match value {
        Some(value) => sql.integer(value),
        None => sql.raw("NULL"),
    };
    let later = |column: &str| {
        format!(
            "{column} = CASE WHEN request_hours.{column} > excluded.{column} \
             OR excluded.{column} IS NULL THEN request_hours.{column} ELSE excluded.{column} END"
        )
    };
    let sql = Sql::new(
        "INSERT INTO request_hours \
         (connection_id, hour, requests, errors, last_push_at, last_sign_in_at) VALUES (",
    )
    .text(more.connection_id.as_str())
    .raw(", ")
    .integer(more.hour)
    .raw(", ")
    .integer(more.requests)
    .raw(", ")
    .integer(more.errors)
    .raw(", ");
    optional(optional(sql, more.last_push_at).raw(", "), more.last_sign_in_at)
        .raw(format!(
            ") ON CONFLICT (connection_id, hour) DO UPDATE SET \
             requests = request_hours.requests + excluded.requests, \
             errors = request_hours.errors + excluded.errors, {}, {}",
            later("last_push_at"),
            later("last_sign_in_at")
        ))
        .execute(conn)
        .map(drop)
}

/// What is counted of a connection's hours from one on, in order.
pub fn hours(conn: &mut Conn, connection_id: &str, from: i64) -> QueryResult<Vec<HourRow>> {
    request_hours::table
        .filter(request_hours::connection_id.eq(connection_id))
        .filter(request_hours::hour.ge(from))
        .order(request_hours::hour)
        .load(conn)
}

/// The id of the last row that is one too many, where there are more than `most`; else 0. Ids have gaps,
/// so where there may be as many the rows are counted.
pub fn surplus(conn: &mut Conn, most: i64) -> QueryResult<i64> {
    let first: Option<i64> = requests::table.select(diesel::dsl::min(requests::id)).first(conn)?;
    if last_id(conn)?.saturating_sub(first.unwrap_or(0)) < most {
        return Ok(0);
    }
    let last: Option<i64> = requests::table
        .order(requests::id.desc())
        .offset(most)
        .select(requests::id)
        .first(conn)
        .optional()?;
    Ok(last.unwrap_or(0))
}

/// Removes the first rows that are older than `before`, or not after the id `surplus`, at most `limit`;
/// says how many it was.
pub fn prune(conn: &mut Conn, before: i64, surplus: i64, limit: i64) -> QueryResult<usize> {
    Sql::new("DELETE FROM requests WHERE id IN (SELECT id FROM requests ORDER BY id LIMIT ")
        .integer(limit)
        .raw(") AND (at < ")
        .integer(before)
        .raw(" OR id <= ")
        .integer(surplus)
        .raw(")")
        .execute(conn)
}

/// Removes the first rows of nobody's that are more than `most`, at most `limit`; says how many.
pub fn prune_nobody(conn: &mut Conn, most: i64, limit: i64) -> QueryResult<usize> {
    let last: Option<i64> = requests::table
        .filter(requests::connection_id.is_null())
        .order(requests::id.desc())
        .offset(most)
        .select(requests::id)
        .first(conn)
        .optional()?;
    let Some(last) = last else { return Ok(0) };
    Sql::new(
        "DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE connection_id IS NULL AND id <= ",
    )
    .integer(last)
    .raw(" ORDER BY id LIMIT ")
    .integer(limit)
    .raw(")")
    .execute(conn)
}

/// Removes rows of a connection, at most `limit`; says how many it was.
pub fn remove_of(conn: &mut Conn, connection_id: &str, limit: i64) -> QueryResult<usize> {
    Sql::new("DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE connection_id = ")
        .text(connection_id)
        .raw(" ORDER BY id LIMIT ")
        .integer(limit)
        .raw(")")
        .execute(conn)
}

/// Removes what is counted of hours before one.
pub fn prune_hours(conn: &mut Conn, before: i64) -> QueryResult<usize> {
    diesel::delete(request_hours::table.filter(request_hours::hour.lt(before))).execute(conn)
}

/// A token by its hash, whatever has become of it since: hash, id and connection.
pub type TokenOf = (String, String, String);

/// The tokens that have these hashes.
pub fn tokens_of(conn: &mut Conn, hashes: &[&str]) -> QueryResult<Vec<TokenOf>> {
    if hashes.is_empty() {
        return Ok(Vec::new());
    }
    let found = Sql::new("SELECT hash, id, connection_id FROM tokens WHERE hash ")
        .among(conn, hashes)
        .columns::<(Text, Text, Text)>();
    on_either!(conn, |conn| found.load(conn))
}

/// How users, or teams, with these ids are called.
pub fn names_of(
    conn: &mut Conn,
    is_user: bool,
    ids: &[&str],
) -> QueryResult<Vec<(String, String, String)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (table, column) = if is_user { ("users", "user_name") } else { ("teams", "display_name") };
    let found = Sql::new(format!("SELECT id, connection_id, {column} FROM {table} WHERE id "))
        .among(conn, ids)
        .columns::<(Text, Text, Text)>();
    on_either!(conn, |conn| found.load(conn))
}

/// What the events say of the deletion of some users and teams, each by its connection and id: id and
/// data.
pub fn deletions_of(
    conn: &mut Conn,
    subjects: &[(&str, &str)],
) -> QueryResult<Vec<(String, String, String)>> {
    if subjects.is_empty() {
        return Ok(Vec::new());
    }
    let array: Vec<_> = subjects.iter().map(|(of, id)| serde_json::json!([of, id])).collect();
    let array = serde_json::Value::from(array).to_string();
    let sql = Sql::new("SELECT e.connection_id, e.subject_id, e.data FROM ");
    let sql = if conn.is_postgres() {
        sql.raw(
            "(SELECT value ->> 0 AS connection, value ->> 1 AS subject FROM json_array_elements(",
        )
        .text(array)
        .raw("::json) AS given (value)) AS wanted")
    } else {
        sql.raw(
            "(SELECT json_extract(value, '$[0]') AS connection, \
             json_extract(value, '$[1]') AS subject FROM json_each(",
        )
        .text(array)
        .raw(")) AS wanted")
    };
    let found = sql
        .raw(
            " JOIN events AS e ON e.connection_id = wanted.connection \
             AND e.subject_id = wanted.subject AND e.action = 'deleted'",
        )
        .columns::<(Text, Text, Text)>();
    on_either!(conn, |conn| found.load(conn))
}

/// How connections with these ids are called.
pub fn connection_names(conn: &mut Conn, ids: &[&str]) -> QueryResult<Vec<(String, String)>> {
    connections::table
        .filter(connections::id.eq_any(ids))
        .select((connections::id, connections::name))
        .load(conn)
}

/// The position and time of the first event at or after a position.
pub fn event_at(conn: &mut Conn, position: i64) -> QueryResult<Option<(i64, i64)>> {
    let found = Sql::new("SELECT position, at FROM events WHERE position >= ")
        .integer(position)
        .raw(" ORDER BY position LIMIT 1")
        .columns::<(BigInt, BigInt)>();
    on_either!(conn, |conn| found.load(conn)).map(|rows: Vec<(i64, i64)>| rows.first().copied())
}

/// An event that came of a request, without its data.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ChangeRow {
    #[diesel(sql_type = BigInt)]
    pub sequence: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub position: Option<i64>,
    #[diesel(sql_type = BigInt)]
    pub at: i64,
    #[diesel(sql_type = Text)]
    pub action: String,
    #[diesel(sql_type = Text)]
    pub subject: String,
    #[diesel(sql_type = Text)]
    pub subject_id: String,
    /// Bytes of its data.
    #[diesel(sql_type = BigInt)]
    pub size: i64,
}

/// The events of a connection that came of a request: of those from one position to another, and of
/// those that have no position yet.
pub fn events_of(
    conn: &mut Conn,
    connection_id: &str,
    request_id: &str,
    (first, last): (i64, i64),
    limit: i64,
) -> QueryResult<Vec<ChangeRow>> {
    let columns = "SELECT sequence, position, at, action, subject, subject_id, \
                   CAST(octet_length(data) AS BIGINT) AS size FROM events";
    Sql::new(format!("SELECT * FROM ({columns} WHERE connection_id = "))
        .text(connection_id)
        .raw(" AND position BETWEEN ")
        .integer(first)
        .raw(" AND ")
        .integer(last)
        .raw(" AND request_id = ")
        .text(request_id)
        .raw(format!(" UNION ALL {columns} WHERE position IS NULL AND connection_id = "))
        .text(connection_id)
        .raw(" AND request_id = ")
        .text(request_id)
        .raw(") AS found ORDER BY sequence LIMIT ")
        .integer(limit)
        .load(conn)
}
