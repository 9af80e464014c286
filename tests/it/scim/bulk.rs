//! `/Bulk` (RFC 7644 section 3.7).

mod circles;
mod examples;
mod failures;
mod jobs;
mod references;

use serde_json::{Value, json};

use crate::support::{Case, ScimClient};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

pub fn cases() -> Vec<Case> {
    [examples::CASES, references::CASES, circles::CASES, failures::CASES, jobs::CASES].concat()
}

/// A job of these operations.
#[expect(clippy::needless_pass_by_value, reason = "called with json!([…]) written in place")]
fn job(operations: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    })
}

/// What came of each operation of a job.
async fn results(client: &ScimClient, job: &Value) -> Vec<Value> {
    let body = client.post("/Bulk", job).await.expect(200).body;
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]));
    assert_eq!(body.as_object().map(serde_json::Map::len), Some(2), "nothing else: {body}");
    let results = body["Operations"].as_array().expect("results").clone();
    results.iter().for_each(check);
    results
}

async fn carry_out(client: &ScimClient, operations: Value) -> Vec<Value> {
    results(client, &job(operations)).await
}

/// What the RFC asks of every result (section 3.7.3).
fn check(result: &Value) {
    let status: u16 = result["status"].as_str().expect("text").parse().expect("a status");
    let has_failed = status >= 400;
    let post = result["method"] == "POST";
    assert_eq!(result.get("location").is_some(), !(post && has_failed), "{result}");
    assert_eq!(result.get("response").is_some(), has_failed, "{result}");
    assert_eq!(
        result.get("version").is_some(),
        !has_failed && result["method"] != "DELETE",
        "{result}"
    );
    if has_failed {
        let error = &result["response"];
        assert_eq!(error["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(error["status"], result["status"], "{result}");
        assert!(error["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{result}");
    }
}

fn statuses(results: &[Value]) -> Vec<&str> {
    results.iter().map(|result| result["status"].as_str().expect("a status")).collect()
}

fn detail(result: &Value) -> &str {
    result["response"]["detail"].as_str().expect("a detail")
}

/// Path of the resource, below the base URL.
fn path(result: &Value) -> String {
    let location = result["location"].as_str().expect("a location");
    let (_, path) = location.split_once("/scim/v2").expect("a location below the base URL");
    path.to_owned()
}

/// Id of the resource.
fn id(result: &Value) -> String {
    path(result).rsplit('/').next().expect("an id").to_owned()
}

async fn read(client: &ScimClient, result: &Value) -> Value {
    client.get(&path(result)).await.expect(200).body
}

/// The creation of a user, whose name is the `bulkId`.
fn user(name: &str) -> Value {
    json!({ "method": "POST", "path": "/Users", "bulkId": name, "data": { "userName": name } })
}

fn managed_user(name: &str, manager: &str) -> Value {
    let mut operation = user(name);
    operation["data"][ENTERPRISE] = json!({ "manager": { "value": manager } });
    operation
}

fn group(name: &str, members: &[&str]) -> Value {
    let members: Vec<Value> = members.iter().map(|member| json!({ "value": member })).collect();
    json!({
        "method": "POST", "path": "/Groups", "bulkId": name,
        "data": { "displayName": name, "members": members },
    })
}

fn patch(path: &str, operations: Value) -> Value {
    json!({ "method": "PATCH", "path": path, "data": crate::support::patch_body(operations) })
}

fn delete(path: &str) -> Value {
    json!({ "method": "DELETE", "path": path })
}

fn manager(user: &Value) -> &Value {
    &user[ENTERPRISE]["manager"]["value"]
}

fn members(group: &Value) -> Vec<&str> {
    let members = group["members"].as_array().expect("members");
    let mut ids: Vec<&str> =
        members.iter().map(|member| member["value"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

async fn count(client: &ScimClient, path: &str) -> u64 {
    client.get(path).await.expect(200).body["totalResults"].as_u64().expect("a number")
}
