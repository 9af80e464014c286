//! Dry runs: a SCIM write with `Muster-Dry-Run: true` is carried out by its very handler, in its very
//! transaction, and rolled back. The answer says how it would have been answered and what it would have
//! changed, with a status of its own, so that nobody takes it for the real thing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::body::{BoxBody, MessageBody, to_bytes_limited};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{
    Failure, NotRehearsed, SCIM_JSON, internal_error, refusal, too_large_to_rehearse,
};
use super::client::Identified;
use super::outgoing;
use crate::app::App;
use crate::app::budget::{Held, Spent};
use crate::db::rehearsal::{Told, Witness};
use crate::db::{Conn, StoreError};
use crate::directory::rehearsal::{Changes, DRY_RUN_SCHEMA};
use crate::scim::{ScimError, ScimResult};

/// The header of the request, and of the answer to a dry run.
pub const DRY_RUN: HeaderName = HeaderName::from_static("muster-dry-run");

/// How long the answer to the real request may be, in bytes, for the dry run to hold it.
const LONGEST: usize = 32 << 20;

/// The body of the answer, as [`crate::directory::rehearsal::to_json`] has it; the response is not
/// read for it, which may be a group of any size.
#[derive(Serialize)]
struct DryRun<'a> {
    schemas: [&'static str; 1],
    /// The status of the answer to the real request.
    status: u16,
    /// Its body, if it has one.
    response: Option<&'a RawValue>,
    changes: Vec<Box<RawValue>>,
}

/// Looks at what a rehearsed write does, as far as there is memory for it.
struct Counting {
    app: web::Data<App>,
    changes: Changes,
    memory: Mutex<Memory>,
}

struct Memory {
    held: Held,
    /// Why there was none left.
    refused: Option<ScimError>,
}

impl Counting {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Nothing panics with it.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Counting {
    fn has_room(&self, bytes: usize) -> bool {
        let mut memory = self.memory();
        // Each is there as it was written and as it is told, and one of them is read meanwhile.
        match memory.held.take(bytes.saturating_mul(3)) {
            Err(Spent::TooMuch) => false,
            taken => {
                memory.refused = outgoing::told(&self.app, taken).err();
                memory.refused.is_none()
            }
        }
    }

    fn look(&self, conn: &mut Conn, told: Told) -> Result<(), StoreError> {
        self.changes.look(conn, told)
    }
}

/// Whether the request is to be a dry run.
///
/// # Errors
/// The header says something that is neither yes nor no: what was meant as a dry run is not done.
fn is_wanted(headers: &HeaderMap) -> ScimResult<bool> {
    let mut values = headers.get_all(DRY_RUN);
    match (values.next().map(HeaderValue::as_bytes), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.eq_ignore_ascii_case(b"true") => Ok(true),
        (Some(value), None) if value.eq_ignore_ascii_case(b"false") => Ok(false),
        _ => Err(ScimError::invalid_value(
            "the header Muster-Dry-Run must be 'true' or 'false'; nothing was done",
        )),
    }
}

/// Whether the request changes nothing anyway, so that it is answered as it is.
fn reads(request: &ServiceRequest) -> bool {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => true,
        Method::POST => request.path().trim_end_matches('/').ends_with("/.search"),
        _ => false,
    }
}

/// Middleware of SCIM's endpoints, inside of the one that authenticates.
pub async fn rehearse(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match is_wanted(request.headers()) {
        Ok(true) if !reads(&request) => {}
        Ok(_) => return Ok(next.call(request).await?.map_into_boxed_body()),
        Err(error) => return Ok(request.error_response(Failure::from(error))),
    }
    let Some(Identified(client)) = request.extensions_mut().remove::<Identified>() else {
        return Ok(request.error_response(Failure::from(internal_error())));
    };
    let (app, connection_id) = (client.app.clone(), client.connection().id.clone());
    let connection = client.connection().clone().into();
    let witness = Arc::new(Counting {
        changes: Changes::new(connection, (app.clock)()),
        memory: Mutex::new(Memory { held: app.answers.begin(Some(&connection_id)), refused: None }),
        app: app.clone(),
    });
    request.extensions_mut().insert(Identified(client.rehearsing(witness.clone())));
    let (request, response) = next.call(request).await?.into_parts();
    if let Some(refused) = witness.memory().refused.take() {
        return Ok(ServiceResponse::new(request, refusal(&refused)));
    }
    if response.extensions().get::<NotRehearsed>().is_some() {
        let response = response.map_into_boxed_body();
        return Ok(ServiceResponse::new(request, response));
    }
    let status = response.status().as_u16();
    let Ok(body) = to_bytes_limited(response.into_body(), LONGEST).await else {
        return Ok(ServiceResponse::new(request, refusal(&too_large_to_rehearse())));
    };
    let body = body.map_err(Into::into)?;
    let changes = witness.changes.take();
    // What it took until it was told is free again; from here on it is an answer.
    witness.memory().held = app.answers.begin(None);
    let size = changes.iter().fold(body.len(), |size, change| size + change.get().len());
    let memory = match outgoing::memory(&app, &connection_id, size) {
        Ok(memory) => memory,
        Err(refused) => return Ok(ServiceResponse::new(request, refusal(&refused))),
    };
    let write = move || {
        let response = serde_json::from_slice(&body).ok();
        serde_json::to_vec(&DryRun { schemas: [DRY_RUN_SCHEMA], status, response, changes })
    };
    let written = if size < outgoing::LARGE { write() } else { web::block(write).await? };
    let answer = match written {
        Ok(body) => HttpResponse::Ok()
            .insert_header((DRY_RUN, HeaderValue::from_static("true")))
            .insert_header((CONTENT_TYPE, HeaderValue::from_static(SCIM_JSON)))
            .body(outgoing::counted(body, memory)),
        Err(error) => {
            log::error!("could not write an answer: {error}");
            refusal(&internal_error())
        }
    };
    Ok(ServiceResponse::new(request, answer))
}

/// Middleware of everything: what knows of no dry runs is not done where one is asked for.
pub async fn refuse_elsewhere(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if request.headers().contains_key(DRY_RUN) && !request.path().starts_with("/scim") {
        let error = ScimError::new(
            400,
            "there are dry runs of SCIM requests alone; nothing was done, and without the header \
             Muster-Dry-Run this request is carried out",
        );
        return Ok(request.into_response(refusal(&error)));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}
