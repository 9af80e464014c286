//! Attributes that a schema calls unique: no two users of a connection, and no two teams, have the
//! same value.

use std::fmt;

use super::{Context, DirectoryResult};
use crate::db::filter::Kind;
use crate::db::unique::{self as rows, Conflict};
use crate::db::{Conn, MayBeStore, StoreError};
use crate::scim::ScimError;
use crate::scim::resource::Document;
use crate::scim::schema::{Registry, ResourceType};
use crate::scim::unique;

/// Why the unique attributes cannot be made so.
#[derive(Debug, thiserror::Error)]
pub enum UniquenessError {
    /// What is stored already does not keep to the rule.
    #[error("{0}")]
    Conflicts(Conflicts),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for UniquenessError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl MayBeStore for UniquenessError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            conflicts @ Self::Conflicts(_) => Err(conflicts),
        }
    }
}

/// Values that several users or teams have, or that are too long to be kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflicts(Vec<(Kind, Conflict)>);

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a schema calls attributes unique that are not; mend the values at the identity \
             provider, with 'uniqueness' out of the schema until then:",
        )?;
        for (kind, found) in &self.0 {
            let kind = plural(*kind);
            let Conflict { connection, attribute, value, holders, first, last } = found;
            if *holders > 1 {
                write!(
                    f,
                    "\n  connection '{connection}': {holders} {kind} have the {attribute} \
                     '{value}', among them {first} and {last}"
                )?;
            } else {
                let start: String = value.chars().take(40).collect();
                write!(
                    f,
                    "\n  connection '{connection}': the {attribute} '{start}…' of {first} is too \
                     long to be unique"
                )?;
            }
        }
        Ok(())
    }
}

fn plural(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "users",
        Kind::Team => "groups",
    }
}

/// Sees to it that all unique values are known as such, also those that were written before a schema
/// called them so.
///
/// # Errors
/// Values that several have.
pub fn index(conn: &mut Conn, registry: &Registry) -> Result<(), UniquenessError> {
    let mut found = Vec::new();
    for (kind, resource_type) in [(Kind::User, registry.user()), (Kind::Team, registry.group())] {
        let conflicts = rows::index(conn, kind, &unique::attributes(resource_type))?;
        found.extend(conflicts.into_iter().map(|conflict| (kind, conflict)));
    }
    if found.is_empty() { Ok(()) } else { Err(UniquenessError::Conflicts(Conflicts(found))) }
}

/// Takes the unique values of a document that is being written; the row is there already.
///
/// # Errors
/// 409 `uniqueness` if another resource of the kind has one.
pub(super) fn take(
    conn: &mut Conn,
    context: &Context,
    kind: Kind,
    id: &str,
    old: Option<&Document>,
    new: &Document,
) -> DirectoryResult<()> {
    let resource_type: &ResourceType = match kind {
        Kind::User => context.registry.user(),
        Kind::Team => context.registry.group(),
    };
    let values = unique::values(resource_type, new.as_map());
    let known = old.map(|old| unique::values(resource_type, old.as_map())).unwrap_or_default();
    if values.keys().eq(known.keys()) {
        return Ok(());
    }
    let tenant = context.connection.id.as_str();
    let wanted: Vec<(&str, &str)> =
        values.keys().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if let Some(taken) = rows::find_taken(conn, kind, tenant, id, &wanted)? {
        let name = &taken.attribute;
        let key = (name.clone(), taken.value.clone());
        let value = values.get(&key).unwrap_or(&taken.value);
        let another = match kind {
            Kind::User => "user",
            Kind::Team => "group",
        };
        return Err(ScimError::uniqueness(format!(
            "another {another} already has the {name} '{value}', which only one may have; correct \
             the value, or the other {another}'s"
        ))
        .into());
    }
    Ok(rows::replace(conn, kind, tenant, id, &wanted)?)
}
