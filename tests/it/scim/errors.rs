//! Errors: SCIM's JSON on every path.

use serde_json::json;

use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    unknown_endpoints_answer_in_scim,
    wrong_methods_name_the_right_ones,
    unparsable_bodies_are_invalid_syntax,
    deep_json_is_refused,
    other_media_types_are_refused,
    every_json_media_type_is_accepted,
    a_content_type_on_a_get_is_ignored,
    an_oversized_body_is_refused,
    bad_filters_are_refused,
    a_hostile_filter_leaves_the_server_alive,
    every_answer_has_a_request_id,
    the_token_is_asked_for_before_the_body_is_read,
];

async fn unknown_endpoints_answer_in_scim(app: TestApp) {
    let client = app.scim();
    for path in ["/Nope", "/Users/x/y", "/Devices", "/users"] {
        client.get(path).await.expect_error(404, None);
    }
    app.anonymous().get("/elsewhere").await.expect_error(404, None);
    app.anonymous().get("/").await.expect_error(404, None);
    // A trailing slash means the same endpoint.
    client.get("/Users/").await.expect(200);
}

async fn wrong_methods_name_the_right_ones(app: TestApp) {
    let client = app.scim();
    for (method, path, allowed) in [
        ("DELETE", "/Users", "GET, POST"),
        ("PUT", "/Groups", "GET, POST"),
        ("POST", "/Users/x", "GET, PUT, PATCH, DELETE"),
        ("POST", "/Schemas", "GET"),
        ("DELETE", "/ServiceProviderConfig", "GET"),
        ("PATCH", "/ResourceTypes/User", "GET"),
    ] {
        let answer = client.with_body(method, path, &json!({})).await;
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        answer.expect_error(405, None);
    }
}

async fn unparsable_bodies_are_invalid_syntax(app: TestApp) {
    let client = app.scim();
    for (method, path) in
        [("POST", "/Users"), ("POST", "/Groups"), ("PUT", "/Users/x"), ("PATCH", "/Groups/x")]
    {
        for body in ["", "{", "{\"userName\":}", "\u{feff}{}", "nonsense", "{\"a\":\"\\ud800\"}"] {
            let request = client
                .request(method, path)
                .header("content-type", "application/scim+json")
                .body(body);
            let error = client.send(request).await.expect_error(400, Some("invalidSyntax"));
            assert!(error.contains("JSON"), "{error}");
        }
    }
    let request = client
        .request("POST", "/Users")
        .header("content-type", "application/scim+json")
        .body(vec![b'{', b'"', 0xff, b'"', b'}']);
    client.send(request).await.expect_error(400, Some("invalidSyntax"));
    for body in [json!([]), json!("x"), json!(1), json!(null)] {
        client.post("/Users", &body).await.expect_error(400, Some("invalidSyntax"));
        client.patch("/Users/x", &body).await.expect_error(400, Some("invalidSyntax"));
    }
}

async fn deep_json_is_refused(app: TestApp) {
    let client = app.scim();
    let deep = format!("{{\"userName\":{}{}}}", "[".repeat(50_000), "]".repeat(50_000));
    let request =
        client.request("POST", "/Users").header("content-type", "application/json").body(deep);
    client.send(request).await.expect_error(400, Some("invalidSyntax"));
    client.get("/Users").await.expect(200);
}

async fn other_media_types_are_refused(app: TestApp) {
    let client = app.scim();
    for kind in ["text/plain", "application/xml", "application/x-www-form-urlencoded", "scim"] {
        let request = client.request("POST", "/Users").header("content-type", kind).body("{}");
        client.send(request).await.expect_error(415, None);
    }
    let zipped = client
        .request("POST", "/Users")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body("x");
    client.send(zipped).await.expect_error(415, None);
}

async fn every_json_media_type_is_accepted(app: TestApp) {
    let client = app.scim();
    for (n, kind) in [
        "application/scim+json",
        "application/json",
        "application/scim+json; charset=utf-8",
        "Application/JSON;odata=verbose",
    ]
    .iter()
    .enumerate()
    {
        let body = json!({ "userName": format!("u{n}") }).to_string();
        let request = client.request("POST", "/Users").header("content-type", *kind).body(body);
        client.send(request).await.expect(201);
    }
    let request = client.request("POST", "/Users").body(json!({ "userName": "none" }).to_string());
    client.send(request).await.expect(201);
}

async fn a_content_type_on_a_get_is_ignored(app: TestApp) {
    let client = app.scim();
    let request = client.request("GET", "/Users").header("content-type", "application/xml");
    client.send(request).await.expect(200);
}

async fn an_oversized_body_is_refused(app: TestApp) {
    let client = app.scim();
    let body = json!({ "userName": "x", "title": "x".repeat(2 * 1024 * 1024) });
    let error = client.post("/Users", &body).await.expect_error(413, None);
    assert!(error.contains("1048576"), "{error}");
}

async fn bad_filters_are_refused(app: TestApp) {
    let client = app.scim();
    for filter in [
        "userName",
        "userName eq",
        "userName xx \"a\"",
        "bogus eq \"a\"",
        "name.bogus eq \"a\"",
        "userName eq \"a\" and",
        "(userName eq \"a\"",
        "userName eq \"a\")",
        "emails[type eq \"work\"",
        "emails[bogus eq \"work\"]",
        "active eq \"perhaps\"",
        "active gt true",
        "active co true",
        "password eq \"x\"",
        "meta.created gt \"yesterday\"",
        "userName eq 5",
        "userName eq \"\u{0}\"",
        "name eq \"x\"",
        "not userName eq \"x\"",
        "urn:example:nothing:userName eq \"x\"",
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", filter)
            .finish();
        let answer = client.get(&format!("/Users?{query}")).await;
        answer.expect_error(400, Some("invalidFilter"));
    }
}

async fn a_hostile_filter_leaves_the_server_alive(app: TestApp) {
    let client = app.scim();
    let search = |filter: String| json!({ "filter": filter });
    for filter in [
        format!("{}userName pr{}", "(".repeat(10_000), ")".repeat(10_000)),
        "(".repeat(10_000),
        format!("{}userName pr", "not (".repeat(2_000)),
        "[".repeat(5_000),
        vec!["userName pr"; 5_000].join(" and "),
        format!("userName eq \"{}\"", "x".repeat(100_000)),
        "emails[".repeat(1_000),
    ] {
        let answer = client.post("/Users/.search", &search(filter)).await;
        answer.expect_error(400, Some("invalidFilter"));
    }
    client.get("/Users").await.expect(200);
}

async fn every_answer_has_a_request_id(app: TestApp) {
    let client = app.scim();
    for path in ["/Users", "/Users/none", "/Nope"] {
        let answer = client.get(path).await;
        assert!(answer.header("x-request-id").is_some_and(|id| id.len() == 36), "{path}");
    }
}

async fn the_token_is_asked_for_before_the_body_is_read(app: TestApp) {
    let stranger = app.with_token("nonsense");
    let request = stranger.request("POST", "/Users").header("content-type", "text/plain").body("{");
    stranger.send(request).await.expect_error(401, None);
    stranger.get("/Nope").await.expect_error(401, None);
    stranger.with_body("DELETE", "/Users", &json!({})).await.expect_error(401, None);
}
