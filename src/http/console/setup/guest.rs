//! `/setup`: the set-up page of one connection, for a guest with a link.
//!
//! The link's secret stands behind the `#` of the address, which browsers send to no server. A script
//! puts it into the form of the page; without one, the guest does.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use url::Url;

use super::shares::guest_path;
use super::{Parameters, Registration, look, page, told};
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::db::{Conn, StoreError};
use crate::directory::shares::{self, Guest, Visit};
use crate::http::address;
use crate::http::console::actions::TOKEN_LIFETIME;
use crate::http::console::failure::ConsoleFailure;
use crate::http::console::guard::base;
use crate::http::console::parts::{Tone, copied, notice, time};
use crate::http::console::shell;
use crate::http::door::Attempt;
use crate::http::middleware::RequestId;
use crate::http::origin::is_own_page;
use crate::http::signin::parameters::{PageForm, PageQuery};
use crate::http::signin::{cookie, redirect};
use crate::oidc::{self, Reach, is_loopback};
use crate::secret::Secret;

/// The form of the first page.
#[derive(Debug, Deserialize)]
pub struct Opening {
    code: Option<Secret>,
}

/// `GET /setup`
pub async fn show(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> HttpResponse {
    let shown = async {
        let Some(guest) = guest(&app, &request).await? else {
            return Ok(ask(&app, StatusCode::OK, None));
        };
        let view = look(&app, &guest.connection.name, false).await?;
        let (path, now) = (guest_path(&app), (app.clock)());
        let body = html! {
            h1 { "Set up " (view.connection.name) }
            p.soft { "This page can be seen by your link alone, which ends " (time(guest.link.expires_at, now)) "." }
            (told(parameters.0.done.as_deref()))
            (page(&app, &view, &path, guest.link.may_set_up, Some(&guest.link.id)))
            details.card { summary { "Open another link" } (opening(&app)) }
        };
        Ok(shell::open_page(StatusCode::OK, &base(&app), "Set-up", &body))
    };
    shown.await.unwrap_or_else(|failure| failed(&app, &failure))
}

/// The page that takes a link's secret.
fn ask(app: &App, status: StatusCode, wrong: Option<&str>) -> HttpResponse {
    let body: Markup = html! {
        h1 { "Set-up" }
        @if let Some(wrong) = wrong { (notice(Tone::Bad, wrong)) }
        section.card { (opening(app)) }
    };
    shell::open_page(status, &base(app), "Set-up", &body)
}

/// The form that takes a link's secret. It is on the page of an open link, too: whoever has several
/// links comes to the one that they follow.
fn opening(app: &App) -> Markup {
    html! {
            form method="post" action=(guest_path(app)) id="opening" {
                div.field {
                    label for="code" { "The code of your link" }
                    input.mono id="code" type="password" name="code" autocomplete="off" required
                        spellcheck="false" aria-describedby="code-hint";
                    span.small.soft id="code-hint" { "What comes after the # of the address" }
                }
                button.main { "Open" }
            }
    }
}

/// `POST /setup`: takes the secret of a link, and keeps it in a cookie.
pub async fn open(
    app: web::Data<App>,
    request: HttpRequest,
    form: PageForm<Opening>,
) -> HttpResponse {
    let opened = async {
        if !is_own_page(&app, &request) {
            return Err(ConsoleFailure::Forbidden("This has to begin on the page itself.".into()));
        }
        let wrong = "This link has ended, was revoked, or never was one. Ask whoever sent it to you for \
                     another.";
        // Whoever pastes the whole link means what comes last.
        let code = form.0.code.as_ref().map(|code| code.expose().trim());
        let code = code.map(|code| Secret::new(code.rsplit('#').next().unwrap_or(code)));
        let Some(code) = code else { return Ok(ask(&app, StatusCode::FORBIDDEN, Some(wrong))) };
        let attempt = Attempt::begin(&app, &request, Credential::ShareLink, code.expose())?;
        let (now, asked) = ((app.clock)(), code.clone());
        let found = app.people.read(move |conn| shares::guest(conn, asked.expose(), now)).await?;
        if found.is_none() {
            attempt.failed(Refusal::ShareLink);
            return Ok(ask(&app, StatusCode::FORBIDDEN, Some(wrong)));
        }
        attempt.succeeded();
        if let Some(guest) = &found {
            log::info!(
                connection:% = guest.connection.name,
                client:% = address::shown(&request);
                "the link {} was opened",
                guest.link.id
            );
        }
        let mut response = redirect(&guest_path(&app));
        response
            .add_cookie(&cookie::share(&app, code.expose().to_owned()))
            .map_err(|_| StoreError::Corrupt("a cookie that is none".to_owned()))?;
        Ok(response)
    };
    opened.await.unwrap_or_else(|failure| failed(&app, &failure))
}

/// The form that makes a token.
#[derive(Debug, Deserialize)]
pub struct Making {
    link: Option<String>,
}

/// `POST /setup/token`
pub async fn make_token(
    app: web::Data<App>,
    request: HttpRequest,
    form: PageForm<Making>,
) -> HttpResponse {
    let made = async {
        let visit = visit(&app, &request, form.0.link)?;
        let make = move |conn: &mut Conn| {
            let (connection, secret) = shares::make_token(conn, &visit, TOKEN_LIFETIME)?;
            Ok::<_, shares::Refused>((connection.name, secret.expose().to_owned()))
        };
        let (connection, secret) = app.people.write("create_token", make).await?;
        let body = html! {
            h1 { "A new token for " (connection) }
            (notice(Tone::Warn, "It is shown this once. Enter it at the provider before you leave this page."))
            section.card {
                (copied("new-token", "Token", &secret))
                p { a.button.main href=(guest_path(&app)) { "Done" } }
            }
        };
        Ok(shell::open_page(StatusCode::OK, &base(&app), "A new token", &body))
    };
    made.await.unwrap_or_else(|failure| failed(&app, &failure))
}

/// `POST /setup/sign-in`
pub async fn register(
    app: web::Data<App>,
    request: HttpRequest,
    form: PageForm<Registration>,
) -> HttpResponse {
    let set = async {
        let (issuer, client_id) = form.0.checked()?;
        let visit = visit(&app, &request, form.0.link)?;
        let own_url = &app.settings.public_url;
        let may_be_named = issuer.as_deref().is_none_or(|issuer| may_name(own_url, issuer));
        let registration = shares::Registration { issuer, client_id, may_be_named };
        let set = move |conn: &mut Conn| shares::set_sign_in(conn, &visit, &registration);
        app.people.write("set_up_sign_in", set).await?;
        Ok(redirect(&format!("{}?done=sign-in", guest_path(&app))))
    };
    set.await.unwrap_or_else(|failure| failed(&app, &failure))
}

/// Whether a guest may name an issuer: Muster asks there, and not for what only Muster can reach. A
/// Muster that is tried out on somebody's own machine may have a provider there.
fn may_name(own_url: &str, issuer: &str) -> bool {
    let is_tried_out = || Url::parse(own_url).is_ok_and(|url| is_loopback(&url));
    oidc::issuer_url(issuer).is_ok_and(|url| {
        is_tried_out() || (!is_loopback(&url) && Reach::default().may_name(issuer, &url))
    })
}

/// What somebody comes with who wants to change something, from a page of ours.
fn visit(
    app: &web::Data<App>,
    request: &HttpRequest,
    page_of: Option<String>,
) -> Result<Visit, ConsoleFailure> {
    if !is_own_page(app, request) {
        return Err(ConsoleFailure::Forbidden("This has to begin on the page itself.".into()));
    }
    let secret = cookie::share_value(app, request).ok_or(shares::Refused::OnlyLooks)?;
    Ok(Visit { secret, page_of, request_id: RequestId::of(request), now: (app.clock)() })
}

fn failed(app: &App, failure: &ConsoleFailure) -> HttpResponse {
    failure.guest_page(&base(app), &guest_path(app))
}

/// Who comes with the cookie of a link, if that is a live one.
async fn guest(app: &web::Data<App>, request: &HttpRequest) -> Result<Option<Guest>, StoreError> {
    let Some(secret) = cookie::share_value(app, request) else { return Ok(None) };
    let now = (app.clock)();
    app.people.read(move |conn| shares::guest(conn, secret.expose(), now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_name_no_issuer_that_only_muster_can_reach() {
        let public = "https://muster.example.com";
        assert!(may_name(public, "https://example.okta.com/oauth2/default"));
        for inside in [
            "http://127.0.0.1:9200/x",
            "http://localhost:9200",
            "https://localhost",
            "https://10.0.0.5/x",
            "https://[::1]",
            "https://169.254.169.254/latest",
            "http://example.okta.com",
            "javascript:alert(1)",
        ] {
            assert!(!may_name(public, inside), "{inside}");
        }
        assert!(may_name("http://127.0.0.1:8080", "http://127.0.0.1:9400"));
    }
}
