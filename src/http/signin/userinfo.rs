//! `/userinfo`: who is signed in (OpenID Connect Core section 5.3).

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::cookie;
use super::failure::OAuthFailure;
use super::token::answer;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::grants::{self, Grant};
use crate::directory::sessions;
use crate::http::bearer::bearer;

/// `GET` and `POST /userinfo`, with an access token, or with the session cookie.
pub async fn userinfo(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, OAuthFailure> {
    Ok(match grant(&app, &request).await? {
        Some(grant) => answer(StatusCode::OK, &grant.person),
        None => unauthorized(),
    })
}

/// What the request's token or session stands for, if it lives.
pub async fn grant(
    app: &web::Data<App>,
    request: &HttpRequest,
) -> Result<Option<Grant>, StoreError> {
    let now = (app.clock)();
    if let Some(token) = bearer(request) {
        return app.people.snapshot(move |conn| grants::of_token(conn, token.expose(), now)).await;
    }
    let Some(secret) = cookie::session_value(app, request) else { return Ok(None) };
    let found = app
        .people
        .snapshot(move |conn| {
            let Some(session) = sessions::find(conn, secret.expose(), now)? else {
                return Ok(None);
            };
            let grant = grants::of_session(conn, &session.id, now)?;
            Ok::<_, StoreError>(grant.map(|grant| (grant, session.note_use)))
        })
        .await?;
    let Some((grant, note_use)) = found else { return Ok(None) };
    if note_use {
        let id = grant.session_id.clone();
        app.people.write("note_session_use", move |conn| sessions::touch(conn, &id, now)).await?;
    }
    Ok(Some(grant))
}

fn unauthorized() -> HttpResponse {
    let body = json!({ "error": "invalid_token", "error_description": "the token or session is unknown or over, or the user is deactivated" });
    let mut response = answer(StatusCode::UNAUTHORIZED, &body);
    response.headers_mut().insert(
        WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"muster\", error=\"invalid_token\""),
    );
    response
}
