//! Bringing the tables up to date.

use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::Conn;

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Key of the PostgreSQL advisory lock under which one process at a time migrates.
const MIGRATION_LOCK: i64 = 0x6d75_7374_6572;

/// Why the tables could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[error("the database could not be migrated: {0}")]
pub struct MigrationError(String);

fn failed(error: &dyn std::fmt::Display) -> MigrationError {
    MigrationError(error.to_string())
}

/// Runs the migrations that have not run yet; returns their names.
///
/// Several processes may do this at once: on PostgreSQL they take turns under an advisory lock, on
/// SQLite under the write lock.
///
/// # Errors
/// A migration that fails is rolled back; those before it stay.
pub fn migrate(conn: &mut Conn) -> Result<Vec<String>, MigrationError> {
    match conn {
        Conn::Sqlite(conn) => {
            // Each migration is a transaction of its own. Where another process ran the same one
            // meanwhile, this one fails, and another look finds fewer that are to be run.
            let mut pending = pending(conn, SQLITE)?;
            loop {
                match run(conn, SQLITE) {
                    Ok(done) => return Ok(done),
                    Err(error) => {
                        let left = self::pending(conn, SQLITE)?;
                        if left >= pending {
                            return Err(error);
                        }
                        pending = left;
                    }
                }
            }
        }
        Conn::Postgres(conn) => {
            conn.batch_execute(&format!("SELECT pg_advisory_lock({MIGRATION_LOCK})"))
                .map_err(|error| failed(&error))?;
            let done = run(conn, POSTGRES);
            conn.batch_execute(&format!("SELECT pg_advisory_unlock({MIGRATION_LOCK})"))
                .map_err(|error| failed(&error))?;
            done
        }
    }
}

/// Whether a migration has not run yet.
///
/// # Errors
/// Whatever the database says.
pub fn is_pending(conn: &mut Conn) -> Result<bool, MigrationError> {
    match conn {
        Conn::Sqlite(conn) => conn.has_pending_migration(SQLITE),
        Conn::Postgres(conn) => conn.has_pending_migration(POSTGRES),
    }
    .map_err(|error| failed(&error))
}

/// How many migrations have not run yet.
fn pending<DB: diesel::backend::Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<usize, MigrationError> {
    Ok(conn.pending_migrations(migrations).map_err(|error| failed(&error))?.len())
}

fn run<DB: diesel::backend::Backend>(
    conn: &mut impl MigrationHarness<DB>,
    migrations: EmbeddedMigrations,
) -> Result<Vec<String>, MigrationError> {
    let done = conn.run_pending_migrations(migrations).map_err(|error| failed(&error))?;
    Ok(done.iter().map(ToString::to_string).collect())
}

/// A new SQLite store for a test, and the folder that it is in. Rows may refer to some that are not there.
#[cfg(test)]
pub(super) fn migrated() -> (Conn, tempfile::TempDir) {
    use super::connection::Access;
    use super::url::DatabaseUrl;

    let folder = tempfile::tempdir().unwrap();
    let url = DatabaseUrl::Sqlite(folder.path().join("muster.db"));
    let mut conn = Conn::open(&url, Access::Write).unwrap();
    migrate(&mut conn).unwrap();
    conn.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    (conn, folder)
}
