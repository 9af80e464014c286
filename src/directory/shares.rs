//! Links that show the set-up page of one connection to somebody without an account here: the
//! customer's administrator.
//!
//! A link is a secret of 256 random bits with an end of its own, stored as a hash. It opens that page
//! and nothing else.

use serde_json::json;

use super::connections::{AdminError, Connection};
use super::events::{self, Action, By, Entry, Subject};
use super::{new_id, tokens};
use crate::clock::rfc3339;
use crate::db::console::{self as rows, ShareLinkRow};
use crate::db::{Conn, StoreError, connections as connection_rows};

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

/// Makes a link to a connection's set-up page; gives it with its secret, which is shown this once.
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
        data,
    };
    Ok(events::append(conn, &entry)?)
}
