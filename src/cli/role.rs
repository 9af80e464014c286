//! `muster role …`

use clap::Subcommand;
use serde_json::{Value, json};

use super::{output, store};
use crate::clock::system;
use crate::db::DatabaseUrl;
use crate::directory::roles;

#[derive(Debug, Subcommand)]
pub enum RoleCommand {
    /// Let a team of a connection stand for a role in your application
    Grant {
        /// The connection's name
        connection: String,
        /// The team's id or name
        team: String,
        /// The role, as your application calls it
        role: String,
    },
    /// Take a role from a team
    Revoke {
        /// The connection's name
        connection: String,
        /// The team's id or name
        team: String,
        /// The role, as your application calls it
        role: String,
    },
    /// List teams and the roles they stand for
    List {
        /// The connection's name
        connection: String,
    },
}

/// Runs a command on roles.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(command: RoleCommand, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let now = system()();
    let db = store::existing(url).await?;
    match command {
        RoleCommand::Grant { connection, team, role } => {
            let done = format!("{team} stands for {role}");
            db.write("grant_role", move |conn| roles::grant(conn, &connection, &team, &role, now))
                .await?;
            eprintln!("{done}");
        }
        RoleCommand::Revoke { connection, team, role } => {
            let done = format!("{team} stands for {role} no more");
            db.write("revoke_role", move |conn| {
                roles::revoke(conn, &connection, &team, &role, now)
            })
            .await?;
            eprintln!("{done}");
        }
        RoleCommand::List { connection } => {
            let found = db.read(move |conn| roles::all(conn, &connection)).await?;
            if as_json {
                let show = |(team, role): &(String, String)| json!({ "team": team, "role": role });
                output::json(&found.iter().map(show).collect::<Value>());
            } else {
                let rows: Vec<Vec<String>> =
                    found.into_iter().map(|(team, role)| vec![team, role]).collect();
                output::table(&["team", "role"], &rows);
            }
        }
    }
    Ok(())
}
