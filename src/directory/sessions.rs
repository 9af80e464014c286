//! Sessions: 256 random bits in a cookie, stored as a hash, and over at once when the user is.

use serde_json::{Value, json};

use super::events::{self, Action, Actor, By, Data, Entry, Subject};
use super::{Context, DirectoryResult, new_id, tokens};
use crate::db::sessions::{self as rows, SessionRow};
use crate::db::{Conn, StoreError, connections as connection_rows, users as user_rows};

/// How long a session lasts at most, in microseconds.
pub const ABSOLUTE: i64 = 12 * 3600 * 1_000_000;
/// How long a session lasts without being used, in microseconds.
pub const IDLE: i64 = 2 * 3600 * 1_000_000;
/// How old the noted last use may be before it is noted again, in microseconds.
const LAST_USE_GRAIN: i64 = 60_000_000;
/// How every session secret starts.
const PREFIX: &str = "muster_session_";

/// A session that has just begun.
#[derive(Debug)]
pub struct NewSession {
    pub id: String,
    pub user_id: String,
    /// What the browser keeps; it is not stored here.
    pub secret: tokens::PlainToken,
}

/// A live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub id: String,
    pub connection_id: String,
    pub user_id: String,
    /// Whether it is time to note that it was used.
    pub note_use: bool,
}

/// Begins a session of a user.
///
/// # Errors
/// The store's.
pub fn create(conn: &mut Conn, context: &Context, user_id: &str) -> DirectoryResult<NewSession> {
    // Those that nobody ended are forgotten as new ones begin.
    rows::delete_expired(conn, context.now)?;
    let secret = tokens::PlainToken::generate_with(PREFIX)?;
    let row = SessionRow {
        id: new_id(),
        hash: tokens::hash(secret.expose()),
        connection_id: context.connection.id.clone(),
        user_id: user_id.to_owned(),
        created_at: context.now,
        last_seen_at: context.now,
        expires_at: context.now + ABSOLUTE,
    };
    rows::insert(conn, &row)?;
    Ok(NewSession { id: row.id, user_id: row.user_id, secret })
}

/// The live session of a secret. A session of an inactive user, or of a connection that is gone,
/// lives no more, whatever its row says.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, secret: &str, now: i64) -> Result<Option<Session>, StoreError> {
    let Some(row) = rows::find_by_hash(conn, &tokens::hash(secret))? else { return Ok(None) };
    let lives = row.expires_at > now && now - row.last_seen_at < IDLE;
    if !lives || connection_rows::find(conn, &row.connection_id)?.is_none() {
        return Ok(None);
    }
    let user = user_rows::find(conn, &row.connection_id, &row.user_id)?;
    if !user.is_some_and(|user| user.active) {
        return Ok(None);
    }
    Ok(Some(Session {
        note_use: now - row.last_seen_at >= LAST_USE_GRAIN,
        id: row.id,
        connection_id: row.connection_id,
        user_id: row.user_id,
    }))
}

/// Notes that a session was used.
///
/// # Errors
/// The store's.
pub fn touch(conn: &mut Conn, id: &str, now: i64) -> Result<(), StoreError> {
    Ok(rows::touch(conn, id, now)?)
}

/// Signs somebody out: ends the session, with its codes and access tokens.
///
/// # Errors
/// The store's.
pub fn sign_out(
    conn: &mut Conn,
    id: &str,
    request_id: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    let Some(session) = rows::find(conn, id)? else { return Ok(()) };
    if rows::delete(conn, id)? == 0 {
        return Ok(());
    }
    let data = json!({ "session": session.id });
    let entry = Entry {
        connection_id: &session.connection_id,
        at: now,
        actor: &Actor::User(session.user_id.clone()),
        request_id,
        subject: Subject::User,
        subject_id: &session.user_id,
        action: Action::SignedOut,
        data: Data::Said(&data),
    };
    events::append(conn, &entry)
}

/// Ends every session of a user, with their codes and access tokens.
///
/// # Errors
/// The store's.
pub fn end_all(conn: &mut Conn, user_id: &str) -> Result<(), StoreError> {
    Ok(rows::delete_of_user(conn, user_id).map(drop)?)
}

/// The live sessions of a user, newest first.
///
/// # Errors
/// The store's.
pub fn of_user(conn: &mut Conn, user_id: &str, now: i64) -> Result<Vec<Live>, StoreError> {
    let rows = rows::of_user(conn, user_id)?;
    let lives = |row: &SessionRow| row.expires_at > now && now - row.last_seen_at < IDLE;
    Ok(rows.into_iter().filter(lives).map(Live::from).collect())
}

/// A live session, as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    pub id: String,
    /// UTC microseconds.
    pub created_at: i64,
    /// When it was last used, give or take a minute, in UTC microseconds.
    pub last_seen_at: i64,
    /// UTC microseconds.
    pub expires_at: i64,
}

impl From<SessionRow> for Live {
    fn from(row: SessionRow) -> Self {
        Self {
            id: row.id,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
        }
    }
}

/// Ends sessions of a user from outside, with their codes and access tokens: one of them, or all.
/// Says how many there were.
///
/// # Errors
/// The store's.
pub fn revoke(
    conn: &mut Conn,
    connection_id: &str,
    user_id: &str,
    session_id: Option<&str>,
    by: &By,
) -> Result<usize, StoreError> {
    let mut ended = rows::of_user(conn, user_id)?;
    ended.retain(|row| {
        row.connection_id == connection_id && session_id.is_none_or(|id| id == row.id)
    });
    let ids: Vec<String> = ended.into_iter().map(|row| row.id).collect();
    rows::delete_each(conn, &ids)?;
    // As many events as if each had been ended by its owner, so that a reader knows them all alike.
    let data: Vec<Value> = ids.iter().map(|id| json!({ "session": id })).collect();
    let entry = |data| Entry {
        connection_id,
        at: by.now,
        actor: &by.actor,
        request_id: by.request_id.as_deref(),
        subject: Subject::User,
        subject_id: user_id,
        action: Action::SignedOut,
        data: Data::Said(data),
    };
    let entries: Vec<Entry<'_>> = data.iter().map(entry).collect();
    events::append_each(conn, &entries)?;
    Ok(ids.len())
}
