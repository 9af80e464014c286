//! What teams stand for in the vendor's application.

use diesel::prelude::*;

use super::connection::Conn;
use super::schema::{roles, teams};
use super::sql::Sql;

/// A row of `roles`.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable)]
#[diesel(table_name = roles)]
pub struct RoleRow {
    pub team_id: String,
    pub connection_id: String,
    pub role: String,
    pub created_at: i64,
}

/// The roles of a connection's teams, each with the team's name.
pub fn of_connection(conn: &mut Conn, connection_id: &str) -> QueryResult<Vec<(String, String)>> {
    roles::table
        .inner_join(teams::table.on(teams::id.eq(roles::team_id)))
        .filter(roles::connection_id.eq(connection_id))
        .order((teams::display_name_fold, roles::role))
        .select((teams::display_name, roles::role))
        .load(conn)
}

/// The roles that some teams stand for, each once, in order.
pub fn of_teams(conn: &mut Conn, team_ids: &[&str]) -> QueryResult<Vec<String>> {
    roles::table
        .filter(roles::team_id.eq_any(team_ids.iter().map(|id| (*id).to_owned())))
        .order(roles::role)
        .select(roles::role)
        .distinct()
        .load(conn)
}

/// Whether the team stands for the role.
pub fn exists(conn: &mut Conn, team_id: &str, role: &str) -> QueryResult<bool> {
    let found: Option<String> = roles::table
        .filter(roles::team_id.eq(team_id))
        .filter(roles::role.eq(role))
        .select(roles::role)
        .first(conn)
        .optional()?;
    Ok(found.is_some())
}

/// What one team stands for, another stands for from now on.
pub fn move_to(conn: &mut Conn, from: &str, to: &str) -> QueryResult<()> {
    Sql::new("INSERT INTO roles (team_id, connection_id, role, created_at) SELECT ")
        .text(to)
        .raw(", r.connection_id, r.role, r.created_at FROM roles AS r WHERE r.team_id = ")
        .text(from)
        .raw(" ON CONFLICT (team_id, role) DO NOTHING")
        .execute(conn)
        .map(drop)
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &RoleRow) -> QueryResult<()> {
    diesel::insert_into(roles::table).values(row).execute(conn).map(drop)
}

/// Removes a row.
pub fn delete(conn: &mut Conn, team_id: &str, role: &str) -> QueryResult<usize> {
    diesel::delete(roles::table.filter(roles::team_id.eq(team_id)).filter(roles::role.eq(role)))
        .execute(conn)
}
