//! The guard of the read API: an admin token, and nothing else, opens it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};

use super::answer::Failure;
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::apps::{self, Admin};
use crate::http::bearer::bearer;
use crate::http::door::{Attempt, Denied, admit};
use crate::secret::Secret;

/// The id of the admin token that a request came with.
#[derive(Debug, Clone)]
pub struct AdminId(pub String);

/// Middleware of every endpoint, known or not: no admin token, no answer.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match identify(request.request()).await {
        Ok(admin) => {
            request.extensions_mut().insert(admin);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(failure) => Ok(request.error_response(failure)),
    }
}

async fn identify(request: &HttpRequest) -> Result<AdminId, Failure> {
    let app = request
        .app_data::<web::Data<App>>()
        .cloned()
        .ok_or_else(|| StoreError::Unavailable("the application is not set up".to_owned()))?;
    let presented = bearer(request).ok_or(Failure::Unauthorized)?;
    admin(&app, request, presented).await?.ok_or(Failure::Unauthorized)
}

/// Whether this is a live admin token.
///
/// # Errors
/// As for [`admin`].
pub async fn is_admin(
    app: &web::Data<App>,
    request: &HttpRequest,
    presented: Secret,
) -> Result<bool, Denied> {
    Ok(admin(app, request, presented).await?.is_some())
}

/// The live admin token that this is, if it is one; its use is noted without making the request wait
/// for it.
///
/// # Errors
/// It is one but may not be used from the client's address, or too many were tried from there.
pub async fn admin(
    app: &web::Data<App>,
    request: &HttpRequest,
    presented: Secret,
) -> Result<Option<AdminId>, Denied> {
    let attempt = Attempt::begin(app, request, Credential::AdminToken, presented.expose())?;
    let now = (app.clock)();
    let found = app.db.read(move |conn| apps::admin(conn, presented.expose(), now)).await?;
    let Some(Admin { token_id, allow_from, note_use }) = found else {
        attempt.failed(Refusal::AdminToken);
        return Ok(None);
    };
    attempt.succeeded();
    admit(app, request, &allow_from, &token_id)?;
    let admin = AdminId(token_id.clone());
    if note_use {
        let db = app.db.clone();
        actix_web::rt::spawn(async move {
            let note = move |conn: &mut _| apps::note_admin_use(conn, &token_id, now);
            if let Err(error) = db.note("note_admin_token_use", note).await {
                log::log!(error.level(), "could not note the use of an admin token: {error}");
            }
        });
    }
    Ok(Some(admin))
}
