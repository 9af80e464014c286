//! What happens around every request: an id, a line in the log, and an answer even when a handler
//! panics.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::ConnectionType;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, web};
use futures_util::FutureExt;

use super::address;
use super::answer::Failure;
use super::notes::{self, About, Notes};
use crate::app::App;
use crate::db::StoreError;
use crate::metrics::known_method;
use crate::serving;

/// Name of the header that carries a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request, as the log, the event log and the answer carry it.
#[derive(Debug, Clone)]
pub struct RequestId(String);

impl RequestId {
    /// The id of the request, which `observe` has given it.
    pub fn of(request: &HttpRequest) -> Option<String> {
        request.extensions().get::<Self>().map(|id| id.0.clone())
    }
}

/// Gives each request an id, logs how it went and counts it. The query stays out of the log: it may name
/// people.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = uuid::Uuid::now_v7().to_string();
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let path = request.path().to_owned();
    let app = request.app_data::<web::Data<App>>().cloned();
    let client = app.as_ref().and_then(|app| address::resolve(app, request.request()));
    let client = client.map_or_else(|| "unknown".to_owned(), |client| client.to_string());
    let notes = app.as_ref().and_then(|app| Notes::begin(app, request.request()));
    let at = app.as_ref().map_or(0, |app| (app.clock)());
    let start = Instant::now();
    let done = serving::during(&id, next.call(request)).await;
    let status = match &done {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    let took = start.elapsed();
    log::info!(
        method:% = method,
        path:% = path,
        status = status.as_u16(),
        ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        client:% = client,
        request:% = id;
        "{method} {path}"
    );
    let value = HeaderValue::from_str(&id);
    let done = match app {
        Some(app) => {
            // The pattern, not the path, which may hold ids.
            let route = done.as_ref().ok().and_then(|done| done.request().match_pattern());
            app.metrics.count_request(method.as_str(), route, status.as_u16(), took);
            let duration = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
            let method = known_method(method.as_str());
            let about = About { id, method, path, at, duration, client };
            let mut done = notes::end(&app, notes.as_ref(), about, done);
            // Whoever sent it sends the next one to a process that stays.
            if app.is_stopping()
                && let Ok(response) = &mut done
            {
                response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
            }
            done
        }
        None => done.map(ServiceResponse::map_into_boxed_body),
    };
    with_headers(done, |headers| {
        if let Ok(value) = value {
            headers.insert(REQUEST_ID, value);
        }
    })
}

/// Changes the headers of an answer, and of an error that is yet to become one.
///
/// # Errors
/// The error, with these headers.
pub fn with_headers<B>(
    done: Result<ServiceResponse<B>, Error>,
    change: impl FnOnce(&mut HeaderMap),
) -> Result<ServiceResponse<B>, Error> {
    match done {
        Ok(mut response) => {
            change(response.headers_mut());
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            change(response.headers_mut());
            Err(InternalError::from_response(error, response).into())
        }
    }
}

/// Answers 500 in SCIM's form when a handler panics, instead of cutting the connection.
pub async fn catch_panics(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(done) => done,
        Err(_) => Err(Failure::from(StoreError::Panicked).into()),
    }
}
