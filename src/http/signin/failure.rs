//! How the endpoints of sign-in fail: on a page where a person asks, as an error of OAuth where a
//! program does; never in the words of the library underneath.

use actix_web::http::StatusCode;
use actix_web::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

use super::page::{self, sentence};
use super::token::answer;
use crate::access::limit::TooOften;
use crate::db::StoreError;
use crate::directory::DirectoryError;
use crate::http::answer::{Failure, retried};
use crate::http::door::Denied;

/// Why the parameters of a request cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Unreadable {
    pub status: StatusCode,
    /// A sentence that says what is wrong.
    pub text: &'static str,
}

impl Unreadable {
    /// 400, for this reason.
    pub fn new(text: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text }
    }
}

/// Why a person's request was not served.
#[derive(Debug, thiserror::Error)]
pub enum PageFailure {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<TooOften> for PageFailure {
    fn from(error: TooOften) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for PageFailure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<DirectoryError> for PageFailure {
    fn from(error: DirectoryError) -> Self {
        Self::Failed(error.into())
    }
}

impl ResponseError for PageFailure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Failed(failure) => failure.status_code(),
            Self::Unreadable(unreadable) => unreadable.status,
        }
    }

    fn error_response(&self) -> HttpResponse {
        match self {
            Self::Failed(failure) => {
                let told = failure.error_response();
                let text = match failure {
                    Failure::TooOften(error) => sentence(&error.to_string()),
                    _ => "Muster has a problem for the moment. Try again in a minute; if it stays \
                          so, tell the administrator."
                        .to_owned(),
                };
                retried_like(&told, page::page(told.status(), "This cannot go on for now", &text))
            }
            Self::Unreadable(unreadable) => {
                retried(page::unreadable(unreadable.status, unreadable.text))
            }
        }
    }
}

const UNKNOWN_CLIENT: &str = "client_id is missing or not known, or the secret is missing or wrong; \
     see 'muster app list'";

/// Why a program's request was not served.
#[derive(Debug, thiserror::Error)]
pub enum OAuthFailure {
    #[error(transparent)]
    Failed(#[from] Failure),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The application does not prove who it is.
    #[error("{UNKNOWN_CLIENT}")]
    InvalidClient,
    /// An error of RFC 6749 section 5.2, with what it is about.
    #[error("{1}")]
    Refused(&'static str, &'static str),
}

impl From<Denied> for OAuthFailure {
    fn from(denied: Denied) -> Self {
        Self::Failed(denied.into())
    }
}

impl From<TooOften> for OAuthFailure {
    fn from(error: TooOften) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for OAuthFailure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl ResponseError for OAuthFailure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Failed(failure) => failure.status_code(),
            Self::Unreadable(unreadable) => unreadable.status,
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Refused(..) => StatusCode::BAD_REQUEST,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status_code();
        match self {
            Self::Failed(failure) => {
                let told = failure.error_response();
                let (error, text) = match failure {
                    // These are words of ours, for whoever sent the request.
                    Failure::TooOften(error) => ("temporarily_unavailable", error.to_string()),
                    Failure::Address(text) => ("access_denied", text.clone()),
                    _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                        ("temporarily_unavailable", "try again in a minute".to_owned())
                    }
                    _ => ("server_error", "try again in a minute".to_owned()),
                };
                retried_like(&told, error_body(status, error, &text))
            }
            Self::Unreadable(unreadable) => {
                let error = if status.is_server_error() {
                    "temporarily_unavailable"
                } else {
                    "invalid_request"
                };
                retried(error_body(status, error, unreadable.text))
            }
            Self::InvalidClient => {
                let mut response = error_body(status, "invalid_client", UNKNOWN_CLIENT);
                response.headers_mut().insert(
                    WWW_AUTHENTICATE,
                    actix_web::http::header::HeaderValue::from_static("Basic realm=\"muster\""),
                );
                response
            }
            Self::Refused(error, description) => error_body(status, error, description),
        }
    }
}

/// An error of OAuth (RFC 6749 section 5.2).
pub fn error_body(status: StatusCode, error: &str, description: &str) -> HttpResponse {
    answer(status, &json!({ "error": error, "error_description": description }))
}

/// Says when to try again, where the answer that was to be given says so.
fn retried_like(told: &HttpResponse, mut response: HttpResponse) -> HttpResponse {
    if let Some(seconds) = told.headers().get(RETRY_AFTER) {
        response.headers_mut().insert(RETRY_AFTER, seconds.clone());
    }
    response
}
