//! Where events are sent to, and how far each webhook has come.
//!
//! A row of `webhooks` is lasting state; a row of `webhook_deliveries` is not. Whoever delivers holds a
//! lease, a random text that every write of a delivery has to name: whoever lost it changes nothing.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::journal::{self, Change};
use super::schema::{connections, webhook_deliveries as deliveries, webhooks};
use super::sql::Sql;

/// A row of `webhooks`.
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
#[diesel(table_name = webhooks, treat_none_as_null = true)]
pub struct WebhookRow {
    pub id: String,
    /// Whose events are sent; those of all connections, and of none, where it is not said.
    pub connection_id: Option<String>,
    pub url: String,
    pub label: String,
    /// The types of events that are sent, with spaces in between; all if it is not said.
    pub types: Option<String>,
    pub state: String,
    /// Why it is disabled.
    pub reason: Option<String>,
    /// Since when it is in that state.
    pub state_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
    /// When its secret was made.
    pub secret_at: i64,
}

/// A row of `webhook_deliveries`.
#[derive(Clone, PartialEq, Eq, Queryable, QueryableByName, Insertable)]
#[diesel(table_name = deliveries)]
pub struct DeliveryRow {
    pub webhook_id: String,
    /// None in a store that was built from the log.
    pub secret: Option<String>,
    pub old_secret: Option<String>,
    pub old_secret_until: Option<i64>,
    /// The position of the last event that was delivered or passed over.
    pub cursor: i64,
    pub lease: Option<String>,
    pub lease_until: Option<i64>,
    /// Attempts that have failed since the last that has not.
    pub failures: i64,
    pub failing_since: Option<i64>,
    pub next_attempt_at: Option<i64>,
    pub last_delivered_at: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
}

impl fmt::Debug for DeliveryRow {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryRow")
            .field("webhook_id", &self.webhook_id)
            .field("cursor", &self.cursor)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

/// A webhook, how far it has come, and what its connection is called.
pub type Whole = (WebhookRow, DeliveryRow, Option<String>);

/// All webhooks, oldest first.
pub fn all(conn: &mut Conn) -> QueryResult<Vec<Whole>> {
    let rows: Vec<(WebhookRow, DeliveryRow)> =
        webhooks::table.inner_join(deliveries::table).order(webhooks::id).load(conn)?;
    let names: Vec<(String, String)> =
        connections::table.select((connections::id, connections::name)).load(conn)?;
    let name = |id: &Option<String>| {
        let (_, name) = names.iter().find(|(known, _)| Some(known) == id.as_ref())?;
        Some(name.clone())
    };
    let whole = |(webhook, delivery): (WebhookRow, DeliveryRow)| {
        let name = name(&webhook.connection_id);
        (webhook, delivery, name)
    };
    Ok(rows.into_iter().map(whole).collect())
}

/// The webhook with that id.
pub fn find(conn: &mut Conn, id: &str) -> QueryResult<Option<Whole>> {
    let found: Option<(WebhookRow, DeliveryRow)> = webhooks::table
        .inner_join(deliveries::table)
        .filter(webhooks::id.eq(id))
        .first(conn)
        .optional()?;
    let Some((webhook, delivery)) = found else { return Ok(None) };
    let name = match &webhook.connection_id {
        Some(id) => connections::table
            .filter(connections::id.eq(id))
            .select(connections::name)
            .first(conn)
            .optional()?,
        None => None,
    };
    Ok(Some((webhook, delivery, name)))
}

/// The webhook with that id, held against other changes until the end of the transaction.
pub fn lock(conn: &mut Conn, id: &str) -> QueryResult<Option<Whole>> {
    if conn.is_postgres() {
        let lock = Sql::new("SELECT * FROM webhooks WHERE id = ").text(id).raw(" FOR UPDATE");
        let found: Option<WebhookRow> = lock.get_result(conn).optional()?;
        if found.is_none() {
            return Ok(None);
        }
    }
    find(conn, id)
}

/// Adds a webhook, which begins after a position.
pub fn insert(
    conn: &mut Conn,
    row: &WebhookRow,
    secret: Option<&str>,
    cursor: i64,
) -> QueryResult<()> {
    diesel::insert_into(webhooks::table).values(row).execute(conn)?;
    diesel::insert_into(deliveries::table)
        .values((
            deliveries::webhook_id.eq(&row.id),
            deliveries::secret.eq(secret),
            deliveries::cursor.eq(cursor),
            deliveries::failures.eq(0_i64),
        ))
        .execute(conn)?;
    journal::note(Change::Webhook(row.clone()));
    Ok(())
}

/// Writes a webhook back; 0 rows if there is none. Whoever delivers loses the lease, and the next one
/// finds the webhook as it is now.
pub fn update(conn: &mut Conn, row: &WebhookRow) -> QueryResult<usize> {
    let updated =
        diesel::update(webhooks::table.filter(webhooks::id.eq(&row.id))).set(row).execute(conn)?;
    if updated > 0 {
        let free = (deliveries::lease.eq(None::<String>), deliveries::lease_until.eq(None::<i64>));
        diesel::update(deliveries::table.filter(deliveries::webhook_id.eq(&row.id)))
            .set(free)
            .execute(conn)?;
        journal::note(Change::Webhook(row.clone()));
    }
    Ok(updated)
}

/// Deletes a webhook.
pub fn delete(conn: &mut Conn, id: &str) -> QueryResult<usize> {
    let deleted = diesel::delete(webhooks::table.filter(webhooks::id.eq(id))).execute(conn)?;
    if deleted > 0 {
        journal::note(Change::WebhookGone { id: id.to_owned() });
    }
    Ok(deleted)
}

/// Sets what a webhook is signed with, and what it is signed with besides until a time.
pub fn set_secret(
    conn: &mut Conn,
    id: &str,
    secret: &str,
    old: Option<(&str, i64)>,
) -> QueryResult<()> {
    diesel::update(deliveries::table.filter(deliveries::webhook_id.eq(id)))
        .set((
            deliveries::secret.eq(secret),
            deliveries::old_secret.eq(old.map(|(secret, _)| secret)),
            deliveries::old_secret_until.eq(old.map(|(_, until)| until)),
        ))
        .execute(conn)
        .map(drop)
}

/// Sets the position after which a webhook goes on, if that is to be another one, and lets it be tried at
/// once.
pub fn begin_anew(conn: &mut Conn, id: &str, cursor: Option<i64>) -> QueryResult<()> {
    let of = || deliveries::table.filter(deliveries::webhook_id.eq(id.to_owned()));
    if let Some(cursor) = cursor {
        diesel::update(of()).set(deliveries::cursor.eq(cursor)).execute(conn)?;
    }
    diesel::update(of())
        .set((
            deliveries::failures.eq(0_i64),
            deliveries::failing_since.eq(None::<i64>),
            deliveries::next_attempt_at.eq(None::<i64>),
        ))
        .execute(conn)
        .map(drop)
}

/// A webhook that may be delivered to.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct ActiveRow {
    #[diesel(sql_type = Text)]
    pub id: String,
    #[diesel(sql_type = BigInt)]
    pub cursor: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub lease_until: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub next_attempt_at: Option<i64>,
}

/// The webhooks that may be delivered to and have events before them, which go up to `last`; of those
/// that send some types only, some have none that are to be sent. The one farthest behind comes first.
pub fn with_news(conn: &mut Conn, last: i64) -> QueryResult<Vec<ActiveRow>> {
    Sql::new(
        "SELECT w.id AS id, d.cursor AS cursor, d.lease_until AS lease_until, \
         d.next_attempt_at AS next_attempt_at FROM webhooks AS w \
         JOIN webhook_deliveries AS d ON d.webhook_id = w.id \
         WHERE w.state = 'active' AND d.secret IS NOT NULL AND d.cursor < ",
    )
    .integer(last)
    .raw(
        " AND (w.connection_id IS NULL OR EXISTS (SELECT 1 FROM events AS e \
         WHERE e.connection_id = w.connection_id AND e.position > d.cursor)) ORDER BY d.cursor, w.id",
    )
    .load(conn)
}

/// Has the webhooks whose connections are quiet pass over the events of others, up to `last`, so that
/// those can be removed one day. Those that are being delivered to at `now` (UTC microseconds) do not; whoever has
/// left a lease behind loses it. Nor do those whose own events may have been removed already: that shows
/// by their cursor.
pub fn pass_over(conn: &mut Conn, last: i64, now: i64) -> QueryResult<usize> {
    // All conditions are about the row that is written, so that PostgreSQL looks at them again where
    // somebody has set the cursor back meanwhile.
    Sql::new("UPDATE webhook_deliveries SET lease = NULL, lease_until = NULL, cursor = ")
        .integer(last)
        .raw(" WHERE (lease IS NULL OR lease_until <= ")
        .integer(now)
        .raw(") AND cursor < ")
        .integer(last)
        .raw(
            " AND cursor >= (SELECT MIN(position) FROM events) - 1 \
             AND EXISTS (SELECT 1 FROM webhooks AS w WHERE w.id = webhook_deliveries.webhook_id \
             AND w.state <> 'disabled' AND w.connection_id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM events AS e WHERE e.connection_id = w.connection_id \
             AND e.position > webhook_deliveries.cursor))",
        )
        .execute(conn)
}

/// Whether there is any webhook that may be delivered to.
pub fn any_active(conn: &mut Conn) -> QueryResult<bool> {
    let active = webhooks::table.filter(webhooks::state.eq("active"));
    let first: Option<String> = active.select(webhooks::id).limit(1).first(conn).optional()?;
    Ok(first.is_some())
}

/// Takes the lease of an active webhook, if nobody has it; gives the webhook then.
pub fn take(
    conn: &mut Conn,
    id: &str,
    lease: &str,
    now: i64,
    until: i64,
) -> QueryResult<Option<Whole>> {
    let taken = Sql::new("UPDATE webhook_deliveries SET lease = ")
        .text(lease)
        .raw(", lease_until = ")
        .integer(until)
        .raw(" WHERE webhook_id = ")
        .text(id)
        .raw(" AND (lease IS NULL OR lease_until <= ")
        .integer(now)
        .raw(") AND (next_attempt_at IS NULL OR next_attempt_at <= ")
        .integer(now)
        .raw(
            ") AND secret IS NOT NULL AND EXISTS (SELECT 1 FROM webhooks WHERE id = webhook_id \
             AND state = 'active')",
        )
        .execute(conn)?;
    if taken == 0 {
        return Ok(None);
    }
    // PostgreSQL may have waited for whoever paused the webhook, and looked at its state before.
    Ok(find(conn, id)?.filter(|(row, ..)| row.state == "active"))
}

/// Whether that is the webhook's lease.
pub fn is_held(conn: &mut Conn, id: &str, lease: &str) -> QueryResult<bool> {
    let held: Option<String> = deliveries::table
        .filter(deliveries::webhook_id.eq(id))
        .filter(deliveries::lease.eq(lease))
        .select(deliveries::webhook_id)
        .first(conn)
        .optional()?;
    Ok(held.is_some())
}

/// What came of a delivery so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    pub cursor: i64,
    /// When something was last delivered; none was if it is not said.
    pub delivered_at: Option<i64>,
    /// How the last attempt failed, if it has: what is said of it, and when it is tried again.
    pub failure: Option<Failure>,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub error: String,
    pub failures: i64,
    pub since: i64,
    pub at: i64,
    pub next_attempt_at: i64,
}

/// Writes down how far a delivery has come; the lease is kept until a time, or given back. 0 rows where
/// the lease is somebody else's.
pub fn advance(
    conn: &mut Conn,
    id: &str,
    lease: &str,
    progress: &Progress,
    until: Option<i64>,
) -> QueryResult<usize> {
    let mine =
        deliveries::table.filter(deliveries::webhook_id.eq(id)).filter(deliveries::lease.eq(lease));
    let own = (
        deliveries::cursor.eq(progress.cursor),
        deliveries::lease.eq(until.map(|_| lease)),
        deliveries::lease_until.eq(until),
    );
    if diesel::update(mine).set(own).execute(conn)? == 0 {
        return Ok(0);
    }
    let of = || deliveries::table.filter(deliveries::webhook_id.eq(id.to_owned()));
    if let Some(at) = progress.delivered_at {
        diesel::update(of())
            .set((
                deliveries::last_delivered_at.eq(at),
                deliveries::failures.eq(0_i64),
                deliveries::failing_since.eq(None::<i64>),
                deliveries::next_attempt_at.eq(None::<i64>),
            ))
            .execute(conn)?;
    }
    if let Some(failure) = &progress.failure {
        diesel::update(of())
            .set((
                deliveries::failures.eq(failure.failures),
                deliveries::failing_since.eq(failure.since),
                deliveries::next_attempt_at.eq(failure.next_attempt_at),
                deliveries::last_error.eq(&failure.error),
                deliveries::last_error_at.eq(failure.at),
            ))
            .execute(conn)?;
    }
    Ok(1)
}
