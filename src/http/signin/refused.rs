//! Methods that the endpoints of sign-in do not have.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};

use super::failure::error_body;
use super::page;

/// 405, where a person asks.
pub fn page_method(methods: &'static str) -> HttpResponse {
    let text = "This address is not one to send that to. Begin again at the application.";
    allowing(methods, page::unreadable(StatusCode::METHOD_NOT_ALLOWED, text))
}

/// 405, where a program asks.
pub fn program_method(methods: &'static str) -> HttpResponse {
    let text = "this endpoint does not have the method";
    allowing(methods, error_body(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text))
}

fn allowing(methods: &'static str, mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}
