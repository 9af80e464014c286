//! What a sign-in's claims say of groups: a pure reading of a provider's words.
//!
//! A claim replaces what the one before it said only if it is complete. Where it may have been cut
//! short, what it lists is believed and what it leaves out is not.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Map, Value};

use crate::scim::fold::fold;

/// As many groups as Okta lists at most: from so many on, a claim may have been cut.
pub const SUSPICIOUS_COUNT: usize = 100;
/// The longest name of a group, in bytes; the same as a pushed group may have.
const MAX_NAME: usize = 1024;

/// The groups that a claim lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupsClaim {
    /// Names as sent, by their folded form, each once.
    pub groups: BTreeMap<String, String>,
    /// Why the claim may leave groups out, if it may.
    pub incomplete: Option<Incomplete>,
}

/// Why a claim does not say that a group it leaves out is one the person is not in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incomplete {
    /// There is no such claim.
    Missing,
    /// The claim is no list of text.
    WrongType,
    /// The claim is elsewhere (OpenID Connect Core section 5.6.2), or too long for the token.
    Overage,
    /// So many groups are listed that there may be more.
    TooMany,
}

impl Incomplete {
    /// The reason's name in the event log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::WrongType => "wrong-type",
            Self::Overage => "overage",
            Self::TooMany => "too-many",
        }
    }
}

/// Reads the groups claim. A value that `filter` does not match is ignored, but counts as listed.
pub fn groups(claims: &Map<String, Value>, name: &str, filter: Option<&Regex>) -> GroupsClaim {
    let mut claim = GroupsClaim::default();
    let elsewhere = claims
        .get("_claim_names")
        .and_then(Value::as_object)
        .is_some_and(|names| names.contains_key(name));
    let hinted = claims.get("hasgroups").is_some_and(|hint| *hint == true || *hint == "true");
    match claims.get(name) {
        None | Some(Value::Null) => claim.incomplete = Some(Incomplete::Missing),
        Some(Value::Array(values)) => {
            for value in values {
                claim.add(value, filter);
            }
            if values.len() >= SUSPICIOUS_COUNT {
                claim.incomplete = Some(Incomplete::TooMany);
            }
        }
        Some(other) => {
            claim.add(other, filter);
            claim.incomplete = Some(Incomplete::WrongType);
        }
    }
    if elsewhere || hinted {
        claim.incomplete = Some(Incomplete::Overage);
    }
    claim
}

impl GroupsClaim {
    fn add(&mut self, value: &Value, filter: Option<&Regex>) {
        let Some(text) = value.as_str().map(str::trim) else {
            self.incomplete = Some(Incomplete::WrongType);
            return;
        };
        if text.is_empty() || text.len() > MAX_NAME || text.contains('\0') {
            self.incomplete = Some(Incomplete::WrongType);
        } else if filter.is_none_or(|filter| filter.is_match(text)) {
            self.groups.entry(fold(text).into_owned()).or_insert_with(|| text.to_owned());
        }
    }
}

/// A claim as text, if it is one and holds something.
pub fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = claims.get(name)?.as_str()?.trim();
    (!text.is_empty() && text.len() <= MAX_NAME && !text.contains('\0')).then_some(text)
}

/// A claim that says who somebody is: as it stands, since to its provider a name with a space behind
/// it may be another one's.
pub fn identifier<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    text(claims, name).filter(|text| claims.get(name).and_then(Value::as_str) == Some(*text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(claims: Value) -> (Vec<String>, Option<Incomplete>) {
        let Value::Object(claims) = claims else { panic!("an object") };
        let claim = groups(&claims, "groups", None);
        (claim.groups.into_values().collect(), claim.incomplete)
    }

    #[test]
    fn a_list_of_text_is_complete_and_so_is_an_empty_one() {
        assert_eq!(read(json!({"groups": ["B", "A", "a"]})), (vec!["A".into(), "B".into()], None));
        assert_eq!(read(json!({"groups": []})), (vec![], None));
    }

    #[test]
    fn what_may_have_been_cut_short_is_incomplete() {
        assert_eq!(read(json!({})), (vec![], Some(Incomplete::Missing)));
        assert_eq!(read(json!({"groups": null})), (vec![], Some(Incomplete::Missing)));
        let single = read(json!({"groups": "A"}));
        assert_eq!(single, (vec!["A".into()], Some(Incomplete::WrongType)));
        assert_eq!(read(json!({"groups": {"A": 1}})).1, Some(Incomplete::WrongType));
        let mixed = read(json!({"groups": ["A", 1]}));
        assert_eq!(mixed, (vec!["A".into()], Some(Incomplete::WrongType)));
        assert_eq!(read(json!({"groups": [""]})).1, Some(Incomplete::WrongType));
        let elsewhere = json!({"_claim_names": {"groups": "src1"}});
        assert_eq!(read(elsewhere).1, Some(Incomplete::Overage));
        assert_eq!(read(json!({"hasgroups": true})).1, Some(Incomplete::Overage));
        let listed = |count: usize| -> Vec<String> { (0..count).map(|n| n.to_string()).collect() };
        assert_eq!(read(json!({"groups": listed(99)})).1, None);
        assert_eq!(read(json!({"groups": listed(100)})).1, Some(Incomplete::TooMany));
    }

    #[test]
    fn a_value_outside_the_filter_is_ignored() {
        let filter = Regex::new("^app-").expect("a regular expression");
        let claims = json!({"groups": ["app-a", "Everyone"]});
        let claim = groups(claims.as_object().expect("an object"), "groups", Some(&filter));
        assert_eq!(claim.groups.into_values().collect::<Vec<_>>(), ["app-a"]);
        assert_eq!(claim.incomplete, None);
    }
}
