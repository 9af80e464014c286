//! Answers: SCIM resources, lists and errors, in SCIM's own media type.

use actix_web::http::header::{
    CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::http::{ConnectionType, StatusCode};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use futures_util::stream;
use serde_json::Value;

use super::door::Denied;
use super::scopes::LackOfScope;
use crate::access::limit::TooOften;
use crate::db::{RETRY_AFTER as RETRY_AFTER_SECONDS, StoreError};
use crate::directory::DirectoryError;
use crate::scim::ScimError;
use crate::scim::projection::text::Shown;

/// The media type of every SCIM answer (RFC 7644 section 3.1).
pub const SCIM_JSON: &str = "application/scim+json";

/// An answer with JSON as its body.
pub fn json(mut builder: HttpResponseBuilder, body: Vec<u8>) -> HttpResponse {
    builder.insert_header((CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON))).body(body)
}

fn value(builder: HttpResponseBuilder, body: &Value) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(body) => json(builder, body),
        Err(error) => {
            log::error!("could not write an answer: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// 200 with a list, or another message that is no resource.
pub fn message(body: &Value) -> HttpResponse {
    value(HttpResponse::Ok(), body)
}

/// 200 with a resource that has no versions, such as a schema.
pub fn document(body: &Value) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    if let Some(location) = body.pointer("/meta/location").and_then(Value::as_str) {
        builder.insert_header((CONTENT_LOCATION, location));
    }
    value(builder, body)
}

/// 200 with a resource and its entity tag.
///
/// "meta.location … MUST be the same as the Content-Location HTTP response header" (RFC 7643 section
/// 3.1). Where a projection takes the one away, the representation is not that of the location.
pub fn resource(tag: &str, location: impl FnOnce() -> String, shown: Shown) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    builder.insert_header((ETAG, tag));
    if shown.has_location {
        builder.insert_header((CONTENT_LOCATION, location()));
    }
    json(builder, shown.json)
}

/// What an answer takes of memory that is made while it is sent, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Weight(pub usize);

/// 200 with a resource that is written while it is sent, of so many bytes of memory.
pub fn large_resource(
    tag: &str,
    location: Option<String>,
    weight: usize,
    pieces: impl Iterator<Item = serde_json::Result<Vec<u8>>> + 'static,
) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    builder.insert_header((ETAG, tag));
    builder.insert_header((CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON)));
    if let Some(location) = location {
        builder.insert_header((CONTENT_LOCATION, location));
    }
    builder.extensions_mut().insert(Weight(weight));
    builder.streaming(stream::iter(pieces.map(|piece| piece.map(Bytes::from))))
}

/// 304: the client has the representation with that tag already (RFC 7644 section 3.14).
pub fn not_modified(tag: &str) -> HttpResponse {
    let mut builder = HttpResponse::NotModified();
    builder.insert_header((ETAG, tag)).finish()
}

/// 201 with a new resource and its location (RFC 7644 section 3.3).
pub fn created(tag: &str, location: String, shown: Shown) -> HttpResponse {
    let mut builder = HttpResponse::Created();
    builder.insert_header((ETAG, tag));
    if shown.has_location {
        builder.insert_header((CONTENT_LOCATION, location.as_str()));
    }
    builder.insert_header((LOCATION, location));
    json(builder, shown.json)
}

/// 204 without the resource, whose entity tag has changed.
pub fn changed(tag: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((ETAG, tag)).finish()
}

/// 204 without a body.
pub fn no_content() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Seconds after which a client may ask whether what the mass-change brake holds was let through.
const HELD_RETRY_AFTER: u32 = 600;

/// Why a request was not served, as an answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Failed(#[from] DirectoryError),
    /// The token may not do this.
    #[error(transparent)]
    Scope(#[from] LackOfScope),
    /// The request came from where it may not.
    #[error("{0}")]
    Address(String),
    /// It came too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TooOften(error) => Self::TooOften(error),
            Denied::Address => Self::Address(denied.to_string()),
            Denied::Store(error) => error.into(),
        }
    }
}

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        let code = match self {
            Self::Failed(DirectoryError::Refused(error)) => error.status,
            Self::Failed(DirectoryError::Store(error)) if error.is_unavailable() => match error {
                StoreError::Share => 429,
                _ => 503,
            },
            Self::Failed(DirectoryError::Store(StoreError::LargeRehearsal)) => 413,
            Self::Failed(DirectoryError::Store(_)) => 500,
            Self::Scope(_) | Self::Address(_) => 403,
            Self::Failed(DirectoryError::Held(_)) | Self::TooOften(_) => 429,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Failed(DirectoryError::Held(held)) => {
                let mut response = refusal(&ScimError::new(429, held.to_string()));
                response.headers_mut().insert(RETRY_AFTER, HELD_RETRY_AFTER.into());
                // The client's middleware puts the brake on for what comes after.
                response.extensions_mut().insert(held.clone());
                response
            }
            Self::Failed(DirectoryError::Store(StoreError::LargeRehearsal)) => {
                let mut response = refusal(&too_large_to_rehearse());
                // It is the answer to the dry run, and not what one would say.
                response.extensions_mut().insert(NotRehearsed);
                response
            }
            Self::Failed(error) => refusal(&shown(error)),
            Self::Scope(lack) => {
                let mut response = refusal(&lack.error);
                let challenge = format!(
                    "Bearer realm=\"muster\", error=\"insufficient_scope\", scope=\"{}\"",
                    lack.scope
                );
                if let Ok(challenge) = HeaderValue::try_from(challenge) {
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                response
            }
            Self::Address(detail) => refusal(&ScimError::new(403, detail)),
            Self::TooOften(error) => {
                let mut response = refusal(&ScimError::new(429, error.to_string()));
                response.headers_mut().insert(RETRY_AFTER, error.seconds.into());
                response
            }
        }
    }
}

/// Marks the answer to a dry run that could not be made.
#[derive(Debug, Clone, Copy)]
pub struct NotRehearsed;

/// The refusal of a dry run that does more than is kept of it, or takes too long.
pub fn too_large_to_rehearse() -> ScimError {
    ScimError::new(413, StoreError::LargeRehearsal.to_string())
}

/// What a client is shown of an error. What is the store's goes to the log: it is for the operator
/// alone.
pub fn shown(error: &DirectoryError) -> ScimError {
    match error {
        DirectoryError::Refused(error) => error.clone(),
        DirectoryError::Held(held) => ScimError::new(429, held.to_string()),
        DirectoryError::Store(error @ StoreError::Share) => ScimError::new(429, error.told()),
        DirectoryError::Store(StoreError::LargeRehearsal) => too_large_to_rehearse(),
        DirectoryError::Store(error @ StoreError::Busy) => ScimError::new(503, error.told()),
        DirectoryError::Store(error @ StoreError::TimedOut) => {
            log::warn!("a request kept the database for too long");
            ScimError::new(503, error.told())
        }
        DirectoryError::Store(error) if error.is_unavailable() => {
            log::log!(error.level(), "the store is unavailable: {error}");
            ScimError::new(503, error.told())
        }
        DirectoryError::Store(error) => {
            log::error!("internal error: {error}");
            internal_error()
        }
    }
}

/// The error that is shown for what only the operator can mend.
pub fn internal_error() -> ScimError {
    ScimError::new(500, "internal error; the server's log tells more under this request's id")
}

/// A SCIM error as an answer.
pub fn refusal(error: &ScimError) -> HttpResponse {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut builder = HttpResponse::build(status);
    if status == StatusCode::UNAUTHORIZED {
        // RFC 6750 section 3.
        builder.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"muster\""));
    }
    retried(value(builder, &error.to_json()))
}

/// Says when to try again, where that is what the status asks for: after so many seconds, since Okta
/// reads no dates.
pub fn retried(mut response: HttpResponse) -> HttpResponse {
    let is_later = matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if is_later {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    if response.status() == StatusCode::REQUEST_TIMEOUT {
        // What else comes on the connection is the rest of the request that was given up.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}
