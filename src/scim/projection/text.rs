//! Resources as text: what is stored goes on the wire as it stands, as far as it is shown whole.
//!
//! A page of resources, or a group of a hundred thousand members, would else be made into trees only
//! to be written again.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Result, Value};

use super::{Container, Parts, Projection};
use crate::scim::schema::{Attribute, AttributeType, ResourceType};

/// The text of a resource, and whether its location is part of it.
#[derive(Debug)]
pub struct Shown {
    pub json: Vec<u8>,
    pub has_location: bool,
}

/// What a resource is put together from.
#[derive(Debug)]
pub struct Representation<'a, E> {
    pub id: &'a str,
    /// The attributes that its client gave it, as JSON.
    pub document: &'a str,
    pub meta: Meta<'a>,
    /// The attribute that says what it belongs to, or what belongs to it, and its elements.
    pub related: Option<(&'a str, E)>,
}

/// `meta` (RFC 7643 section 3.1).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta<'a> {
    pub resource_type: &'a str,
    pub created: String,
    pub last_modified: String,
    pub location: Location<'a>,
    pub version: &'a str,
}

/// Another resource, as an element of `groups` or `members`.
#[derive(Debug, Serialize)]
pub struct Related<'a> {
    pub value: &'a str,
    #[serde(rename = "$ref")]
    pub reference: Location<'a>,
    pub display: &'a str,
    #[serde(rename = "type")]
    pub kind: &'a str,
}

/// Where a resource is.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub base_url: &'a str,
    pub endpoint: &'a str,
    pub id: &'a str,
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base_url, endpoint, id } = self;
        write!(f, "{base_url}/{endpoint}/{id}")
    }
}

impl Serialize for Location<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The attributes of an object in their order, as they stand.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name, copied only if it is written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries<'de>, A::Error> {
                let mut entries = Vec::with_capacity(16);
                while let Some((Name(name), value)) = map.next_entry()? {
                    entries.push((name, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// An object that is being written.
struct Object {
    json: Vec<u8>,
}

impl Object {
    fn new() -> Self {
        Self { json: Vec::with_capacity(1024) }
    }

    fn name(&mut self, name: &str) -> Result<()> {
        self.json.push(if self.json.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut self.json, name)?;
        self.json.push(b':');
        Ok(())
    }

    fn write(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        self.name(name)?;
        serde_json::to_writer(&mut self.json, value)
    }

    fn raw(&mut self, name: &str, json: &str) -> Result<()> {
        self.name(name)?;
        self.json.extend_from_slice(json.as_bytes());
        Ok(())
    }

    fn end(mut self) -> Vec<u8> {
        if self.json.is_empty() {
            self.json.push(b'{');
        }
        self.json.push(b'}');
        self.json
    }
}

impl Projection {
    /// The resource as JSON, of what it is put together from: what [`Projection::apply`] makes of
    /// it.
    ///
    /// # Errors
    /// What is stored is no JSON object.
    pub fn write<'r, E>(&self, resource: Representation<'_, E>) -> Result<Shown>
    where
        E: Iterator<Item = Related<'r>>,
    {
        let Entries(entries) = serde_json::from_str(resource.document)?;
        let mut shown = Vec::with_capacity(entries.len());
        for (name, value) in &entries {
            if let Some(text) = self.entry(name, value.get())? {
                shown.push((name.as_ref(), text));
            }
        }
        let core = self.core();
        let parts = |name: &str| {
            let attribute = self.resource_type.core_attribute(name)?;
            core.parts(attribute).map(|parts| (attribute, parts))
        };
        let mut object = Object::new();
        if let Some((_, urns)) = entries.iter().find(|(name, _)| name == "schemas") {
            let is_there = |urn: &str| {
                if self.is_default() {
                    entries.iter().any(|(name, _)| name == urn)
                } else {
                    shown.iter().any(|(name, _)| *name == urn)
                }
            };
            let urns: Vec<Name<'_>> = serde_json::from_str(urns.get())?;
            let known = urns.iter().map(|Name(urn)| urn.as_ref());
            let known: Vec<&str> = known.filter(|urn| self.names(urn, is_there)).collect();
            object.write("schemas", &known)?;
        }
        if parts("id").is_some() {
            object.write("id", &resource.id)?;
        }
        for (name, text) in &shown {
            object.raw(name, text)?;
        }
        if let Some((name, elements)) = resource.related
            && let Some((attribute, parts)) = parts(name)
        {
            write_related(&mut object, &core, (attribute, &parts), elements)?;
        }
        let mut has_location = false;
        if let Some((attribute, parts)) = parts("meta") {
            if matches!(parts, Parts::All) {
                has_location = true;
                object.write("meta", &resource.meta)?;
            } else {
                let mut meta = serde_json::to_value(&resource.meta)?;
                if core.keep(attribute, &mut meta) {
                    has_location = meta.get("location").is_some();
                    object.write("meta", &meta)?;
                }
            }
        }
        Ok(Shown { json: object.end(), has_location })
    }

    /// Whether a schema that a stored resource names is named to the client: one that there is no more
    /// is not.
    fn names(&self, urn: &str, is_there: impl Fn(&str) -> bool) -> bool {
        if urn.eq_ignore_ascii_case(&self.resource_type.schema.id) {
            return true;
        }
        let Some(extension) = self.resource_type.extension(urn) else { return false };
        let may_be_empty = extension.required && self.is_default();
        may_be_empty || is_there(&extension.urn)
    }

    /// What is shown of a stored attribute, or of an extension.
    fn entry<'a>(&self, name: &str, stored: &'a str) -> Result<Option<Cow<'a, str>>> {
        let of: &ResourceType = &self.resource_type;
        if name == "schemas" {
            return Ok(None);
        }
        let Some(extension) = of.extension(name) else {
            let Some(attribute) = of.core_attribute(name) else { return Ok(None) };
            return attribute_text(&self.core(), attribute, stored);
        };
        let Ok(Entries(entries)) = serde_json::from_str(stored) else { return Ok(None) };
        let container = self.extension(&extension.urn);
        let mut object = Object::new();
        for (name, value) in entries {
            let Some(attribute) = extension.schema.attribute(&name) else { continue };
            if let Some(text) = attribute_text(&container, attribute, value.get())? {
                object.raw(&name, &text)?;
            }
        }
        if object.json.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&object.end()).into_owned().into()))
    }
}

/// What is shown of a stored value.
fn attribute_text<'a>(
    container: &Container<'_>,
    attribute: &Attribute,
    stored: &'a str,
) -> Result<Option<Cow<'a, str>>> {
    if container.parts(attribute).is_none() {
        return Ok(None);
    }
    if is_plain(attribute, stored) {
        return Ok(Some(stored.into()));
    }
    let mut value: Value = serde_json::from_str(stored)?;
    if !container.keep(attribute, &mut value) {
        return Ok(None);
    }
    Ok(Some(value.to_string().into()))
}

/// Whether the text is that of a single value of the attribute's type, of which there are no parts.
fn is_plain(attribute: &Attribute, stored: &str) -> bool {
    !attribute.multi_valued
        && match attribute.kind {
            AttributeType::String | AttributeType::Reference => stored.starts_with('"'),
            AttributeType::Boolean => matches!(stored, "true" | "false"),
            _ => false,
        }
}

fn write_related<'r>(
    object: &mut Object,
    core: &Container<'_>,
    (attribute, parts): (&Attribute, &Parts<'_>),
    elements: impl Iterator<Item = Related<'r>>,
) -> Result<()> {
    let (mut was_empty, mut has_any) = (true, false);
    let before = object.json.len();
    object.name(&attribute.name)?;
    object.json.push(b'[');
    for element in elements {
        was_empty = false;
        let start = object.json.len();
        if has_any {
            object.json.push(b',');
        }
        if matches!(parts, Parts::All) {
            serde_json::to_writer(&mut object.json, &element)?;
        } else {
            let mut whole = Value::Array(vec![serde_json::to_value(&element)?]);
            if !core.keep(attribute, &mut whole) {
                object.json.truncate(start);
                continue;
            }
            serde_json::to_writer(&mut object.json, &whole[0])?;
        }
        has_any = true;
    }
    object.json.push(b']');
    if !was_empty && !has_any {
        // Of elements of which nothing is left nothing is left.
        object.json.truncate(before);
    }
    Ok(())
}
