//! How far the set-up of a connection has got, and which of the usual mistakes was made: a pure
//! function of what has arrived, for the page that watches while somebody fills in the provider's forms.

use super::connections::{Connection, Provider};
use super::requests::{DRY_RUN, Entry, Kind};
use crate::scim::fold::fold;

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is still to come.
    Waiting,
    Done,
    /// It was tried, and did not go well.
    Problem,
}

/// A step of the set-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub title: &'static str,
    pub state: State,
    /// When what is said happened, in UTC microseconds.
    pub at: Option<i64>,
    /// What was seen.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A usual mistake that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub what: String,
    /// Of a request that said for nobody: when it came, and from where.
    pub stray: Option<Stray>,
    pub advice: String,
}

/// Where a request came from that said for nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// UTC microseconds.
    pub at: i64,
    /// The address, and the program as far as it says which one it is.
    pub from: String,
}

impl Stray {
    fn of(entry: &Entry) -> Self {
        let client = entry.client.as_deref().unwrap_or("an unknown address");
        let program = entry.user_agent.as_ref().map(|agent| format!(" ({agent})"));
        Self { at: entry.at, from: format!("{client}{}", program.unwrap_or_default()) }
    }
}

/// What has arrived.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    pub connection: &'a Connection,
    pub has_live_token: bool,
    /// When a token of the connection was last used.
    pub last_use: Option<i64>,
    /// Whether the store has users of the connection, and teams, from before what is remembered.
    pub has_users: bool,
    pub has_teams: bool,
    /// What the connection's provider has asked for lately, newest first.
    pub recent: &'a [Entry],
    /// What somebody has asked for lately who did not say for which connection, newest first.
    pub stray: &'a [Entry],
}

impl<'a> Facts<'a> {
    fn newest(&self, is_it: impl Fn(&Entry) -> bool) -> Option<&'a Entry> {
        self.recent.iter().find(|entry| is_it(entry))
    }
}

/// The steps of the set-up, in the order of the provider's forms.
pub fn steps(facts: &Facts<'_>) -> Vec<Step> {
    let is_okta = facts.connection.settings.provider == Provider::Okta;
    let test = if is_okta { "Test Connector Configuration" } else { "Test of the connection" };
    vec![
        token(facts),
        scim(facts, test, facts.last_use.is_some(), |entry| {
            entry.method == "GET" && !is_resource(&entry.path)
        }),
        scim(facts, "Latest user pushed", facts.has_users, |entry| {
            is_write(entry) && is_about(entry, "/Users")
        }),
        scim(facts, "Latest group pushed", facts.has_teams, |entry| {
            is_write(entry) && is_about(entry, "/Groups")
        }),
        registration(facts),
        sign_in(facts),
        groups_claim(facts),
    ]
}

fn waiting(title: &'static str, found: &str) -> Step {
    Step { title, state: State::Waiting, at: None, found: found.to_owned(), advice: None }
}

fn token(facts: &Facts<'_>) -> Step {
    let title = "SCIM token";
    if facts.has_live_token {
        return Step { state: State::Done, ..waiting(title, "there is one that works") };
    }
    waiting(title, "make one, and enter it in the provider's form")
}

/// A step that a SCIM request takes, by the newest one of its kind.
fn scim(
    facts: &Facts<'_>,
    title: &'static str,
    was_earlier: bool,
    is_it: impl Fn(&Entry) -> bool,
) -> Step {
    let newest = facts.newest(|entry| entry.kind == Kind::Scim && is_it(entry));
    let well = facts.newest(|entry| entry.kind == Kind::Scim && is_it(entry) && !entry.is_error());
    let Some(entry) = well.or(newest) else {
        let earlier = Step { state: State::Done, ..waiting(title, "received earlier") };
        return if was_earlier { earlier } else { waiting(title, "waiting for it") };
    };
    let about = entry.user.as_ref().or(entry.team.as_ref()).and_then(|about| about.name.clone());
    let about = about.map(|name| format!(": {name}")).unwrap_or_default();
    let refused = newest.filter(|newest| newest.is_error());
    Step {
        title,
        state: if entry.is_error() { State::Problem } else { State::Done },
        at: Some(entry.at),
        found: format!("received, answered {}{about}", entry.status),
        advice: refused.map(|newest| {
            let detail = newest.detail.as_deref().unwrap_or("see the log");
            format!("The latest was refused with {}: {detail}", newest.status)
        }),
    }
}

fn registration(facts: &Facts<'_>) -> Step {
    let title = "Issuer and client id";
    let settings = &facts.connection.settings.sign_in;
    match (&settings.issuer, &settings.client_id) {
        (Some(issuer), Some(_)) => Step { state: State::Done, ..waiting(title, issuer) },
        (None, None) => waiting(title, "say below where people sign in"),
        (None, Some(_)) => waiting(title, "the issuer is missing"),
        (Some(_), None) => waiting(title, "the client id is missing"),
    }
}

fn sign_in(facts: &Facts<'_>) -> Step {
    let title = "Latest sign-in";
    let newest = facts.newest(|entry| entry.kind == Kind::SignIn);
    let Some(entry) = facts.newest(is_signed_in).or(newest) else {
        return waiting(title, "waiting for somebody to sign in");
    };
    let who = |entry: &Entry| {
        let name = entry.user.as_ref().and_then(|user| user.name.clone());
        name.map(|name| format!(": {name}")).unwrap_or_default()
    };
    let outcome = |entry: &Entry| entry.outcome.clone().unwrap_or_default();
    let refused = newest.filter(|newest| !is_signed_in(newest));
    Step {
        title,
        state: if is_signed_in(entry) { State::Done } else { State::Problem },
        at: Some(entry.at),
        found: format!("{}{}", outcome(entry).replace('_', " "), who(entry)),
        advice: refused.map(|newest| {
            let advice = refusal(&outcome(newest), newest.detail.as_deref());
            format!("The latest was refused{}. {advice}", who(newest))
        }),
    }
}

/// What to do about a sign-in that failed.
fn refusal(outcome: &str, detail: Option<&str>) -> String {
    let known = match outcome {
        "provider_error" => {
            "The provider did not let the person in: most often the OIDC application is not \
             assigned to the person."
        }
        "inactive" => {
            "The person was deactivated by SCIM: assign the SCIM application to the person again."
        }
        "not_provisioned" => {
            "Nobody has pushed the person, and sign-in creates nobody here: assign the SCIM \
             application, too, or let sign-in create users."
        }
        "user_name_taken" => {
            "Another person has the user name already: look the name up on the page of users, and \
             compare the externalId there with the person's id at the provider."
        }
        _ => detail.unwrap_or("Muster's log tells more under the request's id."),
    };
    known.to_owned()
}

fn groups_claim(facts: &Facts<'_>) -> Step {
    let title = "Groups claim";
    let Some(entry) = facts.newest(is_signed_in) else {
        return waiting(title, "comes with the first sign-in");
    };
    let claim = Claim::of(entry);
    let problem = |found: &str, advice: String| Step {
        state: State::Problem,
        at: Some(entry.at),
        advice: Some(advice),
        ..waiting(title, found)
    };
    let settings = &facts.connection.settings.sign_in;
    let name = &settings.groups_claim;
    if !claim.is_there {
        return problem("missing", claim_is_missing(facts.connection));
    }
    if let Some(why) = claim.flaw {
        let advice = match why {
            "too-many" => "Narrow the provider's filter down: with 100 groups and more it leaves \
                           some out, so that nobody is taken out of a team by sign-in."
                .to_owned(),
            "overage" => {
                "The person is in more groups than fit into a token. Let the provider send \
                          only the groups that are assigned to the application."
                    .to_owned()
            }
            _ => format!("The claim '{name}' has to be a list of names."),
        };
        return problem("incomplete", advice);
    }
    if claim.listed > 0 && claim.passed == 0 {
        let filter = settings.groups_filter.as_deref().unwrap_or_default();
        let advice = format!(
            "None of the {} groups matches the connection's groups filter, {filter}. Mend it, or leave \
             it empty.",
            claim.listed
        );
        return problem("the filter matches nothing", advice);
    }
    if claim.listed == 0 {
        let advice = "The claim is an empty list. If the person is in groups, the provider's filter \
                      matches none of them.";
        return problem("present, and empty", advice.to_owned());
    }
    Step {
        state: State::Done,
        at: Some(entry.at),
        ..waiting(title, &format!("present; groups in it: {}", claim.passed))
    }
}

fn claim_is_missing(connection: &Connection) -> String {
    let name = &connection.settings.sign_in.groups_claim;
    match connection.settings.provider {
        Provider::Okta => format!(
            "In Okta, on the OIDC application's tab Sign On, edit OpenID Connect ID Token: Groups claim \
             filter, name {name}, Matches regex .*; and Issuer has to be the Okta URL. A filter that \
             matches no group of the person leaves the claim out as well."
        ),
        Provider::Entra => format!(
            "In Entra ID, on the app registration's page Token configuration, add a groups claim to the \
             ID token (it is called {name})."
        ),
        Provider::Generic => {
            format!("Let the provider put the groups into the ID token, as the claim {name}.")
        }
    }
}

/// What a sign-in's record says of its groups claim.
struct Claim<'a> {
    is_there: bool,
    listed: i64,
    passed: i64,
    /// Why it is incomplete.
    flaw: Option<&'a str>,
}

impl<'a> Claim<'a> {
    fn of(entry: &'a Entry) -> Self {
        let at = |path: &str| entry.facts.as_ref().and_then(|facts| facts.pointer(path));
        let number = |path: &str| at(path).and_then(serde_json::Value::as_i64).unwrap_or(0);
        Self {
            is_there: at("/groups/present").and_then(serde_json::Value::as_bool) == Some(true),
            listed: number("/groups/listed"),
            passed: number("/groups/passed"),
            flaw: at("/groups/incomplete").and_then(serde_json::Value::as_str),
        }
    }
}

/// The usual mistakes, of those that were made.
pub fn mistakes(facts: &Facts<'_>) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut add = |what: String, advice: &str| {
        found.push(Mistake { what, stray: None, advice: advice.to_owned() });
    };
    let issuer = facts.connection.settings.sign_in.issuer.as_deref().unwrap_or_default();
    if facts.connection.settings.provider == Provider::Okta && issuer.ends_with('/') {
        add(
            format!("The issuer {issuer} ends in a slash."),
            &format!(
                "Okta writes its issuer without a slash at the end: {}.",
                issuer.trim_end_matches('/')
            ),
        );
    }
    if facts.recent.iter().any(|entry| entry.quirks.iter().any(|quirk| quirk == "bearer-twice")) {
        add(
            "The token comes as 'Bearer Bearer …'.".to_owned(),
            "It works. Okta writes 'Bearer' itself: enter the token alone in Authorization.",
        );
    }
    let wrong_path = |entry: &&Entry| entry.status == 404 && !entry.path.starts_with("/scim/v2/");
    if let Some(entry) = facts.recent.iter().find(wrong_path) {
        add(
            format!("The provider asks for {}, where nothing is.", entry.path),
            "The SCIM connector base URL ends in /scim/v2; copy it from below.",
        );
    }
    // A newer request that went well has settled it.
    let well = facts.newest(|newer| newer.kind == Kind::Scim && !newer.is_error());
    let is_open = |entry: &&Entry| well.is_none_or(|newer| newer.at < entry.at);
    let refused = facts.recent.iter().find(|entry| entry.status == 401);
    if let Some(entry) = refused.filter(is_open) {
        let detail = entry.detail.as_deref().unwrap_or("it is not accepted any more");
        add(
            format!("The provider still uses an old token: {detail}."),
            "Enter a token that works in the provider's form.",
        );
    }
    if let Some(entry) = facts.newest(|entry| entry.outcome.as_deref() == Some("created")) {
        let who = entry.user.as_ref().and_then(|user| user.name.clone()).unwrap_or_default();
        let is_pushed = facts.newest(|other| {
            let name = other.user.as_ref().and_then(|user| user.name.as_deref());
            let is_same = name.is_some_and(|name| fold(name) == fold(&who));
            is_write(other) && !other.is_error() && is_same
        });
        if is_pushed.is_none() {
            add(
                format!("{who} has signed in, and nobody has pushed {who}."),
                "Assign the SCIM application to the person, too: whoever is assigned to the OIDC \
                 application alone cannot be deactivated by a push.",
            );
        }
    }
    let stray = |is_it: &dyn Fn(&&Entry) -> bool| facts.stray.iter().find(is_it).filter(is_open);
    if let Some(entry) = stray(&wrong_path) {
        found.push(Mistake {
            what: format!("A request for {}, where nothing is, came", entry.path),
            stray: Some(Stray::of(entry)),
            advice: "If that was this customer's provider: the SCIM connector base URL ends in \
                     /scim/v2; copy it from below."
                .to_owned(),
        });
    }
    if let Some(entry) = stray(&|entry| entry.status == 401) {
        found.push(Mistake {
            what: "A request without a token that is known came".to_owned(),
            stray: Some(Stray::of(entry)),
            advice:
                "If that was this customer's provider, enter the token again, without quotes or \
                     spaces."
                    .to_owned(),
        });
    }
    found
}

fn is_signed_in(entry: &Entry) -> bool {
    matches!(entry.outcome.as_deref(), Some("signed_in" | "created"))
}

/// Whether the path is of one resource, not of a list.
fn is_resource(path: &str) -> bool {
    let rest = path.strip_prefix("/scim/v2/").unwrap_or_default();
    rest.split_once('/').is_some_and(|(_, id)| !id.is_empty())
}

fn is_about(entry: &Entry, endpoint: &str) -> bool {
    let rest = entry.path.strip_prefix("/scim/v2").unwrap_or_default();
    rest.strip_prefix(endpoint).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn is_write(entry: &Entry) -> bool {
    let is_dry = entry.quirks.iter().any(|quirk| quirk == DRY_RUN);
    let changes = matches!(entry.method.as_str(), "POST" | "PUT" | "PATCH");
    entry.kind == Kind::Scim && changes && !is_dry
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::directory::connections::Settings;
    use crate::directory::requests::{Body, Subject};

    fn connection() -> Connection {
        let mut settings = Settings::default();
        settings.sign_in.issuer = Some("https://example.okta.com".to_owned());
        settings.sign_in.client_id = Some("0oa1".to_owned());
        Connection {
            id: String::new(),
            name: "acme".to_owned(),
            settings,
            created_at: 0,
            updated_at: 0,
        }
    }

    fn entry(at: i64, method: &str, path: &str, status: i64) -> Entry {
        Entry {
            id: at,
            connection_id: None,
            connection: None,
            at,
            duration: 0,
            kind: Kind::Scim,
            method: method.to_owned(),
            path: path.to_owned(),
            query: None,
            status,
            outcome: None,
            scim_type: None,
            detail: (status >= 400).then(|| "because".to_owned()),
            token_id: None,
            request_id: String::new(),
            resource_type: None,
            user: None,
            team: None,
            client: None,
            user_agent: None,
            quirks: Vec::new(),
            resources: None,
            request: Body::default(),
            answer: Body::default(),
            facts: None,
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "called with json!({…}) written in place")]
    fn sign_in(at: i64, outcome: &str, groups: Value) -> Entry {
        Entry {
            kind: Kind::SignIn,
            outcome: Some(outcome.to_owned()),
            user: Some(Subject { id: None, name: Some("Ann".to_owned()) }),
            facts: Some(json!({ "groups": groups })),
            ..entry(at, "GET", "/login/callback", if outcome == "inactive" { 403 } else { 303 })
        }
    }

    fn facts<'a>(connection: &'a Connection, recent: &'a [Entry], stray: &'a [Entry]) -> Facts<'a> {
        Facts {
            connection,
            has_live_token: true,
            last_use: None,
            has_users: false,
            has_teams: false,
            recent,
            stray,
        }
    }

    fn states(facts: &Facts<'_>) -> Vec<State> {
        steps(facts).iter().map(|step| step.state).collect()
    }

    #[test]
    fn a_step_is_done_when_its_request_has_come_and_went_well() {
        use State::{Done, Problem, Waiting};
        let connection = connection();
        assert_eq!(
            states(&facts(&connection, &[], &[])),
            [Done, Waiting, Waiting, Waiting, Done, Waiting, Waiting]
        );
        let there = json!({ "present": true, "listed": 2, "passed": 2, "incomplete": null });
        let recent = [
            sign_in(4, "signed_in", there),
            entry(3, "POST", "/scim/v2/Groups", 201),
            entry(2, "POST", "/scim/v2/Users", 201),
            entry(1, "GET", "/scim/v2/Users", 200),
        ];
        assert_eq!(states(&facts(&connection, &recent, &[])), [Done; 7]);
        // What has gone well once is done, and the latest refusal is told; a read of one resource is no
        // test.
        let recent = [
            sign_in(6, "inactive", Value::Null),
            entry(5, "POST", "/scim/v2/Users", 409),
            entry(4, "POST", "/scim/v2/Users", 201),
            entry(3, "POST", "/scim/v2/Groups", 400),
            entry(2, "GET", "/scim/v2/Users/7", 200),
            entry(1, "GET", "/scim/v2/Users", 401),
        ];
        let found = steps(&facts(&connection, &recent, &[]));
        let found_states: Vec<State> = found.iter().map(|step| step.state).collect();
        assert_eq!(found_states, [Done, Problem, Done, Problem, Done, Problem, Waiting]);
        assert_eq!(found[2].found, "received, answered 201");
        let advice = found[2].advice.as_deref();
        assert_eq!(advice, Some("The latest was refused with 409: because"));
        assert!(
            found[5].advice.as_deref().is_some_and(|advice| advice.contains("SCIM application"))
        );
        // What is there already came before anything that is remembered.
        let earlier = Facts {
            last_use: Some(1),
            has_users: true,
            has_teams: true,
            ..facts(&connection, &[], &[])
        };
        assert_eq!(states(&earlier)[1..4], [Done; 3]);
    }

    #[test]
    fn each_fault_of_a_groups_claim_has_its_own_advice() {
        let mut connection = connection();
        connection.settings.sign_in.groups_filter = Some("^app-".to_owned());
        for (groups, found, advice) in [
            (
                json!({ "present": false, "incomplete": "missing" }),
                "missing",
                "Groups claim filter",
            ),
            (
                json!({ "present": true, "incomplete": "too-many", "listed": 100 }),
                "incomplete",
                "100",
            ),
            (json!({ "present": true, "incomplete": "wrong-type" }), "incomplete", "list of names"),
            (json!({ "present": true, "listed": 3, "passed": 0 }), "matches nothing", "^app-"),
            (json!({ "present": true, "listed": 0, "passed": 0 }), "empty", "empty list"),
        ] {
            let recent = [sign_in(1, "signed_in", groups.clone())];
            let found_steps = steps(&facts(&connection, &recent, &[]));
            let step = found_steps.last().expect("a step");
            assert_eq!(step.state, State::Problem, "{groups}");
            assert!(step.found.contains(found), "{groups}: {step:?}");
            assert!(step.advice.as_deref().unwrap_or_default().contains(advice), "{step:?}");
        }
    }

    #[test]
    fn a_slash_after_oktas_issuer_is_named() {
        let mut connection = connection();
        connection.settings.sign_in.issuer = Some("https://example.okta.com/".to_owned());
        let found = mistakes(&facts(&connection, &[], &[]));
        assert!(found[0].advice.ends_with("at the end: https://example.okta.com."), "{found:?}");
        connection.settings.provider = Provider::Generic;
        assert!(mistakes(&facts(&connection, &[], &[])).is_empty());
    }

    #[test]
    fn the_usual_mistakes_are_named_when_they_are_made() {
        let connection = connection();
        let said = |recent: &[Entry], stray: &[Entry]| {
            let found = mistakes(&facts(&connection, recent, stray));
            found.into_iter().map(|mistake| mistake.what).collect::<Vec<_>>().join("|")
        };
        assert_eq!(said(&[entry(1, "GET", "/scim/v2/Users", 200)], &[]), "");
        let twice = Entry {
            quirks: vec!["bearer-twice".to_owned()],
            ..entry(1, "GET", "/scim/v2/Users", 200)
        };
        assert!(said(&[twice], &[]).contains("Bearer Bearer"));
        assert!(said(&[], &[entry(1, "GET", "/Users", 404)]).contains("request for /Users"));
        assert!(said(&[entry(1, "GET", "/Users", 404)], &[]).contains("asks for /Users"));
        // A resource that is not there is no wrong address.
        assert_eq!(said(&[entry(1, "GET", "/scim/v2/Users/7", 404)], &[]), "");
        assert!(said(&[], &[entry(2, "GET", "/scim/v2/Users", 401)]).contains("without a token"));
        let stray = [entry(2, "GET", "/scim/v2/Users", 401), entry(2, "GET", "/Users", 404)];
        let well = |at| [entry(at, "GET", "/scim/v2/Users", 200)];
        assert_eq!(said(&well(1), &stray).split('|').count(), 2);
        assert_eq!(said(&well(3), &stray), "", "what came later went well");
        let old = entry(1, "GET", "/scim/v2/Users", 401);
        assert!(said(std::slice::from_ref(&old), &[]).contains("an old token"));
        assert_eq!(said(&[entry(2, "GET", "/scim/v2/Users", 200), old], &[]), "", "it is settled");
        let created = sign_in(2, "created", Value::Null);
        assert!(said(std::slice::from_ref(&created), &[]).contains("nobody has pushed Ann"));
        let user = Some(Subject { id: None, name: Some("ANN".to_owned()) });
        let pushed = Entry { user, ..entry(3, "POST", "/scim/v2/Users", 201) };
        assert_eq!(said(&[pushed, created], &[]), "");
    }
}
