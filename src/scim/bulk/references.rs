//! References to resources of the same job: `bulkId:X` in place of an id (RFC 7644 section 3.7.2).
//!
//! A reference is a text that is exactly `bulkId:X`, a `$ref` that ends in `/bulkId:X`, or a text
//! inside a filter that is the path of a PATCH, such as `members[value eq "bulkId:X"]`.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use super::Ids;

/// What stands in front of a `bulkId` that is referred to.
pub(super) const PREFIX: &str = "bulkId:";

/// The `bulkId` that a text refers to.
pub(super) fn referred(text: &str) -> Option<&str> {
    text.strip_prefix(PREFIX)
}

/// Where in a text an id may stand.
enum Spots<'a> {
    Whole(&'a str),
    /// The last part of a URL, from that byte on.
    End(usize, &'a str),
    /// The literals of a filter, with their places including the quotes.
    Literals(Vec<(Range<usize>, String)>),
}

impl<'a> Spots<'a> {
    fn of(key: &str, text: &'a str, in_patch: bool) -> Self {
        if in_patch && key.eq_ignore_ascii_case("path") {
            return Self::Literals(literals(text));
        }
        match text.rfind('/') {
            Some(slash) if key.eq_ignore_ascii_case("$ref") => {
                Self::End(slash + 1, text.get(slash + 1..).unwrap_or_default())
            }
            _ => Self::Whole(text),
        }
    }
}

/// The JSON texts in a filter, with their places including the quotes.
fn literals(filter: &str) -> Vec<(Range<usize>, String)> {
    let mut found = Vec::new();
    let mut opened = None;
    let mut is_escaped = false;
    for (place, byte) in filter.bytes().enumerate() {
        match (opened, byte) {
            (None, b'"') => opened = Some(place),
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some(_), b'\\') => is_escaped = true,
            (Some(start), b'"') => {
                opened = None;
                let range = start..place + 1;
                let text = filter.get(range.clone()).unwrap_or_default();
                // What is no JSON text is for the parser of filters to complain of.
                if let Ok(literal) = serde_json::from_str(text) {
                    found.push((range, literal));
                }
            }
            _ => {}
        }
    }
    found
}

/// Calls `visit` with every text of the data that may be an id or a reference to one.
pub(super) fn each_text(data: &Value, in_patch: bool, visit: &mut impl FnMut(&str)) {
    each_text_below("", data, in_patch, visit);
}

fn each_text_below(key: &str, value: &Value, in_patch: bool, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => match Spots::of(key, text, in_patch) {
            Spots::Whole(text) | Spots::End(_, text) => visit(text),
            Spots::Literals(literals) => literals.iter().for_each(|(_, text)| visit(text)),
        },
        Value::Array(elements) => {
            for element in elements {
                each_text_below("", element, in_patch, visit);
            }
        }
        Value::Object(object) => {
            for (key, value) in object {
                each_text_below(key, value, in_patch, visit);
            }
        }
        _ => {}
    }
}

/// The data with ids in the place of references.
///
/// A reference to what has no id yet is left out, together with the innermost object that holds it:
/// `{"value": "bulkId:X", "type": "User"}` says nothing without its value.
pub(super) fn resolved(data: &Value, in_patch: bool, ids: &Ids) -> Value {
    match data {
        Value::Object(object) => {
            let kept = object.iter().filter_map(|(key, value)| {
                Some((key.clone(), resolved_below(key, value, in_patch, ids)?))
            });
            kept.collect::<Map<_, _>>().into()
        }
        other => resolved_below("", other, in_patch, ids).unwrap_or_default(),
    }
}

fn resolved_below(key: &str, value: &Value, in_patch: bool, ids: &Ids) -> Option<Value> {
    match value {
        Value::String(text) => {
            resolved_text(key, text, in_patch, ids).map(|text| text.into_owned().into())
        }
        Value::Array(elements) => Some(
            elements
                .iter()
                .filter_map(|element| resolved_below("", element, in_patch, ids))
                .collect(),
        ),
        Value::Object(object) => {
            let mut kept = Map::with_capacity(object.len());
            for (key, value) in object {
                match resolved_below(key, value, in_patch, ids) {
                    Some(value) => kept.insert(key.clone(), value),
                    None if value.is_string() => return None,
                    None => None,
                };
            }
            Some(kept.into())
        }
        other => Some(other.clone()),
    }
}

/// The text with ids in the place of references; `None` where one has no id yet.
fn resolved_text<'a>(key: &str, text: &'a str, in_patch: bool, ids: &Ids) -> Option<Cow<'a, str>> {
    match Spots::of(key, text, in_patch) {
        Spots::Whole(whole) => match referred(whole) {
            None => Some(Cow::Borrowed(text)),
            Some(name) => ids.get(name).map(|id| Cow::Owned(id.clone())),
        },
        Spots::End(start, end) => match referred(end) {
            None => Some(Cow::Borrowed(text)),
            Some(name) => {
                let before = text.get(..start).unwrap_or_default();
                ids.get(name).map(|id| Cow::Owned(format!("{before}{id}")))
            }
        },
        Spots::Literals(literals) => {
            let mut filter = String::with_capacity(text.len());
            let mut done = 0;
            for (range, literal) in literals {
                let Some(name) = referred(&literal) else { continue };
                filter.push_str(text.get(done..range.start).unwrap_or_default());
                filter.push_str(&Value::from(ids.get(name)?.as_str()).to_string());
                done = range.end;
            }
            filter.push_str(text.get(done..).unwrap_or_default());
            Some(Cow::Owned(filter))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(data: &Value, in_patch: bool) -> Vec<String> {
        let mut names = Vec::new();
        each_text(data, in_patch, &mut |text| {
            names.extend(referred(text).map(str::to_owned));
        });
        names
    }

    fn known() -> Ids {
        [("a", "id-a"), ("b\"", "id-b")].map(|(name, id)| (name.to_owned(), id.to_owned())).into()
    }

    #[test]
    fn a_reference_is_a_whole_text() {
        let data = json!({
            "title": "see bulkId:a", "note": "bulkId:a ", "x": ["BULKID:a", "bulkId:"],
            "members": [{ "value": "bulkId:a", "$ref": "../Users/bulkId:a" }, "bulkId:b\""],
            "path": "members[value eq \"bulkId:c\"]",
        });
        assert_eq!(names(&data, false), ["a ", "", "a", "a", "b\""]);
        let data = json!({ "x": 1, "members": [{ "value": "bulkId:a", "$ref": "../Users/bulkId:a" }, "bulkId:b\""] });
        assert_eq!(
            resolved(&data, false, &known()),
            json!({ "x": 1, "members": [{ "value": "id-a", "$ref": "../Users/id-a" }, "id-b"] })
        );
    }

    #[test]
    fn a_filter_refers_in_its_literals() {
        let path =
            r#"members[value eq "bulkId:a" or display eq "\"bulkId:x" or value eq "bulkId:b\""]"#;
        let data = json!({ "Operations": [{ "op": "remove", "path": path }] });
        assert_eq!(names(&data, true), ["a", "b\""]);
        let data = resolved(&data, true, &known());
        let after = r#"members[value eq "id-a" or display eq "\"bulkId:x" or value eq "id-b"]"#;
        assert_eq!(data["Operations"][0]["path"], after);
        let open = json!({ "Operations": [{ "path": "members[value eq \"bulkId:a" }] });
        assert_eq!(names(&open, true), Vec::<String>::new());
        assert_eq!(resolved(&open, true, &known()), open);
    }

    #[test]
    fn what_has_no_id_yet_is_left_out_with_the_object_around_it() {
        let data = json!({
            "userName": "ann",
            "title": "bulkId:z",
            "members": [{ "value": "bulkId:a" }, { "type": "User", "value": "bulkId:z" }, "bulkId:z"],
            "urn:x": { "department": "R&D", "manager": { "$ref": "../Users/bulkId:z" } },
        });
        assert_eq!(
            resolved(&data, false, &known()),
            json!({
                "userName": "ann",
                "members": [{ "value": "id-a" }],
                "urn:x": { "department": "R&D" },
            })
        );
    }
}
