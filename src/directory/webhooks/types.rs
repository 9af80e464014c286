//! Types of events, as webhooks name them: `user.created`, `connection.sign_in_refused`.
//!
//! A type is the subject and the action of an event; a hyphen is an underscore, since Standard Webhooks
//! wants nothing but letters, digits and underscores between the full stops.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::directory::events::{Action, Subject};

/// What stands for every action.
const ANY: &str = "*";

/// A name of the log as webhooks write it.
fn written(name: &str) -> String {
    name.replace('-', "_")
}

/// A type of events, or all those about one kind of subject (`user.*`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventType(String);

impl EventType {
    /// The type of an event of the feed.
    pub fn of(event: &Value) -> Self {
        let text = |value: &Value| written(value.as_str().unwrap_or_default());
        let subject = event.get("subject").and_then(|subject| subject.get("type"));
        let (subject, action) = (subject.map(text), event.get("action").map(text));
        Self(format!("{}.{}", subject.unwrap_or_default(), action.unwrap_or_default()))
    }

    /// The type's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the type is this one, or one of these.
    fn takes(&self, other: &Self) -> bool {
        match self.0.strip_suffix(ANY) {
            Some(subject) => other.0.starts_with(subject),
            None => self == other,
        }
    }
}

impl FromStr for EventType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let subjects = || Subject::ALL.iter().map(|known| written(known.as_str()));
        let actions = || Action::ALL.iter().map(|known| written(known.as_str()));
        let is_known = text.split_once('.').is_some_and(|(subject, action)| {
            subjects().any(|known| known == subject)
                && (action == ANY || actions().any(|known| known == action))
        });
        if is_known {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "'{text}' is no type of events; write SUBJECT.ACTION or SUBJECT.*, such as user.created; \
             subjects are {}; actions are {}",
            subjects().collect::<Vec<_>>().join(", "),
            actions().collect::<Vec<_>>().join(", ")
        ))
    }
}

/// Some types of events, one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types(Vec<EventType>);

impl Types {
    /// These types; none if there is none.
    pub fn some(types: impl IntoIterator<Item = EventType>) -> Option<Self> {
        let mut types: Vec<EventType> = types.into_iter().collect();
        types.sort();
        types.dedup();
        (!types.is_empty()).then_some(Self(types))
    }

    /// Whether events of that type are among them.
    pub fn take(&self, one: &EventType) -> bool {
        self.0.iter().any(|known| known.takes(one))
    }

    /// Their names.
    pub fn to_strings(&self) -> Vec<&str> {
        self.0.iter().map(EventType::as_str).collect()
    }
}

impl fmt::Display for Types {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_strings().join(" "))
    }
}

impl FromStr for Types {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let types = text.split(' ').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        Self::some(types).ok_or_else(|| "no type of events is named".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> EventType {
        text.parse().expect("a type")
    }

    #[test]
    fn every_event_has_a_type_that_can_be_asked_for() {
        for subject in Subject::ALL {
            for action in Action::ALL {
                let event = json!({
                    "subject": { "type": subject.as_str() }, "action": action.as_str(),
                });
                let found = EventType::of(&event);
                assert_eq!(found.as_str().parse(), Ok(found.clone()));
                let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
                assert!(found.as_str().chars().all(plain), "{found:?}");
                assert_eq!(found.as_str().matches('.').count(), 1);
            }
        }
    }

    #[test]
    fn a_type_takes_what_it_names() {
        let types: Types = "team.updated user.*".parse().expect("types");
        for taken in ["user.created", "user.signed_in", "team.updated"] {
            assert!(types.take(&one(taken)), "{taken}");
        }
        let links: Types = "connection.link_shared connection.link_revoked".parse().expect("types");
        assert!(links.take(&one("connection.link_shared")) && !links.take(&one("user.created")));
        for other in ["team.created", "connection.updated", "app.created"] {
            assert!(!types.take(&one(other)), "{other}");
        }
        assert_eq!(types.to_string().parse(), Ok(types));
    }

    #[test]
    fn what_is_no_type_is_refused() {
        for bad in
            ["", "*", "user", "user.", "user.x", "users.created", "user.signed-in", "*.created"]
        {
            assert!(bad.parse::<EventType>().is_err(), "{bad}");
        }
        assert!(Types::some([]).is_none());
    }
}
