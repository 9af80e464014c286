//! `/revoke`: an application gives a token up (RFC 7009).

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::client::authenticate;
use super::failure::OAuthFailure;
use super::parameters::ProgramForm;
use crate::app::App;
use crate::directory::revocation;
use crate::secret::Secret;

/// A request for revocation (RFC 7009 section 2.1). What kind of token it is shows by itself, so
/// that a hint is not needed.
#[derive(Debug, Deserialize)]
pub struct Revocation {
    token: Option<Secret>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
}

/// `POST /revoke`: 200 as well where there is nothing to revoke (RFC 7009 section 2.2), and where
/// the token is another application's, so that nobody finds out about it.
pub async fn post(
    app: web::Data<App>,
    request: HttpRequest,
    form: ProgramForm<Revocation>,
) -> Result<HttpResponse, OAuthFailure> {
    let form = form.0;
    let client = authenticate(&app, &request, form.client_id, form.client_secret).await?;
    let token = form.token.ok_or(OAuthFailure::Refused("invalid_request", "token is needed"))?;
    app.people
        .write("revoke", move |conn| revocation::revoke(conn, &client, token.expose()))
        .await?;
    Ok(HttpResponse::Ok().finish())
}
