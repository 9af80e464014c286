//! PATCH as SCIM 1.1 has it (its API draft, section 3.3.2), for a group's members.
//!
//! The body is a partial resource: what it has replaces what there is, and `members` are added, or
//! removed where an element says `"operation": "delete"`. It becomes the operations of RFC 7644.

use serde_json::{Map, Value, json};

use super::names_patch;
use crate::scim::schema::ResourceType;

/// The operations that such a body stands for; any other body comes back as it is.
pub(super) fn operations(
    resource_type: &ResourceType,
    body: Map<String, Value>,
) -> Result<Vec<Value>, Map<String, Value>> {
    let member = |name: &str| {
        body.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let is_old = resource_type.core_attribute("members").is_some()
        && member("members").is_some()
        && member("operations").is_none()
        && !member("schemas").is_some_and(names_patch);
    if !is_old {
        return Err(body);
    }
    let mut members = Value::Null;
    let mut rest = Map::new();
    for (key, value) in body {
        match key.to_ascii_lowercase().as_str() {
            "members" => members = value,
            // What the server says of a resource is ignored, as it is in a PUT.
            "schemas" | "id" | "meta" => {}
            _ => {
                rest.insert(key, value);
            }
        }
    }
    let mut operations = Vec::new();
    if !rest.is_empty() {
        operations.push(json!({ "op": "replace", "value": rest }));
    }
    let members = match members {
        Value::Array(members) => members,
        Value::Null => Vec::new(),
        single => vec![single],
    };
    let (gone, come): (Vec<Value>, Vec<Value>) = members.into_iter().partition(is_deleted);
    for member in gone {
        // One without an id is refused together with those that come.
        let Some(id) = member.get("value").filter(|id| id.is_string()) else {
            operations.push(json!({ "op": "add", "path": "members", "value": [member] }));
            continue;
        };
        operations.push(json!({ "op": "remove", "path": format!("members[value eq {id}]") }));
    }
    operations.push(json!({ "op": "add", "path": "members", "value": come }));
    Ok(operations)
}

fn is_deleted(member: &Value) -> bool {
    let operation = member.get("operation").and_then(Value::as_str);
    operation.is_some_and(|operation| operation.eq_ignore_ascii_case("delete"))
}
