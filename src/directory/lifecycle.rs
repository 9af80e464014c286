//! Activation and deactivation: the one place where `active` changes, whichever request asks.

use super::DirectoryResult;
use super::events::Action;
use crate::db::users::UserRow;
use crate::db::{Conn, sessions};

/// Sets whether the user may use the application. Deactivation ends every session of the user, with
/// its codes and access tokens, in the same transaction.
///
/// Returns what happened, or `None` if that is how it was already. The caller writes the row.
///
/// # Errors
/// The store's.
pub fn set_active(
    conn: &mut Conn,
    user: &mut UserRow,
    active: bool,
) -> DirectoryResult<Option<Action>> {
    if user.active == active {
        return Ok(None);
    }
    user.active = active;
    if active {
        return Ok(Some(Action::Reactivated));
    }
    sessions::delete_of_user(conn, &user.id)?;
    Ok(Some(Action::Deactivated))
}
