//! The beginning of every sign-in, whoever asked for it: a fresh flow, and off to the provider.

use std::path::PathBuf;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use url::Url;

use super::failure::PageFailure;
use super::{cookie, page};
use crate::access::limit::Credential;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::connections::Connection;
use crate::directory::flows::{self, Request};
use crate::directory::requests::record::Outcome;
use crate::directory::tokens::{self, PlainToken};
use crate::http::{address, notes};
use crate::metrics::SignInEnd;
use crate::oidc::{Asked, Registration, Secret, is_safe};

/// Sends the browser to the connection's provider.
pub async fn start(
    app: &web::Data<App>,
    request: &HttpRequest,
    connection: Connection,
    wanted: Request,
    asked: Asked,
) -> Result<HttpResponse, PageFailure> {
    let now = (app.clock)();
    // Each one is a row until it is over.
    let begun = app.limiter.sign_in(address::counted(request), now);
    begun.inspect_err(|error| app.metrics.count_limited(error.limit))?;
    if !Url::parse(&app.settings.public_url).is_ok_and(|url| is_safe(&url)) {
        return Ok(page::bad_request(
            "Muster is reached by plain http, over which nobody can sign in safely. Tell the \
             administrator to serve it by https, and to say so with --public-url.",
        ));
    }
    let registration = match registration(app, &connection).await? {
        Ok(registration) => registration,
        Err(text) => {
            app.metrics.count_sign_in(SignInEnd::NotSetUp);
            notes::not_begun(app, request, &connection.id, Outcome::NotSetUp, text);
            return Ok(page::provider_failed(text));
        }
    };
    let started = match app.providers.start(&registration, &asked, now).await {
        Ok(started) => started,
        Err(error) => {
            log::warn!(
                connection:% = connection.name,
                issuer:% = registration.issuer;
                "sign-in cannot begin: {error}"
            );
            app.metrics.count_sign_in(SignInEnd::ProviderFailed);
            let detail = error.to_string();
            notes::not_begun(app, request, &connection.id, Outcome::ProviderFailed, &detail);
            return Ok(page::provider_failed(
                "Muster cannot reach the identity provider, or does not understand it. Try again \
                 in a minute; if it stays so, tell the administrator to look into Muster's log.",
            ));
        }
    };
    // A browser that signs in twice at once keeps its cookie, so that both can come back.
    let browser = match cookie::flow_value(app, request) {
        Some(browser) => browser,
        None => Secret::new(PlainToken::generate_with("")?.expose()),
    };
    let cookie = cookie::flow(app, browser.expose().to_owned());
    let state = tokens::hash(started.state.expose());
    let most = app.settings.max_flows;
    app.people
        .note("start_sign_in", move |conn| {
            flows::keep(
                conn,
                &connection.id,
                started.state.expose(),
                browser.expose(),
                started.nonce.expose(),
                started.pkce_verifier.expose(),
                &wanted,
                most,
                now,
            )
        })
        .await?;
    app.limiter.succeeded(Credential::SignIn, state);
    let mut response = redirect(started.url.as_str());
    if response.add_cookie(&cookie).is_err() {
        return Err(StoreError::Corrupt("a cookie that is none".to_owned()).into());
    }
    Ok(response)
}

/// Muster as the connection's provider knows it, or what is missing of it.
pub async fn registration(
    app: &web::Data<App>,
    connection: &Connection,
) -> Result<Result<Registration, &'static str>, PageFailure> {
    let settings = &connection.settings.sign_in;
    let missing = |what| {
        log::warn!(connection:% = connection.name; "sign-in is not set up: there is no {what}");
    };
    let Some(issuer) = settings.issuer.clone() else {
        missing("issuer (--issuer)");
        return Ok(Err("Sign-in is not set up for this connection: it has no issuer."));
    };
    let Some(client_id) = settings.client_id.clone() else {
        missing("client id (--client-id)");
        return Ok(Err("Sign-in is not set up for this connection: it has no client id."));
    };
    let client_secret = match settings.client_secret_file.clone().map(PathBuf::from) {
        None => None,
        Some(file) => {
            let read = web::block(move || std::fs::read_to_string(file)).await;
            if let Ok(Ok(text)) = read.map(|read| read.map(Secret::new)) {
                Some(Secret::new(text.expose().trim()))
            } else {
                log::error!(
                    connection:% = connection.name;
                    "cannot read the client secret of the connection"
                );
                return Ok(Err("Muster cannot read its secret for the identity provider."));
            }
        }
    };
    let redirect_uri = format!("{}{}", app.settings.public_url, connection.redirect_path());
    Ok(Ok(Registration { issuer, client_id, client_secret, redirect_uri }))
}

/// Sends the browser elsewhere, by a GET.
pub fn redirect(location: &str) -> HttpResponse {
    HttpResponse::build(StatusCode::SEE_OTHER).insert_header((LOCATION, location)).finish()
}
