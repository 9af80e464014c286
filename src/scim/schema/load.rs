//! Putting schemas together: those of the program and those that the operator adds.
//!
//! A file is one schema (RFC 7643 section 7), or a resource type that says which schemas extend it
//! (section 6). Files of one `id` add up; what is defined already can be repeated, but not changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::document::{self, RESOURCE_TYPE_SCHEMA, SCHEMA_SCHEMA};
use super::read::{Reader, member};
use super::{
    Attribute, Extension, GROUP_SCHEMA, Registry, ResourceType, Schema, SchemaErrors,
    SchemaProblem, USER_SCHEMA,
};

/// A file of the operator's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaFile {
    /// How messages call the file.
    pub name: String,
    /// What is in it.
    pub text: String,
}

const COMMON_FILE: (&str, &str) =
    ("common.json", include_str!("../../../scim-schemas/common.json"));
const BUILTIN_FILES: [(&str, &str); 5] = [
    ("user.json", include_str!("../../../scim-schemas/user.json")),
    ("group.json", include_str!("../../../scim-schemas/group.json")),
    ("enterprise-user.json", include_str!("../../../scim-schemas/enterprise-user.json")),
    ("resource-types/user.json", include_str!("../../../scim-schemas/resource-types/user.json")),
    ("resource-types/group.json", include_str!("../../../scim-schemas/resource-types/group.json")),
];
/// The attributes that every resource has (RFC 7643 section 3.1).
const COMMON: [&str; 4] = ["id", "externalId", "meta", "schemas"];
/// Longest URN of a schema: the key of a unique value has to fit into an index entry.
const MAX_URN: usize = 255;

/// A schema that is being put together.
struct Draft {
    schema: Schema,
    /// The file that each attribute came from, and whether that is one of the program's.
    origins: Vec<Origin>,
    /// The file that first defined the schema.
    file: String,
}

#[derive(Clone)]
struct Origin {
    file: String,
    is_builtin: bool,
}

/// A resource type that is being put together.
struct Type {
    name: &'static str,
    core: &'static str,
    endpoint: &'static str,
    definition: Map<String, Value>,
    /// The extensions, and whether each is required; `None` where nobody has said so.
    extensions: Vec<(String, bool)>,
}

struct Loader {
    drafts: Vec<Draft>,
    types: [Type; 2],
    /// What resource types attach, checked when all schemas are known: file, type, URN, required.
    attached: Vec<(String, usize, String, bool)>,
    problems: Vec<SchemaProblem>,
}

/// See [`Registry::load`].
pub(super) fn load(files: &[SchemaFile]) -> Result<Registry, SchemaErrors> {
    let mut loader = Loader {
        drafts: Vec::new(),
        types: [
            Type {
                name: "User",
                core: USER_SCHEMA,
                endpoint: "/Users",
                definition: Map::new(),
                extensions: Vec::new(),
            },
            Type {
                name: "Group",
                core: GROUP_SCHEMA,
                endpoint: "/Groups",
                definition: Map::new(),
                extensions: Vec::new(),
            },
        ],
        attached: Vec::new(),
        problems: Vec::new(),
    };
    let common = loader.common();
    for (file, text) in BUILTIN_FILES {
        loader.file(file, text, true);
    }
    for file in files {
        loader.file(&file.name, &file.text, false);
    }
    loader.attach();
    loader.attach_by_name();
    loader.check_paths();
    loader.finish(common)
}

impl Loader {
    fn note(&mut self, file: &str, attribute: Option<&str>, what: impl Into<String>) {
        self.problems.push(SchemaProblem {
            file: file.to_owned(),
            attribute: attribute.map(str::to_owned),
            what: what.into(),
        });
    }

    /// The common attributes, which belong to no schema.
    fn common(&mut self) -> Schema {
        let (file, text) = COMMON_FILE;
        let object = self.object(file, text).unwrap_or_default();
        let mut reader = Reader::new(file);
        let schema = reader.schema("common", &object);
        self.problems.append(&mut reader.problems);
        schema
    }

    fn object(&mut self, file: &str, text: &str) -> Option<Map<String, Value>> {
        // Some editors put a byte order mark in front.
        match serde_json::from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Ok(Value::Object(object)) => Some(object),
            Ok(_) => {
                self.note(file, None, "must hold one JSON object: a schema or a resource type");
                None
            }
            Err(error) => {
                self.note(file, None, format!("is no valid JSON: {error}"));
                None
            }
        }
    }

    fn file(&mut self, file: &str, text: &str, is_builtin: bool) {
        let Some(object) = self.object(file, text) else { return };
        let names = |urn: &str| match member(&object, "schemas") {
            Some(Value::Array(urns)) => {
                urns.iter().filter_map(Value::as_str).any(|listed| listed.eq_ignore_ascii_case(urn))
            }
            _ => false,
        };
        let has = |name: &str| member(&object, name).is_some();
        if has("Resources") {
            self.note(file, None, "holds a list; put each schema into a file of its own");
        } else if names(RESOURCE_TYPE_SCHEMA) {
            self.resource_type(file, &object);
        } else if names(SCHEMA_SCHEMA) || has("attributes") {
            self.schema(file, &object, is_builtin);
        } else if has("schemaExtensions") || has("endpoint") {
            self.resource_type(file, &object);
        } else {
            self.note(
                file,
                None,
                format!(
                    "is neither a schema, with \"schemas\": [\"{SCHEMA_SCHEMA}\"] and \
                     'attributes', nor a resource type, with \"schemas\": \
                     [\"{RESOURCE_TYPE_SCHEMA}\"] and 'schemaExtensions'"
                ),
            );
        }
    }

    fn schema(&mut self, file: &str, object: &Map<String, Value>, is_builtin: bool) {
        let mut reader = Reader::new(file);
        let id = match member(object, "id") {
            Some(Value::String(id)) => id.trim(),
            _ => "",
        };
        let urn = check_urn(id);
        if let Err(what) = &urn {
            reader.note(None, what);
        }
        let schema = reader.schema(id, object);
        for attribute in &schema.attributes {
            if COMMON.iter().any(|common| common.eq_ignore_ascii_case(&attribute.name)) {
                reader.note(
                    Some(&attribute.name),
                    "has the name of a common attribute, which every resource has (RFC 7643 \
                     section 3.1); choose another",
                );
            }
        }
        self.problems.append(&mut reader.problems);
        if urn.is_ok() {
            self.add(file, schema, is_builtin);
        }
    }

    /// Adds a schema, or its attributes to one of the same URN.
    fn add(&mut self, file: &str, schema: Schema, is_builtin: bool) {
        let origin = Origin { file: file.to_owned(), is_builtin };
        let known =
            self.drafts.iter_mut().find(|draft| draft.schema.id.eq_ignore_ascii_case(&schema.id));
        let Some(draft) = known else {
            let origins = vec![origin; schema.attributes.len()];
            self.drafts.push(Draft { schema, origins, file: file.to_owned() });
            return;
        };
        let mut changed = Vec::new();
        for attribute in schema.attributes {
            let same = |known: &Arc<Attribute>| known.name.eq_ignore_ascii_case(&attribute.name);
            match draft.schema.attributes.iter().position(same) {
                None => {
                    draft.schema.attributes.push(attribute);
                    draft.origins.push(origin.clone());
                }
                Some(place) => {
                    let known = draft.schema.attributes.get(place);
                    if known.is_some_and(|known| !is_same(known, &attribute)) {
                        changed.push((attribute.name.clone(), draft.origins.get(place).cloned()));
                    }
                }
            }
        }
        for (name, by) in changed {
            let by = match by {
                Some(Origin { file, is_builtin: false }) => format!("in {file}"),
                _ => "by the server".to_owned(),
            };
            self.note(
                file,
                Some(&name),
                format!(
                    "is defined {by} already, with other characteristics: leave it out, or repeat \
                     it as it is there"
                ),
            );
        }
    }

    fn resource_type(&mut self, file: &str, object: &Map<String, Value>) {
        let mut reader = Reader::new(file);
        let name = reader.text(object, "name", None).or_else(|| reader.text(object, "id", None));
        let named = name.unwrap_or_default();
        let found = self.types.iter().position(|t| t.name.eq_ignore_ascii_case(&named));
        let Some((place, known)) = found.and_then(|place| Some((place, self.types.get(place)?)))
        else {
            reader.note(
                None,
                format!("is the resource type '{named}'; this server has User and Group"),
            );
            self.problems.append(&mut reader.problems);
            return;
        };
        for (member, expected) in [("schema", known.core), ("endpoint", known.endpoint)] {
            let given = reader.text(object, member, None);
            let is_other = |given: &String| {
                let given = given.trim_start_matches('/');
                !given.eq_ignore_ascii_case(expected.trim_start_matches('/'))
            };
            if given.as_ref().is_some_and(is_other) {
                reader.note(
                    None,
                    format!("'{member}' of {} must be {expected}, or be left out", known.name),
                );
            }
        }
        let mut attached = Vec::new();
        match member(object, "schemaExtensions") {
            None | Some(Value::Null) => {}
            Some(Value::Array(listed)) => {
                attached.extend(listed.iter().filter_map(|item| extension(&mut reader, item)));
            }
            Some(_) => reader.note(None, "'schemaExtensions' must be an array"),
        }
        self.problems.append(&mut reader.problems);
        if let Some(known) = self.types.get_mut(place).filter(|t| t.definition.is_empty()) {
            known.definition.clone_from(object);
        }
        let attached = attached.into_iter().map(|(urn, must)| (file.to_owned(), place, urn, must));
        self.attached.extend(attached);
    }

    /// Attaches the schemas that resource types name.
    fn attach(&mut self) {
        for (file, place, urn, required) in std::mem::take(&mut self.attached) {
            let known = self.drafts.iter().find(|d| d.schema.id.eq_ignore_ascii_case(&urn));
            let Some(id) = known.map(|draft| draft.schema.id.clone()) else {
                self.note(
                    &file,
                    None,
                    format!("names the schema {urn}, which no file defines in its 'id'"),
                );
                continue;
            };
            if self.types.iter().any(|t| t.core.eq_ignore_ascii_case(&id)) {
                self.note(&file, None, format!("{id} is a core schema and cannot extend another"));
                continue;
            }
            let Some(kind) = self.types.get_mut(place) else { continue };
            match kind.extensions.iter_mut().find(|(urn, _)| *urn == id) {
                // The enterprise schema, which the server attaches, can be made a required one.
                Some((_, known)) => *known |= required,
                None => kind.extensions.push((id, required)),
            }
        }
    }

    /// Attaches what no resource type names by the last segment of the URN.
    fn attach_by_name(&mut self) {
        let mut problems = Vec::new();
        for draft in &self.drafts {
            let id = &draft.schema.id;
            let is_attached = self.types.iter().any(|t| {
                t.core.eq_ignore_ascii_case(id) || t.extensions.iter().any(|(urn, _)| urn == id)
            });
            if is_attached {
                continue;
            }
            let last = id.rsplit(':').next().unwrap_or_default();
            match self.types.iter_mut().find(|t| t.name.eq_ignore_ascii_case(last)) {
                Some(kind) => kind.extensions.push((id.clone(), false)),
                None => problems.push(SchemaProblem {
                    file: draft.file.clone(),
                    attribute: None,
                    what: format!(
                        "it is not said whether {id} is about users or groups: end the 'id' in \
                         ':User' or ':Group', or add a file with {{\"schemas\": \
                         [\"{RESOURCE_TYPE_SCHEMA}\"], \"name\": \"User\", \"schemaExtensions\": \
                         [{{\"schema\": \"{id}\", \"required\": false}}]}}"
                    ),
                }),
            }
        }
        self.problems.append(&mut problems);
    }

    /// A path must not be able to mean an attribute and a schema: `urn:a:b` is both where `urn:a`
    /// has an attribute `b`.
    fn check_paths(&mut self) {
        let urns: BTreeMap<String, String> = self
            .drafts
            .iter()
            .map(|draft| (draft.schema.id.to_ascii_lowercase(), draft.file.clone()))
            .collect();
        let mut found = BTreeSet::new();
        for draft in &self.drafts {
            for attribute in &draft.schema.attributes {
                let full = format!("{}:{}", draft.schema.id, attribute.name);
                let subs =
                    attribute.sub_attributes.iter().map(|sub| format!("{full}.{}", sub.name));
                for path in subs.chain([full.clone()]) {
                    if let Some(file) = urns.get(&path.to_ascii_lowercase()) {
                        found.insert((file.clone(), path));
                    }
                }
            }
        }
        for (file, path) in found {
            self.note(
                &file,
                None,
                format!("the 'id' {path} is also the full name of an attribute; choose another"),
            );
        }
    }

    fn finish(self, common: Schema) -> Result<Registry, SchemaErrors> {
        if !self.problems.is_empty() {
            return Err(SchemaErrors(self.problems));
        }
        let common = Arc::new(common);
        let schemas: Vec<Arc<Schema>> =
            self.drafts.into_iter().map(|draft| Arc::new(draft.schema)).collect();
        let find = |urn: &str| {
            schemas.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).cloned().ok_or_else(
                || {
                    SchemaErrors(vec![SchemaProblem {
                        file: urn.to_owned(),
                        attribute: None,
                        what: "is defined nowhere".to_owned(),
                    }])
                },
            )
        };
        let mut resource_type_documents = Vec::new();
        let mut resource_type = |kind: Type| -> Result<Arc<ResourceType>, SchemaErrors> {
            let extensions = kind
                .extensions
                .iter()
                .map(|(urn, required)| {
                    let schema = find(urn)?;
                    let urn = Arc::from(schema.id.as_str());
                    Ok(Extension { urn, schema, required: *required })
                })
                .collect::<Result<Vec<_>, SchemaErrors>>()?;
            resource_type_documents.push(document::resource_type(&kind.definition, &extensions));
            Ok(Arc::new(ResourceType {
                name: kind.name.to_owned(),
                endpoint: kind.endpoint.to_owned(),
                schema: find(kind.core)?,
                extensions,
                common: common.clone(),
            }))
        };
        let [user, group] = self.types;
        Ok(Registry {
            user: resource_type(user)?,
            group: resource_type(group)?,
            schema_documents: schemas.iter().map(|schema| document::schema(schema)).collect(),
            resource_type_documents,
        })
    }
}

/// One of a resource type's `schemaExtensions`.
fn extension(reader: &mut Reader<'_>, item: &Value) -> Option<(String, bool)> {
    let Value::Object(object) = item else {
        reader.note(None, "each of 'schemaExtensions' must be an object");
        return None;
    };
    let required = match member(object, "required") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(required)) => *required,
        Some(_) => {
            reader.note(None, "'required' of a schema extension must be true or false");
            false
        }
    };
    let Some(Value::String(urn)) = member(object, "schema") else {
        reader.note(None, "each of 'schemaExtensions' needs a 'schema': the URN of one");
        return None;
    };
    Some((urn.trim().to_owned(), required))
}

/// Whether two definitions of an attribute say the same; what they say to people aside.
fn is_same(a: &Attribute, b: &Attribute) -> bool {
    bare(a) == bare(b)
}

/// The definition without what makes no difference.
fn bare(attribute: &Attribute) -> Attribute {
    let mut subs: Vec<Attribute> = attribute.sub_attributes.iter().map(|sub| bare(sub)).collect();
    subs.sort_by(|a, b| a.name.cmp(&b.name));
    Attribute {
        name: attribute.name.to_ascii_lowercase(),
        description: String::new(),
        sub_attributes: subs.into_iter().map(Arc::new).collect(),
        ..attribute.clone()
    }
}

/// Whether the text is a URN that attribute paths can begin with.
fn check_urn(id: &str) -> Result<(), String> {
    let readable = |byte: u8| byte.is_ascii_alphanumeric() || b":.-_$/%".contains(&byte);
    let is_urn = id.len() > 4
        && id.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"))
        && id.split(':').count() > 2
        && id.split(':').all(|segment| !segment.is_empty())
        && id.bytes().all(readable);
    let lower = id.to_ascii_lowercase();
    let core = "urn:ietf:params:scim:schemas:core:2.0:";
    if id.is_empty() {
        Err("has no 'id': it needs the schema's URN, such as \
             urn:example:params:scim:schemas:extension:acme:2.0:User"
            .to_owned())
    } else if !is_urn {
        Err(format!(
            "has the 'id' '{id}', which is no URN such as \
             urn:example:params:scim:schemas:extension:acme:2.0:User (of letters, digits and \
             ':.-_$/%')"
        ))
    } else if id.len() > MAX_URN {
        Err(format!("has an 'id' of more than {MAX_URN} characters"))
    } else if lower.starts_with("urn:ietf:params:scim:api:")
        || lower.starts_with(core)
            && ![USER_SCHEMA, GROUP_SCHEMA].iter().any(|known| known.eq_ignore_ascii_case(id))
    {
        Err(format!("has the 'id' {id}, which is SCIM's own; choose a URN of your own"))
    } else {
        Ok(())
    }
}
