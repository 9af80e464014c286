//! Links that let the customer's administrator see the set-up page of one connection, and no other.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use crate::app::App;
use crate::directory::connections::{self, AdminError, Connection};
use crate::directory::shares::{self, ShareLink};
use crate::http::console::failure::ConsoleFailure;
use crate::http::console::guard::{Seat, prefix};
use crate::http::console::parts::{Tone, badge, copied, notice, time};
use crate::http::console::shell;
use crate::http::signin::parameters::PageForm;
use crate::http::signin::redirect;

/// Microseconds in a day.
const DAY: i64 = 86_400 * 1_000_000;
/// Days that a link may open the page, to choose from.
const LIFETIMES: [i64; 4] = [1, 7, 14, 30];
/// Most bytes of a label.
const MAX_LABEL: usize = 64;

/// The links of a connection, for operators.
pub(super) fn section(seat: &Seat, connection: &Connection, links: &[ShareLink]) -> Markup {
    let path = format!("{}/setup", seat.connection_path(&connection.name));
    html! {
        section.card aria-labelledby="share" {
            h2 id="share" { "Let the customer's administrator see this page" }
            p { "Whoever has the link sees this page alone, until it ends or is revoked. Send it to one person, \
                as you would a password." }
            @let live: Vec<&ShareLink> = links.iter().filter(|link| link.is_live(seat.now)).collect();
            @if !live.is_empty() {
                ul.plain {
                    @for link in live {
                        li {
                            (if link.label.is_empty() { "without a label" } else { &link.label })
                            ", ends " (time(link.expires_at, seat.now)) " "
                            @if link.may_set_up { (badge(Tone::Warn, "may set up")) }
                            @else { (badge(Tone::Calm, "may look")) }
                            " "
                            form.inline method="post" action={ (path) "/links/" (link.id) "/revoke" } {
                                button.plain { "Revoke" span.visually-hidden { " the link " (link.label) } }
                            }
                        }
                    }
                }
            }
            form method="post" action={ (path) "/links" } {
                div.line {
                    div.field {
                        label for="link-label" { "For whom" }
                        input id="link-label" type="text" name="label" maxlength=(MAX_LABEL);
                    }
                    div.field {
                        label for="link-days" { "Ends in" }
                        select id="link-days" name="days" {
                            @for days in LIFETIMES {
                                option value=(days) selected[days == 7] {
                                    (days) @if days == 1 { " day" } @else { " days" }
                                }
                            }
                        }
                    }
                }
                div.field {
                    label { input type="checkbox" name="may_set_up" value="yes";
                        "May make a token, and say where people sign in" }
                }
                button { "Make a link" }
            }
        }
    }
}

/// The form of a new link.
#[derive(Debug, Deserialize)]
pub struct NewLink {
    label: Option<String>,
    days: Option<i64>,
    may_set_up: Option<String>,
}

/// `POST /console/connections/{name}/setup/links`
pub async fn make(
    seat: Seat,
    name: web::Path<String>,
    form: PageForm<NewLink>,
) -> Result<HttpResponse, ConsoleFailure> {
    let NewLink { label, days, may_set_up } = form.0;
    let (label, days) = (label.unwrap_or_default(), days.unwrap_or(7));
    if label.len() > MAX_LABEL {
        return Err(ConsoleFailure::Wrong(format!("A label has at most {MAX_LABEL} bytes.")));
    }
    if !LIFETIMES.contains(&days) {
        return Err(ConsoleFailure::Wrong("A link ends in 1, 7, 14 or 30 days.".to_owned()));
    }
    if may_set_up.is_some() && seat.connection(&name).await?.settings.console_role.is_some() {
        return Err(shares::Refused::OfTheVendorsOwn.into());
    }
    let (name, by) = (name.into_inner(), seat.by());
    let (connection, secret) = seat
        .app
        .db
        .write("share_setup", move |conn| {
            let connection = connections::find(conn, &name)?;
            let end = by.now + days * DAY;
            let may_set_up = may_set_up.is_some();
            let (_, secret) = shares::create(conn, &connection, &label, may_set_up, end, &by)?;
            Ok::<_, AdminError>((connection, secret.expose().to_owned()))
        })
        .await?;
    // After the sign that browsers send to no server, so that no log on the way has it.
    let link = format!("{}/setup#{secret}", seat.app.settings.public_url);
    let body = html! {
        h1 { "A link for " (connection.name) }
        (notice(Tone::Warn, "It is shown this once."))
        section.card {
            (copied("link", "Link", &link))
            p { a.button.main href={ (seat.connection_path(&connection.name)) "/setup" } { "Done" } }
        }
    };
    Ok(shell::page(&seat, "A link", &body))
}

/// `POST /console/connections/{name}/setup/links/{id}/revoke`
pub async fn revoke(
    seat: Seat,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let by = seat.by();
    let connection = seat
        .app
        .db
        .write("revoke_link", move |conn| {
            let connection = connections::find(conn, &name)?;
            shares::revoke(conn, &connection, &id, &by)?;
            Ok::<_, AdminError>(connection)
        })
        .await?;
    let back = seat.connection_path(&connection.name);
    Ok(redirect(&format!("{back}/setup?done=link-revoked")))
}

/// Where guests come, as browsers see it.
pub(super) fn guest_path(app: &App) -> String {
    format!("{}/setup", prefix(app))
}
