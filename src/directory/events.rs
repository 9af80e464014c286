//! The log of changes: one entry for each, in the transaction that makes it. It is the audit log
//! and the change feed alike, and never holds a secret.

use std::borrow::Cow;

use serde_json::Value;

use super::Context;
use super::changes;
use super::membership::Policy;
use crate::db::events::{self as rows, NewEvent};
use crate::db::{Conn, StoreError, journal, roles};

/// What stands for the connection where something belongs to none.
pub const NO_CONNECTION: &str = "";

/// How the log calls a SCIM client, as the kind of an actor.
pub const CLIENT: &str = "token";

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A SCIM client, by the id of its token.
    Token(String),
    /// Somebody at the command line.
    CommandLine,
    /// A sign-in, by its id.
    SignIn(String),
    /// Somebody who is signed in, by the user's id.
    User(String),
    /// The vendor's back end, or somebody at the console, by the id of the token.
    Admin(String),
    /// Somebody with a link to the set-up page, by its id.
    Guest(String),
    /// Muster itself.
    Server,
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => CLIENT,
            Self::CommandLine => "command-line",
            Self::SignIn(_) => "sign-in",
            Self::User(_) => "user",
            Self::Admin(_) => "admin-token",
            Self::Guest(_) => "share-link",
            Self::Server => "server",
        }
    }

    fn id(&self) -> Option<&str> {
        match self {
            Self::Token(id)
            | Self::SignIn(id)
            | Self::User(id)
            | Self::Admin(id)
            | Self::Guest(id) => Some(id),
            Self::CommandLine | Self::Server => None,
        }
    }
}

/// Who makes a change, in which request, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub actor: Actor,
    /// Id of the request, as in the answer's `X-Request-Id`.
    pub request_id: Option<String>,
    /// UTC microseconds.
    pub now: i64,
}

impl By {
    /// Somebody at the command line.
    pub fn command_line(now: i64) -> Self {
        Self { actor: Actor::CommandLine, request_id: None, now }
    }
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Connection,
    Token,
    User,
    Team,
    App,
    AdminToken,
    Webhook,
}

impl Subject {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Connection,
        Self::Token,
        Self::User,
        Self::Team,
        Self::App,
        Self::AdminToken,
        Self::Webhook,
    ];

    /// The subject's name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Token => "token",
            Self::User => "user",
            Self::Team => "team",
            Self::App => "app",
            Self::AdminToken => "admin-token",
            Self::Webhook => "webhook",
        }
    }
}

/// What a change was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Created,
    /// SCIM took over a resource that only sign-in had made.
    Adopted,
    /// A POST met an inactive user and brought it back.
    Reprovisioned,
    Updated,
    Deactivated,
    Reactivated,
    Deleted,
    Revoked,
    /// SCIM says that the user is somebody else than the one who signed in so far.
    Reassigned,
    /// Another team took the name and the claims.
    Absorbed,
    SignedIn,
    /// A sign-in that was not let in.
    Refused,
    SignedOut,
    /// The mass-change brake was put on.
    Held,
    /// What the brake held is let through.
    Released,
    /// A link to the set-up page was made.
    Shared,
    /// A link to the set-up page was revoked.
    Unshared,
    /// Nothing more is sent to a webhook.
    Disabled,
    /// A webhook signs with another secret.
    Rotated,
    /// A webhook sends again what it sent, or passes over what it did not.
    Replayed,
}

impl Action {
    /// All there are.
    pub const ALL: [Self; 20] = [
        Self::Created,
        Self::Adopted,
        Self::Reprovisioned,
        Self::Updated,
        Self::Deactivated,
        Self::Reactivated,
        Self::Deleted,
        Self::Revoked,
        Self::Reassigned,
        Self::Absorbed,
        Self::SignedIn,
        Self::Refused,
        Self::SignedOut,
        Self::Held,
        Self::Released,
        Self::Shared,
        Self::Unshared,
        Self::Disabled,
        Self::Rotated,
        Self::Replayed,
    ];

    /// The action's name in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
            Self::Reprovisioned => "reprovisioned",
            Self::Updated => "updated",
            Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
            Self::Deleted => "deleted",
            Self::Revoked => "revoked",
            Self::Reassigned => "identity-reassigned",
            Self::Absorbed => "absorbed",
            Self::SignedIn => "signed-in",
            Self::Refused => "sign-in-refused",
            Self::SignedOut => "signed-out",
            Self::Held => "brake-held",
            Self::Released => "brake-released",
            Self::Shared => "link-shared",
            Self::Unshared => "link-revoked",
            Self::Disabled => "disabled",
            Self::Rotated => "secret-rotated",
            Self::Replayed => "replayed",
        }
    }
}

/// One entry of the log.
#[derive(Debug)]
pub struct Entry<'a> {
    pub connection_id: &'a str,
    /// UTC microseconds.
    pub at: i64,
    pub actor: &'a Actor,
    pub request_id: Option<&'a str>,
    pub subject: Subject,
    pub subject_id: &'a str,
    pub action: Action,
    pub data: Data<'a>,
}

/// What an entry says of a change.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    /// Whatever there is to say.
    Said(&'a Value),
    /// What was before, if there was anything, and what is after, as they are stored: trees of them would be
    /// made only to be written again.
    Documents { before: Option<&'a str>, after: &'a str, roles: Option<&'a [String]> },
}

impl Data<'_> {
    /// The document that is after the change, as it is stored.
    ///
    /// # Errors
    /// None but what memory has.
    pub fn after(&self) -> serde_json::Result<Option<Cow<'_, str>>> {
        match self {
            Self::Said(data) => data.get("after").map(to_text).transpose(),
            Self::Documents { after, .. } => Ok(Some(Cow::Borrowed(after))),
        }
    }

    /// What the entry says besides, by a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Said(data) => data.get(name),
            Self::Documents { .. } => None,
        }
    }

    fn text(&self) -> serde_json::Result<String> {
        match self {
            Self::Said(data) => serde_json::to_string(data),
            Self::Documents { before, after, roles } => {
                let roles = roles.map(serde_json::to_string).transpose()?;
                let parts =
                    [("before", *before), ("after", Some(after)), ("roles", roles.as_deref())];
                let mut text = String::with_capacity(64 + before.map_or(0, str::len) + after.len());
                for (name, part) in parts {
                    if let Some(part) = part {
                        text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
                        text.push_str(name);
                        text.push_str("\":");
                        text.push_str(part);
                    }
                }
                text.push('}');
                Ok(text)
            }
        }
    }
}

fn to_text(value: &Value) -> serde_json::Result<Cow<'static, str>> {
    serde_json::to_string(value).map(Cow::Owned)
}

/// Appends an entry.
///
/// # Errors
/// The store's.
pub fn append(conn: &mut Conn, entry: &Entry<'_>) -> Result<(), StoreError> {
    Ok(rows::append(conn, &row(entry)?)?)
}

/// Appends entries about one change, in one statement. The first of them tells of what was changed.
///
/// # Errors
/// The store's.
pub fn append_each(conn: &mut Conn, entries: &[Entry<'_>]) -> Result<(), StoreError> {
    let new: Vec<NewEvent<'_>> = entries.iter().map(row).collect::<Result<_, _>>()?;
    Ok(rows::append_each(conn, &new)?)
}

/// The row of an entry, which takes what was changed since the last.
fn row<'e>(entry: &'e Entry<'_>) -> Result<NewEvent<'e>, StoreError> {
    Ok(NewEvent {
        changes: changes::told(journal::take(), entry.subject_id, &entry.data)?,
        connection_id: entry.connection_id,
        at: entry.at,
        actor: entry.actor.kind(),
        actor_id: entry.actor.id(),
        request_id: entry.request_id,
        action: entry.action.as_str(),
        subject: entry.subject.as_str(),
        subject_id: entry.subject_id,
        data: entry.data.text()?,
    })
}

/// Appends an entry about something of the context's connection.
///
/// # Errors
/// The store's.
pub fn record(
    conn: &mut Conn,
    context: &Context,
    subject: Subject,
    subject_id: &str,
    action: Action,
    data: &Value,
) -> Result<(), StoreError> {
    let mut data = Cow::Borrowed(data);
    if let Some(roles) = roles_of(conn, context, subject, subject_id, action)?
        && let Some(data) = data.to_mut().as_object_mut()
    {
        data.insert("roles".to_owned(), roles.into());
    }
    append(conn, &of_connection(context, subject, subject_id, action, Data::Said(&data)))
}

/// Appends an entry about a user or team of the context's connection that was written, by what is stored of
/// it.
///
/// # Errors
/// The store's.
pub fn record_written(
    conn: &mut Conn,
    context: &Context,
    (subject, subject_id): (Subject, &str),
    action: Action,
    before: Option<&str>,
    after: &str,
) -> Result<(), StoreError> {
    let roles = roles_of(conn, context, subject, subject_id, action)?;
    let data = Data::Documents { before, after, roles: roles.as_deref() };
    append(conn, &of_connection(context, subject, subject_id, action, data))
}

fn of_connection<'a>(
    context: &'a Context,
    subject: Subject,
    subject_id: &'a str,
    action: Action,
    data: Data<'a>,
) -> Entry<'a> {
    Entry {
        connection_id: &context.connection.id,
        at: context.now,
        actor: &context.actor,
        request_id: context.request_id.as_deref(),
        subject,
        subject_id,
        action,
        data,
    }
}

/// The roles that an event tells of: those that the user has after it, or those that a team stands for whose
/// members it may have changed.
///
/// The change itself is in the store already. What is about to be deleted cannot be asked any more,
/// so the deletion of a team says itself what the team stood for.
fn roles_of(
    conn: &mut Conn,
    context: &Context,
    subject: Subject,
    subject_id: &str,
    action: Action,
) -> Result<Option<Vec<String>>, StoreError> {
    Ok(match (subject, action) {
        // Teams come to users later than they come to be, so nobody has roles from the start.
        (Subject::User, Action::Created) => None,
        (Subject::User, Action::Deactivated | Action::Deleted | Action::Absorbed) => {
            Some(Vec::new())
        }
        (Subject::User, _) => {
            let union = context.connection.settings.membership == Policy::Union;
            Some(roles::of_user(conn, subject_id, union)?)
        }
        (Subject::Team, Action::Adopted | Action::Updated) => {
            Some(roles::of_teams(conn, &[subject_id])?).filter(|roles| !roles.is_empty())
        }
        _ => None,
    })
}
