//! Why a request about a team is refused, in words that the identity provider's administrator reads.

use crate::scim::ScimError;
use crate::scim::resource::Document;

pub(super) fn not_found(id: &str) -> ScimError {
    ScimError::not_found(format!("there is no group with the id '{id}'"))
}

pub(super) fn display_name_taken(document: &Document) -> ScimError {
    let name = document.text("displayName").unwrap_or_default();
    ScimError::uniqueness(format!(
        "another group already has the displayName '{name}' (upper and lower case count as the \
         same); link the existing group instead of creating one, or rename one of them"
    ))
}

pub(super) fn external_id_taken(document: &Document) -> ScimError {
    let external_id = document.text("externalId").unwrap_or_default();
    ScimError::uniqueness(format!(
        "another group already has the externalId '{external_id}'; update that one instead of \
         creating one"
    ))
}
