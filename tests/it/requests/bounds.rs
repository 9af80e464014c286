//! How much is kept and how long, and what it costs to find something in it.

use std::io::{BufRead, BufReader};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use muster::config::{LogRequests, Settings};
use muster::db::connection::Conn;
use muster::db::events::{self, NewEvent};
use muster::db::requests::{self as rows, About, NewRequest, Wanted, Whose};
use muster::db::sql::Sql;
use muster::directory::connections;
use serde_json::{Value, json};

use super::logged;
use crate::support::process::{Server, run, succeeds};
use crate::support::{
    Case, ScimClient, TestApp, TestDatabase, cases, database_cases, eventually_some,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] =
        cases![every_search_of_the_log_has_an_index, no_copy_of_the_store_has_the_log];
    let databases: &[Case] = database_cases![
        what_is_too_old_or_too_much_is_removed,
        of_nobodys_only_so_many_are_kept,
        a_connection_is_forgotten_a_few_rows_at_a_time,
        of_large_changes_those_are_told_that_fit,
        a_log_of_writes_has_no_reads,
        a_log_without_bodies_still_says_who,
        nothing_is_logged_where_it_is_off,
        nobody_fills_the_log_and_what_is_left_out_is_counted,
        a_server_writes_its_log_and_the_command_follows_it,
    ];
    [apps, databases].concat()
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    total: i64,
}

fn count(conn: &mut Conn, statement: Sql) -> i64 {
    let counted: Counted = statement.get_result(conn).expect("a count");
    counted.total
}

/// How many rows of the log have a text anywhere in them.
pub fn rows_with(conn: &mut Conn, text: &str) -> i64 {
    let row = "COALESCE(path, '') || COALESCE(query, '') || COALESCE(detail, '') || \
               COALESCE(user_name, '') || COALESCE(user_agent, '') || COALESCE(request_body, '') || \
               COALESCE(answer_body, '') || COALESCE(facts, '') || COALESCE(team_name, '') || \
               COALESCE(client, '') || COALESCE(outcome, '') || COALESCE(quirks, '')";
    let position = if conn.is_postgres() { "strpos" } else { "instr" };
    let statement =
        Sql::new(format!("SELECT COUNT(*) AS total FROM requests WHERE {position}({row}, "));
    count(conn, statement.text(text).raw(") > 0"))
}

fn row(at: i64) -> NewRequest {
    NewRequest {
        at,
        kind: "scim".to_owned(),
        method: "GET".to_owned(),
        path: "/scim/v2/Users".to_owned(),
        status: 200,
        request_id: at.to_string(),
        ..NewRequest::default()
    }
}

async fn what_is_too_old_or_too_much_is_removed(database: TestDatabase) {
    let mut conn = database.connect();
    let all: Vec<NewRequest> = (0..20).map(row).collect();
    rows::append(&mut conn, &all, &[]).expect("rows");
    let left = |conn: &mut Conn| count(conn, Sql::new("SELECT COUNT(*) AS total FROM requests"));
    assert_eq!(rows::prune(&mut conn, 5, 0, 3).expect("old ones"), 3, "a few at a time");
    assert_eq!(rows::prune(&mut conn, 5, 0, 500).expect("old ones"), 2);
    assert_eq!(rows::prune(&mut conn, 5, 0, 500).expect("none"), 0);
    assert_eq!(left(&mut conn), 15);
    let surplus = rows::surplus(&mut conn, 10).expect("an id");
    assert_eq!(rows::prune(&mut conn, 5, surplus, 500).expect("surplus"), 5);
    assert_eq!(left(&mut conn), 10);
    assert_eq!(rows::surplus(&mut conn, 10).expect("none"), 0);
    // Rows that are gone again use ids up, and count for nothing.
    let nobodys: Vec<NewRequest> = (0..50).map(|_| row(25)).collect();
    rows::append(&mut conn, &nobodys, &[]).expect("rows");
    Sql::new("DELETE FROM requests WHERE at = 25").execute(&mut conn).expect("a deletion");
    rows::append(&mut conn, &[row(30)], &[]).expect("a row");
    let first = count(&mut conn, Sql::new("SELECT MIN(at) AS total FROM requests"));
    assert_eq!((first, left(&mut conn)), (10, 11));
    let surplus = rows::surplus(&mut conn, 10).expect("an id");
    assert_eq!(rows::prune(&mut conn, 5, surplus, 500).expect("surplus"), 1);
    assert_eq!(rows::surplus(&mut conn, 100).expect("none"), 0);
}

async fn of_nobodys_only_so_many_are_kept(database: TestDatabase) {
    let mut conn = database.connect();
    let all: Vec<NewRequest> = (0..20).map(row).collect();
    rows::append(&mut conn, &all, &[]).expect("rows");
    assert_eq!(rows::prune_nobody(&mut conn, 15, 3).expect("some"), 3);
    assert_eq!(rows::prune_nobody(&mut conn, 15, 500).expect("the rest"), 2);
    assert_eq!(rows::prune_nobody(&mut conn, 15, 500).expect("none"), 0);
    assert_eq!(count(&mut conn, Sql::new("SELECT MIN(at) AS total FROM requests")), 5);
}

async fn a_connection_is_forgotten_a_few_rows_at_a_time(database: TestDatabase) {
    for name in ["acme", "other"] {
        succeeds(&run(&database, &["connection", "create", name]));
    }
    let mut conn = database.connect();
    let mut id = |name: &str| connections::find(&mut conn, name).expect("a connection").id;
    let (acme, other) = (id("acme"), id("other"));
    let ids = [acme.clone(), other].into_iter().flat_map(|id| vec![id; 7]);
    let all: Vec<NewRequest> =
        ids.map(|id| NewRequest { connection_id: Some(id), ..row(1) }).collect();
    rows::append(&mut conn, &all, &[]).expect("rows");
    let left = |conn: &mut Conn| count(conn, Sql::new("SELECT COUNT(*) AS total FROM requests"));
    for (removed, rest) in [(5, 9), (2, 7), (0, 7)] {
        assert_eq!(rows::remove_of(&mut conn, &acme, 5).expect("some"), removed);
        assert_eq!(left(&mut conn), rest);
    }
    succeeds(&run(&database, &["connection", "delete", "other", "--yes"]));
    assert_eq!(left(&mut conn), 0);
}

async fn of_large_changes_those_are_told_that_fit(database: TestDatabase) {
    let app = start(database, |_| {}).await;
    let done = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let request_id = done.header("x-request-id").expect("an id");
    let mut conn = app.database.connect();
    let connection = connections::find(&mut conn, "default").expect("the connection");
    for number in 0..3 {
        let event = NewEvent {
            connection_id: &connection.id,
            at: app.clock.now(),
            actor: "token",
            actor_id: None,
            request_id: Some(request_id),
            action: "updated",
            subject: "team",
            subject_id: "t",
            data: json!({ "number": number, "text": "x".repeat(5 << 20) }).to_string(),
            changes: String::new(),
        };
        events::append(&mut conn, &event).expect("an event");
    }
    let found = super::newest(&app, &format!("requestId={request_id}")).await;
    let changes = found["changes"].as_array().expect("changes");
    let told: Vec<_> = changes.iter().map(|change| change["data"].is_object()).collect();
    assert_eq!(told, [true, true, false, false]);
    assert_eq!(changes[1]["data"]["number"], 0);
    assert_eq!(changes[3]["size"], changes[1]["size"]);
    app.stopper().await;
}

async fn start(database: TestDatabase, set: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(database, set).await
}

async fn a_log_of_writes_has_no_reads(database: TestDatabase) {
    let app = start(database, |settings| settings.request_log.which = LogRequests::Writes).await;
    let client = app.scim();
    client.get("/Users").await.expect(200);
    client.get("/Users/nobody").await.expect(404);
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let found = logged(&app, "").await;
    let seen: Vec<_> = found.iter().map(|entry| entry["status"].as_i64()).collect();
    assert_eq!(seen, [Some(201), Some(404)]);
    app.stopper().await;
}

async fn a_log_without_bodies_still_says_who(database: TestDatabase) {
    let app = start(database, |settings| settings.request_log.bodies = false).await;
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(409);
    for entry in logged(&app, "").await {
        let whole = super::newest(
            &app,
            &format!("requestId={}", entry["requestId"].as_str().expect("an id")),
        )
        .await;
        assert_eq!(whole["user"]["userName"], "ann");
        assert_eq!(
            (&whole["request"]["text"], &whole["answer"]["text"]),
            (&json!(null), &json!(null))
        );
        assert!(whole["request"]["size"].as_i64() > Some(0));
    }
    assert_eq!(logged(&app, "errors=true").await[0]["scimType"], "uniqueness");
    app.stopper().await;
}

async fn nothing_is_logged_where_it_is_off(database: TestDatabase) {
    let app = start(database, |settings| settings.request_log.which = LogRequests::Off).await;
    app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    app.anonymous().get("/Users").await.expect(404);
    assert_eq!(logged(&app, "").await.len(), 0);
    app.stopper().await;
}

async fn nobody_fills_the_log_and_what_is_left_out_is_counted(database: TestDatabase) {
    let app = start(database, |settings| settings.limits.failures = 0).await;
    let nobody = app.with_token("muster_scim_nobody");
    let before = app.clock.now() / 1_000_000;
    for _ in 0..100 {
        nobody.get("/Users").await.expect(401);
    }
    let seconds = usize::try_from(app.clock.now() / 1_000_000 - before + 1).expect("a few");
    let kept = logged(&app, "unassigned=true&count=1000").await.len();
    assert!((10..=10 * seconds).contains(&kept) && kept <= 100, "{kept} in {seconds}");
    let metrics = app.anonymous().get("/metrics").await.expect(200).text;
    let line = format!("muster_requests_not_logged_total {}", 100 - kept);
    assert!(metrics.lines().any(|found| found == line), "{line}: {metrics}");
    app.stopper().await;
}

/// The steps of a plan, as the database explains it.
fn plan(conn: &mut Conn, statement: Sql) -> String {
    if conn.is_postgres() {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            #[diesel(column_name = "QUERY PLAN")]
            line: String,
        }
        let lines: Vec<Line> = Sql::new("EXPLAIN ").append(statement).load(conn).expect("a plan");
        lines.into_iter().map(|line| line.line + "\n").collect()
    } else {
        #[derive(QueryableByName)]
        struct Step {
            #[diesel(sql_type = Text)]
            detail: String,
        }
        let statement = Sql::new("EXPLAIN QUERY PLAN ").append(statement);
        let steps: Vec<Step> = statement.load(conn).expect("a plan");
        steps.into_iter().map(|step| step.detail + "\n").collect()
    }
}

async fn every_search_of_the_log_has_an_index(app: TestApp) {
    app.other("other").await;
    let mut conn = app.database.connect();
    let ids: Vec<String> = ["default", "other"]
        .iter()
        .map(|name| {
            let found = muster::db::connections::find_by_name(&mut conn, name).expect("a query");
            found.expect("a connection").id
        })
        .collect();
    let all: Vec<NewRequest> = (0..2_000)
        .map(|number| NewRequest {
            connection_id: ids.get(usize::from(number % 50 != 0)).cloned(),
            method: if number % 5 == 0 { "POST" } else { "GET" }.to_owned(),
            kind: if number % 500 == 0 { "sign_in" } else { "scim" }.to_owned(),
            status: if number % 100 == 0 { 404 } else { 200 },
            user_id: Some(format!("u{}", number % 200)),
            user_name_fold: Some(format!("name{}", number % 200)),
            team_id: Some(format!("t{}", number % 200)),
            team_name_fold: Some(format!("team{}", number % 200)),
            ..row(number)
        })
        .collect();
    for some in all.chunks(200) {
        rows::append(&mut conn, some, &[]).expect("rows");
    }
    // SQLite makes its plans without statistics, as it does for servers.
    if conn.is_postgres() {
        conn.batch_execute("ANALYZE requests").expect("statistics");
        // A table this small is read as a whole otherwise.
        conn.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
            .expect("a setting");
    }
    let base = Wanted {
        whose: Whose::Connection(&ids[0]),
        user: None,
        team: None,
        only_errors: false,
        kind: None,
        method: None,
        request_id: None,
        before: None,
        after: None,
        limit: 50,
    };
    let about =
        |id: &str, name: &str| Some(About { ids: vec![id.to_owned()], name_fold: name.to_owned() });
    let all = Wanted { whose: Whose::All, ..base.clone() };
    for (wanted, indexes) in [
        (base.clone(), vec!["requests_of_connection"]),
        (Wanted { whose: Whose::Nobody, ..base.clone() }, vec!["requests_of_connection"]),
        (Wanted { after: Some(7), ..base.clone() }, vec!["requests_of_connection"]),
        (Wanted { only_errors: true, ..base.clone() }, vec!["requests_failed"]),
        (Wanted { kind: Some("sign_in"), ..base.clone() }, vec!["requests_to_sign_in"]),
        (Wanted { method: Some("DELETE"), ..base.clone() }, vec!["requests_by_method"]),
        (Wanted { request_id: Some("7"), ..all.clone() }, vec!["requests_by_request"]),
        (
            Wanted { user: about("u7", "name7"), ..base.clone() },
            vec!["requests_of_user", "requests_by_user_name"],
        ),
        (
            Wanted { team: about("t7", "team7"), ..base.clone() },
            vec!["requests_of_team", "requests_by_team_name"],
        ),
        (Wanted { only_errors: true, ..all.clone() }, vec!["requests_failed_anywhere"]),
        (Wanted { kind: Some("sign_in"), ..all.clone() }, vec!["requests_to_sign_in_anywhere"]),
    ] {
        let found = plan(&mut conn, rows::statement(&wanted));
        for index in indexes {
            assert!(found.contains(index), "{wanted:?} does not use {index}:\n{found}");
        }
        // PostgreSQL may sort the few that it expects to find.
        let sorts = found.contains("TEMP B-TREE FOR ORDER BY");
        assert!(!sorts || wanted.user.is_some() || wanted.team.is_some(), "{wanted:?}:\n{found}");
    }
}

async fn no_copy_of_the_store_has_the_log(app: TestApp) {
    let body = json!({ "userName": "ann", "title": "a-title-to-look-for" });
    let id = app.scim().post("/Users", &body).await.expect(201).id();
    app.scim().put(&format!("/Users/{id}"), &json!({ "userName": "ann" })).await.expect(200);
    app.scim().get("/Users?filter=title+eq+%22a-text-of-the-log%22").await.expect(200);
    assert_eq!(logged(&app, "").await.len(), 3);
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db");
    succeeds(&run(&app.database, &["backup", &copy.display().to_string()]));
    let bytes = std::fs::read(&copy).expect("a copy");
    let has = |text: &str| bytes.windows(text.len()).any(|found| found == text.as_bytes());
    assert!(has("ann") && !has("a-text-of-the-log"));
    for more in ["-wal", "-journal", "-shm"] {
        assert!(!folder.path().join(format!("copy.db{more}")).exists(), "{more} is left");
    }
    let copied =
        TestDatabase::at(crate::support::Backend::Sqlite, &format!("sqlite://{}", copy.display()));
    let mut conn = copied.connect();
    for table in ["requests", "request_hours"] {
        let statement = Sql::new(format!("SELECT COUNT(*) AS total FROM {table}"));
        assert_eq!(count(&mut conn, statement), 0, "{table}");
    }
}

async fn a_server_writes_its_log_and_the_command_follows_it(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let base = server.field("Listening on").expect("an address");
    let token = server.field("API token").expect("a token");
    let client = ScimClient::of(&format!("{base}/scim/v2"), &token);
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    client.get("/Users/nobody").await.expect(404);
    // The command reads what servers have written, which they do every second.
    let requests = |more: &[&str]| {
        let arguments = [&["requests", "default"], more].concat();
        succeeds(&run(&database, &arguments))
    };
    let found = eventually_some("both are written", async || {
        let found: Value = serde_json::from_str(&requests(&["--json"])).expect("JSON");
        found.as_array().is_some_and(|found| found.len() >= 2).then_some(found)
    });
    let found = found.await;
    assert_eq!((&found[0]["status"], &found[1]["status"]), (&json!(404), &json!(201)));
    let table = requests(&["--user", "ANN"]);
    assert!(table.starts_with("ID") && table.lines().count() == 2, "{table}");
    assert!(table.contains("POST") && table.contains("/scim/v2/Users"), "{table}");
    assert_eq!(requests(&["--errors"]).lines().count(), 2);
    let one = requests(&["--id", found[1]["id"].as_str().expect("an id")]);
    assert!(one.contains("\"action\":\"created\"") && one.contains("ann"), "{one}");
    // What is there, and what comes: the server's last writes it on its way out.
    let mut following = crate::support::process::muster(&["requests", "--follow", "--json"])
        .args(["--database-url", &database.url])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a command");
    let mut lines = BufReader::new(following.stdout.take().expect("its output")).lines();
    let mut next = || -> Value {
        let line = lines.next().expect("a line").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    };
    assert_eq!((&next()["status"], &next()["status"]), (&json!(201), &json!(404)));
    client.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    server.stop();
    assert_eq!(next()["user"]["userName"], "bob");
    following.kill().expect("an end");
    following.wait().expect("an end");
}
