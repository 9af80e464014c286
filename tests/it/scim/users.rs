//! `/Users`.

use serde_json::{Value, json};

use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    a_user_is_created_and_read_back,
    every_attribute_of_the_rfc_comes_back,
    the_user_name_is_unique_without_regard_to_case,
    an_external_id_is_unique,
    an_empty_external_id_belongs_to_nobody,
    a_user_without_a_user_name_is_refused,
    a_value_of_the_wrong_type_is_refused,
    an_overlong_key_is_refused,
    a_put_of_what_was_read_changes_nothing,
    a_put_replaces_what_the_client_manages,
    a_put_without_active_keeps_it,
    read_only_attributes_are_ignored,
    a_put_never_creates,
    a_deleted_user_is_gone,
    any_unknown_id_is_not_found,
    a_post_brings_an_inactive_user_back,
    a_post_meeting_two_users_is_the_one_of_the_external_id,
    a_user_found_by_user_name_can_be_renamed,
    a_patch_that_changes_nothing_moves_nothing,
    a_refused_patch_changes_nothing,
    removing_active_leaves_the_lifecycle_alone,
    the_list_is_paged_in_a_stable_order,
    the_edges_of_paging_are_the_rfcs,
    attributes_choose_what_is_returned,
    attributes_and_excluded_attributes_exclude_each_other,
    a_search_is_a_list,
    a_search_covers_users_and_groups,
    the_empty_list_has_resources,
    a_new_primary_takes_over,
    a_recycled_user_name_inherits_no_membership,
    a_patch_cannot_grow_a_list_without_limit,
    a_replacement_with_nothing_unassigns,
];

fn ann() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "Ann@Example.com",
        "externalId": "00u-ann",
        "name": { "givenName": "Ann", "familyName": "Lee" },
        "displayName": "Ann Lee",
        "title": "Engineer",
        "emails": [{ "primary": true, "value": "Ann@Example.com", "type": "work" }],
        "active": true,
    })
}

async fn a_user_is_created_and_read_back(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    let id = made.id();
    assert!(!id.is_empty());
    assert_eq!(made.body["userName"], "Ann@Example.com", "the case is kept");
    assert_eq!(made.body["meta"]["resourceType"], "User");
    assert_eq!(made.header("location"), made.body["meta"]["location"].as_str());
    assert_eq!(made.header("content-type"), Some("application/scim+json"));
    assert_eq!(made.header("etag"), made.body["meta"]["version"].as_str());
    let read = client.get(&format!("/Users/{id}")).await.expect(200);
    assert_eq!(read.body, made.body);
}

async fn every_attribute_of_the_rfc_comes_back(app: TestApp) {
    let client = app.scim();
    let boss = client.post("/Users", &json!({ "userName": "boss" })).await.expect(201).id();
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let full = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", enterprise],
        "externalId": "701984",
        "userName": "bjensen@example.com",
        "name": {
            "formatted": "Ms. Barbara J Jensen, III", "familyName": "Jensen",
            "givenName": "Barbara", "middleName": "Jane", "honorificPrefix": "Ms.",
            "honorificSuffix": "III",
        },
        "displayName": "Babs Jensen",
        "nickName": "Babs",
        "profileUrl": "https://login.example.com/bjensen",
        "emails": [
            { "value": "bjensen@example.com", "type": "work", "primary": true },
            { "value": "babs@jensen.org", "type": "home", "display": "Home" },
        ],
        "addresses": [{
            "type": "work", "streetAddress": "100 Universal City Plaza",
            "locality": "Hollywood", "region": "CA", "postalCode": "91608", "country": "US",
            "formatted": "100 Universal City Plaza\nHollywood, CA 91608 USA", "primary": true,
        }],
        "phoneNumbers": [{ "value": "555-555-5555", "type": "work" }],
        "ims": [{ "value": "someaimhandle", "type": "aim" }],
        "photos": [{ "value": "https://photos.example.com/F.jpg", "type": "photo" }],
        "userType": "Employee",
        "title": "Tour Guide",
        "preferredLanguage": "en-US",
        "locale": "en-US",
        "timezone": "America/Los_Angeles",
        "active": true,
        "entitlements": [{ "value": "vault" }],
        "roles": [{ "value": "guide", "type": "app" }],
        "x509Certificates": [{ "value": "MIIDQzCCAqygAwIBAgICEAA=" }],
        enterprise: {
            "employeeNumber": "701984", "costCenter": "4130", "organization": "Universal Studios",
            "division": "Theme Park", "department": "Tour Operations",
            "manager": { "value": boss, "$ref": format!("../Users/{boss}") },
        },
    });
    let id = client.post("/Users", &full).await.expect(201).id();
    let read = client.get(&format!("/Users/{id}")).await.expect(200).body;
    for (name, value) in full.as_object().expect("an object") {
        assert_eq!(&read[name], value, "{name}");
    }
}

async fn the_user_name_is_unique_without_regard_to_case(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "Straße@Example.com" })).await.expect(201);
    let again = json!({ "userName": "STRAßE@example.COM" });
    let error = client.post("/Users", &again).await.expect_error(409, Some("uniqueness"));
    assert!(error.contains("userName"), "{error}");
    let other = client.post("/Users", &json!({ "userName": "other" })).await.expect(201).id();
    client.put(&format!("/Users/{other}"), &again).await.expect_error(409, Some("uniqueness"));
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "userName", "value": "straße@example.com" }],
    });
    client.patch(&format!("/Users/{other}"), &patch).await.expect_error(409, Some("uniqueness"));
}

async fn an_external_id_is_unique(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &ann()).await.expect(201);
    let other = json!({ "userName": "other", "externalId": "00u-ann" });
    let error = client.post("/Users", &other).await.expect_error(409, Some("uniqueness"));
    assert!(error.contains("externalId"), "{error}");
    // External ids are opaque and compare exactly.
    let upper = json!({ "userName": "other", "externalId": "00U-ANN" });
    client.post("/Users", &upper).await.expect(201);
}

async fn an_empty_external_id_belongs_to_nobody(app: TestApp) {
    let client = app.scim();
    for name in ["a", "b"] {
        let made =
            client.post("/Users", &json!({ "userName": name, "externalId": "" })).await.expect(201);
        assert_eq!(made.body.get("externalId"), None);
    }
}

async fn a_user_without_a_user_name_is_refused(app: TestApp) {
    let client = app.scim();
    for body in [json!({}), json!({ "userName": null }), json!({ "userName": "  " })] {
        client.post("/Users", &body).await.expect_error(400, Some("invalidValue"));
    }
    client.post("/Users", &json!(["x"])).await.expect_error(400, Some("invalidSyntax"));
}

async fn a_value_of_the_wrong_type_is_refused(app: TestApp) {
    let client = app.scim();
    for (name, value) in [
        ("active", json!("perhaps")),
        ("title", json!(1)),
        ("name", json!("Ann")),
        ("emails", json!(7)),
        ("emails", json!([{ "value": 7 }])),
        ("emails", json!([{ "value": "a", "primary": true }, { "value": "b", "primary": true }])),
        ("x509Certificates", json!([{ "value": "not base64!" }])),
        ("title", json!("nul\u{0}")),
    ] {
        let mut body = json!({ "userName": "x" });
        body[name] = value;
        let error = client.post("/Users", &body).await.expect_error(400, Some("invalidValue"));
        assert!(error.contains(name), "{name}: {error}");
    }
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 0);
}

async fn an_overlong_key_is_refused(app: TestApp) {
    let client = app.scim();
    let long = "ä".repeat(1025);
    for body in [
        json!({ "userName": long }),
        json!({ "userName": "x", "externalId": long }),
        json!({ "userName": "x", "displayName": long }),
        json!({ "userName": "x", "emails": [{ "value": long }] }),
    ] {
        client.post("/Users", &body).await.expect_error(400, Some("invalidValue"));
    }
    // The longest key fits into the indexes of both databases.
    let longest = "ä".repeat(512);
    let body = json!({
        "userName": longest, "externalId": longest, "displayName": longest,
        "emails": [{ "value": longest }],
    });
    client.post("/Users", &body).await.expect(201);
}

async fn a_put_of_what_was_read_changes_nothing(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    client.post("/Groups", &group).await.expect(201);
    let path = format!("/Users/{id}");
    let read = client.get(&path).await.expect(200).body;
    assert_eq!(read["groups"][0]["display"], "Team");
    assert_eq!(client.put(&path, &read).await.expect(200).body, read);
    assert_eq!(client.get(&path).await.expect(200).body, read);
}

async fn a_put_replaces_what_the_client_manages(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let put = json!({ "userName": "ann2", "nickName": "A", "active": true });
    let after = client.put(&format!("/Users/{id}"), &put).await.expect(200).body;
    assert_eq!(after["userName"], "ann2");
    assert_eq!(after["nickName"], "A");
    for gone in ["title", "emails", "name", "externalId", "displayName"] {
        assert_eq!(after.get(gone), None, "{gone}");
    }
    assert_eq!(after["meta"]["version"], "W/\"2\"");
    let old = client.find("/Users", "userName eq \"ann@example.com\"").await;
    assert_eq!(old.len(), 0, "the old name finds nobody");
    let old = client.find("/Users", "emails.value eq \"ann@example.com\"").await;
    assert_eq!(old.len(), 0, "nor does the old address");
}

async fn a_put_without_active_keeps_it(app: TestApp) {
    let client = app.scim();
    let mut user = ann();
    user["active"] = false.into();
    let id = client.post("/Users", &user).await.expect(201).id();
    let path = format!("/Users/{id}");
    let put = json!({ "userName": "ann" });
    assert_eq!(client.put(&path, &put).await.expect(200).body["active"], false);
    let null = json!({ "userName": "ann", "active": null });
    assert_eq!(client.put(&path, &null).await.expect(200).body["active"], false);
}

async fn read_only_attributes_are_ignored(app: TestApp) {
    let client = app.scim();
    let mut body = ann();
    body["id"] = "mine".into();
    body["groups"] = json!([{ "value": "x" }]);
    body["meta"] = json!({ "created": "1999-01-01T00:00:00Z", "version": "x" });
    body["password"] = "hunter2".into();
    body["unknown"] = json!({ "a": 1 });
    body["urn:example:unknown:1.0"] = json!({ "a": 1 });
    let made = client.post("/Users", &body).await.expect(201);
    assert_ne!(made.id(), "mine");
    for absent in ["groups", "password", "unknown", "urn:example:unknown:1.0"] {
        assert_eq!(made.body.get(absent), None, "{absent}");
    }
    assert!(!made.text.contains("hunter2"));
    assert_ne!(made.body["meta"]["created"], "1999-01-01T00:00:00Z");
}

async fn a_put_never_creates(app: TestApp) {
    app.scim().put("/Users/nobody", &ann()).await.expect_error(404, None);
}

async fn a_deleted_user_is_gone(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let path = format!("/Users/{id}");
    let group = json!({ "displayName": "Team", "members": [{ "value": id }] });
    let group = client.post("/Groups", &group).await.expect(201);
    let deleted = client.delete(&path).await.expect(204);
    assert_eq!(deleted.text, "");
    client.get(&path).await.expect_error(404, None);
    client.delete(&path).await.expect_error(404, None);
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 0);
    let after = client.get(&format!("/Groups/{}", group.id())).await.expect(200).body;
    assert_eq!(after["members"], json!([]));
    assert_ne!(after["meta"]["version"], group.body["meta"]["version"]);
    let again = client.post("/Users", &ann()).await.expect(201);
    assert_ne!(again.id(), id, "ids are never used again");
}

async fn any_unknown_id_is_not_found(app: TestApp) {
    let client = app.scim();
    let long = "x".repeat(3000);
    for id in [
        "010101001010101011001010101011",
        "00919288221112222",
        "-1",
        "0",
        "%27%3B--",
        "a%20b",
        "%00",
        "018f0000-0000-7000-8000-000000000000",
        long.as_str(),
    ] {
        let path = format!("/Users/{id}");
        client.get(&path).await.expect_error(404, None);
        client.delete(&path).await.expect_error(404, None);
        client.put(&path, &ann()).await.expect_error(404, None);
        client.get(&format!("/Groups/{id}")).await.expect_error(404, None);
    }
}

async fn a_post_brings_an_inactive_user_back(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    client.post("/Users", &ann()).await.expect_error(409, Some("uniqueness"));
    let off = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "value": { "active": false } }],
    });
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    // By user name.
    let back = json!({ "userName": "ANN@example.com", "title": "Director" });
    let back = client.post("/Users", &back).await.expect(201);
    assert_eq!(back.id(), id);
    assert_eq!(back.body["active"], true);
    assert_eq!(back.body["title"], "Director");
    assert_eq!(back.body.get("name"), None, "its attributes are replaced");
    // By external id, under another user name.
    client.put(&format!("/Users/{id}"), &ann()).await.expect(200);
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    let renamed = json!({ "userName": "ann.li", "externalId": "00u-ann" });
    let renamed = client.post("/Users", &renamed).await.expect(201);
    assert_eq!((renamed.id(), &renamed.body["userName"]), (id, &json!("ann.li")));
}

async fn a_post_meeting_two_users_is_the_one_of_the_external_id(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "a", "active": false })).await.expect(201);
    let b = json!({ "userName": "b", "externalId": "e", "active": false });
    client.post("/Users", &b).await.expect(201);
    let id = client.find("/Users", "externalId eq \"e\"").await[0]["id"].clone();
    let both = json!({ "userName": "a", "externalId": "e" });
    let back = client.post("/Users", &both).await.expect(201).body;
    assert_eq!((&back["id"], &back["userName"]), (&id, &json!("a")));
    // Whoever is active keeps the name.
    client.post("/Users", &json!({ "userName": "c" })).await.expect(201);
    let off = json!([{ "op": "replace", "value": { "active": false } }]);
    let path = format!("/Users/{}", id.as_str().expect("an id"));
    client.patch(&path, &patch_body(off)).await.expect(200);
    let taken = json!({ "userName": "c", "externalId": "e" });
    client.post("/Users", &taken).await.expect_error(409, Some("uniqueness"));
}

async fn a_user_found_by_user_name_can_be_renamed(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let mut body = client.get(&format!("/Users/{id}")).await.expect(200).body;
    body["userName"] = "ANN@EXAMPLE.COM".into();
    let after = client.put(&format!("/Users/{id}"), &body).await.expect(200).body;
    assert_eq!(after["userName"], "ANN@EXAMPLE.COM");
    assert_eq!(client.find("/Users", "userName eq \"ann@example.com\"").await.len(), 1);
}

async fn a_patch_that_changes_nothing_moves_nothing(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    for operation in [
        json!({ "op": "replace", "path": "title", "value": "Engineer" }),
        json!({ "op": "add", "path": "emails", "value": [
            { "primary": true, "value": "Ann@Example.com", "type": "work" }
        ] }),
        json!({ "op": "replace", "value": { "active": "True", "id": "other" } }),
        json!({ "op": "remove", "path": "nickName" }),
        json!({ "op": "replace", "path": "password", "value": "s3cret" }),
    ] {
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [operation],
        });
        let after = client.patch(&format!("/Users/{}", made.id()), &patch).await.expect(200);
        assert_eq!(after.body, made.body, "{operation}");
    }
}

async fn a_refused_patch_changes_nothing(app: TestApp) {
    let client = app.scim();
    let made = client.post("/Users", &ann()).await.expect(201);
    let path = format!("/Users/{}", made.id());
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            { "op": "replace", "path": "title", "value": "Gone" },
            { "op": "remove", "path": "emails[type eq \"home\"]" },
        ],
    });
    client.patch(&path, &patch).await.expect_error(400, Some("noTarget"));
    assert_eq!(client.get(&path).await.expect(200).body, made.body);
}

async fn removing_active_leaves_the_lifecycle_alone(app: TestApp) {
    let client = app.scim();
    let mut user = ann();
    user["active"] = false.into();
    let id = client.post("/Users", &user).await.expect(201).id();
    let path = format!("/Users/{id}");
    let remove = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "remove", "path": "active" }],
    });
    assert_eq!(client.patch(&path, &remove).await.expect(200).body.get("active"), None);
    let put = client.get(&path).await.expect(200).body;
    assert_eq!(client.put(&path, &put).await.expect(200).body["active"], false);
}

async fn the_list_is_paged_in_a_stable_order(app: TestApp) {
    let client = app.scim();
    let mut made = Vec::new();
    for n in 0..25 {
        made.push(
            client.post("/Users", &json!({ "userName": format!("u{n}") })).await.expect(201).id(),
        );
    }
    let mut seen = Vec::new();
    let mut start = 1;
    loop {
        let page = client.get(&format!("/Users?startIndex={start}&count=7")).await.expect(200).body;
        assert_eq!(page["totalResults"], 25);
        assert_eq!(page["startIndex"], start);
        let resources = page["Resources"].as_array().expect("an array").clone();
        assert_eq!(page["itemsPerPage"], resources.len());
        if resources.is_empty() {
            break;
        }
        start += resources.len();
        seen.extend(resources.iter().map(|user| user["id"].as_str().expect("an id").to_owned()));
    }
    assert_eq!(seen, made);
}

async fn the_edges_of_paging_are_the_rfcs(app: TestApp) {
    let client = app.scim();
    for n in 0..3 {
        client.post("/Users", &json!({ "userName": format!("u{n}") })).await.expect(201);
    }
    for (query, shown, start) in [
        ("count=0", 0, 1),
        ("count=-1", 0, 1),
        ("startIndex=0", 3, 1),
        ("startIndex=-9&count=2", 2, 1),
        ("startIndex=3", 1, 3),
        ("startIndex=4", 0, 4),
        ("startIndex=99999999999999999999", 0, i64::MAX),
        ("count=100000", 3, 1),
        ("startIndex=1&count=100&aadOptscim062020", 3, 1),
        ("&", 3, 1),
        ("", 3, 1),
    ] {
        let body = client.get(&format!("/Users?{query}")).await.expect(200).body;
        assert_eq!(body["totalResults"], 3, "{query}");
        assert_eq!(body["itemsPerPage"], shown, "{query}");
        assert_eq!(body["Resources"].as_array().map(Vec::len), Some(shown), "{query}");
        assert_eq!(body["startIndex"], start, "{query}");
    }
    client.get("/Users?count=many").await.expect_error(400, Some("invalidValue"));
}

async fn attributes_choose_what_is_returned(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let keys = |body: &Value| {
        let mut keys: Vec<String> = body.as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        keys
    };
    let path = format!("/Users/{id}");
    let only = client.get(&format!("{path}?attributes=userName,name.givenName,bogus")).await;
    let only = only.expect(200).body;
    assert_eq!(keys(&only), ["id", "name", "schemas", "userName"]);
    assert_eq!(only["name"], json!({ "givenName": "Ann" }));
    let without =
        client.get(&format!("{path}?excludedAttributes=emails,id,meta,name.givenName")).await;
    let without = without.expect(200).body;
    assert_eq!(without["id"], *id, "what is always returned stays");
    assert_eq!(without.get("emails"), None);
    assert_eq!(without.get("meta"), None);
    assert_eq!(without["name"], json!({ "familyName": "Lee" }));
    let list = client.get("/Users?attributes=USERNAME").await.expect(200).body;
    assert_eq!(keys(&list["Resources"][0]), ["id", "schemas", "userName"]);
    let posted = client
        .post("/Users?attributes=userName", &json!({ "userName": "b", "title": "x" }))
        .await
        .expect(201);
    assert_eq!(keys(&posted.body), ["id", "schemas", "userName"]);
    let qualified = "urn:ietf:params:scim:schemas:core:2.0:User:userName";
    let body = client.get(&format!("{path}?attributes={qualified}")).await.expect(200).body;
    assert_eq!(keys(&body), ["id", "schemas", "userName"]);
    // `schemas` names what is there: no extension of which nothing is shown.
    let extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let sales = json!({ "userName": "c", extension: { "department": "Sales" } });
    let path = format!("/Users/{}", client.post("/Users", &sales).await.expect(201).id());
    let core = "urn:ietf:params:scim:schemas:core:2.0:User";
    for (query, schemas) in [
        ("attributes=userName".to_owned(), json!([core])),
        (format!("attributes={extension}:department"), json!([core, extension])),
        (format!("excludedAttributes={extension}"), json!([core])),
        ("excludedAttributes=userName".to_owned(), json!([core, extension])),
    ] {
        let body = client.get(&format!("{path}?{query}")).await.expect(200).body;
        assert_eq!(body["schemas"], schemas, "{query}");
    }
}

async fn attributes_and_excluded_attributes_exclude_each_other(app: TestApp) {
    let query = "/Users?attributes=userName&excludedAttributes=emails";
    app.scim().get(query).await.expect_error(400, Some("invalidValue"));
}

async fn a_search_is_a_list(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &ann()).await.expect(201);
    client.post("/Users", &json!({ "userName": "other" })).await.expect(201);
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "userName sw \"ann\"", "attributes": ["userName"], "startIndex": 1, "count": 5,
    });
    let found = client.post("/Users/.search", &search).await.expect(200).body;
    assert_eq!(found["totalResults"], 1);
    assert_eq!(found["Resources"][0]["userName"], "Ann@Example.com");
    assert_eq!(found["Resources"][0].get("name"), None);
    client.get("/Users/.search").await.expect_error(405, None);
}

async fn a_search_covers_users_and_groups(app: TestApp) {
    let client = app.scim();
    for n in 0..3 {
        client.post("/Users", &json!({ "userName": format!("u{n}") })).await.expect(201);
        client.post("/Groups", &json!({ "displayName": format!("g{n}") })).await.expect(201);
    }
    let page = client.post("/.search", &json!({ "startIndex": 3, "count": 2 })).await.expect(200);
    assert_eq!(page.body["totalResults"], 6);
    assert_eq!(page.body["Resources"][0]["userName"], "u1");
    assert_eq!(page.body["Resources"][1]["displayName"], "g1");
    let root = client.get("/?startIndex=3&count=2").await.expect(200);
    assert_eq!(root.body, page.body);
    assert_eq!(client.get("?startIndex=3&count=2").await.expect(200).body, page.body);
    let named = json!({ "filter": "userName eq \"u1\" or displayName eq \"g1\"" });
    assert_eq!(client.post("/.search", &named).await.expect(200).body["totalResults"], 2);
    let absent = json!({ "filter": "not (members pr)" });
    assert_eq!(client.post("/.search", &absent).await.expect(200).body["totalResults"], 6);
    let bogus = json!({ "filter": "userName pr or bogus pr" });
    client.post("/.search", &bogus).await.expect_error(400, Some("invalidFilter"));
}

async fn the_empty_list_has_resources(app: TestApp) {
    let body = app.scim().get("/Users?startIndex=1&count=2").await.expect(200).body;
    assert_eq!(
        body,
        json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": 0, "startIndex": 1, "itemsPerPage": 0, "Resources": [],
        })
    );
}

async fn a_new_primary_takes_over(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &ann()).await.expect(201).id();
    let patch = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "add", "path": "emails", "value": [
            { "value": "new@example.com", "type": "home", "primary": true }
        ] }],
    });
    let emails =
        client.patch(&format!("/Users/{id}"), &patch).await.expect(200).body["emails"].clone();
    assert_eq!(emails[0]["primary"], false);
    assert_eq!(emails[1]["primary"], true);
}

async fn a_recycled_user_name_inherits_no_membership(app: TestApp) {
    let client = app.scim();
    let old = json!({ "userName": "ann", "externalId": "00uold" });
    let id = client.post("/Users", &old).await.expect(201).id();
    let group = json!({ "displayName": "Admins", "members": [{ "value": id }] });
    let group = client.post("/Groups", &group).await.expect(201).id();
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    // The same person comes back to the same teams.
    let back = client.post("/Users", &old).await.expect(201);
    assert_eq!(back.body["groups"][0]["display"], "Admins");
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    let new = json!({ "userName": "ann", "externalId": "00unew" });
    let new = client.post("/Users", &new).await.expect(201);
    assert_eq!(new.id(), id);
    assert!(new.body.get("groups").is_none(), "{}", new.text);
    let group = client.get(&format!("/Groups/{group}")).await.expect(200).body;
    assert_eq!(group["members"].as_array().map_or(0, Vec::len), 0);
}

async fn a_patch_cannot_grow_a_list_without_limit(app: TestApp) {
    let client = app.scim();
    let path = format!("/Users/{}", client.post("/Users", &ann()).await.expect(201).id());
    let add = |operation: usize| {
        let values: Vec<String> = (0..900).map(|n| format!("{operation}-{n}")).collect();
        json!({ "op": "add", "path": "ims", "value": values })
    };
    let operations: Vec<Value> = (0..20).map(add).collect();
    let answer = client.patch(&path, &patch_body(json!(operations))).await;
    answer.expect_error(400, Some("invalidValue"));
    assert!(client.get(&path).await.expect(200).body.get("ims").is_none());
}

async fn a_replacement_with_nothing_unassigns(app: TestApp) {
    let client = app.scim();
    let path = format!("/Users/{}", client.post("/Users", &ann()).await.expect(201).id());
    let empty = json!([{ "op": "replace", "path": "emails", "value": [{ "value": null }] }]);
    let after = client.patch(&path, &patch_body(empty)).await.expect(200).body;
    assert!(after.get("emails").is_none());
    let nothing = json!([{ "op": "add", "path": "name", "value": { "familyName": null } }]);
    let after = client.patch(&path, &patch_body(nothing)).await.expect(200).body;
    assert_eq!(after["name"]["familyName"], "Lee", "adding nothing changes nothing");
}
