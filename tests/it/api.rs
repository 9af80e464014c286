//! `/api/v1`: who may read, and what users, teams and members look like.

mod description;
mod events;
mod explain;
mod lists;
mod roles;

use serde_json::json;

use crate::signin::{ann, sign_in};
use crate::support::{Case, TestApp, cases, eventually};

pub fn cases() -> Vec<Case> {
    let guard: &[Case] = cases![
        an_admin_token_opens_it_and_nothing_else_does,
        no_path_and_no_method_gets_around_the_guard,
        an_admin_token_is_refused_at_scim,
        an_expired_or_revoked_admin_token_is_refused,
        the_use_of_an_admin_token_is_noted,
        what_is_not_there_is_said_in_json,
    ];
    [guard, lists::CASES, explain::CASES, roles::CASES]
        .concat()
        .into_iter()
        .chain(description::cases())
        .chain(events::cases())
        .collect()
}

const PATHS: [&str; 10] = [
    "/users",
    "/users/018f0000-0000-7000-8000-000000000000",
    "/users/018f0000-0000-7000-8000-000000000000/explain",
    "/teams",
    "/teams/018f0000-0000-7000-8000-000000000000",
    "/teams/018f0000-0000-7000-8000-000000000000/members",
    "/events",
    "/requests",
    "/requests/1",
    "/doctor",
];

async fn an_admin_token_opens_it_and_nothing_else_does(app: TestApp) {
    let session = sign_in(&app, ann(json!([]))).await.session;
    let scim = app.default_token().to_owned();
    for path in PATHS {
        let nobody = app.api_with("");
        for client in [&nobody, &app.api_with(&scim), &app.api_with(&session)] {
            let answer = client.get(path).await.expect(401);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"muster\""));
            assert_eq!(answer.body["error"], "unauthorized", "{path}");
            assert!(answer.body["message"].as_str().is_some_and(|text| text.contains("admin")));
        }
        let with_cookie = nobody
            .request("GET", path)
            .header("cookie", format!("muster_session={session}; __Host-muster_session={session}"));
        nobody.send(with_cookie).await.expect(401);
    }
    let admin = app.admin().await;
    for path in ["/users", "/teams", "/events"] {
        let answer = admin.get(path).await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

async fn no_path_and_no_method_gets_around_the_guard(app: TestApp) {
    let nobody = app.anonymous();
    for path in ["/api/v1", "/api/v1/", "/api/v1/unknown", "/api/v1/users/x/y", "/api/v1//users"] {
        nobody.get(path).await.expect(401);
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "HEAD"] {
        nobody.with_body(method, "/api/v1/users", &json!({})).await.expect(401);
    }
    // The guard runs first: a garbled question is not even looked at.
    nobody.get("/api/v1/users?count=x").await.expect(401);
    nobody.get("/api/v1/events?connection=nobody").await.expect(401);
}

async fn an_admin_token_is_refused_at_scim(app: TestApp) {
    let (_, token) = app.new_admin_token(None).await;
    app.with_token(&token).get("/Users").await.expect_error(401, None);
    app.with_authorization(Some(token)).get("/Users").await.expect_error(401, None);
}

async fn an_expired_or_revoked_admin_token_is_refused(app: TestApp) {
    let (_, token) = app.new_admin_token(Some(app.clock.now() + 60_000_000)).await;
    let client = app.api_with(&token);
    client.get("/users").await.expect(200);
    app.clock.advance(61);
    client.get("/users").await.expect(401);
    let (id, token) = app.new_admin_token(None).await;
    let client = app.api_with(&token);
    client.get("/users").await.expect(200);
    let now = app.clock.now();
    app.db
        .write("revoke", move |conn| muster::directory::apps::revoke_admin_token(conn, &id, now))
        .await
        .expect("a token to revoke");
    client.get("/users").await.expect(401);
}

async fn the_use_of_an_admin_token_is_noted(app: TestApp) {
    let (id, token) = app.new_admin_token(None).await;
    let client = app.api_with(&token);
    let noted = async || {
        let tokens = app.db.read(muster::directory::apps::admin_tokens).await.expect("tokens");
        tokens.iter().find(|token| token.id == id).expect("the token").last_used_at
    };
    assert_eq!(noted().await, None);
    client.get("/users").await.expect(200);
    // It is noted beside the request.
    eventually("the use of the token is noted", async || noted().await.is_some()).await;
    app.clock.advance(30);
    let before = app.clock.now();
    client.get("/users").await.expect(200);
    app.clock.advance(31);
    client.get("/users").await.expect(200);
    let again = async || noted().await >= Some(before);
    eventually("the use of the token is noted again", again).await;
    assert!(noted().await >= Some(before + 31_000_000), "not again within a minute");
}

async fn what_is_not_there_is_said_in_json(app: TestApp) {
    let admin = app.admin().await;
    let unknown = admin.get("/unknown").await.expect(404);
    assert_eq!(unknown.body["error"], "not_found");
    assert!(unknown.body["message"].as_str().is_some_and(|text| text.contains("/users/{id}")));
    for path in PATHS.iter().filter(|path| path.contains("018f")) {
        assert_eq!(admin.get(path).await.expect(404).body["error"], "not_found");
    }
    for path in ["/users/x", "/users/%00", "/users/%ff/explain", "/teams/X", "/teams/a%2Fb/members"]
    {
        admin.get(path).await.expect(404);
    }
    let answer = admin.post("/users", &json!({})).await.expect(405);
    assert_eq!(answer.header("allow"), Some("GET"));
    assert_eq!(answer.body["error"], "method_not_allowed");
}
