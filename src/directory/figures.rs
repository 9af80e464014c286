//! What whoever watches over the store wants to know of it, in numbers that name nobody.

use std::collections::BTreeMap;

use regex::Regex;

use crate::db::figures::{self as rows, Overview};
use crate::db::{Conn, StoreError, connections};

/// Where SCIM and the claims of sign-in differ, of all connections together. As in
/// [`super::membership::disagrees`], but of active users alone: nobody else is in any team.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Disagreements {
    /// Memberships of which SCIM spoke after the claim: the next sign-in may well settle them.
    pub scim_newer: i64,
    /// Memberships of which the claim is the newer word: SCIM has not followed.
    pub claim_newer: i64,
    /// Since when at least the oldest of these has been so, in UTC microseconds.
    pub since: Option<i64>,
}

/// What can be counted at once.
///
/// # Errors
/// The store's.
pub fn overview(conn: &mut Conn, now: i64) -> Result<Overview, StoreError> {
    Ok(rows::overview(conn, now)?)
}

/// Counts the disagreements of all connections.
///
/// # Errors
/// The store's, or a filter that is none.
pub fn disagreements(conn: &mut Conn) -> Result<Disagreements, StoreError> {
    let mut filters = BTreeMap::new();
    for connection in connections::all(conn)? {
        let Some(filter) = connection.groups_filter else { continue };
        let filter = Regex::new(&filter)
            .map_err(|error| StoreError::Corrupt(format!("the groups filter: {error}")))?;
        filters.insert(connection.id, filter);
    }
    let mut sum = Disagreements::default();
    for row in rows::differences(conn)? {
        // Of a team that the filter keeps from claims, a claim says nothing by leaving it out.
        let mut names = [Some(&row.display_name), row.external_id.as_ref()].into_iter().flatten();
        let filter = filters.get(&row.connection_id);
        if !filter.is_none_or(|filter| names.any(|name| filter.is_match(name))) {
            continue;
        }
        sum.scim_newer += row.scim_newer;
        sum.claim_newer += row.claim_newer;
        sum.since = sum.since.into_iter().chain(row.since).min();
    }
    Ok(sum)
}
