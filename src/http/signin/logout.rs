//! `/logout`: ends the session, with the codes and access tokens that hang on it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};

use super::failure::PageFailure;
use super::userinfo::grant;
use super::{cookie, page};
use crate::app::App;
use crate::db::StoreError;
use crate::directory::sessions;
use crate::http::bearer::bearer;
use crate::http::middleware::RequestId;
use crate::http::origin::is_own_page;

/// `GET /logout` asks first: any page could send a browser here.
pub async fn ask(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, PageFailure> {
    Ok(match grant(&app, &request).await? {
        None => signed_out(&app)?,
        Some(_) => page::question(
            "Sign out?",
            "This ends your session in every application that it was begun for.",
            // Relative, since the public address may have a path.
            "logout",
            "Sign out",
        ),
    })
}

/// `POST /logout`, from Muster's own page or, with an access token, from an application.
pub async fn end(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, PageFailure> {
    if bearer(&request).is_none() && !is_own_page(&app, &request) {
        return Ok(page::bad_request("Signing out has to begin on Muster's own page."));
    }
    if let Some(grant) = grant(&app, &request).await? {
        let request_id = RequestId::of(&request);
        let now = (app.clock)();
        app.people
            .write("sign_out", move |conn| {
                sessions::sign_out(conn, &grant.session_id, request_id.as_deref(), now)
            })
            .await?;
    }
    signed_out(&app)
}

fn signed_out(app: &App) -> Result<HttpResponse, PageFailure> {
    let mut response = page::page(StatusCode::OK, "You are signed out", "You can close this page.");
    response
        .add_cookie(&cookie::no_session(app))
        .map_err(|_| StoreError::Corrupt("a cookie that is none".to_owned()))?;
    Ok(response)
}
