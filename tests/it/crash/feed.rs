//! A follower of the feed, who knows nothing but the events: what it has in the end is to be what
//! the server has.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::client::Client;

/// What the events have said of one user or team.
#[derive(Debug, Default)]
pub struct Followed {
    /// The latest `after`; null once it is deleted.
    pub attributes: Value,
    pub members: BTreeSet<String>,
    /// How often it has changed: its version.
    pub steps: u64,
    /// Every `after` there was, in order; null for the deletion.
    pub history: Vec<Value>,
}

/// Everything that the events have said.
#[derive(Debug, Default)]
pub struct Replica {
    /// The position of the last event.
    position: u64,
    pub users: BTreeMap<String, Followed>,
    pub teams: BTreeMap<String, Followed>,
}

impl Replica {
    pub fn events(&self) -> u64 {
        self.position
    }

    /// Reads on to the end of the feed.
    pub async fn follow(&mut self, client: &Client) {
        loop {
            let path = format!("/api/v1/events?count=1000&after={}", self.position);
            let page = client.read(&path).await.expect("a page");
            let events = page["events"].as_array().expect("events");
            if events.is_empty() {
                return;
            }
            for event in events {
                self.position += 1;
                assert_eq!(event["cursor"], self.position.to_string(), "no gap, nothing twice");
                self.apply(event);
            }
        }
    }

    fn apply(&mut self, event: &Value) {
        let id = event["subject"]["id"].as_str().expect("an id").to_owned();
        let (action, data) = (event["action"].as_str().expect("an action"), &event["data"]);
        match event["subject"]["type"].as_str() {
            Some("user") => {
                let user = self.users.entry(id.clone()).or_default();
                user.change(data, event);
                if action == "deleted" {
                    let left: Vec<String> =
                        serde_json::from_value(data["teams"].clone()).expect("teams");
                    self.leave(&id, left.into_iter().collect());
                }
            }
            Some("team") => {
                let team = self.teams.entry(id).or_default();
                team.change(data, event);
                for gone in texts(&data["members"]["removed"]) {
                    assert!(team.members.remove(&gone), "was no member: {event}");
                }
                for new in texts(&data["members"]["added"]) {
                    assert!(team.members.insert(new), "was a member already: {event}");
                }
                if action == "deleted" {
                    assert!(team.members.is_empty(), "some were not named: {event}");
                }
            }
            _ => {}
        }
    }

    /// Takes a deleted user out of the teams, each of which changes by it.
    fn leave(&mut self, user: &str, mut left: BTreeSet<String>) {
        for (id, team) in &mut self.teams {
            if team.members.remove(user) {
                assert!(left.remove(id), "the deletion of {user} does not name the team {id}");
                team.steps += 1;
            }
        }
        assert!(left.is_empty(), "{user} was in no such teams: {left:?}");
    }

    /// Holds what the server shows, or that it shows nothing, against what the events have said.
    pub fn compare(of: &BTreeMap<String, Followed>, id: &str, shown: Option<&Value>) {
        let followed = of.get(id);
        let Some(shown) = shown else {
            let gone = followed.is_none_or(|followed| followed.attributes.is_null());
            assert!(gone, "{id} is not there, and no event says so: {followed:?}");
            return;
        };
        let followed = followed.unwrap_or_else(|| panic!("no event has made {id}"));
        assert_eq!(attributes(shown), attributes(&followed.attributes), "{id}");
        assert_eq!(members(shown), followed.members, "the members of {id}");
        assert_eq!(version(shown), followed.steps, "the version of {id}");
    }
}

impl Followed {
    fn change(&mut self, data: &Value, event: &Value) {
        self.steps += 1;
        if let Some(before) = data.get("before") {
            assert_eq!(*before, self.attributes, "it does not begin where the last ended: {event}");
        }
        let after = data.get("after").cloned();
        if after.is_some() || event["action"] == "deleted" {
            self.attributes = after.unwrap_or_default();
            self.history.push(self.attributes.clone());
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What a client manages of a resource.
fn attributes(resource: &Value) -> Map<String, Value> {
    let mut map = resource.as_object().cloned().unwrap_or_default();
    for of_the_server in ["schemas", "id", "meta", "groups", "members"] {
        map.shift_remove(of_the_server);
    }
    map
}

/// The ids of a group's members.
pub fn members(group: &Value) -> BTreeSet<String> {
    let none = json!([]);
    let listed = group.get("members").unwrap_or(&none).as_array().expect("a list");
    listed.iter().map(|member| member["value"].as_str().expect("an id").to_owned()).collect()
}

/// The number in `W/"3-0123456789abcdef"`.
fn version(resource: &Value) -> u64 {
    let tag = resource["meta"]["version"].as_str().expect("a version");
    let number = tag.trim_start_matches("W/\"").trim_end_matches('"').split('-').next();
    number.and_then(|number| number.parse().ok()).expect("a number")
}
