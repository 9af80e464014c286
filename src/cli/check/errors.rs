//! Errors an admin will read: every one is SCIM JSON with a `detail`.
//!
//! Okta shows `detail` in its task list, and "Invalid JSON: Unrecognized token" where a gateway or
//! a framework answers with a page of its own.

use serde_json::json;

use super::bodies::USER;
use super::client::Client;
use super::report::Report;

/// Sends what must be refused, and expects each refusal in SCIM form.
pub async fn run(api: &Client, report: &mut Report) {
    report
        .step("a wrong bearer token is a 401 in SCIM form", async {
            api.authorized_as("Bearer no-such-token").get("/Users").await?.error(401)
        })
        .await;
    report
        .step("a body that is not JSON is a 400 in SCIM form", async {
            api.post_broken("/Users", "{\"userName\": ").await?.error(400)
        })
        .await;
    report
        .step("a user without userName is a 400 in SCIM form", async {
            let body = json!({"schemas": [USER], "displayName": "Nameless Check"});
            api.post("/Users", &body).await?.error(400)
        })
        .await;
    report
        .step("a filter that cannot be parsed is a 400 with scimType invalidFilter", async {
            let reply = api.get("/Users?filter=userName%20eq").await?.error(400)?;
            reply.is("/scimType", "invalidFilter")
        })
        .await;
    report
        .step("an unknown path is a 404 in SCIM form", async {
            api.get("/NoSuchEndpoint").await?.error(404)
        })
        .await;
    report
        .step("an unknown group is a 404 in SCIM form", async {
            api.get("/Groups/00g0000000000000000").await?.error(404)
        })
        .await;
}
