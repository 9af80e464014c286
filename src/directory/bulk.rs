//! Steps of a bulk job, each carried out whole or not at all in the transaction that the caller
//! opened. Every write is the one of its own endpoint.

use super::teams::Show;
use super::{Context, DirectoryError, DirectoryResult, teams, users};
use crate::db::{Conn, MayBeStore, StoreError};
use crate::scim::bulk::{Broken, Endpoint, Step, Verb, Write, Written};
use crate::scim::schema::Registry;

/// The version of a group speaks of its members too, as in an answer that shows them.
const SHOWN: Show = Show::AFTER_PATCH;

impl MayBeStore for Broken<DirectoryError> {
    fn or_store(self) -> Result<StoreError, Self> {
        let place = self.place;
        self.error.or_store().map_err(|error| Self { place, error })
    }
}

impl From<StoreError> for Broken<DirectoryError> {
    fn from(error: StoreError) -> Self {
        Self { place: None, error: error.into() }
    }
}

impl From<diesel::result::Error> for Broken<DirectoryError> {
    fn from(error: diesel::result::Error) -> Self {
        Self { place: None, error: error.into() }
    }
}

/// Carries out a step; returns what came of each of its operations.
///
/// # Errors
/// What the first operation that fails would be answered with alone. The transaction must not be
/// committed then.
pub fn carry_out(
    conn: &mut Conn,
    context: &Context,
    registry: &Registry,
    step: &Step,
) -> Result<Vec<(usize, Written)>, Broken<DirectoryError>> {
    step.carry_out(registry, |write| self::write(conn, context, write)).map_err(|broken| {
        // The store's failure is nobody's fault in particular.
        let place = broken.place.filter(|_| !matches!(broken.error, DirectoryError::Store(_)));
        Broken { place, ..broken }
    })
}

fn write(conn: &mut Conn, context: &Context, write: &Write) -> DirectoryResult<Written> {
    let condition = &write.condition;
    let mut quirks = write.quirks.clone();
    let (id, version) = match (write.endpoint, &write.verb) {
        (Endpoint::Users, Verb::Create { document, .. }) => {
            let user = users::create(conn, context, document)?;
            (user.id().to_owned(), Some(user.entity_tag().to_owned()))
        }
        (Endpoint::Users, Verb::Replace { id, document, .. }) => {
            let user = users::replace(conn, context, id, document, condition)?;
            (id.clone(), Some(user.entity_tag().to_owned()))
        }
        (Endpoint::Users, Verb::Patch { id, plan }) => {
            let (user, taken) = users::patch(conn, context, id, plan, condition)?;
            quirks = taken;
            (id.clone(), Some(user.entity_tag().to_owned()))
        }
        (Endpoint::Users, Verb::Delete { id }) => {
            users::delete(conn, context, id, condition)?;
            (id.clone(), None)
        }
        (Endpoint::Groups, Verb::Create { document, members }) => {
            let team = teams::create(conn, context, document, members, SHOWN)?;
            (team.id().to_owned(), Some(team.entity_tag().to_owned()))
        }
        (Endpoint::Groups, Verb::Replace { id, document, members }) => {
            let team = teams::replace(conn, context, id, document, members, condition, SHOWN)?;
            (id.clone(), Some(team.entity_tag().to_owned()))
        }
        (Endpoint::Groups, Verb::Patch { id, plan }) => {
            let (team, taken) = teams::patch(conn, context, id, plan, condition, SHOWN)?;
            quirks = taken;
            (id.clone(), Some(team.entity_tag().to_owned()))
        }
        (Endpoint::Groups, Verb::Delete { id }) => {
            teams::delete(conn, context, id, condition)?;
            (id.clone(), None)
        }
    };
    Ok(Written { id, version, quirks })
}
