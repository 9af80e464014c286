//! Bodies: their memory, their pace, and what they may be packed in.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use serde_json::json;

use super::raw::{Raw, status};
use super::{comes_back, counted, until, until_none};
use crate::support::{Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    a_body_that_does_not_come_is_not_waited_for,
    a_body_that_drips_is_ended_and_one_that_flows_is_not,
    bodies_under_way_have_a_budget,
    a_large_group_is_sent_as_its_reader_can_take_it,
    forms_of_sign_in_leave_room_for_bodies,
    a_body_of_tiny_values_is_weighed_before_it_is_parsed,
    compressed_bodies_are_refused_unread,
    answers_that_nobody_reads_have_a_budget,
    dry_runs_have_the_budget_of_answers,
];

const BODIES: &str = "muster_bodies_bytes";

async fn a_body_that_does_not_come_is_not_waited_for(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.body_patience = Duration::ZERO);
    let app = app.await;
    let token = app.default_token().to_owned();
    for path in ["/scim/v2/Users", "/scim/v2/Groups", "/scim/v2/Bulk", "/scim/v2/.search"] {
        let answer = Raw::begin(&app, &token, path, 100, "").rest().await;
        assert_eq!(status(&answer), 408, "{path}");
        assert!(answer.contains("urn:ietf:params:scim:api:messages:2.0:Error"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        app.scim().get("/Users").await.expect(200);
    }
    for path in ["/token", "/introspect", "/revoke", "/login/initiate", "/login/callback"] {
        let mut raw = Raw::open(&app);
        raw.send(&format!(
            "POST {path} HTTP/1.1\r\nHost: muster\r\nContent-Length: 100\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n"
        ));
        assert_eq!(status(&raw.rest().await), 408, "{path}");
        app.anonymous().get("/healthz").await.expect(200);
    }
    assert!(counted(&app, r#"muster_turned_away_total{reason="slow-body"}"#).await >= 9);
    assert_eq!(counted(&app, BODIES).await, 0);
}

async fn a_body_that_drips_is_ended_and_one_that_flows_is_not(database: TestDatabase) {
    // A chunk brings two seconds.
    const CHUNK: usize = 128 * 1024;
    const PATIENCE: Duration = Duration::from_secs(6);
    const CHUNKS: usize = 13;
    let set = |settings: &mut muster::config::Settings| settings.body_patience = PATIENCE;
    let app = TestApp::start_with(database, set).await;
    let token = app.default_token();
    let drips = async {
        // At this pace it would take half a minute.
        let mut raw = Raw::begin(&app, token, "/scim/v2/Groups", 300, "");
        let answer = actix_web::rt::spawn(raw.twin().rest());
        let mut pace = tokio::time::interval(Duration::from_millis(100));
        let mut sent = 0;
        while !answer.is_finished() {
            pace.tick().await;
            raw.try_send(" ");
            sent += 1;
        }
        assert!(sent < 300, "it was waited for to its end");
        let answer = answer.await.expect("an answer");
        assert_eq!(status(&answer), 408, "{answer}");
        assert!(answer.contains("too slowly"), "{answer}");
    };
    let flows = async {
        // It takes more than twice the patience, and is ahead of it by six seconds or more.
        let group = "{\"displayName\":\"flows\"}";
        let begun = Instant::now();
        let mut raw = Raw::begin(&app, token, "/scim/v2/Groups", CHUNKS * CHUNK + group.len(), "");
        let mut pace = tokio::time::interval(Duration::from_millis(1_100));
        for _ in 0..CHUNKS {
            pace.tick().await;
            raw.send(&" ".repeat(CHUNK));
        }
        assert!(begun.elapsed() > 2 * PATIENCE, "{:?}", begun.elapsed());
        raw.send(group);
        let (_, head) = raw.head().await;
        assert_eq!(status(&head), 201, "{head}");
    };
    futures_util::future::join(drips, flows).await;
    assert_eq!(counted(&app, r#"muster_turned_away_total{reason="slow-body"}"#).await, 1);
    assert_eq!(app.scim().get("/Groups").await.expect(200).body["totalResults"], 1);
    until_none(&app, BODIES).await;
}

async fn bodies_under_way_have_a_budget(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.body_memory = 100_000).await;
    let (client, other) = (app.scim(), app.other("other").await);
    let body =
        |name: &str, size: usize| format!("{{\"displayName\":\"{name}\"{}}}", " ".repeat(size));
    let post = |client: &crate::support::ScimClient, body: String| {
        let request = client.request("POST", "/Groups").header("content-type", "application/json");
        request.body(body)
    };
    // One large body is on its way and does not arrive.
    let begun = " ".repeat(40_000);
    let token = app.default_token();
    let slow = Raw::begin(&app, token, "/scim/v2/Groups", 90_000, &begun);
    until(&app, BODIES, 40_000).await;
    // The connection has no room for much else, the server for something.
    let answer = client.send(post(&client, body("one", 20_000))).await;
    let detail = comes_back(answer, 429);
    assert!(detail.contains("fewer at a time"), "{detail}");
    comes_back(other.send(post(&other, body("one", 70_000))).await, 503);
    other.send(post(&other, body("one", 20_000))).await.expect(201);
    client.send(post(&client, body("small", 10))).await.expect(201);
    for reason in ["body-share", "body-memory"] {
        let name = format!("muster_turned_away_total{{reason=\"{reason}\"}}");
        assert_eq!(counted(&app, &name).await, 1, "{reason}");
    }
    // What a client holds it loses with its connection.
    slow.hang_up();
    until_none(&app, BODIES).await;
    client.send(post(&client, body("one", 20_000))).await.expect(201);
    other.send(post(&other, body("two", 70_000))).await.expect(201);
    // Nothing but patience would help with what never fits.
    let detail = client.send(post(&client, body("two", 100_000))).await.expect_error(413, None);
    assert!(detail.contains("memory"), "{detail}");
    until_none(&app, BODIES).await;
}

/// Anybody may send a form without saying who they are.
async fn forms_of_sign_in_leave_room_for_bodies(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.body_memory = 100_000).await;
    let begin = || {
        let mut raw = Raw::open(&app);
        raw.send(&format!(
            "POST /token HTTP/1.1\r\nHost: muster\r\nContent-Length: 60000\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{}",
            "a".repeat(40_000)
        ));
        raw
    };
    let slow = begin();
    until(&app, BODIES, 40_000).await;
    let (other, head) = begin().head().await;
    assert_eq!(status(&head), 429, "{head}");
    let padding = " ".repeat(50_000);
    let client = app.scim();
    let request = client.request("POST", "/Groups").header("content-type", "application/json");
    let body = format!("{{\"displayName\":\"one\"{padding}}}");
    client.send(request.body(body)).await.expect(201);
    for raw in [slow, other] {
        raw.hang_up();
    }
    until_none(&app, BODIES).await;
}

async fn a_body_of_tiny_values_is_weighed_before_it_is_parsed(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.body_memory = 1024 * 1024).await;
    let client = app.scim();
    let tiny = json!({ "displayName": "x", "members": vec![0; 20_000] });
    let detail = client.post("/Groups", &tiny).await.expect_error(413, None);
    assert!(detail.contains("memory"), "{detail}");
    let few = json!({ "displayName": "x", "members": vec![0; 100] });
    client.post("/Groups", &few).await.expect(400);
    client.post("/Groups", &json!({ "displayName": "x" })).await.expect(201);
}

/// No compression is accepted, so that there are no bombs.
async fn compressed_bodies_are_refused_unread(database: TestDatabase) {
    let app = TestApp::start(database).await;
    let client = app.scim();
    for encoding in ["gzip", "deflate", "br", "zstd", "identity, gzip"] {
        for (method, path) in [
            ("POST", "/Users"),
            ("PUT", "/Users/x"),
            ("PATCH", "/Groups/x"),
            ("POST", "/Bulk"),
            ("POST", "/.search"),
        ] {
            let request = client
                .request(method, path)
                .header("content-type", "application/json")
                .header("content-encoding", encoding)
                .body("\u{1f}\u{8b}");
            client.send(request).await.expect_error(415, None);
        }
        let form = app
            .anonymous()
            .request("POST", "/token")
            .header("content-encoding", encoding)
            .form(&[("grant_type", "authorization_code")]);
        app.anonymous().send(form).await.expect(400);
    }
    let answer = client.send(client.request("GET", "/Users").header("accept-encoding", "gzip"));
    assert_eq!(answer.await.expect(200).header("content-encoding"), None);
}

async fn answers_that_nobody_reads_have_a_budget(database: TestDatabase) {
    const ANSWERS: &str = "muster_answers_bytes";
    let app = TestApp::start_with(database, |settings| settings.body_memory = 36_000_000).await;
    let (client, other) = (app.scim(), app.other("other").await);
    // More than the buffers of the system take in.
    for number in 0..20 {
        let address = |n: usize| json!({ "formatted": format!("{n}{}", "x".repeat(60_000)) });
        let addresses: Vec<_> = (0..14).map(address).collect();
        let user = json!({ "userName": format!("u{number}"), "addresses": addresses });
        client.post("/Users", &user).await.expect(201);
    }
    let mut raw = Raw::open(&app);
    raw.send(&format!(
        "GET /scim/v2/Users HTTP/1.1\r\nHost: muster\r\nAuthorization: Bearer {}\r\n\r\n",
        app.default_token()
    ));
    until(&app, ANSWERS, 16_000_000).await;
    let detail = comes_back(client.get("/Users").await, 429);
    assert!(detail.contains("read them"), "{detail}");
    // A search is one however its address is written.
    for path in ["/Users/.search", "/Users/%2Esearch", "/Users/.sear%63h"] {
        comes_back(client.post(path, &json!({})).await, 429);
    }
    assert_eq!(counted(&app, r#"muster_turned_away_total{reason="answer-share"}"#).await, 4);
    // Small answers are not in question, nor is anybody else.
    client.get("/Users?count=0").await.expect(200);
    client.post("/Users", &json!({ "userName": "another" })).await.expect(201);
    other.get("/Users").await.expect(200);
    raw.hang_up();
    until_none(&app, ANSWERS).await;
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 21);
    until_none(&app, ANSWERS).await;
}

async fn dry_runs_have_the_budget_of_answers(database: TestDatabase) {
    const ANSWERS: &str = "muster_answers_bytes";
    let app = TestApp::start_with(database, |settings| settings.body_memory = 4_000_000).await;
    let client = app.scim();
    let user = |name: &str, count: usize| {
        let address = |n: usize| json!({ "formatted": format!("{n}{}", "x".repeat(60_000)) });
        json!({ "userName": name, "addresses": (0..count).map(address).collect::<Vec<_>>() })
    };
    let ann = client.post("/Users", &user("ann", 5)).await.expect(201).id();
    let path = format!("/Users/{ann}");
    let dry = async |method: &str, body: &serde_json::Value| {
        let request = client.request(method, &path).header("Muster-Dry-Run", "true");
        let request = request.header("content-type", "application/scim+json");
        client.send(request.body(body.to_string())).await
    };
    let nothing = json!({});
    assert_eq!(dry("DELETE", &nothing).await.expect(200).body["status"], 204);
    until_none(&app, ANSWERS).await;
    let id = app.db.read(|conn| muster::directory::connections::find(conn, "default"));
    let id = id.await.expect("the connection").id;
    let mut others = app.app.answers.begin(Some(&id));
    others.take(1_900_000).expect("memory");
    let answer = dry("DELETE", &nothing).await;
    assert_eq!(answer.header("muster-dry-run"), None);
    comes_back(answer, 429);
    client.put(&path, &user("anna", 5)).await.expect(200);
    drop(others);
    // What never fits comes to nothing however often it is tried.
    let answer = dry("PUT", &user("ann", 16)).await;
    assert!(answer.expect_error(413, None).contains("too large for a dry run"));
    until_none(&app, ANSWERS).await;
    assert_eq!(dry("DELETE", &nothing).await.expect(200).body["status"], 204);
}

async fn a_large_group_is_sent_as_its_reader_can_take_it(database: TestDatabase) {
    const ANSWERS: &str = "muster_answers_bytes";
    let app = TestApp::start_with(database, |settings| settings.body_memory = 80_000_000).await;
    let client = app.scim();
    let people = app.seed(40_000);
    let name = format!("UPDATE users SET display_name = '{}'", "x".repeat(1_000));
    app.database.connect().batch_execute(&name).expect("long names");
    let members: Vec<_> = people.iter().map(|id| json!({ "value": id })).collect();
    let group = json!({ "displayName": "Large", "members": members });
    let path = format!("/Groups/{}", client.post("/Groups", &group).await.expect(201).id());
    let ask = |version: &str| {
        let mut raw = Raw::open(&app);
        raw.send(&format!(
            "GET /scim/v2{path}?attributes=members.display HTTP/{version}\r\nHost: muster\r\nAuthorization: Bearer {}\r\n\r\n",
            app.default_token()
        ));
        raw
    };
    // It is not in memory as a text, but its members are, until it is read: more than the buffers of
    // the system take in.
    let raw = ask("1.1");
    until(&app, ANSWERS, 40_000_000).await;
    let asked = format!("{path}?attributes=members.display");
    comes_back(client.get(&asked).await, 429);
    raw.hang_up();
    until_none(&app, ANSWERS).await;
    let read = client.get(&asked).await.expect(200);
    assert_eq!(read.body["members"].as_array().map(Vec::len), Some(40_000));
    assert_eq!(read.header("transfer-encoding"), Some("chunked"));
    until_none(&app, ANSWERS).await;
    // Who knows of no pieces gets it at once.
    let (_, head) = ask("1.0").head().await;
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.0 200 "), "{head}");
    let length = head.split("\r\ncontent-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|text| text.parse().ok()).expect("a length");
    assert!(length > 40_000_000, "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
}
