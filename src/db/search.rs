//! Users and teams as one list.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::connection::Conn;
use super::filter::Window;
use super::sql::Sql;
use super::{teams, users};

/// Where in the two tables a resource is.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Found {
    #[diesel(sql_type = Bool)]
    pub is_user: bool,
    #[diesel(sql_type = Text)]
    pub id: String,
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
