//! `muster dry-run`: what a SCIM request would do, from the store itself or from a server.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::{output, store};
use crate::clock::system;
use crate::db::{Conn, DatabaseUrl};
use crate::directory::connections::{self, AdminError};
use crate::directory::rehearsal::{self, Changes};
use crate::directory::{Actor, Connection, Context};
use crate::schemas;
use crate::scim::bulk::Job;
use crate::scim::quirks::Quirks;

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The header of a dry run.
const HEADER: &str = "muster-dry-run";
/// The longest value that is shown in a line, in characters.
const LONGEST: usize = 100;
/// So many members are named in a line.
const MOST: usize = 20;

#[derive(Debug, Args)]
pub struct DryRunArgs {
    /// The connection that the request is carried out for [default: the only one]
    #[arg(long, value_name = "NAME", env = "MUSTER_DRY_RUN_CONNECTION", conflicts_with = "url")]
    connection: Option<String>,
    /// SCIM base URL of a server to ask instead of the store
    #[arg(long, env = "MUSTER_DRY_RUN_URL", requires = "token_file")]
    url: Option<String>,
    /// File that holds the SCIM token for it
    #[arg(long, value_name = "FILE", env = "MUSTER_DRY_RUN_TOKEN_FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Folder of schemas that the server adds to users and groups
    #[arg(long, value_name = "FOLDER", env = "MUSTER_SCHEMAS", conflicts_with = "url")]
    schemas: Option<PathBuf>,
    /// The method: POST, PUT, PATCH or DELETE
    method: String,
    /// The path below the SCIM base URL, such as /Users or /Groups/ID; /Bulk takes a bulk request
    path: String,
    /// File that holds the body; `-` is the standard input
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

/// Says what the request would do. Exit code 0 if it would be done, 1 if it would be refused.
///
/// # Errors
/// There is no such connection, the body cannot be read, or the server knows no dry runs.
pub async fn run(args: DryRunArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<ExitCode> {
    let method = args.method.to_ascii_uppercase();
    ensure!(
        ["POST", "PUT", "PATCH", "DELETE"].contains(&method.as_str()),
        "'{method}' changes nothing; the method is POST, PUT, PATCH or DELETE"
    );
    // As it stands in a log, too.
    let path = args.path.strip_prefix("/scim/v2").unwrap_or(&args.path);
    let path = format!("/{}", path.trim_start_matches('/'));
    let needs_body = method != "DELETE";
    ensure!(!needs_body || args.body.is_some(), "a {method} needs a body: --body FILE");
    let body = args.body.as_deref().map(read).transpose()?;
    let said = if let Some((url, token)) = args.url.zip(args.token_file) {
        ask(&url, &token, &method, &path, body).await?
    } else {
        let body = body.as_deref().map(serde_json::from_str).transpose();
        let body = body.context("the body is not JSON")?;
        rehearse(url, args.connection, args.schemas.as_deref(), &method, &path, body).await?
    };
    if as_json {
        output::json(&said);
    } else {
        show(&said);
    }
    let is_done = at(&said, "/status").as_u64().is_some_and(|status| status < 400);
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the body cannot be read")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Carries the request out in the store, as a bulk job of this one operation, and rolls it back.
async fn rehearse(
    url: DatabaseUrl,
    connection: Option<String>,
    folder: Option<&Path>,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Value> {
    let registry = Arc::new(schemas::registry(folder)?);
    let is_job = path.trim_end_matches('/') == "/Bulk";
    let job = if is_job {
        ensure!(method == "POST", "a bulk request is a POST");
        body.context("a bulk request needs a body: --body FILE")?
    } else {
        let mut operation = json!({ "method": method, "path": path, "data": body });
        if method == "POST"
            && let Some(operation) = operation.as_object_mut()
        {
            operation.insert("bulkId".to_owned(), "dry-run".into());
        }
        json!({ "Operations": [operation] })
    };
    let job = match Job::parse(job, &mut Quirks::default()) {
        Ok(job) => job,
        Err(error) => {
            return Ok(rehearsal::to_json(error.status, Some(error.to_json()), &[]));
        }
    };
    let db = store::existing(url).await?;
    let connection: Arc<Connection> =
        db.read(move |conn| named(conn, connection.as_deref())).await?.into();
    let now = system()();
    let changes = Arc::new(Changes::new(connection.clone(), now));
    let base_url = Arc::from("/scim/v2");
    // What holds for a provider's request holds for this one, so it counts as one with a token.
    let actor = Actor::Token("dry-run".to_owned());
    let context =
        Context { connection, actor, request_id: None, now, base_url, registry: registry.clone() };
    let run = db
        .rehearsing(changes.clone())
        .write("dry_run", move |conn| {
            rehearsal::bulk_job(conn, &context, &registry, job.clone(), rehearsal::PATIENCE)
        })
        .await?;
    let answer = run.answer("/scim/v2");
    if is_job {
        return Ok(rehearsal::to_json(200, Some(answer), &changes.take()));
    }
    let result = answer.pointer("/Operations/0").cloned().unwrap_or_default();
    let status = at(&result, "/status").as_str().and_then(|status| status.parse().ok());
    let status = status.context("there is no result")?;
    let response = result.get("response").cloned();
    Ok(rehearsal::to_json(status, response, &changes.take()))
}

fn named(conn: &mut Conn, name: Option<&str>) -> Result<Connection, AdminError> {
    if let Some(name) = name {
        return connections::find(conn, name);
    }
    let mut all = connections::all(conn)?;
    match all.pop() {
        Some(only) if all.is_empty() => Ok(only),
        Some(_) => Err(AdminError::NameOne),
        None => Err(AdminError::NoConnectionYet),
    }
}

/// Has a server carry it out and roll it back.
async fn ask(
    url: &str,
    token_file: &Path,
    method: &str,
    path: &str,
    body: Option<String>,
) -> anyhow::Result<Value> {
    let file = token_file.display();
    let token = std::fs::read_to_string(token_file)
        .with_context(|| format!("cannot read the token file {file}"))?;
    let token = token.trim();
    let base = url.trim_end_matches('/');
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(TIMEOUT)
        .build()?;
    // A server that does not know the header would do it for real; one that does refuses this.
    let probe = client.get(format!("{base}/Schemas")).header(HEADER, "?").bearer_auth(token);
    let probe = probe.send().await.map_err(reqwest::Error::without_url);
    let probe = probe.with_context(|| format!("{base} cannot be reached"))?;
    let status = probe.status().as_u16();
    let text = probe.text().await.unwrap_or_default();
    if status != 400 || !text.contains("Muster-Dry-Run") {
        bail!(
            "{base} answers {status} and does not seem to know dry runs, so it was not sent the \
             request, which it might carry out; is the URL the SCIM base URL, which ends in /scim/v2, \
             and the token good?"
        );
    }
    let method = method.parse::<reqwest::Method>().context("the method")?;
    let mut request = client.request(method, format!("{base}{path}"));
    if let Some(body) = body {
        request = request.header("content-type", "application/scim+json").body(body);
    }
    let request = request.header(HEADER, "true").bearer_auth(token);
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let is_dry = answer.headers().contains_key(HEADER);
    let text = answer.text().await.map_err(reqwest::Error::without_url)?;
    ensure!(is_dry, "{base} answers {status}, which is no answer to a dry run: {text}");
    serde_json::from_str(&text).context("the answer is not JSON")
}

/// The changes, for people: a line or some for each.
fn show(said: &Value) {
    output::line(format!("would be answered with: {}", at(said, "/status")));
    if let Some(detail) = at(said, "/response/detail").as_str() {
        output::line(format!("because: {detail}"));
    }
    for (place, result) in
        at(said, "/response/Operations").as_array().into_iter().flatten().enumerate()
    {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let why = at(result, "/response/detail").as_str().map(|why| format!(": {why}"));
        output::line(format!(
            "operation {}, {} {}: {}{}",
            place + 1,
            text(at(result, "/method")),
            text(at(result, "/location")),
            text(at(result, "/status")),
            why.unwrap_or_default()
        ));
    }
    let changes = at(said, "/changes").as_array().map(Vec::as_slice).unwrap_or_default();
    if changes.is_empty() {
        output::line("would change: nothing");
    }
    for change in changes {
        for line in lines(change) {
            output::line(line);
        }
    }
    eprintln!("nothing was changed: this was a dry run");
}

fn lines(change: &Value) -> Vec<String> {
    let subject = at(change, "/subject");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = at(subject, "/name").as_str().map(|name| format!(" '{name}'")).unwrap_or_default();
    let mut lines = vec![format!(
        "{}: {}{name} ({})",
        text(at(change, "/action")),
        text(at(subject, "/type")),
        text(at(subject, "/id"))
    )];
    let (before, after) = (at(change, "/before"), at(change, "/after"));
    if after.is_object() {
        let keys = |document: &Value| -> Vec<String> {
            document.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect()
        };
        let mut all = keys(before);
        all.extend(keys(after).into_iter().filter(|key| before.get(key).is_none()));
        for key in all.iter().filter(|key| key.as_str() != "schemas") {
            let (old, new) = (before.get(key), after.get(key));
            if old != new {
                lines.push(format!("  {key}: {} -> {}", shown(old), shown(new)));
            }
        }
    }
    let more = |list: &str| {
        let more = at(change, &format!("/more/{list}")).as_u64().unwrap_or(0);
        usize::try_from(more).unwrap_or(usize::MAX)
    };
    for (list, word) in [("added", "adds"), ("removed", "removes")] {
        lines.extend(
            named_list(at(change, &format!("/members/{list}")), more(list))
                .map(|all| format!("  {word} {all}")),
        );
    }
    if let Some(skipped) = at(change, "/members/skipped").as_array() {
        let count = skipped.len().saturating_add(more("skipped"));
        lines.push(format!("  passes over {count} unknown members"));
    }
    lines.extend(
        named_list(at(change, "/teams"), more("teams")).map(|all| format!("  leaves {all}")),
    );
    if let Some(sessions) = at(change, "/sessionsEnded").as_array() {
        lines.push(format!("  ends {} sessions", sessions.len()));
    }
    if let Some(reason) = at(change, "/reason").as_str() {
        lines.push(format!("  {reason}"));
    }
    lines
}

/// What stands at a place; null where nothing does.
fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    value.pointer(place).unwrap_or(&Value::Null)
}

/// Names in a line, as far as it is not too long; `more` are not in the list.
fn named_list(list: &Value, more: usize) -> Option<String> {
    let list = list.as_array().filter(|list| !list.is_empty() || more > 0)?;
    let name = |one: &Value| {
        at(one, "/name").as_str().or(at(one, "/id").as_str()).unwrap_or("?").to_owned()
    };
    let text = list.iter().take(MOST).map(name).collect::<Vec<_>>().join(", ");
    let rest = list.len().saturating_sub(MOST).saturating_add(more);
    if list.is_empty() {
        return Some(format!("{more} of whom no names are told"));
    }
    Some(if rest > 0 { format!("{text} and {rest} more") } else { text })
}

fn shown(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let mut cut: String = text.chars().take(LONGEST).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_by_what_differs() {
        let change = json!({
            "action": "updated",
            "subject": { "type": "user", "id": "1", "name": "ann" },
            "before": { "schemas": ["x"], "userName": "ann", "title": "Boss", "active": true },
            "after": { "schemas": ["y"], "userName": "ann", "active": false, "nickName": "a" },
            "sessionsEnded": [{}, {}],
        });
        assert_eq!(
            lines(&change),
            [
                "updated: user 'ann' (1)",
                "  title: Boss -> -",
                "  active: true -> false",
                "  nickName: - -> a",
                "  ends 2 sessions",
            ]
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let list: Value = (0..25).map(|n| json!({ "id": n.to_string(), "name": null })).collect();
        let text = named_list(&list, 0).expect("a list");
        assert!(text.starts_with("0, 1, ") && text.ends_with("19 and 5 more"), "{text}");
        let text = named_list(&list, 7).expect("a list");
        assert!(text.ends_with("19 and 12 more"), "{text}");
        assert_eq!(named_list(&json!([]), 0), None);
        assert_eq!(named_list(&json!([]), 7).expect("a line"), "7 of whom no names are told");
    }
}
