//! `/token` and `/introspect`: what applications ask for themselves.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::authenticate;
use super::failure::OAuthFailure;
use super::parameters::ProgramForm;
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::directory::grants;
use crate::http::api::admin::is_admin;
use crate::http::bearer::bearer;
use crate::http::door::Attempt;
use crate::secret::Secret;

/// A request for a token (RFC 6749 section 4.1.3).
#[derive(Debug, Deserialize)]
pub struct TokenRequest {
    grant_type: Option<String>,
    code: Option<Secret>,
    redirect_uri: Option<String>,
    code_verifier: Option<Secret>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
}

/// `POST /token`
pub async fn exchange(
    app: web::Data<App>,
    request: HttpRequest,
    form: ProgramForm<TokenRequest>,
) -> Result<HttpResponse, OAuthFailure> {
    let form = form.0;
    let client = authenticate(&app, &request, form.client_id, form.client_secret).await?;
    if form.grant_type.as_deref() != Some("authorization_code") {
        return Err(OAuthFailure::Refused(
            "unsupported_grant_type",
            "use grant_type=authorization_code",
        ));
    }
    let (Some(code), Some(uri), Some(verifier)) =
        (form.code, form.redirect_uri, form.code_verifier)
    else {
        return Err(OAuthFailure::Refused(
            "invalid_request",
            "code, redirect_uri and code_verifier are needed",
        ));
    };
    // An application that proves who it is asks for everybody from one address, and what it brings
    // came from browsers: nobody there may be kept out because somebody brought it wrong codes.
    let attempt = if client.is_confidential() {
        None
    } else {
        Some(Attempt::begin(&app, &request, Credential::Code, code.expose())?)
    };
    let now = (app.clock)();
    let token = app
        .people
        .write("exchange_code", move |conn| {
            grants::exchange(conn, &client, code.expose(), &uri, verifier.expose(), now)
        })
        .await?;
    let Some(token) = token else {
        match attempt {
            Some(attempt) => attempt.failed(Refusal::Code),
            None => app.metrics.count_refused(Refusal::Code),
        }
        return Err(OAuthFailure::Refused(
            "invalid_grant",
            "the code is unknown, used or expired, or is not for this client_id, redirect_uri and \
             code_verifier",
        ));
    };
    Ok(answer(
        StatusCode::OK,
        &json!({
            "access_token": token.expose(),
            "token_type": "Bearer",
            "expires_in": grants::TOKEN_LIFETIME,
        }),
    ))
}

/// A request for introspection (RFC 7662 section 2.1).
#[derive(Debug, Deserialize)]
pub struct Introspection {
    token: Option<Secret>,
    client_id: Option<String>,
    client_secret: Option<Secret>,
}

/// `POST /introspect`: for the vendor's back end with an admin token, and for confidential
/// applications about their own tokens.
pub async fn introspect(
    app: web::Data<App>,
    request: HttpRequest,
    form: ProgramForm<Introspection>,
) -> Result<HttpResponse, OAuthFailure> {
    let form = form.0;
    let now = (app.clock)();
    let by_admin = match bearer(&request) {
        None => false,
        Some(token) => is_admin(&app, &request, token).await?,
    };
    let mut client_id = None;
    if !by_admin {
        let client = authenticate(&app, &request, form.client_id, form.client_secret).await?;
        if !client.is_confidential() {
            return Err(OAuthFailure::InvalidClient);
        }
        client_id = Some(client.id);
    }
    let token = form.token.ok_or(OAuthFailure::Refused("invalid_request", "token is needed"))?;
    let grant =
        app.people.snapshot(move |conn| grants::of_token(conn, token.expose(), now)).await?;
    let grant = grant.filter(|grant| client_id.is_none() || grant.app_id == client_id);
    // A token that is not (any more) is told apart from one of somebody else's by nobody
    // (RFC 7662 section 2.2).
    let body = match grant {
        None => json!({ "active": false }),
        Some(grant) => {
            let mut body = json!({
                "active": true,
                "client_id": grant.app_id,
                "token_type": "Bearer",
                "iat": grant.issued_at / 1_000_000,
                "exp": grant.expires_at / 1_000_000,
                "iss": app.settings.public_url,
            });
            if let (Some(body), Value::Object(person)) = (body.as_object_mut(), grant.person) {
                body.extend(person);
            }
            body
        }
    };
    Ok(answer(StatusCode::OK, &body))
}

/// JSON.
pub fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status).json(body)
}
