//! `muster connection …`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{output, store};
use crate::clock::{rfc3339, system};
use crate::db::DatabaseUrl;
use crate::directory::connections::{
    self, AdminError, Connection, Provider, Settings, UnknownMembers,
};
use crate::directory::membership::Policy;

#[derive(Debug, Subcommand)]
pub enum ConnectionCommand {
    /// Add a connection
    Create {
        /// The name, unique without regard to case
        name: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// List connections
    List,
    /// Show a connection
    Show { name: String },
    /// Change settings of a connection; what is not given stays as it is
    Update {
        name: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Delete a connection with its users, teams and tokens
    Delete {
        name: String,
        /// Confirm that everything of the connection is to be deleted
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// The identity provider: okta, entra or generic [default: okta]
    #[arg(long)]
    provider: Option<Provider>,
    /// How membership follows from SCIM and sign-in: scim-first or union [default: scim-first]
    #[arg(long)]
    membership: Option<Policy>,
    /// What to do with a group that names unknown users: reject or skip [default: reject]
    #[arg(long)]
    unknown_members: Option<UnknownMembers>,
}

impl SettingsArgs {
    fn apply(&self, settings: &mut Settings) {
        if let Some(provider) = self.provider {
            settings.provider = provider;
        }
        if let Some(membership) = self.membership {
            settings.membership = membership;
        }
        if let Some(unknown_members) = self.unknown_members {
            settings.unknown_members = unknown_members;
        }
    }
}

/// Runs a command on connections.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(
    command: ConnectionCommand,
    url: DatabaseUrl,
    as_json: bool,
) -> anyhow::Result<()> {
    let now = system()();
    match command {
        ConnectionCommand::Create { name, settings } => {
            let db = store::migrated(url).await?;
            let mut wanted = Settings::default();
            settings.apply(&mut wanted);
            let made = db
                .write("create_connection", move |conn| {
                    connections::create(conn, &name, wanted.clone(), now)
                })
                .await?;
            show(&made, as_json);
            eprintln!("next: muster token create {}", made.name);
        }
        ConnectionCommand::List => {
            let db = store::existing(url).await?;
            list(&db.read(connections::all).await?, as_json);
        }
        ConnectionCommand::Show { name } => {
            let db = store::existing(url).await?;
            show(&db.read(move |conn| connections::find(conn, &name)).await?, as_json);
        }
        ConnectionCommand::Update { name, settings } => {
            let db = store::existing(url).await?;
            let updated = db
                .write("update_connection", move |conn| {
                    connections::update(conn, &name, |wanted| settings.apply(wanted), now)
                })
                .await?;
            show(&updated, as_json);
        }
        ConnectionCommand::Delete { name, yes } => {
            if !yes {
                anyhow::bail!(
                    "this deletes the connection '{name}' with all its users, teams and tokens; \
                     repeat the command with --yes"
                );
            }
            let db = store::existing(url).await?;
            let deleted = db
                .write("delete_connection", move |conn| connections::delete(conn, &name, now))
                .await?;
            if as_json {
                output::json(&json!({ "deleted": deleted.name }));
            } else {
                eprintln!("deleted the connection {}", deleted.name);
            }
        }
    }
    Ok(())
}

fn list(connections: &[Connection], as_json: bool) {
    if as_json {
        return output::json(&connections.iter().map(Connection::to_json).collect::<Value>());
    }
    let rows: Vec<Vec<String>> = connections
        .iter()
        .map(|connection| {
            vec![
                connection.name.clone(),
                connection.settings.provider.to_string(),
                connection.settings.membership.to_string(),
                connection.settings.unknown_members.to_string(),
                rfc3339(connection.created_at),
            ]
        })
        .collect();
    output::table(&["name", "provider", "membership", "unknown members", "created"], &rows);
}

fn show(connection: &Connection, as_json: bool) {
    if as_json {
        return output::json(&connection.to_json());
    }
    output::fields(&[
        ("name", connection.name.clone()),
        ("id", connection.id.clone()),
        ("provider", connection.settings.provider.to_string()),
        ("membership", connection.settings.membership.to_string()),
        ("unknown members", connection.settings.unknown_members.to_string()),
        ("created", rfc3339(connection.created_at)),
        ("updated", rfc3339(connection.updated_at)),
    ]);
}

/// The connection that a store starts with, and its first token; `None` if the store has a
/// connection already.
///
/// # Errors
/// The store's.
pub async fn first(
    db: &crate::db::Db,
    now: i64,
) -> Result<Option<(Connection, crate::directory::tokens::PlainToken)>, AdminError> {
    db.write("create_first_connection", move |conn| {
        if !crate::db::connections::is_empty(conn)? {
            return Ok(None);
        }
        let connection = connections::create(conn, "default", Settings::default(), now)?;
        let (_, token) = crate::directory::tokens::create(conn, &connection, "first", None, now)?;
        Ok(Some((connection, token)))
    })
    .await
}
