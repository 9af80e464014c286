//! The organisation as its identity provider knows it: the truth that the store has to come to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::history::{Claim, Setup};

/// What the connection's groups filter is where there is one.
pub const FILTER: &str = "^app-";

/// Whether somebody is assigned to the SCIM app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    Never,
    Yes,
    NoLonger,
}

/// Somebody.
#[derive(Debug, Clone)]
pub struct Person {
    /// The provider's id: the subject of tokens, and the external id where one is pushed.
    pub id: String,
    pub login: String,
    pub revision: u32,
    pub assigned: Assigned,
    /// Has left; signs in no more.
    pub gone: bool,
}

impl Person {
    pub fn name(&self) -> String {
        format!("{}, revision {}", self.id, self.revision)
    }

    pub fn is_assigned(&self) -> bool {
        self.assigned == Assigned::Yes
    }
}

/// A group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The provider's id.
    pub id: String,
    pub name: String,
    pub pushed: bool,
    pub members: BTreeSet<usize>,
    /// Does not exist any more.
    pub gone: bool,
}

impl Group {
    /// What a claim calls it.
    pub fn claimed_as(&self, setup: Setup) -> &str {
        if setup.claims_ids { &self.id } else { &self.name }
    }
}

/// The organisation.
#[derive(Debug)]
pub struct Org {
    pub people: Vec<Person>,
    pub groups: Vec<Group>,
    names: u32,
}

impl Org {
    /// Nobody, in the one group that everybody is in.
    pub fn new() -> Self {
        let everyone = Group {
            id: "id-of-everyone".to_owned(),
            name: "Everyone".to_owned(),
            pushed: false,
            members: BTreeSet::new(),
            gone: false,
        };
        Self { people: Vec::new(), groups: vec![everyone], names: 0 }
    }

    pub fn fresh_name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    pub fn hire(&mut self, login: String, assigned: bool) -> usize {
        let number = self.people.len();
        self.people.push(Person {
            id: format!("00u{number}"),
            login,
            revision: 0,
            assigned: if assigned { Assigned::Yes } else { Assigned::Never },
            gone: false,
        });
        self.groups[0].members.insert(number);
        number
    }

    pub fn found(&mut self, pushed: bool, listed: bool) -> usize {
        let name = self.fresh_name(if listed { "app-group" } else { "group" });
        // The groups filter goes by what a claim lists.
        let id = format!("{name}-id");
        self.groups.push(Group { id, name, pushed, members: BTreeSet::new(), gone: false });
        self.groups.len() - 1
    }

    /// The names of the groups that somebody is in, each with whether the token's scope takes it in.
    pub fn groups_of(&self, person: usize) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| !group.gone && group.members.contains(&person))
    }

    /// What a token says of somebody now.
    pub fn claims(&self, setup: Setup, person: usize, claim: Claim) -> Value {
        let who = &self.people[person];
        let groups: Vec<&str> =
            self.groups_of(person).map(|group| group.claimed_as(setup)).collect();
        let mut claims = json!({
            "sub": who.id,
            "preferred_username": who.login,
            "name": who.name(),
            "email": format!("{}@example.com", who.id),
        });
        match claim {
            Claim::Complete => claims["groups"] = json!(groups),
            Claim::Missing => {}
            Claim::WrongType => claims["groups"] = groups.first().copied().into(),
            Claim::Overage => {
                claims["groups"] = json!([]);
                claims["hasgroups"] = true.into();
            }
        }
        claims
    }

    /// The teams that somebody has to be in once both sources have said their latest.
    pub fn teams_of(&self, setup: Setup, person: usize, is_owned: bool) -> BTreeSet<String> {
        let listed = |group: &Group| !setup.filters || group.claimed_as(setup).starts_with("app-");
        self.groups_of(person)
            .filter(|group| (group.pushed && is_owned) || listed(group))
            .map(|group| if group.pushed { group.name.as_str() } else { group.claimed_as(setup) })
            .map(str::to_owned)
            .collect()
    }
}
