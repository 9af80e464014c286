//! The guard of the read API: an admin token, and nothing else, opens it.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};

use super::answer::Failure;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::apps::{self, Admin};
use crate::http::bearer::bearer;
use crate::secret::Secret;

/// Middleware of every endpoint, known or not: no admin token, no answer.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match identify(request.request()).await {
        Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
        Err(failure) => Ok(request.error_response(failure)),
    }
}

async fn identify(request: &HttpRequest) -> Result<(), Failure> {
    let app = request
        .app_data::<web::Data<App>>()
        .cloned()
        .ok_or_else(|| StoreError::Unavailable("the application is not set up".to_owned()))?;
    let presented = bearer(request).ok_or(Failure::Unauthorized)?;
    if is_admin(&app, presented).await? { Ok(()) } else { Err(Failure::Unauthorized) }
}

/// Whether this is a live admin token; its use is noted without making the request wait for it.
pub async fn is_admin(app: &web::Data<App>, presented: Secret) -> Result<bool, StoreError> {
    let now = (app.clock)();
    let found = app.db.read(move |conn| apps::admin(conn, presented.expose(), now)).await?;
    let Some(Admin { token_id, note_use }) = found else { return Ok(false) };
    if note_use {
        let db = app.db.clone();
        actix_web::rt::spawn(async move {
            let note = move |conn: &mut _| apps::note_admin_use(conn, &token_id, now);
            if let Err(error) = db.note("note_admin_token_use", note).await {
                log::warn!("could not note the use of an admin token: {error}");
            }
        });
    }
    Ok(true)
}
