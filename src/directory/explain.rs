//! Why a user is in a team, or is not: what each source says of it, since when, by which request or
//! sign-in, what follows from it, and what would change it.
//!
//! [`of_name`] and [`of_id`] gather, [`verdict`] judges, and [`Explanation::to_json`] is the one form that
//! programs see.

pub mod verdict;

use regex::Regex;
use serde_json::{Value, json};

use self::verdict::{Case, Verdict, judge};
use super::Context;
use super::connections::{self, AdminError, Connection, SignInSettings};
use super::events::Action;
use super::membership::{Facts, Heard, Policy, disagrees};
use super::read::owner;
use crate::clock::rfc3339;
use crate::db::memberships::{self, SourceRow};
use crate::db::teams::{self as team_rows, TeamRow};
use crate::db::users::{self as user_rows, UserRow};
use crate::db::{Conn, StoreError, connections as connection_rows, events, roles};
use crate::scim::fold::fold;
use crate::scim::precis::prepare;

/// So many users of one name are looked at, to say in which connections they are.
const NAMESAKES: i64 = 20;

/// What one source says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    pub member: bool,
    /// When the source last changed it, in UTC microseconds; never if it never spoke of it.
    pub since: Option<i64>,
    /// The request or the sign-in.
    pub by: Option<String>,
}

impl Statement {
    fn to_json(&self) -> Value {
        json!({ "member": self.member, "since": self.since.map(rfc3339), "by": self.by })
    }
}

/// One team and the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub team_id: String,
    pub display_name: String,
    pub external_id: Option<String>,
    pub scim_managed: bool,
    pub scim: Statement,
    pub claim: Statement,
    /// Whether the connection's filter lets claims speak of the team.
    pub lets_through: bool,
    /// What the team stands for.
    pub roles: Vec<String>,
    pub verdict: Verdict,
}

impl Membership {
    fn to_json(&self) -> Value {
        let mut claim = self.claim.to_json();
        if let Some(members) = claim.as_object_mut() {
            members.insert("letThrough".to_owned(), self.lets_through.into());
        }
        json!({
            "team": {
                "id": self.team_id,
                "displayName": self.display_name,
                "externalId": self.external_id,
                "managedBy": owner(self.scim_managed),
            },
            "scim": self.scim.to_json(),
            "claim": claim,
            "decides": if self.verdict.scim_decides { "scim" } else { "either" },
            "granted": self.verdict.granted,
            "effective": self.verdict.effective,
            "disagree": self.verdict.disagree,
            "roles": self.roles,
            "why": self.verdict.why,
            "change": self.verdict.change,
        })
    }
}

/// A user and all that there is to say of the user's teams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    pub connection: Connection,
    pub user: UserRow,
    /// Why the claim of the last sign-in was not a complete one that was applied, if it was not;
    /// `None` where nobody has signed in.
    pub last_claim: Option<LastClaim>,
    pub memberships: Vec<Membership>,
    /// In how many of all the user's teams the sources disagree.
    pub disagreements: usize,
}

/// What became of the groups claim of the last sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastClaim {
    /// Why it may leave groups out, or was not applied; `None` if it was complete.
    pub flaw: Option<String>,
}

impl Explanation {
    /// The explanation for programs.
    pub fn to_json(&self) -> Value {
        let user = &self.user;
        let identity = user
            .subject
            .as_ref()
            .map(|subject| json!({ "issuer": user.issuer, "subject": subject }));
        let last_claim = self
            .last_claim
            .as_ref()
            .map(|claim| json!({ "complete": claim.flaw.is_none(), "flaw": claim.flaw }));
        json!({
            "user": {
                "id": user.id,
                "connection": self.connection.name,
                "userName": user.user_name,
                "externalId": user.external_id,
                "active": user.active,
                "owner": owner(user.scim_owned),
                "identity": identity,
                "lastSignIn": user.signed_in_at.map(rfc3339),
                "lastClaim": last_claim,
                "lastCompleteClaim": user.claim_issued_at.map(rfc3339),
            },
            "policy": self.connection.settings.membership.as_str(),
            "groupsFilter": self.connection.settings.sign_in.groups_filter,
            "disagreements": self.disagreements,
            "memberships": self.memberships.iter().map(Membership::to_json).collect::<Value>(),
        })
    }
}

/// Explains a user who is called in any way: by id, user name or external id.
///
/// # Errors
/// Nobody, or more than one, is called so.
pub fn of_name(
    conn: &mut Conn,
    connection: Option<&str>,
    user: &str,
    team: Option<&str>,
) -> Result<Explanation, AdminError> {
    let (connection, row) = find_user(conn, connection, user)?;
    explain(conn, connection, row, team)
}

/// Explains the user with that id.
///
/// # Errors
/// There is none, or the connection has no such team.
pub fn of_id(conn: &mut Conn, id: &str, team: Option<&str>) -> Result<Explanation, AdminError> {
    let no_user = || AdminError::NoUser(id.to_owned());
    let row = user_rows::find_anywhere(conn, id)?.ok_or_else(no_user)?;
    let connection = connection_rows::find(conn, &row.connection_id)?.ok_or_else(no_user)?;
    explain(conn, Connection::from_row(connection)?, row, team)
}

/// In how many of the user's teams the sources disagree.
///
/// # Errors
/// The store's.
pub fn disagreements(
    conn: &mut Conn,
    context: &Context,
    user: &UserRow,
) -> Result<usize, StoreError> {
    let settings = &context.connection.settings;
    // Where none can be, none is looked for.
    if settings.membership == Policy::Union || !user.scim_owned || user.claim_issued_at.is_none() {
        return Ok(0);
    }
    let filter = groups_filter(&settings.sign_in)?;
    let sources = memberships::sources(conn, &user.id)?;
    let disagree = |source: &&SourceRow| {
        let heard = heard(user, source, filter.as_ref());
        disagrees(settings.membership, facts(user, source), heard)
    };
    Ok(sources.iter().filter(disagree).count())
}

fn explain(
    conn: &mut Conn,
    connection: Connection,
    user: UserRow,
    team: Option<&str>,
) -> Result<Explanation, AdminError> {
    let team = team.map(|team| find_team(conn, &connection, team)).transpose()?;
    let mut sources = memberships::sources(conn, &user.id)?;
    // Of a team that was asked for there is something to say even if nobody has spoken of it.
    if let Some(team) = team.as_ref().filter(|team| !sources.iter().any(|s| s.team_id == team.id)) {
        sources.push(unspoken(team));
    }
    let roles = roles::of_each_team(conn, sources.iter().map(|source| source.team_id.as_str()))?;
    let filter = groups_filter(&connection.settings.sign_in)?;
    let policy = connection.settings.membership;
    let last_claim = last_claim(conn, &user)?;
    let mut memberships: Vec<Membership> = sources
        .into_iter()
        .map(|source| {
            let heard = heard(&user, &source, filter.as_ref());
            let verdict = judge(Case {
                policy,
                facts: facts(&user, &source),
                heard,
                active: user.active,
                scim_is_newer: source.scim_at > user.claim_issued_at,
            });
            let own = roles.iter().filter(|role| role.team_id == source.team_id);
            Membership {
                roles: own.map(|role| role.role.clone()).collect(),
                team_id: source.team_id,
                display_name: source.display_name,
                external_id: source.external_id,
                scim_managed: source.scim_managed,
                scim: Statement { member: source.scim, since: source.scim_at, by: source.scim_by },
                claim: Statement {
                    member: source.claim,
                    since: source.claim_at,
                    by: source.claim_by,
                },
                lets_through: heard.lets_through,
                verdict,
            }
        })
        .collect();
    let disagreements = memberships.iter().filter(|one| one.verdict.disagree).count();
    if let Some(team) = team {
        memberships.retain(|one| one.team_id == team.id);
    }
    Ok(Explanation { connection, user, last_claim, memberships, disagreements })
}

fn facts(user: &UserRow, source: &SourceRow) -> Facts {
    Facts {
        scim: source.scim,
        claim: source.claim,
        scim_managed: source.scim_managed,
        scim_owned: user.scim_owned,
    }
}

fn heard(user: &UserRow, source: &SourceRow, filter: Option<&Regex>) -> Heard {
    // A claim can name a team either way.
    let mut names = [Some(&source.display_name), source.external_id.as_ref()].into_iter().flatten();
    let lets_through = filter.is_none_or(|filter| names.any(|name| filter.is_match(name)));
    Heard { complete: user.claim_issued_at.is_some(), lets_through }
}

fn groups_filter(settings: &SignInSettings) -> Result<Option<Regex>, StoreError> {
    let filter = settings.groups_filter.as_deref().map(Regex::new).transpose();
    filter.map_err(|error| StoreError::Corrupt(format!("the groups filter: {error}")))
}

/// What became of the last sign-in's claim, as its event says.
fn last_claim(conn: &mut Conn, user: &UserRow) -> Result<Option<LastClaim>, StoreError> {
    if user.signed_in_at.is_none() {
        return Ok(None);
    }
    let action = Action::SignedIn.as_str();
    let found = events::latest_data(conn, &user.connection_id, &user.id, action)?;
    let Some(data) = found else { return Ok(None) };
    let data: Value = serde_json::from_str(&data)?;
    let is_stale = data.pointer("/claim/stale") == Some(&Value::Bool(true));
    let incomplete = data.pointer("/claim/incomplete").and_then(Value::as_str);
    let flaw = if is_stale { Some("stale") } else { incomplete };
    Ok(Some(LastClaim { flaw: flaw.map(str::to_owned) }))
}

fn unspoken(team: &TeamRow) -> SourceRow {
    SourceRow {
        team_id: team.id.clone(),
        display_name: team.display_name.clone(),
        external_id: team.external_id.clone(),
        scim_managed: team.scim_managed,
        scim: false,
        scim_at: None,
        scim_by: None,
        claim: false,
        claim_at: None,
        claim_by: None,
    }
}

/// The one user who is called so: by id, else by user name or external id.
fn find_user(
    conn: &mut Conn,
    connection: Option<&str>,
    user: &str,
) -> Result<(Connection, UserRow), AdminError> {
    let no_user = || AdminError::NoUser(user.to_owned());
    let only = connection.map(|name| connections::find(conn, name)).transpose()?;
    let only_id = only.as_ref().map(|only| only.id.as_str());
    let found = user_rows::answering_to(conn, only_id, user, &prepare(user), NAMESAKES)?;
    let ids: Vec<&str> = found.iter().map(|row| row.connection_id.as_str()).collect();
    let homes = connection_rows::with_ids(conn, &ids)?;
    let by_id = found.iter().position(|row| row.id == user);
    if by_id.is_none() && homes.len() > 1 {
        let names: Vec<&str> = homes.iter().map(|home| home.name.as_str()).collect();
        return Err(AdminError::SeveralConnections {
            user: user.to_owned(),
            connections: names.join(", "),
        });
    }
    if by_id.is_none() && found.len() > 1 {
        return Err(ambiguous(user, found.iter().map(|row| row.id.as_str())));
    }
    let row = found.into_iter().nth(by_id.unwrap_or(0)).ok_or_else(no_user)?;
    let home = homes.into_iter().find(|home| home.id == row.connection_id).ok_or_else(no_user)?;
    Ok((Connection::from_row(home)?, row))
}

/// The one team that is called so: by id, else by display name or external id.
fn find_team(conn: &mut Conn, connection: &Connection, team: &str) -> Result<TeamRow, AdminError> {
    let found = team_rows::answering_to(conn, &connection.id, team, &fold(team))?;
    let by_id = found.iter().position(|row| row.id == team);
    if by_id.is_none() && found.len() > 1 {
        return Err(ambiguous(team, found.iter().map(|row| row.id.as_str())));
    }
    let row = found.into_iter().nth(by_id.unwrap_or(0));
    row.ok_or_else(|| AdminError::NoTeam(team.to_owned()))
}

fn ambiguous<'a>(name: &str, ids: impl Iterator<Item = &'a str>) -> AdminError {
    AdminError::Ambiguous(name.to_owned(), ids.collect::<Vec<_>>().join(", "))
}
