//! A body of any JSON is a resource or is refused. A resource is the same once it was stored, read
//! and put back; no body makes it hold what only the server may write, or changes what is immutable.

use std::sync::Arc;

use muster::scim::group::Body;
use muster::scim::patch::PatchPlan;
use muster::scim::projection::Projection;
use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use muster::scim::schema::ResourceType;
use muster::scim::{ScimError, ScimResult};
use serde_json::{Value, json};

use super::known::{ACME, assert_canonical, resources};

/// The body of a POST or PUT.
pub fn run(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return };
    assert_read_alike(data, &body);
    for (resource_type, old) in resources() {
        let Ok(document) = read(resource_type, body.clone()) else { continue };
        assert_canonical(resource_type, &document);
        assert_put_back(resource_type, &document);
        assert_patched(resource_type, &document);
        put(resource_type, old, document);
    }
}

/// A group that is read as it comes is the one that is read from a tree.
fn assert_read_alike(data: &[u8], body: &Value) {
    let [_, (group, _)] = resources();
    let read = |body: Result<Body, ScimError>| {
        let mut quirks = Quirks::default();
        let read = body.and_then(|body| body.read(group, &mut quirks));
        (read, quirks)
    };
    let as_it_comes = serde_json::from_slice(data).map_err(|_| ScimError::no_object());
    assert_eq!(read(as_it_comes), read(Body::of(body.clone())));
}

/// The document of a body, as its endpoint reads it.
fn read(resource_type: &ResourceType, body: Value) -> ScimResult<Document> {
    let quirks = &mut Quirks::default();
    if resource_type.name == "Group" {
        return Ok(Body::of(body)?.read(resource_type, quirks)?.0);
    }
    Document::from_body(resource_type, body, quirks)
}

/// A PUT of the document on another one.
fn put(resource_type: &Arc<ResourceType>, old: &Document, document: Document) {
    let Ok(put) = document.clone().replacing(resource_type, old) else { return };
    assert_canonical(resource_type, &put);
    for pointer in ["origin", "desk/series"] {
        let pointer = format!("/{ACME}/{pointer}");
        let value = |document: &Document| {
            Value::Object(document.as_map().clone()).pointer(&pointer).cloned()
        };
        assert_eq!(value(&put), value(old), "{pointer} is immutable");
    }
    let again = document.replacing(resource_type, &put);
    assert_eq!(again, Ok(put.clone()), "a PUT that comes twice changes something");
    assert_put_back(resource_type, &put);
}

/// "What GET returns can be PUT back as it is, and changes nothing."
fn assert_put_back(resource_type: &Arc<ResourceType>, document: &Document) {
    let mut got = document.as_map().clone();
    got.insert("id".to_owned(), json!("2819c223-7f76-453a-919d-413861904646"));
    got.insert("meta".to_owned(), json!({"resourceType": resource_type.name}));
    let whole = got.clone();
    Projection::all(resource_type).apply(&mut got);
    assert!(got.contains_key("id") && got.contains_key("schemas"), "what is always returned");
    for (name, value) in &got {
        let kept = whole.get(name).expect("a projection adds an attribute");
        assert!(kept.is_object() || name == "schemas" || kept == value || kept.is_array());
    }
    let got = read(resource_type, got.into()).expect("what GET returns is refused");
    let back = got.replacing(resource_type, document);
    assert_eq!(back.as_ref(), Ok(document), "what GET returned, put back, changes something");
}

/// A PATCH that replaces each attribute by itself changes nothing.
fn assert_patched(resource_type: &Arc<ResourceType>, document: &Document) {
    let operation = json!({"op": "replace", "value": document.as_map()});
    let plan = PatchPlan::new(resource_type, json!({"Operations": [operation]}));
    let patched = plan
        .expect("a document is refused as a value")
        .apply(document.clone(), &mut Quirks::default());
    assert_eq!(patched.as_ref(), Ok(document), "a PATCH by itself changes something");
}
