//! `/console/login`: with an admin token, or by a connection of the vendor's own.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use maud::html;
use serde::Deserialize;

use super::failure::ConsoleFailure;
use super::guard::{Seat, base};
use super::parts::{Tone, notice, query};
use super::shell;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::connections;
use crate::directory::flows::{Request, Wanted};
use crate::directory::{operators, sessions, tokens};
use crate::http::api::admin;
use crate::http::origin::is_own_page;
use crate::http::signin::failure::PageFailure;
use crate::http::signin::parameters::{PageForm, PageQuery};
use crate::http::signin::{cookie, redirect, start};
use crate::oidc::Asked;
use crate::secret::Secret;

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// Where to go afterwards.
    next: Option<String>,
}

/// The form.
#[derive(Debug, Deserialize)]
pub struct Form {
    token: Option<Secret>,
    next: Option<String>,
}

/// `GET /console/login`
pub async fn ask(
    app: web::Data<App>,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let now = (app.clock)();
    let session = cookie::session_value(&app, &request);
    let is_somebody = match session.filter(|_| parameters.0.next.is_some()) {
        Some(secret) => {
            let found = app.people.read(move |conn| sessions::find(conn, secret.expose(), now));
            found.await?.is_some()
        }
        None => false,
    };
    let wrong = "You have signed in, but not as somebody whose role opens the console.";
    form(&app, parameters.0.next.as_deref(), is_somebody.then_some(wrong)).await
}

/// `POST /console/login`
pub async fn enter(
    app: web::Data<App>,
    request: HttpRequest,
    form_sent: PageForm<Form>,
) -> Result<HttpResponse, ConsoleFailure> {
    if !is_own_page(&app, &request) {
        return Err(ConsoleFailure::Forbidden(
            "This has to begin on the console's own page.".into(),
        ));
    }
    let Form { token, next } = form_sent.0;
    // A pasted token brings spaces and the end of a line along.
    let token = token.map(|token| Secret::new(token.expose().trim()));
    let Some(token) = token else {
        return form(&app, next.as_deref(), Some("Paste an admin token.")).await;
    };
    let is_scim = token.expose().starts_with(tokens::PREFIX);
    let Some(admin) = admin::admin(&app, &request, token).await? else {
        let wrong = if is_scim {
            "This is a SCIM token; the console wants an admin token. 'muster admin-token create' makes one."
        } else {
            "This admin token is not known, has ended or was revoked. 'muster admin-token list' shows \
             which there are."
        };
        return form(&app, next.as_deref(), Some(wrong)).await;
    };
    let now = (app.clock)();
    let secret =
        app.db.note("begin_console", move |conn| operators::begin(conn, &admin.0, now)).await?;
    let mut response = redirect(&safe(&app, next.as_deref()));
    response
        .add_cookie(&cookie::console(&app, secret.expose().to_owned()))
        .map_err(|_| StoreError::Corrupt("a cookie that is none".to_owned()))?;
    Ok(response)
}

/// `GET /console/login/{connection}`: by a connection of the vendor's own.
pub async fn begin(
    app: web::Data<App>,
    request: HttpRequest,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, PageFailure> {
    let found = app
        .people
        .read(move |conn| {
            let found = connections::with_console(conn)?;
            let is_it = |one: &connections::Connection| one.name.eq_ignore_ascii_case(&name);
            Ok::<_, StoreError>(found.into_iter().find(is_it))
        })
        .await?;
    let Some(connection) = found else {
        let failure = ConsoleFailure::Missing("Nobody gets to the console that way.".to_owned());
        return Ok(failure.page(&base(&app)));
    };
    let origin = url::Url::parse(&app.settings.public_url).ok();
    let origin = origin.map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let target = format!("{origin}{}", safe(&app, parameters.0.next.as_deref()));
    let wanted =
        Request { app_id: None, redirect_uri: Some(target), wanted: Wanted::Session, state: None };
    let asked = Asked { login_hint: None, prompt: None };
    start::start(&app, &request, connection, wanted, asked).await
}

/// `POST /console/logout`
pub async fn leave(seat: Seat, request: HttpRequest) -> Result<HttpResponse, ConsoleFailure> {
    let app = &seat.app;
    if let Some(secret) = cookie::console_value(app, &request) {
        app.db.note("end_console", move |conn| operators::end(conn, secret.expose())).await?;
    }
    // Whoever has both cookies means to leave by both.
    if let Some(secret) = cookie::session_value(app, &request) {
        let by = seat.by();
        app.db
            .write("sign_out", move |conn| {
                let found = sessions::find(conn, secret.expose(), by.now)?;
                let Some(session) = found else { return Ok(()) };
                sessions::sign_out(conn, &session.id, by.request_id.as_deref(), by.now)
            })
            .await?;
    }
    let mut response = redirect(&format!("{}/login", seat.base));
    for gone in [cookie::no_console(app), cookie::no_session(app)] {
        response
            .add_cookie(&gone)
            .map_err(|_| StoreError::Corrupt("a cookie that is none".to_owned()))?;
    }
    Ok(response)
}

/// Where to go after signing in: to a page of the console and nowhere else.
fn safe(app: &App, next: Option<&str>) -> String {
    let base = base(app);
    let inside = next.filter(|next| {
        let below = next.strip_prefix(base.as_str());
        below.is_some_and(|below| below.starts_with('/') && !below.starts_with("//"))
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    });
    inside.map_or_else(|| format!("{base}/connections"), str::to_owned)
}

async fn form(
    app: &web::Data<App>,
    next: Option<&str>,
    wrong: Option<&str>,
) -> Result<HttpResponse, ConsoleFailure> {
    let ways = app.people.read(connections::with_console).await?;
    let (base, next) = (base(app), next.unwrap_or_default());
    let body = html! {
        h1 { "Sign in to the console" }
        @if let Some(wrong) = wrong { (notice(Tone::Bad, wrong)) }
        @if !ways.is_empty() {
            section.card aria-labelledby="people" {
                h2 id="people" { "With your account" }
                p { "For people of the vendor whose identity provider lets them in." }
                @for way in &ways {
                    p { a.button.main href={
                        (base) "/login/" (way.name) "?" (query(&[("next", next)]))
                    } { "Sign in with " (way.name) } }
                }
            }
        }
        section.card aria-labelledby="token" {
            h2 id="token" { "With an admin token" }
            p { code { "muster admin-token create --label NAME" } " makes one. The session ends by itself, \
                and at once when the token is revoked." }
            form method="post" action={ (base) "/login" } {
                input type="hidden" name="next" value=(next);
                div.field {
                    label for="given" { "Admin token" }
                    input id="given" type="password" name="token" autocomplete="off"
                        required autofocus spellcheck="false"
                        aria-invalid=[wrong.map(|_| "true")];
                }
                button.main { "Sign in" }
            }
        }
    };
    let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok(shell::open_page(status, &base, "Sign in", &body))
}
