//! What a write transaction has changed and no event has told of yet.
//!
//! Every function of this folder that changes lasting state notes the change here; appending an event
//! takes what was noted. [`super::Conn::write`] commits nothing that was left over: a change without
//! its event does not happen. That is what makes the log complete, so that the state can be built
//! from it again ([`super::replay`]).
//!
//! A transaction runs on one thread from its beginning to its end, so the notes are the thread's.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::apps::{AdminTokenRow, AppRow};
use super::connections::ConnectionRow;
use super::memberships::MembershipRow;
use super::roles::RoleRow;
use super::teams::TeamRow;
use super::tokens::TokenRow;
use super::users::UserRow;
use super::webhooks::WebhookRow;

/// A source of statements about membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// SCIM.
    Scim,
    /// The groups claim of sign-in.
    Claim,
}

/// A change of lasting state, as rows are after it. Rows that hang on one that is gone are gone with
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A connection is new or another.
    Connection(ConnectionRow),
    /// A connection is gone.
    ConnectionGone { id: String },
    /// A token is new or another.
    Token(TokenRow),
    /// A token was revoked.
    TokenRevoked { id: String, at: i64 },
    /// A user is new or another.
    User(UserRow),
    /// A user is gone.
    UserGone { id: String },
    /// A team is new or another.
    Team(TeamRow),
    /// The version of some teams moved.
    TeamsTouched { ids: Vec<String>, at: i64 },
    /// A team is gone.
    TeamGone { id: String },
    /// A source says of each of the users that it is in each of the teams, or that it is not.
    Said {
        source: Source,
        teams: Vec<String>,
        users: Vec<String>,
        member: bool,
        at: i64,
        by: String,
    },
    /// What is said of some users and teams.
    Statements { rows: Vec<MembershipRow> },
    /// Nobody says any more that the user is in the teams.
    Left { user: String, teams: Vec<String> },
    /// A team stands for a role.
    Role(RoleRow),
    /// A team stands for a role no more.
    RoleGone { team: String, role: String },
    /// An application is new.
    App(AppRow),
    /// An application is gone.
    AppGone { id: String },
    /// An admin token is new.
    AdminToken(AdminTokenRow),
    /// An admin token was revoked.
    AdminTokenRevoked { id: String, at: i64 },
    /// A webhook is new or another.
    Webhook(WebhookRow),
    /// A webhook is gone.
    WebhookGone { id: String },
}

thread_local! {
    /// The notes of the transaction that this thread is in; `None` outside of one.
    static NOTES: RefCell<Option<Vec<Change>>> = const { RefCell::new(None) };
}

/// Begins the notes of a transaction; those of one that ended by a panic are forgotten.
pub(super) fn begin() {
    NOTES.set(Some(Vec::new()));
}

/// Ends the notes; gives back what no event has told of.
pub(super) fn end() -> Vec<Change> {
    NOTES.take().unwrap_or_default()
}

/// Notes a change. Outside of a write transaction nobody takes notes.
pub(super) fn note(change: Change) {
    NOTES.with_borrow_mut(|notes| {
        if let Some(notes) = notes {
            notes.push(change);
        }
    });
}

/// Takes what was noted since the last event.
pub(crate) fn take() -> Vec<Change> {
    NOTES.with_borrow_mut(|notes| notes.as_mut().map(std::mem::take).unwrap_or_default())
}
