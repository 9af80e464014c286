//! Random values of attributes, and random extensions.

use muster::scim::schema::{Attribute, AttributeType, ResourceType, Uniqueness};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

/// Values that differ in case, script, length and the characters that SQL and JSON treat in ways
/// of their own.
pub const TEXTS: [&str; 24] = [
    "ann",
    "Ann",
    "ANN",
    "anna",
    "Ångström",
    "ångström",
    "ÅNGSTRÖM",
    "straße",
    "STRASSE",
    "ΣΊΣΥΦΟΣ",
    "σίσυφος",
    "İstanbul",
    "i\u{307}stanbul",
    "a\"b",
    "a\\b",
    "a'b",
    "100%",
    "a_b",
    "😀",
    "é",
    "e\u{301}",
    " ",
    "work",
    "home",
];
/// Times that are the same, or nearly so, written in different ways.
pub const TIMES: [&str; 9] = [
    "2020-01-01T00:00:00Z",
    "2030-01-01T00:00:00+05:30",
    "2029-12-31T18:30:00",
    "2026-11-24T00:00:00.123456Z",
    "2026-11-24T00:00:00.1234569Z",
    "2026-11-23T19:00:00.123456-05:00",
    "1970-01-01T00:00:00Z",
    "1969-12-31T23:59:59.9999999Z",
    "0001-01-01T00:00:00+14:00",
];
/// Base64 of both alphabets, with and without padding.
pub const BASE64: [&str; 5] = ["QUJD", "qujd", "QUI=", "QUI", "-_-_"];
/// References that differ in case and kind.
pub const URIS: [&str; 4] =
    ["https://example.com/Ann", "https://example.com/ann", "../Users/1", "urn:x:ann"];
/// Numbers that differ in size, sign and form, and around the largest that have no gaps.
pub const NUMBERS: [&str; 15] = [
    "0",
    "-0.0",
    "1",
    "1.0",
    "-1",
    "1.5",
    "-2.25",
    "0.1",
    "1e-7",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "-9223372036854775808",
    "1.7976931348623157e308",
];

fn one_of(texts: &[&'static str]) -> BoxedStrategy<Value> {
    prop::sample::select(texts.to_vec()).prop_map(Value::from).boxed()
}

/// Numbers of the pool and any others.
pub fn number() -> BoxedStrategy<Number> {
    let known = prop::sample::select(NUMBERS.to_vec())
        .prop_map(|text| serde_json::from_str::<Number>(text).expect("a number"));
    prop_oneof![
        3 => known,
        1 => any::<i64>().prop_map(Number::from),
        1 => prop::num::f64::NORMAL.prop_map(|f| Number::from_f64(f).expect("a finite number")),
    ]
    .boxed()
}

/// A value of the attribute, or of one of its elements.
fn single(attribute: &Attribute) -> BoxedStrategy<Value> {
    if attribute.uniqueness != Uniqueness::None {
        return match attribute.kind {
            AttributeType::String => any::<u64>().prop_map(|n| format!("u{n}").into()).boxed(),
            _ => any::<u32>().prop_map(|n| (f64::from(n) / 8.0).into()).boxed(),
        };
    }
    match attribute.kind {
        AttributeType::String => one_of(&TEXTS),
        AttributeType::Reference => one_of(&URIS),
        AttributeType::Binary => one_of(&BASE64),
        AttributeType::DateTime => one_of(&TIMES),
        AttributeType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        AttributeType::Integer => number()
            .prop_filter_map("an integer", |number| number.as_i64().map(Value::from))
            .boxed(),
        AttributeType::Decimal => number().prop_map(Value::Number).boxed(),
        AttributeType::Complex => {
            let subs: Vec<&Attribute> =
                attribute.sub_attributes.iter().map(AsRef::as_ref).collect();
            object(&subs).prop_map(Value::Object).boxed()
        }
    }
}

fn value(attribute: &Attribute) -> BoxedStrategy<Value> {
    if !attribute.multi_valued {
        return single(attribute);
    }
    prop::collection::vec(single(attribute), 0..4)
        .prop_map(|mut elements| {
            // At most one is the primary one.
            let mut primaries = 0;
            for element in &mut elements {
                if element.get("primary") == Some(&Value::Bool(true)) {
                    primaries += 1;
                    element["primary"] = (primaries == 1).into();
                }
            }
            elements.into()
        })
        .boxed()
}

/// Values for some of the attributes, and for all that are required.
fn object(attributes: &[&Attribute]) -> BoxedStrategy<Map<String, Value>> {
    let members: Vec<BoxedStrategy<Option<(String, Value)>>> = attributes
        .iter()
        .map(|attribute| {
            let name = attribute.name.clone();
            let member = value(attribute).prop_map(move |value| (name.clone(), value));
            if attribute.required {
                // Blanks are no value.
                member.prop_filter("a value", |(_, value)| *value != " ").prop_map(Some).boxed()
            } else {
                prop::option::of(member).boxed()
            }
        })
        .collect();
    members.prop_map(|members| members.into_iter().flatten().collect()).boxed()
}

/// The extensions of a resource, some left out, and those of the attributes of its core schema.
pub fn extensions(resource_type: &ResourceType) -> BoxedStrategy<Map<String, Value>> {
    let members: Vec<BoxedStrategy<Option<(String, Value)>>> = resource_type
        .extensions
        .iter()
        .map(|extension| {
            let urn = extension.urn.to_string();
            let attributes: Vec<&Attribute> =
                extension.schema.attributes.iter().map(AsRef::as_ref).collect();
            let object = object(&attributes);
            prop::option::weighted(0.9, object.prop_map(move |o| (urn.clone(), o.into()))).boxed()
        })
        .collect();
    members.prop_map(|members| members.into_iter().flatten().collect()).boxed()
}
