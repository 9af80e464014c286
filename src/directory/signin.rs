//! Sign-in: from a verified identity to a user, the user's claims and a session, in one transaction.
//!
//! Who the identity is, it is by the link to the provider's subject, else by the external id, else
//! by the user name; never by an e-mail address. Sign-in writes claim statements and, as long as
//! SCIM has not taken charge of the user, the profile. It never writes what SCIM says.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;
use serde_json::{Map, Value, json};

use super::claims::{self, GroupsClaim};
use super::events::{Action, Subject, record};
use super::sessions::{self, NewSession};
use super::{Context, DirectoryError, identities, teams, users};
use crate::db::connection::changed_meanwhile;
use crate::db::users::{self as rows, UserRow};
use crate::db::{Conn, MayBeStore, StoreError, memberships, teams as team_rows};
use crate::scim::precis::prepare;
use crate::scim::resource::Document;
use crate::scim::schema::ResourceType;
use crate::scim::{ScimError, ScimResult};

/// Who signed in, as a provider vouches for it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
    /// When the token was issued, in UTC microseconds.
    pub issued_at: i64,
    pub claims: Map<String, Value>,
}

/// Why somebody whom the provider vouches for is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// SCIM has deactivated the user.
    #[error("the account is deactivated; ask the administrator to assign the application again")]
    Inactive,
    /// Nobody has pushed the user, and sign-in may not create users.
    #[error("there is no account yet; ask the administrator to assign the application")]
    NotProvisioned,
    /// The user name belongs to somebody else: a recycled name is a different person.
    #[error(
        "the user name belongs to another account; the administrator has to update or remove it"
    )]
    NameTaken,
    /// The token does not say how the user is called.
    #[error(
        "the identity provider sent no user name; check the scopes and claims of the application"
    )]
    NoUserName,
}

impl Refusal {
    /// The refusal's name in the event log and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::NotProvisioned => "not-provisioned",
            Self::NameTaken => "user-name-taken",
            Self::NoUserName => "no-user-name",
        }
    }
}

/// Why a sign-in was not completed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The person is told why.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The store failed, or refused what the claims say.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Directory(error.into())
    }
}

impl From<diesel::result::Error> for SignInError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Directory(error.into())
    }
}

impl MayBeStore for SignInError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Directory(error) => error.or_store().map_err(Self::Directory),
            Self::Refused(refusal) => Err(Self::Refused(refusal)),
        }
    }
}

/// Somebody who was let in.
#[derive(Debug)]
pub struct SignedIn {
    pub session: NewSession,
    pub user_name: String,
    /// Whether nobody knew the person before.
    pub created: bool,
}

/// Signs somebody in. The context's actor is the sign-in; `user_type` is the schema of users.
///
/// # Errors
/// A [`Refusal`], before anything is written.
pub fn sign_in(
    conn: &mut Conn,
    context: &Context,
    user_type: &ResourceType,
    identity: &Identity,
) -> Result<SignedIn, SignInError> {
    let settings = &context.connection.settings.sign_in;
    let external_id = external_id(identity, settings.external_id_claim.as_deref());
    let user_name = claims::identifier(&identity.claims, &settings.user_name_claim);
    let found = find(conn, context, identity, external_id, user_name)?;
    let mut created = false;
    let mut row = match found {
        Some(row) if !row.active => return Err(Refusal::Inactive.into()),
        Some(row) => row,
        None if !settings.jit => return Err(Refusal::NotProvisioned.into()),
        None => {
            let user_name = user_name.ok_or(Refusal::NoUserName)?;
            created = true;
            users::insert_claimed(conn, context, &profile(user_type, identity, user_name)?)?
        }
    };
    // A token that is older than one that was believed says nothing of the person any more.
    let is_stale = is_stale(&row, identity);
    if !row.scim_owned && !created && !is_stale {
        let name = user_name.unwrap_or(&row.user_name).to_owned();
        let profile = profile(user_type, identity, &name)?;
        row = users::refresh_claimed(conn, context, row, &profile)?;
    }
    link(&mut row, identity, external_id);
    row.signed_in_at = Some(context.now);
    let applied = if is_stale {
        json!({ "stale": true })
    } else {
        apply_claims(conn, context, identity, &mut row)?
    };
    rows::update(conn, &row)?;
    let data = json!({
        "issuer": identity.issuer,
        "subject": identity.subject,
        "created": created,
        "claim": applied,
        "disagreements": super::explain::disagreements(conn, context, &row)?,
    });
    record(conn, context, Subject::User, &row.id, Action::SignedIn, &data)?;
    let session = sessions::create(conn, context, &row.id)?;
    Ok(SignedIn { session, user_name: row.user_name, created })
}

/// Writes down that somebody was not let in, and nothing else, unless it turned out that SCIM has
/// deactivated the person as another user than the one who signed in before: whoever is still signed
/// in as that one is so no more.
///
/// # Errors
/// The store's.
pub fn record_refusal(
    conn: &mut Conn,
    context: &Context,
    identity: &Identity,
    refusal: Refusal,
) -> Result<(), StoreError> {
    let data = json!({
        "issuer": identity.issuer,
        "subject": identity.subject,
        "reason": refusal.as_str(),
    });
    let subject_id = context.connection.id.as_str();
    if refusal == Refusal::Inactive
        && let Some(id) =
            rows::find_by_subject(conn, subject_id, &identity.issuer, &identity.subject)?
    {
        sessions::end_all(conn, &id)?;
    }
    record(conn, context, Subject::Connection, subject_id, Action::Refused, &data)
}

/// The claim that equals the `externalId` which SCIM pushes.
fn external_id<'a>(identity: &'a Identity, claim: Option<&str>) -> Option<&'a str> {
    match claim? {
        "sub" => Some(&identity.subject),
        name => claims::identifier(&identity.claims, name),
    }
}

/// The user that the identity is, locked.
fn find(
    conn: &mut Conn,
    context: &Context,
    identity: &Identity,
    external_id: Option<&str>,
    user_name: Option<&str>,
) -> Result<Option<UserRow>, SignInError> {
    let tenant = context.connection.id.as_str();
    // What was looked up is looked at once more under the lock: SCIM may have been faster.
    let locked = |conn: &mut Conn, id: &str, is_still: &dyn Fn(&UserRow) -> bool| {
        rows::lock(conn, tenant, id)?.filter(is_still).ok_or_else(changed_meanwhile)
    };
    if let Some(id) = rows::find_by_subject(conn, tenant, &identity.issuer, &identity.subject)? {
        let row = locked(conn, &id, &|row| is_linked(row, identity))?;
        if is_pushed_as_another(&row, external_id) {
            return Err(Refusal::NameTaken.into());
        }
        return Ok(Some(pushed_apart(conn, context, row, identity, external_id, user_name)?));
    }
    if let Some(external_id) = external_id
        && let Some(id) = rows::find_by_external_id(conn, tenant, external_id)?
    {
        let is_still = |row: &UserRow| row.external_id.as_deref() == Some(external_id);
        return Ok(Some(locked(conn, &id, &is_still)?));
    }
    // Subjects change when an application is registered anew at the provider; people do not.
    if let Some(external_id) = external_id
        && let Some(id) = rows::find_by_linked_external_id(conn, tenant, external_id)?
    {
        return Ok(Some(locked(conn, &id, &|row| identities::carries(row, external_id))?));
    }
    let Some(key) = user_name.map(prepare) else { return Ok(None) };
    let Some(id) = rows::find_by_user_name(conn, tenant, &key)? else {
        return Ok(None);
    };
    let row = locked(conn, &id, &|row| row.user_name_fold == *key)?;
    if is_somebody_else(&row, identity, external_id) {
        return Err(Refusal::NameTaken.into());
    }
    Ok(Some(row))
}

/// The user that an identity signs in as: `row`, unless SCIM has said since, under a key that no
/// sign-in had carried by then, that the person is another user. Two of one person become one.
fn pushed_apart(
    conn: &mut Conn,
    context: &Context,
    row: UserRow,
    identity: &Identity,
    external_id: Option<&str>,
    user_name: Option<&str>,
) -> Result<UserRow, SignInError> {
    // A token that is older than one that was believed says nothing of the person any more.
    if is_stale(&row, identity) {
        return Ok(row);
    }
    let tenant = context.connection.id.as_str();
    if let Some(external_id) = external_id.filter(|_| row.external_id.is_none())
        && let Some(id) = rows::find_by_external_id(conn, tenant, external_id)?
    {
        let is_still = |pushed: &UserRow| pushed.external_id.as_deref() == Some(external_id);
        let pushed = rows::lock(conn, tenant, &id)?.filter(is_still);
        return joined(conn, context, row, pushed.ok_or_else(changed_meanwhile)?, external_id);
    }
    let Some(name) = user_name.map(prepare).filter(|_| !row.scim_owned) else { return Ok(row) };
    let found = rows::find_by_user_name(conn, tenant, &name)?;
    let Some(id) = found.filter(|id| *id != row.id) else { return Ok(row) };
    let is_still = |pushed: &UserRow| pushed.user_name_fold == *name;
    let pushed = rows::lock(conn, tenant, &id)?.filter(is_still).ok_or_else(changed_meanwhile)?;
    if !pushed.scim_owned || is_somebody_else(&pushed, identity, external_id) {
        return Ok(row);
    }
    joined(conn, context, row, pushed, external_id.unwrap_or_default())
}

/// The pushed user, who takes in the one that the identity has signed in as so far or, if SCIM owns
/// that one too, the identity alone. An inactive one takes nothing in: the sign-in is refused.
fn joined(
    conn: &mut Conn,
    context: &Context,
    row: UserRow,
    mut pushed: UserRow,
    external_id: &str,
) -> Result<UserRow, SignInError> {
    if pushed.active {
        if row.scim_owned {
            identities::give_identity_up(conn, context, row, external_id)?;
        } else {
            identities::absorb(conn, context, row, &mut pushed)?;
        }
    }
    Ok(pushed)
}

/// Whether the token is older than one that was believed.
fn is_stale(row: &UserRow, identity: &Identity) -> bool {
    row.token_issued_at.is_some_and(|at| identity.issued_at < at)
}

/// Whether the identity signs in as the user already.
fn is_linked(row: &UserRow, identity: &Identity) -> bool {
    row.subject.as_ref() == Some(&identity.subject) && row.issuer.as_ref() == Some(&identity.issuer)
}

/// The identity signs in as the user from now on.
fn link(row: &mut UserRow, identity: &Identity, external_id: Option<&str>) {
    // A token may leave out what an earlier one said.
    if external_id.is_some() || !is_linked(row, identity) {
        row.linked_external_id = external_id.map(str::to_owned);
    }
    row.issuer = Some(identity.issuer.clone());
    row.subject = Some(identity.subject.clone());
}

/// Whether a user of the same name is another person than the one who signs in.
fn is_somebody_else(row: &UserRow, identity: &Identity, external_id: Option<&str>) -> bool {
    let is_linked_to_another = row.subject.is_some() && !is_linked(row, identity);
    is_linked_to_another || is_pushed_as_another(row, external_id)
}

/// Whether SCIM has given the user another external id than the token carries.
fn is_pushed_as_another(row: &UserRow, external_id: Option<&str>) -> bool {
    row.external_id.as_deref().zip(external_id).is_some_and(|(pushed, claimed)| pushed != claimed)
}

/// What the token says of the person, as a SCIM user.
///
/// # Errors
/// A claim that no user may have.
pub fn profile(
    user_type: &ResourceType,
    identity: &Identity,
    user_name: &str,
) -> ScimResult<Document> {
    let claim = |name: &str| claims::text(&identity.claims, name);
    let email = claim("email")
        .map(|address| json!([{ "value": address, "type": "work", "primary": true }]));
    let user = json!({
        "schemas": [user_type.schema.id],
        "userName": user_name,
        "name": { "givenName": claim("given_name"), "familyName": claim("family_name") },
        "displayName": claim("name"),
        "emails": email,
        "locale": claim("locale"),
        "timezone": claim("zoneinfo"),
    });
    Document::from_profile(user_type, user)
}

/// Makes the claim statements say what the token says; gives what changed, for the log.
fn apply_claims(
    conn: &mut Conn,
    context: &Context,
    identity: &Identity,
    row: &mut UserRow,
) -> Result<Value, SignInError> {
    let settings = &context.connection.settings.sign_in;
    let filter = settings
        .groups_filter
        .as_deref()
        .map(Regex::new)
        .transpose()
        .map_err(|error| StoreError::Corrupt(format!("the groups filter: {error}")))?;
    let claim = claims::groups(&identity.claims, &settings.groups_claim, filter.as_ref());
    let listed = named_teams(conn, context, &claim)?;
    let ids = || listed.iter().map(String::as_str);
    let said = context.said();
    let mut withdrawn = Vec::new();
    if claim.incomplete.is_none() {
        withdrawn = memberships::retain_claim(conn, &row.id, ids(), said)?;
        row.claim_issued_at = Some(identity.issued_at);
    }
    row.token_issued_at = Some(identity.issued_at);
    let added = memberships::add_claim(conn, &context.connection.id, &row.id, ids(), said)?;
    if memberships::lacks_claim(conn, &row.id, ids())? {
        // A team was deleted or renamed since the claim's values were looked up.
        return Err(changed_meanwhile().into());
    }
    let changed: BTreeSet<&str> = added.iter().chain(&withdrawn).map(String::as_str).collect();
    if !changed.is_empty() {
        team_rows::touch(conn, changed, context.now)?;
    }
    Ok(json!({
        "added": added,
        "withdrawn": withdrawn,
        "incomplete": claim.incomplete.map(claims::Incomplete::as_str),
    }))
}

/// The teams that the claim's values name; those that nobody has pushed are created.
fn named_teams(
    conn: &mut Conn,
    context: &Context,
    claim: &GroupsClaim,
) -> Result<BTreeSet<String>, SignInError> {
    if claim.groups.is_empty() {
        return Ok(BTreeSet::new());
    }
    let values: Vec<&str> = claim.groups.values().map(String::as_str).collect();
    let folded: Vec<&str> = claim.groups.keys().map(String::as_str).collect();
    let known = team_rows::named(conn, &context.connection.id, &values, &folded)?;
    let mut by_external_id = BTreeMap::new();
    let mut by_name = BTreeMap::new();
    for team in known {
        if let Some(external_id) = team.external_id {
            by_external_id.insert(external_id, team.id.clone());
        }
        by_name.insert(team.display_name_fold, team.id);
    }
    let mut ids = BTreeSet::new();
    for (folded, value) in &claim.groups {
        let id = match by_external_id.get(value).or_else(|| by_name.get(folded)) {
            Some(id) => id.clone(),
            None => teams::insert_claimed(conn, context, value)?,
        };
        ids.insert(id);
    }
    Ok(ids)
}

impl From<ScimError> for SignInError {
    fn from(error: ScimError) -> Self {
        Self::Directory(error.into())
    }
}
