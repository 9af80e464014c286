//! Values of the core attributes, above all of those that have several (RFC 7643 sections 2.3 to
//! 2.5).

use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    two_primary_values_are_refused,
    a_primary_value_that_is_set_takes_over,
    a_primary_value_may_come_as_text,
    nothing_is_nothing_however_it_is_written,
    nothing_to_add_or_remove_changes_nothing,
    a_value_is_there_once_for_each_type,
    a_value_is_added_once,
    a_certificate_is_base64,
    a_reference_is_case_exact,
    a_reference_that_is_no_uri_is_kept,
    a_long_list_is_put_in_another_order,
    case_matters_where_the_attribute_says_so,
];

async fn ann(client: &ScimClient, more: Value) -> (String, Value) {
    let mut user = json!({ "userName": "ann" });
    user.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let made = client.post("/Users", &user).await.expect(201);
    (format!("/Users/{}", made.id()), made.body)
}

async fn two_primary_values_are_refused(app: TestApp) {
    let client = app.scim();
    let (path, _) = ann(&client, json!({ "title": "x" })).await;
    for emails in [
        json!([{ "value": "a@x.example", "primary": true }, { "value": "b@x.example", "primary": true }]),
        json!([{ "value": "a@x.example", "primary": "True" }, { "value": "b@x.example", "primary": true }]),
    ] {
        let user = json!({ "userName": "ann", "emails": emails });
        let other = json!({ "userName": "bob", "emails": emails });
        let set = json!([{ "op": "replace", "path": "emails", "value": emails }]);
        let within = json!([{ "op": "add", "value": { "emails": emails } }]);
        for answer in [
            client.post("/Users", &other).await,
            client.put(&path, &user).await,
            client.patch(&path, &patch_body(set)).await,
            client.patch(&path, &patch_body(within)).await,
        ] {
            let detail = answer.expect_error(400, Some("invalidValue"));
            assert!(detail.contains("only one element of 'emails'"), "{detail}");
        }
    }
    assert_eq!(client.get(&path).await.expect(200).body["title"], "x");
}

/// Which of the e-mail addresses is the primary one.
fn primaries(user: &Value) -> Vec<&str> {
    let emails = user["emails"].as_array().expect("addresses");
    let chosen = emails.iter().filter(|email| email["primary"] == true);
    chosen.map(|email| email["value"].as_str().expect("a value")).collect()
}

async fn a_primary_value_that_is_set_takes_over(app: TestApp) {
    let client = app.scim();
    let emails = json!([{ "value": "a@x", "type": "work", "primary": true }, { "value": "b@x", "type": "home" }]);
    let (path, _) = ann(&client, json!({ "emails": emails })).await;
    for (operation, primary) in [
        (
            json!({ "op": "add", "path": "emails", "value": [{ "value": "c@x", "primary": true }] }),
            "c@x",
        ),
        (
            json!({ "op": "replace", "path": "emails[value eq \"b@x\"].primary", "value": true }),
            "b@x",
        ),
        (
            json!({ "op": "add", "path": "emails[type eq \"work\"]", "value": { "primary": true } }),
            "a@x",
        ),
        (
            json!({ "op": "replace", "path": "emails[value eq \"c@x\"]",
                    "value": { "value": "d@x", "primary": true } }),
            "d@x",
        ),
        (
            json!({ "op": "add", "value": { "emails": [{ "value": "a@x", "type": "work", "primary": true }] } }),
            "a@x",
        ),
        (
            json!({ "op": "replace", "path": "emails[value eq \"b@x\"].primary", "value": "True" }),
            "b@x",
        ),
    ] {
        let after = client.patch(&path, &patch_body(json!([operation]))).await.expect(200).body;
        assert_eq!(primaries(&after), [primary], "{operation}");
    }
    // The last of several operations decides.
    let both = json!([
        { "op": "replace", "path": "emails[value eq \"a@x\"].primary", "value": true },
        { "op": "replace", "path": "emails[value eq \"d@x\"].primary", "value": true },
    ]);
    let after = client.patch(&path, &patch_body(both)).await.expect(200).body;
    assert_eq!(primaries(&after), ["d@x"]);
    assert_eq!(after["emails"].as_array().map(Vec::len), Some(3));
    // All at once cannot be it.
    let all = json!([{ "op": "replace", "path": "emails.primary", "value": true }]);
    client.patch(&path, &patch_body(all)).await.expect_error(400, Some("invalidValue"));
}

async fn a_primary_value_may_come_as_text(app: TestApp) {
    let client = app.scim();
    let emails =
        json!([{ "value": "a@x", "primary": "true" }, { "value": "b@x", "primary": "FALSE" }]);
    let (_, body) = ann(&client, json!({ "emails": emails })).await;
    assert_eq!(body["emails"][0]["primary"], true);
    assert_eq!(body["emails"][1]["primary"], false);
    for filter in
        ["emails[primary eq true]", "emails[primary eq \"True\"]", "emails.primary eq false"]
    {
        assert_eq!(client.find("/Users", filter).await.len(), 1, "{filter}");
    }
}

async fn nothing_is_nothing_however_it_is_written(app: TestApp) {
    let client = app.scim();
    let full = json!({
        "title": "x", "name": { "givenName": "A" }, "emails": [{ "value": "a@x" }],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "d" },
    });
    let names =
        ["title", "name", "emails", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"];
    let (path, body) = ann(&client, json!({})).await;
    let mut put = full.clone();
    put["userName"] = "ann".into();
    for nothing in [json!(null), json!([]), json!({}), json!([null]), json!([{}])] {
        // A list of nothing is nothing where there can be a list.
        let is_list = nothing.as_array().is_some_and(|list| !list.is_empty());
        for name in names.iter().filter(|name| !is_list || **name == "emails") {
            client.put(&path, &put).await.expect(200);
            let mut without = put.clone();
            without[*name] = nothing.clone();
            let after = client.put(&path, &without).await.expect(200).body;
            assert_eq!(after.get(*name), None, "PUT {name} {nothing}");
            client.put(&path, &put).await.expect(200);
            let at = json!([{ "op": "replace", "path": name, "value": nothing }]);
            let after = client.patch(&path, &patch_body(at)).await.expect(200).body;
            assert_eq!(after.get(*name), None, "PATCH {name} {nothing}");
            client.put(&path, &put).await.expect(200);
            let within = json!([{ "op": "replace", "value": { *name: nothing } }]);
            let after = client.patch(&path, &patch_body(within)).await.expect(200).body;
            assert_eq!(after.get(*name), None, "PATCH {name} {nothing}");
        }
        if !is_list {
            let nothing_at_all = json!({
                "userName": "bob", "title": nothing, "name": nothing, "emails": nothing,
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": nothing,
            });
            let made = client.post("/Users", &nothing_at_all).await.expect(201);
            let mut names: Vec<&String> = made.body.as_object().expect("a user").keys().collect();
            names.sort();
            assert_eq!(names, ["active", "id", "meta", "schemas", "userName"]);
            client.delete(&format!("/Users/{}", made.id())).await.expect(204);
        }
    }
    for part in
        [json!({ "givenName": null }), json!({ "givenName": [] }), json!({ "givenName": {} })]
    {
        let user = json!({ "userName": "ann", "name": part, "emails": [{ "value": null }] });
        let after = client.put(&path, &user).await.expect(200).body;
        assert_eq!((after.get("name"), after.get("emails")), (None, None), "{part}");
    }
    assert_eq!(body.get("title"), None);
}

async fn nothing_to_add_or_remove_changes_nothing(app: TestApp) {
    let client = app.scim();
    let emails = json!([{ "value": "a@x", "type": "work" }]);
    let (path, body) = ann(&client, json!({ "title": "x", "emails": emails })).await;
    for operation in [
        json!({ "op": "add", "path": "emails", "value": [] }),
        json!({ "op": "add", "path": "emails", "value": null }),
        json!({ "op": "add", "path": "title", "value": null }),
        json!({ "op": "add", "value": { "emails": [{}], "title": null } }),
        // A list that lists nothing, as for members.
        json!({ "op": "remove", "path": "emails", "value": [] }),
        json!({ "op": "remove", "path": "nickName" }),
        json!({ "op": "remove", "path": "emails", "value": [{ "value": "none@x" }] }),
    ] {
        let after = client.patch(&path, &patch_body(json!([operation]))).await.expect(200).body;
        assert_eq!(after, body, "{operation}");
    }
    let all = json!([{ "op": "remove", "path": "emails" }]);
    assert_eq!(client.patch(&path, &patch_body(all)).await.expect(200).body.get("emails"), None);
}

async fn a_value_is_there_once_for_each_type(app: TestApp) {
    let client = app.scim();
    let emails = json!([
        { "value": "a@x", "type": "work" },
        { "value": "A@X", "type": "Work", "primary": true },
        { "value": "a@x", "type": "home" },
        { "value": "a@x" },
        { "value": "a@x" },
    ]);
    let (path, body) = ann(&client, json!({ "emails": emails })).await;
    let once = json!([
        { "value": "a@x", "type": "work", "primary": true },
        { "value": "a@x", "type": "home" },
        { "value": "a@x" },
    ]);
    assert_eq!(body["emails"], once);
    let put = json!({ "userName": "ann", "emails": emails });
    assert_eq!(client.put(&path, &put).await.expect(200).body, body);
    // Addresses have no value, so that only the same one is the same.
    let addresses = json!([
        { "type": "work", "locality": "Kiel" },
        { "type": "work", "locality": "Bonn" },
        { "type": "work", "locality": "KIEL" },
    ]);
    let put = json!({ "userName": "ann", "addresses": addresses });
    let after = client.put(&path, &put).await.expect(200).body;
    assert_eq!(after["addresses"].as_array().map(Vec::len), Some(2));
}

async fn a_value_is_added_once(app: TestApp) {
    let client = app.scim();
    let emails = json!([{ "value": "a@x", "type": "work" }]);
    let (path, body) = ann(&client, json!({ "emails": emails })).await;
    for value in [
        json!({ "value": "a@x", "type": "work" }),
        json!([{ "value": "A@X", "type": "work" }, { "value": "a@x", "type": "WORK" }]),
    ] {
        let add = json!([{ "op": "add", "path": "emails", "value": value }]);
        assert_eq!(client.patch(&path, &patch_body(add)).await.expect(200).body, body);
    }
    let more = json!([{ "op": "add", "path": "emails",
                        "value": { "value": "a@x", "type": "work", "display": "Ann" } }]);
    let after = client.patch(&path, &patch_body(more)).await.expect(200).body;
    assert_eq!(after["emails"], json!([{ "value": "a@x", "type": "work", "display": "Ann" }]));
}

async fn a_certificate_is_base64(app: TestApp) {
    let client = app.scim();
    let certificates =
        json!([{ "value": "+/+/" }, { "value": "-_-_" }, { "value": "QUI" }, { "value": "QUI=" }]);
    let (path, body) = ann(&client, json!({ "x509Certificates": certificates })).await;
    assert_eq!(body["x509Certificates"], certificates, "each as it was sent");
    assert_eq!(client.find("/Users", "x509Certificates.value eq \"QUI\"").await.len(), 1);
    assert!(client.find("/Users", "x509Certificates.value eq \"qui\"").await.is_empty());
    for bad in ["Q", "QUI ", "+_", "ä"] {
        let put = json!({ "userName": "ann", "x509Certificates": [{ "value": bad }] });
        let detail = client.put(&path, &put).await.expect_error(400, Some("invalidValue"));
        assert!(detail.contains("'x509Certificates.value' must be base64"), "{detail}");
    }
}

async fn a_reference_is_case_exact(app: TestApp) {
    let client = app.scim();
    let photos = json!([{ "value": "https://x.example/A.png", "type": "photo" }]);
    ann(&client, json!({ "profileUrl": "../Ann", "photos": photos })).await;
    assert_eq!(client.find("/Users", "profileUrl eq \"../Ann\"").await.len(), 1);
    assert!(client.find("/Users", "profileUrl eq \"../ann\"").await.is_empty());
    assert_eq!(client.find("/Users", "photos.value ew \"A.png\"").await.len(), 1);
    assert!(client.find("/Users", "photos.value ew \"a.png\"").await.is_empty());
}

async fn a_reference_that_is_no_uri_is_kept(app: TestApp) {
    let client = app.scim();
    let (path, _) = ann(&client, json!({})).await;
    for loose in ["https://x.example/a b", "https://x.example/?q=a|b", "<a>", "100%", "n/a {1}"] {
        let photos = json!([{ "value": loose, "type": "photo" }]);
        let put = json!({ "userName": "ann", "profileUrl": loose, "photos": photos });
        let after = client.put(&path, &put).await.expect(200).body;
        assert_eq!((&after["profileUrl"], &after["photos"]), (&json!(loose), &photos));
        // What was read is put back by clients that deactivate a user that way.
        let mut read = client.get(&path).await.expect(200).body;
        read["active"] = false.into();
        let off = client.put(&path, &read).await.expect(200).body;
        assert_eq!((&off["active"], &off["profileUrl"]), (&json!(false), &json!(loose)));
        let replace = json!([{ "op": "replace", "path": "profileUrl", "value": loose }]);
        client.patch(&path, &patch_body(replace)).await.expect(200);
    }
    for bad in ["a\u{0}b".to_owned(), "x".repeat(65 * 1024)] {
        let put = json!({ "userName": "ann", "profileUrl": bad });
        let detail = client.put(&path, &put).await.expect_error(400, Some("invalidValue"));
        assert!(detail.contains("'profileUrl' must be"), "{detail}");
    }
}

/// As many and as long as they may be: compared each with each, they would take minutes.
async fn a_long_list_is_put_in_another_order(app: TestApp) {
    let client = app.scim();
    let address = |n: usize| json!({ "value": format!("{n:04}{}@x.example", "Ä".repeat(400)) });
    let mut emails: Vec<Value> = (0..1000).map(address).collect();
    let (path, _) = ann(&client, json!({ "emails": emails })).await;
    emails.reverse();
    let put = json!({ "userName": "ann", "emails": emails });
    assert_eq!(client.put(&path, &put).await.expect(200).body["emails"], json!(emails));
}

async fn case_matters_where_the_attribute_says_so(app: TestApp) {
    let client = app.scim();
    let manager = json!({ "manager": { "value": "M1", "displayName": "never kept" } });
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let (path, body) = ann(
        &client,
        json!({ "externalId": "X1", "roles": [{ "value": "Admin" }], enterprise: manager }),
    )
    .await;
    assert_eq!(body[enterprise], json!({ "manager": { "value": "M1" } }));
    for (filter, expected) in [
        ("userName eq \"ANN\"".to_owned(), 1),
        ("externalId eq \"x1\"".to_owned(), 0),
        ("roles.value eq \"admin\"".to_owned(), 1),
        ("roles[value sw \"ADM\"]".to_owned(), 1),
        (format!("{enterprise}:manager.value eq \"m1\""), 0),
        (format!("{enterprise}:manager eq \"M1\""), 1),
    ] {
        assert_eq!(client.find("/Users", &filter).await.len(), expected, "{filter}");
    }
    // So it does in the paths of a PATCH, and among what is listed for removal.
    let remove = json!([{ "op": "remove", "path": "roles[value eq \"ADMIN\"]" }]);
    assert_eq!(client.patch(&path, &patch_body(remove)).await.expect(200).body.get("roles"), None);
    let add = json!([
        { "op": "add", "path": "x509Certificates", "value": [{ "value": "QUJD" }] },
        { "op": "remove", "path": "x509Certificates", "value": [{ "value": "qujd" }] },
    ]);
    let after = client.patch(&path, &patch_body(add)).await.expect(200).body;
    assert_eq!(after["x509Certificates"], json!([{ "value": "QUJD" }]));
}
