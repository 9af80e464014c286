//! References to what other operations of the same job create.

use serde_json::{Value, json};

use super::{
    ENTERPRISE, carry_out, count, delete, detail, group, id, managed_user, manager, members, patch,
    path, read, statuses, user,
};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    references_point_in_any_direction,
    a_patch_refers_in_values_and_filters,
    a_path_may_refer_too,
    nine_hundred_ninety_nine_users_join_one_group,
    a_reference_to_nothing_is_the_operations_own_error,
    a_failed_operation_fails_those_that_refer_to_it,
    a_group_is_no_member,
    a_user_who_is_brought_back_is_referred_to_by_the_old_id,
    what_sign_in_has_made_is_adopted_by_a_job,
];

async fn references_point_in_any_direction(app: TestApp) {
    let client = app.scim();
    let operations = json!([
        group("early", &["bulkId:ann", "bulkId:bob"]),
        managed_user("bob", "bulkId:ann"),
        user("ann"),
        group("late", &["bulkId:bob"]),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "201", "201", "201"]);
    let names: Vec<&Value> = results.iter().map(|result| &result["bulkId"]).collect();
    assert_eq!(names, ["early", "bob", "ann", "late"], "in the order of the request");
    let (bob, ann) = (id(&results[1]), id(&results[2]));
    let mut both = [bob.as_str(), ann.as_str()];
    both.sort_unstable();
    assert_eq!(members(&read(&client, &results[0]).await), both);
    assert_eq!(manager(&read(&client, &results[1]).await), &json!(ann));
    assert_eq!(members(&read(&client, &results[3]).await), [bob]);
}

async fn a_patch_refers_in_values_and_filters(app: TestApp) {
    let client = app.scim();
    let made = carry_out(&client, json!([group("team", &[])])).await;
    let team = path(&made[0]);
    let operations = json!([
        patch(&team, json!([
            { "op": "add", "path": "members", "value": [{ "value": "bulkId:a\"b" }, { "value": "bulkId:c" }] },
        ])),
        patch(&team, json!([{ "op": "remove", "path": "members[value eq \"bulkId:a\\\"b\"]" }])),
        {
            "method": "PATCH", "path": "/Users/bulkId:c",
            "data": { "Operations": [
                { "op": "add", "path": format!("{ENTERPRISE}:manager.value"), "value": "bulkId:a\"b" },
            ] },
        },
        user("a\"b"),
        user("c"),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["200", "200", "200", "201", "201"]);
    assert_eq!(members(&read(&client, &made[0]).await), [id(&results[4])]);
    assert_eq!(manager(&read(&client, &results[4]).await), &json!(id(&results[3])));
    assert_eq!(path(&results[2]), path(&results[4]));
}

async fn a_path_may_refer_too(app: TestApp) {
    let client = app.scim();
    let operations = json!([
        delete("/Users/bulkId:gone"),
        { "method": "PUT", "path": "Users/bulkId:kept", "data": { "userName": "kept", "title": "x" } },
        user("gone"),
        user("kept"),
        delete("/Groups/bulkId:kept"),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["204", "200", "201", "201", "404"]);
    assert_eq!(path(&results[0]), path(&results[2]));
    client.get(&path(&results[2])).await.expect(404);
    assert_eq!(read(&client, &results[3]).await["title"], "x");
}

async fn nine_hundred_ninety_nine_users_join_one_group(app: TestApp) {
    let client = app.scim();
    let names: Vec<String> = (0..999).map(|number| format!("person{number}")).collect();
    let references: Vec<String> = names.iter().map(|name| format!("bulkId:{name}")).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    // The group comes first, and waits for everybody.
    let mut operations = vec![group("everybody", &references)];
    operations.extend(names.iter().map(|name| user(name)));
    let results = carry_out(&client, operations.into()).await;
    assert_eq!(results.len(), 1000);
    assert!(results.iter().all(|result| result["status"] == "201"));
    let group = read(&client, &results[0]).await;
    assert_eq!(group["meta"]["version"], results[0]["version"]);
    let mut ids: Vec<String> = results[1..].iter().map(id).collect();
    ids.sort();
    assert_eq!(members(&group), ids);
}

async fn a_reference_to_nothing_is_the_operations_own_error(app: TestApp) {
    let client = app.scim();
    let unreachable = json!({ "method": "DELETE", "path": "/Users/x", "bulkId": "deletion" });
    for operation in [
        managed_user("ann", "bulkId:nobody"),
        group("team", &["bulkId:nobody"]),
        patch("/Users/x", json!([{ "op": "add", "path": "title", "value": "bulkId:nobody" }])),
        delete("/Users/bulkId:nobody"),
        managed_user("ann", "bulkId:deletion"),
    ] {
        let results = carry_out(&client, json!([operation, unreachable])).await;
        assert_eq!(statuses(&results), ["400", "404"], "{operation}");
        assert_eq!(results[0]["response"]["scimType"], "invalidValue");
        let name = if operation.to_string().contains("nobody") { "nobody" } else { "deletion" };
        assert!(detail(&results[0]).contains(&format!("'bulkId:{name}'")), "{results:?}");
    }
    assert_eq!(count(&client, "/Users").await + count(&client, "/Groups").await, 0);
}

async fn a_failed_operation_fails_those_that_refer_to_it(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "ANN" })).await.expect(201);
    let operations = json!([
        group("team", &["bulkId:bob", "bulkId:cid"]),
        managed_user("bob", "bulkId:ann"),
        user("ann"),
        user("cid"),
        delete("/Users/bulkId:bob"),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["409", "409", "409", "201", "409"]);
    assert_eq!(results[2]["response"]["scimType"], "uniqueness");
    for (place, culprit) in [(0, "'bob'"), (1, "'ann'"), (4, "'bob'")] {
        assert!(detail(&results[place]).contains(culprit), "{results:?}");
        assert_eq!(results[place]["response"].get("scimType"), None);
    }
    assert_eq!((count(&client, "/Users").await, count(&client, "/Groups").await), (2, 0));
}

async fn a_group_is_no_member(app: TestApp) {
    let client = app.scim();
    let results = carry_out(&client, json!([group("a", &["bulkId:b"]), group("b", &[])])).await;
    assert_eq!(statuses(&results), ["400", "201"]);
    assert_eq!(results[0]["response"]["scimType"], "invalidValue");
    assert!(detail(&results[0]).contains(&id(&results[1])), "{results:?}");
}

async fn a_user_who_is_brought_back_is_referred_to_by_the_old_id(app: TestApp) {
    let client = app.scim();
    let inactive = json!({ "userName": "ann", "active": false });
    let ann = client.post("/Users", &inactive).await.expect(201).id();
    let operations = json!([group("team", &["bulkId:Ann"]), managed_user("Ann", "bulkId:Ann")]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "201"]);
    assert_eq!(id(&results[1]), ann);
    let user = read(&client, &results[1]).await;
    assert_eq!((&user["active"], manager(&user)), (&json!(true), &json!(ann)));
    assert_eq!(members(&read(&client, &results[0]).await), [ann]);
}

async fn what_sign_in_has_made_is_adopted_by_a_job(app: TestApp) {
    let client = app.scim();
    let ann = crate::signin::sign_in(&app, crate::signin::ann(json!(["Staff"]))).await.user;
    let staff = client.find("/Groups", "displayName eq \"Staff\"").await[0]["id"].clone();
    let operations = json!([
        group("staff", &["bulkId:ann@example.com", "bulkId:boss"]),
        managed_user("ann@example.com", "bulkId:boss"),
        managed_user("boss", "bulkId:ann@example.com"),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "201", "201"]);
    assert_eq!((json!(id(&results[0])), id(&results[1])), (staff, ann));
    assert_eq!(manager(&read(&client, &results[1]).await), &json!(id(&results[2])));
    assert_eq!(members(&read(&client, &results[0]).await).len(), 2);
}
