//! Several clients, and several servers on one store, write at once: nothing is lost, and nobody
//! is answered with an error that is not theirs.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    members_added_one_by_one_are_all_there,
    of_many_creations_of_one_user_one_succeeds,
    of_many_creations_of_one_group_one_succeeds,
    changes_of_different_attributes_are_all_kept,
    a_member_who_is_deleted_meanwhile_leaves_no_trace,
    a_put_and_a_patch_of_one_group_take_turns,
    activation_and_deactivation_end_in_one_state,
];

/// Requests at a time.
const MANY: usize = 24;

/// Clients of two servers on the same store, in turn.
fn clients(app: &TestApp, replica: &TestApp) -> Vec<ScimClient> {
    let token = app.default_token();
    (0..MANY)
        .map(|turn| if turn % 2 == 0 { app.scim() } else { replica.with_token(token) })
        .collect()
}

async fn people(app: &TestApp) -> Vec<String> {
    let client = app.scim();
    let mut ids = Vec::new();
    for number in 0..MANY {
        let body = json!({ "userName": format!("user{number}") });
        ids.push(client.post("/Users", &body).await.expect(201).id());
    }
    ids
}

fn member_ids(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<String> = members
        .iter()
        .map(|member| member["value"].as_str().expect("a member's id").to_owned())
        .collect();
    ids.sort();
    ids
}

async fn members_added_one_by_one_are_all_there(app: TestApp) {
    let replica = app.replica().await;
    let mut ids = people(&app).await;
    let group = app.scim().post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let additions = clients(&app, &replica).into_iter().zip(&ids).map(|(client, id)| {
        let path = path.clone();
        async move {
            let add = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
            client.patch(&path, &patch_body(add)).await.expect(200);
        }
    });
    join_all(additions).await;
    let group = app.scim().get(&path).await.expect(200).body;
    ids.sort();
    assert_eq!(member_ids(&group), ids);
    // Each was a change: the version counts them.
    let version = group["meta"]["version"].as_str().expect("a version");
    assert!(version.starts_with(&format!("W/\"{}-", MANY + 1)), "{version}");
    replica.stopper().await;
}

async fn of_many_creations_of_one_user_one_succeeds(app: TestApp) {
    let replica = app.replica().await;
    let creations =
        clients(&app, &replica).into_iter().enumerate().map(|(number, client)| async move {
            let name = if number % 2 == 0 { "ann@example.com" } else { "ANN@example.com" };
            let body = json!({ "userName": name, "title": format!("{number}") });
            let answer = client.post("/Users", &body).await;
            if answer.status == 201 {
                1
            } else {
                answer.expect_error(409, Some("uniqueness"));
                0
            }
        });
    assert_eq!(join_all(creations).await.iter().sum::<i32>(), 1);
    assert_eq!(app.scim().get("/Users").await.expect(200).body["totalResults"], 1);
    replica.stopper().await;
}

async fn of_many_creations_of_one_group_one_succeeds(app: TestApp) {
    let replica = app.replica().await;
    let creations = clients(&app, &replica).into_iter().map(|client| async move {
        let answer = client.post("/Groups", &json!({ "displayName": "Team" })).await;
        if answer.status == 201 {
            1
        } else {
            answer.expect_error(409, Some("uniqueness"));
            0
        }
    });
    assert_eq!(join_all(creations).await.iter().sum::<i32>(), 1);
    replica.stopper().await;
}

async fn changes_of_different_attributes_are_all_kept(app: TestApp) {
    let replica = app.replica().await;
    let user = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let path = format!("/Users/{}", user.id());
    let changes = clients(&app, &replica).into_iter().enumerate().map(|(number, client)| {
        let path = path.clone();
        async move {
            let add = json!([{
                "op": "add",
                "path": "emails",
                "value": [{ "value": format!("ann{number}@example.com") }],
            }]);
            client.patch(&path, &patch_body(add)).await.expect(200);
        }
    });
    join_all(changes).await;
    let user = app.scim().get(&path).await.expect(200).body;
    assert_eq!(user["emails"].as_array().map(Vec::len), Some(MANY));
    for number in 0..MANY {
        let filter = format!("emails.value eq \"ann{number}@example.com\"");
        assert_eq!(app.scim().find("/Users", &filter).await.len(), 1, "{filter}");
    }
    replica.stopper().await;
}

async fn a_member_who_is_deleted_meanwhile_leaves_no_trace(app: TestApp) {
    let replica = app.replica().await;
    let ids = people(&app).await;
    let group = app.scim().post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let races = clients(&app, &replica).into_iter().zip(&ids).map(|(client, id)| {
        let (path, other) = (path.clone(), app.scim());
        async move {
            let add = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
            let add = patch_body(add);
            let user = format!("/Users/{id}");
            let (added, deleted) =
                futures_util::future::join(client.patch(&path, &add), other.delete(&user)).await;
            deleted.expect(204);
            assert!(
                matches!(added.status, 200 | 400),
                "{} answered {} {}",
                added.request,
                added.status,
                added.text
            );
        }
    });
    join_all(races).await;
    let group = app.scim().get(&path).await.expect(200).body;
    assert_eq!(member_ids(&group), Vec::<String>::new());
    replica.stopper().await;
}

async fn a_put_and_a_patch_of_one_group_take_turns(app: TestApp) {
    let replica = app.replica().await;
    let ids = people(&app).await;
    let (first, rest) = ids.split_first().expect("people");
    let group = app.scim().post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let all: Vec<Value> = rest.iter().map(|id| json!({ "value": id })).collect();
    let put = json!({ "displayName": "Team", "members": all });
    let add =
        patch_body(json!([{ "op": "add", "path": "members", "value": [{ "value": first }] }]));
    let requests = clients(&app, &replica).into_iter().enumerate().map(|(turn, client)| {
        let (path, put, add) = (path.clone(), &put, &add);
        async move {
            match turn % 2 {
                0 => client.put(&path, put).await.expect(200),
                _ => client.patch(&path, add).await.expect(200),
            }
        }
    });
    join_all(requests).await;
    // Whichever came last, a PUT's members are there whole; the PATCH's one is there or not.
    let members = member_ids(&app.scim().get(&path).await.expect(200).body);
    for id in rest {
        assert!(members.contains(id), "{id} is lost");
    }
    assert!(members.len() == rest.len() || members.contains(first));
    replica.stopper().await;
}

async fn activation_and_deactivation_end_in_one_state(app: TestApp) {
    let replica = app.replica().await;
    let user = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let path = format!("/Users/{}", user.id());
    let changes = clients(&app, &replica).into_iter().enumerate().map(|(turn, client)| {
        let path = path.clone();
        async move {
            let value = json!([{ "op": "replace", "value": { "active": turn % 3 == 0 } }]);
            client.patch(&path, &patch_body(value)).await.expect(200);
        }
    });
    join_all(changes).await;
    // The document and the column that filters look at say the same.
    let active = app.scim().get(&path).await.expect(200).body["active"].clone();
    let filter = format!("userName eq \"ann\" and active eq {active}");
    assert_eq!(app.scim().find("/Users", &filter).await.len(), 1);
    replica.stopper().await;
}
