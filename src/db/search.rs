//! Users and teams as one list.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, Text};

use super::connection::Conn;
use super::filter::Window;
use super::sql::Sql;
use super::{teams, users};
use crate::scim::cursor::Anchor;
use crate::scim::sort::Key;

/// Where in the two tables a resource is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Found {
    #[diesel(sql_type = Bool)]
    pub is_user: bool,
    #[diesel(sql_type = Text)]
    pub id: String,
}

/// What a row is sorted by, in the column of its type.
#[derive(Debug, QueryableByName)]
struct Keyed {
    #[diesel(sql_type = Nullable<Text>)]
    text: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    integer: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    real: Option<f64>,
}

/// What the row with that id is sorted by in the window's list.
pub fn anchor(
    conn: &mut Conn,
    connection_id: &str,
    window: &Window,
    id: &str,
) -> QueryResult<Option<Anchor>> {
    let anchor = |key| Anchor { key, id: id.to_owned() };
    let Some(statement) = window.key_of(connection_id, id) else {
        return Ok(Some(anchor(Key::Absent)));
    };
    let found: Option<Keyed> = statement.get_result(conn).optional()?;
    Ok(found.map(|row| anchor(window.key(row.text, row.integer, row.real))))
}

/// The part that windows show of the users and teams that meet a condition each, at most `limit`.
pub fn list(
    conn: &mut Conn,
    connection_id: &str,
    (user_condition, user_window): (Option<&Sql>, &Window),
    (team_condition, team_window): (Option<&Sql>, &Window),
    limit: i64,
) -> QueryResult<Vec<Found>> {
    let users = users::meeting(connection_id, user_condition);
    let teams = teams::meeting(connection_id, team_condition);
    Window::of_both((users, user_window), (teams, team_window), limit).load(conn)
}
