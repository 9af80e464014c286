//! Requests that are made to cost much: refused before they do, and nobody waits for them.

use serde_json::json;

use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    hostile_requests_are_refused_while_others_are_served,
    a_patch_of_a_hundred_thousand_operations_is_refused,
    long_paths_are_nobodys,
];

async fn hostile_requests_are_refused_while_others_are_served(app: TestApp) {
    let (client, other) = (app.scim(), app.other("other").await);
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let nested = |open: &str, close: &str, depth: usize| {
        format!("{}{}", open.repeat(depth), close.repeat(depth))
    };
    let parentheses =
        json!({ "filter": format!("{}userName pr{}", "(".repeat(10_000), ")".repeat(10_000)) });
    let deep_path = patch_body(json!([{
        "op": "remove", "path": format!("emails[{}type pr]", "not (".repeat(10_000)),
    }]));
    let user = format!("/Users/{id}");
    for (method, path, body, error) in [
        ("POST", "/Users/.search", parentheses.to_string(), "invalidFilter"),
        ("POST", "/.search", parentheses.to_string(), "invalidFilter"),
        ("POST", "/Groups/.search", parentheses.to_string(), "invalidFilter"),
        ("POST", "/Users", nested("[", "]", 200_000), "invalidSyntax"),
        ("PATCH", user.as_str(), nested("{\"a\":", "}", 100_000), "invalidSyntax"),
        ("PUT", user.as_str(), nested("[{\"a\":", "}]", 60_000), "invalidSyntax"),
        ("POST", "/Bulk", nested("[", "]", 200_000), "invalidSyntax"),
        ("POST", "/Groups", nested("[", "]", 2_000_000), "invalidSyntax"),
        ("PATCH", user.as_str(), deep_path.to_string(), "invalidPath"),
    ] {
        let request =
            client.request(method, path).header("content-type", "application/json").body(body);
        let (hostile, answer) = tokio::join!(client.send(request), other.get("/Users"));
        answer.expect(200);
        let detail = hostile.expect_error(400, Some(error));
        assert!(detail.len() < 500, "{path}: {detail}");
    }
    // Nothing has changed.
    let user = client.get(&user).await.expect(200).body;
    assert_eq!(user["userName"], "ann");
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 1);
}

async fn a_patch_of_a_hundred_thousand_operations_is_refused(app: TestApp) {
    let (client, other) = (app.scim(), app.other("other").await);
    let user = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    let operation = json!({ "op": "replace", "path": "displayName", "value": "x" });
    let body = patch_body(vec![operation; 100_000].into());
    for path in [format!("/Users/{user}"), format!("/Groups/{group}")] {
        let (hostile, answer) = tokio::join!(client.patch(&path, &body), other.get("/Users"));
        answer.expect(200);
        hostile.expect_error(413, None);
    }
    assert_eq!(
        client.get(&format!("/Groups/{group}")).await.expect(200).body["displayName"],
        "Staff"
    );
}

async fn long_paths_are_nobodys(app: TestApp) {
    let client = app.scim();
    let deep = "/a".repeat(15_000);
    let long = "x".repeat(30_000);
    for path in [deep.as_str(), &format!("/Users/{long}"), &format!("/Users{deep}")] {
        client.get(path).await.expect_error(404, None);
    }
    client.get(&format!("/Users?attributes={long}")).await.expect(200);
    client.get("/Users").await.expect(200);
}
