//! The pools of connections, and the one way in which the rest of the program gets at them: a
//! closure that runs on a blocking thread with a connection in hand.
//!
//! SQLite has one writer and several readers; PostgreSQL has one pool for both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::result::Error as DieselError;
use tokio::sync::{Semaphore, watch};

use super::connection::{Access, Conn, is_storage_fault, is_transient};
use super::kept::{Kept, Outages};
use super::migrations;
use super::url::DatabaseUrl;

/// How long a request waits for its turn at the database before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before the database is tried again when the program starts.
const AGAIN: Duration = Duration::from_millis(300);
/// How often a transaction is run again when another one was in its way.
const MAX_ATTEMPTS: u32 = 10;
/// Seconds that a client is asked to wait when the database does not answer.
pub const RETRY_AFTER: u32 = 5;

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection could be had in time; the request can be sent again.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// No connection can be made, or the one that was used broke. The log has told so already.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The database refused.
    #[error("database error: {0}")]
    Database(#[from] DieselError),
    /// What was read from the store is not what was written to it.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// A thread that was working on the request panicked.
    #[error("a database task panicked")]
    Panicked,
}

impl StoreError {
    /// Whether sending the request again later may help.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Unreachable(_) => true,
            Self::Database(error) => {
                is_transient(error)
                    || is_storage_fault(error)
                    || matches!(error, DieselError::BrokenTransactionManager)
                    || matches!(
                        error,
                        DieselError::DatabaseError(
                            diesel::result::DatabaseErrorKind::ClosedConnection
                                | diesel::result::DatabaseErrorKind::UnableToSendCommand,
                            _
                        )
                    )
            }
            Self::Corrupt(_) | Self::Panicked => false,
        }
    }

    /// Whether the database can keep nothing for the moment; what is there can be read.
    pub fn cannot_write(&self) -> bool {
        matches!(self, Self::Database(error) if is_storage_fault(error))
    }

    /// How loudly the log should tell of it: what lasts is told of once, and not by everyone who
    /// meets it.
    pub fn level(&self) -> log::Level {
        match self {
            Self::Unreachable(_) => log::Level::Debug,
            Self::Database(error) if is_storage_fault(error) => log::Level::Debug,
            _ => log::Level::Warn,
        }
    }

    /// What a client is told of a store that is not available.
    pub fn told(&self) -> &'static str {
        if self.cannot_write() {
            "the server cannot store anything for the moment: its storage is full, fails or is \
             read-only, which its operator has to mend; nothing was changed, so send the request \
             again later"
        } else {
            "the server cannot reach its database for the moment; try again"
        }
    }

    /// Whether running the transaction again may help. The library does not tell PostgreSQL's
    /// deadlock from other errors but by its text, which is in the server's language.
    fn may_be_transient(&self) -> bool {
        use diesel::result::DatabaseErrorKind::Unknown;
        match self {
            Self::Database(error) if is_storage_fault(error) => false,
            Self::Database(DieselError::DatabaseError(Unknown, _)) => true,
            Self::Database(error) => is_transient(error),
            _ => false,
        }
    }
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}

/// An error that may come from the store; [`Db::write`] asks it whether to try again.
pub trait MayBeStore: From<DieselError> + From<StoreError> {
    /// The store's error inside, if it is one.
    fn store_error(&self) -> Option<&StoreError>;
}

impl MayBeStore for StoreError {
    fn store_error(&self) -> Option<&StoreError> {
        Some(self)
    }
}

struct Pool {
    connections: Arc<Kept>,
    /// One permit a connection, so that waiting requests hold no thread.
    turns: Arc<Semaphore>,
}

impl Pool {
    fn new(url: &DatabaseUrl, access: Access, size: u32, outages: &Arc<Outages>) -> Self {
        let url = url.clone();
        // Connections are made when they are needed: a database that is down does not keep the
        // program from starting.
        let connections = Kept::new(outages.clone(), move || Conn::open(&url, access));
        let turns = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(1)));
        Self { connections: Arc::new(connections), turns }
    }

    /// The same connections, of which at most so many are used at a time.
    fn limited(&self, turns: u32) -> Self {
        let turns = Arc::new(Semaphore::new(usize::try_from(turns).unwrap_or(1)));
        Self { connections: self.connections.clone(), turns }
    }
}

/// The store.
#[derive(Clone)]
pub struct Db {
    url: DatabaseUrl,
    writers: Arc<Pool>,
    readers: Arc<Pool>,
    /// Told of every change that this process commits.
    commits: Arc<watch::Sender<()>>,
}

impl Db {
    /// Opens the pools; `size` is the number of PostgreSQL connections or SQLite readers.
    ///
    /// No connection is made yet: a database that is down for a moment does not keep the program
    /// from starting.
    pub fn new(url: DatabaseUrl, size: u32) -> Self {
        let outages = Arc::new(Outages::of(&url));
        let (writers, readers) = match &url {
            DatabaseUrl::Sqlite(_) => {
                let writers = Arc::new(Pool::new(&url, Access::Write, 1, &outages));
                (writers, Arc::new(Pool::new(&url, Access::Read, size, &outages)))
            }
            DatabaseUrl::Postgres(_) => {
                // Writers that wait for each other's rows must not keep readers out, and with
                // them every request, since each begins with the look at its token.
                let pool = Pool::new(&url, Access::Write, size, &outages);
                let for_reading = (size / 3).max(1);
                let for_writing = size.saturating_sub(for_reading).max(1);
                (Arc::new(pool.limited(for_writing)), Arc::new(pool.limited(for_reading)))
            }
        };
        Self { url, writers, readers, commits: Arc::new(watch::Sender::new(())) }
    }

    /// Where the store is.
    pub fn url(&self) -> &DatabaseUrl {
        &self.url
    }

    /// Hears of every change that this process commits from now on.
    pub fn commits(&self) -> watch::Receiver<()> {
        self.commits.subscribe()
    }

    /// Brings the tables up to date; returns the names of the migrations that ran.
    ///
    /// # Errors
    /// See [`migrations::migrate`].
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        let begun = Instant::now();
        loop {
            let work = |conn: &mut Conn| {
                migrations::migrate(conn)
                    .map_err(|error| StoreError::Unavailable(error.to_string()))
            };
            match self.run(&self.writers, work).await {
                // A server that was started together with this program takes its time.
                Err(StoreError::Unreachable(_))
                    if self.url.file().is_none() && begun.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    }

    /// Runs `work` with a connection for reading.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had.
    pub async fn read<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        self.run(&self.readers, work).await
    }

    /// Runs `work`, all of whose reads see the same state of the store.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had.
    pub async fn snapshot<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        self.run(&self.readers, |conn| conn.snapshot(work)).await
    }

    /// Runs `work` in one write transaction. When this returns `Ok` the change is durable.
    ///
    /// Where another transaction was in the way, `work` runs again; `operation` names it in the
    /// log.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had. Nothing is written then.
    pub async fn write<T, E>(
        &self,
        operation: &'static str,
        work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let commits = self.commits.clone();
        self.transact(operation, work, move || {
            commits.send_replace(());
        })
        .await
    }

    /// Like [`Db::write`], for bookkeeping that nobody waits for: [`Db::commits`] does not hear of
    /// it.
    ///
    /// # Errors
    /// As for [`Db::write`].
    pub async fn note<T, E>(
        &self,
        operation: &'static str,
        work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        self.transact(operation, work, || ()).await
    }

    async fn transact<T, E>(
        &self,
        operation: &'static str,
        work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static,
        committed: impl FnOnce() + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let outages = self.writers.connections.outages.clone();
        self.run(&self.writers, move |conn| {
            let mut attempt = 1;
            let begun = Instant::now();
            loop {
                match conn.write(&work) {
                    Err(error)
                        if attempt < MAX_ATTEMPTS
                            && begun.elapsed() < PATIENCE
                            && error.store_error().is_some_and(StoreError::may_be_transient) =>
                    {
                        log::debug!("retrying operation={operation} attempt={attempt}");
                        attempt += 1;
                    }
                    done => {
                        // Said here, since whoever asked may not wait for the answer any more.
                        if done.is_ok() {
                            outages.storage.ended();
                            committed();
                        }
                        return done;
                    }
                }
            }
        })
        .await
    }

    async fn run<T, E>(
        &self,
        pool: &Arc<Pool>,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let busy = || StoreError::Unavailable("all connections are busy".to_owned());
        let turn = tokio::time::timeout(PATIENCE, pool.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(busy().into()) };
        let connections = pool.connections.clone();
        let task = tokio::task::spawn_blocking(move || {
            // The turn lasts until the thread is done, whether or not anyone still waits for it.
            let _turn = turn;
            let mut taken = connections.take()?;
            let done = work(&mut taken.conn);
            let error = done.as_ref().err().and_then(MayBeStore::store_error);
            match connections.give_back(taken, error) {
                Some(harm) => Err(harm.into()),
                None => done,
            }
        });
        task.await.map_err(|_| StoreError::Panicked)?
    }
}
