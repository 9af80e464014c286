//! Required attributes (RFC 7643 sections 2.2 and 6).
//!
//! An extension's required attributes are so where the extension is there, or where the resource
//! type cannot do without it; a sub-attribute is where its attribute is.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::scim::error::{ScimError, ScimResult};
use crate::scim::schema::{Attribute, ResourceType, Returned};
use crate::scim::value::{conforms, is_unassigned};

/// Refuses a document that lacks the attributes.
///
/// # Errors
/// `invalidValue`, if there are any.
pub(super) fn refuse(missing: &BTreeSet<String>) -> ScimResult<()> {
    let names: Vec<String> = missing.iter().map(|name| format!("'{name}'")).collect();
    match names.as_slice() {
        [] => Ok(()),
        [one] => Err(ScimError::invalid_value(format!("{one} is required and must not be empty"))),
        several => Err(ScimError::invalid_value(format!(
            "{} are required and must not be empty",
            several.join(", ")
        ))),
    }
}

/// The full names of required attributes that have no value. `dropped` are those whose value is
/// there, but never kept.
pub(super) fn missing(
    resource_type: &ResourceType,
    document: &Map<String, Value>,
    dropped: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    let core = resource_type.common.attributes.iter().chain(&resource_type.schema.attributes);
    // The server keeps `schemas` by itself.
    for attribute in core.filter(|attribute| attribute.name != "schemas") {
        look(attribute, document, &attribute.name, dropped, &mut missing);
    }
    let nothing = Map::new();
    for extension in &resource_type.extensions {
        let values = document.get(extension.urn.as_ref()).and_then(Value::as_object);
        let prefix = format!("{}:", extension.urn);
        let is_there = values.is_some_and(|values| !values.is_empty())
            || dropped.iter().any(|name| name.starts_with(&prefix));
        if !is_there && !extension.required {
            continue;
        }
        for attribute in &extension.schema.attributes {
            let name = format!("{prefix}{}", attribute.name);
            look(attribute, values.unwrap_or(&nothing), &name, dropped, &mut missing);
        }
    }
    missing
}

fn look(
    attribute: &Attribute,
    container: &Map<String, Value>,
    name: &str,
    dropped: &BTreeSet<String>,
    missing: &mut BTreeSet<String>,
) {
    if !is_expected(attribute) && !attribute.sub_attributes.iter().any(|sub| is_expected(sub)) {
        return;
    }
    let value = container.get(&attribute.name).filter(|value| conforms(attribute, value));
    if is_expected(attribute) && !dropped.contains(name) && value.is_none_or(is_empty) {
        missing.insert(name.to_owned());
        return;
    }
    let objects = match value {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => return,
    };
    for sub in &attribute.sub_attributes {
        let lacks = |object: &Value| {
            object.get(&sub.name).is_none_or(|value| is_empty(value) || !conforms(sub, value))
        };
        // Whether a value of a sub-attribute that is not kept was there, nobody knows any more.
        let is_kept = sub.returned != Returned::Never;
        if is_expected(sub) && is_kept && objects.iter().any(lacks) {
            missing.insert(format!("{name}.{}", sub.name));
        }
    }
}

/// Whether a client has to give the attribute a value.
fn is_expected(attribute: &Attribute) -> bool {
    attribute.required && !attribute.is_read_only()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.trim().is_empty(),
        value => is_unassigned(value),
    }
}
