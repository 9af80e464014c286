//! Outside SCIM: health, and what an operator or a gateway meets.

use serde_json::json;

use crate::login::harness::Login;
use crate::signin::{identity, pushed_ann, sign_in};
use crate::support::{Answer, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_process_says_that_it_lives,
    the_process_says_that_it_can_serve,
    a_path_that_is_nobodys_is_json_too,
    every_answer_has_a_request_id,
    requests_and_tolerances_are_counted,
    the_counters_name_no_one,
    the_store_is_counted,
    disagreements_and_their_lag_are_counted,
    sign_ins_are_counted_by_their_end,
];

/// A day in the unit of the clock.
const DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// The line of the metrics that begins so, without its beginning.
async fn metric(app: &TestApp, name: &str) -> Option<f64> {
    // Whoever asks waits for it no longer than a second.
    app.app.count_figures().await;
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().expect("a number"))
}

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

async fn the_store_is_counted(app: TestApp) {
    let now = app.clock.now();
    for at in [DAY / 2, 3 * DAY, 5 * DAY, 20 * DAY, 90 * DAY] {
        app.new_token_until("default", Some(now + at)).await;
    }
    app.new_token_until("default", Some(now - DAY)).await;
    app.new_token_until("default", Some(now - 8 * DAY)).await;
    sign_in(&app, identity("00uann", now, json!({ "preferred_username": "ann" }))).await;
    for (name, value) in [
        ("muster_store_up", 1.0),
        ("muster_connections", 1.0),
        ("muster_sessions", 1.0),
        ("muster_brakes_on", 0.0),
        (r#"muster_tokens_expiring{within="1d"}"#, 1.0),
        (r#"muster_tokens_expiring{within="7d"}"#, 3.0),
        (r#"muster_tokens_expiring{within="30d"}"#, 4.0),
        (r#"muster_tokens_expired{within="7d"}"#, 1.0),
    ] {
        assert_eq!(metric(&app, name).await, Some(value), "{name}");
    }
    assert!(metric(&app, "muster_events_unsealed").await >= Some(1.0));
    assert!(metric(&app, "process_resident_memory_bytes").await > Some(1e6));
    let started = metric(&app, "process_start_time_seconds").await.expect("a time");
    let now = std::time::Duration::from_micros(app.clock.now().unsigned_abs()).as_secs_f64();
    assert!((started - now).abs() < 600.0, "{started}");
    let build = concat!("muster_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    assert_eq!(metric(&app, build).await, Some(1.0));
    let silence = r#"muster_push_silence_seconds{of="any"}"#;
    // Counted anew, and then good enough for a moment, whatever has come.
    app.clock.advance(16);
    assert_eq!(metric(&app, silence).await, None, "nobody has pushed yet");
    let now = app.clock.now();
    app.scim().get("/Users").await.expect(200);
    assert_eq!(metric(&app, silence).await, None);
    app.until_used(now).await;
    app.clock.advance(16);
    assert!((Some(0.0)..Some(60.0)).contains(&metric(&app, silence).await));
}

async fn disagreements_and_their_lag_are_counted(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &pushed_ann()).await.expect(201).id();
    let members = json!([{ "value": id }]);
    let group = |name: &str, members| json!({ "displayName": name, "members": members });
    let staff = client.post("/Groups", &group("Staff", json!([]))).await.expect(201).id();
    client.post("/Groups", &group("Sales", members.clone())).await.expect(201);
    client.post("/Groups", &group("app-x", members.clone())).await.expect(201);
    let claim = |at, groups| {
        let claims = json!({ "preferred_username": "ann@example.com", "groups": groups });
        identity("00uann", at, claims)
    };
    // The claim says Staff and not Sales, SCIM the other way round; of the third they agree.
    app.clock.advance(10);
    sign_in(&app, claim(app.clock.now(), json!(["Staff", "app-x"]))).await;
    let (by_claim, by_scim) =
        (r#"muster_disagreements{newer="claim"}"#, r#"muster_disagreements{newer="scim"}"#);
    let lag = "muster_convergence_lag_seconds";
    assert_eq!(metric(&app, by_claim).await, Some(2.0));
    assert_eq!(metric(&app, by_scim).await, Some(0.0));
    app.clock.advance(600);
    assert!((Some(600.0)..Some(660.0)).contains(&metric(&app, lag).await));
    // SCIM follows about the one, and says something new about another.
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": members }]));
    client.patch(&format!("/Groups/{staff}"), &add).await.expect(200);
    client.post("/Groups", &group("Board", members)).await.expect(201);
    app.clock.advance(299);
    assert_eq!(metric(&app, by_claim).await, Some(1.0));
    assert_eq!(metric(&app, by_scim).await, Some(1.0));
    // Of what the filter keeps from claims they say nothing.
    app.set(|settings| settings.sign_in.groups_filter = Some("^app-".to_owned())).await;
    app.clock.advance(299);
    assert_eq!(metric(&app, by_claim).await, Some(0.0));
    assert_eq!(metric(&app, by_scim).await, Some(0.0));
    assert_eq!(metric(&app, lag).await, Some(0.0));
    // Nobody is in any team who is inactive, and either source grants in a union.
    app.set(|settings| settings.sign_in.groups_filter = None).await;
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    app.clock.advance(299);
    assert_eq!(metric(&app, by_claim).await, Some(0.0));
}

async fn sign_ins_are_counted_by_their_end(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    // Once more, with what was used up.
    login.come_back(&begun).await.expect(400);
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.claims["aud"] = "another".into();
    login.provider.gives(token);
    login.come_back(&begun).await.expect(403);
    let begun = login.begin(&login.code_request()).await;
    let refused = [("state", begun.state.as_str()), ("error", "access_denied")];
    let refused = format!("/login/callback?{}", crate::login::harness::encoded(&refused));
    login.get(&refused, Some(&begun.cookie)).await.expect(403);
    for (result, count) in [
        ("signed-in", 1.0),
        ("not-under-way", 1.0),
        ("invalid-token", 1.0),
        ("provider-refused", 1.0),
        ("inactive", 0.0),
        ("failed", 0.0),
    ] {
        let name = format!("muster_sign_ins_total{{result=\"{result}\"}}");
        assert_eq!(metric(&app, &name).await, Some(count), "{result}");
    }
}
