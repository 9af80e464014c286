//! How many users and teams each connection has. Triggers keep it with every row that comes or goes, so
//! that nobody has to count.

use diesel::prelude::*;

use super::connection::Conn;
use super::filter::Kind;
use super::sql::Sql;

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
        let (table, name) = (kind.table(), name(kind));
        let statement = format!(
            "SELECT COUNT(*) AS total FROM (SELECT connection_id FROM (\
             SELECT connection_id, -total AS more FROM totals WHERE kind = '{name}' UNION ALL \
             SELECT connection_id, COUNT(*) AS more FROM {table} GROUP BY connection_id) AS both_sides \
             GROUP BY connection_id HAVING SUM(more) <> 0) AS wrong"
        );
        wrong += super::count(conn, Sql::new(statement))?;
    }
    Ok(wrong == 0)
}

/// Counts everything anew: rows may have been carried in past the triggers. Has to be all that its write
/// transaction does; as long as it counts, nobody comes or goes.
pub fn mend(conn: &mut Conn) -> QueryResult<()> {
    // Whoever writes meanwhile is either counted with all that it does, or waits. SQLite's write
    // transaction is such a lock itself.
    if conn.is_postgres() {
        Sql::new("LOCK TABLE totals IN SHARE ROW EXCLUSIVE MODE").execute(conn)?;
    }
    Sql::new("DELETE FROM totals").execute(conn)?;
    for kind in [Kind::User, Kind::Team] {
        let (table, name) = (kind.table(), name(kind));
        Sql::new(format!(
            "INSERT INTO totals (connection_id, kind, part, total) \
             SELECT connection_id, '{name}', 0, COUNT(*) FROM {table} GROUP BY connection_id"
        ))
        .execute(conn)?;
    }
    Ok(())
}

/// How the triggers call it.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "user",
        Kind::Team => "team",
    }
}
