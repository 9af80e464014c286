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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::scim::schema::{Registry, SchemaFile};

    /// An attribute of a schema of its own.
    fn attribute(definition: &Value) -> Attribute {
        let schema = json!({ "id": "urn:x:User", "attributes": [definition] });
        let file = SchemaFile { name: "x.json".to_owned(), text: schema.to_string() };
        let registry = Registry::load(&[file]).expect("a schema");
        let extension = registry.user().extension("urn:x:User").expect("an extension");
        extension.schema.attributes[0].as_ref().clone()
    }

    fn phones() -> Attribute {
        attribute(&json!({
            "name": "phones", "type": "complex", "multiValued": true,
            "subAttributes": [
                { "name": "value" }, { "name": "type", "caseExact": true }, { "name": "display" },
                { "name": "primary", "type": "boolean" },
            ],
        }))
    }

    fn distinct_of(attribute: &Attribute, elements: &Value) -> Value {
        distinct(attribute, elements.as_array().expect("elements").clone()).into()
    }

    #[test]
    fn values_are_the_same_as_their_type_has_it() {
        for (definition, a, b, same) in [
            (json!({ "name": "a" }), json!("Ä"), json!("ä"), true),
            (json!({ "name": "a", "caseExact": true }), json!("Ä"), json!("ä"), false),
            (json!({ "name": "a", "type": "binary" }), json!("QQ"), json!("qq"), false),
            (
                json!({ "name": "a", "type": "dateTime" }),
                json!("2026-01-01T00:00:00Z"),
                json!("2026-01-01T01:00:00.000+01:00"),
                true,
            ),
            (json!({ "name": "a", "type": "decimal" }), json!(5), json!(5.0), true),
            (json!({ "name": "a", "type": "integer" }), json!(5), json!(6), false),
            (json!({ "name": "a", "type": "boolean" }), json!(true), json!(false), false),
            (
                json!({ "name": "a", "multiValued": true }),
                json!(["x", "y"]),
                json!(["Y", "X"]),
                true,
            ),
            (json!({ "name": "a", "multiValued": true }), json!(["x"]), json!(["x", "y"]), false),
        ] {
            assert_eq!(is_same(&attribute(&definition), &a, &b), same, "{a} {b}");
        }
        let phones = phones();
        let a = json!([{ "value": "1", "type": "x" }, { "value": "A" }]);
        assert!(is_same(&phones, &a, &json!([{ "value": "a" }, { "type": "x", "value": "1" }])));
        assert!(!is_same(&phones, &a, &json!([{ "value": "a" }, { "type": "X", "value": "1" }])));
    }

    #[test]
    fn an_element_is_there_once_for_its_value_and_type() {
        let phones = phones();
        assert_eq!(
            distinct_of(
                &phones,
                &json!([
                    { "value": "A", "type": "work" },
                    { "value": "a", "type": "home" },
                    { "value": "a", "type": "work", "display": "x" },
                    { "value": "a" },
                    { "value": "A", "display": "y" },
                    { "display": "z" },
                    { "display": "Z" },
                ]),
            ),
            json!([
                { "value": "A", "type": "work", "display": "x" },
                { "value": "a", "type": "home" },
                { "value": "a", "display": "y" },
                { "display": "z" },
            ])
        );
        let tags = attribute(&json!({ "name": "tags", "multiValued": true }));
        assert_eq!(distinct_of(&tags, &json!(["b", "a", "B", "a"])), json!(["b", "a"]));
    }

    #[test]
    fn a_value_of_another_type_does_not_conform() {
        let many = attribute(&json!({ "name": "a", "type": "integer", "multiValued": true }));
        assert!(conforms(&many, &json!([1, 2])));
        for other in [json!(1), json!(["1"]), json!([1, 1.5]), json!({})] {
            assert!(!conforms(&many, &other), "{other}");
        }
        let time = attribute(&json!({ "name": "a", "type": "dateTime" }));
        assert!(conforms(&time, &json!("2026-01-01T00:00:00")));
        assert!(!conforms(&time, &json!("2026-01-01")) && !conforms(&time, &json!(["x"])));
    }
}
