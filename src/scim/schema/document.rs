//! Schemas and resource types as they are served, with every characteristic (RFC 7643 section 7).

use serde_json::{Map, Value, json};

use super::read::{MUTABILITIES, RETURNED, TYPES, UNIQUENESS};
use super::{Attribute, AttributeType, Extension, Schema};

/// The `schemas` value of a schema definition.
pub(super) const SCHEMA_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";
/// The `schemas` value of a resource type.
pub(super) const RESOURCE_TYPE_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";

/// The definition of a schema.
pub(super) fn schema(schema: &Schema) -> Value {
    json!({
        "schemas": [SCHEMA_SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes.iter().map(|a| attribute(a)).collect::<Vec<_>>(),
    })
}

/// A resource type's definition with the extensions that it has.
pub(super) fn resource_type(definition: &Map<String, Value>, extensions: &[Extension]) -> Value {
    let mut definition = definition.clone();
    if !extensions.is_empty() {
        let listed = extensions
            .iter()
            .map(|e| json!({ "schema": e.urn.as_ref(), "required": e.required }))
            .collect();
        definition.insert("schemaExtensions".to_owned(), listed);
    }
    definition.into()
}

fn attribute(attribute: &Attribute) -> Value {
    let mut definition = Map::new();
    let mut put = |name: &str, value: Value| {
        definition.insert(name.to_owned(), value);
    };
    put("name", attribute.name.as_str().into());
    put("type", word(&TYPES, attribute.kind).into());
    put("multiValued", attribute.multi_valued.into());
    put("description", attribute.description.as_str().into());
    put("required", attribute.required.into());
    if !attribute.canonical_values.is_empty() {
        put("canonicalValues", attribute.canonical_values.clone().into());
    }
    put("caseExact", attribute.case_exact.into());
    put("mutability", word(&MUTABILITIES, attribute.mutability).into());
    put("returned", word(&RETURNED, attribute.returned).into());
    put("uniqueness", word(&UNIQUENESS, attribute.uniqueness).into());
    if attribute.kind == AttributeType::Reference {
        put("referenceTypes", attribute.reference_types.clone().into());
    }
    if attribute.is_complex() {
        let subs = attribute.sub_attributes.iter().map(|sub| self::attribute(sub)).collect();
        put("subAttributes", subs);
    }
    definition.into()
}

/// The keyword of a characteristic; each value has one.
fn word<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}
