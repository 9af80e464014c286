//! JSON bodies, with their limits. Each counts for the memory that it takes until the request is done.

use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Failure;
use super::notes::Notes;
use super::receive::{NotReceived, receive};
use crate::app::App;
use crate::app::budget::Held;
use crate::config::MAX_USER_BODY;
use crate::scim::bulk::MAX_BULK_PAYLOAD;
use crate::scim::{ScimError, ScimResult};

/// Bodies above this size, in bytes, are parsed away from the threads that serve requests.
const PARSE_INLINE: usize = 64 * 1024;

/// The body of a request about a user.
pub struct UserBody(
    pub Value,
    #[expect(dead_code, reason = "it is held until the request is done")] Held,
);

/// The body of a request about a group, which may list very many members: the group, or what to change of
/// it.
pub struct GroupBody<T>(
    pub T,
    #[expect(dead_code, reason = "it is held until the request is done")] Held,
);

/// The body of a bulk request.
pub struct BulkBody(
    pub Value,
    #[expect(dead_code, reason = "it is held until the request is done")] Held,
);

impl FromRequest for UserBody {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit =
            app(request).map_or(MAX_USER_BODY, |app| app.settings.max_body.min(MAX_USER_BODY));
        let value = read(request.clone(), payload.take(), limit, too_large);
        Box::pin(async move { value.await.map(|(value, memory)| Self(value, memory)) })
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest for GroupBody<T> {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = app(request).map_or(MAX_USER_BODY, |app| app.settings.max_body);
        let value = read(request.clone(), payload.take(), limit, too_large);
        Box::pin(async move { value.await.map(|(value, memory)| Self(value, memory)) })
    }
}

impl FromRequest for BulkBody {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let too_large = |limit| format!("the size of the job exceeds the maxPayloadSize ({limit})");
        let value = read(request.clone(), payload.take(), MAX_BULK_PAYLOAD, too_large);
        Box::pin(async move { value.await.map(|(value, memory)| Self(value, memory)) })
    }
}

fn app(request: &HttpRequest) -> Option<&web::Data<App>> {
    request.app_data()
}

fn too_large(limit: usize) -> String {
    format!("the body is larger than the {limit} bytes that are accepted")
}

/// The body, read from JSON; `too_large` says so in words.
async fn read<T: DeserializeOwned + Send + 'static>(
    request: HttpRequest,
    mut payload: Payload,
    limit: usize,
    too_large: fn(usize) -> String,
) -> Result<(T, Held), Failure> {
    check_media_type(&request)?;
    let app = app(&request).cloned().ok_or_else(super::answer::internal_error)?;
    let mut received = receive(&request, &mut payload, limit).await.map_err(|reason| {
        if reason == NotReceived::TooLarge {
            ScimError::new(413, too_large(limit))
        } else {
            reason.into()
        }
    })?;
    if let Some(notes) = Notes::of(&request) {
        notes.body(&received.bytes);
    }
    let is_small = received.bytes.len() <= PARSE_INLINE;
    let parse = move || -> ScimResult<_> {
        received.weigh(&app).map_err(ScimError::from)?;
        Ok((parse(&received.bytes)?, received.memory))
    };
    if is_small {
        return Ok(parse()?);
    }
    match web::block(parse).await {
        Ok(parsed) => Ok(parsed?),
        Err(_) => Err(super::answer::internal_error().into()),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> ScimResult<T> {
    // The parser itself limits how deep values nest.
    serde_json::from_slice(body).map_err(|error| {
        // Whatever else of a value may be wrong, is found out by whoever knows what it is to be.
        if error.is_data() {
            return ScimError::no_object();
        }
        ScimError::invalid_syntax(format!(
            "the body is not valid JSON (line {}, column {})",
            error.line(),
            error.column()
        ))
    })
}

/// "application/scim+json" is SCIM's type; "application/json" is accepted too (RFC 7644 section
/// 3.1), with any parameters, and so is a request that does not say.
fn check_media_type(request: &HttpRequest) -> ScimResult<()> {
    if let Some(encoding) = request.headers().get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(ScimError::new(415, "compressed bodies are not accepted"));
    }
    let Some(header) = request.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let essence = header.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let accepted = ["application/scim+json", "application/json"];
    if accepted.iter().any(|kind| essence.eq_ignore_ascii_case(kind)) {
        return Ok(());
    }
    Err(ScimError::new(415, "send the body as application/scim+json"))
}
