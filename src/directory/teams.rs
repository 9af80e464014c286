//! Teams, which SCIM knows as groups, and their members.
//!
//! A team's members do not pass through memory as a whole for the sake of a change, unless the request
//! lists as many: requests become deltas, and each delta is a statement or two of whatever size.

mod pieces;
mod refusals;
mod steps;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use self::refusals::{display_name_taken, external_id_taken, not_found};
use self::steps::{MemberChanges, amount, apply_steps};
use super::events::{Action, Subject, record};
use super::listing::{self, Listed, Rows, Wanted, by_side};
use super::membership::Policy;
use super::tokens::AsOf;
use super::{Context, DirectoryResult, brake, entity_tag, new_id, of_connection, uniqueness};
use crate::clock::rfc3339;
use crate::db::brakes::Removed;
use crate::db::connection::changed_meanwhile;
use crate::db::filter::Kind;
use crate::db::members::{self, MemberRow};
use crate::db::teams::{self as rows, TeamRow};
use crate::db::{Conn, memberships, roles};
use crate::scim::condition::Condition;
use crate::scim::fold::fold;
use crate::scim::list::Page;
use crate::scim::patch::PatchPlan;
use crate::scim::projection::Projection;
use crate::scim::projection::text::{Location, Meta, Related, Representation, Shown};
use crate::scim::quirks::{Quirk, Quirks};
use crate::scim::resource::Document;

/// The schema of a team's document.
const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// A team, with its members where they were asked for.
#[derive(Debug)]
pub struct Team {
    row: TeamRow,
    members: Option<Vec<MemberRow>>,
    /// Whether there are more members than were to be shown.
    is_too_large: bool,
    /// See [`AsOf::epoch`].
    epoch: Option<String>,
    /// The entity tag, once it was asked for: there may be a hundred thousand members in it.
    tag: OnceCell<String>,
}

impl AsOf for Team {
    fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }
}

impl Team {
    fn new(row: TeamRow, members: Option<Vec<MemberRow>>) -> Self {
        Self { row, members, is_too_large: false, epoch: None, tag: OnceCell::new() }
    }

    /// What is stored of the team.
    pub fn row(&self) -> &TeamRow {
        &self.row
    }

    /// The team's id.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// The entity tag, which moves with every change of what is shown (RFC 7644 section 3.14).
    pub fn entity_tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let members = self.members.iter().flatten();
            let shown = members
                .map(|row| (row.user_id.as_str(), row.display.as_deref().unwrap_or_default()));
            entity_tag(self.row.version, shown)
        })
    }

    /// Whether the team has more members than [`Show::AtMost`] allows.
    pub fn is_too_large(&self) -> bool {
        self.is_too_large
    }

    /// What a projection shows of it, as JSON.
    ///
    /// # Errors
    /// The stored document is unreadable.
    pub fn show(&self, projection: &Projection, base_url: &str) -> DirectoryResult<Shown> {
        let members = self.members.iter().flatten().map(|row| member(row, base_url));
        Ok(projection.write(&self.representation(base_url), members)?)
    }

    fn representation<'a>(&'a self, base_url: &'a str) -> Representation<'a> {
        let first = |rows: &'a Vec<MemberRow>| rows.first().map(|row| member(row, base_url));
        Representation {
            id: &self.row.id,
            document: &self.row.document,
            meta: Meta {
                resource_type: "Group",
                created: rfc3339(self.row.created_at),
                last_modified: rfc3339(self.row.updated_at),
                location: Location { base_url, endpoint: "Groups", id: &self.row.id },
                version: self.entity_tag(),
            },
            related: self.members.as_ref().map(|rows| ("members", first(rows))),
        }
    }
}

/// A member as it is shown.
fn member<'a>(row: &'a MemberRow, base_url: &'a str) -> Related<'a> {
    Related {
        value: Some(&row.user_id),
        reference: Some(Location { base_url, endpoint: "Users", id: &row.user_id }),
        display: row.display.as_deref(),
        kind: Some("User"),
    }
}

/// Which members of a team an answer shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// None of them.
    Nobody,
    /// All of them, with their names or without.
    Everybody { named: bool },
    /// All of them, or none if there are more than so many.
    AtMost(i64),
}

impl Show {
    /// What the answer to a PATCH shows: one member's change should cost one member.
    pub const AFTER_PATCH: Self = Self::AtMost(1000);
}

/// Creates a team, or adopts one that only sign-in has made.
///
/// # Errors
/// 409 `uniqueness` if a team that SCIM manages holds the `displayName` or the `externalId`;
/// `invalidValue` for members who are no users.
pub fn create(
    conn: &mut Conn,
    context: &Context,
    document: &Document,
    members: &BTreeSet<String>,
    show: Show,
) -> DirectoryResult<Team> {
    let connection_id = context.connection.id.as_str();
    let keys = Keys::of(document);
    let by_name = rows::find_by_display_name(conn, connection_id, &keys.display_name_fold)?;
    let mut by_external_id = None;
    if let Some(external_id) = &keys.external_id {
        by_external_id = rows::find_by_external_id(conn, connection_id, external_id)?;
        if by_external_id.is_none() && by_name.is_none() {
            // Entra ID's claims name groups by what it pushes as external ids.
            by_external_id = rows::find_claimed(conn, connection_id, &fold(external_id))?;
        }
    }
    let met = match (by_name, by_external_id) {
        (Some(a), Some(b)) if a != b => return Err(display_name_taken(document).into()),
        (Some(id), _) | (None, Some(id)) => Some(
            rows::lock(conn, connection_id, &id)?
                .filter(|row| keys.meet(row))
                .ok_or_else(changed_meanwhile)?,
        ),
        (None, None) => None,
    };
    let row = match met {
        Some(row) if !row.scim_managed => {
            let mut changes = MemberChanges::default();
            changes.replace(conn, context, &row.id, members)?;
            write_back(conn, context, row, document, &changes, Some(Action::Adopted))?
        }
        Some(row) if row.display_name_fold == keys.display_name_fold => {
            return Err(display_name_taken(document).into());
        }
        Some(_) => return Err(external_id_taken(document).into()),
        None => insert(conn, context, document, members)?,
    };
    shown(conn, context, row, show)
}

/// The team with that id.
///
/// # Errors
/// 404 if the connection has no such team.
pub fn get(conn: &mut Conn, context: &Context, id: &str, show: Show) -> DirectoryResult<Team> {
    let found = rows::show(conn, &context.connection.id, id)?.ok_or_else(|| not_found(id))?;
    Ok(Team { epoch: Some(found.epoch), ..shown(conn, context, found.team, show)? })
}

/// A page of the teams that a filter selects.
///
/// # Errors
/// The store's.
pub fn list(
    conn: &mut Conn,
    context: &Context,
    wanted: &Wanted,
    page: &Page,
) -> DirectoryResult<Listed<Team>> {
    let table = Rows {
        kind: Kind::Team,
        list: &rows::list,
        count: rows::count,
        id: |row: &TeamRow| &row.id,
    };
    listing::one_kind(conn, context, &table, (wanted, page), |conn, found| {
        each_with_members(conn, context, found, wanted)
    })
}

/// The teams with those ids, by id.
pub(super) fn with_ids(
    conn: &mut Conn,
    context: &Context,
    ids: &[&str],
    wanted: &Wanted,
) -> DirectoryResult<BTreeMap<String, Team>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = rows::with_ids(conn, &context.connection.id, ids)?;
    let teams = each_with_members(conn, context, found, wanted)?;
    Ok(teams.into_iter().map(|team| (team.row.id.clone(), team)).collect())
}

/// Teams with their members, a query for all of them.
fn each_with_members(
    conn: &mut Conn,
    context: &Context,
    found: Vec<TeamRow>,
    wanted: &Wanted,
) -> DirectoryResult<Vec<Team>> {
    let mut by_team = BTreeMap::new();
    if wanted.memberships && !found.is_empty() {
        let ids: Vec<&str> = found.iter().map(|row| row.id.as_str()).collect();
        by_team = by_side(members::members_of(conn, &ids, is_union(context), wanted.names)?);
    }
    let with_members = |row: TeamRow| {
        let members = wanted.memberships.then(|| by_team.remove(&row.id).unwrap_or_default());
        Team::new(row, members)
    };
    Ok(found.into_iter().map(with_members).collect())
}

/// Replaces what the client manages of a team (RFC 7644 section 3.5.1).
///
/// # Errors
/// 404 if the connection has no such team, 412 if it is not in the version asked for, 409
/// `uniqueness` if another one holds a key, `invalidValue` for members who are no users.
pub fn replace(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    document: &Document,
    members: &BTreeSet<String>,
    condition: &Condition,
    show: Show,
) -> DirectoryResult<Team> {
    let before = rows::lock(conn, &context.connection.id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(before.version)?;
    let document = document.clone().replacing(context.registry.group(), &stored(&before)?)?;
    let mut changes = MemberChanges::default();
    let stated = changes.replace(conn, context, id, members)?;
    let row = write_back(conn, context, before, &document, &changes, None)?;
    match stated {
        Some(stated) if show == (Show::Everybody { named: false }) => {
            Ok(Team::new(row, Some(with_claimed(conn, context, id, stated)?)))
        }
        _ => shown(conn, context, row, show),
    }
}

/// Carries out a PATCH (RFC 7644 section 3.5.2), whole or not at all. The cost is that of the
/// change, not of the team. Says which tolerances it took.
///
/// # Errors
/// 404 if the connection has no such team, 412 if it is not in the version asked for; what the plan
/// says of the document it meets; `invalidValue` for members who are no users.
pub fn patch(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    plan: &PatchPlan,
    condition: &Condition,
    show: Show,
) -> DirectoryResult<(Team, Quirks)> {
    let before = rows::lock(conn, &context.connection.id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(before.version)?;
    let mut quirks = plan.quirks.clone();
    let document = plan.apply(stored(&before)?, &mut quirks)?;
    let members = apply_steps(conn, context, id, &plan.members)?;
    if members.absent {
        quirks.note(Quirk::RemoveAbsentMember);
    }
    let row = write_back(conn, context, before, &document, &members, None)?;
    Ok((shown(conn, context, row, show)?, quirks))
}

/// Deletes a team with all that either source said of it.
///
/// # Errors
/// 404 if the connection has no such team, 412 if it is not in the version asked for.
pub fn delete(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    condition: &Condition,
) -> DirectoryResult<()> {
    let connection_id = context.connection.id.as_str();
    let row = rows::lock_for_removal(conn, connection_id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(row.version)?;
    let members = members_of(conn, context, id)?;
    let roles = roles::of_teams(conn, &[id])?;
    rows::delete(conn, connection_id, id)?;
    brake::count(conn, context, Removed { users: 0, members: amount(&members) })?;
    let removed: Vec<&str> = members.iter().map(|member| member.user_id.as_str()).collect();
    let mut data = json!({ "before": stored(&row)?.as_map(), "members": { "removed": removed } });
    if let Some(data) = data.as_object_mut().filter(|_| !roles.is_empty()) {
        data.insert("roles".to_owned(), roles.into());
    }
    Ok(record(conn, context, Subject::Team, id, Action::Deleted, &data)?)
}

fn insert(
    conn: &mut Conn,
    context: &Context,
    document: &Document,
    members: &BTreeSet<String>,
) -> DirectoryResult<TeamRow> {
    let keys = Keys::of(document);
    let row = TeamRow {
        id: new_id(),
        connection_id: context.connection.id.clone(),
        display_name: keys.display_name,
        display_name_fold: keys.display_name_fold,
        external_id: keys.external_id,
        scim_managed: true,
        document: serde_json::to_string(document.as_map())?,
        version: 1,
        created_at: context.now,
        updated_at: context.now,
    };
    rows::insert(conn, &row).map_err(of_connection)?;
    uniqueness::take(conn, context, Kind::Team, &row.id, None, document)?;
    let members = MemberChanges::adding(conn, context, &row.id, members)?;
    let data = json!({ "after": document.as_map(), "members": members.to_json() });
    record(conn, context, Subject::Team, &row.id, Action::Created, &data)?;
    Ok(row)
}

/// Writes `document` over the team, whose members are changed already, and which belongs to SCIM
/// from then on. Neither the version nor `lastModified` moves if nothing changes.
fn write_back(
    conn: &mut Conn,
    context: &Context,
    before: TeamRow,
    document: &Document,
    members: &MemberChanges,
    action: Option<Action>,
) -> DirectoryResult<TeamRow> {
    let old = stored(&before)?;
    let document_changes = *document != old;
    if !document_changes && before.scim_managed && members.is_empty() {
        if !members.skipped.is_empty() {
            let data = json!({ "members": members.to_json() });
            record(conn, context, Subject::Team, &before.id, Action::Updated, &data)?;
        }
        return Ok(before);
    }
    let keys = Keys::of(document);
    // When a team changes hands or takes another one in, so may memberships that nobody named.
    let mut earlier = None;
    if !before.scim_managed {
        earlier = Some(member_ids(conn, context, &before.id)?);
    }
    let absorbed = check_keys(conn, context, &before, &keys, document)?;
    let earlier = earlier.or(absorbed);
    let row = TeamRow {
        display_name: keys.display_name,
        display_name_fold: keys.display_name_fold,
        external_id: keys.external_id,
        scim_managed: true,
        document: serde_json::to_string(document.as_map())?,
        version: before.version + 1,
        updated_at: context.now.max(before.updated_at + 1),
        ..before.clone()
    };
    rows::update_from(conn, &before, &row)?;
    uniqueness::take(conn, context, Kind::Team, &row.id, Some(&old), document)?;
    let mut members = members.clone();
    if let Some(earlier) = earlier {
        let later = member_ids(conn, context, &row.id)?;
        members.add(later.difference(&earlier).cloned().collect());
        members.remove(earlier.difference(&later).cloned().collect());
    }
    brake::count(conn, context, Removed { users: 0, members: amount(&members.removed) })?;
    let mut data = Map::new();
    if document_changes {
        data.insert("before".to_owned(), old.into_map().into());
        data.insert("after".to_owned(), document.as_map().clone().into());
    }
    data.insert("members".to_owned(), members.to_json());
    // A PUT or PATCH takes a team over just as a POST does.
    let taken_over = (!before.scim_managed).then_some(Action::Adopted);
    let action = action.or(taken_over).unwrap_or(Action::Updated);
    record(conn, context, Subject::Team, &row.id, action, &data.into())?;
    Ok(row)
}

/// What teams are looked up by.
struct Keys {
    display_name: String,
    display_name_fold: String,
    external_id: Option<String>,
}

impl Keys {
    /// Whether the team holds one of the keys.
    fn meet(&self, row: &TeamRow) -> bool {
        let claimed_as = self.external_id.as_deref().filter(|_| !row.scim_managed).map(fold);
        row.display_name_fold == self.display_name_fold
            || (row.external_id.is_some() && row.external_id == self.external_id)
            || claimed_as.is_some_and(|name| row.display_name_fold == *name)
    }

    fn of(document: &Document) -> Self {
        let display_name = document.text("displayName").unwrap_or_default();
        Self {
            display_name: display_name.to_owned(),
            display_name_fold: fold(display_name).into_owned(),
            external_id: document.text("externalId").map(str::to_owned),
        }
    }
}

/// Sees to it that nobody else holds the keys. A team that only sign-in has made, because a claim
/// was faster than the push, gives its name and its claims away; who was a member before it did, is
/// returned.
fn check_keys(
    conn: &mut Conn,
    context: &Context,
    before: &TeamRow,
    keys: &Keys,
    document: &Document,
) -> DirectoryResult<Option<BTreeSet<String>>> {
    let connection_id = before.connection_id.as_str();
    let is_other = |holder: Option<String>| holder.is_some_and(|id| id != before.id);
    let mut earlier = None;
    let mut absorb = |conn: &mut Conn, from: &TeamRow| -> DirectoryResult<()> {
        if earlier.is_none() {
            earlier = Some(member_ids(conn, context, &before.id)?);
        }
        absorb(conn, context, from, &before.id)
    };
    if keys.display_name_fold != before.display_name_fold {
        let holder = rows::find_by_display_name(conn, connection_id, &keys.display_name_fold)?;
        if let Some(holder) = holder.filter(|id| *id != before.id) {
            match rows::lock_for_removal(conn, connection_id, &holder)? {
                Some(other) if !other.scim_managed => absorb(conn, &other)?,
                Some(_) => return Err(display_name_taken(document).into()),
                None => {}
            }
        }
    }
    if let Some(external_id) = &keys.external_id
        && before.external_id.as_ref() != Some(external_id)
    {
        if is_other(rows::find_by_external_id(conn, connection_id, external_id)?) {
            return Err(external_id_taken(document).into());
        }
        // A claim that came first has made a team of that name.
        let claimed = rows::find_claimed(conn, connection_id, &fold(external_id))?;
        if let Some(id) = claimed.filter(|id| *id != before.id)
            && let Some(claimed) = rows::lock_for_removal(conn, connection_id, &id)?
            && !claimed.scim_managed
        {
            absorb(conn, &claimed)?;
        }
    }
    Ok(earlier)
}

/// Gives what claims said of one team to another, and deletes the first.
fn absorb(conn: &mut Conn, context: &Context, from: &TeamRow, to: &str) -> DirectoryResult<()> {
    memberships::move_claims(conn, &from.id, to)?;
    roles::move_to(conn, &from.id, to)?;
    rows::delete(conn, &from.connection_id, &from.id)?;
    let data = json!({ "before": stored(from)?.as_map(), "into": to });
    Ok(record(conn, context, Subject::Team, &from.id, Action::Absorbed, &data)?)
}

/// The team that a claim names and that nobody has pushed.
///
/// # Errors
/// The store's.
pub(super) fn insert_claimed(
    conn: &mut Conn,
    context: &Context,
    display_name: &str,
) -> DirectoryResult<String> {
    let document = json!({ "schemas": [GROUP_SCHEMA], "displayName": display_name });
    let row = TeamRow {
        id: new_id(),
        connection_id: context.connection.id.clone(),
        display_name: display_name.to_owned(),
        display_name_fold: fold(display_name).into_owned(),
        external_id: None,
        scim_managed: false,
        document: document.to_string(),
        version: 1,
        created_at: context.now,
        updated_at: context.now,
    };
    rows::insert(conn, &row).map_err(of_connection)?;
    let data = json!({ "after": document });
    record(conn, context, Subject::Team, &row.id, Action::Created, &data)?;
    Ok(row.id)
}

fn stored(row: &TeamRow) -> DirectoryResult<Document> {
    Ok(Document::from_stored(serde_json::from_str(&row.document)?))
}

fn shown(conn: &mut Conn, context: &Context, row: TeamRow, show: Show) -> DirectoryResult<Team> {
    let is_too_large = match show {
        Show::AtMost(limit) => members::exceeds(conn, &row.id, limit)?,
        Show::Nobody | Show::Everybody { .. } => false,
    };
    let members = if show == Show::Nobody || is_too_large {
        None
    } else {
        let named = show == Show::Everybody { named: true };
        Some(members::members(conn, &row.id, is_union(context), named)?)
    };
    Ok(Team { is_too_large, ..Team::new(row, members) })
}

/// Who belongs to a team. Inactive users are among them: their membership has no effect, but a
/// client that writes back what it read must not lose it.
fn members_of(conn: &mut Conn, context: &Context, id: &str) -> DirectoryResult<Vec<MemberRow>> {
    Ok(members::members(conn, id, is_union(context), false)?)
}

/// Who belongs to a team, where it is known already whom SCIM says to be in it.
fn with_claimed(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    mut stated: BTreeSet<String>,
) -> DirectoryResult<Vec<MemberRow>> {
    stated.extend(members::claimed_members(conn, id, is_union(context))?);
    Ok(stated.into_iter().map(MemberRow::unnamed).collect())
}

/// Ids of those who belong to a team.
fn member_ids(conn: &mut Conn, context: &Context, id: &str) -> DirectoryResult<BTreeSet<String>> {
    Ok(members_of(conn, context, id)?.into_iter().map(|member| member.user_id).collect())
}

fn is_union(context: &Context) -> bool {
    context.connection.settings.membership == Policy::Union
}
