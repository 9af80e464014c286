//! `/console/connections/{name}`: one connection at a glance.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::connections::{health, inactive};
use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge, chart, clock, lately, maybe_time, notice, number, time};
use super::shell::{self, Tab};
use crate::directory::connections::{self, AdminError, Connection};
use crate::directory::overview::{self, Overview};
use crate::directory::tokens::Token;
use crate::http::signin::parameters::PageQuery;

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// What has just been done.
    done: Option<String>,
}

/// `GET /console/connections/{name}`
pub async fn overview(
    seat: Seat,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, now) = (name.into_inner(), seat.now);
    let (one, overview) = seat
        .app
        .db
        .snapshot(move |conn| {
            let one = connections::find(conn, &name)?;
            let overview = overview::of(conn, &one, now)?;
            Ok::<_, AdminError>((one, overview))
        })
        .await?;
    let done = match parameters.0.done.as_deref() {
        Some("token-revoked") => {
            Some("The token was revoked; the next request with it is refused.")
        }
        Some("brake-released") => Some("What the brake held goes through now, for an hour."),
        _ => None,
    };
    let body = html! {
        @if let Some(done) = done { (notice(Tone::Good, done)) }
        (brake(&seat, &one, &overview))
        div.grid {
            section.card aria-labelledby="health" {
                h2 id="health" { "State" }
                div id="how" data-live="10" {
                    p { (health(&one, &overview, now)) }
                    dl.facts {
                        dt { "Users" } dd {
                            a href={ (seat.connection_path(&one.name)) "/users" } { (number(overview.users)) }
                            @if overview.inactive > 0 { ", " (inactive(overview.inactive)) " of them inactive" }
                        }
                        dt { "Teams" } dd {
                            a href={ (seat.connection_path(&one.name)) "/teams" } { (number(overview.teams)) }
                        }
                        dt { "Last push" } dd { (lately(overview.log.last_push_at, now)) }
                        dt { "Last sign-in" } dd { (lately(overview.log.last_sign_in_at, now)) }
                        @if let Some(error) = &overview.log.last_error {
                            dt { "Last error" } dd {
                                a href={ (seat.connection_path(&one.name)) "/log/" (error.id) } { (time(error.at, now)) }
                                @if let Some(detail) = &error.detail { ": " (detail) }
                            }
                        }
                    }
                    h3 { "The last 24 hours" }
                    (chart(&overview.log.hours))
                }
            }
            (sign_in(&seat, &one))
        }
        (tokens(&seat, &one, &overview))
    };
    Ok(shell::of_connection(&seat, &one.name, Tab::Overview, &one.name, &body))
}

fn brake(seat: &Seat, one: &Connection, overview: &Overview) -> Markup {
    let Some(held_at) = overview.brake.held_at else { return html! {} };
    html! {
        section.notice.bad aria-labelledby="brake" {
            h2 id="brake" { "The mass-change brake is on" }
            p {
                "Since " (clock(held_at)) " whatever takes users or members away is held: more was to go \
                 than this connection allows. Look into the identity provider before you let it through."
            }
            p { a.button.danger href={ (seat.connection_path(&one.name)) "/brake/release" } { "Release the brake…" } }
        }
    }
}

fn sign_in(seat: &Seat, one: &Connection) -> Markup {
    let settings = &one.settings.sign_in;
    let none = || html! { span.soft { "none" } };
    html! {
        section.card aria-labelledby="settings" {
            h2 id="settings" { "Settings" }
            dl.facts {
                dt { "Provider" } dd { (one.settings.provider.as_str()) }
                dt { "Issuer" } dd { @match &settings.issuer { Some(issuer) => (issuer), None => (none()) } }
                dt { "Client id" } dd { @match &settings.client_id { Some(id) => (id), None => (none()) } }
                dt { "Redirect URI" } dd.mono { (seat.app.settings.public_url) (one.redirect_path()) }
                dt { "Groups claim" } dd { code { (settings.groups_claim) }
                    @if let Some(filter) = &settings.groups_filter { ", those that match " code { (filter) } } }
                dt { "External id" } dd {
                    @match &settings.external_id_claim {
                        Some(claim) => { "claim " code { (claim) } }
                        None => (none()),
                    }
                }
                dt { "Membership" } dd { (one.settings.membership.as_str()) }
                dt { "Created at sign-in" } dd { @if settings.jit { "yes" } @else { "no" } }
            }
            p.small.soft { code { "muster connection update " (one.name) } " changes them." }
        }
    }
}

fn tokens(seat: &Seat, one: &Connection, overview: &Overview) -> Markup {
    let path = seat.connection_path(&one.name);
    html! {
        section.card aria-labelledby="tokens" {
            h2 id="tokens" { "SCIM tokens" }
            @if overview.tokens.is_empty() { p { "There is none, so nothing can be pushed." } }
            @else {
                table.stack {
                    thead { tr {
                        th scope="col" { "Label" } th scope="col" { "State" }
                        th scope="col" { "Last used" } th scope="col" { "Ends" }
                        th scope="col" { span.visually-hidden { "What can be done" } }
                    } }
                    tbody { @for token in &overview.tokens { (token_row(seat, &path, token)) } }
                }
            }
            form.line method="post" action={ (path) "/tokens" } {
                div.wide {
                    label for="label" { "Label of a new token" }
                    input id="label" type="text" name="label" maxlength="64" value="okta";
                }
                button.main { "Make a token" }
            }
            p.small.soft { "It works for a year. The old one goes on working until it is revoked, so that there \
                is time to enter the new one at the provider." }
        }
    }
}

fn token_row(seat: &Seat, path: &str, token: &Token) -> Markup {
    let status = token.status(seat.now);
    let tone = match status {
        "live" => Tone::Good,
        "expired" => Tone::Warn,
        _ => Tone::Calm,
    };
    let label = if token.label.is_empty() { "without a label" } else { &token.label };
    html! {
        tr {
            th scope="row" { (label) br; span.soft.small.mono { (token.id) } }
            td data-name="State" { (badge(tone, status)) }
            td data-name="Last used" { (maybe_time(token.last_used_at, seat.now)) }
            td data-name="Ends" {
                @match token.expires_at {
                    Some(at) => (time(at, seat.now)),
                    None => { "never" }
                }
            }
            td {
                @if status == "live" {
                    a href={ (path) "/tokens/" (token.id) "/revoke" } aria-label={ "Revoke " (label) } { "Revoke…" }
                }
            }
        }
    }
}
