//! Resources as text: what is stored goes on the wire as it stands, as far as it is shown whole.
//!
//! A page of resources, or a group of a hundred thousand members, would else be made into trees only
//! to be written again.

mod whole;

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

/// What a resource is put together from, but for the elements of what is related to it.
#[derive(Debug)]
pub struct Representation<'a> {
    pub id: &'a str,
    /// The attributes that its client gave it, as JSON.
    pub document: &'a str,
    pub meta: Meta<'a>,
    /// The attribute that says what it belongs to, or what belongs to it, and its first element.
    pub related: Option<(&'a str, Option<Related<'a>>)>,
}

/// The text of a resource around the elements of what is related to it, which may be too many to be
/// written at once.
#[derive(Debug)]
pub struct Frame {
    /// The text before the elements.
    pub head: Vec<u8>,
    /// How each of them is written, where they are shown.
    pub elements: Option<Elements>,
    /// The text behind them.
    pub tail: Vec<u8>,
    /// Whether the resource's location is part of it.
    pub has_location: bool,
}

/// The parts of an element that are shown: the same of all.
#[derive(Debug, Clone)]
pub struct Elements {
    value: bool,
    /// What all references begin with, as text of a string that is not ended yet.
    reference: Option<Vec<u8>>,
    display: bool,
    kind: bool,
}

impl Elements {
    /// Appends an element, with the comma before it unless it is the first.
    ///
    /// Written by hand, since there may be a hundred thousand; a test holds it against the library.
    ///
    /// # Errors
    /// None but what memory has.
    pub fn write(&self, json: &mut Vec<u8>, is_first: bool, element: Related<'_>) -> Result<()> {
        if !is_first {
            json.push(b',');
        }
        let mut open = b'{';
        let mut name = |json: &mut Vec<u8>, name: &[u8]| {
            json.push(std::mem::replace(&mut open, b','));
            json.extend_from_slice(name);
        };
        if let Some(value) = element.value.filter(|_| self.value) {
            name(json, b"\"value\":");
            serde_json::to_writer(&mut *json, value)?;
        }
        if let (Some(beginning), Some(Location { id, .. })) = (&self.reference, element.reference) {
            name(json, b"\"$ref\":");
            json.extend_from_slice(beginning);
            let quote = json.len();
            serde_json::to_writer(&mut *json, id)?;
            json.remove(quote);
        }
        if let Some(display) = element.display.filter(|_| self.display) {
            name(json, b"\"display\":");
            serde_json::to_writer(&mut *json, display)?;
        }
        if let Some(kind) = element.kind.filter(|_| self.kind) {
            name(json, b"\"type\":");
            serde_json::to_writer(&mut *json, kind)?;
        }
        if open == b'{' {
            json.push(b'{');
        }
        json.push(b'}');
        Ok(())
    }
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

/// Another resource, as an element of `groups` or `members`, or what is shown of it.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Related<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<&'a str>,
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<Location<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
}

/// Where a resource is.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a> {
    pub base_url: &'a str,
    pub endpoint: &'a str,
    pub id: &'a str,
}

impl Serialize for Location<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        // Put together first: looked through for what has to be escaped once, not in five pieces.
        let Self { base_url, endpoint, id } = self;
        serializer.serialize_str(&[base_url, "/", endpoint, "/", id].concat())
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
    pub fn write<'r>(
        &self,
        resource: &Representation<'_>,
        elements: impl Iterator<Item = Related<'r>>,
    ) -> Result<Shown> {
        let Frame { head: mut json, elements: parts, tail, has_location } = self.frame(resource)?;
        if let Some(parts) = parts {
            for (number, element) in elements.enumerate() {
                parts.write(&mut json, number == 0, element)?;
            }
        }
        json.extend_from_slice(&tail);
        Ok(Shown { json, has_location })
    }

    /// The resource as JSON, but for the elements of what is related to it.
    ///
    /// # Errors
    /// What is stored is no JSON object.
    pub fn frame(&self, resource: &Representation<'_>) -> Result<Frame> {
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
        let mut head = Vec::new();
        let mut elements = None;
        if let Some((name, first)) = &resource.related
            && let Some((attribute, _)) = parts(name)
            && let Some(shown) = shown_parts(&core, attribute, first.as_ref())?
        {
            object.name(&attribute.name)?;
            object.json.push(b'[');
            head = std::mem::replace(&mut object.json, vec![b']']);
            elements = Some(shown);
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
        let mut tail = object.end();
        if elements.is_none() {
            head = std::mem::take(&mut tail);
        }
        Ok(Frame { head, elements, tail, has_location })
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
    let Some(parts) = container.parts(attribute) else { return Ok(None) };
    if is_plain(attribute, stored) || whole::is_whole(container, &parts, attribute, stored) {
        return Ok(Some(stored.into()));
    }
    let mut value: Value = serde_json::from_str(stored)?;
    if !container.keep(attribute, &mut value) {
        return Ok(None);
    }
    Ok(Some(serde_json::to_string(&value)?.into()))
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

/// Which parts are shown of elements like the first; `None` if nothing is.
fn shown_parts(
    core: &Container<'_>,
    attribute: &Attribute,
    first: Option<&Related<'_>>,
) -> Result<Option<Elements>> {
    let mut shown =
        Value::Array(first.map(serde_json::to_value).into_iter().collect::<Result<_>>()?);
    if !core.keep(attribute, &mut shown) {
        return Ok(None);
    }
    let is_shown = |name: &str| shown.pointer(&format!("/0/{name}")).is_some();
    let reference = first.and_then(|first| first.reference).filter(|_| is_shown("$ref"));
    Ok(Some(Elements {
        value: is_shown("value"),
        reference: reference.map(beginning).transpose()?,
        display: is_shown("display"),
        kind: is_shown("type"),
    }))
}

/// A location as text, up to the id.
fn beginning(location: Location<'_>) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(&Location { id: "", ..location })?;
    text.pop();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, json};

    use super::*;
    use crate::scim::projection::Projection;
    use crate::scim::schema::{Registry, ResourceType, SchemaFile};

    const ACME: &str = "urn:acme:User";

    /// The types, with an extension of which some is shown on request alone, or never.
    fn users() -> Arc<ResourceType> {
        let schema = json!({
            "id": ACME,
            "attributes": [
                { "name": "badge", "required": true },
                { "name": "motto", "returned": "request" },
                { "name": "secret", "returned": "never" },
                { "name": "level", "type": "integer" },
                { "name": "rate", "type": "decimal" },
                { "name": "since", "type": "dateTime" },
                { "name": "photo", "type": "binary" },
                { "name": "tags", "multiValued": true },
                { "name": "levels", "type": "integer", "multiValued": true },
                { "name": "phones", "type": "complex", "multiValued": true, "subAttributes": [
                    { "name": "value" },
                    { "name": "tags", "multiValued": true },
                    { "name": "rank", "type": "integer" },
                    { "name": "since", "type": "dateTime" },
                ] },
                { "name": "desk", "type": "complex", "subAttributes": [
                    { "name": "floor", "type": "integer" },
                    { "name": "key", "returned": "request" },
                ] },
            ],
        });
        let file = SchemaFile { name: "acme.json".to_owned(), text: schema.to_string() };
        Registry::load(&[file]).expect("a registry").user().clone()
    }

    fn documents() -> Vec<Value> {
        let core = "urn:ietf:params:scim:schemas:core:2.0:User";
        vec![
            json!({ "schemas": [core] }),
            json!({
                "schemas": [core], "externalId": "0\"0\\u", "userName": "ann\u{2028}\n", "active": true,
                "name": { "givenName": "Ann", "familyName": "Lee" }, "displayName": "Änn",
                "emails": [{ "value": "a@x", "type": "work", "primary": true }, { "value": "b@x" }],
            }),
            json!({
                "schemas": [core, ACME, "urn:gone"], "userName": "ben", "urn:gone": { "x": 1 },
                ACME: { "badge": "7", "motto": "x", "secret": "s", "level": 3,
                        "desk": { "floor": 2, "key": "k" }, "gone": true },
            }),
            // As another schema had it.
            json!({
                "schemas": [core, ACME], "userName": 7, "active": "yes", "name": "Ann", "emails": [],
                "title": ["x"], "password": "secret", "gone": null,
                ACME: { "badge": 1, "level": "three", "desk": [], "secret": "s" },
            }),
            json!({ "schemas": [ACME, core], "userName": "cat", "emails": ["a@x", {}], ACME: 7 }),
            json!({ "schemas": [core], "userName": "dan", "emails": [{}], "name": {} }),
            json!({ "schemas": [core], "userName": "eve", "emails": [{}, { "value": "e@x" }] }),
            json!({ "schemas": [core, ACME], "userName": "fay", ACME: {
                "badge": "7", "rate": 0.5, "since": "2026-01-01T00:00:00Z", "photo": "QQ==",
                "tags": ["a", "b"], "levels": [1, -2], "level": -7,
                "phones": [{ "value": "1", "tags": ["x"], "rank": 1, "since": "2026-01-01T00:00:00Z" }],
            } }),
            // Nearly of the types that the schema has.
            json!({ "schemas": [core, ACME], "userName": "gus", ACME: {
                "badge": "7", "rate": "0.5", "since": "yesterday", "photo": "?", "tags": ["a", 1],
                "levels": [1, 2.5], "level": 9_223_372_036_854_775_808_u64,
                "phones": [{ "value": "1", "tags": "x", "rank": 1.0, "since": "soon", "other": 1 }],
            } }),
            json!({ "schemas": [core, ACME], "userName": "hal", ACME: {
                "badge": "7", "rate": 3, "tags": [], "levels": [[1]], "level": 1.0, "photo": 1,
                "phones": [{ "value": ["1"], "tags": [1], "rank": true, "since": null }],
            } }),
        ]
    }

    fn projections(of: &Arc<ResourceType>) -> Vec<Projection> {
        let names = [
            "userName",
            "USERNAME,active",
            "emails.value",
            "emails.type,emails",
            "meta",
            "meta.location",
            "meta.version,id",
            "groups",
            "groups.value",
            "groups.display,name",
            "groups.nothing",
            "schemas",
            "nothing",
            "id",
            ACME,
            "urn:acme:User:motto",
            "urn:acme:User:desk.key",
            "urn:acme:User:desk,urn:acme:User:secret",
            "password",
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "name.givenName,title",
        ];
        let mut projections = vec![Projection::all(of)];
        for names in names {
            projections.push(Projection::parse(of, Some(names), None).expect("a projection"));
            projections.push(Projection::parse(of, None, Some(names)).expect("a projection"));
        }
        let written = documents().into_iter().filter_map(|document| {
            let mut quirks = crate::scim::quirks::Quirks::default();
            crate::scim::resource::Document::from_body(of, document, &mut quirks).ok()
        });
        let written: Vec<_> = written.collect();
        assert!(!written.is_empty());
        let after = |projection: &Projection| {
            let after = written.iter().map(|document| projection.clone().after_write(document));
            after.collect::<Vec<_>>()
        };
        let all: Vec<Projection> = projections.iter().flat_map(after).collect();
        projections.extend(all);
        projections
    }

    const TEAMS: [(&str, &str); 2] = [("t1", "Berlin \"Mitte\""), ("t2", "Everyone")];

    fn location(endpoint: &'static str, id: &'static str) -> Location<'static> {
        Location { base_url: "https://x/v2", endpoint, id }
    }

    fn representation(document: &str, teams: Option<usize>) -> Representation<'_> {
        Representation {
            id: "u1",
            document,
            meta: Meta {
                resource_type: "User",
                created: "2026-01-01T00:00:00Z".to_owned(),
                last_modified: "2026-01-02T00:00:00Z".to_owned(),
                location: location("Users", "u1"),
                version: "W/\"1\"",
            },
            related: teams.map(|count| ("groups", related(count).next())),
        }
    }

    /// So many of [`TEAMS`].
    fn related(count: usize) -> impl Iterator<Item = Related<'static>> {
        TEAMS[..count].iter().map(|&(id, display)| Related {
            value: Some(id),
            reference: Some(location("Groups", id)),
            display: Some(display),
            kind: Some("direct"),
        })
    }

    /// The whole, as a tree.
    fn tree(document: &Value, teams: Option<usize>) -> Map<String, Value> {
        let mut stored = document.as_object().expect("an object").clone();
        let mut whole = Map::new();
        whole.insert("schemas".to_owned(), stored.shift_remove("schemas").expect("schemas"));
        whole.insert("id".to_owned(), "u1".into());
        whole.extend(stored);
        let of_text = representation("{}", teams);
        if let (Some((name, _)), Some(count)) = (of_text.related, teams) {
            let teams = related(count).map(|team| serde_json::to_value(team).expect("JSON"));
            whole.insert(name.to_owned(), teams.collect());
        }
        whole.insert("meta".to_owned(), serde_json::to_value(of_text.meta).expect("JSON"));
        whole
    }

    #[test]
    fn the_text_is_that_of_the_tree() {
        let of = users();
        for projection in projections(&of) {
            for document in documents() {
                for teams in [None, Some(0), Some(2)] {
                    let mut expected = tree(&document, teams);
                    projection.apply(&mut expected);
                    let text = document.to_string();
                    let shown = projection
                        .write(&representation(&text, teams), related(teams.unwrap_or_default()))
                        .expect("JSON");
                    let written = String::from_utf8(shown.json).expect("text");
                    let expected = Value::Object(expected);
                    assert_eq!(written, expected.to_string(), "{projection:?}");
                    let has_location = expected.pointer("/meta/location").is_some();
                    assert_eq!(shown.has_location, has_location, "{written}");
                }
            }
        }
    }

    #[test]
    fn what_is_as_the_schema_has_it_stands_as_it_is() {
        let of = users();
        let all = Projection::all(&of);
        let acme = of.extension(ACME).expect("the extension");
        let is_whole = |container: &Container<'_>, attribute: &Attribute, value: Value| {
            let parts = container.parts(attribute).expect("an attribute that is shown");
            whole::is_whole(container, &parts, attribute, &value.to_string())
        };
        let core = |name: &str, value| {
            is_whole(&all.core(), of.core_attribute(name).expect("an attribute"), value)
        };
        let own = |name: &str, value| {
            let attribute = acme.schema.attribute(name).expect("an attribute");
            is_whole(&all.extension(&acme.urn), attribute, value)
        };
        assert!(core("emails", json!([{ "value": "a@x", "primary": true }, { "value": "b" }])));
        assert!(core("name", json!({ "givenName": "Ann" })));
        assert!(own("rate", json!(0.5)) && own("rate", json!(1)) && own("level", json!(-1)));
        assert!(own("tags", json!(["a"])) && own("phones", json!([{ "tags": ["a"], "rank": 1 }])));
        assert!(own("since", json!("2026-01-01T00:00:00Z")) && own("photo", json!("QQ==")));
        for (name, value) in [
            ("phones", json!([{}])),
            ("phones", json!({ "value": "1" })),
            ("phones", json!([{ "rank": 1.5 }])),
            ("phones", json!([{ "since": "soon" }])),
            ("phones", json!([{ "other": 1 }])),
            ("desk", json!({ "floor": 2, "key": "k" })),
            ("desk", json!([{ "floor": 2 }])),
            ("level", json!(1.0)),
            ("level", json!(u64::MAX)),
            ("rate", json!("1")),
            ("photo", json!("?")),
            ("since", json!("soon")),
            ("tags", json!("a")),
            ("tags", json!([["a"]])),
            ("level", json!(null)),
            ("level", json!(true)),
        ] {
            assert!(!own(name, value.clone()), "{name}: {value}");
        }
    }

    #[test]
    fn members_are_written_as_their_schema_has_them() {
        let of = Registry::load(&[]).expect("a registry").group().clone();
        let document = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"] });
        for names in [
            None,
            Some("members"),
            Some("members.value"),
            Some("members.display"),
            Some("displayName"),
        ] {
            let projection = Projection::parse(&of, names, None).expect("a projection");
            let (text, member) = (document.to_string(), || Related {
                value: Some("u1"),
                reference: Some(location("Users", "u1")),
                display: Some("Ann"),
                kind: Some("User"),
            });
            let Representation { id, document: stored, meta, .. } = representation(&text, None);
            let related = Some(("members", Some(member())));
            let whole = Representation { id, document: stored, meta, related };
            let shown = projection.write(&whole, std::iter::once(member())).expect("JSON");
            let mut expected = tree(&document, None);
            let meta = expected.shift_remove("meta").expect("meta");
            expected.insert("members".to_owned(), json!([member()]));
            expected.insert("meta".to_owned(), meta);
            projection.apply(&mut expected);
            assert_eq!(
                String::from_utf8(shown.json).ok(),
                Some(Value::Object(expected).to_string())
            );
        }
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        let projection = Projection::all(&users());
        for stored in ["", "[]", "null", "{\"schemas\":[}", "{\"schemas\":7}"] {
            let written = projection.write(&representation(stored, None), std::iter::empty());
            assert!(written.is_err(), "{stored}");
        }
    }
}
