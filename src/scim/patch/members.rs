//! What a PATCH does to a group's members, as deltas.
//!
//! The cost of carrying out a plan grows with what the request names, never with the group.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::Op;
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::filter::{self, Expression, Filter, Literal, Operator};
use crate::scim::members::member_ids;
use crate::scim::path::PatchPath;
use crate::scim::quirks::{Quirk, Quirks};
use crate::scim::schema::Attribute;

/// One step of changing a group's members; steps are carried out in order.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberStep {
    /// Add and remove the listed users; the two lists are disjoint.
    Delta {
        /// Remove everyone who is not listed in `add`.
        replace: bool,
        add: BTreeSet<String>,
        remove: BTreeSet<String>,
    },
    /// Remove those whom the filter selects, evaluated on the member as it is shown.
    RemoveWhere(Filter),
}

impl MemberStep {
    /// Whether it changes no more than so many members, whatever the team's size.
    pub fn is_small(&self, most: usize) -> bool {
        match self {
            Self::Delta { replace, add, remove } => !replace && add.len() + remove.len() <= most,
            Self::RemoveWhere(_) => false,
        }
    }
}

/// Most filters of one request that are asked of every member.
const MAX_FILTERS: usize = 10;

/// Folds the operations of one request into as few steps as there can be.
#[derive(Debug, Default)]
pub(super) struct MemberPlanner {
    done: Vec<MemberStep>,
    replace: bool,
    add: BTreeSet<String>,
    remove: BTreeSet<String>,
    filters: usize,
}

impl MemberPlanner {
    pub(super) fn finish(mut self) -> Vec<MemberStep> {
        self.close();
        self.done
    }

    fn close(&mut self) {
        let step = MemberStep::Delta {
            replace: std::mem::take(&mut self.replace),
            add: std::mem::take(&mut self.add),
            remove: std::mem::take(&mut self.remove),
        };
        let nothing =
            MemberStep::Delta { replace: false, add: BTreeSet::new(), remove: BTreeSet::new() };
        if step != nothing {
            self.done.push(step);
        }
    }

    pub(super) fn operation(
        &mut self,
        op: Op,
        attribute: &Arc<Attribute>,
        path: &PatchPath,
        value: Option<Value>,
        quirks: &mut Quirks,
    ) -> ScimResult<()> {
        if path.path.sub.is_some() || path.sub.is_some() {
            return Err(ScimError::mutability(
                "a member cannot be changed, only added to 'members' or removed from it",
            ));
        }
        if let Some(expression) = &path.filter {
            if op != Op::Remove {
                return Err(ScimError::mutability(
                    "'members' with a value filter can only be removed; to add members use the \
                     path 'members'",
                ));
            }
            if let Some(ids) = ids_of(expression) {
                self.remove_all(ids);
            } else {
                let filter = filter::check_element(expression, attribute, quirks)
                    .map_err(filter::FilterError::into_path_error)?;
                self.close();
                self.filters += 1;
                if self.filters > MAX_FILTERS {
                    return Err(ScimError::invalid_value(format!(
                        "a request may filter 'members' by other than 'value' at most \
                         {MAX_FILTERS} times"
                    )));
                }
                self.done.push(MemberStep::RemoveWhere(filter));
            }
            return Ok(());
        }
        let listed = match value {
            None | Some(Value::Null) => None,
            Some(value) => Some(member_ids(value, quirks)?),
        };
        match (op, listed) {
            (Op::Add, listed) => self.add_all(listed.unwrap_or_default()),
            (Op::Replace, listed) => {
                self.clear();
                self.add_all(listed.unwrap_or_default());
            }
            // RFC 7644 section 3.5.2.2: without a value everyone is removed; with one, only those
            // it lists are. An empty list lists nobody.
            (Op::Remove, None) => self.clear(),
            (Op::Remove, Some(ids)) => {
                quirks.note(Quirk::RemoveByValue);
                self.remove_all(ids);
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        self.done.clear();
        self.replace = true;
        self.add.clear();
        self.remove.clear();
    }

    fn add_all(&mut self, ids: BTreeSet<String>) {
        for id in ids {
            self.remove.remove(&id);
            self.add.insert(id);
        }
    }

    fn remove_all(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            self.add.remove(&id);
            // Where everyone else goes anyway there is nobody left to name.
            if !self.replace {
                self.remove.insert(id);
            }
        }
    }
}

/// The ids in `value eq "a" or value eq "b"`, the form in which clients name members.
fn ids_of(expression: &Expression) -> Option<Vec<String>> {
    match expression {
        Expression::Compare { path, op: Operator::Eq, value: Literal::String(id) }
            if path.name.eq_ignore_ascii_case("value")
                && path.urn.is_none()
                && path.sub.is_none() =>
        {
            Some(vec![id.clone()])
        }
        Expression::Or(terms) => {
            let ids: Option<Vec<Vec<String>>> = terms.iter().map(ids_of).collect();
            Some(ids?.concat())
        }
        _ => None,
    }
}
