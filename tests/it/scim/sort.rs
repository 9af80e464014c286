//! Sorting (RFC 7644 section 3.4.2.3): the store's order against the order of the keys in memory.

use std::sync::Arc;

use muster::scim::schema::{Attribute, Registry, ResourceType, Returned};
use muster::scim::sort::{self, Order};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::filter::{populate, populate_with};
use crate::support::{Case, ScimClient, TestApp, cases, schema_cases};

pub const EXTENDED: &[Case] = schema_cases![
    extended_users_come_in_the_order_of_every_attribute,
    extended_groups_come_in_the_order_of_every_attribute,
];

pub const CASES: &[Case] = cases![
    users_come_in_the_order_of_every_attribute,
    groups_come_in_the_order_of_every_attribute,
    users_and_groups_come_in_one_order,
    the_primary_value_counts,
    what_has_no_value_comes_last,
    a_search_sorts_too,
    what_has_no_order_is_refused,
];

/// Every attribute that a list can be sorted by, with what has to be asked for to see the whole of
/// it: some attributes are returned on request only.
fn sortable(resource_type: &ResourceType) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for (extension, attribute) in resource_type.attributes() {
        let is_membership = ["groups", "members"].contains(&attribute.name.as_str());
        if attribute.returned == Returned::Never || is_membership {
            continue;
        }
        let prefix = extension.map(|urn| format!("{urn}:")).unwrap_or_default();
        let name = format!("{prefix}{}", attribute.name);
        let is_single =
            |sub: &&Arc<Attribute>| sub.returned != Returned::Never && !sub.multi_valued;
        let subs = attribute.sub_attributes.iter().filter(is_single);
        let parts: Vec<String> = subs.map(|sub| format!("{name}.{}", sub.name)).collect();
        let whole = if parts.is_empty() { name.clone() } else { parts.join(",") };
        if !attribute.is_complex() || attribute.sub_attribute("value").is_some() {
            names.push((name, whole.clone()));
        }
        names.extend(parts.into_iter().map(|part| (part, whole.clone())));
    }
    names
}

fn query(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn ids(body: &Value) -> Vec<String> {
    let resources = body["Resources"].as_array().expect("resources");
    resources.iter().map(|resource| resource["id"].as_str().expect("an id").to_owned()).collect()
}

/// The ids in the order of the keys, the smaller id first among equals; all of it the other way
/// round in descending order.
fn sorted(resources: &[(&Order, &Value)]) -> Vec<String> {
    let mut keyed: Vec<_> = resources
        .iter()
        .map(|(order, resource)| {
            let key = order.key(resource.as_object().expect("a resource"));
            (key, resource["id"].as_str().expect("an id").to_owned())
        })
        .collect();
    keyed.sort_by(|left, right| left.0.compare(&right.0).then_with(|| left.1.cmp(&right.1)));
    if resources.first().is_some_and(|(order, _)| order.descending) {
        keyed.reverse();
    }
    keyed.into_iter().map(|(_, id)| id).collect()
}

/// Asks for the list at once, by index and by cursor, forwards and backwards.
async fn check(client: &ScimClient, path: &str, (by, order): (&str, &str), expected: &[String]) {
    let size = (1..expected.len() + 2).new_tree(&mut TestRunner::default()).expect("a size");
    let size = size.current().to_string();
    let asked = [("sortBy", by), ("sortOrder", order), ("attributes", "id")];
    let page = async |more: &[(&str, &str)]| {
        let all = [&asked[..], more].concat();
        client.get(&format!("{path}?{}", query(&all))).await.expect(200).body
    };
    assert_eq!(ids(&page(&[("count", "1000")]).await), expected, "{by} {order}");
    let mut found = Vec::new();
    while found.len() < expected.len() {
        let start = (found.len() + 1).to_string();
        let body = page(&[("startIndex", &start), ("count", &size)]).await;
        assert!(!ids(&body).is_empty());
        found.extend(ids(&body));
    }
    assert_eq!(found, expected, "{by} {order} by index, {size} at a time");
    let mut body = page(&[("cursor", ""), ("count", &size)]).await;
    let mut pages = vec![ids(&body)];
    while let Some(next) = body["nextCursor"].as_str() {
        body = page(&[("cursor", next), ("count", &size)]).await;
        pages.push(ids(&body));
    }
    assert_eq!(pages.concat(), expected, "{by} {order} by cursor, {size} at a time");
    let mut back = pages.pop().into_iter().collect::<Vec<_>>();
    while let Some(previous) = body["previousCursor"].as_str() {
        body = page(&[("cursor", previous), ("count", &size)]).await;
        back.insert(0, ids(&body));
    }
    assert_eq!(back.concat(), expected, "{by} {order} backwards, {size} at a time");
}

async fn all(client: &ScimClient, path: &str) -> Vec<Value> {
    let body = client.get(&format!("{path}?count=1000")).await.expect(200).body;
    body["Resources"].as_array().expect("resources").clone()
}

async fn every_order(client: &ScimClient, path: &str, resource_type: &Arc<ResourceType>) {
    for (by, whole) in sortable(resource_type) {
        let shown = query(&[("count", "1000"), ("attributes", &whole)]);
        let body = client.get(&format!("{path}?{shown}")).await.expect(200).body;
        let resources = body["Resources"].as_array().expect("resources").clone();
        for direction in ["ascending", "descending"] {
            let orders = sort::orders([resource_type], Some(&by), Some(direction));
            let [order] = orders.expect("sortable").expect("an order");
            let keyed: Vec<_> = resources.iter().map(|resource| (&order, resource)).collect();
            check(client, path, (&by, direction), &sorted(&keyed)).await;
        }
    }
}

async fn users_come_in_the_order_of_every_attribute(app: TestApp) {
    let registry = Registry::builtin().expect("schemas");
    populate(&app.scim()).await;
    every_order(&app.scim(), "/Users", registry.user()).await;
}

async fn groups_come_in_the_order_of_every_attribute(app: TestApp) {
    let registry = Registry::builtin().expect("schemas");
    populate(&app.scim()).await;
    every_order(&app.scim(), "/Groups", registry.group()).await;
}

async fn extended_users_come_in_the_order_of_every_attribute(app: TestApp) {
    populate_with(&app.scim(), &app.registry).await;
    assert!(
        sortable(app.registry.user()).iter().any(|(name, _)| name.contains(":acme:")),
        "the extension is among the attributes"
    );
    every_order(&app.scim(), "/Users", app.registry.user()).await;
}

async fn extended_groups_come_in_the_order_of_every_attribute(app: TestApp) {
    populate_with(&app.scim(), &app.registry).await;
    every_order(&app.scim(), "/Groups", app.registry.group()).await;
}

async fn users_and_groups_come_in_one_order(app: TestApp) {
    let registry = Registry::builtin().expect("schemas");
    let client = app.scim();
    populate(&client).await;
    let (users, groups) = (all(&client, "/Users").await, all(&client, "/Groups").await);
    let types: [&ResourceType; 2] = [registry.user(), registry.group()];
    for by in ["displayName", "userName", "meta.lastModified", "meta.resourceType", "active", "id"]
    {
        for direction in ["ascending", "descending"] {
            let orders = sort::orders(types, Some(by), Some(direction));
            let [of_users, of_groups] = orders.expect("sortable").expect("an order");
            let mut keyed: Vec<_> = users.iter().map(|user| (&of_users, user)).collect();
            keyed.extend(groups.iter().map(|group| (&of_groups, group)));
            check(&client, "", (by, direction), &sorted(&keyed)).await;
        }
    }
}

async fn the_primary_value_counts(app: TestApp) {
    let client = app.scim();
    for (name, emails) in [
        ("a", json!([{ "value": "z@x.example" }, { "value": "m@x.example", "primary": true }])),
        ("b", json!([{ "value": "N@x.example" }, { "value": "a@x.example" }])),
        ("c", json!([{ "value": "b@x.example", "primary": true }])),
        ("d", json!([])),
    ] {
        let user = json!({ "userName": name, "emails": emails });
        client.post("/Users", &user).await.expect(201);
    }
    let names = async |order: &str| {
        let query = query(&[("sortBy", "emails"), ("sortOrder", order)]);
        let body = client.get(&format!("/Users?{query}")).await.expect(200).body;
        let users = body["Resources"].as_array().expect("users").clone();
        users.iter().map(|user| user["userName"].as_str().expect("a name").to_owned()).collect()
    };
    let ascending: String = names("ascending").await;
    assert_eq!(ascending, "cabd");
    let descending: String = names("descending").await;
    assert_eq!(descending, "dbac");
}

async fn what_has_no_value_comes_last(app: TestApp) {
    let client = app.scim();
    for (name, title) in [("a", None), ("b", Some("Z")), ("c", Some("y"))] {
        let user = json!({ "userName": name, "title": title });
        client.post("/Users", &user).await.expect(201);
    }
    let first = async |order: &str| {
        let path = format!("/Users?sortBy=title&sortOrder={order}&count=1");
        client.get(&path).await.expect(200).body["Resources"][0]["userName"].clone()
    };
    assert_eq!(first("ascending").await, "c");
    assert_eq!(first("").await, "c", "ascending is the default");
    assert_eq!(first("descending").await, "a");
}

async fn a_search_sorts_too(app: TestApp) {
    let client = app.scim();
    for name in ["b", "C", "a"] {
        client.post("/Users", &json!({ "userName": name })).await.expect(201);
    }
    for path in ["/.search", "/Users/.search"] {
        let search = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "sortBy": "userName",
            "sortOrder": "descending",
        });
        let body = client.post(path, &search).await.expect(200).body;
        let users = body["Resources"].as_array().expect("users");
        let names: Vec<_> = users.iter().map(|user| user["userName"].clone()).collect();
        assert_eq!(names, ["C", "b", "a"], "{path}");
    }
}

async fn what_has_no_order_is_refused(app: TestApp) {
    let client = app.scim();
    for path in ["/Users", "/Groups", ""] {
        for by in ["nonsense", "groups", "members", "password", "name", "meta", "urn:x:y"] {
            let query = query(&[("sortBy", by)]);
            let detail = client
                .get(&format!("{path}?{query}"))
                .await
                .expect_error(400, Some("invalidValue"));
            assert!(detail.contains(by), "{detail}");
        }
        let path = format!("{path}?sortBy=id&sortOrder=up");
        client.get(&path).await.expect_error(400, Some("invalidValue"));
    }
}
