//! `muster webhook …`

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;
use chrono::DateTime;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::token::{duration, micros};
use super::{output, store};
use crate::access::network::Network;
use crate::clock::{rfc3339, system};
use crate::db::{DatabaseUrl, Db};
use crate::directory::Actor;
use crate::directory::webhooks::{
    self, By, Change, EventType, From, New, State, Types, Webhook, check_url,
};
use crate::reach::Reach;
use crate::secret::Secret;
use crate::webhooks::{Message, Outcome, Sender};

#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// Send events to an address from now on, and print the secret that they are signed with, once
    Create {
        /// Where events are sent to: https, or http on this machine
        url: String,
        /// The connection whose events are sent [default: those of all]
        #[arg(long, value_name = "NAME")]
        connection: Option<String>,
        /// Types of events that are sent, such as user.created, or team.* [default: all]
        #[arg(long, value_name = "TYPE", num_args = 1.., value_delimiter = ',')]
        action: Vec<EventType>,
        /// What the webhook is for
        #[arg(long, default_value = "")]
        label: String,
    },
    /// List webhooks, never the secrets
    List,
    /// Show a webhook, and how far it has come
    Show(Id),
    /// Change where events are sent to, and which
    Update {
        #[command(flatten)]
        id: Id,
        /// Where events are sent to
        #[arg(long)]
        url: Option<String>,
        /// Types of events that are sent, in place of those that were
        #[arg(long, value_name = "TYPE", num_args = 1.., value_delimiter = ',')]
        action: Vec<EventType>,
        /// Send all types of events
        #[arg(long, conflicts_with = "action")]
        all_actions: bool,
        /// What the webhook is for
        #[arg(long)]
        label: Option<String>,
    },
    /// Send nothing more for the time being; what happens meanwhile is sent later
    Pause(Id),
    /// Go on with a webhook that was paused or disabled, at once
    Resume(Id),
    /// Make another secret and print it, once
    Rotate {
        #[command(flatten)]
        id: Id,
        /// How long events are signed with the secret before it as well, such as 24h
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "24h")]
        overlap: Duration,
        /// Do not sign with the secret before it any more
        #[arg(long, conflicts_with = "overlap")]
        at_once: bool,
    },
    /// Send events again, or pass over some
    Replay {
        #[command(flatten)]
        id: Id,
        /// Go on after the event of that cursor; 0 is the beginning
        #[arg(long, value_name = "CURSOR", required_unless_present = "since")]
        after: Option<String>,
        /// Go on with the first event that was at that time or after it, such as 2026-11-25T08:00:00Z
        #[arg(long, value_name = "TIME", conflicts_with = "after", value_parser = time)]
        since: Option<i64>,
    },
    /// Send an event that tells of nothing, and say what came back; exits with 1 if it is not taken
    Test {
        #[command(flatten)]
        id: Id,
        /// Network that is not public and that the receiver may be in
        #[arg(
            long,
            env = "MUSTER_ALLOW_WEBHOOK_NETWORK",
            value_name = "NETWORK",
            value_delimiter = ','
        )]
        allow_webhook_network: Vec<Network>,
    },
    /// Delete a webhook; nothing more is sent to it
    Delete(Id),
}

#[derive(Debug, Args)]
pub struct Id {
    /// The webhook's id, as 'muster webhook list' shows it
    id: String,
}

/// A time as RFC 3339 writes it, in UTC microseconds.
fn time(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text);
    let time = time.map_err(|_| format!("'{text}' is no time such as 2026-11-25T08:00:00Z"))?;
    Ok(time.timestamp_micros())
}

/// Runs a command on webhooks.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(
    command: WebhookCommand,
    url: DatabaseUrl,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let now = system()();
    let db = store::existing(url).await?;
    let by = By { actor: Actor::CommandLine, request_id: None, now };
    match command {
        WebhookCommand::Create { url, connection, action, label } => {
            let new = New { url, label, connection, types: Types::some(action) };
            let (webhook, secret) = webhooks::create(&db, new, by).await?;
            warn_of_private(&webhook.url);
            print_secret(&webhook, &secret, now, as_json);
        }
        WebhookCommand::List => {
            let found = db.read(webhooks::all).await?;
            if as_json {
                output::json(&found.iter().map(|webhook| webhook.to_json(now)).collect::<Value>());
            } else {
                list(&found);
            }
        }
        WebhookCommand::Show(Id { id }) => {
            let webhook = db.read(move |conn| webhooks::find(conn, &id)).await?;
            if as_json {
                output::json(&webhook.to_json(now));
            } else {
                show(&webhook, now);
            }
        }
        WebhookCommand::Update { id: Id { id }, url, action, all_actions, label } => {
            let types = (all_actions || !action.is_empty()).then(|| Types::some(action));
            let change = Change { url, label, types, state: None };
            if change == Change::default() {
                bail!("nothing to change: give --url, --action, --all-actions or --label");
            }
            let webhook = changed(&db, id, change, by).await?;
            warn_of_private(&webhook.url);
            print(&webhook, now, as_json, "changed");
        }
        WebhookCommand::Pause(Id { id }) => {
            let change = Change { state: Some(State::Paused), ..Change::default() };
            print(&changed(&db, id, change, by).await?, now, as_json, "paused");
        }
        WebhookCommand::Resume(Id { id }) => {
            let change = Change { state: Some(State::Active), ..Change::default() };
            print(&changed(&db, id, change, by).await?, now, as_json, "resumed");
        }
        WebhookCommand::Rotate { id: Id { id }, overlap, at_once } => {
            let old_until = (!at_once).then(|| now.saturating_add(micros(overlap)));
            let (webhook, secret) = db
                .write("rotate_webhook", move |conn| webhooks::rotate(conn, &id, old_until, &by))
                .await?;
            print_secret(&webhook, &secret, now, as_json);
        }
        WebhookCommand::Replay { id: Id { id }, after, since } => {
            let from = match (after, since) {
                (Some(cursor), _) => From::After(cursor),
                (None, Some(at)) => From::Since(at),
                (None, None) => bail!("give --after or --since"),
            };
            let webhook = db
                .write("replay_webhook", move |conn| webhooks::replay(conn, &id, &from, &by))
                .await?;
            print(&webhook, now, as_json, &format!("goes on after {}", webhook.cursor()));
        }
        WebhookCommand::Test { id: Id { id }, allow_webhook_network } => {
            let webhook = db.read(move |conn| webhooks::find(conn, &id)).await?;
            return test(&webhook, allow_webhook_network, as_json).await;
        }
        WebhookCommand::Delete(Id { id }) => {
            let deleted =
                db.write("delete_webhook", move |conn| webhooks::delete(conn, &id, &by)).await?;
            if as_json {
                output::json(&json!({ "deleted": deleted.id }));
            } else {
                eprintln!("deleted the webhook {}", deleted.id);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn changed(db: &Db, id: String, change: Change, by: By) -> anyhow::Result<Webhook> {
    Ok(db.write("update_webhook", move |conn| webhooks::update(conn, &id, &change, &by)).await?)
}

/// Says so where the server has to be told that it may send there.
fn warn_of_private(url: &str) {
    let is_far = check_url(url).is_ok_and(|parsed| !Reach::default().may_name(url, &parsed));
    if is_far {
        eprintln!(
            "the address is not public: start the server with --allow-webhook-network for its network"
        );
    }
}

fn print(webhook: &Webhook, now: i64, as_json: bool, what: &str) {
    if as_json {
        output::json(&webhook.to_json(now));
    } else {
        eprintln!("webhook {}: {what}", webhook.id);
    }
}

fn print_secret(webhook: &Webhook, secret: &Secret, now: i64, as_json: bool) {
    if as_json {
        let mut object = webhook.to_json(now);
        if let Some(members) = object.as_object_mut() {
            members.insert("secret".to_owned(), secret.expose().into());
        }
        output::json(&object);
    } else {
        output::line(secret.expose());
        eprintln!("webhook {}; the secret is not shown again", webhook.id);
    }
}

/// The state, and what keeps an active webhook from being delivered to.
fn status(webhook: &Webhook) -> String {
    match webhook.state {
        State::Disabled(reason) => format!("disabled: {}", reason.as_str()),
        State::Active if !webhook.has_secret() => "without secret".to_owned(),
        state => state.as_str().to_owned(),
    }
}

fn list(found: &[Webhook]) {
    let all = || "all".to_owned();
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|webhook| {
            vec![
                webhook.id.clone(),
                connection(webhook),
                webhook.label.clone(),
                webhook.url.clone(),
                webhook.types.as_ref().map_or_else(all, Types::to_string),
                status(webhook),
                webhook.cursor().to_string(),
            ]
        })
        .collect();
    output::table(&["id", "connection", "label", "url", "events", "status", "cursor"], &rows);
}

fn connection(webhook: &Webhook) -> String {
    match (&webhook.connection_id, &webhook.connection) {
        (None, _) => "all".to_owned(),
        (Some(_), Some(name)) => name.clone(),
        (Some(id), None) => format!("{id} (deleted)"),
    }
}

fn show(webhook: &Webhook, now: i64) {
    let object = webhook.to_json(now);
    let text = |key: &str| match object.get(key) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let events = webhook.types.as_ref().map_or_else(|| "all".to_owned(), Types::to_string);
    output::fields(&[
        ("id", webhook.id.clone()),
        ("connection", connection(webhook)),
        ("url", webhook.url.clone()),
        ("label", webhook.label.clone()),
        ("events", events),
        ("status", status(webhook)),
        ("since", text("state_since")),
        ("cursor", text("cursor")),
        ("last delivered", text("last_delivered_at")),
        ("failures", text("failures")),
        ("failing since", text("failing_since")),
        ("next attempt", text("next_attempt_at")),
        ("last error", text("last_error")),
        ("at", text("last_error_at")),
        ("secret made", text("secret_created_at")),
        ("old secret until", text("old_secret_until")),
        ("created", text("created_at")),
        ("updated", text("updated_at")),
    ]);
}

async fn test(
    webhook: &Webhook,
    networks: Vec<Network>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    if !webhook.has_secret() {
        bail!("the webhook has no secret: give it one with 'muster webhook rotate {}'", webhook.id);
    }
    let sender = Sender::new(Reach::with(networks))?;
    let now = system()();
    let message = Message::test(webhook, &rfc3339(now));
    let begun = Instant::now();
    let outcome = sender.send(&webhook.url, &webhook.secrets(now), &message, now).await;
    let took = begun.elapsed().as_millis();
    let (is_taken, said) = match outcome {
        Outcome::Taken(status) => (true, format!("it answered {status}")),
        Outcome::Gone => (false, "it answered 410, and wants no events".to_owned()),
        Outcome::Failed { error, .. } => (false, error),
    };
    if as_json {
        output::json(&json!({ "id": message.id, "taken": is_taken, "result": said, "ms": took }));
    } else {
        eprintln!("sent {}: {said}, after {took} ms", message.id);
    }
    Ok(if is_taken { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_rfc_3339_does() {
        assert_eq!(time("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert_eq!(time("1970-01-01T01:00:01+01:00"), Ok(1_000_000));
        for bad in ["", "now", "1970-01-01", "1970-01-01T00:00:01"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
