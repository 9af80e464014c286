//! `/console/connections/{name}/teams`, and one team with what each source says of its members.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::events::timeline;
use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge, last_of_full, maybe_time, number, pager, query, time};
use super::shell::{self, Tab};
use super::users::{owner, status};
use crate::db::Conn;
use crate::db::teams as team_rows;
use crate::directory::DirectoryError;
use crate::directory::connections::AdminError;
use crate::directory::history;
use crate::directory::listing::{Listed, Wanted};
use crate::directory::roster::{self, Member};
use crate::directory::teams::{self, Team};
use crate::http::signin::parameters::PageQuery;
use crate::scim::filter;
use crate::scim::list::{Page, Start};
use crate::scim::quirks::Quirks;

/// Teams on a page.
const PER_PAGE: u32 = 50;
/// Members on a page.
const MEMBERS: i64 = 100;
/// Entries of the timeline on the page.
const ENTRIES: i64 = 20;

/// What the address of the list says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// The beginning of a name.
    q: Option<String>,
    page: Option<u64>,
}

/// `GET /console/connections/{name}/teams`
pub async fn list(
    seat: Seat,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    let Parameters { q, page } = parameters.0;
    let (q, page) = (q.unwrap_or_default(), page.unwrap_or(1).max(1));
    let filter = if q.trim().is_empty() {
        None
    } else {
        let text = serde_json::Value::from(q.trim()).to_string();
        let wrong = |error: filter::FilterError| ConsoleFailure::Wrong(error.to_string());
        let words = format!("displayName sw {text} or externalId eq {text}");
        let expression = filter::parse(&words).map_err(wrong)?;
        let group = seat.app.registry.group();
        Some(filter::check(&expression, group, &mut Quirks::default()).map_err(wrong)?)
    };
    let wanted = Wanted { filter, order: None, memberships: false, names: false, most_members: 0 };
    let start = (page - 1).saturating_mul(PER_PAGE.into()).saturating_add(1);
    let part = Page { start: Start::Index(start), count: PER_PAGE };
    let context = seat.context(&connection);
    let look = move |conn: &mut Conn| {
        let listed = teams::list(conn, &context, &wanted, &part)?;
        let ids: Vec<&str> = listed.items.iter().map(Team::id).collect();
        let sizes = roster::sizes(conn, &ids)?;
        Ok::<_, DirectoryError>((listed, sizes))
    };
    let (listed, sizes) = seat.app.db.read(look).await?;
    let base = format!("{}/teams", seat.connection_path(&connection.name));
    let address =
        |page: u64| format!("{base}?{}", query(&[("q", &q), ("page", &page.to_string())]));
    let body = html! {
        form.line role="search" method="get" {
            div.wide {
                label for="q" { "Name" }
                input id="q" type="search" name="q" value=(q);
            }
            button { "Search" }
        }
        section.card { (table(&seat, &base, &listed, &sizes)) }
        (pager(page, page.saturating_mul(PER_PAGE.into()) < listed.total, address))
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Teams, "Teams", &body))
}

fn table(
    seat: &Seat,
    base: &str,
    listed: &Listed<Team>,
    sizes: &std::collections::BTreeMap<String, i64>,
) -> Markup {
    html! {
        @if listed.items.is_empty() { p { "There is no such team. One is there once it is pushed or claimed." } }
        @else {
            table.stack {
                caption { (number(i64::try_from(listed.total).unwrap_or(i64::MAX))) " in all" }
                thead { tr {
                    th scope="col" { "Team" } th scope="col" { "Managed by" }
                    th scope="col" { "Named in it" } th scope="col" { "Changed" }
                } }
                tbody {
                    @for team in &listed.items {
                        @let row = team.row();
                        tr {
                            th scope="row" { a href={ (base) "/" (row.id) } { (row.display_name) } }
                            td data-name="Managed by" { (owner(row.scim_managed)) }
                            td data-name="Named in it" { (number(sizes.get(&row.id).copied().unwrap_or(0))) }
                            td data-name="Changed" { (maybe_time(Some(row.updated_at), seat.now)) }
                        }
                    }
                }
            }
        }
    }
}

/// What the address of a team's page says.
#[derive(Debug, Deserialize)]
pub struct Part {
    /// Members after this one.
    after: Option<String>,
}

/// `GET /console/connections/{name}/teams/{id}`
pub async fn show(
    seat: Seat,
    path: web::Path<(String, String)>,
    part: PageQuery<Part>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let (of, after) = (connection.clone(), part.0.after);
    let is_first = after.is_none();
    let (team, members, happened) = seat
        .app
        .db
        .snapshot(move |conn| {
            let found = team_rows::find(conn, &of.id, &id)?;
            let team = found.ok_or(AdminError::NoTeam(id))?;
            let members = roster::of_team(conn, &of, &team, after.as_deref(), MEMBERS)?;
            let happened = history::of_subject(conn, &of.id, &team.id, None, ENTRIES)?;
            Ok::<_, AdminError>((team, members, happened))
        })
        .await?;
    let base = seat.connection_path(&connection.name);
    let own = format!("{base}/teams/{}", team.id);
    let disagreeing = members.iter().filter(|member| member.disagree).count();
    let last = last_of_full(&members, MEMBERS);
    let body = html! {
        section.card aria-labelledby="facts" {
            h2 id="facts" { "What it is" }
            dl.facts {
                dt { "Managed by" } dd {
                    (owner(team.scim_managed))
                    @if !team.scim_managed { span.soft { ": nobody has pushed this team yet" } }
                }
                dt { "Id" } dd.mono { (team.id) }
                dt { "externalId" } dd.mono {
                    @match &team.external_id { Some(id) => (id), None => span.soft { "none" } }
                }
                dt { "Created" } dd { (time(team.created_at, seat.now)) }
                dt { "Changed" } dd { (time(team.updated_at, seat.now)) }
            }
        }
        section.card aria-labelledby="members" {
            h2 id="members" { "Who is in it, and who says so" }
            @if disagreeing > 0 {
                div.notice.warn { "Of those on this page, SCIM and the groups claim disagree about " (disagreeing) "." }
            }
            @if members.is_empty() { p.soft { "Nobody is named in it." } }
            @else {
                table.stack {
                    thead { tr {
                        th scope="col" { "User" } th scope="col" { "Status" } th scope="col" { "Member" }
                        th scope="col" { "SCIM says" } th scope="col" { "The claim says" }
                    } }
                    tbody { @for one in &members { (member(&base, one)) } }
                }
            }
            nav.pager aria-label="Members" {
                @if !is_first { a.button href=(own) rel="first" { "From the beginning" } }
                @if let Some(last) = last {
                    a.button href={ (own) "?after=" (last.user_id) } rel="next" { "More" }
                }
            }
        }
        section.card aria-labelledby="timeline" {
            h2 id="timeline" { "Timeline" }
            (timeline(&happened, None))
        }
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Teams, &team.display_name, &body))
}

fn member(base: &str, one: &Member) -> Markup {
    let said = |says: bool, since: Option<i64>| {
        html! {
            @if since.is_none() { span.soft { "nothing" } }
            @else if says { "member" } @else { "not a member" }
        }
    };
    html! {
        tr {
            th scope="row" {
                a href={ (base) "/users/" (one.user_id) } { (one.user_name) }
                @if let Some(name) = &one.display_name { br; span.soft.small { (name) } }
            }
            td data-name="Status" { (status(one.active)) }
            td data-name="Member" {
                @if one.effective { (badge(Tone::Good, "yes")) } @else { (badge(Tone::Calm, "no")) }
                @if one.disagree { " " (badge(Tone::Warn, "disagreement")) }
            }
            td data-name="SCIM says" { (said(one.scim, one.scim_since)) }
            td data-name="The claim says" { (said(one.claim, one.claim_since)) }
        }
    }
}
