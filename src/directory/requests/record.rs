//! What a request leaves behind for the log while it is served, and the row that is made of it later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use serde_json_borrow::Value as Body;

use super::mask::{Masks, cleaned};
use super::{DRY_RUN, HOUR, Kind};
use crate::db::requests::{self as rows, HourRow, NewRequest};
use crate::db::{Conn, StoreError};
use crate::directory::claims;
use crate::directory::connections::SignInSettings;
use crate::directory::signin::Refusal;
use crate::directory::tokens::Authenticated;
use crate::scim::fold::fold;
use crate::scim::precis::prepare;

/// How much of a body is kept, in bytes.
pub const MAX_BODY: usize = 16 * 1024;
/// The longest path, query or text of an error that is kept, in bytes.
const MAX_TEXT: usize = 2048;
/// The longest name or address that is kept, in bytes.
const MAX_NAME: usize = 512;
/// How many claims are named at most.
const MAX_CLAIMS: usize = 100;
/// What a record takes besides its bodies and the texts of others, in bytes, give or take.
const RECORD: usize = 1024;

/// A body, or the beginning of one.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Bytes of all of it.
    size: Option<usize>,
    bytes: Option<Bytes>,
}

impl Kept {
    /// The body itself where it is small, which copies nothing; else its beginning, so that the rest
    /// need not stay in memory.
    pub fn of(bytes: &Bytes) -> Self {
        let kept = match bytes.get(..MAX_BODY) {
            Some(beginning) if bytes.len() > MAX_BODY => Bytes::copy_from_slice(beginning),
            _ => bytes.clone(),
        };
        Self { size: Some(bytes.len()), bytes: Some(kept) }
    }

    /// The size alone.
    pub fn sized(size: usize) -> Self {
        Self { size: Some(size), bytes: None }
    }

    fn held(&self) -> usize {
        self.bytes.as_ref().map_or(0, Bytes::len)
    }

    /// The JSON of a body that is there as a whole; else nothing.
    fn json(&self) -> Body<'_> {
        let whole = self.bytes.as_ref().filter(|bytes| self.size == Some(bytes.len()));
        whole.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default()
    }

    /// Bytes of the body, none for an empty one.
    fn size(&self) -> Option<i64> {
        self.size.filter(|size| *size > 0).map(|size| i64::try_from(size).unwrap_or(i64::MAX))
    }

    /// What may be kept of the body, whose JSON this is.
    fn shown(&self, json: &Body<'_>, masks: &Masks, is_refused: bool) -> Option<String> {
        match &self.bytes {
            Some(bytes) if self.size != Some(bytes.len()) => masks.beginning(bytes, is_refused),
            _ => masks.whole(json, is_refused),
        }
    }
}

/// How a sign-in ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    SignedIn,
    /// The same, of somebody whom nobody knew.
    Created,
    Refused(Refusal),
    /// None of this browser is under way.
    NotUnderWay,
    /// The answer came to an address that is not the connection's.
    WrongAddress,
    /// The provider has answered with an error.
    ProviderError,
    /// The connection has no provider, or its secret cannot be read.
    NotSetUp,
    /// The provider is not reached, or does not answer as one.
    ProviderFailed,
    /// The provider does not accept Muster.
    ClientRefused,
    /// The provider does not accept the code that it gave itself.
    CodeRefused,
    /// The ID token did not stand the checks.
    NotVerified,
    /// What the claims say is nothing that a user may have.
    NotStorable,
    /// The application that asked is gone.
    ApplicationGone,
}

impl Outcome {
    /// The outcome's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::Created => "created",
            Self::Refused(Refusal::Inactive) => "inactive",
            Self::Refused(Refusal::NotProvisioned) => "not_provisioned",
            Self::Refused(Refusal::NameTaken) => "user_name_taken",
            Self::Refused(Refusal::NoUserName) => "no_user_name",
            Self::NotUnderWay => "not_under_way",
            Self::WrongAddress => "wrong_address",
            Self::ProviderError => "provider_error",
            Self::NotSetUp => "not_set_up",
            Self::ProviderFailed => "provider_failed",
            Self::ClientRefused => "client_refused",
            Self::CodeRefused => "code_refused",
            Self::NotVerified => "not_verified",
            Self::NotStorable => "not_storable",
            Self::ApplicationGone => "application_gone",
        }
    }
}

/// What is known of a sign-in.
#[derive(Debug, Clone, Default)]
pub struct SignIn {
    /// Whether it could not even begin: then anybody may have asked, for any connection.
    pub not_begun: bool,
    pub connection_id: Option<String>,
    pub outcome: Option<Outcome>,
    /// What was in its way, in words of ours.
    pub detail: Option<String>,
    pub user_id: Option<String>,
    pub user_name: Option<String>,
    /// See [`claims_seen`]; JSON.
    pub facts: Option<String>,
}

/// What an ID token's claims are like: their names, and what there is to say of the one that lists
/// groups; nobody's values.
pub fn claims_seen(settings: &SignInSettings, claims: &Map<String, Value>) -> Value {
    let name = settings.groups_claim.as_str();
    let filter = settings.groups_filter.as_deref();
    // One that is none was refused when it was set.
    let filter = filter.and_then(|filter| regex::Regex::new(filter).ok());
    let read = claims::groups(claims, name, filter.as_ref());
    let listed = match claims.get(name) {
        Some(Value::Array(values)) => values.len(),
        None | Some(Value::Null) => 0,
        Some(_) => 1,
    };
    let names: BTreeSet<&str> = claims.keys().map(String::as_str).collect();
    let names: Vec<String> =
        names.into_iter().take(MAX_CLAIMS).map(|name| short(name, 128)).collect();
    json!({
        "claims": names,
        "groups": {
            "claim": name,
            "present": claims.get(name).is_some_and(|claim| !claim.is_null()),
            "complete": read.incomplete.is_none(),
            "incomplete": read.incomplete.map(claims::Incomplete::as_str),
            "listed": listed,
            "filtered": filter.is_some(),
            "passed": read.groups.len(),
        },
    })
}

/// What a request has left behind.
#[derive(Debug, Clone)]
pub struct Record {
    pub at: i64,
    pub duration: i64,
    pub kind: Kind,
    pub method: &'static str,
    pub path: String,
    pub query: Option<String>,
    pub status: u16,
    /// The token that was accepted.
    pub token: Option<Arc<Authenticated>>,
    /// The hash of one that was not, or that nobody looked at.
    pub token_hash: Option<String>,
    pub request_id: String,
    pub client: Option<String>,
    pub user_agent: Option<String>,
    pub quirks: Vec<&'static str>,
    pub resources: Option<usize>,
    pub request: Kept,
    pub answer: Kept,
    pub sign_in: Option<Box<SignIn>>,
}

/// How much the log would lose with a record, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Something was read.
    Read,
    /// Something was to be changed, somebody signed in, or something went wrong.
    Telling,
    /// It says for nobody, so that anybody can send as many as they like.
    Nobody,
}

impl Record {
    /// What it takes in memory, in bytes, give or take.
    pub fn size(&self) -> usize {
        // The head of a request may be as long as some bodies.
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_sign_in = self.sign_in.as_ref().map_or(0, |found| {
            length(&found.detail) + length(&found.user_name) + length(&found.facts)
        });
        RECORD
            + self.path.len()
            + length(&self.query)
            + length(&self.user_agent)
            + self.request.held()
            + self.answer.held()
            + of_sign_in
    }

    /// The connection at which a sign-in could not begin.
    pub fn not_begun(&self) -> Option<&str> {
        let sign_in = self.sign_in.as_ref().filter(|sign_in| sign_in.not_begun)?;
        sign_in.connection_id.as_deref()
    }

    /// How much the log would lose with it.
    pub fn weight(&self) -> Weight {
        let of_sign_in = self
            .sign_in
            .as_ref()
            .is_some_and(|found| found.connection_id.is_some() && !found.not_begun);
        if self.token.is_none() && !of_sign_in {
            Weight::Nobody
        } else if self.kind == Kind::Scim && is_read(self.method, &self.path, self.status) {
            Weight::Read
        } else {
            Weight::Telling
        }
    }

    /// The row that it becomes, but for what only the store knows; with bodies or without.
    pub fn draft(self, masks: &Masks, has_bodies: bool) -> Draft {
        let (request, answer) = (self.request.json(), self.answer.json());
        let said = |body: &Body<'_>, name: &str| text(body, name).map(|text| short(text, MAX_NAME));
        let is_error = self.status >= 400;
        // The status of a bulk job says nothing of its operations: one of them may have been refused.
        let is_refused = is_error || target(&self.path).0.eq_ignore_ascii_case("Bulk");
        let (endpoint, id) = target(&self.path);
        let resource_type = if self.kind == Kind::Scim { resource_type(endpoint) } else { None };
        let own_id = said(&answer, "id").filter(|_| !is_error);
        let id = id.map(|id| short(id, MAX_NAME)).or(own_id);
        let called = |name: &str| {
            said(&answer, name)
                .or_else(|| said(&request, name))
                .or_else(|| self.query.as_deref().and_then(|query| looked_up(query, name)))
        };
        let mut row = NewRequest {
            connection_id: self.token.as_ref().map(|token| token.connection.id.clone()),
            at: self.at,
            duration: self.duration,
            kind: self.kind.as_str().to_owned(),
            method: self.method.to_owned(),
            path: short(&self.path, MAX_TEXT),
            query: self.query.as_deref().map(|query| short(&masks.query(query), MAX_TEXT)),
            status: i64::from(self.status),
            token_id: self.token.as_ref().map(|token| token.token_id.clone()),
            request_id: self.request_id,
            client: self.client,
            user_agent: self.user_agent.map(|agent| short(&agent, MAX_NAME)),
            quirks: (!self.quirks.is_empty()).then(|| self.quirks.join(" ")),
            resources: self.resources.map(|count| i64::try_from(count).unwrap_or(i64::MAX)),
            request_size: self.request.size(),
            answer_size: self.answer.size(),
            ..NewRequest::default()
        };
        if is_error {
            row.detail = text(&answer, "detail").map(|text| short(text, MAX_TEXT));
            row.scim_type = said(&answer, "scimType");
        }
        match resource_type {
            Some("User") => (row.user_id, row.user_name) = (id, called("userName")),
            Some("Group") => (row.team_id, row.team_name) = (id, called("displayName")),
            _ => {}
        }
        row.resource_type = resource_type.map(str::to_owned);
        if has_bodies {
            row.request_body = self.request.shown(&request, masks, is_refused);
            row.answer_body = self.answer.shown(&answer, masks, false);
        }
        if let Some(sign_in) = self.sign_in {
            row.connection_id = sign_in.connection_id;
            row.outcome = sign_in.outcome.map(|outcome| outcome.as_str().to_owned());
            row.detail = sign_in.detail.map(|detail| short(&detail, MAX_TEXT));
            row.user_id = sign_in.user_id;
            row.user_name = sign_in.user_name.map(|name| short(&name, MAX_NAME));
            row.facts = sign_in.facts;
        }
        Draft { row, token_hash: self.token_hash }
    }
}

/// Whether a SCIM request has read something, and no more.
pub fn is_read(method: &str, path: &str, status: u16) -> bool {
    status < 400 && !is_change(method, path)
}

/// Whether a request asks for a change.
pub fn is_change(method: &str, path: &str) -> bool {
    !matches!(method, "GET" | "HEAD" | "OPTIONS") && !path.ends_with("/.search")
}

/// A row that still lacks what only the store knows.
#[derive(Debug, Clone)]
pub struct Draft {
    row: NewRequest,
    token_hash: Option<String>,
}

/// Adds what the store knows: whose the tokens are that were not accepted, and how users and teams are
/// called that were named by their ids alone.
///
/// # Errors
/// The store's.
pub fn complete(conn: &mut Conn, drafts: &[Draft]) -> Result<Vec<NewRequest>, StoreError> {
    let hashes: BTreeSet<&str> =
        drafts.iter().filter_map(|draft| draft.token_hash.as_deref()).collect();
    let hashes: Vec<&str> = hashes.into_iter().collect();
    let tokens: BTreeMap<String, (String, String)> = rows::tokens_of(conn, &hashes)?
        .into_iter()
        .map(|(hash, id, connection)| (hash, (id, connection)))
        .collect();
    let mut done: Vec<NewRequest> = drafts.iter().map(|draft| draft.row.clone()).collect();
    for (row, draft) in done.iter_mut().zip(drafts) {
        let found = draft.token_hash.as_ref().and_then(|hash| tokens.get(hash));
        if let Some((token, connection)) = found {
            row.token_id = Some(token.clone());
            row.connection_id = Some(connection.clone());
        }
    }
    // People ask there with tokens of their own, which is no business of directories.
    done.retain(|row| row.connection_id.is_some() || !row.path.eq_ignore_ascii_case(ME));
    name(conn, &mut done, true)?;
    name(conn, &mut done, false)?;
    for row in &mut done {
        row.user_name_fold = row.user_name.as_deref().map(|name| prepare(name).into_owned());
        row.team_name_fold = row.team_name.as_deref().map(|name| fold(name).into_owned());
    }
    Ok(done)
}

/// The endpoint of the person who asks.
const ME: &str = "/scim/v2/Me";

/// Says how the users, or the teams, are called that are named by their ids alone.
fn name(conn: &mut Conn, done: &mut [NewRequest], is_user: bool) -> Result<(), StoreError> {
    let nameless = |row: &NewRequest| {
        let (id, name) =
            if is_user { (&row.user_id, &row.user_name) } else { (&row.team_id, &row.team_name) };
        let (id, connection) = id.clone().zip(row.connection_id.clone())?;
        name.is_none().then_some((connection, id))
    };
    let wanted: BTreeSet<(String, String)> = done.iter().filter_map(nameless).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = wanted.iter().map(|(_, id)| id.as_str()).collect();
    let mut names: BTreeMap<(String, String), String> = rows::names_of(conn, is_user, &ids)?
        .into_iter()
        .map(|(id, connection, name)| ((connection, id), name))
        .collect();
    let gone: Vec<(&str, &str)> = wanted
        .iter()
        .filter(|subject| !names.contains_key(*subject))
        .map(|(connection, id)| (connection.as_str(), id.as_str()))
        .collect();
    let attribute = if is_user { "userName" } else { "displayName" };
    for (connection, id, data) in rows::deletions_of(conn, &gone)? {
        let data: Body<'_> = serde_json::from_str(&data)?;
        if let Some(name) = text(data.get("before"), attribute) {
            names.insert((connection, id), name.to_owned());
        }
    }
    for row in done {
        let Some(subject) = nameless(row) else { continue };
        let name = names.get(&subject).map(|name| short(name, MAX_NAME));
        if is_user { row.user_name = name } else { row.team_name = name }
    }
    Ok(())
}

/// What there is to count of some rows: of each connection, by the hour.
pub fn counted(done: &[NewRequest]) -> Vec<HourRow> {
    let mut hours: BTreeMap<(String, i64), HourRow> = BTreeMap::new();
    for row in done {
        let Some(connection_id) = row.connection_id.clone() else { continue };
        let hour = row.at - row.at.rem_euclid(HOUR);
        let counted = hours.entry((connection_id.clone(), hour)).or_insert(HourRow {
            connection_id,
            hour,
            requests: 0,
            errors: 0,
            last_push_at: None,
            last_sign_in_at: None,
        });
        counted.requests += 1;
        if row.status >= 400 {
            counted.errors += 1;
        } else if row.kind == Kind::SignIn.as_str() {
            counted.last_sign_in_at = counted.last_sign_in_at.max(Some(row.at));
        } else if is_change(&row.method, &row.path) && !is_dry_run(row) {
            counted.last_push_at = counted.last_push_at.max(Some(row.at));
        }
    }
    hours.into_values().collect()
}

/// Whether nothing was kept of what a request asked for.
fn is_dry_run(row: &NewRequest) -> bool {
    row.quirks.iter().flat_map(|quirks| quirks.split(' ')).any(|quirk| quirk == DRY_RUN)
}

/// The endpoint that a path names, and the id behind it.
fn target(path: &str) -> (&str, Option<&str>) {
    let mut parts = path.rsplit('/').filter(|part| !part.is_empty());
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_list = |part: &str| matches!(resource_type(part), Some("User" | "Group"));
    if is_list(last) {
        (last, None)
    } else if is_list(before) {
        (before, Some(last).filter(|id| *id != ".search"))
    } else if resource_type(before).is_some() {
        (before, None)
    } else {
        (last, None)
    }
}

/// What the resources of an endpoint are called.
pub fn resource_type(endpoint: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 7] = [
        ("users", "User"),
        ("groups", "Group"),
        ("bulk", "Bulk"),
        ("me", "Me"),
        ("schemas", "Schema"),
        ("resourcetypes", "ResourceType"),
        ("serviceproviderconfig", "ServiceProviderConfig"),
    ];
    let found = KNOWN.iter().find(|(name, _)| endpoint.eq_ignore_ascii_case(name));
    found.map(|(_, kind)| *kind)
}

/// Whom a query looks for by that attribute alone, as identity providers do.
fn looked_up(query: &str, attribute: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, filter) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("filter"))?;
    let (name, rest) = filter.trim().split_once(char::is_whitespace)?;
    let (operator, value) = rest.trim_start().split_once(char::is_whitespace)?;
    let is_lookup = name.eq_ignore_ascii_case(attribute) && operator.eq_ignore_ascii_case("eq");
    let value: String = serde_json::from_str(value.trim()).ok()?;
    is_lookup.then(|| short(&value, MAX_NAME))
}

/// A text that is there under that name, in whatever letters; of several the last, as whoever reads JSON
/// takes it.
fn text<'a>(body: &'a Body<'_>, name: &str) -> Option<&'a str> {
    let members = body.as_object()?;
    let named = members.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
    let (_, value) = named.last()?;
    value.as_str().filter(|text| !text.is_empty())
}

/// A text as it may be kept: no longer than that, without tokens, and without NUL, which not every
/// database takes.
fn short(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    cleaned(text.get(..end.unwrap_or_default()).unwrap_or_default()).replace('\0', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(method: &'static str, path: &str, status: u16) -> Record {
        Record {
            at: 5,
            duration: 1,
            kind: Kind::Scim,
            method,
            path: path.to_owned(),
            query: None,
            status,
            token: None,
            token_hash: None,
            request_id: "r".to_owned(),
            client: None,
            user_agent: None,
            quirks: Vec::new(),
            resources: None,
            request: Kept::default(),
            answer: Kept::default(),
            sign_in: None,
        }
    }

    fn kept(body: &Value) -> Kept {
        Kept::of(&Bytes::from(body.to_string()))
    }

    #[test]
    fn a_request_says_whom_it_is_about() {
        let masks = Masks::default();
        let mut pushed = record("POST", "/scim/v2/Users", 201);
        pushed.request = kept(&json!({ "USERNAME": "Ann", "password": "s3cret" }));
        pushed.answer = kept(&json!({ "id": "1", "userName": "ann" }));
        let row = pushed.draft(&masks, true).row;
        assert_eq!((row.user_id.as_deref(), row.user_name.as_deref()), (Some("1"), Some("ann")));
        assert_eq!(row.resource_type.as_deref(), Some("User"));
        assert_eq!(row.request_body.as_deref(), Some(r#"{"USERNAME":"Ann","password":"***"}"#));

        let mut refused = record("POST", "/scim/v2/Users", 409);
        refused.request = kept(&json!({ "userName": "ann" }));
        refused.answer = kept(&json!({ "scimType": "uniqueness", "detail": "taken", "id": "x" }));
        let row = refused.draft(&masks, true).row;
        assert_eq!((row.user_id.as_deref(), row.user_name.as_deref()), (None, Some("ann")));
        assert_eq!(row.scim_type.as_deref(), Some("uniqueness"));
        assert_eq!(row.detail.as_deref(), Some("taken"));

        let row = record("DELETE", "/scim/v2/Groups/7", 204).draft(&masks, true).row;
        assert_eq!((row.team_id.as_deref(), row.user_id.as_deref()), (Some("7"), None));
        let row = record("GET", "/scim/v2/Schemas/urn:x:User", 200).draft(&masks, true).row;
        assert_eq!(row.resource_type.as_deref(), Some("Schema"));
        let row = record("POST", "/scim/v2/Users/.search", 200).draft(&masks, true).row;
        assert_eq!((row.user_id, row.resource_type.as_deref()), (None, Some("User")));

        let mut sought = record("GET", "/scim/v2/Users", 200);
        sought.query = Some("filter=userName%20eq%20%22a%5C%22b%22&count=2".to_owned());
        assert_eq!(sought.draft(&masks, true).row.user_name.as_deref(), Some("a\"b"));
    }

    #[test]
    fn of_a_large_body_the_beginning_is_kept() {
        let members: Vec<Value> = (0..4_000).map(|n| json!({ "value": n.to_string() })).collect();
        let body = json!({ "displayName": "Staff", "members": members }).to_string();
        let bytes = Bytes::from(body.clone());
        let kept = Kept::of(&bytes);
        assert_eq!(kept.held(), MAX_BODY);
        let text = kept.shown(&kept.json(), &Masks::default(), false).expect("a text");
        assert_eq!(kept.size(), i64::try_from(body.len()).ok());
        assert!(text.starts_with("{\"displayName\":\"Staff\"") && text.ends_with('…'), "{text}");
        let no_json = Kept::of(&Bytes::from_static(b"password=s3cret"));
        assert_eq!(no_json.shown(&no_json.json(), &Masks::default(), false), None);
        let small = Bytes::from_static(b"{}");
        assert_eq!(Kept::of(&small).bytes.expect("a body").as_ptr(), small.as_ptr(), "no copy");
    }

    #[test]
    fn a_change_is_told_from_a_read() {
        for (method, path, expected) in [
            ("GET", "/scim/v2/Users", false),
            ("POST", "/scim/v2/Users/.search", false),
            ("POST", "/scim/v2/Users", true),
            ("DELETE", "/scim/v2/Users/1", true),
        ] {
            assert_eq!(is_change(method, path), expected, "{method} {path}");
        }
        assert_eq!(record("GET", "/scim/v2/Users", 401).weight(), Weight::Nobody);
    }

    #[test]
    fn the_claims_are_described_without_their_values() {
        let settings =
            SignInSettings { groups_filter: Some("^app-".to_owned()), ..SignInSettings::default() };
        let claims = json!({ "sub": "00uann", "groups": ["Everyone", "Staff"] });
        let seen = claims_seen(&settings, claims.as_object().expect("claims"));
        assert_eq!(
            seen,
            json!({
                "claims": ["groups", "sub"],
                "groups": {
                    "claim": "groups", "present": true, "complete": true, "incomplete": null,
                    "listed": 2, "filtered": true, "passed": 0,
                },
            })
        );
        let seen = claims_seen(&settings, &Map::new());
        assert_eq!(seen["groups"]["present"], false);
        assert_eq!(seen["groups"]["incomplete"], "missing");
    }

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(short("aé", 2), "a");
        assert_eq!(short("a\0b", 9), "ab");
        assert_eq!(short("", 3), "");
    }
}
