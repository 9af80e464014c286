//! What is around every page: its head, the way to the others, and who is there.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use maud::{DOCTYPE, Markup, html};

use super::failure::ConsoleFailure;
use super::guard::Seat;
use crate::http::signin::redirect;

const STYLE: &str = include_str!("assets/console.css");
const SCRIPT: &str = include_str!("assets/console.js");
const ICON: &str = include_str!("assets/icon.svg");
/// Style and script of ours, nothing from elsewhere, and nothing that stands in the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
     img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Where the console is on the server.
pub const PATH: &str = "/console";

/// The pages of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    Overview,
    Setup,
    Log,
    Users,
    Teams,
    Events,
    Doctor,
}

impl Tab {
    const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Overview, "", "Overview"),
        (Self::Setup, "/setup", "Set-up"),
        (Self::Log, "/log", "Log"),
        (Self::Users, "/users", "Users"),
        (Self::Teams, "/teams", "Teams"),
        (Self::Events, "/events", "Changes"),
        (Self::Doctor, "/doctor", "Diagnosis"),
    ];
}

/// A page of a connection, with the way to its others.
pub fn of_connection(
    seat: &Seat,
    name: &str,
    tab: Tab,
    title: &str,
    body: &Markup,
) -> HttpResponse {
    let base = seat.connection_path(name);
    let tabs = html! {
        p.crumbs { a href={ (seat.base) "/connections" } { "Connections" } " / " (name) }
        h1 { (title) }
        nav aria-label="Of this connection" {
            ul.tabs {
                @for (one, path, text) in Tab::ALL {
                    li { a href={ (base) (path) } aria-current=[(one == tab).then_some("page")] { (text) } }
                }
            }
        }
        (body)
    };
    page(seat, &format!("{title} · {name}"), &tabs)
}

/// A page for an operator.
pub fn page(seat: &Seat, title: &str, body: &Markup) -> HttpResponse {
    let bar = html! {
        nav aria-label="Console" { a href={ (seat.base) "/connections" } { "Connections" } }
        div.who {
            span { (seat.operator.name) }
            form.inline method="post" action={ (seat.base) "/logout" } {
                button.plain { "Sign out" }
            }
        }
    };
    frame(StatusCode::OK, &seat.base, title, &bar, body)
}

/// A page for whoever comes.
pub fn open_page(status: StatusCode, base: &str, title: &str, body: &Markup) -> HttpResponse {
    frame(status, base, title, &html! {}, body)
}

fn frame(status: StatusCode, base: &str, title: &str, bar: &Markup, body: &Markup) -> HttpResponse {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Muster" }
                link rel="icon" type="image/svg+xml" href={ (base) "/assets/icon.svg" };
                link rel="stylesheet" href={ (base) "/assets/console.css" };
                script src={ (base) "/assets/console.js" } defer {}
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header.bar { div {
                    a.brand href={ (base) "/connections" } { "Muster" }
                    (bar)
                } }
                main id="content" tabindex="-1" { (body) }
                p id="said" class="visually-hidden" role="status" {}
            }
        }
    };
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .body(page.into_string())
}

/// `GET /console`
pub async fn home(seat: Seat) -> HttpResponse {
    redirect(&format!("{}/connections", seat.base))
}

/// A path below `/console` that is nobody's.
pub async fn nothing() -> Result<HttpResponse, ConsoleFailure> {
    Err(ConsoleFailure::Missing("There is no such page.".to_owned()))
}

/// `GET /console/assets/console.css`
pub async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

/// `GET /console/assets/console.js`
pub async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// `GET /console/assets/icon.svg`
pub async fn icon() -> HttpResponse {
    asset("image/svg+xml", ICON)
}

fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, HeaderValue::from_static(kind))).body(text)
}
