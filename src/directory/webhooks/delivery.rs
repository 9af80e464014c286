//! How far webhooks have come: what is due, who delivers it, and what came of it.
//!
//! Whoever delivers has a lease, and everything that is written here names it. So a process that was
//! given up for dead, or that an administrator has overtaken, moves no cursor.

use serde_json::Value;

use super::{By, Reason, State, Webhook, rows, set_state, write};
use crate::db::events as event_rows;
use crate::db::webhooks::{ActiveRow, Progress};
use crate::db::{Conn, MayBeStore, StoreError};
use crate::directory::connections::AdminError;
use crate::directory::events::{Action, Actor};
use crate::directory::feed::{self, FeedError, Wanted};

/// Events that are read at a time.
const PAGE: i64 = 100;
/// How many bytes the data of these events may have, if there is more than one: many webhooks have a page at a time,
/// each for as long as its receiver takes for it.
const PAGE_BYTES: i64 = 256 * 1024;

/// How long the feed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feed {
    /// The position of its last event.
    pub last: i64,
    /// Whether there are events that have no place in it yet.
    pub is_incomplete: bool,
}

/// How long the feed is: two looks at an index.
///
/// # Errors
/// The store's.
pub fn feed(conn: &mut Conn) -> Result<Feed, StoreError> {
    let is_incomplete = event_rows::any_without_position(conn)?;
    Ok(Feed { last: event_rows::last_position(conn)?, is_incomplete })
}

/// What there is to deliver.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// The webhooks that have events before them.
    pub webhooks: Vec<ActiveRow>,
    /// When the first event was that waits to be delivered.
    pub oldest: Option<i64>,
}

/// Whether anybody wants to hear of events.
///
/// # Errors
/// The store's.
pub fn is_wanted(conn: &mut Conn) -> Result<bool, StoreError> {
    Ok(rows::any_active(conn)?)
}

/// What there is to deliver of a feed that goes up to `last`.
///
/// # Errors
/// The store's.
pub fn due(conn: &mut Conn, last: i64) -> Result<Due, StoreError> {
    let webhooks = rows::with_news(conn, last)?;
    let oldest = match webhooks.iter().map(|row| row.cursor).min() {
        Some(cursor) => event_rows::time_after(conn, cursor)?,
        None => None,
    };
    Ok(Due { webhooks, oldest })
}

/// Has webhooks pass over events that are not theirs, up to a position; `now` is in UTC microseconds.
///
/// # Errors
/// The store's.
pub fn pass_over(conn: &mut Conn, last: i64, now: i64) -> Result<(), StoreError> {
    rows::pass_over(conn, last, now)?;
    Ok(())
}

/// Takes the lease of a webhook, if nobody has it.
///
/// # Errors
/// The store's.
pub fn take(
    conn: &mut Conn,
    id: &str,
    lease: &str,
    now: i64,
    until: i64,
) -> Result<Option<Taken>, StoreError> {
    let Some(found) = rows::take(conn, id, lease, now, until)? else { return Ok(None) };
    let webhook = Webhook::new(found)?;
    let (failures, failing_since) = (webhook.delivery.failures, webhook.delivery.failing_since);
    Ok(Some(Taken { webhook, lease: lease.to_owned(), failures, failing_since }))
}

/// A webhook whose lease somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    pub webhook: Webhook,
    lease: String,
    /// Attempts that have failed since the last that has not.
    pub failures: i64,
    /// When the first of them was.
    pub failing_since: Option<i64>,
}

/// Events that a webhook sends or passes over, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The position of each event, and the event where it is to be sent.
    pub events: Vec<(i64, Option<Value>)>,
    /// The position up to which there is nothing else.
    pub next: i64,
}

/// Why a webhook has no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    #[error("nothing can be sent any more")]
    End(Reason),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl std::convert::From<diesel::result::Error> for PageError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Store(error.into())
    }
}

impl MayBeStore for PageError {
    fn or_store(self) -> Result<StoreError, Self> {
        match self {
            Self::Store(error) => Ok(error),
            end @ Self::End(_) => Err(end),
        }
    }
}

impl Taken {
    /// The next events after a position.
    ///
    /// # Errors
    /// They are not there any more, or were never.
    pub fn page(&self, conn: &mut Conn, after: i64) -> Result<Page, PageError> {
        // To a reader of the feed 0 is the beginning, whatever that is; here it is before the first event.
        if event_rows::first_position(conn)?.is_some_and(|first| first - 1 > after) {
            return Err(PageError::End(Reason::EventsRemoved));
        }
        let last = event_rows::last_position(conn)?;
        let connection_id = self.webhook.connection_id.clone();
        let wanted = Wanted { connection_id, after, count: PAGE, bytes: PAGE_BYTES };
        let page = feed::page(conn, &wanted).map_err(|error| match error {
            FeedError::Gone => PageError::End(Reason::EventsRemoved),
            FeedError::Ahead => PageError::End(Reason::CursorAhead),
            FeedError::Store(error) => PageError::Store(error),
        })?;
        if page.events.is_empty() {
            return Ok(Page { events: Vec::new(), next: last.max(after) });
        }
        let types = self.webhook.types.as_ref();
        let position = |event: &Value| feed::position(event.get("cursor")?.as_str()?);
        let events = page.events.into_iter().filter_map(|event| {
            let is_wanted = types.is_none_or(|types| types.take(&super::EventType::of(&event)));
            Some((position(&event)?, (is_wanted || self.is_end(&event)).then_some(event)))
        });
        Ok(Page { events: events.collect(), next: page.next })
    }

    /// Whether nothing can come after this event: the webhook's connection was deleted.
    pub fn is_end(&self, event: &Value) -> bool {
        let Some(id) = &self.webhook.connection_id else { return false };
        let subject = event.get("subject");
        let is = |value: Option<&Value>, text: &str| value.and_then(Value::as_str) == Some(text);
        is(event.get("action"), Action::Deleted.as_str())
            && is(subject.and_then(|subject| subject.get("type")), "connection")
            && is(subject.and_then(|subject| subject.get("id")), id)
    }

    /// Whether the lease is held still: nobody else has it, and nobody has changed the webhook.
    ///
    /// # Errors
    /// The store's.
    pub fn is_held(&self, conn: &mut Conn) -> Result<bool, StoreError> {
        Ok(rows::is_held(conn, &self.webhook.id, &self.lease)?)
    }

    /// Writes down how far the delivery has come; the lease is kept until a time, or given back. False
    /// where it is somebody else's by now, and nothing was written.
    ///
    /// # Errors
    /// The store's.
    pub fn save(
        &self,
        conn: &mut Conn,
        progress: &Progress,
        until: Option<i64>,
    ) -> Result<bool, StoreError> {
        Ok(rows::advance(conn, &self.webhook.id, &self.lease, progress, until)? > 0)
    }

    /// Disables the webhook. False where the lease is somebody else's by now, and nothing was written.
    ///
    /// # Errors
    /// The store's.
    pub fn disable(
        &self,
        conn: &mut Conn,
        progress: &Progress,
        reason: Reason,
        now: i64,
    ) -> Result<bool, AdminError> {
        // In the same order as whoever changes the webhook.
        let Some(before) = rows::lock(conn, &self.webhook.id)? else { return Ok(false) };
        if !self.save(conn, progress, None)? {
            return Ok(false);
        }
        let before = Webhook::new(before)?;
        let mut row = before.row.clone();
        set_state(&mut row, State::Disabled(reason), now);
        let by = By { actor: Actor::Server, request_id: None, now };
        write(conn, &before, row, Action::Disabled, &by)?;
        Ok(true)
    }
}
