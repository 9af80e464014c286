//! `/login/initiate`: sign-in begun at the provider, such as by Okta's tile (OpenID Connect Core
//! section 4). It starts a fresh flow, and does nothing else.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::authorize::MAX_HINT;
use super::failure::PageFailure;
use super::parameters::{PageForm, PageQuery};
use super::{page, start};
use crate::app::App;
use crate::directory::apps;
use crate::directory::connections;
use crate::directory::flows::{Request, Wanted};
use crate::oidc::Asked;

/// What the provider sends.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    iss: Option<String>,
    login_hint: Option<String>,
    target_link_uri: Option<String>,
    /// Which connection is meant, where several have the issuer.
    connection: Option<String>,
}

/// `GET /login/initiate`
pub async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    initiate(app, request, parameters.0).await
}

/// `POST /login/initiate`
pub async fn post(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageForm<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    initiate(app, request, parameters.0).await
}

async fn initiate(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: Parameters,
) -> Result<HttpResponse, PageFailure> {
    let Some(issuer) = parameters.iss else {
        return Ok(page::bad_request("The address lacks the issuer (iss)."));
    };
    let mut found = app.people.read(move |conn| connections::of_issuer(conn, &issuer)).await?;
    if let Some(name) = &parameters.connection {
        found.retain(|connection| connection.name.eq_ignore_ascii_case(name));
    }
    let connection = match (found.pop(), found.is_empty()) {
        (Some(connection), true) => connection,
        (None, _) => return Ok(page::bad_request("No connection has this issuer.")),
        (Some(_), false) => {
            return Ok(page::bad_request(
                "Several connections have this issuer; name one (connection=NAME).",
            ));
        }
    };
    // Only an address that an application was created with is one to go to.
    let known = app.people.read(apps::all).await?;
    let is_known = |uri: &String| known.iter().any(|client| client.redirect_uris.contains(uri));
    if parameters.target_link_uri.as_ref().is_some_and(|uri| !is_known(uri)) {
        return Ok(page::bad_request(
            "The target_link_uri is not one that an application was created with.",
        ));
    }
    if parameters.login_hint.as_ref().is_some_and(|hint| hint.len() > MAX_HINT) {
        return Ok(page::bad_request("The login_hint is too long."));
    }
    let wanted = Request {
        app_id: None,
        redirect_uri: parameters.target_link_uri,
        wanted: Wanted::Session,
        state: None,
    };
    let asked = Asked { login_hint: parameters.login_hint, prompt: None };
    start::start(&app, &request, connection, wanted, asked).await
}
