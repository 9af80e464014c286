//! Immutable attributes (RFC 7643 section 7): once a value is set, it stays.
//!
//! A sub-attribute of an attribute with several values is immutable within its element: elements
//! come and go, so a PUT may list others. What a PATCH does inside an element is seen to where it
//! is done.

use serde_json::{Map, Value};

use crate::scim::error::{ScimError, ScimResult};
use crate::scim::schema::{Attribute, Mutability, ResourceType};
use crate::scim::value::{conforms, is_same};

/// What becomes of an immutable value that the new document does not have.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Omitted {
    Stays,
    IsRefused,
}

/// The new document of a PUT, with the immutable values that it leaves out.
///
/// # Errors
/// `mutability` for a value that is another one.
pub(super) fn carried(
    resource_type: &ResourceType,
    old: &Map<String, Value>,
    mut new: Map<String, Value>,
) -> ScimResult<Map<String, Value>> {
    each_container(resource_type, old, &mut new, Omitted::Stays)?;
    Ok(new)
}

/// Keeps the immutable values of a resource that a PATCH has changed as they are.
///
/// # Errors
/// `mutability` for a value that is another one or has gone.
pub(super) fn keep(
    resource_type: &ResourceType,
    old: &Map<String, Value>,
    new: &mut Map<String, Value>,
) -> ScimResult<()> {
    each_container(resource_type, old, new, Omitted::IsRefused)
}

fn each_container(
    resource_type: &ResourceType,
    old: &Map<String, Value>,
    new: &mut Map<String, Value>,
    omitted: Omitted,
) -> ScimResult<()> {
    for attribute in &resource_type.schema.attributes {
        hold(attribute, &attribute.name, old, new, omitted)?;
    }
    for extension in &resource_type.extensions {
        let urn = extension.urn.as_ref();
        let Some(Value::Object(old)) = old.get(urn) else { continue };
        let mut values = match new.get(urn) {
            Some(Value::Object(values)) => values.clone(),
            _ => Map::new(),
        };
        for attribute in &extension.schema.attributes {
            let name = format!("{urn}:{}", attribute.name);
            hold(attribute, &name, old, &mut values, omitted)?;
        }
        if !values.is_empty() {
            new.insert(urn.to_owned(), values.into());
        }
    }
    Ok(())
}

fn hold(
    attribute: &Attribute,
    name: &str,
    old: &Map<String, Value>,
    new: &mut Map<String, Value>,
    omitted: Omitted,
) -> ScimResult<()> {
    let holds =
        is_immutable(attribute) || attribute.sub_attributes.iter().any(|sub| is_immutable(sub));
    if !holds {
        return Ok(());
    }
    // What was stored under another schema, and does not fit this one, is no value.
    let before = old.get(&attribute.name).filter(|value| conforms(attribute, value));
    let Some(before) = before else { return Ok(()) };
    if is_immutable(attribute) {
        let is_held = match new.get(&attribute.name) {
            Some(after) => is_same(attribute, before, after),
            None => omitted == Omitted::Stays,
        };
        if !is_held {
            return Err(changed(name));
        }
        new.insert(attribute.name.clone(), before.clone());
        return Ok(());
    }
    let Value::Object(before) = before else { return Ok(()) };
    let mut after = match new.get(&attribute.name) {
        Some(Value::Object(after)) => after.clone(),
        _ => Map::new(),
    };
    for sub in &attribute.sub_attributes {
        hold(sub, &format!("{name}.{}", sub.name), before, &mut after, omitted)?;
    }
    if !after.is_empty() {
        new.insert(attribute.name.clone(), after.into());
    }
    Ok(())
}

/// Whether a value of the attribute, once set, stays.
pub(in crate::scim) fn is_immutable(attribute: &Attribute) -> bool {
    attribute.mutability == Mutability::Immutable
}

/// The refusal to change what is immutable.
pub(in crate::scim) fn changed(name: &str) -> ScimError {
    ScimError::mutability(format!(
        "'{name}' is immutable: it has a value, which cannot be changed or removed"
    ))
}
