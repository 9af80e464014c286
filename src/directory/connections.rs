//! Connections: one customer's identity provider each, and a tenant of its own.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::events::{self, Action, By, Subject};
use super::membership::Policy;
use super::{DirectoryError, brake, new_id};
use crate::clock::rfc3339;
use crate::db::connection::changed_meanwhile;
use crate::db::connections::{self as rows, ConnectionRow};
use crate::db::{Conn, MayBeStore, StoreError};
use crate::scim::fold::fold;

/// The kind of identity provider at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Provider {
    #[default]
    Okta,
    Entra,
    Generic,
}

impl Provider {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Okta => "okta",
            Self::Entra => "entra",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "okta" => Ok(Self::Okta),
            "entra" => Ok(Self::Entra),
            "generic" => Ok(Self::Generic),
            _ => Err(format!("'{text}' is no provider; use okta, entra or generic")),
        }
    }
}

/// What happens to a pushed group that names a user whom the connection does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownMembers {
    /// The request is refused with the ids that are unknown.
    #[default]
    Reject,
    /// The other members are written; the unknown ids are recorded in the event log.
    Skip,
}

impl UnknownMembers {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Skip => "skip",
        }
    }
}

impl fmt::Display for UnknownMembers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for UnknownMembers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reject" => Ok(Self::Reject),
            "skip" => Ok(Self::Skip),
            _ => Err(format!("'{text}' is no rule for unknown members; use reject or skip")),
        }
    }
}

/// What can be set of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    pub provider: Provider,
    pub membership: Policy,
    pub unknown_members: UnknownMembers,
    pub sign_in: SignInSettings,
    pub brake: brake::Settings,
    /// The role that opens the console to people of the connection, where it is the vendor's own.
    pub console_role: Option<String>,
}

/// How people of a connection sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInSettings {
    /// The provider's issuer, exactly as in its discovery document; without one nobody signs in.
    pub issuer: Option<String>,
    /// Muster's client id at the provider.
    pub client_id: Option<String>,
    /// The file with Muster's client secret; without one it is a public client.
    pub client_secret_file: Option<String>,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// The regular expression that a group has to match, if it is not to be ignored.
    pub groups_filter: Option<String>,
    /// The claim that equals the `externalId` which SCIM pushes, if one does.
    pub external_id_claim: Option<String>,
    /// The claim that equals the `userName` which SCIM pushes.
    pub user_name_claim: String,
    /// Whether sign-in creates users whom SCIM has not pushed.
    pub jit: bool,
    /// Whether the provider sends people back to an address of the connection's own, which keeps
    /// providers apart that do not name themselves in their answers (RFC 9700 section 4.4.2).
    pub own_callback: bool,
}

impl SignInSettings {
    /// What a provider's connections start with.
    pub fn of(provider: Provider) -> Self {
        Self {
            issuer: None,
            client_id: None,
            client_secret_file: None,
            groups_claim: "groups".to_owned(),
            groups_filter: None,
            // Okta pushes its user id as externalId and signs it as subject; Entra ID pushes the
            // object id, which it signs as `oid`.
            external_id_claim: match provider {
                Provider::Okta => Some("sub".to_owned()),
                Provider::Entra => Some("oid".to_owned()),
                Provider::Generic => None,
            },
            user_name_claim: "preferred_username".to_owned(),
            jit: true,
            own_callback: false,
        }
    }
}

impl Default for SignInSettings {
    fn default() -> Self {
        Self::of(Provider::default())
    }
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub id: String,
    /// The name, unique without regard to case.
    pub name: String,
    pub settings: Settings,
    /// UTC microseconds.
    pub created_at: i64,
    /// UTC microseconds.
    pub updated_at: i64,
}

impl Connection {
    /// Reads a row.
    ///
    /// # Errors
    /// The row holds a setting that this program does not know.
    pub fn from_row(row: ConnectionRow) -> Result<Self, StoreError> {
        Ok(Self {
            settings: Settings {
                provider: row.provider.parse().map_err(StoreError::Corrupt)?,
                membership: row.membership.parse().map_err(StoreError::Corrupt)?,
                unknown_members: row.unknown_members.parse().map_err(StoreError::Corrupt)?,
                sign_in: SignInSettings {
                    issuer: row.issuer,
                    client_id: row.client_id,
                    client_secret_file: row.client_secret_file,
                    groups_claim: row.groups_claim,
                    groups_filter: row.groups_filter,
                    external_id_claim: row.external_id_claim,
                    user_name_claim: row.user_name_claim,
                    jit: row.jit,
                    own_callback: row.own_callback,
                },
                brake: brake::Settings {
                    users: row
                        .brake_users
                        .map(|limit| limit.parse())
                        .transpose()
                        .map_err(StoreError::Corrupt)?,
                    members: row.brake_members,
                    window: row.brake_window,
                },
                console_role: row.console_role,
            },
            id: row.id,
            name: row.name,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    fn to_row(&self) -> ConnectionRow {
        let sign_in = &self.settings.sign_in;
        ConnectionRow {
            id: self.id.clone(),
            name: self.name.clone(),
            name_fold: fold(&self.name).into_owned(),
            provider: self.settings.provider.to_string(),
            membership: self.settings.membership.to_string(),
            unknown_members: self.settings.unknown_members.to_string(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            issuer: sign_in.issuer.clone(),
            client_id: sign_in.client_id.clone(),
            client_secret_file: sign_in.client_secret_file.clone(),
            groups_claim: sign_in.groups_claim.clone(),
            groups_filter: sign_in.groups_filter.clone(),
            external_id_claim: sign_in.external_id_claim.clone(),
            user_name_claim: sign_in.user_name_claim.clone(),
            jit: sign_in.jit,
            own_callback: sign_in.own_callback,
            brake_users: self.settings.brake.users.map(|limit| limit.to_string()),
            brake_members: self.settings.brake.members,
            brake_window: self.settings.brake.window,
            console_role: self.settings.console_role.clone(),
        }
    }

    /// The path of the redirect URI that is registered at the provider.
    pub fn redirect_path(&self) -> String {
        if self.settings.sign_in.own_callback {
            format!("/login/callback/{}", self.name)
        } else {
            "/login/callback".to_owned()
        }
    }

    /// The connection for programs, keys in snake case.
    pub fn to_json(&self) -> Value {
        let sign_in = &self.settings.sign_in;
        json!({
            "id": self.id,
            "name": self.name,
            "provider": self.settings.provider.as_str(),
            "membership": self.settings.membership.as_str(),
            "unknown_members": self.settings.unknown_members.as_str(),
            "issuer": sign_in.issuer,
            "client_id": sign_in.client_id,
            "client_secret_file": sign_in.client_secret_file,
            "groups_claim": sign_in.groups_claim,
            "groups_filter": sign_in.groups_filter,
            "external_id_claim": sign_in.external_id_claim,
            "user_name_claim": sign_in.user_name_claim,
            "jit": sign_in.jit,
            "redirect_path": self.redirect_path(),
            "brake_users": self.settings.brake.users.map(|limit| limit.to_string()),
            "brake_members": self.settings.brake.members,
            "brake_window": self.settings.brake.window,
            "console_role": self.settings.console_role,
            "created_at": rfc3339(self.created_at),
            "updated_at": rfc3339(self.updated_at),
        })
    }
}

/// Why a command on connections or tokens was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("there is no connection '{0}'; see 'muster connection list'")]
    NoConnection(String),
    #[error("there is no connection yet; 'muster connection create NAME' makes one")]
    NoConnectionYet,
    #[error("there are several connections; name one with --connection")]
    NameOne,
    #[error("there is already a connection '{0}'")]
    NameTaken(String),
    #[error("'{0}' is no name for a connection: use 1 to 64 letters, digits, '-', '_' or '.'")]
    BadName(String),
    #[error("there is no token with the id '{0}'; see 'muster token list'")]
    NoToken(String),
    #[error("there is no live admin token with the id '{0}'; see 'muster admin-token list'")]
    NoAdminToken(String),
    #[error("the team '{team}' does not stand for '{role}'; see 'muster role list {connection}'")]
    NotGranted { team: String, role: String, connection: String },
    #[error("there is already an application '{0}'; 'muster app list' shows its client id")]
    AppNameTaken(String),
    #[error("the connection has no team '{0}'; a team is there once it is pushed or claimed")]
    NoTeam(String),
    #[error("'{0}' is no name for a role: use 1 to 64 printable characters without spaces")]
    BadRole(String),
    #[error("there is no user '{0}' here; give an id, a userName or an externalId")]
    NoUser(String),
    #[error("several connections have a user '{user}'; name one of them: {connections}")]
    SeveralConnections { user: String, connections: String },
    #[error("'{0}' can be any of {1}; give the id")]
    Ambiguous(String, String),
    #[error("there is no application '{0}'; see 'muster app list'")]
    NoApp(String),
    #[error(
        "'{0}' cannot be a redirect URI: it must be an absolute https address (or http on this \
         machine) without a fragment and without '*'"
    )]
    BadRedirectUri(String),
    #[error("there is no webhook with the id '{0}'; see 'muster webhook list'")]
    NoWebhook(String),
    #[error(
        "'{0}' cannot be the address of a webhook: it must be an absolute https address (or http on \
         this machine), of 1,024 bytes at most, without a user, a password and a fragment"
    )]
    BadWebhookUrl(String),
    #[error("a webhook's label has 256 bytes at most, and no control characters")]
    BadWebhookLabel,
    #[error("'{0}' is no cursor that the log has; it ends at {1}")]
    BadCursor(String, i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<diesel::result::Error> for AdminError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl MayBeStore for AdminError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            other => Err(other),
        }
    }
}

impl From<DirectoryError> for AdminError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Store(error) => Self::Store(error),
            DirectoryError::Refused(error) => Self::Store(StoreError::Corrupt(error.to_string())),
            DirectoryError::Held(held) => Self::Store(StoreError::Corrupt(held.to_string())),
        }
    }
}

/// Adds a connection.
///
/// # Errors
/// The name is taken or not allowed.
pub fn create(
    conn: &mut Conn,
    name: &str,
    settings: Settings,
    now: i64,
) -> Result<Connection, AdminError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // A name is part of addresses, where "." and ".." would be something else.
    let is_dots = name.chars().all(|c| c == '.');
    if is_dots || name.len() > 64 || !name.chars().all(allowed) {
        return Err(AdminError::BadName(name.to_owned()));
    }
    if rows::find_by_name(conn, &fold(name))?.is_some() {
        return Err(AdminError::NameTaken(name.to_owned()));
    }
    let connection = Connection {
        id: new_id(),
        name: name.to_owned(),
        settings,
        created_at: now,
        updated_at: now,
    };
    rows::insert(conn, &connection.to_row())?;
    let data = json!({ "after": connection.to_json() });
    record(conn, &connection, Action::Created, &By::command_line(now), &data)?;
    Ok(connection)
}

/// All connections, by name.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<Connection>, AdminError> {
    let rows = rows::all(conn)?;
    Ok(rows.into_iter().map(Connection::from_row).collect::<Result<_, _>>()?)
}

/// The connection, where it is the only one.
///
/// # Errors
/// The store's.
pub fn only(conn: &mut Conn) -> Result<Option<Connection>, StoreError> {
    rows::only(conn)?.map(Connection::from_row).transpose()
}

/// Connections in whose name there is a text, without regard to case, by name: so many after so many,
/// and how many there are in all.
///
/// # Errors
/// The store's.
pub fn named_like(
    conn: &mut Conn,
    part: &str,
    after: i64,
    count: i64,
) -> Result<(Vec<Connection>, i64), StoreError> {
    let (rows, total) = rows::named_like(conn, &fold(part), after, count)?;
    Ok((rows.into_iter().map(Connection::from_row).collect::<Result<_, _>>()?, total))
}

/// The connections whose people may use the console, by name.
///
/// # Errors
/// The store's.
pub fn with_console(conn: &mut Conn) -> Result<Vec<Connection>, StoreError> {
    rows::with_console(conn)?.into_iter().map(Connection::from_row).collect()
}

/// The connection of that name.
///
/// # Errors
/// There is none.
pub fn find(conn: &mut Conn, name: &str) -> Result<Connection, AdminError> {
    match rows::find_by_name(conn, &fold(name))? {
        Some(row) => Ok(Connection::from_row(row)?),
        None => Err(AdminError::NoConnection(name.to_owned())),
    }
}

/// The connections whose people sign in at that issuer, by name.
///
/// # Errors
/// The store's.
pub fn of_issuer(conn: &mut Conn, issuer: &str) -> Result<Vec<Connection>, StoreError> {
    rows::find_by_issuer(conn, issuer)?.into_iter().map(Connection::from_row).collect()
}

/// Changes the settings of a connection.
///
/// # Errors
/// There is no such connection.
pub fn update(
    conn: &mut Conn,
    name: &str,
    change: impl FnOnce(&mut Settings),
    now: i64,
) -> Result<Connection, AdminError> {
    update_by(conn, name, change, &By::command_line(now))
}

/// The same, by somebody who need not be at the command line.
///
/// # Errors
/// There is no such connection.
pub fn update_by(
    conn: &mut Conn,
    name: &str,
    change: impl FnOnce(&mut Settings),
    by: &By,
) -> Result<Connection, AdminError> {
    let before = match rows::lock_by_name(conn, &fold(name))? {
        Some(row) => Connection::from_row(row)?,
        None => return Err(AdminError::NoConnection(name.to_owned())),
    };
    let mut after = before.clone();
    change(&mut after.settings);
    if after != before {
        after.updated_at = by.now;
        rows::update(conn, &after.to_row())?;
        let data = json!({ "before": before.to_json(), "after": after.to_json() });
        record(conn, &after, Action::Updated, by, &data)?;
    }
    Ok(after)
}

/// Deletes a connection with its users, teams and tokens. Its events stay.
///
/// # Errors
/// There is no such connection.
pub fn delete(conn: &mut Conn, name: &str, now: i64) -> Result<Connection, AdminError> {
    let connection = find(conn, name)?;
    if rows::delete(conn, &connection.id)? == 0 {
        return Err(changed_meanwhile().into());
    }
    let data = json!({ "before": connection.to_json() });
    record(conn, &connection, Action::Deleted, &By::command_line(now), &data)?;
    Ok(connection)
}

fn record(
    conn: &mut Conn,
    connection: &Connection,
    action: Action,
    by: &By,
    data: &Value,
) -> Result<(), AdminError> {
    let entry = events::Entry {
        connection_id: &connection.id,
        at: by.now,
        actor: &by.actor,
        request_id: by.request_id.as_deref(),
        subject: Subject::Connection,
        subject_id: &connection.id,
        action,
        data: events::Data::Said(data),
    };
    Ok(events::append(conn, &entry)?)
}
