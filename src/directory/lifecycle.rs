//! Activation and deactivation: the one place where `active` changes, whichever request asks.

use super::events::Action;
use crate::db::users::UserRow;

/// Sets whether the user may use the application.
///
/// Returns what happened, or `None` if that is how it was already. The caller writes the row in the
/// same transaction.
pub fn set_active(user: &mut UserRow, active: bool) -> Option<Action> {
    if user.active == active {
        return None;
    }
    user.active = active;
    Some(if active { Action::Reactivated } else { Action::Deactivated })
}
