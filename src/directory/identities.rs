//! Who is who: what becomes of a user when SCIM's word on a person meets what sign-in has made of
//! it.
//!
//! SCIM speaks for the directory. A user whom only sign-in knows is taken in by the one that SCIM
//! says the person is, or gives way to it; and so does a user that SCIM has deactivated.

use serde_json::json;

use super::events::{Action, Subject, record};
use super::users::{external_id_taken, stored, user_name_taken};
use super::{Context, DirectoryResult};
use crate::db::connection::changed_meanwhile;
use crate::db::memberships::Said;
use crate::db::users::{self as rows, UserRow};
use crate::db::{Conn, memberships, sessions, teams};
use crate::scim::precis::prepare;
use crate::scim::resource::{Document, MAX_KEY_LENGTH};

/// Severs the identity that signs in as the user, because SCIM says that the user is somebody else
/// now: the sessions end, and what the identity's claims said is forgotten. The caller writes the
/// row. Returns the teams that the claims named.
///
/// # Errors
/// The store's.
pub fn sever(conn: &mut Conn, user: &mut UserRow, now: i64) -> DirectoryResult<Vec<String>> {
    user.issuer = None;
    user.subject = None;
    user.linked_external_id = None;
    user.claim_issued_at = None;
    user.token_issued_at = None;
    sessions::delete_of_user(conn, &user.id)?;
    let said = Said { at: now, by: "reassigned" };
    let left = memberships::retain_claim(conn, &user.id, [], said)?;
    teams::touch(conn, left.iter().map(String::as_str), now)?;
    Ok(left)
}

/// Sees to it that nobody else holds the keys that the user has from now on. A user whom only
/// sign-in knows is taken in, if it is the same person, or gives way; so does one that SCIM has
/// deactivated.
///
/// # Errors
/// 409 `uniqueness` if an active user that SCIM owns holds one of them.
pub(super) fn take_keys(
    conn: &mut Conn,
    context: &Context,
    before: &UserRow,
    row: &mut UserRow,
    document: &Document,
) -> DirectoryResult<()> {
    let tenant = before.connection_id.as_str();
    let is_other = |id: &String| *id != before.id;
    if let Some(external_id) = row.external_id.clone()
        && before.external_id != row.external_id
    {
        let holder = rows::find_by_external_id(conn, tenant, &external_id)?.filter(is_other);
        if let Some(id) = holder {
            let holder = rows::lock(conn, tenant, &id)?
                .filter(|holder| holder.external_id.as_ref() == Some(&external_id))
                .ok_or_else(changed_meanwhile)?;
            if holder.active {
                return Err(external_id_taken(document).into());
            }
            give_way(conn, context, holder, Key::ExternalId, &row.id)?;
        }
        let linked = rows::find_by_linked_external_id(conn, tenant, &external_id)?;
        if let Some(id) = linked.filter(is_other) {
            let linked = rows::lock(conn, tenant, &id)?
                .filter(|linked| carries(linked, &external_id))
                .ok_or_else(changed_meanwhile)?;
            if linked.scim_owned {
                give_identity_up(conn, context, linked, &external_id)?;
            } else {
                absorb(conn, context, linked, row)?;
            }
        }
    }
    if row.user_name_fold == before.user_name_fold {
        return Ok(());
    }
    let holder = rows::find_by_user_name(conn, tenant, &row.user_name_fold)?.filter(is_other);
    let Some(id) = holder else { return Ok(()) };
    let holder = rows::lock(conn, tenant, &id)?
        .filter(|holder| holder.user_name_fold == row.user_name_fold)
        .ok_or_else(changed_meanwhile)?;
    if holder.scim_owned && holder.active {
        return Err(user_name_taken(document).into());
    }
    let external_id = row.external_id.as_deref();
    if !holder.scim_owned && is_same_person(&holder, row, external_id) {
        absorb(conn, context, holder, row)
    } else {
        give_way(conn, context, holder, Key::UserName, &row.id)
    }
}

/// Whether an identity with that external id signs in as the user, to whom SCIM has given none.
pub(super) fn carries(user: &UserRow, external_id: &str) -> bool {
    user.external_id.is_none() && user.linked_external_id.as_deref() == Some(external_id)
}

/// Takes the identity away from a user of SCIM's, because SCIM gives the external id that it carried
/// to another one.
///
/// # Errors
/// The store's.
pub(super) fn give_identity_up(
    conn: &mut Conn,
    context: &Context,
    mut user: UserRow,
    external_id: &str,
) -> DirectoryResult<()> {
    let left = sever(conn, &mut user, context.now)?;
    rows::update(conn, &user)?;
    let data = json!({ "external_id": user.external_id, "gave_up": external_id, "teams": left });
    Ok(record(conn, context, Subject::User, &user.id, Action::Reassigned, &data)?)
}

/// Whether a user whom only sign-in knows is the person that SCIM now calls by its name.
///
/// The external id decides where both are known. Where they are not, the name does, as long as no
/// other identity signs in as the one that SCIM means.
fn is_same_person(made: &UserRow, meant: &UserRow, external_id: Option<&str>) -> bool {
    match (made.linked_external_id.as_deref(), external_id) {
        (Some(carried), Some(pushed)) => carried == pushed,
        _ => meant.subject.is_none(),
    }
}

/// Takes a user whom only sign-in knows into the one that SCIM says the person is: what was said of
/// it goes over, and so does the identity with its claims, unless another one signs in there. The
/// first user is gone then, with its sessions. The caller writes the row.
///
/// # Errors
/// The store's.
pub(super) fn absorb(
    conn: &mut Conn,
    context: &Context,
    from: UserRow,
    into: &mut UserRow,
) -> DirectoryResult<()> {
    rows::lock_for_removal(conn, &from.connection_id, &from.id)?;
    let touched = memberships::move_user(conn, &from.id, &into.id, into.subject.is_none())?;
    teams::touch(conn, touched.iter().map(String::as_str), context.now)?;
    rows::delete(conn, &from.connection_id, &from.id)?;
    let data = json!({ "before": stored(&from)?.as_map(), "into": into.id });
    record(conn, context, Subject::User, &from.id, Action::Absorbed, &data)?;
    if into.subject.is_none() {
        into.issuer = from.issuer;
        into.subject = from.subject;
        into.linked_external_id = from.linked_external_id;
        into.claim_issued_at = from.claim_issued_at;
        into.token_issued_at = from.token_issued_at;
        into.signed_in_at = from.signed_in_at;
    }
    Ok(())
}

/// What a user gives up to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    UserName,
    ExternalId,
}

/// Makes a user that is out of date give a key up to another one: a user whom only sign-in knows and
/// whose name is an old one, or one that SCIM has deactivated. It stays, under a name that says so.
///
/// # Errors
/// The store's.
fn give_way(
    conn: &mut Conn,
    context: &Context,
    before: UserRow,
    key: Key,
    to: &str,
) -> DirectoryResult<()> {
    let old = stored(&before)?.into_map();
    let mut document = old.clone();
    let mut row = before;
    match key {
        Key::UserName => {
            let name = former_name(&row.user_name, &row.id);
            document.insert("userName".to_owned(), name.as_str().into());
            row.user_name_fold = prepare(&name).into_owned();
            row.user_name = name;
        }
        Key::ExternalId => {
            document.shift_remove("externalId");
            row.external_id = None;
            // Who signed in under that external id is the other user from now on.
            sever(conn, &mut row, context.now)?;
        }
    }
    row.document = serde_json::to_string(&document)?;
    row.version += 1;
    row.updated_at = context.now.max(row.updated_at + 1);
    rows::update(conn, &row)?;
    let data = json!({ "before": old, "after": document, "gave_way_to": to });
    Ok(record(conn, context, Subject::User, &row.id, Action::Updated, &data)?)
}

/// The name of a user whose name has become another one's: unique, since ids are, and telling.
fn former_name(name: &str, id: &str) -> String {
    let mark = format!(" (former, {id})");
    let mut end = name.len().min(MAX_KEY_LENGTH.saturating_sub(mark.len()));
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{mark}", name.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_name_is_not_longer_than_a_name_may_be() {
        assert_eq!(former_name("ann", "1"), "ann (former, 1)");
        let long = "é".repeat(MAX_KEY_LENGTH / 2);
        let former = former_name(&long, "0190-1");
        assert!(former.len() <= MAX_KEY_LENGTH && former.ends_with("(former, 0190-1)"));
    }
}
