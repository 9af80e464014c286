//! `/console/connections/{name}/events`: what was changed, by whom, newest first.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{clock, last_of_full, number};
use super::shell::{self, Tab};
use crate::directory::history::{self, Happened};
use crate::http::api::events::put_in_order;
use crate::http::signin::parameters::PageQuery;

/// Entries on a page.
const PER_PAGE: i64 = 50;

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// Entries from before this one.
    before: Option<i64>,
}

/// `GET /console/connections/{name}/events`
pub async fn list(
    seat: Seat,
    name: web::Path<String>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let connection = seat.connection(&name).await?;
    put_in_order(&seat.app).await?;
    let (id, before) = (connection.id.clone(), parameters.0.before);
    let happened = seat
        .app
        .db
        .snapshot(move |conn| history::of_connection(conn, &id, before, PER_PAGE))
        .await?;
    let base = format!("{}/events", seat.connection_path(&connection.name));
    let oldest = last_of_full(&happened, PER_PAGE);
    let body = html! {
        p.soft { "Every change, whoever made it, in the order in which " code { "/api/v1/events" } " has it." }
        section.card id="changes" data-live=[before.is_none().then_some("3")] {
            (timeline(&happened))
        }
        nav.pager aria-label="Pages" {
            @if before.is_some() { a.button href=(base) rel="first" { "Newest" } }
            @if let Some(oldest) = oldest {
                a.button href={ (base) "?before=" (oldest.sequence) } rel="next" { "Earlier" }
            }
        }
    };
    Ok(shell::of_connection(&seat, &connection.name, Tab::Events, "Changes", &body))
}

/// Entries of the log as a list.
pub(super) fn timeline(happened: &[Happened]) -> Markup {
    html! {
        @if happened.is_empty() { p.soft { "Nothing has happened." } }
        @else {
            table.stack {
                thead { tr {
                    th scope="col" { "When (UTC)" } th scope="col" { "What" } th scope="col" { "By" }
                } }
                tbody { @for entry in happened { (row(entry)) } }
            }
        }
    }
}

fn row(entry: &Happened) -> Markup {
    html! {
        tr {
            td data-name="When" { (clock(entry.at)) }
            td data-name="What" {
                (entry.subject) " " strong { (entry.action) }
                @match entry.data.as_ref().map(differences) {
                    None => (too_large(entry.size)),
                    Some(lines) => @if !lines.is_empty() {
                        details {
                            summary { "What changed" span.visually-hidden { " at " (entry.sequence) } }
                            ul.plain.small {
                                @for line in &lines { li.mono { (line) } }
                            }
                        }
                    }
                }
            }
            td data-name="By" {
                (actor(entry))
                @if let Some(request) = &entry.request_id { br; span.small.soft.mono { (request) } }
            }
        }
    }
}

/// What stands in place of what an event says where that has too many bytes.
pub(super) fn too_large(size: i64) -> Markup {
    html! {
        p.small.soft {
            "Too large to be shown here: " (number(size)) " bytes; " code { "muster events export" } " has it."
        }
    }
}

fn actor(entry: &Happened) -> Markup {
    let kind = match entry.actor.as_str() {
        "token" => "SCIM token",
        "sign-in" => "sign-in",
        "admin-token" => "admin token",
        "command-line" => "command line",
        "user" => "user",
        other => other,
    };
    html! {
        (kind)
        @if let Some(id) = &entry.actor_id { " " span.small.soft.mono { (id) } }
    }
}

/// What an event says, as lines: what was, and what is instead.
pub(super) fn differences(data: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let (before, after) = (data.get("before"), data.get("after"));
    if before.is_some() || after.is_some() {
        compare("", before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null), &mut lines);
    }
    for (name, value) in data.as_object().into_iter().flatten() {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !matches!(name.as_str(), "before" | "after") && !is_empty {
            lines.push(format!("{name}: {}", shown(value)));
        }
    }
    lines
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    if before.is_object() || after.is_object() {
        let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let (old, new) = (members(before), members(after));
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let (was, is) = (old.get(name), new.get(name));
            compare(&below, was.unwrap_or(&Value::Null), is.unwrap_or(&Value::Null), lines);
        }
        return;
    }
    match (before, after) {
        (Value::Null, is) => lines.push(format!("{path} = {}", shown(is))),
        (was, Value::Null) => lines.push(format!("{path} is gone (was {})", shown(was))),
        (was, is) => lines.push(format!("{path}: {} → {}", shown(was), shown(is))),
    }
}

/// The longest value that is written out, in characters.
const LONGEST: usize = 200;

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_told_by_what_differs() {
        let lines = differences(&json!({
            "before": { "userName": "ann", "name": { "givenName": "Ann" }, "title": "x" },
            "after": { "userName": "ann", "name": { "givenName": "Anna" }, "active": true },
            "roles": [],
            "session": "s",
        }));
        assert_eq!(
            lines,
            ["active = true", "name.givenName: Ann → Anna", "title is gone (was x)", "session: s"]
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let lines = differences(&json!({ "text": "ü".repeat(500) }));
        assert_eq!(lines[0].chars().count(), "text: ".len() + LONGEST + 1);
    }
}
