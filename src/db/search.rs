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
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Nullable<Text>)]
    text_key: Option<String>,
    #[diesel(sql_type = Nullable<BigInt>)]
    integer_key: Option<i64>,
    #[diesel(sql_type = Nullable<Double>)]
    real_key: Option<f64>,
}

/// What the rows with those ids are sorted by in the window's list.
pub fn anchors(
    conn: &mut Conn,
    connection_id: &str,
    window: &Window,
    ids: &[&str],
) -> QueryResult<Vec<Anchor>> {
    let Some(statement) = window.keys_of(conn, connection_id, ids) else {
        let by_id = |id: &&str| Anchor { key: Key::Absent, id: (*id).to_owned() };
        return Ok(ids.iter().map(by_id).collect());
    };
    let found: Vec<Keyed> = statement.load(conn)?;
    let anchor = |row: Keyed| Anchor {
        key: window.key(row.text_key, row.integer_key, row.real_key),
        id: row.id,
    };
    Ok(found.into_iter().map(anchor).collect())
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
