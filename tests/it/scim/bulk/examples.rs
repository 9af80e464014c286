//! The examples of RFC 7644 sections 3.7.1 to 3.7.4.

use serde_json::{Value, json};

use super::{
    ENTERPRISE, ScimClient, carry_out, count, delete, detail, id, job, path, read, results,
    statuses, user,
};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    alice_is_created_and_joins_the_tour_guides,
    bob_is_created_with_alice_as_his_manager,
    groups_in_a_circle_are_tried_and_refused,
    a_user_is_added_replaced_changed_and_removed,
    an_error_ends_the_job_that_accepts_one,
    every_operation_may_fail,
    too_large_a_job_names_the_limit,
];

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

async fn alice_is_created_and_joins_the_tour_guides(app: TestApp) {
    let client = app.scim();
    let operations = json!([
        {
            "method": "POST", "path": "/Users", "bulkId": "qwerty",
            "data": { "schemas": [USER], "userName": "Alice" },
        },
        {
            "method": "POST", "path": "/Groups", "bulkId": "ytrewq",
            "data": {
                "schemas": [GROUP], "displayName": "Tour Guides",
                "members": [{ "type": "User", "value": "bulkId:qwerty" }],
            },
        },
    ]);
    let results = carry_out(&client, operations).await;
    let [alice, guides] = results.as_slice() else { panic!("two results") };
    let group = read(&client, guides).await;
    for (result, name, endpoint) in [(alice, "qwerty", "Users"), (guides, "ytrewq", "Groups")] {
        let location = format!("{}/scim/v2/{endpoint}/{}", app.base_url, id(result));
        let version = result["version"].clone();
        assert_eq!(
            *result,
            json!({
                "location": location, "method": "POST", "bulkId": name,
                "version": version, "status": "201",
            })
        );
    }
    assert_eq!(group["displayName"], "Tour Guides");
    assert_eq!(group["meta"]["version"], guides["version"]);
    assert_eq!(
        group["members"],
        json!([{ "value": id(alice), "$ref": alice["location"], "type": "User" }])
    );
    assert_eq!(read(&client, alice).await["userName"], "Alice");
}

async fn bob_is_created_with_alice_as_his_manager(app: TestApp) {
    let client = app.scim();
    let operations = json!([
        {
            "method": "POST", "path": "/Users", "bulkId": "qwerty",
            "data": { "schemas": [USER], "userName": "Alice" },
        },
        {
            "method": "POST", "path": "/Users", "bulkId": "ytrewq",
            "data": {
                "schemas": [USER, ENTERPRISE], "userName": "Bob",
                ENTERPRISE: {
                    "employeeNumber": "11250",
                    "manager": { "value": "bulkId:qwerty", "$ref": "../Users/bulkId:qwerty" },
                },
            },
        },
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    let bob = read(&client, &results[1]).await;
    assert_eq!(bob["meta"]["version"], results[1]["version"]);
    let alice = id(&results[0]);
    assert_eq!(
        bob[ENTERPRISE]["manager"],
        json!({ "value": alice, "$ref": format!("../Users/{alice}") })
    );
}

async fn groups_in_a_circle_are_tried_and_refused(app: TestApp) {
    let client = app.scim();
    let nested = |name: &str, bulk_id: &str, member: &str| {
        json!({
            "method": "POST", "path": "/Groups", "bulkId": bulk_id,
            "data": {
                "schemas": [GROUP], "displayName": name,
                "members": [{ "type": "Group", "value": member }],
            },
        })
    };
    let operations = json!([
        nested("Group A", "qwerty", "bulkId:ytrewq"),
        nested("Group B", "ytrewq", "bulkId:qwerty"),
    ]);
    // The members of a group are users here, so there is no way to resolve it.
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["400", "409"]);
    assert_eq!(results[0]["response"]["scimType"], "invalidValue");
    assert!(detail(&results[0]).contains("nested groups"), "{results:?}");
    assert!(detail(&results[1]).contains("'qwerty'"), "{results:?}");
    assert_eq!(count(&client, "/Groups").await, 0);
}

/// The job of section 3.7.3, about users that are there.
fn add_update_and_remove(people: &[(String, String)], fail_on_errors: Option<u64>) -> Value {
    let [(bob, bobs), (dave, daves), (eve, eves)] = people else { panic!("three people") };
    let mut job = job(json!([
        {
            "method": "POST", "path": "/Users", "bulkId": "qwerty",
            "data": { "schemas": ["urn:ietf:params:scim:api:messages:2.0:User"], "userName": "Alice" },
        },
        {
            "method": "PUT", "path": format!("/Users/{bob}"), "version": bobs,
            "data": { "schemas": [USER], "id": bob, "userName": "Bob" },
        },
        {
            "method": "PATCH", "path": format!("/Users/{dave}"), "version": daves,
            // The RFC has braces around the array, which is no JSON.
            "data": [
                { "op": "remove", "path": "nickName" },
                { "op": "add", "path": "userName", "value": "Dave" },
            ],
        },
        { "method": "DELETE", "path": format!("/Users/{eve}"), "version": eves },
    ]));
    if let Some(limit) = fail_on_errors {
        job["failOnErrors"] = limit.into();
    }
    job
}

async fn people(client: &ScimClient) -> Vec<(String, String)> {
    let mut people = Vec::new();
    for name in ["b", "d", "e"] {
        let body = json!({ "userName": name, "nickName": name });
        let made = client.post("/Users", &body).await.expect(201);
        let version = made.body["meta"]["version"].as_str().expect("a version").to_owned();
        people.push((made.id(), version));
    }
    people
}

async fn a_user_is_added_replaced_changed_and_removed(app: TestApp) {
    let client = app.scim();
    let people = people(&client).await;
    let results = results(&client, &add_update_and_remove(&people, Some(1))).await;
    assert_eq!(statuses(&results), ["201", "200", "200", "204"]);
    let methods: Vec<&Value> = results.iter().map(|result| &result["method"]).collect();
    assert_eq!(methods, ["POST", "PUT", "PATCH", "DELETE"]);
    for (result, (id, _)) in results[1..].iter().zip(&people) {
        assert_eq!(path(result), format!("/Users/{id}"));
        assert_eq!(result.get("bulkId"), None);
    }
    let bob = read(&client, &results[1]).await;
    assert_eq!(bob["userName"], "Bob");
    assert_eq!(bob.get("nickName"), None);
    assert_eq!(bob["meta"]["version"], results[1]["version"]);
    let dave = read(&client, &results[2]).await;
    assert_eq!((&dave["userName"], dave.get("nickName")), (&json!("Dave"), None));
    assert_eq!(dave["meta"]["version"], results[2]["version"]);
    client.get(&path(&results[3])).await.expect(404);
}

async fn an_error_ends_the_job_that_accepts_one(app: TestApp) {
    let client = app.scim();
    let people = people(&client).await;
    let mut job = add_update_and_remove(&people, Some(1));
    job["Operations"][0]["data"] = json!({ "schemas": [USER] });
    let results = results(&client, &job).await;
    assert_eq!(statuses(&results), ["400"]);
    assert_eq!(results[0]["bulkId"], "qwerty");
    for (id, version) in &people {
        let user = client.get(&format!("/Users/{id}")).await.expect(200).body;
        assert_eq!(user["meta"]["version"], *version, "nothing else was done");
    }
}

async fn every_operation_may_fail(app: TestApp) {
    let client = app.scim();
    let people = people(&client).await;
    let mut job = add_update_and_remove(&people, None);
    job["Operations"][0]["data"] = json!({ "schemas": [USER] });
    job["Operations"][1]["version"] = json!("W/\"3694e05e9dff591\"");
    job["Operations"][2]["version"] = json!("W/\"edac3253e2c0ef2\"");
    job["Operations"][3]["path"] = json!("/Users/e9025315-6bea-44e1-899c-1e07454e468b");
    let results = results(&client, &job).await;
    assert_eq!(statuses(&results), ["400", "412", "412", "404"]);
    assert_eq!(path(&results[3]), "/Users/e9025315-6bea-44e1-899c-1e07454e468b");
    for (id, version) in &people {
        let user = client.get(&format!("/Users/{id}")).await.expect(200).body;
        assert_eq!(user["meta"]["version"], *version);
    }
}

async fn too_large_a_job_names_the_limit(app: TestApp) {
    let client = app.scim();
    let config = client.get("/ServiceProviderConfig").await.expect(200).body;
    let limits = json!({ "supported": true, "maxOperations": 1000, "maxPayloadSize": 1_048_576 });
    assert_eq!(config["bulk"], limits);
    let text = |size: usize| {
        let mut operation = user("alice");
        operation["data"]["ignored"] = "".into();
        let missing = size - job(json!([operation])).to_string().len();
        operation["data"]["ignored"] = "x".repeat(missing).into();
        job(json!([operation])).to_string()
    };
    let send = async |body: String| {
        let request =
            client.request("POST", "/Bulk").header("content-type", "application/scim+json");
        client.send(request.body(body)).await
    };
    let error = send(text(1_048_577)).await.expect_error(413, None);
    assert!(error.contains("maxPayloadSize (1048576)"), "{error}");
    assert_eq!(count(&client, "/Users").await, 0);
    let answer = send(text(1_048_576)).await.expect(200).body;
    assert_eq!(answer["Operations"][0]["status"], "201");
    let many =
        |count: usize| -> Value { (0..count).map(|n| delete(&format!("/Users/{n}"))).collect() };
    let mut operations = many(1000);
    operations[0] = user("bob");
    operations.as_array_mut().expect("an array").push(user("carl"));
    let error = client.post("/Bulk", &job(operations)).await.expect_error(413, None);
    assert!(error.contains("maxOperations (1000)"), "{error}");
    assert_eq!(count(&client, "/Users").await, 1);
    let results = carry_out(&client, many(1000)).await;
    assert!(results.len() == 1000 && results.iter().all(|result| result["status"] == "404"));
}
