//! What is to be said of the store as a whole.

use super::{Bounds, Check, DAY, SKEW, lasting};
use crate::db::{Conn, StoreError, apps, checkup, seals, totals};
use crate::directory::connections::AdminError;
use crate::directory::sealing::{VerifyError, verify_newest};

/// How old an event may be that is not sealed, in microseconds: they are sealed every minute, or once a
/// day at least.
const UNSEALED: i64 = 10 * 60 * 1_000_000;
/// So many events that are not sealed are counted.
const MOST_UNSEALED: i64 = 10_000;
/// So many seals are verified.
const SEALS: i64 = 3;

/// Looks at it.
///
/// # Errors
/// The store's.
pub(super) fn look(conn: &mut Conn, bounds: Bounds, now: i64) -> Result<Vec<Check>, AdminError> {
    let mut checks = Vec::new();
    checks.extend(clock(conn, now)?);
    checks.push(sums(conn, bounds)?);
    checks.extend(log(conn, now)?);
    checks.push(admin_tokens(conn, now)?);
    Ok(checks)
}

fn clock(conn: &mut Conn, now: i64) -> Result<Option<Check>, StoreError> {
    let Some(theirs) = checkup::clock(conn)? else { return Ok(None) };
    let apart = theirs.saturating_sub(now);
    let words = lasting(apart);
    Ok(Some(if apart.abs() > SKEW {
        Check::problem(
            "database-clock",
            format!("they are {words} apart"),
            "Let both machines set their clocks by the network (NTP): tokens and sessions are judged \
             by this one.",
        )
    } else {
        Check::ok("database-clock", format!("they are {words} apart"))
    }))
}

fn sums(conn: &mut Conn, bounds: Bounds) -> Result<Check, StoreError> {
    let all = checkup::resources(conn)?;
    if all > bounds.counted {
        return Ok(Check::unchecked(
            "totals",
            format!("there are {all} users and groups, too many to count them now"),
        ));
    }
    Ok(if totals::are_right(conn)? {
        Check::ok("totals", format!("{all} users and groups, as counted"))
    } else {
        Check::problem(
            "totals",
            "they are not what there is, so lists say wrong numbers",
            "Restart the server: it counts anew when it starts. Rows were written by something else \
             than Muster; find out by what.",
        )
    })
}

fn log(conn: &mut Conn, now: i64) -> Result<Vec<Check>, AdminError> {
    let last = seals::last(conn)?;
    let sealed = last.as_ref().map_or(0, |seal| seal.last_position);
    let unsealed = checkup::unsealed(conn, sealed, MOST_UNSEALED)?;
    let age = unsealed.since.map_or(0, |since| now.saturating_sub(since));
    let number = if unsealed.events >= MOST_UNSEALED {
        format!("{MOST_UNSEALED} or more")
    } else {
        unsealed.events.to_string()
    };
    let found = match unsealed.events {
        0 => "every event is sealed".to_owned(),
        _ => format!("{number} events are not sealed, the oldest for {}", lasting(age)),
    };
    let advice = "A running server seals the log every minute, or as often as --seal-every says; see \
                  in its log why it does not.";
    let log = if age > DAY + UNSEALED {
        Check::problem("log", found, advice)
    } else if age > UNSEALED {
        Check::warning("log", found, advice)
    } else {
        Check::ok("log", found)
    };
    let seals = match verify_newest(conn, SEALS) {
        Ok(0) => Check::unchecked("seals", "there is no seal yet"),
        Ok(number) => Check::ok(
            "seals",
            format!(
                "the newest {number} seals hold; 'muster events verify' looks at the whole log"
            ),
        ),
        Err(VerifyError::Broken(broken)) => Check::problem(
            "seals",
            broken.to_string(),
            "Somebody or something has changed the log in the database. Keep a copy of it as it is, \
             and see docs/audit.md for how to find out what was changed.",
        ),
        Err(VerifyError::Store(error)) => return Err(error.into()),
    };
    Ok(vec![log, seals])
}

fn admin_tokens(conn: &mut Conn, now: i64) -> Result<Check, StoreError> {
    let live: Vec<_> = apps::admin_tokens(conn)?
        .into_iter()
        .filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|at| at > now))
        .collect();
    let endless: Vec<&str> = live
        .iter()
        .filter(|row| row.expires_at.is_none())
        .map(|row| if row.label.is_empty() { row.id.as_str() } else { row.label.as_str() })
        .collect();
    let soon = live.iter().filter_map(|row| row.expires_at).min().filter(|at| at - now < 30 * DAY);
    Ok(if !endless.is_empty() {
        Check::warning(
            "admin-tokens",
            format!("{} of {} work for ever: {}", endless.len(), live.len(), few(&endless)),
            "An admin token reads every connection. Make others with 'muster admin-token create \
             --expires-in 365d', give them to your back end, and revoke these.",
        )
    } else if let Some(soon) = soon {
        Check::warning(
            "admin-tokens",
            format!("one ends in {}", lasting(soon - now)),
            "Make another one with 'muster admin-token create', and give it to your back end.",
        )
    } else {
        Check::ok("admin-tokens", format!("{} that work, each for a time", live.len()))
    })
}

/// The first of some names.
pub(super) fn few(names: &[impl AsRef<str>]) -> String {
    const MOST: usize = 5;
    let mut text = names.iter().take(MOST).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if names.len() > MOST {
        text.push_str(" and others");
    }
    text
}
