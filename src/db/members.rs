//! Who is in a team, by what is said of its members in `memberships`.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::connection::{Conn, on_either};
use super::memberships::granted_sql;
use super::sql::Sql;
use super::users::UserRow;

/// A member of a team, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub struct MemberRow {
    pub user_id: String,
    /// How the user is called, where it was asked for.
    pub display: Option<String>,
}

impl MemberRow {
    /// A member whose name was not asked for.
    pub fn unnamed(user_id: String) -> Self {
        Self { user_id, display: None }
    }
}

/// Who belongs to a team, by their ids; with their names where they are wanted.
pub fn members(
    conn: &mut Conn,
    team_id: &str,
    union: bool,
    named: bool,
) -> QueryResult<Vec<MemberRow>> {
    if !named {
        let ids = ids(conn, "", &format!("(m.scim OR {})", claim_counts(union)), team_id)?;
        return Ok(ids.into_iter().map(MemberRow::unnamed).collect());
    }
    let statement = belonging("", union, named).raw(" = ").text(team_id).raw(" ORDER BY m.user_id");
    on_either!(conn, |conn| statement.columns::<(Text, Nullable<Text>)>().load(conn))
}

/// Who belongs to each of some teams: the team's id beside the member, by both.
pub fn members_of(
    conn: &mut Conn,
    team_ids: &[&str],
    union: bool,
    named: bool,
) -> QueryResult<Vec<(String, MemberRow)>> {
    let statement = belonging("m.team_id, ", union, named)
        .among(conn, team_ids)
        .raw(" ORDER BY m.team_id, m.user_id");
    on_either!(conn, |conn| statement.columns::<(Text, (Text, Nullable<Text>))>().load(conn))
}

/// Members of the teams that are to follow, by the rule of [`granted_sql`], written so that users and teams
/// are looked at of those alone of whom SCIM says nothing. A test holds it against the rule, too.
fn belonging(columns: &str, union: bool, named: bool) -> Sql {
    let name = if named {
        "(SELECT COALESCE(u.display_name, u.user_name) FROM users AS u WHERE u.id = m.user_id)"
    } else {
        "NULL"
    };
    let claim = claim_counts(union);
    Sql::new(format!(
        "SELECT {columns}m.user_id, {name} FROM memberships AS m WHERE (m.scim OR {claim}) AND m.team_id"
    ))
}

/// Whether a claim that has put a user into a team has a say there.
fn claim_counts(union: bool) -> &'static str {
    if union {
        "m.claim"
    } else {
        // Single values, which PostgreSQL looks up; of what exists it might make a table first.
        "(m.claim AND NOT ((SELECT t.scim_managed FROM teams AS t WHERE t.id = m.team_id) \
         AND (SELECT u.scim_owned FROM users AS u WHERE u.id = m.user_id)))"
    }
}

/// Those who belong to a team by what a claim says alone: with [`scim_members`] they are its
/// [`members`].
pub fn claimed_members(conn: &mut Conn, team_id: &str, union: bool) -> QueryResult<Vec<String>> {
    // SQLite would rather look at all members, whose order is the key's.
    let index = if conn.is_postgres() { "" } else { " INDEXED BY memberships_by_claim" };
    let condition = format!("m.claim AND NOT m.scim AND {}", claim_counts(union));
    ids(conn, index, &condition, team_id)
}

/// The ids of those in a team who meet a condition, in their order.
///
/// They come as one text, and are put in order here: of a hundred thousand, a row for each takes longer to
/// be passed on than to be found, and so does the order of an index if the table has another.
fn ids(conn: &mut Conn, index: &str, condition: &str, team_id: &str) -> QueryResult<Vec<String>> {
    let joined = if conn.is_postgres() {
        "string_agg(m.user_id, chr(10))"
    } else {
        "group_concat(m.user_id, char(10))"
    };
    let statement = Sql::new(format!(
        "SELECT {joined} FROM memberships AS m{index} WHERE {condition} AND m.team_id = "
    ));
    let statement = statement.text(team_id).columns::<Nullable<Text>>();
    let joined: Option<String> = on_either!(conn, |conn| statement.get_result(conn))?;
    let mut ids: Vec<String> =
        joined.iter().flat_map(|ids| ids.split('\n')).map(str::to_owned).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The users of whom SCIM says that they are in the team.
pub fn scim_members(conn: &mut Conn, team_id: &str) -> QueryResult<BTreeSet<String>> {
    Ok(ids(conn, "", "m.scim", team_id)?.into_iter().collect())
}

/// How many statements there are about each of some teams; none are left out.
pub fn sizes(conn: &mut Conn, team_ids: &[&str]) -> QueryResult<BTreeMap<String, i64>> {
    let statement = Sql::new("SELECT m.team_id, COUNT(*) FROM memberships AS m WHERE m.team_id")
        .among(conn, team_ids)
        .raw(" GROUP BY m.team_id")
        .columns::<(Text, BigInt)>();
    let rows: Vec<(String, i64)> = on_either!(conn, |conn| statement.load(conn))?;
    Ok(rows.into_iter().collect())
}

/// Whether more than `limit` users are in the team, looking at no more than that.
pub fn exceeds(conn: &mut Conn, team_id: &str, limit: i64) -> QueryResult<bool> {
    let some =
        Sql::new("SELECT COUNT(*) AS total FROM (SELECT 1 FROM memberships WHERE team_id = ")
            .text(team_id)
            .raw(" LIMIT ")
            .integer(limit.saturating_add(1))
            .raw(") AS some_members");
    Ok(super::count(conn, some)? > limit)
}

/// The users whose membership of a team takes effect, after an id, in the order of their ids.
pub fn effective_members(
    conn: &mut Conn,
    team_id: &str,
    union: bool,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<UserRow>> {
    Sql::new(
        "SELECT u.* FROM memberships AS m \
         JOIN teams AS t ON t.id = m.team_id \
         JOIN users AS u ON u.id = m.user_id \
         WHERE m.team_id = ",
    )
    .text(team_id)
    .raw(" AND m.user_id > ")
    .text(after.unwrap_or_default())
    .raw(" AND u.active AND ")
    .raw(granted_sql(union, "m", "t", "u"))
    .raw(" ORDER BY m.user_id LIMIT ")
    .integer(limit)
    .load(conn)
}
