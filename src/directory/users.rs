//! Users, as SCIM writes and reads them.
//!
//! A person is one user of a connection. SCIM owns a user from the first time it writes one, and
//! owns the lifecycle with it: nothing else sets `active`, and nothing reactivates by omission.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::events::{Action, Subject, record, record_written};
use super::identities::{carries, give_identity_up, sever, take_keys};
use super::lifecycle::set_active;
use super::listing::{self, Listed, Rows, Wanted, by_side};
use super::membership::{Facts, effective};
use super::tokens::AsOf;
use super::{Context, DirectoryResult, brake, entity_tag, new_id, of_connection, uniqueness};
use crate::clock::rfc3339;
use crate::db::brakes::Removed;
use crate::db::connection::changed_meanwhile;
use crate::db::filter::Kind;
use crate::db::memberships::{self, StatementRow};
use crate::db::teams as team_rows;
use crate::db::users::{self as rows, Beside, Found, Holders, UserRow};
use crate::db::{Conn, emails, teams};
use crate::scim::ScimError;
use crate::scim::condition::Condition;
use crate::scim::fold::fold;
use crate::scim::list::Page;
use crate::scim::patch::PatchPlan;
use crate::scim::precis::prepare;
use crate::scim::projection::Projection;
use crate::scim::projection::text::{Location, Meta, Related, Representation, Shown};
use crate::scim::quirks::Quirks;
use crate::scim::resource::Document;

/// A user with the teams it is effectively in, ready to be shown.
#[derive(Debug)]
pub struct User {
    row: UserRow,
    /// `None` where the teams were not asked for.
    groups: Option<Vec<StatementRow>>,
    /// See [`AsOf::epoch`].
    epoch: Option<String>,
    /// The entity tag, once it was asked for.
    tag: OnceCell<String>,
}

impl AsOf for User {
    fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }
}

impl User {
    fn new(row: UserRow, groups: Option<Vec<StatementRow>>) -> Self {
        Self { row, groups, epoch: None, tag: OnceCell::new() }
    }

    /// What is stored of the user.
    pub fn row(&self) -> &UserRow {
        &self.row
    }

    /// The user's id.
    pub fn id(&self) -> &str {
        &self.row.id
    }

    /// The entity tag, which moves with every change of what is shown (RFC 7644 section 3.14).
    pub fn entity_tag(&self) -> &str {
        self.tag.get_or_init(|| {
            let groups = self.groups.iter().flatten();
            let shown = groups.map(|row| (row.team_id.as_str(), row.display.as_str()));
            entity_tag(self.row.version, shown)
        })
    }

    /// What a projection shows of it, as JSON.
    ///
    /// # Errors
    /// The stored document is unreadable.
    pub fn show(&self, projection: &Projection, base_url: &str) -> DirectoryResult<Shown> {
        let groups = self.groups.as_ref().filter(|groups| !groups.is_empty());
        let elements = groups.into_iter().flatten().map(|row| group(row, base_url));
        let resource = Representation {
            id: &self.row.id,
            document: &self.row.document,
            meta: Meta {
                resource_type: "User",
                created: rfc3339(self.row.created_at),
                last_modified: rfc3339(self.row.updated_at),
                location: Location { base_url, endpoint: "Users", id: &self.row.id },
                version: self.entity_tag(),
            },
            related: groups.map(|_| ("groups", elements.clone().next())),
        };
        Ok(projection.write(&resource, elements)?)
    }
}

/// A team of a user's as it is shown.
fn group<'a>(row: &'a StatementRow, base_url: &'a str) -> Related<'a> {
    Related {
        value: Some(&row.team_id),
        reference: Some(Location { base_url, endpoint: "Groups", id: &row.team_id }),
        display: Some(&row.display),
        kind: Some("direct"),
    }
}

/// Creates a user, or takes up one that is there already and free to be taken up.
///
/// A POST that meets a user whom only sign-in has made adopts it; one that meets an inactive user
/// re-provisions it. Both keep the id.
///
/// # Errors
/// 409 `uniqueness` if an active user holds the `userName` or the `externalId`.
pub fn create(conn: &mut Conn, context: &Context, document: &Document) -> DirectoryResult<User> {
    let connection_id = context.connection.id.as_str();
    let keys = Keys::of(document);
    let external_id = keys.external_id.as_deref();
    let holders = rows::holders(conn, connection_id, &keys.user_name_fold, external_id)?;
    let by_external_id = by_external_id(conn, context, external_id, &holders)?;
    // The external id says who somebody is; a name is but a name.
    let met = match by_external_id.or(holders.by_user_name) {
        Some(id) => Some(
            rows::lock(conn, connection_id, &id)?
                .filter(|row| keys.meet(row))
                .ok_or_else(changed_meanwhile)?,
        ),
        None => None,
    };
    let active = document.active().unwrap_or(true);
    let document = document.clone().with_active(active);
    let row = match met {
        None => {
            let row = insert(conn, context, &document, active)?;
            // It has just come to be, so that nobody has said anything of it.
            return Ok(User::new(row, Some(Vec::new())));
        }
        // It is made SCIM's own, with the same id.
        Some(row) if !row.scim_owned => {
            let old = stored(&row)?;
            write_back(conn, context, row, &old, &document, Some(Action::Adopted))?
        }
        Some(row) if !row.active => {
            let old = stored(&row)?;
            write_back(conn, context, row, &old, &document, Some(Action::Reprovisioned))?
        }
        Some(row) if row.user_name_fold == keys.user_name_fold => {
            return Err(user_name_taken(&document).into());
        }
        Some(_) => return Err(external_id_taken(&document).into()),
    };
    with_groups(conn, context, row)
}

/// Id of the user that a new one with the external id is the same person as: the one that SCIM gave
/// it, or that sign-in made of an identity which carried it.
fn by_external_id(
    conn: &mut Conn,
    context: &Context,
    external_id: Option<&str>,
    holders: &Holders,
) -> DirectoryResult<Option<String>> {
    let tenant = context.connection.id.as_str();
    let Some(external_id) = external_id else { return Ok(None) };
    if holders.by_external_id.is_some() {
        return Ok(holders.by_external_id.clone());
    }
    let Some(id) = holders.by_linked_external_id.clone() else { return Ok(None) };
    let linked = rows::lock(conn, tenant, &id)?
        .filter(|linked| carries(linked, external_id))
        .ok_or_else(changed_meanwhile)?;
    if linked.scim_owned && holders.by_user_name.as_ref() != Some(&id) {
        // SCIM knows that one as somebody else already.
        give_identity_up(conn, context, linked, external_id)?;
        return Ok(None);
    }
    Ok(Some(id))
}

/// The user with that id.
///
/// # Errors
/// 404 if the connection has no such user.
pub fn get(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    want_groups: bool,
) -> DirectoryResult<User> {
    let found = rows::show(conn, &context.connection.id, id, want_groups)?;
    Ok(found_user(context, found.ok_or_else(|| not_found(id))?))
}

/// A page of the users that a filter selects.
///
/// # Errors
/// The store's.
pub fn list(
    conn: &mut Conn,
    context: &Context,
    wanted: &Wanted,
    page: &Page,
) -> DirectoryResult<Listed<User>> {
    // Where rows are skipped or sorted, the teams would be looked up of those too that are not shown.
    let has_teams = wanted.memberships && page.offset() == 0 && wanted.order.is_none();
    let beside = Beside { teams: has_teams, epoch: wanted.is_lookup(page) };
    let table = Rows {
        kind: Kind::User,
        list: &|conn, tenant, condition, window, limit| {
            rows::list(conn, tenant, condition, window, limit, beside)
        },
        count: rows::count,
        id: |found: &Found| &found.user.id,
    };
    listing::one_kind(conn, context, &table, (wanted, page), |conn, mut found| {
        if wanted.memberships && !has_teams {
            let ids: Vec<&str> = found.iter().map(|found| found.user.id.as_str()).collect();
            let said = memberships::of_users(conn, &ids)?;
            let mut by_user = by_side(said.into_iter().map(|row| (row.user_id.clone(), row)));
            for found in &mut found {
                found.statements = Some(by_user.remove(&found.user.id).unwrap_or_default());
            }
        }
        Ok(found.into_iter().map(|found| found_user(context, found)).collect())
    })
}

/// The users with those ids, by id.
pub(super) fn with_ids(
    conn: &mut Conn,
    context: &Context,
    ids: &[&str],
    want_groups: bool,
) -> DirectoryResult<BTreeMap<String, User>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = rows::with_ids(conn, &context.connection.id, ids, want_groups)?;
    let users = found.into_iter().map(|found| found_user(context, found));
    Ok(users.map(|user| (user.row.id.clone(), user)).collect())
}

/// A user that was looked up, with the teams it is effectively in where they were asked for.
fn found_user(context: &Context, found: Found) -> User {
    let groups = found.statements.map(|statements| in_effect(context, statements));
    User { epoch: found.epoch, ..User::new(found.user, groups) }
}

/// Replaces what the client manages of a user (RFC 7644 section 3.5.1). A PUT that does not speak
/// of `active` keeps it.
///
/// # Errors
/// 404 if the connection has no such user, 412 if it is not in the version asked for, 409
/// `uniqueness` if another one holds a key, `mutability` for an immutable value that is another.
pub fn replace(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    document: &Document,
    condition: &Condition,
) -> DirectoryResult<User> {
    let before = rows::lock(conn, &context.connection.id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(before.version)?;
    let old = stored(&before)?;
    let document = document.clone().replacing(context.registry.user(), &old)?;
    let active = document.active().unwrap_or(before.active);
    let row = write_back(conn, context, before, &old, &document.with_active(active), None)?;
    with_groups(conn, context, row)
}

/// Carries out a PATCH (RFC 7644 section 3.5.2), whole or not at all; says which tolerances it took.
///
/// # Errors
/// 404 if the connection has no such user, 412 if it is not in the version asked for; what the plan
/// says of the document it meets.
pub fn patch(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    plan: &PatchPlan,
    condition: &Condition,
) -> DirectoryResult<(User, Quirks)> {
    let before = rows::lock(conn, &context.connection.id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(before.version)?;
    let mut quirks = plan.quirks.clone();
    let old = stored(&before)?;
    let document = plan.apply(old.clone(), &mut quirks)?;
    let row = write_back(conn, context, before, &old, &document, None)?;
    Ok((with_groups(conn, context, row)?, quirks))
}

/// Deletes a user with all that hangs on it.
///
/// # Errors
/// 404 if the connection has no such user, 412 if it is not in the version asked for.
pub fn delete(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    condition: &Condition,
) -> DirectoryResult<()> {
    let connection_id = context.connection.id.as_str();
    // A team that the user is just being added to is one of those that are left.
    let row = rows::lock_for_removal(conn, connection_id, id)?.ok_or_else(|| not_found(id))?;
    condition.check(row.version)?;
    let teams_left: Vec<String> =
        memberships::of_users(conn, &[id])?.into_iter().map(|row| row.team_id).collect();
    teams::touch_teams_of(conn, id, context.now)?;
    brake::count(conn, context, Removed { users: 1, members: 0 })?;
    rows::delete(conn, connection_id, id)?;
    let data = json!({ "before": stored(&row)?.as_map(), "teams": teams_left });
    Ok(record(conn, context, Subject::User, id, Action::Deleted, &data)?)
}

/// Activates or deactivates a user from outside SCIM; SCIM may say otherwise again. Whose the user is
/// stays as it is.
///
/// # Errors
/// There is no such user.
pub fn set_active_by_hand(
    conn: &mut Conn,
    context: &Context,
    id: &str,
    active: bool,
) -> DirectoryResult<()> {
    let found = rows::lock(conn, &context.connection.id, id)?;
    let before = found.ok_or_else(|| not_found(id))?;
    let mut row = before.clone();
    let Some(action) = set_active(conn, &mut row, active)? else { return Ok(()) };
    let old = stored(&before)?;
    let document = old.clone().with_active(active);
    row.document = serde_json::to_string(document.as_map())?;
    row.version += 1;
    row.updated_at = context.now.max(before.updated_at + 1);
    rows::update_from(conn, &before, &row)?;
    let stored = Some(before.document.as_str());
    Ok(record_written(conn, context, (Subject::User, id), action, stored, &row.document)?)
}

fn insert(
    conn: &mut Conn,
    context: &Context,
    document: &Document,
    active: bool,
) -> DirectoryResult<UserRow> {
    let keys = Keys::of(document);
    let row = UserRow {
        id: new_id(),
        connection_id: context.connection.id.clone(),
        user_name: keys.user_name,
        user_name_fold: keys.user_name_fold,
        external_id: keys.external_id,
        display_name_fold: keys.display_name.as_deref().map(|name| fold(name).into_owned()),
        display_name: keys.display_name,
        active,
        scim_owned: true,
        document: serde_json::to_string(document.as_map())?,
        version: 1,
        created_at: context.now,
        updated_at: context.now,
        issuer: None,
        subject: None,
        linked_external_id: None,
        claim_issued_at: None,
        signed_in_at: None,
        token_issued_at: None,
    };
    rows::insert(conn, &row).map_err(of_connection)?;
    uniqueness::take(conn, context, Kind::User, &row.id, None, document)?;
    let addresses = folded_emails(document);
    emails::insert(conn, &row.connection_id, &row.id, addresses.iter().map(String::as_str))?;
    record_written(conn, context, (Subject::User, &row.id), Action::Created, None, &row.document)?;
    Ok(row)
}

/// The user whom sign-in creates; SCIM does not own it.
///
/// # Errors
/// The store's; another user has the name.
pub(super) fn insert_claimed(
    conn: &mut Conn,
    context: &Context,
    profile: &Document,
) -> DirectoryResult<UserRow> {
    let document = profile.clone().with_active(true);
    let mut row = insert(conn, context, &document, true)?;
    row.scim_owned = false;
    Ok(row)
}

/// Fills in the profile of a user that SCIM does not own. What the token does not speak of stays,
/// and so does the name if it is somebody else's.
///
/// # Errors
/// The store's.
pub(super) fn refresh_claimed(
    conn: &mut Conn,
    context: &Context,
    before: UserRow,
    profile: &Document,
) -> DirectoryResult<UserRow> {
    let old = stored(&before)?;
    let mut merged = old.as_map().clone();
    merged.extend(profile.as_map().clone());
    let name = merged.get("userName").and_then(Value::as_str).unwrap_or_default();
    // A name is not taken from anybody on a token's word: SCIM may know somebody by it alone.
    let holder = rows::find_by_user_name(conn, &before.connection_id, &prepare(name))?;
    if holder.is_some_and(|id| id != before.id) {
        merged.insert("userName".to_owned(), before.user_name.as_str().into());
    }
    let document = Document::from_stored(merged);
    if document == old {
        return Ok(before);
    }
    let keys = Keys::of_changed(&document, &before);
    let row = UserRow {
        user_name: keys.user_name,
        user_name_fold: keys.user_name_fold,
        display_name_fold: keys.display_name.as_deref().map(|name| fold(name).into_owned()),
        display_name: keys.display_name,
        document: serde_json::to_string(document.as_map())?,
        version: before.version + 1,
        updated_at: context.now.max(before.updated_at + 1),
        ..before
    };
    let addresses = folded_emails(&document);
    emails::replace(conn, &row.connection_id, &row.id, addresses.iter().map(String::as_str))?;
    let (user, stored) = ((Subject::User, row.id.as_str()), Some(before.document.as_str()));
    record_written(conn, context, user, Action::Updated, stored, &row.document)?;
    Ok(row)
}

/// Writes `document` over the user's `old` one, who belongs to SCIM from then on. Nothing is written, and
/// neither the version nor `lastModified` moves, if nothing changes.
fn write_back(
    conn: &mut Conn,
    context: &Context,
    before: UserRow,
    old: &Document,
    document: &Document,
    action: Option<Action>,
) -> DirectoryResult<UserRow> {
    // A client may unassign the attribute; what it stood for stays as it is.
    let active = document.active().unwrap_or(before.active);
    if document == old && before.scim_owned {
        return Ok(before);
    }
    let keys = Keys::of_changed(document, &before);
    let mut row = UserRow {
        user_name: keys.user_name,
        user_name_fold: keys.user_name_fold,
        external_id: keys.external_id,
        display_name_fold: keys.display_name.as_deref().map(|name| fold(name).into_owned()),
        display_name: keys.display_name,
        scim_owned: true,
        document: serde_json::to_string(document.as_map())?,
        version: before.version + 1,
        updated_at: context.now.max(before.updated_at + 1),
        ..before.clone()
    };
    let change = set_active(conn, &mut row, active)?;
    if change == Some(Action::Deactivated) {
        brake::count(conn, context, Removed { users: 1, members: 0 })?;
    }
    // SCIM speaks for the directory: with another externalId than the one that SCIM gave, or that the
    // identity carried, the user is another person.
    let known = before.linked_external_id.as_ref().or(before.external_id.as_ref());
    // A new user without one, under the name of an inactive user who had one, may be another too.
    let is_unknown = action == Some(Action::Reprovisioned)
        && before.external_id.is_some()
        && row.external_id.is_none();
    let is_other_person = is_unknown
        || known.zip(row.external_id.as_ref()).is_some_and(|(known, given)| known != given);
    let is_another = row.subject.is_some() && is_other_person;
    let mut left = Vec::new();
    if is_another {
        left = sever(conn, &mut row, context.now)?;
    }
    // Brought back for another person, who inherits nothing.
    if !before.active && is_other_person && (active || action == Some(Action::Reprovisioned)) {
        leave_teams(conn, context, &row.id)?;
    }
    take_keys(conn, context, &before, &mut row, document)?;
    rows::update_from(conn, &before, &row)?;
    uniqueness::take(conn, context, Kind::User, &row.id, Some(old), document)?;
    if is_another {
        let data = json!({ "external_id": row.external_id, "teams": left });
        record(conn, context, Subject::User, &row.id, Action::Reassigned, &data)?;
    }
    let addresses = folded_emails(document);
    if addresses != folded_emails(old) {
        emails::replace(conn, &row.connection_id, &row.id, addresses.iter().map(String::as_str))?;
    }
    // A PUT or PATCH takes a user over just as a POST does.
    let taken_over = (!before.scim_owned).then_some(Action::Adopted);
    let action = action.or(change).or(taken_over).unwrap_or(Action::Updated);
    let (user, stored) = ((Subject::User, row.id.as_str()), Some(before.document.as_str()));
    record_written(conn, context, user, action, stored, &row.document)?;
    Ok(row)
}

/// What users are looked up by.
struct Keys {
    user_name: String,
    user_name_fold: String,
    external_id: Option<String>,
    display_name: Option<String>,
}

impl Keys {
    /// Whether the user holds one of the keys.
    fn meet(&self, row: &UserRow) -> bool {
        let same = |held: &Option<String>| held.is_some() && *held == self.external_id;
        row.user_name_fold == self.user_name_fold
            || same(&row.external_id)
            || same(&row.linked_external_id)
    }

    /// The keys of a document that replaces the row's. Names may have become the same since they
    /// were stored, as the rules of comparing them changed: whoever keeps a name keeps what it was
    /// found by.
    fn of_changed(document: &Document, before: &UserRow) -> Self {
        let mut keys = Self::of(document);
        if keys.user_name == before.user_name {
            keys.user_name_fold.clone_from(&before.user_name_fold);
        }
        keys
    }

    fn of(document: &Document) -> Self {
        let user_name = document.text("userName").unwrap_or_default();
        Self {
            user_name: user_name.to_owned(),
            user_name_fold: prepare(user_name).into_owned(),
            external_id: document.text("externalId").map(str::to_owned),
            display_name: document.text("displayName").map(str::to_owned),
        }
    }
}

/// The user belongs to no team any more, whoever said so.
fn leave_teams(conn: &mut Conn, context: &Context, user_id: &str) -> DirectoryResult<()> {
    let left = memberships::withdraw_user(conn, user_id)?;
    team_rows::touch(conn, left.iter().map(String::as_str), context.now)?;
    Ok(())
}

pub(super) fn stored(row: &UserRow) -> DirectoryResult<Document> {
    Ok(Document::from_stored(serde_json::from_str(&row.document)?))
}

pub(super) fn folded_emails(document: &Document) -> Vec<String> {
    document.element_values("emails").map(|value| fold(value).into_owned()).collect()
}

/// A user that was just written, with the teams it is effectively in.
fn with_groups(conn: &mut Conn, context: &Context, row: UserRow) -> DirectoryResult<User> {
    let groups = in_effect(context, memberships::of_users(conn, &[&row.id])?);
    Ok(User::new(row, Some(groups)))
}

/// The memberships that take effect.
fn in_effect(context: &Context, mut statements: Vec<StatementRow>) -> Vec<StatementRow> {
    let policy = context.connection.settings.membership;
    statements.retain(|row| effective(policy, Facts::from(row), row.active));
    statements
}

fn not_found(id: &str) -> ScimError {
    ScimError::not_found(format!("there is no user with the id '{id}'"))
}

pub(super) fn user_name_taken(document: &Document) -> ScimError {
    let name = document.text("userName").unwrap_or_default();
    ScimError::uniqueness(format!(
        "another user already has the userName '{name}' (upper and lower case count as the same); \
         link the existing user instead of creating one, or change the user name"
    ))
}

pub(super) fn external_id_taken(document: &Document) -> ScimError {
    let external_id = document.text("externalId").unwrap_or_default();
    ScimError::uniqueness(format!(
        "another user already has the externalId '{external_id}'; find it by externalId and update \
         it instead of creating one"
    ))
}
