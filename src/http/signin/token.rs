//! `/token` and `/introspect`: what applications ask for themselves.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::userinfo::bearer;
use crate::app::App;
use crate::directory::apps::{self, VendorApp};
use crate::directory::grants;
use crate::http::answer::Failure;
use crate::http::api::admin::is_admin;

/// A request for a token (RFC 6749 section 4.1.3).
#[derive(Debug, Deserialize)]
pub struct TokenRequest {
    grant_type: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    code_verifier: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// `POST /token`
pub async fn exchange(
    app: web::Data<App>,
    request: HttpRequest,
    form: web::Form<TokenRequest>,
) -> Result<HttpResponse, Failure> {
    let form = form.into_inner();
    let Some(client) = client(&app, &request, form.client_id, form.client_secret).await? else {
        return Ok(invalid_client());
    };
    if form.grant_type.as_deref() != Some("authorization_code") {
        return Ok(error("unsupported_grant_type", "use grant_type=authorization_code"));
    }
    let (Some(code), Some(uri), Some(verifier)) =
        (form.code, form.redirect_uri, form.code_verifier)
    else {
        return Ok(error("invalid_request", "code, redirect_uri and code_verifier are needed"));
    };
    let now = (app.clock)();
    let token = app
        .db
        .write("exchange_code", move |conn| {
            grants::exchange(conn, &client, &code, &uri, &verifier, now)
        })
        .await?;
    Ok(match token {
        None => {
            error("invalid_grant", "the code is unknown, used, expired or not for this request")
        }
        Some(token) => answer(
            StatusCode::OK,
            &json!({
                "access_token": token.expose(),
                "token_type": "Bearer",
                "expires_in": grants::TOKEN_LIFETIME,
            }),
        ),
    })
}

/// A request for introspection (RFC 7662 section 2.1).
#[derive(Debug, Deserialize)]
pub struct Introspection {
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// `POST /introspect`: for the vendor's back end with an admin token, and for confidential
/// applications about their own tokens.
pub async fn introspect(
    app: web::Data<App>,
    request: HttpRequest,
    form: web::Form<Introspection>,
) -> Result<HttpResponse, Failure> {
    let form = form.into_inner();
    let now = (app.clock)();
    let by_admin = match bearer(&request) {
        None => false,
        Some(token) => is_admin(&app, token).await?,
    };
    let mut client_id = None;
    if !by_admin {
        let client = client(&app, &request, form.client_id, form.client_secret).await?;
        match client.filter(VendorApp::is_confidential) {
            Some(client) => client_id = Some(client.id),
            None => return Ok(invalid_client()),
        }
    }
    let Some(token) = form.token else {
        return Ok(error("invalid_request", "token is needed"));
    };
    let grant = app.db.snapshot(move |conn| grants::of_token(conn, &token, now)).await?;
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

/// The application that asks, if it proves who it is: by Basic authentication or in the form, and
/// a public one by its client id alone (RFC 6749 section 2.3.1).
async fn client(
    app: &web::Data<App>,
    request: &HttpRequest,
    id: Option<String>,
    secret: Option<String>,
) -> Result<Option<VendorApp>, Failure> {
    let (id, secret) = match basic(request) {
        Some((id, secret)) => (Some(id), Some(secret)),
        None => (id, secret.filter(|secret| !secret.is_empty())),
    };
    let Some(id) = id else { return Ok(None) };
    let client = app.db.read(move |conn| apps::find(conn, &id)).await?;
    Ok(client.filter(|client| client.accepts(secret.as_deref())))
}

/// Id and secret of a Basic header, each form-encoded inside it.
fn basic(request: &HttpRequest) -> Option<(String, String)> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        url::form_urlencoded::parse(text.as_bytes()).next().map(|(text, _)| text.into_owned())
    };
    Some((plain(id)?, plain(secret)?))
}

fn invalid_client() -> HttpResponse {
    let mut response = answer(
        StatusCode::UNAUTHORIZED,
        &json!({ "error": "invalid_client", "error_description": "the client is not known" }),
    );
    response.headers_mut().insert(
        WWW_AUTHENTICATE,
        actix_web::http::header::HeaderValue::from_static("Basic realm=\"muster\""),
    );
    response
}

fn error(error: &str, description: &str) -> HttpResponse {
    let body = json!({ "error": error, "error_description": description });
    answer(StatusCode::BAD_REQUEST, &body)
}

/// JSON that no cache keeps.
pub fn answer(status: StatusCode, body: &Value) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).json(body)
}
