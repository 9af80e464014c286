//! The event log: one entry a change, in the transaction that makes it.

use diesel::prelude::*;
use muster::db::schema::events;
use serde_json::{Value, json};

use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    every_change_of_a_user_is_recorded,
    every_change_of_a_group_is_recorded,
    what_changes_nothing_is_not_recorded,
    secrets_are_not_recorded,
];

/// Action and data of the events about a resource, in order.
pub fn of(app: &TestApp, id: &str) -> Vec<(String, Value)> {
    let rows: Vec<(String, String)> = events::table
        .filter(events::subject_id.eq(id))
        .order(events::sequence)
        .select((events::action, events::data))
        .load(&mut app.database.connect())
        .expect("events");
    rows.into_iter()
        .map(|(action, data)| (action, serde_json::from_str(&data).expect("JSON")))
        .collect()
}

fn active(active: bool) -> Value {
    patch_body(json!([{ "op": "replace", "value": { "active": active } }]))
}

async fn every_change_of_a_user_is_recorded(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let path = format!("/Users/{id}");
    client.put(&path, &json!({ "userName": "ann", "title": "x" })).await.expect(200);
    client.patch(&path, &active(false)).await.expect(200);
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    client.patch(&path, &active(false)).await.expect(200);
    client.patch(&path, &active(true)).await.expect(200);
    client.delete(&path).await.expect(204);
    let recorded = of(&app, &id);
    let actions: Vec<&str> = recorded.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "created",
            "updated",
            "deactivated",
            "reprovisioned",
            "deactivated",
            "reactivated",
            "deleted"
        ]
    );
    // Each entry starts where the one before it ended.
    for pair in recorded.windows(2) {
        assert_eq!(pair[0].1["after"], pair[1].1["before"]);
    }
    assert_eq!(recorded[1].1["after"]["title"], "x");
    let row: (String, Option<String>, Option<String>) = events::table
        .filter(events::subject_id.eq(&id))
        .select((events::actor, events::actor_id, events::request_id))
        .first(&mut app.database.connect())
        .expect("an event");
    assert_eq!(row.0, "token");
    assert!(row.1.is_some() && row.2.is_some());
}

async fn every_change_of_a_group_is_recorded(app: TestApp) {
    let client = app.scim();
    let people = super::groups::people(&client, 2).await;
    let body = json!({ "displayName": "Team", "members": [{ "value": people[0] }] });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let path = format!("/Groups/{id}");
    let swap = patch_body(json!([
        { "op": "replace", "path": "members", "value": [{ "value": people[1] }] },
    ]));
    client.patch(&path, &swap).await.expect(200);
    let rename = patch_body(json!([{ "op": "replace", "path": "displayName", "value": "New" }]));
    client.patch(&path, &rename).await.expect(200);
    client.delete(&path).await.expect(204);
    let recorded = of(&app, &id);
    let actions: Vec<&str> = recorded.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["created", "updated", "updated", "deleted"]);
    assert_eq!(recorded[0].1["members"], json!({ "added": [people[0]] }));
    assert_eq!(
        recorded[1].1,
        json!({
            "members": { "added": [people[1]], "removed": [people[0]] },
        })
    );
    assert_eq!(recorded[2].1["before"]["displayName"], "Team");
    assert_eq!(recorded[2].1["after"]["displayName"], "New");
    let deleted = client.delete(&format!("/Users/{}", people[1])).await;
    deleted.expect(204);
}

async fn what_changes_nothing_is_not_recorded(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let path = format!("/Users/{}", made.id());
    client.put(&path, &made.body).await.expect(200);
    client.patch(&path, &active(true)).await.expect(200);
    client
        .post("/Users", &json!({ "userName": "ann" }))
        .await
        .expect_error(409, Some("uniqueness"));
    client.put(&path, &json!({ "userName": "" })).await.expect_error(400, Some("invalidValue"));
    assert_eq!(of(&app, &made.id()).len(), 1);
}

async fn secrets_are_not_recorded(app: TestApp) {
    let client = app.scim();
    let body = json!({ "userName": "ann", "password": "hunter2-hunter2" });
    let id = client.post("/Users", &body).await.expect(201).id();
    client
        .put(&format!("/Users/{id}"), &json!({ "userName": "a", "password": "hunter2-hunter2" }))
        .await
        .expect(200);
    let all: Vec<String> =
        events::table.select(events::data).load(&mut app.database.connect()).expect("events");
    assert!(all.iter().all(|data| !data.contains("hunter2")));
}
