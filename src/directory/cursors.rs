//! The secret that cursors are sealed with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::tokens::PlainToken;
use crate::db::{Conn, StoreError, secrets};
use crate::scim::cursor::CursorKey;

const NAME: &str = "cursors";

/// The secret, if there is one yet.
///
/// # Errors
/// The store's.
pub fn key(conn: &mut Conn) -> Result<Option<CursorKey>, StoreError> {
    let Some(text) = secrets::find(conn, NAME)? else { return Ok(None) };
    let secret = URL_SAFE_NO_PAD
        .decode(&text)
        .map_err(|_| StoreError::Corrupt("the secret of cursors".to_owned()))?;
    Ok(Some(CursorKey::new(secret)))
}

/// The secret, which is made if there is none; another server may be doing so at this moment.
///
/// # Errors
/// The store's.
pub fn make_key(conn: &mut Conn) -> Result<CursorKey, StoreError> {
    if let Some(key) = key(conn)? {
        return Ok(key);
    }
    let secret = PlainToken::generate_with("")?;
    secrets::insert(conn, NAME, secret.expose())?;
    key(conn)?.ok_or_else(|| StoreError::Corrupt("the secret of cursors".to_owned()))
}
