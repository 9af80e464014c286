//! The log of requests: every request of a directory and every sign-in, for whoever has to say what
//! became of it. It holds no secret, and nothing follows from it: it is for people to read.
//!
//! A request leaves a record behind while it is served, which is made a row away from
//! the request. Entry points for reading: [`page`], [`one`], [`changes`] and [`summary`].

pub mod mask;
pub mod record;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::feed::cursor;
use crate::clock::rfc3339;
use crate::db::requests::{self as rows, About, RequestRow, Whose};
use crate::db::{Conn, StoreError, events as event_rows, users as user_rows};
use crate::scim::fold::fold;
use crate::scim::precis::prepare;

/// Microseconds of an hour.
pub const HOUR: i64 = 3_600_000_000;
/// The hours that a summary tells apart.
pub const HOURS: i64 = 24;
/// How far apart the times of events may be that are beside each other in the log, in microseconds.
const SLACK: i64 = 60_000_000;
/// The most changes that are shown of one request.
const MAX_CHANGES: i64 = 1_000;
/// How many bytes the data of these may have together.
const MAX_BYTES: i64 = 8 * 1024 * 1024;
/// Rows of a connection that are removed in one transaction, before it is deleted.
const FORGOTTEN: i64 = 500;
/// What stands among the compatibility rules of a request that was a dry run.
pub const DRY_RUN: &str = "dry-run";
/// What stands at the end of a body that was cut.
pub const CUT: char = '…';

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request of a directory, or one that was meant to be.
    Scim,
    /// The end of a sign-in.
    SignIn,
}

impl Kind {
    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scim => "scim",
            Self::SignIn => "sign_in",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Scim, Self::SignIn].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Which requests are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Those of one connection.
    pub connection_id: Option<String>,
    /// Those that said for no connection, or said it wrongly.
    pub nobody: bool,
    /// Those about a user, by id or name.
    pub user: Option<String>,
    /// Those about a team, by id or name.
    pub team: Option<String>,
    /// Those that were refused or failed.
    pub only_errors: bool,
    pub kind: Option<Kind>,
    pub method: Option<String>,
    /// The one with that id, as the answer's `X-Request-Id` says it.
    pub request_id: Option<String>,
    /// Only requests before this one.
    pub before_id: Option<i64>,
    /// Only requests after this one: the ones that come next.
    pub after_id: Option<i64>,
    pub count: i64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            connection_id: None,
            nobody: false,
            user: None,
            team: None,
            only_errors: false,
            kind: None,
            method: None,
            request_id: None,
            before_id: None,
            after_id: None,
            count: 100,
        }
    }
}

/// What is kept of a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// Bytes, as it was sent.
    pub size: Option<i64>,
    /// The JSON, with what is secret masked; in a list never there.
    pub text: Option<String>,
}

impl Body {
    /// Whether only its beginning is kept.
    pub fn is_cut(&self) -> bool {
        self.text.as_deref().is_some_and(|text| text.ends_with(CUT))
    }

    fn shown(&self) -> Option<Value> {
        self.size.map(|size| json!({ "size": size, "text": self.text, "cut": self.is_cut() }))
    }
}

/// A user or a team that a request was about, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: Option<String>,
    pub name: Option<String>,
}

impl Subject {
    fn of(id: Option<String>, name: Option<String>) -> Option<Self> {
        (id.is_some() || name.is_some()).then_some(Self { id, name })
    }

    fn shown(&self, name: &str) -> Value {
        json!({ "id": self.id, name: self.name })
    }
}

/// A request of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub id: i64,
    /// Whose it was; none where it did not say, or said it wrongly.
    pub connection_id: Option<String>,
    /// How the connection is called.
    pub connection: Option<String>,
    /// When it came, in UTC microseconds.
    pub at: i64,
    /// Microseconds until the head of the answer.
    pub duration: i64,
    pub kind: Kind,
    pub method: String,
    pub path: String,
    pub query: Option<String>,
    pub status: i64,
    /// How a sign-in ended: `signed_in`, `created`, or the name of what was in its way.
    pub outcome: Option<String>,
    pub scim_type: Option<String>,
    /// What the error said.
    pub detail: Option<String>,
    /// The token that it came with, also one that is good no more.
    pub token_id: Option<String>,
    pub request_id: String,
    pub resource_type: Option<String>,
    pub user: Option<Subject>,
    pub team: Option<Subject>,
    /// The address that it came from.
    pub client: Option<String>,
    pub user_agent: Option<String>,
    /// The compatibility rules that it made use of, and `bearer-twice` and `bare-token`.
    pub quirks: Vec<String>,
    /// How many resources a list has answered.
    pub resources: Option<i64>,
    pub request: Body,
    pub answer: Body,
    /// Of a sign-in: what the claims were like; see the docs.
    pub facts: Option<Value>,
}

impl Entry {
    fn of(row: RequestRow, names: &BTreeMap<String, String>) -> Result<Self, StoreError> {
        let RequestRow { id, request: row } = row;
        let kind = Kind::from_name(&row.kind)
            .ok_or_else(|| StoreError::Corrupt(format!("a request of the kind {}", row.kind)))?;
        Ok(Self {
            id,
            connection: row.connection_id.as_ref().and_then(|id| names.get(id)).cloned(),
            connection_id: row.connection_id,
            at: row.at,
            duration: row.duration,
            kind,
            method: row.method,
            path: row.path,
            query: row.query,
            status: row.status,
            outcome: row.outcome,
            scim_type: row.scim_type,
            detail: row.detail,
            token_id: row.token_id,
            request_id: row.request_id,
            resource_type: row.resource_type,
            user: Subject::of(row.user_id, row.user_name),
            team: Subject::of(row.team_id, row.team_name),
            client: row.client,
            user_agent: row.user_agent,
            quirks: row.quirks.iter().flat_map(|all| all.split(' ')).map(str::to_owned).collect(),
            resources: row.resources,
            request: Body { size: row.request_size, text: row.request_body },
            answer: Body { size: row.answer_size, text: row.answer_body },
            facts: row.facts.as_deref().map(serde_json::from_str).transpose()?,
        })
    }

    /// Whether it was refused or failed.
    pub fn is_error(&self) -> bool {
        self.status >= 400
    }

    /// The entry for programs; in a list without bodies.
    pub fn shown(&self) -> Value {
        json!({
            "id": cursor(self.id),
            "connection": self.connection,
            "connectionId": self.connection_id,
            "time": rfc3339(self.at),
            "durationMicros": self.duration,
            "kind": self.kind.as_str(),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "status": self.status,
            "outcome": self.outcome,
            "scimType": self.scim_type,
            "detail": self.detail,
            "tokenId": self.token_id,
            "requestId": self.request_id,
            "resourceType": self.resource_type,
            "user": self.user.as_ref().map(|user| user.shown("userName")),
            "team": self.team.as_ref().map(|team| team.shown("displayName")),
            "client": self.client,
            "userAgent": self.user_agent,
            "quirks": self.quirks,
            "resources": self.resources,
            "request": self.request.shown(),
            "answer": self.answer.shown(),
            "signIn": self.facts,
        })
    }
}

/// The requests that are wanted, the newest first, without bodies. With `after_id`, the ones that come
/// next after it, the newest of them first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, query: &Query) -> Result<Vec<Entry>, StoreError> {
    let user = query.user.as_deref().map(|user| of_user(conn, query, user)).transpose()?;
    let team = query
        .team
        .as_deref()
        .map(|team| About { ids: vec![team.to_owned()], name_fold: fold(team).into_owned() });
    let whose = match &query.connection_id {
        _ if query.nobody => Whose::Nobody,
        Some(id) => Whose::Connection(id),
        None => Whose::All,
    };
    let wanted = rows::Wanted {
        whose,
        user,
        team,
        only_errors: query.only_errors,
        kind: query.kind.map(Kind::as_str),
        method: query.method.as_deref(),
        request_id: query.request_id.as_deref(),
        before: query.before_id,
        after: query.after_id,
        limit: query.count,
    };
    let found = rows::page(conn, &wanted)?;
    entries(conn, found)
}

/// How requests about a user may call it: by the name that was given, or by the id of whoever has that
/// name now and may have had another.
fn of_user(conn: &mut Conn, query: &Query, user: &str) -> Result<About, StoreError> {
    let name_fold = prepare(user).into_owned();
    let mut ids = vec![user.to_owned()];
    if let Some(connection_id) = &query.connection_id {
        ids.extend(user_rows::find_by_user_name(conn, connection_id, &name_fold)?);
    }
    Ok(About { ids, name_fold })
}

/// The request with that id, with bodies: one of the connection, if one is named.
///
/// # Errors
/// The store's.
pub fn one(
    conn: &mut Conn,
    connection_id: Option<&str>,
    id: i64,
) -> Result<Option<Entry>, StoreError> {
    let is_asked_for = |row: &RequestRow| {
        connection_id.is_none_or(|asked| row.request.connection_id.as_deref() == Some(asked))
    };
    let found = rows::find(conn, id)?.filter(is_asked_for);
    Ok(entries(conn, found.into_iter().collect())?.pop())
}

fn entries(conn: &mut Conn, found: Vec<RequestRow>) -> Result<Vec<Entry>, StoreError> {
    let ids: BTreeSet<&str> =
        found.iter().filter_map(|row| row.request.connection_id.as_deref()).collect();
    let ids: Vec<&str> = ids.into_iter().collect();
    let names = rows::connection_names(conn, &ids)?.into_iter().collect();
    found.into_iter().map(|row| Entry::of(row, &names)).collect()
}

/// The id of the newest request; 0 if there is none.
///
/// # Errors
/// The store's.
pub fn last_id(conn: &mut Conn) -> Result<i64, StoreError> {
    Ok(rows::last_id(conn)?)
}

/// Removes some of what is logged of a connection, in a write transaction that does nothing else; says
/// whether there may be more.
///
/// # Errors
/// The store's.
pub fn forget_some(conn: &mut Conn, connection_id: &str) -> Result<bool, StoreError> {
    let removed = rows::remove_of(conn, connection_id, FORGOTTEN)?;
    Ok(i64::try_from(removed).is_ok_and(|removed| removed >= FORGOTTEN))
}

/// What a request has changed: the events that carry its id, in order.
///
/// They are looked for among the connection's events of about that time. Of those that are more than
/// 8 MiB together, those that do not fit have no data, which may be megabytes for each.
///
/// # Errors
/// The store's.
pub fn changes(conn: &mut Conn, entry: &Entry) -> Result<Vec<Value>, StoreError> {
    let Some(connection_id) = &entry.connection_id else { return Ok(Vec::new()) };
    let first = first_since(conn, entry.at.saturating_sub(SLACK))?;
    let end = entry.at.saturating_add(entry.duration).saturating_add(SLACK);
    let last = first_since(conn, end)?;
    let found =
        rows::events_of(conn, connection_id, &entry.request_id, (first, last), MAX_CHANGES)?;
    let mut bytes = 0_i64;
    let fits = |row: &&rows::ChangeRow| {
        let with = bytes.saturating_add(row.size);
        let fits = with <= MAX_BYTES;
        if fits {
            bytes = with;
        }
        fits
    };
    let fitting: Vec<i64> = found.iter().filter(fits).map(|row| row.sequence).collect();
    let data = event_rows::data_of(conn, &fitting)?;
    let shown = |row: &rows::ChangeRow| {
        let data: Option<&String> = data.get(&row.sequence);
        let data: Option<Value> = data.map(|data| serde_json::from_str(data)).transpose()?;
        Ok(json!({
            "cursor": row.position.map(cursor),
            "time": rfc3339(row.at),
            "action": row.action,
            "subject": { "type": row.subject, "id": row.subject_id },
            "data": data,
            "size": row.size,
        }))
    };
    found.iter().map(shown).collect()
}

/// The position of the first event since a time, or the one behind the last: times go up with
/// positions, but for events that were made at about the same time.
fn first_since(conn: &mut Conn, time: i64) -> Result<i64, StoreError> {
    let mut low = event_rows::first_position(conn)?.unwrap_or(0);
    let mut high = event_rows::last_position(conn)?.saturating_add(1);
    while low < high {
        let middle = low + (high - low) / 2;
        match rows::event_at(conn, middle)? {
            Some((position, at)) if at < time => low = position + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// What was counted of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// When it begins, in UTC microseconds.
    pub from: i64,
    pub requests: i64,
    pub errors: i64,
}

/// How things are with a connection, at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// When the last change came that was made.
    pub last_push_at: Option<i64>,
    /// When somebody signed in last.
    pub last_sign_in_at: Option<i64>,
    /// The last request that was refused or failed.
    pub last_error: Option<Entry>,
    /// The last 24 hours, the one that has begun at the end.
    pub hours: Vec<Hour>,
}

/// How things are with a connection, as far as the log goes back.
///
/// # Errors
/// The store's.
pub fn summary(conn: &mut Conn, connection_id: &str, now: i64) -> Result<Summary, StoreError> {
    let counted = rows::hours(conn, connection_id, i64::MIN)?;
    let this = now - now.rem_euclid(HOUR);
    let hours = (0..HOURS).rev().map(|back| {
        let from = this - back * HOUR;
        let row = counted.iter().find(|row| row.hour == from);
        Hour {
            from,
            requests: row.map_or(0, |row| row.requests),
            errors: row.map_or(0, |row| row.errors),
        }
    });
    let errors = Query {
        connection_id: Some(connection_id.to_owned()),
        only_errors: true,
        count: 1,
        ..Query::default()
    };
    Ok(Summary {
        last_push_at: counted.iter().filter_map(|row| row.last_push_at).max(),
        last_sign_in_at: counted.iter().filter_map(|row| row.last_sign_in_at).max(),
        last_error: page(conn, &errors)?.pop(),
        hours: hours.collect(),
    })
}
