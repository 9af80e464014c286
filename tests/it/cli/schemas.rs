//! `muster serve --schemas`: what is wrong is told before anything is served.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::process::{Server, fails, muster};
use crate::support::{Case, TestDatabase, database_cases, pure_cases, schema_folder};

pub fn cases() -> Vec<Case> {
    let pure: &[Case] = pure_cases![
        a_folder_that_cannot_be_read_is_told,
        every_mistake_in_a_file_is_told,
        all_mistakes_are_told_at_once,
        nothing_is_touched_while_something_is_wrong,
        the_examples_of_the_documentation_are_right,
    ];
    let databases: &[Case] = database_cases![
        the_folder_can_come_from_the_environment,
        values_that_are_not_unique_are_told,
    ];
    [pure, databases].concat()
}

/// Starts a server in a folder with the schemas in `schemas`, on a store that is not there yet.
fn serve(folder: &Path) -> Output {
    muster(&["serve", "--listen", "127.0.0.1:0", "--schemas", "schemas"])
        .current_dir(folder)
        .output()
        .expect("a run")
}

/// A folder with a folder of schemas.
fn with_files(files: &[(&str, String)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("schemas")).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join("schemas").join(name), text).expect("a file");
    }
    folder
}

/// A schema of one attribute.
fn schema_of(attribute: &Value) -> String {
    json!({ "id": "urn:acme:User", "attributes": [attribute] }).to_string()
}

fn a_folder_that_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let errors = fails(&serve(folder.path()), 2);
    assert!(errors.contains("schemas: cannot be read: "), "{errors}");
    std::fs::write(folder.path().join("schemas"), "{}").expect("a file");
    let errors = fails(&serve(folder.path()), 2);
    assert!(errors.contains("schemas: cannot be read: "), "{errors}");
    let folder = with_files(&[("good.json", schema_of(&json!({ "name": "a" })))]);
    std::fs::write(folder.path().join("schemas/bad.json"), b"\xff\xfe").expect("a file");
    let errors = fails(&serve(folder.path()), 2);
    assert!(errors.contains("schemas/bad.json: cannot be read: "), "{errors}");
    assert!(!errors.contains("good.json"), "{errors}");
}

fn every_mistake_in_a_file_is_told() {
    let resource_type = |name: &str, extensions: Value| {
        json!({ "name": name, "endpoint": format!("/{name}s"), "schemaExtensions": extensions })
            .to_string()
    };
    let attribute = |attribute: Value| schema_of(&attribute);
    let complex =
        |sub: Value| schema_of(&json!({ "name": "c", "type": "complex", "subAttributes": [sub] }));
    for (text, expected) in [
        ("{\n  \"id\": \"urn:acme:User\",\n}".to_owned(), "line 3 column 1"),
        ("[]".to_owned(), "must hold one JSON object"),
        ("{}".to_owned(), "is neither a schema"),
        (json!({ "attributes": [{ "name": "a" }] }).to_string(), "has no 'id'"),
        (json!({ "id": "acme", "attributes": [{ "name": "a" }] }).to_string(), "is no URN"),
        (
            json!({ "id": "urn:acme:badges", "attributes": [{ "name": "a" }] }).to_string(),
            "end the 'id' in ':User' or ':Group'",
        ),
        (attribute(json!({ "name": "1a" })), "attribute '1a' has a name that is not allowed"),
        (attribute(json!({ "name": "a", "type": "text" })), "attribute 'a' has the type \"text\""),
        (attribute(json!({ "name": "a", "mutability": "x" })), "has the mutability \"x\""),
        (attribute(json!({ "name": "a", "returned": "x" })), "has the returned \"x\""),
        (attribute(json!({ "name": "a", "uniqueness": "x" })), "has the uniqueness \"x\""),
        (attribute(json!({ "name": "a", "type": "complex" })), "needs subAttributes"),
        (
            attribute(json!({ "name": "a", "subAttributes": [{ "name": "b" }] })),
            "subAttributes, which only the type complex",
        ),
        (
            complex(json!({ "name": "d", "type": "complex", "subAttributes": [{ "name": "e" }] })),
            "attribute 'c.d' is complex: a sub-attribute cannot",
        ),
        (
            attribute(json!({ "name": "a", "type": "reference", "referenceTypes": ["uri"],
                              "canonicalValues": ["x"] })),
            "canonicalValues, which belong to the type string",
        ),
        (attribute(json!({ "name": "a", "type": "reference" })), "needs referenceTypes"),
        (attribute(json!({ "name": "Schemas" })), "has the name of a common attribute"),
        (
            attribute(json!({ "name": "a", "type": "dateTime", "uniqueness": "server" })),
            "attribute 'a' cannot be unique",
        ),
        (
            json!({ "id": "urn:acme:User", "attributes": [{ "name": "a" }, { "name": "A" }] })
                .to_string(),
            "attribute 'A' is defined twice",
        ),
        (
            json!({ "id": "urn:ietf:params:scim:schemas:core:2.0:User",
                    "attributes": [{ "name": "userName", "caseExact": true }] })
            .to_string(),
            "attribute 'userName' is defined by the server already",
        ),
        (resource_type("User", json!([{ "schema": "urn:acme:x" }])), "which no file defines"),
        (resource_type("Device", json!([])), "this server has User and Group"),
    ] {
        let folder = with_files(&[("acme.json", text.clone())]);
        let errors = fails(&serve(folder.path()), 2);
        assert!(errors.contains("schemas/acme.json: "), "{text}: {errors}");
        assert!(errors.contains(expected), "{text}: {errors}");
    }
}

fn all_mistakes_are_told_at_once() {
    let folder = with_files(&[
        ("a.json", schema_of(&json!({ "name": "x", "type": "integer" }))),
        ("b.json", schema_of(&json!({ "name": "x", "type": "decimal", "returned": "often" }))),
        ("c.json", "{".to_owned()),
        ("d.json", json!({ "id": "urn:acme:y", "attributes": [{ "name": "meta" }] }).to_string()),
        // Neither of these is a schema.
        (".hidden.json", "{".to_owned()),
        ("notes.txt", "{".to_owned()),
    ]);
    let errors = fails(&serve(folder.path()), 2);
    for expected in [
        "b.json: attribute 'x' has the returned \"often\"",
        "b.json: attribute 'x' is defined in schemas/a.json already",
        "c.json: is no valid JSON: EOF",
        "d.json: attribute 'meta' has the name of a common attribute",
        "d.json: it is not said whether urn:acme:y is about users or groups",
    ] {
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    assert_eq!(errors.lines().count(), 6, "{errors}");
}

fn nothing_is_touched_while_something_is_wrong() {
    let folder = with_files(&[("a.json", "{".to_owned())]);
    fails(&serve(folder.path()), 2);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "there is no store: {left:?}");
}

fn the_examples_of_the_documentation_are_right() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas.md");
    let text = std::fs::read_to_string(file).expect("the document");
    let blocks = |language: &str| -> Vec<String> {
        let blocks = text.split("```").skip(1).step_by(2);
        blocks
            .filter_map(|block| block.strip_prefix(&format!("{language}\n")).map(str::to_owned))
            .collect()
    };
    let examples = blocks("json");
    assert_eq!(examples.len(), 2, "a schema and a resource type");
    let names = ["schema.json", "type.json"];
    let files: Vec<(&str, String)> = names.into_iter().zip(examples).collect();
    let folder = with_files(&files);
    let registry =
        muster::schemas::registry(Some(&folder.path().join("schemas"))).expect("schemas");
    let [_, extension] = registry.user().extensions.as_slice() else { panic!("one extension") };
    assert!(extension.required);
    assert_eq!(extension.schema.attributes.len(), 9);
    // The user who is shown is one.
    let user: Value = serde_json::from_str(&blocks("")[0]).expect("a user");
    let mut quirks = muster::scim::quirks::Quirks::default();
    let read = muster::scim::resource::Document::from_body(registry.user(), user, &mut quirks);
    assert_eq!(read.expect("a user").as_map()["schemas"].as_array().map(Vec::len), Some(2));
    let filter = text.split('`').find(|code| code.ends_with("].bought")).expect("a path");
    assert!(muster::scim::path::parse_patch_path(filter).is_ok());
}

async fn the_folder_can_come_from_the_environment(database: TestDatabase) {
    let server = Server::start(&database, &["--schemas", &schema_folder().display().to_string()]);
    let count = |server: &Server| {
        let base = server.field("SCIM base URL").expect("a URL");
        let token = server.field("API token");
        async move {
            let request = reqwest::Client::new().get(format!("{base}/Schemas"));
            let answer = request.bearer_auth(token.expect("a token")).send().await;
            let text = answer.expect("an answer").text().await.expect("a body");
            serde_json::from_str::<Value>(&text).expect("JSON")["totalResults"].clone()
        }
    };
    assert_eq!(count(&server).await, 9);
    server.stop();
    let output = muster(&["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url])
        .env("MUSTER_SCHEMAS", "/nowhere/at/all")
        .output()
        .expect("a run");
    assert!(fails(&output, 2).contains("/nowhere/at/all: cannot be read"));
}

async fn values_that_are_not_unique_are_told(database: TestDatabase) {
    let schema = |uniqueness: &str| {
        let attribute = json!({ "name": "badge", "uniqueness": uniqueness });
        json!({ "id": "urn:acme:User", "attributes": [attribute] }).to_string()
    };
    let folder = with_files(&[("acme.json", schema("none"))]);
    let schemas = folder.path().join("schemas").display().to_string();
    let server = Server::start(&database, &["--schemas", &schemas]);
    let base = server.field("SCIM base URL").expect("a URL");
    let token = server.field("API token").expect("a token");
    for name in ["ann", "bob"] {
        let user = json!({ "userName": name, "urn:acme:User": { "badge": "B7" } });
        let request = reqwest::Client::new()
            .post(format!("{base}/Users"))
            .bearer_auth(&token)
            .header("content-type", "application/scim+json")
            .body(user.to_string());
        assert_eq!(request.send().await.expect("an answer").status(), 201);
    }
    server.stop();
    std::fs::write(folder.path().join("schemas/acme.json"), schema("server")).expect("a file");
    let output = muster(&["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url])
        .args(["--schemas", &schemas])
        .output()
        .expect("a run");
    let errors = fails(&output, 2);
    let expected = "connection 'default': 2 users have the urn:acme:User:badge 'b7', among them";
    assert!(errors.contains(expected), "{errors}");
    assert!(output.stdout.is_empty(), "it never listened");
}
