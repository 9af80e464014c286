//! Sign-ins on their way to the provider and back: each bound to a browser, taken once, and not
//! older than ten minutes.

use serde::{Deserialize, Serialize};

use super::apps::equal;
use super::connections::Connection;
use super::tokens;
use crate::db::flows::{self as rows, FlowRow};
use crate::db::{Conn, StoreError, apps, connections};
use crate::secret::{self, Secret};

/// How long a person may take at the provider, in microseconds.
const LIFETIME: i64 = 600 * 1_000_000;

/// What an application asked for, checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The application's client id; none where only a session is wanted.
    pub app_id: Option<String>,
    /// Where the browser goes in the end.
    pub redirect_uri: Option<String>,
    pub wanted: Wanted,
    /// Handed back to the application as it came.
    #[serde(serialize_with = "secret::kept")]
    pub state: Option<Secret>,
}

/// What is handed over in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// A code, with the challenge of RFC 7636.
    Code { challenge: String },
    /// An access token in the fragment of the address.
    Token,
    /// A session cookie.
    Session,
}

/// What was kept at the start of a sign-in.
#[derive(Debug)]
pub struct Flow {
    pub connection: Connection,
    pub nonce: Secret,
    pub pkce_verifier: Secret,
    pub request: Request,
}

/// Keeps a sign-in until the browser is back, and forgets those that never came back; about `most` can
/// be under way at once.
///
/// # Errors
/// The store's.
#[expect(clippy::too_many_arguments, reason = "each is a thing of its own that is kept")]
pub fn keep(
    conn: &mut Conn,
    connection_id: &str,
    state: &str,
    browser: &str,
    nonce: &str,
    pkce_verifier: &str,
    request: &Request,
    most: usize,
    now: i64,
) -> Result<(), StoreError> {
    rows::delete_older(conn, now - LIFETIME)?;
    let state_hash = tokens::hash(state);
    if has_to_count(&state_hash, most) {
        rows::keep_fairly(conn, most)?;
    }
    let row = FlowRow {
        state_hash,
        browser_hash: tokens::hash(browser),
        connection_id: connection_id.to_owned(),
        nonce: nonce.to_owned(),
        pkce_verifier: pkce_verifier.to_owned(),
        request: serde_json::to_string(request)?,
        created_at: now,
    };
    Ok(rows::insert(conn, &row)?)
}

/// To count the sign-ins costs what there are, so where there may be many, one in some hundred does it.
fn has_to_count(state_hash: &str, most: usize) -> bool {
    let one_in = (most / 256).clamp(1, 256);
    let number = state_hash.get(..2).and_then(|hex| usize::from_str_radix(hex, 16).ok());
    number.is_none_or(|number| number.is_multiple_of(one_in))
}

/// Takes a sign-in out: `None` if there is none with that state, if it is too old, or if another
/// browser began it. Whoever comes a second time finds nothing.
///
/// # Errors
/// The store's.
pub fn take(
    conn: &mut Conn,
    state: &str,
    browser: Option<&str>,
    now: i64,
) -> Result<Option<Flow>, StoreError> {
    let Some(row) = rows::take(conn, &tokens::hash(state))? else { return Ok(None) };
    let same = browser.is_some_and(|browser| equal(&tokens::hash(browser), &row.browser_hash));
    if !same || now - row.created_at > LIFETIME {
        return Ok(None);
    }
    let Some(connection) = connections::find(conn, &row.connection_id)? else { return Ok(None) };
    Ok(Some(Flow {
        connection: Connection::from_row(connection)?,
        nonce: Secret::new(row.nonce),
        pkce_verifier: Secret::new(row.pkce_verifier),
        request: serde_json::from_str(&row.request)?,
    }))
}

/// Whether the connection of a sign-in, or the application that asked for it, has been deleted while
/// the person was at the provider.
///
/// # Errors
/// The store's.
pub fn is_orphaned(
    conn: &mut Conn,
    connection: &Connection,
    request: &Request,
) -> Result<bool, StoreError> {
    let app_is_gone = match &request.app_id {
        Some(id) => apps::find(conn, id)?.is_none(),
        None => false,
    };
    Ok(app_is_gone || connections::find(conn, &connection.id)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_there_may_be_the_fewer_count_them() {
        let counting = |most| {
            let hashes = (0..256).map(|first| format!("{first:02x}ab"));
            hashes.filter(|hash| has_to_count(hash, most)).count()
        };
        assert_eq!([5, 511, 512, 65_536, 100_000].map(counting), [256, 256, 128, 1, 1]);
        // A hash that is none is no way around the bound.
        assert!(has_to_count("", 100_000) && has_to_count("é", 100_000));
    }
}
