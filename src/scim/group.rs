//! Groups as clients send them: attributes of their own, and members.
//!
//! Members go a way of their own and never enter a document: a group may have a hundred thousand.

use serde_json::Value;

use super::error::ScimResult;
use super::patch::member_ids;
use super::quirks::Quirks;
use super::resource::Document;
use super::schema::ResourceType;

/// Reads the body of a POST or PUT: the group's own attributes, and the ids of its members.
///
/// # Errors
/// See [`Document::from_body`] and [`member_ids`].
pub fn from_body(
    resource_type: &ResourceType,
    mut body: Value,
    quirks: &mut Quirks,
) -> ScimResult<(Document, Vec<String>)> {
    let mut members = Value::Null;
    if let Value::Object(object) = &mut body {
        // In whichever case, and however often: the last one counts, as for any attribute.
        let is_members = |key: &&String| key.eq_ignore_ascii_case("members");
        let keys: Vec<String> = object.keys().filter(is_members).cloned().collect();
        for key in keys {
            members = object.shift_remove(&key).unwrap_or_default();
        }
    }
    let members = member_ids(members, quirks)?;
    Ok((Document::from_body(resource_type, body, quirks)?, members))
}
