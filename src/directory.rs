//! What the protocols mean: users, teams and membership, connections and their tokens, and the log
//! of every change.
//!
//! Each operation is one function that takes a connection inside a transaction which the caller
//! opened with `db`'s read or write; nothing here knows of HTTP.

pub mod apps;
pub mod brake;
pub mod bulk;
pub mod changes;
pub mod claims;
pub mod connections;
pub mod cursors;
pub mod doctor;
pub mod events;
pub mod explain;
pub mod feed;
pub mod figures;
pub mod flows;
pub mod grants;
pub mod history;
pub mod identities;
pub mod lifecycle;
pub mod listing;
pub mod membership;
pub mod operators;
pub mod overview;
pub mod read;
pub mod rehearsal;
pub mod replay;
pub mod requests;
pub mod revocation;
pub mod roles;
pub mod roster;
pub mod sealing;
pub mod sessions;
pub mod setup;
pub mod shares;
pub mod signin;
pub mod teams;
pub mod token_quirks;
pub mod tokens;
pub mod uniqueness;
pub mod users;
pub mod webhooks;

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::db::filter::{self as conditions, Kind};
use crate::db::memberships::Said;
use crate::db::{MayBeStore, StoreError};
use crate::scim::schema::Registry;
use crate::scim::{ScimError, condition};

pub use self::connections::Connection;
pub use self::events::Actor;
use self::membership::Policy;

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The request cannot be served as it is; the client is told why.
    #[error(transparent)]
    Refused(#[from] ScimError),
    /// The request would take away more than may be without somebody looking at it.
    #[error(transparent)]
    Held(#[from] brake::Held),
    /// The store failed; the client is told as much and no more.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DirectoryError {
    /// Whether it is the store that is out of reach, so that sending the request again later may
    /// help.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }
}

impl From<diesel::result::Error> for DirectoryError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<serde_json::Error> for DirectoryError {
    fn from(error: serde_json::Error) -> Self {
        Self::Store(error.into())
    }
}

impl MayBeStore for DirectoryError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            other @ (Self::Refused(_) | Self::Held(_)) => Err(other),
        }
    }
}

/// The result of an operation on the directory.
pub type DirectoryResult<T> = Result<T, DirectoryError>;

/// Who asks for an operation, where, and when.
#[derive(Debug, Clone)]
pub struct Context {
    /// The tenant; nothing outside it can be seen or touched.
    pub connection: Arc<Connection>,
    pub actor: Actor,
    /// Id of the request, as in the answer's `X-Request-Id`.
    pub request_id: Option<String>,
    /// UTC microseconds.
    pub now: i64,
    /// Base URL of the SCIM endpoint, without a slash at its end.
    pub base_url: Arc<str>,
    /// What users and teams are made of.
    pub registry: Arc<Registry>,
}

impl Context {
    /// When and in which request a source says what it says.
    fn said(&self) -> Said<'_> {
        let by = match &self.actor {
            Actor::SignIn(id) => id,
            _ => self.request_id.as_deref().unwrap_or("command-line"),
        };
        Said { at: self.now, by }
    }

    fn conditions(&self, kind: Kind) -> conditions::Context<'_> {
        conditions::Context {
            kind,
            connection_id: &self.connection.id,
            base_url: &self.base_url,
            union: self.connection.settings.membership == Policy::Union,
        }
    }
}

/// The entity tag of a representation that shows some memberships, each as id and name; without any
/// it is that of the version alone.
///
/// The version of a user does not move when a group is pushed, so that a push costs no more than
/// what it changes.
fn entity_tag<'a>(version: i64, shown: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut hash = Sha256::new();
    let mut is_empty = true;
    for (id, name) in shown {
        is_empty = false;
        hash.update(id);
        hash.update([0]);
        hash.update(name);
        hash.update([0]);
    }
    let related = hash.finalize().first_chunk().copied().map(u64::from_be_bytes);
    condition::entity_tag(version, related.filter(|_| !is_empty))
}

/// What it means that a new user or team could not be added: the one row that either refers to is
/// its connection's. Whoever deleted that took the token along that the request came with.
fn of_connection(error: diesel::result::Error) -> DirectoryError {
    use diesel::result::{DatabaseErrorKind::ForeignKeyViolation, Error::DatabaseError};
    match error {
        DatabaseError(ForeignKeyViolation, _) => {
            ScimError::new(401, "the token's connection has been deleted").into()
        }
        other => other.into(),
    }
}

/// A new resource id: a UUID whose order is the order of creation.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
