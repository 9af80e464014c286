//! When two values of an attribute are the same one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::format::{is_base64, is_date_time, plain};
use crate::scim::filter::instant;
use crate::scim::fold::fold;
use crate::scim::schema::{Attribute, AttributeType};

/// Whether the values are the same: text without regard to case unless the attribute is case exact,
/// times as instants, numbers as numbers, and several values in any order.
pub fn is_same(attribute: &Attribute, a: &Value, b: &Value) -> bool {
    a == b || key(attribute, a) == key(attribute, b)
}

/// A text that is equal for values that are the same, and for no others.
fn key(attribute: &Attribute, value: &Value) -> String {
    canonical(attribute, value).to_string()
}

fn canonical(attribute: &Attribute, value: &Value) -> Value {
    match value {
        Value::Array(elements) => {
            let mut keys: Vec<String> =
                elements.iter().map(|element| key(attribute, element)).collect();
            keys.sort_unstable();
            keys.into()
        }
        Value::Object(object) => {
            let mut members: Vec<(&String, Value)> = object
                .iter()
                .map(|(name, value)| {
                    let sub = attribute.sub_attribute(name);
                    (name, sub.map_or_else(|| value.clone(), |sub| canonical(sub, value)))
                })
                .collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            let members = members.into_iter().map(|(name, value)| (name.clone(), value));
            Value::Object(members.collect())
        }
        Value::String(text) => match attribute.kind {
            AttributeType::DateTime => {
                instant(text).map_or_else(|| text.as_str().into(), Value::from)
            }
            _ if attribute.case_exact => text.as_str().into(),
            _ => fold(text).as_ref().into(),
        },
        Value::Number(number) => plain(number).into(),
        other => other.clone(),
    }
}

/// The elements, each once (RFC 7643 section 2.4): a later one with the same `value` and `type` as an
/// earlier one only adds to that one.
pub fn distinct(attribute: &Attribute, elements: Vec<Value>) -> Vec<Value> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut kept: Vec<Value> = Vec::with_capacity(elements.len());
    for element in elements {
        let place = *places.entry(identity(attribute, &element)).or_insert(kept.len());
        match (kept.get_mut(place), element) {
            (None, element) => kept.push(element),
            (Some(Value::Object(earlier)), Value::Object(later)) => {
                for (name, value) in later {
                    let is_known = earlier.get(&name).is_some_and(|known| {
                        attribute
                            .sub_attribute(&name)
                            .is_some_and(|sub| is_same(sub, known, &value))
                    });
                    if !is_known {
                        earlier.insert(name, value);
                    }
                }
            }
            (Some(_), _) => {}
        }
    }
    kept
}

/// What tells an element from others: its `value` and `type`, or all of it where it has no `value`.
pub fn identity(attribute: &Attribute, element: &Value) -> String {
    let part = |name: &str| {
        let sub = attribute.sub_attribute(name)?;
        element.get(&sub.name).map(|value| key(sub, value))
    };
    match part("value") {
        Some(value) => format!("{value} {}", part("type").unwrap_or_default()),
        None => key(attribute, element),
    }
}

/// Whether a value has the attribute's type, as it has unless the schema was another one when it
/// was stored.
pub fn conforms(attribute: &Attribute, value: &Value) -> bool {
    let single = |value: &Value| match attribute.kind {
        AttributeType::Complex => value.is_object(),
        AttributeType::Boolean => value.is_boolean(),
        AttributeType::Integer => value.is_i64(),
        AttributeType::Decimal => value.is_number(),
        AttributeType::DateTime => value.as_str().is_some_and(is_date_time),
        AttributeType::Binary => value.as_str().is_some_and(is_base64),
        AttributeType::String | AttributeType::Reference => value.is_string(),
    };
    match value {
        Value::Array(elements) => attribute.multi_valued && elements.iter().all(single),
        value => !attribute.multi_valued && single(value),
    }
}
