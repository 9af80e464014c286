//! What each source says of users and teams. Sets of any size are one statement each.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::connection::{Conn, on_either};
use super::journal::{self, Change, Source};
use super::schema::memberships;
use super::sql::Sql;
use super::users::UserRow;

/// One user in one team, with all that the rule of membership looks at.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct StatementRow {
    pub team_id: String,
    pub user_id: String,
    /// How the other side of the membership is called: the team, or the user.
    pub display: String,
    /// What SCIM says.
    pub scim: bool,
    /// What the latest complete claim says.
    pub claim: bool,
    pub scim_managed: bool,
    pub scim_owned: bool,
    pub active: bool,
}

/// The columns of a [`StatementRow`].
type Statement = (Text, Text, Text, Bool, Bool, Bool, Bool, Bool);

/// A row of `memberships`: all that is said of a user and a team.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, Serialize, Deserialize)]
#[diesel(table_name = memberships)]
pub struct MembershipRow {
    pub team_id: String,
    pub user_id: String,
    pub connection_id: String,
    pub scim: bool,
    pub scim_at: Option<i64>,
    pub claim: bool,
    pub claim_at: Option<i64>,
    pub scim_by: Option<String>,
    pub claim_by: Option<String>,
}

/// When a source said something, and in which request or sign-in.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// UTC microseconds.
    pub at: i64,
    pub by: &'a str,
}

/// What both sources say of a user and a team, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SourceRow {
    #[diesel(sql_type = Text)]
    pub team_id: String,
    #[diesel(sql_type = Text)]
    pub display_name: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub external_id: Option<String>,
    #[diesel(sql_type = Bool)]
    pub scim_managed: bool,
    #[diesel(sql_type = Bool)]
    pub scim: bool,
    /// When SCIM last changed its statement, and in which request.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub scim_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub scim_by: Option<String>,
    #[diesel(sql_type = Bool)]
    pub claim: bool,
    /// When claims last changed theirs, and in which sign-in.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub claim_at: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    pub claim_by: Option<String>,
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = Text)]
    id: String,
}

/// The rule of membership as a condition, with the aliases of the three tables.
///
/// It says what [`crate::directory::membership::granted`] says; a test holds the two against each
/// other on every combination.
pub fn granted_sql(union: bool, membership: &str, team: &str, user: &str) -> String {
    let scim_decides = if union {
        String::new()
    } else {
        format!(" AND NOT ({team}.scim_managed AND {user}.scim_owned)")
    };
    format!("({membership}.scim OR ({membership}.claim{scim_decides}))")
}

/// All statements about the teams of some users.
pub fn of_users(conn: &mut Conn, user_ids: &[&str]) -> QueryResult<Vec<StatementRow>> {
    let statement = Sql::new(
        "SELECT m.team_id, m.user_id, t.display_name, m.scim, m.claim, \
         t.scim_managed, u.scim_owned, u.active \
         FROM memberships AS m \
         JOIN teams AS t ON t.id = m.team_id \
         JOIN users AS u ON u.id = m.user_id \
         WHERE m.user_id",
    );
    let statement = statement.among(conn, user_ids).raw(" ORDER BY m.user_id, m.team_id");
    on_either!(conn, |conn| statement.columns::<Statement>().load(conn))
}

/// All statements about the teams of the user of the row that is selected, as one JSON value that
/// [`read_stated`] reads: with it a look-up of users is one round trip.
pub(super) fn stated(postgres: bool) -> &'static str {
    if postgres {
        "(SELECT json_agg(json_build_array(m.team_id, t.display_name, \
         m.scim::int + 2 * m.claim::int + 4 * t.scim_managed::int)) \
         FROM memberships AS m JOIN teams AS t ON t.id = m.team_id \
         WHERE m.user_id = users.id)::text"
    } else {
        "(SELECT json_group_array(json_array(m.team_id, t.display_name, \
         m.scim + 2 * m.claim + 4 * t.scim_managed)) \
         FROM memberships AS m JOIN teams AS t ON t.id = m.team_id \
         WHERE m.user_id = users.id)"
    }
}

/// The statements about a user's teams, by their ids.
///
/// # Errors
/// The text is not that of [`stated`].
pub(super) fn read_stated(
    user: &UserRow,
    stated: Option<&str>,
) -> serde_json::Result<Vec<StatementRow>> {
    let rows: Vec<(String, String, u8)> = match stated {
        None | Some("[]") => Vec::new(),
        Some(stated) => serde_json::from_str(stated)?,
    };
    let mut rows: Vec<StatementRow> = rows
        .into_iter()
        .map(|(team_id, display, said)| StatementRow {
            team_id,
            user_id: user.id.clone(),
            display,
            scim: said & 1 != 0,
            claim: said & 2 != 0,
            scim_managed: said & 4 != 0,
            scim_owned: user.scim_owned,
            active: user.active,
        })
        .collect();
    rows.sort_by(|a, b| a.team_id.cmp(&b.team_id));
    Ok(rows)
}

/// SCIM says that the users are in the team. Returns those of whom it had not said so before.
///
/// Ids that are no users of the connection are passed over.
pub fn add_scim<'a>(
    conn: &mut Conn,
    connection_id: &str,
    team_id: &str,
    ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    Sql::new(
        "INSERT INTO memberships \
         (team_id, user_id, connection_id, scim, scim_at, scim_by, claim) SELECT ",
    )
    .text(team_id)
    .raw(", users.id, users.connection_id, TRUE, ")
    .integer(said.at)
    .raw(", ")
    .text(said.by)
    .raw(", FALSE FROM users WHERE users.connection_id = ")
    .text(connection_id)
    .raw(" AND users.id IN (")
    .set(conn, ids)
    .raw(
        ") ON CONFLICT (team_id, user_id) DO UPDATE \
         SET scim = TRUE, scim_at = excluded.scim_at, scim_by = excluded.scim_by \
         WHERE NOT memberships.scim \
         RETURNING user_id AS id",
    )
    .load(conn)
    .map(ids_of)
    .inspect(|users| note_scim(team_id, users, true, said))
}

/// Those of `ids` of whom SCIM does not say that they are in the team.
pub fn lacking_scim<'a>(
    conn: &mut Conn,
    team_id: &str,
    ids: impl IntoIterator<Item = &'a str>,
) -> QueryResult<Vec<String>> {
    Sql::new("SELECT listed_ids.value AS id FROM (")
        .set(conn, ids)
        .raw(
            ") AS listed_ids WHERE NOT EXISTS (SELECT 1 FROM memberships AS m \
             WHERE m.user_id = listed_ids.value AND m.scim AND m.team_id = ",
        )
        .text(team_id)
        .raw(")")
        .load(conn)
        .map(ids_of)
}

/// SCIM says that the listed users are not in the team. Returns those of whom it had said so.
pub fn remove_scim<'a>(
    conn: &mut Conn,
    team_id: &str,
    ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    // PostgreSQL takes an array to the index; a subquery it may join with the whole team.
    let listed = if conn.is_postgres() {
        Sql::new("= ANY (ARRAY (").set(conn, ids).raw("))")
    } else {
        Sql::new("IN (").set(conn, ids).raw(")")
    };
    withdraw_scim(conn, team_id, listed, said)
}

/// SCIM says that nobody but the listed users is in the team. Returns those who were.
pub fn retain_scim<'a>(
    conn: &mut Conn,
    team_id: &str,
    ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    let others = Sql::new("NOT IN (").set(conn, ids).raw(")");
    withdraw_scim(conn, team_id, others, said)
}

/// A statement that the claim still makes stays; a row that says nothing any more goes.
fn withdraw_scim(
    conn: &mut Conn,
    team_id: &str,
    which: Sql,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    let mut withdrawn: Vec<IdRow> =
        Sql::new("DELETE FROM memberships WHERE scim AND NOT claim AND team_id = ")
            .text(team_id)
            .raw(" AND user_id ")
            .append(which.clone())
            .raw(" RETURNING user_id AS id")
            .load(conn)?;
    let kept: Vec<IdRow> = Sql::new("UPDATE memberships SET scim = FALSE, scim_at = ")
        .integer(said.at)
        .raw(", scim_by = ")
        .text(said.by)
        .raw(" WHERE scim AND claim AND team_id = ")
        .text(team_id)
        .raw(" AND user_id ")
        .append(which)
        .raw(" RETURNING user_id AS id")
        .load(conn)?;
    withdrawn.extend(kept);
    let users = ids_of(withdrawn);
    note_scim(team_id, &users, false, said);
    Ok(users)
}

fn note_scim(team_id: &str, users: &[String], member: bool, said: Said<'_>) {
    if !users.is_empty() {
        journal::note(Change::Said {
            source: Source::Scim,
            teams: vec![team_id.to_owned()],
            users: users.to_owned(),
            member,
            at: said.at,
            by: said.by.to_owned(),
        });
    }
}

fn note_claim(user_id: &str, teams: &[String], member: bool, said: Said<'_>) {
    if !teams.is_empty() {
        journal::note(Change::Said {
            source: Source::Claim,
            teams: teams.to_owned(),
            users: vec![user_id.to_owned()],
            member,
            at: said.at,
            by: said.by.to_owned(),
        });
    }
}

/// The claim says that the user is in the teams. Returns those of which it had not said so before.
pub fn add_claim<'a>(
    conn: &mut Conn,
    connection_id: &str,
    user_id: &str,
    team_ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    Sql::new(
        "INSERT INTO memberships \
         (team_id, user_id, connection_id, scim, claim, claim_at, claim_by) \
         SELECT teams.id, ",
    )
    .text(user_id)
    .raw(", teams.connection_id, FALSE, TRUE, ")
    .integer(said.at)
    .raw(", ")
    .text(said.by)
    .raw(" FROM teams WHERE teams.connection_id = ")
    .text(connection_id)
    .raw(" AND teams.id IN (")
    .set(conn, team_ids)
    .raw(
        ") ON CONFLICT (team_id, user_id) DO UPDATE \
         SET claim = TRUE, claim_at = excluded.claim_at, claim_by = excluded.claim_by \
         WHERE NOT memberships.claim \
         RETURNING team_id AS id",
    )
    .load(conn)
    .map(ids_of)
    .inspect(|teams| note_claim(user_id, teams, true, said))
}

/// The claim says that the user is in none but the listed teams. Returns those it had said.
pub fn retain_claim<'a>(
    conn: &mut Conn,
    user_id: &str,
    team_ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    let others = Sql::new(" AND team_id NOT IN (").set(conn, team_ids).raw(")");
    withdraw_claim(conn, user_id, others, said)
}

/// The claim says that the user is in none of the teams. Returns those it had said.
pub fn remove_claim<'a>(
    conn: &mut Conn,
    user_id: &str,
    team_ids: impl IntoIterator<Item = &'a str>,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    let listed = Sql::new(" AND team_id IN (").set(conn, team_ids).raw(")");
    withdraw_claim(conn, user_id, listed, said)
}

/// A statement that SCIM still makes stays; a row that says nothing any more goes.
fn withdraw_claim(
    conn: &mut Conn,
    user_id: &str,
    which: Sql,
    said: Said<'_>,
) -> QueryResult<Vec<String>> {
    let mut withdrawn: Vec<IdRow> =
        Sql::new("DELETE FROM memberships WHERE claim AND NOT scim AND user_id = ")
            .text(user_id)
            .append(which.clone())
            .raw(" RETURNING team_id AS id")
            .load(conn)?;
    let kept: Vec<IdRow> = Sql::new("UPDATE memberships SET claim = FALSE, claim_at = ")
        .integer(said.at)
        .raw(", claim_by = ")
        .text(said.by)
        .raw(" WHERE claim AND scim AND user_id = ")
        .text(user_id)
        .append(which)
        .raw(" RETURNING team_id AS id")
        .load(conn)?;
    withdrawn.extend(kept);
    let teams = ids_of(withdrawn);
    note_claim(user_id, &teams, false, said);
    Ok(teams)
}

/// Nobody says any more that the user is in any team. Returns the teams.
pub fn withdraw_user(conn: &mut Conn, user_id: &str) -> QueryResult<Vec<String>> {
    Sql::new("DELETE FROM memberships WHERE user_id = ")
        .text(user_id)
        .raw(" RETURNING team_id AS id")
        .load(conn)
        .map(ids_of)
        .inspect(|teams| {
            if !teams.is_empty() {
                journal::note(Change::Left { user: user_id.to_owned(), teams: teams.clone() });
            }
        })
}

/// What claims say of one team, they say of another from now on.
pub fn move_claims(conn: &mut Conn, from: &str, to: &str) -> QueryResult<()> {
    Sql::new(
        "INSERT INTO memberships \
         (team_id, user_id, connection_id, scim, claim, claim_at, claim_by) SELECT ",
    )
    .text(to)
    .raw(
        ", m.user_id, m.connection_id, FALSE, TRUE, m.claim_at, m.claim_by \
         FROM memberships AS m WHERE m.claim AND m.team_id = ",
    )
    .text(from)
    .raw(
        " ON CONFLICT (team_id, user_id) DO UPDATE \
         SET claim = TRUE, claim_at = excluded.claim_at, claim_by = excluded.claim_by \
         WHERE NOT memberships.claim RETURNING *",
    )
    .load(conn)
    .map(note_statements)
}

fn note_statements(rows: Vec<MembershipRow>) {
    if !rows.is_empty() {
        journal::note(Change::Statements { rows });
    }
}

/// What is said of one user, is said of another from now on; what claims say only if
/// `with_claims`. Returns the teams of the first.
pub fn move_user(
    conn: &mut Conn,
    from: &str,
    to: &str,
    with_claims: bool,
) -> QueryResult<Vec<String>> {
    Sql::new(
        "INSERT INTO memberships (team_id, user_id, connection_id, \
         scim, scim_at, scim_by, claim, claim_at, claim_by) SELECT m.team_id, ",
    )
    .text(to)
    .raw(", m.connection_id, m.scim, m.scim_at, m.scim_by, m.claim AND ")
    .boolean(with_claims)
    .raw(", m.claim_at, m.claim_by FROM memberships AS m WHERE (m.scim OR (m.claim AND ")
    .boolean(with_claims)
    .raw(")) AND m.user_id = ")
    .text(from)
    .raw(
        " ON CONFLICT (team_id, user_id) DO UPDATE SET \
         scim_at = CASE WHEN memberships.scim THEN memberships.scim_at ELSE excluded.scim_at END, \
         scim_by = CASE WHEN memberships.scim THEN memberships.scim_by ELSE excluded.scim_by END, \
         claim_at = CASE WHEN memberships.claim THEN memberships.claim_at ELSE excluded.claim_at END, \
         claim_by = CASE WHEN memberships.claim THEN memberships.claim_by ELSE excluded.claim_by END, \
         scim = memberships.scim OR excluded.scim, claim = memberships.claim OR excluded.claim RETURNING *",
    )
    .load(conn)
    .map(note_statements)?;
    withdraw_user(conn, from)
}

/// Whether the claim does not say of one of the teams that the user is in it: the team has gone
/// since it was looked up.
pub fn lacks_claim<'a>(
    conn: &mut Conn,
    user_id: &str,
    team_ids: impl IntoIterator<Item = &'a str>,
) -> QueryResult<bool> {
    let lacking = Sql::new("SELECT COUNT(*) AS total FROM (")
        .set(conn, team_ids)
        .raw(
            ") AS listed_ids WHERE NOT EXISTS (SELECT 1 FROM memberships AS m \
             WHERE m.team_id = listed_ids.value AND m.claim AND m.user_id = ",
        )
        .text(user_id)
        .raw(")");
    Ok(super::count(conn, lacking)? > 0)
}

/// What both sources say of a user, by the names of the teams, and where it comes from.
pub fn sources(conn: &mut Conn, user_id: &str) -> QueryResult<Vec<SourceRow>> {
    Sql::new(
        "SELECT m.team_id AS team_id, t.display_name AS display_name, \
         t.external_id AS external_id, t.scim_managed AS scim_managed, \
         m.scim AS scim, m.scim_at AS scim_at, m.scim_by AS scim_by, \
         m.claim AS claim, m.claim_at AS claim_at, m.claim_by AS claim_by \
         FROM memberships AS m JOIN teams AS t ON t.id = m.team_id WHERE m.user_id = ",
    )
    .text(user_id)
    .raw(" ORDER BY t.display_name_fold")
    .load(conn)
}

fn ids_of(rows: Vec<IdRow>) -> Vec<String> {
    let mut ids: Vec<String> = rows.into_iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids
}
