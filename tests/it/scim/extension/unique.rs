//! Attributes that a schema calls unique.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{ACME, ACME_GROUP};
use crate::support::{Case, ScimClient, TestApp, patch_body, schema_cases};

pub const CASES: &[Case] = schema_cases![
    a_value_belongs_to_one_user,
    a_value_that_is_given_up_is_free,
    a_value_of_a_connection_is_nothing_to_another,
    a_value_of_a_group_is_nothing_to_users,
    numbers_are_the_same_however_they_are_written,
    of_many_who_want_a_value_one_gets_it,
    of_many_who_want_each_others_values_nobody_gets_two,
];

#[expect(clippy::needless_pass_by_value, reason = "called with json!({…}) written in place")]
fn with(name: &str, extension: Value) -> Value {
    json!({ "userName": name, ACME: extension })
}

async fn made(client: &ScimClient, name: &str, extension: Value) -> String {
    let answer = client.post("/Users", &with(name, extension)).await.expect(201);
    format!("/Users/{}", answer.id())
}

async fn a_value_belongs_to_one_user(app: TestApp) {
    let client = app.scim();
    let held = json!({
        "unit": "x", "badge": "B1", "parking": ["P1", "p2"],
        "devices": [{ "value": "D1", "type": "phone" }, { "value": "d1", "type": "laptop" }],
    });
    let ann = made(&client, "ann", held.clone()).await;
    let core = json!({ "userName": "carl", "staffNumber": 7 });
    client.post("/Users", &core).await.expect(201);
    let bob = made(&client, "bob", json!({ "unit": "x", "badge": "b1" })).await;
    for (extension, name, value) in [
        (json!({ "unit": "x", "badge": "B1" }), "badge", "B1"),
        (json!({ "unit": "x", "parking": ["P3", "P2"] }), "parking", "P2"),
        (json!({ "unit": "x", "devices": [{ "value": "D1" }] }), "devices.value", "D1"),
    ] {
        let expected = format!("another user already has the {ACME}:{name} '{value}'");
        let path = format!("{ACME}:{}", name.split('.').next().expect("a name"));
        let given = &extension[name.split('.').next().expect("a name")];
        let patch = patch_body(json!([{ "op": "add", "path": path, "value": given }]));
        for answer in [
            client.post("/Users", &with("new", extension.clone())).await,
            client.put(&bob, &with("bob", extension.clone())).await,
            client.patch(&bob, &patch).await,
        ] {
            let detail = answer.expect_error(409, Some("uniqueness"));
            assert!(detail.starts_with(&expected), "{detail}");
        }
    }
    let number = json!({ "userName": "new", "staffNumber": 7 });
    let detail = client.post("/Users", &number).await.expect_error(409, Some("uniqueness"));
    assert!(detail.contains("core:2.0:User:staffNumber '7'"), "{detail}");
    // Nothing has changed, and whoever has a value may say so again.
    assert_eq!(
        client.get(&bob).await.expect(200).body[ACME],
        json!({ "unit": "x", "badge": "b1" })
    );
    client.put(&ann, &with("ann", held)).await.expect(200);
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 3);
}

async fn a_value_that_is_given_up_is_free(app: TestApp) {
    let client = app.scim();
    let badge = |badge: &str| json!({ "unit": "x", "badge": badge });
    let ann = made(&client, "ann", badge("B1")).await;
    let bob = made(&client, "bob", badge("B2")).await;
    client.put(&ann, &with("ann", badge("B3"))).await.expect(200);
    client.put(&bob, &with("bob", badge("B1"))).await.expect(200);
    client.put(&ann, &with("ann", badge("B2"))).await.expect(200);
    let drop = patch_body(json!([{ "op": "remove", "path": format!("{ACME}:badge") }]));
    client.patch(&bob, &drop).await.expect(200);
    let carl = made(&client, "carl", badge("B1")).await;
    // Somebody who is inactive keeps what is theirs; somebody who is deleted does not.
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    client.patch(&carl, &off).await.expect(200);
    let dora = with("dora", badge("B1"));
    client.post("/Users", &dora).await.expect_error(409, Some("uniqueness"));
    client.delete(&carl).await.expect(204);
    client.post("/Users", &dora).await.expect(201);
}

async fn a_value_of_a_connection_is_nothing_to_another(app: TestApp) {
    let (ours, theirs) = (app.scim(), app.other("other").await);
    let extension = json!({ "unit": "x", "badge": "B1" });
    made(&ours, "ann", extension.clone()).await;
    made(&theirs, "ann", extension).await;
}

async fn a_value_of_a_group_is_nothing_to_users(app: TestApp) {
    let client = app.scim();
    let group = |name: &str, budget: f64| json!({ "displayName": name, ACME_GROUP: { "cost": 1, "budget": budget } });
    let team = client.post("/Groups", &group("A", 10.5)).await.expect(201).id();
    let answer = client.post("/Groups", &group("B", 10.5)).await;
    let detail = answer.expect_error(409, Some("uniqueness"));
    assert!(
        detail.starts_with(&format!("another group already has the {ACME_GROUP}:budget '10.5'"))
    );
    client.post("/Groups", &group("B", 11.0)).await.expect(201);
    let patch = json!([{ "op": "replace", "path": format!("{ACME_GROUP}:budget"), "value": 11 }]);
    let answer = client.patch(&format!("/Groups/{team}"), &patch_body(patch)).await;
    answer.expect_error(409, Some("uniqueness"));
    client.delete(&format!("/Groups/{team}")).await.expect(204);
    client.post("/Groups", &group("C", 10.5)).await.expect(201);
}

async fn numbers_are_the_same_however_they_are_written(app: TestApp) {
    let client = app.scim();
    let group = |name: &str, budget: &str| {
        let budget: Value = serde_json::from_str(budget).expect("a number");
        json!({ "displayName": name, ACME_GROUP: { "cost": 1, "budget": budget } })
    };
    client.post("/Groups", &group("A", "100")).await.expect(201);
    client.post("/Groups", &group("B", "1e300")).await.expect(201);
    for budget in ["100.0", "1e2", "10E1", "1000.0e297"] {
        let answer = client.post("/Groups", &group("C", budget)).await;
        answer.expect_error(409, Some("uniqueness"));
    }
    client.post("/Groups", &group("C", "100.00000000000001")).await.expect(201);
}

/// Requests at a time.
const MANY: usize = 16;

async fn of_many_who_want_a_value_one_gets_it(app: TestApp) {
    let replica = app.replica().await;
    let creations = (0..MANY).map(|number| {
        let client =
            if number % 2 == 0 { app.scim() } else { replica.with_token(app.default_token()) };
        async move {
            let user = with(&format!("user{number}"), json!({ "unit": "x", "badge": "B1" }));
            let answer = client.post("/Users", &user).await;
            if answer.status == 201 {
                1
            } else {
                answer.expect_error(409, Some("uniqueness"));
                0
            }
        }
    });
    assert_eq!(join_all(creations).await.iter().sum::<i32>(), 1);
    assert_eq!(app.scim().get("/Users").await.expect(200).body["totalResults"], 1);
    replica.stopper().await;
}

async fn of_many_who_want_each_others_values_nobody_gets_two(app: TestApp) {
    let replica = app.replica().await;
    let mut paths = Vec::new();
    for number in 0..4 {
        let extension = json!({ "unit": "x", "parking": [format!("own{number}")] });
        paths.push(made(&app.scim(), &format!("user{number}"), extension).await);
    }
    // Each wants the same two lots, in one order or in the other.
    let changes = (0..MANY).map(|number| {
        let client =
            if number % 2 == 0 { app.scim() } else { replica.with_token(app.default_token()) };
        let path = paths[number % paths.len()].clone();
        let lots = if number % 2 == 0 { ["P1", "P2"] } else { ["P2", "P1"] };
        async move {
            let add =
                json!([{ "op": "replace", "path": format!("{ACME}:parking"), "value": lots }]);
            let answer = client.patch(&path, &patch_body(add)).await;
            if answer.status != 200 {
                answer.expect_error(409, Some("uniqueness"));
            }
        }
    });
    join_all(changes).await;
    for lot in ["P1", "P2"] {
        let found = app.scim().find("/Users", &format!("{ACME}:parking eq \"{lot}\"")).await;
        assert_eq!(found.len(), 1, "{lot}");
    }
    replica.stopper().await;
}
