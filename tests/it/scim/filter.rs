//! Filters in the store against filters in memory, on random people, groups and filters.
//!
//! The evaluator is the oracle: for every filter, the resources that the server finds are those
//! among all resources that `muster::scim::filter::matches` selects.

use std::sync::Arc;

use muster::scim::condition::own_version;
use muster::scim::filter::{self, Expression, Literal, Operator};
use muster::scim::path::AttrPath;
use muster::scim::quirks::Quirks;
use muster::scim::schema::{Attribute, AttributeType, Registry, ResourceType, Returned};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Number, Value, json};

use super::random::{BASE64, TEXTS, TIMES, URIS, extensions, number};
use crate::support::{Case, ScimClient, TestApp, cases, patch_body, schema_cases, schema_folder};

/// With the schemas of `tests/fixtures/schemas`.
pub const EXTENDED: &[Case] = schema_cases![
    the_store_finds_the_extended_users_that_the_evaluator_selects,
    the_store_finds_the_extended_groups_that_the_evaluator_selects,
];

pub const CASES: &[Case] = cases![
    the_store_finds_the_users_that_the_evaluator_selects,
    the_store_finds_the_groups_that_the_evaluator_selects,
    the_lookups_of_clients_find_what_they_should,
    a_hostile_filter_is_refused_and_the_server_lives,
    a_filter_at_the_limits_is_answered,
    an_inactive_user_is_found,
];

/// Filters tried in each case.
const FILTERS: usize = 300;

async fn the_store_finds_the_users_that_the_evaluator_selects(app: TestApp) {
    let registry = Registry::builtin().expect("schemas");
    let client = app.scim();
    populate(&client).await;
    compare(&client, "/Users", registry.user()).await;
}

async fn the_store_finds_the_groups_that_the_evaluator_selects(app: TestApp) {
    let registry = Registry::builtin().expect("schemas");
    let client = app.scim();
    populate(&client).await;
    compare(&client, "/Groups", registry.group()).await;
}

async fn the_store_finds_the_extended_users_that_the_evaluator_selects(app: TestApp) {
    let registry = muster::schemas::registry(Some(&schema_folder())).expect("schemas");
    let client = app.scim();
    populate_with(&client, &registry).await;
    compare(&client, "/Users", registry.user()).await;
}

async fn the_store_finds_the_extended_groups_that_the_evaluator_selects(app: TestApp) {
    let registry = muster::schemas::registry(Some(&schema_folder())).expect("schemas");
    let client = app.scim();
    populate_with(&client, &registry).await;
    compare(&client, "/Groups", registry.group()).await;
}

/// Random users and groups, some users inactive.
pub(super) async fn populate(client: &ScimClient) {
    populate_with(client, &Registry::builtin().expect("schemas")).await;
}

/// Random users and groups, with what the schemas add to them.
pub(super) async fn populate_with(client: &ScimClient, registry: &Registry) {
    let mut runner = TestRunner::default();
    let (users, groups) = (extensions(registry.user()), extensions(registry.group()));
    let mut ids = Vec::new();
    for number in 0..25 {
        let mut user = user().new_tree(&mut runner).expect("a user").current();
        let name = user["userName"].as_str().unwrap_or_default().to_owned();
        user["userName"] = format!("{name}{number}").into();
        user["externalId"] = format!("x{number}").into();
        let extended = users.new_tree(&mut runner).expect("extensions").current();
        user.as_object_mut().expect("an object").extend(extended);
        ids.push(client.post("/Users", &user).await.expect(201).id());
    }
    for number in 0..12 {
        let members = prop::sample::subsequence(ids.clone(), 0..6);
        let members = members.new_tree(&mut runner).expect("members").current();
        let name = text().new_tree(&mut runner).expect("a name").current();
        let mut group = json!({
            "displayName": format!("{name}{number}"),
            "members": members.iter().map(|id| json!({ "value": id })).collect::<Vec<_>>(),
        });
        if number % 2 == 0 {
            group["externalId"] = format!("g{number}").into();
        }
        let extended = groups.new_tree(&mut runner).expect("extensions").current();
        group.as_object_mut().expect("an object").extend(extended);
        client.post("/Groups", &group).await.expect(201);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(TEXTS.to_vec()).prop_map(str::to_owned)
}

fn user() -> impl Strategy<Value = Value> {
    let element = (text(), prop::option::of(text()), any::<bool>());
    let elements = prop::collection::vec(element, 0..3)
        .prop_map(|elements| {
            let mut primary = true;
            let element = |(value, kind, flag): (String, Option<String>, bool)| {
                let first = std::mem::take(&mut primary);
                let mut element = json!({ "value": value });
                if let Some(kind) = kind {
                    element["type"] = kind.into();
                }
                if flag {
                    element["primary"] = first.into();
                }
                element
            };
            elements.into_iter().map(element).collect::<Value>()
        })
        .boxed();
    let optional = || prop::option::of(text());
    (
        text(),
        (optional(), optional(), optional(), optional()),
        (elements.clone(), elements.clone(), elements),
        any::<bool>(),
        (optional(), optional()),
    )
        .prop_map(|(name, names, many, active, enterprise)| {
            let manager = enterprise.1.map(|value| json!({ "value": value }));
            json!({
                "userName": name,
                "name": { "givenName": names.0, "familyName": names.1 },
                "displayName": names.2,
                "title": names.3,
                "profileUrl": "https://example.com/Ann",
                "emails": many.0,
                "phoneNumbers": many.1,
                "roles": many.2,
                "x509Certificates": [{ "value": "QUJD" }],
                "addresses": [{ "locality": name, "type": "work" }],
                "active": active,
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
                    "department": enterprise.0,
                    "manager": manager,
                },
            })
        })
}

/// Asks the server and the evaluator the same filters.
async fn compare(client: &ScimClient, path: &str, resource_type: &Arc<ResourceType>) {
    let all = client.get(&format!("{path}?count=1000")).await.expect(200).body;
    let mut all: Vec<Value> = all["Resources"].as_array().expect("resources").clone();
    for resource in &mut all {
        // A filter is about the resource's own version.
        let version = resource["meta"]["version"].as_str().expect("a version");
        resource["meta"]["version"] = own_version(version).into();
    }
    assert!(all.len() >= 12);
    let texts: Vec<String> = all
        .iter()
        .flat_map(|resource| {
            let own = ["id", "externalId"].map(|key| resource[key].as_str());
            let member = resource.pointer("/members/0/value").and_then(Value::as_str);
            let group = resource.pointer("/groups/0/value").and_then(Value::as_str);
            let place = resource.pointer("/meta/location").and_then(Value::as_str);
            let created = resource.pointer("/meta/created").and_then(Value::as_str);
            own.into_iter().chain([member, group, place, created]).flatten()
        })
        .map(str::to_owned)
        .collect();
    let mut known = Known { texts, numbers: vec![Number::from(1)] };
    for resource in &all {
        collect_numbers(resource, &mut known.numbers);
    }
    let strategy = expression(resource_type, &known);
    let mut runner = TestRunner::default();
    let mut hits = 0;
    for _ in 0..FILTERS {
        let mut tree = strategy.new_tree(&mut runner).expect("a filter");
        let mut difference = disagreement(client, path, resource_type, &all, &tree.current()).await;
        hits += usize::from(difference.is_none());
        if difference.is_some() {
            // The smallest filter that still differs tells the most.
            while tree.simplify() {
                match disagreement(client, path, resource_type, &all, &tree.current()).await {
                    Some(smaller) => difference = Some(smaller),
                    None if !tree.complicate() => break,
                    None => {}
                }
            }
        }
        assert!(difference.is_none(), "{}", difference.unwrap_or_default());
    }
    assert_eq!(hits, FILTERS);
}

/// What resources hold, for filters that find some.
struct Known {
    texts: Vec<String>,
    numbers: Vec<Number>,
}

fn collect_numbers(value: &Value, numbers: &mut Vec<Number>) {
    match value {
        Value::Number(number) => numbers.push(number.clone()),
        Value::Array(values) => {
            for value in values {
                collect_numbers(value, numbers);
            }
        }
        Value::Object(members) => {
            for value in members.values() {
                collect_numbers(value, numbers);
            }
        }
        _ => {}
    }
}

async fn disagreement(
    client: &ScimClient,
    path: &str,
    resource_type: &Arc<ResourceType>,
    all: &[Value],
    expression: &Expression,
) -> Option<String> {
    let checked = filter::check(expression, resource_type, &mut Quirks::default())
        .unwrap_or_else(|error| panic!("{expression}: {error}"));
    let selected: Vec<&Value> = all
        .iter()
        .filter(|resource| filter::matches(&checked, resource.as_object().expect("a resource")))
        .map(|resource| &resource["id"])
        .collect();
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("filter", &expression.to_string())
        .append_pair("count", "1000")
        .finish();
    let answer = client.get(&format!("{path}?{query}")).await;
    if answer.status != 200 {
        return Some(format!("{expression} answered {} {}", answer.status, answer.text));
    }
    let found = answer.body["Resources"].as_array().cloned().unwrap_or_default();
    let found: Vec<&Value> = found.iter().map(|resource| &resource["id"]).collect();
    (found != selected || answer.body["totalResults"] != selected.len()).then(|| {
        format!("{expression}: the store finds {found:?}, the evaluator selects {selected:?}")
    })
}

/// A filter that fits the schema.
fn expression(resource_type: &Arc<ResourceType>, known: &Known) -> BoxedStrategy<Expression> {
    let mut terms: Vec<BoxedStrategy<Expression>> = Vec::new();
    for (extension, attribute) in resource_type.attributes() {
        // What is returned on request alone is not in the answers that the evaluator is given.
        if !is_shown(attribute) {
            continue;
        }
        let path = AttrPath {
            urn: extension.map(ToString::to_string),
            name: attribute.name.clone(),
            sub: None,
        };
        terms.push(Just(Expression::Present(path.clone())).boxed());
        if attribute.is_complex() {
            let mut inner = Vec::new();
            for sub in attribute.sub_attributes.iter().filter(|sub| is_shown(sub)) {
                let dotted = AttrPath { sub: Some(sub.name.clone()), ..path.clone() };
                terms.extend(element_filter(&dotted, sub, known));
                terms.push(term(dotted, sub, known));
                let alone = AttrPath { urn: None, name: sub.name.clone(), sub: None };
                inner.push(term(alone, sub, known));
            }
            let value_path = logic(prop::strategy::Union::new(inner).boxed(), 2)
                .prop_map(move |inner| Expression::ValuePath {
                    path: path.clone(),
                    filter: Box::new(inner),
                })
                .boxed();
            terms.push(value_path);
        } else {
            terms.extend(element_filter(&path, attribute, known));
            terms.push(term(path, attribute, known));
        }
    }
    logic(prop::strategy::Union::new(terms).boxed(), 3)
}

fn is_shown(attribute: &Attribute) -> bool {
    !matches!(attribute.returned, Returned::Never | Returned::Request)
}

/// A value path for an attribute whose values are no objects: each is its own `value`.
fn element_filter(
    path: &AttrPath,
    attribute: &Attribute,
    known: &Known,
) -> Option<BoxedStrategy<Expression>> {
    if !attribute.multi_valued {
        return None;
    }
    let alone = AttrPath { urn: None, name: "value".to_owned(), sub: None };
    let inner = logic(term(alone, attribute, known), 2);
    let path = path.clone();
    let value_path =
        move |inner| Expression::ValuePath { path: path.clone(), filter: Box::new(inner) };
    Some(inner.prop_map(value_path).boxed())
}

fn logic(term: BoxedStrategy<Expression>, depth: u32) -> BoxedStrategy<Expression> {
    term.prop_recursive(depth, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::And),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expression::Or),
            inner.prop_map(|inner| Expression::Not(Box::new(inner))),
        ]
    })
    .boxed()
}

/// A comparison of one attribute, or the question whether it is there.
fn term(path: AttrPath, attribute: &Attribute, known: &Known) -> BoxedStrategy<Expression> {
    let (operators, literals): (&[Operator], BoxedStrategy<Literal>) = match attribute.kind {
        AttributeType::Boolean => {
            (&[Operator::Eq, Operator::Ne], any::<bool>().prop_map(Literal::Boolean).boxed())
        }
        AttributeType::DateTime => (
            &[Operator::Eq, Operator::Ne, Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le],
            prop::sample::select(TIMES.to_vec())
                .prop_map(|time| Literal::String(time.to_owned()))
                .boxed(),
        ),
        AttributeType::Binary => (
            &[Operator::Eq, Operator::Ne],
            prop::sample::select(BASE64.to_vec())
                .prop_map(|text| Literal::String(text.to_owned()))
                .boxed(),
        ),
        AttributeType::Integer | AttributeType::Decimal => (
            &[Operator::Eq, Operator::Ne, Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le],
            prop_oneof![number(), prop::sample::select(known.numbers.clone())]
                .prop_map(Literal::Number)
                .boxed(),
        ),
        _ => (
            &Operator::ALL,
            prop_oneof![
                4 => text(),
                1 => prop::sample::select(URIS.to_vec()).prop_map(str::to_owned),
                2 => prop::sample::select(known.texts.clone()),
                1 => "[aAåÅßsS%_'\"\\\\ ]{0,2}",
            ]
            .prop_map(Literal::String)
            .boxed(),
        ),
    };
    let operators = operators.to_vec();
    let (null, present) = (path.clone(), path.clone());
    prop_oneof![
        8 => (prop::sample::select(operators), literals)
            .prop_map(move |(op, value)| Expression::Compare { path: path.clone(), op, value }),
        1 => prop::sample::select(vec![Operator::Eq, Operator::Ne])
            .prop_map(move |op| Expression::Compare { path: null.clone(), op, value: Literal::Null }),
        1 => Just(Expression::Present(present)),
    ]
    .boxed()
}

async fn the_lookups_of_clients_find_what_they_should(app: TestApp) {
    let client = app.scim();
    let user = json!({
        "userName": "Ann+O'Neil@Example.com",
        "externalId": "00uA",
        "emails": [{ "value": "ann@example.com", "type": "work" }, { "value": "a@home.example" }],
    });
    let id = client.post("/Users", &user).await.expect(201).id();
    for filter in [
        r#"userName eq "ann+o'neil@EXAMPLE.com""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "Ann+O'Neil@Example.com""#,
        r#"externalId eq "00uA""#,
        "externalId eq 00uA",
        r#"emails.value eq "ANN@example.com""#,
        r#"emails eq "ann@example.com""#,
        r#"emails[type eq "work"].value eq "ann@example.com""#,
        r#"emails[type eq "work" and value sw "ann"]"#,
        "externalId eq \"00uA\" and active eq true",
        r#"schemas eq "urn:ietf:params:scim:schemas:core:2.0:User""#,
        r#"meta.resourceType eq "User" and meta.created gt "2020-01-01T00:00:00Z""#,
    ] {
        let found = client.find("/Users", filter).await;
        assert_eq!(found.len(), 1, "{filter}");
        assert_eq!(found[0]["id"], id.as_str(), "{filter}");
    }
    for filter in
        [r#"externalId eq "00ua""#, r#"emails[type eq "home"].value eq "ann@example.com""#]
    {
        assert!(client.find("/Users", filter).await.is_empty(), "{filter}");
    }
    // OneLogin writes a space as a plus, and ends the query with an ampersand.
    let answer = client.get("/Users?filter=externalId+eq+%2200uA%22&").await.expect(200);
    assert_eq!(answer.body["totalResults"], 1);
    let by_id = format!("id eq \"{id}\"");
    assert_eq!(client.find("/Users", &by_id).await.len(), 1);
}

async fn a_hostile_filter_is_refused_and_the_server_lives(app: TestApp) {
    let client = app.scim();
    for filter in [
        format!("{}title pr{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}title pr{}", "not(".repeat(1500), ")".repeat(1500)),
        vec!["title pr"; 800].join(" or "),
        "[".repeat(4000),
        format!("userName eq \"{}\"", "x".repeat(9000)),
        "userName eq \"\\ud800\"".to_owned(),
        "userName eq \"\\u0000\"".to_owned(),
        "userName eq \"x\" or 1=1 --".to_owned(),
        "'; DROP TABLE users; --".to_owned(),
        "userName eq 1e400".to_owned(),
        "password eq \"x\"".to_owned(),
        String::from("emails[type eq \"work\"][value pr]"),
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &filter)
            .finish();
        let start = filter.get(..40).unwrap_or(&filter).to_owned();
        let answer = client.get(&format!("/Users?{query}")).await;
        assert_eq!(answer.status, 400, "{start} answered {}", answer.text);
        answer.expect_error(400, Some("invalidFilter"));
    }
    client.get("/Users").await.expect(200);
}

async fn a_filter_at_the_limits_is_answered(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let deep = format!("{}userName pr{}", "(".repeat(32), ")".repeat(32));
    assert_eq!(client.find("/Users", &deep).await.len(), 1);
    let negated = format!("{}userName pr{}", "not(".repeat(32), ")".repeat(32));
    assert_eq!(client.find("/Users", &negated).await.len(), 1);
    let or = vec!["title pr"; 511].join(" or ") + " or id pr";
    assert_eq!(client.find("/Users", &or).await.len(), 1);
    // A value path and what stands in its brackets count as a term each.
    let paths = vec!["emails[value pr]"; 256].join(" or ");
    let nested = format!("{}{paths}{}", "not(".repeat(31), ")".repeat(31));
    assert_eq!(client.find("/Users", &nested).await.len(), 1);
}

async fn an_inactive_user_is_found(app: TestApp) {
    // Else the client would create the user again, and be refused.
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    client.patch(&format!("/Users/{id}"), &off).await.expect(200);
    let found = client.find("/Users", "userName eq \"ann\"").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["active"], false);
}
