//! Which attributes a response carries: `attributes` and `excludedAttributes` (RFC 7644 section
//! 3.9) together with each attribute's `returned` rule (RFC 7643 section 7).

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::{ScimError, ScimResult};
use super::path::AttrPath;
use super::schema::{Attribute, Resolved, ResourceType, Returned};

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
}

impl Projection {
    /// Everything that is returned by default.
    pub fn all(resource_type: &Arc<ResourceType>) -> Self {
        Self { resource_type: resource_type.clone(), mode: Mode::Default }
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
        Ok(Self { resource_type: resource_type.clone(), mode })
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
            .is_some_and(|attribute| Self::parts(&self.core(), attribute).is_some())
    }

    /// Takes out of `resource` what is not to be returned.
    pub fn apply(&self, resource: &mut Map<String, Value>) {
        let core = self.core();
        resource.retain(|name, value| {
            if let Some(extension) = self.resource_type.extension(name) {
                let Value::Object(values) = value else { return false };
                let container = self.extension(&extension.urn);
                retain(
                    values,
                    |name| extension.schema.attribute(name),
                    |a| Self::parts(&container, a),
                );
                return !values.is_empty();
            }
            match self.resource_type.core_attribute(name) {
                None => false,
                Some(attribute) => keep(attribute, value, Self::parts(&core, attribute)),
            }
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

    fn core(&self) -> Container<'_> {
        match &self.mode {
            Mode::Default => Container::Default,
            Mode::Only(selection) => Container::Only(Some(&selection.core)),
            Mode::Without(selection) => Container::Without(Some(&selection.core)),
        }
    }

    fn extension(&self, urn: &str) -> Container<'_> {
        match &self.mode {
            Mode::Default => Container::Default,
            Mode::Only(selection) => match selection.extensions.get(urn) {
                None => Container::Only(None),
                Some(None) => Container::Default,
                Some(Some(names)) => Container::Only(Some(names)),
            },
            Mode::Without(selection) => match selection.extensions.get(urn) {
                None => Container::Default,
                Some(None) => Container::Only(None),
                Some(Some(names)) => Container::Without(Some(names)),
            },
        }
    }

    /// What of `attribute` is returned: nothing (`None`), or the parts that are.
    fn parts<'a>(container: &Container<'a>, attribute: &Attribute) -> Option<Parts<'a>> {
        match attribute.returned {
            Returned::Never => return None,
            Returned::Always => return Some(Parts::All),
            Returned::Default | Returned::Request => {}
        }
        match container {
            Container::Default => (attribute.returned == Returned::Default).then_some(Parts::All),
            Container::Only(names) => match (*names)?.get(&attribute.name)? {
                subs if subs.is_empty() => Some(Parts::All),
                subs => Some(Parts::Only(subs)),
            },
            Container::Without(names) => {
                if attribute.returned == Returned::Request {
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
}

enum Container<'a> {
    Default,
    Only(Option<&'a Names>),
    Without(Option<&'a Names>),
}

enum Parts<'a> {
    All,
    Only(&'a [String]),
    Without(&'a [String]),
}

fn retain<'s, 'p>(
    values: &mut Map<String, Value>,
    find: impl Fn(&str) -> Option<&'s Arc<Attribute>>,
    parts: impl Fn(&Attribute) -> Option<Parts<'p>>,
) {
    values.retain(|name, value| match find(name) {
        None => false,
        Some(attribute) => keep(attribute, value, parts(attribute)),
    });
}

fn keep(attribute: &Attribute, value: &mut Value, parts: Option<Parts<'_>>) -> bool {
    let Some(parts) = parts else { return false };
    if !attribute.is_complex() {
        return true;
    }
    let wanted = |sub: &Attribute| match (sub.returned, &parts) {
        (Returned::Never, _) | (Returned::Request, Parts::All | Parts::Without(_)) => false,
        (Returned::Always, _) | (Returned::Default, Parts::All) => true,
        (_, Parts::Only(names)) => names.contains(&sub.name),
        (_, Parts::Without(names)) => !names.contains(&sub.name),
    };
    let prune = |element: &mut Value| {
        if let Value::Object(object) = element {
            object.retain(|name, _| attribute.sub_attribute(name).is_some_and(|sub| wanted(sub)));
        }
    };
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(prune),
        single => prune(single),
    }
    true
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
