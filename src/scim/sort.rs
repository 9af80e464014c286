//! The order of a list: `sortBy` and `sortOrder` (RFC 7644 section 3.4.2.3).
//!
//! [`Order::key`] is the meaning; the store sorts by the same keys in SQL, which a property test
//! holds against it. Resources with equal keys come in the order of their ids.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::condition::own_version;
use super::error::{ScimError, ScimResult};
use super::filter::{comparable, instant};
use super::path::AttrPath;
use super::schema::{AttributeType, Resolved, ResourceType, Returned, Target};
use super::value::is_primary;

/// Text is sorted by its first characters, at most so many, and by the id where they are the same.
/// What resources are looked up by counts whole; it is never as long as to need the bound.
pub const KEY_LENGTH: usize = 256;

/// The order that a client asks for, for resources of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// The attribute, whose leaf is a simple one. `None` where this type does not have it but
    /// another one does that is listed along: all resources count as without a value.
    pub target: Option<Target>,
    /// Whether the largest comes first.
    pub descending: bool,
}

/// What one resource is sorted by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Key {
    /// Text, folded unless the attribute is case exact; compares by code points.
    Text(String),
    Boolean(bool),
    /// Also an instant, in UTC microseconds.
    Integer(i64),
    Decimal(f64),
    /// No value: "if it's ascending … last", and first in descending order.
    Absent,
}

impl Key {
    /// Ascending order.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            (Self::Decimal(left), Self::Decimal(right)) => {
                // JSON has no numbers that cannot be compared.
                left.partial_cmp(right).unwrap_or(Ordering::Equal)
            }
            (Self::Absent, Self::Absent) => Ordering::Equal,
            (Self::Absent, _) => Ordering::Greater,
            (_, Self::Absent) => Ordering::Less,
            // One attribute gives keys of one kind.
            _ => Ordering::Equal,
        }
    }
}

/// The orders of several resource types that are listed together; no order at all where the
/// client asks for none.
///
/// # Errors
/// `invalidValue` for an attribute that none of the types has, one that cannot be sorted by, or a
/// `sortOrder` that is neither `ascending` nor `descending`.
pub fn orders<const N: usize>(
    resource_types: [&ResourceType; N],
    sort_by: Option<&str>,
    sort_order: Option<&str>,
) -> ScimResult<Option<[Order; N]>> {
    let descending = match sort_order.map(str::to_ascii_lowercase).as_deref() {
        None | Some("ascending") => false,
        Some("descending") => true,
        Some(_) => {
            return Err(ScimError::invalid_value("'sortOrder' must be ascending or descending"));
        }
    };
    let Some(name) = sort_by.map(str::trim) else { return Ok(None) };
    let path = AttrPath::split(name);
    let mut kind = None;
    let mut found = [const { None }; N];
    for (place, resource_type) in found.iter_mut().zip(resource_types) {
        match resource_type.resolve(&path) {
            None => {}
            Some(Resolved::Attribute(target)) => {
                let target = sortable(resource_type, target, name)?;
                let own = target.leaf().kind;
                if *kind.get_or_insert(own) != own {
                    return Err(ScimError::invalid_value(format!(
                        "'{name}' has values of different types, so there is no order among them"
                    )));
                }
                *place = Some(target);
            }
            Some(_) => return Err(not_sortable(name, "name an attribute of the schema")),
        }
    }
    if kind.is_none() {
        return Err(ScimError::invalid_value(format!(
            "'sortBy' names '{name}', which is no attribute; look it up in /Schemas"
        )));
    }
    Ok(Some(found.map(|target| Order { target, descending })))
}

/// The target, down to the simple value that "sorting is by" (RFC 7644 section 3.4.2.3).
fn sortable(resource_type: &ResourceType, target: Target, name: &str) -> ScimResult<Target> {
    let mut target = target;
    // Memberships have no primary one and no order of their own.
    let is_membership = match resource_type.name.as_str() {
        "User" => target.extension.is_none() && target.attribute.name == "groups",
        _ => target.extension.is_none() && target.attribute.name == "members",
    };
    if is_membership {
        return Err(not_sortable(name, "memberships have no order"));
    }
    if target.leaf().is_complex() {
        let value = target.leaf().sub_attribute("value").cloned();
        if target.sub.is_some() || value.is_none() {
            return Err(not_sortable(name, "it is complex: name one of its sub-attributes"));
        }
        target.sub = value;
    }
    if target.sub.as_ref().is_some_and(|sub| sub.multi_valued) {
        return Err(not_sortable(name, "each element has several values"));
    }
    if target.attribute.returned == Returned::Never || target.leaf().returned == Returned::Never {
        return Err(not_sortable(name, "it is never returned"));
    }
    Ok(target)
}

fn not_sortable(name: &str, why: &str) -> ScimError {
    ScimError::invalid_value(format!("a list cannot be sorted by '{name}': {why}"))
}

impl Order {
    /// Of which kind the keys are: a cursor is for keys of one kind, and a schema may change.
    pub fn kind(&self) -> String {
        self.target.as_ref().map_or_else(String::new, |target| {
            let (leaf, attribute) = (target.leaf(), &target.attribute);
            format!("{:?} {} {}", leaf.kind, leaf.case_exact, attribute.multi_valued)
        })
    }

    /// What the resource, in the form in which it is returned whole, is sorted by.
    ///
    /// "If it's a multi-valued attribute, … the value of the primary attribute … or else the first
    /// value in the list" (RFC 7644 section 3.4.2.3).
    pub fn key(&self, resource: &Map<String, Value>) -> Key {
        self.target.as_ref().and_then(|target| key(target, resource)).unwrap_or(Key::Absent)
    }
}

/// Whether resources are looked up by the attribute: it is short, and the store has it at hand.
pub fn is_looked_up(target: &Target) -> bool {
    ["id", "userName", "externalId", "displayName"].iter().any(|name| target.is(name, None))
}

fn key(target: &Target, resource: &Map<String, Value>) -> Option<Key> {
    let container = match &target.extension {
        None => resource,
        Some(urn) => resource.get(urn.as_ref())?.as_object()?,
    };
    let value = container.get(&target.attribute.name)?;
    let element = match value {
        Value::Array(elements) if target.attribute.multi_valued => {
            elements.iter().find(|element| is_primary(element)).or_else(|| elements.first())?
        }
        single => single,
    };
    let value = match &target.sub {
        None => element,
        Some(sub) => element.get(&sub.name)?,
    };
    let leaf = target.leaf();
    match leaf.kind {
        AttributeType::Boolean => value.as_bool().map(Key::Boolean),
        AttributeType::Integer => value.as_i64().map(Key::Integer),
        AttributeType::Decimal => value.as_f64().map(Key::Decimal),
        AttributeType::DateTime => instant(value.as_str()?).map(Key::Integer),
        AttributeType::Complex => None,
        AttributeType::String | AttributeType::Reference | AttributeType::Binary => {
            let text = value.as_str()?;
            Some(Key::Text(if target.is("meta", Some("version")) {
                own_version(text)
            } else {
                let text = comparable(leaf, text);
                if is_looked_up(target) {
                    text.into_owned()
                } else {
                    text.chars().take(KEY_LENGTH).collect()
                }
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::schema::Registry;
    use super::*;

    fn user_order(sort_by: &str) -> ScimResult<Order> {
        let registry = Registry::builtin().expect("the schemas");
        let found = orders([registry.user()], Some(sort_by), None)?;
        Ok(found.map(|[order]| order).expect("an order"))
    }

    fn key_of(sort_by: &str, resource: &Value) -> Key {
        user_order(sort_by).expect(sort_by).key(resource.as_object().expect("an object"))
    }

    fn text(text: &str) -> Key {
        Key::Text(text.to_owned())
    }

    #[test]
    fn the_key_is_the_primary_value_or_else_the_first() {
        let emails = json!({ "emails": [
            { "value": "First@example.com", "type": "home" },
            { "value": "Main@example.com", "primary": true },
        ] });
        assert_eq!(key_of("emails", &emails), text("main@example.com"));
        assert_eq!(key_of("emails.value", &emails), text("main@example.com"));
        assert_eq!(key_of("emails.type", &emails), Key::Absent, "the primary one has none");
        let emails = json!({ "emails": [{ "value": "B" }, { "value": "a" }] });
        assert_eq!(key_of("emails", &emails), text("b"));
        assert_eq!(key_of("emails", &json!({})), Key::Absent);
    }

    #[test]
    fn keys_are_of_the_attributes_type() {
        let user = json!({
            "externalId": "Exact", "userName": "Folded", "active": true,
            "name": { "familyName": "Ünal" },
            "meta": { "created": "2026-01-31T10:00:00+01:00", "version": "W/\"2-00ff\"" },
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "Ops" },
        });
        assert_eq!(key_of("externalId", &user), text("Exact"));
        assert_eq!(key_of("USERNAME", &user), text("folded"));
        assert_eq!(key_of("name.familyName", &user), text("ünal"));
        assert_eq!(key_of("active", &user), Key::Boolean(true));
        assert_eq!(key_of("meta.created", &user), Key::Integer(1_769_850_000_000_000));
        assert_eq!(key_of("meta.version", &user), text("W/\"2\""));
        let department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";
        assert_eq!(key_of(department, &user), text("ops"));
    }

    #[test]
    fn what_has_no_order_is_refused() {
        for name in ["name", "groups", "groups.display", "password", "nothing", "", "a b", "meta"] {
            let error = user_order(name).expect_err(name);
            assert_eq!(error.status, 400, "{name}");
        }
        let registry = Registry::builtin().expect("the schemas");
        let wrong = orders([registry.user()], Some("userName"), Some("up"));
        assert_eq!(wrong.expect_err("an order").status, 400);
        let none = orders([registry.user()], None, Some("descending"));
        assert_eq!(none, Ok(None), "without sortBy there is nothing to order");
    }

    #[test]
    fn types_that_lack_the_attribute_have_no_value() {
        let registry = Registry::builtin().expect("the schemas");
        let types = [registry.user().as_ref(), registry.group().as_ref()];
        let [user, group] = orders(types, Some("userName"), Some("Descending"))
            .expect("sorting")
            .expect("an order");
        assert!(user.target.is_some() && user.descending);
        assert_eq!(group, Order { target: None, descending: true });
        let resource = json!({ "userName": "x", "displayName": "y" });
        assert_eq!(group.key(resource.as_object().expect("an object")), Key::Absent);
    }

    #[test]
    fn what_has_no_value_is_last() {
        let mut keys = [Key::Absent, text("b"), text("a"), Key::Absent];
        keys.sort_by(Key::compare);
        assert_eq!(keys, [text("a"), text("b"), Key::Absent, Key::Absent]);
    }
}
