//! `/Groups`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_group_is_created_with_its_members,
    the_display_name_is_unique_without_regard_to_case,
    a_put_replaces_the_members,
    a_put_of_what_was_read_changes_nothing,
    a_patch_adds_and_removes_in_one_request,
    every_form_of_removing_works,
    removing_someone_who_is_no_member_succeeds,
    adding_a_member_again_moves_nothing,
    members_are_removed_by_any_filter,
    unknown_members_are_named,
    unknown_members_can_be_skipped,
    groups_are_flat,
    a_rename_without_a_path_keeps_the_members,
    an_inactive_member_keeps_the_place,
    members_can_be_left_out,
    the_display_of_members_comes_on_request,
    a_deleted_group_is_gone,
    a_member_with_another_name_is_news_where_names_are_shown,
    a_large_group_is_answered_without_its_members,
    a_hundred_thousand_members_are_one_request_each_way,
    a_group_body_may_be_too_large,
];

pub async fn people(client: &ScimClient, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let body =
            json!({ "userName": format!("person{n}"), "displayName": format!("Person {n}") });
        ids.push(client.post("/Users", &body).await.expect(201).id());
    }
    ids
}

fn listed<'a>(ids: impl IntoIterator<Item = &'a String>) -> Vec<Value> {
    ids.into_iter().map(|id| json!({ "value": id })).collect()
}

fn member_ids(group: &Value) -> BTreeSet<String> {
    let members = group["members"].as_array().expect("members");
    members.iter().map(|member| member["value"].as_str().expect("an id").to_owned()).collect()
}

fn set<'a>(ids: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    ids.into_iter().cloned().collect()
}

async fn a_group_is_created_with_its_members(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 2).await;
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Engineering", "externalId": "g1", "members": listed(&people),
    });
    let made = client.post("/Groups", &body).await.expect(201);
    assert_eq!(made.header("location"), made.body["meta"]["location"].as_str());
    assert_eq!(made.body["meta"]["resourceType"], "Group");
    assert_eq!(member_ids(&made.body), set(&people));
    let member = &made.body["members"][0];
    assert_eq!(member["type"], "User");
    let location = format!("{}/scim/v2/Users/{}", app.base_url, people[0]);
    assert_eq!(member["$ref"], location);
    let read = client.get(&format!("/Groups/{}", made.id())).await.expect(200).body;
    assert_eq!(read, made.body);
    let list = client.get("/Groups?startIndex=1&count=100").await.expect(200).body;
    assert_eq!(list["Resources"], json!([made.body]));
    let user = client.get(&format!("/Users/{}", people[0])).await.expect(200).body;
    assert_eq!(
        user["groups"],
        json!([{
            "value": made.id(), "display": "Engineering", "type": "direct",
            "$ref": made.body["meta"]["location"],
        }])
    );
    let empty = client.post("/Groups", &json!({ "displayName": "Empty", "members": [] })).await;
    assert_eq!(empty.expect(201).body["members"], json!([]));
}

async fn the_display_name_is_unique_without_regard_to_case(app: TestApp) {
    let client = app.scim();
    client.post("/Groups", &json!({ "displayName": "Büro" })).await.expect(201);
    let again = json!({ "displayName": "BÜRO" });
    client.post("/Groups", &again).await.expect_error(409, Some("uniqueness"));
    let other = client.post("/Groups", &json!({ "displayName": "x" })).await.expect(201).id();
    client.put(&format!("/Groups/{other}"), &again).await.expect_error(409, Some("uniqueness"));
    for body in [json!({}), json!({ "displayName": " " })] {
        client.post("/Groups", &body).await.expect_error(400, Some("invalidValue"));
    }
}

async fn a_put_replaces_the_members(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 4).await;
    let body = json!({ "displayName": "Team", "members": listed(&people[..3]) });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let put = json!({
        "id": made.id(), "displayName": "Team",
        "members": [
            { "value": people[2], "display": "whoever" },
            { "value": people[3], "display": "whoever" },
            { "value": people[3] },
        ],
    });
    let after = client.put(&path, &put).await.expect(200).body;
    assert_eq!(member_ids(&after), set(&people[2..]));
    assert_eq!(after["members"].as_array().map(Vec::len), Some(2));
    let cleared = json!({ "displayName": "Team", "members": [] });
    assert_eq!(client.put(&path, &cleared).await.expect(200).body["members"], json!([]));
    let user = client.get(&format!("/Users/{}", people[2])).await.expect(200).body;
    assert_eq!(user.get("groups"), None);
}

async fn a_put_of_what_was_read_changes_nothing(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 3).await;
    let body = json!({ "displayName": "Team", "externalId": "g", "members": listed(&people) });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    assert_eq!(client.put(&path, &made.body).await.expect(200).body, made.body);
}

async fn a_patch_adds_and_removes_in_one_request(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 4).await;
    let body = json!({ "displayName": "Team", "members": listed(&people[..2]) });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let patch = patch_body(json!([
        { "op": "remove", "path": format!("members[value eq \"{}\"]", people[0]) },
        { "op": "add", "path": "members", "value": [
            { "value": people[2], "display": "c" }, { "value": people[3], "display": "d" },
        ] },
    ]));
    let after = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!(member_ids(&after), set(&people[1..]));
    let version = after["meta"]["version"].as_str().expect("a version");
    assert!(version.starts_with("W/\"2-"), "{version}");
    let replace = patch_body(json!([
        { "op": "replace", "path": "members", "value": listed(&people[..1]) },
    ]));
    assert_eq!(
        member_ids(&client.patch(&path, &replace).await.expect(200).body),
        set(&people[..1])
    );
    let clear = patch_body(json!([{ "op": "replace", "path": "members", "value": [] }]));
    assert_eq!(client.patch(&path, &clear).await.expect(200).body["members"], json!([]));
}

async fn every_form_of_removing_works(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 3).await;
    for (operation, left) in [
        (
            json!({ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": people[0] }] }),
            2,
        ),
        (json!({ "op": "remove", "path": "members", "value": { "value": people[0] } }), 2),
        (json!({ "op": "remove", "path": format!("members[value eq \"{}\"]", people[0]) }), 2),
        (
            json!({ "op": "remove", "path": format!(
            "members[value eq \"{}\" or value eq \"{}\"]", people[0], people[1]
        ) }),
            1,
        ),
        (json!({ "op": "remove", "path": "members" }), 0),
        (json!({ "op": "replace", "path": "members", "value": null }), 0),
        (json!({ "op": "replace", "value": { "members": [] } }), 0),
        (json!({ "op": "remove", "path": "members[type eq \"User\"]" }), 0),
    ] {
        let body = json!({ "displayName": operation.to_string(), "members": listed(&people) });
        let id = client.post("/Groups", &body).await.expect(201).id();
        let patch = patch_body(json!([operation]));
        let after = client.patch(&format!("/Groups/{id}"), &patch).await.expect(200).body;
        assert_eq!(after["members"].as_array().map(Vec::len), Some(left), "{operation}");
        let read = client.get(&format!("/Groups/{id}")).await.expect(200).body;
        assert_eq!(read["members"], after["members"], "{operation}");
    }
}

async fn removing_someone_who_is_no_member_succeeds(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 2).await;
    let body = json!({ "displayName": "Team", "members": listed(&people[..1]) });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    for path_of in [&people[1], &"no-such-user".to_owned()] {
        let patch = patch_body(json!([
            { "op": "remove", "path": format!("members[value eq \"{path_of}\"]") },
        ]));
        assert_eq!(client.patch(&path, &patch).await.expect(200).body, made.body);
    }
}

async fn adding_a_member_again_moves_nothing(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 1).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let made = client.post("/Groups", &body).await.expect(201);
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": listed(&people) }]));
    let after = client.patch(&format!("/Groups/{}", made.id()), &add).await.expect(200);
    assert_eq!(after.body, made.body);
}

async fn members_are_removed_by_any_filter(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 3).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let patch = patch_body(json!([{ "op": "remove", "path": "members[display eq \"PERSON 1\"]" }]));
    let after = client.patch(&format!("/Groups/{id}"), &patch).await.expect(200).body;
    assert_eq!(member_ids(&after), set([&people[0], &people[2]]));
}

async fn unknown_members_are_named(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 1).await;
    let members = json!([{ "value": people[0] }, { "value": "ghost-1" }, { "value": "ghost-2" }]);
    let body = json!({ "displayName": "Team", "members": members });
    let error = client.post("/Groups", &body).await.expect_error(400, Some("invalidValue"));
    assert!(error.contains("ghost-1") && error.contains("ghost-2"), "{error}");
    assert_eq!(client.get("/Groups").await.expect(200).body["totalResults"], 0);
    let id = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201).id();
    let path = format!("/Groups/{id}");
    client.put(&path, &body).await.expect_error(400, Some("invalidValue"));
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": members }]));
    client.patch(&path, &add).await.expect_error(400, Some("invalidValue"));
    assert_eq!(client.get(&path).await.expect(200).body["members"], json!([]));
    let many: Vec<Value> = (0..50).map(|n| json!({ "value": format!("g{n}") })).collect();
    let body = json!({ "displayName": "Many", "members": many });
    let error = client.post("/Groups", &body).await.expect_error(400, Some("invalidValue"));
    assert!(error.contains("and 40 more"), "{error}");
}

async fn unknown_members_can_be_skipped(app: TestApp) {
    app.set(|settings| {
        settings.unknown_members = muster::directory::connections::UnknownMembers::Skip;
    })
    .await;
    let client = app.scim();
    let people = people(&client, 1).await;
    let body = json!({
        "displayName": "Team", "members": [{ "value": people[0] }, { "value": "ghost" }],
    });
    let made = client.post("/Groups", &body).await.expect(201);
    assert_eq!(member_ids(&made.body), set(&people));
    let recorded = super::events::of(&app, &made.id());
    assert_eq!(recorded[0].1["members"]["skipped"], json!(["ghost"]));
}

async fn groups_are_flat(app: TestApp) {
    let client = app.scim();
    let inner = client.post("/Groups", &json!({ "displayName": "Inner" })).await.expect(201).id();
    for members in [json!([{ "value": inner, "type": "Group" }]), json!([{ "value": inner }])] {
        let body = json!({ "displayName": "Outer", "members": members });
        client.post("/Groups", &body).await.expect_error(400, Some("invalidValue"));
    }
    let schema = client.get("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group").await;
    let schema = schema.expect(200).body.to_string();
    assert!(schema.contains("flat"), "the served schema says so");
}

async fn a_rename_without_a_path_keeps_the_members(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 2).await;
    let body = json!({ "displayName": "Old", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let rename = patch_body(json!([
        { "op": "replace", "value": { "id": id, "displayName": "New" } },
    ]));
    let after = client.patch(&format!("/Groups/{id}"), &rename).await.expect(200).body;
    assert_eq!(after["displayName"], "New");
    assert_eq!(member_ids(&after), set(&people));
    assert_eq!(client.find("/Groups", "displayName eq \"new\"").await.len(), 1);
    assert_eq!(client.find("/Groups", "displayName eq \"old\"").await.len(), 0);
}

async fn an_inactive_member_keeps_the_place(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 2).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let (group, user) = (format!("/Groups/{id}"), format!("/Users/{}", people[0]));
    let active =
        |active: bool| patch_body(json!([{ "op": "replace", "value": { "active": active } }]));
    let off = client.patch(&user, &active(false)).await.expect(200).body;
    assert_eq!(off.get("groups"), None, "an inactive user is effectively in no group");
    // A client that writes back what it read loses nobody.
    let read = client.get(&group).await.expect(200).body;
    assert_eq!(client.put(&group, &read).await.expect(200).body, read);
    let on = client.patch(&user, &active(true)).await.expect(200).body;
    assert_eq!(on["groups"][0]["value"], id);
    // One that leaves the user out means it.
    client.patch(&user, &active(false)).await.expect(200);
    let put = json!({ "displayName": "Team", "members": listed(&people[1..]) });
    client.put(&group, &put).await.expect(200);
    let on = client.patch(&user, &active(true)).await.expect(200).body;
    assert_eq!(on.get("groups"), None);
}

async fn members_can_be_left_out(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 1).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    for path in [
        format!("/Groups/{id}?excludedAttributes=members"),
        format!("/Groups/{id}?attributes=displayName"),
    ] {
        assert_eq!(client.get(&path).await.expect(200).body.get("members"), None, "{path}");
    }
    let list = client.get("/Groups?excludedAttributes=members").await.expect(200).body;
    assert_eq!(list["Resources"][0].get("members"), None);
    let only = client.get(&format!("/Groups/{id}?attributes=members.value")).await.expect(200);
    assert_eq!(only.body["members"], json!([{ "value": people[0] }]));
}

async fn the_display_of_members_comes_on_request(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 1).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let asked = format!("/Groups/{id}?attributes=members.value,members.display");
    let members = client.get(&asked).await.expect(200).body["members"].clone();
    assert_eq!(members, json!([{ "value": people[0], "display": "Person 0" }]));
}

async fn a_deleted_group_is_gone(app: TestApp) {
    let client = app.scim();
    let people = people(&client, 1).await;
    let body = json!({ "displayName": "Team", "members": listed(&people) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let path = format!("/Groups/{id}");
    assert_eq!(client.delete(&path).await.expect(204).text, "");
    client.get(&path).await.expect_error(404, None);
    client.delete(&path).await.expect_error(404, None);
    let user = client.get(&format!("/Users/{}", people[0])).await.expect(200).body;
    assert_eq!(user.get("groups"), None);
    client.post("/Groups", &body).await.expect(201);
}

async fn a_large_group_is_answered_without_its_members(app: TestApp) {
    let client = app.scim();
    let people = app.seed(1002);
    let body = json!({ "displayName": "Large", "members": listed(&people[..1000]) });
    let id = client.post("/Groups", &body).await.expect(201).id();
    let path = format!("/Groups/{id}");
    let add = |n: usize| {
        patch_body(json!([
            { "op": "add", "path": "members", "value": [{ "value": people[n] }] },
        ]))
    };
    assert_eq!(client.patch(&path, &add(0)).await.expect(200).body["members"][0]["type"], "User");
    assert_eq!(client.patch(&path, &add(1000)).await.expect(204).text, "");
    let asked = format!("{path}?attributes=displayName");
    let answer = client.patch(&asked, &add(1001)).await.expect(200).body;
    assert_eq!(answer["displayName"], "Large");
    let read = client.get(&path).await.expect(200).body;
    assert_eq!(read["members"].as_array().map(Vec::len), Some(1002));
    // Sent in pieces it is what it is as a part of a list, which is sent at once.
    for query in [
        "attributes=members.value",
        "attributes=displayName,members.%24ref,members.type",
        "attributes=meta,members.display,members.value",
        "excludedAttributes=meta,members.value",
        "excludedAttributes=displayName",
    ] {
        let alone = client.get(&format!("{path}?{query}")).await.expect(200);
        let filter = format!("/Groups?filter=displayName%20eq%20%22Large%22&{query}");
        let listed = client.get(&filter).await.expect(200).body;
        assert_eq!(alone.body, listed["Resources"][0], "{query}");
        let location = alone.body["meta"]["location"].as_str();
        assert_eq!(alone.header("content-location"), location, "{query}");
        if let Some(version) = alone.body["meta"]["version"].as_str() {
            assert_eq!(alone.header("etag"), Some(version), "{query}");
        }
    }
}

async fn a_member_with_another_name_is_news_where_names_are_shown(app: TestApp) {
    let client = app.scim();
    let ann = json!({ "userName": "ann", "displayName": "Ann" });
    let id = client.post("/Users", &ann).await.expect(201).id();
    let body = json!({ "displayName": "Team", "members": [{ "value": id }] });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let named = format!("{path}?attributes=members.display");
    let tag = async |path: &str| {
        let answer = client.get(path).await.expect(200);
        answer.header("etag").expect("a tag").to_owned()
    };
    let (plain_tag, named_tag) = (tag(&path).await, tag(&named).await);
    assert_ne!(plain_tag, named_tag);
    assert_eq!(made.header("etag"), Some(plain_tag.as_str()));
    let put = client.put(&path, &body).await.expect(200);
    assert_eq!(put.header("etag"), Some(plain_tag.as_str()), "nothing has changed");
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Anne" }]);
    client.patch(&format!("/Users/{id}"), &patch_body(rename)).await.expect(200);
    let again = async |path: &str, tag: &str| {
        client.send(client.request("GET", path).header("if-none-match", tag)).await
    };
    again(&path, &plain_tag).await.expect(304);
    let shown = again(&named, &named_tag).await.expect(200).body;
    assert_eq!(shown["members"][0]["display"], "Anne");
}

async fn a_hundred_thousand_members_are_one_request_each_way(app: TestApp) {
    let client = app.scim();
    let people = app.seed(100_000);
    let body = json!({ "displayName": "Everyone", "members": listed(&people) });
    let made = client.post("/Groups", &body).await.expect(201);
    let path = format!("/Groups/{}", made.id());
    let mut read = client.get(&path).await.expect(200).body;
    assert_eq!(member_ids(&read), set(&people));
    let members = read["members"].as_array_mut().expect("members");
    let left = members.pop().expect("a member")["value"].clone();
    let put = client.put(&path, &read).await.expect(200).body;
    assert_eq!(put["members"].as_array().map(Vec::len), Some(99_999));
    let back = patch_body(json!([
        { "op": "add", "path": "members", "value": [{ "value": left }] },
        { "op": "remove", "path": format!("members[value eq \"{}\"]", people[0]) },
    ]));
    client.patch(&path, &back).await.expect(204);
    let found = client
        .get(&format!("/Groups?excludedAttributes=members&filter=members.value%20eq%20{left}"))
        .await
        .expect(200);
    assert_eq!(found.body["totalResults"], 1);
    let events = super::events::of(&app, &made.id());
    assert_eq!(events.len(), 3);
    assert_eq!(events[1].1["members"]["removed"], json!([left]));
    assert_eq!(events[2].1["members"], json!({ "added": [left], "removed": [people[0]] }));
}

async fn a_group_body_may_be_too_large(app: TestApp) {
    let client = app.scim();
    let huge = format!("{{\"displayName\":\"{}\"}}", "x".repeat(65 * 1024 * 1024));
    let request = client
        .request("POST", "/Groups")
        .header("content-type", "application/scim+json")
        .body(huge);
    client.send(request).await.expect_error(413, None);
}
