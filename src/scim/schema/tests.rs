use serde_json::{Value, json};

use super::*;

const URN: &str = "urn:example:params:scim:schemas:extension:acme:2.0:User";

fn file(name: &str, document: &Value) -> SchemaFile {
    SchemaFile { name: name.to_owned(), text: document.to_string() }
}

fn schema(id: &str, attributes: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": id,
        "name": "Acme",
        "attributes": attributes,
    })
}

fn resource_type(name: &str, extensions: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
        "name": name,
        "schemaExtensions": extensions,
    })
}

fn loaded(documents: &[Value]) -> Registry {
    load(documents).unwrap_or_else(|error| panic!("{error}"))
}

/// The files are called `0.json`, `1.json` and so on.
fn load(documents: &[Value]) -> Result<Registry, SchemaErrors> {
    let named = documents.iter().enumerate();
    let files: Vec<SchemaFile> = named.map(|(n, d)| file(&format!("{n}.json"), d)).collect();
    Registry::load(&files)
}

/// What is wrong with the documents, a line each.
fn problems(documents: &[Value]) -> Vec<String> {
    let SchemaErrors(problems) = load(documents).expect_err("something is wrong");
    problems.iter().map(ToString::to_string).collect()
}

/// What is wrong with a schema of one attribute.
#[expect(clippy::needless_pass_by_value, reason = "called with json!({…}) written in place")]
fn wrong(attribute: Value) -> String {
    let mut found = problems(&[schema(URN, &json!([attribute]))]);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn the_schemas_of_the_program_are_right() {
    let registry = Registry::builtin().expect("schemas");
    let urns: Vec<&Value> = registry.schema_documents().iter().map(|d| &d["id"]).collect();
    assert_eq!(urns, [USER_SCHEMA, GROUP_SCHEMA, ENTERPRISE_SCHEMA]);
    assert_eq!(registry.user().extensions.len(), 1);
    assert!(registry.group().extensions.is_empty());
    // What is served says the same as the files.
    let user = include_str!("../../../scim-schemas/user.json");
    assert_eq!(registry.schema_documents()[0], serde_json::from_str::<Value>(user).expect("JSON"));
}

#[test]
fn what_a_definition_leaves_out_is_the_rfcs_default() {
    let registry = loaded(&[schema(URN, &json!([{ "name": "badge" }]))]);
    let extension = registry.user().extension(URN).expect("an extension");
    assert!(!extension.required);
    let definition = &registry.schema_documents()[3]["attributes"][0];
    assert_eq!(
        definition,
        &json!({
            "name": "badge", "type": "string", "multiValued": false, "description": "",
            "required": false, "caseExact": false, "mutability": "readWrite",
            "returned": "default", "uniqueness": "none",
        })
    );
}

#[test]
fn the_type_decides_whether_case_matters() {
    let attributes = json!([
        { "name": "link", "type": "reference", "referenceTypes": ["external"] },
        { "name": "key", "type": "binary", "caseExact": false },
        { "name": "on", "type": "boolean", "caseExact": true },
        { "name": "code", "caseExact": true },
    ]);
    let registry = loaded(&[schema(URN, &attributes)]);
    let schema = &registry.user().extension(URN).expect("an extension").schema;
    let exact: Vec<bool> = schema.attributes.iter().map(|a| a.case_exact).collect();
    assert_eq!(exact, [true, true, false, true]);
}

#[test]
fn what_is_write_only_is_never_returned() {
    let registry = loaded(&[schema(URN, &json!([{ "name": "pin", "mutability": "writeOnly" }]))]);
    let schema = &registry.user().extension(URN).expect("an extension").schema;
    assert_eq!(schema.attributes[0].returned, Returned::Never);
    assert!(
        wrong(json!({ "name": "pin", "mutability": "writeOnly", "returned": "default" }))
            .contains("attribute 'pin' is writeOnly")
    );
}

#[test]
fn a_schema_is_attached_by_a_resource_type_or_by_its_name() {
    let attributes = json!([{ "name": "badge" }]);
    let by_name = loaded(&[schema("urn:acme:group", &attributes)]);
    assert!(by_name.user().extension("urn:acme:group").is_none());
    assert!(by_name.group().extension("URN:ACME:GROUP").is_some());

    let both = json!([{ "schema": "urn:acme:x", "required": true }]);
    let registry = loaded(&[
        resource_type("group", &json!([{ "schema": "urn:acme:X" }])),
        schema("urn:acme:x", &attributes),
        resource_type("User", &both),
    ]);
    assert!(registry.user().extension("urn:acme:x").is_some_and(|e| e.required));
    assert!(registry.group().extension("urn:acme:x").is_some_and(|e| !e.required));
    assert_eq!(
        registry.resource_type_documents()[1]["schemaExtensions"],
        json!([{ "schema": "urn:acme:x", "required": false }])
    );

    let enterprise = json!([{ "schema": ENTERPRISE_SCHEMA, "required": true }]);
    let registry = loaded(&[resource_type("User", &enterprise)]);
    assert_eq!(registry.user().extensions.len(), 1);
    assert!(registry.user().extensions[0].required);

    let nowhere = problems(&[schema("urn:acme:badges", &attributes)]);
    assert_eq!(nowhere.len(), 1);
    assert!(nowhere[0].contains("':User' or ':Group'"), "{nowhere:?}");
    assert!(nowhere[0].contains("schemaExtensions"), "{nowhere:?}");
}

#[test]
fn a_schema_that_is_there_can_be_added_to_and_not_changed() {
    let registry = loaded(&[
        schema(USER_SCHEMA, &json!([{ "name": "badge" }, { "name": "title" }])),
        schema(ENTERPRISE_SCHEMA, &json!([{ "name": "floor", "type": "integer" }])),
        schema(ENTERPRISE_SCHEMA, &json!([{ "name": "desk" }])),
    ]);
    assert!(registry.user().core_attribute("badge").is_some());
    let enterprise = registry.user().extension(ENTERPRISE_SCHEMA).expect("an extension");
    assert!(enterprise.schema.attribute("floor").is_some());
    assert!(enterprise.schema.attribute("desk").is_some());
    assert!(enterprise.schema.attribute("manager").is_some());
    assert_eq!(registry.schema_documents().len(), 3);

    // Whoever starts from what is served, changes nothing.
    let served = Registry::builtin().expect("schemas").schema_documents().to_vec();
    loaded(&served);

    let changed =
        problems(&[schema(USER_SCHEMA, &json!([{ "name": "TITLE", "caseExact": true }]))]);
    assert_eq!(
        changed,
        ["0.json: attribute 'TITLE' is defined by the server already, with other \
          characteristics: leave it out, or repeat it as it is there"]
    );
    let conflict = problems(&[
        schema(URN, &json!([{ "name": "badge" }])),
        schema(&URN.to_uppercase(), &json!([{ "name": "badge", "type": "integer" }])),
    ]);
    assert!(
        conflict[0].starts_with("1.json: attribute 'badge' is defined in 0.json"),
        "{conflict:?}"
    );
}

#[test]
fn a_wrong_definition_is_told_with_its_attribute() {
    let sub = |sub: Value| json!({ "name": "a", "type": "complex", "subAttributes": [sub] });
    let element = |sub: Value| json!({ "name": "a", "type": "complex", "multiValued": true, "subAttributes": [sub] });
    for (definition, expected) in [
        (json!("badge"), "attribute '[0]' must be a JSON object"),
        (json!({ "type": "string" }), "attribute '[0]' has no 'name'"),
        (json!({ "name": "1st" }), "'1st' has a name that is not allowed"),
        (json!({ "name": "a b" }), "'a b' has a name that is not allowed"),
        (json!({ "name": "$ref" }), "'$ref' has a name that is not allowed"),
        (json!({ "name": "x".repeat(101) }), "more than 100 characters"),
        (json!({ "name": "a", "type": "text" }), "has the type \"text\", which is none of string,"),
        (json!({ "name": "a", "mutability": "readwrite" }), "none of readOnly, readWrite,"),
        (json!({ "name": "a", "returned": "sometimes" }), "none of always, never,"),
        (json!({ "name": "a", "uniqueness": "tenant" }), "none of none, server, global"),
        (json!({ "name": "a", "required": "yes" }), "'required' that is neither true nor false"),
        (json!({ "name": "a", "mutliValued": true }), "'mutliValued', which is no characteristic"),
        (json!({ "name": "a", "type": "complex" }), "is complex and needs subAttributes"),
        (
            json!({ "name": "a", "subAttributes": [{ "name": "b" }] }),
            "subAttributes, which only the type complex can have",
        ),
        (
            sub(json!({ "name": "b", "type": "complex", "subAttributes": [{ "name": "c" }] })),
            "attribute 'a.b' is complex: a sub-attribute cannot",
        ),
        (sub(json!({ "name": "b." })), "attribute 'a.b.' has a name that is not allowed"),
        (
            json!({ "name": "a", "type": "integer", "canonicalValues": ["1"] }),
            "canonicalValues, which belong to the type string",
        ),
        (json!({ "name": "a", "canonicalValues": "x" }), "'canonicalValues' that are no array"),
        (json!({ "name": "a", "type": "reference" }), "needs referenceTypes"),
        (json!({ "name": "a", "referenceTypes": ["uri"] }), "which belong to the type reference"),
        (
            json!({ "name": "a", "type": "reference", "referenceTypes": ["Device"] }),
            "refers to 'Device'",
        ),
        (json!({ "name": "ExternalId" }), "has the name of a common attribute"),
        (json!({ "name": "META" }), "has the name of a common attribute"),
        (element(json!({ "name": "primary" })), "attribute 'a.primary' must be a single boolean"),
        (element(json!({ "name": "Value" })), "must be spelled 'value'"),
        (json!({ "name": "a", "type": "boolean", "uniqueness": "server" }), "cannot be unique"),
        (json!({ "name": "a", "type": "dateTime", "uniqueness": "global" }), "cannot be unique"),
        (sub(json!({ "name": "value", "uniqueness": "server" })), "'a.value' cannot be unique"),
        (element(json!({ "name": "type", "uniqueness": "server" })), "'a.type' cannot be unique"),
        (
            json!({ "name": "a", "uniqueness": "server", "returned": "never" }),
            "never returned are not kept",
        ),
    ] {
        let found = wrong(definition.clone());
        assert!(found.starts_with("0.json: ") && found.contains(expected), "{definition}: {found}");
    }
    // What may be unique.
    loaded(&[schema(
        URN,
        &json!([
            { "name": "badge", "uniqueness": "server" },
            { "name": "level", "type": "integer", "uniqueness": "global" },
            { "name": "keys", "multiValued": true, "uniqueness": "server" },
            element(json!({ "name": "value", "uniqueness": "server" })),
        ]),
    )]);
}

#[test]
fn a_name_twice_is_told_whatever_its_case() {
    let twice = problems(&[schema(URN, &json!([{ "name": "badge" }, { "name": "Badge" }]))]);
    assert!(twice[0].contains("attribute 'Badge' is defined twice"), "{twice:?}");
    let subs = json!([{ "name": "a", "type": "complex",
                        "subAttributes": [{ "name": "b" }, { "name": "B" }] }]);
    let twice = problems(&[schema(URN, &subs)]);
    assert!(twice[0].contains("attribute 'a.B' is defined twice"), "{twice:?}");
}

#[test]
fn a_wrong_file_is_told() {
    let attributes = json!([{ "name": "a" }]);
    let mut nameless = schema(URN, &attributes);
    nameless["id"].take();
    for (document, expected) in [
        (json!([]), "must hold one JSON object"),
        (json!({}), "is neither a schema"),
        (json!({ "Resources": [] }), "holds a list"),
        (nameless, "has no 'id'"),
        (schema("acme", &attributes), "is no URN"),
        (schema("urn:acme", &attributes), "is no URN"),
        (schema("urn:acme::User", &attributes), "is no URN"),
        (schema("urn:acme:my schema:User", &attributes), "is no URN"),
        (schema(&format!("urn:{}:User", "x".repeat(300)), &attributes), "more than 255"),
        (schema("urn:ietf:params:scim:schemas:core:2.0:Device", &attributes), "SCIM's own"),
        (schema(URN, &json!([])), "'attributes' is empty"),
        (schema(URN, &json!({})), "'attributes' must be an array"),
        (resource_type("Device", &json!([])), "this server has User and Group"),
        (resource_type("User", &json!({})), "'schemaExtensions' must be an array"),
        (resource_type("User", &json!([{}])), "needs a 'schema'"),
        (resource_type("User", &json!([{ "schema": "urn:acme:x" }])), "which no file defines"),
        (resource_type("User", &json!([{ "schema": GROUP_SCHEMA }])), "is a core schema"),
    ] {
        let found = problems(std::slice::from_ref(&document));
        assert_eq!(found.len(), 1, "{document}: {found:?}");
        assert!(found[0].starts_with("0.json: "), "{found:?}");
        assert!(found[0].contains(expected), "{document}: {found:?}");
    }
    let bad = SchemaFile { name: "x.json".to_owned(), text: "{\n  \"id\": }".to_owned() };
    let SchemaErrors(found) = Registry::load(&[bad]).expect_err("no JSON");
    let found = found[0].to_string();
    assert!(found.starts_with("x.json: is no valid JSON") && found.contains("line 2 column 9"));
    let endpoint = json!({ "name": "User", "endpoint": "/People", "schemaExtensions": [] });
    assert!(problems(&[endpoint])[0].contains("'endpoint' of User must be /Users"));
}

#[test]
fn a_path_means_one_thing() {
    let found = problems(&[
        schema("urn:acme:user", &json!([{ "name": "group" }])),
        schema("urn:acme:user:group", &json!([{ "name": "x" }])),
    ]);
    assert!(found[0].starts_with("1.json: the 'id' urn:acme:user:group is also"), "{found:?}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = problems(&[
        schema(URN, &json!([{ "name": "1" }, { "name": "b", "type": "x", "returned": "y" }])),
        json!([]),
        schema("urn:acme:x", &json!([{ "name": "meta" }])),
    ]);
    assert_eq!(found.len(), 6, "{found:#?}");
    let text = load(&[json!([]), json!([])]).expect_err("two problems").to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn a_byte_order_mark_is_no_error() {
    let text = format!("\u{feff}{}", schema(URN, &json!([{ "name": "a" }])));
    assert!(Registry::load(&[SchemaFile { name: "a.json".to_owned(), text }]).is_ok());
}
