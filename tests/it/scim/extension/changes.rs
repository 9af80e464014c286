//! Schemas that change while there are resources.

use muster::app::index_unique_values;
use muster::db::{DatabaseUrl, Db};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::signin::{ann, sign_in};
use crate::support::{Case, TestApp, TestDatabase, database_cases, patch_body};

pub const CASES: &[Case] = database_cases![
    what_no_schema_knows_any_more_is_not_shown,
    a_value_of_another_type_is_not_shown,
    a_value_of_another_type_is_no_value,
    what_becomes_unique_is_indexed,
    what_is_not_unique_cannot_become_so,
    what_a_server_without_the_schema_wrote_is_indexed,
    what_becomes_required_keeps_nobody_from_being_deactivated,
    a_required_extension_is_asked_of_clients_alone,
    what_is_never_returned_any_more_is_not_kept,
];

const URN: &str = "urn:acme:user";

/// A folder with one schema of users.
fn folder(attributes: &Value) -> TempDir {
    folder_of(&[json!({ "id": URN, "attributes": attributes })])
}

fn folder_of(documents: &[Value]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, document) in documents.iter().enumerate() {
        let file = folder.path().join(format!("{number}.json"));
        std::fs::write(file, document.to_string()).expect("a file");
    }
    folder
}

async fn what_no_schema_knows_any_more_is_not_shown(database: TestDatabase) {
    let all = folder(&json!([{ "name": "a" }, { "name": "b", "type": "integer" }]));
    let app = TestApp::with_schemas(database.clone(), all.path()).await;
    let user = json!({ "userName": "ann", URN: { "a": "x", "b": 1 } });
    let id = app.scim().post("/Users", &user).await.expect(201).id();
    let path = format!("/Users/{id}");
    app.stopper().await;

    let less = folder(&json!([{ "name": "a" }]));
    let app = TestApp::with_schemas(database.clone(), less.path()).await;
    let read = app.scim().get(&path).await.expect(200).body;
    assert_eq!(read[URN], json!({ "a": "x" }));
    app.stopper().await;

    let app = TestApp::start(database.clone()).await;
    let client = app.scim();
    let read = client.get(&path).await.expect(200).body;
    assert_eq!(read.get(URN), None);
    assert_eq!(read["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:User"]));
    let answer = client.get(&format!("/Users?filter={URN}:a%20pr")).await;
    answer.expect_error(400, Some("invalidFilter"));
    client.put(&path, &read).await.expect(200);
    let title = patch_body(json!([{ "op": "add", "path": "title", "value": "t" }]));
    client.patch(&path, &title).await.expect(200);
    app.stopper().await;
}

async fn a_value_of_another_type_is_not_shown(database: TestDatabase) {
    let before = folder(&json!([
        { "name": "number" }, { "name": "time" }, { "name": "flag" }, { "name": "many" },
        { "name": "part" }, { "name": "one", "multiValued": true }, { "name": "same" },
        { "name": "parts", "multiValued": true },
    ]));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    for (name, text) in [("ann", "x"), ("bob", "2026-02-31T00:00:00Z"), ("carl", "-")] {
        let extension = json!({
            "number": text, "time": text, "flag": text, "many": text, "part": text,
            "one": [text], "same": "s", "parts": [text],
        });
        app.scim().post("/Users", &json!({ "userName": name, URN: extension })).await.expect(201);
    }
    app.stopper().await;

    let after = folder(&json!([
        { "name": "number", "type": "integer" },
        { "name": "time", "type": "dateTime" },
        { "name": "flag", "type": "boolean" },
        { "name": "many", "type": "decimal", "multiValued": true },
        { "name": "part", "type": "complex", "subAttributes": [{ "name": "x", "type": "integer" }] },
        { "name": "one", "type": "decimal" },
        { "name": "parts", "type": "complex", "multiValued": true,
          "subAttributes": [{ "name": "value", "type": "integer" }, { "name": "primary", "type": "boolean" }] },
        { "name": "same" },
    ]));
    let app = TestApp::with_schemas(database.clone(), after.path()).await;
    let client = app.scim();
    let list = client.get("/Users").await.expect(200).body;
    for user in list["Resources"].as_array().expect("users") {
        assert_eq!(user[URN], json!({ "same": "s" }));
    }
    for filter in [
        "number gt 1",
        "time gt \"2020-01-01T00:00:00Z\"",
        "flag eq true",
        "many lt 5",
        "many[value eq 1]",
        "part.x eq 1",
        "part[x gt 1]",
        "one ge 0",
        "parts.value eq 1",
        "parts[value gt 0 and primary eq true]",
    ] {
        let found = client.find("/Users", &format!("{URN}:{filter}")).await;
        assert!(found.is_empty(), "{filter}");
    }
    for name in ["number", "time", "flag", "many", "part.x", "one", "parts", "parts.primary"] {
        let sorted = client.get(&format!("/Users?sortBy={URN}:{name}")).await.expect(200).body;
        assert_eq!(sorted["totalResults"], 3, "{name}");
    }
    // The value takes the new type when it is written again.
    let id = list["Resources"][0]["id"].as_str().expect("an id");
    let set = json!([{ "op": "add", "path": URN, "value": { "number": 5, "many": [1], "part": { "x": 2 } } }]);
    let set = client.patch(&format!("/Users/{id}"), &patch_body(set)).await.expect(200).body;
    assert_eq!(set[URN], json!({ "number": 5, "many": [1.0], "part": { "x": 2 }, "same": "s" }));
    assert_eq!(client.find("/Users", &format!("{URN}:number gt 1")).await.len(), 1);
    app.stopper().await;
}

async fn a_value_of_another_type_is_no_value(database: TestDatabase) {
    let attributes = |kind: &str| {
        json!([
            { "name": "must", "type": kind, "required": true },
            { "name": "once", "type": kind, "mutability": "immutable" },
        ])
    };
    let before = folder(&attributes("string"));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    let user = json!({ "userName": "ann", URN: { "must": "x", "once": "x" } });
    let path = format!("/Users/{}", app.scim().post("/Users", &user).await.expect(201).id());
    app.stopper().await;
    let after = folder(&attributes("integer"));
    let app = TestApp::with_schemas(database.clone(), after.path()).await;
    let client = app.scim();
    // It keeps nobody from being deactivated, nor from being given a value.
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    assert_eq!(client.patch(&path, &off).await.expect(200).body["active"], false);
    let set = patch_body(json!([{ "op": "add", "path": URN, "value": { "must": 1, "once": 2 } }]));
    let set = client.patch(&path, &set).await.expect(200).body;
    assert_eq!(set[URN], json!({ "must": 1, "once": 2 }));
    let other = json!({ "userName": "ann", URN: { "must": 1, "once": 3 } });
    client.put(&path, &other).await.expect_error(400, Some("mutability"));
    app.stopper().await;
}

/// Every kind of attribute that can be unique, and is so or not.
fn kinds(uniqueness: &str) -> Value {
    let sub = json!([{ "name": "value", "uniqueness": uniqueness }, { "name": "type" }]);
    json!([
        { "name": "text", "uniqueness": uniqueness },
        { "name": "exact", "caseExact": true, "uniqueness": uniqueness },
        { "name": "integer", "type": "integer", "uniqueness": uniqueness },
        { "name": "decimal", "type": "decimal", "uniqueness": uniqueness },
        { "name": "link", "type": "reference", "referenceTypes": ["uri"], "uniqueness": uniqueness },
        { "name": "texts", "multiValued": true, "uniqueness": uniqueness },
        { "name": "decimals", "type": "decimal", "multiValued": true, "uniqueness": uniqueness },
        { "name": "things", "type": "complex", "multiValued": true, "subAttributes": sub },
    ])
}

/// Values of every kind; `n` makes them another's.
fn values(n: u8) -> Value {
    json!({
        "text": format!("Ärger{n}"),
        "exact": format!("x{n}"),
        "integer": 9_007_199_254_740_993_i64 + i64::from(n),
        "decimal": 1e-7 * f64::from(n),
        "link": format!("urn:x:{n}"),
        "texts": [format!("a{n}"), format!("B{n}")],
        "decimals": [f64::from(n), 1e300 / f64::from(n)],
        "things": [
            { "value": format!("t{n}"), "type": "x" },
            { "value": format!("T{n}"), "type": "y" },
        ],
    })
}

async fn what_becomes_unique_is_indexed(database: TestDatabase) {
    let before = folder(&kinds("none"));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    for n in [1, 2] {
        let user = json!({ "userName": format!("user{n}"), URN: values(n) });
        app.scim().post("/Users", &user).await.expect(201);
    }
    app.scim().post("/Users", &json!({ "userName": "bare" })).await.expect(201);
    let other = app.other("other").await;
    other.post("/Users", &json!({ "userName": "user1", URN: values(1) })).await.expect(201);
    app.stopper().await;

    let after = folder(&kinds("server"));
    let app = TestApp::with_schemas(database.clone(), after.path()).await;
    let client = app.scim();
    for (name, value) in values(2).as_object().expect("values") {
        let user = json!({ "userName": "new", URN: { name: value } });
        let answer = client.post("/Users", &user).await;
        let detail = answer.expect_error(409, Some("uniqueness"));
        assert!(detail.contains(&format!("{URN}:{name}")), "{detail}");
    }
    // What the server indexed is what it writes itself: another start finds nothing to do.
    client.post("/Users", &json!({ "userName": "user3", URN: values(3) })).await.expect(201);
    let found = client.find("/Users", "userName eq \"user1\"").await;
    let path = format!("/Users/{}", found[0]["id"].as_str().expect("an id"));
    client.put(&path, &json!({ "userName": "user1", URN: values(4) })).await.expect(200);
    let before = index_rows(&app.database);
    let again = app.replica().await;
    assert_eq!(index_rows(&app.database), before);
    let user = json!({ "userName": "user5", URN: values(1) });
    again.scim().post("/Users", &user).await.expect(201);
    again.stopper().await;
    app.stopper().await;
}

/// The rows of the index, in order.
fn index_rows(database: &TestDatabase) -> Vec<String> {
    use diesel::prelude::*;
    use muster::db::schema::unique_values::dsl::{
        attribute, connection_id, unique_values, user_id, value,
    };
    let rows: Vec<(String, String, String, Option<String>)> = unique_values
        .select((connection_id, attribute, value, user_id))
        .order((connection_id, attribute, value))
        .load(&mut database.connect())
        .expect("rows");
    assert!(!rows.is_empty());
    rows.iter().map(|row| format!("{row:?}")).collect()
}

async fn what_is_not_unique_cannot_become_so(database: TestDatabase) {
    let before = folder(&kinds("none"));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    let client = app.scim();
    for (name, text, number) in [("ann", "Same", "1"), ("bob", "sAME", "1.0"), ("carl", "x", "2")] {
        let number: Value = serde_json::from_str(number).expect("a number");
        let user =
            json!({ "userName": name, URN: { "text": text, "exact": text, "decimal": number } });
        client.post("/Users", &user).await.expect(201);
    }
    let long = json!({ "userName": "dora", URN: { "exact": "y".repeat(2000) } });
    client.post("/Users", &long).await.expect(201);
    app.stopper().await;

    let after = folder(&kinds("global"));
    let registry = muster::schemas::registry(Some(after.path())).expect("schemas");
    let url: DatabaseUrl = database.url.parse().expect("a URL");
    let db = Db::new(url, 1);
    let error =
        index_unique_values(&db, &registry.into()).await.expect_err("values that are two's");
    let text = error.to_string();
    for expected in [
        "a schema calls attributes unique that are not".to_owned(),
        format!("connection 'default': 2 users have the {URN}:text 'same', among them "),
        format!("connection 'default': 2 users have the {URN}:decimal '1', among them "),
        format!("connection 'default': the {URN}:exact 'yyyy"),
    ] {
        assert!(text.contains(&expected), "{expected}: {text}");
    }
    assert_eq!(text.lines().count(), 4, "{text}");
    // Nothing has changed: the schema as it was can be served.
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    assert_eq!(app.scim().get("/Users").await.expect(200).body["totalResults"], 4);
    app.stopper().await;
}

async fn what_a_server_without_the_schema_wrote_is_indexed(database: TestDatabase) {
    let unique = folder(&json!([{ "name": "badge", "uniqueness": "server" }]));
    let plain = folder(&json!([{ "name": "badge" }]));
    let user = |name: &str, badge: &str| json!({ "userName": name, URN: { "badge": badge } });
    let app = TestApp::with_schemas(database.clone(), unique.path()).await;
    let ann =
        format!("/Users/{}", app.scim().post("/Users", &user("ann", "1")).await.expect(201).id());
    app.stopper().await;
    // Another server, which does not know that badges are unique, moves one and adds one.
    let app = TestApp::with_schemas(database.clone(), plain.path()).await;
    app.scim().put(&ann, &user("ann", "2")).await.expect(200);
    app.scim().post("/Users", &user("bob", "3")).await.expect(201);
    app.stopper().await;
    let app = TestApp::with_schemas(database.clone(), unique.path()).await;
    let client = app.scim();
    for badge in ["2", "3"] {
        let answer = client.post("/Users", &user("carl", badge)).await;
        answer.expect_error(409, Some("uniqueness"));
    }
    client.post("/Users", &user("carl", "1")).await.expect(201);
    app.stopper().await;
}

async fn what_becomes_required_keeps_nobody_from_being_deactivated(database: TestDatabase) {
    let before = folder(&json!([{ "name": "a" }, { "name": "b" }]));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    let user = json!({ "userName": "ann", URN: { "a": "x" } });
    let path = format!("/Users/{}", app.scim().post("/Users", &user).await.expect(201).id());
    app.stopper().await;
    let after = folder(&json!([{ "name": "a" }, { "name": "b", "required": true }]));
    let app = TestApp::with_schemas(database.clone(), after.path()).await;
    let client = app.scim();
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    assert_eq!(client.patch(&path, &off).await.expect(200).body["active"], false);
    let detail = client.put(&path, &user).await.expect_error(400, Some("invalidValue"));
    assert!(detail.contains(&format!("'{URN}:b' is required")), "{detail}");
    app.stopper().await;
}

async fn a_required_extension_is_asked_of_clients_alone(database: TestDatabase) {
    let folder = folder_of(&[
        json!({ "id": URN, "attributes": [{ "name": "a", "required": true }, { "name": "b" }] }),
        json!({ "name": "User", "schemaExtensions": [{ "schema": URN, "required": true }] }),
    ]);
    let app = TestApp::with_schemas(database.clone(), folder.path()).await;
    let client = app.scim();
    let missing = format!("'{URN}:a' is required and must not be empty");
    for user in [json!({ "userName": "ann" }), json!({ "userName": "ann", URN: { "b": "x" } })] {
        let answer = client.post("/Users", &user).await;
        assert_eq!(answer.expect_error(400, Some("invalidValue")), missing);
    }
    let user = json!({ "userName": "ann", URN: { "a": "x" } });
    let made = client.post("/Users", &user).await.expect(201);
    let path = format!("/Users/{}", made.id());
    let gone = patch_body(json!([{ "op": "remove", "path": URN }]));
    let answer = client.patch(&path, &gone).await;
    assert_eq!(answer.expect_error(400, Some("invalidValue")), missing);
    assert_eq!(made.body["schemas"][1], URN);
    // Whom sign-in creates comes without, until SCIM writes the user.
    let created = sign_in(&app, ann(json!([]))).await;
    let path = format!("/Users/{}", created.user);
    let read = client.get(&path).await.expect(200).body;
    assert_eq!((&read["userName"], read.get(URN)), (&json!("Ann@example.com"), None));
    let answer = client.put(&path, &read).await;
    assert_eq!(answer.expect_error(400, Some("invalidValue")), missing);
    app.stopper().await;
}

async fn what_is_never_returned_any_more_is_not_kept(database: TestDatabase) {
    let attributes = |returned: &str| {
        let sub = json!([{ "name": "x" }, { "name": "y", "returned": returned }]);
        json!([
            { "name": "a", "returned": returned }, { "name": "b" },
            { "name": "c", "type": "complex", "subAttributes": sub },
        ])
    };
    let before = folder(&attributes("default"));
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    let extension = json!({ "a": "secret", "b": "x", "c": { "x": "1", "y": "secret" } });
    let user = json!({ "userName": "ann", URN: extension });
    let path = format!("/Users/{}", app.scim().post("/Users", &user).await.expect(201).id());
    app.stopper().await;
    let after = folder(&attributes("never"));
    let app = TestApp::with_schemas(database.clone(), after.path()).await;
    let shown = json!({ "b": "x", "c": { "x": "1" } });
    assert_eq!(app.scim().get(&path).await.expect(200).body[URN], shown);
    let title = patch_body(json!([{ "op": "add", "path": "title", "value": "t" }]));
    app.scim().patch(&path, &title).await.expect(200);
    app.stopper().await;
    let app = TestApp::with_schemas(database.clone(), before.path()).await;
    assert_eq!(app.scim().get(&path).await.expect(200).body[URN], shown);
    app.stopper().await;
}
