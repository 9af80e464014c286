//! What targets have in common: schemas with every kind of attribute, a user, a group, and what is
//! true of every document.

use std::sync::LazyLock;

use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use muster::scim::schema::{Attribute, Registry, ResourceType, Returned, SchemaFile};
use serde_json::{Map, Value, json};

/// The schemas of the program and two extensions, which between them have an attribute of every type,
/// mutability and rule of being returned.
pub static REGISTRY: LazyLock<Registry> = LazyLock::new(registry);

/// A registry of one's own with the same schemas.
pub fn registry() -> Registry {
    let file = |name: &str, text: &str| SchemaFile { name: name.to_owned(), text: text.to_owned() };
    Registry::load(&[
        file("acme-user.json", include_str!("../../tests/fixtures/schemas/acme-user.json")),
        file("acme-group.json", include_str!("../../tests/fixtures/schemas/acme-group.json")),
    ])
    .expect("the schemas of the tests")
}

/// The URN of the extension of users.
pub const ACME: &str = "urn:example:params:scim:schemas:extension:acme:2.0:User";

/// A user with something of everything.
pub static USER: LazyLock<Document> = LazyLock::new(|| {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann@example.com",
        "externalId": "00u1",
        "name": {"givenName": "Ann", "familyName": "Lee"},
        "emails": [
            {"value": "ann@example.com", "type": "work", "primary": true},
            {"value": "ann@home.example", "type": "home"},
        ],
        "phoneNumbers": [{"value": "+1", "type": "mobile"}],
        "active": true,
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {
            "department": "Ops", "manager": {"value": "26118915-6090-4610-87e4-49d8ca9f808d"},
        },
        ACME: {
            "unit": "Rockets", "origin": "here", "status": "new", "band": "b", "level": 3,
            "hiredAt": "2026-01-31T09:00:00Z", "skills": ["a", "b"],
            "desk": {"building": "1", "series": "s", "note": "n", "name": "d"},
        },
    });
    document(REGISTRY.user(), body)
});

/// A group, without its members, which are no part of the document.
pub static GROUP: LazyLock<Document> = LazyLock::new(|| {
    document(REGISTRY.group(), json!({"displayName": "Tour Guides", "externalId": "g"}))
});

/// Each resource type with the resource of that type.
pub fn resources() -> [(&'static std::sync::Arc<ResourceType>, &'static Document); 2] {
    [(REGISTRY.user(), &USER), (REGISTRY.group(), &GROUP)]
}

fn document(resource_type: &ResourceType, body: Value) -> Document {
    Document::from_body(resource_type, body, &mut Quirks::default()).expect("a resource")
}

/// Holds a document against what is true of all of them: it holds nothing that a client may not
/// write or Muster does not keep, it is the same once it was written out and read back, and it is the
/// same once it was read as a body again.
pub fn assert_canonical(resource_type: &ResourceType, document: &Document) {
    assert_kept(resource_type, document.as_map());
    let text = serde_json::to_string(document.as_map()).expect("a document as JSON");
    let stored: Map<String, Value> = serde_json::from_str(&text).expect("a stored document");
    assert_eq!(&stored, document.as_map(), "what is stored is not what is read");
    let again = Document::from_body(resource_type, stored.into(), &mut Quirks::default());
    let again = again.expect("a document is refused as a body");
    let text_again = serde_json::to_string(again.as_map()).expect("a document as JSON");
    assert_eq!(text, text_again, "a document is not the same when it is read as a body");
}

fn assert_kept(resource_type: &ResourceType, map: &Map<String, Value>) {
    for (name, value) in map {
        if name == "schemas" {
            continue;
        }
        if let Some(extension) = resource_type.extension(name) {
            for (name, value) in value.as_object().expect("an extension is an object") {
                assert_attribute(extension.schema.attribute(name).expect(name), name, value);
            }
        } else {
            assert_attribute(resource_type.core_attribute(name).expect(name), name, value);
        }
    }
}

fn assert_attribute(attribute: &Attribute, name: &str, value: &Value) {
    assert_eq!(attribute.name, name, "a name is not in its canonical spelling");
    assert!(!attribute.is_read_only(), "{name} is read-only");
    assert!(attribute.returned != Returned::Never, "{name} is never kept");
    assert_eq!(value.is_array(), attribute.multi_valued, "{name}");
    assert!(!value.is_null() && *value != json!([]) && *value != json!({}), "{name} is unassigned");
    let objects = match value {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    for object in objects {
        assert_eq!(object.is_object(), attribute.is_complex(), "{name}");
        for (name, value) in object.as_object().into_iter().flatten() {
            assert_attribute(attribute.sub_attribute(name).expect(name), name, value);
        }
    }
}
