//! Answers of the read API: JSON, and errors of one form.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::{Value, json};

use crate::access::limit::TooOften;
use crate::db::{RETRY_AFTER as RETRY_AFTER_SECONDS, StoreError};
use crate::directory::connections::AdminError;
use crate::directory::feed::FeedError;
use crate::directory::read::Listing;
use crate::http::door::Denied;

/// Why a request was not served, as an answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// There is no live admin token with the request.
    #[error(
        "send an admin token as 'Authorization: Bearer TOKEN'; 'muster admin-token create' makes one"
    )]
    Unauthorized,
    /// The request cannot be served as it is.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// There is no such thing any more.
    #[error("{0}")]
    Gone(String),
    /// A good token from where it may not be used.
    #[error("{0}")]
    Address(String),
    /// It came too often.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::TooOften(error) => Self::TooOften(error),
            Denied::Address => Self::Address(denied.to_string()),
            Denied::Store(error) => Self::Store(error),
        }
    }
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => Self::Store(error),
            AdminError::NoConnection(_)
            | AdminError::NoUser(_)
            | AdminError::NoTeam(_)
            | AdminError::NoWebhook(_) => Self::NotFound(error.to_string()),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<FeedError> for Failure {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Store(error) => Self::Store(error),
            FeedError::Ahead => Self::Invalid(error.to_string()),
            FeedError::Gone => Self::Gone(error.to_string()),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::Address(_) => StatusCode::FORBIDDEN,
            Self::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Store(error) if error.is_unavailable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        match self {
            Self::Unauthorized => {
                let mut response = error(status, "unauthorized", &self.to_string());
                // RFC 6750 section 3.
                let challenge = HeaderValue::from_static("Bearer realm=\"muster\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Invalid(message) => error(status, "invalid_request", message),
            Self::NotFound(message) => error(status, "not_found", message),
            Self::Gone(message) => error(status, "gone", message),
            Self::Address(message) => error(status, "forbidden", message),
            Self::TooOften(cause) => {
                let mut response = error(status, "too_many_requests", &cause.to_string());
                response.headers_mut().insert(RETRY_AFTER, cause.seconds.into());
                response
            }
            Self::Store(cause) if cause.is_unavailable() => {
                log::log!(cause.level(), "the store is unavailable: {cause}");
                let mut response = error(status, "unavailable", cause.told());
                response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS.into());
                response
            }
            Self::Store(cause) => {
                log::error!("internal error: {cause}");
                let message = "internal error; the server's log tells more under this request's id";
                error(status, "internal_error", message)
            }
        }
    }
}

/// 200 with JSON.
pub fn ok(body: &Value) -> HttpResponse {
    HttpResponse::Ok().json(body)
}

/// 200 with a page of a list.
pub fn page(name: &str, listing: &Listing) -> HttpResponse {
    ok(&json!({ name: listing.items, "next": listing.next }))
}

/// 404 for a path below `/api/v1` that is nobody's.
pub async fn no_such_endpoint() -> Result<HttpResponse, Failure> {
    Err(Failure::NotFound(
        "the read API has /users, /users/{id}, /users/{id}/explain, /teams, /teams/{id}, \
         /teams/{id}/members, /events, /requests, /requests/{id}, /doctor, /brakes, \
         /brakes/{connection}/release, /webhooks, /webhooks/{id}, /webhooks/{id}/pause, resume, \
         rotate and replay, and /openapi.json"
            .to_owned(),
    ))
}

/// 405 for what is not a GET: the API is for reading.
pub async fn method_not_allowed() -> HttpResponse {
    takes("GET")
}

/// 405 for a method that is none of these.
pub async fn other_method(methods: &'static str) -> HttpResponse {
    takes(methods)
}

/// 405 for what is not a POST, where something is done.
pub async fn post_only() -> HttpResponse {
    takes("POST")
}

fn takes(method: &'static str) -> HttpResponse {
    let (status, message) =
        (StatusCode::METHOD_NOT_ALLOWED, format!("this endpoint takes {method} only"));
    let mut response = error(status, "method_not_allowed", &message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(method));
    response
}

fn error(status: StatusCode, error: &str, message: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": error, "message": message }))
}
