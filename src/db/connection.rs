//! One connection to either database, and how it is opened.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::{
    AnsiTransactionManager, InstrumentationEvent, SimpleConnection, TransactionManager,
};
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Nullable, Text};

use super::journal::{self, Change};
use super::sql::Sql;
use super::time::InTime;
use super::url::DatabaseUrl;
use crate::scim::filter::instant;
use crate::scim::fold::fold;
use crate::scim::precis::prepare;
use crate::scim::reference::unversioned;
use crate::scim::value::format::plain;

/// How long SQLite waits for another process's lock before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait before a lock that SQLite does not wait for is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A connection to SQLite or PostgreSQL.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs a statement of the query builder on the connection inside, whichever it is of.
///
/// There the statement that is prepared already is found by its type alone; for [`Conn`] its text would
/// be put together first, every time.
macro_rules! on_either {
    ($conn:expr, |$inner:ident| $statement:expr) => {
        match $conn {
            $crate::db::connection::Conn::Sqlite($inner) => $statement,
            $crate::db::connection::Conn::Postgres($inner) => $statement,
        }
    };
}
pub(super) use on_either;

/// The query builder's view of both databases.
pub type Backend = <Conn as Connection>::Backend;

#[diesel::declare_sql_function]
extern "SQL" {
    fn muster_fold(text: Nullable<Text>) -> Nullable<Text>;
    fn muster_unversioned(text: Nullable<Text>) -> Nullable<Text>;
    fn muster_user_name(text: Nullable<Text>) -> Nullable<Text>;
    fn muster_micros(text: Nullable<Text>) -> Nullable<BigInt>;
    fn muster_plain(json: Nullable<Text>) -> Nullable<Text>;
    fn muster_in_time() -> Bool;
}

thread_local! {
    /// Whether a statement has failed on one of this thread's SQLite connections for writing.
    static HAS_FAILED: Cell<bool> = const { Cell::new(false) };
}

#[expect(clippy::needless_pass_by_value, reason = "the library calls it so")]
fn note_failure(event: InstrumentationEvent<'_>) {
    if matches!(event, InstrumentationEvent::FinishQuery { error: Some(_), .. }) {
        HAS_FAILED.set(true);
    }
}

/// Forgets which statements have failed on this thread.
pub(super) fn forget_failures() {
    HAS_FAILED.set(false);
}

/// Whether a statement of a SQLite connection for writing has failed on this thread, whatever was made of
/// it.
pub(super) fn has_failed() -> bool {
    HAS_FAILED.get()
}

/// What a SQLite connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only; a write through it is an error.
    Read,
    /// Reads and writes.
    Write,
}

impl Conn {
    /// Opens a connection. A SQLite file is created if there is none.
    ///
    /// # Errors
    /// Whatever the database says; the URL is not part of the message.
    pub fn open(url: &DatabaseUrl, access: Access) -> ConnectionResult<Self> {
        match url {
            DatabaseUrl::Sqlite(file) => {
                open_sqlite(file, access).map(Self::Sqlite).map_err(|error| match error {
                    ConnectionError::BadConnection(_)
                    | ConnectionError::CouldntSetupConfiguration(_) => {
                        ConnectionError::BadConnection(format!(
                            "{error}; the file and its folder have to be writable for the account \
                             that Muster runs as, with room on the disk"
                        ))
                    }
                    other => other,
                })
            }
            DatabaseUrl::Postgres(url) => {
                let mut conn = PgConnection::establish(&with_patience(url))?;
                conn.batch_execute("SET client_min_messages = warning; SET TIME ZONE 'UTC'")
                    .map_err(ConnectionError::CouldntSetupConfiguration)?;
                Ok(Self::Postgres(conn))
            }
        }
    }

    /// Lets the database end statements that take longer. SQLite does not: see [`super::time`].
    ///
    /// # Errors
    /// What the database says.
    pub fn limit_statements(&mut self, limit: Duration) -> QueryResult<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(conn) => {
                conn.batch_execute(&format!("SET statement_timeout = {}", limit.as_millis()))
            }
        }
    }

    /// Whether this is PostgreSQL.
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Runs `work` in a write transaction, which commits if it succeeds.
    ///
    /// On SQLite the transaction takes the write lock at once (`BEGIN IMMEDIATE`): one that reads
    /// first and then writes could find its snapshot stale and would have to start over.
    ///
    /// # Errors
    /// What `work` or the database says, or that lasting state has changed without an event that
    /// tells of it; nothing is written then.
    pub fn write<T, E: From<DieselError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin_write()?;
        self.finish(|conn| conn.telling(work))
    }

    /// Begins a write transaction.
    pub(super) fn begin_write(&mut self) -> QueryResult<()> {
        match self {
            Self::Sqlite(conn) => {
                AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
            }
            Self::Postgres(conn) => AnsiTransactionManager::begin_transaction(conn),
        }
    }

    /// Runs `work` in a write transaction, and sees to it that events tell of what it changes.
    pub(super) fn telling<T, E: From<DieselError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        journal::begin();
        let done = work(self);
        let untold = journal::end();
        if done.is_ok() && !untold.is_empty() {
            return Err(untold_changes(&untold).into());
        }
        done
    }

    /// Runs `work` in a part of a write transaction, of which nothing is left if it fails; then
    /// `is_intact` says whether the rest of the transaction is still there.
    pub(super) fn part<T, E: From<DieselError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
        is_intact: &mut bool,
    ) -> Result<T, E> {
        type Manager = <Conn as Connection>::TransactionManager;
        *is_intact = false;
        Manager::begin_transaction(self)?;
        let done = self.telling(work);
        let ended = match &done {
            Ok(_) => self.commit(),
            Err(_) => Manager::rollback_transaction(self),
        };
        match (done, ended) {
            (Ok(_), Err(error)) => Err(error.into()),
            (done, ended) => {
                *is_intact = ended.is_ok();
                done
            }
        }
    }

    /// How many rows have been written since SQLite's connection was opened, those that were rolled back
    /// included, but not those of statements that failed.
    pub(super) fn changes(&mut self) -> QueryResult<i64> {
        let statement = Sql::new("SELECT total_changes()").columns::<(BigInt,)>();
        let (changes,): (i64,) = on_either!(self, |conn| statement.get_result(conn))?;
        Ok(changes)
    }

    /// Commits the transaction.
    pub(super) fn commit(&mut self) -> QueryResult<()> {
        type Manager = <Conn as Connection>::TransactionManager;
        // Why it could not be committed says what to do about it, which is not that nothing was left
        // to be rolled back.
        Manager::commit_transaction(self).map_err(|error| match error {
            DieselError::RollbackErrorOnCommit { commit_error, .. } => *commit_error,
            other => other,
        })
    }

    /// Runs `work`, all of whose reads see the same state of the store.
    ///
    /// # Errors
    /// What `work` or the database says.
    pub fn snapshot<T, E: From<DieselError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        match self {
            Self::Sqlite(conn) => AnsiTransactionManager::begin_transaction(conn)?,
            Self::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(
                conn,
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            )?,
        }
        self.finish(work)
    }

    fn finish<T, E: From<DieselError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        match work(self) {
            Ok(value) => match self.commit() {
                Ok(()) => Ok(value),
                Err(error) => {
                    self.roll_back();
                    Err(error.into())
                }
            },
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    /// A connection that cannot even roll back is broken; the pool throws it away.
    pub(super) fn roll_back(&mut self) {
        type Manager = <Conn as Connection>::TransactionManager;
        if let Err(error) = Manager::rollback_transaction(self)
            && !matches!(error, DieselError::NotInTransaction)
        {
            log::warn!("could not roll back: {error}");
        }
    }
}

/// The error of a transaction that would have changed the state behind the log's back.
fn untold_changes(untold: &[Change]) -> DieselError {
    let kinds: Vec<String> = untold
        .iter()
        .filter_map(|change| serde_json::to_value(change).ok())
        .filter_map(|change| change.get("change").and_then(|kind| kind.as_str()).map(str::to_owned))
        .collect();
    DieselError::QueryBuilderError(format!("no event tells of: {}", kinds.join(", ")).into())
}

/// How long PostgreSQL, and the network on the way to it, may be silent, where the URL does not say:
/// without these, a machine that has gone without a word is waited for until the operating system
/// gives up, which takes minutes or hours.
const PATIENCE: [(&str, &str); 5] = [
    // Seconds; libpq knows no less than two.
    ("connect_timeout", "3"),
    // Milliseconds until what was sent has to be acknowledged by the other machine.
    ("tcp_user_timeout", "10000"),
    // Seconds until a silent connection is probed, between probes, and how many may be lost.
    ("keepalives_idle", "15"),
    ("keepalives_interval", "5"),
    ("keepalives_count", "3"),
];

fn with_patience(url: &str) -> String {
    let given = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let is_given =
        |name: &str| url::form_urlencoded::parse(given.as_bytes()).any(|(given, _)| given == name);
    let mut url = url.to_owned();
    for (name, value) in PATIENCE {
        if !is_given(name) {
            url.push(if url.contains('?') { '&' } else { '?' });
            url.extend([name, "=", value]);
        }
    }
    url
}

#[expect(clippy::disallowed_methods, reason = "SQLite tells nobody when a lock is free")]
fn open_sqlite(file: &Path, access: Access) -> ConnectionResult<SqliteConnection> {
    let name = file.to_str().ok_or_else(|| {
        ConnectionError::BadConnection("the name of the database file is not UTF-8".to_owned())
    })?;
    // A name such as `file:…` would be read as a URI with options of its own.
    let name = if name.starts_with("file:") { format!("./{name}") } else { name.to_owned() };
    keep_private(file);
    let mut conn = SqliteConnection::establish(&name)?;
    let mode = match access {
        Access::Read => "PRAGMA query_only = ON;",
        // The file remembers its mode, so one connection's word is enough.
        // What a part of a transaction would be rolled back to is kept in memory; readers, which may
        // sort as much as there is, do that in files.
        Access::Write => {
            "PRAGMA journal_mode = WAL; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 4000;"
        }
    };
    // The system keeps what was read, too: there are many connections, so each keeps little itself.
    let settings = format!(
        "PRAGMA busy_timeout = {};
         {mode}
         PRAGMA cache_size = -2048;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;",
        BUSY_TIMEOUT.as_millis()
    );
    // SQLite itself waits for no lock where the mode changes: several processes that open a new
    // file take turns.
    let begun = Instant::now();
    while let Err(error) = conn.batch_execute(&settings) {
        if !error.to_string().contains("is locked") || begun.elapsed() >= BUSY_TIMEOUT {
            return Err(ConnectionError::CouldntSetupConfiguration(error));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    register_functions(&mut conn).map_err(ConnectionError::CouldntSetupConfiguration)?;
    if access == Access::Write {
        conn.set_instrumentation(note_failure);
    }
    Ok(conn)
}

/// Creates the file for its owner alone, if there is none: it will hold personal data. What cannot
/// be created, SQLite complains of.
pub fn keep_private(file: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(file);
}

/// The functions that the PostgreSQL migrations define in SQL, `muster_plain`, which there is
/// `trim_scale`, and `muster_in_time`, for which PostgreSQL has a setting.
fn register_functions(conn: &mut SqliteConnection) -> QueryResult<()> {
    muster_fold_utils::register_impl(conn, |text: Option<String>| {
        text.map(|text| fold(&text).into_owned())
    })?;
    muster_unversioned_utils::register_impl(conn, |text: Option<String>| {
        text.map(|text| unversioned(&text).into_owned())
    })?;
    muster_user_name_utils::register_impl(conn, |text: Option<String>| {
        text.map(|text| prepare(&text).into_owned())
    })?;
    muster_micros_utils::register_impl(conn, |text: Option<String>| {
        text.and_then(|text| instant(&text))
    })?;
    muster_in_time_utils::register_nondeterministic_impl(conn, || InTime)?;
    muster_plain_utils::register_impl(conn, |json: Option<String>| {
        json.and_then(|json| serde_json::from_str(&json).ok()).map(|number| plain(&number))
    })
}

/// Whether the database can keep nothing for the moment: its disk is full or fails, or it may only be
/// read.
///
/// SQLite's codes do not come through the library, but its texts are always these. What PostgreSQL
/// says of a full disk is in the language of its server; that in English is known.
pub fn is_storage_fault(error: &DieselError) -> bool {
    const TEXTS: [&str; 6] = [
        "database or disk is full",
        "attempt to write a readonly database",
        "disk I/O error",
        "unable to open database file",
        "No space left on device",
        "Disk quota exceeded",
    ];
    match error {
        // Such as that of a PostgreSQL that has become a standby.
        DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _) => true,
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            TEXTS.iter().any(|text| info.message().contains(text))
        }
        _ => false,
    }
}

/// The error of a transaction that found something else than it had looked up, because another one
/// was faster: it is run again.
pub fn changed_meanwhile() -> DieselError {
    let text = "the row has changed since it was looked up".to_owned();
    DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, Box::new(text))
}

/// Whether running the transaction again may well succeed: another one was in the way.
///
/// Violations of keys are among them, because what was looked up before the insert has changed
/// since: the second run sees the other's row, or that the row is gone, and gives the right answer.
pub fn is_transient(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::SerializationFailure
            | DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation,
            _,
        ) => true,
        DieselError::DatabaseError(_, info) => {
            let message = info.message();
            message.contains("deadlock detected") || message.contains("database is locked")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_waited_for_as_long_as_the_url_says() {
        let plain = with_patience("postgres://h/d");
        assert!(plain.starts_with("postgres://h/d?connect_timeout=3&"), "{plain}");
        let given = with_patience("postgres://h/d?sslmode=require&connect_timeout=20");
        assert!(given.starts_with("postgres://h/d?sslmode=require&connect_timeout=20&"), "{given}");
        assert_eq!(given.matches("connect_timeout").count(), 1, "{given}");
    }

    #[test]
    fn a_commit_that_fails_says_why() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("muster.db");
        let mut conn = Conn::open(&DatabaseUrl::Sqlite(file), Access::Write).expect("a connection");
        // As a server that goes down while it commits: nothing is left to be rolled back.
        let done = conn.write(|conn| {
            diesel::sql_query("ROLLBACK").execute(conn)?;
            Ok::<_, DieselError>(())
        });
        let error = done.expect_err("nothing to commit");
        assert!(matches!(error, DieselError::DatabaseError(..)), "{error:?}");
        assert!(error.to_string().contains("cannot commit"), "{error}");
    }

    #[test]
    fn a_store_that_keeps_nothing_is_told_from_one_that_refuses() {
        use DatabaseErrorKind::{NotNullViolation, ReadOnlyTransaction, Unknown};
        let error = |kind, text: &str| DieselError::DatabaseError(kind, Box::new(text.to_owned()));
        assert!(is_storage_fault(&error(Unknown, "database or disk is full")));
        assert!(is_storage_fault(&error(ReadOnlyTransaction, "whatever")));
        assert!(!is_storage_fault(&error(Unknown, "no such table: users")));
        assert!(!is_storage_fault(&error(NotNullViolation, "disk I/O error")));
    }
}
