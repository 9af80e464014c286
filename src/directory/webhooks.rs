//! Webhooks: where events are sent to, which ones, and signed with what.
//!
//! Whatever an administrator does with one is an event, without the secret. How far a webhook has come
//! is no lasting state, and is for [`delivery`].

pub mod delivery;
mod types;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use url::Url;

pub use self::types::{EventType, Types};
use super::connections::{self, AdminError};
use super::events::{self, Action, Actor, Data, Entry, NO_CONNECTION, Subject};
use super::{feed, new_id};
use crate::clock::rfc3339;
use crate::db::webhooks::{self as rows, DeliveryRow, WebhookRow, Whole};
use crate::db::{Conn, Db, StoreError, events as event_rows};
use crate::reach::is_safe;
use crate::secret::Secret;

/// How every secret of a webhook starts (Standard Webhooks, signature scheme).
pub const SECRET_PREFIX: &str = "whsec_";
/// Random bytes of a secret; 24 to 64 are allowed.
const SECRET_BYTES: usize = 32;
/// Longest address, in bytes.
const MAX_URL: usize = 1024;
/// Longest label, in bytes.
const MAX_LABEL: usize = 256;

/// Whether events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// They are.
    Active,
    /// Not for the time being: somebody wants it so.
    Paused,
    /// Not until somebody has looked at it.
    Disabled(Reason),
}

impl State {
    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled(_) => "disabled",
        }
    }
}

/// Why nothing more is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The receiver answered 410.
    ReceiverGone,
    /// It has failed for days.
    Failing,
    /// Events that were not sent yet were removed because of their age.
    EventsRemoved,
    /// The log ends before what was sent already: another log took its place.
    CursorAhead,
    /// The connection is gone, and that was the last that there was to send.
    ConnectionDeleted,
}

impl Reason {
    const ALL: [Self; 5] = [
        Self::ReceiverGone,
        Self::Failing,
        Self::EventsRemoved,
        Self::CursorAhead,
        Self::ConnectionDeleted,
    ];

    /// The reason's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReceiverGone => "receiver-gone",
            Self::Failing => "failing",
            Self::EventsRemoved => "events-removed",
            Self::CursorAhead => "cursor-ahead",
            Self::ConnectionDeleted => "connection-deleted",
        }
    }
}

/// A webhook as the administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub id: String,
    pub connection_id: Option<String>,
    /// The connection's name, while there is one.
    pub connection: Option<String>,
    pub url: String,
    pub label: String,
    /// Which types of events are sent; all if it is not said.
    pub types: Option<Types>,
    pub state: State,
    row: WebhookRow,
    delivery: DeliveryRow,
}

impl Webhook {
    fn new((row, delivery, connection): Whole) -> Result<Self, StoreError> {
        let corrupt = |what: &str| StoreError::Corrupt(format!("webhook {}: {what}", row.id));
        let state = match (row.state.as_str(), &row.reason) {
            ("active", _) => State::Active,
            ("paused", _) => State::Paused,
            ("disabled", Some(reason)) => {
                let known = Reason::ALL.into_iter().find(|known| known.as_str() == reason);
                State::Disabled(known.ok_or_else(|| corrupt("reason"))?)
            }
            _ => return Err(corrupt("state")),
        };
        let types =
            row.types.as_deref().map(str::parse).transpose().map_err(StoreError::Corrupt)?;
        Ok(Self {
            id: row.id.clone(),
            connection_id: row.connection_id.clone(),
            connection,
            url: row.url.clone(),
            label: row.label.clone(),
            types,
            state,
            row,
            delivery,
        })
    }

    /// The position of the last event that was delivered or passed over.
    pub fn cursor(&self) -> i64 {
        self.delivery.cursor
    }

    /// Whether there is something to sign with: not in a store that was built from the log.
    pub fn has_secret(&self) -> bool {
        self.delivery.secret.is_some()
    }

    /// What a request is signed with at that time: the secret, and the one before it for a while.
    pub fn secrets(&self, now: i64) -> Vec<Secret> {
        let DeliveryRow { secret, old_secret, old_secret_until, .. } = &self.delivery;
        let old = old_secret.iter().filter(|_| old_secret_until.is_some_and(|until| until > now));
        secret.iter().chain(old).map(Secret::new).collect()
    }

    /// What was set, as events tell of it: of the address no more than the origin, since path and query
    /// are a credential at some receivers, and others hear of the event.
    fn told(&self) -> Value {
        let mut settings = self.settings();
        if let Some(settings) = settings.as_object_mut() {
            let origin = Url::parse(&self.url).map(|url| url.origin().ascii_serialization());
            settings.insert("url".to_owned(), origin.unwrap_or_default().into());
        }
        settings
    }

    /// What was set; keys in snake case, never the secret.
    fn settings(&self) -> Value {
        json!({
            "id": self.id,
            "connection": self.connection,
            "connection_id": self.connection_id,
            "url": self.url,
            "label": self.label,
            "types": self.types.as_ref().map(Types::to_strings),
            "state": self.state.as_str(),
            "reason": self.row.reason,
            "state_since": rfc3339(self.row.state_at),
            "created_at": rfc3339(self.row.created_at),
            "updated_at": rfc3339(self.row.updated_at),
            "secret_created_at": rfc3339(self.row.secret_at),
        })
    }

    /// The webhook for programs, keys in snake case, with how far it has come; never the secret.
    pub fn to_json(&self, now: i64) -> Value {
        let mut object = self.settings();
        let DeliveryRow { failures, last_error, old_secret_until, .. } = &self.delivery;
        let time = |at: &Option<i64>| at.map(rfc3339);
        let more = json!({
            "has_secret": self.has_secret(),
            "old_secret_until": time(&old_secret_until.filter(|until| *until > now)),
            "cursor": feed::cursor(self.cursor()),
            "failures": failures,
            "failing_since": time(&self.delivery.failing_since),
            "next_attempt_at": time(&self.delivery.next_attempt_at),
            "last_delivered_at": time(&self.delivery.last_delivered_at),
            "last_error": last_error,
            "last_error_at": time(&self.delivery.last_error_at),
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more);
        }
        object
    }
}

/// Who does something, in which request, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    pub actor: Actor,
    pub request_id: Option<String>,
    /// UTC microseconds.
    pub now: i64,
}

/// What a new webhook is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct New {
    pub url: String,
    pub label: String,
    /// The name of the connection whose events are sent; those of all if it is not said.
    pub connection: Option<String>,
    /// Which types of events are sent; all if it is not said.
    pub types: Option<Types>,
}

/// The address, if events may be sent there: `https`, or `http` on this machine.
///
/// # Errors
/// They may not.
pub fn check_url(text: &str) -> Result<Url, AdminError> {
    let bad = || AdminError::BadWebhookUrl(text.to_owned());
    let url = Url::parse(text).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let clean = text.len() <= MAX_URL && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_safe(&url) && plain && clean { Ok(url) } else { Err(bad()) }
}

fn check_label(label: &str) -> Result<(), AdminError> {
    let is_good = label.len() <= MAX_LABEL && !label.contains(char::is_control);
    if is_good { Ok(()) } else { Err(AdminError::BadWebhookLabel) }
}

/// A new secret.
fn new_secret() -> Result<Secret, StoreError> {
    let mut bytes = [0_u8; SECRET_BYTES];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| StoreError::Unavailable(format!("no random bits: {error}")))?;
    Ok(Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(bytes))))
}

/// Adds a webhook, which sends what happens from now on; the secret is shown this once.
///
/// # Errors
/// The address or the label is not acceptable, or there is no such connection.
pub async fn create(db: &Db, new: New, by: By) -> Result<(Webhook, Secret), AdminError> {
    check_url(&new.url)?;
    check_label(&new.label)?;
    // What has no place in the feed yet would get one after the beginning.
    feed::place_all(db).await?;
    db.write("create_webhook", move |conn| insert(conn, &new, &by)).await
}

fn insert(conn: &mut Conn, new: &New, by: &By) -> Result<(Webhook, Secret), AdminError> {
    let connection_id = match &new.connection {
        Some(name) => Some(connections::find(conn, name)?.id),
        None => None,
    };
    let row = WebhookRow {
        id: new_id(),
        connection_id,
        url: new.url.clone(),
        label: new.label.clone(),
        types: new.types.as_ref().map(Types::to_string),
        state: State::Active.as_str().to_owned(),
        reason: None,
        state_at: by.now,
        created_at: by.now,
        updated_at: by.now,
        secret_at: by.now,
    };
    let secret = new_secret()?;
    let cursor = event_rows::last_position(conn)?;
    rows::insert(conn, &row, Some(secret.expose()), cursor)?;
    let webhook = find(conn, &row.id)?;
    record(conn, &webhook, Action::Created, &json!({ "after": webhook.told() }), by)?;
    Ok((webhook, secret))
}

/// All webhooks, oldest first.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<Webhook>, StoreError> {
    rows::all(conn)?.into_iter().map(Webhook::new).collect()
}

/// The webhook with that id.
///
/// # Errors
/// There is none.
pub fn find(conn: &mut Conn, id: &str) -> Result<Webhook, AdminError> {
    let found = rows::find(conn, id)?.ok_or_else(|| AdminError::NoWebhook(id.to_owned()))?;
    Ok(Webhook::new(found)?)
}

fn lock(conn: &mut Conn, id: &str) -> Result<Webhook, AdminError> {
    let found = rows::lock(conn, id)?.ok_or_else(|| AdminError::NoWebhook(id.to_owned()))?;
    Ok(Webhook::new(found)?)
}

/// What can be changed of a webhook; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    pub url: Option<String>,
    pub label: Option<String>,
    /// Which types of events are sent, or all of them.
    pub types: Option<Option<Types>>,
    pub state: Option<State>,
}

/// Changes a webhook. One that is made active or moved is tried at once.
///
/// # Errors
/// There is none with that id, or what it is to be is not acceptable.
pub fn update(conn: &mut Conn, id: &str, change: &Change, by: &By) -> Result<Webhook, AdminError> {
    let before = lock(conn, id)?;
    let mut row = before.row.clone();
    if let Some(url) = &change.url {
        check_url(url)?;
        row.url.clone_from(url);
    }
    if let Some(label) = &change.label {
        check_label(label)?;
        row.label.clone_from(label);
    }
    if let Some(types) = &change.types {
        row.types = types.as_ref().map(Types::to_string);
    }
    if let Some(state) = change.state {
        set_state(&mut row, state, by.now);
    }
    let begins_anew = change.url.is_some() || change.state == Some(State::Active);
    if begins_anew {
        rows::begin_anew(conn, id, None)?;
    }
    // Whoever delivers looks again when there is an event.
    let waits = begins_anew && before.delivery.next_attempt_at.is_some();
    if row == before.row && !waits {
        return find(conn, id);
    }
    write(conn, &before, row, Action::Updated, by)
}

fn set_state(row: &mut WebhookRow, state: State, now: i64) {
    let reason = match state {
        State::Disabled(reason) => Some(reason.as_str().to_owned()),
        State::Active | State::Paused => None,
    };
    if row.state != state.as_str() || row.reason != reason {
        state.as_str().clone_into(&mut row.state);
        row.reason = reason;
        row.state_at = now;
    }
}

fn write(
    conn: &mut Conn,
    before: &Webhook,
    row: WebhookRow,
    action: Action,
    by: &By,
) -> Result<Webhook, AdminError> {
    let row = WebhookRow { updated_at: by.now, ..row };
    rows::update(conn, &row)?;
    let after = find(conn, &row.id)?;
    let data = json!({ "before": before.told(), "after": after.told() });
    record(conn, &after, action, &data, by)?;
    Ok(after)
}

/// Gives a webhook another secret, which is shown this once. Until `old_until` requests are signed with
/// the one before as well.
///
/// # Errors
/// There is none with that id.
pub fn rotate(
    conn: &mut Conn,
    id: &str,
    old_until: Option<i64>,
    by: &By,
) -> Result<(Webhook, Secret), AdminError> {
    let before = lock(conn, id)?;
    let secret = new_secret()?;
    let old = before.delivery.secret.as_deref().zip(old_until);
    rows::set_secret(conn, id, secret.expose(), old)?;
    let row = WebhookRow { secret_at: by.now, ..before.row.clone() };
    Ok((write(conn, &before, row, Action::Rotated, by)?, secret))
}

/// Where a webhook is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// After the event of that cursor.
    After(String),
    /// With the first event that was at that time or after it, in UTC microseconds.
    Since(i64),
}

/// Has a webhook send again what came after an event, or pass over what is before it.
///
/// # Errors
/// There is none with that id, or the log has no such event.
pub fn replay(conn: &mut Conn, id: &str, from: &From, by: &By) -> Result<Webhook, AdminError> {
    let before = lock(conn, id)?;
    let last = event_rows::last_position(conn)?;
    let position = match from {
        From::After(cursor) => feed::position(cursor)
            .filter(|position| *position <= last)
            .ok_or_else(|| AdminError::BadCursor(cursor.clone(), last))?,
        From::Since(at) => event_rows::position_before(conn, *at)?,
    };
    // The very beginning is that of what is kept.
    let first = event_rows::first_position(conn)?.unwrap_or(1);
    let position = if position == 0 { first - 1 } else { position };
    rows::begin_anew(conn, id, Some(position))?;
    rows::update(conn, &before.row)?;
    let after = find(conn, id)?;
    let data = json!({ "from": feed::cursor(before.cursor()), "to": feed::cursor(position) });
    record(conn, &after, Action::Replayed, &data, by)?;
    Ok(after)
}

/// Deletes a webhook.
///
/// # Errors
/// There is none with that id.
pub fn delete(conn: &mut Conn, id: &str, by: &By) -> Result<Webhook, AdminError> {
    let webhook = lock(conn, id)?;
    rows::delete(conn, id)?;
    record(conn, &webhook, Action::Deleted, &json!({ "before": webhook.told() }), by)?;
    Ok(webhook)
}

fn record(
    conn: &mut Conn,
    webhook: &Webhook,
    action: Action,
    data: &Value,
    by: &By,
) -> Result<(), StoreError> {
    let entry = Entry {
        connection_id: webhook.connection_id.as_deref().unwrap_or(NO_CONNECTION),
        at: by.now,
        actor: &by.actor,
        request_id: by.request_id.as_deref(),
        subject: Subject::Webhook,
        subject_id: &webhook.id,
        action,
        data: Data::Said(data),
    };
    events::append(conn, &entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_or_on_this_machine() {
        for good in [
            "https://app.example.com/hooks",
            "https://app.example.com/hooks?tenant=1",
            "http://localhost:3000/",
            "http://127.0.0.1:3000/hooks",
            "https://10.0.0.1/hooks",
        ] {
            assert!(check_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "app.example.com",
            "http://app.example.com/",
            "ftp://localhost/",
            "https://user@app.example.com/",
            "https://user:password@app.example.com/",
            "https://app.example.com/#x",
            "https://app.example.com/a b",
            "file:///etc/passwd",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert!(check_url(&format!("https://app.example.com/{}", "x".repeat(1024))).is_err());
    }

    #[test]
    fn a_secret_is_long_and_random() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one.expose(), other.expose());
        let bytes = STANDARD.decode(one.expose().strip_prefix(SECRET_PREFIX).unwrap()).unwrap();
        assert!((24..=64).contains(&bytes.len()));
    }
}
