//! The provisioning half of the provider: what has changed waits until it is pushed, and is then
//! pushed as it is at that moment, the way Okta and Entra ID do it.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use muster::db::Db;
use serde_json::{Value, json};

use super::dump::Dump;
use super::history::{How, Setup};
use super::org::{Group, Org, Person};
use crate::support::{Answer, ScimClient, patch_body};

/// Somebody or some group that has to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    Person(usize),
    Group(usize),
}

/// What a push came to.
#[derive(Debug)]
pub enum Outcome {
    /// The server's resource of that id is as it should be.
    Linked(String),
    /// Nothing of the server's is linked any more.
    Unlinked,
    Nothing,
    /// Refused for now; the job stays, as it would in Okta's list of tasks.
    Conflict(String),
}

/// The client.
pub struct Okta {
    pub scim: ScimClient,
    pub db: Db,
    pub connection_id: String,
    pub setup: Setup,
    pub waiting: BTreeSet<Job>,
    /// Ids of the server's users and groups, as far as they are known.
    people: BTreeMap<usize, String>,
    groups: BTreeMap<usize, String>,
    /// Ids of the members that were pushed last.
    members: BTreeMap<usize, BTreeSet<String>>,
    /// Why something could not be pushed.
    pub conflict: Option<String>,
    /// Whether something was deleted.
    pub has_deleted: bool,
}

impl Okta {
    pub fn new(scim: ScimClient, db: Db, connection_id: String, setup: Setup) -> Self {
        Self {
            scim,
            db,
            connection_id,
            setup,
            waiting: BTreeSet::new(),
            people: BTreeMap::new(),
            groups: BTreeMap::new(),
            members: BTreeMap::new(),
            conflict: None,
            has_deleted: false,
        }
    }

    /// Pushes what a job is about.
    pub async fn push(&self, org: &Org, job: Job, how: How) -> Result<Outcome, String> {
        let attempt = async |how| match job {
            Job::Person(person) => self.push_person(org, person, how).await,
            Job::Group(group) => self.push_group(org, group, how).await,
        };
        if how == How::AnswerLost {
            // The client does not learn of the first one, and begins again as if it had not been.
            attempt(How::Once).await?;
            return attempt(How::Once).await;
        }
        attempt(how).await
    }

    /// Remembers what a push came to.
    pub fn note(&mut self, org: &Org, job: Job, outcome: Outcome) {
        match &outcome {
            Outcome::Conflict(text) => self.conflict = Some(text.clone()),
            _ => {
                self.waiting.remove(&job);
            }
        }
        match (job, outcome) {
            (Job::Person(person), Outcome::Linked(id)) => {
                self.people.retain(|_, other| *other != id);
                if org.people[person].is_assigned() || !self.setup.forgets {
                    self.people.insert(person, id);
                }
                // Members are pushed once they are there.
                let holds = |number: &usize| org.groups[*number].members.contains(&person);
                let pushed = (0..org.groups.len()).filter(holds).filter(|n| org.groups[*n].pushed);
                self.waiting.extend(pushed.map(Job::Group));
            }
            (Job::Person(person), Outcome::Unlinked) => {
                self.has_deleted |= self.people.remove(&person).is_some();
            }
            (Job::Group(group), Outcome::Linked(id)) => {
                self.members.insert(group, self.members_of(org, group));
                self.groups.insert(group, id);
            }
            (Job::Group(group), Outcome::Unlinked) => {
                self.has_deleted |= self.groups.remove(&group).is_some();
                self.members.remove(&group);
            }
            (_, Outcome::Nothing | Outcome::Conflict(_)) => {}
        }
    }

    /// Ids of the members who are pushed: those who are assigned and there.
    fn members_of(&self, org: &Org, group: usize) -> BTreeSet<String> {
        let members = org.groups[group].members.iter();
        members
            .filter(|person| org.people[**person].is_assigned())
            .filter_map(|person| self.people.get(person).cloned())
            .collect()
    }

    async fn push_person(&self, org: &Org, person: usize, how: How) -> Result<Outcome, String> {
        let who = &org.people[person];
        let mut known = match self.people.get(&person) {
            Some(id) => self.read(&format!("/Users/{id}")).await?,
            None => None,
        };
        if !who.is_assigned() {
            let Some(user) = known else { return Ok(Outcome::Unlinked) };
            return self.deprovision(&user, how).await;
        }
        if known.is_none() && self.setup.looks_up {
            known = self.look_up("/Users", "userName", &who.login).await?;
        }
        let Some(user) = known else {
            let answer = self.write("POST", "/Users", &self.profile(who), how).await?;
            if answer.status == 409
                && let Some(user) = self.look_up("/Users", "userName", &who.login).await?
                && (!self.setup.external_ids || user["externalId"] == who.id.as_str())
            {
                // It was there already: the answer to an earlier attempt was lost.
                return self.update(who, user, how).await;
            }
            return outcome(answer, 201);
        };
        self.update(who, user, how).await
    }

    async fn update(&self, who: &Person, user: Value, how: How) -> Result<Outcome, String> {
        let path = format!("/Users/{}", id_of(&user));
        let answer = if self.setup.patches {
            let body = patch_body(json!([{ "op": "replace", "value": self.profile(who) }]));
            self.write("PATCH", &path, &body, how).await?
        } else {
            let mut body = user;
            overlay(&mut body, self.profile(who));
            self.write("PUT", &path, &body, how).await?
        };
        outcome(answer, 200)
    }

    async fn deprovision(&self, user: &Value, how: How) -> Result<Outcome, String> {
        let path = format!("/Users/{}", id_of(user));
        if self.setup.deletes {
            self.write("DELETE", &path, &Value::Null, how).await?;
            return Ok(Outcome::Unlinked);
        }
        let answer = if self.setup.patches {
            let body = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
            self.write("PATCH", &path, &body, how).await?
        } else {
            let mut body = user.clone();
            body["active"] = false.into();
            self.write("PUT", &path, &body, how).await?
        };
        outcome(answer, 200)
    }

    fn profile(&self, who: &Person) -> Value {
        let mut profile = json!({
            "userName": who.login,
            "displayName": who.name(),
            "active": true,
        });
        if self.setup.external_ids {
            profile["externalId"] = who.id.as_str().into();
        }
        profile
    }

    async fn push_group(&self, org: &Org, group: usize, how: How) -> Result<Outcome, String> {
        let what = &org.groups[group];
        let mut known = match self.groups.get(&group) {
            Some(id) => self.read(&format!("/Groups/{id}")).await?,
            None => None,
        };
        if !what.pushed {
            let Some(team) = known else { return Ok(Outcome::Unlinked) };
            let path = format!("/Groups/{}", id_of(&team));
            self.write("DELETE", &path, &Value::Null, how).await?;
            return Ok(Outcome::Unlinked);
        }
        if known.is_none() {
            known = self.look_up("/Groups", "displayName", &what.name).await?;
        }
        let members = self.members_of(org, group);
        let listed: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let Some(team) = known else {
            let mut body = json!({ "displayName": what.name, "members": listed });
            overlay(&mut body, self.group_id(what));
            return outcome(self.write("POST", "/Groups", &body, how).await?, 201);
        };
        let (id, path) = (id_of(&team), format!("/Groups/{}", id_of(&team)));
        if !self.setup.patches {
            let mut body = json!({ "id": id, "displayName": what.name, "members": listed });
            overlay(&mut body, self.group_id(what));
            return outcome(self.write("PUT", &path, &body, how).await?, 200);
        }
        let mut rename = json!({ "id": id, "displayName": what.name });
        overlay(&mut rename, self.group_id(what));
        let mut operations = vec![json!({ "op": "replace", "value": rename })];
        match self.members.get(&group) {
            Some(before) => {
                for gone in before.difference(&members) {
                    let path = format!("members[value eq \"{gone}\"]");
                    operations.push(json!({ "op": "remove", "path": path }));
                }
                let new: Vec<Value> =
                    members.difference(before).map(|id| json!({ "value": id })).collect();
                if !new.is_empty() {
                    operations.push(json!({ "op": "add", "path": "members", "value": new }));
                }
            }
            None => operations.push(json!({ "op": "replace", "path": "members", "value": listed })),
        }
        outcome(self.write("PATCH", &path, &patch_body(operations.into()), how).await?, 200)
    }

    fn group_id(&self, what: &Group) -> Value {
        if self.setup.claims_ids { json!({ "externalId": what.id }) } else { json!({}) }
    }

    async fn read(&self, path: &str) -> Result<Option<Value>, String> {
        let answer = self.scim.get(path).await;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 => Ok(None),
            _ => Err(unexpected(&answer)),
        }
    }

    async fn look_up(&self, path: &str, key: &str, value: &str) -> Result<Option<Value>, String> {
        let found = self.scim.find(path, &format!("{key} eq \"{value}\"")).await;
        match found.as_slice() {
            [] => Ok(None),
            [one] => self.read(&format!("{path}/{}", id_of(one))).await,
            _ => Err(format!("several have the {key} {value}")),
        }
    }

    async fn write(
        &self,
        method: &str,
        path: &str,
        body: &Value,
        how: How,
    ) -> Result<Answer, String> {
        let send = async || {
            if method == "DELETE" {
                self.scim.delete(path).await
            } else {
                self.scim.with_body(method, path, body).await
            }
        };
        let (first, second) = match how {
            How::Once | How::AnswerLost => (send().await, None),
            How::Twice => {
                let first = send().await;
                let before = Dump::read(&self.db, &self.connection_id).await;
                let second = send().await;
                if Dump::read(&self.db, &self.connection_id).await != before {
                    return Err(format!("(v) {method} {path} changed something when repeated"));
                }
                (first, Some(second))
            }
            How::TwiceAtOnce => {
                let (first, second) = join(send(), send()).await;
                // Which of them came first, only the answers tell.
                let second_is_first = first.status >= 400 && second.status < 400;
                if second_is_first { (second, Some(first)) } else { (first, Some(second)) }
            }
        };
        if let Some(second) = second {
            let repeated = match method {
                "POST" => second.status == 409,
                "DELETE" => second.status == 404,
                _ => second.status == first.status,
            };
            if first.status < 400 && !repeated {
                return Err(format!("repeated: {}", unexpected(&second)));
            }
        }
        Ok(first)
    }
}

fn overlay(body: &mut Value, attributes: Value) {
    if let (Value::Object(body), Value::Object(attributes)) = (body, attributes) {
        body.extend(attributes);
    }
}

fn id_of(resource: &Value) -> String {
    resource["id"].as_str().unwrap_or_default().to_owned()
}

fn outcome(answer: Answer, success: u16) -> Result<Outcome, String> {
    match answer.status {
        status if status == success => Ok(Outcome::Linked(answer.id())),
        // What was deleted meanwhile is looked up anew by the next attempt.
        404 | 409 => Ok(Outcome::Conflict(answer.text)),
        _ => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> String {
    format!("{} answered {} {}", answer.request, answer.status, answer.text)
}
