//! Schemas as data (RFC 7643 section 7): the attribute rules that everything else obeys.
//!
//! The definitions are the JSON files of `scim-schemas/`, embedded in the binary, and those that
//! the operator adds. `read` holds each file against the RFC, `load` puts them together; what comes
//! out is served at `/Schemas` and `/ResourceTypes`. Entry point: [`Registry::load`].

mod document;
mod load;
mod read;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

pub use self::load::SchemaFile;
use super::path::AttrPath;

/// URN of the core User schema (RFC 7643 section 4.1).
pub const USER_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// URN of the core Group schema (RFC 7643 section 4.2).
pub const GROUP_SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// URN of the enterprise extension (RFC 7643 section 4.3).
pub const ENTERPRISE_SCHEMA: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Attribute data types (RFC 7643 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeType {
    String,
    Boolean,
    Decimal,
    Integer,
    DateTime,
    Reference,
    Binary,
    Complex,
}

/// Who may set an attribute, and when (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mutability {
    ReadOnly,
    #[default]
    ReadWrite,
    Immutable,
    WriteOnly,
}

/// When an attribute is part of a response (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Returned {
    Always,
    Never,
    #[default]
    Default,
    Request,
}

/// How unique a value must be (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Uniqueness {
    #[default]
    None,
    Server,
    Global,
}

/// One attribute or sub-attribute definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// The name in its canonical spelling; names compare without regard to case.
    pub name: String,
    /// The data type; RFC 7643 calls it `type`.
    pub kind: AttributeType,
    pub multi_valued: bool,
    pub description: String,
    pub required: bool,
    pub canonical_values: Vec<String>,
    pub case_exact: bool,
    pub mutability: Mutability,
    pub returned: Returned,
    pub uniqueness: Uniqueness,
    pub reference_types: Vec<String>,
    pub sub_attributes: Vec<Arc<Attribute>>,
}

impl Attribute {
    /// The sub-attribute of that name, compared without regard to case.
    pub fn sub_attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        self.sub_attributes.iter().find(|sub| sub.name.eq_ignore_ascii_case(name))
    }

    /// Whether a client may write the attribute at all.
    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }

    /// Whether the attribute is returned on request alone (RFC 7643 section 7).
    pub fn is_on_request(&self) -> bool {
        self.returned == Returned::Request
    }

    /// Whether some of its sub-attributes are returned on request alone.
    pub fn has_part_on_request(&self) -> bool {
        self.sub_attributes.iter().any(|sub| sub.is_on_request())
    }

    /// Whether the attribute is a complex one, with sub-attributes.
    pub fn is_complex(&self) -> bool {
        self.kind == AttributeType::Complex
    }
}

/// A schema: a URN and the attributes it defines.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The schema URN.
    pub id: String,
    /// Its short name, for people.
    pub name: String,
    pub description: String,
    /// The top-level attributes.
    pub attributes: Vec<Arc<Attribute>>,
}

impl Schema {
    /// The attribute of that name, compared without regard to case.
    pub fn attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        self.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }
}

/// The place in a resource that an attribute path names, once it is held against the schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// URN of the extension that holds the attribute; `None` for core and common attributes.
    pub extension: Option<Arc<str>>,
    /// The attribute.
    pub attribute: Arc<Attribute>,
    /// The sub-attribute, where the path names one.
    pub sub: Option<Arc<Attribute>>,
}

impl Target {
    /// The innermost attribute that the path names.
    pub fn leaf(&self) -> &Arc<Attribute> {
        self.sub.as_ref().unwrap_or(&self.attribute)
    }

    /// Whether it is this attribute of the core or common schema, and this part of it.
    pub fn is(&self, attribute: &str, sub: Option<&str>) -> bool {
        self.extension.is_none()
            && self.attribute.name == attribute
            && self.sub.as_deref().map(|sub| sub.name.as_str()) == sub
    }
}

/// What a path names in a resource type.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolved {
    /// An attribute or sub-attribute.
    Attribute(Target),
    /// A whole extension, named by its URN alone.
    Extension(Arc<str>),
    /// The core schema's URN alone: the resource itself.
    Resource,
}

/// An extension schema attached to a resource type.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The extension's URN, shared with the targets that point into it.
    pub urn: Arc<str>,
    pub schema: Arc<Schema>,
    pub required: bool,
}

/// A resource type with its schemas at hand (RFC 7643 section 6).
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// `User` or `Group`.
    pub name: String,
    /// Path below the base URL, such as `/Users`.
    pub endpoint: String,
    pub schema: Arc<Schema>,
    pub extensions: Vec<Extension>,
    /// `id`, `externalId`, `meta`, `schemas` (RFC 7643 section 3.1).
    pub common: Arc<Schema>,
}

impl ResourceType {
    /// The core or common attribute of that name.
    pub fn core_attribute(&self, name: &str) -> Option<&Arc<Attribute>> {
        self.schema.attribute(name).or_else(|| self.common.attribute(name))
    }

    /// The extension with that URN, compared without regard to case.
    pub fn extension(&self, urn: &str) -> Option<&Extension> {
        self.extensions.iter().find(|extension| extension.urn.eq_ignore_ascii_case(urn))
    }

    /// Every extension attribute and core attribute in document order, with the URN of its
    /// extension.
    pub fn attributes(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Arc<Attribute>)> {
        let core = self.common.attributes.iter().chain(&self.schema.attributes).map(|a| (None, a));
        let extended = self
            .extensions
            .iter()
            .flat_map(|e| e.schema.attributes.iter().map(move |a| (Some(&e.urn), a)));
        core.chain(extended)
    }

    /// What a path without a URN names in an extension, where it names nothing outside; see
    /// [`Quirk::UnqualifiedExtension`](super::quirks::Quirk::UnqualifiedExtension).
    pub fn resolve_unqualified(&self, path: &AttrPath) -> Option<Resolved> {
        if path.urn.is_some() || self.core_attribute(&path.name).is_some() {
            return None;
        }
        self.extensions.iter().find_map(|extension| {
            self.resolve(&AttrPath { urn: Some(extension.urn.to_string()), ..path.clone() })
        })
    }

    /// What `path` names here, or `None` if it names nothing.
    ///
    /// Names and URNs compare without regard to case (RFC 7643 section 2.1). A path with the core
    /// schema's URN and one without name the same attribute (RFC 7644 section 3.10).
    pub fn resolve(&self, path: &AttrPath) -> Option<Resolved> {
        if let Some(whole) = path.as_urn() {
            if let Some(extension) = self.extension(&whole) {
                return Some(Resolved::Extension(extension.urn.clone()));
            }
            if self.schema.id.eq_ignore_ascii_case(&whole) {
                return Some(Resolved::Resource);
            }
        }
        let (extension, attribute) = match &path.urn {
            None => (None, self.core_attribute(&path.name)?),
            Some(urn) if urn.eq_ignore_ascii_case(&self.schema.id) => {
                (None, self.core_attribute(&path.name)?)
            }
            Some(urn) => {
                let extension = self.extension(urn)?;
                (Some(extension.urn.clone()), extension.schema.attribute(&path.name)?)
            }
        };
        let sub = match &path.sub {
            None => None,
            Some(name) => Some(attribute.sub_attribute(name)?.clone()),
        };
        Some(Resolved::Attribute(Target { extension, attribute: attribute.clone(), sub }))
    }
}

/// All schemas and resource types that a server knows.
#[derive(Debug)]
pub struct Registry {
    user: Arc<ResourceType>,
    group: Arc<ResourceType>,
    schema_documents: Vec<Value>,
    resource_type_documents: Vec<Value>,
}

/// Something that is wrong with a schema file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// The file's name.
    pub file: String,
    /// The attribute, with the one that it is part of: `badge`, `badge.number`.
    pub attribute: Option<String>,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl fmt::Display for SchemaProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.attribute {
            Some(attribute) => write!(f, "{}: attribute '{attribute}' {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Why the schema files could not be used: all that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaErrors(pub Vec<SchemaProblem>);

impl fmt::Display for SchemaErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the schemas cannot be used:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for SchemaErrors {}

impl Registry {
    /// The registry of the schemas that come with the program.
    ///
    /// # Errors
    /// A schema file of the program is wrong.
    pub fn builtin() -> Result<Self, SchemaErrors> {
        Self::load(&[])
    }

    /// The registry of the schemas that come with the program and of those in the files.
    ///
    /// # Errors
    /// All that is wrong with the files.
    pub fn load(files: &[SchemaFile]) -> Result<Self, SchemaErrors> {
        load::load(files)
    }

    /// The User resource type.
    pub fn user(&self) -> &Arc<ResourceType> {
        &self.user
    }

    /// The Group resource type.
    pub fn group(&self) -> &Arc<ResourceType> {
        &self.group
    }

    /// The schema definitions as they are served at `/Schemas`, without `meta`.
    pub fn schema_documents(&self) -> &[Value] {
        &self.schema_documents
    }

    /// The resource type definitions as they are served at `/ResourceTypes`, without `meta`.
    pub fn resource_type_documents(&self) -> &[Value] {
        &self.resource_type_documents
    }
}
