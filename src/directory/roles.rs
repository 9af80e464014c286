//! Roles: what a connection's teams stand for in the vendor's application. A user has the roles of
//! the teams that membership takes effect in, and no others.

use serde_json::{Value, json};

use super::connections::{self, AdminError, Connection};
use super::events::{self, Action, Actor, Subject};
use crate::db::roles::{self as rows, RoleRow};
use crate::db::{Conn, teams};
use crate::scim::fold::fold;

/// A team stands for a role from now on. Granting it again changes nothing.
///
/// # Errors
/// There is no such connection or team, or the role has no acceptable name.
pub fn grant(
    conn: &mut Conn,
    connection: &str,
    team: &str,
    role: &str,
    now: i64,
) -> Result<(), AdminError> {
    if role.is_empty() || role.len() > 64 || !role.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(AdminError::BadRole(role.to_owned()));
    }
    let (connection, team_id) = find(conn, connection, team)?;
    if rows::exists(conn, &team_id, role)? {
        return Ok(());
    }
    let row = RoleRow {
        team_id,
        connection_id: connection.id.clone(),
        role: role.to_owned(),
        created_at: now,
    };
    rows::insert(conn, &row)?;
    record(conn, &connection, &row.team_id, json!({ "role_granted": role }), now)
}

/// A team stands for a role no more.
///
/// # Errors
/// There is no such connection or team, or the team does not stand for the role.
pub fn revoke(
    conn: &mut Conn,
    connection: &str,
    team: &str,
    role: &str,
    now: i64,
) -> Result<(), AdminError> {
    let (connection, team_id) = find(conn, connection, team)?;
    if rows::delete(conn, &team_id, role)? == 0 {
        let (team, role) = (team.to_owned(), role.to_owned());
        return Err(AdminError::NotGranted { team, role, connection: connection.name });
    }
    record(conn, &connection, &team_id, json!({ "role_revoked": role }), now)
}

/// Team names and the roles they stand for.
///
/// # Errors
/// There is no such connection.
pub fn all(conn: &mut Conn, connection: &str) -> Result<Vec<(String, String)>, AdminError> {
    let connection = connections::find(conn, connection)?;
    Ok(rows::of_connection(conn, &connection.id)?)
}

/// The team by its id, or by its name without regard to case.
fn find(conn: &mut Conn, connection: &str, team: &str) -> Result<(Connection, String), AdminError> {
    let connection = connections::find(conn, connection)?;
    let by_id = teams::find(conn, &connection.id, team)?.map(|row| row.id);
    let id = match by_id {
        Some(id) => Some(id),
        None => teams::find_by_display_name(conn, &connection.id, &fold(team))?,
    };
    let id = id.ok_or_else(|| AdminError::NoTeam(team.to_owned()))?;
    Ok((connection, id))
}

fn record(
    conn: &mut Conn,
    connection: &Connection,
    team_id: &str,
    mut data: Value,
    now: i64,
) -> Result<(), AdminError> {
    if let Some(members) = data.as_object_mut() {
        members.insert("roles".to_owned(), rows::of_teams(conn, &[team_id])?.into());
    }
    let entry = events::Entry {
        connection_id: &connection.id,
        at: now,
        actor: &Actor::CommandLine,
        request_id: None,
        subject: Subject::Team,
        subject_id: team_id,
        action: Action::Updated,
        data: events::Data::Said(&data),
    };
    Ok(events::append(conn, &entry)?)
}
