//! How many users and teams each connection has. Triggers keep it with every row that comes or goes, so
//! that nobody has to count.

use diesel::prelude::*;

use super::connection::Conn;
use super::filter::Kind;
use super::sql::Sql;

/// Where [`mend`] puts what was missing, which no trigger does.
const MENDED: i64 = -1;

/// How many users or teams the connection has.
pub fn of(conn: &mut Conn, connection_id: &str, kind: Kind) -> QueryResult<i64> {
    let sum = Sql::new("SELECT CAST(COALESCE(SUM(total), 0) AS BIGINT) AS total FROM totals ");
    let sum = sum.raw("WHERE connection_id = ").text(connection_id).raw(" AND kind = ");
    super::count(conn, sum.text(name(kind)))
}

/// Whether the totals are what there is.
pub fn are_right(conn: &mut Conn) -> QueryResult<bool> {
    let mut wrong = 0;
    for kind in [Kind::User, Kind::Team] {
        let statement = Sql::new("SELECT COUNT(*) AS total FROM (").append(missing(kind));
        wrong += super::count(conn, statement.raw(") AS wrong"))?;
    }
    Ok(wrong == 0)
}

/// Adds what is missing: rows may have been carried in past the triggers. Has to be all that its write
/// transaction does.
pub fn mend(conn: &mut Conn) -> QueryResult<()> {
    // Whoever writes meanwhile is either counted with all that it does, or waits. SQLite's write
    // transaction is such a lock itself.
    if conn.is_postgres() {
        Sql::new("LOCK TABLE totals IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
    }
    for kind in [Kind::User, Kind::Team] {
        Sql::new("INSERT INTO totals (connection_id, kind, part, total) ")
            .append(missing(kind))
            .raw(
                " ON CONFLICT (connection_id, kind, part) \
                 DO UPDATE SET total = totals.total + excluded.total",
            )
            .execute(conn)?;
    }
    Ok(())
}

/// What has to be added to the totals, as rows of theirs.
fn missing(kind: Kind) -> Sql {
    let (table, name) = (kind.table(), name(kind));
    Sql::new(format!(
        "SELECT connection_id, '{name}' AS kind, {MENDED} AS part, CAST(SUM(more) AS BIGINT) AS total \
         FROM (SELECT connection_id, -total AS more FROM totals WHERE kind = '{name}' \
         UNION ALL SELECT connection_id, COUNT(*) AS more FROM {table} GROUP BY connection_id) AS both_sides \
         GROUP BY connection_id HAVING SUM(more) <> 0"
    ))
}

/// How the triggers call it.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::Team => "team",
    }
}
