//! Operations that refer to each other (RFC 7644 section 3.7.1).

use serde_json::{Value, json};

use super::{
    ENTERPRISE, carry_out, count, detail, group, id, managed_user, manager, members, read,
    statuses, user,
};
use crate::scim::events;
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    two_users_may_be_each_others_manager,
    a_user_may_be_ones_own_manager,
    a_long_circle_and_what_hangs_on_it,
    a_replacement_and_a_patch_may_be_part_of_a_circle,
    a_circle_is_done_whole_or_not_at_all,
    a_circle_with_a_condition_that_fails_is_not_done,
    the_groups_that_a_user_claims_to_have_are_a_circle_too,
];

async fn two_users_may_be_each_others_manager(app: TestApp) {
    let client = app.scim();
    let operations = json!([managed_user("ann", "bulkId:bob"), managed_user("bob", "bulkId:ann")]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    let (ann, bob) = (read(&client, &results[0]).await, read(&client, &results[1]).await);
    assert_eq!((manager(&ann), manager(&bob)), (&bob["id"], &ann["id"]));
    assert_eq!(ann["meta"]["version"], results[0]["version"]);
    let recorded = events::of(&app, &id(&results[0]));
    let actions: Vec<&str> = recorded.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["created", "updated"]);
    assert_eq!(recorded[0].1["after"].get(ENTERPRISE), None, "no reference is ever stored");
}

async fn a_user_may_be_ones_own_manager(app: TestApp) {
    let client = app.scim();
    let results = carry_out(&client, json!([managed_user("ann", "bulkId:ann")])).await;
    assert_eq!(statuses(&results), ["201"]);
    let ann = read(&client, &results[0]).await;
    assert_eq!(manager(&ann), &ann["id"]);
}

async fn a_long_circle_and_what_hangs_on_it(app: TestApp) {
    const MANY: usize = 200;
    let client = app.scim();
    let mut operations: Vec<Value> = (0..MANY)
        .map(|number| {
            let next = (number + 1) % MANY;
            managed_user(&format!("u{number}"), &format!("bulkId:u{next}"))
        })
        .collect();
    operations.push(managed_user("apart", "bulkId:u0"));
    operations.insert(0, group("some", &["bulkId:u0", "bulkId:apart"]));
    let results = carry_out(&client, operations.into()).await;
    assert!(results.iter().all(|result| result["status"] == "201"), "{results:?}");
    for (number, result) in results[1..=MANY].iter().enumerate() {
        let next = &results[1 + (number + 1) % MANY];
        assert_eq!(manager(&read(&client, result).await), &json!(id(next)));
    }
    assert_eq!(members(&read(&client, &results[0]).await).len(), 2);
}

async fn a_replacement_and_a_patch_may_be_part_of_a_circle(app: TestApp) {
    let client = app.scim();
    let mut old = Vec::new();
    for name in ["put", "patched"] {
        old.push(client.post("/Users", &json!({ "userName": name })).await.expect(201).id());
    }
    let operations = json!([
        managed_user("new", "bulkId:put"),
        {
            "method": "PUT", "path": format!("/Users/{}", old[0]), "bulkId": "put",
            "data": { "userName": "put", ENTERPRISE: { "manager": { "value": "bulkId:patch" } } },
        },
        {
            "method": "PATCH", "path": format!("/Users/{}", old[1]), "bulkId": "patch",
            "version": "W/\"1\"",
            "data": patch_body(json!([
                { "op": "add", "path": format!("{ENTERPRISE}:manager"), "value": { "value": "bulkId:new" } },
            ])),
        },
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "200", "200"]);
    let new = read(&client, &results[0]).await;
    assert_eq!(manager(&new), &json!(old[0]));
    assert_eq!(manager(&read(&client, &results[1]).await), &json!(old[1]));
    assert_eq!(manager(&read(&client, &results[2]).await), &new["id"]);
}

async fn a_circle_is_done_whole_or_not_at_all(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "cid" })).await.expect(201);
    let operations = json!([
        managed_user("ann", "bulkId:bob"),
        managed_user("bob", "bulkId:cid"),
        managed_user("cid", "bulkId:ann"),
        managed_user("dan", "bulkId:ann"),
        user("eve"),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["409", "409", "409", "409", "201"]);
    assert_eq!(results[2]["response"]["scimType"], "uniqueness");
    for (place, culprit) in [(0, "'cid'"), (1, "'cid'"), (3, "'ann'")] {
        assert!(detail(&results[place]).contains(culprit), "{results:?}");
    }
    assert_eq!(count(&client, "/Users").await, 2);
    assert_eq!(client.find("/Users", "userName eq \"ann\"").await.len(), 0);
    // What is mended goes through.
    let operations = json!([managed_user("ann", "bulkId:bob"), managed_user("bob", "bulkId:ann")]);
    assert_eq!(statuses(&carry_out(&client, operations).await), ["201", "201"]);
}

async fn a_circle_with_a_condition_that_fails_is_not_done(app: TestApp) {
    let client = app.scim();
    let old = client.post("/Users", &json!({ "userName": "old" })).await.expect(201).id();
    let operations = json!([
        managed_user("new", "bulkId:old"),
        {
            "method": "PUT", "path": format!("/Users/{old}"), "bulkId": "old", "version": "W/\"7\"",
            "data": { "userName": "old", ENTERPRISE: { "manager": { "value": "bulkId:new" } } },
        },
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["409", "412"]);
    assert_eq!(count(&client, "/Users").await, 1);
}

async fn the_groups_that_a_user_claims_to_have_are_a_circle_too(app: TestApp) {
    let client = app.scim();
    let mut ann = user("ann");
    ann["data"]["groups"] = json!([{ "value": "bulkId:team" }]);
    let results = carry_out(&client, json!([ann, group("team", &["bulkId:ann"])])).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    assert_eq!(members(&read(&client, &results[1]).await), [id(&results[0])]);
    let groups = &read(&client, &results[0]).await["groups"];
    assert_eq!(groups[0]["value"], json!(id(&results[1])));
}
