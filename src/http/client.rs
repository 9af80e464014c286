//! The SCIM client behind a request: its bearer token says which connection it speaks for.
//!
//! No path and no body can choose another one.

use std::future::{Ready, ready};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};

use super::answer::Failure;
use super::middleware::RequestId;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::tokens::{self, Authenticated};
use crate::directory::{Actor, Connection, Context};
use crate::scim::ScimError;
use crate::scim::quirks::Quirks;
use crate::secret::Secret;

const NO_TOKEN: &str = "send the token of the connection as 'Authorization: Bearer TOKEN'";

/// An authenticated client.
#[derive(Clone)]
pub struct Client {
    pub app: web::Data<App>,
    token: Authenticated,
    request_id: Option<String>,
}

impl Client {
    /// The connection that the client speaks for.
    pub fn connection(&self) -> &Connection {
        &self.token.connection
    }

    /// The id of the request, as in the answer's `X-Request-Id`.
    pub fn request_id(&self) -> &str {
        self.request_id.as_deref().unwrap_or_default()
    }

    /// The context of the operation that the client asks for.
    pub fn context(&self) -> Context {
        Context {
            connection: self.token.connection.clone(),
            actor: Actor::Token(self.token.token_id.clone()),
            request_id: self.request_id.clone(),
            now: (self.app.clock)(),
            base_url: self.app.scim_base_url.clone(),
            registry: self.app.registry.clone(),
        }
    }

    /// Notes the compatibility rules that a request made use of, without making it wait for the
    /// store: several requests' are written together.
    pub fn note_quirks(&self, quirks: &Quirks) {
        let now = (self.app.clock)();
        if let Some(wait) = self.app.quirks.note(&self.token.token_id, quirks, now) {
            let app = self.app.clone();
            actix_web::rt::spawn(async move {
                actix_web::rt::time::sleep(wait).await;
                app.save_quirks().await;
            });
        }
    }
}

impl FromRequest for Client {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let client = request.extensions().get::<Self>().cloned();
        ready(client.ok_or_else(|| unauthorized(NO_TOKEN)))
    }
}

/// Middleware of every SCIM endpoint, known or not: no token, no answer. It runs before the body is
/// read.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match identify(request.request()).await {
        Ok(client) => {
            request.extensions_mut().insert(client);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(failure) => Ok(request.error_response(failure)),
    }
}

/// The client whose token the request carries.
///
/// # Errors
/// 401 if it carries none that is good.
pub(super) async fn identify(request: &HttpRequest) -> Result<Client, Failure> {
    let app = request
        .app_data::<web::Data<App>>()
        .cloned()
        .ok_or_else(|| StoreError::Unavailable("the application is not set up".to_owned()))?;
    let presented = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| bearer(value.to_str().ok()?))
        .map(Secret::new)
        .ok_or_else(|| unauthorized(NO_TOKEN))?;
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let now = (app.clock)();
    let found =
        app.db.read(move |conn| tokens::authenticate(conn, presented.expose(), now)).await?;
    let token = found.map_err(|refused| unauthorized(&refused.to_string()))?;
    if token.note_use {
        note_use(&app, token.token_id.clone(), now);
    }
    Ok(Client { app, token, request_id })
}

/// Notes the use of a token without making the request wait for it.
fn note_use(app: &web::Data<App>, id: String, now: i64) {
    let db = app.db.clone();
    actix_web::rt::spawn(async move {
        let noted = db.note("note_token_use", move |conn| tokens::note_use(conn, &id, now)).await;
        if let Err(error) = noted {
            log::warn!("could not note the use of a token: {error}");
        }
    });
}

fn unauthorized(detail: &str) -> Failure {
    ScimError::new(401, detail).into()
}

/// The token in an `Authorization` header.
///
/// Okta's header mode sends whatever was pasted: the bare token, or one with the scheme, and then
/// sometimes a second scheme in front of it.
fn bearer(header: &str) -> Option<&str> {
    let mut rest = header.trim();
    for _ in 0..2 {
        match rest.split_once(char::is_whitespace) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => rest = token.trim(),
            _ => break,
        }
    }
    let is_scheme_alone = rest.eq_ignore_ascii_case("bearer");
    (!rest.is_empty() && !is_scheme_alone).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::bearer;

    #[test]
    fn every_way_of_pasting_the_token_works() {
        for header in ["Bearer x", "bearer x", "BEARER  x ", "x", " x", "Bearer Bearer x"] {
            assert_eq!(bearer(header), Some("x"), "{header}");
        }
        for header in ["", "Bearer", "Bearer ", "Bearer Bearer"] {
            assert_eq!(bearer(header), None, "{header}");
        }
        assert_eq!(bearer("Basic x"), Some("Basic x"));
    }
}
