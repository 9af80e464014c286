//! Asking a resource whether it meets a filter.
//!
//! This is the meaning of filters: what the store compiles to SQL is tested against it.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value as Json};

use super::super::reference::{names_resources, unversioned};
use super::super::schema::{Attribute, Target};
use super::super::value::format::whole;
use super::super::value::is_unassigned;
use super::{Filter, Operator, Value, comparable};

/// The instant that an RFC 3339 text names, in UTC microseconds; without an offset it is UTC.
pub fn instant(text: &str) -> Option<i64> {
    if let Ok(time) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(time.timestamp_micros());
    }
    text.parse::<chrono::NaiveDateTime>().ok().map(|time| time.and_utc().timestamp_micros())
}

/// Whether the resource meets the filter. The resource is in canonical form, as it is returned.
pub fn matches(filter: &Filter, resource: &Map<String, Json>) -> bool {
    holds(filter, &Subject::Attributes(resource))
}

/// Whether the element of a multi-valued attribute meets the filter of a value path.
pub fn matches_element(filter: &Filter, element: &Json) -> bool {
    let subject = match element {
        Json::Object(attributes) => Subject::Attributes(attributes),
        value => Subject::Value(value),
    };
    holds(filter, &subject)
}

/// What a filter is asked of.
enum Subject<'a> {
    /// A resource, or an element with sub-attributes.
    Attributes(&'a Map<String, Json>),
    /// An element that is a plain value; every name means the value itself.
    Value(&'a Json),
}

impl<'a> Subject<'a> {
    /// All values at the target, each element of a multi-valued one by itself.
    fn values(&self, target: &Target) -> Vec<&'a Json> {
        let attributes = match self {
            Self::Value(value) => return vec![value],
            Self::Attributes(attributes) => *attributes,
        };
        let container = match &target.extension {
            None => Some(attributes),
            Some(urn) => attributes.get(urn.as_ref()).and_then(Json::as_object),
        };
        let elements: &[Json] = match container.and_then(|inner| inner.get(&target.attribute.name))
        {
            Some(Json::Array(elements)) => elements,
            Some(single) => std::slice::from_ref(single),
            None => &[],
        };
        match &target.sub {
            None => elements.iter().collect(),
            // A sub-attribute, too, can have several values.
            Some(sub) => elements
                .iter()
                .filter_map(|element| element.get(&sub.name))
                .flat_map(|value| match value {
                    Json::Array(values) => values.as_slice(),
                    single => std::slice::from_ref(single),
                })
                .collect(),
        }
    }
}

fn holds(filter: &Filter, subject: &Subject<'_>) -> bool {
    match filter {
        Filter::And(members) => members.iter().all(|member| holds(member, subject)),
        Filter::Or(members) => members.iter().any(|member| holds(member, subject)),
        Filter::Not(inner) => !holds(inner, subject),
        Filter::Present(target) => {
            subject.values(target).into_iter().any(|value| !is_unassigned(value))
        }
        // `ne` is the negation of `eq`, for multi-valued attributes and absent ones too.
        Filter::Compare { target, op: Operator::Ne, value } => {
            !any_value(subject, target, Operator::Eq, value)
        }
        Filter::Compare { target, op, value } => any_value(subject, target, *op, value),
        Filter::ValuePath { target, filter } => {
            subject.values(target).into_iter().any(|element| matches_element(filter, element))
        }
    }
}

/// "If any of the values match" (RFC 7644 section 3.4.2.2, on multi-valued attributes).
fn any_value(subject: &Subject<'_>, target: &Target, op: Operator, value: &Value) -> bool {
    let found = subject.values(target);
    found.into_iter().any(|found| compare(target.leaf(), found, op, value))
}

fn compare(leaf: &Attribute, found: &Json, op: Operator, value: &Value) -> bool {
    match (found, value) {
        (Json::String(found), Value::Text { raw })
            if op == Operator::Eq && names_resources(leaf) =>
        {
            unversioned(found) == unversioned(raw)
        }
        (Json::String(found), Value::Text { raw }) => {
            compare_text(&comparable(leaf, found), op, &comparable(leaf, raw))
        }
        (Json::String(found), Value::DateTime(micros)) => {
            instant(found).is_some_and(|found| accepts(op, found.cmp(micros)))
        }
        (Json::Bool(found), Value::Boolean(flag)) => found == flag,
        (Json::Number(found), Value::Number(number)) => {
            compare_numbers(found, number).is_some_and(|order| accepts(op, order))
        }
        _ => false,
    }
}

/// The order of two numbers. Floating-point numbers have gaps where integers have none, so what is
/// whole is compared as integers.
fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    let integer = |number: &Number| number.as_i64().or_else(|| number.as_f64().and_then(whole));
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64().partial_cmp(&b.as_f64()),
    }
}

fn compare_text(found: &str, op: Operator, text: &str) -> bool {
    match op {
        Operator::Co => found.contains(text),
        Operator::Sw => found.starts_with(text),
        Operator::Ew => found.ends_with(text),
        op => accepts(op, found.cmp(text)),
    }
}

fn accepts(op: Operator, order: Ordering) -> bool {
    match op {
        Operator::Eq => order.is_eq(),
        Operator::Gt => order.is_gt(),
        Operator::Ge => order.is_ge(),
        Operator::Lt => order.is_lt(),
        Operator::Le => order.is_le(),
        Operator::Ne | Operator::Co | Operator::Sw | Operator::Ew => false,
    }
}
