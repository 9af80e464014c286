//! Who is at the console: somebody with an admin token, or somebody who signed in by a connection of
//! the vendor's own and has the role that opens it.

use super::connections::Connection;
use super::events::Actor;
use super::membership::Policy;
use super::sessions::{ABSOLUTE, IDLE};
use super::{sessions, tokens};
use crate::access::network::Networks;
use crate::db::console::{self as rows, ConsoleSessionRow};
use crate::db::{Conn, StoreError, apps, connections as connection_rows, roles, users};

/// How every secret of a console session starts.
const PREFIX: &str = "muster_console_";
/// How old the noted last use may be before it is noted again, in microseconds.
const LAST_USE_GRAIN: i64 = 60_000_000;

/// How somebody came to the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// With an admin token.
    Token { id: String },
    /// By signing in.
    Person { user_id: String, session_id: String },
}

/// Somebody at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    pub who: Who,
    /// How the console calls them.
    pub name: String,
    /// Where requests have to come from.
    pub allow_from: Networks,
    /// Whether it is time to note that the session was used.
    pub note_use: bool,
}

impl Operator {
    /// Who the log says has made a change.
    pub fn actor(&self) -> Actor {
        match &self.who {
            Who::Token { id } => Actor::Admin(id.clone()),
            Who::Person { user_id, .. } => Actor::User(user_id.clone()),
        }
    }
}

/// Begins a session of an admin token, which was found to be a live one.
///
/// # Errors
/// The store's.
pub fn begin(
    conn: &mut Conn,
    admin_token_id: &str,
    now: i64,
) -> Result<tokens::PlainToken, StoreError> {
    rows::delete_expired_sessions(conn, now)?;
    let secret = tokens::PlainToken::generate_with(PREFIX)?;
    let row = ConsoleSessionRow {
        hash: tokens::hash(secret.expose()),
        admin_token_id: admin_token_id.to_owned(),
        created_at: now,
        last_seen_at: now,
        expires_at: now + ABSOLUTE,
    };
    rows::insert_session(conn, &row)?;
    Ok(secret)
}

/// Whose live session of an admin token this is. The session is over as soon as the token is.
///
/// # Errors
/// The store's.
pub fn of_token(conn: &mut Conn, secret: &str, now: i64) -> Result<Option<Operator>, StoreError> {
    let Some(row) = rows::find_session(conn, &tokens::hash(secret))? else { return Ok(None) };
    if row.expires_at <= now || now - row.last_seen_at >= IDLE {
        return Ok(None);
    }
    let found = apps::find_admin_token_by_id(conn, &row.admin_token_id)?;
    let live = found.filter(|token| {
        token.revoked_at.is_none() && token.expires_at.is_none_or(|expires| expires > now)
    });
    let Some(token) = live else { return Ok(None) };
    Ok(Some(Operator {
        allow_from: token.allow_from.parse().map_err(StoreError::Corrupt)?,
        name: if token.label.is_empty() { "admin token".to_owned() } else { token.label },
        note_use: now - row.last_seen_at >= LAST_USE_GRAIN,
        who: Who::Token { id: token.id },
    }))
}

/// Who has signed in, if the connection is the vendor's own and the person has its role; `None` for
/// everybody else.
///
/// # Errors
/// The store's.
pub fn of_person(conn: &mut Conn, secret: &str, now: i64) -> Result<Option<Operator>, StoreError> {
    let Some(session) = sessions::find(conn, secret, now)? else { return Ok(None) };
    let Some(row) = connection_rows::find(conn, &session.connection_id)? else { return Ok(None) };
    let settings = Connection::from_row(row)?.settings;
    let Some(role) = settings.console_role else { return Ok(None) };
    let union = settings.membership == Policy::Union;
    if !roles::of_user(conn, &session.user_id, union)?.contains(&role) {
        return Ok(None);
    }
    let user = users::find(conn, &session.connection_id, &session.user_id)?;
    Ok(user.map(|user| Operator {
        who: Who::Person { user_id: session.user_id, session_id: session.id },
        name: user.user_name,
        allow_from: Networks::default(),
        note_use: session.note_use,
    }))
}

/// Notes that a session was used.
///
/// # Errors
/// The store's.
pub fn note_use(conn: &mut Conn, secret: &str, who: &Who, now: i64) -> Result<(), StoreError> {
    match who {
        Who::Token { .. } => Ok(rows::touch_session(conn, &tokens::hash(secret), now)?),
        Who::Person { session_id, .. } => sessions::touch(conn, session_id, now),
    }
}

/// Ends a session of an admin token.
///
/// # Errors
/// The store's.
pub fn end(conn: &mut Conn, secret: &str) -> Result<(), StoreError> {
    Ok(rows::delete_session(conn, &tokens::hash(secret)).map(drop)?)
}
