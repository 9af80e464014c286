//! Connections and the heads of requests.

use std::time::Duration;

use super::raw::{Raw, status};
use crate::support::{Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    slow_heads_keep_nobody_out,
    readers_who_do_not_read_keep_nobody_out,
    clients_that_hang_up_leave_nothing_behind,
    heads_that_are_too_large_are_refused,
];

async fn slow_heads_keep_nobody_out(database: TestDatabase) {
    const MANY: usize = 50;
    let app = TestApp::start_with(database, |settings| {
        settings.max_connections = MANY;
        settings.head_patience = Duration::from_secs(2);
    })
    .await;
    // They take all connections there are; none of them ever ends its head.
    let mut slow = Vec::new();
    for number in 0..2 * MANY {
        let mut raw = Raw::open(&app);
        if number % 2 == 0 {
            raw.try_send("GET /healthz HTTP/1.1\r\nHost: muster\r\nX-Slow: a");
        }
        slow.push(raw);
    }
    // Whoever comes later is served all the same, once the first have been given up.
    app.anonymous().get("/healthz").await.expect(200);
    app.scim().get("/Users").await.expect(200);
    let answer = slow.remove(0).rest().await;
    assert_eq!(status(&answer), 408);
    for raw in slow {
        raw.hang_up();
    }
    app.scim().get("/Users").await.expect(200);
}

async fn readers_who_do_not_read_keep_nobody_out(database: TestDatabase) {
    const MANY: usize = 10;
    let app = TestApp::start_with(database, |settings| {
        settings.max_connections = MANY;
        settings.reader_patience = Duration::from_secs(1);
    })
    .await;
    // More answers than the buffers of both ends hold, on all connections there are.
    let requests = "GET /metrics HTTP/1.1\r\nHost: muster\r\n\r\n".repeat(2_000);
    let readers: Vec<Raw> = (0..2 * MANY)
        .map(|_| {
            let mut raw = Raw::open(&app);
            raw.stop_sending_after(Duration::from_millis(100));
            raw.try_send(&requests);
            raw
        })
        .collect();
    app.anonymous().get("/healthz").await.expect(200);
    app.scim().get("/Users").await.expect(200);
    drop(readers);
}

async fn clients_that_hang_up_leave_nothing_behind(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.max_connections = 20).await;
    let token = app.default_token().to_owned();
    for number in 0..100 {
        // Before the head ends, in the middle of the body, or before the answer is read.
        let raw = match number % 3 {
            0 => {
                let mut raw = Raw::open(&app);
                raw.send("GET /scim/v2/Users HTTP/1.1\r\nHost");
                raw
            }
            1 => Raw::begin(&app, &token, "/scim/v2/Users", 100, "{\"userName\":"),
            _ => Raw::begin(&app, &token, "/scim/v2/.search", 2, "{}"),
        };
        raw.hang_up();
    }
    let client = app.scim();
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 0);
    super::until_none(&app, "muster_bodies_bytes").await;
}

async fn heads_that_are_too_large_are_refused(database: TestDatabase) {
    let app = TestApp::start(database).await;
    let long = "x".repeat(200_000);
    let many = (0..200).map(|number| format!("X-{number}: a\r\n")).collect::<Vec<_>>().concat();
    let token = app.default_token();
    let url = format!("/scim/v2/Users?filter=userName%20eq%20%22{}%22", "x".repeat(60_000));
    for (what, head, expected) in [
        ("a header", format!("GET /healthz HTTP/1.1\r\nHost: m\r\nX: {long}\r\n\r\n"), [431, 400]),
        ("many headers", format!("GET /healthz HTTP/1.1\r\nHost: m\r\n{many}\r\n"), [400, 431]),
        ("an address", format!("GET /{long} HTTP/1.1\r\nHost: m\r\n\r\n"), [431, 400]),
        (
            "a filter",
            format!(
                "GET {url} HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {token}\r\n\
                              Connection: close\r\n\r\n"
            ),
            [400, 414],
        ),
        ("a quote", "GET /\" HTTP/1.1\r\nHost: m\r\n\r\n".to_owned(), [404, 400]),
        ("a control character", "GET /\u{1} HTTP/1.1\r\nHost: m\r\n\r\n".to_owned(), [400, 400]),
        ("a method", format!("{} / HTTP/1.1\r\nHost: m\r\n\r\n", "X".repeat(5000)), [404, 400]),
        (
            "two lengths",
            "POST /token HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\
                         Content-Length: 2\r\n\r\n"
                .to_owned(),
            [400, 400],
        ),
        (
            "a length and chunks",
            "POST /token HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\n\
                                 Transfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            [400, 400],
        ),
    ] {
        let mut raw = Raw::open(&app);
        raw.try_send(&head);
        let (raw, answer) = raw.head().await;
        assert!(expected.contains(&status(&answer)), "{what}: {answer}");
        app.anonymous().get("/healthz").await.expect(200);
        raw.hang_up();
    }
}
