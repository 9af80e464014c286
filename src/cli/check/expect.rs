//! What an answer must be: assertions that read as a chain on a [`Reply`].
//!
//! Each takes the reply and gives it back, or says what was expected, what was sent and what came:
//! `api.get(path).await?.status(200)?.holds(&sent)`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::bodies::{ERROR, LIST, encode};
use super::client::Reply;

/// The result of an assertion; the error is the text of the report.
pub type Checked<T> = Result<T, String>;

/// A resource of the server under test.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The id the server gave it.
    pub id: String,
    /// Its `userName`, or its `displayName` if it is a group.
    pub name: String,
}

impl Resource {
    /// The path of the resource as a user.
    pub fn user(&self) -> String {
        format!("/Users/{}", encode(&self.id))
    }

    /// The path of the resource as a group.
    pub fn group(&self) -> String {
        format!("/Groups/{}", encode(&self.id))
    }
}

impl Reply {
    /// The status is this one.
    pub fn status(self, want: u16) -> Checked<Self> {
        self.status_in(&[want])
    }

    /// The status is one of these.
    pub fn status_in(self, want: &[u16]) -> Checked<Self> {
        let words: Vec<String> = want.iter().map(u16::to_string).collect();
        let fine = want.contains(&self.status);
        self.when(fine, &format!("status {}", words.join(" or ")))
    }

    /// A `200` with a list: its schema, integer counters, and `Resources` even if nothing is found.
    pub fn list(self) -> Checked<Self> {
        let mut reply = self.status(200)?.schema(LIST)?;
        for counter in ["totalResults", "startIndex", "itemsPerPage"] {
            let integer = reply.body.get(counter).is_some_and(Value::is_u64);
            reply = reply.when(integer, &format!("an integer {counter}"))?;
        }
        let array = reply.body.get("Resources").is_some_and(Value::is_array);
        reply.when(array, "an array Resources")
    }

    /// The list says that this many resources match.
    pub fn total(self, want: u64) -> Checked<Self> {
        let fine = self.body.get("totalResults").and_then(Value::as_u64) == Some(want);
        self.when(fine, &format!("totalResults {want}"))
    }

    /// The list is this one resource; gives the resource.
    pub fn only(self, want: &Resource) -> Checked<Value> {
        let reply = self.list()?.total(1)?;
        let found = reply.resources().first().cloned().unwrap_or_default();
        let fine = found.get("id").and_then(Value::as_str) == Some(want.id.as_str());
        reply.when(fine, &format!("the resource {}", want.id))?;
        Ok(found)
    }

    /// A SCIM error with this status, in the header and in the body, and a `detail` for people.
    pub fn error(self, status: u16) -> Checked<Self> {
        let reply = self.status(status)?.schema(ERROR)?.text("/detail")?;
        let said = match reply.body.get("status") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        reply.when(said == status.to_string(), &format!("\"status\": \"{status}\" in the body"))
    }

    /// A creation: `201`, an id, and the address of the new resource.
    pub fn created(self) -> Checked<Self> {
        let reply = self.status(201)?.text("/id")?;
        let placed = reply.location.as_ref().is_some_and(|location| !location.is_empty());
        reply.when(placed, "a Location header")
    }

    /// The media type is `application/scim+json`.
    pub fn media_type(self) -> Checked<Self> {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim();
        let fine = essence.eq_ignore_ascii_case("application/scim+json");
        let came = format!("Content-Type application/scim+json, not \"{}\"", self.content_type);
        self.when(fine, &came)
    }

    /// The answer took no longer than this.
    pub fn within(self, limit: Duration) -> Checked<Self> {
        let fine = self.elapsed <= limit;
        let took = self.elapsed.as_millis();
        self.when(fine, &format!("an answer within {} ms, not {took} ms", limit.as_millis()))
    }

    /// `schemas` names this schema.
    pub fn schema(self, urn: &str) -> Checked<Self> {
        let named = self.body.get("schemas").and_then(Value::as_array);
        let fine = named.is_some_and(|named| named.iter().any(|schema| schema == urn));
        self.when(fine, &format!("the schema {urn}"))
    }

    /// There is a value at this JSON pointer.
    pub fn present(self, pointer: &str) -> Checked<Self> {
        let fine = !is_unassigned(self.body.pointer(pointer));
        self.when(fine, &format!("a value at {pointer}"))
    }

    /// There is a text that is not empty at this JSON pointer.
    pub fn text(self, pointer: &str) -> Checked<Self> {
        let text = self.body.pointer(pointer).and_then(Value::as_str);
        let fine = text.is_some_and(|text| !text.is_empty());
        self.when(fine, &format!("a text at {pointer}"))
    }

    /// There is no value at this JSON pointer.
    pub fn lacks(self, pointer: &str) -> Checked<Self> {
        let fine = is_unassigned(self.body.pointer(pointer));
        self.when(fine, &format!("no value at {pointer}"))
    }

    /// The value at this JSON pointer is this one.
    pub fn is(self, pointer: &str, want: impl Into<Value>) -> Checked<Self> {
        let want = want.into();
        let fine = self.body.pointer(pointer) == Some(&want);
        self.when(fine, &format!("{want} at {pointer}"))
    }

    /// The body holds all that is in `want`; it may hold more.
    pub fn holds(self, want: &Value) -> Checked<Self> {
        match difference(want, &self.body, "") {
            None => Ok(self),
            Some(difference) => Err(self.wrong(difference)),
        }
    }

    /// The members of the group are exactly these, each once.
    pub fn members(self, want: &[&Resource]) -> Checked<Self> {
        let members = self.body.get("members").and_then(Value::as_array);
        let came: Vec<&str> = members
            .into_iter()
            .flatten()
            .filter_map(|member| member.get("value").and_then(Value::as_str))
            .collect();
        let want: BTreeSet<&str> = want.iter().map(|member| member.id.as_str()).collect();
        let fine = came.len() == want.len() && came.iter().all(|id| want.contains(id));
        self.when(fine, &format!("exactly the members {want:?}"))
    }

    /// The body has no null anywhere.
    pub fn without_nulls(self) -> Checked<Self> {
        match null_in(&self.body, "") {
            None => Ok(self),
            Some(place) => Err(self.wrong(format!("no null, as at {place}"))),
        }
    }

    /// The resources of the list.
    pub fn resources(&self) -> &[Value] {
        self.body.get("Resources").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The resource of the answer.
    pub fn resource(&self) -> Checked<Resource> {
        let text = |key| self.body.get(key).and_then(Value::as_str).map(str::to_owned);
        let id = text("id").ok_or_else(|| self.wrong("an id"))?;
        let name = text("userName").or_else(|| text("displayName"));
        Ok(Resource { id, name: name.ok_or_else(|| self.wrong("a userName or displayName"))? })
    }

    fn when(self, fine: bool, expected: &str) -> Checked<Self> {
        if fine { Ok(self) } else { Err(self.wrong(expected)) }
    }
}

/// RFC 7643 section 2.5: null, the empty array and nothing at all are one state.
fn is_unassigned(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

/// The first thing in `want` that `came` does not hold, in words.
///
/// An object holds another if it has all its members, an array if each wanted element is held by
/// some element: a server may add attributes and may reorder values.
fn difference(want: &Value, came: &Value, place: &str) -> Option<String> {
    let shown = || format!("{want} at {}", if place.is_empty() { "/" } else { place });
    match (want, came) {
        (want, came) if is_unassigned(Some(want)) => {
            (!is_unassigned(Some(came))).then(|| format!("no value at {place}"))
        }
        (Value::Object(want), Value::Object(came)) => want.iter().find_map(|(key, want)| {
            difference(want, came.get(key).unwrap_or(&Value::Null), &format!("{place}/{key}"))
        }),
        (Value::Array(want), Value::Array(came)) => {
            let held = |want: &Value| came.iter().any(|came| difference(want, came, "").is_none());
            let lost = want.iter().find(|want| !held(want))?;
            Some(format!("{lost} in {place}"))
        }
        (want, came) => (want != came).then(shown),
    }
}

/// The place of the first null.
fn null_in(value: &Value, place: &str) -> Option<String> {
    match value {
        Value::Null => Some(place.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| null_in(item, &format!("{place}/{index}"))),
        Value::Object(members) => {
            members.iter().find_map(|(key, item)| null_in(item, &format!("{place}/{key}")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: Value) -> Reply {
        Reply { status, text: body.to_string(), body, ..Reply::default() }
    }

    fn resource(id: &str) -> Resource {
        Resource { id: id.to_owned(), name: String::new() }
    }

    #[test]
    fn a_list_needs_integers_and_an_array() {
        let list = json!({"schemas": [LIST], "totalResults": 0, "startIndex": 1,
            "itemsPerPage": 0, "Resources": []});
        assert!(reply(200, list.clone()).list().and_then(|reply| reply.total(0)).is_ok());
        for (key, value) in [("totalResults", json!("0")), ("Resources", json!(null))] {
            let mut broken = list.clone();
            broken[key] = value;
            assert!(reply(200, broken).list().is_err(), "{key}");
        }
    }

    #[test]
    fn an_error_may_word_its_status_as_text_or_number_but_must_have_a_detail() {
        for status in [json!("404"), json!(404)] {
            let body = json!({"schemas": [ERROR], "detail": "gone", "status": status});
            assert!(reply(404, body.clone()).error(404).is_ok());
            assert!(reply(400, body).error(404).is_err());
        }
        let mute = json!({"schemas": [ERROR], "detail": "", "status": "404"});
        assert!(reply(404, mute).error(404).is_err());
    }

    #[test]
    fn a_body_holds_what_was_sent_if_nothing_is_lost() {
        let sent = json!({"a": {"b": 1}, "list": [{"type": "work"}], "none": [], "nil": null});
        let more = json!({"a": {"b": 1, "c": 2}, "list": [{"x": 1}, {"type": "work", "y": 2}]});
        assert!(reply(200, more).holds(&sent).is_ok());
        let less = json!({"a": {}, "list": [{"type": "work"}]});
        let message = reply(200, less).holds(&sent).unwrap_err();
        assert!(message.starts_with("expected 1 at /a/b"), "{message}");
    }

    #[test]
    fn members_are_compared_as_a_set_without_duplicates() {
        let body = json!({"members": [{"value": "b"}, {"value": "a"}]});
        assert!(reply(200, body).members(&[&resource("a"), &resource("b")]).is_ok());
        let twice = json!({"members": [{"value": "a"}, {"value": "a"}]});
        assert!(reply(200, twice).members(&[&resource("a")]).is_err());
        assert!(reply(200, json!({})).members(&[]).is_ok());
    }

    #[test]
    fn a_null_is_found_where_it_is() {
        assert_eq!(null_in(&json!({"a": [1, {"b": null}]}), ""), Some("/a/1/b".to_owned()));
        assert_eq!(null_in(&json!({"a": []}), ""), None);
    }

    #[test]
    fn the_media_type_is_compared_without_parameters() {
        let with = |content_type: &str| Reply {
            content_type: content_type.to_owned(),
            ..Reply::default()
        };
        assert!(with("application/scim+json; charset=utf-8").media_type().is_ok());
        assert!(with("application/json").media_type().is_err());
    }
}
