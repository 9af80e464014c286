//! What the vendor's back end reads: users, teams and members, of one connection or of all.
//!
//! Pages go by id, so that each costs the same. Teams and roles are those in effect, and are looked
//! up for a whole page at a time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::connections::{self, AdminError, Connection};
use super::grants::{email, name};
use super::membership::{Facts, Policy, effective};
use crate::clock::rfc3339;
use crate::db::teams::{self as team_rows, TeamRow};
use crate::db::users::{self as user_rows, UserRow};
use crate::db::{Conn, StoreError, connections as connection_rows, members, memberships, roles};
use crate::scim::precis::prepare;

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The id that the page comes after.
    pub after: Option<String>,
    pub count: i64,
}

/// Which users are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// Name of the connection.
    pub connection: Option<String>,
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub active: Option<bool>,
}

/// A page of a list, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub items: Vec<Value>,
    /// The id that the next page comes after, if there is one.
    pub next: Option<String>,
}

/// A page of the users.
///
/// # Errors
/// There is no such connection.
pub fn users(conn: &mut Conn, query: &UserQuery, range: &Range) -> Result<Listing, AdminError> {
    let wanted = user_rows::Wanted {
        connection_id: connection_id(conn, query.connection.as_deref())?,
        after: range.after.clone(),
        user_name_fold: query.user_name.as_deref().map(|name| prepare(name).into_owned()),
        external_id: query.external_id.clone(),
        active: query.active,
    };
    let found = user_rows::page(conn, &wanted, range.count.saturating_add(1))?;
    let (found, next) = cut(found, range, |row| &row.id);
    Ok(Listing { items: shown_users(conn, &found)?, next })
}

/// The user with that id.
///
/// # Errors
/// There is none.
pub fn user(conn: &mut Conn, id: &str) -> Result<Value, AdminError> {
    let row =
        user_rows::find_anywhere(conn, id)?.ok_or_else(|| AdminError::NoUser(id.to_owned()))?;
    let shown = shown_users(conn, std::slice::from_ref(&row))?;
    shown.into_iter().next().ok_or_else(|| AdminError::NoUser(id.to_owned()))
}

/// A page of the teams.
///
/// # Errors
/// There is no such connection.
pub fn teams(
    conn: &mut Conn,
    connection: Option<&str>,
    range: &Range,
) -> Result<Listing, AdminError> {
    let connection_id = connection_id(conn, connection)?;
    let (after, limit) = (range.after.as_deref(), range.count.saturating_add(1));
    let found = team_rows::page(conn, connection_id.as_deref(), after, limit)?;
    let (found, next) = cut(found, range, |row| &row.id);
    Ok(Listing { items: shown_teams(conn, &found)?, next })
}

/// The team with that id.
///
/// # Errors
/// There is none.
pub fn team(conn: &mut Conn, id: &str) -> Result<Value, AdminError> {
    let row = find_team(conn, id)?;
    let shown = shown_teams(conn, std::slice::from_ref(&row))?;
    shown.into_iter().next().ok_or_else(|| AdminError::NoTeam(id.to_owned()))
}

/// A page of the users whose membership of a team is in effect.
///
/// # Errors
/// There is no such team.
pub fn members(conn: &mut Conn, team_id: &str, range: &Range) -> Result<Listing, AdminError> {
    let no_team = || AdminError::NoTeam(team_id.to_owned());
    let team = find_team(conn, team_id)?;
    let connection = connection_rows::find(conn, &team.connection_id)?.ok_or_else(no_team)?;
    let union = Connection::from_row(connection)?.settings.membership == Policy::Union;
    let (after, limit) = (range.after.as_deref(), range.count.saturating_add(1));
    let found = members::effective_members(conn, team_id, union, after, limit)?;
    let (found, next) = cut(found, range, |row| &row.id);
    let items = found.iter().map(shown_member).collect::<Result<_, _>>()?;
    Ok(Listing { items, next })
}

/// The id of the connection of that name.
///
/// # Errors
/// There is none.
pub fn connection_id(conn: &mut Conn, name: Option<&str>) -> Result<Option<String>, AdminError> {
    name.map(|name| connections::find(conn, name).map(|connection| connection.id)).transpose()
}

fn find_team(conn: &mut Conn, id: &str) -> Result<TeamRow, AdminError> {
    team_rows::find_anywhere(conn, id)?.ok_or_else(|| AdminError::NoTeam(id.to_owned()))
}

/// The page out of rows of which one more than wanted was looked for, and where the next begins.
fn cut<T>(mut rows: Vec<T>, range: &Range, id: impl Fn(&T) -> &String) -> (Vec<T>, Option<String>) {
    let count = usize::try_from(range.count).unwrap_or(usize::MAX);
    let is_more = rows.len() > count;
    rows.truncate(count);
    let next = rows.last().filter(|_| is_more).map(|row| id(row).clone());
    (rows, next)
}

/// The connections of some rows, by id.
fn connections_of<'a>(
    conn: &mut Conn,
    ids: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Connection>, StoreError> {
    let ids: Vec<&str> = ids.collect::<BTreeSet<_>>().into_iter().collect();
    let rows = connection_rows::with_ids(conn, &ids)?;
    rows.into_iter().map(|row| Ok((row.id.clone(), Connection::from_row(row)?))).collect()
}

/// The roles of some teams, by the team's id.
fn roles_of<'a>(
    conn: &mut Conn,
    team_ids: impl Iterator<Item = &'a str>,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let ids: BTreeSet<&str> = team_ids.collect();
    let mut by_team: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if !ids.is_empty() {
        for row in roles::of_each_team(conn, ids)? {
            by_team.entry(row.team_id).or_default().push(row.role);
        }
    }
    Ok(by_team)
}

/// Users with the teams and roles that they have in effect; a query for all of each.
fn shown_users(conn: &mut Conn, rows: &[UserRow]) -> Result<Vec<Value>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let connections = connections_of(conn, rows.iter().map(|row| row.connection_id.as_str()))?;
    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    let statements = memberships::of_users(conn, &ids)?;
    let roles = roles_of(conn, statements.iter().map(|row| row.team_id.as_str()))?;
    // Users and memberships come in the same order, so each user's teams are a run.
    let mut statements = statements.into_iter().peekable();
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let connection = connections.get(&row.connection_id);
        let policy = connection.map_or(Policy::default(), |found| found.settings.membership);
        let (mut teams, mut own_roles) = (Vec::new(), BTreeSet::new());
        while let Some(statement) = statements.next_if(|statement| statement.user_id == row.id) {
            if effective(policy, Facts::from(&statement), row.active) {
                own_roles.extend(roles.get(&statement.team_id).into_iter().flatten());
                teams.push(json!({
                    "id": statement.team_id,
                    "displayName": statement.display,
                }));
            }
        }
        let document: Value = serde_json::from_str(&row.document)?;
        shown.push(json!({
            "id": row.id,
            "connection": connection.map(|found| found.name.as_str()),
            "userName": row.user_name,
            "externalId": row.external_id,
            "active": row.active,
            "name": name(&document),
            "email": email(&document),
            "owner": owner(row.scim_owned),
            "teams": teams,
            "roles": own_roles,
            "lastSignIn": row.signed_in_at.map(rfc3339),
            "created": rfc3339(row.created_at),
            "updated": rfc3339(row.updated_at),
        }));
    }
    Ok(shown)
}

fn shown_teams(conn: &mut Conn, rows: &[TeamRow]) -> Result<Vec<Value>, StoreError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let connections = connections_of(conn, rows.iter().map(|row| row.connection_id.as_str()))?;
    let roles = roles_of(conn, rows.iter().map(|row| row.id.as_str()))?;
    let show = |row: &TeamRow| {
        json!({
            "id": row.id,
            "connection": connections.get(&row.connection_id).map(|found| found.name.as_str()),
            "displayName": row.display_name,
            "externalId": row.external_id,
            "managedBy": owner(row.scim_managed),
            "roles": roles.get(&row.id).map_or(&[][..], Vec::as_slice),
            "created": rfc3339(row.created_at),
            "updated": rfc3339(row.updated_at),
        })
    };
    Ok(rows.iter().map(show).collect())
}

fn shown_member(row: &UserRow) -> Result<Value, StoreError> {
    let document: Value = serde_json::from_str(&row.document)?;
    Ok(json!({
        "id": row.id,
        "userName": row.user_name,
        "externalId": row.external_id,
        "name": name(&document),
        "email": email(&document),
    }))
}

/// Who has charge of a user or a team.
pub(super) fn owner(scim: bool) -> &'static str {
    if scim { "scim" } else { "sign-in" }
}
