//! Servers start at once on a store that is to be migrated, and migrations are cut off in the middle.

use std::process::{Child, Command, Stdio};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use muster::db::connection::Conn;
use muster::directory::tokens;
use serde_json::{Value, json};

use super::stage::{asked_rounds, member_ids};
use crate::support::process::{Server, muster, run, succeeds};
use crate::support::{Backend, Case, ScimClient, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    replicas_that_start_at_once_share_one_store,
    a_store_of_every_age_is_brought_up_to_date,
    a_migration_that_is_killed_is_done_again,
];

/// The token of a store that is older than the program.
const TOKEN: &str = "muster_scim_of-an-older-store";

fn migrations(backend: Backend) -> FileBasedMigrations {
    let folder = format!("{}/migrations/{}", env!("CARGO_MANIFEST_DIR"), backend.name());
    FileBasedMigrations::from_path(folder).expect("migrations")
}

/// How many migrations there are.
fn count(backend: Backend) -> usize {
    let empty = TestDatabase::empty(backend);
    pending(&empty, &mut empty.connect())
}

/// How many migrations have not run yet.
fn pending(database: &TestDatabase, conn: &mut Conn) -> usize {
    let migrations = migrations(database.backend);
    match conn {
        Conn::Sqlite(conn) => conn.pending_migrations(migrations).expect("a look").len(),
        Conn::Postgres(conn) => conn.pending_migrations(migrations).expect("a look").len(),
    }
}

/// A store in which the first so many migrations have run, with somebody and something in it.
fn older(backend: Backend, age: usize) -> TestDatabase {
    let database = TestDatabase::empty(backend);
    let mut conn = database.connect();
    for _ in 0..age {
        let migrations = migrations(backend);
        match &mut conn {
            Conn::Sqlite(conn) => drop(conn.run_next_migration(migrations).expect("a migration")),
            Conn::Postgres(conn) => drop(conn.run_next_migration(migrations).expect("a migration")),
        }
    }
    if age > 0 {
        let hash = tokens::hash(TOKEN);
        conn.batch_execute(&format!(
            "INSERT INTO connections (id, name, name_fold, provider, membership, unknown_members, \
             created_at, updated_at) VALUES ('c', 'acme', 'acme', 'okta', 'scim-first', 'reject', 0, 0); \
             INSERT INTO tokens (id, connection_id, hash, label, created_at) \
             VALUES ('t', 'c', '{hash}', 'okta', 0); \
             INSERT INTO users (id, connection_id, user_name, user_name_fold, external_id, active, \
             scim_owned, document, version, created_at, updated_at) VALUES \
             ('u1', 'c', 'Ann', 'ann', 'x1', TRUE, TRUE, '{{\"userName\":\"Ann\",\"externalId\":\"x1\",\"active\":true}}', 3, 1, 2), \
             ('u2', 'c', 'JOS\u{c9}', 'jos\u{e9}', NULL, FALSE, FALSE, \
             '{{\"userName\":\"JOS\u{c9}\",\"active\":false}}', 1, 1, 2); \
             INSERT INTO teams (id, connection_id, display_name, display_name_fold, scim_managed, \
             document, version, created_at, updated_at) \
             VALUES ('g', 'c', 'Staff', 'staff', TRUE, '{{\"displayName\":\"Staff\"}}', 1, 1, 2); \
             INSERT INTO memberships (team_id, user_id, connection_id, scim, scim_at, claim) \
             VALUES ('g', 'u1', 'c', TRUE, 1, FALSE), ('g', 'u2', 'c', FALSE, NULL, TRUE); \
             INSERT INTO events (connection_id, at, actor, action, subject, subject_id, data) \
             VALUES ('c', 1, 'token', 'created', 'user', 'u1', '{{}}'), \
             ('c', 2, 'token', 'created', 'team', 'g', '{{}}')"
        ))
        .expect("rows of before");
    }
    database
}

/// That the store serves, with all that was in it.
async fn serves(database: &TestDatabase, age: usize) {
    let server = Server::start(database, &[]);
    let token = server.field("API token");
    assert_eq!(token.is_some(), age == 0, "a token is made for a new store alone");
    let base = server.field("Listening on").expect("an address");
    let http = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
    let http = http.expect("a client");
    let token = token.as_deref().unwrap_or(TOKEN);
    let client = ScimClient::at(&http, &format!("{base}/scim/v2"), token);
    if age == 0 {
        assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 0);
    } else {
        assert_eq!(client.get("/Users/u1").await.expect(200).body["externalId"], "x1");
        for (path, total) in [("/Users?count=0", 2), ("/Groups?count=0", 1)] {
            assert_eq!(client.get(path).await.expect(200).body["totalResults"], total, "{path}");
        }
        assert_eq!(client.find("/Users", "userName eq \"jos\u{e9}\"").await[0]["active"], false);
        let group = client.get("/Groups/g").await.expect(200).body;
        // The one is a member by SCIM, the other by a claim where SCIM has no say.
        assert_eq!(member_ids(&group), ["u1", "u2"], "{group}");
        let output = run(database, &["admin-token", "create"]);
        let api = ScimClient::at(&http, &format!("{base}/api/v1"), &succeeds(&output));
        let events = api.get("/events?connection=acme").await.expect(200).body["events"].clone();
        let subjects: Vec<&Value> =
            events.as_array().into_iter().flatten().map(|event| &event["subject"]["id"]).collect();
        assert_eq!(subjects[..2], ["u1", "g"], "{events}");
        client
            .post("/Users", &json!({ "userName": "ann" }))
            .await
            .expect_error(409, Some("uniqueness"));
    }
    client.post("/Users", &json!({ "userName": "new" })).await.expect(201);
    has_no_errors(&server.stop());
}

#[track_caller]
fn has_no_errors(log: &str) {
    for line in log.lines() {
        assert!(!line.contains(" ERROR ") && !line.contains("panicked"), "{line}");
    }
}

async fn replicas_that_start_at_once_share_one_store(database: TestDatabase) {
    for round in 0..asked_rounds().map_or(2, |rounds| rounds.div_ceil(50)) {
        let processes = if round % 2 == 0 { 2 } else { 8 };
        let empty = TestDatabase::empty(database.backend);
        let servers: Vec<Server> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..processes)
                .map(|_| scope.spawn(|| Server::start_logging(&empty, &[], "muster=debug")))
                .collect();
            let joined = starts.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.map(|done| done.unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
        });
        let made: Vec<String> =
            servers.iter().filter_map(|server| server.field("API token")).collect();
        assert_eq!(made.len(), 1, "round {round}: one token for one store");
        let http = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
        let http = http.expect("a client");
        for server in &servers {
            let base = server.field("Listening on").expect("an address");
            let client = ScimClient::at(&http, &format!("{base}/scim/v2"), &made[0]);
            client.get("/Users").await.expect(200);
        }
        let listed = |command: &str| -> Value {
            let output = succeeds(&run(&empty, &[command, "list", "--json"]));
            serde_json::from_str(&output).expect("JSON")
        };
        let connections = listed("connection");
        assert_eq!(connections.as_array().map(Vec::len), Some(1), "round {round}: {connections}");
        assert_eq!(connections[0]["name"], "default", "round {round}");
        let tokens = listed("token");
        assert_eq!(tokens.as_array().map(Vec::len), Some(1), "round {round}: {tokens}");
        for server in servers {
            has_no_errors(&server.stop());
        }
    }
}

async fn a_store_of_every_age_is_brought_up_to_date(database: TestDatabase) {
    let all = count(database.backend);
    for age in 0..=all {
        let older = older(database.backend, age);
        // Two at once, as when replicas are replaced.
        let done: Vec<usize> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| succeeds(&run(&older, &["migrate"])).lines().count()))
                .collect();
            runs.into_iter().map(|run| run.join().expect("a migration that runs")).collect()
        });
        assert_eq!(pending(&older, &mut older.connect()), 0, "of age {age}");
        // Which of the two said what it did is not told, but neither claims what the other did.
        assert!(done.iter().sum::<usize>() <= all - age, "of age {age}: {done:?}");
        serves(&older, age).await;
    }
}

fn migrating(database: &TestDatabase) -> Child {
    let mut command: Command = muster(&["migrate", "--database-url", &database.url]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process")
}

/// Ends a process as a machine that goes down does.
fn kill(child: &mut Child) {
    child.kill().expect("a process that can be killed");
    child.wait().expect("an end");
}

async fn a_migration_that_is_killed_is_done_again(database: TestDatabase) {
    let all = count(database.backend);
    for age in 0..all {
        let older = older(database.backend, age);
        let cut = match older.backend {
            Backend::Postgres => cut_off_on_postgres(older, all - age),
            Backend::Sqlite => cut_off_on_sqlite(&older, age),
        };
        assert_eq!(pending(&cut, &mut cut.connect()), 0, "of age {age}");
        serves(&cut, age).await;
    }
    if database.backend == Backend::Sqlite {
        killed_anywhere().await;
    }
}

/// A migration that has done all it does, but has not been noted, when its process is killed. The
/// next one is there before the database knows of it.
fn cut_off_on_postgres(older: TestDatabase, left: usize) -> TestDatabase {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        waiting: i64,
    }
    let mut conn = older.connect();
    assert_eq!(pending(&older, &mut conn), left);
    conn.batch_execute("BEGIN; LOCK TABLE __diesel_schema_migrations IN EXCLUSIVE MODE")
        .expect("a lock");
    let waiters = |conn: &mut Conn| {
        let query = "SELECT COUNT(*) AS waiting FROM pg_stat_activity \
                     WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let row: Waiting = diesel::sql_query(query).get_result(conn).expect("a count");
        row.waiting
    };
    // The snapshot of activity is the transaction's.
    let mut look = older.connect();
    let mut first = migrating(&older);
    while waiters(&mut look) < 1 {
        assert!(first.try_wait().expect("a look").is_none(), "the migration waits");
    }
    kill(&mut first);
    let mut second = migrating(&older);
    while waiters(&mut look) < 2 {
        assert!(second.try_wait().expect("a look").is_none(), "the second one waits");
    }
    conn.batch_execute("ROLLBACK").expect("an end");
    assert!(second.wait().expect("an end").success(), "the second one migrates");
    older
}

/// The files as a process leaves them that is killed in the middle of its transaction, with the half
/// of what it wrote.
fn cut_off_on_sqlite(older: &TestDatabase, age: usize) -> TestDatabase {
    let folder = format!("{}/migrations/sqlite", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .expect("migrations")
        .map(|entry| entry.expect("an entry").path().join("up.sql"))
        .collect();
    names.sort();
    let script = std::fs::read_to_string(&names[age]).expect("a migration");
    // What belongs to a trigger is indented.
    let is_end = |line: &str| line.ends_with(';') && !line.starts_with(' ');
    let mut statements = vec![String::new()];
    for line in script.lines() {
        if let Some(last) = statements.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
        if is_end(line) {
            statements.push(String::new());
        }
    }
    statements.pop();
    let half = statements[..statements.len().div_ceil(2)].concat();
    let mut conn = older.connect();
    // Pages are written out before the transaction ends.
    conn.batch_execute("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
        .expect("a transaction");
    conn.batch_execute(&half).expect("half a migration");
    let cut = TestDatabase::empty(Backend::Sqlite);
    let file = |database: &TestDatabase, end: &str| {
        format!("{}{end}", database.url.strip_prefix("sqlite://").expect("a file"))
    };
    for end in ["", "-wal"] {
        std::fs::copy(file(older, end), file(&cut, end)).expect("a copy");
    }
    let left = pending(&cut, &mut cut.connect());
    assert_eq!(succeeds(&run(&cut, &["migrate"])).lines().count(), left, "of age {age}");
    assert_eq!(left, names.len() - age);
    cut
}

/// Kills a migration of an empty file sooner and later, by how much it has written, until one is too
/// fast to be killed.
async fn killed_anywhere() {
    const PAGE: u64 = 4096;
    let (mut killed, mut written) = (0, 0);
    for pages in 0.. {
        let empty = TestDatabase::empty(Backend::Sqlite);
        let journal = format!("{}-wal", empty.url.strip_prefix("sqlite://").expect("a file"));
        let mut child = migrating(&empty);
        let is_over = loop {
            if std::fs::metadata(&journal).is_ok_and(|file| file.len() > pages * PAGE) {
                break false;
            }
            if child.try_wait().expect("a look").is_some() {
                break true;
            }
        };
        kill(&mut child);
        let left = pending(&empty, &mut empty.connect());
        killed += usize::from(left > 0);
        written = written.max(count(Backend::Sqlite) - left);
        succeeds(&run(&empty, &["migrate"]));
        assert_eq!(pending(&empty, &mut empty.connect()), 0, "killed after {pages} pages");
        if is_over {
            serves(&empty, 0).await;
            break;
        }
    }
    assert!(killed > 0, "some were killed before they were done");
    assert!(written > 0, "some had done something");
}
