//! `/console/connections/{name}/doctor`: what is wrong, and what to do about it.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge};
use super::shell::{self, Tab};
use crate::directory::doctor::{Check, Status};
use crate::http::api::doctor::report;

/// `GET /console/connections/{name}/doctor`
pub async fn show(seat: Seat, name: web::Path<String>) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    let report = report(&seat.app, Some(connection.name.clone())).await?;
    let worst = |status: Status| report.checks.iter().filter(move |check| check.status == status);
    let body = html! {
        p.soft { "The store, the server's address, the connection and its provider, as they are now. "
            code { "muster doctor --connection " (connection.name) } " says the same." }
        @for status in [Status::Problem, Status::Warning, Status::Unchecked, Status::Ok] {
            @if worst(status).next().is_some() {
                section.card aria-label=(status.as_str()) {
                    ol.steps { @for check in worst(status) { (row(check)) } }
                }
            }
        }
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Doctor, "Diagnosis", &body))
}

fn row(check: &Check) -> Markup {
    let tone = match check.status {
        Status::Ok => Tone::Good,
        Status::Warning => Tone::Warn,
        Status::Problem => Tone::Bad,
        Status::Unchecked => Tone::Calm,
    };
    html! {
        li {
            span { (badge(tone, check.status.as_str())) }
            div {
                strong { (check.found) } br;
                span.soft.small { (check.name) ": " (check.about) }
                @if let Some(advice) = &check.advice { br; span.soft { (advice) } }
            }
        }
    }
}
