//! `/console/connections/{name}/users/{id}`: one person, and why everything is as it is.

use actix_web::{HttpResponse, web};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::events::timeline;
use super::failure::ConsoleFailure;
use super::guard::Seat;
use super::parts::{Tone, badge, last_of_full, maybe_time, notice, time};
use super::shell::{self, Tab};
use super::users::{owner, status};
use crate::directory::connections::AdminError;
use crate::directory::explain::{self, Explanation, Membership, Statement};
use crate::directory::history::{self, Happened};
use crate::directory::sessions::{self, Live};
use crate::http::signin::parameters::PageQuery;

/// Entries of the timeline on the page.
const ENTRIES: i64 = 50;

/// What the address of the page says.
#[derive(Debug, Deserialize)]
pub struct Parameters {
    /// What has just been done.
    done: Option<String>,
    /// Entries of the timeline from before this one.
    before: Option<i64>,
}

/// `GET /console/connections/{name}/users/{id}`
pub async fn show(
    seat: Seat,
    path: web::Path<(String, String)>,
    parameters: PageQuery<Parameters>,
) -> Result<HttpResponse, ConsoleFailure> {
    let (name, id) = path.into_inner();
    let connection = seat.connection(&name).await?;
    let (now, before, connection_id) = (seat.now, parameters.0.before, connection.id.clone());
    let (explained, sessions, happened) = seat
        .app
        .db
        .snapshot(move |conn| {
            let explained = explain::of_id(conn, &id, None)?;
            // Of another connection nothing is shown here, not even that it is there.
            if explained.connection.id != connection_id {
                return Err(AdminError::NoUser(id));
            }
            let sessions = sessions::of_user(conn, &id, now)?;
            let happened = history::of_subject(conn, &connection_id, &id, before, ENTRIES)?;
            Ok((explained, sessions, happened))
        })
        .await?;
    let base = seat.connection_path(&connection.name);
    let own = format!("{base}/users/{}", explained.user.id);
    let done = match parameters.0.done.as_deref() {
        Some("deactivated") => Some("The user is inactive, and every session is over."),
        Some("reactivated") => Some("The user is active again."),
        Some("signed-out") => Some("Every session of the user is over."),
        Some("session-ended") => Some("The session is over."),
        Some("no-session") => Some("That session was over already."),
        _ => None,
    };
    let body = html! {
        @if let Some(done) = done { (notice(Tone::Good, done)) }
        div.grid {
            (facts(&seat, &explained, &own))
            (sessions_of(&seat, &sessions, &own))
        }
        (teams(&seat, &explained, &base))
        (attributes(&explained, &happened)?)
        (timeline_of(&own, &happened))
    };
    let title = explained.user.user_name.as_str();
    Ok(shell::of_connection(&seat, &connection.name, Tab::Users, title, &body))
}

fn facts(seat: &Seat, explained: &Explanation, own: &str) -> Markup {
    let user = &explained.user;
    html! {
        section.card aria-labelledby="facts" {
            h2 id="facts" { "Who it is" }
            dl.facts {
                dt { "Status" } dd { (status(user.active)) }
                dt { "Managed by" } dd {
                    (owner(user.scim_owned))
                    @if user.scim_owned { span.soft { ": the provider's pushes decide the profile" } }
                    @else { span.soft { ": nobody has pushed this user yet" } }
                }
                dt { "Id" } dd.mono { (user.id) }
                dt { "externalId" } dd.mono {
                    @match &user.external_id { Some(id) => (id), None => span.soft { "none" } }
                }
                dt { "Signs in as" } dd {
                    @match (&user.issuer, &user.subject) {
                        (Some(issuer), Some(subject)) => { span.mono { (subject) } " at " (issuer) }
                        _ => span.soft { "has not signed in yet" },
                    }
                }
                dt { "Last sign-in" } dd { (maybe_time(user.signed_in_at, seat.now)) }
                dt { "Groups claim" } dd {
                    @match &explained.last_claim {
                        None => span.soft { "none yet" },
                        Some(claim) => @match &claim.flaw {
                            None => "complete",
                            Some(flaw) => { (badge(Tone::Warn, "incomplete")) " " (flaw) }
                        }
                    }
                }
                dt { "Created" } dd { (time(user.created_at, seat.now)) }
                dt { "Changed" } dd { (time(user.updated_at, seat.now)) }
            }
            p {
                @if user.active { a.button.danger href={ (own) "/deactivate" } { "Deactivate…" } }
                @else { a.button href={ (own) "/reactivate" } { "Reactivate…" } }
            }
        }
    }
}

fn sessions_of(seat: &Seat, sessions: &[Live], own: &str) -> Markup {
    html! {
        section.card aria-labelledby="sessions" {
            h2 id="sessions" { "Sessions" }
            @if sessions.is_empty() { p.soft { "None is live." } }
            @else {
                ul.plain {
                    @for session in sessions {
                        li {
                            "Since " (time(session.created_at, seat.now)) ", last used "
                            (time(session.last_seen_at, seat.now)) " "
                            form.inline method="post" action={ (own) "/sessions/" (session.id) "/end" } {
                                button.plain { "End" span.visually-hidden { " the session " (session.id) } }
                            }
                        }
                    }
                }
                p { a.button.danger href={ (own) "/sign-out" } { "End all…" } }
            }
        }
    }
}

fn teams(seat: &Seat, explained: &Explanation, base: &str) -> Markup {
    html! {
        section.card aria-labelledby="teams" {
            h2 id="teams" { "Teams, and why" }
            @if explained.disagreements > 0 {
                (notice(Tone::Warn, &format!("In {} of them the groups claim and SCIM disagree.", explained.disagreements)))
            }
            @if explained.memberships.is_empty() { p.soft { "Nobody has said anything of a team." } }
            @else {
                table.stack {
                    thead { tr {
                        th scope="col" { "Team" } th scope="col" { "Member" }
                        th scope="col" { "SCIM says" } th scope="col" { "The claim says" }
                        th scope="col" { "Why, and what would change it" }
                    } }
                    tbody { @for one in &explained.memberships { (membership(seat, base, one)) } }
                }
            }
        }
    }
}

fn membership(seat: &Seat, base: &str, one: &Membership) -> Markup {
    let said = |statement: &Statement| {
        html! {
            @if statement.since.is_none() { span.soft { "nothing" } }
            @else {
                @if statement.member { "member" } @else { "not a member" }
                @if let Some(since) = statement.since { br; span.small.soft { (time(since, seat.now)) } }
            }
        }
    };
    html! {
        tr {
            th scope="row" {
                a href={ (base) "/teams/" (one.team_id) } { (one.display_name) }
                @for role in &one.roles { " " (badge(Tone::Calm, role)) }
            }
            td data-name="Member" {
                @if one.verdict.effective { (badge(Tone::Good, "yes")) } @else { (badge(Tone::Calm, "no")) }
                @if one.verdict.disagree { " " (badge(Tone::Warn, "disagreement")) }
            }
            td data-name="SCIM says" { (said(&one.scim)) }
            td data-name="The claim says" { (said(&one.claim)) }
            td data-name="Why" { (one.verdict.why) " " span.soft { (one.verdict.change) } }
        }
    }
}

/// Each attribute as a line of its own, with who it comes from.
fn attributes(explained: &Explanation, happened: &[Happened]) -> Result<Markup, ConsoleFailure> {
    let user = &explained.user;
    let document: Value =
        serde_json::from_str(&user.document).map_err(crate::db::StoreError::from)?;
    let mut lines = Vec::new();
    flatten(String::new(), false, &document, &mut lines);
    let source = |path: &str| source(path, &document, happened, user.scim_owned);
    Ok(html! {
        section.card aria-labelledby="attributes" {
            h2 id="attributes" { "Attributes" }
            table.stack {
                thead { tr {
                    th scope="col" { "Attribute" } th scope="col" { "Value" } th scope="col" { "From" }
                } }
                tbody {
                    @for (path, value) in &lines {
                        tr {
                            th scope="row" class="mono" { (path) }
                            td data-name="Value" { (value) }
                            td data-name="From" { (source(path)) }
                        }
                    }
                }
            }
        }
    })
}

/// Who gave an attribute its value: whoever made the latest of the changes that brought it; where that
/// is not among them, whoever has charge of the user.
fn source(path: &str, document: &Value, happened: &[Happened], scim_owned: bool) -> &'static str {
    // The longest name is a URN with colons; what comes behind is inside of it.
    let names = document.as_object().into_iter().flatten().map(|(name, _)| name);
    let name = names.filter(|name| path.starts_with(name.as_str())).max_by_key(|name| name.len());
    let Some(name) = name else { return owner(scim_owned) };
    let brought = |entry: &&Happened| {
        let data = entry.data.as_ref();
        let side = |side: &str| data.and_then(|data| data.get(side)?.get(name));
        side("after").is_some() && side("after") != side("before")
    };
    match happened.iter().find(brought).map(|entry| entry.actor.as_str()) {
        Some("token") => "SCIM",
        Some("sign-in") => "sign-in",
        Some("admin-token" | "user") => "the console",
        Some("command-line") => "the command line",
        _ => owner(scim_owned),
    }
}

fn flatten(path: String, is_urn: bool, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // A colon after a schema's URN, a point anywhere else, as in a filter.
                let (below, is_urn) = match path.as_str() {
                    "" => (name.clone(), name.contains(':')),
                    _ if is_urn => (format!("{path}:{name}"), false),
                    _ => (format!("{path}.{name}"), false),
                };
                flatten(below, is_urn, value, lines);
            }
        }
        Value::Array(_) if path == "schemas" => {}
        Value::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                flatten(format!("{path}[{}]", place + 1), false, element, lines);
            }
        }
        Value::String(text) => lines.push((path, text.clone())),
        other => lines.push((path, other.to_string())),
    }
}

fn timeline_of(own: &str, happened: &[Happened]) -> Markup {
    let oldest = last_of_full(happened, ENTRIES);
    html! {
        section.card aria-labelledby="timeline" {
            h2 id="timeline" { "Timeline" }
            (timeline(happened, None))
            @if let Some(oldest) = oldest {
                p { a href={ (own) "?before=" (oldest.sequence) "#timeline" } { "Earlier" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_attribute_is_from_whoever_brought_its_value() {
        let happened = |actor: &str, before: Value, after: Value| Happened {
            sequence: 0,
            at: 0,
            actor: actor.to_owned(),
            actor_id: None,
            request_id: None,
            action: String::new(),
            subject: String::new(),
            subject_id: String::new(),
            data: Some(json!({ "before": before, "after": after })),
            size: 0,
        };
        let all = [
            happened(
                "admin-token",
                json!({ "active": true, "title": "x" }),
                json!({ "active": false, "title": "x" }),
            ),
            happened(
                "token",
                json!({ "name": { "givenName": "A" } }),
                json!({ "name": { "givenName": "B" }, "title": "x" }),
            ),
            happened("sign-in", Value::Null, json!({ "userName": "ann", "active": true })),
        ];
        let document = json!({ "userName": "ann", "active": false, "title": "x", "name": {}, "nickName": "n" });
        for (path, from) in [
            ("active", "the console"),
            ("title", "SCIM"),
            ("name.givenName", "SCIM"),
            ("userName", "sign-in"),
            ("nickName", "SCIM"),
        ] {
            assert_eq!(source(path, &document, &all, true), from, "{path}");
        }
    }

    #[test]
    fn attributes_are_written_as_filters_write_them() {
        let mut lines = Vec::new();
        let document = json!({
            "schemas": ["urn:x"],
            "userName": "ann",
            "active": true,
            "emails": [{ "value": "ann@example.com", "primary": true }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "manager": { "value": "7" } },
        });
        flatten(String::new(), false, &document, &mut lines);
        let paths: Vec<&str> = lines.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "userName",
                "active",
                "emails[1].value",
                "emails[1].primary",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
            ]
        );
    }
}
