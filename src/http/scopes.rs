//! Which scope a route needs. It stands with the route, in the one table, and is held against the
//! token here, or once what was [presumed] of it has turned out to be wrong: a handler gets its [`Client`]
//! only through this, so a route that names no scope serves nobody.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpMessage, Route};

use super::answer::Failure;
use super::client::{Client, Identified};
use super::presumed;
use crate::access::Refusal;
use crate::access::scope::Scope;
use crate::scim::ScimError;

/// For routes that every token may take.
pub const NONE: &[Scope] = &[];

/// The route, for tokens with one of the scopes at least; where there are several, the handler asks
/// which.
pub fn needs(scopes: &'static [Scope], route: Route) -> Route {
    route.wrap(from_fn(move |request, next| check(scopes, true, request, next)))
}

/// The same for a handler that takes a [`Seeker`](presumed::Seeker): what it looks up tells whether the
/// token is still good.
pub fn seeks(scopes: &'static [Scope], route: Route) -> Route {
    route.wrap(from_fn(move |request, next| check(scopes, false, request, next)))
}

async fn check(
    scopes: &'static [Scope],
    has_to_be_known: bool,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // Taken out first, so that what is borrowed of the request is given back.
    let identified = request.extensions_mut().remove::<Identified>();
    if let Some(Identified(mut client)) = identified {
        presumed::needs(request.request(), scopes);
        // It may have got the scope since.
        if has_to_be_known || !has_one(&client, scopes) {
            match presumed::make_sure(request.request(), &client).await {
                Ok(renewed) => client = renewed.unwrap_or(client),
                Err(failure) => return Ok(request.error_response(failure)),
            }
        }
        if let Err(lack) = check_scope(&client, scopes) {
            return Ok(request.error_response(Failure::from(lack)));
        }
        request.extensions_mut().insert(client);
    }
    next.call(request).await
}

/// A token has none of the scopes that a request needs (RFC 6750 section 3.1, `insufficient_scope`).
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct LackOfScope {
    pub error: ScimError,
    /// One that would do.
    pub scope: Scope,
}

/// Whether the token of a client has one of the scopes, if there are any.
fn has_one(client: &Client, scopes: &[Scope]) -> bool {
    scopes.is_empty() || scopes.iter().any(|scope| client.may(*scope))
}

/// Holds the token of a client against the scopes of which one will do.
///
/// # Errors
/// It has none of them, which is counted.
pub fn check_scope(client: &Client, scopes: &[Scope]) -> Result<(), LackOfScope> {
    let Some(scope) = scopes.first().copied().filter(|_| !has_one(client, scopes)) else {
        return Ok(());
    };
    client.app.metrics.count_refused(Refusal::Scope);
    let names: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
    let detail = format!(
        "the token lacks the scope {}; 'muster token update {} --scope {}' gives it",
        names.join(" or "),
        client.token_id(),
        client.scopes().with(scope)
    );
    Err(LackOfScope { error: ScimError::new(403, detail), scope })
}
