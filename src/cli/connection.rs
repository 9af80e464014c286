//! `muster connection …`

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::token::duration;
use super::{output, store};
use crate::clock::{rfc3339, system};
use crate::db::{Conn, DatabaseUrl};
use crate::directory::brake::Limit;
use crate::directory::connections::{
    self, AdminError, Connection, Provider, Settings, SignInSettings, UnknownMembers,
};
use crate::directory::membership::Policy;
use crate::directory::requests;
use crate::oidc;

/// How long the token works that a store starts with, in microseconds: a year.
const FIRST_TOKEN_LIFETIME: i64 = 365 * 86_400 * 1_000_000;

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
    Show {
        /// The connection's name
        name: String,
    },
    /// Change settings of a connection; what is not given stays as it is
    Update {
        /// The connection's name
        name: String,
        #[command(flatten)]
        settings: SettingsArgs,
    },
    /// Delete a connection with its users, teams and tokens
    Delete {
        /// The connection's name
        name: String,
        /// Confirm that everything of the connection is to be deleted
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// The identity provider: okta, entra or generic [okta at first]
    #[arg(long, env = "MUSTER_CONNECTION_PROVIDER")]
    provider: Option<Provider>,
    /// How membership follows from SCIM and sign-in: scim-first or union [scim-first at first]
    #[arg(long, env = "MUSTER_CONNECTION_MEMBERSHIP")]
    membership: Option<Policy>,
    /// The provider's issuer, such as <https://example.okta.com>
    #[arg(long, env = "MUSTER_CONNECTION_ISSUER")]
    issuer: Option<String>,
    /// Muster's client id at the provider
    #[arg(long, env = "MUSTER_CONNECTION_CLIENT_ID")]
    client_id: Option<String>,
    /// The file with Muster's client secret; it is read at each sign-in. Without one Muster is a
    /// public client, with PKCE alone
    #[arg(long, value_name = "FILE", env = "MUSTER_CONNECTION_CLIENT_SECRET_FILE")]
    client_secret_file: Option<PathBuf>,
    /// The claim that lists groups [groups at first]
    #[arg(long, value_name = "CLAIM", env = "MUSTER_CONNECTION_GROUPS_CLAIM")]
    groups_claim: Option<String>,
    /// The regular expression that a group of the claim has to match; empty for none
    #[arg(long, value_name = "REGEX", env = "MUSTER_CONNECTION_GROUPS_FILTER")]
    groups_filter: Option<String>,
    /// The claim that equals the pushed externalId, or none [at first sub for okta, oid for entra]
    #[arg(long, value_name = "CLAIM", env = "MUSTER_CONNECTION_EXTERNAL_ID_CLAIM")]
    external_id_claim: Option<String>,
    /// The claim that equals the pushed userName [`preferred_username` at first]
    #[arg(long, value_name = "CLAIM", env = "MUSTER_CONNECTION_USER_NAME_CLAIM")]
    user_name_claim: Option<String>,
    /// Whether sign-in creates users whom nobody has pushed [on at first]
    #[arg(long, value_parser = ["on", "off"], env = "MUSTER_CONNECTION_JIT")]
    jit: Option<String>,
    /// Whether the provider sends people back to /login/callback/NAME, not to /login/callback; on
    /// keeps several providers apart [off at first]
    #[arg(long, value_parser = ["on", "off"], env = "MUSTER_CONNECTION_OWN_CALLBACK")]
    own_callback: Option<String>,
    /// What to do with a group that names unknown users: reject or skip [reject at first]
    #[arg(long, env = "MUSTER_CONNECTION_UNKNOWN_MEMBERS")]
    unknown_members: Option<UnknownMembers>,
    /// Marks the connection as the vendor's own: its people who have this role may use the console;
    /// empty for none
    #[arg(long, value_name = "ROLE", env = "MUSTER_CONNECTION_CONSOLE_ROLE")]
    console_role: Option<String>,
    /// How many users SCIM may deactivate or delete within the window before the rest is held: a
    /// number, a share such as 10%, or off [off at first]
    #[arg(long, value_name = "LIMIT", env = "MUSTER_CONNECTION_BRAKE_USERS")]
    brake_users: Option<OrOff<Limit>>,
    /// How many members SCIM may take out of groups within the window, or off [off at first]
    #[arg(long, value_name = "NUMBER", env = "MUSTER_CONNECTION_BRAKE_MEMBERS")]
    brake_members: Option<OrOff<u32>>,
    /// The window of both, such as 1h [1h at first]
    #[arg(long, value_name = "TIME", value_parser = duration, env = "MUSTER_CONNECTION_BRAKE_WINDOW")]
    brake_window: Option<Duration>,
}

/// A limit, or none where it is called off.
#[derive(Debug, Clone, Copy)]
struct OrOff<T>(Option<T>);

impl FromStr for OrOff<Limit> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self(None)) } else { Ok(Self(Some(text.parse()?))) }
    }
}

impl FromStr for OrOff<u32> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("'{text}' is no number, and not off");
        if text == "off" { Ok(Self(None)) } else { Ok(Self(Some(text.parse().map_err(wrong)?))) }
    }
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
        if let Some(OrOff(limit)) = self.brake_users {
            settings.brake.users = limit;
        }
        if let Some(OrOff(limit)) = self.brake_members {
            settings.brake.members = limit.map(i64::from);
        }
        if let Some(window) = self.brake_window {
            settings.brake.window = i64::try_from(window.as_secs()).unwrap_or(i64::MAX).max(1);
        }
        if let Some(role) = &self.console_role {
            settings.console_role = Some(role.clone()).filter(|role| !role.is_empty());
        }
        let sign_in = &mut settings.sign_in;
        if let Some(provider) = self.provider {
            // The claims of the other provider would mean something else.
            sign_in.external_id_claim = SignInSettings::of(provider).external_id_claim;
        }
        let given = |text: &Option<String>| text.clone();
        // What is given as empty is unset.
        let set = |setting: &mut Option<String>, text: Option<String>| {
            if let Some(text) = text {
                *setting = Some(text).filter(|text| !text.is_empty());
            }
        };
        set(&mut sign_in.issuer, given(&self.issuer));
        set(&mut sign_in.client_id, given(&self.client_id));
        let file = self.client_secret_file.as_ref().map(|file| file.display().to_string());
        set(&mut sign_in.client_secret_file, file);
        if let Some(claim) = given(&self.groups_claim) {
            sign_in.groups_claim = claim;
        }
        set(&mut sign_in.groups_filter, given(&self.groups_filter));
        if let Some(claim) = given(&self.external_id_claim) {
            sign_in.external_id_claim = Some(claim).filter(|claim| claim != "none");
        }
        if let Some(claim) = given(&self.user_name_claim) {
            sign_in.user_name_claim = claim;
        }
        if let Some(jit) = &self.jit {
            sign_in.jit = jit == "on";
        }
        if let Some(own_callback) = &self.own_callback {
            sign_in.own_callback = own_callback == "on";
        }
    }

    /// Checks what can be checked before anything is written, and makes the path absolute: the
    /// server may run in another folder.
    fn check(mut self) -> anyhow::Result<Self> {
        if let Some(issuer) = self.issuer.as_ref().filter(|issuer| !issuer.is_empty()) {
            anyhow::ensure!(
                !issuer.contains("/.well-known/"),
                "the issuer is what comes before /.well-known/, such as https://example.okta.com"
            );
            oidc::issuer_url(issuer)?;
        }
        if let Some(client_id) = &self.client_id {
            oidc::check_client_id(client_id)?;
        }
        for claim in [&self.groups_claim, &self.user_name_claim, &self.external_id_claim] {
            let is_empty = claim.as_ref().is_some_and(String::is_empty);
            anyhow::ensure!(!is_empty, "a claim has a name (or 'none' for --external-id-claim)");
        }
        if let Some(filter) = &self.groups_filter {
            regex::Regex::new(filter).context("the groups filter is no regular expression")?;
        }
        let file = self.client_secret_file.take_if(|file| !file.as_os_str().is_empty());
        if let Some(file) = file {
            let name = file.display().to_string();
            let whole = file.canonicalize().with_context(|| format!("cannot find {name}"))?;
            let secret =
                std::fs::read_to_string(&whole).with_context(|| format!("cannot read {name}"))?;
            anyhow::ensure!(!secret.trim().is_empty(), "{name} is empty");
            self.client_secret_file = Some(whole);
        }
        Ok(self)
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
            let settings = settings.check()?;
            let db = store::migrated(url).await?;
            let mut wanted = Settings::default();
            settings.apply(&mut wanted);
            let made = db
                .write("create_connection", move |conn| {
                    connections::create(conn, &name, wanted.clone(), now)
                })
                .await?;
            show(&made, as_json);
            advise(&db, &made).await?;
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
            let settings = settings.check()?;
            let db = store::existing(url).await?;
            let updated = db
                .write("update_connection", move |conn| {
                    connections::update(conn, &name, |wanted| settings.apply(wanted), now)
                })
                .await?;
            show(&updated, as_json);
            advise(&db, &updated).await?;
        }
        ConnectionCommand::Delete { name, yes } => {
            if !yes {
                anyhow::bail!(
                    "this deletes the connection '{name}' with all its users, teams and tokens; \
                     repeat the command with --yes"
                );
            }
            let db = store::existing(url).await?;
            let named = name.clone();
            let id = db.read(move |conn| connections::find(conn, &named)).await?.id;
            // It would go with the connection, but a million rows at once keep others from writing.
            let forget = move |conn: &mut Conn| requests::forget_some(conn, &id);
            while db.note("forget_requests", forget.clone()).await? {}
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
                connection.settings.sign_in.issuer.clone().unwrap_or_else(|| "-".to_owned()),
                rfc3339(connection.created_at),
            ]
        })
        .collect();
    output::table(&["name", "provider", "membership", "issuer", "created"], &rows);
}

fn show(connection: &Connection, as_json: bool) {
    if as_json {
        return output::json(&connection.to_json());
    }
    let (sign_in, brake) = (&connection.settings.sign_in, &connection.settings.brake);
    let or_dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    output::fields(&[
        ("name", connection.name.clone()),
        ("id", connection.id.clone()),
        ("provider", connection.settings.provider.to_string()),
        ("membership", connection.settings.membership.to_string()),
        ("unknown members", connection.settings.unknown_members.to_string()),
        ("issuer", or_dash(sign_in.issuer.as_deref())),
        ("client id", or_dash(sign_in.client_id.as_deref())),
        ("client secret file", or_dash(sign_in.client_secret_file.as_deref())),
        ("groups claim", sign_in.groups_claim.clone()),
        ("groups filter", or_dash(sign_in.groups_filter.as_deref())),
        ("external id claim", or_dash(sign_in.external_id_claim.as_deref())),
        ("user name claim", sign_in.user_name_claim.clone()),
        ("redirect path", connection.redirect_path()),
        ("just-in-time users", if sign_in.jit { "on" } else { "off" }.to_owned()),
        ("brake, users", or_dash(brake.users.map(|limit| limit.to_string()).as_deref())),
        ("brake, members", or_dash(brake.members.map(|limit| limit.to_string()).as_deref())),
        ("brake, window", format!("{} s", brake.window)),
        ("created", rfc3339(connection.created_at)),
        ("updated", rfc3339(connection.updated_at)),
    ]);
}

/// Says what the connection's sign-in still lacks, and what keeps it apart from that of others.
async fn advise(db: &crate::db::Db, connection: &Connection) -> anyhow::Result<()> {
    let own = &connection.settings.sign_in;
    match (&own.issuer, &own.client_id) {
        (None, None) => return Ok(()),
        (None, _) => eprintln!("sign-in needs --issuer as well"),
        (_, None) => eprintln!("sign-in needs --client-id as well"),
        _ => {}
    }
    let is_private = |issuer: &str| {
        oidc::issuer_url(issuer).is_ok_and(|url| !oidc::Reach::default().may_name(issuer, &url))
    };
    if own.issuer.as_deref().is_some_and(is_private) {
        eprintln!(
            "the issuer is not at a public address: 'muster serve' has to be told to ask there, with \
             --allow-issuer-network"
        );
    }
    let others = db.read(connections::all).await?;
    let others = || others.iter().filter(|other| other.id != connection.id);
    let same =
        others().find(|other| own.issuer.is_some() && other.settings.sign_in.issuer == own.issuer);
    if let Some(same) = same {
        eprintln!(
            "'{}' has this issuer too: an Initiate login URI has to name the connection then, such \
             as /login/initiate?connection={}",
            same.name, connection.name
        );
    }
    let shares = |other: &&Connection| {
        let other = &other.settings.sign_in;
        other.issuer.is_some() && other.issuer != own.issuer && !other.own_callback
    };
    let sharing: Vec<&str> = others().filter(shares).map(|other| other.name.as_str()).collect();
    if !own.own_callback && !sharing.is_empty() {
        eprintln!(
            "people sign in at another provider with {}: give each connection an address of its \
             own with --own-callback on, and register that at the provider",
            sharing.join(", ")
        );
    }
    Ok(())
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
    // "Bearer tokens MUST have a limited lifetime" (RFC 7644 section 7.4).
    let expires_at = Some(now.saturating_add(FIRST_TOKEN_LIFETIME));
    db.write("create_first_connection", move |conn| {
        if !crate::db::connections::is_empty(conn)? {
            return Ok(None);
        }
        let connection = match connections::create(conn, "default", Settings::default(), now) {
            Ok(connection) => connection,
            // Another server that starts on the same store was faster by a moment.
            Err(AdminError::NameTaken(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let (_, token) =
            crate::directory::tokens::create(conn, &connection, "first", expires_at, now)?;
        Ok(Some((connection, token)))
    })
    .await
}
