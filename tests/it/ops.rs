//! Outside SCIM: health, and what an operator or a gateway meets.

use serde_json::json;

use crate::support::{Answer, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_process_says_that_it_lives,
    the_process_says_that_it_can_serve,
    a_path_that_is_nobodys_is_json_too,
    every_answer_has_a_request_id,
    requests_and_tolerances_are_counted,
    the_counters_name_no_one,
];

async fn the_process_says_that_it_lives(app: TestApp) {
    let answer = app.anonymous().get("/healthz").await.expect(200);
    assert_eq!(answer.body["status"], "ok");
}

async fn the_process_says_that_it_can_serve(app: TestApp) {
    let answer = app.anonymous().get("/readyz").await.expect(200);
    assert_eq!(answer.body["status"], "ready");
}

async fn a_path_that_is_nobodys_is_json_too(app: TestApp) {
    for path in ["/", "/scimmy", "/scim/v1/Users", "/favicon.ico", "/Users"] {
        let detail = app.anonymous().get(path).await.expect_error(404, None);
        assert!(detail.contains("/scim/v2"), "{detail}");
    }
}

async fn every_answer_has_a_request_id(app: TestApp) {
    let client = app.scim();
    let (first, second) = (client.get("/Users").await, client.get("/Users/unknown").await);
    let id = |answer: &Answer| answer.header("x-request-id").map(str::to_owned);
    assert!(id(&first).is_some_and(|id| !id.is_empty()));
    assert_ne!(id(&first), id(&second));
}

async fn requests_and_tolerances_are_counted(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let off = patch_body(json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    for _ in 0..2 {
        client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    }
    client.get("/Users/unknown").await.expect(404);
    // A request that is refused has made use of nothing.
    let bad = patch_body(json!([{ "op": "Replace", "path": "active", "value": "Never" }]));
    client.patch(&format!("/Users/{id}"), &bad).await.expect(400);
    app.anonymous().get("/no/such/path").await.expect(404);
    let answer = app.anonymous().get("/metrics").await.expect(200);
    let media_type = answer.header("content-type").unwrap_or_default();
    assert!(media_type.starts_with("application/openmetrics-text"), "{media_type}");
    for line in [
        r#"muster_scim_quirks_total{quirk="capitalized-operation"} 2"#,
        r#"muster_scim_quirks_total{quirk="string-boolean"} 2"#,
        r#"muster_scim_quirks_total{quirk="foreign-schemas"} 1"#,
        r#"muster_scim_quirks_total{quirk="seeded-element"} 0"#,
        r#"muster_http_requests_total{route="/scim/v2/Users/{id}",method="PATCH",status="200"} 2"#,
        r#"muster_http_requests_total{route="/scim/v2/Users/{id}",method="PATCH",status="400"} 1"#,
        r#"muster_http_requests_total{route="/scim/v2/Users/{id}",method="GET",status="404"} 1"#,
        r#"muster_http_requests_total{route="other",method="GET",status="404"} 1"#,
        r#"muster_http_request_duration_seconds_count{route="/scim/v2/Users",method="POST"} 1"#,
        "# EOF",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line} in {}", answer.text);
    }
}

/// Whoever reaches the port reads the counters: they say nothing of tenants, users or tokens.
async fn the_counters_name_no_one(app: TestApp) {
    let client = app.other("acme-corp").await;
    let user = json!({ "userName": "ann@acme.example", "externalId": "" });
    let id = client.post("/Users", &user).await.expect(201).id();
    client.get(&format!("/Users/{id}?attributes=userName")).await.expect(200);
    client.find("/Users", "userName eq ann@acme.example").await;
    let tokens = app.db.read(|conn| muster::directory::tokens::all(conn, None)).await;
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    let ids = tokens.expect("tokens").into_iter().map(|token| token.id);
    for secret in ["acme", "ann", &id, "userName", "default"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(ids.into_iter().all(|id| !text.contains(&id)), "{text}");
}
