//! What the answer to a job says of each operation.

use serde_json::{Map, Value};

use super::job::Operation;
use super::write::Written;
use super::{Ids, Method};
use crate::scim::error::ScimResult;

/// What the answer says of one operation (RFC 7644 section 3.7.3).
pub(super) fn result(
    operation: &Operation,
    outcome: &ScimResult<Written>,
    ids: &Ids,
    base_url: &str,
) -> Value {
    let mut result = Map::new();
    let mut say = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            result.insert(name.to_owned(), value.into());
        }
    };
    say("location", location(operation, outcome.as_ref().ok(), ids, base_url));
    say("method", operation.method.clone());
    say("bulkId", operation.bulk_id.clone());
    match outcome {
        Ok(written) => {
            say("version", written.version.clone());
            let status = match operation.known_method() {
                Some(Method::Post) => "201",
                Some(Method::Delete) => "204",
                _ => "200",
            };
            say("status", Some(status.to_owned()));
        }
        Err(error) => {
            say("status", Some(error.status.to_string()));
            result.insert("response".to_owned(), error.to_json());
        }
    }
    result.into()
}

/// "A 'location' attribute that includes the resource's endpoint MUST be returned for all operations
/// except for failed POST operations (which have no location)" (RFC 7644 section 3.7.3).
fn location(
    operation: &Operation,
    written: Option<&Written>,
    ids: &Ids,
    base_url: &str,
) -> Option<String> {
    if let Ok(request) = &operation.request {
        let target = || request.target().and_then(|target| target.id(ids));
        if let Some(id) = written.map(|written| written.id.as_str()).or_else(target) {
            return Some(format!("{base_url}/{}/{}", request.endpoint, in_url(id)));
        }
    }
    if operation.known_method() == Some(Method::Post) {
        return None;
    }
    let path = operation.path.as_deref()?;
    Some(format!("{base_url}/{}", in_url(path.trim_start_matches('/'))))
}

/// A client's text as part of a URL.
fn in_url(text: &str) -> String {
    let in_url = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~:@/%".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(in_url).collect()
}
