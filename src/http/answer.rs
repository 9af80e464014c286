//! Answers: SCIM resources, lists and errors, in SCIM's own media type.

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde_json::{Map, Value};

use crate::db::{RETRY_AFTER as RETRY_AFTER_SECONDS, StoreError};
use crate::directory::DirectoryError;
use crate::scim::ScimError;

/// The media type of every SCIM answer (RFC 7644 section 3.1).
pub const SCIM_JSON: &str = "application/scim+json";

fn json(mut builder: HttpResponseBuilder, body: &impl serde::Serialize) -> HttpResponse {
    match serde_json::to_vec(body) {
        Ok(body) => builder.insert_header((CONTENT_TYPE, SCIM_JSON)).body(body),
        Err(error) => {
            log::error!("could not write an answer: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// 200 with a list, or another message that is no resource.
pub fn message(body: &Value) -> HttpResponse {
    json(HttpResponse::Ok(), body)
}

/// 200 with a resource that has no versions, such as a schema.
pub fn document(body: &Value) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    locate(&mut builder, body.get("meta"));
    json(builder, body)
}

/// "meta.location … MUST be the same as the Content-Location HTTP response header" (RFC 7643
/// section 3.1). Where a projection takes the one away, the representation is not that of the
/// location.
fn locate(builder: &mut HttpResponseBuilder, meta: Option<&Value>) {
    if let Some(location) = meta.and_then(|meta| meta.get("location")).and_then(Value::as_str) {
        builder.insert_header((CONTENT_LOCATION, location));
    }
}

/// 200 with a resource and its entity tag.
pub fn resource(tag: &str, resource: &Map<String, Value>) -> HttpResponse {
    let mut builder = HttpResponse::Ok();
    builder.insert_header((ETAG, tag));
    locate(&mut builder, resource.get("meta"));
    json(builder, resource)
}

/// 304: the client has the representation with that tag already (RFC 7644 section 3.14).
pub fn not_modified(tag: &str) -> HttpResponse {
    let mut builder = HttpResponse::NotModified();
    builder.insert_header((ETAG, tag)).finish()
}

/// 201 with a new resource and its location (RFC 7644 section 3.3).
pub fn created(tag: &str, location: String, resource: &Map<String, Value>) -> HttpResponse {
    let mut builder = HttpResponse::Created();
    builder.insert_header((ETAG, tag)).insert_header((LOCATION, location));
    locate(&mut builder, resource.get("meta"));
    json(builder, resource)
}

/// 204 without the resource, whose entity tag has changed.
pub fn changed(tag: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((ETAG, tag)).finish()
}

/// 204 without a body.
pub fn no_content() -> HttpResponse {
    HttpResponse::NoContent().finish()
}

/// Why a request was not served, as an answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Failure(#[from] DirectoryError);

impl From<ScimError> for Failure {
    fn from(error: ScimError) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        let code = match &self.0 {
            DirectoryError::Refused(error) => error.status,
            DirectoryError::Store(error) if error.is_unavailable() => 503,
            DirectoryError::Store(_) => 500,
        };
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = refusal(&shown(&self.0));
        if self.0.is_unavailable() {
            // Okta reads seconds only, not dates.
            let seconds = HeaderValue::from(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

/// What a client is shown of an error. What is the store's goes to the log: it is for the operator
/// alone.
pub fn shown(error: &DirectoryError) -> ScimError {
    match error {
        DirectoryError::Refused(error) => error.clone(),
        DirectoryError::Store(error) if error.is_unavailable() => {
            log::warn!("the store is unavailable: {error}");
            ScimError::new(503, "the server cannot reach its database for the moment; try again")
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
    json(builder, &error.to_json())
}
