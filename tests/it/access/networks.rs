//! From where a token may be used.

use diesel::prelude::*;
use muster::access::proxy::ProxyHeader;
use muster::directory::apps;
use serde_json::json;

use super::{behind_proxy, counted, get_from, token};
use crate::support::{Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    a_token_works_from_where_it_may,
    a_header_of_nobody_opens_nothing,
    nobody_passes_for_the_proxy,
    an_admin_token_works_from_where_it_may,
    what_cannot_be_read_of_a_token_lets_nobody_in,
];

async fn a_token_works_from_where_it_may(database: TestDatabase) {
    let app = behind_proxy(database, |_| {}).await;
    let (id, token) = token(&app, "users:read", "192.0.2.0/24 2001:db8:7::/48").await;
    let client = app.with_token(&token);
    for address in ["192.0.2.7", "::ffff:192.0.2.7", "[2001:db8:7::1]:443", "2001:db8:7:ffff::1"] {
        get_from(&client, address, "/Users").await.expect(200);
    }
    let mut refused = 0;
    for address in ["192.0.3.1", "::ffff:192.0.3.1", "2001:db8:8::1", "127.0.0.1", "garbage"] {
        let answer = get_from(&client, address, "/Users").await;
        assert!(answer.header("www-authenticate").is_none(), "another token would not help");
        let detail = answer.expect_error(403, None);
        assert!(detail.contains("address"), "{detail}");
        assert!(!detail.contains("192.0.2") && !detail.contains("2001"), "{detail}");
        // The address comes before the scope, and before the endpoint.
        get_from(&client, address, "/Groups").await.expect_error(403, None);
        get_from(&client, address, "/Nothing").await.expect_error(403, None);
        refused += 3;
    }
    client.get("/Users").await.expect_error(403, None);
    let reason = r#"muster_refused_authentication_total{reason="address"}"#;
    assert_eq!(counted(&app, reason).await, refused + 1);
    // Anybody's other token is as free as before, and a wrong token as wrong.
    get_from(&app.scim(), "203.0.113.1", "/Users").await.expect(200);
    get_from(&app.with_token("x"), "203.0.113.1", "/Users").await.expect_error(401, None);
    // It is changed at once.
    let change = muster::directory::tokens::Change {
        allow_from: "203.0.113.0/24".parse().ok(),
        ..Default::default()
    };
    let now = app.clock.now();
    app.db
        .write("update", move |conn| muster::directory::tokens::update(conn, &id, &change, now))
        .await
        .expect("a change");
    get_from(&client, "203.0.113.1", "/Users").await.expect(200);
    get_from(&client, "192.0.2.7", "/Users").await.expect_error(403, None);
}

/// Without `--trusted-proxy` nobody is believed, and behind one only what it adds.
async fn a_header_of_nobody_opens_nothing(database: TestDatabase) {
    let app = TestApp::start(database).await;
    let there = app.with_token(&token(&app, "users:read", "192.0.2.7").await.1);
    let here = app.with_token(&token(&app, "users:read", "127.0.0.1").await.1);
    for (header, value) in [
        ("x-forwarded-for", "192.0.2.7"),
        ("forwarded", "for=192.0.2.7"),
        ("x-real-ip", "192.0.2.7"),
        ("x-client-ip", "192.0.2.7"),
        ("true-client-ip", "192.0.2.7"),
    ] {
        let ask = |client: &crate::support::ScimClient| client.request("GET", "/Users");
        there.send(ask(&there).header(header, value)).await.expect_error(403, None);
        here.send(ask(&here).header(header, value)).await.expect(200);
    }
    let trusting = behind_proxy(app.database.clone(), |_| {}).await;
    let there = trusting.with_token(&token(&trusting, "users:read", "192.0.2.7").await.1);
    for spoofed in ["192.0.2.7, 203.0.113.1", "192.0.2.7, ", "192.0.2.7, unknown"] {
        get_from(&there, spoofed, "/Users").await.expect_error(403, None);
    }
    let two = there.request("GET", "/Users").header("x-forwarded-for", "192.0.2.7");
    there.send(two.header("x-forwarded-for", "203.0.113.1")).await.expect_error(403, None);
    let other = there.request("GET", "/Users").header("forwarded", "for=192.0.2.7");
    there.send(other).await.expect_error(403, None);
    get_from(&there, "203.0.113.1, 192.0.2.7", "/Users").await.expect(200);
}

/// A proxy writes behind what a client sent. Where that makes the whole unreadable, whoever sent it is
/// not taken for the proxy, which stands in a network that is allowed more.
async fn nobody_passes_for_the_proxy(database: TestDatabase) {
    let app = behind_proxy(database, |_| {}).await;
    let by_forwarded = behind_proxy(app.database.clone(), |settings| {
        settings.proxies.header = ProxyHeader::Forwarded;
    })
    .await;
    for (app, header, values) in [
        (
            &app,
            "x-forwarded-for",
            [
                b"203.0.113.9".as_slice(),
                b"\xff, 203.0.113.9",
                b"127.0.0.1, \xff\xfe, 203.0.113.9",
                b"unknown",
                b"203.0.113.9, ",
            ],
        ),
        (
            &by_forwarded,
            "forwarded",
            [
                b"for=203.0.113.9".as_slice(),
                b"\xff, for=203.0.113.9",
                b"for=\"x, for=203.0.113.9",
                b"for=\"\\, for=\"203.0.113.9:1\"",
                b"for=_hidden",
            ],
        ),
    ] {
        let client = app.with_token(&token(app, "users:read", "127.0.0.1").await.1);
        client.get("/Users").await.expect(200);
        for value in values {
            let value = reqwest::header::HeaderValue::from_bytes(value).expect("a header");
            let request = client.request("GET", "/Users").header(header, value);
            client.send(request).await.expect_error(403, None);
        }
    }
}

async fn an_admin_token_works_from_where_it_may(database: TestDatabase) {
    let app = behind_proxy(database, |_| {}).await;
    let now = app.clock.now();
    let networks = "192.0.2.0/24".parse().expect("a network");
    let made = app.db.write("create", move |conn| {
        apps::create_admin_token_for(conn, "back end", &networks, None, now)
    });
    let (id, token) = made.await.expect("an admin token");
    let client = app.api_with(token.expose());
    get_from(&client, "192.0.2.7", "/users").await.expect(200);
    let answer = get_from(&client, "203.0.113.1", "/users").await.expect(403);
    assert_eq!(answer.body["error"], "forbidden");
    assert!(!answer.text.contains("192.0.2"), "{}", answer.text);
    let introspect = |address: &str| {
        let request = app.anonymous().request("POST", "/introspect");
        let request = request.header("x-forwarded-for", address).bearer_auth(token.expose());
        request.header("content-type", "application/x-www-form-urlencoded").body("token=x")
    };
    let answer = app.anonymous().send(introspect("192.0.2.7")).await.expect(200);
    assert_eq!(answer.body, json!({ "active": false }));
    let answer = app.anonymous().send(introspect("203.0.113.1")).await.expect(403);
    assert_eq!(answer.body["error"], "access_denied");
    let listed = app.db.read(apps::admin_tokens).await.expect("admin tokens");
    let found = listed.iter().find(|found| found.id == id).expect("the token");
    assert_eq!(found.to_json()["allow_from"], json!(["192.0.2.0/24"]));
}

async fn what_cannot_be_read_of_a_token_lets_nobody_in(database: TestDatabase) {
    let app = TestApp::start(database).await;
    for (column, value) in [("scopes", "users:read everything"), ("allow_from", "127.0.0.1 here")] {
        let (id, token) = app.new_token("default").await;
        app.with_token(&token).get("/Users").await.expect(200);
        let update = format!("UPDATE tokens SET {column} = '{value}' WHERE id = '{id}'");
        let updated = diesel::sql_query(update).execute(&mut app.database.connect());
        assert_eq!(updated.expect("an update"), 1);
        // What is done behind the server's back is noticed after a while.
        app.clock.advance(60);
        app.with_token(&token).get("/Users").await.expect_error(500, None);
    }
    app.scim().get("/Users").await.expect(200);
}
