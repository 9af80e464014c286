//! The mass-change brake: a push that would take away more than a connection allows within a window
//! is held, and so is everything after it that takes something away, until somebody lets it through.
//!
//! A misconfigured assignment at the identity provider deactivates thousands of people one by one;
//! here it stops after the first few. What gives and what changes goes on meanwhile.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::connections::{self, AdminError, Connection};
use super::events::{self, Action, Actor, Data, Entry, Subject};
use super::{Context, DirectoryResult, new_id};
use crate::clock::rfc3339;
use crate::db::brakes::{self as rows, Removed};
use crate::db::{Conn, StoreError, users};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// So few users are no mass change, whatever share of all they are.
const FEW: i64 = 5;

/// How many users may be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many.
    Number(i64),
    /// So many in a hundred of the connection's users.
    Share(i64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Share(share) => write!(f, "{share}%"),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is no limit; write a number, or a share such as 10%");
        let limit = match text.strip_suffix('%') {
            Some(share) => Self::Share(share.parse().map_err(|_| wrong())?),
            None => Self::Number(text.parse().map_err(|_| wrong())?),
        };
        match limit {
            Self::Number(0..) | Self::Share(0..=100) => Ok(limit),
            _ => Err(wrong()),
        }
    }
}

/// When a connection's brake is put on; without limits it never is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How many users SCIM may deactivate or delete within the window.
    pub users: Option<Limit>,
    /// How many members SCIM may take out of groups within the window.
    pub members: Option<i64>,
    /// The window, in seconds.
    pub window: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { users: None, members: None, window: 3600 }
    }
}

/// Why something is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the mass-change brake of this connection is on: {what}. Nothing was changed. If this is meant, \
     let it through with 'muster brake release {connection}' and push again"
)]
pub struct Held {
    /// The connection's name.
    pub connection: String,
    what: String,
    /// Whether the brake was on already.
    is_on: bool,
}

impl Held {
    /// Whether the brake was on already, when the request came.
    pub fn is_on(&self) -> bool {
        self.is_on
    }
}

/// Counts what a request of SCIM's takes away, in its transaction, before it writes that.
///
/// # Errors
/// It is too much, or the brake is on already.
pub(super) fn count(conn: &mut Conn, context: &Context, removed: Removed) -> DirectoryResult<()> {
    let Connection { id, name, settings, .. } = &*context.connection;
    let settings = &settings.brake;
    let limited = Removed {
        users: settings.users.map_or(0, |_| removed.users),
        members: settings.members.map_or(0, |_| removed.members),
    };
    if !matches!(context.actor, Actor::Token(_)) || limited == Removed::default() {
        return Ok(());
    }
    let brake = rows::lock(conn, id)?;
    if brake.released_until.is_some_and(|until| until > context.now) {
        return Ok(());
    }
    let held = |what: String, limit: String| Held {
        connection: name.clone(),
        what: match brake.held_at {
            Some(at) => format!("it was put on at {} and holds until it is released", rfc3339(at)),
            None => format!("{what} ({limit} within {} seconds are allowed)", settings.window),
        },
        is_on: brake.held_at.is_some(),
    };
    let begin = context.now.saturating_sub(settings.window.saturating_mul(SECOND));
    rows::forget(conn, id, begin)?;
    let earlier = rows::removed_since(conn, id, begin)?;
    let users = earlier.users.saturating_add(limited.users);
    let members = earlier.members.saturating_add(limited.members);
    if let Some(limit) = settings.users.filter(|_| limited.users > 0) {
        let too_many = match limit {
            Limit::Number(number) => users > number,
            Limit::Share(share) => {
                users > FEW && !has_enough(conn, id, (users, earlier.users), share)?
            }
        };
        if brake.held_at.is_some() || too_many {
            let what = format!("with this request {users} users would be deactivated or deleted");
            return Err(held(what, limit.to_string()).into());
        }
    }
    if let Some(limit) = settings.members.filter(|_| limited.members > 0)
        && (brake.held_at.is_some() || members > limit)
    {
        let what = format!("with this request {members} members would be removed from groups");
        return Err(held(what, limit.to_string()).into());
    }
    Ok(rows::add(conn, &new_id(), id, context.now, limited)?)
}

/// Whether so many users were active when the window began that those who would be gone are no more
/// than a share of them. Of the users it reads the index of inactive ones alone.
fn has_enough(
    conn: &mut Conn,
    id: &str,
    (gone, earlier): (i64, i64),
    share: i64,
) -> DirectoryResult<bool> {
    let Some(needed) = gone.saturating_mul(100).checked_div(share) else { return Ok(false) };
    let rest = i64::from(needed.saturating_mul(share) < gone.saturating_mul(100));
    // Those who went earlier are inactive now, or no rows any more.
    let active = needed.saturating_add(rest).saturating_sub(earlier);
    let all = active.saturating_add(users::inactive(conn, id)?);
    Ok(users::count(conn, id, None)? >= all)
}

/// Puts the brake on, because a request went too far; once it is on it stays on until it is released.
///
/// # Errors
/// The store's.
pub fn put_on(conn: &mut Conn, context: &Context, held: &Held) -> Result<(), StoreError> {
    let id = context.connection.id.as_str();
    let brake = rows::lock(conn, id)?;
    // It may have been released since the request was refused.
    let is_released = brake.released_until.is_some_and(|until| until > context.now);
    if brake.held_at.is_some() || is_released {
        return Ok(());
    }
    rows::set(conn, id, Some(context.now), None)?;
    let data = json!({ "reason": held.to_string() });
    events::record(conn, context, Subject::Connection, id, Action::Held, &data)
}

/// What a connection's brake is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The connection's name.
    pub connection: String,
    pub settings: Settings,
    /// Since when removals are held, in UTC microseconds.
    pub held_at: Option<i64>,
    /// Until when nothing is counted, in UTC microseconds.
    pub released_until: Option<i64>,
    /// What was removed within the window.
    pub removed: Removed,
}

impl State {
    /// `off`, `ready`, `held` or `released`.
    pub fn status(&self) -> &'static str {
        if self.released_until.is_some() {
            "released"
        } else if self.held_at.is_some() {
            "held"
        } else if self.settings.users.is_none() && self.settings.members.is_none() {
            "off"
        } else {
            "ready"
        }
    }

    /// The state for programs, keys in snake case.
    pub fn to_json(&self) -> Value {
        json!({
            "connection": self.connection,
            "status": self.status(),
            "users_limit": self.settings.users.map(|limit| limit.to_string()),
            "members_limit": self.settings.members,
            "window_seconds": self.settings.window,
            "users_removed": self.removed.users,
            "members_removed": self.removed.members,
            "held_at": self.held_at.map(rfc3339),
            "released_until": self.released_until.map(rfc3339),
        })
    }
}

/// The brake of a connection.
///
/// # Errors
/// The store's.
pub fn state(conn: &mut Conn, connection: &Connection, now: i64) -> Result<State, StoreError> {
    let settings = connection.settings.brake.clone();
    let brake = rows::find(conn, &connection.id)?;
    let begin = now.saturating_sub(settings.window.saturating_mul(SECOND));
    Ok(State {
        connection: connection.name.clone(),
        removed: rows::removed_since(conn, &connection.id, begin)?,
        held_at: brake.as_ref().and_then(|brake| brake.held_at),
        released_until: brake.and_then(|brake| brake.released_until).filter(|until| *until > now),
        settings,
    })
}

/// The brakes of all connections, by name.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn, now: i64) -> Result<Vec<State>, AdminError> {
    let connections = connections::all(conn)?;
    connections.iter().map(|connection| Ok(state(conn, connection, now)?)).collect()
}

/// Lets through what is held: until a time nothing of the connection's is counted, and then counting
/// begins anew.
///
/// # Errors
/// There is no such connection.
pub fn release(
    conn: &mut Conn,
    name: &str,
    actor: &Actor,
    request_id: Option<&str>,
    until: i64,
    now: i64,
) -> Result<State, AdminError> {
    let connection = connections::find(conn, name)?;
    let before = rows::lock(conn, &connection.id)?;
    rows::set(conn, &connection.id, None, Some(until))?;
    rows::forget(conn, &connection.id, now)?;
    let data = json!({
        "held_at": before.held_at.map(rfc3339),
        "released_until": rfc3339(until),
    });
    let entry = Entry {
        connection_id: &connection.id,
        at: now,
        actor,
        request_id,
        subject: Subject::Connection,
        subject_id: &connection.id,
        action: Action::Released,
        data: Data::Said(&data),
    };
    events::append(conn, &entry)?;
    Ok(state(conn, &connection, now)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_as_it_is_written() {
        for (text, limit) in [
            ("0", Limit::Number(0)),
            ("20", Limit::Number(20)),
            ("0%", Limit::Share(0)),
            ("10%", Limit::Share(10)),
            ("100%", Limit::Share(100)),
        ] {
            assert_eq!(text.parse(), Ok(limit));
            assert_eq!(limit.to_string(), text);
        }
        for text in ["", "%", "-1", "101%", "-1%", "1.5%", "ten", "10 %", "99999999999999999999"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }
}
