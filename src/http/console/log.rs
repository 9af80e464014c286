//! `/console/connections/{name}/log`: every request of the provider and every sign-in, newest first,
//! and one of them with its bodies and what it changed.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use url::form_urlencoded;

use super::events::{differences, too_large};
use super::failure::ConsoleFailure;
use super::guard::{FOLLOWING, Seat};
use super::parts::{Tone, badge, clock, last_of_full, notice, query};
use super::shell::{self, Tab};
use crate::app::App;
use crate::directory::requests::{self, Body, Entry, Kind, Query};
use crate::http::api::requests::save;
use crate::http::signin::parameters::PageQuery;

/// Entries on a page.
const PER_PAGE: i64 = 50;

/// What the address of the page says.
#[derive(Debug, Default, Deserialize)]
pub struct Parameters {
    /// A user, by id or name.
    user: Option<String>,
    /// `errors` for what was refused or failed.
    show: Option<String>,
    /// `scim` or `sign_in`.
    kind: Option<String>,
    /// Entries from before this one.
    before: Option<i64>,
}

/// `GET /console/connections/{name}/log`
pub async fn list(
    seat: Seat,
    request: HttpRequest,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    let parameters = parameters.0;
    let wanted = Query {
        connection_id: Some(connection.id.clone()),
        user: parameters.user.clone(),
        only_errors: parameters.show.as_deref() == Some("errors"),
        kind: parameters.kind.as_deref().and_then(Kind::from_name),
        before_id: parameters.before,
        count: PER_PAGE,
        ..Query::default()
    };
    save_unless_following(&seat, &request).await;
    let found = seat.app.db.snapshot(move |conn| requests::page(conn, &wanted)).await?;
    let base = format!("{}/log", seat.connection_path(&connection.name));
    let body = html! {
        (is_off(&seat.app))
        (search(&parameters))
        section.card id="requests" data-live=[parameters.before.is_none().then_some("2")] aria-live="off" {
            (table(&base, &found))
        }
        nav.pager aria-label="Pages" {
            @if parameters.before.is_some() { a.button href=(address(&base, &parameters, None)) rel="first" { "Newest" } }
            @if let Some(last) = last_of_full(&found, PER_PAGE) {
                a.button href=(address(&base, &parameters, Some(last.id))) rel="next" { "Earlier" }
            }
        }
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Log, "Provisioning log", &body))
}

/// Has what this process remembers written down, when somebody looks; a page that follows sees what is
/// written every second anyway.
pub(super) async fn save_unless_following(seat: &Seat, request: &HttpRequest) {
    if !request.headers().contains_key(FOLLOWING) {
        save(&seat.app).await;
    }
}

/// That nothing is to be seen, where the log is off.
pub(super) fn is_off(app: &App) -> Markup {
    if app.requests.is_on() {
        return html! {};
    }
    notice(
        Tone::Warn,
        "The server keeps no log of requests (--log-requests off), so this page cannot follow.",
    )
}

fn address(base: &str, parameters: &Parameters, before: Option<i64>) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (user, show, kind) =
        (text(&parameters.user), text(&parameters.show), text(&parameters.kind));
    let before = before.map(|id| id.to_string()).unwrap_or_default();
    let pairs = [("user", user.as_str()), ("show", &show), ("kind", &kind), ("before", &before)];
    format!("{base}?{}", query(&pairs))
}

fn search(parameters: &Parameters) -> Markup {
    let chosen = |name: &Option<String>, value: &str| name.as_deref().unwrap_or_default() == value;
    html! {
        form.card role="search" method="get" {
            div.line {
                div.field {
                    label for="user" { "User" }
                    input id="user" type="search" name="user" aria-describedby="user-hint"
                        value=(parameters.user.as_deref().unwrap_or_default());
                    span.small.soft id="user-hint" { "A whole userName or id" }
                }
                div.field {
                    label for="show" { "Show" }
                    select id="show" name="show" {
                        option value="" selected[chosen(&parameters.show, "")] { "everything" }
                        option value="errors" selected[chosen(&parameters.show, "errors")] { "errors" }
                    }
                }
                div.field {
                    label for="kind" { "Of" }
                    select id="kind" name="kind" {
                        option value="" selected[chosen(&parameters.kind, "")] { "both" }
                        option value="scim" selected[chosen(&parameters.kind, "scim")] { "SCIM" }
                        option value="sign_in" selected[chosen(&parameters.kind, "sign_in")] { "sign-in" }
                    }
                }
            }
            button.main { "Search" }
        }
    }
}

fn table(base: &str, found: &[Entry]) -> Markup {
    html! {
        @if found.is_empty() { p { "Nothing like that has arrived. What does appears here by itself." } }
        @else {
            table.stack {
                thead { tr {
                    th scope="col" { "When (UTC)" } th scope="col" { "Request" } th scope="col" { "Answer" }
                    th scope="col" { "About" } th scope="col" { "Took" }
                } }
                tbody { @for entry in found { (row(base, entry)) } }
            }
        }
    }
}

fn row(base: &str, entry: &Entry) -> Markup {
    html! {
        tr {
            td data-name="When" { a href={ (base) "/" (entry.id) } { (clock(entry.at)) } }
            td data-name="Request" { (line_of(entry)) }
            td data-name="Answer" {
                (status(entry))
                @if let Some(detail) = &entry.detail { br; span.small { (detail) } }
            }
            td data-name="About" { (about(base, entry)) }
            td data-name="Took" { (took(entry.duration)) }
        }
    }
}

/// What was asked for, in one line.
fn line_of(entry: &Entry) -> Markup {
    match entry.kind {
        Kind::Scim => html! {
            span.mono { (entry.method) " " (entry.path) }
            @if let Some(query) = &entry.query { br; span.small.soft.mono { (readable(query)) } }
        },
        Kind::SignIn => html! { "sign-in" },
    }
}

/// A query as people read it: what stands in it in percent signs is written out. For the eye alone: a `&`
/// of a value looks like one between two.
fn readable(query: &str) -> String {
    let pairs = form_urlencoded::parse(query.as_bytes());
    let pairs = pairs.map(|(name, value)| match &*value {
        "" => name.into_owned(),
        value => format!("{name}={value}"),
    });
    let written: Vec<String> = pairs.collect();
    // Neither what moves the caret nor what turns the direction of writing.
    let is_hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    written.join("&").replace(is_hidden, "?")
}

fn status(entry: &Entry) -> Markup {
    let tone = match entry.status {
        ..400 => Tone::Good,
        400..500 => Tone::Warn,
        _ => Tone::Bad,
    };
    let text = match (&entry.outcome, &entry.scim_type) {
        (Some(outcome), _) => outcome.replace('_', " "),
        (None, Some(kind)) => format!("{} {kind}", entry.status),
        (None, None) => entry.status.to_string(),
    };
    badge(tone, &text)
}

fn about(base: &str, entry: &Entry) -> Markup {
    let connection = base.strip_suffix("/log").unwrap_or(base);
    html! {
        @if let Some(user) = &entry.user {
            @let name = user.name.as_ref().or(user.id.as_ref());
            @match &user.id {
                Some(id) => a href={ (connection) "/users/" (id) } { (name.map_or("", |name| name)) },
                None => (name.map_or("", |name| name)),
            }
        }
        @if let Some(team) = &entry.team {
            @let name = team.name.as_ref().or(team.id.as_ref());
            @match &team.id {
                Some(id) => a href={ (connection) "/teams/" (id) } { (name.map_or("", |name| name)) },
                None => (name.map_or("", |name| name)),
            }
        }
        @if let Some(resources) = entry.resources { " " span.small.soft { (resources) " found" } }
    }
}

/// How long it took, in milliseconds.
fn took(micros: i64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

/// `GET /console/strays`: what came without a token that is known, so that nobody can say whose it is.
pub async fn strays(
    seat: Seat,
    request: HttpRequest,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let before_id = parameters.0.before;
    let wanted = Query { nobody: true, before_id, count: PER_PAGE, ..Query::default() };
    save_unless_following(&seat, &request).await;
    let found = seat.app.db.snapshot(move |conn| requests::page(conn, &wanted)).await?;
    let base = format!("{}/strays", seat.base);
    let body = html! {
        p.crumbs { a href={ (seat.base) "/connections" } { "Connections" } " / without a connection" }
        h1 { "Requests without a connection" }
        p { "They came without a token, with one that is not known, or to a path where nothing is, so that \
            nobody can say whose they are. A push that is missing in a connection's log may be among them." }
        (is_off(&seat.app))
        section.card id="requests" data-live=[before_id.is_none().then_some("2")] aria-live="off" {
            @if found.is_empty() { p { "There are none." } }
            @else {
                table.stack {
                    thead { tr {
                        th scope="col" { "When (UTC)" } th scope="col" { "Request" }
                        th scope="col" { "Answer" } th scope="col" { "From" }
                    } }
                    tbody { @for entry in &found { (stray(entry)) } }
                }
            }
        }
        nav.pager aria-label="Pages" {
            @if before_id.is_some() { a.button href=(base) rel="first" { "Newest" } }
            @if let Some(last) = last_of_full(&found, PER_PAGE) {
                a.button href={ (base) "?before=" (last.id) } rel="next" { "Earlier" }
            }
        }
    };
    Ok(shell::page(&seat, "Requests without a connection", &body))
}

fn stray(entry: &Entry) -> Markup {
    html! {
        tr {
            td data-name="When" { (clock(entry.at)) }
            td data-name="Request" { (line_of(entry)) }
            td data-name="Answer" {
                (status(entry))
                @if let Some(detail) = &entry.detail { br; span.small { (detail) } }
            }
            td data-name="From" {
                @if let Some(client) = &entry.client { span.mono { (client) } }
                @if let Some(agent) = &entry.user_agent { br; span.small.soft { (agent) } }
            }
        }
    }
}

/// `GET /console/connections/{name}/log/{id}`
pub async fn show(
    seat: Seat,
    path: web::Path<(String, i64)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let of = connection.id.clone();
    save(&seat.app).await;
    let found = seat
        .app
        .db
        .snapshot(move |conn| {
            let Some(entry) = requests::one(conn, Some(&of), id)? else { return Ok(None) };
            let changes = requests::changes(conn, &entry)?;
            Ok::<_, crate::db::StoreError>(Some((entry, changes)))
        })
        .await?;
    let gone = "There is no such request, or it is not kept any more.";
    let (entry, changes) = found.ok_or_else(|| ConsoleFailure::Missing(gone.to_owned()))?;
    let base = format!("{}/log", seat.connection_path(&connection.name));
    let body = html! {
        section.card aria-labelledby="what" {
            h2 id="what" { (line_of(&entry)) }
            (facts(&base, &entry))
        }
        (changed(&entry, &changes))
        (body_of("What was sent", "sent", &entry.request))
        (body_of("What was answered", "answered", &entry.answer))
        @if let Some(facts) = &entry.facts {
            section.card aria-labelledby="claims" {
                h2 id="claims" { "What the token said" }
                pre tabindex="0" { (pretty(&facts.to_string())) }
            }
        }
    };
    let title = if entry.kind == Kind::SignIn { "A sign-in" } else { "A request" };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Log, title, &body))
}

fn facts(base: &str, entry: &Entry) -> Markup {
    html! {
        dl.facts {
            dt { "Received" } dd { (clock(entry.at)) " UTC" }
            dt { "Answered" } dd { (status(entry)) " after " (took(entry.duration)) }
            @if let Some(detail) = &entry.detail { dt { "Because" } dd { (detail) } }
            dt { "About" } dd { (about(base, entry)) }
            @if let Some(token) = &entry.token_id { dt { "Token" } dd.mono { (token) } }
            @if let Some(client) = &entry.client { dt { "From" } dd.mono { (client) } }
            @if let Some(agent) = &entry.user_agent { dt { "Program" } dd { (agent) } }
            @if !entry.quirks.is_empty() {
                dt { "Accepted although" } dd { (entry.quirks.join(", ")) }
            }
            dt { "Request id" } dd.mono { (entry.request_id) }
        }
    }
}

fn changed(entry: &Entry, changes: &[Value]) -> Markup {
    let text = |change: &Value, path: &str| {
        change.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    html! {
        section.card aria-labelledby="changed" {
            h2 id="changed" { "What it changed" }
            @if changes.is_empty() {
                p.soft { @if entry.is_error() { "Nothing: it was refused." } @else { "Nothing." } }
            }
            @for change in changes {
                h3 { (text(change, "/subject/type")) " " (text(change, "/action")) }
                @match change.get("data").filter(|data| !data.is_null()) {
                    None => (too_large(change.get("size").and_then(Value::as_i64).unwrap_or(0))),
                    Some(data) => ul.plain.small {
                        @for line in differences(data) { li.mono { (line) } }
                    }
                }
            }
        }
    }
}

fn body_of(title: &str, id: &str, body: &Body) -> Markup {
    let Some(size) = body.size else { return html! {} };
    html! {
        section.card aria-labelledby=(id) {
            h2 id=(id) { (title) }
            p.soft { (size) " bytes" @if body.is_cut() { ", of which the beginning was kept" } "; what is secret is masked" }
            @if let Some(text) = &body.text {
                details { summary { "Show the body" } pre tabindex="0" { (pretty(text)) } }
            }
        }
    }
}

/// JSON with its lines, or the text as it is.
fn pretty(text: &str) -> String {
    let value = serde_json::from_str::<Value>(text).ok();
    let lines = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    lines.unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn a_query_is_written_out() {
        for (query, shown) in [
            ("filter=userName%20eq%20%22ann%22", "filter=userName eq \"ann\""),
            ("a=%C3%BC%", "a=ü%"),
            ("a=%4&b=%zz", "a=%4&b=%zz"),
            ("a=%00%1b%0A%E2%80%AEx%ff", "a=????x\u{fffd}"),
            ("", ""),
        ] {
            assert_eq!(readable(query), shown, "{query}");
        }
    }
}
