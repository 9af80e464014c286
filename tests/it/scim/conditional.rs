//! Versions and conditional requests (RFC 7644 section 3.14).

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Answer, Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_copy_that_is_still_good_is_not_sent_again,
    a_write_needs_the_version_that_was_read,
    a_refused_condition_changes_nothing,
    any_version_is_asked_for_with_a_star,
    a_write_can_be_refused_while_a_version_stands,
    the_tag_is_the_version_in_every_answer,
    a_copy_shows_the_groups_of_now,
    a_copy_of_a_group_shows_the_members_of_now,
    a_version_can_be_searched_for,
    a_push_of_a_group_is_in_nobodys_way,
    a_large_group_tells_its_version_without_its_members,
    an_unknown_resource_is_not_found_whatever_the_condition,
    of_many_conditional_writes_one_succeeds,
];

async fn conditionally(
    client: &ScimClient,
    (method, path): (&str, &str),
    (header, tag): (&str, &str),
    body: Option<&Value>,
) -> Answer {
    let mut request = client.request(method, path).header(header, tag);
    if let Some(body) = body {
        request = request.header("content-type", "application/scim+json").body(body.to_string());
    }
    client.send(request).await
}

async fn made(client: &ScimClient) -> (String, String) {
    let made = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    (format!("/Users/{}", made.id()), tag(&made))
}

fn tag(answer: &Answer) -> String {
    answer.header("etag").expect("an entity tag").to_owned()
}

fn title(title: &str) -> Value {
    patch_body(json!([{ "op": "replace", "path": "title", "value": title }]))
}

async fn a_copy_that_is_still_good_is_not_sent_again(app: TestApp) {
    let client = app.scim();
    let (path, first) = made(&client).await;
    for known in [first.clone(), format!("\"other\", {first}"), "*".to_owned()] {
        let answer = conditionally(&client, ("GET", &path), ("if-none-match", &known), None)
            .await
            .expect(304);
        assert_eq!(answer.text, "", "{known}");
        assert_eq!(tag(&answer), first);
    }
    client.patch(&path, &title("Engineer")).await.expect(200);
    let fresh = conditionally(&client, ("GET", &path), ("if-none-match", &first), None).await;
    assert_eq!(fresh.expect(200).body["title"], "Engineer");
    let stale = conditionally(&client, ("GET", &path), ("if-match", &first), None).await;
    stale.expect_error(412, None);
}

async fn a_write_needs_the_version_that_was_read(app: TestApp) {
    let client = app.scim();
    let (path, first) = made(&client).await;
    let put = json!({ "userName": "ann", "title": "Put" });
    let patch = title("Patched");
    let replaced = conditionally(&client, ("PUT", &path), ("if-match", &first), Some(&put)).await;
    let second = tag(&replaced.expect(200));
    assert_ne!(first, second);
    let patched =
        conditionally(&client, ("PATCH", &path), ("if-match", &second), Some(&patch)).await;
    let third = tag(&patched.expect(200));
    for (method, body) in [("PUT", Some(&put)), ("PATCH", Some(&patch)), ("DELETE", None)] {
        for stale in [&first, &second] {
            let refused = conditionally(&client, (method, &path), ("if-match", stale), body).await;
            let detail = refused.expect_error(412, None);
            assert!(detail.contains(&third), "{detail}");
        }
    }
    conditionally(&client, ("DELETE", &path), ("if-match", &third), None).await.expect(204);
    client.get(&path).await.expect_error(404, None);
}

async fn a_refused_condition_changes_nothing(app: TestApp) {
    let client = app.scim();
    let user = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({ "displayName": "Team", "members": [{ "value": user }] });
    let made = client.post("/Groups", &group).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let empty = json!({ "displayName": "Renamed", "members": [] });
    let remove = patch_body(json!([{ "op": "remove", "path": "members" }]));
    for (method, body) in [("PUT", Some(&empty)), ("PATCH", Some(&remove)), ("DELETE", None)] {
        let refused = conditionally(&client, (method, &path), ("if-match", "W/\"99\""), body).await;
        refused.expect_error(412, None);
    }
    assert_eq!(client.get(&path).await.expect(200).body, made.body);
}

async fn any_version_is_asked_for_with_a_star(app: TestApp) {
    let client = app.scim();
    let (path, _) = made(&client).await;
    let any = ("if-match", "*");
    conditionally(&client, ("PATCH", &path), any, Some(&title("a"))).await.expect(200);
    conditionally(&client, ("DELETE", &path), any, None).await.expect(204);
}

async fn a_write_can_be_refused_while_a_version_stands(app: TestApp) {
    let client = app.scim();
    let (path, first) = made(&client).await;
    let patch = title("a");
    for known in ["*", first.as_str()] {
        conditionally(&client, ("PATCH", &path), ("if-none-match", known), Some(&patch))
            .await
            .expect_error(412, None);
    }
    let other = ("if-none-match", "W/\"99\"");
    conditionally(&client, ("PATCH", &path), other, Some(&patch)).await.expect(200);
}

async fn the_tag_is_the_version_in_every_answer(app: TestApp) {
    let client = app.scim();
    let (user, _) = made(&client).await;
    let id = user.trim_start_matches("/Users/");
    let body = json!({ "displayName": "Team", "members": [{ "value": id }] });
    let group = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let answers = [
        client.get(&user).await,
        client.put(&user, &json!({ "userName": "ann", "title": "a" })).await,
        client.patch(&user, &title("b")).await,
        client.get(&format!("{user}?excludedAttributes=groups")).await,
        client.get(&path).await,
        client.get(&format!("{path}?excludedAttributes=members")).await,
        client.put(&path, &body).await,
        client
            .patch(&path, &patch_body(json!([{ "op": "add", "path": "externalId", "value": "x" }])))
            .await,
        group,
    ];
    for answer in answers {
        assert_eq!(Some(tag(&answer).as_str()), answer.body["meta"]["version"].as_str());
        assert!(tag(&answer).starts_with("W/\""), "{}", answer.request);
    }
}

async fn a_copy_shows_the_groups_of_now(app: TestApp) {
    let client = app.scim();
    let (path, alone) = made(&client).await;
    let id = path.trim_start_matches("/Users/");
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    let group = client.post("/Groups", &group).await.expect(201).id();
    let group = format!("/Groups/{group}");
    let is_good = async |known: &str| {
        conditionally(&client, ("GET", &path), ("if-none-match", known), None).await.status == 304
    };
    assert!(!is_good(&alone).await, "the user has a group now");
    let member = tag(&client.get(&path).await);
    assert!(is_good(&member).await);
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Crew" }]);
    client.patch(&group, &patch_body(rename)).await.expect(200);
    assert!(!is_good(&member).await, "the group has another name");
    client.delete(&group).await.expect(204);
    assert!(!is_good(&member).await, "the group is gone");
    assert!(is_good(&alone).await, "all is as it was");
}

async fn a_copy_of_a_group_shows_the_members_of_now(app: TestApp) {
    let client = app.scim();
    let (user, _) = made(&client).await;
    let id = user.trim_start_matches("/Users/");
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    let made = client.post("/Groups", &group).await.expect(201);
    let (path, first) = (format!("/Groups/{}", made.id()), tag(&made));
    let known = ("if-none-match", first.as_str());
    conditionally(&client, ("GET", &path), known, None).await.expect(304);
    let bob = client.post("/Users", &json!({ "userName": "bob" })).await.expect(201).id();
    let other = json!({ "displayName": "Others", "members": [{ "value": bob }] });
    client.post("/Groups", &other).await.expect(201);
    conditionally(&client, ("GET", &path), known, None).await.expect(304);
    client.delete(&user).await.expect(204);
    let fresh = conditionally(&client, ("GET", &path), known, None).await.expect(200);
    assert_eq!(fresh.body["members"], json!([]));
    // A member left, which is a change of the group.
    conditionally(&client, ("PUT", &path), ("if-match", &first), Some(&other))
        .await
        .expect_error(412, None);
}

async fn a_version_can_be_searched_for(app: TestApp) {
    let client = app.scim();
    let (path, _) = made(&client).await;
    let id = path.trim_start_matches("/Users/");
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    client.post("/Groups", &group).await.expect(201);
    let version = tag(&client.get(&path).await).replace('"', "\\\"");
    let found = client.find("/Users", &format!("meta.version eq \"{version}\"")).await;
    assert_eq!(found.len(), 1, "{version}");
    let none = client.find("/Users", "meta.version eq \"W/\\\"2\\\"\"").await;
    assert_eq!(none.len(), 0);
}

async fn a_push_of_a_group_is_in_nobodys_way(app: TestApp) {
    let client = app.scim();
    let (path, read) = made(&client).await;
    let id = path.trim_start_matches("/Users/");
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    client.post("/Groups", &group).await.expect(201);
    let written =
        conditionally(&client, ("PATCH", &path), ("if-match", &read), Some(&title("a"))).await;
    assert_eq!(written.expect(200).body["groups"][0]["display"], "Team");
}

async fn a_large_group_tells_its_version_without_its_members(app: TestApp) {
    let client = app.scim();
    let mut members = Vec::new();
    for number in 0..1001 {
        let user = json!({ "userName": format!("user{number}") });
        members.push(json!({ "value": client.post("/Users", &user).await.expect(201).id() }));
    }
    let last = members.pop().expect("a member");
    let group = json!({ "displayName": "Team", "members": members });
    let path = format!("/Groups/{}", client.post("/Groups", &group).await.expect(201).id());
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": [last] }]));
    let first = ("if-match", "W/\"1\"");
    let added = conditionally(&client, ("PATCH", &path), first, Some(&add)).await.expect(204);
    assert_eq!(tag(&added), "W/\"2\"");
    let again = ("if-match", "W/\"2\"");
    conditionally(&client, ("PATCH", &path), again, Some(&add)).await.expect(204);
    conditionally(&client, ("PATCH", &path), first, Some(&add)).await.expect_error(412, None);
}

async fn an_unknown_resource_is_not_found_whatever_the_condition(app: TestApp) {
    let client = app.scim();
    for path in ["/Users/none", "/Groups/none"] {
        for method in ["GET", "DELETE"] {
            for header in ["if-match", "if-none-match"] {
                conditionally(&client, (method, path), (header, "*"), None)
                    .await
                    .expect_error(404, None);
            }
        }
    }
}

/// Everybody read the same version; the first write makes it another one.
async fn of_many_conditional_writes_one_succeeds(app: TestApp) {
    let replica = app.replica().await;
    let client = app.scim();
    let (user, _) = made(&client).await;
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let id = user.trim_start_matches("/Users/").to_owned();
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]));
    let group_path = format!("/Groups/{}", group.id());
    for (path, put) in
        [(&user, json!({ "userName": "ann" })), (&group_path, json!({ "displayName": "Team" }))]
    {
        let read = tag(&client.get(path).await);
        let writes = (0..24).map(|number| {
            let client =
                if number % 2 == 0 { app.scim() } else { replica.with_token(app.default_token()) };
            let mut put = put.clone();
            put["externalId"] = format!("{number}").into();
            let body = if number % 3 == 0 && path == &group_path { add.clone() } else { put };
            let method = if body == add { "PATCH" } else { "PUT" };
            let (path, read) = (path.clone(), read.clone());
            async move {
                let answer =
                    conditionally(&client, (method, &path), ("if-match", &read), Some(&body)).await;
                if answer.status != 200 {
                    answer.expect_error(412, None);
                    return 0;
                }
                1
            }
        });
        assert_eq!(join_all(writes).await.iter().sum::<i32>(), 1, "{path}");
        let left = tag(&client.get(path).await);
        assert!(left.starts_with("W/\"2"), "{left}: one change");
    }
    replica.stopper().await;
}
