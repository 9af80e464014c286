//! How a connection is, at a glance.

use super::connections::{AdminError, Connection};
use super::requests::Summary;
use super::tokens::{self, Token};
use super::{brake, requests};
use crate::db::{Conn, teams, users};

/// Tokens that end within so many microseconds are about to: 30 days.
const SOON: i64 = 30 * 86_400 * 1_000_000;

/// So many inactive users are counted, and no more: a page that follows counts them again and again.
pub const MANY: i64 = 1_000;

/// How a connection is.
#[derive(Debug, Clone)]
pub struct Overview {
    pub users: i64,
    /// How many of them are inactive, as far as [`MANY`].
    pub inactive: i64,
    pub teams: i64,
    pub tokens: Vec<Token>,
    pub brake: brake::State,
    /// What the log of requests says.
    pub log: Summary,
}

impl Overview {
    /// The tokens that work.
    pub fn live_tokens(&self, now: i64) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(move |token| token.status(now) == "live")
    }

    /// When the last token ends that works; `None` where one never ends, or none works.
    pub fn last_end(&self, now: i64) -> Option<i64> {
        let ends: Option<Vec<i64>> = self.live_tokens(now).map(|token| token.expires_at).collect();
        ends?.into_iter().max()
    }

    /// Whether pushes are about to end, because every token does.
    pub fn is_ending(&self, now: i64) -> bool {
        self.last_end(now).is_some_and(|end| end - now < SOON)
    }

    /// When a token was last used.
    pub fn last_use(&self) -> Option<i64> {
        self.tokens.iter().filter_map(|token| token.last_used_at).max()
    }
}

/// Looks a connection up.
///
/// # Errors
/// The store's.
pub fn of(conn: &mut Conn, connection: &Connection, now: i64) -> Result<Overview, AdminError> {
    Ok(Overview {
        users: users::count(conn, &connection.id, None)?,
        inactive: users::inactive_up_to(conn, &connection.id, MANY)?,
        teams: teams::count(conn, &connection.id, None)?,
        tokens: tokens::of(conn, connection)?,
        brake: brake::state(conn, connection, now)?,
        log: requests::summary(conn, &connection.id, now)?,
    })
}
