//! `/console/connections/{name}/events`: what was changed, by whom, newest first.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{clock, last_of_full, number};
use super::shell::{self, Tab};
use crate::db::{Conn, StoreError, requests as rows};
use crate::directory::connections::Connection;
use crate::directory::events::CLIENT;
use crate::directory::history::{self, Happened};
use crate::directory::tokens;
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
    let (of, before) = (connection.clone(), parameters.0.before);
    let home = seat.connection_path(&connection.name);
    let look = move |conn: &mut Conn| {
        let happened = history::of_connection(conn, &of.id, before, PER_PAGE)?;
        let names = Names::of(conn, &of, home, &happened)?;
        Ok::<_, StoreError>((happened, names))
    };
    let (happened, names) = seat.app.db.snapshot(look).await?;
    let base = format!("{}/events", seat.connection_path(&connection.name));
    let oldest = last_of_full(&happened, PER_PAGE);
    let body = html! {
        p.soft { "Every change, whoever made it, in the order in which " code { "/api/v1/events" } " has it." }
        section.card id="changes" data-live=[before.is_none().then_some("3")] {
            (timeline(&happened, Some(&names)))
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

/// How what a page of changes tells of is called.
pub(super) struct Names {
    /// The connection's page.
    home: String,
    /// Of users and teams that are there, by id.
    subjects: BTreeMap<String, String>,
    /// The labels of tokens, by id.
    labels: BTreeMap<String, String>,
}

impl Names {
    /// Looks up the names for a page.
    fn of(
        conn: &mut Conn,
        connection: &Connection,
        home: String,
        happened: &[Happened],
    ) -> Result<Self, StoreError> {
        let mut subjects = BTreeMap::new();
        for (kind, is_user) in [("user", true), ("team", false)] {
            let ids: BTreeSet<&str> = happened
                .iter()
                .filter(|entry| entry.subject == kind)
                .map(|entry| entry.subject_id.as_str())
                .collect();
            let ids: Vec<&str> = ids.into_iter().collect();
            let found = rows::names_of(conn, is_user, &ids)?;
            subjects.extend(found.into_iter().map(|(id, _, name)| (id, name)));
        }
        let labels = tokens::of(conn, connection)?.into_iter();
        let labels = labels.filter(|token| !token.label.is_empty());
        Ok(Self { home, subjects, labels: labels.map(|token| (token.id, token.label)).collect() })
    }

    /// Whom an entry is about, with a link where there is a page.
    fn subject(&self, entry: &Happened) -> Markup {
        let (attribute, pages) = match entry.subject.as_str() {
            "user" => ("userName", "users"),
            "team" => ("displayName", "teams"),
            "token" => ("label", ""),
            _ => return html! {},
        };
        // As it was called then, as far as the entry says so.
        let said = |side: &str| entry.data.as_ref()?.get(side)?.get(attribute)?.as_str();
        let now = self.subjects.get(&entry.subject_id);
        let name = said("after").or_else(|| said("before")).or(now.map(String::as_str));
        html! {
            @if let Some(name) = name.filter(|name| !name.is_empty()) {
                " "
                @if now.is_some() {
                    a href={ (self.home) "/" (pages) "/" (entry.subject_id) } { (name) }
                } @else { (name) }
            }
        }
    }

    /// The label of the token that did it.
    fn label(&self, entry: &Happened) -> Option<&String> {
        let id = entry.actor_id.as_ref().filter(|_| entry.actor == CLIENT)?;
        self.labels.get(id)
    }
}

/// Entries of the log as a list; without names where the page is that of what they are about.
pub(super) fn timeline(happened: &[Happened], names: Option<&Names>) -> Markup {
    html! {
        @if happened.is_empty() { p.soft { "Nothing has happened." } }
        @else {
            table.stack {
                thead { tr {
                    th scope="col" { "When (UTC)" } th scope="col" { "What" } th scope="col" { "By" }
                } }
                tbody { @for entry in happened { (row(entry, names)) } }
            }
        }
    }
}

fn row(entry: &Happened, names: Option<&Names>) -> Markup {
    html! {
        tr {
            td data-name="When" { (clock(entry.at)) }
            td data-name="What" {
                (entry.subject) " " strong { (entry.action) }
                @if let Some(names) = names { (names.subject(entry)) }
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
                (actor(entry, names.and_then(|names| names.label(entry))))
                @if let Some(request) = &entry.request_id { br; span.small.soft { "request " span.mono { (request) } } }
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

fn actor(entry: &Happened, label: Option<&String>) -> Markup {
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
        @if let Some(label) = label { " " (label) }
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
