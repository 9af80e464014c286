//! What a PUT cannot speak of because the client has not seen it: attributes that are returned on
//! request alone.
//!
//! "Service providers MAY take into account whether or not a client has access to, or understands,
//! all of the resource's attributes when deciding whether non-asserted attributes SHALL be removed
//! or defaulted" (RFC 7644 section 3.5.1). So what a GET returns can be PUT back, and changes
//! nothing. Setting such an attribute to null clears it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::scim::schema::{Attribute, ResourceType};
use crate::scim::value::identity;

/// The new document of a PUT, with what the client has not seen; `cleared` are the full names of
/// what it sets to nothing.
pub(super) fn carried(
    resource_type: &ResourceType,
    old: &Map<String, Value>,
    mut new: Map<String, Value>,
    cleared: &BTreeSet<String>,
) -> Map<String, Value> {
    carry(&resource_type.schema.attributes, "", old, &mut new, cleared);
    for extension in &resource_type.extensions {
        let urn = extension.urn.as_ref();
        let Some(Value::Object(before)) = old.get(urn) else { continue };
        let attributes = &extension.schema.attributes;
        match new.get_mut(urn) {
            Some(Value::Object(after)) => {
                carry(attributes, &format!("{urn}:"), before, after, cleared);
            }
            // An extension that was seen, and is left out, is to go.
            _ if cleared.contains(urn) || is_seen(attributes, before) => {}
            _ => {
                new.insert(urn.to_owned(), before.clone().into());
            }
        }
    }
    new
}

fn carry(
    attributes: &[Arc<Attribute>],
    prefix: &str,
    old: &Map<String, Value>,
    new: &mut Map<String, Value>,
    cleared: &BTreeSet<String>,
) {
    // What is neither returned on request nor has parts is seen as a whole.
    let has_more = |attribute: &Attribute| attribute.is_on_request() || attribute.is_complex();
    for attribute in attributes.iter().filter(|attribute| has_more(attribute)) {
        let Some(before) = old.get(&attribute.name) else { continue };
        let name = format!("{prefix}{}", attribute.name);
        match (before, new.get_mut(&attribute.name)) {
            (_, None) if cleared.contains(&name) || is_value_seen(attribute, before) => {}
            (_, None) => {
                new.insert(attribute.name.clone(), before.clone());
            }
            (Value::Object(before), Some(Value::Object(after))) => {
                carry_parts(attribute, &name, before, after, cleared);
            }
            (Value::Array(before), Some(Value::Array(after)))
                if attribute.has_part_on_request() =>
            {
                carry_elements(attribute, &name, before, after, cleared);
            }
            _ => {}
        }
    }
}

/// Carries what is unseen of each element to the one that has its identity.
fn carry_elements(
    attribute: &Attribute,
    name: &str,
    old: &[Value],
    new: &mut [Value],
    cleared: &BTreeSet<String>,
) {
    // Each identity is made once: a list may be long, and so may what is in it.
    let mut known: HashMap<String, &Map<String, Value>> = HashMap::with_capacity(old.len());
    for element in old {
        if let Value::Object(object) = element {
            known.entry(identity(attribute, element)).or_insert(object);
        }
    }
    for element in new {
        let before = known.get(&identity(attribute, element));
        if let (Some(before), Value::Object(after)) = (before, element) {
            carry_parts(attribute, name, before, after, cleared);
        }
    }
}

fn carry_parts(
    attribute: &Attribute,
    name: &str,
    old: &Map<String, Value>,
    new: &mut Map<String, Value>,
    cleared: &BTreeSet<String>,
) {
    for sub in attribute.sub_attributes.iter().filter(|sub| sub.is_on_request()) {
        if let Some(before) = old.get(&sub.name)
            && !new.contains_key(&sub.name)
            && !cleared.contains(&format!("{name}.{}", sub.name))
        {
            new.insert(sub.name.clone(), before.clone());
        }
    }
}

/// Whether a client that reads the resource sees any of the attributes.
fn is_seen(attributes: &[Arc<Attribute>], values: &Map<String, Value>) -> bool {
    attributes.iter().any(|attribute| {
        values.get(&attribute.name).is_some_and(|value| is_value_seen(attribute, value))
    })
}

fn is_value_seen(attribute: &Attribute, value: &Value) -> bool {
    if attribute.is_on_request() {
        return false;
    }
    let objects = match value {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    let shows =
        |name: &String| attribute.sub_attribute(name).is_some_and(|sub| !sub.is_on_request());
    !attribute.is_complex()
        || objects.iter().filter_map(Value::as_object).any(|object| object.keys().any(shows))
}
