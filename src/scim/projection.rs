//! Which attributes a response carries: `attributes` and `excludedAttributes` (RFC 7644 section
//! 3.9) together with each attribute's `returned` rule (RFC 7643 section 7).

pub mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::error::{ScimError, ScimResult};
use super::patch::{PatchPlan, sub_names};
use super::path::AttrPath;
use super::resource::Document;
use super::schema::{Attribute, Resolved, ResourceType, Returned};
use super::value::conforms;

/// Names of one container, core or extension: attribute to the sub-attributes asked for; an empty
/// list is the whole attribute.
type Names = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone, Default, PartialEq)]
struct Selection {
    core: Names,
    extensions: BTreeMap<Arc<str>, Option<Names>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
enum Mode {
    #[default]
    Default,
    Only(Selection),
    Without(Selection),
}

/// What of a resource is to be returned.
#[derive(Debug, Clone)]
pub struct Projection {
    resource_type: Arc<ResourceType>,
    mode: Mode,
    /// What is returned on request alone, and the client has just given a value: an answer to a
    /// write has it (RFC 7643 section 7, `returned`).
    written: BTreeMap<Option<Arc<str>>, Names>,
}

impl Projection {
    /// Everything that is returned by default.
    pub fn all(resource_type: &Arc<ResourceType>) -> Self {
        Self::new(resource_type, Mode::Default)
    }

    /// Reads the two query parameters, each a comma-separated list of attribute names.
    ///
    /// Names that the schema does not have are ignored.
    ///
    /// # Errors
    /// `invalidSyntax` if both are given: the RFC lets a request carry one of them only.
    pub fn parse(
        resource_type: &Arc<ResourceType>,
        attributes: Option<&str>,
        excluded: Option<&str>,
    ) -> ScimResult<Self> {
        let attributes = attributes.filter(|names| !names.trim().is_empty());
        let excluded = excluded.filter(|names| !names.trim().is_empty());
        let mode = match (attributes, excluded) {
            (Some(_), Some(_)) => {
                return Err(ScimError::invalid_value(
                    "'attributes' and 'excludedAttributes' exclude each other; send one of them",
                ));
            }
            (Some(names), None) => Mode::Only(Selection::parse(resource_type, names)),
            (None, Some(names)) => Mode::Without(Selection::parse(resource_type, names)),
            (None, None) => Mode::Default,
        };
        Ok(Self::new(resource_type, mode))
    }

    fn new(resource_type: &Arc<ResourceType>, mode: Mode) -> Self {
        Self { resource_type: resource_type.clone(), mode, written: BTreeMap::new() }
    }

    /// The projection of the answer to a POST or PUT of the document.
    #[must_use]
    pub fn after_write(mut self, document: &Document) -> Self {
        let resource_type = self.resource_type.clone();
        let written =
            resource_type.attributes().filter(|(_, attribute)| may_be_asked_for(attribute));
        for (urn, attribute) in written {
            let container = match urn {
                None => Some(document.as_map()),
                Some(urn) => document.as_map().get(urn.as_ref()).and_then(Value::as_object),
            };
            if let Some(value) = container.and_then(|values| values.get(&attribute.name)) {
                self.note_written(urn, attribute, &sub_names(value));
            }
        }
        self
    }

    /// The projection of the answer to a PATCH.
    #[must_use]
    pub fn after_patch(mut self, plan: &PatchPlan) -> Self {
        let written = plan.written().filter(|(_, attribute, _)| may_be_asked_for(attribute));
        for (urn, attribute, subs) in written {
            self.note_written(urn, attribute, &subs);
        }
        self
    }

    fn note_written(&mut self, urn: Option<&Arc<str>>, attribute: &Attribute, subs: &[&str]) {
        let names = self.written.entry(urn.cloned()).or_default();
        let known = names.entry(attribute.name.clone()).or_default();
        known.extend(subs.iter().map(|&sub| sub.to_owned()));
    }

    /// Whether the client asked for anything else than the default.
    pub fn is_default(&self) -> bool {
        self.mode == Mode::Default
    }

    /// Whether a core attribute can be part of the response, so that what is costly to read is
    /// read only then.
    pub fn includes(&self, name: &str) -> bool {
        self.resource_type
            .core_attribute(name)
            .is_some_and(|attribute| self.core().parts(attribute).is_some())
    }

    /// Whether a part of a multi-valued core attribute can be one of the response's; see
    /// [`Projection::includes`].
    pub fn includes_part(&self, name: &str, part: &str) -> bool {
        let mut sample = json!([{ part: "" }]);
        let attribute = self.resource_type.core_attribute(name);
        attribute.is_some_and(|attribute| self.core().keep(attribute, &mut sample))
    }

    /// Takes out of `resource` what is not to be returned, and what the schemas do not know (any
    /// more).
    pub fn apply(&self, resource: &mut Map<String, Value>) {
        self.renew_schemas(resource);
        let core = self.core();
        resource.retain(|name, value| {
            if let Some(extension) = self.resource_type.extension(name) {
                let Value::Object(values) = value else { return false };
                let container = self.extension(&extension.urn);
                values.retain(|name, value| {
                    let attribute = extension.schema.attribute(name);
                    attribute.is_some_and(|attribute| container.keep(attribute, value))
                });
                return !values.is_empty();
            }
            let attribute = self.resource_type.core_attribute(name);
            attribute.is_some_and(|attribute| core.keep(attribute, value))
        });
        self.name_schemas(resource);
    }

    /// Leaves out of `schemas` the extensions of which nothing is left (RFC 7643 section 3).
    fn name_schemas(&self, resource: &mut Map<String, Value>) {
        if self.is_default() {
            return;
        }
        let Some(mut schemas) = resource.get("schemas").cloned() else { return };
        if let Value::Array(urns) = &mut schemas {
            urns.retain(|urn| {
                let urn = urn.as_str().unwrap_or_default();
                self.resource_type.extension(urn).is_none() || resource.contains_key(urn)
            });
        }
        resource.insert("schemas".to_owned(), schemas);
    }

    /// A schema that was there when the resource was stored, and is no more, is not shown.
    fn renew_schemas(&self, resource: &mut Map<String, Value>) {
        let Some(Value::Array(urns)) = resource.get("schemas") else { return };
        let is_known = |urn: &&Value| {
            let Some(urn) = urn.as_str() else { return false };
            let extension = self.resource_type.extension(urn);
            urn.eq_ignore_ascii_case(&self.resource_type.schema.id)
                || extension.is_some_and(|e| e.required || resource.contains_key(e.urn.as_ref()))
        };
        let known: Vec<Value> = urns.iter().filter(is_known).cloned().collect();
        resource.insert("schemas".to_owned(), known.into());
    }

    fn core(&self) -> Container<'_> {
        let wanted = match &self.mode {
            Mode::Default => Wanted::Default,
            Mode::Only(selection) => Wanted::Only(Some(&selection.core)),
            Mode::Without(selection) => Wanted::Without(Some(&selection.core)),
        };
        Container { wanted, written: self.written.get(&None) }
    }

    fn extension(&self, urn: &Arc<str>) -> Container<'_> {
        let wanted = match &self.mode {
            Mode::Default => Wanted::Default,
            Mode::Only(selection) => match selection.extensions.get(urn) {
                None => Wanted::Only(None),
                Some(None) => Wanted::Default,
                Some(Some(names)) => Wanted::Only(Some(names)),
            },
            Mode::Without(selection) => match selection.extensions.get(urn) {
                None => Wanted::Default,
                Some(None) => Wanted::Only(None),
                Some(Some(names)) => Wanted::Without(Some(names)),
            },
        };
        Container { wanted, written: self.written.get(&Some(urn.clone())) }
    }
}

/// The attributes of the core schema or of an extension, as far as they are wanted.
struct Container<'a> {
    wanted: Wanted<'a>,
    written: Option<&'a Names>,
}

enum Wanted<'a> {
    Default,
    Only(Option<&'a Names>),
    Without(Option<&'a Names>),
}

impl<'a> Container<'a> {
    /// When the attribute is returned; one on request counts as any other where it was written.
    fn returned(&self, attribute: &Attribute) -> Returned {
        let is_written = || self.written.is_some_and(|names| names.contains_key(&attribute.name));
        match attribute.returned {
            Returned::Request if is_written() => Returned::Default,
            returned => returned,
        }
    }

    /// What of `attribute` is returned: nothing (`None`), or the parts that are.
    fn parts(&self, attribute: &Attribute) -> Option<Parts<'a>> {
        let returned = self.returned(attribute);
        match returned {
            Returned::Never => return None,
            Returned::Always => return Some(Parts::All),
            Returned::Default | Returned::Request => {}
        }
        match self.wanted {
            Wanted::Default => (returned == Returned::Default).then_some(Parts::All),
            Wanted::Only(names) => match names?.get(&attribute.name)? {
                subs if subs.is_empty() => Some(Parts::All),
                subs => Some(Parts::Only(subs)),
            },
            Wanted::Without(names) => {
                if returned == Returned::Request {
                    return None;
                }
                match names.and_then(|names| names.get(&attribute.name)) {
                    None => Some(Parts::All),
                    Some(subs) if subs.is_empty() => None,
                    Some(subs) => Some(Parts::Without(subs)),
                }
            }
        }
    }

    /// Whether a sub-attribute is returned, where these parts of its attribute are.
    fn shows(&self, attribute: &Attribute, parts: &Parts<'_>, sub: &Attribute) -> bool {
        let written = self.written.and_then(|names| names.get(&attribute.name));
        let returned = match sub.returned {
            Returned::Request if written.is_some_and(|subs| subs.contains(&sub.name)) => {
                Returned::Default
            }
            returned => returned,
        };
        match (returned, parts) {
            (Returned::Never, _) | (Returned::Request, Parts::All | Parts::Without(_)) => false,
            (Returned::Always, _) | (Returned::Default, Parts::All) => true,
            (_, Parts::Only(names)) => names.contains(&sub.name),
            (_, Parts::Without(names)) => !names.contains(&sub.name),
        }
    }

    /// Takes out of `value` what is not to be returned; whether anything is left.
    fn keep(&self, attribute: &Attribute, value: &mut Value) -> bool {
        let Some(parts) = self.parts(attribute) else { return false };
        // The schema may have been another one when the value was stored.
        if !conforms(attribute, value) {
            return false;
        }
        if !attribute.is_complex() {
            return true;
        }
        // An element of which nothing is left is none.
        let prune = |element: &mut Value| {
            let Value::Object(object) = element else { return false };
            object.retain(|name, value| {
                let sub = attribute.sub_attribute(name);
                sub.is_some_and(|sub| self.shows(attribute, &parts, sub) && conforms(sub, value))
            });
            !object.is_empty()
        };
        match value {
            Value::Array(elements) => {
                let was_empty = elements.is_empty();
                elements.retain_mut(prune);
                was_empty || !elements.is_empty()
            }
            single => prune(single),
        }
    }
}

enum Parts<'a> {
    All,
    Only(&'a [String]),
    Without(&'a [String]),
}

impl Selection {
    fn parse(resource_type: &ResourceType, names: &str) -> Self {
        let mut selection = Self::default();
        for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match resource_type.resolve(&AttrPath::split(name)) {
                None => {}
                Some(Resolved::Resource) => {
                    for attribute in &resource_type.schema.attributes {
                        selection.core.insert(attribute.name.clone(), Vec::new());
                    }
                }
                Some(Resolved::Extension(urn)) => {
                    selection.extensions.insert(urn, None);
                }
                Some(Resolved::Attribute(target)) => {
                    let container = match &target.extension {
                        None => &mut selection.core,
                        Some(urn) => {
                            let names = selection
                                .extensions
                                .entry(urn.clone())
                                .or_insert_with(|| Some(Names::new()));
                            let Some(names) = names else { continue };
                            names
                        }
                    };
                    add_name(container, &target.attribute.name, target.sub.as_deref());
                }
            }
        }
        selection
    }
}

/// Whether the attribute, or some of it, is returned on request alone.
fn may_be_asked_for(attribute: &Attribute) -> bool {
    attribute.is_on_request() || attribute.has_part_on_request()
}

fn add_name(container: &mut Names, name: &str, sub: Option<&Attribute>) {
    match (container.get_mut(name), sub) {
        (None, None) => {
            container.insert(name.to_owned(), Vec::new());
        }
        (None, Some(sub)) => {
            container.insert(name.to_owned(), vec![sub.name.clone()]);
        }
        // The whole attribute includes every part of it.
        (Some(subs), None) => subs.clear(),
        (Some(subs), Some(sub)) => {
            if !subs.is_empty() && !subs.contains(&sub.name) {
                subs.push(sub.name.clone());
            }
        }
    }
}
