//! What teams stand for in the vendor's application.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::connection::Conn;
use super::journal::{self, Change};
use super::memberships::granted_sql;
use super::schema::{roles, teams};
use super::sql::Sql;

/// A row of `roles`.
#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, QueryableByName, Insertable, Serialize, Deserialize,
)]
#[diesel(table_name = roles)]
pub struct RoleRow {
    pub team_id: String,
    pub connection_id: String,
    pub role: String,
    pub created_at: i64,
}

/// A role, and the team that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TeamRole {
    #[diesel(sql_type = Text)]
    pub team_id: String,
    #[diesel(sql_type = Text)]
    pub role: String,
}

#[derive(QueryableByName)]
struct RoleName {
    #[diesel(sql_type = Text)]
    role: String,
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

/// The roles that some teams stand for, each with its team, in order.
pub fn of_each_team<'a>(
    conn: &mut Conn,
    team_ids: impl IntoIterator<Item = &'a str>,
) -> QueryResult<Vec<TeamRole>> {
    Sql::new("SELECT team_id, role FROM roles WHERE team_id IN (")
        .set(conn, team_ids)
        .raw(") ORDER BY role, team_id")
        .load(conn)
}

/// The roles that a user has by the teams in which membership takes effect, each once, in order.
pub fn of_user(conn: &mut Conn, user_id: &str, union: bool) -> QueryResult<Vec<String>> {
    // Put in order here: for the few that there are, SQLite would begin a table.
    let rows: Vec<RoleName> = Sql::new(
        "SELECT r.role AS role FROM memberships AS m \
         JOIN teams AS t ON t.id = m.team_id \
         JOIN users AS u ON u.id = m.user_id \
         JOIN roles AS r ON r.team_id = m.team_id \
         WHERE m.user_id = ",
    )
    .text(user_id)
    .raw(" AND u.active AND ")
    .raw(granted_sql(union, "m", "t", "u"))
    .load(conn)?;
    let roles: BTreeSet<String> = rows.into_iter().map(|row| row.role).collect();
    Ok(roles.into_iter().collect())
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
        .raw(" ON CONFLICT (team_id, role) DO NOTHING RETURNING *")
        .load::<RoleRow>(conn)?
        .into_iter()
        .for_each(|row| journal::note(Change::Role(row)));
    Ok(())
}

/// Adds a row.
pub fn insert(conn: &mut Conn, row: &RoleRow) -> QueryResult<()> {
    diesel::insert_into(roles::table).values(row).execute(conn)?;
    journal::note(Change::Role(row.clone()));
    Ok(())
}

/// Removes a row.
pub fn delete(conn: &mut Conn, team_id: &str, role: &str) -> QueryResult<usize> {
    let row = roles::table.filter(roles::team_id.eq(team_id)).filter(roles::role.eq(role));
    let deleted = diesel::delete(row).execute(conn)?;
    if deleted > 0 {
        journal::note(Change::RoleGone { team: team_id.to_owned(), role: role.to_owned() });
    }
    Ok(deleted)
}
