//! Bearer tokens.

use muster::directory::connections::AdminError;
use muster::directory::token_quirks::QuirkUse;
use muster::directory::tokens;
use serde_json::json;

use crate::support::{Case, TestApp, cases, eventually_some};

pub const CASES: &[Case] = cases![
    every_way_of_sending_the_token_works,
    a_wrong_token_is_refused_in_scim,
    two_tokens_work_at_once,
    a_revoked_token_is_refused_at_once,
    an_expired_token_is_refused,
    the_last_use_is_noted,
    the_tolerances_that_a_token_takes_are_noted,
    no_token_is_stored_in_the_clear,
];

async fn every_way_of_sending_the_token_works(app: TestApp) {
    let token = app.default_token().to_owned();
    for header in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("BEARER   {token}"),
        format!("Bearer Bearer {token}"),
        token.clone(),
    ] {
        app.with_authorization(Some(header)).get("/Users").await.expect(200);
    }
}

async fn a_wrong_token_is_refused_in_scim(app: TestApp) {
    let token = app.default_token().to_owned();
    for header in [
        None,
        Some("non-token".to_owned()),
        Some("Bearer".to_owned()),
        Some(format!("Basic {token}")),
        Some(format!("Bearer {token}x")),
        Some(format!("Bearer {}", token.to_uppercase())),
        Some(format!("Bearer muster_scim_{}", "A".repeat(43))),
    ] {
        let answer = app.with_authorization(header).get("/Users?startIndex=1&count=2").await;
        let challenge = answer.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        answer.expect_error(401, None);
    }
    // A token in the URL is no token.
    let path = format!("/scim/v2/Users?access_token={token}");
    app.anonymous().get(&path).await.expect_error(401, None);
}

async fn two_tokens_work_at_once(app: TestApp) {
    let (_, second) = app.new_token("default").await;
    app.scim().get("/Users").await.expect(200);
    app.with_token(&second).get("/Users").await.expect(200);
}

async fn a_revoked_token_is_refused_at_once(app: TestApp) {
    let (id, token) = app.new_token("default").await;
    app.with_token(&token).get("/Users").await.expect(200);
    let now = app.clock.now();
    let revoked = id.clone();
    app.db
        .write("revoke", move |conn| tokens::revoke(conn, &revoked, now))
        .await
        .expect("a token to revoke");
    let error = app.with_token(&token).get("/Users").await.expect_error(401, None);
    assert!(error.contains("revoked"), "{error}");
    app.scim().get("/Users").await.expect(200);
    // Again changes nothing; a token that is not there is an error.
    app.db.write("revoke", move |conn| tokens::revoke(conn, &id, now)).await.expect("no change");
    let missing = app.db.write("revoke", move |conn| tokens::revoke(conn, "none", now)).await;
    assert!(matches!(missing, Err(AdminError::NoToken(_))));
}

async fn an_expired_token_is_refused(app: TestApp) {
    let until = app.clock.now() + 60_000_000;
    let (_, token) = app.new_token_until("default", Some(until)).await;
    app.with_token(&token).get("/Users").await.expect(200);
    app.clock.advance(61);
    let error = app.with_token(&token).get("/Users").await.expect_error(401, None);
    assert!(error.contains("expired"), "{error}");
}

async fn the_last_use_is_noted(app: TestApp) {
    let (id, token) = app.new_token("default").await;
    let before = app.clock.now();
    app.with_token(&token).get("/Users").await.expect(200);
    // Noted behind the answer's back.
    let noted = eventually_some("the use of the token is noted", async || {
        let all = app.db.read(|conn| tokens::all(conn, Some("default"))).await.expect("tokens");
        all.into_iter().find(|found| found.id == id).expect("the token").last_used_at
    });
    let noted = noted.await;
    assert!((before..=app.clock.now()).contains(&noted), "{noted}");
}

/// The tolerances that are noted of a token, once there are so many uses of them.
async fn noted(app: &TestApp, id: &str, uses: i64) -> Vec<QuirkUse> {
    eventually_some("the tolerances are noted", async || {
        let all = app.db.read(|conn| tokens::all(conn, Some("default"))).await.expect("tokens");
        let found = all.into_iter().find(|found| found.id == id).expect("the token").quirks;
        (found.iter().map(|quirk| quirk.uses).sum::<i64>() >= uses).then_some(found)
    })
    .await
}

async fn the_tolerances_that_a_token_takes_are_noted(app: TestApp) {
    let (id, token) = app.new_token("default").await;
    let client = app.with_token(&token);
    // What keeps to the RFC is not noted.
    client.find("/Users", "userName eq \"ann\"").await;
    client.post("/Users", &json!({ "userName": "ann", "active": "true" })).await.expect(201);
    let first = noted(&app, &id, 2).await;
    let names: Vec<&str> = first.iter().map(|quirk| quirk.name.as_str()).collect();
    assert_eq!(names, ["foreign-schemas", "string-boolean"]);
    assert!(first.iter().all(|quirk| quirk.uses == 1));
    assert!(first.iter().all(|quirk| quirk.first_used_at == quirk.last_used_at));
    // They are written once a minute at most.
    app.clock.advance(61);
    client.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    let second = noted(&app, &id, 3).await;
    assert_eq!(second[1], first[1]);
    assert_eq!(second[0].uses, 2);
    assert_eq!(second[0].first_used_at, first[0].first_used_at);
    assert!(second[0].last_used_at >= first[0].last_used_at + 61_000_000);
    // Each token's are its own.
    app.clock.advance(61);
    let (other, token) = app.new_token("default").await;
    app.with_token(&token).find("/Users", "userName eq ann").await;
    assert_eq!(noted(&app, &other, 1).await[0].name, "unquoted-value");
    assert_eq!(noted(&app, &id, 3).await, second);
}

async fn no_token_is_stored_in_the_clear(app: TestApp) {
    use diesel::prelude::*;
    let (_, token) = app.new_token("default").await;
    let mut conn = app.database.connect();
    let rows = muster::db::tokens::all(&mut conn, None).expect("tokens");
    assert!(rows.iter().all(|(row, _)| row.hash.len() == 64 && !row.hash.contains("muster")));
    let events: Vec<String> = muster::db::schema::events::table
        .select(muster::db::schema::events::data)
        .load(&mut conn)
        .expect("events");
    assert!(events.iter().all(|data| !data.contains(&token) && !data.contains("hash")));
}
