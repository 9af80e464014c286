//! The vendor's applications that ask for sign-in, and the tokens of its own back end.

use serde_json::{Value, json};
use subtle::ConstantTimeEq;
use url::Url;

use super::connections::AdminError;
use super::events::{self, Action, Actor, Data, Entry, Subject};
use super::{new_id, tokens};
use crate::access::network::Networks;
use crate::clock::rfc3339;
use crate::db::apps::{self as rows, AdminTokenRow, AppRow};
use crate::db::connection::changed_meanwhile;
use crate::db::{Conn, StoreError};
use crate::scim::fold::fold;

/// How every application's secret starts.
const SECRET_PREFIX: &str = "muster_app_";
/// How every admin token starts.
const ADMIN_PREFIX: &str = "muster_admin_";

/// An application of the vendor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorApp {
    /// The client id.
    pub id: String,
    pub name: String,
    /// Where browsers may be sent back to; compared as they stand.
    pub redirect_uris: Vec<String>,
    /// Whether the application may have its token in the fragment of the address.
    pub allow_implicit: bool,
    /// UTC microseconds.
    pub created_at: i64,
    secret_hash: Option<String>,
}

impl VendorApp {
    fn from_row(row: AppRow) -> Result<Self, StoreError> {
        Ok(Self {
            redirect_uris: serde_json::from_str(&row.redirect_uris)?,
            id: row.id,
            name: row.name,
            allow_implicit: row.allow_implicit,
            created_at: row.created_at,
            secret_hash: row.secret_hash,
        })
    }

    /// Whether the application has a secret to prove who it is.
    pub fn is_confidential(&self) -> bool {
        self.secret_hash.is_some()
    }

    /// Whether this is the application's secret; a public one has none.
    pub fn accepts(&self, secret: Option<&str>) -> bool {
        match (&self.secret_hash, secret) {
            (None, None) => true,
            (Some(hash), Some(secret)) => equal(hash, &tokens::hash(secret)),
            _ => false,
        }
    }

    /// The application for programs, keys in snake case.
    pub fn to_json(&self) -> Value {
        json!({
            "client_id": self.id,
            "name": self.name,
            "redirect_uris": self.redirect_uris,
            "allow_implicit": self.allow_implicit,
            "confidential": self.is_confidential(),
            "created_at": rfc3339(self.created_at),
        })
    }
}

/// Whether two texts are equal, in a time that does not tell where they differ. Only whether they are
/// of one length shows, which is no secret of a hash.
pub fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Checks an address that browsers may be sent back to: absolute, `https` or on this machine, and
/// without a fragment (RFC 6749 section 3.1.2). Its host stands there as every reader sees it.
///
/// # Errors
/// What is wrong with it.
pub fn check_redirect_uri(uri: &str) -> Result<(), AdminError> {
    let bad = || AdminError::BadRedirectUri(uri.to_owned());
    let url = Url::parse(uri).map_err(|_| bad())?;
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let scheme = url.scheme() == "https" || (url.scheme() == "http" && loopback);
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    // Addresses are compared as they stand, so an asterisk would match nothing.
    let clean = uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\*".contains(&byte));
    if scheme && plain && clean && is_literal(uri, &url) { Ok(()) } else { Err(bad()) }
}

/// Whether scheme and host stand in the text as they were understood.
///
/// To the URL standard `https:app.example.com` is an address on its own, or one on the page's own
/// host, as the page is; and `https://127.1` is `127.0.0.1`, but not to everybody.
fn is_literal(text: &str, url: &Url) -> bool {
    let (Some((scheme, rest)), Some(host)) = (text.split_once("://"), url.host_str()) else {
        return false;
    };
    let Some((start, end)) = rest.split_at_checked(host.len()) else { return false };
    scheme.eq_ignore_ascii_case(url.scheme())
        && start.eq_ignore_ascii_case(host)
        && (end.is_empty() || end.starts_with([':', '/', '?']))
}

/// A redirect URI with parameters in its query, or in its fragment.
pub fn address(redirect_uri: &str, pairs: &[(&str, &str)], in_fragment: bool) -> Option<String> {
    let mut url = Url::parse(redirect_uri).ok()?;
    if in_fragment {
        let fragment =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        url.set_fragment(Some(&fragment));
    } else {
        url.query_pairs_mut().extend_pairs(pairs);
    }
    Some(url.into())
}

/// Adds an application; the secret, if it has one, is shown this once.
///
/// # Errors
/// The name is taken, or a redirect URI is not acceptable.
pub fn create(
    conn: &mut Conn,
    name: &str,
    redirect_uris: &[String],
    allow_implicit: bool,
    confidential: bool,
    now: i64,
) -> Result<(VendorApp, Option<tokens::PlainToken>), AdminError> {
    if name.is_empty() || name.len() > 64 || name.contains(char::is_control) {
        return Err(AdminError::BadName(name.to_owned()));
    }
    for uri in redirect_uris {
        check_redirect_uri(uri)?;
    }
    if rows::find_by_name(conn, &fold(name))?.is_some() {
        return Err(AdminError::AppNameTaken(name.to_owned()));
    }
    let secret =
        confidential.then(|| tokens::PlainToken::generate_with(SECRET_PREFIX)).transpose()?;
    let row = AppRow {
        id: new_id(),
        name: name.to_owned(),
        name_fold: fold(name).into_owned(),
        secret_hash: secret.as_ref().map(|secret| tokens::hash(secret.expose())),
        redirect_uris: serde_json::to_string(redirect_uris).map_err(StoreError::from)?,
        allow_implicit,
        created_at: now,
    };
    rows::insert(conn, &row)?;
    let app = VendorApp::from_row(row)?;
    let data = json!({ "after": app.to_json() });
    record(conn, Subject::App, &app.id, Action::Created, &data, now)?;
    Ok((app, secret))
}

/// All applications, by name.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<VendorApp>, StoreError> {
    rows::all(conn)?.into_iter().map(VendorApp::from_row).collect()
}

/// The application with that client id.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, id: &str) -> Result<Option<VendorApp>, StoreError> {
    rows::find(conn, id)?.map(VendorApp::from_row).transpose()
}

/// Deletes an application by its client id or name, with its codes and access tokens.
///
/// # Errors
/// There is none.
pub fn delete(conn: &mut Conn, id_or_name: &str, now: i64) -> Result<VendorApp, AdminError> {
    let row = match rows::find(conn, id_or_name)? {
        Some(row) => Some(row),
        None => rows::find_by_name(conn, &fold(id_or_name))?,
    };
    let row = row.ok_or_else(|| AdminError::NoApp(id_or_name.to_owned()))?;
    if rows::delete(conn, &row.id)? == 0 {
        return Err(changed_meanwhile().into());
    }
    let app = VendorApp::from_row(row)?;
    let data = json!({ "before": app.to_json() });
    record(conn, Subject::App, &app.id, Action::Deleted, &data, now)?;
    Ok(app)
}

/// Adds an admin token that may be used from everywhere; gives its id and the token, which is shown
/// this once.
///
/// # Errors
/// The store's.
pub fn create_admin_token(
    conn: &mut Conn,
    label: &str,
    expires_at: Option<i64>,
    now: i64,
) -> Result<(String, tokens::PlainToken), AdminError> {
    create_admin_token_for(conn, label, &Networks::default(), expires_at, now)
}

/// Adds an admin token that may be used from some networks; gives its id and the token, which is
/// shown this once.
///
/// # Errors
/// The store's.
pub fn create_admin_token_for(
    conn: &mut Conn,
    label: &str,
    allow_from: &Networks,
    expires_at: Option<i64>,
    now: i64,
) -> Result<(String, tokens::PlainToken), AdminError> {
    let plain = tokens::PlainToken::generate_with(ADMIN_PREFIX)?;
    let row = AdminTokenRow {
        id: new_id(),
        hash: tokens::hash(plain.expose()),
        label: label.to_owned(),
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
        allow_from: allow_from.to_string(),
    };
    rows::insert_admin_token(conn, &row)?;
    let token = AdminToken::from_row(row)?;
    let data = json!({ "after": token.to_json() });
    record(conn, Subject::AdminToken, &token.id, Action::Created, &data, now)?;
    Ok((token.id, plain))
}

/// An admin token as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    pub id: String,
    pub label: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    /// When it was last used, give or take a minute.
    pub last_used_at: Option<i64>,
    pub revoked_at: Option<i64>,
    /// Where requests have to come from.
    pub allow_from: Networks,
}

impl AdminToken {
    fn from_row(row: AdminTokenRow) -> Result<Self, StoreError> {
        Ok(Self {
            allow_from: row.allow_from.parse().map_err(StoreError::Corrupt)?,
            id: row.id,
            label: row.label,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revoked_at: row.revoked_at,
        })
    }

    /// The token for programs, keys in snake case; never the secret.
    pub fn to_json(&self) -> Value {
        json!({
            "id": self.id,
            "label": self.label,
            "created_at": rfc3339(self.created_at),
            "expires_at": self.expires_at.map(rfc3339),
            "last_used_at": self.last_used_at.map(rfc3339),
            "revoked_at": self.revoked_at.map(rfc3339),
            "allow_from": self.allow_from.to_strings(),
        })
    }
}

/// All admin tokens, oldest first; never the secrets.
///
/// # Errors
/// The store's.
pub fn admin_tokens(conn: &mut Conn) -> Result<Vec<AdminToken>, StoreError> {
    rows::admin_tokens(conn)?.into_iter().map(AdminToken::from_row).collect()
}

/// Revokes an admin token.
///
/// # Errors
/// There is no live one with that id.
pub fn revoke_admin_token(conn: &mut Conn, id: &str, now: i64) -> Result<(), AdminError> {
    if rows::revoke_admin_token(conn, id, now)? == 0 {
        return Err(AdminError::NoAdminToken(id.to_owned()));
    }
    record(conn, Subject::AdminToken, id, Action::Revoked, &json!({}), now)
}

/// Records what happened to something that belongs to no connection.
fn record(
    conn: &mut Conn,
    subject: Subject,
    subject_id: &str,
    action: Action,
    data: &Value,
    now: i64,
) -> Result<(), AdminError> {
    let entry = Entry {
        connection_id: events::NO_CONNECTION,
        at: now,
        actor: &Actor::CommandLine,
        request_id: None,
        subject,
        subject_id,
        action,
        data: Data::Said(data),
    };
    Ok(events::append(conn, &entry)?)
}

/// A live admin token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub token_id: String,
    /// Where requests have to come from.
    pub allow_from: Networks,
    /// Whether it is time to note the use of the token again.
    pub note_use: bool,
}

/// Who comes with an admin token, if it is a live one.
///
/// # Errors
/// The store's.
pub fn admin(conn: &mut Conn, token: &str, now: i64) -> Result<Option<Admin>, StoreError> {
    let row = rows::find_admin_token(conn, &tokens::hash(token))?.filter(|row| {
        row.revoked_at.is_none() && row.expires_at.is_none_or(|expires| expires > now)
    });
    row.map(|row| {
        Ok(Admin {
            allow_from: row.allow_from.parse().map_err(StoreError::Corrupt)?,
            note_use: row.last_used_at.is_none_or(|at| now - at >= tokens::LAST_USE_GRAIN),
            token_id: row.id,
        })
    })
    .transpose()
}

/// Notes that an admin token was used.
///
/// # Errors
/// The store's.
pub fn note_admin_use(conn: &mut Conn, id: &str, now: i64) -> Result<(), StoreError> {
    Ok(rows::touch_admin_token(conn, id, now)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_absolute_and_safe() {
        for good in [
            "https://app.example.com/callback",
            "https://app.example.com/callback?tenant=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:8080",
            "HTTPS://App.Example.com:443?x",
        ] {
            assert!(check_redirect_uri(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/callback",
            "//app.example.com/cb",
            "http://app.example.com/cb",
            "https://app.example.com/cb#x",
            "https://user@app.example.com/cb",
            "https://app.example.com\\@evil.example/cb",
            "https://app.example.com/cb x",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp:callback",
            // Read in one way on their own, and in another from a page of Muster's.
            "https:app.example.com/cb",
            "https:/app.example.com/cb",
            "https:///app.example.com/cb",
            // Not every reader sees the same host.
            "https://ex%61mple.com/cb",
            "https://127.1/cb",
            "http://0x7f.1/cb",
            "http://2130706433/cb",
            "http://[0:0::1]/cb",
        ] {
            assert!(check_redirect_uri(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn equality_is_equality() {
        assert!(equal("abc", "abc") && equal("", ""));
        assert!(!equal("abc", "abd") && !equal("abc", "ab") && !equal("", "a"));
    }
}
