//! A client that writes, one request after the other, and keeps a log of what it sent and what was
//! acknowledged. What it writes is its own, so it knows what has to be there.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::client::{Client, Outcome};
use super::feed::{Replica, members};
use crate::support::patch_body;

/// How many users a writer has at least before it does anything else, so that a group can have ten.
const ENOUGH: usize = 14;
const MEMBERS: usize = 10;
const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// A state of a resource; `None` while it is not there.
type State = Option<Value>;

/// One user or group.
#[derive(Debug, Default)]
struct Known {
    id: Option<String>,
    /// What it is found by, as long as there is no id.
    key: String,
    /// The state that was acknowledged last.
    sure: State,
    /// The state that was sent since, and whether that was acknowledged.
    sent: Option<(State, bool)>,
    /// Every state that has come to be, in order.
    history: Vec<Value>,
    /// Whether it was written to since it was last looked at.
    touched: bool,
}

impl Known {
    fn settle(&mut self, state: State) {
        self.history.push(state.clone().unwrap_or_default());
        self.sure = state;
        self.sent = None;
    }

    fn acknowledge(&mut self) {
        if let Some((state, _)) = self.sent.take() {
            self.settle(state);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    User(usize),
    Group(usize),
}

/// One write: of what, to which state, by which request.
struct Write {
    place: Place,
    state: State,
    method: &'static str,
    body: Option<Value>,
}

/// What the log of a writer amounts to.
#[derive(Debug, Default, Clone)]
pub struct Tally {
    pub acknowledged: u64,
    /// Not acknowledged, and found carried out.
    pub applied: u64,
    /// Not acknowledged, and found not carried out.
    pub dropped: u64,
    /// Acknowledged, and not there.
    pub lost: Vec<String>,
    /// Neither as before nor as sent.
    pub half_done: Vec<String>,
}

/// What is told of each request that is sent and each write that is acknowledged.
pub trait Progress {
    fn sent(&self);
    fn acknowledged(&self, writes: u64);
}

pub struct Writer {
    name: String,
    random: StdRng,
    /// Makes every state one of its own.
    counter: u64,
    users: Vec<Known>,
    groups: Vec<Known>,
    pub tally: Tally,
}

impl Writer {
    pub fn new(number: u64) -> Self {
        Self {
            name: format!("w{number}"),
            random: StdRng::seed_from_u64(number),
            counter: 0,
            users: Vec::new(),
            groups: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Writes until something is not acknowledged: the server, or its database, has gone.
    pub async fn write(&mut self, client: &Client, progress: &impl Progress) {
        loop {
            let writes = self.next();
            for write in &writes {
                let known = self.known(write.place);
                known.sent = Some((write.state.clone(), false));
                known.touched = true;
            }
            progress.sent();
            let (before, places) = (self.tally.acknowledged, writes.len());
            let went_on = match &writes[..] {
                [write] => self.send(client, write).await,
                _ => self.send_together(client, &writes).await,
            };
            assert!(!went_on || self.tally.acknowledged == before + places as u64);
            progress.acknowledged(self.tally.acknowledged - before);
            if !went_on {
                return;
            }
        }
    }

    fn known(&mut self, place: Place) -> &mut Known {
        match place {
            Place::User(index) => &mut self.users[index],
            Place::Group(index) => &mut self.groups[index],
        }
    }

    /// The place of a new resource.
    fn new_place(&mut self, is_user: bool, key: String) -> Place {
        let list = if is_user { &mut self.users } else { &mut self.groups };
        list.push(Known { key, ..Known::default() });
        let index = list.len() - 1;
        if is_user { Place::User(index) } else { Place::Group(index) }
    }

    /// Sends one write; says whether it was acknowledged.
    async fn send(&mut self, client: &Client, write: &Write) -> bool {
        let path = self.path(write.place);
        let outcome = client.scim(write.method, &path, write.body.as_ref()).await;
        match outcome {
            Outcome::Answered { status: 200..=299, body, .. } => {
                self.acknowledge(write, body["id"].as_str());
                true
            }
            Outcome::Answered { status: 503, .. } | Outcome::Lost(_) => false,
            other @ Outcome::Answered { .. } => panic!("{} {path}: {other:?}", write.method),
        }
    }

    /// Sends several writes as one bulk request; says whether all were acknowledged.
    async fn send_together(&mut self, client: &Client, writes: &[Write]) -> bool {
        let operations: Vec<Value> = writes
            .iter()
            .enumerate()
            .map(|(number, write)| {
                let mut operation =
                    json!({ "method": write.method, "path": self.path(write.place) });
                if let Some(body) = &write.body {
                    operation["data"] = body.clone();
                }
                if write.method == "POST" {
                    operation["bulkId"] = format!("b{number}").into();
                }
                operation
            })
            .collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        let results = match client.scim("POST", "/Bulk", Some(&body)).await {
            // Cut off in the middle, it acknowledges nothing.
            Outcome::Answered { status: 200, body: Value::Null, .. }
            | Outcome::Answered { status: 503, .. }
            | Outcome::Lost(_) => return false,
            Outcome::Answered { status: 200, body, .. } => body["Operations"].clone(),
            other @ Outcome::Answered { .. } => panic!("POST /Bulk: {other:?}"),
        };
        let results = results.as_array().expect("results");
        assert_eq!(results.len(), writes.len(), "{results:?}");
        let mut all = true;
        for (write, result) in writes.iter().zip(results) {
            match result["status"].as_str() {
                Some("200" | "201" | "204") => {
                    let id = result["location"].as_str().and_then(|url| url.rsplit('/').next());
                    self.acknowledge(write, id);
                }
                Some("503") => all = false,
                _ => panic!("{} in bulk: {result}", write.method),
            }
        }
        all
    }

    fn acknowledge(&mut self, write: &Write, id: Option<&str>) {
        self.tally.acknowledged += 1;
        let known = self.known(write.place);
        if write.method == "POST" {
            let Some(id) = id else {
                // It was acknowledged, and the connection broke before the id had come.
                known.sent = known.sent.take().map(|(state, _)| (state, true));
                return;
            };
            known.id = Some(id.to_owned());
        }
        known.acknowledge();
    }

    fn path(&self, place: Place) -> String {
        let (endpoint, known) = match place {
            Place::User(index) => ("/Users", &self.users[index]),
            Place::Group(index) => ("/Groups", &self.groups[index]),
        };
        match &known.id {
            Some(id) => format!("{endpoint}/{id}"),
            None => endpoint.to_owned(),
        }
    }

    fn id(&self, user: usize) -> &str {
        self.users[user].id.as_deref().expect("a user that is there")
    }

    fn alive(list: &[Known]) -> Vec<usize> {
        (0..list.len())
            .filter(|&index| list[index].id.is_some() && list[index].sure.is_some())
            .collect()
    }

    fn some(&mut self, of: &[usize], count: usize) -> BTreeSet<usize> {
        let mut some = BTreeSet::new();
        while some.len() < count.min(of.len()) {
            some.insert(of[self.random.random_range(0..of.len())]);
        }
        some
    }

    fn fresh(&mut self) -> String {
        self.counter += 1;
        format!("{}-{}", self.name, self.counter)
    }

    /// What to do next. Several writes are for one bulk request.
    fn next(&mut self) -> Vec<Write> {
        let users = Self::alive(&self.users);
        let groups = Self::alive(&self.groups);
        if users.len() < ENOUGH {
            return vec![self.create_user()];
        }
        if groups.len() < 2 {
            return vec![self.create_group(&users)];
        }
        let user = users[self.random.random_range(0..users.len())];
        let group = groups[self.random.random_range(0..groups.len())];
        let write = match self.random.random_range(0..100) {
            0..20 => self.replace_user(user),
            20..42 => self.patch_user(user),
            42..54 => self.switch_user(user),
            54..60 => self.create_user(),
            60..66 => Write { place: Place::User(user), state: None, method: "DELETE", body: None },
            66..82 => self.patch_group(group, &users),
            82..90 => self.replace_group(group, &users),
            90..93 => {
                Write { place: Place::Group(group), state: None, method: "DELETE", body: None }
            }
            _ => {
                let chosen: Vec<usize> = self.some(&users, 3).into_iter().collect();
                return vec![
                    self.replace_user(chosen[0]),
                    self.create_user(),
                    self.patch_user(chosen[1]),
                    self.switch_user(chosen[2]),
                ];
            }
        };
        vec![write]
    }

    fn create_user(&mut self) -> Write {
        let fresh = self.fresh();
        let state = json!({
            "userName": fresh, "externalId": format!("x-{fresh}"), "displayName": fresh,
            "title": fresh, "nickName": fresh, "active": true,
        });
        let place = self.new_place(true, fresh);
        Write { place, method: "POST", body: Some(with_schema(&state)), state: Some(state) }
    }

    fn replace_user(&mut self, user: usize) -> Write {
        let fresh = self.fresh();
        let mut state = self.users[user].sure.clone().expect("a user that is there");
        for name in ["displayName", "title", "nickName"] {
            state[name] = fresh.as_str().into();
        }
        state["active"] = true.into();
        let body = Some(with_schema(&state));
        Write { place: Place::User(user), method: "PUT", body, state: Some(state) }
    }

    /// Three attributes, by three operations.
    fn patch_user(&mut self, user: usize) -> Write {
        let fresh = self.fresh();
        let mut state = self.users[user].sure.clone().expect("a user that is there");
        let mut operations = Vec::new();
        for name in ["displayName", "title", "nickName"] {
            state[name] = fresh.as_str().into();
            operations.push(json!({ "op": "replace", "path": name, "value": fresh }));
        }
        let body = Some(patch_body(operations.into()));
        Write { place: Place::User(user), method: "PATCH", body, state: Some(state) }
    }

    /// Deactivates the user, or brings it back.
    fn switch_user(&mut self, user: usize) -> Write {
        let mut state = self.users[user].sure.clone().expect("a user that is there");
        let active = state["active"] != true;
        state["active"] = active.into();
        let body = patch_body(json!([{ "op": "replace", "value": { "active": active } }]));
        Write { place: Place::User(user), method: "PATCH", body: Some(body), state: Some(state) }
    }

    fn listed(&self, members: &BTreeSet<usize>) -> Value {
        members.iter().map(|&member| json!({ "value": self.id(member) })).collect()
    }

    fn create_group(&mut self, users: &[usize]) -> Write {
        let (fresh, members) = (self.fresh(), self.some(users, MEMBERS));
        let body = json!({
            "displayName": fresh, "externalId": format!("x-{fresh}"),
            "members": self.listed(&members),
        });
        let state = json!({
            "displayName": fresh, "externalId": format!("x-{fresh}"), "members": members,
        });
        let place = self.new_place(false, fresh);
        Write { place, method: "POST", body: Some(body), state: Some(state) }
    }

    fn replace_group(&mut self, group: usize, users: &[usize]) -> Write {
        let (fresh, members) = (self.fresh(), self.some(users, MEMBERS));
        let mut state = self.groups[group].sure.clone().expect("a group that is there");
        state["displayName"] = fresh.into();
        let mut body = state.clone();
        body["members"] = self.listed(&members);
        state["members"] = json!(members);
        Write { place: Place::Group(group), method: "PUT", body: Some(body), state: Some(state) }
    }

    /// A new name, three who come and three who go, by one request.
    fn patch_group(&mut self, group: usize, users: &[usize]) -> Write {
        let fresh = self.fresh();
        let mut state = self.groups[group].sure.clone().expect("a group that is there");
        let held: BTreeSet<usize> =
            self.living(&serde_json::from_value(state["members"].clone()).expect("members"));
        let others: Vec<usize> =
            users.iter().copied().filter(|user| !held.contains(user)).collect();
        let come = self.some(&others, 3);
        let go = self.some(&held.iter().copied().collect::<Vec<_>>(), 3);
        let mut operations = vec![
            json!({ "op": "replace", "path": "displayName", "value": fresh }),
            json!({ "op": "add", "path": "members", "value": self.listed(&come) }),
        ];
        for &user in &go {
            let path = format!("members[value eq \"{}\"]", self.id(user));
            operations.push(json!({ "op": "remove", "path": path }));
        }
        let members: BTreeSet<usize> = held.union(&come).copied().collect();
        state["displayName"] = fresh.into();
        state["members"] = json!(members.difference(&go).collect::<Vec<_>>());
        let body = Some(patch_body(operations.into()));
        Write { place: Place::Group(group), method: "PATCH", body, state: Some(state) }
    }

    fn living(&self, members: &BTreeSet<usize>) -> BTreeSet<usize> {
        members.iter().copied().filter(|&member| self.users[member].sure.is_some()).collect()
    }

    /// Holds what a server that is back shows against the log: what was touched since the last
    /// time, or everything. Returns what is shown, by id.
    pub async fn check(&mut self, client: &Client, everything: bool) -> Vec<(Seen, Option<Value>)> {
        let mut seen = Vec::new();
        // Users first: who is gone is no member.
        let users = (0..self.users.len()).map(Place::User);
        for place in users.chain((0..self.groups.len()).map(Place::Group)) {
            let known = self.known(place);
            let wanted = everything || std::mem::take(&mut known.touched);
            // A group changes with its members, too.
            if !wanted && (matches!(place, Place::User(_)) || known.sure.is_none()) {
                continue;
            }
            let shown = self.look(client, place).await;
            self.judge(place, shown.as_ref());
            if let Some(id) = self.known(place).id.clone() {
                seen.push((Seen { is_user: matches!(place, Place::User(_)), id }, shown));
            }
        }
        seen
    }

    async fn look(&mut self, client: &Client, place: Place) -> Option<Value> {
        let path = format!("/scim/v2{}", self.path(place));
        let is_user = matches!(place, Place::User(_));
        let known = self.known(place);
        if known.id.is_some() {
            return client.read(&path).await;
        }
        let name = if is_user { "userName" } else { "displayName" };
        let filter: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", &format!("{name} eq \"{}\"", known.key))
            .finish();
        let found = client.read(&format!("{path}?{filter}")).await.expect("a list");
        let found = found["Resources"].as_array().cloned().unwrap_or_default();
        assert!(found.len() < 2, "twice: {found:?}");
        let shown = found.into_iter().next()?;
        known.id = shown["id"].as_str().map(str::to_owned);
        Some(shown)
    }

    fn judge(&mut self, place: Place, shown: Option<&Value>) {
        let is_user = matches!(place, Place::User(_));
        let state =
            shown.map(|shown| if is_user { user_state(shown) } else { self.group_state(shown) });
        let matches = |writer: &Self, expected: &State| match (expected, &state) {
            (Some(expected), Some(state)) if !is_user => {
                // Whoever was deleted is no member.
                let members = serde_json::from_value(expected["members"].clone());
                let mut expected = expected.clone();
                expected["members"] = json!(writer.living(&members.expect("members")));
                expected == *state
            }
            (expected, state) => expected == state,
        };
        let (sure, sent) = {
            let known = self.known(place);
            (known.sure.clone(), known.sent.clone())
        };
        match sent {
            Some((sent, acknowledged)) => {
                if matches(self, &sent) {
                    self.tally.applied += u64::from(!acknowledged);
                    self.known(place).settle(sent);
                } else if matches(self, &sure) {
                    self.tally.dropped += u64::from(!acknowledged);
                    if acknowledged {
                        self.tally.lost.push(format!("{sent:?}, found {state:?}"));
                    }
                    self.known(place).sent = None;
                } else {
                    self.tally.half_done.push(format!("{sure:?} to {sent:?}, found {state:?}"));
                }
            }
            None if matches(self, &sure) => {}
            None => self.tally.lost.push(format!("{sure:?}, found {state:?}")),
        }
    }

    fn group_state(&self, shown: &Value) -> Value {
        let ids = members(shown);
        let places: BTreeMap<&str, usize> = (0..self.users.len())
            .filter_map(|index| Some((self.users[index].id.as_deref()?, index)))
            .collect();
        let known: BTreeSet<usize> =
            ids.iter().filter_map(|id| places.get(id.as_str()).copied()).collect();
        assert_eq!(known.len(), ids.len(), "strangers are members: {shown}");
        json!({
            "displayName": shown["displayName"], "externalId": shown["externalId"],
            "members": known,
        })
    }

    /// Holds every state that has come to be against what the events tell of it.
    pub fn compare_history(&self, replica: &Replica) {
        for (list, of, name) in
            [(&self.users, &replica.users, "title"), (&self.groups, &replica.teams, "displayName")]
        {
            for known in list {
                let Some(id) = &known.id else {
                    assert!(known.history.is_empty(), "it has come to be without an id: {known:?}");
                    continue;
                };
                let told: Vec<Value> = of[id]
                    .history
                    .iter()
                    .map(|after| json!([after[name], after["active"]]))
                    .collect();
                let log: Vec<Value> = known
                    .history
                    .iter()
                    .map(|state| json!([state[name], state["active"]]))
                    .collect();
                assert_eq!(log, told, "what was acknowledged, and what the events tell of {id}");
            }
        }
    }
}

/// What was looked at.
#[derive(Debug)]
pub struct Seen {
    pub is_user: bool,
    pub id: String,
}

fn with_schema(state: &Value) -> Value {
    let mut body = state.clone();
    body["schemas"] = json!([SCHEMA]);
    body
}

/// What the writer writes of a user.
fn user_state(shown: &Value) -> Value {
    let names = ["userName", "externalId", "displayName", "title", "nickName", "active"];
    names
        .iter()
        .map(|&name| (name.to_owned(), shown[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
