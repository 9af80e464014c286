//! The diagnosis: each check, failing where it should and passing where it should.

use chrono::Datelike;
use std::collections::BTreeSet;

use diesel::RunQueryDsl;
use muster::directory::brake::{self, Limit};
use muster::directory::connections::{self, AdminError, Settings};
use muster::directory::doctor::ABOUT;
use muster::directory::membership::Policy;
use muster::directory::{Actor, sealing, tokens};
use serde_json::{Value, json};

use crate::dry_run::store;
use crate::login::harness::Login;
use crate::signin::{ann, identity, later, pushed_ann, sign_in};
use crate::support::process::{Server, fails, muster, run, succeeds};
use crate::support::provider::{DISCOVERY, Instead, KEYS, Provider};
use crate::support::{Backend, Case, TestApp, TestDatabase, cases, database_cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        a_good_set_up_has_no_problem_and_nothing_is_changed,
        a_provider_that_fails_is_a_problem,
        an_issuer_has_to_be_written_exactly,
        a_provider_needs_keys_to_sign_with,
        clocks_that_are_apart_are_a_problem,
        several_providers_have_to_be_kept_apart,
        sign_in_that_is_half_set_up_is_a_problem,
        a_client_secret_has_to_be_readable,
        a_filter_has_to_let_something_through,
        a_missing_groups_claim_is_told_with_what_to_set,
        tokens_are_warned_of_before_they_end,
        a_token_that_was_never_used_is_told_of,
        a_token_that_ended_in_use_is_a_problem,
        what_happened_last_is_told,
        disagreements_are_counted_by_team,
        people_of_one_application_alone_are_named,
        a_brake_that_is_on_is_a_problem,
        an_admin_token_for_ever_is_warned_of,
        wrong_totals_are_a_problem,
        a_log_that_is_not_sealed_or_was_changed_is_told_of,
        one_connection_alone_can_be_looked_at,
    ];
    let databases: &[Case] = database_cases![
        the_command_says_it_by_its_exit_code,
        tables_of_an_older_program_are_a_problem,
        a_database_that_is_not_there_is_a_problem,
        a_broken_file_is_a_problem,
        the_server_is_asked_at_its_address,
        a_certificate_has_to_be_trusted,
    ];
    let pure: &[Case] = pure_cases![every_check_is_documented];
    [apps, databases, pure].concat()
}

/// The diagnosis of the connection `default`.
async fn report(app: &TestApp) -> Value {
    let admin = app.new_admin_token(Some(app.clock.now() + 90 * DAY)).await.1;
    app.api_with(&admin).get("/doctor?connection=default").await.expect(200).body
}

const DAY: i64 = 86_400 * 1_000_000;

/// A check of the report.
#[track_caller]
fn check<'r>(report: &'r Value, name: &str) -> &'r Value {
    let checks = report["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

/// That a check has this status, says this, and gives advice where something is wrong.
#[track_caller]
fn says(report: &Value, name: &str, status: &str, text: &str) {
    let check = check(report, name);
    assert_eq!(check["status"], status, "{check}");
    let all = format!("{} {}", check["found"], check["advice"]);
    assert!(all.contains(text), "{text}: {check}");
    let is_wrong = ["warning", "problem"].contains(&status);
    assert_eq!(check["advice"].is_string(), is_wrong, "{check}");
    assert!(check["about"].as_str().is_some_and(|about| !about.is_empty()));
}

async fn set(app: &TestApp, connection: &str, change: impl Fn(&mut Settings) + Send + 'static) {
    let (name, now) = (connection.to_owned(), app.clock.now());
    app.db
        .write("update", move |conn| connections::update(conn, &name, &change, now))
        .await
        .expect("a connection that can be changed");
}

/// Comes with a token, and waits until that is noted.
async fn use_token(app: &TestApp, token: &str) {
    // Not again within a minute.
    app.clock.advance(61);
    let begun = app.clock.now();
    app.with_token(token).get("/Users").await.expect(200);
    app.until_used(begun).await;
}

async fn a_good_set_up_has_no_problem_and_nothing_is_changed(app: TestApp) {
    let login = Login::new(&app).await;
    login.does_sign_in(&app).await;
    let push = json!({ "userName": "ann@example.com", "externalId": "00uann" });
    app.scim().post("/Users", &push).await.expect(201);
    // The clock stays where it is, as the others'.
    app.until_used(0).await;
    sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    let admin = app.new_admin_token(Some(app.clock.now() + 90 * DAY)).await.1;
    let before = store(&app);
    let report = app.api_with(&admin).get("/doctor").await.expect(200).body;
    assert_eq!(store(&app), before);
    // But that the server is on this machine, which no provider reaches.
    assert_eq!(report["status"], "warning", "{report}");
    says(&report, "public-url", "warning", "on this machine");
    let backend = app.database.backend;
    let (database, files) = match backend {
        Backend::Sqlite => ("SQLite 3", ["integrity", "disk", "wal"].as_slice()),
        Backend::Postgres => ("PostgreSQL ", ["database-clock"].as_slice()),
    };
    says(&report, "database", "ok", database);
    for name in files {
        assert!(["ok", "warning"].contains(&check(&report, name)["status"].as_str().unwrap_or("")));
    }
    for name in [
        "migrations",
        "totals",
        "log",
        "seals",
        "admin-tokens",
        "server",
        "server-clock",
        "connections",
        "sign-in",
        "issuer",
        "issuer-name",
        "issuer-keys",
        "issuer-clock",
        "mix-up",
        "client-secret",
        "groups-filter",
        "groups-claim",
        "scim-tokens",
        "activity",
        "disagreements",
        "two-apps",
        "brake",
    ] {
        says(&report, name, "ok", "");
    }
    let text = report.to_string();
    assert!(!text.contains(app.default_token()) && !text.contains(&admin), "{text}");
    // Nobody else reads it.
    app.anonymous().get("/api/v1/doctor").await.expect(401);
    app.api_with(app.default_token()).get("/doctor").await.expect(401);
}

async fn a_provider_that_fails_is_a_problem(app: TestApp) {
    let login = Login::new(&app).await;
    login.provider.answers(DISCOVERY, Instead::status(500));
    let found = report(&app).await;
    assert_eq!(found["status"], "problem");
    says(&found, "issuer", "problem", "discovery document");
    says(&found, "issuer-keys", "not-checked", "");
    login.provider.mends(DISCOVERY);
    // It is asked anew, whatever is known of it.
    says(&report(&app).await, "issuer", "ok", &login.provider.issuer);
    login.provider.answers(KEYS, Instead::status(404));
    says(&report(&app).await, "issuer", "problem", "");
    set(&app, "default", |settings| {
        settings.sign_in.issuer = Some("https://10.0.0.1".to_owned());
    })
    .await;
    says(&report(&app).await, "issuer", "problem", "--allow-issuer-network");
    set(&app, "default", |settings| {
        settings.sign_in.issuer = Some("http://example.okta.com".to_owned());
    })
    .await;
    says(&report(&app).await, "issuer", "problem", "https");
}

async fn an_issuer_has_to_be_written_exactly(app: TestApp) {
    let login = Login::new(&app).await;
    let slash = format!("{}/", login.provider.issuer);
    login.provider.describes_itself(json!({ "issuer": slash }));
    let found = report(&app).await;
    says(&found, "issuer", "ok", "answers");
    says(&found, "issuer-name", "problem", &format!("--issuer {slash}"));
    login.provider.describes_itself(json!({}));
    says(&report(&app).await, "issuer-name", "ok", "");
}

async fn a_provider_needs_keys_to_sign_with(app: TestApp) {
    let login = Login::new(&app).await;
    login.provider.publishes(Vec::new());
    says(&report(&app).await, "issuer-keys", "problem", "no key");
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "x" });
    login.provider.publishes(vec![secret]);
    says(&report(&app).await, "issuer-keys", "problem", "no key");
}

async fn clocks_that_are_apart_are_a_problem(app: TestApp) {
    let _login = Login::new(&app).await;
    let clocks: &[&str] = match app.database.backend {
        Backend::Sqlite => &["issuer-clock", "server-clock"],
        Backend::Postgres => &["issuer-clock", "server-clock", "database-clock"],
    };
    app.clock.advance(30);
    let found = report(&app).await;
    for name in clocks {
        says(&found, name, "ok", "apart");
    }
    app.clock.advance(600);
    let found = report(&app).await;
    for name in clocks {
        says(&found, name, "problem", "NTP");
    }
}

async fn several_providers_have_to_be_kept_apart(app: TestApp) {
    let login = Login::new(&app).await;
    says(&report(&app).await, "mix-up", "ok", "");
    app.other("other").await;
    let _other = Login::at(&app, "other", Provider::start_another()).await;
    let found = report(&app).await;
    says(&found, "mix-up", "warning", "--own-callback on");
    says(&found, "sign-in", "ok", "");
    login
        .provider
        .describes_itself(json!({ "authorization_response_iss_parameter_supported": true }));
    says(&report(&app).await, "mix-up", "ok", "");
    // At one issuer.
    let issuer = login.provider.issuer.clone();
    set(&app, "other", move |settings| settings.sign_in.issuer = Some(issuer.clone())).await;
    let found = report(&app).await;
    says(&found, "sign-in", "warning", "other sign in at");
    set(&app, "default", |settings| settings.sign_in.own_callback = true).await;
    let found = report(&app).await;
    says(&found, "sign-in", "ok", "");
    login.provider.describes_itself(json!({}));
    says(&report(&app).await, "mix-up", "ok", "");
}

async fn sign_in_that_is_half_set_up_is_a_problem(app: TestApp) {
    says(&report(&app).await, "sign-in", "not-checked", "not set up");
    let _login = Login::new(&app).await;
    set(&app, "default", |settings| settings.sign_in.client_id = None).await;
    says(&report(&app).await, "sign-in", "problem", "--client-id");
}

async fn a_client_secret_has_to_be_readable(app: TestApp) {
    let _login = Login::new(&app).await;
    says(&report(&app).await, "client-secret", "ok", "PKCE");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    let name = file.to_str().expect("a name").to_owned();
    set(&app, "default", move |settings| {
        settings.sign_in.client_secret_file = Some(name.clone());
    })
    .await;
    says(&report(&app).await, "client-secret", "problem", "cannot be read by this account");
    std::fs::write(&file, " \n").expect("a file");
    says(&report(&app).await, "client-secret", "problem", "is empty");
    std::fs::write(&file, "very-secret\n").expect("a file");
    let found = report(&app).await;
    says(&found, "client-secret", "ok", "can be read");
    assert!(!found.to_string().contains("very-secret"));
    // A file that is none, as one that this account may not read.
    std::fs::remove_file(&file).expect("a file");
    std::fs::create_dir(&file).expect("a folder");
    says(&report(&app).await, "client-secret", "problem", "cannot be read by this account");
}

async fn a_filter_has_to_let_something_through(app: TestApp) {
    says(&report(&app).await, "groups-filter", "ok", "every group");
    let filter = |text: &'static str| {
        set(&app, "default", move |settings| {
            settings.sign_in.groups_filter = Some(text.to_owned());
        })
    };
    filter("^app-").await;
    says(&report(&app).await, "groups-filter", "not-checked", "no teams yet");
    let team = json!({ "displayName": "Staff", "externalId": "x-staff" });
    app.scim().post("/Groups", &team).await.expect(201);
    says(&report(&app).await, "groups-filter", "warning", "none of 1 teams");
    filter("^x-").await;
    says(&report(&app).await, "groups-filter", "ok", "1 of 1");
    filter("(").await;
    says(&report(&app).await, "groups-filter", "problem", "no regular expression");
}

async fn a_missing_groups_claim_is_told_with_what_to_set(app: TestApp) {
    says(&report(&app).await, "groups-claim", "not-checked", "nobody");
    let mut without = ann(json!([]));
    without.claims.remove("groups");
    sign_in(&app, without).await;
    says(&report(&app).await, "groups-claim", "warning", "'groups' and 'Matches regex'");
    sign_in(&app, later(ann(json!([])), json!("Staff"))).await;
    says(&report(&app).await, "groups-claim", "warning", "wrong-type");
    let mut good = ann(json!(["Staff"]));
    good.issued_at += 5_000_000;
    sign_in(&app, good).await;
    says(&report(&app).await, "groups-claim", "ok", "not so at 2 of the last 3");
}

async fn tokens_are_warned_of_before_they_end(app: TestApp) {
    let now = app.clock.now();
    app.new_token_until("default", Some(now + 40 * DAY)).await;
    use_token(&app, app.default_token()).await;
    says(&report(&app).await, "scim-tokens", "ok", "1 of them not yet");
    app.clock.advance(11 * 86_400);
    says(&report(&app).await, "scim-tokens", "warning", "ends in 28 days");
}

async fn a_token_that_was_never_used_is_told_of(app: TestApp) {
    says(&report(&app).await, "scim-tokens", "warning", "none was ever used");
    use_token(&app, app.default_token()).await;
    says(&report(&app).await, "scim-tokens", "ok", "");
    let now = app.clock.now();
    app.db
        .write("revoke", move |conn| {
            let ids = tokens::all(conn, None)?.into_iter().map(|token| token.id);
            for id in ids.collect::<Vec<_>>() {
                tokens::revoke(conn, &id, now)?;
            }
            Ok::<_, AdminError>(())
        })
        .await
        .expect("tokens to revoke");
    says(&report(&app).await, "scim-tokens", "problem", "none of 1 works");
    let settings = Settings::default();
    app.db
        .write("create", move |conn| connections::create(conn, "bare", settings.clone(), now))
        .await
        .expect("a connection");
    let found = app.admin().await.get("/doctor?connection=bare").await.expect(200).body;
    says(&found, "scim-tokens", "warning", "there is none");
}

async fn a_token_that_ended_in_use_is_a_problem(app: TestApp) {
    let now = app.clock.now();
    let (_, token) = app.new_token_until("default", Some(now + 3600 * 1_000_000)).await;
    use_token(&app, &token).await;
    app.clock.advance(2 * 86_400);
    says(&report(&app).await, "scim-tokens", "problem", "the provider is refused");
    // The provider has another one by now.
    use_token(&app, app.default_token()).await;
    says(&report(&app).await, "scim-tokens", "ok", "");
}

async fn what_happened_last_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    says(&report(&app).await, "activity", "warning", "last push: never");
    app.scim().post("/Users", &json!({ "userName": "ann@example.com" })).await.expect(201);
    app.clock.advance(7200);
    says(&report(&app).await, "activity", "warning", "last push 2 hours ago");
    login.does_sign_in(&app).await;
    app.clock.advance(180);
    says(&report(&app).await, "activity", "ok", "last sign-in 3 minutes ago");
    set(&app, "default", |settings| settings.sign_in.jit = false).await;
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.claims["sub"] = json!("stranger");
    token.claims["preferred_username"] = json!("stranger@example.com");
    login.provider.gives(token);
    login.come_back(&begun).await;
    says(&report(&app).await, "activity", "warning", "not-provisioned");
}

async fn disagreements_are_counted_by_team(app: TestApp) {
    let id = app.scim().post("/Users", &pushed_ann()).await.expect(201).id();
    let all = json!([{ "value": id }]);
    for (name, members) in [("Staff", json!([])), ("Sales", all.clone()), ("Both", all)] {
        let team = json!({ "displayName": name, "members": members });
        app.scim().post("/Groups", &team).await.expect(201);
    }
    says(&report(&app).await, "disagreements", "ok", "none");
    sign_in(&app, ann(json!(["Staff", "Both"]))).await;
    says(
        &report(&app).await,
        "disagreements",
        "warning",
        "2 memberships, in 2 teams, most in: Sales (1), Staff (1)",
    );
    // Of what the filter keeps out, a claim says nothing.
    set(&app, "default", |settings| settings.sign_in.groups_filter = Some("St".to_owned())).await;
    says(&report(&app).await, "disagreements", "warning", "1 memberships");
    set(&app, "default", |settings| settings.membership = Policy::Union).await;
    says(&report(&app).await, "disagreements", "ok", "either");
}

async fn people_of_one_application_alone_are_named(app: TestApp) {
    says(&report(&app).await, "two-apps", "not-checked", "no active users");
    app.scim().post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    says(&report(&app).await, "two-apps", "ok", "1 were pushed and never signed in");
    sign_in(&app, ann(json!([]))).await;
    let found = report(&app).await;
    says(&found, "two-apps", "warning", "such as Ann@example.com");
    says(&found, "two-apps", "warning", "--external-id-claim");
    sign_in(&app, identity("00ubob", 1, json!({ "preferred_username": "bob" }))).await;
    says(&report(&app).await, "two-apps", "warning", "Assign these people");
    app.scim().post("/Users", &pushed_ann()).await.expect(201);
    says(&report(&app).await, "two-apps", "ok", "2 both");
}

async fn a_brake_that_is_on_is_a_problem(app: TestApp) {
    says(&report(&app).await, "brake", "ok", "not set up");
    set(&app, "default", |settings| settings.brake.users = Some(Limit::Number(0))).await;
    says(&report(&app).await, "brake", "ok", "holds nothing");
    let id = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    app.scim().delete(&format!("/Users/{id}")).await.expect(429);
    says(&report(&app).await, "brake", "problem", "muster brake release default");
    let now = app.clock.now();
    app.db
        .write("release", move |conn| {
            brake::release(conn, "default", &Actor::CommandLine, None, now + DAY, now)
        })
        .await
        .expect("a release");
    says(&report(&app).await, "brake", "warning", "released");
}

async fn an_admin_token_for_ever_is_warned_of(app: TestApp) {
    says(&report(&app).await, "admin-tokens", "ok", "1 that work");
    app.new_admin_token(Some(app.clock.now() + 10 * DAY + DAY / 2)).await;
    says(&report(&app).await, "admin-tokens", "warning", "one ends in 10 days");
    app.new_admin_token(None).await;
    says(&report(&app).await, "admin-tokens", "warning", "for ever: test");
}

async fn wrong_totals_are_a_problem(app: TestApp) {
    app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    says(&report(&app).await, "totals", "ok", "1 users and groups");
    diesel::sql_query("UPDATE totals SET total = total + 1")
        .execute(&mut app.database.connect())
        .expect("wrong totals");
    says(&report(&app).await, "totals", "problem", "Restart");
}

async fn a_log_that_is_not_sealed_or_was_changed_is_told_of(app: TestApp) {
    says(&report(&app).await, "seals", "not-checked", "no seal");
    app.clock.advance(3600);
    says(&report(&app).await, "log", "warning", "60 minutes");
    app.clock.advance(2 * 86_400);
    says(&report(&app).await, "log", "problem", "days");
    for name in ["ann", "bob", "cat", "dan"] {
        app.scim().post("/Users", &json!({ "userName": name })).await.expect(201);
        sealing::seal(&app.db, app.clock.now()).await.expect("seals");
    }
    let found = report(&app).await;
    // The admin token of the look itself comes after.
    says(&found, "log", "ok", "1 events are not sealed");
    says(&found, "seals", "ok", "newest 3 seals");
    app.database.without_log();
    let mut conn = app.database.connect();
    diesel::sql_query(
        "UPDATE events SET data = '{}' WHERE position = (SELECT MAX(last_position) FROM seals)",
    )
    .execute(&mut conn)
    .expect("a forgery");
    says(&report(&app).await, "seals", "problem", "not those that were sealed");
    diesel::sql_query(
        "UPDATE seals SET sealed_at = 1 WHERE number = (SELECT MAX(number) FROM seals)",
    )
    .execute(&mut conn)
    .expect("a forgery");
    says(&report(&app).await, "seals", "problem", "does not follow");
}

async fn one_connection_alone_can_be_looked_at(app: TestApp) {
    app.other("other").await;
    let admin = app.admin().await;
    let of = async |query: &str| -> BTreeSet<String> {
        let body = admin.get(&format!("/doctor{query}")).await.expect(200).body;
        let checks = body["checks"].as_array().expect("checks").clone();
        checks.iter().filter_map(|one| one["connection"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(of("").await, BTreeSet::from(["default".to_owned(), "other".to_owned()]));
    assert_eq!(of("?connection=OTHER").await, BTreeSet::from(["other".to_owned()]));
    assert_eq!(admin.get("/doctor?connection=x").await.expect(404).body["error"], "not_found");
    admin.get("/doctor?conection=other").await.expect(400);
    admin.post("/doctor", &json!({})).await.expect(405);
}

fn json_of(output: &std::process::Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn the_command_says_it_by_its_exit_code(database: TestDatabase) {
    let found = run(&database, &["doctor"]);
    let text = succeeds(&found);
    assert!(text.contains("warning") && text.contains("muster connection create"), "{text}");
    succeeds(&run(&database, &["connection", "create", "acme", "--issuer", "https://10.0.0.1"]));
    let text = run(&database, &["doctor"]);
    let errors = fails(&text, 1);
    assert!(errors.is_empty(), "{errors}");
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("connection acme") && text.contains("-> "), "{text}");
    let found = run(&database, &["doctor", "--json", "--connection", "acme"]);
    assert_eq!(found.status.code(), Some(1));
    let found = json_of(&found);
    says(&found, "issuer", "problem", "--allow-issuer-network");
    says(&found, "server", "not-checked", "MUSTER_PUBLIC_URL");
    assert!(fails(&run(&database, &["doctor", "--connection", "x"]), 2).contains("'x'"));
}

async fn tables_of_an_older_program_are_a_problem(database: TestDatabase) {
    let empty = TestDatabase::empty(database.backend);
    if empty.backend == Backend::Sqlite {
        std::fs::write(empty.url.strip_prefix("sqlite://").expect("a file"), "").expect("a file");
    }
    let found = run(&empty, &["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    says(&json_of(&found), "migrations", "problem", "muster migrate");
}

async fn a_database_that_is_not_there_is_a_problem(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let url = match database.backend {
        Backend::Sqlite => format!("sqlite://{}/none.db", folder.path().display()),
        // Port 9 discards; nothing listens there.
        Backend::Postgres => "postgres://muster:very-secret@127.0.0.1:9/muster".to_owned(),
    };
    let found = run(&TestDatabase::at(database.backend, &url), &["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    let found = json_of(&found);
    says(&found, "database", "problem", "--database-url");
    assert!(!found.to_string().contains("very-secret"), "{found}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

async fn a_broken_file_is_a_problem(database: TestDatabase) {
    let Some(file) = database.url.strip_prefix("sqlite://") else { return };
    succeeds(&run(&database, &["connection", "create", "acme"]));
    says(&json_of(&run(&database, &["doctor", "--json"])), "integrity", "ok", "nothing wrong");
    // The root page of a table that the rest of the look has no need of.
    let mut bytes = std::fs::read(file).expect("a file");
    let page = {
        #[derive(diesel::QueryableByName)]
        struct Root {
            #[diesel(sql_type = diesel::sql_types::BigInt)]
            at: i64,
        }
        let root: Root = diesel::sql_query(
            "SELECT (rootpage - 1) * page_size AS at FROM sqlite_schema, pragma_page_size \
             WHERE type = 'table' AND name = 'flows'",
        )
        .get_result(&mut database.connect())
        .expect("a page");
        usize::try_from(root.at).expect("a place")
    };
    bytes[page..page + 64].fill(0xff);
    std::fs::write(file, bytes).expect("a broken file");
    let found = run(&database, &["doctor", "--json"]);
    assert_eq!(found.status.code(), Some(1));
    says(&json_of(&found), "integrity", "problem", "last backup");
}

async fn the_server_is_asked_at_its_address(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let address = server.field("Listening on").expect("an address");
    let found = json_of(&run(&database, &["doctor", "--json", "--url", &address]));
    says(&found, "server", "ok", "answers 200");
    says(&found, "server-clock", "ok", "");
    let elsewhere = format!("{address}/nowhere");
    let found = json_of(&run(&database, &["doctor", "--json", "--url", &elsewhere]));
    says(&found, "server", "problem", "answers 404");
    server.stop();
    let found = muster(&["doctor", "--json", "--database-url", &database.url])
        .env("MUSTER_PUBLIC_URL", &address)
        .output()
        .expect("a run");
    assert_eq!(found.status.code(), Some(1));
    says(&json_of(&found), "server", "problem", "nothing answers");
}

async fn a_certificate_has_to_be_trusted(database: TestDatabase) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file.to_str().expect("a name").to_owned()
    };
    let serve = |name: &str, days: i64| {
        let mut parameters =
            rcgen::CertificateParams::new(["localhost".to_owned()]).expect("parameters");
        let ends = chrono::DateTime::from_timestamp_micros(muster::clock::system()() + days * DAY)
            .expect("a time");
        let part = |number: u32| u8::try_from(number).expect("a part of a date");
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after =
            rcgen::date_time_ymd(ends.year(), part(ends.month()), part(ends.day()));
        let key = rcgen::KeyPair::generate().expect("a key");
        let made = parameters.self_signed(&key).expect("a certificate");
        let certificate = file(&format!("{name}.pem"), made.pem());
        let key = file(&format!("{name}-key.pem"), key.serialize_pem());
        let server = Server::start(&database, &["--tls-cert", &certificate, "--tls-key", &key]);
        let address = server.field("Listening on").expect("an address");
        let url = address.replace("127.0.0.1", "localhost");
        (server, certificate, url)
    };
    let doctor = |trusted: Option<&str>, url: &str| {
        let mut command = muster(&["doctor", "--json", "--url", url]);
        command.args(["--database-url", &database.url]);
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        json_of(&command.output().expect("a run"))
    };
    let (_server, certificate, url) = serve("good", 90);
    let found = doctor(None, &url);
    says(&found, "certificate", "problem", "not trusted here");
    says(&found, "server", "ok", "answers 200");
    let found = doctor(Some(&certificate), &url);
    says(&found, "certificate", "ok", "it ends in 8");
    says(&found, "server", "ok", "answers 200");
    let (_server, certificate, url) = serve("short", 10);
    says(&doctor(Some(&certificate), &url), "certificate", "warning", "it ends in ");
    let (_server, certificate, url) = serve("over", -10);
    says(&doctor(Some(&certificate), &url), "certificate", "problem", "it ended ");
}

fn every_check_is_documented() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/diagnosis.md");
    let text = std::fs::read_to_string(path).expect("a document");
    for (name, _) in ABOUT {
        assert!(text.contains(&format!("| `{name}` |")), "{name}");
    }
}
