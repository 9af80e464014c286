//! PATCH (RFC 7644 section 3.5.2): a request becomes a plan of typed changes, and a plan turns a
//! document into another one.
//!
//! Planning holds every path and value against the schema before anything is read from the store,
//! so a bad request is refused whole. Group members never enter a document: what an operation does
//! to them is planned as [`MemberStep`]s, which the store carries out as deltas.
//! Entry points: [`PatchPlan::new`] and [`PatchPlan::apply`].

mod apply;
mod members;
mod old;
mod plan;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value};

pub use self::members::MemberStep;
use super::error::{ScimError, ScimResult};
use super::filter::Filter;
use super::quirks::{Quirk, Quirks};
use super::resource::Document;
use super::schema::{Attribute, ResourceType};

/// The `schemas` value of a PATCH body.
pub const PATCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Most operations that one request may carry.
pub const MAX_OPERATIONS: usize = 10_000;

/// What an operation does (RFC 7644 section 3.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Replace,
    Remove,
}

/// One change of the document, checked against the schema.
#[derive(Debug, Clone, PartialEq)]
struct Change {
    /// URN of the extension that holds the attribute.
    extension: Option<Arc<str>>,
    attribute: Arc<Attribute>,
    place: Place,
    action: Action,
}

/// Which part of the attribute a change is about.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// `emails`, `title`
    Whole,
    /// `name.givenName`, or `emails.type` for the type of every e-mail address
    Sub(Arc<Attribute>),
    /// `emails[type eq "work"]`
    Elements(Selector),
    /// `emails[type eq "work"].value`
    ElementsSub(Selector, Arc<Attribute>),
}

impl Place {
    /// The sub-attribute that the place is, if it is one.
    fn sub(&self) -> Option<&Arc<Attribute>> {
        match self {
            Self::Sub(sub) | Self::ElementsSub(_, sub) => Some(sub),
            Self::Whole | Self::Elements(_) => None,
        }
    }
}

/// A value filter, with the element to make from it where it selects none.
#[derive(Debug, Clone, PartialEq)]
struct Selector {
    filter: Filter,
    /// `{"type": "work"}` for `[type eq "work"]`; `None` where the filter is not a plain
    /// conjunction of equalities.
    seed: Option<Map<String, Value>>,
}

/// What happens to the place; values are in canonical form.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    Add(Value),
    Replace(Value),
    Remove,
    /// Remove the listed elements only.
    RemoveValues(Vec<Value>),
}

/// The attribute's name with the URN of the extension that it is in.
fn full_name(extension: Option<&str>, attribute: &Attribute) -> String {
    match extension {
        Some(urn) => format!("{urn}:{}", attribute.name),
        None => attribute.name.clone(),
    }
}

/// A PATCH request held against the schema, ready to be applied.
#[derive(Debug, Clone)]
pub struct PatchPlan {
    resource_type: Arc<ResourceType>,
    changes: Vec<Change>,
    /// What to do to a group's members, in order.
    pub members: Vec<MemberStep>,
    /// Full names of attributes that are given a value which is not kept.
    dropped: BTreeSet<String>,
    /// The tolerated deviations that the request made use of.
    pub quirks: Quirks,
}

impl PatchPlan {
    /// Reads a PATCH body.
    ///
    /// # Errors
    /// `invalidSyntax` for a body that is no PATCH request; `invalidPath`, `noTarget`,
    /// `mutability` or `invalidValue` for an operation that the schema does not allow.
    pub fn new(resource_type: &Arc<ResourceType>, body: Value) -> ScimResult<Self> {
        let mut planner = plan::Planner::new(resource_type);
        let Value::Object(body) = body else {
            return Err(ScimError::no_object());
        };
        let body = match old::operations(resource_type, body) {
            Ok(operations) => {
                planner.quirks.note(Quirk::OldPatch);
                return Self::of_operations(planner, operations);
            }
            Err(body) => body,
        };
        let mut operations = None;
        let mut schemas = None;
        for (key, value) in body {
            if key.eq_ignore_ascii_case("operations") {
                operations = Some(value);
            } else if key.eq_ignore_ascii_case("schemas") {
                schemas = Some(value);
            }
        }
        match schemas {
            None => planner.quirks.note(Quirk::MissingPatchSchema),
            Some(schemas) if names_patch(&schemas) => {}
            Some(_) => {
                return Err(ScimError::invalid_syntax(format!(
                    "'schemas' of a PATCH request must be [\"{PATCH_SCHEMA}\"]"
                )));
            }
        }
        let Some(Value::Array(operations)) = operations else {
            return Err(ScimError::invalid_syntax("a PATCH request needs an 'Operations' array"));
        };
        Self::of_operations(planner, operations)
    }

    fn of_operations(mut planner: plan::Planner, operations: Vec<Value>) -> ScimResult<Self> {
        if operations.is_empty() {
            return Err(ScimError::invalid_syntax("'Operations' must not be empty"));
        }
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::new(
                413,
                format!("a PATCH request may carry at most {MAX_OPERATIONS} operations; split it"),
            ));
        }
        for operation in operations {
            planner.operation(operation)?;
        }
        Ok(planner.finish())
    }

    /// The document as it is after the changes; notes the tolerances that only the document shows.
    ///
    /// # Errors
    /// `noTarget` where a value filter selects nothing, `mutability` where an immutable value would
    /// change, `invalidValue` where the outcome breaks the schema otherwise. Nothing is changed then: a PATCH is atomic (RFC 7644 section 3.5.2).
    pub fn apply(&self, document: Document, quirks: &mut Quirks) -> ScimResult<Document> {
        if self.changes.is_empty() {
            return Ok(document);
        }
        let mut changed = document.clone();
        for change in &self.changes {
            apply::apply(changed.as_map_mut(), change, quirks)?;
        }
        changed.patched(&self.resource_type, &document, &self.dropped, quirks)
    }

    /// The attributes that are given values, each with the names of the sub-attributes that are.
    pub fn written(&self) -> impl Iterator<Item = (Option<&Arc<str>>, &Attribute, Vec<&str>)> {
        self.changes.iter().map(|change| {
            let subs = match (&change.place, &change.action) {
                (Place::Sub(sub) | Place::ElementsSub(_, sub), _) => vec![sub.name.as_str()],
                (_, Action::Add(value) | Action::Replace(value)) => sub_names(value),
                (_, Action::Remove | Action::RemoveValues(_)) => Vec::new(),
            };
            (change.extension.as_ref(), change.attribute.as_ref(), subs)
        })
    }
}

/// The names of the sub-attributes in a value.
pub fn sub_names(value: &Value) -> Vec<&str> {
    let objects = match value {
        Value::Array(elements) => elements.as_slice(),
        single => std::slice::from_ref(single),
    };
    objects.iter().filter_map(Value::as_object).flat_map(Map::keys).map(String::as_str).collect()
}

fn names_patch(schemas: &Value) -> bool {
    let is_patch =
        |value: &Value| value.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(PATCH_SCHEMA));
    match schemas {
        Value::Array(urns) => urns.iter().any(is_patch),
        single => is_patch(single),
    }
}
