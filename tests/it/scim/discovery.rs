//! `/ServiceProviderConfig`, `/Schemas`, `/ResourceTypes`.

use serde_json::{Value, json};

use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    the_configuration_says_what_is_true,
    schemas_are_served_one_by_one_and_as_a_list,
    every_attribute_has_all_its_characteristics,
    resource_types_are_served_one_by_one_and_as_a_list,
    discovery_takes_no_filter,
];

async fn the_configuration_says_what_is_true(app: TestApp) {
    let config = app.scim().get("/ServiceProviderConfig").await.expect(200).body;
    assert_eq!(config["patch"], json!({ "supported": true }));
    assert_eq!(config["filter"], json!({ "supported": true, "maxResults": 1000 }));
    assert_eq!(config["changePassword"], json!({ "supported": false }));
    assert_eq!(config["sort"], json!({ "supported": true }));
    assert_eq!(config["etag"], json!({ "supported": true }));
    assert_eq!(config["authenticationSchemes"][0]["type"], "oauthbearertoken");
}

async fn schemas_are_served_one_by_one_and_as_a_list(app: TestApp) {
    let client = app.scim();
    let list = client.get("/Schemas").await.expect(200).body;
    assert_eq!(list["totalResults"], 6);
    for schema in list["Resources"].as_array().expect("schemas") {
        let id = schema["id"].as_str().expect("a URN");
        let one = client.get(&format!("/Schemas/{id}")).await.expect(200).body;
        assert_eq!(&one, schema);
        let location = format!("{}/scim/v2/Schemas/{id}", app.base_url);
        assert_eq!(one["meta"], json!({ "resourceType": "Schema", "location": location }));
        assert!(!one.to_string().contains("null"));
    }
    client.get("/Schemas/urn:none").await.expect_error(404, None);
}

async fn every_attribute_has_all_its_characteristics(app: TestApp) {
    fn check(attribute: &Value) {
        for name in [
            "name",
            "type",
            "multiValued",
            "description",
            "required",
            "caseExact",
            "mutability",
            "returned",
            "uniqueness",
        ] {
            assert!(attribute.get(name).is_some(), "{attribute} has no {name}");
        }
        let complex = attribute["type"] == "complex";
        assert_eq!(attribute.get("subAttributes").is_some(), complex, "{attribute}");
        for sub in attribute["subAttributes"].as_array().into_iter().flatten() {
            check(sub);
        }
    }
    let list = app.scim().get("/Schemas").await.expect(200).body;
    for schema in list["Resources"].as_array().expect("schemas") {
        schema["attributes"].as_array().expect("attributes").iter().for_each(check);
    }
}

async fn resource_types_are_served_one_by_one_and_as_a_list(app: TestApp) {
    let client = app.scim();
    let list = client.get("/ResourceTypes").await.expect(200).body;
    assert_eq!(list["totalResults"], 2);
    for (name, endpoint) in [("User", "/Users"), ("Group", "/Groups")] {
        let one = client.get(&format!("/ResourceTypes/{name}")).await.expect(200).body;
        assert_eq!(one["endpoint"], endpoint);
        assert!(list["Resources"].as_array().expect("types").contains(&one));
    }
    client.get("/ResourceTypes/Device").await.expect_error(404, None);
}

async fn discovery_takes_no_filter(app: TestApp) {
    for path in ["/Schemas", "/ResourceTypes", "/ServiceProviderConfig"] {
        app.scim().get(&format!("{path}?filter=id%20pr")).await.expect_error(403, None);
    }
}
