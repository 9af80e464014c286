//! Throwaway databases: copies of a template that is migrated once a run.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use diesel::RunQueryDsl;
use muster::db::connection::{Access, Conn};
use muster::db::{DatabaseUrl, migrations};
use tempfile::TempDir;

use super::{postgres, scratch};

/// The database that a case runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

enum Removal {
    Folder { _folder: TempDir },
    Database(String),
}

impl Drop for Removal {
    fn drop(&mut self) {
        if let Self::Database(name) = self {
            postgres::drop_database(name);
        }
    }
}

/// A database that goes when nobody holds it any more.
#[derive(Clone)]
pub struct TestDatabase {
    pub backend: Backend,
    pub url: String,
    /// None where removing it is somebody else's task.
    _removal: Option<Arc<Removal>>,
    /// Whether the state can be built from the log.
    has_log: Arc<AtomicBool>,
}

impl TestDatabase {
    /// A database with all tables and no rows.
    pub fn migrated(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let database = Self::empty(backend);
                let file = database.url.strip_prefix("sqlite://").expect("a SQLite URL");
                std::fs::copy(sqlite_template(), file).expect("a copy of the template");
                database
            }
            Backend::Postgres => {
                let (name, url) = postgres::create_database(true);
                Self::going(backend, url, Removal::Database(name))
            }
        }
    }

    /// A database without tables.
    pub fn empty(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = scratch();
                let file = folder.path().join("muster.db");
                let url = format!("sqlite://{}", file.display());
                Self::going(backend, url, Removal::Folder { _folder: folder })
            }
            Backend::Postgres => {
                let (name, url) = postgres::create_database(false);
                Self::going(backend, url, Removal::Database(name))
            }
        }
    }

    fn going(backend: Backend, url: String, removal: Removal) -> Self {
        Self { backend, url, _removal: Some(Arc::new(removal)), has_log: Arc::new(true.into()) }
    }

    /// A database that is somewhere already.
    pub fn at(backend: Backend, url: &str) -> Self {
        Self { backend, url: url.to_owned(), _removal: None, has_log: Arc::new(true.into()) }
    }

    /// Says that the test has made the state another than the log tells, on purpose.
    pub fn without_log(&self) {
        self.has_log.store(false, Ordering::Relaxed);
    }

    /// Whether the state is what the log tells.
    pub fn has_log(&self) -> bool {
        self.has_log.load(Ordering::Relaxed)
    }

    /// A connection of its own, to look at what the server wrote.
    pub fn connect(&self) -> Conn {
        open(&self.url)
    }
}

impl TestDatabase {
    /// What SQLite finds wrong with its file; `ok` if it is nothing.
    pub fn integrity(&self) -> String {
        #[derive(diesel::QueryableByName)]
        struct Found {
            #[diesel(sql_type = diesel::sql_types::Text)]
            integrity_check: String,
        }
        let found: Found = diesel::sql_query("PRAGMA integrity_check")
            .get_result(&mut self.connect())
            .expect("a check");
        found.integrity_check
    }
}

pub fn open(url: &str) -> Conn {
    let url: DatabaseUrl = url.parse().expect("a database URL");
    Conn::open(&url, Access::Write).expect("a connection")
}

pub fn migrate(url: &str) {
    migrations::migrate(&mut open(url)).expect("migrations that run");
}

/// The migrated store that those of tests are copied from. Its folder is removed by [`stop`], since
/// what is static is never dropped.
static TEMPLATE: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();

fn sqlite_template() -> &'static Path {
    let (_, file) = TEMPLATE.get_or_init(|| {
        let folder = scratch().keep();
        let file = folder.join("template.db");
        // Closing the connection folds the journal into the file.
        migrate(&format!("sqlite://{}", file.display()));
        (folder, file)
    });
    file
}

/// Removes what was made for all tests.
pub fn stop() {
    if let Some((folder, _)) = TEMPLATE.get() {
        // Nothing depends on it any more.
        let _ = std::fs::remove_dir_all(folder);
    }
}
