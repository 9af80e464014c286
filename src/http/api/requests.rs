//! `/api/v1/requests`: the log of requests, and waiting for the next one.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};

use super::answer::{Failure, ok};
use super::parameters::Parameters;
use crate::app::App;
use crate::db::StoreError;
use crate::directory::feed::{cursor, position};
use crate::directory::requests::{self, Entry, Kind, Query};
use crate::directory::{connections::AdminError, read};

/// Seconds that a request may wait for one of the log.
const MAX_WAIT: i64 = 60;
/// How often a waiting request looks for what has come and what other processes have written.
const AGAIN: Duration = Duration::from_secs(1);
const PARAMETERS: [&str; 12] = [
    "connection",
    "unassigned",
    "user",
    "team",
    "errors",
    "kind",
    "method",
    "requestId",
    "after",
    "before",
    "count",
    "wait",
];

/// `GET /api/v1/requests`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &PARAMETERS)?;
    let (connection, wait) =
        (parameters.owned("connection"), parameters.number("wait", 0..=MAX_WAIT)?);
    let query = Query {
        connection_id: None,
        nobody: parameters.boolean("unassigned")?.unwrap_or(false),
        user: parameters.owned("user"),
        team: parameters.owned("team"),
        only_errors: parameters.boolean("errors")?.unwrap_or(false),
        kind: parameters.text("kind").map(kind).transpose()?,
        method: parameters.text("method").map(str::to_ascii_uppercase),
        request_id: parameters.owned("requestId"),
        before_id: id(&parameters, "before")?,
        after_id: id(&parameters, "after")?,
        count: parameters.count()?,
    };
    if query.nobody && connection.is_some() {
        let message = "what is 'unassigned' is of no 'connection'; leave one of them away";
        return Err(Failure::Invalid(message.to_owned()));
    }
    let connection_id =
        app.db.read(move |conn| read::connection_id(conn, connection.as_deref())).await?;
    let query = Query { connection_id, ..query };
    let wait = Duration::from_secs(wait.unwrap_or_default().unsigned_abs());
    let found = next(&app, &query, wait).await?;
    let newest = found.first().map(|entry| entry.id).or(query.after_id);
    let oldest = found.last().map(|entry| entry.id);
    let shown: Vec<Value> = found.iter().map(Entry::shown).collect();
    Ok(ok(&json!({
        "requests": shown,
        "next": newest.map(cursor),
        "before": oldest.map(cursor),
    })))
}

/// `GET /api/v1/requests/{id}`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let none = || Failure::NotFound("there is no request with this id, or no more".to_owned());
    let id = request.match_info().get("id").and_then(position).ok_or_else(none)?;
    save(&app).await;
    let found = app
        .db
        .snapshot(move |conn| {
            let Some(entry) = requests::one(conn, None, id)? else { return Ok(None) };
            let changes = requests::changes(conn, &entry)?;
            Ok::<_, StoreError>(Some((entry, changes)))
        })
        .await?;
    let (entry, changes) = found.ok_or_else(none)?;
    let mut shown = entry.shown();
    if let Some(members) = shown.as_object_mut() {
        members.insert("changes".to_owned(), changes.into());
    }
    Ok(ok(&shown))
}

fn kind(name: &str) -> Result<Kind, Failure> {
    let wrong = || Failure::Invalid("'kind' must be scim or sign_in".to_owned());
    Kind::from_name(name).ok_or_else(wrong)
}

fn id(parameters: &Parameters, name: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = parameters.text(name) else { return Ok(None) };
    let wrong = || Failure::Invalid(format!("'{name}' must be the 'id' of a request"));
    position(text).map(Some).ok_or_else(wrong)
}

/// Writes what this process has of the log: the task that does it goes on if the client goes away.
pub async fn save(app: &web::Data<App>) {
    let app = app.clone();
    // What cannot be written is written later.
    let _ = actix_web::rt::spawn(async move { app.save_requests().await }).await;
}

/// The next page, waited for if there is nothing yet. No connection to the database is held
/// meanwhile.
async fn next(app: &web::Data<App>, query: &Query, wait: Duration) -> Result<Vec<Entry>, Failure> {
    let deadline = Instant::now() + wait;
    let mut found = look(app, query).await?;
    if wait.is_zero() || !found.is_empty() {
        return Ok(found);
    }
    let Ok(_permit) = app.waiting.try_acquire() else { return Ok(found) };
    let mut again = interval_at(Instant::now() + AGAIN, AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let stopped = app.stopped();
    tokio::pin!(stopped);
    while found.is_empty() {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            () = sleep_until(deadline) => break,
            _ = again.tick() => {}
        }
        found = look(app, query).await?;
    }
    Ok(found)
}

async fn look(app: &web::Data<App>, query: &Query) -> Result<Vec<Entry>, Failure> {
    save(app).await;
    let query = query.clone();
    let found = app.db.snapshot(move |conn| Ok::<_, AdminError>(requests::page(conn, &query)?));
    Ok(found.await?)
}
