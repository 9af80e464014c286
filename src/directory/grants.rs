//! What the vendor's applications get: codes, access tokens, and what is known of who signed in.
//! Secrets are stored as hashes, and nothing outlives the session it hangs on.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::apps::{VendorApp, equal};
use super::connections::Connection;
use super::membership::{Facts, effective};
use super::tokens::{self, PlainToken};
use crate::db::sessions::{self as rows, AccessTokenRow, CodeRow, SessionRow};
use crate::db::{Conn, StoreError, connections, memberships, roles, users};

/// How long a code can be exchanged, in microseconds.
const CODE_LIFETIME: i64 = 60 * 1_000_000;
/// How long an access token works, in seconds.
pub const TOKEN_LIFETIME: i64 = 3600;
const CODE_PREFIX: &str = "muster_code_";
const TOKEN_PREFIX: &str = "muster_access_";

/// Makes a code for an application (RFC 6749 section 4.1.2).
///
/// # Errors
/// The store's.
pub fn issue_code(
    conn: &mut Conn,
    session_id: &str,
    app_id: &str,
    redirect_uri: &str,
    code_challenge: &str,
    now: i64,
) -> Result<PlainToken, StoreError> {
    let code = PlainToken::generate_with(CODE_PREFIX)?;
    let row = CodeRow {
        hash: tokens::hash(code.expose()),
        session_id: session_id.to_owned(),
        app_id: app_id.to_owned(),
        redirect_uri: redirect_uri.to_owned(),
        code_challenge: Some(code_challenge.to_owned()),
        expires_at: now + CODE_LIFETIME,
        used_at: None,
    };
    rows::insert_code(conn, &row)?;
    Ok(code)
}

/// Makes an access token for an application.
///
/// # Errors
/// The store's.
pub fn issue_token(
    conn: &mut Conn,
    session_id: &str,
    app_id: &str,
    code_hash: Option<&str>,
    now: i64,
) -> Result<PlainToken, StoreError> {
    let token = PlainToken::generate_with(TOKEN_PREFIX)?;
    let row = AccessTokenRow {
        hash: tokens::hash(token.expose()),
        session_id: session_id.to_owned(),
        app_id: app_id.to_owned(),
        code_hash: code_hash.map(str::to_owned),
        created_at: now,
        expires_at: now + TOKEN_LIFETIME * 1_000_000,
    };
    rows::insert_access_token(conn, &row)?;
    Ok(token)
}

/// Exchanges a code for an access token; `None` if the code is not good (any more). A code that
/// comes twice takes back what it was exchanged for (RFC 6749 section 4.1.2).
///
/// # Errors
/// The store's.
pub fn exchange(
    conn: &mut Conn,
    app: &VendorApp,
    code: &str,
    redirect_uri: &str,
    verifier: &str,
    now: i64,
) -> Result<Option<PlainToken>, StoreError> {
    let hash = tokens::hash(code);
    let Some(row) = rows::find_code(conn, &hash)? else { return Ok(None) };
    if row.app_id != app.id {
        return Ok(None);
    }
    if rows::use_code(conn, &hash, now)? == 0 {
        rows::revoke_of_code(conn, &hash)?;
        return Ok(None);
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    let proved = row.code_challenge.is_some_and(|wanted| equal(&wanted, &challenge));
    let good = proved && row.expires_at > now && row.redirect_uri == redirect_uri;
    if !good || live_session(conn, &row.session_id, now)?.is_none() {
        return Ok(None);
    }
    issue_token(conn, &row.session_id, &app.id, Some(&hash), now).map(Some)
}

/// Who an access token or a session speaks for.
#[derive(Debug, Clone)]
pub struct Grant {
    pub session_id: String,
    /// The application that has the token; none for a session.
    pub app_id: Option<String>,
    /// UTC microseconds.
    pub issued_at: i64,
    pub expires_at: i64,
    pub connection: Connection,
    pub user_id: String,
    /// What is known of the person: `sub`, name, teams and roles.
    pub person: Value,
}

/// What a live access token stands for.
///
/// # Errors
/// The store's.
pub fn of_token(conn: &mut Conn, token: &str, now: i64) -> Result<Option<Grant>, StoreError> {
    let Some(row) = rows::find_access_token(conn, &tokens::hash(token))? else { return Ok(None) };
    if row.expires_at <= now {
        return Ok(None);
    }
    let Some((session, connection, person)) = live_session(conn, &row.session_id, now)? else {
        return Ok(None);
    };
    Ok(Some(Grant {
        session_id: session.id,
        app_id: Some(row.app_id),
        issued_at: row.created_at,
        expires_at: row.expires_at.min(session.expires_at),
        connection,
        user_id: session.user_id,
        person,
    }))
}

/// What a live session stands for.
///
/// # Errors
/// The store's.
pub fn of_session(conn: &mut Conn, id: &str, now: i64) -> Result<Option<Grant>, StoreError> {
    let Some((session, connection, person)) = live_session(conn, id, now)? else {
        return Ok(None);
    };
    Ok(Some(Grant {
        session_id: session.id,
        app_id: None,
        issued_at: session.created_at,
        expires_at: session.expires_at,
        connection,
        user_id: session.user_id,
        person,
    }))
}

/// The session, if it is not over and its user is active, and who that is.
fn live_session(
    conn: &mut Conn,
    id: &str,
    now: i64,
) -> Result<Option<(SessionRow, Connection, Value)>, StoreError> {
    let Some(session) = rows::find(conn, id)?.filter(|row| row.expires_at > now) else {
        return Ok(None);
    };
    let Some(connection) = connections::find(conn, &session.connection_id)? else {
        return Ok(None);
    };
    let connection = Connection::from_row(connection)?;
    let Some(user) = users::find(conn, &connection.id, &session.user_id)?.filter(|row| row.active)
    else {
        return Ok(None);
    };
    let policy = connection.settings.membership;
    let mut statements = memberships::of_users(conn, &[user.id.as_str()])?;
    statements.retain(|row| effective(policy, Facts::from(row), row.active));
    let team_ids: Vec<&str> = statements.iter().map(|row| row.team_id.as_str()).collect();
    let roles = roles::of_teams(conn, &team_ids)?;
    let document: Value = serde_json::from_str(&user.document)?;
    let teams: Vec<Value> = statements
        .iter()
        .map(|row| json!({ "id": row.team_id, "displayName": row.display }))
        .collect();
    let person = json!({
        "sub": user.id,
        "preferred_username": user.user_name,
        "name": name(&document),
        "email": email(&document),
        "connection": connection.name,
        "teams": teams,
        "roles": roles,
    });
    Ok(Some((session, connection, person)))
}

/// How the person is called: the display name, else the formatted name, else its parts.
pub(super) fn name(document: &Value) -> Option<String> {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str);
    if let Some(whole) = text("/displayName").or_else(|| text("/name/formatted")) {
        return Some(whole.to_owned());
    }
    let parts: Vec<&str> =
        [text("/name/givenName"), text("/name/familyName")].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// The primary e-mail address, else the first.
pub(super) fn email(document: &Value) -> Option<&str> {
    let emails = document.get("emails")?.as_array()?;
    let primary = emails.iter().find(|email| email.get("primary") == Some(&Value::Bool(true)));
    primary.or_else(|| emails.first())?.get("value")?.as_str()
}
