//! What is measured: the program on a store, and how it was filled.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use muster::db::DatabaseUrl;
use muster::db::connection::{Access, Conn};
use muster::directory::{Actor, Connection, Context, DirectoryError, connections, teams, users};
use muster::schemas;
use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::{self, Server, succeeds};
use crate::support::{Backend, Cluster, TestDatabase};

/// Users that are written in one transaction.
const BATCH: usize = 5_000;
/// Sizes of groups, where there are users enough.
pub const GROUPS: [usize; 3] = [10, 1_000, 100_000];

/// A store with users and groups, in a SQLite file that is copied for every run.
pub struct Seed {
    folder: TempDir,
    pub users: usize,
    /// The users' ids, in their order.
    pub ids: Vec<String>,
    /// The groups by the number of their members: the first so many users.
    pub groups: Vec<(usize, String)>,
    pub token: Arc<str>,
    pub admin: Arc<str>,
}

/// The user with that number, as Okta would push it.
pub fn user(number: usize) -> Value {
    let name = format!("user{number:07}");
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": format!("{name}@example.com"),
        "externalId": format!("00u{name}"),
        "name": { "givenName": "Ann", "familyName": format!("Family{number}") },
        "displayName": format!("Ann Family{number}"),
        "emails": [{ "value": format!("{name}@mail.example.com"), "type": "work", "primary": true }],
        "title": "Engineer",
        "locale": "en-US",
        "active": true,
    })
}

impl Seed {
    /// Fills a store with so many users.
    pub fn grow(count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("muster.db");
        let url = format!("sqlite://{}", file.display());
        let database = TestDatabase::at(Backend::Sqlite, &url);
        succeeds(&process::run(&database, &["migrate"]));
        succeeds(&process::run(&database, &["connection", "create", "bench"]));
        let bearer = |token: String| Arc::from(format!("Bearer {token}"));
        let token = bearer(succeeds(&process::run(&database, &["token", "create", "bench"])));
        let admin = bearer(succeeds(&process::run(&database, &["admin-token", "create"])));
        let url: DatabaseUrl = url.parse().expect("a URL");
        let mut conn = Conn::open(&url, Access::Write).expect("a store");
        let mut seeding = Seeding::new(&mut conn);
        let begun = Instant::now();
        let ids = seeding.users(&mut conn, count);
        eprintln!("{count} users written in {:.1} s", begun.elapsed().as_secs_f64());
        let groups = GROUPS.iter().filter(|size| **size <= count);
        let groups = groups.map(|size| (*size, seeding.group(&mut conn, &ids[..*size]))).collect();
        // Seals the events, as would have been done while there were ever more.
        drop(conn);
        succeeds(&process::run(&database, &["events", "prune", "--older-than", "3650d"]));
        Self { folder, users: count, ids, groups, token, admin }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("muster.db")
    }

    /// Id of the group with so many members.
    pub fn group(&self, size: usize) -> Option<&str> {
        self.groups.iter().find(|(members, _)| *members == size).map(|(_, id)| id.as_str())
    }
}

struct Seeding {
    context: Context,
}

impl Seeding {
    fn new(conn: &mut Conn) -> Self {
        let connection: Connection =
            conn.snapshot(|conn| connections::find(conn, "bench")).expect("the connection");
        let registry = Arc::new(schemas::registry(None).expect("schemas"));
        let context = Context {
            connection: connection.into(),
            actor: Actor::CommandLine,
            request_id: None,
            now: muster::clock::system()(),
            base_url: Arc::from("http://127.0.0.1/scim/v2"),
            registry,
        };
        Self { context }
    }

    fn users(&mut self, conn: &mut Conn, count: usize) -> Vec<String> {
        let mut ids = Vec::with_capacity(count);
        for first in (0..count).step_by(BATCH) {
            let numbers = first..(first + BATCH).min(count);
            let written = conn.write(|conn| {
                numbers.clone().map(|number| self.user(conn, number)).collect::<Result<Vec<_>, _>>()
            });
            ids.extend(written.expect("users"));
        }
        ids
    }

    fn user(&self, conn: &mut Conn, number: usize) -> Result<String, DirectoryError> {
        let user_type = self.context.registry.user();
        let document = Document::from_body(user_type, user(number), &mut Quirks::default())?;
        Ok(users::create(conn, &self.context, &document)?.id().to_owned())
    }

    fn group(&self, conn: &mut Conn, members: &[String]) -> String {
        let body = json!({ "displayName": format!("group of {}", members.len()) });
        let group_type = self.context.registry.group();
        let document =
            Document::from_body(group_type, body, &mut Quirks::default()).expect("a group");
        let members = members.iter().cloned().collect();
        conn.write(|conn| {
            let team =
                teams::create(conn, &self.context, &document, &members, teams::Show::Nobody)?;
            Ok::<_, DirectoryError>(team.id().to_owned())
        })
        .expect("a group")
    }
}

/// The program, on a copy of the seeded store.
pub struct Subject {
    pub database: TestDatabase,
    server: Option<Server>,
    _folder: TempDir,
    _cluster: Option<Cluster>,
}

impl Subject {
    /// Starts the program on a SQLite file or on a PostgreSQL of its own, with bounds that no load
    /// from one machine meets.
    pub fn start(seed: &Seed, backend: Backend, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (database, cluster) = match backend {
            Backend::Sqlite => {
                let file = folder.path().join("muster.db");
                copy(&seed.file(), &file);
                (TestDatabase::at(backend, &format!("sqlite://{}", file.display())), None)
            }
            Backend::Postgres => {
                let cluster = Cluster::durable();
                let database = cluster.database();
                let backup = folder.path().join("backup.db");
                copy(&seed.file(), &backup);
                let backup = backup.to_str().expect("a path");
                succeeds(&process::run(&database, &["restore", backup]));
                vacuum(&database);
                (database, Some(cluster))
            }
        };
        let server = Server::launch(
            process::serve(&database)
                .args(["--rate-limit", "0", "--sign-in-limit", "0", "--failure-limit", "0"])
                .args(more.split_whitespace())
                .env("RUST_LOG", "error"),
        );
        Self { database, server: Some(server), _folder: folder, _cluster: cluster }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("a server that runs")
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        let address = self.server().field("Listening on").expect("an address");
        address.trim_start_matches("http://").to_owned()
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.server().id()
    }

    /// How large the store is.
    pub fn bytes(&self) -> u64 {
        use diesel::RunQueryDsl;
        #[derive(diesel::QueryableByName)]
        struct Bytes {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            bytes: i64,
        }
        let query = match self.database.backend {
            Backend::Sqlite => {
                "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size"
            }
            Backend::Postgres => "SELECT pg_database_size(current_database()) AS bytes",
        };
        let found: Bytes =
            diesel::sql_query(query).get_result(&mut self.database.connect()).expect("a size");
        u64::try_from(found.bytes).expect("a size")
    }

    /// Ends the program, and leaves the store.
    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// Copies a SQLite store that nobody has open.
fn copy(from: &Path, to: &Path) {
    let file = from.display().to_string();
    let url = format!("sqlite://{file}");
    let backup = to.to_str().expect("a path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.args(["backup", backup, "--database-url", &url]);
    succeeds(&command.output().expect("a run"));
}

/// What PostgreSQL does by itself after a while.
fn vacuum(database: &TestDatabase) {
    use diesel::RunQueryDsl;
    diesel::sql_query("VACUUM ANALYZE").execute(&mut database.connect()).expect("a vacuum");
}
