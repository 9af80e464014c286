//! Handlers of the SCIM endpoints.

pub mod bulk;
pub mod discovery;
pub mod groups;
mod list;
pub mod me;
pub mod search;
pub mod users;

use actix_web::HttpResponse;

use super::answer::refusal;
use super::client::Client;
use crate::scim::ScimError;
use crate::scim::quirks::Quirks;

/// 404 for a path below the base URL that is no endpoint.
pub async fn no_such_endpoint() -> HttpResponse {
    refusal(&ScimError::not_found(
        "this SCIM server has the endpoints /Users, /Groups, /Me, /.search, /Bulk, /Schemas, \
         /ResourceTypes and /ServiceProviderConfig",
    ))
}

/// Logs and counts the tolerated deviations that a request made use of.
fn log_quirks(client: &Client, quirks: &Quirks) {
    // A dry run says nothing of what the client really sends.
    if !quirks.is_empty() && !client.is_rehearsing() {
        client.app.metrics.count_quirks(quirks);
        client.note_quirks(quirks);
        let names: Vec<&str> = quirks.iter().map(crate::scim::quirks::Quirk::name).collect();
        log::debug!(
            quirks:% = names.join(","),
            connection:% = client.connection().name;
            "tolerated"
        );
    }
}
