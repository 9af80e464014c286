//! The pools of connections, and the one way in which the rest of the program gets at them: a
//! closure that runs on a blocking thread with a connection in hand.
//!
//! SQLite has one writer and several readers; PostgreSQL has one pool for both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel::result::Error as DieselError;
use tokio::sync::{oneshot, watch};

use super::connection::{Access, Conn, is_storage_fault, is_transient};
use super::kept::{Kept, Outages};
use super::rehearsal::{Witness, rehearse};
use super::together::{self, Together};
use super::turns::{Job, Load, NoTurn, Tenant, Turn, Turns};
use super::url::DatabaseUrl;
use super::work::{Answer, Ended, Undone, Work, Writing};
use super::{migrations, time};
use crate::serving;

/// How long work waits for a connection before it is given up, and a transaction tries again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait before the database is tried again when the program starts.
const AGAIN: Duration = Duration::from_millis(300);
/// How long PostgreSQL may take for one statement that writes, where there are limits at all.
const WRITING: Duration = Duration::from_mins(1);
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
    /// More work waits for the database than may wait, or it has waited for too long; the request can be
    /// sent again.
    #[error("too much work waits for the database")]
    Busy,
    /// More work of the tenant waits for the database than may wait of one; its requests can be
    /// sent again.
    #[error("too much work of one connection waits for the database")]
    Share,
    /// The database took longer than it may.
    #[error("the database took too long")]
    TimedOut,
    /// The database refused.
    #[error("database error: {0}")]
    Database(#[from] DieselError),
    /// What was read from the store is not what was written to it.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
    /// A thread that was working on the request panicked.
    #[error("a database task panicked")]
    Panicked,
    /// A rehearsed write does more, or takes longer, than is kept until it is undone.
    #[error(
        "the request is too large for a dry run; nothing was done. Try its parts one by one, or the \
         request with fewer operations"
    )]
    LargeRehearsal,
}

impl StoreError {
    /// Whether sending the request again later may help.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable(_)
            | Self::Unreachable(_)
            | Self::Busy
            | Self::Share
            | Self::TimedOut => true,
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
            Self::Corrupt(_) | Self::Panicked | Self::LargeRehearsal => false,
        }
    }

    /// The error for another one who waited for the same answer.
    #[must_use]
    pub fn for_another(&self) -> Self {
        match self {
            Self::Unavailable(cause) => Self::Unavailable(cause.clone()),
            Self::Unreachable(cause) => Self::Unreachable(cause.clone()),
            Self::Busy => Self::Busy,
            Self::Share => Self::Share,
            Self::TimedOut => Self::TimedOut,
            Self::Database(error) if self.is_unavailable() => Self::Unavailable(error.to_string()),
            Self::Database(error) => Self::Corrupt(error.to_string()),
            Self::Corrupt(cause) => Self::Corrupt(cause.clone()),
            Self::Panicked => Self::Panicked,
            Self::LargeRehearsal => Self::LargeRehearsal,
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
        match self {
            Self::Busy => {
                "the server has more to do than it can for the moment; send the request again"
            }
            Self::Share => {
                "too many requests of this connection wait for the database; send fewer at a time"
            }
            Self::TimedOut => "the database took too long; send the request again",
            _ if self.cannot_write() => {
                "the server cannot store anything for the moment: its storage is full, fails or is \
                 read-only, which its operator has to mend; nothing was changed, so send the request \
                 again later"
            }
            _ => "the server cannot reach its database for the moment; try again",
        }
    }

    /// Whether running the transaction again may help. The library does not tell PostgreSQL's
    /// deadlock from other errors but by its text, which is in the server's language.
    pub(super) fn may_be_transient(&self) -> bool {
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

/// An error that may come from the store; [`Db::write`] asks it for that, to see whether to try again.
pub trait MayBeStore: From<DieselError> + From<StoreError> {
    /// The store's error inside, of which it can be made again.
    ///
    /// # Errors
    /// Itself, if it is none of the store's.
    fn or_store(self) -> Result<StoreError, Self>;
}

impl MayBeStore for StoreError {
    fn or_store(self) -> Result<StoreError, Self> {
        Ok(self)
    }
}

/// How much the store may have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How much work may wait for a connection, for reading and for writing each.
    pub waiting: usize,
    /// How long it waits before it is given up.
    pub patience: Duration,
    /// How long work that reads may keep the database busy; without it nothing is limited.
    pub reading: Option<Duration>,
}

impl Limits {
    /// No limits, for commands, which have the store for themselves.
    pub const NONE: Self = Self { waiting: usize::MAX, patience: PATIENCE, reading: None };
}

/// What is called once work is committed.
pub(super) type Committed = Box<dyn FnOnce() + Send>;

struct Pool {
    connections: Arc<Kept>,
    /// One for each connection, so that waiting requests hold no thread.
    turns: Arc<Turns>,
    /// How long work waits for its turn.
    patience: Duration,
    /// How long a piece of work may take.
    limit: Option<Duration>,
}

impl Pool {
    fn new(
        url: &DatabaseUrl,
        access: Access,
        size: u32,
        limits: Limits,
        outages: &Arc<Outages>,
    ) -> Self {
        let limit = match access {
            Access::Read => limits.reading,
            Access::Write => limits.reading.map(|_| WRITING),
        };
        let url = url.clone();
        // Connections are made when they are needed: a database that is down does not keep the
        // program from starting.
        let connections = Kept::new(outages.clone(), move || {
            let mut conn = Conn::open(&url, access)?;
            if let Some(limit) = limit {
                conn.limit_statements(limit)
                    .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
            }
            Ok(conn)
        });
        let turns = Turns::new(size, limits.waiting);
        Self { connections: Arc::new(connections), turns, patience: limits.patience, limit }
    }
}

/// The store.
#[derive(Clone)]
pub struct Db {
    url: DatabaseUrl,
    writers: Arc<Pool>,
    readers: Arc<Pool>,
    /// Where there is one writer, what is written together.
    together: Option<Arc<Together>>,
    /// Whose work it is.
    tenant: Tenant,
    /// Whether it may take long.
    is_large: bool,
    /// Told of every change that this process commits.
    commits: Arc<watch::Sender<()>>,
    /// Sees what is written, if nothing of it is to be kept.
    witness: Option<Arc<dyn Witness>>,
}

impl Db {
    /// Opens the pools without limits; `size` is the number of PostgreSQL connections or SQLite
    /// readers.
    ///
    /// No connection is made yet: a database that is down for a moment does not keep the program
    /// from starting.
    pub fn new(url: DatabaseUrl, size: u32) -> Self {
        Self::with_limits(url, size, Limits::NONE)
    }

    /// Opens the pools of a store that many ask at once.
    pub fn with_limits(url: DatabaseUrl, size: u32, limits: Limits) -> Self {
        let outages = Arc::new(Outages::of(&url));
        let (for_writing, for_reading) = match &url {
            DatabaseUrl::Sqlite(_) => (together::MOST, size),
            DatabaseUrl::Postgres(_) => {
                // Writers that wait for each other's rows must not keep readers out, and with
                // them every request, since each begins with the look at its token.
                let for_reading = (size / 3).max(1);
                (size.saturating_sub(for_reading).max(1), for_reading)
            }
        };
        let writers = Arc::new(Pool::new(&url, Access::Write, for_writing, limits, &outages));
        let readers = Arc::new(Pool::new(&url, Access::Read, for_reading, limits, &outages));
        let together = matches!(url, DatabaseUrl::Sqlite(_)).then(|| {
            let Pool { connections, turns, patience, limit } = &*writers;
            Together::new(connections.clone(), turns.clone(), *limit, *patience)
        });
        let commits = Arc::new(watch::Sender::new(()));
        Self {
            url,
            writers,
            readers,
            together,
            tenant: None,
            is_large: false,
            commits,
            witness: None,
        }
    }

    /// The store for writes that are carried out, seen by the witness and rolled back: [`Db::write`] and
    /// [`Db::note`] of it keep nothing.
    #[must_use]
    pub fn rehearsing(&self, witness: Arc<dyn Witness>) -> Self {
        Self { witness: Some(witness), ..self.clone() }
    }

    /// The store for the work of a tenant, which gets no more than its share of the connections.
    #[must_use]
    pub fn of(&self, tenant: &str) -> Self {
        Self { tenant: Some(Arc::from(tenant)), ..self.clone() }
    }

    /// The store for a change that may take long, if so: other changes do not wait for it that are
    /// done before.
    #[must_use]
    pub fn large(&self, is_large: bool) -> Self {
        Self { is_large, ..self.clone() }
    }

    /// How busy the connections for reading and those for writing are.
    pub fn load(&self) -> [(&'static str, Load); 2] {
        [("read", self.readers.turns.load()), ("write", self.writers.turns.load())]
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
            let (work, answer) = Answer::once(work);
            match answer.after(self.run(&self.writers, work)).await {
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
    pub fn read<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let (work, answer) = Answer::once(work);
        answer.after(self.run(&self.readers, work))
    }

    /// Runs `work`, which finds some rows by an index and no more.
    ///
    /// On SQLite that takes less time than handing it to another thread would, so that it is done on
    /// this one, unless others are waiting.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had.
    pub fn lookup<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let (work, answer) = Answer::once(work);
        answer.after(self.find(work))
    }

    async fn find(&self, work: Work) -> Ended {
        // To open a connection may take long.
        let is_near = self.url.file().is_some() && self.readers.connections.has_one();
        match is_near.then(|| self.readers.turns.at_once(&self.tenant)).flatten() {
            Some(turn) => self.readers.carry_out(&turn, work),
            None => self.run(&self.readers, work).await,
        }
    }

    /// Runs `work`, all of whose reads see the same state of the store.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had.
    pub fn snapshot<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let (work, answer) = Answer::once(work);
        answer.after(self.run(&self.readers, Box::new(|conn| conn.snapshot(work))))
    }

    /// Runs `work` in one write transaction. When this returns `Ok` the change is durable.
    ///
    /// Where another transaction was in the way, `work` runs again; `operation` names it in the
    /// log.
    ///
    /// # Errors
    /// What `work` says, or that no connection was to be had. Nothing is written then.
    pub fn write<T, E>(
        &self,
        operation: &'static str,
        work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let commits = self.commits.clone();
        let committed = move || {
            commits.send_replace(());
        };
        let (work, answer) = Answer::again(work);
        answer.after(self.transact(operation, work, Box::new(committed)))
    }

    /// Like [`Db::write`], for bookkeeping that nobody waits for: [`Db::commits`] does not hear of
    /// it.
    ///
    /// # Errors
    /// As for [`Db::write`].
    pub fn note<T, E>(
        &self,
        operation: &'static str,
        work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static,
    ) -> impl Future<Output = Result<T, E>>
    where
        T: Send + 'static,
        E: MayBeStore + Send + 'static,
    {
        let (work, answer) = Answer::again(work);
        answer.after(self.transact(operation, work, Box::new(|| ())))
    }

    async fn transact(
        &self,
        operation: &'static str,
        work: Writing,
        committed: Committed,
    ) -> Ended {
        let Some(witness) = self.witness.clone() else {
            return self.carry_out(operation, work, committed).await;
        };
        let rehearsed = move |conn: &mut Conn| Err(rehearse(conn, &work, &witness));
        self.carry_out(operation, Box::new(rehearsed), Box::new(|| ())).await
    }

    async fn carry_out(
        &self,
        operation: &'static str,
        work: Writing,
        committed: Committed,
    ) -> Ended {
        let outages = self.writers.connections.outages.clone();
        let committed: Committed = Box::new(move || {
            outages.storage.ended();
            committed();
        });
        if let Some(together) = &self.together {
            let turn = self.turn(&self.writers).await?;
            let called = (operation, self.is_large || self.witness.is_some());
            let request = serving::request();
            let work = move |conn: &mut Conn| serving::within(request.as_ref(), || work(conn));
            return together.write(turn, called, Box::new(work), committed).await;
        }
        let insisting = move |conn: &mut Conn| {
            let done = insist(operation, || conn.write(&work));
            // Said here, since whoever asked may not wait for the answer any more.
            if done.is_ok() {
                committed();
            }
            done
        };
        self.run(&self.writers, Box::new(insisting)).await
    }

    async fn turn(&self, pool: &Pool) -> Result<Turn, StoreError> {
        Ok(pool.turns.take(&self.tenant, pool.patience).await?)
    }

    async fn run(&self, pool: &Arc<Pool>, work: Work) -> Ended {
        let (own, request) = (pool.clone(), serving::request());
        let (answer, coming) = oneshot::channel();
        let job: Job = Box::new(move |turn| {
            let ended = serving::within(request.as_ref(), || own.carry_out(turn, work));
            Box::new(move || drop(answer.send(ended)))
        });
        let ended = pool.turns.carry_out(&self.tenant, pool.patience, job, coming).await;
        ended.map_err(StoreError::from)?.unwrap_or_else(|| Err(StoreError::Panicked.into()))
    }
}

impl From<NoTurn> for StoreError {
    fn from(none: NoTurn) -> Self {
        match none {
            NoTurn::Full | NoTurn::Late => Self::Busy,
            NoTurn::Share => Self::Share,
        }
    }
}

impl Pool {
    /// Does the work of a turn.
    fn carry_out(&self, turn: &Turn, work: Work) -> Ended {
        let mut taken = self.connections.take()?;
        let ended = in_time(self.limit, turn, || work(&mut taken.conn));
        match self.connections.give_back(taken, ended.as_ref().err().and_then(Undone::store)) {
            Some(harm) => Err(harm.into()),
            None => ended,
        }
    }
}

/// Runs `work`, and says so where it ended because it took too long.
pub(super) fn in_time(limit: Option<Duration>, turn: &Turn, work: impl FnOnce() -> Ended) -> Ended {
    match time::within(limit, || work().map_err(|undone| (undone, time::is_up()))) {
        Err((undone, true)) => {
            turn.count_slow();
            // Neither database says by a code that it was for the time.
            let is_late = undone.store().is_some_and(StoreError::may_be_transient);
            Err(if is_late { StoreError::TimedOut.into() } else { undone })
        }
        ended => ended.map_err(|(undone, _)| undone),
    }
}

/// Runs a transaction again as long as another one was in its way.
pub(super) fn insist(operation: &'static str, mut transaction: impl FnMut() -> Ended) -> Ended {
    let mut attempt = 1;
    let begun = Instant::now();
    loop {
        match transaction() {
            Err(Undone::Store(error))
                if attempt < MAX_ATTEMPTS
                    && begun.elapsed() < PATIENCE
                    && error.may_be_transient() =>
            {
                log::debug!(operation, attempt; "retrying");
                attempt += 1;
            }
            ended => return ended,
        }
    }
}
