//! Isolation: nothing of one connection can be read, written, guessed or counted from another.

use serde_json::json;

use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    no_verb_reaches_another_tenant,
    the_same_keys_can_exist_in_every_tenant,
    no_filter_sees_another_tenant,
    no_group_takes_a_member_of_another_tenant,
    a_deleted_connection_takes_its_tokens_with_it,
];

async fn no_verb_reaches_another_tenant(app: TestApp) {
    let ours = app.scim();
    let theirs = app.other("other").await;
    let user = theirs.post("/Users", &json!({ "userName": "t", "title": "x" })).await.expect(201);
    let group = json!({ "displayName": "T", "members": [{ "value": user.id() }] });
    let group = theirs.post("/Groups", &group).await.expect(201);
    let patch = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    let clear = patch_body(json!([{ "op": "remove", "path": "members" }]));
    for (path, body, patch) in [
        (format!("/Users/{}", user.id()), json!({ "userName": "mine" }), &patch),
        (format!("/Groups/{}", group.id()), json!({ "displayName": "mine" }), &clear),
    ] {
        // The very bytes of an id that nobody has, but for the id.
        let unknown = path.replace(path.rsplit('/').next().expect("an id"), "unknown");
        let strip =
            |text: String, path: &str| text.replace(path.rsplit('/').next().expect("an id"), "");
        for (theirs, nobodys) in [
            (ours.get(&path).await, ours.get(&unknown).await),
            (ours.put(&path, &body).await, ours.put(&unknown, &body).await),
            (ours.patch(&path, patch).await, ours.patch(&unknown, patch).await),
            (ours.delete(&path).await, ours.delete(&unknown).await),
        ] {
            assert_eq!(strip(theirs.text.clone(), &path), strip(nobodys.text, &unknown));
            theirs.expect_error(404, None);
        }
    }
    assert_eq!(theirs.get(&format!("/Users/{}", user.id())).await.expect(200).body["title"], "x");
    let after = theirs.get(&format!("/Groups/{}", group.id())).await.expect(200).body;
    assert_eq!(after, group.body);
}

async fn the_same_keys_can_exist_in_every_tenant(app: TestApp) {
    let ours = app.scim();
    let theirs = app.other("other").await;
    let user = json!({ "userName": "ann", "externalId": "00u1" });
    let group = json!({ "displayName": "Team", "externalId": "00g1" });
    let (a, b) = (
        ours.post("/Users", &user).await.expect(201).id(),
        theirs.post("/Users", &user).await.expect(201).id(),
    );
    assert_ne!(a, b);
    ours.post("/Groups", &group).await.expect(201);
    theirs.post("/Groups", &group).await.expect(201);
    // An inactive namesake elsewhere is not brought back.
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    theirs.patch(&format!("/Users/{b}"), &off).await.expect(200);
    ours.post("/Users", &user).await.expect_error(409, Some("uniqueness"));
}

async fn no_filter_sees_another_tenant(app: TestApp) {
    let ours = app.scim();
    let theirs = app.other("other").await;
    let user = theirs
        .post(
            "/Users",
            &json!({
                "userName": "t", "externalId": "e", "displayName": "T", "title": "x",
                "emails": [{ "value": "t@example.com", "type": "work" }],
            }),
        )
        .await
        .expect(201);
    let group = json!({ "displayName": "T", "members": [{ "value": user.id() }] });
    let group = theirs.post("/Groups", &group).await.expect(201);
    let by_id = format!("id eq \"{}\"", user.id());
    let in_group = format!("groups.value eq \"{}\"", group.id());
    for filter in [
        "userName eq \"t\"",
        "externalId eq \"e\"",
        "displayName eq \"T\"",
        "emails.value eq \"t@example.com\"",
        "emails[type eq \"work\" and value eq \"t@example.com\"]",
        "title pr",
        "not (title eq \"y\")",
        "userName pr or userName pr",
        "groups pr",
        by_id.as_str(),
        in_group.as_str(),
    ] {
        assert_eq!(theirs.find("/Users", filter).await.len(), 1, "{filter}");
        assert_eq!(ours.find("/Users", filter).await.len(), 0, "{filter}");
    }
    let member = format!("members.value eq \"{}\"", user.id());
    for filter in ["displayName eq \"T\"", "not (externalId pr)", "members pr", member.as_str()] {
        assert_eq!(theirs.find("/Groups", filter).await.len(), 1, "{filter}");
        assert_eq!(ours.find("/Groups", filter).await.len(), 0, "{filter}");
    }
    for path in ["/Users", "/Groups"] {
        assert_eq!(ours.get(path).await.expect(200).body["totalResults"], 0);
    }
    let all = ours.post("/.search", &json!({})).await.expect(200).body;
    assert_eq!(all["totalResults"], 0);
}

async fn no_group_takes_a_member_of_another_tenant(app: TestApp) {
    let ours = app.scim();
    let theirs = app.other("other").await;
    let user = theirs.post("/Users", &json!({ "userName": "t" })).await.expect(201).id();
    let members = json!([{ "value": user }]);
    let body = json!({ "displayName": "Ours", "members": members });
    let error = ours.post("/Groups", &body).await.expect_error(400, Some("invalidValue"));
    let ghost = json!({ "displayName": "Ours", "members": [{ "value": "ghost" }] });
    let other = ours.post("/Groups", &ghost).await.expect_error(400, Some("invalidValue"));
    assert_eq!(error.replace(&user, ""), other.replace("ghost", ""), "no way to tell them apart");
    let id = ours.post("/Groups", &json!({ "displayName": "Ours" })).await.expect(201).id();
    let path = format!("/Groups/{id}");
    ours.put(&path, &body).await.expect_error(400, Some("invalidValue"));
    let add = patch_body(json!([{ "op": "add", "path": "members", "value": members }]));
    ours.patch(&path, &add).await.expect_error(400, Some("invalidValue"));
    app.set(|settings| {
        settings.unknown_members = muster::directory::connections::UnknownMembers::Skip;
    })
    .await;
    assert_eq!(ours.patch(&path, &add).await.expect(200).body["members"], json!([]));
    let user = theirs.get(&format!("/Users/{user}")).await.expect(200).body;
    assert_eq!(user.get("groups"), None);
}

async fn a_deleted_connection_takes_its_tokens_with_it(app: TestApp) {
    use muster::directory::connections;
    let ours = app.scim();
    let theirs = app.other("other").await;
    let user = theirs.post("/Users", &json!({ "userName": "t" })).await.expect(201).id();
    let group = json!({ "displayName": "T", "members": [{ "value": user }] });
    theirs.post("/Groups", &group).await.expect(201);
    let now = app.clock.now();
    app.db
        .write("delete", move |conn| connections::delete(conn, "OTHER", now))
        .await
        .expect("a connection to delete");
    theirs.get("/Users").await.expect_error(401, None);
    ours.get("/Users").await.expect(200);
}
