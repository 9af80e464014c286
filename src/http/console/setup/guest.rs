//! `/setup`: the set-up page of one connection, for a guest with a link.
//!
//! The link's secret stands behind the `#` of the address, which browsers send to no server. A script
//! puts it into the form of the page; without one, the guest does.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::shares::{OF_THE_VENDORS_OWN, guest_path};
use super::{Parameters, Registration, look, page, set_registration, told};
use crate::access::Permit;
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::Actor;
use crate::directory::connections::AdminError;
use crate::directory::events::By;
use crate::directory::shares::{self, Guest};
use crate::directory::tokens;
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
            (page(&app, &view, &path, guest.link.may_set_up))
            details.card { summary { "Open another link" } (opening(&app)) }
        };
        Ok(shell::open_page(StatusCode::OK, &base(&app), "Set-up", &body))
    };
    shown.await.unwrap_or_else(|failure: ConsoleFailure| failure.page(&base(&app)))
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
            return Err(ConsoleFailure::Forbidden("This has to begin on the page itself."));
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
    opened.await.unwrap_or_else(|failure: ConsoleFailure| failure.page(&base(&app)))
}

/// `POST /setup/token`
pub async fn make_token(app: web::Data<App>, request: HttpRequest) -> HttpResponse {
    let made = async {
        let (guest, by) = admitted(&app, &request).await?;
        let (connection, link) = (guest.connection.clone(), guest.link.id);
        let secret = app
            .people
            .write("create_token", move |conn| {
                let (label, end) = (format!("made by link {link}"), Some(by.now + TOKEN_LIFETIME));
                let permit = Permit::default();
                let (_, secret) = tokens::create_by(conn, &connection, &label, &permit, end, &by)?;
                Ok::<_, AdminError>(secret.expose().to_owned())
            })
            .await?;
        let body = html! {
            h1 { "A new token" }
            (notice(Tone::Warn, "It is shown this once. Enter it at the provider before you leave this page."))
            section.card {
                (copied("new-token", "Token", &secret))
                p { a.button.main href=(guest_path(&app)) { "Done" } }
            }
        };
        Ok(shell::open_page(StatusCode::OK, &base(&app), "A new token", &body))
    };
    made.await.unwrap_or_else(|failure: ConsoleFailure| failure.page(&base(&app)))
}

/// `POST /setup/sign-in`
pub async fn register(
    app: web::Data<App>,
    request: HttpRequest,
    form: PageForm<Registration>,
) -> HttpResponse {
    let set = async {
        let (guest, by) = admitted(&app, &request).await?;
        set_registration(&app, &guest.connection.name, form.0, by).await?;
        Ok(redirect(&format!("{}?done=sign-in", guest_path(&app))))
    };
    set.await.unwrap_or_else(|failure: ConsoleFailure| failure.page(&base(&app)))
}

/// A guest who may change something, from a page of ours.
async fn admitted(
    app: &web::Data<App>,
    request: &HttpRequest,
) -> Result<(Guest, By), ConsoleFailure> {
    if !is_own_page(app, request) {
        return Err(ConsoleFailure::Forbidden("This has to begin on the page itself."));
    }
    let guest = guest(app, request).await?.filter(|guest| guest.link.may_set_up);
    let guest = guest.ok_or(ConsoleFailure::Forbidden("Your link is for looking alone."))?;
    // Who sets that connection up decides who may use the console.
    if guest.connection.settings.console_role.is_some() {
        return Err(ConsoleFailure::Forbidden(OF_THE_VENDORS_OWN));
    }
    let by = By {
        actor: Actor::Guest(guest.link.id.clone()),
        request_id: RequestId::of(request),
        now: (app.clock)(),
    };
    Ok((guest, by))
}

/// Who comes with the cookie of a link, if that is a live one.
async fn guest(app: &web::Data<App>, request: &HttpRequest) -> Result<Option<Guest>, StoreError> {
    let Some(secret) = cookie::share_value(app, request) else { return Ok(None) };
    let now = (app.clock)();
    app.people.read(move |conn| shares::guest(conn, secret.expose(), now)).await
}
