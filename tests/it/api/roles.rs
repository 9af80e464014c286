//! Events carry the roles that somebody has after them, and those that a changed team stands for.

use serde_json::{Value, json};

use super::lists::grant;
use crate::scim::events::of;
use crate::signin::{ann, later, pushed_ann, sign_in};
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_life_of_a_user_is_told_in_roles,
    a_reassigned_identity_is_told_in_roles,
    a_put_that_takes_over_is_told_in_roles,
    a_change_of_members_tells_the_teams_roles,
];

/// Actions and roles of the events about something, in order.
fn told(app: &TestApp, id: &str) -> Vec<(String, Option<Value>)> {
    of(app, id).into_iter().map(|(action, data)| (action, data.get("roles").cloned())).collect()
}

fn some(action: &str, roles: Value) -> (String, Option<Value>) {
    (action.to_owned(), Some(roles))
}

fn none(action: &str) -> (String, Option<Value>) {
    (action.to_owned(), None)
}

async fn the_life_of_a_user_is_told_in_roles(app: TestApp) {
    let scim = app.scim();
    let id = sign_in(&app, ann(json!(["Staff", "Sales"]))).await.user;
    grant(&app, "Staff", "editor").await;
    grant(&app, "Sales", "seller").await;
    sign_in(&app, later(ann(json!([])), json!(["Staff"]))).await;
    scim.post("/Users", &pushed_ann()).await.expect(201);
    let path = format!("/Users/{id}");
    let active =
        |active: bool| patch_body(json!([{ "op": "replace", "value": { "active": active } }]));
    scim.patch(&path, &active(false)).await.expect(200);
    scim.patch(&path, &active(true)).await.expect(200);
    scim.patch(&path, &active(false)).await.expect(200);
    scim.post("/Users", &pushed_ann()).await.expect(201);
    let title = patch_body(json!([{ "op": "replace", "value": { "title": "x" } }]));
    scim.patch(&path, &title).await.expect(200);
    scim.delete(&path).await.expect(204);
    assert_eq!(
        told(&app, &id),
        [
            none("created"),
            some("signed-in", json!([])),
            some("signed-in", json!(["editor"])),
            some("adopted", json!(["editor"])),
            some("deactivated", json!([])),
            some("reactivated", json!(["editor"])),
            some("deactivated", json!([])),
            some("reprovisioned", json!(["editor"])),
            some("updated", json!(["editor"])),
            some("deleted", json!([])),
        ]
    );
}

async fn a_reassigned_identity_is_told_in_roles(app: TestApp) {
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    grant(&app, "Staff", "editor").await;
    let body = json!({ "userName": "ann@example.com", "externalId": "00unew" });
    app.scim().put(&format!("/Users/{id}"), &body).await.expect(200);
    let told = told(&app, &id);
    assert!(told.contains(&some("identity-reassigned", json!([]))), "{told:?}");
}

async fn a_put_that_takes_over_is_told_in_roles(app: TestApp) {
    // Okta's wizard app finds users and groups that sign-in made, and puts them back as its own.
    let scim = app.scim();
    let id = sign_in(&app, ann(json!(["Staff"]))).await.user;
    grant(&app, "Staff", "editor").await;
    let group = scim.find("/Groups", "displayName eq \"Staff\"").await[0].clone();
    let team = group["id"].as_str().expect("an id").to_owned();
    scim.put(&format!("/Groups/{team}"), &json!({ "displayName": "Staff" })).await.expect(200);
    scim.put(&format!("/Users/{id}"), &pushed_ann()).await.expect(200);
    assert_eq!(told(&app, &team).last(), Some(&some("adopted", json!(["editor"]))));
    assert_eq!(told(&app, &id).last(), Some(&some("adopted", json!([]))), "SCIM decides now");
}

async fn a_change_of_members_tells_the_teams_roles(app: TestApp) {
    let scim = app.scim();
    let user = scim.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({ "displayName": "Staff", "members": [{ "value": user }] });
    let id = scim.post("/Groups", &group).await.expect(201).id();
    let path = format!("/Groups/{id}");
    let clear = patch_body(json!([{ "op": "remove", "path": "members" }]));
    scim.patch(&path, &clear).await.expect(200);
    grant(&app, "Staff", "editor").await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    scim.patch(&path, &patch_body(add)).await.expect(200);
    scim.delete(&path).await.expect(204);
    assert_eq!(
        told(&app, &id),
        [
            none("created"),
            none("updated"),
            some("updated", json!(["editor"])),
            some("updated", json!(["editor"])),
            some("deleted", json!(["editor"])),
        ]
    );
    assert_eq!(of(&app, &id)[2].1["role_granted"], "editor");
}
