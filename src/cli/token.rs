//! `muster token …`

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{output, store};
use crate::access::Permit;
use crate::access::network::{Network, Networks};
use crate::access::scope::{Scope, Scopes};
use crate::clock::{rfc3339, system};
use crate::db::{DatabaseUrl, Db};
use crate::directory::connections;
use crate::directory::tokens::{self, Change, Token};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Add a token to a connection and print it, once; those it has go on working
    Create {
        /// The connection's name
        connection: String,
        /// What the token is for
        #[arg(long, default_value = "", env = "MUSTER_TOKEN_LABEL")]
        label: String,
        /// How long the token works, such as 365d, 12h or 30m
        #[arg(long, value_parser = duration, env = "MUSTER_TOKEN_EXPIRES_IN", default_value = "365d")]
        expires_in: Duration,
        /// What the token may do: users:read, users:write, groups:read or groups:write, or several
        /// of them. To write is not to read, but the answer to a write shows what was written
        /// [default: all of it]
        #[arg(long, value_name = "SCOPE", num_args = 1.., value_delimiter = ',',
              env = "MUSTER_TOKEN_SCOPE")]
        scope: Vec<Scope>,
        /// Networks that the token may be used from, such as `192.0.2.0/24` or `2001:db8::7`
        /// [default: everywhere]
        #[arg(long, value_name = "NETWORK", num_args = 1.., value_delimiter = ',',
              env = "MUSTER_TOKEN_ALLOW_FROM")]
        allow_from: Vec<Network>,
    },
    /// Change what a token is for, may do, or may be used from; at once, and the token stays the same
    Update {
        /// The token's id, as 'muster token list' shows it
        id: String,
        /// What the token is for
        #[arg(long)]
        label: Option<String>,
        /// What the token may do: users:read, users:write, groups:read or groups:write, or several
        /// of them, in place of what it might do before
        #[arg(long, value_name = "SCOPE", num_args = 1.., value_delimiter = ',')]
        scope: Vec<Scope>,
        /// Networks that the token may be used from, in place of those that it had
        #[arg(long, value_name = "NETWORK", num_args = 1.., value_delimiter = ',')]
        allow_from: Vec<Network>,
        /// Let the token be used from everywhere
        #[arg(long, conflicts_with = "allow_from")]
        allow_from_everywhere: bool,
    },
    /// List tokens, never the secrets
    List {
        /// Only those of this connection
        connection: Option<String>,
    },
    /// Revoke a token at once
    Revoke {
        /// The token's id, as 'muster token list' shows it
        id: String,
    },
}

/// Runs a command on tokens.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(command: TokenCommand, url: DatabaseUrl, as_json: bool) -> anyhow::Result<()> {
    let now = system()();
    let db = store::existing(url).await?;
    match command {
        TokenCommand::Create { connection, label, expires_in, scope, allow_from } => {
            let permit = Permit {
                scopes: if scope.is_empty() { Scopes::ALL } else { scope.into_iter().collect() },
                allow_from: allow_from.into_iter().collect(),
            };
            let expires_at = expiry(now, Some(expires_in))?;
            let (token, plain) = db
                .write("create_token", move |conn| {
                    let connection = connections::find(conn, &connection)?;
                    tokens::create_with(conn, &connection, &label, &permit, expires_at, now)
                })
                .await?;
            if as_json {
                let mut object = token.to_json(now);
                if let Some(members) = object.as_object_mut() {
                    members.insert("token".to_owned(), plain.expose().into());
                }
                output::json(&object);
            } else {
                output::line(plain.expose());
                let until = token.expires_at.map_or_else(String::new, rfc3339);
                eprintln!(
                    "token {} of {}; it works until {until} and is not shown again",
                    token.id, token.connection
                );
            }
        }
        TokenCommand::List { connection } => {
            let found = db.read(move |conn| tokens::all(conn, connection.as_deref())).await?;
            if as_json {
                output::json(&found.iter().map(|token| token.to_listing(now)).collect::<Value>());
            } else {
                let time = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), rfc3339);
                let rows: Vec<Vec<String>> = found
                    .iter()
                    .map(|token| {
                        vec![
                            token.id.clone(),
                            token.connection.clone(),
                            token.label.clone(),
                            token.status(now).to_owned(),
                            rfc3339(token.created_at),
                            time(token.expires_at),
                            time(token.last_used_at),
                            token.permit.scopes.to_string(),
                            networks(&token.permit.allow_from),
                            rules(token),
                        ]
                    })
                    .collect();
                output::table(
                    &[
                        "id",
                        "connection",
                        "label",
                        "status",
                        "created",
                        "expires",
                        "last used",
                        "scopes",
                        "allowed from",
                        "quirks",
                    ],
                    &rows,
                );
            }
        }
        TokenCommand::Update { id, label, scope, allow_from, allow_from_everywhere } => {
            let is_moved = !allow_from.is_empty() || allow_from_everywhere;
            let change = Change {
                label,
                scopes: Some(scope).filter(|scope| !scope.is_empty()).map(Scopes::from_iter),
                allow_from: is_moved.then(|| allow_from.into_iter().collect()),
            };
            update(&db, id, change, now, as_json).await?;
        }
        TokenCommand::Revoke { id } => {
            let revoked =
                db.write("revoke_token", move |conn| tokens::revoke(conn, &id, now)).await?;
            if as_json {
                output::json(&json!({ "revoked": revoked.id }));
            } else {
                eprintln!("revoked the token {} of {}", revoked.id, revoked.connection);
            }
        }
    }
    Ok(())
}

async fn update(
    db: &Db,
    id: String,
    change: Change,
    now: i64,
    as_json: bool,
) -> anyhow::Result<()> {
    if change == Change::default() {
        bail!("nothing to change: give --label, --scope, --allow-from or --allow-from-everywhere");
    }
    let token =
        db.write("update_token", move |conn| tokens::update(conn, &id, &change, now)).await?;
    if as_json {
        output::json(&token.to_json(now));
    } else {
        eprintln!(
            "token {} of {}: {}; allowed from {}",
            token.id,
            token.connection,
            token.permit.scopes,
            networks(&token.permit.allow_from)
        );
    }
    Ok(())
}

/// Where a token may be used from.
pub fn networks(networks: &Networks) -> String {
    if networks.is_empty() { "everywhere".to_owned() } else { networks.to_string() }
}

/// The compatibility rules that the token's client made use of.
fn rules(token: &Token) -> String {
    if token.quirks.is_empty() {
        return "-".to_owned();
    }
    token.quirks.iter().map(|used| used.name.as_str()).collect::<Vec<_>>().join(",")
}

/// When something that lasts so long from now on ends, in UTC microseconds.
///
/// # Errors
/// It lasts longer than time can be written.
pub fn expiry(now: i64, lasts: Option<Duration>) -> anyhow::Result<Option<i64>> {
    let end = |lasts: Duration| i64::try_from(lasts.as_micros()).map(|l| now.saturating_add(l));
    Ok(lasts.map(end).transpose()?)
}

/// A duration in microseconds; what is longer than can be written is for ever.
pub fn micros(lasts: Duration) -> i64 {
    i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX)
}

/// A duration as a number with a unit: `365d`, `12h`, `30m`, `90s`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("'{text}' is no duration; write a number and d, h, m or s, such as 365d");
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).ok_or_else(wrong)?;
    // A hundred years is for ever.
    if total == 0 || total > 100 * 366 * 86_400 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("365d"), Ok(Duration::from_hours(8760)));
        assert_eq!(duration("12h"), Ok(Duration::from_hours(12)));
        for wrong in ["", "d", "365", "0d", "-1d", "1w", "99999999999999999999d", "999999d", "é"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
