//! A job as it was sent. What is wrong with the job as a whole fails it; what is wrong with one
//! operation fails that operation.

use serde_json::{Map, Value, json};

use super::links::linked;
use super::order::Node;
use super::references::referred;
use super::write::{Action, Request, Target};
use super::{BULK_REQUEST_SCHEMA, Endpoint, MAX_BULK_OPERATIONS, Method};
use crate::scim::condition::Condition;
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::patch::PATCH_SCHEMA;
use crate::scim::quirks::{Quirk, Quirks};

/// A bulk request, read but not begun.
#[derive(Debug, Clone)]
pub struct Job {
    /// How many errors end the job.
    pub(super) fail_on_errors: Option<u64>,
    pub(super) operations: Vec<Operation>,
    /// What each operation has to do with the others.
    pub(super) nodes: Vec<Node>,
}

/// One operation, as far as it can be understood.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    /// The method, as the answer repeats it.
    pub(super) method: Option<String>,
    pub(super) bulk_id: Option<String>,
    pub(super) path: Option<String>,
    /// What it asks for, or why it cannot be done.
    pub(super) request: ScimResult<Request>,
}

impl Job {
    /// Reads the body of a bulk request.
    ///
    /// # Errors
    /// `invalidSyntax` for a body that is no bulk request, 413 for one with too many operations.
    pub fn parse(body: Value, quirks: &mut Quirks) -> ScimResult<Self> {
        let Value::Object(body) = body else {
            return Err(ScimError::invalid_syntax("the body must be a JSON object"));
        };
        let [mut schemas, mut fail_on_errors, mut operations] = [const { Value::Null }; 3];
        for (key, value) in body {
            match key.to_ascii_lowercase().as_str() {
                "schemas" => schemas = value,
                "failonerrors" => fail_on_errors = value,
                "operations" => operations = value,
                _ => {}
            }
        }
        check_schemas(&schemas, quirks)?;
        let fail_on_errors = match fail_on_errors {
            Value::Null => None,
            limit => Some(limit.as_u64().filter(|limit| *limit > 0).ok_or_else(|| {
                ScimError::invalid_syntax(
                    "'failOnErrors' must be an integer of 1 or more; leave it out to carry out \
                     whatever can be",
                )
            })?),
        };
        let Value::Array(operations) = operations else {
            return Err(ScimError::invalid_syntax("a bulk request needs an 'Operations' array"));
        };
        if operations.is_empty() {
            return Err(ScimError::invalid_syntax("'Operations' must not be empty"));
        }
        if operations.len() > MAX_BULK_OPERATIONS {
            return Err(ScimError::new(
                413,
                format!(
                    "the number of operations ({}) exceeds the maxOperations \
                     ({MAX_BULK_OPERATIONS}); split the request",
                    operations.len()
                ),
            ));
        }
        let operations = operations
            .into_iter()
            .map(|operation| match operation {
                Value::Object(operation) => Ok(Operation::parse(operation, quirks)),
                _ => Err(ScimError::invalid_syntax("each of 'Operations' must be an object")),
            })
            .collect::<ScimResult<Vec<_>>>()?;
        let (operations, nodes) = linked(operations)?;
        Ok(Self { fail_on_errors, operations, nodes })
    }

    /// How many operations there are.
    pub fn size(&self) -> usize {
        self.operations.len()
    }

    /// Fails the operations about resources of which `refusal` says why; the others stay as they are.
    pub fn refuse(&mut self, refusal: impl Fn(Endpoint) -> Option<ScimError>) {
        for operation in &mut self.operations {
            if let Ok(request) = &operation.request
                && let Some(error) = refusal(request.endpoint)
            {
                operation.request = Err(error);
            }
        }
    }
}

fn check_schemas(schemas: &Value, quirks: &mut Quirks) -> ScimResult<()> {
    let is_bulk = |value: &Value| {
        value.as_str().is_some_and(|urn| urn.eq_ignore_ascii_case(BULK_REQUEST_SCHEMA))
    };
    let names_bulk = match schemas {
        Value::Null => {
            quirks.note(Quirk::MissingBulkSchema);
            true
        }
        Value::Array(urns) => urns.iter().any(is_bulk),
        single => is_bulk(single),
    };
    if names_bulk {
        return Ok(());
    }
    Err(ScimError::invalid_syntax(format!(
        "'schemas' of a bulk request must be [\"{BULK_REQUEST_SCHEMA}\"]"
    )))
}

/// The members of an operation, as they were sent.
#[derive(Default)]
struct Sent {
    method: Value,
    bulk_id: Value,
    version: Value,
    path: Value,
    data: Value,
}

impl Operation {
    fn parse(operation: Map<String, Value>, quirks: &mut Quirks) -> Self {
        let mut sent = Sent::default();
        for (key, value) in operation {
            match key.to_ascii_lowercase().as_str() {
                "method" => sent.method = value,
                "bulkid" => sent.bulk_id = value,
                "version" => sent.version = value,
                "path" => sent.path = value,
                "data" => sent.data = value,
                _ => {}
            }
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self {
            method: match sent.method.as_str().and_then(Method::parse) {
                Some(known) => Some(known.as_str().to_owned()),
                None => text(&sent.method),
            },
            bulk_id: text(&sent.bulk_id).filter(|bulk_id| !bulk_id.is_empty()),
            path: text(&sent.path),
            request: sent.request(quirks),
        }
    }

    pub(super) fn known_method(&self) -> Option<Method> {
        self.method.as_deref().and_then(Method::parse)
    }
}

impl Sent {
    /// What the operation asks for; why it cannot be done has the status that a request of its own
    /// would be answered with.
    fn request(self, quirks: &mut Quirks) -> ScimResult<Request> {
        let method = self.method()?;
        let has_bulk_id = self.has_bulk_id()?;
        let Value::String(path) = &self.path else {
            return Err(ScimError::invalid_syntax(
                "an operation needs a 'path', such as \"/Users\"",
            ));
        };
        let (endpoint, target) = target(path)?;
        let condition = self.condition(method)?;
        let action = match (method, target) {
            (Method::Post, None) if has_bulk_id => Action::Create(self.data(method, quirks)?),
            (Method::Put, Some(target)) => Action::Replace(target, self.data(method, quirks)?),
            (Method::Patch, Some(target)) => Action::Patch(target, self.data(method, quirks)?),
            (Method::Delete, Some(target)) => Action::Delete(target),
            (Method::Post, None) => {
                return Err(ScimError::invalid_syntax("a POST operation needs a 'bulkId'"));
            }
            (Method::Post, Some(_)) => {
                let detail = format!("the 'path' of a POST must be \"/{endpoint}\", without an id");
                return Err(ScimError::new(405, detail));
            }
            (_, None) => {
                let method = method.as_str();
                let detail = format!("the 'path' of a {method} must be \"/{endpoint}/\" and an id");
                return Err(ScimError::new(405, detail));
            }
        };
        Ok(Request { endpoint, action, condition })
    }

    fn method(&self) -> ScimResult<Method> {
        let detail = "the 'method' of an operation must be POST, PUT, PATCH or DELETE";
        match &self.method {
            Value::String(text) => Method::parse(text).ok_or_else(|| ScimError::new(405, detail)),
            _ => Err(ScimError::invalid_syntax(detail)),
        }
    }

    fn has_bulk_id(&self) -> ScimResult<bool> {
        match &self.bulk_id {
            Value::Null => Ok(false),
            Value::String(text) if !text.is_empty() => Ok(true),
            _ => Err(ScimError::invalid_syntax("'bulkId' must be text, and not empty")),
        }
    }

    /// "Version MAY be used if … 'method' is 'PUT', 'PATCH', or 'DELETE'"; what is new has none.
    fn condition(&self, method: Method) -> ScimResult<Condition> {
        match &self.version {
            Value::String(version) if method != Method::Post => Ok(Condition::of_version(version)),
            Value::String(_) | Value::Null => Ok(Condition::none()),
            _ => Err(ScimError::invalid_syntax(
                "'version' must be text, as it stands in the 'meta' of the resource",
            )),
        }
    }

    fn data(self, method: Method, quirks: &mut Quirks) -> ScimResult<Value> {
        match self.data {
            Value::Object(_) => Ok(self.data),
            // The RFC's own example (section 3.7.3) has the operations of a PATCH without the object
            // around them.
            Value::Array(operations) if method == Method::Patch => {
                quirks.note(Quirk::BarePatchOperations);
                Ok(json!({ "schemas": [PATCH_SCHEMA], "Operations": operations }))
            }
            _ => Err(ScimError::invalid_syntax(format!(
                "a {} needs an object as its 'data': the body that a request of its own would have",
                method.as_str()
            ))),
        }
    }
}

/// "The resource's relative path to the SCIM service provider's root" (RFC 7644 section 3.7), with or
/// without a slash before and behind it.
fn target(path: &str) -> ScimResult<(Endpoint, Option<Target>)> {
    if path.contains(['?', '#']) {
        return Err(ScimError::invalid_syntax("the 'path' of an operation takes no query"));
    }
    let path = path.strip_prefix('/').unwrap_or(path).trim_end_matches('/');
    let (endpoint, id) = match path.split_once('/') {
        Some((endpoint, id)) => (endpoint, Some(id)),
        None => (path, None),
    };
    let known = Endpoint::ALL.into_iter().find(|known| known.to_string() == endpoint);
    let Some(known) = known else { return Err(no_endpoint(endpoint)) };
    let target = match id {
        None => None,
        Some(id) => Some(match referred(id) {
            Some(name) => Target::Created(name.to_owned()),
            // No id has a slash, and no database can be asked for a text with NUL in it.
            None if id.contains(['/', '\0']) => {
                return Err(ScimError::not_found("there is no resource with this id"));
            }
            None => Target::Id(id.to_owned()),
        }),
    };
    Ok((known, target))
}

/// Why there is nothing to write at an endpoint that is not one of resources.
fn no_endpoint(name: &str) -> ScimError {
    match name {
        "ServiceProviderConfig" | "Schemas" | "ResourceTypes" | "Bulk" | ".search" => {
            ScimError::new(405, format!("\"/{name}\" takes no operations of a bulk request"))
        }
        _ => ScimError::not_found(
            "the 'path' of an operation must begin with \"/Users\" or \"/Groups\"",
        ),
    }
}
