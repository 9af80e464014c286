//! What RFC 7643 and RFC 7644 say in single sentences, where no other test has a place for it.

use muster::db::backup;
use serde_json::{Value, json};

use crate::support::{Case, ScimClient, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    names_of_attributes_count_in_any_case,
    schemas_are_for_the_server_to_say,
    an_extension_joins_and_leaves_the_schemas,
    the_schemas_cannot_be_removed,
    a_resource_begins_unmodified,
    a_location_leads_to_the_resource,
    a_reference_leads_to_its_resource,
    ids_are_unique_and_reserve_no_word,
    what_is_deleted_is_gone_for_every_method,
    every_element_that_is_selected_is_replaced,
    adding_goes_by_the_kind_of_the_target,
    a_replacement_of_nothing_adds,
    what_is_required_cannot_be_unassigned,
    read_only_attributes_are_ignored_by_put,
    what_was_defaulted_is_what_filters_see,
    what_is_not_said_to_be_primary_is_not,
    binary_values_have_no_order,
    filters_go_by_the_schemas_in_use,
    attributes_are_chosen_by_the_urn_of_their_extension,
    discovery_ignores_the_parameters_of_queries,
    messages_are_no_schemas,
    every_resource_type_leads_to_its_schemas,
    every_schema_in_use_is_served,
    nothing_complex_is_inside_a_complex_attribute,
    the_configuration_is_complete,
    a_password_is_nowhere_in_the_store,
    without_a_version_the_newest_is_meant,
    plain_json_is_answered_as_such,
    the_configuration_is_for_everybody,
    a_token_is_long_and_random,
    an_address_is_comparable_without_its_version,
    one_name_is_one_user_however_it_is_written,
];

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

async fn made(client: &ScimClient, body: &Value) -> (String, Value) {
    let made = client.post("/Users", body).await.expect(201);
    (format!("/Users/{}", made.id()), made.body)
}

async fn names_of_attributes_count_in_any_case(app: TestApp) {
    let client = app.scim();
    let body = json!({
        "SCHEMAS": [USER], "USERNAME": "ann", "Name": { "GIVENNAME": "Ann" },
        "eMails": [{ "VALUE": "ann@example.com", "Type": "work" }],
        ENTERPRISE.to_uppercase(): { "DEPARTMENT": "R&D" },
    });
    let (path, made) = made(&client, &body).await;
    assert_eq!(made["userName"], "ann");
    assert_eq!(made["name"], json!({ "givenName": "Ann" }));
    assert_eq!(made["emails"], json!([{ "value": "ann@example.com", "type": "work" }]));
    assert_eq!(made[ENTERPRISE], json!({ "department": "R&D" }));
    let put = client.put(&path, &json!({ "username": "ann", "NickName": "A" })).await.expect(200);
    assert_eq!(put.body["nickName"], "A");
}

async fn schemas_are_for_the_server_to_say(app: TestApp) {
    let client = app.scim();
    for (n, schemas) in [
        json!([ENTERPRISE, USER]),
        json!([USER, USER, ENTERPRISE, ENTERPRISE]),
        json!([USER.to_uppercase(), ENTERPRISE, "urn:example:unknown"]),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({
            "schemas": schemas, "userName": format!("u{n}"), ENTERPRISE: { "department": "R&D" },
        });
        assert_eq!(made(&client, &body).await.1["schemas"], json!([USER, ENTERPRISE]), "{schemas}");
    }
    // A namespace with nothing in it is not there.
    let body = json!({ "schemas": [USER, ENTERPRISE], "userName": "plain" });
    assert_eq!(made(&client, &body).await.1["schemas"], json!([USER]));
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    assert_eq!(group.body["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:Group"]));
}

async fn an_extension_joins_and_leaves_the_schemas(app: TestApp) {
    let client = app.scim();
    let (path, made) = made(&client, &json!({ "userName": "ann" })).await;
    assert_eq!(made["schemas"], json!([USER]));
    let number = format!("{ENTERPRISE}:employeeNumber");
    let add = patch_body(json!([{ "op": "add", "path": number, "value": "7" }]));
    let added = client.patch(&path, &add).await.expect(200).body;
    assert_eq!(added["schemas"], json!([USER, ENTERPRISE]));
    assert_eq!(added[ENTERPRISE], json!({ "employeeNumber": "7" }));
    let remove = patch_body(json!([{ "op": "remove", "path": number }]));
    let removed = client.patch(&path, &remove).await.expect(200).body;
    assert_eq!(removed["schemas"], json!([USER]));
    assert_eq!(removed.get(ENTERPRISE), None);
}

async fn the_schemas_cannot_be_removed(app: TestApp) {
    let client = app.scim();
    let (path, made) = made(&client, &json!({ "userName": "ann" })).await;
    for operation in [
        json!({ "op": "remove", "path": "schemas" }),
        json!({ "op": "replace", "path": "schemas", "value": [] }),
        json!({ "op": "replace", "path": "schemas", "value": null }),
    ] {
        let patch = patch_body(json!([operation]));
        client.patch(&path, &patch).await.expect_error(400, Some("mutability"));
    }
    // What else is said of them, the attributes themselves say better.
    let said = patch_body(json!([{ "op": "add", "path": "schemas", "value": [ENTERPRISE] }]));
    assert_eq!(client.patch(&path, &said).await.expect(200).body, made);
}

async fn a_resource_begins_unmodified(app: TestApp) {
    let client = app.scim();
    let time = |text: &Value| {
        let text = text.as_str().expect("a time");
        assert!(text.ends_with('Z'), "{text}");
        chrono::DateTime::parse_from_rfc3339(text).expect("a date and a time")
    };
    let (user, _) = made(&client, &json!({ "userName": "ann" })).await;
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let group = format!("/Groups/{}", group.id());
    for (path, change) in [(user, "nickName"), (group, "externalId")] {
        let first = client.get(&path).await.expect(200).body["meta"].clone();
        assert_eq!(first["created"], first["lastModified"], "{path}");
        let patch = patch_body(json!([{ "op": "add", "path": change, "value": "x" }]));
        let then = client.patch(&path, &patch).await.expect(200).body["meta"].clone();
        assert_eq!(then["created"], first["created"], "{path}");
        assert!(time(&then["lastModified"]) > time(&first["lastModified"]), "{path}");
    }
}

async fn a_location_leads_to_the_resource(app: TestApp) {
    let client = app.scim();
    let body = json!({ "userName": "ann" });
    let made = client.post("/Users", &body).await.expect(201);
    let location = made.body["meta"]["location"].as_str().expect("a location").to_owned();
    let path = location.strip_prefix(&format!("{}/scim/v2", app.base_url)).expect("our address");
    let patch = patch_body(json!([{ "op": "add", "path": "title", "value": "x" }]));
    let answers = [
        client.get(path).await.expect(200),
        client.put(path, &body).await.expect(200),
        client.patch(path, &patch).await.expect(200),
    ];
    for answer in [made].iter().chain(&answers) {
        assert_eq!(answer.body["meta"]["location"], location, "{}", answer.request);
        let header = answer.header("content-location");
        assert_eq!(header, Some(location.as_str()), "{}", answer.request);
    }
    // Where the body does not say, no header does.
    let without = client.get(&format!("{path}?attributes=userName")).await.expect(200);
    assert_eq!(without.header("content-location"), None);
    for document in ["/Schemas", "/ResourceTypes"] {
        let listed = client.get(document).await.expect(200).body["Resources"].clone();
        for each in listed.as_array().expect("resources") {
            let location = each["meta"]["location"].as_str().expect("a location");
            let path = location.rsplit("/scim/v2").next().expect("a path");
            let answer = client.get(path).await.expect(200);
            assert_eq!(&answer.body, each);
            assert_eq!(answer.header("content-location"), Some(location));
        }
    }
}

async fn a_reference_leads_to_its_resource(app: TestApp) {
    let client = app.scim();
    let (_, ann) = made(&client, &json!({ "userName": "ann" })).await;
    let team = json!({ "displayName": "Team", "members": [{ "value": ann["id"] }] });
    let team = client.post("/Groups", &team).await.expect(201).body;
    let ann = client.get(&format!("/Users/{}", ann["id"].as_str().expect("an id"))).await;
    for (reference, wanted) in
        [(&team["members"][0]["$ref"], &ann.body), (&ann.body["groups"][0]["$ref"], &team)]
    {
        let address = reference.as_str().expect("an address");
        let path = address.strip_prefix(&format!("{}/scim/v2", app.base_url)).expect("absolute");
        assert_eq!(&client.get(path).await.expect(200).body, wanted, "{address}");
    }
}

async fn ids_are_unique_and_reserve_no_word(app: TestApp) {
    let client = app.scim();
    let mut ids = std::collections::BTreeSet::new();
    for n in 0..20 {
        let user = client.post("/Users", &json!({ "userName": format!("u{n}") })).await;
        let group = client.post("/Groups", &json!({ "displayName": format!("u{n}") })).await;
        for made in [user, group] {
            let id = made.expect(201).id();
            assert!(!id.is_empty() && !id.to_lowercase().contains("bulkid"), "{id}");
            assert!(ids.insert(id));
        }
    }
    assert_eq!(ids.len(), 40);
}

async fn what_is_deleted_is_gone_for_every_method(app: TestApp) {
    let client = app.scim();
    let user = json!({ "userName": "ann", "externalId": "a" });
    let group = json!({ "displayName": "Team", "externalId": "g" });
    let change = |path: &str| patch_body(json!([{ "op": "add", "path": path, "value": "x" }]));
    for (endpoint, body, attribute) in
        [("/Users", &user, "nickName"), ("/Groups", &group, "displayName")]
    {
        let id = client.post(endpoint, body).await.expect(201).id();
        let path = format!("{endpoint}/{id}");
        client.delete(&path).await.expect(204);
        for answer in [
            client.get(&path).await,
            client.put(&path, body).await,
            client.patch(&path, &change(attribute)).await,
            client.delete(&path).await,
        ] {
            answer.expect_error(404, None);
        }
        let by_id = format!("id eq \"{id}\"");
        assert!(client.find(endpoint, &by_id).await.is_empty());
        let everywhere = client.post("/.search", &json!({ "filter": by_id })).await.expect(200);
        assert_eq!(everywhere.body["totalResults"], 0);
        // What it held is free again.
        assert_ne!(client.post(endpoint, body).await.expect(201).id(), id);
    }
}

async fn every_element_that_is_selected_is_replaced(app: TestApp) {
    let client = app.scim();
    let body = json!({ "userName": "ann", "emails": [
        { "value": "a@x.example", "type": "other" },
        { "value": "b@x.example", "type": "other" },
        { "value": "c@x.example", "type": "work" },
    ] });
    let (path, _) = made(&client, &body).await;
    let patch = patch_body(json!([
        { "op": "replace", "path": "emails[type eq \"other\"].display", "value": "Private" },
    ]));
    let emails = client.patch(&path, &patch).await.expect(200).body["emails"].clone();
    assert_eq!(
        emails,
        json!([
            { "value": "a@x.example", "display": "Private", "type": "other" },
            { "value": "b@x.example", "display": "Private", "type": "other" },
            { "value": "c@x.example", "type": "work" },
        ])
    );
    let one = json!({ "value": "d@x.example", "type": "home" });
    let patch = patch_body(json!([
        { "op": "replace", "path": "emails[display eq \"private\"]", "value": one },
    ]));
    // Both became the same, and the same is there once.
    let emails = client.patch(&path, &patch).await.expect(200).body["emails"].clone();
    assert_eq!(emails, json!([one, { "value": "c@x.example", "type": "work" }]));
}

async fn adding_goes_by_the_kind_of_the_target(app: TestApp) {
    let client = app.scim();
    let body = json!({
        "userName": "ann", "title": "Engineer", "name": { "givenName": "Ann" },
        "emails": [{ "value": "a@x.example", "type": "work" }],
    });
    let (path, _) = made(&client, &body).await;
    let patch = patch_body(json!([
        { "op": "add", "path": "title", "value": "Director" },
        { "op": "add", "path": "nickName", "value": "A" },
        { "op": "add", "path": "name", "value": { "middleName": "B", "givenName": "Anna" } },
        { "op": "add", "path": "emails", "value": [{ "value": "b@x.example", "type": "home" }] },
        { "op": "add", "value": { "userType": "Employee", "title": "CTO" } },
    ]));
    let after = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!((&after["title"], &after["nickName"]), (&json!("CTO"), &json!("A")));
    assert_eq!(after["userType"], "Employee");
    assert_eq!(after["name"], json!({ "givenName": "Anna", "middleName": "B" }));
    assert_eq!(after["emails"].as_array().map(Vec::len), Some(2));
    for operation in [
        json!({ "op": "add", "path": "title" }),
        json!({ "op": "add" }),
        json!({ "op": "add", "path": "name", "value": "Ann" }),
    ] {
        let patch = patch_body(json!([operation]));
        client.patch(&path, &patch).await.expect_error(400, Some("invalidValue"));
    }
    assert_eq!(client.get(&path).await.expect(200).body, after);
}

async fn a_replacement_of_nothing_adds(app: TestApp) {
    let client = app.scim();
    let (path, _) = made(&client, &json!({ "userName": "ann" })).await;
    let patch = patch_body(json!([
        { "op": "replace", "path": "title", "value": "Engineer" },
        { "op": "replace", "path": "name.familyName", "value": "Lee" },
        { "op": "replace", "path": "emails", "value": [{ "value": "a@x.example" }] },
        { "op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "R&D" },
        { "op": "replace", "value": { "nickName": "A" } },
    ]));
    let after = client.patch(&path, &patch).await.expect(200).body;
    assert_eq!((&after["title"], &after["nickName"]), (&json!("Engineer"), &json!("A")));
    assert_eq!(after["name"], json!({ "familyName": "Lee" }));
    assert_eq!(after["emails"], json!([{ "value": "a@x.example" }]));
    assert_eq!(after[ENTERPRISE], json!({ "department": "R&D" }));
}

async fn what_is_required_cannot_be_unassigned(app: TestApp) {
    let client = app.scim();
    let (user, ann) = made(&client, &json!({ "userName": "ann" })).await;
    let group = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    for (path, name, before) in [(user, "userName", &ann), (path, "displayName", &group.body)] {
        for operation in [
            json!({ "op": "remove", "path": name }),
            json!({ "op": "replace", "path": name, "value": null }),
            json!({ "op": "replace", "value": { name: null } }),
        ] {
            let patch = patch_body(json!([operation]));
            client.patch(&path, &patch).await.expect_error(400, Some("mutability"));
        }
        let empty = patch_body(json!([{ "op": "replace", "path": name, "value": "" }]));
        client.patch(&path, &empty).await.expect_error(400, Some("invalidValue"));
        client.put(&path, &json!({})).await.expect_error(400, Some("invalidValue"));
        assert_eq!(&client.get(&path).await.expect(200).body, before);
    }
}

async fn read_only_attributes_are_ignored_by_put(app: TestApp) {
    let client = app.scim();
    let (path, before) = made(&client, &json!({ "userName": "ann", "title": "x" })).await;
    let mut put = before.clone();
    put["id"] = "other".into();
    put["groups"] = json!([{ "value": "somewhere" }]);
    put["meta"] = json!({
        "resourceType": "Group", "created": "1999-01-01T00:00:00Z", "version": "W/\"9\"",
        "location": "https://example.com/elsewhere",
    });
    assert_eq!(client.put(&path, &put).await.expect(200).body, before);
}

async fn what_was_defaulted_is_what_filters_see(app: TestApp) {
    let client = app.scim();
    let (path, made) = made(&client, &json!({ "userName": "ann" })).await;
    assert_eq!(made["active"], true, "nobody said so");
    for filter in ["active eq true", "active pr", "not (active eq false)"] {
        assert_eq!(client.find("/Users", filter).await.len(), 1, "{filter}");
    }
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    client.patch(&path, &off).await.expect(200);
    // A PUT that leaves it out keeps it: the default is what it was.
    let put = client.put(&path, &json!({ "userName": "ann" })).await.expect(200);
    assert_eq!(put.body["active"], false);
    assert_eq!(client.find("/Users", "active eq false").await.len(), 1);
}

async fn what_is_not_said_to_be_primary_is_not(app: TestApp) {
    let client = app.scim();
    for (name, emails) in [
        ("nobody", json!([])),
        ("silent", json!([{ "value": "s@x.example", "type": "work" }])),
        ("said", json!([{ "value": "n@x.example", "type": "work", "primary": false }])),
        ("one", json!([{ "value": "p@x.example", "type": "work", "primary": true }])),
        (
            "both",
            json!([
                { "value": "b@x.example", "type": "home", "primary": true },
                { "value": "c@x.example", "type": "work" },
            ]),
        ),
    ] {
        made(&client, &json!({ "userName": name, "emails": emails })).await;
    }
    for (filter, wanted) in [
        ("emails.primary eq false", vec!["silent", "said", "both"]),
        ("emails[primary eq false]", vec!["silent", "said", "both"]),
        ("emails[primary eq false and type eq \"work\"]", vec!["silent", "said", "both"]),
        ("emails[primary eq false and type eq \"home\"]", vec![]),
        ("emails[primary ne true]", vec!["silent", "said", "both"]),
        ("emails[primary ne false]", vec!["one", "both"]),
        ("emails.primary eq true", vec!["one", "both"]),
        ("emails.primary ne false", vec!["nobody", "one"]),
        ("not (emails.primary eq false)", vec!["nobody", "one"]),
    ] {
        let found = client.find("/Users", filter).await;
        let found: Vec<&str> = found.iter().filter_map(|user| user["userName"].as_str()).collect();
        assert_eq!(found, wanted, "{filter}");
    }
    let id = client.find("/Users", "userName eq \"both\"").await[0]["id"].clone();
    let patch = patch_body(json!([{ "op": "remove", "path": "emails[primary eq false]" }]));
    let path = format!("/Users/{}", id.as_str().expect("an id"));
    let left = client.patch(&path, &patch).await.expect(200).body["emails"].clone();
    assert_eq!(left, json!([{ "value": "b@x.example", "type": "home", "primary": true }]));
}

async fn binary_values_have_no_order(app: TestApp) {
    let client = app.scim();
    for attribute in ["x509Certificates.value", "active", "emails.primary"] {
        for operator in ["gt", "ge", "lt", "le"] {
            let value = if attribute == "x509Certificates.value" { "\"QUJD\"" } else { "true" };
            let body = json!({ "filter": format!("{attribute} {operator} {value}") });
            let answer = client.post("/Users/.search", &body).await;
            answer.expect_error(400, Some("invalidFilter"));
        }
    }
}

async fn filters_go_by_the_schemas_in_use(app: TestApp) {
    let client = app.scim();
    made(&client, &json!({ "userName": "plain" })).await;
    made(&client, &json!({ "userName": "ann", ENTERPRISE: { "department": "R&D" } })).await;
    let by_schema = format!("schemas eq \"{ENTERPRISE}\"");
    let found = client.find("/Users", &by_schema).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["userName"], "ann");
    assert_eq!(client.find("/Users", &format!("schemas eq \"{USER}\"")).await.len(), 2);
}

async fn attributes_are_chosen_by_the_urn_of_their_extension(app: TestApp) {
    let client = app.scim();
    let (path, all) = made(
        &client,
        &json!({
            "userName": "ann", "title": "x",
            ENTERPRISE: { "department": "R&D", "division": "D", "manager": { "value": "1" } },
        }),
    )
    .await;
    let get = async |query: String| client.get(&format!("{path}?{query}")).await.expect(200).body;
    for urn in [ENTERPRISE.to_owned(), ENTERPRISE.to_uppercase()] {
        let one = get(format!("attributes={urn}:department")).await;
        assert_eq!(one[ENTERPRISE], json!({ "department": "R&D" }), "{urn}");
        assert_eq!((one.get("title"), &one["id"]), (None, &all["id"]));
        let whole = get(format!("attributes={urn}")).await;
        assert_eq!(whole[ENTERPRISE], all[ENTERPRISE]);
    }
    let without =
        get(format!("excludedAttributes={ENTERPRISE}:manager.value,{ENTERPRISE}:division")).await;
    assert_eq!(without[ENTERPRISE]["department"], "R&D");
    assert_eq!(without[ENTERPRISE].get("division"), None);
    assert_eq!(without["title"], "x");
    let none = get(format!("excludedAttributes={ENTERPRISE}")).await;
    assert_eq!(none.get(ENTERPRISE), None);
}

async fn discovery_ignores_the_parameters_of_queries(app: TestApp) {
    let client = app.scim();
    let parameters = "startIndex=2&count=1&sortBy=id&sortOrder=descending&attributes=id";
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        let all = client.get(path).await.expect(200).body;
        let asked = client.get(&format!("{path}?{parameters}")).await.expect(200).body;
        assert_eq!(asked, all, "{path}");
    }
}

async fn messages_are_no_schemas(app: TestApp) {
    let client = app.scim();
    let prefix = "urn:ietf:params:scim:api:";
    for schema in
        client.get("/Schemas").await.expect(200).body["Resources"].as_array().expect("schemas")
    {
        assert!(!schema["id"].as_str().expect("a URN").starts_with(prefix));
    }
    for message in ["Error", "ListResponse", "PatchOp", "SearchRequest", "BulkRequest"] {
        let path = format!("/Schemas/{prefix}messages:2.0:{message}");
        client.get(&path).await.expect_error(404, None);
    }
    let list = client.get("/Users").await.expect(200).body;
    assert_eq!(list["schemas"], json!([format!("{prefix}messages:2.0:ListResponse")]));
}

async fn every_resource_type_leads_to_its_schemas(app: TestApp) {
    let client = app.scim();
    let described = async |urn: &Value| {
        let urn = urn.as_str().expect("a URN");
        let schema = client.get(&format!("/Schemas/{urn}")).await.expect(200).body;
        assert_eq!(schema["id"], urn);
        for text in ["name", "description"] {
            assert!(schema[text].as_str().is_some_and(|text| !text.is_empty()), "{urn} {text}");
        }
    };
    let types = client.get("/ResourceTypes").await.expect(200).body["Resources"].clone();
    for kind in types.as_array().expect("resource types") {
        for text in ["name", "description", "endpoint"] {
            assert!(kind[text].as_str().is_some_and(|text| !text.is_empty()), "{kind} {text}");
        }
        described(&kind["schema"]).await;
        for extension in kind["schemaExtensions"].as_array().into_iter().flatten() {
            assert!(extension["required"].is_boolean());
            described(&extension["schema"]).await;
        }
        let endpoint = kind["endpoint"].as_str().expect("an endpoint");
        client.get(endpoint).await.expect(200);
    }
}

async fn every_schema_in_use_is_served(app: TestApp) {
    /// Everything in the document has a place in the attributes of its schema.
    fn described(what: &str, document: &Value, attributes: &Value) {
        for (name, value) in document.as_object().expect("an object") {
            // The schema of schemas describes sub-attributes of sub-attributes only by itself.
            if name == "subAttributes" && what.ends_with(": attributes: subAttributes") {
                continue;
            }
            let named = |attribute: &&Value| attribute["name"] == name.as_str();
            let attribute = attributes.as_array().expect("attributes").iter().find(named);
            let attribute = attribute.unwrap_or_else(|| panic!("{what}: {name} is not described"));
            assert_eq!(value.is_array(), attribute["multiValued"] == true, "{what}: {name}");
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            for value in values.iter().filter(|value| value.is_object()) {
                described(&format!("{what}: {name}"), value, &attribute["subAttributes"]);
            }
        }
    }
    let client = app.scim();
    made(&client, &json!({ "schemas": [USER], "userName": "a", ENTERPRISE: { "division": "X" } }))
        .await;
    client.post("/Groups", &json!({ "displayName": "Admins" })).await.expect(201);
    let mut documents = vec![client.get("/ServiceProviderConfig").await.expect(200).body];
    for list in ["/ResourceTypes", "/Schemas", "/Users", "/Groups"] {
        let list = client.get(list).await.expect(200).body["Resources"].clone();
        documents.extend(list.as_array().expect("resources").iter().cloned());
    }
    assert_eq!(documents.len(), 1 + 2 + 6 + 1 + 1);
    let mut seen = Vec::new();
    for document in documents {
        let urns = document["schemas"].as_array().expect("schemas").clone();
        for urn in &urns {
            let urn = urn.as_str().expect("a URN").to_owned();
            let schema = client.get(&format!("/Schemas/{urn}")).await.expect(200).body;
            assert_eq!(schema["id"], urn.as_str());
            let mut document = document.clone();
            let object = document.as_object_mut().expect("an object");
            if urn == ENTERPRISE {
                document = object[ENTERPRISE].clone();
            } else {
                // `schemas` and the common attributes are in no schema (RFC 7643 section 3.1).
                let id = schema["attributes"].to_string().contains("\"name\":\"id\"");
                object.retain(|name, _| {
                    !matches!(name.as_str(), "schemas" | "meta" | ENTERPRISE)
                        && (id || name != "id")
                });
            }
            described(&urn, &document, &schema["attributes"]);
            seen.push(urn);
        }
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6, "{seen:?}");
}

async fn nothing_complex_is_inside_a_complex_attribute(app: TestApp) {
    let schemas = app.scim().get("/Schemas").await.expect(200).body["Resources"].clone();
    let mut seen = 0;
    for schema in schemas.as_array().expect("schemas") {
        // The attribute `attributes` of the schema of schemas may (RFC 7643 section 7).
        if schema["id"] == "urn:ietf:params:scim:schemas:core:2.0:Schema" {
            continue;
        }
        for attribute in schema["attributes"].as_array().expect("attributes") {
            for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
                seen += 1;
                assert_ne!(sub["type"], "complex", "{attribute}");
            }
        }
    }
    assert!(seen > 40);
}

async fn the_configuration_is_complete(app: TestApp) {
    let config = app.scim().get("/ServiceProviderConfig").await.expect(200).body;
    assert_eq!(
        config["schemas"],
        json!(["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"])
    );
    for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
        assert!(config[feature]["supported"].is_boolean(), "{feature}");
    }
    for limit in ["/bulk/maxOperations", "/bulk/maxPayloadSize", "/filter/maxResults"] {
        assert!(config.pointer(limit).is_some_and(Value::is_u64), "{limit}");
    }
    let schemes = config["authenticationSchemes"].as_array().expect("schemes");
    assert!(!schemes.is_empty());
    for scheme in schemes {
        for text in ["type", "name", "description"] {
            assert!(scheme[text].as_str().is_some_and(|text| !text.is_empty()), "{text}");
        }
    }
}

async fn a_password_is_nowhere_in_the_store(app: TestApp) {
    let client = app.scim();
    let secret = "c0rrect-h0rse-battery";
    let body = json!({ "userName": "ann", "title": "kept-as-it-is", "password": secret });
    let (path, _) = made(&client, &body).await;
    client.put(&path, &body).await.expect(200);
    let patch = patch_body(json!([
        { "op": "replace", "path": "password", "value": secret },
        { "op": "add", "value": { "password": secret, "nickName": "A" } },
    ]));
    let answer = client.patch(&path, &patch).await.expect(200);
    assert!(!answer.text.contains(secret));
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("copy.db");
    let file = copy.clone();
    app.db.read(move |conn| backup::write(conn, &file)).await.expect("a copy");
    let bytes = std::fs::read(copy).expect("the copy");
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("kept-as-it-is"), "the copy is of this store");
    assert!(!holds(secret));
}

async fn without_a_version_the_newest_is_meant(app: TestApp) {
    let client = app.scim();
    let (path, made) = made(&client, &json!({ "userName": "ann" })).await;
    let unversioned = app.unversioned();
    assert_eq!(unversioned.get(&path).await.expect(200).body, made);
    let found = unversioned.find("/Users", "userName eq \"ann\"").await;
    assert_eq!(found, [made]);
    unversioned.get("").await.expect(200);
    unversioned.get("/Users/").await.expect(200);
    unversioned.get("/Nothing").await.expect_error(404, None);
    for version in ["v1", "v3", "v2.1", "v20"] {
        unversioned.get(&format!("/{version}/Users")).await.expect_error(404, None);
    }
    app.anonymous().get("/scim/Users").await.expect_error(401, None);
    app.anonymous().get("/v2/Users").await.expect_error(404, None);
}

async fn plain_json_is_answered_as_such(app: TestApp) {
    let client = app.scim();
    let (path, _) = made(&client, &json!({ "userName": "ann" })).await;
    for (accept, kind) in [
        ("application/json", "application/json"),
        ("application/scim+json", "application/scim+json"),
        ("*/*", "application/scim+json"),
        ("text/html", "application/scim+json"),
    ] {
        for path in [path.as_str(), "/Users", "/Users/nobody", "/ServiceProviderConfig"] {
            let request = client.request("GET", path).header("accept", accept);
            let answer = client.send(request).await;
            assert_eq!(answer.header("content-type"), Some(kind), "{accept} {path}");
            assert!(answer.body.is_object());
        }
    }
}

async fn the_configuration_is_for_everybody(app: TestApp) {
    let theirs = app.scim().get("/ServiceProviderConfig").await.expect(200).body;
    let path = "/scim/v2/ServiceProviderConfig";
    assert_eq!(app.anonymous().get(path).await.expect(200).body, theirs);
    let stranger = app.with_token("nonsense");
    assert_eq!(stranger.get("/ServiceProviderConfig").await.expect(200).body, theirs);
    for path in ["/Schemas", "/ResourceTypes"] {
        stranger.get(path).await.expect_error(401, None);
    }
}

async fn a_token_is_long_and_random(app: TestApp) {
    let mut tokens = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let (_, token) = app.new_token("default").await;
        let secret = token.strip_prefix("muster_scim_").expect("a token of ours").to_owned();
        // 256 bits in base64.
        assert_eq!(secret.len(), 43, "{secret}");
        assert!(tokens.insert(secret));
    }
    let starts: std::collections::BTreeSet<&str> =
        tokens.iter().filter_map(|token| token.get(..4)).collect();
    assert!(starts.len() > 15, "they have nothing in common: {starts:?}");
}

async fn an_address_is_comparable_without_its_version(app: TestApp) {
    let client = app.scim();
    let manager = json!({ "value": "5", "$ref": "https://example.com/v1/Users/5" });
    let (path, ann) =
        made(&client, &json!({ "userName": "ann", ENTERPRISE: { "manager": manager } })).await;
    let member = json!({ "displayName": "Team", "members": [{ "value": ann["id"] }] });
    let group = client.post("/Groups", &member).await.expect(201);
    let base = format!("{}/scim", app.base_url);
    for version in ["", "/v1", "/v2"] {
        for (endpoint, filter) in [
            ("/Groups", format!("members.$ref eq \"{base}{version}{path}\"")),
            ("/Groups", format!("members[$ref eq \"{base}{version}{path}\" and value pr]")),
            ("/Users", format!("groups.$ref eq \"{base}{version}/Groups/{}\"", group.id())),
            (
                "/Users",
                format!("{ENTERPRISE}:manager.$ref eq \"https://example.com{version}/Users/5\""),
            ),
        ] {
            assert_eq!(client.find(endpoint, &filter).await.len(), 1, "{filter}");
            assert_eq!(client.find(endpoint, &format!("not ({filter})")).await.len(), 0);
        }
    }
    let elsewhere = format!("members.$ref eq \"https://example.com{path}\"");
    assert_eq!(client.find("/Groups", &elsewhere).await.len(), 0);
}

async fn one_name_is_one_user_however_it_is_written(app: TestApp) {
    let client = app.scim();
    let composed = "Jos\u{e9}@Example.com";
    let (path, ann) = made(&client, &json!({ "userName": composed })).await;
    assert_eq!(ann["userName"], composed, "a name is kept as it was sent");
    let (other, _) = made(&client, &json!({ "userName": "other" })).await;
    for same in [
        "jose\u{301}@example.com",
        "JOSE\u{301}@EXAMPLE.COM",
        "jos\u{e9}\u{ff20}example.com",
        "\u{ff2a}os\u{e9}@example.com",
    ] {
        let body = json!({ "userName": same });
        client.post("/Users", &body).await.expect_error(409, Some("uniqueness"));
        client.put(&other, &body).await.expect_error(409, Some("uniqueness"));
        for filter in [
            format!("userName eq \"{same}\""),
            format!("userName sw \"{}\"", same.split('@').next().expect("a name")),
            format!("not (userName ne \"{same}\") and userName co \"{same}\""),
        ] {
            let found = client.find("/Users", &filter).await;
            assert_eq!(found.len(), 1, "{filter}");
            assert_eq!(found[0]["id"], ann["id"]);
        }
        // The user may be called so, and is the same user still.
        let renamed = client.put(&path, &body).await.expect(200).body;
        assert_eq!((&renamed["userName"], &renamed["id"]), (&json!(same), &ann["id"]));
    }
    // Pages by cursor go by the name as it is compared.
    for name in ["jose\u{301}a", "jose\u{301}b", "\u{ff4a}osf"] {
        made(&client, &json!({ "userName": name })).await;
    }
    let mut listed = Vec::new();
    let mut cursor = Some(String::new());
    while let Some(at) = cursor {
        let page = client.get(&format!("/Users?sortBy=userName&count=1&cursor={at}")).await;
        let page = page.expect(200).body;
        listed.push(page["Resources"][0]["userName"].as_str().expect("a name").to_owned());
        cursor = page["nextCursor"].as_str().map(str::to_owned);
    }
    assert_eq!(listed.len(), 5, "{listed:?}");
    for different in ["jose@example.com", "jos\u{e9}"] {
        assert_eq!(client.find("/Users", &format!("userName eq \"{different}\"")).await.len(), 0);
    }
    made(&client, &json!({ "userName": "jose@example.com" })).await;
}
