//! What an operation asks for, and the write that comes of it once the ids that it refers to are
//! known.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::references::{PREFIX, each_text, resolved};
use super::{Endpoint, Ids, Method};
use crate::scim::condition::Condition;
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::group::Body;
use crate::scim::patch::PatchPlan;
use crate::scim::quirks::Quirks;
use crate::scim::resource::Document;
use crate::scim::schema::{Registry, ResourceType};

/// An operation that is well-formed.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) endpoint: Endpoint,
    pub(super) action: Action,
    pub(super) condition: Condition,
}

/// What to do, with the data as it was sent.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Create(Value),
    Replace(Target, Value),
    Patch(Target, Value),
    Delete(Target),
}

/// Which resource an operation is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// The one with that id.
    Id(String),
    /// The one that the operation with that `bulkId` creates.
    Created(String),
}

/// A write that is held against the schema.
#[derive(Debug, Clone)]
pub struct Write {
    pub endpoint: Endpoint,
    pub verb: Verb,
    /// What the client asks of the resource's version.
    pub condition: Condition,
    /// The tolerated deviations that the data made use of; a PATCH knows its own.
    pub quirks: Quirks,
}

/// What a write does. Members are those of a group.
#[derive(Debug, Clone)]
pub enum Verb {
    Create { document: Document, members: BTreeSet<String> },
    Replace { id: String, document: Document, members: BTreeSet<String> },
    Patch { id: String, plan: PatchPlan },
    Delete { id: String },
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Id of the resource.
    pub id: String,
    /// Its entity tag, unless it was deleted.
    pub version: Option<String>,
    /// The tolerated deviations that the operation made use of.
    pub quirks: Quirks,
}

impl Target {
    /// The resource's id, if it is known.
    pub(super) fn id<'a>(&'a self, ids: &'a Ids) -> Option<&'a str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Created(name) => ids.get(name).map(String::as_str),
        }
    }
}

/// As it stands in a path.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.write_str(id),
            Self::Created(name) => write!(f, "{PREFIX}{name}"),
        }
    }
}

impl Request {
    pub(super) fn method(&self) -> Method {
        match &self.action {
            Action::Create(_) => Method::Post,
            Action::Replace(..) => Method::Put,
            Action::Patch(..) => Method::Patch,
            Action::Delete(_) => Method::Delete,
        }
    }

    /// The resource that the operation is about, if it is there before it.
    pub(super) fn target(&self) -> Option<&Target> {
        match &self.action {
            Action::Create(_) => None,
            Action::Replace(target, _) | Action::Patch(target, _) | Action::Delete(target) => {
                Some(target)
            }
        }
    }

    /// Calls `visit` with every text of the data that may be an id or a reference to one.
    pub(super) fn each_text(&self, visit: &mut impl FnMut(&str)) {
        match &self.action {
            Action::Create(data) | Action::Replace(_, data) => each_text(data, false, visit),
            Action::Patch(_, data) => each_text(data, true, visit),
            Action::Delete(_) => {}
        }
    }

    /// The write, with ids in the place of references.
    ///
    /// # Errors
    /// What the single endpoint says of the data.
    pub(super) fn write(&self, registry: &Registry, ids: &Ids) -> ScimResult<Write> {
        let mut quirks = Quirks::default();
        let id = |target: &Target| {
            let unknown = || ScimError::not_found("there is no resource with this id");
            target.id(ids).map(str::to_owned).ok_or_else(unknown)
        };
        let verb = match &self.action {
            Action::Create(data) => {
                let (document, members) = self.body(registry, data, ids, &mut quirks)?;
                Verb::Create { document, members }
            }
            Action::Replace(target, data) => {
                let (document, members) = self.body(registry, data, ids, &mut quirks)?;
                Verb::Replace { id: id(target)?, document, members }
            }
            Action::Patch(target, data) => {
                let data = resolved(data, true, ids);
                let plan = PatchPlan::new(self.resource_type(registry), data)?;
                Verb::Patch { id: id(target)?, plan }
            }
            Action::Delete(target) => Verb::Delete { id: id(target)? },
        };
        let condition = self.condition.clone();
        Ok(Write { endpoint: self.endpoint, verb, condition, quirks })
    }

    /// The operation that completes a creation which had to leave references out.
    pub(super) fn completion(&self, created: Target) -> Self {
        match &self.action {
            Action::Create(data) => {
                Self { action: Action::Replace(created, data.clone()), ..self.clone() }
            }
            _ => self.clone(),
        }
    }

    fn body(
        &self,
        registry: &Registry,
        data: &Value,
        ids: &Ids,
        quirks: &mut Quirks,
    ) -> ScimResult<(Document, BTreeSet<String>)> {
        let data = resolved(data, false, ids);
        let resource_type = self.resource_type(registry);
        match self.endpoint {
            Endpoint::Users => {
                Ok((Document::from_body(resource_type, data, quirks)?, BTreeSet::new()))
            }
            Endpoint::Groups => Body::of(data)?.read(resource_type, quirks),
        }
    }

    fn resource_type<'a>(&self, registry: &'a Registry) -> &'a Arc<ResourceType> {
        match self.endpoint {
            Endpoint::Users => registry.user(),
            Endpoint::Groups => registry.group(),
        }
    }
}
