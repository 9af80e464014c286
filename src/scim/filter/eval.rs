//! Asking a resource whether it meets a filter.

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use super::super::fold::fold;
use super::super::schema::{Attribute, Target};
use super::{Filter, Operator, Value, is_case_exact};

/// The instant that an RFC 3339 text names, in UTC microseconds; without an offset it is UTC.
pub fn instant(text: &str) -> Option<i64> {
    if let Ok(t) = chrono::DateTime::parse_from_rfc3339(text) {
        return Some(t.timestamp_micros());
    }
    text.parse::<chrono::NaiveDateTime>().ok().map(|t| t.and_utc().timestamp_micros())
}

/// Whether the resource meets the filter.
pub fn matches(filter: &Filter, resource: &Map<String, Json>) -> bool {
    walk(filter, Some(resource), None)
}

/// Whether the element meets the filter of a value path.
pub fn matches_element(filter: &Filter, element: &Json) -> bool {
    walk(filter, element.as_object(), Some(element))
}

fn walk(f: &Filter, map: Option<&Map<String, Json>>, element: Option<&Json>) -> bool {
    match f {
        Filter::And(v) => v.iter().all(|f| walk(f, map, element)),
        Filter::Or(v) => v.iter().any(|f| walk(f, map, element)),
        Filter::Not(f) => !walk(f, map, element),
        Filter::Present(t) => values(t, map, element).iter().any(|v| present(v)),
        Filter::Compare { target, op: Operator::Ne, value } => {
            !any(target, map, element, Operator::Eq, value)
        }
        Filter::Compare { target, op, value } => any(target, map, element, *op, value),
        Filter::ValuePath { target, filter } => {
            values(target, map, element).iter().any(|v| matches_element(filter, v))
        }
    }
}

fn present(v: &Json) -> bool {
    match v {
        Json::Null => false,
        Json::Array(a) => !a.is_empty(),
        Json::Object(o) => !o.is_empty(),
        _ => true,
    }
}

fn values<'a>(
    t: &Target,
    map: Option<&'a Map<String, Json>>,
    element: Option<&'a Json>,
) -> Vec<&'a Json> {
    let Some(map) = map else { return element.into_iter().collect() };
    let container = match &t.extension {
        None => Some(map),
        Some(urn) => map.get(urn.as_ref()).and_then(Json::as_object),
    };
    let Some(value) = container.and_then(|c| c.get(&t.attribute.name)) else { return Vec::new() };
    let each: Vec<&Json> = match value {
        Json::Array(a) => a.iter().collect(),
        v => vec![v],
    };
    match &t.sub {
        None => each,
        Some(s) => each.into_iter().filter_map(|v| v.get(&s.name)).collect(),
    }
}

fn any(
    t: &Target,
    map: Option<&Map<String, Json>>,
    element: Option<&Json>,
    op: Operator,
    value: &Value,
) -> bool {
    values(t, map, element).iter().any(|v| test(t.leaf(), v, op, value))
}

fn order(op: Operator, o: Ordering) -> bool {
    match op {
        Operator::Eq => o.is_eq(),
        Operator::Gt => o.is_gt(),
        Operator::Ge => o.is_ge(),
        Operator::Lt => o.is_lt(),
        Operator::Le => o.is_le(),
        _ => false,
    }
}

fn test(leaf: &Attribute, json: &Json, op: Operator, value: &Value) -> bool {
    match (json, value) {
        (Json::String(s), Value::Text { raw }) => {
            let (a, b) = if is_case_exact(leaf) {
                (s.as_str().into(), raw.as_str().into())
            } else {
                (fold(s), fold(raw))
            };
            match op {
                Operator::Co => a.contains(b.as_ref()),
                Operator::Sw => a.starts_with(b.as_ref()),
                Operator::Ew => a.ends_with(b.as_ref()),
                op => order(op, a.cmp(&b)),
            }
        }
        (Json::String(s), Value::DateTime(at)) => instant(s).is_some_and(|i| order(op, i.cmp(at))),
        (Json::Bool(b), Value::Boolean(w)) => b == w,
        (Json::Number(n), Value::Number(m)) => match (n.as_i64(), m.as_i64()) {
            (Some(a), Some(b)) => order(op, a.cmp(&b)),
            _ => n
                .as_f64()
                .zip(m.as_f64())
                .and_then(|(a, b)| a.partial_cmp(&b))
                .is_some_and(|o| order(op, o)),
        },
        _ => false,
    }
}
