//! The mass-change brake: what takes away too much is held until somebody lets it through.

use futures_util::future::join_all;
use muster::directory::brake::{Limit, release};
use muster::directory::{Actor, connections};
use serde_json::{Value, json};

use crate::signin::{identity, sign_in};
use crate::support::process::{Server, fails, run, succeeds};
use crate::support::{
    Answer, Case, ScimClient, TestApp, TestDatabase, cases, database_cases, patch_body,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        without_limits_nothing_is_held,
        deactivations_beyond_the_limit_are_held,
        every_way_of_taking_away_is_counted,
        a_share_is_of_all_active_users,
        a_window_goes_by,
        what_is_held_stays_held,
        members_have_a_limit_of_their_own,
        a_group_that_changes_hands_counts_who_is_left_out,
        what_gives_goes_on,
        a_bulk_job_is_held_operation_by_operation,
        of_many_at_once_no_more_than_the_limit_go_through,
        another_connection_goes_on,
        the_back_end_lets_it_through,
    ];
    let databases: &[Case] = database_cases![the_command_line_lets_it_through];
    [apps, databases].concat()
}

async fn people(client: &ScimClient, count: usize) -> Vec<String> {
    let made = join_all((0..count).map(|number| {
        let body =
            json!({ "userName": format!("user{number}"), "externalId": format!("x{number}") });
        let client = client.clone();
        async move { client.post("/Users", &body).await.expect(201).id() }
    }));
    made.await
}

async fn deactivate(client: &ScimClient, id: &str) -> Answer {
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    client.patch(&format!("/Users/{id}"), &off).await
}

async fn is_active(client: &ScimClient, id: &str) -> bool {
    client.get(&format!("/Users/{id}")).await.expect(200).body["active"] == true
}

/// Expects the answer to be that the request is held.
#[track_caller]
fn held(answer: Answer) {
    let retry = answer.header("retry-after").map(str::to_owned);
    let detail = answer.expect_error(429, None);
    assert!(retry.is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{detail}");
    assert!(detail.contains("mass-change brake"), "{detail}");
    assert!(detail.contains("muster brake release default"), "{detail}");
}

async fn let_through(app: &TestApp, seconds: i64) {
    let now = app.clock.now();
    let until = now + seconds * 1_000_000;
    app.db
        .write("test", move |conn| release(conn, "default", &Actor::CommandLine, None, until, now))
        .await
        .expect("a release");
}

fn two_users(settings: &mut connections::Settings) {
    settings.brake.users = Some(Limit::Number(2));
}

async fn without_limits_nothing_is_held(app: TestApp) {
    let client = app.scim();
    for id in people(&client, 12).await {
        deactivate(&client, &id).await.expect(200);
        client.delete(&format!("/Users/{id}")).await.expect(204);
    }
}

async fn deactivations_beyond_the_limit_are_held(app: TestApp) {
    app.set(two_users).await;
    let client = app.scim();
    let ids = people(&client, 5).await;
    deactivate(&client, &ids[0]).await.expect(200);
    // What changes nothing is not counted.
    for _ in 0..3 {
        deactivate(&client, &ids[0]).await.expect(200);
    }
    deactivate(&client, &ids[1]).await.expect(200);
    let before = client.get(&format!("/Users/{}", ids[2])).await.expect(200).body;
    held(deactivate(&client, &ids[2]).await);
    assert_eq!(client.get(&format!("/Users/{}", ids[2])).await.expect(200).body, before);
    // Nobody loses a place because of the requests that were held.
    let_through(&app, 60).await;
    for id in &ids[2..] {
        deactivate(&client, id).await.expect(200);
    }
}

async fn every_way_of_taking_away_is_counted(app: TestApp) {
    app.set(|settings| settings.brake.users = Some(Limit::Number(0))).await;
    let client = app.scim();
    let ids = people(&client, 1).await;
    let path = format!("/Users/{}", ids[0]);
    held(deactivate(&client, &ids[0]).await);
    held(client.put(&path, &json!({ "userName": "user0", "active": false })).await);
    held(client.delete(&path).await);
    let whole = json!([{ "op": "replace", "value": { "active": false, "title": "x" } }]);
    held(client.patch(&path, &patch_body(whole)).await);
    let user = client.get(&path).await.expect(200).body;
    assert_eq!((&user["active"], &user["title"]), (&json!(true), &Value::Null));
    assert_eq!(user["externalId"], "x0");
}

async fn a_share_is_of_all_active_users(app: TestApp) {
    let client = app.scim();
    // Those who left long ago are many, and count for nothing.
    for number in 0..20 {
        let left = json!({ "userName": format!("left{number}"), "active": false });
        client.post("/Users", &left).await.expect(201);
    }
    app.set(|settings| settings.brake.users = Some(Limit::Share(30))).await;
    let ids = people(&client, 20).await;
    for id in &ids[..6] {
        deactivate(&client, id).await.expect(200);
    }
    held(deactivate(&client, &ids[6]).await);
    let_through(&app, 1).await;
    app.clock.advance(2);
    // Of five and fewer, none are too many.
    app.set(|settings| settings.brake.users = Some(Limit::Share(1))).await;
    for id in &ids[6..11] {
        deactivate(&client, id).await.expect(200);
    }
    held(deactivate(&client, &ids[11]).await);
}

async fn a_window_goes_by(app: TestApp) {
    app.set(two_users).await;
    let client = app.scim();
    let ids = people(&client, 6).await;
    for pair in ids.chunks(2) {
        for id in pair {
            deactivate(&client, id).await.expect(200);
        }
        app.clock.advance(3601);
    }
}

async fn what_is_held_stays_held(app: TestApp) {
    app.set(two_users).await;
    let client = app.scim();
    let ids = people(&client, 5).await;
    for id in &ids[..2] {
        deactivate(&client, id).await.expect(200);
    }
    held(deactivate(&client, &ids[2]).await);
    // Time alone lets nothing through, once it was too much.
    app.clock.advance(100 * 3600);
    held(deactivate(&client, &ids[2]).await);
    assert!(is_active(&client, &ids[2]).await);
    let admin = app.admin().await;
    let events = admin.get("/events?count=1000").await.expect(200).body;
    let events = events["events"].as_array().expect("events").clone();
    let held: Vec<&Value> = events.iter().filter(|event| event["action"] == "brake-held").collect();
    assert_eq!(held.len(), 1, "it is put on once: {held:?}");
    assert_eq!(held[0]["actor"]["type"], "token");
    let_through(&app, 60).await;
    deactivate(&client, &ids[2]).await.expect(200);
    deactivate(&client, &ids[3]).await.expect(200);
    app.clock.advance(61);
    // Counting begins anew.
    let more = people_named(&client, &["a", "b", "c"]).await;
    deactivate(&client, &more[0]).await.expect(200);
    deactivate(&client, &more[1]).await.expect(200);
    self::held(deactivate(&client, &more[2]).await);
}

async fn people_named(client: &ScimClient, names: &[&str]) -> Vec<String> {
    let mut ids = Vec::new();
    for name in names {
        ids.push(client.post("/Users", &json!({ "userName": name })).await.expect(201).id());
    }
    ids
}

async fn members_have_a_limit_of_their_own(app: TestApp) {
    app.set(|settings| settings.brake.members = Some(3)).await;
    let client = app.scim();
    let ids = people(&client, 8).await;
    let listed =
        |ids: &[String]| -> Value { ids.iter().map(|id| json!({ "value": id })).collect() };
    let group = json!({ "displayName": "Team", "members": listed(&ids) });
    let id = client.post("/Groups", &group).await.expect(201).id();
    let path = format!("/Groups/{id}");
    let remove = |ids: &[String]| {
        patch_body(json!([{ "op": "remove", "path": "members", "value": listed(ids) }]))
    };
    let members = async || {
        let group = client.get(&path).await.expect(200).body;
        group["members"].as_array().map_or(0, Vec::len)
    };
    client.patch(&path, &remove(&ids[..2])).await.expect(200);
    assert_eq!(members().await, 6);
    held(client.patch(&path, &remove(&ids[2..4])).await);
    assert_eq!(members().await, 6);
    held(client.put(&path, &json!({ "displayName": "Team", "members": [] })).await);
    held(client.delete(&path).await);
    held(client.patch(&path, &patch_body(json!([{ "op": "remove", "path": "members" }]))).await);
    assert_eq!(members().await, 6);
    // Users are counted apart, and have no limit here.
    for id in &ids[4..] {
        deactivate(&client, id).await.expect(200);
    }
}

/// Claims put people into a group; when SCIM takes it over, those whom it does not name are out.
async fn a_group_that_changes_hands_counts_who_is_left_out(app: TestApp) {
    app.set(|settings| settings.brake.members = Some(1)).await;
    let client = app.scim();
    let ids = people(&client, 3).await;
    for number in 0..3 {
        let subject = format!("x{number}");
        let claims = json!({
            "sub": subject, "preferred_username": format!("user{number}"), "groups": ["Team"],
        });
        sign_in(&app, identity(&subject, 1_000_000, claims)).await;
    }
    let members = async || {
        let group = client.find("/Groups", "displayName eq \"Team\"").await[0].clone();
        group["members"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(members().await, 3);
    let listed =
        |ids: &[String]| -> Value { ids.iter().map(|id| json!({ "value": id })).collect() };
    let taken_over = |ids: &[String]| json!({ "displayName": "Team", "members": listed(ids) });
    held(client.post("/Groups", &taken_over(&[])).await);
    held(client.post("/Groups", &taken_over(&ids[..1])).await);
    assert_eq!(members().await, 3);
    // Whoever is named stays.
    client.post("/Groups", &taken_over(&ids)).await.expect(201);
    assert_eq!(members().await, 3);
}

async fn what_gives_goes_on(app: TestApp) {
    app.set(|settings| {
        settings.brake.users = Some(Limit::Number(0));
        settings.brake.members = Some(0);
    })
    .await;
    let client = app.scim();
    let ids = people(&client, 3).await;
    held(deactivate(&client, &ids[0]).await);
    let path = format!("/Users/{}", ids[0]);
    let named = patch_body(json!([{ "op": "add", "path": "title", "value": "x" }]));
    client.patch(&path, &named).await.expect(200);
    client.put(&path, &json!({ "userName": "user0", "externalId": "x0" })).await.expect(200);
    client.post("/Users", &json!({ "userName": "new" })).await.expect(201);
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201).id();
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": ids[1] }] }]);
    client.patch(&format!("/Groups/{group}"), &patch_body(add)).await.expect(200);
    let same = json!({ "displayName": "Team", "members": [{ "value": ids[1] }] });
    client.put(&format!("/Groups/{group}"), &same).await.expect(200);
}

async fn a_bulk_job_is_held_operation_by_operation(app: TestApp) {
    app.set(two_users).await;
    let client = app.scim();
    let ids = people(&client, 4).await;
    let mut operations: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "method": "DELETE", "path": format!("/Users/{id}") }))
        .collect();
    operations.push(json!({
        "method": "POST", "path": "/Users", "bulkId": "new", "data": { "userName": "new" },
    }));
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    let answer = client.post("/Bulk", &body).await.expect(200).body;
    let results = answer["Operations"].as_array().expect("results").iter();
    let statuses: Vec<&str> =
        results.map(|done| done["status"].as_str().expect("a status")).collect();
    assert_eq!(statuses, ["204", "204", "429", "429", "201"]);
    let admin = app.admin().await;
    let state = admin.get("/brakes").await.expect(200).body["brakes"][0].clone();
    assert_eq!((&state["status"], &state["users_removed"]), (&json!("held"), &json!(2)));
}

async fn of_many_at_once_no_more_than_the_limit_go_through(app: TestApp) {
    app.set(|settings| settings.brake.users = Some(Limit::Number(5))).await;
    let replica = app.replica().await;
    let client = app.scim();
    let ids = people(&client, 24).await;
    let statuses = join_all(ids.iter().enumerate().map(|(turn, id)| {
        let other = replica.with_token(app.default_token());
        let client = if turn % 2 == 0 { app.scim() } else { other };
        async move { deactivate(&client, id).await.status }
    }))
    .await;
    let of = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((of(200), of(429)), (5, 19), "{statuses:?}");
    let inactive = client.find("/Users", "active eq false").await.len();
    assert_eq!(inactive, 5);
    replica.stopper().await;
}

async fn another_connection_goes_on(app: TestApp) {
    app.set(|settings| settings.brake.users = Some(Limit::Number(0))).await;
    let client = app.scim();
    let ids = people(&client, 1).await;
    held(deactivate(&client, &ids[0]).await);
    let other = app.other("other").await;
    for id in people(&other, 8).await {
        deactivate(&other, &id).await.expect(200);
    }
}

async fn the_back_end_lets_it_through(app: TestApp) {
    app.set(two_users).await;
    let (client, admin) = (app.scim(), app.admin().await);
    let ids = people(&client, 5).await;
    for id in &ids[..2] {
        deactivate(&client, id).await.expect(200);
    }
    held(deactivate(&client, &ids[2]).await);
    let state = admin.get("/brakes").await.expect(200).body["brakes"][0].clone();
    assert_eq!(state["connection"], "default");
    assert_eq!(state["status"], "held");
    assert_eq!((&state["users_removed"], &state["users_limit"]), (&json!(2), &json!("2")));
    let nothing = json!({});
    // A directory cannot let itself through.
    let own = app.api_with(app.default_token());
    own.post("/brakes/default/release", &nothing).await.expect(401);
    admin.post("/brakes/nobody/release", &nothing).await.expect(404);
    for wrong in ["for=0", "for=-1", "for=x", "for=9999999999", "fro=1"] {
        admin.post(&format!("/brakes/default/release?{wrong}"), &nothing).await.expect(400);
    }
    held(deactivate(&client, &ids[2]).await);
    let error = admin.get("/brakes/default/release").await.expect(405).body;
    assert_eq!(error["error"], "method_not_allowed");
    let released = admin.post("/brakes/default/release?for=60", &nothing).await.expect(200);
    assert_eq!(released.body["status"], "released");
    deactivate(&client, &ids[2]).await.expect(200);
    let events = admin.get("/events?count=1000").await.expect(200).body;
    let last = events["events"].as_array().expect("events").iter();
    let release = last.rev().find(|event| event["action"] == "brake-released");
    let release = release.expect("an event");
    assert_eq!(release["actor"]["type"], "admin-token");
    assert_eq!(release["requestId"].as_str(), released.header("x-request-id"));
}

async fn the_command_line_lets_it_through(database: TestDatabase) {
    succeeds(&run(&database, &["migrate"]));
    let server = Server::start(&database, &[]);
    let set = ["connection", "update", "default", "--brake-users", "1", "--brake-window", "10m"];
    succeeds(&run(&database, &set));
    let base = server.field("SCIM base URL").expect("a URL");
    let token = server.field("API token").expect("a token");
    let client = ScimClient::of(&base, &token);
    let ids = people(&client, 3).await;
    deactivate(&client, &ids[0]).await.expect(200);
    for _ in 0..3 {
        held(deactivate(&client, &ids[1]).await);
    }
    let listed = succeeds(&run(&database, &["brake", "list", "--json"]));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed[0]["status"], "held");
    assert_eq!(listed[0]["window_seconds"], 600);
    fails(&run(&database, &["brake", "release", "nobody"]), 2);
    fails(&run(&database, &["connection", "update", "default", "--brake-users", "lots"]), 2);
    succeeds(&run(&database, &["brake", "release", "default", "--for", "5m"]));
    deactivate(&client, &ids[1]).await.expect(200);
    succeeds(&run(&database, &["connection", "update", "default", "--brake-users", "off"]));
    deactivate(&client, &ids[2]).await.expect(200);
    let log = server.stop();
    // When it is put on, and not for each of the thousands that come after.
    let warned = |line: &&str| line.contains(" WARN ") && line.contains("the mass-change brake");
    assert_eq!(log.lines().filter(warned).count(), 1, "{log}");
}
