//! Resource documents: what a client may write of a resource, in canonical form.
//!
//! A [`Document`] holds the client's attributes alone. What the server says of a resource (`id`,
//! `meta`, a user's `groups`, a group's `members`) is never in it.

pub(super) mod immutable;
mod required;
mod unseen;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::error::{ScimError, ScimResult};
use super::quirks::{Quirk, Quirks};
use super::schema::{Attribute, AttributeType, ResourceType, Returned, Uniqueness};
use super::value;

/// Longest value, in bytes, of an attribute that resources are looked up by. PostgreSQL takes at
/// most 2,704 bytes into an index entry; folding case can make text half as long again.
pub const MAX_KEY_LENGTH: usize = 1024;

/// A resource as its client wrote it: canonical names, checked types, schema order.
#[derive(Debug, Clone, Default)]
pub struct Document {
    map: Map<String, Value>,
    /// Full names of what the client has set to nothing, where that is not the same as to leave it
    /// out.
    cleared: BTreeSet<String>,
}

/// Documents are the same if their attributes are.
impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        self.map == other.map
    }
}

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
        let mut noted = Noted::default();
        let mut document = Self::read(resource_type, body, quirks, &mut noted)?;
        required::refuse(&required::missing(resource_type, &document.map, &noted.dropped))?;
        document.cleared = noted.cleared;
        Ok(document)
    }

    /// Reads what a token says of a person, which need not have what an extension requires of a
    /// client.
    ///
    /// # Errors
    /// As for [`Document::from_body`], required attributes aside.
    pub fn from_profile(resource_type: &ResourceType, body: Value) -> ScimResult<Self> {
        Self::read(resource_type, body, &mut Quirks::default(), &mut Noted::default())
    }

    fn read(
        resource_type: &ResourceType,
        body: Value,
        quirks: &mut Quirks,
        noted: &mut Noted,
    ) -> ScimResult<Self> {
        let Value::Object(body) = body else {
            return Err(ScimError::no_object());
        };
        let mut map = Map::with_capacity(body.len());
        let mut known_schema = false;
        for (key, value) in body {
            if key.eq_ignore_ascii_case("schemas") {
                known_schema = names_schema(resource_type, &value);
            } else if let Some(extension) = resource_type.extension(&key) {
                let Value::Object(object) = value else {
                    if value == "" {
                        quirks.note(Quirk::EmptyText);
                    }
                    if value == "" || value::is_unassigned(&value) {
                        noted.cleared.insert(extension.urn.to_string());
                        continue;
                    }
                    return Err(ScimError::invalid_value(format!("'{key}' must be an object")));
                };
                let mut extended = Map::with_capacity(object.len());
                for (name, value) in object {
                    if let Some(attribute) = extension.schema.attribute(&name) {
                        let full_name = format!("{}:{}", extension.urn, attribute.name);
                        keep(&mut extended, attribute, value, &full_name, quirks, noted)?;
                    }
                }
                map.insert(extension.urn.to_string(), extended.into());
            } else if let Some(attribute) = resource_type.core_attribute(&key) {
                keep(&mut map, attribute, value, &attribute.name, quirks, noted)?;
            }
        }
        if !known_schema {
            quirks.note(Quirk::ForeignSchemas);
        }
        Self::from_stored(map).finish(resource_type, quirks)
    }

    /// The document that a PUT makes of `old`: of what it leaves out, immutable values stay, and
    /// what the client has not seen.
    ///
    /// "If one or more values are already set for the attribute, the input value(s) MUST match"
    /// (RFC 7644 section 3.5.1); only attributes that are readWrite may be cleared by omission.
    ///
    /// # Errors
    /// `mutability` for an immutable value that is another one, `invalidValue` where what stays
    /// makes an extension present whose required attributes are left out.
    pub fn replacing(self, resource_type: &ResourceType, old: &Self) -> ScimResult<Self> {
        let carried = unseen::carried(resource_type, &old.map, self.map.clone(), &self.cleared);
        let carried = immutable::carried(resource_type, &old.map, carried)?;
        if carried == self.map {
            return Ok(self);
        }
        let document = Self::from_stored(carried).finish(resource_type, &mut Quirks::default())?;
        let before = required::missing(resource_type, &self.map, &BTreeSet::new());
        let after = required::missing(resource_type, &document.map, &BTreeSet::new());
        required::refuse(&after.difference(&before).cloned().collect())?;
        Ok(document)
    }

    /// The document that a PATCH has made of `old`, once it is seen to that it may.
    ///
    /// # Errors
    /// `mutability` for an immutable value that has changed, `invalidValue` for a required
    /// attribute that has gone. One that was missing before keeps nobody from changing others.
    /// `dropped` are the full names of attributes that are given a value which is not kept.
    pub(super) fn patched(
        self,
        resource_type: &ResourceType,
        old: &Self,
        dropped: &BTreeSet<String>,
        quirks: &mut Quirks,
    ) -> ScimResult<Self> {
        let mut document = self.finish(resource_type, quirks)?;
        immutable::keep(resource_type, &old.map, &mut document.map)?;
        let before = required::missing(resource_type, &old.map, &BTreeSet::new());
        let after = required::missing(resource_type, &document.map, dropped);
        required::refuse(&after.difference(&before).cloned().collect())?;
        Ok(document)
    }

    /// Takes back a document that was stored.
    pub fn from_stored(map: Map<String, Value>) -> Self {
        Self { map, cleared: BTreeSet::new() }
    }

    /// The attributes.
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.map
    }

    /// The attributes, for the modules that build documents; [`Document::finish`] comes after.
    pub(super) fn as_map_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.map
    }

    /// The attributes, given away.
    pub fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// A top-level text attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.map.get(name).and_then(Value::as_str)
    }

    /// The `value` of each element of a multi-valued attribute.
    pub fn element_values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let elements = self.map.get(name).and_then(Value::as_array);
        elements.into_iter().flatten().filter_map(|element| element.get("value")?.as_str())
    }

    /// Whether the user may use the application; `None` where the document does not say.
    pub fn active(&self) -> Option<bool> {
        self.map.get("active").and_then(Value::as_bool)
    }

    /// The same document with `active` set.
    #[must_use]
    pub fn with_active(mut self, active: bool) -> Self {
        self.map.insert("active".to_owned(), active.into());
        self
    }

    /// Puts the attributes into schema order, renews `schemas`, and has each element once.
    ///
    /// # Errors
    /// `invalidValue` for an over-long key or too many elements.
    fn finish(mut self, resource_type: &ResourceType, quirks: &mut Quirks) -> ScimResult<Self> {
        if self.text("externalId") == Some("") {
            quirks.note(Quirk::EmptyExternalId);
            self.map.shift_remove("externalId");
        }
        let mut ordered = Map::with_capacity(self.map.len() + 1);
        let mut schemas = vec![Value::from(resource_type.schema.id.as_str())];
        let assigned =
            |urn: &str| self.map.get(urn).is_some_and(|value| !value::is_unassigned(value));
        schemas.extend(
            resource_type
                .extensions
                .iter()
                .filter(|extension| extension.required || assigned(&extension.urn))
                .map(|extension| Value::from(extension.urn.as_ref())),
        );
        ordered.insert("schemas".to_owned(), schemas.into());
        let core = resource_type.common.attributes.iter().chain(&resource_type.schema.attributes);
        for attribute in core.filter(|attribute| attribute.name != "schemas") {
            let value =
                self.map.shift_remove(&attribute.name).and_then(|v| presentable(attribute, v));
            if let Some(value) = value {
                check_key_length(attribute, &attribute.name, &value)?;
                ordered.insert(attribute.name.clone(), distinct(attribute, value)?);
            }
        }
        for extension in &resource_type.extensions {
            let Some(Value::Object(mut values)) = self.map.shift_remove(extension.urn.as_ref())
            else {
                continue;
            };
            let mut kept = Map::with_capacity(values.len());
            for attribute in &extension.schema.attributes {
                let value =
                    values.shift_remove(&attribute.name).and_then(|v| presentable(attribute, v));
                if let Some(value) = value {
                    let full_name = format!("{}:{}", extension.urn, attribute.name);
                    check_key_length(attribute, &full_name, &value)?;
                    kept.insert(attribute.name.clone(), distinct(attribute, value)?);
                }
            }
            if !kept.is_empty() {
                ordered.insert(extension.urn.to_string(), kept.into());
            }
        }
        Ok(Self { map: ordered, cleared: self.cleared })
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

/// What reading a body leaves out of the document.
#[derive(Default)]
struct Noted {
    /// Full names of attributes that have a value which is not kept.
    dropped: BTreeSet<String>,
    /// Full names of what is set to nothing.
    cleared: BTreeSet<String>,
}

impl Noted {
    /// Notes what a value sets to nothing.
    fn note_cleared(&mut self, attribute: &Attribute, value: &Value, name: &str) {
        if value::is_unassigned(value) || value::is_empty_text(attribute, value) {
            self.cleared.insert(name.to_owned());
        }
        let Value::Object(object) = value else { return };
        for (key, value) in object {
            if let Some(sub) = attribute.sub_attribute(key) {
                self.note_cleared(sub, value, &format!("{name}.{}", sub.name));
            }
        }
    }
}

fn keep(
    map: &mut Map<String, Value>,
    attribute: &Attribute,
    value: Value,
    name: &str,
    quirks: &mut Quirks,
    noted: &mut Noted,
) -> ScimResult<()> {
    // Read-only attributes are ignored on POST and PUT (RFC 7644 sections 3.3 and 3.5.1).
    if attribute.is_read_only() {
        return Ok(());
    }
    noted.note_cleared(attribute, &value, name);
    let coerced = value::coerce(attribute, value, name, quirks)?;
    // What is never returned is never kept either: the password is checked and dropped, since
    // people sign in at their provider.
    if attribute.returned == Returned::Never {
        if coerced.is_some() {
            noted.dropped.insert(name.to_owned());
        }
        return Ok(());
    }
    match coerced {
        Some(value) => map.insert(attribute.name.clone(), value),
        None => map.shift_remove(&attribute.name),
    };
    Ok(())
}

/// What is kept of a value; nothing of what is never returned, or was stored under another schema
/// and does not fit this one.
fn presentable(attribute: &Attribute, mut value: Value) -> Option<Value> {
    let is_secret = |attribute: &Attribute| attribute.returned == Returned::Never;
    if is_secret(attribute) || !value::conforms(attribute, &value) {
        return None;
    }
    if attribute.sub_attributes.iter().any(|sub| is_secret(sub)) {
        let objects = match &mut value {
            Value::Array(elements) => elements.as_mut_slice(),
            single => std::slice::from_mut(single),
        };
        for object in objects.iter_mut().filter_map(Value::as_object_mut) {
            object.retain(|name, _| !attribute.sub_attribute(name).is_some_and(|s| is_secret(s)));
        }
    }
    (!value::is_unassigned(&value)).then_some(value)
}

/// The attributes that resources are looked up by, and those that are unique.
fn is_key(attribute: &Attribute, name: &str) -> bool {
    let is_unique = |attribute: &Attribute| attribute.uniqueness != Uniqueness::None;
    matches!(name, "userName" | "externalId" | "displayName" | "emails")
        || is_unique(attribute)
        || attribute.sub_attribute("value").is_some_and(|value| is_unique(value))
}

fn check_key_length(attribute: &Attribute, name: &str, value: &Value) -> ScimResult<()> {
    let too_long = |text: &str| text.len() > MAX_KEY_LENGTH;
    let value_of = |element: &Value| match attribute.kind {
        AttributeType::Complex => element.get("value")?.as_str().map(too_long),
        _ => element.as_str().map(too_long),
    };
    let exceeds = is_key(attribute, name)
        && match value {
            Value::Array(elements) => elements.iter().filter_map(value_of).any(|is| is),
            single => value_of(single).unwrap_or_default(),
        };
    if exceeds {
        return Err(ScimError::invalid_value(format!(
            "'{name}' must not be longer than {MAX_KEY_LENGTH} bytes"
        )));
    }
    Ok(())
}

/// Multi-valued attributes hold each value once (RFC 7643 section 2.4).
fn distinct(attribute: &Attribute, value: Value) -> ScimResult<Value> {
    let Value::Array(elements) = value else { return Ok(value) };
    value::check_count(&elements, &attribute.name)?;
    Ok(Value::Array(value::distinct(attribute, elements)))
}
