//! What a request does to the members of a team: deltas, each a statement or two of whatever size. A whole
//! team passes through memory only where a request lists as many.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{is_union, member};
use crate::db::Conn;
use crate::db::members;
use crate::db::memberships::{self, Said};
use crate::directory::connections::UnknownMembers;
use crate::directory::{Context, DirectoryResult};
use crate::scim::ScimError;
use crate::scim::filter::matches_element;
use crate::scim::patch::MemberStep;

/// Unknown ids that an error names, so that its text stays readable.
const NAMED_IDS: usize = 10;

/// Members whom a request may list and have the database compare with all there are.
const FEW: usize = 100;

/// How many they are.
pub(super) fn amount<T>(members: impl IntoIterator<Item = T>) -> i64 {
    i64::try_from(members.into_iter().count()).unwrap_or(i64::MAX)
}

/// What a write did to the members.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberChanges {
    pub(super) added: BTreeSet<String>,
    pub(super) removed: BTreeSet<String>,
    /// Ids that no user of the connection has, and that its settings say to pass over.
    pub(super) skipped: BTreeSet<String>,
    /// Whether someone was to be removed who was no member.
    pub(super) absent: bool,
}

/// Carries the steps out, each as a statement or two of whatever size.
///
/// # Errors
/// `invalidValue` for members who are no users, unless the connection says to pass over them.
pub(super) fn apply_steps(
    conn: &mut Conn,
    context: &Context,
    team_id: &str,
    steps: &[MemberStep],
) -> DirectoryResult<MemberChanges> {
    let mut changes = MemberChanges::default();
    let said = context.said();
    for step in steps {
        match step {
            MemberStep::Delta { replace, add, remove } => {
                if *replace {
                    changes.replace(conn, context, team_id, add)?;
                } else {
                    let ids: Vec<&String> = remove.iter().collect();
                    let removed = changes.take_out(conn, team_id, &ids, said)?;
                    changes.absent |= removed < remove.len();
                    changes.put_in(conn, context, team_id, &add.iter().collect::<Vec<_>>())?;
                }
            }
            MemberStep::RemoveWhere(filter) => {
                let members = members::members(conn, team_id, is_union(context), true)?;
                let mut selected = Vec::new();
                for row in &members {
                    let element = serde_json::to_value(member(row, &context.base_url))?;
                    if matches_element(filter, &element) {
                        selected.push(row.user_id.as_str());
                    }
                }
                changes.remove(memberships::remove_scim(conn, team_id, selected, said)?);
            }
        }
    }
    Ok(changes)
}

/// The ids that no user has, where the connection says to pass over them.
fn unknown(
    conn: &mut Conn,
    context: &Context,
    team_id: &str,
    ids: &[impl AsRef<str>],
) -> DirectoryResult<Vec<String>> {
    // Looked for after they were added, and among the members: who is deleted at that moment either
    // waits for this transaction, or is unknown to it.
    let unknown = memberships::lacking_scim(conn, team_id, ids.iter().map(AsRef::as_ref))?;
    if unknown.is_empty() || context.connection.settings.unknown_members == UnknownMembers::Skip {
        return Ok(unknown);
    }
    let named: Vec<&str> = unknown.iter().take(NAMED_IDS).map(String::as_str).collect();
    let more = match unknown.len().saturating_sub(NAMED_IDS) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(ScimError::invalid_value(format!(
        "no user of this connection has the id {}{more}; assign these people to the app before \
         their group is pushed, or let the connection skip unknown members",
        named.join(", ")
    ))
    .into())
}

impl MemberChanges {
    /// Says that SCIM has these users in a new team.
    ///
    /// # Errors
    /// See [`apply_steps`].
    pub(super) fn adding(
        conn: &mut Conn,
        context: &Context,
        team_id: &str,
        listed: &BTreeSet<String>,
    ) -> DirectoryResult<Self> {
        let mut changes = Self::default();
        changes.put_in(conn, context, team_id, &listed.iter().collect::<Vec<_>>())?;
        Ok(changes)
    }

    /// Says that SCIM has these users in the team, and nobody else. Returns all whom it has there, if they
    /// had to be known.
    ///
    /// # Errors
    /// See [`apply_steps`].
    pub(super) fn replace(
        &mut self,
        conn: &mut Conn,
        context: &Context,
        team_id: &str,
        listed: &BTreeSet<String>,
    ) -> DirectoryResult<Option<BTreeSet<String>>> {
        let said = context.said();
        if listed.len() <= FEW {
            let ids = || listed.iter().map(String::as_str);
            self.remove(memberships::retain_scim(conn, team_id, ids(), said)?);
            // Those who are there already are not written to, nor locked.
            let new = memberships::lacking_scim(conn, team_id, ids())?;
            self.put_in(conn, context, team_id, &new)?;
            return Ok(None);
        }
        // Compared here: what both lists have is nothing that the database has to do.
        let mut stated = members::scim_members(conn, team_id)?;
        let gone: Vec<String> = stated.difference(listed).cloned().collect();
        let new: Vec<String> = listed.difference(&stated).cloned().collect();
        self.take_out(conn, team_id, &gone, said)?;
        self.put_in(conn, context, team_id, &new)?;
        for id in &gone {
            stated.remove(id);
        }
        stated.extend(new.into_iter().filter(|id| !self.skipped.contains(id)));
        Ok(Some(stated))
    }

    /// Says that SCIM does not have the users in the team; returns how many it had.
    fn take_out(
        &mut self,
        conn: &mut Conn,
        team_id: &str,
        ids: &[impl AsRef<str>],
        said: Said<'_>,
    ) -> DirectoryResult<usize> {
        if ids.is_empty() {
            return Ok(0);
        }
        let ids = ids.iter().map(AsRef::as_ref);
        let removed = memberships::remove_scim(conn, team_id, ids, said)?;
        let count = removed.len();
        self.remove(removed);
        Ok(count)
    }

    /// Says that SCIM has the users in the team.
    ///
    /// # Errors
    /// See [`apply_steps`].
    fn put_in(
        &mut self,
        conn: &mut Conn,
        context: &Context,
        team_id: &str,
        ids: &[impl AsRef<str>],
    ) -> DirectoryResult<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let (connection_id, said) = (&context.connection.id, context.said());
        let listed = ids.iter().map(AsRef::as_ref);
        self.add(memberships::add_scim(conn, connection_id, team_id, listed, said)?);
        self.skipped.extend(unknown(conn, context, team_id, ids)?);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    pub(super) fn add(&mut self, ids: Vec<String>) {
        for id in ids {
            if !self.removed.remove(&id) {
                self.added.insert(id);
            }
        }
    }

    pub(super) fn remove(&mut self, ids: Vec<String>) {
        for id in ids {
            if !self.added.remove(&id) {
                self.removed.insert(id);
            }
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        for (name, ids) in
            [("added", &self.added), ("removed", &self.removed), ("skipped", &self.skipped)]
        {
            if !ids.is_empty() {
                object.insert(name.to_owned(), ids.iter().cloned().collect());
            }
        }
        object.into()
    }
}
