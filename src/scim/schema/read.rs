//! Reading one schema definition (RFC 7643 section 7), and saying all that is wrong with it.
//!
//! What comes out has every characteristic: those that the file leaves out are the defaults of
//! section 2.2, and those that a type decides (section 2.3) are what the type says.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{Attribute, AttributeType, Mutability, Returned, Schema, SchemaProblem, Uniqueness};

/// The keywords of `type`.
pub(super) const TYPES: [(&str, AttributeType); 8] = [
    ("string", AttributeType::String),
    ("boolean", AttributeType::Boolean),
    ("decimal", AttributeType::Decimal),
    ("integer", AttributeType::Integer),
    ("dateTime", AttributeType::DateTime),
    ("reference", AttributeType::Reference),
    ("binary", AttributeType::Binary),
    ("complex", AttributeType::Complex),
];
/// The keywords of `mutability`.
pub(super) const MUTABILITIES: [(&str, Mutability); 4] = [
    ("readOnly", Mutability::ReadOnly),
    ("readWrite", Mutability::ReadWrite),
    ("immutable", Mutability::Immutable),
    ("writeOnly", Mutability::WriteOnly),
];
/// The keywords of `returned`.
pub(super) const RETURNED: [(&str, Returned); 4] = [
    ("always", Returned::Always),
    ("never", Returned::Never),
    ("default", Returned::Default),
    ("request", Returned::Request),
];
/// The keywords of `uniqueness`.
pub(super) const UNIQUENESS: [(&str, Uniqueness); 3] =
    [("none", Uniqueness::None), ("server", Uniqueness::Server), ("global", Uniqueness::Global)];

/// The members that the definition of an attribute may have.
const MEMBERS: [&str; 12] = [
    "name",
    "type",
    "multiValued",
    "description",
    "required",
    "canonicalValues",
    "caseExact",
    "mutability",
    "returned",
    "uniqueness",
    "referenceTypes",
    "subAttributes",
];
/// The sub-attributes that have one meaning in every multi-valued attribute (section 2.4).
const PREDEFINED: [&str; 5] = ["type", "primary", "display", "value", "$ref"];
/// What a reference may be to.
const REFERENCE_TYPES: [&str; 4] = ["User", "Group", "external", "uri"];
/// Longest name of an attribute: the key of a unique value has to fit into an index entry.
const MAX_NAME: usize = 100;

/// Reads the definitions of one file.
pub(super) struct Reader<'a> {
    file: &'a str,
    pub(super) problems: Vec<SchemaProblem>,
}

/// Where the attribute that is being read stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The attribute that it is a sub-attribute of.
    parent: Option<&'a str>,
    /// Whether that one has several values.
    in_element: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str) -> Self {
        Self { file, problems: Vec::new() }
    }

    /// Notes that something is wrong.
    pub(super) fn note(&mut self, attribute: Option<&str>, what: impl Into<String>) {
        self.problems.push(SchemaProblem {
            file: self.file.to_owned(),
            attribute: attribute.map(str::to_owned),
            what: what.into(),
        });
    }

    /// Reads a schema whose `id` has been read already.
    pub(super) fn schema(&mut self, id: &str, object: &Map<String, Value>) -> Schema {
        let name = self.text(object, "name", None).unwrap_or_else(|| id.to_owned());
        let description = self.text(object, "description", None).unwrap_or_default();
        let attributes = match member(object, "attributes") {
            Some(Value::Array(definitions)) if !definitions.is_empty() => {
                self.attributes(definitions, Place { parent: None, in_element: false })
            }
            Some(Value::Array(_)) => {
                self.note(None, "'attributes' is empty: a schema defines at least one attribute");
                Vec::new()
            }
            Some(_) => {
                self.note(None, "'attributes' must be an array of definitions");
                Vec::new()
            }
            None => {
                self.note(None, "there are no 'attributes' (RFC 7643 section 7)");
                Vec::new()
            }
        };
        Schema { id: id.to_owned(), name, description, attributes }
    }

    fn attributes(&mut self, definitions: &[Value], place: Place<'_>) -> Vec<Arc<Attribute>> {
        let mut read: Vec<Arc<Attribute>> = Vec::with_capacity(definitions.len());
        for (position, definition) in definitions.iter().enumerate() {
            let Some(attribute) = self.attribute(definition, position, place) else { continue };
            if read.iter().any(|known| known.name.eq_ignore_ascii_case(&attribute.name)) {
                let name = full_name(place.parent, &attribute.name);
                self.note(
                    Some(&name),
                    "is defined twice; upper and lower case count as the same (RFC 7643 section \
                     2.1)",
                );
            } else {
                read.push(Arc::new(attribute));
            }
        }
        read
    }

    fn attribute(
        &mut self,
        definition: &Value,
        position: usize,
        place: Place<'_>,
    ) -> Option<Attribute> {
        let unnamed = full_name(place.parent, &format!("[{position}]"));
        let Value::Object(object) = definition else {
            self.note(Some(&unnamed), "must be a JSON object");
            return None;
        };
        let Some(Value::String(name)) = member(object, "name") else {
            self.note(Some(&unnamed), "has no 'name'");
            return None;
        };
        let name = name.clone();
        let full = full_name(place.parent, &name);
        let at = Some(full.as_str());
        self.check_name(&name, at, place);
        self.check_members(object, at);
        let kind = self.word(object, "type", at, &TYPES, AttributeType::String);
        let multi_valued = self.flag(object, "multiValued", at);
        let mut attribute = Attribute {
            kind,
            multi_valued,
            description: self.text(object, "description", at).unwrap_or_default(),
            required: self.flag(object, "required", at),
            canonical_values: self.texts(object, "canonicalValues", at),
            case_exact: self.flag(object, "caseExact", at),
            mutability: self.word(object, "mutability", at, &MUTABILITIES, Mutability::default()),
            returned: self.word(object, "returned", at, &RETURNED, Returned::default()),
            uniqueness: self.word(object, "uniqueness", at, &UNIQUENESS, Uniqueness::default()),
            reference_types: self.texts(object, "referenceTypes", at),
            sub_attributes: self.sub_attributes(object, kind, multi_valued, &full, place),
            name,
        };
        // "A reference is case exact", "a binary is case exact", and the other types have no case
        // sensitivity (RFC 7643 section 2.3), whatever a definition says.
        attribute.case_exact = match kind {
            AttributeType::String => attribute.case_exact,
            AttributeType::Reference | AttributeType::Binary => true,
            _ => false,
        };
        if attribute.mutability == Mutability::WriteOnly {
            if attribute.returned != Returned::Never && member(object, "returned").is_some() {
                self.note(
                    at,
                    "is writeOnly, so its values are never returned (RFC 7643 section 7): set \
                     'returned' to never, or leave it out",
                );
            }
            attribute.returned = Returned::Never;
        }
        self.check(&attribute, at, place);
        Some(attribute)
    }

    fn sub_attributes(
        &mut self,
        object: &Map<String, Value>,
        kind: AttributeType,
        in_element: bool,
        full: &str,
        place: Place<'_>,
    ) -> Vec<Arc<Attribute>> {
        let at = Some(full);
        let definitions = match member(object, "subAttributes") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(definitions)) => definitions.as_slice(),
            Some(_) => {
                self.note(at, "has 'subAttributes' that are no array of definitions");
                return Vec::new();
            }
        };
        if kind != AttributeType::Complex {
            if !definitions.is_empty() {
                self.note(at, "has subAttributes, which only the type complex can have");
            }
            return Vec::new();
        }
        if place.parent.is_some() {
            self.note(
                at,
                "is complex: a sub-attribute cannot have sub-attributes of its own (RFC 7643 \
                 section 2.3.8)",
            );
            return Vec::new();
        }
        if definitions.is_empty() {
            self.note(at, "is complex and needs subAttributes");
        }
        self.attributes(definitions, Place { parent: Some(full), in_element })
    }

    /// `ATTRNAME = ALPHA *(nameChar)` (RFC 7643 section 2.1), and the RFC's own `$ref`.
    fn check_name(&mut self, name: &str, at: Option<&str>, place: Place<'_>) {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"$-_".contains(&byte);
        let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
        let is_reference = place.parent.is_some() && name == "$ref";
        if !(begins && name.bytes().all(allowed) || is_reference) {
            self.note(
                at,
                "has a name that is not allowed: it begins with a letter, and letters, digits, \
                 '$', '-' and '_' follow (RFC 7643 section 2.1)",
            );
        } else if name.len() > MAX_NAME {
            self.note(at, format!("has a name of more than {MAX_NAME} characters"));
        }
        if place.in_element
            && let Some(known) = PREDEFINED.iter().find(|known| known.eq_ignore_ascii_case(name))
            && *known != name
        {
            self.note(at, format!("must be spelled '{known}' (RFC 7643 section 2.4)"));
        }
    }

    /// A misspelled characteristic would silently not be one.
    fn check_members(&mut self, object: &Map<String, Value>, at: Option<&str>) {
        for key in object.keys() {
            if !MEMBERS.iter().any(|known| known.eq_ignore_ascii_case(key)) {
                self.note(
                    at,
                    format!("has '{key}', which is no characteristic: use {}", MEMBERS.join(", ")),
                );
            }
        }
    }

    fn check(&mut self, attribute: &Attribute, at: Option<&str>, place: Place<'_>) {
        let kind = attribute.kind;
        if !attribute.canonical_values.is_empty() && kind != AttributeType::String {
            self.note(
                at,
                "has canonicalValues, which belong to the type string (RFC 7643 section 2.3.1)",
            );
        }
        match (kind == AttributeType::Reference, attribute.reference_types.is_empty()) {
            (true, true) => self.note(
                at,
                "is a reference and needs referenceTypes, of User, Group, external and uri (RFC \
                 7643 section 2.3.7)",
            ),
            (false, false) => {
                self.note(at, "has referenceTypes, which belong to the type reference");
            }
            _ => {}
        }
        for named in &attribute.reference_types {
            if !REFERENCE_TYPES.contains(&named.as_str()) {
                self.note(
                    at,
                    format!(
                        "refers to '{named}', which this server does not have: use User, Group, \
                         external or uri"
                    ),
                );
            }
        }
        if place.in_element && attribute.name == "primary" {
            let is_flag = kind == AttributeType::Boolean && !attribute.multi_valued;
            if !is_flag {
                self.note(at, "must be a single boolean (RFC 7643 section 2.4)");
            }
        }
        self.check_uniqueness(attribute, at, place);
    }

    /// Only what a single value of a resource can be told apart by may be unique: a top-level
    /// attribute's own values, or the `value` of its elements.
    fn check_uniqueness(&mut self, attribute: &Attribute, at: Option<&str>, place: Place<'_>) {
        if attribute.uniqueness == Uniqueness::None {
            return;
        }
        let has_order = matches!(
            attribute.kind,
            AttributeType::String
                | AttributeType::Reference
                | AttributeType::Integer
                | AttributeType::Decimal
        );
        if !has_order {
            self.note(
                at,
                "cannot be unique: values of its type have no uniqueness (RFC 7643 section 2.3)",
            );
        } else if place.parent.is_some()
            && !(place.in_element && attribute.name == "value" && !attribute.multi_valued)
        {
            self.note(
                at,
                "cannot be unique: of sub-attributes only the 'value' of a multi-valued attribute \
                 can; make it an attribute of its own",
            );
        } else if attribute.returned == Returned::Never {
            self.note(at, "cannot be unique: values that are never returned are not kept");
        }
    }

    fn flag(&mut self, object: &Map<String, Value>, name: &str, at: Option<&str>) -> bool {
        match member(object, name) {
            None | Some(Value::Null) => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.note(at, format!("has a '{name}' that is neither true nor false"));
                false
            }
        }
    }

    fn word<T: Copy>(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
        at: Option<&str>,
        words: &[(&str, T)],
        default: T,
    ) -> T {
        let found = match member(object, name) {
            None | Some(Value::Null) => return default,
            Some(found) => found,
        };
        let known = words.iter().find(|(word, _)| found == word);
        known.map_or_else(
            || {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let words = words.join(", ");
                self.note(at, format!("has the {name} {found}, which is none of {words}"));
                default
            },
            |(_, value)| *value,
        )
    }

    /// A text, if there is one.
    pub(super) fn text(
        &mut self,
        object: &Map<String, Value>,
        name: &str,
        at: Option<&str>,
    ) -> Option<String> {
        match member(object, name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.note(at, format!("has a '{name}' that is no text"));
                None
            }
        }
    }

    fn texts(&mut self, object: &Map<String, Value>, name: &str, at: Option<&str>) -> Vec<String> {
        let listed = match member(object, name) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(listed)) => listed.as_slice(),
            Some(_) => &[Value::Null],
        };
        let texts: Option<Vec<String>> =
            listed.iter().map(|text| text.as_str().map(str::to_owned)).collect();
        texts.unwrap_or_else(|| {
            self.note(at, format!("has '{name}' that are no array of texts"));
            Vec::new()
        })
    }
}

/// The member of that name; names compare without regard to case.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut members = object.iter();
    object
        .get(name)
        .or_else(|| members.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn full_name(parent: Option<&str>, name: &str) -> String {
    parent.map_or_else(|| name.to_owned(), |parent| format!("{parent}.{name}"))
}
