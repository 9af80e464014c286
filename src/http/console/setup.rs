//! The set-up assistant: what to enter in which field of the provider's forms, in their order, and
//! what has arrived so far. Operators see it at `/console/connections/{name}/setup`, guests with a link
//! at `/setup`.

pub mod fields;
pub mod guest;
pub mod shares;

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use self::fields::{Form, Value, forms};
use super::failure::ConsoleFailure;
use super::guard::{Seat, base};
use super::log::{is_off, save_unless_following};
use super::parts::{Tone, badge, clock, copied, notice};
use super::shell::{self, Tab};
use crate::app::App;
use crate::db::{Conn, teams as team_rows, users as user_rows};
use crate::directory::connections::{self, AdminError, Connection, Provider};
use crate::directory::overview::Overview;
use crate::directory::requests::{self, Entry, Kind, Query};
use crate::directory::setup::{self, Facts, Mistake, State, Step};
use crate::directory::{overview, shares as links};
use crate::http::signin::page::sentence;
use crate::http::signin::parameters::{PageForm, PageQuery};
use crate::http::signin::redirect;
use crate::oidc::{self, OidcError};

/// How many of the latest requests are looked at.
const LATEST: i64 = 200;
/// How many of the latest sign-ins.
const SIGN_INS: i64 = 50;
/// Requests of nobody's are of this set-up if they came within so many microseconds: 15 minutes.
const STRAY: i64 = 15 * 60 * 1_000_000;

/// What a guest is told of a provider that fails.
const PROVIDER_FAILED: &str = "Muster cannot reach the identity provider, or it does not answer as one: see that \
     the issuer is right, letter by letter.";

/// What the page shows.
pub struct View {
    pub connection: Connection,
    overview: Overview,
    steps: Vec<Step>,
    mistakes: Vec<Mistake>,
    /// The links to the page; for operators.
    links: Vec<links::ShareLink>,
    /// Another connection with the same issuer; for operators.
    same_issuer: Option<String>,
}

/// Looks up what the page shows. What nobody in particular has asked for is shown to operators alone:
/// it may be of any connection.
async fn look(app: &web::Data<App>, name: &str, is_operator: bool) -> Result<View, ConsoleFailure> {
    let (name, now) = (name.to_owned(), (app.clock)());
    // Guests have the share that people have together.
    let db = if is_operator { &app.db } else { &app.people };
    Ok(db.snapshot(move |conn| view(conn, &name, is_operator, now)).await?)
}

fn view(conn: &mut Conn, name: &str, is_operator: bool, now: i64) -> Result<View, AdminError> {
    let connection = connections::find(conn, name)?;
    let overview = overview::of(conn, &connection, now)?;
    let of = |kind, count| Query {
        connection_id: Some(connection.id.clone()),
        kind: Some(kind),
        count,
        ..Query::default()
    };
    // Apart, so that however much is pushed, the last sign-ins are seen.
    let mut recent = requests::page(conn, &of(Kind::Scim, LATEST))?;
    recent.extend(requests::page(conn, &of(Kind::SignIn, SIGN_INS))?);
    recent.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    if !is_operator {
        // The errors of a network tell about ours, and a guest may choose where Muster asks.
        let failed = |entry: &&mut Entry| entry.outcome.as_deref() == Some("provider_failed");
        for entry in recent.iter_mut().filter(failed) {
            entry.detail = Some(PROVIDER_FAILED.to_owned());
        }
    }
    let mut stray: Vec<Entry> = Vec::new();
    if is_operator {
        stray = requests::page(conn, &Query { nobody: true, count: LATEST, ..Query::default() })?;
        stray.retain(|entry| now - entry.at < STRAY);
    }
    let links = if is_operator { links::all(conn, &connection.id)? } else { Vec::new() };
    let mut same_issuer = None;
    if let Some(issuer) = connection.settings.sign_in.issuer.as_ref().filter(|_| is_operator) {
        let mut others = connections::of_issuer(conn, issuer)?;
        others.retain(|other| other.id != connection.id);
        same_issuer = others.pop().map(|other| other.name);
    }
    let facts = Facts {
        connection: &connection,
        has_live_token: overview.live_tokens(now).next().is_some(),
        last_use: overview.last_use(),
        has_users: user_rows::any_owned(conn, &connection.id)?,
        has_teams: team_rows::any_managed(conn, &connection.id)?,
        recent: &recent,
        stray: &stray,
    };
    let (steps, mistakes) = (setup::steps(&facts), setup::mistakes(&facts));
    Ok(View { connection, overview, steps, mistakes, links, same_issuer })
}

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// What has just been done.
    done: Option<String>,
}

/// `GET /console/connections/{name}/setup`
pub async fn show(
    seat: Seat,
    request: HttpRequest,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    save_unless_following(&seat, &request).await;
    let view = look(&seat.app, &name, true).await?;
    let path = format!("{}/setup", seat.connection_path(&view.connection.name));
    let body = html! {
        (told(parameters.0.done.as_deref()))
        @if let Some(other) = &view.same_issuer {
            div.notice.warn {
                "The connection " strong { (other) } " has this issuer too: people who begin at the provider \
                come to the right one by the Initiate login URI of this page alone, which names it."
            }
        }
        (page(&seat.app, &view, &path, true, None))
        (shares::section(&seat, &view.connection, &view.links))
    };
    Ok(shell::of_connection(&seat, &view.connection.name, Tab::Setup, "Set-up", &body))
}

/// What has just been done, in words.
fn told(done: Option<&str>) -> Markup {
    let text = match done {
        Some("sign-in") => "Where people sign in is set.",
        Some("link-revoked") => "The link opens nothing any more.",
        _ => return html! {},
    };
    notice(Tone::Good, text)
}

/// The page, for whoever sees it; `may_set_up` says whether its forms are there, which name the guest's
/// link.
fn page(app: &App, view: &View, path: &str, may_set_up: bool, link: Option<&str>) -> Markup {
    let asks = Asks { path, may_set_up, link };
    html! {
        (is_off(app))
        section.card aria-labelledby="progress" {
            h2 id="progress" { "Progress" }
            div id="watch" data-live="2" aria-live="polite" {
                (progress(&view.steps))
                (mistakes(app, &view.mistakes))
            }
        }
        @for form in &forms(&app.settings, &view.connection) {
            (form_section(view, form, &asks))
        }
    }
}

fn progress(steps: &[Step]) -> Markup {
    let word = |state: State| match state {
        State::Waiting => badge(Tone::Calm, "waiting"),
        State::Done => badge(Tone::Good, "done"),
        State::Problem => badge(Tone::Bad, "problem"),
    };
    html! {
        ol.steps {
            @for step in steps {
                li {
                    span { (word(step.state)) }
                    div {
                        strong { (step.title) } ": "
                        @if let Some(at) = step.at { (clock(at)) " UTC, " }
                        (step.found)
                        @if let Some(advice) = &step.advice { br; span.soft { (advice) } }
                    }
                }
            }
        }
    }
}

fn mistakes(app: &App, mistakes: &[Mistake]) -> Markup {
    html! {
        @for mistake in mistakes {
            div.notice.warn {
                strong {
                    (mistake.what)
                    // To the second: "a minute ago" would be read out again each time it changes.
                    @if let Some(stray) = &mistake.stray {
                        " at " (clock(stray.at)) " UTC from " (stray.from) "."
                    }
                }
                " " (mistake.advice)
                // Strays are shown to operators alone.
                @if mistake.stray.is_some() {
                    " It is among the "
                    a href={ (base(app)) "/strays" } { "requests without a connection" } "."
                }
            }
        }
    }
}

/// How the page's forms ask for something, if they may.
struct Asks<'a> {
    path: &'a str,
    may_set_up: bool,
    link: Option<&'a str>,
}

impl Asks<'_> {
    /// Says of which link the page is: by the time that a form is sent, the browser may have another's
    /// cookie.
    fn mark(&self) -> Markup {
        html! {
            @if let Some(link) = self.link { input type="hidden" name="link" value=(link); }
        }
    }
}

fn form_section(view: &View, form: &Form, asks: &Asks<'_>) -> Markup {
    html! {
        section.card aria-labelledby=(form.id) {
            h2 id=(form.id) { (form.title) }
            p { (form.about) }
            @for (place, field) in form.fields.iter().enumerate() {
                @let id = format!("{}-{place}", form.id);
                @match &field.value {
                    Value::Copy(text) => (copied(&id, field.name, text)),
                    Value::Choose(text) => {
                        div.field { strong { (field.name) } br; (text) }
                    }
                    Value::Token => (token_field(view, field.name, asks)),
                }
            }
            @if form.has_registration {
                @if asks.may_set_up { (registration(&view.connection, asks)) }
                @else {
                    p { "Tell whoever sent you this link the Issuer"
                        @if view.connection.settings.provider == Provider::Okta { " (your Okta URL)" }
                        " and the Client ID of this application." }
                }
            }
        }
    }
}

fn token_field(view: &View, name: &str, asks: &Asks<'_>) -> Markup {
    let live = view.overview.tokens.iter().filter(|token| token.revoked_at.is_none()).count();
    html! {
        div.field {
            strong { (name) } br;
            @if asks.may_set_up {
                "The token alone. It is shown once, when it is made"
                @if live > 0 { "; there " @if live == 1 { "is one" } @else { "are " (live) } " already" }
                "."
                form.line method="post" action={ (asks.path) "/token" } {
                    (asks.mark())
                    button.main { "Make a token" }
                }
            } @else { "Ask whoever sent you this link for the token, and enter it alone." }
        }
    }
}

fn registration(connection: &Connection, asks: &Asks<'_>) -> Markup {
    let settings = &connection.settings.sign_in;
    html! {
        form method="post" action={ (asks.path) "/sign-in" } {
            (asks.mark())
            h3 { "What Muster has to know of it" }
            div.field {
                label for="issuer" { "Issuer" }
                input.mono id="issuer" type="text" name="issuer" autocomplete="off" spellcheck="false"
                    placeholder="https://example.okta.com"
                    value=(settings.issuer.as_deref().unwrap_or_default());
            }
            div.field {
                label for="client-id" { "Client ID" }
                input.mono id="client-id" type="text" name="client_id" autocomplete="off" spellcheck="false"
                    value=(settings.client_id.as_deref().unwrap_or_default());
            }
            button.main { "Save" }
        }
    }
}

/// Where people sign in, as somebody entered it.
#[derive(Debug, Deserialize)]
pub struct Registration {
    issuer: Option<String>,
    client_id: Option<String>,
    /// The link whose page it was entered on.
    link: Option<String>,
}

impl Registration {
    /// The issuer and the client id, if they can be such.
    fn checked(&self) -> Result<(Option<String>, Option<String>), ConsoleFailure> {
        let trimmed = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (issuer, client_id) = (trimmed(&self.issuer), trimmed(&self.client_id));
        let wrong = |error: OidcError| ConsoleFailure::Wrong(sentence(&error.to_string()));
        if let Some(issuer) = &issuer {
            if issuer.contains("/.well-known/") {
                let advice = "The issuer is what comes before /.well-known/, such as \
                              https://example.okta.com.";
                return Err(ConsoleFailure::Wrong(advice.to_owned()));
            }
            oidc::issuer_url(issuer).map_err(wrong)?;
        }
        if let Some(client_id) = &client_id {
            oidc::check_client_id(client_id).map_err(wrong)?;
        }
        Ok((issuer, client_id))
    }
}

/// `POST /console/connections/{name}/setup/sign-in`
pub async fn register(
    seat: Seat,
    name: web::Path<String>,
    form: PageForm<Registration>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (issuer, client_id) = form.0.checked()?;
    let back = format!("{}/setup?done=sign-in", seat.connection_path(&name));
    let (name, by) = (name.into_inner(), seat.by());
    let set = move |conn: &mut Conn| {
        let change = |settings: &mut connections::Settings| {
            settings.sign_in.issuer.clone_from(&issuer);
            settings.sign_in.client_id.clone_from(&client_id);
        };
        connections::update_by(conn, &name, change, &by)
    };
    seat.app.db.write("set_up_sign_in", set).await?;
    Ok(redirect(&back))
}
