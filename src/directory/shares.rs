//! Links that show the set-up page of one connection to somebody without an account here: the
//! customer's administrator.
//!
//! A link is a secret of 256 random bits with an end of its own, stored as a hash. It opens that page
//! and nothing else. What a guest enters there touches no other connection: the issuer is nobody else's,
//! and answers from it come to a redirect URI of its own (RFC 9700 section 4.4.2).

use serde_json::json;

use super::connections::{self, AdminError, Connection};
use super::events::{self, Action, By, Data, Entry, Subject};
use super::{Actor, new_id, tokens};
use crate::access::Permit;
use crate::clock::rfc3339;
use crate::db::console::{self as rows, ShareLinkRow};
use crate::db::{Conn, MayBeStore, StoreError, connections as connection_rows};
use crate::secret::Secret;

/// How every link's secret starts.
const PREFIX: &str = "muster_share_";

/// A link, as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareLink {
    pub id: String,
    pub label: String,
    /// Whether the guest may make a token and say where people sign in, or may look only.
    pub may_set_up: bool,
    /// UTC microseconds.
    pub created_at: i64,
    /// UTC microseconds.
    pub expires_at: i64,
    /// UTC microseconds.
    pub revoked_at: Option<i64>,
}

impl ShareLink {
    fn from_row(row: ShareLinkRow) -> Self {
        Self {
            id: row.id,
            label: row.label,
            may_set_up: row.may_set_up,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
        }
    }

    /// Whether it still opens the page.
    pub fn is_live(&self, now: i64) -> bool {
        self.revoked_at.is_none() && self.expires_at > now
    }
}

/// Somebody who came by a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    pub link: ShareLink,
    pub connection: Connection,
}

/// What somebody comes with who wants to change something by a link.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The link's secret.
    pub secret: Secret,
    /// The id of the link whose page the form was on.
    pub page_of: Option<String>,
    pub request_id: Option<String>,
    /// UTC microseconds.
    pub now: i64,
}

/// Why a guest may not change something.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("Your link has ended, or is for looking alone.")]
    OnlyLooks,
    #[error(
        "This connection opens the console to its people, so nobody sets it up by a link. 'muster \
         connection update' does."
    )]
    OfTheVendorsOwn,
    #[error(
        "This page is of another link than the one that you opened last, so nothing was done. Open the \
         link again."
    )]
    AnotherPage,
    #[error(
        "An issuer has to be at a public https address. For one that is not, ask whoever sent you the \
         link to enter it."
    )]
    NotPublic,
    #[error("This issuer cannot be entered by a link. Ask whoever sent it to you to enter it.")]
    NotByLink,
    #[error(transparent)]
    Admin(#[from] AdminError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Admin(error.into())
    }
}

impl From<diesel::result::Error> for Refused {
    fn from(error: diesel::result::Error) -> Self {
        Self::Admin(error.into())
    }
}

impl MayBeStore for Refused {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Admin(error) => error.or_store().map_err(Self::Admin),
            other => Err(other),
        }
    }
}

/// Where people sign in, as a guest says it.
#[derive(Debug, Clone)]
pub struct Registration {
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    /// Whether the issuer is at an address that guests may name.
    pub may_be_named: bool,
}

/// Makes a link to a connection's set-up page; gives it with its secret, which is shown this once.
///
/// A guest who may set up a connection without an issuer gets a redirect URI for it alone.
///
/// # Errors
/// The store's.
pub fn create(
    conn: &mut Conn,
    connection: &Connection,
    label: &str,
    may_set_up: bool,
    expires_at: i64,
    by: &By,
) -> Result<(ShareLink, tokens::PlainToken), AdminError> {
    if may_set_up && connection.settings.sign_in.issuer.is_none() {
        let apart = |settings: &mut connections::Settings| settings.sign_in.own_callback = true;
        connections::update_by(conn, &connection.name, apart, by)?;
    }
    let secret = tokens::PlainToken::generate_with(PREFIX)?;
    let row = ShareLinkRow {
        id: new_id(),
        hash: tokens::hash(secret.expose()),
        connection_id: connection.id.clone(),
        label: label.to_owned(),
        may_set_up,
        created_at: by.now,
        expires_at,
        revoked_at: None,
    };
    rows::insert_link(conn, &row)?;
    let link = ShareLink::from_row(row);
    let data = json!({ "share_link": {
        "id": link.id,
        "label": link.label,
        "may_set_up": link.may_set_up,
        "expires_at": rfc3339(link.expires_at),
    }});
    record(conn, &connection.id, Action::Shared, &data, by)?;
    Ok((link, secret))
}

/// The links of a connection, newest first.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn, connection_id: &str) -> Result<Vec<ShareLink>, StoreError> {
    Ok(rows::links_of(conn, connection_id)?.into_iter().map(ShareLink::from_row).collect())
}

/// Revokes a link of a connection, so that it opens nothing any more. Once more changes nothing.
///
/// # Errors
/// The store's.
pub fn revoke(
    conn: &mut Conn,
    connection: &Connection,
    id: &str,
    by: &By,
) -> Result<(), AdminError> {
    if rows::revoke_link(conn, &connection.id, id, by.now)? == 0 {
        return Ok(());
    }
    record(conn, &connection.id, Action::Unshared, &json!({ "share_link": { "id": id } }), by)
}

/// Who comes with a link's secret, if it is a live one.
///
/// # Errors
/// The store's.
pub fn guest(conn: &mut Conn, secret: &str, now: i64) -> Result<Option<Guest>, StoreError> {
    let Some(row) = rows::find_link(conn, &tokens::hash(secret))? else { return Ok(None) };
    let connection_id = row.connection_id.clone();
    let link = ShareLink::from_row(row);
    if !link.is_live(now) {
        return Ok(None);
    }
    let Some(connection) = connection_rows::find(conn, &connection_id)? else { return Ok(None) };
    Ok(Some(Guest { link, connection: Connection::from_row(connection)? }))
}

/// Makes a token of the guest's connection, which ends so many microseconds from now; gives both.
///
/// # Errors
/// The guest may not; the store's.
pub fn make_token(
    conn: &mut Conn,
    visit: &Visit,
    lifetime: i64,
) -> Result<(Connection, tokens::PlainToken), Refused> {
    let (guest, by) = admitted(conn, visit)?;
    let (label, end) = (format!("made by link {}", guest.link.id), Some(by.now + lifetime));
    let permit = Permit::default();
    let (_, secret) = tokens::create_by(conn, &guest.connection, &label, &permit, end, &by)?;
    Ok((guest.connection, secret))
}

/// Sets where the people of the guest's connection sign in.
///
/// # Errors
/// The guest may not, or not with this issuer; the store's.
pub fn set_sign_in(
    conn: &mut Conn,
    visit: &Visit,
    registration: &Registration,
) -> Result<(), Refused> {
    let (guest, by) = admitted(conn, visit)?;
    let Registration { issuer, client_id, may_be_named } = registration;
    let before = &guest.connection.settings.sign_in;
    let is_another = *issuer != before.issuer;
    if is_another && !may_be_named {
        return Err(Refused::NotPublic);
    }
    // By a redirect URI that is shared, one provider's answer could be passed off as another's.
    if is_another && !before.own_callback {
        return Err(Refused::NotByLink);
    }
    let change = |settings: &mut connections::Settings| {
        settings.sign_in.issuer.clone_from(issuer);
        settings.sign_in.client_id.clone_from(client_id);
    };
    let after = connections::update_by(conn, &guest.connection.name, change, &by)?;
    if after.id != guest.connection.id {
        return Err(AdminError::NoConnection(guest.connection.name).into());
    }
    // After the change, which waits for those of other connections that are under way.
    if let Some(issuer) = issuer.as_ref().filter(|_| is_another)
        && connections::of_issuer(conn, issuer)?.iter().any(|other| other.id != after.id)
    {
        return Err(Refused::NotByLink);
    }
    Ok(())
}

/// Who may change something, from the page of the link.
fn admitted(conn: &mut Conn, visit: &Visit) -> Result<(Guest, By), Refused> {
    let guest = guest(conn, visit.secret.expose(), visit.now)?;
    let guest = guest.filter(|guest| guest.link.may_set_up).ok_or(Refused::OnlyLooks)?;
    // Who sets that connection up decides who may use the console.
    if guest.connection.settings.console_role.is_some() {
        return Err(Refused::OfTheVendorsOwn);
    }
    // A browser has the cookie of one link, and may show pages of several.
    if visit.page_of.as_ref() != Some(&guest.link.id) {
        return Err(Refused::AnotherPage);
    }
    let by = By {
        actor: Actor::Guest(guest.link.id.clone()),
        request_id: visit.request_id.clone(),
        now: visit.now,
    };
    Ok((guest, by))
}

fn record(
    conn: &mut Conn,
    connection_id: &str,
    action: Action,
    data: &serde_json::Value,
    by: &By,
) -> Result<(), AdminError> {
    let entry = Entry {
        connection_id,
        at: by.now,
        actor: &by.actor,
        request_id: by.request_id.as_deref(),
        subject: Subject::Connection,
        subject_id: connection_id,
        action,
        data: Data::Said(data),
    };
    Ok(events::append(conn, &entry)?)
}
