//! `muster app …` and `muster admin-token …`

use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};

use super::token::{duration, expiry, networks};
use super::{output, store};
use crate::access::network::{Network, Networks};
use crate::clock::{rfc3339, system};
use crate::db::DatabaseUrl;
use crate::directory::apps;

#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// Add an application that may ask for sign-in, and print its client id
    Create {
        /// A name, unique without regard to case
        name: String,
        /// Where browsers may be sent back to; compared as it stands
        #[arg(long, required = true, num_args = 1..)]
        redirect_uri: Vec<String>,
        /// Let the application have its token in the address (`response_type=token`)
        #[arg(long)]
        allow_implicit: bool,
        /// Give the application a secret, which is shown this once
        #[arg(long)]
        confidential: bool,
    },
    /// List applications
    List,
    /// Delete an application, by client id or name, with its codes and access tokens
    Delete {
        /// The application's client id or name
        app: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdminTokenCommand {
    /// Make a token for the vendor's own back end and print it, once
    Create {
        /// What the token is for
        #[arg(long, default_value = "", env = "MUSTER_ADMIN_TOKEN_LABEL")]
        label: String,
        /// How long the token works, such as 365d, 12h or 30m [default: for ever]
        #[arg(long, value_parser = duration, env = "MUSTER_ADMIN_TOKEN_EXPIRES_IN")]
        expires_in: Option<Duration>,
        /// Networks that the token may be used from, such as `192.0.2.0/24` or `2001:db8::7`
        /// [default: everywhere]
        #[arg(long, value_name = "NETWORK", num_args = 1.., value_delimiter = ',',
              env = "MUSTER_ADMIN_TOKEN_ALLOW_FROM")]
        allow_from: Vec<Network>,
    },
    /// List admin tokens, never the secrets
    List,
    /// Revoke an admin token at once
    Revoke {
        /// The token's id, as 'muster admin-token list' shows it
        id: String,
    },
}

/// Runs a command on applications.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(command: AppCommand, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let now = system()();
    match command {
        AppCommand::Create { name, redirect_uri, allow_implicit, confidential } => {
            let db = store::migrated(url).await?;
            let (made, secret) = db
                .write("create_app", move |conn| {
                    apps::create(conn, &name, &redirect_uri, allow_implicit, confidential, now)
                })
                .await?;
            let secret = secret.as_ref().map(super::super::directory::tokens::PlainToken::expose);
            if as_json {
                let mut object = made.to_json();
                if let Some(members) = object.as_object_mut() {
                    members.insert("client_secret".to_owned(), secret.into());
                }
                output::json(&object);
            } else {
                let mut fields = vec![("client id", made.id.clone())];
                fields.extend(secret.map(|secret| ("client secret", secret.to_owned())));
                output::fields(&fields);
                if secret.is_some() {
                    eprintln!("the secret is not shown again");
                }
            }
        }
        AppCommand::List => {
            let found = store::existing(url).await?.read(apps::all).await?;
            if as_json {
                output::json(&found.iter().map(apps::VendorApp::to_json).collect::<Value>());
            } else {
                let rows: Vec<Vec<String>> = found
                    .into_iter()
                    .map(|app| {
                        let kind = if app.is_confidential() { "confidential" } else { "public" };
                        let implicit = if app.allow_implicit { "allowed" } else { "-" };
                        let uris = app.redirect_uris.join(" ");
                        let created = rfc3339(app.created_at);
                        vec![app.id, app.name, kind.to_owned(), implicit.to_owned(), uris, created]
                    })
                    .collect();
                output::table(
                    &["client id", "name", "kind", "implicit", "redirect URIs", "created"],
                    &rows,
                );
            }
        }
        AppCommand::Delete { app } => {
            let db = store::existing(url).await?;
            let deleted = db.write("delete_app", move |conn| apps::delete(conn, &app, now)).await?;
            if as_json {
                output::json(&json!({ "deleted": deleted.id }));
            } else {
                eprintln!("deleted the application {}", deleted.name);
            }
        }
    }
    Ok(())
}

/// Runs a command on admin tokens.
///
/// # Errors
/// What the store or the directory says.
pub async fn run_admin(
    command: AdminTokenCommand,
    url: DatabaseUrl,
    as_json: bool,
) -> anyhow::Result<()> {
    let now = system()();
    match command {
        AdminTokenCommand::Create { label, expires_in, allow_from } => {
            let allow_from: Networks = allow_from.into_iter().collect();
            let expires_at = expiry(now, expires_in)?;
            let db = store::migrated(url).await?;
            let (id, token) = db
                .write("create_admin_token", move |conn| {
                    apps::create_admin_token_for(conn, &label, &allow_from, expires_at, now)
                })
                .await?;
            if as_json {
                output::json(&json!({ "id": id, "token": token.expose() }));
            } else {
                output::line(token.expose());
                match expires_at {
                    Some(end) => {
                        eprintln!(
                            "admin token {id}; it works until {}, and is not shown again",
                            rfc3339(end)
                        );
                    }
                    None => eprintln!(
                        "admin token {id}; it is not shown again, and works until it is revoked: \
                         --expires-in 90d would give it an end"
                    ),
                }
            }
        }
        AdminTokenCommand::List => {
            let found = store::existing(url).await?.read(apps::admin_tokens).await?;
            if as_json {
                output::json(&found.iter().map(apps::AdminToken::to_json).collect::<Value>());
            } else {
                list_admin(&found);
            }
        }
        AdminTokenCommand::Revoke { id } => {
            let db = store::existing(url).await?;
            let revoked = id.clone();
            db.write("revoke_admin_token", move |conn| apps::revoke_admin_token(conn, &id, now))
                .await?;
            if as_json {
                output::json(&json!({ "revoked": revoked }));
            } else {
                eprintln!("revoked the admin token {revoked}");
            }
        }
    }
    Ok(())
}

fn list_admin(tokens: &[apps::AdminToken]) {
    let time = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), rfc3339);
    let rows: Vec<Vec<String>> = tokens
        .iter()
        .map(|token| {
            vec![
                token.id.clone(),
                token.label.clone(),
                rfc3339(token.created_at),
                time(token.expires_at),
                time(token.last_used_at),
                time(token.revoked_at),
                networks(&token.allow_from),
            ]
        })
        .collect();
    output::table(
        &["id", "label", "created", "expires", "last used", "revoked", "allowed from"],
        &rows,
    );
}
