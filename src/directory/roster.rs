//! Who is in a team by what either source says, a page at a time.

use std::collections::BTreeMap;

use regex::Regex;

use super::connections::Connection;
use super::membership::{Facts, Heard, disagrees, effective};
use crate::db::roster::{self as rows, RosterRow};
use crate::db::teams::TeamRow;
use crate::db::{Conn, StoreError, members};

/// A user of whom something is said in a team.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Member {
    pub user_id: String,
    pub user_name: String,
    pub display_name: Option<String>,
    pub active: bool,
    /// SCIM says that the user is a member.
    pub scim: bool,
    /// Since when it says what it says, in UTC microseconds; `None` where it has said nothing.
    pub scim_since: Option<i64>,
    /// The latest complete claim says so.
    pub claim: bool,
    /// The same of the claim.
    pub claim_since: Option<i64>,
    /// Whether the user is one.
    pub effective: bool,
    /// Whether a claim differs from what SCIM decides.
    pub disagree: bool,
}

/// Of how many users something is said in each of some teams that SCIM makes members.
///
/// # Errors
/// The store's.
pub fn sizes(conn: &mut Conn, team_ids: &[&str]) -> Result<BTreeMap<String, i64>, StoreError> {
    Ok(members::sizes(conn, team_ids)?)
}

/// The users of whom something is said in a team, after a user's id, in the order of ids.
///
/// # Errors
/// The store's.
pub fn of_team(
    conn: &mut Conn,
    connection: &Connection,
    team: &TeamRow,
    after: Option<&str>,
    count: i64,
) -> Result<Vec<Member>, StoreError> {
    let filter = connection.settings.sign_in.groups_filter.as_deref().map(Regex::new).transpose();
    let filter =
        filter.map_err(|error| StoreError::Corrupt(format!("the groups filter: {error}")))?;
    let mut names = [Some(&team.display_name), team.external_id.as_ref()].into_iter().flatten();
    let lets_through = filter.as_ref().is_none_or(|filter| names.any(|name| filter.is_match(name)));
    let policy = connection.settings.membership;
    let found = rows::of_team(conn, &team.id, after, count)?;
    let member = |row: RosterRow| {
        let facts = Facts {
            scim: row.scim,
            claim: row.claim,
            scim_managed: team.scim_managed,
            scim_owned: row.scim_owned,
        };
        let heard = Heard { complete: row.claim_issued_at.is_some(), lets_through };
        Member {
            effective: effective(policy, facts, row.active),
            disagree: disagrees(policy, facts, heard),
            user_id: row.user_id,
            user_name: row.user_name,
            display_name: row.display_name,
            active: row.active,
            scim: row.scim,
            scim_since: row.scim_at,
            claim: row.claim,
            claim_since: row.claim_at,
        }
    };
    Ok(found.into_iter().map(member).collect())
}
