//! `muster requests`

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::{output, store};
use crate::clock::rfc3339;
use crate::db::{DatabaseUrl, Db, StoreError};
use crate::directory::connections::AdminError;
use crate::directory::read;
use crate::directory::requests::{self, Entry, Query};

/// How often it is looked for new ones.
const AGAIN: Duration = Duration::from_millis(500);
/// How many are read at a time while new ones are waited for.
const AT_A_TIME: i64 = 500;
const HEADINGS: [&str; 9] =
    ["id", "time", "connection", "status", "ms", "method", "path", "about", "what was said"];

#[derive(Debug, Args)]
pub struct RequestsArgs {
    /// The connection's name; without it those of all
    connection: Option<String>,
    /// Only requests about this user: a userName or an id
    #[arg(long)]
    user: Option<String>,
    /// Only requests about this team: a displayName or an id
    #[arg(long)]
    team: Option<String>,
    /// Only requests that were refused or failed
    #[arg(long)]
    errors: bool,
    /// Only requests that said for no connection, or said it wrongly
    #[arg(long, conflicts_with = "connection")]
    unassigned: bool,
    /// How many to show
    #[arg(long, value_name = "NUMBER", default_value_t = 50,
          value_parser = clap::value_parser!(i64).range(1..=10_000))]
    count: i64,
    /// Go on with new ones as they come, until interrupted
    #[arg(long)]
    follow: bool,
    /// Show one request with its bodies and what it has changed
    #[arg(long, value_name = "ID", conflicts_with_all = ["user", "team", "errors", "unassigned", "follow"])]
    id: Option<i64>,
}

/// Shows the log of requests.
///
/// # Errors
/// What the store or the directory says.
pub async fn run(args: RequestsArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<ExitCode> {
    let db = store::existing(url).await?;
    let name = args.connection.clone();
    let connection_id = db.read(move |conn| read::connection_id(conn, name.as_deref())).await?;
    if let Some(id) = args.id {
        one(&db, connection_id, id, as_json).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let query = Query {
        connection_id,
        nobody: args.unassigned,
        user: args.user,
        team: args.team,
        only_errors: args.errors,
        count: args.count,
        ..Query::default()
    };
    let found = page(&db, &query).await?;
    if args.follow {
        follow(&db, query, found, as_json).await?;
    } else if as_json {
        output::json(&found.iter().map(Entry::shown).collect::<Value>());
    } else {
        let rows: Vec<Vec<String>> = found.iter().rev().map(|entry| cells(entry).into()).collect();
        output::table(&HEADINGS, &rows);
    }
    Ok(ExitCode::SUCCESS)
}

async fn page(db: &Db, query: &Query) -> Result<Vec<Entry>, AdminError> {
    let query = query.clone();
    db.snapshot(move |conn| Ok::<_, AdminError>(requests::page(conn, &query)?)).await
}

/// Shows those that were found, and then new ones as they come.
async fn follow(
    db: &Db,
    mut query: Query,
    mut found: Vec<Entry>,
    as_json: bool,
) -> anyhow::Result<()> {
    query.after_id = Some(match found.first() {
        Some(newest) => newest.id,
        None => db.read(requests::last_id).await?,
    });
    query.count = AT_A_TIME;
    loop {
        for entry in found.iter().rev() {
            let line = if as_json { entry.shown().to_string() } else { line(entry) };
            // Whoever has stopped reading has read enough.
            let mut out = std::io::stdout();
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
            query.after_id = Some(entry.id);
        }
        if found.is_empty() {
            tokio::time::sleep(AGAIN).await;
        }
        found = page(db, &query).await?;
    }
}

async fn one(db: &Db, connection_id: Option<String>, id: i64, as_json: bool) -> anyhow::Result<()> {
    let found = db
        .snapshot(move |conn| {
            let Some(entry) = requests::one(conn, connection_id.as_deref(), id)? else {
                return Ok(None);
            };
            let changes = requests::changes(conn, &entry)?;
            Ok::<_, StoreError>(Some((entry, changes)))
        })
        .await?;
    let Some((entry, changes)) = found else { bail!("there is no request {id}, or no more") };
    if as_json {
        let mut shown = entry.shown();
        if let Some(members) = shown.as_object_mut() {
            members.insert("changes".to_owned(), changes.into());
        }
        output::json(&shown);
        return Ok(());
    }
    let names = HEADINGS.into_iter();
    let mut fields: Vec<(&str, String)> = names.zip(cells(&entry)).collect();
    let text = |text: &Option<String>| text.as_deref().unwrap_or("-").to_owned();
    fields.extend([
        ("query", text(&entry.query)),
        ("request id", text(&Some(entry.request_id.clone()))),
        ("token", text(&entry.token_id)),
        ("client", text(&entry.client)),
        ("user agent", text(&entry.user_agent)),
        ("request", text(&entry.request.text)),
        ("answer", text(&entry.answer.text)),
        ("claims", text(&entry.facts.as_ref().map(Value::to_string))),
        ("changes", json!(changes).to_string()),
    ]);
    output::fields(&fields);
    Ok(())
}

/// What a table shows of a request.
fn cells(entry: &Entry) -> [String; 9] {
    let dash = "-";
    let subject = entry.user.as_ref().or(entry.team.as_ref());
    let about = subject.and_then(|subject| subject.name.as_deref().or(subject.id.as_deref()));
    let mut said: Vec<&str> = entry.outcome.as_deref().into_iter().collect();
    said.extend(entry.detail.as_deref());
    said.extend(entry.quirks.iter().map(String::as_str));
    [
        entry.id.to_string(),
        rfc3339(entry.at),
        entry.connection.as_deref().unwrap_or(dash).to_owned(),
        entry.status.to_string(),
        format!("{}.{}", entry.duration / 1000, entry.duration / 100 % 10),
        entry.method.clone(),
        entry.path.clone(),
        about.unwrap_or(dash).to_owned(),
        said.join("; "),
    ]
}

/// A request on a line, in columns as wide as most need.
fn line(entry: &Entry) -> String {
    let [id, time, connection, status, ms, method, path, about, said] = cells(entry);
    let text = format!(
        "{id:>7}  {time}  {connection:<12}  {status}  {ms:>7}  {method:<6}  {path:<40}  {about:<24}  {said}"
    );
    text.trim_end().to_owned()
}
