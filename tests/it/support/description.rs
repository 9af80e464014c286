//! The `OpenAPI` description as a promise: every answer of a path that it describes has to be one that it
//! describes. Entry points: [`paths`] and [`check`].
//!
//! Of JSON Schema this knows what the description uses, and fails on anything else. It is stricter in
//! one thing: a key that is not described is a flaw, unless the schema says otherwise.

use std::sync::LazyLock;

use reqwest::header::HeaderMap;
use serde_json::{Map, Value};

/// The description, as it is in the program.
pub const TEXT: &str = include_str!("../../../src/http/api/openapi.json");

static DESCRIPTION: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(TEXT).expect("the description is JSON"));

/// What the description says of each path.
pub fn paths() -> &'static Map<String, Value> {
    DESCRIPTION["paths"].as_object().expect("paths")
}

/// Whether an answer is one that the description has; what is wrong with it otherwise.
///
/// # Errors
/// It is not.
pub fn check(
    request: &str,
    status: u16,
    headers: &HeaderMap,
    text: &str,
    body: &Value,
) -> Result<(), String> {
    let Some((method, url)) = request.split_once(' ') else { return Ok(()) };
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let Some((_, described)) = paths().iter().find(|(template, _)| is_like(template, path)) else {
        return Ok(());
    };
    let Some(operation) = described.get(method.to_ascii_lowercase()) else {
        return is(method == "HEAD" || (400..500).contains(&status), || {
            format!("the method is not described, and answered with {status}")
        });
    };
    // Of HTTP itself, before anything is known of the request: whatever is asked for too slowly.
    if status == 408 && operation["responses"].get("408").is_none() {
        return Ok(());
    }
    let answer = operation["responses"].get(status.to_string());
    let answer = resolved(answer.ok_or_else(|| format!("the status {status} is not described"))?);
    for (name, header) in answer.get("headers").and_then(Value::as_object).into_iter().flatten() {
        let needed = resolved(header).get("required").is_some_and(|value| *value == true);
        is(!needed || headers.contains_key(name), || format!("the header {name} is missing"))?;
    }
    let kind = headers.get("content-type").and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default();
    let Some(content) = answer.get("content") else {
        return is(text.is_empty(), || format!("no body is described for {status}"));
    };
    let content = content
        .get(kind)
        .ok_or_else(|| format!("the media type '{kind}' is not described for {status}"))?;
    if kind == "application/json" { conforms(&content["schema"], body, "body") } else { Ok(()) }
}

/// Whether a path, without the slash that it begins with, is of the form of a template.
fn is_like(template: &str, path: &str) -> bool {
    let template: Vec<&str> = template.split('/').skip(1).collect();
    let path: Vec<&str> = path.split('/').collect();
    let is_same = |(wanted, found): (&&str, &&str)| {
        if wanted.starts_with('{') { !found.is_empty() } else { wanted == found }
    };
    template.len() == path.len() && template.iter().zip(&path).all(is_same)
}

/// What a reference refers to, or the value itself.
pub fn resolved(value: &'static Value) -> &'static Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else { return value };
    let pointer = reference.strip_prefix('#').expect("a reference inside the description");
    DESCRIPTION.pointer(pointer).unwrap_or_else(|| panic!("there is no {reference}"))
}

fn is(condition: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(problem()) }
}

/// Whether a value is one that the schema allows.
pub fn conforms(schema: &'static Value, value: &Value, at: &str) -> Result<(), String> {
    let schema = resolved(schema);
    let told = |problem: &str| format!("{at} {problem}: {value}");
    for (keyword, wanted) in schema.as_object().expect("a schema") {
        match keyword.as_str() {
            "type" => {
                let kinds = wanted.as_array().map_or(std::slice::from_ref(wanted), Vec::as_slice);
                let is_one = kinds.iter().any(|kind| is_kind(kind, value));
                is(is_one, || told(&format!("is not of type {wanted}")))?;
            }
            "enum" => {
                let is_one = wanted.as_array().is_some_and(|values| values.contains(value));
                is(is_one, || told("is none of the values"))?;
            }
            "const" => is(wanted == value, || told("is another value"))?,
            "anyOf" | "oneOf" => {
                let schemas = wanted.as_array().expect("schemas");
                let fitting: Vec<_> = schemas.iter().map(|one| conforms(one, value, at)).collect();
                let count = fitting.iter().filter(|fits| fits.is_ok()).count();
                let enough = if keyword == "oneOf" { count == 1 } else { count > 0 };
                is(enough, || told(&format!("fits {count} schemas of {fitting:?}")))?;
            }
            "format" => {
                let is_right = value.as_str().is_none_or(|text| is_format(wanted, text));
                is(is_right, || told(&format!("has not the format {wanted}")))?;
            }
            "minimum" => {
                let is_less = value.as_i64() < wanted.as_i64();
                is(!value.is_i64() || !is_less, || told("is too small"))?;
            }
            "required" => {
                let names = wanted.as_array().into_iter().flatten().filter_map(Value::as_str);
                for name in names.filter(|_| value.is_object()) {
                    is(value.get(name).is_some(), || told(&format!("has no '{name}'")))?;
                }
            }
            "properties" => {
                let is_open = schema.get("additionalProperties").is_some_and(|open| *open == true);
                for (name, part) in value.as_object().into_iter().flatten() {
                    match wanted.get(name) {
                        Some(schema) => conforms(schema, part, &format!("{at}.{name}"))?,
                        None => {
                            is(is_open, || told(&format!("has '{name}', which is not described")))?;
                        }
                    }
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    conforms(wanted, item, &format!("{at}[{n}]"))?;
                }
            }
            "description" | "additionalProperties" => {}
            other => panic!("nothing here knows the keyword '{other}' of the description"),
        }
    }
    Ok(())
}

fn is_kind(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        other => panic!("nothing here knows the type '{other}' of the description"),
    }
}

fn is_format(format: &Value, text: &str) -> bool {
    match format.as_str().expect("a format") {
        "uuid" => uuid::Uuid::try_parse(text).is_ok(),
        "date-time" => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        other => panic!("nothing here knows the format '{other}' of the description"),
    }
}
