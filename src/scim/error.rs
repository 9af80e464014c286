//! The SCIM error: what a client is shown when a request cannot be served (RFC 7644 section 3.12).
//!
//! One value carries the HTTP status, the `scimType` keyword where the RFC has one, and a `detail`
//! written for the administrator who reads it in the identity provider's task list.

use std::fmt;

use serde_json::{Map, Value, json};

/// The `schemas` value of every error body.
pub const ERROR_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:Error";

/// The `scimType` keywords of RFC 7644 table 9, and those that RFC 9865 adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScimType {
    InvalidFilter,
    TooMany,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
    InvalidVers,
    Sensitive,
    /// RFC 9865 section 2.1.
    InvalidCursor,
    /// RFC 9865 section 2.1.
    InvalidCount,
}

impl ScimType {
    /// The keyword as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::TooMany => "tooMany",
            Self::Uniqueness => "uniqueness",
            Self::Mutability => "mutability",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidPath => "invalidPath",
            Self::NoTarget => "noTarget",
            Self::InvalidValue => "invalidValue",
            Self::InvalidVers => "invalidVers",
            Self::Sensitive => "sensitive",
            Self::InvalidCursor => "invalidCursor",
            Self::InvalidCount => "invalidCount",
        }
    }
}

/// A refusal in the protocol's own terms; safe to show to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScimError {
    /// HTTP status code.
    pub status: u16,
    /// The RFC's keyword, where it has one for this failure.
    pub scim_type: Option<ScimType>,
    /// A sentence that says what to fix.
    pub detail: String,
}

/// The result of protocol operations.
pub type ScimResult<T> = Result<T, ScimError>;

impl ScimError {
    /// An error with a bare status and no `scimType`.
    pub fn new(status: u16, detail: impl Into<String>) -> Self {
        Self { status, scim_type: None, detail: detail.into() }
    }

    fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self { status: 400, scim_type: Some(scim_type), detail: detail.into() }
    }

    /// 400 `invalidFilter`: the filter does not parse, or does not fit the schema.
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidFilter, detail)
    }

    /// 400 `tooMany`: the search costs more than the server is willing to spend on it.
    pub fn too_many(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::TooMany, detail)
    }

    /// 400 `invalidSyntax`: the body is not the message that the endpoint takes.
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidSyntax, detail)
    }

    /// 400 `invalidSyntax`: the body is no object.
    pub fn no_object() -> Self {
        Self::invalid_syntax("the body must be a JSON object")
    }

    /// 400 `invalidPath`: a PATCH path is malformed or names no attribute.
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidPath, detail)
    }

    /// 400 `invalidValue`: a value is missing or not of the attribute's type.
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidValue, detail)
    }

    /// 400 `noTarget`: a PATCH operation has nothing to act on.
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::NoTarget, detail)
    }

    /// 400 `mutability`: the attribute may not be changed by a client.
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::Mutability, detail)
    }

    /// 400 `invalidCursor`: the cursor is none that the server gave out for the query.
    pub fn invalid_cursor(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidCursor, detail)
    }

    /// 400 `invalidCount`: `count` is no number of resources that a page with a cursor can have.
    pub fn invalid_count(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidCount, detail)
    }

    /// 409 `uniqueness`: another resource already holds the value.
    pub fn uniqueness(detail: impl Into<String>) -> Self {
        Self { status: 409, scim_type: Some(ScimType::Uniqueness), detail: detail.into() }
    }

    /// 404: there is no such resource for this client.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, detail)
    }

    /// The error body; `status` is a string, as RFC 7644 section 3.12 has it.
    pub fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("schemas".to_owned(), json!([ERROR_SCHEMA]));
        body.insert("status".to_owned(), self.status.to_string().into());
        if let Some(scim_type) = self.scim_type {
            body.insert("scimType".to_owned(), scim_type.as_str().into());
        }
        body.insert("detail".to_owned(), self.detail.as_str().into());
        body.into()
    }
}

impl fmt::Display for ScimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scim_type {
            Some(scim_type) => write!(f, "{} {}: {}", self.status, scim_type.as_str(), self.detail),
            None => write!(f, "{}: {}", self.status, self.detail),
        }
    }
}

impl std::error::Error for ScimError {}
