//! Resource documents: what a client may write of a resource, in canonical form.
//!
//! A [`Document`] holds the client's attributes alone. What the server says of a resource (`id`,
//! `meta`, a user's `groups`, a group's `members`) is never in it.

use serde_json::{Map, Value};

use super::error::{ScimError, ScimResult};
use super::quirks::{Quirk, Quirks};
use super::schema::{Attribute, AttributeType, ResourceType, Returned};
use super::value;

/// Longest value, in bytes, of an attribute that resources are looked up by. PostgreSQL takes at
/// most 2,704 bytes into an index entry; folding case can make text half as long again.
pub const MAX_KEY_LENGTH: usize = 1024;

/// A resource as its client wrote it: canonical names, checked types, schema order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Document(Map<String, Value>);

impl Document {
    /// Reads the body of a POST or PUT (RFC 7644 sections 3.3 and 3.5.1).
    ///
    /// Unknown and read-only attributes are ignored; unassigned ones are left out.
    ///
    /// # Errors
    /// `invalidSyntax` for a body that is no object, `invalidValue` for a value of the wrong type
    /// or a missing required attribute.
    pub fn from_body(
        resource_type: &ResourceType,
        body: Value,
        quirks: &mut Quirks,
    ) -> ScimResult<Self> {
        let Value::Object(body) = body else {
            return Err(ScimError::invalid_syntax("the body must be a JSON object"));
        };
        let mut map = Map::with_capacity(body.len());
        let mut known_schema = false;
        for (key, value) in body {
            if key.eq_ignore_ascii_case("schemas") {
                known_schema = names_schema(resource_type, &value);
            } else if let Some(extension) = resource_type.extension(&key) {
                let Value::Object(object) = value else {
                    if value::is_unassigned(&value) {
                        continue;
                    }
                    return Err(ScimError::invalid_value(format!("'{key}' must be an object")));
                };
                let mut extended = Map::with_capacity(object.len());
                for (name, value) in object {
                    if let Some(attribute) = extension.schema.attribute(&name) {
                        let full_name = format!("{}:{}", extension.urn, attribute.name);
                        keep(&mut extended, attribute, value, &full_name, quirks)?;
                    }
                }
                map.insert(extension.urn.to_string(), extended.into());
            } else if let Some(attribute) = resource_type.core_attribute(&key) {
                keep(&mut map, attribute, value, &attribute.name, quirks)?;
            }
        }
        if !known_schema {
            quirks.note(Quirk::ForeignSchemas);
        }
        Self(map).finish(resource_type, quirks)
    }

    /// Takes back a document that was stored.
    pub fn from_stored(map: Map<String, Value>) -> Self {
        Self(map)
    }

    /// The attributes.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The attributes, for the modules that build documents; [`Document::finish`] comes after.
    pub(super) fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.0
    }

    /// The attributes, given away.
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }

    /// A top-level text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The `value` of each element of a multi-valued attribute.
    pub fn element_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let elements = self.0.get(name).and_then(Value::as_array);
        elements.into_iter().flatten().filter_map(|element| element.get("value")?.as_str())
    }

    /// Whether the user may use the application; `None` where the document does not say.
    pub fn active(&self) -> Option<bool> {
        self.0.get("active").and_then(Value::as_bool)
    }

    /// The same document with `active` set.
    #[must_use]
    pub fn with_active(mut self, active: bool) -> Self {
        self.0.insert("active".to_owned(), active.into());
        self
    }

    /// Puts the attributes into schema order, renews `schemas`, and checks what concerns the
    /// document as a whole.
    ///
    /// # Errors
    /// `invalidValue` for a missing required attribute or an over-long key.
    pub(super) fn finish(
        mut self,
        resource_type: &ResourceType,
        quirks: &mut Quirks,
    ) -> ScimResult<Self> {
        if self.text("externalId") == Some("") {
            quirks.note(Quirk::EmptyExternalId);
            self.0.shift_remove("externalId");
        }
        let mut ordered = Map::with_capacity(self.0.len() + 1);
        let mut schemas = vec![Value::from(resource_type.schema.id.as_str())];
        let assigned =
            |urn: &str| self.0.get(urn).is_some_and(|value| !value::is_unassigned(value));
        schemas.extend(
            resource_type
                .extensions
                .iter()
                .filter(|extension| extension.required || assigned(&extension.urn))
                .map(|extension| Value::from(extension.urn.as_ref())),
        );
        ordered.insert("schemas".to_owned(), schemas.into());
        let core = resource_type.common.attributes.iter().chain(&resource_type.schema.attributes);
        for attribute in core {
            match self.0.shift_remove(&attribute.name) {
                Some(value) => {
                    check_key_length(attribute, &attribute.name, &value)?;
                    check_required(attribute, Some(&value))?;
                    if attribute.name != "schemas" && !value::is_unassigned(&value) {
                        ordered.insert(attribute.name.clone(), deduplicated(attribute, value)?);
                    }
                }
                None => check_required(attribute, None)?,
            }
        }
        for extension in &resource_type.extensions {
            let Some(Value::Object(mut values)) = self.0.shift_remove(extension.urn.as_ref())
            else {
                continue;
            };
            let mut kept = Map::with_capacity(values.len());
            for attribute in &extension.schema.attributes {
                if let Some(value) = values.shift_remove(&attribute.name)
                    && !value::is_unassigned(&value)
                {
                    kept.insert(attribute.name.clone(), deduplicated(attribute, value)?);
                }
            }
            if !kept.is_empty() {
                ordered.insert(extension.urn.to_string(), kept.into());
            }
        }
        Ok(Self(ordered))
    }
}

fn names_schema(resource_type: &ResourceType, schemas: &Value) -> bool {
    schemas.as_array().is_some_and(|schemas| {
        schemas
            .iter()
            .filter_map(Value::as_str)
            .any(|urn| urn.eq_ignore_ascii_case(&resource_type.schema.id))
    })
}

fn keep(
    map: &mut Map<String, Value>,
    attribute: &Attribute,
    value: Value,
    name: &str,
    quirks: &mut Quirks,
) -> ScimResult<()> {
    // Read-only attributes are ignored on POST and PUT (RFC 7644 sections 3.3 and 3.5.1).
    if attribute.is_read_only() {
        return Ok(());
    }
    let coerced = value::coerce(attribute, value, name, quirks)?;
    // What is never returned is never kept either: the password is checked and dropped, since
    // people sign in at their provider.
    if attribute.returned == Returned::Never {
        return Ok(());
    }
    match coerced {
        Some(value) => map.insert(attribute.name.clone(), value),
        None => map.shift_remove(&attribute.name),
    };
    Ok(())
}

fn check_required(attribute: &Attribute, value: Option<&Value>) -> ScimResult<()> {
    if !attribute.required || attribute.is_read_only() || attribute.name == "schemas" {
        return Ok(());
    }
    let missing = match value {
        None => true,
        Some(Value::String(text)) => text.trim().is_empty(),
        Some(value) => value::is_unassigned(value),
    };
    if missing {
        return Err(ScimError::invalid_value(format!(
            "'{}' is required and must not be empty",
            attribute.name
        )));
    }
    Ok(())
}

/// The attributes that resources are looked up by.
fn is_key(name: &str) -> bool {
    matches!(name, "userName" | "externalId" | "displayName" | "emails")
}

fn check_key_length(attribute: &Attribute, name: &str, value: &Value) -> ScimResult<()> {
    let too_long = |text: &str| text.len() > MAX_KEY_LENGTH;
    let exceeds = is_key(name)
        && match value {
            Value::String(text) => too_long(text),
            Value::Array(elements) if attribute.kind == AttributeType::Complex => {
                elements.iter().filter_map(|element| element.get("value")?.as_str()).any(too_long)
            }
            _ => false,
        };
    if exceeds {
        return Err(ScimError::invalid_value(format!(
            "'{name}' must not be longer than {MAX_KEY_LENGTH} bytes"
        )));
    }
    Ok(())
}

/// Multi-valued attributes hold each value once (RFC 7643 section 2.4).
fn deduplicated(attribute: &Attribute, value: Value) -> ScimResult<Value> {
    let Value::Array(elements) = value else { return Ok(value) };
    value::check_count(&elements, &attribute.name)?;
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        if !kept.contains(&element) {
            kept.push(element);
        }
    }
    Ok(Value::Array(kept))
}
