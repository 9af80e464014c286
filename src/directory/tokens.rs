//! SCIM tokens: 256 random bits each, shown once, stored as a hash, looked up by it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::connections::{self, AdminError, Connection};
use super::events::{self, Action, By, Subject};
use super::new_id;
use super::token_quirks::{self, QuirkUse};
use crate::access::Permit;
use crate::access::network::Networks;
use crate::access::scope::{Scope, Scopes};
use crate::clock::rfc3339;
use crate::db::connections::ConnectionRow;
use crate::db::secrets;
use crate::db::tokens::{self as rows, TokenRow};
use crate::db::{Conn, StoreError, connections as connection_rows};
use crate::secret::Secret;

/// How every SCIM token starts, so that secret scanners know one when they see it.
pub const PREFIX: &str = "muster_scim_";
/// How much older than now the noted last use may be before it is noted again, in microseconds.
pub const LAST_USE_GRAIN: i64 = 60_000_000;

/// A token as its bearer knows it. It is shown once and never stored.
#[derive(Debug)]
pub struct PlainToken(Secret);

impl PlainToken {
    /// A new random token.
    ///
    /// # Errors
    /// The operating system gives no random bits.
    pub fn generate() -> Result<Self, StoreError> {
        Self::generate_with(PREFIX)
    }

    /// A new random secret that starts in another way.
    ///
    /// # Errors
    /// The operating system gives no random bits.
    pub fn generate_with(prefix: &str) -> Result<Self, StoreError> {
        let mut bytes = [0_u8; 32];
        SysRng
            .try_fill_bytes(&mut bytes)
            .map_err(|error| StoreError::Unavailable(format!("no random bits: {error}")))?;
        Ok(Self(Secret::new(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))))
    }

    /// The secret itself, to be shown to whoever asked for the token.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The SHA-256 of a token, in hexadecimal.
///
/// A token has 256 random bits, so there is nothing to guess and no need for a slow hash.
pub fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// A token as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: String,
    /// Name of the connection it belongs to.
    pub connection: String,
    pub label: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    pub permit: Permit,
    /// The compatibility rules that its client made use of; only in a list.
    pub quirks: Vec<QuirkUse>,
}

impl Token {
    fn new(row: TokenRow, connection: String) -> Result<Self, StoreError> {
        Ok(Self {
            permit: permit(&row)?,
            id: row.id,
            connection,
            label: row.label,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
            quirks: Vec::new(),
        })
    }

    /// `live`, `expired` or `revoked`.
    pub fn status(&self, now: i64) -> &'static str {
        if self.revoked_at.is_some() {
            "revoked"
        } else if self.expires_at.is_some_and(|at| at <= now) {
            "expired"
        } else {
            "live"
        }
    }

    /// The token for programs, keys in snake case; never the secret.
    pub fn to_json(&self, now: i64) -> Value {
        json!({
            "id": self.id,
            "connection": self.connection,
            "label": self.label,
            "status": self.status(now),
            "created_at": rfc3339(self.created_at),
            "expires_at": self.expires_at.map(rfc3339),
            "last_used_at": self.last_used_at.map(rfc3339),
            "revoked_at": self.revoked_at.map(rfc3339),
            "scopes": self.permit.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
            "allow_from": self.permit.allow_from.to_strings(),
        })
    }

    /// The token as a list shows it: with the compatibility rules that its client made use of.
    pub fn to_listing(&self, now: i64) -> Value {
        let mut object = self.to_json(now);
        if let Some(members) = object.as_object_mut() {
            let quirks: Value = self.quirks.iter().map(QuirkUse::to_json).collect();
            members.insert("quirks".to_owned(), quirks);
        }
        object
    }
}

/// What the bearer of a stored token may do.
fn permit(row: &TokenRow) -> Result<Permit, StoreError> {
    Ok(Permit {
        scopes: row.scopes.parse().map_err(StoreError::Corrupt)?,
        allow_from: row.allow_from.parse().map_err(StoreError::Corrupt)?,
    })
}

/// Adds a token to a connection, which may do everything from everywhere. Those it has go on working.
///
/// # Errors
/// The store's.
pub fn create(
    conn: &mut Conn,
    connection: &Connection,
    label: &str,
    expires_at: Option<i64>,
    now: i64,
) -> Result<(Token, PlainToken), AdminError> {
    create_with(conn, connection, label, &Permit::default(), expires_at, now)
}

/// Adds a token to a connection that may do this much.
///
/// # Errors
/// The store's.
pub fn create_with(
    conn: &mut Conn,
    connection: &Connection,
    label: &str,
    permit: &Permit,
    expires_at: Option<i64>,
    now: i64,
) -> Result<(Token, PlainToken), AdminError> {
    create_by(conn, connection, label, permit, expires_at, &By::command_line(now))
}

/// The same, by somebody who need not be at the command line.
///
/// # Errors
/// The store's.
pub fn create_by(
    conn: &mut Conn,
    connection: &Connection,
    label: &str,
    permit: &Permit,
    expires_at: Option<i64>,
    by: &By,
) -> Result<(Token, PlainToken), AdminError> {
    let now = by.now;
    let plain = PlainToken::generate()?;
    let row = TokenRow {
        id: new_id(),
        connection_id: connection.id.clone(),
        hash: hash(plain.expose()),
        label: label.to_owned(),
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
        scopes: permit.scopes.to_string(),
        allow_from: permit.allow_from.to_string(),
    };
    rows::insert(conn, &row)?;
    let token = Token::new(row, connection.name.clone())?;
    let data = json!({ "after": token.to_json(now) });
    record(conn, &connection.id, &token.id, Action::Created, &data, by)?;
    Ok((token, plain))
}

/// All tokens, or those of one connection, oldest first.
///
/// # Errors
/// There is no such connection.
pub fn all(conn: &mut Conn, connection: Option<&str>) -> Result<Vec<Token>, AdminError> {
    let connection_id = match connection {
        Some(name) => Some(connections::find(conn, name)?.id),
        None => None,
    };
    let rows = rows::all(conn, connection_id.as_deref())?;
    let mut quirks = token_quirks::by_token(conn)?;
    let token = |(row, connection): (TokenRow, ConnectionRow)| {
        let quirks = quirks.remove(&row.id).unwrap_or_default();
        Ok(Token { quirks, ..Token::new(row, connection.name)? })
    };
    Ok(rows.into_iter().map(token).collect::<Result<_, StoreError>>()?)
}

/// The tokens of a connection, oldest first, without the compatibility rules of their clients.
///
/// # Errors
/// The store's.
pub fn of(conn: &mut Conn, connection: &Connection) -> Result<Vec<Token>, StoreError> {
    let rows = rows::all(conn, Some(&connection.id))?;
    rows.into_iter().map(|(row, connection)| Token::new(row, connection.name)).collect()
}

/// What can be changed of a token; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    pub label: Option<String>,
    pub scopes: Option<Scopes>,
    pub allow_from: Option<Networks>,
}

/// Changes a token; the next request with it is held against the change.
///
/// # Errors
/// There is no token with that id.
pub fn update(conn: &mut Conn, id: &str, change: &Change, now: i64) -> Result<Token, AdminError> {
    let no_token = || AdminError::NoToken(id.to_owned());
    let before = rows::lock(conn, id)?.ok_or_else(no_token)?;
    let connection = connection_rows::find(conn, &before.connection_id)?.ok_or_else(no_token)?;
    let mut after = before.clone();
    if let Some(label) = &change.label {
        after.label.clone_from(label);
    }
    if let Some(scopes) = change.scopes {
        after.scopes = scopes.to_string();
    }
    if let Some(allow_from) = &change.allow_from {
        after.allow_from = allow_from.to_string();
    }
    let is_changed = after != before;
    let before = Token::new(before, connection.name.clone())?;
    if is_changed {
        rows::update(conn, &after)?;
    }
    let after = Token::new(after, connection.name)?;
    if is_changed {
        let data = json!({ "before": before.to_json(now), "after": after.to_json(now) });
        record(conn, &connection.id, id, Action::Updated, &data, &By::command_line(now))?;
    }
    Ok(after)
}

/// Revokes a token; the next request with it is refused. Revoking it again changes nothing.
///
/// # Errors
/// There is no token with that id.
pub fn revoke(conn: &mut Conn, id: &str, now: i64) -> Result<Token, AdminError> {
    revoke_by(conn, id, &By::command_line(now))
}

/// The same, by somebody who need not be at the command line.
///
/// # Errors
/// There is no token with that id.
pub fn revoke_by(conn: &mut Conn, id: &str, by: &By) -> Result<Token, AdminError> {
    let now = by.now;
    let no_token = || AdminError::NoToken(id.to_owned());
    let revoked = rows::revoke(conn, id, now)? > 0;
    let row = rows::find(conn, id)?.ok_or_else(no_token)?;
    let connection = connection_rows::find(conn, &row.connection_id)?.ok_or_else(no_token)?;
    let token = Token::new(row, connection.name)?;
    if revoked {
        let data = json!({ "after": token.to_json(now) });
        record(conn, &connection.id, id, Action::Revoked, &data, by)?;
    }
    Ok(token)
}

/// Who a token speaks for.
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub token_id: String,
    pub connection: Arc<Connection>,
    pub permit: Permit,
    /// When it expires, in UTC microseconds.
    pub expires_at: Option<i64>,
    /// From when on its use is to be noted again, in UTC microseconds.
    pub note_at: i64,
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    #[error("the token is not known; paste it again, without quotes or spaces")]
    Unknown,
    #[error("this is no SCIM token; create one with 'muster token create CONNECTION'")]
    AnotherKind,
    #[error("the token has expired; create a new one with 'muster token create'")]
    Expired,
    #[error("the token was revoked; create a new one with 'muster token create'")]
    Revoked,
}

/// Looks up who a token speaks for.
///
/// # Errors
/// The store's; a token that is not accepted is the inner error.
pub fn authenticate(
    conn: &mut Conn,
    presented: &str,
    now: i64,
) -> Result<Result<Authenticated, TokenRefused>, StoreError> {
    let Some(row) = rows::find_by_hash(conn, &hash(presented))? else {
        // What it is for can be seen by how it starts.
        let is_another = presented.starts_with("muster_") && !presented.starts_with(PREFIX);
        let refused = if is_another { TokenRefused::AnotherKind } else { TokenRefused::Unknown };
        return Ok(Err(refused));
    };
    if row.revoked_at.is_some() {
        return Ok(Err(TokenRefused::Revoked));
    }
    if row.expires_at.is_some_and(|at| at <= now) {
        return Ok(Err(TokenRefused::Expired));
    }
    let Some(connection) = connection_rows::find(conn, &row.connection_id)? else {
        return Ok(Err(TokenRefused::Unknown));
    };
    let note_at = row.last_used_at.map_or(now, |at| at.saturating_add(LAST_USE_GRAIN));
    let connection = Arc::new(Connection::from_row(connection)?);
    let (permit, expires_at) = (permit(&row)?, row.expires_at);
    Ok(Ok(Authenticated { token_id: row.id, connection, permit, expires_at, note_at }))
}

/// What stays the same as long as every token stands for what it stood for, but for those that
/// expire. Whoever looks a token up has to read it in one snapshot with that, or before; whoever holds it
/// against what was looked up earlier, in one statement with what is read on behalf of the token, or after.
///
/// # Errors
/// The store's.
pub fn epoch(conn: &mut Conn) -> Result<String, StoreError> {
    Ok(secrets::access_epoch(conn)?)
}

/// What a statement finds that may tell, too, whether tokens still stand for what they stood for.
pub trait AsOf {
    /// The [epoch] of the very moment at which it was found; none where the statement does not tell.
    fn epoch(&self) -> Option<&str>;
}

/// Notes that a token was used.
///
/// # Errors
/// The store's.
pub fn note_use(conn: &mut Conn, id: &str, now: i64) -> Result<(), StoreError> {
    Ok(rows::touch(conn, id, now)?)
}

fn record(
    conn: &mut Conn,
    connection_id: &str,
    token_id: &str,
    action: Action,
    data: &Value,
    by: &By,
) -> Result<(), AdminError> {
    let entry = events::Entry {
        connection_id,
        at: by.now,
        actor: &by.actor,
        request_id: by.request_id.as_deref(),
        subject: Subject::Token,
        subject_id: token_id,
        action,
        data: events::Data::Said(data),
    };
    Ok(events::append(conn, &entry)?)
}
