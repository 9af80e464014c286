//! The log of events: it is whole, it shows when it is not, the state can be built from it, and what
//! is old goes.

mod waiting;

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use futures_util::future::join_all;
use muster::db::sessions::{self, SessionRow};
use muster::db::users::UserRow;
use muster::db::{Conn, Db, StoreError, users};
use muster::directory::sealing::{self, VerifyError};
use serde_json::{Value, json};

use crate::support::process::{Server, fails, run, succeeds};
use crate::support::{
    Backend, Case, ScimClient, TestApp, TestDatabase, cases, database_cases, patch_body,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        a_change_without_an_event_does_not_happen,
        seals_of_two_processes_are_one_chain,
        what_is_altered_in_the_store_shows,
        old_events_are_removed_seal_by_seal,
        a_reader_who_stayed_away_too_long_is_told,
        what_belongs_to_no_connection_is_in_the_log,
        sealing_ends_however_much_is_written_meanwhile,
        old_events_are_removed_by_a_command,
    ];
    let databases: &[Case] = database_cases![
        a_server_seals_what_it_wrote,
        a_running_server_seals_by_itself,
        a_running_server_removes_what_is_old,
        a_log_that_was_cut_off_shows_by_its_seal,
        a_store_is_built_from_an_exported_log,
        a_backup_is_brought_up_to_date_by_the_log,
        a_replay_signs_everybody_out,
        a_copy_that_sealed_its_log_by_itself_takes_no_other,
        a_log_of_another_store_is_refused,
        a_backup_under_load_is_of_one_moment,
        a_backup_is_restored_into_an_empty_store_only,
    ];
    [apps, databases, waiting::CASES].concat()
}

/// Some users and a group of them; returns the users' ids.
async fn write_some(client: &ScimClient, prefix: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..3 {
        let user = json!({
            "userName": format!("{prefix}{number}"),
            "emails": [{ "value": format!("{prefix}{number}@example.com") }],
        });
        ids.push(client.post("/Users", &user).await.expect(201).id());
    }
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let group = json!({ "displayName": prefix, "members": members });
    let group = client.post("/Groups", &group).await.expect(201).id();
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    client.patch(&format!("/Users/{}", ids[0]), &off).await.expect(200);
    let out = json!([{ "op": "remove", "path": format!("members[value eq \"{}\"]", ids[1]) }]);
    client.patch(&format!("/Groups/{group}"), &patch_body(out)).await.expect(200);
    ids
}

/// A user of nobody's making.
fn stray(connection_id: &str) -> UserRow {
    UserRow {
        id: "stray".to_owned(),
        connection_id: connection_id.to_owned(),
        user_name: "stray".to_owned(),
        user_name_fold: "stray".to_owned(),
        external_id: None,
        display_name: None,
        display_name_fold: None,
        active: true,
        scim_owned: true,
        document: r#"{"userName":"stray"}"#.to_owned(),
        version: 1,
        created_at: 1,
        updated_at: 1,
        issuer: None,
        subject: None,
        linked_external_id: None,
        claim_issued_at: None,
        signed_in_at: None,
        token_issued_at: None,
    }
}

async fn a_change_without_an_event_does_not_happen(app: TestApp) {
    let connection =
        app.db.read(|conn| muster::db::connections::all(conn).map_err(StoreError::from));
    let connection = connection.await.expect("connections").remove(0).id;
    let tried = app
        .db
        .write("test", move |conn| Ok::<_, StoreError>(users::insert(conn, &stray(&connection))?))
        .await;
    let error = tried.expect_err("a transaction that is refused").to_string();
    assert!(error.contains("no event tells of: user"), "{error}");
    assert!(app.scim().find("/Users", "userName eq \"stray\"").await.is_empty());
}

/// What `verify` says of a store.
async fn verified(db: &Db, expected: Option<&str>) -> Result<sealing::Report, VerifyError> {
    let expected = expected.map(str::to_owned);
    db.snapshot(move |conn| sealing::verify(conn, expected)).await
}

async fn seals_of_two_processes_are_one_chain(app: TestApp) {
    let replica = app.replica().await;
    let mut last = 0;
    for round in 0..10 {
        write_some(&app.scim(), &format!("round{round}x")).await;
        let now = app.clock.now();
        let sealings = (0..8).map(|turn| {
            let db = if turn % 2 == 0 { app.db.clone() } else { replica.db.clone() };
            async move { sealing::seal(&db, now).await }
        });
        for done in join_all(sealings).await {
            done.expect("seals");
        }
        let report = verified(&app.db, None).await.expect("a whole log");
        assert_eq!(report.unsealed, 0, "{report:?}");
        assert!(report.seals > last, "{report:?}");
        last = report.seals;
    }
    replica.stopper().await;
}

fn execute(conn: &mut Conn, statement: &str) {
    conn.batch_execute(statement).expect("a statement that runs");
}

async fn what_is_altered_in_the_store_shows(app: TestApp) {
    write_some(&app.scim(), "ann").await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    write_some(&app.scim(), "bob").await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    let report = verified(&app.db, None).await.expect("a whole log");
    assert_eq!(report.seals, 2);
    let hash = report.hash.expect("a hash");
    let mut conn = app.database.connect();
    let back = [
        (
            "UPDATE events SET data = data || ' ' WHERE position = 3",
            "UPDATE events SET data = rtrim(data, ' ') WHERE position = 3",
        ),
        (
            "UPDATE events SET changes = changes || ' ' WHERE position = 3",
            "UPDATE events SET changes = rtrim(changes, ' ') WHERE position = 3",
        ),
        (
            "UPDATE events SET at = at + 1 WHERE position = 3",
            "UPDATE events SET at = at - 1 WHERE position = 3",
        ),
        (
            "UPDATE events SET position = -3 WHERE position = 3",
            "UPDATE events SET position = 3 WHERE position = -3",
        ),
        (
            "UPDATE seals SET sealed_at = sealed_at + 1 WHERE number = 1",
            "UPDATE seals SET sealed_at = sealed_at - 1 WHERE number = 1",
        ),
        (
            "UPDATE seals SET number = 7 WHERE number = 1",
            "UPDATE seals SET number = 1 WHERE number = 7",
        ),
        (
            "UPDATE seals SET pruned_at = 1 WHERE number = 1",
            "UPDATE seals SET pruned_at = NULL WHERE number = 1",
        ),
        (
            "UPDATE seals SET pruned_at = 1 WHERE number = 2",
            "UPDATE seals SET pruned_at = NULL WHERE number = 2",
        ),
    ];
    for (alteration, undo) in back {
        execute(&mut conn, alteration);
        let found = verified(&app.db, None).await;
        assert!(matches!(found, Err(VerifyError::Broken(_))), "{alteration}: {found:?}");
        execute(&mut conn, undo);
        verified(&app.db, Some(&hash)).await.expect("a whole log again");
    }
}

async fn old_events_are_removed_seal_by_seal(app: TestApp) {
    let admin = app.admin().await;
    let ids = write_some(&app.scim(), "ann").await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    app.clock.advance(3600);
    let middle = app.clock.now();
    app.clock.advance(3600);
    write_some(&app.scim(), "bob").await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    let before = verified(&app.db, None).await.expect("a whole log");
    // Nothing is that old.
    assert_eq!(sealing::prune(&app.db, 1, app.clock.now()).await.expect("none"), 0);
    let removed = sealing::prune(&app.db, middle, app.clock.now()).await.expect("some");
    assert!(removed > 5, "{removed}");
    let after = verified(&app.db, before.hash.as_deref()).await.expect("a whole log");
    assert_eq!(after.removed, i64::try_from(removed).expect("a number"));
    assert_eq!(after.sealed + after.removed, before.sealed);
    // The last seal keeps its events, however old they are, so that positions go on.
    app.clock.advance(1_000_000);
    let now = app.clock.now();
    assert_eq!(sealing::prune(&app.db, now, now).await.expect("none"), 0);
    write_some(&app.scim(), "eve").await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    verified(&app.db, before.hash.as_deref()).await.expect("a whole log");
    // What the log does not tell any more is still so, and can be explained.
    app.scim().get(&format!("/Users/{}", ids[1])).await.expect(200);
    admin.get(&format!("/users/{}/explain", ids[1])).await.expect(200);
    rebuild_is_not_expected(&app);
}

/// A log whose beginning is gone builds no state; the harness need not try.
fn rebuild_is_not_expected(app: &TestApp) {
    app.database.without_log();
}

async fn a_reader_who_stayed_away_too_long_is_told(app: TestApp) {
    let admin = app.admin().await;
    write_some(&app.scim(), "ann").await;
    let old = admin.get("/events?count=2").await.expect(200).body["next"].clone();
    let recent = admin.get("/events?count=1000").await.expect(200).body["next"].clone();
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    app.clock.advance(60);
    let now = app.clock.now();
    write_some(&app.scim(), "bob").await;
    sealing::seal(&app.db, now).await.expect("seals");
    assert!(sealing::prune(&app.db, now, now).await.expect("some") > 0);
    let path = |cursor: &Value| format!("/events?after={}", cursor.as_str().expect("a cursor"));
    let gone = admin.get(&path(&old)).await.expect(410).body;
    assert_eq!(gone["error"], "gone", "{gone}");
    let going_on = admin.get(&path(&recent)).await.expect(200).body;
    assert_eq!(going_on["events"].as_array().map(Vec::len), Some(6), "{going_on}");
    let anew = admin.get("/events").await.expect(200).body;
    assert_eq!(anew["events"], going_on["events"]);
    rebuild_is_not_expected(&app);
}

async fn what_belongs_to_no_connection_is_in_the_log(app: TestApp) {
    let admin = app.admin().await;
    let now = app.clock.now();
    let redirect = ["https://app.example.com/cb".to_owned()];
    app.db
        .write("test", move |conn| {
            let (made, _) =
                muster::directory::apps::create(conn, "app", &redirect, false, true, now)?;
            muster::directory::apps::delete(conn, &made.id, now)
        })
        .await
        .expect("an application");
    let events = admin.get("/events").await.expect(200).body["events"].clone();
    let of = |kind: &str| -> Vec<String> {
        let events = events.as_array().expect("events").iter();
        let of_kind = events.filter(|event| event["subject"]["type"] == kind);
        of_kind
            .inspect(|event| assert!(event["connectionId"].is_null(), "{event}"))
            .map(|event| event["action"].as_str().expect("an action").to_owned())
            .collect()
    };
    assert_eq!(of("app"), ["created", "deleted"]);
    assert_eq!(of("admin-token"), ["created"]);
    assert!(!events.to_string().contains("hash"), "{events}");
}

/// Every event that gets its place brings another one along, and every seal gives one its place: as
/// under a load that never ends.
async fn sealing_ends_however_much_is_written_meanwhile(app: TestApp) {
    // If it is without end, the test is not.
    let brings = "INSERT INTO events (connection_id, at, actor, action, subject, subject_id, data, \
                  changes) SELECT '', 1, 'a', 'a', 'a', 'a', '{}', '[]' \
                  WHERE (SELECT COUNT(*) FROM events) < 300";
    let places = "UPDATE events SET position = (SELECT MAX(position) + 1 FROM events) \
                  WHERE sequence = (SELECT MIN(sequence) FROM events WHERE position IS NULL)";
    let mut conn = app.database.connect();
    for (name, when, what) in [
        ("brings", "AFTER UPDATE OF position ON events", brings),
        ("places", "AFTER INSERT ON seals", places),
    ] {
        let trigger = match app.database.backend {
            Backend::Sqlite => format!("CREATE TRIGGER {name} {when} BEGIN {what}; END"),
            Backend::Postgres => format!(
                "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN {what}; RETURN NULL; END $$; \
                 CREATE TRIGGER {name} {when} FOR EACH ROW EXECUTE FUNCTION {name}()"
            ),
        };
        execute(&mut conn, &trigger);
    }
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    let report = verified(&app.db, None).await.expect("a whole log");
    assert_eq!(report.seals, 1, "{report:?}");
    let more = app
        .db
        .read(|conn| muster::db::events::any_without_position(conn).map_err(StoreError::from));
    assert!(more.await.expect("a look"), "what came meanwhile is for the next time");
    let of = if app.database.backend == Backend::Postgres { ("events", "seals") } else { ("", "") };
    for (name, table) in [("brings", of.0), ("places", of.1)] {
        let on = if table.is_empty() { String::new() } else { format!(" ON {table}") };
        execute(&mut conn, &format!("DROP TRIGGER {name}{on}"));
    }
}

/// A client of a server that runs as a process.
fn client(server: &Server) -> ScimClient {
    let base = server.field("SCIM base URL").expect("a URL");
    let token = server.field("API token").expect("a token");
    ScimClient::of(&base, &token)
}

fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let printed = succeeds(&run(database, &[arguments, &["--json"]].concat()));
    serde_json::from_str(&printed).expect("JSON")
}

fn digest(database: &TestDatabase) -> Value {
    json_of(database, &["events", "digest"])["digest"].clone()
}

async fn a_server_seals_what_it_wrote(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    write_some(&client(&server), "ann").await;
    let log = server.stop();
    let found = json_of(&database, &["events", "verify"]);
    assert_eq!(found["unsealed"], 0, "{found}");
    assert!(found["sealed"].as_i64() > Some(6), "{found}");
    let hash = found["hash"].as_str().expect("a hash");
    assert!(log.contains(hash), "the log bears witness: {log}");
}

/// Waits until a server has sealed all there is.
fn until_sealed(server: &mut Server, database: &TestDatabase) {
    while json_of(database, &["events", "verify"])["unsealed"] != 0 {
        server.logs("sealed events up to");
    }
}

async fn a_running_server_seals_by_itself(database: TestDatabase) {
    let mut server = Server::start(&database, &["--seal-every", "1s"]);
    let client = client(&server);
    // Not only when it starts.
    for prefix in ["ann", "bob", "eve"] {
        write_some(&client, prefix).await;
        until_sealed(&mut server, &database);
    }
    // Nor only when it ends.
    server.kill();
    let found = json_of(&database, &["events", "verify"]);
    assert_eq!(found["unsealed"], 0, "{found}");
    assert!(found["seals"].as_i64() >= Some(3), "{found}");
}

async fn a_running_server_removes_what_is_old(database: TestDatabase) {
    let arguments = ["--seal-every", "1s", "--keep-events", "1s"];
    let mut server = Server::start(&database, &arguments);
    let token = server.field("API token").expect("a token");
    let client = client(&server);
    write_some(&client, "ann").await;
    until_sealed(&mut server, &database);
    // Those under the last seal stay, so there has to be another.
    write_some(&client, "bob").await;
    until_sealed(&mut server, &database);
    server.logs("events because of their age");
    server.stop();
    let found = json_of(&database, &["events", "verify"]);
    assert!(found["removed"].as_i64() > Some(0), "{found}");
    assert!(found["sealed"].as_i64() > Some(0), "{found}");
    // What is younger stays, seal after seal.
    let arguments = ["--seal-every", "1s", "--keep-events", "1h"];
    let mut server = Server::start(&database, &arguments);
    let base = server.field("SCIM base URL").expect("a URL");
    let client = ScimClient::of(&base, &token);
    assert_eq!(client.find("/Users", "userName pr").await.len(), 6);
    for prefix in ["eve", "dan", "cat"] {
        write_some(&client, prefix).await;
        until_sealed(&mut server, &database);
    }
    server.stop();
    let later = json_of(&database, &["events", "verify"]);
    let seals = |report: &Value| report["seals"].as_i64().expect("a number");
    assert!(seals(&later) >= seals(&found) + 3, "{found} {later}");
    assert_eq!(later["removed"], found["removed"]);
}

async fn old_events_are_removed_by_a_command(app: TestApp) {
    let prune = |age| json_of(&app.database, &["events", "prune", "--older-than", age]);
    write_some(&app.scim(), "ann").await;
    // It seals first, and nothing is that old.
    assert_eq!(prune("1h"), json!({ "removed": 0 }));
    write_some(&app.scim(), "bob").await;
    let before = json_of(&app.database, &["events", "verify"]);
    assert!(before["unsealed"].as_i64() > Some(0), "{before}");
    // Now there is a seal that is not the last; its events are not that old either.
    assert_eq!(prune("1h"), json!({ "removed": 0 }));
    let sealed = json_of(&app.database, &["events", "verify"]);
    assert_eq!((&sealed["seals"], &sealed["unsealed"]), (&json!(2), &json!(0)), "{sealed}");
    let begun = Instant::now();
    let removed = loop {
        // Until they are old enough.
        let removed = prune("1s")["removed"].as_i64().expect("a number");
        if removed > 0 {
            break removed;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "nothing is removed");
    };
    assert_eq!(Some(removed), before["sealed"].as_i64());
    let after = json_of(&app.database, &["events", "verify"]);
    assert_eq!(after["removed"], removed);
    assert_eq!((&after["sealed"], &after["unsealed"]), (&before["unsealed"], &json!(0)));
    // Those under the last seal stay, however old.
    let again = run(&app.database, &["events", "prune", "--older-than", "1s"]);
    succeeds(&again);
    assert!(String::from_utf8_lossy(&again.stderr).contains("removed 0 events"), "{again:?}");
    for wrong in ["0d", "400", "-1d"] {
        let age = format!("--older-than={wrong}");
        let said = fails(&run(&app.database, &["events", "prune", &age]), 2);
        assert!(said.contains("is no duration"), "{said}");
    }
    rebuild_is_not_expected(&app);
}

async fn a_log_that_was_cut_off_shows_by_its_seal(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    write_some(&client(&server), "ann").await;
    server.stop();
    let noted = json_of(&database, &["events", "verify"]);
    let hash = noted["hash"].as_str().expect("a hash").to_owned();
    succeeds(&run(&database, &["events", "verify", "--expect", &hash]));
    // Somebody takes the end away, seals and all; the rest is whole in itself.
    let mut conn = database.connect();
    let last = noted["seals"].as_i64().expect("a number");
    execute(
        &mut conn,
        &format!(
            "DELETE FROM events WHERE position >= \
             (SELECT first_position FROM seals WHERE number = {last}); \
             DELETE FROM seals WHERE number = {last}"
        ),
    );
    drop(conn);
    succeeds(&run(&database, &["events", "verify"]));
    let found = run(&database, &["events", "verify", "--expect", &hash]);
    let said = fails(&found, 1);
    assert!(said.contains("cut off"), "{said}");
}

/// The path of a new file in a folder.
fn file(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().expect("a path").to_owned()
}

async fn a_store_is_built_from_an_exported_log(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let ids = write_some(&client(&server), "ann").await;
    // While it runs.
    let log = file(&folder, "log.jsonl");
    succeeds(&run(&database, &["events", "export", &log]));
    succeeds(&run(&database, &["events", "verify", "--file", &log]));
    let again = fails(&run(&database, &["events", "export", &log]), 2);
    assert!(again.contains("exists already"), "{again}");
    let copy = TestDatabase::empty(database.backend);
    let built = json_of(&copy, &["events", "replay", &log]);
    assert_eq!(built["digest"], digest(&database));
    // Once more, as after an interruption.
    assert_eq!(json_of(&copy, &["events", "replay", &log])["digest"], built["digest"]);
    server.stop();
    // The store works, with the same token, and finds users by what is not in the log itself.
    let server = Server::start(&copy, &[]);
    let client = ScimClient::of(&server.field("SCIM base URL").expect("a URL"), &token);
    let found = client.find("/Users", "emails.value eq \"ann2@example.com\"").await;
    assert_eq!(found[0]["id"], ids[2].as_str());
    write_some(&client, "bob").await;
    server.stop();
    succeeds(&run(
        &copy,
        &["events", "verify", "--expect", built["hash"].as_str().expect("a hash")],
    ));
    // A log that somebody has laid hands on builds nothing.
    let text = std::fs::read_to_string(&log).expect("a log");
    let forged = file(&folder, "forged.jsonl");
    std::fs::write(&forged, text.replacen("ann1", "eve1", 1)).expect("a file");
    let empty = TestDatabase::empty(database.backend);
    let said = fails(&run(&empty, &["events", "replay", &forged]), 2);
    assert!(said.contains("not to be trusted"), "{said}");
    fails(&run(&database, &["events", "verify", "--file", &forged]), 1);
}

/// A server on the database, and a backup of what was written so far.
struct BackedUp {
    client: ScimClient,
    folder: tempfile::TempDir,
    backup: String,
    /// Runs until this is dropped.
    _server: Server,
}

impl BackedUp {
    async fn of(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Server::start(database, &[]);
        let client = client(&server);
        write_some(&client, "ann").await;
        let backup = file(&folder, "backup.db");
        succeeds(&run(database, &["backup", &backup]));
        Self { client, folder, backup, _server: server }
    }
}

async fn a_backup_is_brought_up_to_date_by_the_log(database: TestDatabase) {
    let BackedUp { client, folder, backup, _server } = BackedUp::of(&database).await;
    let log = file(&folder, "log.jsonl");
    let position = json_of(&database, &["events", "digest"])["position"].to_string();
    write_some(&client, "bob").await;
    succeeds(&run(&database, &["events", "export", &log, "--after", &position]));
    let copy = TestDatabase::empty(database.backend);
    succeeds(&run(&copy, &["restore", &backup]));
    assert_ne!(digest(&copy), digest(&database));
    let built = json_of(&copy, &["events", "replay", &log]);
    assert_eq!(built["digest"], digest(&database));
}

/// Which sessions ended since the backup, the log does not tell: none of them may come back to life.
async fn a_replay_signs_everybody_out(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    let client = client(&server);
    let ids = write_some(&client, "ann").await;
    let db = Db::new(database.url.parse().expect("a database URL"), 1);
    let user_id = ids[2].clone();
    db.write("test", move |conn| {
        let row = SessionRow {
            id: "session".to_owned(),
            hash: "hash".to_owned(),
            connection_id: muster::db::connections::all(conn)?.remove(0).id,
            user_id: user_id.clone(),
            created_at: 1,
            last_seen_at: 1,
            expires_at: i64::MAX,
        };
        Ok::<_, StoreError>(sessions::insert(conn, &row)?)
    })
    .await
    .expect("a session");
    let (backup, log) = (file(&folder, "backup.db"), file(&folder, "log.jsonl"));
    succeeds(&run(&database, &["backup", &backup]));
    // It ends by a deactivation, and is over also when the user is back.
    for active in [false, true] {
        let set = patch_body(json!([{ "op": "replace", "path": "active", "value": active }]));
        client.patch(&format!("/Users/{}", ids[2]), &set).await.expect(200);
    }
    succeeds(&run(&database, &["events", "export", &log]));
    let copy = TestDatabase::empty(database.backend);
    succeeds(&run(&copy, &["restore", &backup]));
    let session = |database: &TestDatabase| {
        sessions::find_by_hash(&mut database.connect(), "hash").expect("a look")
    };
    assert!(session(&copy).is_some(), "it is in the backup");
    let built = json_of(&copy, &["events", "replay", &log]);
    assert_eq!(built["digest"], digest(&database));
    assert!(session(&database).is_none());
    assert!(session(&copy).is_none());
}

async fn a_copy_that_sealed_its_log_by_itself_takes_no_other(database: TestDatabase) {
    let BackedUp { client, folder, backup, _server } = BackedUp::of(&database).await;
    let log = file(&folder, "log.jsonl");
    let copy = TestDatabase::empty(database.backend);
    succeeds(&run(&copy, &["restore", &backup]));
    // Exporting seals what is not sealed yet.
    succeeds(&run(&copy, &["events", "export", &file(&folder, "own.jsonl")]));
    write_some(&client, "bob").await;
    succeeds(&run(&database, &["events", "export", &log]));
    let before = digest(&copy);
    let said = fails(&run(&copy, &["events", "replay", &log]), 2);
    assert!(said.contains("sealed its log by itself"), "{said}");
    assert_eq!(digest(&copy), before);
    succeeds(&run(&copy, &["events", "verify"]));
}

async fn a_log_of_another_store_is_refused(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let log = file(&folder, "log.jsonl");
    let other = TestDatabase::empty(database.backend);
    for store in [&database, &other] {
        let server = Server::start(store, &[]);
        write_some(&client(&server), "ann").await;
        server.stop();
    }
    succeeds(&run(&other, &["events", "export", &log]));
    let before = digest(&database);
    let said = fails(&run(&database, &["events", "replay", &log]), 2);
    assert!(said.contains("not a backup of the one"), "{said}");
    assert_eq!(digest(&database), before);
}

async fn a_backup_under_load_is_of_one_moment(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    let client = client(&server);
    let writers = join_all((0..4).map(|writer| {
        let client = client.clone();
        async move {
            for round in 0..12 {
                write_some(&client, &format!("w{writer}r{round}x")).await;
            }
        }
    }));
    let backups = async {
        for number in 0..4 {
            let name = file(&folder, &format!("{number}.db"));
            let database = database.clone();
            let written = actix_web::rt::task::spawn_blocking(move || {
                succeeds(&run(&database, &["backup", &name]));
            });
            written.await.expect("a backup");
        }
    };
    futures_util::future::join(writers, backups).await;
    server.stop();
    let mut digests = std::collections::BTreeSet::new();
    for number in 0..4 {
        // Each is a store of its own, whose log tells all that its state is.
        let name = file(&folder, &format!("{number}.db"));
        let backup = TestDatabase::at(Backend::Sqlite, &format!("sqlite://{name}"));
        crate::support::log::tells_all(&backup, 1).await;
        assert_eq!(backup.integrity(), "ok");
        digests.insert(digest(&backup).to_string());
    }
    assert!(digests.len() > 1, "something was written meanwhile");
    let last = file(&folder, "3.db");
    let restored = TestDatabase::empty(database.backend);
    succeeds(&run(&restored, &["restore", &last]));
    let backup = TestDatabase::at(Backend::Sqlite, &format!("sqlite://{last}"));
    assert_eq!(digest(&restored), digest(&backup));
    succeeds(&run(&restored, &["events", "verify"]));
}

async fn a_backup_is_restored_into_an_empty_store_only(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(&database, &[]);
    write_some(&client(&server), "ann").await;
    server.stop();
    let backup = file(&folder, "backup.db");
    succeeds(&run(&database, &["backup", &backup]));
    let before = digest(&database);
    let said = fails(&run(&database, &["restore", &backup]), 2);
    assert!(said.contains("not empty"), "{said}");
    assert_eq!(digest(&database), before);
    for (name, content) in
        [("missing.db", None), ("text.db", Some("no database")), ("empty.db", Some(""))]
    {
        let wrong = file(&folder, name);
        if let Some(content) = content {
            std::fs::write(&wrong, content).expect("a file");
        }
        let empty = TestDatabase::empty(database.backend);
        let said = fails(&run(&empty, &["restore", &wrong]), 2);
        assert!(said.contains("is no backup"), "{said}");
    }
    let copy = TestDatabase::empty(database.backend);
    succeeds(&run(&copy, &["restore", &backup]));
    assert_eq!(digest(&copy), before);
    // The next event comes after those that were carried over.
    let server = Server::start(&copy, &[]);
    assert_eq!(server.field("API token"), None, "it is not a new store");
    server.stop();
    succeeds(&run(&copy, &["token", "create", "default"]));
    succeeds(&run(&copy, &["events", "verify"]));
}
