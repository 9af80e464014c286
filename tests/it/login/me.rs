//! `/scim/v2/Me`: who is signed in, as SCIM shows it (RFC 7644 section 3.11).

use serde_json::json;

use super::harness::Login;
use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_person_reads_itself,
    what_is_returned_can_be_chosen,
    a_person_changes_nothing,
    a_deactivated_person_reads_nothing,
    a_token_that_is_over_reads_nothing,
    a_directorys_token_is_nobodys,
    a_persons_token_reads_nobody_else,
];

async fn signed_in(app: &TestApp) -> (ScimClient, String) {
    let login = Login::new(app).await;
    let token = login.access_token(app).await;
    (
        app.with_token(&token),
        login.userinfo(&token).await.body["sub"].as_str().expect("an id").to_owned(),
    )
}

async fn a_person_reads_itself(app: TestApp) {
    let (person, id) = signed_in(&app).await;
    let me = person.get("/Me").await.expect(200);
    let user = app.scim().get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(me.body, user.body);
    assert_eq!(me.body["id"], id);
    assert_eq!(me.header("location"), user.body["meta"]["location"].as_str());
    assert_eq!(me.header("etag"), user.header("etag"));
    let tag = me.header("etag").expect("an entity tag");
    let again = person.send(person.request("GET", "/Me").header("if-none-match", tag)).await;
    assert_eq!(again.expect(304).header("location"), user.body["meta"]["location"].as_str());
}

async fn what_is_returned_can_be_chosen(app: TestApp) {
    let (person, id) = signed_in(&app).await;
    let me = person.get("/Me?attributes=userName").await.expect(200).body;
    let user = app.scim().get(&format!("/Users/{id}?attributes=userName")).await.expect(200).body;
    assert_eq!(me, user);
    assert!(me.get("meta").is_none());
}

async fn a_person_changes_nothing(app: TestApp) {
    let (person, id) = signed_in(&app).await;
    let before = app.scim().get(&format!("/Users/{id}")).await.expect(200).body;
    let patch = patch_body(json!([{ "op": "replace", "path": "title", "value": "Owner" }]));
    let put = json!({ "userName": "other" });
    for (method, body) in [("PATCH", &patch), ("PUT", &put), ("POST", &put), ("DELETE", &json!({}))]
    {
        let refused = person.with_body(method, "/Me", body).await;
        assert_eq!(refused.header("allow"), Some("GET"), "{method}");
        refused.expect_error(405, None);
    }
    assert_eq!(app.scim().get(&format!("/Users/{id}")).await.expect(200).body, before);
}

async fn a_deactivated_person_reads_nothing(app: TestApp) {
    let (person, id) = signed_in(&app).await;
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&format!("/Users/{id}"), &off).await.expect(200);
    person.get("/Me").await.expect_error(401, None);
}

async fn a_token_that_is_over_reads_nothing(app: TestApp) {
    let (person, _) = signed_in(&app).await;
    app.clock.advance(3601);
    person.get("/Me").await.expect_error(401, None);
    app.with_token("muster_access_none").get("/Me").await.expect_error(401, None);
    app.with_authorization(None).get("/Me").await.expect_error(401, None);
}

async fn a_directorys_token_is_nobodys(app: TestApp) {
    let detail = app.scim().get("/Me").await.expect_error(404, None);
    assert!(detail.contains("sign-in"), "{detail}");
    app.scim().delete("/Me").await.expect_error(404, None);
}

async fn a_persons_token_reads_nobody_else(app: TestApp) {
    let (person, id) = signed_in(&app).await;
    for path in ["/Users", &format!("/Users/{id}"), "/Groups", "/", "/Schemas"] {
        person.get(path).await.expect_error(401, None);
    }
}
