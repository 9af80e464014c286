//! Values that no two resources may share (RFC 7643 section 7, `uniqueness`).
//!
//! `userName` and a group's `displayName` are not among them: the store has columns for those.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::fold::fold;
use super::schema::{Attribute, ResourceType, Target, Uniqueness};
use super::value::format::plain;

/// An attribute whose values are unique.
#[derive(Debug, Clone, PartialEq)]
pub struct UniqueAttribute {
    /// The full name, schema URN and all.
    pub name: String,
    /// The attribute, or the `value` of its elements.
    pub target: Target,
}

/// The unique attributes of a resource type.
pub fn attributes(resource_type: &ResourceType) -> Vec<UniqueAttribute> {
    let is_unique = |attribute: &Attribute| {
        attribute.uniqueness != Uniqueness::None && !attribute.is_read_only()
    };
    let mut found = Vec::new();
    let core = resource_type.schema.attributes.iter().map(|attribute| (None, attribute));
    let extended = resource_type
        .extensions
        .iter()
        .flat_map(|e| e.schema.attributes.iter().map(move |a| (Some(e.urn.clone()), a)));
    for (extension, attribute) in core.chain(extended) {
        let has_column = extension.is_none() && has_column(resource_type, attribute);
        let sub = match attribute.sub_attribute("value").filter(|value| is_unique(value)) {
            Some(value) if !attribute.is_read_only() => Some(value.clone()),
            _ if is_unique(attribute) && !has_column => None,
            _ => continue,
        };
        let schema = extension.as_deref().unwrap_or(&resource_type.schema.id);
        let below = sub.as_ref().map(|sub| format!(".{}", sub.name)).unwrap_or_default();
        let name = format!("{schema}:{}{below}", attribute.name);
        let target = Target { extension, attribute: attribute.clone(), sub };
        found.push(UniqueAttribute { name, target });
    }
    found
}

/// Whether the store keeps the attribute's values apart by a column.
fn has_column(resource_type: &ResourceType, attribute: &Arc<Attribute>) -> bool {
    matches!(
        (resource_type.name.as_str(), attribute.name.as_str()),
        ("User", "userName") | ("Group", "displayName")
    )
}

/// The unique values of a resource: attribute and value as they compare, and the value as it was
/// written.
pub fn values(
    resource_type: &ResourceType,
    document: &Map<String, Value>,
) -> BTreeMap<(String, String), String> {
    let mut found = BTreeMap::new();
    for UniqueAttribute { name, target } in attributes(resource_type) {
        let container = match &target.extension {
            None => Some(document),
            Some(urn) => document.get(urn.as_ref()).and_then(Value::as_object),
        };
        let elements = match container.and_then(|values| values.get(&target.attribute.name)) {
            Some(Value::Array(elements)) => elements.as_slice(),
            Some(single) => std::slice::from_ref(single),
            None => continue,
        };
        for element in elements {
            let value = match &target.sub {
                None => Some(element),
                Some(sub) => element.get(&sub.name),
            };
            if let Some((key, shown)) = value.and_then(|value| key(target.leaf(), value)) {
                found.insert((name.clone(), key), shown);
            }
        }
    }
    found
}

/// The value as it compares, and as it was written.
fn key(attribute: &Attribute, value: &Value) -> Option<(String, String)> {
    match value {
        Value::String(text) if attribute.case_exact => Some((text.clone(), text.clone())),
        Value::String(text) => Some((fold(text).into_owned(), text.clone())),
        Value::Number(number) => Some((plain(number), number.to_string())),
        _ => None,
    }
}
