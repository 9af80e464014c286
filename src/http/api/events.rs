//! `/api/v1/events`: the feed of changes, and waiting for the next one.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::answer::{Failure, ok};
use super::parameters::Parameters;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::feed::{self, FeedPage, Wanted};
use crate::directory::history;
use crate::directory::read;

/// Seconds that a request may wait for an event.
const MAX_WAIT: i64 = 60;
/// How often a waiting request looks for what other processes have written.
const OTHERS: Duration = Duration::from_secs(1);
/// How long a waiting request that found nothing of its own does not look again, however much is
/// written meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// How many batches of events whoever looks may bring into order at once.
const MAX_BATCHES: u32 = 20;

/// `GET /api/v1/events`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["connection", "after", "count", "wait"])?;
    let after = match parameters.text("after") {
        None => 0,
        Some(cursor) => feed::position(cursor).ok_or_else(|| {
            Failure::Invalid("'after' must be a 'cursor' or a 'next', as it was given".to_owned())
        })?,
    };
    let (connection, count) = (parameters.owned("connection"), parameters.count()?);
    let wait = parameters.number("wait", 0..=MAX_WAIT)?.unwrap_or(0);
    let connection_id =
        app.db.read(move |conn| read::connection_id(conn, connection.as_deref())).await?;
    let wanted = Wanted { connection_id, after, count, bytes: feed::MAX_BYTES };
    let page = next(&app, &wanted, Duration::from_secs(wait.unsigned_abs())).await?;
    Ok(ok(&json!({ "events": page.events, "next": feed::cursor(page.next) })))
}

/// The next page, waited for if there is nothing yet. No connection to the database is held
/// meanwhile.
async fn next(app: &web::Data<App>, wanted: &Wanted, wait: Duration) -> Result<FeedPage, Failure> {
    let deadline = Instant::now() + wait;
    // From before the first look, so that nothing is missed between the looks.
    let mut commits = app.db.commits();
    let mut page = look(app, wanted).await?;
    if wait.is_zero() || !page.events.is_empty() {
        return Ok(page);
    }
    let Ok(_permit) = app.waiting.try_acquire() else { return Ok(page) };
    let mut others = interval_at(Instant::now() + OTHERS, OTHERS);
    others.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = app.stopped();
    tokio::pin!(stopped);
    while page.events.is_empty() {
        let pause = Instant::now() + PAUSE;
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = sleep_until(deadline) => break,
            // The sender lives as long as the application does.
            _ = commits.changed() => {}
            _ = others.tick() => {}
        }
        page = look(app, wanted).await?;
        if page.events.is_empty() {
            sleep_until(pause.min(deadline)).await;
        }
    }
    Ok(page)
}

/// Gives every committed event its place in the feed.
///
/// # Errors
/// The store's; it takes too long.
pub async fn put_in_order(app: &web::Data<App>) -> Result<(), StoreError> {
    // Mostly none waits, and then nobody waits for a turn either.
    if !app.db.read(history::is_behind).await? {
        return Ok(());
    }
    // Of many who look at once, one brings the events into order, and the others find them so.
    let turn = tokio::time::timeout(app.settings.queue_patience, app.placing.lock()).await;
    let _turn = turn.map_err(|_| StoreError::Unavailable("events wait for an order".to_owned()))?;
    for _ in 0..MAX_BATCHES {
        if !app.db.read(history::is_behind).await? {
            break;
        }
        app.db.note("place_events", feed::place).await?;
    }
    Ok(())
}

/// A page as of now, after events that have no place in the feed yet have got theirs.
async fn look(app: &web::Data<App>, wanted: &Wanted) -> Result<FeedPage, Failure> {
    let page = read_page(app, wanted).await?;
    if !page.incomplete {
        return Ok(page);
    }
    put_in_order(app).await?;
    read_page(app, wanted).await
}

async fn read_page(app: &web::Data<App>, wanted: &Wanted) -> Result<FeedPage, Failure> {
    let wanted = wanted.clone();
    Ok(app.db.snapshot(move |conn| feed::page(conn, &wanted)).await?)
}
