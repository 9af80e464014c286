//! Operations that refer to each other in a circle (RFC 7644 section 3.7.1): they are carried out
//! together, in one transaction, or not at all.

use super::write::{Request, Target, Write, Written};
use super::{Ids, Method};
use crate::scim::error::ScimError;
use crate::scim::schema::Registry;

/// A circle of operations, in the order of the request.
#[derive(Debug, Clone)]
pub struct Circle {
    pub(super) members: Vec<Member>,
    /// What the circle refers to outside of it.
    pub(super) ids: Ids,
}

/// An operation of a circle. It has a `bulkId`, since another one refers to it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) place: usize,
    pub(super) bulk_id: String,
    pub(super) request: Request,
}

/// Why a step was not carried out.
#[derive(Debug)]
pub struct Broken<E> {
    /// Place of the operation that failed; `None` if it is nobody's fault in particular.
    pub place: Option<usize>,
    pub error: E,
}

impl Circle {
    /// Carries the circle out: creates what is new without the references that have no id yet,
    /// completes it as a PUT would, and then does the rest.
    ///
    /// # Errors
    /// What `write` says, or a single endpoint of the data. The caller takes back what was written.
    pub(super) fn carry_out<E: From<ScimError>>(
        &self,
        registry: &Registry,
        mut write: impl FnMut(&Write) -> Result<Written, E>,
    ) -> Result<Vec<(usize, Written)>, Broken<E>> {
        let is_new = |member: &&Member| member.request.method() == Method::Post;
        let mut ids = self.ids.clone();
        let mut done = Vec::with_capacity(self.members.len());
        self.learn_targets(&mut ids);
        let mut created = Vec::new();
        for member in self.members.iter().filter(is_new) {
            let draft = member.broken(member.request.write(registry, &ids))?;
            created.push(member.broken(write(&draft))?);
        }
        for (member, created) in self.members.iter().filter(is_new).zip(&created) {
            ids.insert(member.bulk_id.clone(), created.id.clone());
        }
        self.learn_targets(&mut ids);
        for (member, created) in self.members.iter().filter(is_new).zip(created) {
            let whole = member.request.completion(Target::Id(created.id));
            let whole = member.broken(whole.write(registry, &ids))?;
            done.push((member.place, member.broken(write(&whole))?));
        }
        for member in self.members.iter().filter(|member| !is_new(member)) {
            let change = member.broken(member.request.write(registry, &ids))?;
            done.push((member.place, member.broken(write(&change))?));
        }
        Ok(done)
    }

    /// An operation on what is there already stands for that.
    fn learn_targets(&self, ids: &mut Ids) {
        for member in &self.members {
            let id = member.request.target().and_then(|target| target.id(ids)).map(str::to_owned);
            ids.extend(id.map(|id| (member.bulk_id.clone(), id)));
        }
    }
}

impl Member {
    fn broken<T, E>(&self, done: Result<T, impl Into<E>>) -> Result<T, Broken<E>> {
        done.map_err(|error| Broken { place: Some(self.place), error: error.into() })
    }
}
