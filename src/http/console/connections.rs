//! `/console/connections`: every connection and how it is.

use actix_web::HttpResponse;
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge, chart, lately, number, pager, query, time};
use super::shell;
use crate::directory::connections::{self, AdminError, Connection};
use crate::directory::overview::{self, MANY, Overview};
use crate::http::signin::parameters::PageQuery;

/// Connections on a page: each is looked at by itself.
const PER_PAGE: i64 = 25;

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    q: Option<String>,
    page: Option<u64>,
}

/// `GET /console/connections`
pub async fn list(
    seat: Seat,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let Parameters { q, page } = parameters.0;
    let (q, page) = (q.unwrap_or_default(), page.unwrap_or(1).max(1));
    let (wanted, now) = (q.clone(), seat.now);
    let before = i64::try_from(page - 1).unwrap_or(i64::MAX).saturating_mul(PER_PAGE);
    let (found, total) = seat
        .app
        .db
        .snapshot(move |conn| {
            let (shown, total) = connections::named_like(conn, &wanted, before, PER_PAGE)?;
            let look = |one: Connection| {
                let overview = overview::of(conn, &one, now)?;
                Ok::<_, AdminError>((one, overview))
            };
            let found: Vec<_> = shown.into_iter().map(look).collect::<Result<_, _>>()?;
            Ok::<_, AdminError>((found, total))
        })
        .await?;
    let is_more = total > before.saturating_add(PER_PAGE);
    let address = |page: u64| {
        let pairs = [("q", q.as_str()), ("page", &page.to_string())];
        format!("{}/connections?{}", seat.base, query(&pairs))
    };
    let body = html! {
        h1 { "Connections" }
        p.soft { "One customer's identity provider each. " code { "muster connection create NAME" } " adds one. \
            A push that no connection has may be among the "
            a href={ (seat.base) "/strays" } { "requests without a connection" } "." }
        form.line role="search" method="get" {
            div.wide {
                label for="q" { "Name" }
                input id="q" type="search" name="q" value=(q);
            }
            button { "Search" }
        }
        @if found.is_empty() {
            p { "No connection has a name like that." }
        } @else {
            div.card id="connections" data-live="10" {
                table.stack {
                    caption { (number(total)) " in all" }
                    thead { tr {
                        th scope="col" { "Connection" } th scope="col" { "State" }
                        th scope="col" { "Users" } th scope="col" { "Teams" }
                        th scope="col" { "Last push" } th scope="col" { "Last sign-in" }
                        th scope="col" { "Last 24 hours" }
                    } }
                    tbody {
                        @for (one, overview) in &found { (row(&seat, one, overview)) }
                    }
                }
            }
            (pager(page, is_more, address))
        }
    };
    Ok(shell::page(&seat, "Connections", &body))
}

fn row(seat: &Seat, one: &Connection, overview: &Overview) -> Markup {
    html! {
        tr {
            th scope="row" {
                a href=(seat.connection_path(&one.name)) { (one.name) }
                " " span.soft.small { (one.settings.provider.as_str()) }
            }
            td data-name="State" { (health(one, overview, seat.now)) }
            td data-name="Users" {
                (number(overview.users))
                @if overview.inactive > 0 {
                    " " span.soft.small { "(" (inactive(overview.inactive)) " inactive)" }
                }
            }
            td data-name="Teams" { (number(overview.teams)) }
            td data-name="Last push" { (lately(overview.log.last_push_at, seat.now)) }
            td data-name="Last sign-in" { (lately(overview.log.last_sign_in_at, seat.now)) }
            td data-name="Last 24 hours" { (chart(&overview.log.hours)) }
        }
    }
}

/// How many are inactive, as far as they are counted.
pub(super) fn inactive(count: i64) -> String {
    if count >= MANY { format!("{} or more", number(MANY)) } else { number(count) }
}

/// What somebody has to know of a connection, the worst first.
pub(super) fn health(one: &Connection, overview: &Overview, now: i64) -> Markup {
    let has_token = overview.live_tokens(now).next().is_some();
    let is_used = overview.last_use().is_some();
    let is_fine = has_token && is_used && overview.brake.held_at.is_none();
    html! {
        @if overview.brake.held_at.is_some() { (badge(Tone::Bad, "brake is on")) " " }
        @if !has_token {
            (badge(Tone::Bad, "no token works")) " "
        } @else if let Some(end) = overview.last_end(now).filter(|_| overview.is_ending(now)) {
            span.badge.warn { "token ends " (time(end, now)) } " "
        }
        @if !is_used { (badge(Tone::Warn, "nothing pushed yet")) " " }
        @if is_fine && !overview.is_ending(now) { (badge(Tone::Good, "receiving pushes")) " " }
        @if one.settings.sign_in.issuer.is_none() { (badge(Tone::Calm, "no sign-in")) }
    }
}
