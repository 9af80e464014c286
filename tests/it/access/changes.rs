//! What changes of a token or of its connection holds from the next request on, whatever that asks for,
//! at every server: also for what is looked up together with whether anything has changed.

use diesel::prelude::*;
use muster::db::secrets;
use muster::directory::connections::{self, AdminError};
use muster::directory::listing::Wanted;
use muster::directory::membership::Policy;
use muster::directory::tokens::{self, AsOf, Change};
use muster::directory::{Actor, Context, teams, users};
use muster::scim::query::Query;
use muster::scim::quirks::Quirks;
use serde_json::{Value, json};

use super::{behind_proxy, counted, get_from, revoke, token};
use crate::support::{Case, ScimClient, TestApp, TestDatabase, cases, database_cases, eventually};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        a_revoked_token_is_told_nothing,
        an_expired_token_is_told_nothing,
        a_deleted_connection_is_told_nothing,
        a_scope_is_held_against_every_look_up,
        the_settings_of_a_look_up_are_those_of_now,
        a_look_up_tells_in_which_epoch_it_was,
        a_look_up_is_a_use_of_its_token,
    ];
    let databases: &[Case] = database_cases![
        an_address_is_held_against_every_look_up,
        a_look_up_counts_once_though_something_has_changed,
        only_who_is_known_is_told_of_a_limit,
    ];
    [apps, databases].concat()
}

/// What can be asked for without changing anything, with how it is answered where a user `ann` and the
/// team `Staff`, which has her as a member, are there.
const READS: [(&str, u16); 18] = [
    ("/Users/{user}", 200),
    ("/Users/{user}?attributes=userName", 200),
    ("/Users/{user}?attributes=userName&excludedAttributes=groups", 400),
    ("/Users/unknown", 404),
    ("/Users?filter=userName eq \"ann\"", 200),
    ("/Users?filter=userName eq \"nobody\"", 200),
    ("/Users?filter=emails.value eq \"ann@example.com\"&count=1", 200),
    ("/Users?filter=userName is \"ann\"", 400),
    ("/Users?count=2", 200),
    ("/Users?count=0", 200),
    ("/Groups/{group}", 200),
    ("/Groups/{group}?excludedAttributes=members", 200),
    ("/Groups/unknown", 404),
    ("/Groups", 200),
    ("/Schemas", 200),
    ("/", 200),
    ("/Users/{user}/emails", 404),
    ("/Bulk", 405),
];

/// A user in a team, and where they are.
async fn ann(app: &TestApp) -> impl Fn(&str) -> String + use<> {
    let ann = json!({
        "userName": "ann",
        "emails": [{ "value": "ann@example.com", "type": "work", "primary": true }],
    });
    let user = app.scim().post("/Users", &ann).await.expect(201).id();
    let staff = json!({ "displayName": "Staff", "members": [{ "value": user }] });
    let group = app.scim().post("/Groups", &staff).await.expect(201).id();
    move |path| path.replace("{user}", &user).replace("{group}", &group)
}

async fn change(app: &TestApp, id: &str, change: Change) {
    let (id, now) = (id.to_owned(), app.clock.now());
    app.db
        .write("update_token", move |conn| tokens::update(conn, &id, &change, now))
        .await
        .expect("a token to change");
}

/// That each read is answered as it is to be, of whom the server knows.
async fn reads_all(client: &ScimClient, at: &impl Fn(&str) -> String) {
    for (path, status) in READS {
        client.get(&at(path)).await.expect(status);
    }
}

async fn a_revoked_token_is_told_nothing(app: TestApp) {
    let at = ann(&app).await;
    reads_all(&app.scim(), &at).await;
    let replica = app.replica().await;
    let known = app.scim().get(&at("/Users/{user}")).await.header("etag").map(str::to_owned);
    let known = known.expect("an entity tag");
    let plain = READS.map(|(path, status)| (path, status, None));
    for (path, status, tag) in plain.into_iter().chain([("/Users/{user}", 304, Some(&known))]) {
        let (id, token) = app.new_token("default").await;
        let clients = [app.with_token(&token), replica.with_token(&token)];
        let ask = async |client: &ScimClient| {
            let request = client.request("GET", &at(path));
            client
                .send(tag.into_iter().fold(request, |r, tag| r.header("if-none-match", tag)))
                .await
        };
        for client in &clients {
            // The first makes the token known, so that the next is presumed to be good.
            ask(client).await.expect(status);
            ask(client).await.expect(status);
        }
        revoke(&app, &id).await;
        for client in &clients {
            for _ in 0..2 {
                let detail = ask(client).await.expect_error(401, None);
                assert!(detail.contains("revoked"), "{path}: {detail}");
            }
        }
    }
    // Each is counted once.
    let reason = r#"muster_refused_authentication_total{reason="revoked-token"}"#;
    for server in [&app, &replica] {
        assert_eq!(counted(server, reason).await, 2 * (READS.len() as u64 + 1));
    }
}

async fn an_expired_token_is_told_nothing(app: TestApp) {
    let at = ann(&app).await;
    for (path, status) in READS {
        let until = app.clock.now() + 20_000_000;
        let client = app.with_token(&app.new_token_until("default", Some(until)).await.1);
        client.get(&at(path)).await.expect(status);
        client.get(&at(path)).await.expect(status);
        app.clock.advance(21);
        let detail = client.get(&at(path)).await.expect_error(401, None);
        assert!(detail.contains("expired"), "{path}: {detail}");
    }
}

async fn a_deleted_connection_is_told_nothing(app: TestApp) {
    let client = app.other("acme").await;
    let made = client.post("/Users", &json!({ "userName": "bob" })).await.expect(201).id();
    let path = format!("/Users/{made}");
    client.get(&path).await.expect(200);
    let now = app.clock.now();
    app.db
        .write("delete", move |conn| connections::delete(conn, "acme", now))
        .await
        .expect("a connection to delete");
    client.get(&path).await.expect_error(401, None);
    client.get("/Users?filter=userName eq \"bob\"").await.expect_error(401, None);
}

async fn a_scope_is_held_against_every_look_up(app: TestApp) {
    let at = ann(&app).await;
    let (id, token) = token(&app, "users:read groups:read", "").await;
    let client = app.with_token(&token);
    let scopes = |names: &str| Change { scopes: names.parse().ok(), ..Change::default() };
    for (path, other) in [
        ("/Users/{user}", "groups:read"),
        ("/Users/unknown", "groups:read"),
        ("/Users?filter=userName eq \"ann\"", "groups:read"),
        ("/Users?filter=userName eq \"nobody\"", "groups:read"),
        ("/Groups/{group}", "users:read"),
        ("/Groups/{group}?excludedAttributes=members", "users:read"),
        ("/Groups/unknown", "users:read"),
    ] {
        let path = at(path);
        let status = client.get(&path).await.status;
        assert!([200, 404].contains(&status), "{path}: {status}");
        change(&app, &id, scopes(other)).await;
        client.get(&path).await.expect_error(403, None);
        client.get(&path).await.expect_error(403, None);
        change(&app, &id, scopes("users:read groups:read")).await;
        client.get(&path).await.expect(status);
    }
    // Of both kinds, those that the token may read.
    let total = async || client.get("/").await.expect(200).body["totalResults"].clone();
    assert_eq!(total().await, 2);
    change(&app, &id, scopes("users:read")).await;
    assert_eq!(total().await, 1);
    // Not even that a copy is still good.
    let path = at("/Users/{user}");
    let tag = client.get(&path).await.header("etag").expect("an entity tag").to_owned();
    change(&app, &id, scopes("groups:read")).await;
    let copy = client.request("GET", &path).header("if-none-match", tag);
    client.send(copy).await.expect_error(403, None);
}

async fn an_address_is_held_against_every_look_up(database: TestDatabase) {
    let app = behind_proxy(database, |_| {}).await;
    let at = ann(&app).await;
    let (id, token) = token(&app, "users:read groups:read", "192.0.2.7").await;
    let client = app.with_token(&token);
    let networks = |text: &str| Change { allow_from: text.parse().ok(), ..Change::default() };
    for path in [
        "/Users/{user}",
        "/Users/unknown",
        "/Users?filter=userName eq \"ann\"",
        "/Groups/{group}",
        "/Groups?count=1",
        "/Nothing",
    ] {
        let path = at(path);
        let status = get_from(&client, "192.0.2.7", &path).await.status;
        assert!([200, 404].contains(&status), "{path}: {status}");
        change(&app, &id, networks("203.0.113.0/24")).await;
        get_from(&client, "192.0.2.7", &path).await.expect_error(403, None);
        get_from(&client, "203.0.113.1", &path).await.expect(status);
        change(&app, &id, networks("192.0.2.7")).await;
        get_from(&client, "192.0.2.7", &path).await.expect(status);
        get_from(&client, "203.0.113.1", &path).await.expect_error(403, None);
    }
}

async fn a_look_up_counts_once_though_something_has_changed(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.limits.requests = 1).await;
    let at = ann(&app).await;
    let (id, token) = app.new_token("default").await;
    let client = app.with_token(&token);
    // Ten at once; twice as many would not do.
    for round in 0..10 {
        let label = Some(format!("round {round}"));
        change(&app, &id, Change { label, ..Change::default() }).await;
        client.get(&at("/Users/{user}")).await.expect(200);
    }
    assert_eq!(counted(&app, r#"muster_limited_requests_total{limit="requests"}"#).await, 0);
}

/// Whoever asks for too much with a token that is over hears that it is over.
async fn only_who_is_known_is_told_of_a_limit(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.limits.requests = 1).await;
    let (id, token) = app.new_token("default").await;
    let client = app.with_token(&token);
    let mut answer = client.get("/Users?count=0").await;
    for _ in 0..1000 {
        if answer.status != 200 {
            break;
        }
        answer = client.get("/Users?count=0").await;
    }
    answer.expect_error(429, None);
    revoke(&app, &id).await;
    client.get("/Users?count=0").await.expect_error(401, None);
    let limited = counted(&app, r#"muster_limited_requests_total{limit="requests"}"#).await;
    assert_eq!(limited, 1);
}

async fn the_settings_of_a_look_up_are_those_of_now(app: TestApp) {
    let at = ann(&app).await;
    let replica = app.replica().await;
    app.database.without_log();
    // Sign-in says that she is in another team, too, which SCIM manages.
    let id = app.scim().post("/Groups", &json!({ "displayName": "All" })).await.expect(201).id();
    let user = at("{user}");
    let claim = format!(
        "INSERT INTO memberships (team_id, user_id, connection_id, scim, claim, claim_at) \
         SELECT '{id}', id, connection_id, FALSE, TRUE, 1 FROM users WHERE id = '{user}'"
    );
    diesel::sql_query(claim).execute(&mut app.database.connect()).expect("what a claim says");
    let names = |user: &Value| -> Vec<String> {
        let groups = user["groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<String> =
            groups.iter().filter_map(|group| group["display"].as_str().map(Into::into)).collect();
        names.sort();
        names
    };
    for _ in 0..2 {
        for server in [&app, &replica] {
            app.set(|settings| settings.membership = Policy::ScimFirst).await;
            let user = server.scim().get(&at("/Users/{user}")).await.expect(200).body;
            assert_eq!(names(&user), ["Staff"]);
            app.set(|settings| settings.membership = Policy::Union).await;
            let user = server.scim().get(&at("/Users/{user}")).await.expect(200).body;
            assert_eq!(names(&user), ["All", "Staff"]);
            let found = server.scim().find("/Users", "userName eq \"ann\"").await;
            assert_eq!(names(&found[0]), ["All", "Staff"]);
            app.set(|settings| settings.membership = Policy::ScimFirst).await;
            let found = server.scim().find("/Users", "userName eq \"ann\"").await;
            assert_eq!(names(&found[0]), ["Staff"]);
            app.set(|settings| settings.membership = Policy::Union).await;
            let page = server.scim().get("/Users?count=2").await.expect(200).body;
            assert_eq!(names(&page["Resources"][0]), ["All", "Staff"]);
            let path = format!("/Groups/{id}");
            app.set(|settings| settings.membership = Policy::ScimFirst).await;
            let team = server.scim().get(&path).await.expect(200).body;
            assert_eq!(team["members"], json!([]));
            app.set(|settings| settings.membership = Policy::Union).await;
            let team = server.scim().get(&path).await.expect(200).body;
            assert_eq!(team["members"][0]["value"], at("{user}"));
        }
    }
}

async fn a_look_up_tells_in_which_epoch_it_was(app: TestApp) {
    let at = ann(&app).await;
    let (user, team) = (at("{user}"), at("{group}"));
    let base_url = app.app.scim_base_url.clone();
    let (registry, now) = (app.registry.clone(), app.clock.now());
    let told = async || {
        let (user, team) = (user.clone(), team.clone());
        let (base_url, registry) = (base_url.clone(), registry.clone());
        let told = app.db.read(move |conn| {
            let context = Context {
                connection: connections::find(conn, "default")?.into(),
                actor: Actor::Token("none".to_owned()),
                request_id: None,
                now,
                base_url,
                registry,
            };
            let epoch = secrets::access_epoch(conn)?;
            let user = users::get(conn, &context, &user, true).expect("the user");
            let team = teams::get(conn, &context, &team, teams::Show::Nobody).expect("the team");
            let query = Query::from_url("filter=userName%20eq%20%22ann%22");
            let wanted = Wanted {
                filter: query
                    .filter(context.registry.user(), &mut Quirks::default())
                    .expect("a filter"),
                order: None,
                memberships: true,
                names: false,
                most_members: 10,
            };
            let page = query.page(None, "").expect("a page");
            let listed = users::list(conn, &context, &wanted, &page).expect("the users");
            let told = [user.epoch(), team.epoch(), listed.epoch()];
            let told = told.map(|epoch| epoch.map(str::to_owned));
            Ok::<_, AdminError>((epoch, told))
        });
        let (epoch, told) = told.await.expect("what is looked up");
        assert_eq!(told, [(); 3].map(|()| Some(epoch.clone())));
        epoch
    };
    let before = told().await;
    app.set(|settings| settings.membership = Policy::Union).await;
    let after = told().await;
    assert_ne!(after, before);
    app.set(|settings| settings.membership = Policy::ScimFirst).await;
    assert!(![before, after].contains(&told().await));
}

async fn a_look_up_is_a_use_of_its_token(app: TestApp) {
    let at = ann(&app).await;
    let (id, token) = app.new_token("default").await;
    app.with_token(&token).get("/Users").await.expect(200);
    let used_since = async |since: i64| {
        eventually("the use is noted", async || {
            let all = app.db.read(|conn| tokens::all(conn, Some("default"))).await.expect("tokens");
            let found = all.iter().find(|found| found.id == id).expect("the token");
            found.last_used_at.is_some_and(|at| at >= since)
        })
        .await;
    };
    used_since(0).await;
    // Another server learns of the token before the next use is to be noted, and knows it still when it is.
    let replica = app.replica().await;
    let client = replica.with_token(&token);
    replica.clock.advance(40);
    client.get(&at("/Users/{user}")).await.expect(200);
    replica.clock.advance(25);
    let now = replica.clock.now();
    client.get(&at("/Users/{user}")).await.expect(200);
    used_since(now).await;
}
