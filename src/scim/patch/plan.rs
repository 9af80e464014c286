//! From operations as sent to typed changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::members::MemberPlanner;
use super::{Action, Change, Op, PatchPlan, Place, Selector, full_name};
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::filter::{self, Expression, Literal, Operator};
use crate::scim::path::{AttrPath, PatchPath, parse_patch_path};
use crate::scim::quirks::{Quirk, Quirks};
use crate::scim::schema::{Attribute, Mutability, Resolved, ResourceType, Returned, Target};
use crate::scim::value::{coerce, coerce_single, is_unassigned, out_of_array};

/// Collects the changes of one request.
pub(super) struct Planner {
    resource_type: Arc<ResourceType>,
    changes: Vec<Change>,
    members: MemberPlanner,
    /// Full names of attributes that were given a value which is not kept.
    dropped: BTreeSet<String>,
    pub(super) quirks: Quirks,
}

impl Planner {
    pub(super) fn new(resource_type: &Arc<ResourceType>) -> Self {
        Self {
            resource_type: resource_type.clone(),
            changes: Vec::new(),
            members: MemberPlanner::default(),
            dropped: BTreeSet::new(),
            quirks: Quirks::default(),
        }
    }

    pub(super) fn finish(self) -> PatchPlan {
        PatchPlan {
            resource_type: self.resource_type,
            changes: self.changes,
            members: self.members.finish(),
            dropped: self.dropped,
            quirks: self.quirks,
        }
    }

    /// Plans one element of `Operations`.
    pub(super) fn operation(&mut self, operation: Value) -> ScimResult<()> {
        let Value::Object(operation) = operation else {
            return Err(ScimError::invalid_syntax("each of 'Operations' must be an object"));
        };
        let mut name = None;
        let mut path = None;
        let mut value = None;
        for (key, member) in operation {
            match key.to_ascii_lowercase().as_str() {
                "op" => name = Some(member),
                "path" => path = Some(member),
                "value" => value = Some(member),
                _ => {}
            }
        }
        let op = self.op(name.as_ref())?;
        match path {
            None | Some(Value::Null) => self.pathless(op, value),
            Some(Value::String(path)) if path.is_empty() => self.pathless(op, value),
            Some(Value::String(path)) => self.at_path(op, &path, value),
            Some(_) => Err(ScimError::invalid_path("'path' must be text")),
        }
    }

    fn op(&mut self, name: Option<&Value>) -> ScimResult<Op> {
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        if lower != name {
            self.quirks.note(Quirk::CapitalizedOperation);
        }
        match lower.as_str() {
            "add" => Ok(Op::Add),
            "replace" => Ok(Op::Replace),
            "remove" => Ok(Op::Remove),
            _ => Err(ScimError::invalid_syntax("'op' must be one of add, replace, remove")),
        }
    }

    /// An operation without a path acts on the resource itself (RFC 7644 section 3.5.2.1).
    fn pathless(&mut self, op: Op, value: Option<Value>) -> ScimResult<()> {
        match (op, value) {
            // "If path is unspecified, the operation fails with noTarget" (section 3.5.2.2).
            (Op::Remove, _) => Err(ScimError::no_target("'remove' needs a 'path'")),
            (_, Some(Value::Object(object))) => self.object(op, object),
            _ => Err(ScimError::invalid_value(
                "an operation without a 'path' needs an object of attributes as its 'value'",
            )),
        }
    }

    fn object(&mut self, op: Op, object: Map<String, Value>) -> ScimResult<()> {
        for (key, value) in object {
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            // What names no attribute is ignored, as it is in a POST.
            let Ok(path) = parse_patch_path(&key) else { continue };
            match self.resource_type.resolve(&path.path) {
                None => {}
                Some(Resolved::Extension(urn)) => self.extension(op, &urn, Some(value))?,
                Some(Resolved::Resource) => {
                    if let Value::Object(inner) = value {
                        self.object_below(op, inner)?;
                    }
                }
                Some(Resolved::Attribute(target)) => {
                    if key.contains(['.', ':', '[']) {
                        self.quirks.note(Quirk::PathAsKey);
                    }
                    if target.attribute.is_read_only() || target.leaf().is_read_only() {
                        self.quirks.note(Quirk::ReadOnlyInObject);
                        continue;
                    }
                    self.at_target(op, &key, &path, &target, Some(value))?;
                }
            }
        }
        Ok(())
    }

    /// The attributes of an object that stood under the core schema's URN; a second URN inside is
    /// no attribute, so it cannot nest further.
    fn object_below(&mut self, op: Op, object: Map<String, Value>) -> ScimResult<()> {
        self.quirks.note(Quirk::PathAsKey);
        let plain = object.into_iter().filter(|(key, _)| !key.contains(':')).collect();
        self.object(op, plain)
    }

    /// An operation on a whole extension, by its URN.
    fn extension(&mut self, op: Op, urn: &Arc<str>, value: Option<Value>) -> ScimResult<()> {
        let resource_type = self.resource_type.clone();
        let Some(extension) = resource_type.extension(urn) else { return Ok(()) };
        let mut value = value.unwrap_or(Value::Null);
        if value == "" {
            self.quirks.note(Quirk::EmptyText);
            value = Value::Null;
        }
        if op == Op::Remove || (op == Op::Replace && is_unassigned(&value)) {
            self.changes.extend(extension.schema.attributes.iter().map(|attribute| Change {
                extension: Some(urn.clone()),
                attribute: attribute.clone(),
                place: Place::Whole,
                action: Action::Remove,
            }));
            return Ok(());
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let Ok(path) = parse_patch_path(&key) else { continue };
                    let path = PatchPath {
                        path: AttrPath { urn: Some(urn.to_string()), ..path.path },
                        ..path
                    };
                    if let Some(Resolved::Attribute(target)) = resource_type.resolve(&path.path)
                        && !target.attribute.is_read_only()
                        && !target.leaf().is_read_only()
                    {
                        let text = format!("{urn}:{key}");
                        self.at_target(op, &text, &path, &target, Some(value))?;
                    }
                }
                Ok(())
            }
            value if is_unassigned(&value) => Ok(()),
            _ => Err(ScimError::invalid_value(format!("the value for '{urn}' must be an object"))),
        }
    }

    fn at_path(&mut self, op: Op, text: &str, value: Option<Value>) -> ScimResult<()> {
        let path = parse_patch_path(text).map_err(filter::FilterError::into_path_error)?;
        let mut resolved = self.resource_type.resolve(&path.path);
        if resolved.is_none() {
            resolved = self.resource_type.resolve_unqualified(&path.path);
            if resolved.is_some() {
                self.quirks.note(Quirk::UnqualifiedExtension);
            }
        }
        match resolved {
            None => Err(ScimError::invalid_path(format!(
                "'{text}' names no attribute of {}; see /Schemas",
                self.resource_type.name
            ))),
            Some(Resolved::Resource) => self.pathless(op, value),
            Some(Resolved::Extension(urn)) => self.extension(op, &urn, value),
            Some(Resolved::Attribute(target)) => {
                let read_only = |a: &Attribute| a.mutability == Mutability::ReadOnly;
                let sub_read_only = path
                    .sub
                    .as_deref()
                    .and_then(|name| target.attribute.sub_attribute(name))
                    .is_some_and(|sub| read_only(sub));
                if read_only(&target.attribute) || read_only(target.leaf()) || sub_read_only {
                    return Err(ScimError::mutability(format!(
                        "'{text}' is read-only; remove it from the attribute mapping"
                    )));
                }
                self.at_target(op, text, &path, &target, value)
            }
        }
    }

    fn at_target(
        &mut self,
        op: Op,
        text: &str,
        path: &PatchPath,
        target: &Target,
        value: Option<Value>,
    ) -> ScimResult<()> {
        if op != Op::Remove && value.is_none() {
            return Err(ScimError::invalid_value(format!("'{text}' needs a 'value'")));
        }
        if target.attribute.name == "schemas" && target.extension.is_none() {
            if op == Op::Remove || value.as_ref().is_none_or(is_unassigned) {
                return Err(required(text));
            }
            // The server keeps `schemas` in step with the attributes by itself.
            return Ok(());
        }
        if is_membership(&self.resource_type, target) {
            let attribute = target.attribute.clone();
            return self.members.operation(op, &attribute, path, value, &mut self.quirks);
        }
        let is_list = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if op == Op::Remove && target.attribute.multi_valued && value.as_ref().is_some_and(is_list)
        {
            // An empty list lists nothing to remove.
            self.quirks.note(Quirk::RemoveByValue);
            return Ok(());
        }
        let mut value = value.filter(|value| !is_unassigned(value));
        if !target.leaf().multi_valued && path.filter.is_none() {
            value = value.map(|value| out_of_array(value, &mut self.quirks));
        }
        // Adding nothing changes nothing; replacing with nothing unassigns.
        let op = match (op, &value) {
            (Op::Add, None) => return Ok(()),
            (Op::Replace, None) => Op::Remove,
            _ => op,
        };
        let place = place(text, path, target, &mut self.quirks)?;
        self.change(op, text, target, place, value)
    }

    fn change(
        &mut self,
        op: Op,
        text: &str,
        target: &Target,
        place: Place,
        value: Option<Value>,
    ) -> ScimResult<()> {
        let attribute = &target.attribute;
        let Some(value) = value.filter(|_| op != Op::Remove || place == Place::Whole) else {
            return self.remove(text, target, place);
        };
        if op == Op::Remove {
            if !attribute.multi_valued {
                return self.remove(text, target, place);
            }
            let Some(Value::Array(values)) = coerce(attribute, value, text, &mut self.quirks)?
            else {
                return Ok(());
            };
            self.quirks.note(Quirk::RemoveByValue);
            self.push(target, place, Action::RemoveValues(values));
            return Ok(());
        }
        if let (Place::Whole, false, Value::Object(object)) =
            (&place, attribute.multi_valued, &value)
            && attribute.is_complex()
        {
            return self.merge(op, text, target, object);
        }
        let coerced = match &place {
            Place::Whole => coerce(attribute, value, text, &mut self.quirks)?,
            Place::Elements(_) => coerce_single(attribute, value, text, &mut self.quirks)?,
            Place::Sub(sub) | Place::ElementsSub(_, sub) => {
                coerce(sub, value, text, &mut self.quirks)?
            }
        };
        // What is never returned is never kept: a password is checked and dropped.
        let is_secret = |attribute: &Attribute| attribute.returned == Returned::Never;
        if is_secret(attribute) || place.sub().is_some_and(|sub| is_secret(sub)) {
            if coerced.is_some() {
                self.dropped.insert(full_name(target.extension.as_deref(), attribute));
            }
            return Ok(());
        }
        match (coerced, op) {
            (Some(value), Op::Add) => self.push(target, place, Action::Add(value)),
            (Some(value), _) => self.push(target, place, Action::Replace(value)),
            // What is replaced with nothing is unassigned.
            (None, Op::Replace) => return self.remove(text, target, place),
            (None, _) => {}
        }
        Ok(())
    }

    /// "Sub-attributes that are not specified SHALL be left unchanged" (RFC 7644 section 3.5.2.3).
    fn merge(
        &mut self,
        op: Op,
        text: &str,
        target: &Target,
        object: &Map<String, Value>,
    ) -> ScimResult<()> {
        for (key, value) in object {
            let Some(sub) = target.attribute.sub_attribute(key).filter(|sub| !sub.is_read_only())
            else {
                continue;
            };
            let name = format!("{text}.{}", sub.name);
            let action = match coerce(sub, value.clone(), &name, &mut self.quirks)? {
                Some(_) if sub.returned == Returned::Never => continue,
                // A sub-attribute with several values takes in what is added to it.
                Some(value) if op == Op::Add && sub.multi_valued => Action::Add(value),
                Some(value) => Action::Replace(value),
                None if op == Op::Add => continue,
                None => Action::Remove,
            };
            self.push(target, Place::Sub(sub.clone()), action);
        }
        Ok(())
    }

    fn remove(&mut self, text: &str, target: &Target, place: Place) -> ScimResult<()> {
        // "If an attribute … is defined as a required attribute or a read-only attribute, the
        // server SHALL return … mutability" (RFC 7644 section 3.5.2.2).
        if place == Place::Whole && target.attribute.required {
            return Err(required(text));
        }
        self.push(target, place, Action::Remove);
        Ok(())
    }

    fn push(&mut self, target: &Target, place: Place, action: Action) {
        self.changes.push(Change {
            extension: target.extension.clone(),
            attribute: target.attribute.clone(),
            place,
            action,
        });
    }
}

fn required(text: &str) -> ScimError {
    ScimError::mutability(format!("'{text}' is required and cannot be removed"))
}

/// The part of the attribute that a path with or without a value filter is about.
fn place(text: &str, path: &PatchPath, target: &Target, quirks: &mut Quirks) -> ScimResult<Place> {
    let attribute = &target.attribute;
    let Some(expression) = &path.filter else {
        return Ok(match &target.sub {
            None => Place::Whole,
            Some(sub) => Place::Sub(sub.clone()),
        });
    };
    if !attribute.multi_valued || target.sub.is_some() {
        return Err(ScimError::invalid_path(format!(
            "'{text}' has a value filter, which only an attribute with several values can have"
        )));
    }
    let selector = Selector {
        filter: filter::check_element(expression, attribute, quirks)
            .map_err(filter::FilterError::into_path_error)?,
        seed: seed(expression, attribute),
    };
    match &path.sub {
        None => Ok(Place::Elements(selector)),
        Some(name) => match attribute.sub_attribute(name) {
            Some(sub) => Ok(Place::ElementsSub(selector, sub.clone())),
            None => Err(ScimError::invalid_path(format!(
                "'{}' has no sub-attribute '{name}'",
                attribute.name
            ))),
        },
    }
}

/// Whether the target is a group's `members`, which never enter a document.
fn is_membership(resource_type: &ResourceType, target: &Target) -> bool {
    resource_type.name == "Group"
        && target.extension.is_none()
        && target.attribute.name == "members"
}

/// The element that a filter describes, where it is a plain conjunction of equalities.
fn seed(expression: &Expression, attribute: &Attribute) -> Option<Map<String, Value>> {
    let mut seed = Map::new();
    let terms = match expression {
        Expression::And(terms) => terms.as_slice(),
        single => std::slice::from_ref(single),
    };
    for term in terms {
        let Expression::Compare { path, op: Operator::Eq, value } = term else { return None };
        let sub = attribute.sub_attribute(&path.name)?;
        let value = match value {
            Literal::String(text) => Value::from(text.as_str()),
            Literal::Boolean(flag) => Value::from(*flag),
            Literal::Number(number) => Value::Number(number.clone()),
            Literal::Null => return None,
        };
        let value = coerce_single(sub, value, &sub.name, &mut Quirks::default()).ok()??;
        seed.insert(sub.name.clone(), value);
    }
    Some(seed)
}
