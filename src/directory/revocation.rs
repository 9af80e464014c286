//! Access tokens and codes that an application gives up before their time.

use super::apps::VendorApp;
use super::tokens;
use crate::db::sessions as rows;
use crate::db::{Conn, StoreError};

/// Revokes an access token or a code of an application; a code goes with what it was exchanged for.
/// Where the application has no such secret, nothing happens.
///
/// # Errors
/// The store's.
pub fn revoke(conn: &mut Conn, app: &VendorApp, secret: &str) -> Result<(), StoreError> {
    let hash = tokens::hash(secret);
    if rows::delete_access_token(conn, &hash, &app.id)? == 0
        && rows::delete_code(conn, &hash, &app.id)? > 0
    {
        rows::revoke_of_code(conn, &hash)?;
    }
    Ok(())
}
