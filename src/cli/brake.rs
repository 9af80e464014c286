//! `muster brake …`

use std::time::Duration;

use clap::Subcommand;
use serde_json::Value;

use super::token::{duration, micros};
use super::{output, store};
use crate::clock::{rfc3339, system};
use crate::db::DatabaseUrl;
use crate::directory::Actor;
use crate::directory::brake::{self, State};

#[derive(Debug, Subcommand)]
pub enum BrakeCommand {
    /// List the mass-change brakes of all connections
    List,
    /// Let through what the brake of a connection holds
    Release {
        /// The connection's name
        connection: String,
        /// How long nothing is counted, such as 1h or 30m
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1h")]
        r#for: Duration,
    },
}

/// Runs a command on brakes.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(command: BrakeCommand, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let now = system()();
    let db = store::existing(url).await?;
    match command {
        BrakeCommand::List => {
            let found = db.snapshot(move |conn| brake::all(conn, now)).await?;
            if as_json {
                output::json(&found.iter().map(State::to_json).collect::<Value>());
            } else {
                list(&found);
            }
        }
        BrakeCommand::Release { connection, r#for } => {
            let until = now.saturating_add(micros(r#for));
            let released = db
                .write("release_brake", move |conn| {
                    brake::release(conn, &connection, &Actor::CommandLine, None, until, now)
                })
                .await?;
            if as_json {
                output::json(&released.to_json());
            } else {
                eprintln!(
                    "removals of {} go through until {}; have the provider push again what was held",
                    released.connection,
                    rfc3339(until)
                );
            }
        }
    }
    Ok(())
}

fn list(found: &[State]) {
    let dash = || "-".to_owned();
    let of = |removed: i64, limit: Option<String>| match limit {
        Some(limit) => format!("{removed} of {limit}"),
        None => dash(),
    };
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|state| {
            vec![
                state.connection.clone(),
                state.status().to_owned(),
                of(state.removed.users, state.settings.users.map(|limit| limit.to_string())),
                of(state.removed.members, state.settings.members.map(|limit| limit.to_string())),
                format!("{} s", state.settings.window),
                state.held_at.map_or_else(dash, rfc3339),
            ]
        })
        .collect();
    output::table(&["connection", "status", "users", "members", "window", "held since"], &rows);
}
