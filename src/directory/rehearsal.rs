//! What a rehearsed write would change, in words and names: from the events that it would have left.
//!
//! The write itself is the one of its endpoint, in a transaction that is rolled back
//! ([`crate::db::rehearsal`]); here it is looked at just before.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
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

/// The lists of ids in an event, each by its name and where it is.
const LISTS: [(&str, &str); 4] = [
    ("added", "/members/added"),
    ("removed", "/members/removed"),
    ("skipped", "/members/skipped"),
    ("teams", "/teams"),
];
/// So many entries of such lists are told of all changes together: each is looked up, and takes some
/// hundred bytes more than its id.
const MOST_LISTED: usize = 10_000;

/// Sees what a rehearsed write of a connection does.
#[derive(Debug)]
pub struct Changes {
    connection: Arc<Connection>,
    /// UTC microseconds.
    now: i64,
    seen: Mutex<Vec<Box<RawValue>>>,
}

impl Changes {
    /// Nothing was seen yet.
    pub fn new(connection: Arc<Connection>, now: i64) -> Self {
        Self { connection, now, seen: Mutex::default() }
    }

    /// What was seen, an object for each event: `action`, `subject`, and what the event says, with the
    /// names of users and teams beside their ids. Of lists that are too long `more` says how many are
    /// left out.
    pub fn take(&self) -> Vec<Box<RawValue>> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Witness for Changes {
    fn look(&self, conn: &mut Conn, told: Told) -> Result<(), StoreError> {
        // As JSON in memory an event takes several times what it takes as text, so it is read once for
        // the names and once more to be told, and there is never more than one.
        let mut names = Names::of(conn, &self.connection, &told.events)?;
        let mut sessions = told.sessions;
        sessions.retain(|row| row.expires_at > self.now && self.now - row.last_seen_at < IDLE);
        let mut seen = Vec::new();
        for event in told.events {
            let data: Value = serde_json::from_str(&event.data)?;
            // Of several events about one user the first tells of the sessions.
            let ended: Vec<SessionRow> = sessions
                .extract_if(.., |row| event.subject == "user" && row.user_id == event.subject_id)
                .collect();
            let change = change(&event, data, &ended, &mut names);
            seen.push(serde_json::value::to_raw_value(&change)?);
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }
}

/// How users, teams and the connection are called, by id.
#[derive(Debug)]
struct Names {
    names: BTreeMap<String, String>,
    /// How many entries of lists may still be told.
    left: usize,
}

impl Names {
    fn of(
        conn: &mut Conn,
        connection: &Connection,
        events: &[ToldEvent],
    ) -> Result<Self, StoreError> {
        let (mut users, mut teams) = (BTreeSet::new(), BTreeSet::new());
        let mut names = BTreeMap::new();
        let mut left = MOST_LISTED;
        for event in events {
            let data: Value = serde_json::from_str(&event.data)?;
            match event.subject.as_str() {
                "user" => drop(users.insert(event.subject_id.clone())),
                "team" => drop(teams.insert(event.subject_id.clone())),
                _ => {}
            }
            for (list, path) in LISTS {
                let Some(ids) = data.pointer(path).and_then(Value::as_array) else { continue };
                let told = ids.iter().take(left).filter_map(Value::as_str).map(str::to_owned);
                match list {
                    "teams" => teams.extend(told),
                    "skipped" => {}
                    _ => users.extend(told),
                }
                left = left.saturating_sub(ids.len());
            }
            // What is gone in the end had a name.
            for key in ["before", "after"] {
                let document = data.get(key);
                let name = ["userName", "displayName"]
                    .iter()
                    .find_map(|name| document?.get(name)?.as_str().map(str::to_owned));
                names.extend(name.map(|name| (event.subject_id.clone(), name)));
            }
        }
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let teams: Vec<&str> = teams.iter().map(String::as_str).collect();
        names.extend(user_names(conn, &connection.id, &users)?);
        names.extend(team_names(conn, &connection.id, &teams)?);
        names.insert(connection.id.clone(), connection.name.clone());
        Ok(Self { names, left: MOST_LISTED })
    }

    fn named(&self, id: &str) -> Value {
        json!({ "id": id, "name": self.names.get(id) })
    }

    /// Cuts a list of an event to what may still be told, and names who is in it; says how many are
    /// left out.
    fn tell(&mut self, name: &str, list: &mut Vec<Value>) -> usize {
        let more = list.len().saturating_sub(self.left);
        list.truncate(self.left);
        self.left -= list.len();
        if name != "skipped" {
            for id in list {
                *id = self.named(id.as_str().unwrap_or_default());
            }
        }
        more
    }
}

fn change(event: &ToldEvent, mut data: Value, ended: &[SessionRow], names: &mut Names) -> Value {
    let mut more = Map::new();
    for (name, path) in LISTS {
        if let Some(list) = data.pointer_mut(path).and_then(Value::as_array_mut) {
            let left_out = names.tell(name, list);
            if left_out > 0 {
                more.insert(name.to_owned(), left_out.into());
            }
        }
    }
    let mut change = Map::new();
    change.insert("action".to_owned(), event.action.as_str().into());
    let subject = json!({
        "type": event.subject,
        "id": event.subject_id,
        "name": names.names.get(&event.subject_id),
    });
    change.insert("subject".to_owned(), subject);
    if let Value::Object(data) = data {
        change.extend(data);
    }
    if !more.is_empty() {
        change.insert("more".to_owned(), more.into());
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
pub fn to_json(status: u16, response: Option<Value>, changes: &[Box<RawValue>]) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_long_lists_the_beginning_is_told_and_how_many_more_there_are() {
        let event = |action: &str| ToldEvent {
            action: action.to_owned(),
            subject: "team".to_owned(),
            subject_id: "t".to_owned(),
            data: String::new(),
        };
        let ids =
            |count: usize| (0..count).map(|id| Value::from(id.to_string())).collect::<Value>();
        let mut names =
            Names { names: [("0".to_owned(), "ann".to_owned())].into(), left: MOST_LISTED };
        let data = json!({ "members": { "added": ids(3), "skipped": ids(1) } });
        let first = change(&event("updated"), data, &[], &mut names);
        assert_eq!(first["members"]["added"][0], json!({ "id": "0", "name": "ann" }));
        assert_eq!((&first["members"]["skipped"], first.get("more")), (&json!(["0"]), None));
        let data = json!({ "members": { "removed": ids(MOST_LISTED) }, "roles": [] });
        let second = change(&event("deleted"), data, &[], &mut names);
        let told = second["members"]["removed"].as_array().map(Vec::len);
        assert_eq!((told, &second["more"]), (Some(MOST_LISTED - 4), &json!({ "removed": 4 })));
        let third = change(&event("deleted"), json!({ "teams": ids(2) }), &[], &mut names);
        assert_eq!((&third["teams"], &third["more"]), (&json!([]), &json!({ "teams": 2 })));
    }
}
