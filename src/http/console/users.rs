//! `/console/connections/{name}/users`: looking people up, by name or by a SCIM filter.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge, maybe_time, number, pager, query};
use super::shell::{self, Tab};
use crate::db::Conn;
use crate::directory::DirectoryError;
use crate::directory::listing::{Listed, Wanted};
use crate::directory::users::{self, User};
use crate::http::signin::parameters::PageQuery;
use crate::scim::filter::{self, Filter, FilterError};
use crate::scim::list::{Page, Start};
use crate::scim::quirks::Quirks;
use crate::scim::schema::{AttributeType, ResourceType, Returned};

/// Users on a page.
const PER_PAGE: u32 = 50;

/// What the address of the page says.
#[derive(Debug, Default, Deserialize)]
pub struct Parameters {
    /// The beginning of a name or an address.
    q: Option<String>,
    /// `active` or `inactive`.
    status: Option<String>,
    /// A SCIM filter.
    filter: Option<String>,
    page: Option<u64>,
}

/// `GET /console/connections/{name}/users`
pub async fn list(
    seat: Seat,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    let parameters = parameters.0;
    let resource_type = seat.app.registry.user().clone();
    let page_number = parameters.page.unwrap_or(1).max(1);
    let found = match condition(&parameters, &resource_type) {
        Err(error) => Err(Wrong::Filter(error)),
        Ok(filter) => {
            let wanted =
                Wanted { filter, order: None, memberships: false, names: false, most_members: 0 };
            let start = (page_number - 1).saturating_mul(PER_PAGE.into()).saturating_add(1);
            let page = Page { start: Start::Index(start), count: PER_PAGE };
            let context = seat.context(&connection);
            let look = move |conn: &mut Conn| users::list(conn, &context, &wanted, &page);
            match seat.app.db.read(look).await {
                Ok(listed) => Ok(listed),
                // Such as a search that takes too long.
                Err(DirectoryError::Refused(error)) => Err(Wrong::Search(error.detail)),
                Err(error) => return Err(error.into()),
            }
        }
    };
    let base = format!("{}/users", seat.connection_path(&connection.name));
    let body = html! {
        (search(&parameters, &resource_type))
        @match &found {
            Ok(listed) => (table(&seat, &base, &parameters, page_number, listed)),
            Err(wrong) => (explained(wrong, parameters.filter.as_deref().unwrap_or_default())),
        }
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Users, "Users", &body))
}

/// Why nothing is shown.
enum Wrong {
    Filter(FilterError),
    Search(String),
}

/// The filter that the form comes to, held against the schema.
fn condition(
    parameters: &Parameters,
    resource_type: &ResourceType,
) -> Result<Option<Filter>, FilterError> {
    let mut terms = Vec::new();
    if let Some(text) = parameters.filter.as_deref().map(str::trim).filter(|text| !text.is_empty())
    {
        // By itself first, so that what is wrong with it is said in its own places.
        let expression = filter::parse(text)?;
        filter::check(&expression, resource_type, &mut Quirks::default())?;
        terms.push(format!("({text})"));
    }
    if let Some(text) = parameters.q.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
        let text = serde_json::Value::from(text).to_string();
        terms.push(format!(
            "(userName sw {text} or displayName sw {text} or name.familyName sw {text} or \
             emails.value sw {text} or externalId eq {text})"
        ));
    }
    match parameters.status.as_deref() {
        Some("active") => terms.push("active eq true".to_owned()),
        Some("inactive") => terms.push("active eq false".to_owned()),
        _ => {}
    }
    if terms.is_empty() {
        return Ok(None);
    }
    let expression = filter::parse(&terms.join(" and "))?;
    filter::check(&expression, resource_type, &mut Quirks::default()).map(Some)
}

fn search(parameters: &Parameters, resource_type: &ResourceType) -> Markup {
    let status = parameters.status.as_deref().unwrap_or_default();
    let is_filtered = parameters.filter.is_some();
    html! {
        form.card role="search" method="get" {
            div.line {
                div.field {
                    label for="q" { "Name or e-mail address" }
                    input id="q" type="search" name="q" value=(parameters.q.as_deref().unwrap_or_default())
                        aria-describedby="q-hint";
                    span.small.soft id="q-hint" { "How it begins, or a whole externalId" }
                }
                div.field {
                    label for="status" { "Status" }
                    select id="status" name="status" {
                        @for (value, text) in [("", "any"), ("active", "active"), ("inactive", "inactive")] {
                            option value=(value) selected[status == value] { (text) }
                        }
                    }
                }
            }
            details open[is_filtered] {
                summary { "SCIM filter" }
                div.field {
                    label for="filter" { "As providers write it (RFC 7644)" }
                    input.mono id="filter" type="text" name="filter" list="filter-words" autocomplete="off"
                        spellcheck="false" data-complete=(names(resource_type).join(" "))
                        value=(parameters.filter.as_deref().unwrap_or_default());
                    datalist id="filter-words" {}
                    span.small.soft { "For example " code { "name.familyName co \"son\" and active eq true" } }
                }
            }
            button.main { "Search" }
        }
    }
}

/// The paths that a filter can name, as the completion offers them.
fn names(resource_type: &ResourceType) -> Vec<String> {
    let mut names =
        vec!["id".to_owned(), "meta.lastModified".to_owned(), "meta.created".to_owned()];
    for (urn, attribute) in resource_type.attributes() {
        if attribute.returned == Returned::Never {
            continue;
        }
        let path = match urn {
            Some(urn) => format!("{urn}:{}", attribute.name),
            None => attribute.name.clone(),
        };
        if attribute.kind == AttributeType::Complex {
            names.extend(attribute.sub_attributes.iter().map(|sub| format!("{path}.{}", sub.name)));
        } else {
            names.push(path);
        }
    }
    names
}

/// What is wrong with a filter, and where.
fn explained(wrong: &Wrong, text: &str) -> Markup {
    let (words, at) = match wrong {
        Wrong::Filter(error) => (error.to_string(), error.at()),
        Wrong::Search(words) => (words.clone(), None),
    };
    let cut = at.and_then(|at| text.trim().split_at_checked(at));
    html! {
        section.notice.bad role="alert" {
            h2 { "The filter cannot be used" }
            p { (words) "." }
            @if let Some((before, after)) = cut {
                pre { (before) span.caret { "▸" } (after) }
            }
            p.small { "An attribute, an operator and a value: " code { "userName eq \"ann@example.com\"" }
                ". Operators are eq, ne, co, sw, ew, gt, ge, lt, le, and pr without a value; " code { "and" } ", "
                code { "or" } ", " code { "not (…)" } " join them. Text stands in double quotes." }
        }
    }
}

fn table(
    seat: &Seat,
    base: &str,
    parameters: &Parameters,
    page: u64,
    listed: &Listed<User>,
) -> Markup {
    let address = |page: u64| {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let (q, status, filter) =
            (text(&parameters.q), text(&parameters.status), text(&parameters.filter));
        let number = page.to_string();
        let pairs =
            [("q", q.as_str()), ("status", &status), ("filter", &filter), ("page", &number)];
        format!("{base}?{}", query(&pairs))
    };
    let total = i64::try_from(listed.total).unwrap_or(i64::MAX);
    let is_more = page.saturating_mul(PER_PAGE.into()) < listed.total;
    html! {
        section.card {
            @if listed.items.is_empty() {
                p { "Nobody is like that." }
            } @else {
                table.stack {
                    caption { (number(total)) " in all" }
                    thead { tr {
                        th scope="col" { "User" } th scope="col" { "Status" }
                        th scope="col" { "Managed by" } th scope="col" { "Last sign-in" }
                        th scope="col" { "Changed" }
                    } }
                    tbody { @for user in &listed.items { (row(seat, base, user)) } }
                }
            }
            (pager(page, is_more, address))
        }
    }
}

fn row(seat: &Seat, base: &str, user: &User) -> Markup {
    let row = user.row();
    html! {
        tr {
            th scope="row" {
                a href={ (base) "/" (row.id) } { (row.user_name) }
                @if let Some(name) = &row.display_name { br; span.soft.small { (name) } }
            }
            td data-name="Status" { (status(row.active)) }
            td data-name="Managed by" { (owner(row.scim_owned)) }
            td data-name="Last sign-in" { (maybe_time(row.signed_in_at, seat.now)) }
            td data-name="Changed" { (maybe_time(Some(row.updated_at), seat.now)) }
        }
    }
}

/// Whether a user may sign in.
pub(super) fn status(active: bool) -> Markup {
    if active { badge(Tone::Good, "active") } else { badge(Tone::Calm, "inactive") }
}

/// Who has charge of a user or a team.
pub(super) fn owner(scim: bool) -> &'static str {
    if scim { "SCIM" } else { "sign-in" }
}
