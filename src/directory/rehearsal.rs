//! What a rehearsed write would change, in words and names: from the events that it would have left.
//!
//! The write itself is the one of its endpoint, in a transaction that is rolled back
//! ([`crate::db::rehearsal`]); here it is looked at just before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::bulk;
use super::sessions::IDLE;
use super::{Connection, Context, DirectoryError, brake};
use crate::clock::rfc3339;
use crate::db::rehearsal::{Told, ToldEvent, Witness, is_too_large, step, team_names, user_names};
use crate::db::sessions::SessionRow;
use crate::db::{Conn, StoreError};
use crate::scim::ScimError;
use crate::scim::bulk::{Broken, Job, Run};
use crate::scim::schema::Registry;

/// How long a rehearsed job may keep others from writing.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What stands for a list of members in an event.
const LISTS: [&str; 2] = ["added", "removed"];

/// Sees what a rehearsed write of a connection does.
#[derive(Debug)]
pub struct Changes {
    connection: Arc<Connection>,
    /// UTC microseconds.
    now: i64,
    seen: Mutex<Vec<Value>>,
}

impl Changes {
    /// Nothing was seen yet.
    pub fn new(connection: Arc<Connection>, now: i64) -> Self {
        Self { connection, now, seen: Mutex::default() }
    }

    /// What was seen, an object for each event: `action`, `subject`, and what the event says, with the
    /// names of users and teams beside their ids.
    pub fn take(&self) -> Vec<Value> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Witness for Changes {
    fn look(&self, conn: &mut Conn, told: Told) -> Result<(), StoreError> {
        let events: Vec<(ToldEvent, Value)> = told
            .events
            .into_iter()
            .map(|event| {
                let data = serde_json::from_str(&event.data)?;
                Ok((event, data))
            })
            .collect::<Result<_, StoreError>>()?;
        let names = Names::of(conn, &self.connection, &events)?;
        let mut sessions = told.sessions;
        sessions.retain(|row| row.expires_at > self.now && self.now - row.last_seen_at < IDLE);
        let changes = events.iter().map(|(event, data)| {
            // Of several events about one user the first tells of the sessions.
            let ended: Vec<SessionRow> = sessions
                .extract_if(.., |row| event.subject == "user" && row.user_id == event.subject_id)
                .collect();
            change(event, data, &ended, &names)
        });
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = changes.collect();
        Ok(())
    }
}

/// How users, teams and the connection are called, by id.
#[derive(Debug, Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(
        conn: &mut Conn,
        connection: &Connection,
        events: &[(ToldEvent, Value)],
    ) -> Result<Self, StoreError> {
        let (mut users, mut teams) = (Vec::new(), Vec::new());
        let mut names = BTreeMap::new();
        for (event, data) in events {
            match event.subject.as_str() {
                "user" => users.push(event.subject_id.as_str()),
                "team" => teams.push(event.subject_id.as_str()),
                _ => {}
            }
            for list in LISTS {
                users.extend(texts(data.pointer(&format!("/members/{list}"))));
            }
            teams.extend(texts(data.get("teams")));
            // What is gone in the end had a name.
            for key in ["before", "after"] {
                let document = data.get(key);
                let name = ["userName", "displayName"]
                    .iter()
                    .find_map(|name| document?.get(name)?.as_str().map(str::to_owned));
                names.extend(name.map(|name| (event.subject_id.clone(), name)));
            }
        }
        for ids in [&mut users, &mut teams] {
            ids.sort_unstable();
            ids.dedup();
        }
        names.extend(user_names(conn, &connection.id, &users)?);
        names.extend(team_names(conn, &connection.id, &teams)?);
        names.insert(connection.id.clone(), connection.name.clone());
        Ok(Self(names))
    }

    fn named(&self, id: &str) -> Value {
        json!({ "id": id, "name": self.0.get(id) })
    }

    /// The ids of a list, each with its name.
    fn each(&self, list: &Value) -> Value {
        texts(Some(list)).map(|id| self.named(id)).collect()
    }
}

fn texts(list: Option<&Value>) -> impl Iterator<Item = &str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn change(event: &ToldEvent, data: &Value, ended: &[SessionRow], names: &Names) -> Value {
    let mut change = Map::new();
    change.insert("action".to_owned(), event.action.as_str().into());
    let subject = json!({
        "type": event.subject,
        "id": event.subject_id,
        "name": names.0.get(&event.subject_id),
    });
    change.insert("subject".to_owned(), subject);
    for (key, value) in data.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "members" => {
                let mut members = value.clone();
                for list in LISTS {
                    if let Some(ids) = members.get_mut(list) {
                        *ids = names.each(ids);
                    }
                }
                members
            }
            "teams" => names.each(value),
            _ => value.clone(),
        };
        change.insert(key.clone(), value);
    }
    if !ended.is_empty() {
        let ended = ended.iter().map(|row| {
            json!({
                "id": row.id,
                "createdAt": rfc3339(row.created_at),
                "lastSeenAt": rfc3339(row.last_seen_at),
            })
        });
        change.insert("sessionsEnded".to_owned(), ended.collect());
    }
    change.into()
}

/// The `schemas` value of what is said of a dry run.
pub const DRY_RUN_SCHEMA: &str = "urn:ietf:params:scim:api:messages:muster:2.0:DryRun";

/// What is said of a dry run: the status and the body of the answer to the real request, and what that
/// would change.
pub fn to_json(status: u16, response: Option<Value>, changes: &[Value]) -> Value {
    json!({
        "schemas": [DRY_RUN_SCHEMA],
        "status": status,
        "response": response.unwrap_or_default(),
        "changes": changes,
    })
}

/// Carries out a bulk job within one transaction, each of its steps on its own as if it had one of its
/// own, so that what refers to an earlier step finds it. The transaction is for the caller to roll back.
///
/// # Errors
/// The store's, or it takes longer than `patience` allows.
pub fn bulk_job(
    conn: &mut Conn,
    context: &Context,
    registry: &Registry,
    job: Job,
    patience: Duration,
) -> Result<Run, StoreError> {
    let begun = Instant::now();
    let mut run = Run::new(job);
    while let Some(next) = run.next(registry) {
        if is_too_large() || begun.elapsed() > patience {
            return Err(StoreError::LargeRehearsal);
        }
        match step(conn, |conn| bulk::carry_out(conn, context, registry, &next)) {
            Ok(done) => run.succeed(done),
            Err(Broken { place, error }) => {
                let error = match error {
                    DirectoryError::Store(error) => return Err(error),
                    DirectoryError::Refused(error) => error,
                    DirectoryError::Held(held) => {
                        if !held.is_on() {
                            // What comes after finds it on.
                            brake::put_on(conn, context, &held)?;
                        }
                        ScimError::new(429, held.to_string())
                    }
                };
                run.fail(&next.places(), &Broken { place, error });
            }
        }
    }
    Ok(run)
}
