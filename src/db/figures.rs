//! Numbers over the whole store, for whoever watches over it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connection::Conn;
use super::sql::Sql;

/// A day in microseconds.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// What is counted by the rows of small tables, and by indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, QueryableByName)]
pub struct Overview {
    #[diesel(sql_type = BigInt)]
    pub connections: i64,
    /// Connections whose removals the brake holds.
    #[diesel(sql_type = BigInt)]
    pub brakes_on: i64,
    /// Sessions whose time is not over.
    #[diesel(sql_type = BigInt)]
    pub sessions: i64,
    /// Tokens in use that end within a day.
    #[diesel(sql_type = BigInt)]
    pub expiring_1: i64,
    /// The same within 7 days, those within a day among them.
    #[diesel(sql_type = BigInt)]
    pub expiring_7: i64,
    /// The same within 30 days, those within 7 among them.
    #[diesel(sql_type = BigInt)]
    pub expiring_30: i64,
    /// Tokens that ended within the last 7 days, and were not revoked.
    #[diesel(sql_type = BigInt)]
    pub expired_7: i64,
    /// When a token was last used, of any connection.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub last_push: Option<i64>,
    /// The same of the connection that has not used one for the longest time.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub quietest_push: Option<i64>,
    /// Events that no seal covers.
    #[diesel(sql_type = BigInt)]
    pub unsealed: i64,
}

/// Counts what can be counted at once.
pub fn overview(conn: &mut Conn, now: i64) -> QueryResult<Overview> {
    let ending = |statement: Sql, name: &str, after: i64, until: i64| {
        let counted = "(SELECT COUNT(*) FROM tokens WHERE revoked_at IS NULL AND expires_at > ";
        let statement = statement.raw(counted).integer(after).raw(" AND expires_at <= ");
        statement.integer(until).raw(format!(") AS {name}, "))
    };
    let mut statement = Sql::new(
        "SELECT (SELECT COUNT(*) FROM connections) AS connections, \
         (SELECT COUNT(*) FROM brakes WHERE held_at IS NOT NULL) AS brakes_on, \
         (SELECT COUNT(*) FROM sessions WHERE expires_at > ",
    )
    .integer(now)
    .raw(") AS sessions, ");
    for days in [1, 7, 30] {
        statement = ending(statement, &format!("expiring_{days}"), now, now + days * DAY);
    }
    ending(statement, "expired_7", now - 7 * DAY, now)
        .raw(
            "(SELECT MAX(last_used_at) FROM tokens WHERE revoked_at IS NULL) AS last_push, \
             (SELECT MIN(last) FROM (SELECT MAX(last_used_at) AS last FROM tokens \
             WHERE revoked_at IS NULL GROUP BY connection_id) AS latest) AS quietest_push, \
             (SELECT COALESCE(MAX(position), 0) FROM events) \
             - (SELECT COALESCE(MAX(last_position), 0) FROM seals) \
             + (SELECT COUNT(*) FROM events WHERE position IS NULL) AS unsealed",
        )
        .get_result(conn)
}

/// How often SCIM and claims differ about the members of one team.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct DifferenceRow {
    #[diesel(sql_type = Text)]
    pub connection_id: String,
    #[diesel(sql_type = Text)]
    pub display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub external_id: Option<String>,
    /// Where SCIM spoke last.
    #[diesel(sql_type = BigInt)]
    pub scim_newer: i64,
    /// Where the claim is the newer word.
    #[diesel(sql_type = BigInt)]
    pub claim_newer: i64,
    /// Since when at least the oldest of those has been so.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub since: Option<i64>,
}

/// The teams over whose active members the sources differ where SCIM decides, whatever the filters of
/// claims let through. Looks at each team of each user who has signed in, by the index of subjects: SQLite
/// takes a cross join in the order in which it is written, and would else go through all memberships.
pub fn differences(conn: &mut Conn) -> QueryResult<Vec<DifferenceRow>> {
    Sql::new(
        "SELECT t.connection_id AS connection_id, t.display_name AS display_name, \
         t.external_id AS external_id, d.scim_newer AS scim_newer, d.claim_newer AS claim_newer, \
         d.since AS since \
         FROM (SELECT m.team_id AS team_id, \
         CAST(SUM(CASE WHEN COALESCE(m.scim_at, 0) > u.claim_issued_at THEN 1 ELSE 0 END) AS BIGINT) \
         AS scim_newer, \
         CAST(SUM(CASE WHEN COALESCE(m.scim_at, 0) > u.claim_issued_at THEN 0 ELSE 1 END) AS BIGINT) \
         AS claim_newer, \
         MIN(CASE WHEN COALESCE(m.scim_at, 0) > u.claim_issued_at THEN NULL \
         WHEN COALESCE(m.claim_at, 0) > COALESCE(m.scim_at, 0) THEN m.claim_at \
         ELSE u.claim_issued_at END) AS since \
         FROM users AS u CROSS JOIN memberships AS m \
         WHERE m.user_id = u.id AND u.subject IS NOT NULL AND u.claim_issued_at IS NOT NULL \
         AND u.scim_owned AND u.active \
         AND m.scim <> m.claim \
         GROUP BY m.team_id) AS d \
         JOIN teams AS t ON t.id = d.team_id \
         JOIN connections AS c ON c.id = t.connection_id \
         WHERE t.scim_managed AND c.membership <> 'union'",
    )
    .load(conn)
}
