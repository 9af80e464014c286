//! What is to be said of one connection.

use regex::Regex;
use serde_json::Value;

use super::store::few;
use super::{Check, DAY, lasting};
use crate::clock::rfc3339;
use crate::db::checkup::{self, Recent, TeamNames};
use crate::db::tokens::{self, TokenRow};
use crate::db::{Conn, StoreError};
use crate::directory::brake;
use crate::directory::connections::{AdminError, Connection, Provider};
use crate::directory::events::{Action, CLIENT};
use crate::directory::membership::Policy;

/// So many of a connection's last events are looked at.
const EVENTS: i64 = 500;
/// So many of its last sign-ins.
const SIGN_INS: usize = 50;
/// So many of its teams.
const TEAMS: i64 = 1_000;
/// So many of its users.
const USERS: i64 = 5_000;
/// How long before its end a token is warned of, in microseconds.
const NOTICE: i64 = 30 * DAY;

/// Looks at it; `all` are all connections.
///
/// # Errors
/// The store's.
pub(super) fn look(
    conn: &mut Conn,
    connection: &Connection,
    all: &[Connection],
    now: i64,
) -> Result<Vec<Check>, AdminError> {
    let rows: Vec<TokenRow> =
        tokens::all(conn, Some(&connection.id))?.into_iter().map(|(row, _)| row).collect();
    let recent = checkup::recent(conn, &connection.id, EVENTS)?;
    let filter = Regex::new(connection.settings.sign_in.groups_filter.as_deref().unwrap_or(""));
    let mut checks = vec![sign_in(connection, all)];
    checks.push(groups_filter(conn, connection, &filter)?);
    checks.push(groups_claim(connection, &recent));
    checks.push(scim_tokens(&rows, &connection.name, now));
    checks.push(activity(connection, &rows, &recent, now));
    checks.push(disagreements(conn, connection, filter.ok().as_ref())?);
    checks.push(two_apps(conn, connection)?);
    checks.push(held(conn, connection, now)?);
    Ok(checks)
}

fn sign_in(connection: &Connection, all: &[Connection]) -> Check {
    let settings = &connection.settings.sign_in;
    let name = &connection.name;
    let Some(issuer) = &settings.issuer else {
        return Check::unchecked("sign-in", "it is not set up, so people cannot sign in");
    };
    if settings.client_id.is_none() {
        return Check::problem(
            "sign-in",
            format!("the issuer is {issuer}, but there is no client id, so nobody can sign in"),
            format!(
                "Enter the client id of the provider's OIDC application: 'muster connection update \
                 {name} --client-id ID'."
            ),
        );
    }
    let others: Vec<&str> = all
        .iter()
        .filter(|other| other.id != connection.id)
        .filter(|other| other.settings.sign_in.issuer.as_ref() == Some(issuer))
        .map(|other| other.name.as_str())
        .collect();
    if !others.is_empty() && !settings.own_callback {
        return Check::warning(
            "sign-in",
            format!("{} sign in at {issuer} too", few(&others)),
            format!(
                "Give each an address of its own: 'muster connection update {name} --own-callback \
                 on', and enter its redirect URI at the provider. The Initiate login URI of each has \
                 to end in ?connection=NAME, such as ?connection={name}."
            ),
        );
    }
    Check::ok("sign-in", format!("at {issuer}"))
}

fn groups_filter(
    conn: &mut Conn,
    connection: &Connection,
    filter: &Result<Regex, regex::Error>,
) -> Result<Check, StoreError> {
    const NAME: &str = "groups-filter";
    let Some(text) = &connection.settings.sign_in.groups_filter else {
        return Ok(Check::ok(NAME, "there is none: every group of a claim becomes a team"));
    };
    let update = format!("muster connection update {} --groups-filter REGEX", connection.name);
    let Ok(filter) = filter else {
        return Ok(Check::problem(
            NAME,
            format!("'{text}' is no regular expression, so sign-ins fail"),
            format!("Write another one: '{update}'."),
        ));
    };
    let teams = checkup::teams(conn, &connection.id, TEAMS)?;
    let matching = teams.iter().filter(|team| lets_through(filter, team)).count();
    Ok(match (teams.len(), matching) {
        (0, _) => Check::unchecked(NAME, format!("'{text}'; there are no teams yet")),
        (number, 0) => Check::warning(
            NAME,
            format!("'{text}' matches none of {number} teams, so claims say nothing of any"),
            format!(
                "Compare it with the names of groups as the provider sends them, upper and lower \
                 case too; '{update}' sets another one."
            ),
        ),
        (number, matching) => {
            Check::ok(NAME, format!("'{text}' matches {matching} of {number} teams"))
        }
    })
}

/// Whether claims may speak of the team, by either of its names.
fn lets_through(filter: &Regex, team: &TeamNames) -> bool {
    let mut names = [Some(&team.display_name), team.external_id.as_ref()].into_iter().flatten();
    names.any(|name| filter.is_match(name))
}

fn groups_claim(connection: &Connection, recent: &[Recent]) -> Check {
    const NAME: &str = "groups-claim";
    let settings = &connection.settings.sign_in;
    let signed_in = recent.iter().filter(|event| event.action == Action::SignedIn.as_str());
    let flaws: Vec<Option<String>> = signed_in
        .take(SIGN_INS)
        .filter_map(|event| serde_json::from_str::<Value>(event.data.as_deref()?).ok())
        .map(|data| data.pointer("/claim/incomplete")?.as_str().map(str::to_owned))
        .collect();
    let number = flaws.len();
    let Some(last) = flaws.first() else {
        return Check::unchecked(NAME, "nobody has signed in lately");
    };
    let incomplete = flaws.iter().flatten().count();
    let Some(flaw) = last else {
        let found =
            format!("complete at the last sign-in; not so at {incomplete} of the last {number}");
        return Check::ok(NAME, found);
    };
    let claim = &settings.groups_claim;
    let advice = match (flaw.as_str(), connection.settings.provider) {
        ("missing", Provider::Okta) => format!(
            "In Okta's OIDC application, on Sign On, OpenID Connect ID Token: set the groups claim \
             filter to the name '{claim}' and 'Matches regex' '.*', and the issuer to the Okta URL."
        ),
        ("missing", _) => format!(
            "Let the provider put a claim '{claim}' into the ID token or userinfo, or name the one \
             that it sends with 'muster connection update {} --groups-claim CLAIM'.",
            connection.name
        ),
        ("too-many" | "overage", _) => "Let the provider send fewer groups, those of your \
             application alone: it cuts long lists, and what is left out of such a one counts for \
             nothing."
            .to_owned(),
        _ => format!("Let the provider send '{claim}' as a list of names."),
    };
    let found = format!(
        "the last sign-in brought no complete one ({flaw}), and so did {incomplete} of the last {number}"
    );
    Check::warning(NAME, found, advice)
}

fn scim_tokens(rows: &[TokenRow], name: &str, now: i64) -> Check {
    const NAME: &str = "scim-tokens";
    let create = format!("'muster token create {name}' makes one; enter it at the provider.");
    let called = |row: &TokenRow| {
        if row.label.is_empty() { row.id.clone() } else { format!("'{}' ({})", row.label, row.id) }
    };
    let live: Vec<&TokenRow> = rows
        .iter()
        .filter(|row| row.revoked_at.is_none() && row.expires_at.is_none_or(|at| at > now))
        .collect();
    // The last that ended by itself, if the provider has come with no other one since.
    let ended = rows.iter().filter(|row| row.revoked_at.is_none()).filter_map(|row| {
        let at = row.expires_at.filter(|at| *at <= now && now - at < NOTICE)?;
        let is_replaced = live.iter().any(|other| other.last_used_at.is_some_and(|used| used > at));
        (row.last_used_at.is_some() && !is_replaced).then_some((at, row))
    });
    if let Some((at, row)) = ended.max_by_key(|(at, _)| *at) {
        return Check::problem(
            NAME,
            format!(
                "{} has ended {} ago, and none was used since: the provider is refused",
                called(row),
                lasting(now - at)
            ),
            create,
        );
    }
    if live.is_empty() {
        return match rows.len() {
            0 => Check::warning(NAME, "there is none, so nothing can be pushed", create),
            number => Check::problem(
                NAME,
                format!("none of {number} works any more, so nothing can be pushed"),
                create,
            ),
        };
    }
    let ending: Vec<String> = live
        .iter()
        .filter_map(|row| Some((row, row.expires_at.filter(|at| at - now < NOTICE)?)))
        .map(|(row, at)| format!("{} ends in {}", called(row), lasting(at - now)))
        .collect();
    if !ending.is_empty() {
        return Check::warning(
            NAME,
            ending.join(", "),
            format!(
                "{create} Both work until the old one ends or is revoked with 'muster token revoke \
                 ID'."
            ),
        );
    }
    let Some(used) = live.iter().filter_map(|row| row.last_used_at).max() else {
        return Check::warning(
            NAME,
            format!("{} work, and none was ever used", live.len()),
            "Enter the token at the provider, with the SCIM base URL, and test the connection there. \
             If that was done: the provider's requests do not arrive, or carry another token.",
        );
    };
    let unused = live.iter().filter(|row| row.last_used_at.is_none()).count();
    Check::ok(
        NAME,
        format!(
            "{} work, last used {} ago; {unused} of them not yet",
            live.len(),
            lasting(now - used)
        ),
    )
}

fn activity(connection: &Connection, rows: &[TokenRow], recent: &[Recent], now: i64) -> Check {
    const NAME: &str = "activity";
    let latest = |is: &dyn Fn(&Recent) -> bool| recent.iter().find(|event| is(event));
    let pushed = latest(&|event| event.actor == CLIENT).map(|event| event.at);
    let signed_in = latest(&|event| event.action == Action::SignedIn.as_str());
    let refused = latest(&|event| event.action == Action::Refused.as_str());
    let asked = rows.iter().filter_map(|row| row.last_used_at).max();
    let is_cut = i64::try_from(recent.len()).is_ok_and(|number| number >= EVENTS);
    let at = |what: &str, at: Option<i64>| match at {
        Some(at) => format!("{what} {} ago ({})", lasting(now - at), rfc3339(at)),
        None if is_cut => format!("{what}: not among the last {EVENTS} events"),
        None => format!("{what}: never"),
    };
    let mut found = at("last push", pushed);
    if pushed.is_none()
        && let Some(asked) = asked
    {
        let ago = lasting(now - asked);
        found = format!("{found}, though the provider asked for something {ago} ago");
    }
    let has_sign_in = connection.settings.sign_in.issuer.is_some();
    if has_sign_in || signed_in.is_some() {
        found = format!("{found}; {}", at("last sign-in", signed_in.map(|event| event.at)));
    }
    if let Some(refused) = refused.filter(|one| signed_in.is_none_or(|last| last.at < one.at)) {
        let data: Option<Value> =
            refused.data.as_deref().and_then(|data| serde_json::from_str(data).ok());
        let reason =
            data.as_ref().and_then(|data| data.get("reason")?.as_str()).unwrap_or("unknown");
        return Check::warning(
            NAME,
            format!(
                "{found}; the last person to sign in was refused {} ago ({reason})",
                lasting(now - refused.at)
            ),
            "See 'Sign-ins' in docs/log.md for what the reason means; 'muster explain' says what is known of a \
             person.",
        );
    }
    if pushed.is_none() && !is_cut && !rows.is_empty() {
        return Check::warning(
            NAME,
            found,
            "Assign people to the provider's SCIM application and let it push them; in Okta that takes \
             Provisioning, To App, with Create Users enabled.",
        );
    }
    if has_sign_in && signed_in.is_none() && !is_cut {
        return Check::warning(
            NAME,
            found,
            "Sign in once yourself, by the provider's tile or your application.",
        );
    }
    Check::ok(NAME, found)
}

fn disagreements(
    conn: &mut Conn,
    connection: &Connection,
    filter: Option<&Regex>,
) -> Result<Check, StoreError> {
    const NAME: &str = "disagreements";
    if connection.settings.membership == Policy::Union {
        return Ok(Check::ok(NAME, "either source's word counts, so there are none"));
    }
    let teams = checkup::differing(conn, &connection.id, USERS)?;
    let heard: Vec<&TeamNames> = teams
        .iter()
        .filter(|team| filter.is_none_or(|filter| lets_through(filter, team)))
        .collect();
    let sum: i64 = heard.iter().map(|team| team.total).sum();
    if sum == 0 {
        return Ok(Check::ok(
            NAME,
            format!("none among those who have signed in (up to {USERS} are looked at)"),
        ));
    }
    let named: Vec<String> =
        heard.iter().map(|team| format!("{} ({})", team.display_name, team.total)).collect();
    Ok(Check::warning(
        NAME,
        format!("{sum} memberships, in {} teams, most in: {}", heard.len(), few(&named)),
        "SCIM decides meanwhile. Usually a group is pushed and not in the groups claim, or the other \
         way round, or was changed and not pushed since: compare the provider's two applications. \
         'muster explain USER TEAM' says it of one person.",
    ))
}

fn two_apps(conn: &mut Conn, connection: &Connection) -> Result<Check, StoreError> {
    const NAME: &str = "two-apps";
    let found = checkup::origins(conn, &connection.id, USERS)?;
    let both = found.all - found.pushed - found.signed_in;
    let text = format!(
        "of the newest {} active users {} were pushed and never signed in, {} signed in and were \
         never pushed, {both} both",
        found.all, found.pushed, found.signed_in
    );
    if found.all == 0 {
        return Ok(Check::unchecked(NAME, "there are no active users"));
    }
    if found.signed_in == 0 || found.pushed + both == 0 {
        // Whoever uses one of the two alone wants it so.
        return Ok(Check::ok(NAME, text));
    }
    let names = checkup::never_pushed(conn, &connection.id, USERS, 5)?;
    let advice = if both == 0 {
        "Nobody is known from both, so the two do not recognize each other's people: the claim that \
         equals the pushed externalId (--external-id-claim) or userName (--user-name-claim) is \
         another one."
    } else {
        "Assign these people to the provider's SCIM application too, or take the OIDC application \
         away from them: they get their teams from the claim alone, and nobody deactivates them."
    };
    Ok(Check::warning(NAME, format!("{text}, such as {}", few(&names)), advice))
}

fn held(conn: &mut Conn, connection: &Connection, now: i64) -> Result<Check, StoreError> {
    const NAME: &str = "brake";
    let state = brake::state(conn, connection, now)?;
    Ok(match (state.status(), state.held_at, state.released_until) {
        ("held", Some(at), _) => Check::problem(
            NAME,
            format!("it is on since {}: nothing that takes away is done", rfc3339(at)),
            format!(
                "Find out whether so many were meant to go. If so, 'muster brake release {}', and \
                 have the provider push again.",
                connection.name
            ),
        ),
        (_, _, Some(until)) => Check::warning(
            NAME,
            format!("it was released: until {} nothing is counted", rfc3339(until)),
            "Nothing is to be done; it counts again by itself.",
        ),
        ("off", ..) => Check::ok(NAME, "it is not set up"),
        _ => Check::ok(NAME, "it holds nothing"),
    })
}
