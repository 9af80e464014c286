//! What the clients write: names, filters and request bodies.
//!
//! The bodies have the keys the clients were seen to send, the surprising ones included: Okta's
//! `groups: []` and random `password`, Entra's `roles: []` and its second group schema.

use serde_json::{Map, Value, json};

use super::expect::Resource;

/// Schema of a user.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Schema of a group.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// Schema of the enterprise extension of a user.
pub const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Schema of a PATCH request.
pub const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Schema of a list answer.
pub const LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Schema of an error answer.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The second schema Entra puts on groups; no server is expected to know it.
const ENTRA_GROUP: &str =
    "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";
/// What every name made here begins with.
const PREFIX: &str = "muster-check-";

/// Random hexadecimal digits.
pub fn random_hex() -> String {
    format!("{:016x}", rand::random::<u64>())
}

/// An id in the shape of a UUID, as Entra's external ids are.
pub fn random_uuid() -> String {
    let (high, low) = (rand::random::<u64>(), rand::random::<u64>());
    let (a, b, c) = (high >> 32, (high >> 16) & 0xffff, high & 0xfff);
    format!("{a:08x}-{b:04x}-4{c:03x}-8{:03x}-{:012x}", low >> 52, low & 0xffff_ffff_ffff)
}

/// A user name nobody has.
pub fn fresh_user_name() -> String {
    format!("{PREFIX}{}@example.com", random_hex())
}

/// A group name nobody has.
pub fn fresh_group_name() -> String {
    format!("{PREFIX}{}", random_hex())
}

/// Percent-encodes everything but the unreserved characters of RFC 3986, a space as `%20`.
pub fn encode(text: &str) -> String {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte| {
        if unreserved(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect::<Vec<_>>().concat()
}

/// The filter `attribute eq "value"`.
pub fn eq(attribute: &str, value: &str) -> String {
    format!("{attribute} eq {}", Value::from(value))
}

/// The path of a filtered list.
pub fn search(endpoint: &str, filter: &str) -> String {
    format!("{endpoint}?filter={}", encode(filter))
}

/// The path by which Okta looks for a resource before it makes one.
pub fn okta_lookup(endpoint: &str, attribute: &str, value: &str) -> String {
    format!("{}&startIndex=1&count=100", search(endpoint, &eq(attribute, value)))
}

/// The same search with the spaces of the filter as plus signs, as forms encode them.
pub fn search_by_form(endpoint: &str, filter: &str) -> String {
    let words: Vec<String> = filter.split(' ').map(encode).collect();
    format!("{endpoint}?filter={}", words.join("+"))
}

/// A user of the attributes that nearly every client sends.
pub fn plain_user(user_name: &str, given_name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": user_name,
        "externalId": random_hex(),
        "name": {"givenName": given_name, "familyName": "Check"},
        "displayName": format!("{given_name} Check"),
        "active": true,
        "emails": [{"value": user_name, "type": "work", "primary": true}],
    })
}

/// A group without members.
pub fn plain_group(display_name: &str) -> Value {
    json!({"schemas": [GROUP], "externalId": random_hex(), "displayName": display_name})
}

/// A user as Okta creates it.
pub fn okta_user(user_name: &str) -> Value {
    json!({
        "schemas": [USER],
        "userName": user_name,
        "name": {"givenName": "Anna", "familyName": "Check"},
        "emails": [{"primary": true, "value": user_name, "type": "work"}],
        "displayName": "Anna Check",
        "locale": "en-US",
        "externalId": format!("00u{}c", random_hex()),
        "groups": [],
        "password": random_hex(),
        "active": true,
    })
}

/// A user as Okta creates it where the app maps more of the profile.
pub fn okta_mapped_user(user_name: &str) -> Value {
    let mut user = okta_user(user_name);
    let more = json!({
        "schemas": [USER, ENTERPRISE],
        "name": {"givenName": "Ben"},
        "displayName": "Ben Check",
        "title": "Engineer",
        "phoneNumbers": [{"value": "415.123.4567", "type": "work"}],
        ENTERPRISE: {"department": "Engineering", "employeeNumber": "4711"},
    });
    overlay(&mut user, &more);
    user
}

/// A group as Okta creates it: empty, to be filled by a later request.
pub fn okta_group(display_name: &str) -> Value {
    json!({"schemas": [GROUP], "displayName": display_name, "members": []})
}

/// A user as Entra creates it.
pub fn entra_user(user_name: &str) -> Value {
    json!({
        "schemas": [USER, ENTERPRISE],
        "externalId": random_uuid(),
        "userName": user_name,
        "active": true,
        "displayName": "Clara Check",
        "emails": [{"primary": true, "type": "work", "value": user_name}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Clara Check", "familyName": "Check", "givenName": "Clara"},
        "roles": [],
        ENTERPRISE: {"department": "Engineering"},
    })
}

/// A group as Entra creates it: with a schema of its own and without members.
pub fn entra_group(display_name: &str) -> Value {
    json!({
        "schemas": [GROUP, ENTRA_GROUP],
        "externalId": random_uuid(),
        "displayName": display_name,
        "meta": {"resourceType": "Group"},
    })
}

/// An operation that adds people to a group by their ids.
pub fn add_members(people: &[&Resource]) -> Value {
    json!({"op": "add", "path": "members", "value": ids(people)})
}

/// An operation whose value names who leaves a group.
pub fn remove_members(people: &[&Resource]) -> Value {
    json!({"op": "remove", "path": "members", "value": ids(people)})
}

fn ids(people: &[&Resource]) -> Value {
    people.iter().map(|person| json!({"value": person.id})).collect()
}

/// A PATCH request of these operations.
#[expect(clippy::needless_pass_by_value, reason = "called with json!([…]) written in place")]
pub fn patch(operations: Value) -> Value {
    json!({"schemas": [PATCH], "Operations": operations})
}

/// Lays the members of `over` on `base`, as Okta lays its profile on what it has read.
pub fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                overlay(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// What of a user's body a server must store: not the read-only and the write-only members, and
/// not `name.formatted`, which a server may derive.
pub fn stored(body: &Value) -> Value {
    let mut stored = body.clone();
    if let Some(members) = stored.as_object_mut() {
        members.retain(|key, _| !["schemas", "meta", "groups", "password"].contains(&key.as_str()));
    }
    if let Some(name) = stored.get_mut("name").and_then(Value::as_object_mut) {
        forget(name, "formatted");
    }
    stored
}

/// Removes a member and keeps the order of the others.
fn forget(members: &mut Map<String, Value>, key: &str) {
    members.retain(|name, _| name != key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_encoded_as_okta_encodes_it() {
        assert_eq!(
            okta_lookup("/Users", "userName", "a.b+c@example.com"),
            "/Users?filter=userName%20eq%20%22a.b%2Bc%40example.com%22&startIndex=1&count=100"
        );
        assert_eq!(
            search_by_form("/Users", &eq("userName", "a+b@example.com")),
            "/Users?filter=userName+eq+%22a%2Bb%40example.com%22"
        );
        assert_eq!(encode("ä~[]/"), "%C3%A4~%5B%5D%2F");
        assert_eq!(eq("displayName", "a\"b"), r#"displayName eq "a\"b""#);
    }

    #[test]
    fn an_overlay_replaces_only_what_it_names() {
        let mut base =
            json!({"name": {"givenName": "A", "familyName": "B"}, "emails": [1], "x": 1});
        overlay(&mut base, &json!({"name": {"givenName": "C"}, "emails": [2]}));
        let want = json!({"name": {"givenName": "C", "familyName": "B"}, "emails": [2], "x": 1});
        assert_eq!(base, want);
    }

    #[test]
    fn read_only_and_write_only_members_are_not_expected_back() {
        let stored = stored(&okta_user("a@example.com"));
        assert!(stored.get("password").is_none() && stored.get("groups").is_none());
        assert!(stored.get("externalId").is_some());
    }

    #[test]
    fn names_are_fresh() {
        assert_ne!(fresh_user_name(), fresh_user_name());
        assert_eq!(random_uuid().len(), 36);
    }
}
