//! What is said of users in one team.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};

use super::connection::Conn;
use super::sql::Sql;

/// What both sources say of a user in a team, with what it has to be weighed by.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct RosterRow {
    #[diesel(sql_type = Text)]
    pub user_id: String,
    #[diesel(sql_type = Text)]
    pub user_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub display_name: Option<String>,
    #[diesel(sql_type = Bool)]
    pub active: bool,
    #[diesel(sql_type = Bool)]
    pub scim_owned: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub claim_issued_at: Option<i64>,
    #[diesel(sql_type = Bool)]
    pub scim: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub scim_at: Option<i64>,
    #[diesel(sql_type = Bool)]
    pub claim: bool,
    #[diesel(sql_type = Nullable<BigInt>)]
    pub claim_at: Option<i64>,
}

/// The users of whom something is said in a team, after an id, in the order of their ids.
pub fn of_team(
    conn: &mut Conn,
    team_id: &str,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<RosterRow>> {
    Sql::new(
        "SELECT m.user_id AS user_id, u.user_name AS user_name, u.display_name AS display_name, \
         u.active AS active, u.scim_owned AS scim_owned, u.claim_issued_at AS claim_issued_at, \
         m.scim AS scim, m.scim_at AS scim_at, m.claim AS claim, m.claim_at AS claim_at \
         FROM memberships AS m JOIN users AS u ON u.id = m.user_id WHERE m.team_id = ",
    )
    .text(team_id)
    .raw(" AND m.user_id > ")
    .text(after.unwrap_or_default())
    .raw(" ORDER BY m.user_id LIMIT ")
    .integer(limit)
    .load(conn)
}
