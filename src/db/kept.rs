//! Connections that are kept for the next request. Whoever takes one has a turn, so that there are
//! no more of them than turns.
//!
//! A connection that cannot be made is an answer at once, not something to wait for: the client
//! waits better than a thread does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::connection::TransactionManager;
use diesel::prelude::*;

use super::connection::Conn;
use super::outage::Outage;
use super::pool::StoreError;
use super::url::DatabaseUrl;

/// How long a connection is kept that nobody needs.
const MAX_IDLE: Duration = Duration::from_mins(10);
/// How long after its use a connection is taken to be there still: to ask costs a round trip. No server
/// comes back in less, so that who finds it gone would not have found it there anyway.
const SURE: Duration = Duration::from_millis(50);
/// How long a connection is kept at all: the server's processes grow with what they have done.
const MAX_AGE: Duration = Duration::from_mins(30);

/// What may be wrong with a database for a while.
#[derive(Debug)]
pub struct Outages {
    /// No connection can be made.
    pub reach: Outage,
    /// Nothing can be written.
    pub storage: Outage,
}

impl Outages {
    /// Nothing is wrong with it yet.
    pub fn of(url: &DatabaseUrl) -> Self {
        Self {
            reach: Outage::new(format!("{url} cannot be reached")),
            storage: Outage::new(format!(
                "{url} cannot be written: its disk is full, fails or is read-only"
            )),
        }
    }
}

type Open = Box<dyn Fn() -> ConnectionResult<Conn> + Send + Sync>;

/// The connections.
pub struct Kept {
    open: Open,
    idle: Mutex<Vec<Connection>>,
    pub outages: Arc<Outages>,
}

/// A connection, and how old it is.
pub struct Connection {
    pub conn: Conn,
    made: Instant,
    used: Instant,
}

impl Kept {
    /// No connections yet; they are made by `open` when they are needed.
    pub fn new(
        outages: Arc<Outages>,
        open: impl Fn() -> ConnectionResult<Conn> + Send + Sync + 'static,
    ) -> Self {
        Self { open: Box::new(open), idle: Mutex::default(), outages }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection is kept.
    pub fn has_one(&self) -> bool {
        !self.idle().is_empty()
    }

    /// A connection that works.
    ///
    /// # Errors
    /// None can be made; nobody waits until one can.
    pub fn take(&self) -> Result<Connection, StoreError> {
        // The one that was used last, so that those of a busy hour grow old.
        let last = self.idle().pop();
        if let Some(mut last) = last
            && last.made.elapsed() < MAX_AGE
        {
            // A file does not hang up; a server may. Where it has done so just now, whoever finds
            // that out is asked to come again, as are those whom it has hung up on.
            let is_sure = !last.conn.is_postgres() || last.used.elapsed() < SURE;
            if is_sure || last.answers() {
                return Ok(last);
            }
            self.forget();
        }
        self.outages.reach.may_try().map_err(StoreError::Unreachable)?;
        match (self.open)() {
            Ok(conn) => {
                self.outages.reach.ended();
                let now = Instant::now();
                Ok(Connection { conn, made: now, used: now })
            }
            Err(error) => {
                let cause = error.to_string();
                self.outages.reach.met(&cause);
                Err(StoreError::Unreachable(cause))
            }
        }
    }

    /// Keeps a connection after its use, unless it has come to harm; returns what has happened to
    /// it, where that says more than the error of the work.
    pub fn give_back(
        &self,
        mut taken: Connection,
        error: Option<&StoreError>,
    ) -> Option<StoreError> {
        if error.is_some_and(StoreError::cannot_write) {
            // It may have been opened while the file could only be read, or be in the middle of
            // what it could not write.
            let cause = error.map(ToString::to_string).unwrap_or_default();
            self.outages.storage.met(&cause);
            return None;
        }
        if let Some(error) = error
            && taken.conn.is_postgres()
            && matches!(error, StoreError::Database(diesel::result::Error::DatabaseError(..)))
            && !taken.answers()
        {
            // Whatever the server has said in the end, in whatever language: it has hung up, and
            // not on one alone.
            log::warn!("a connection to the database broke: {error}");
            self.forget();
            return Some(StoreError::Unreachable(error.to_string()));
        }
        if taken.is_broken() {
            return None;
        }
        if error.is_none() {
            taken.used = Instant::now();
        }
        let mut idle = self.idle();
        idle.retain(|kept| kept.used.elapsed() < MAX_IDLE);
        idle.push(taken);
        None
    }

    /// Closes what nobody uses.
    fn forget(&self) {
        let idle = std::mem::take(&mut *self.idle());
        drop(idle);
    }
}

impl Connection {
    /// Whether the server at the other end is still there.
    fn answers(&mut self) -> bool {
        diesel::sql_query("SELECT 1").execute(&mut self.conn).is_ok()
    }

    /// Whether it is stuck in a transaction.
    fn is_broken(&mut self) -> bool {
        type Manager = <Conn as diesel::Connection>::TransactionManager;
        Manager::is_broken_transaction_manager(&mut self.conn)
    }
}
