//! Large answers on their way: all together take no more memory than there is for them, however slowly
//! clients read.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, Version};
use actix_web::middleware::Next;
use actix_web::web::{self, Bytes};
use actix_web::{Error, HttpMessage};

use super::answer::{Weight, refusal};
use super::client::Client;
use crate::app::App;
use crate::app::budget::{Held, Spent};
use crate::metrics::TurnedAway;
use crate::scim::{ScimError, ScimResult};

/// Answers below this size, in bytes, are not counted: the system's own buffers take as much.
pub const LARGE: usize = 64 * 1024;
/// How much of an answer is handed over at a time; the rest waits until that is sent.
const PIECE: usize = 64 * 1024;

/// An answer that counts for its memory until it is sent.
struct Outgoing {
    rest: Bytes,
    _memory: Held,
}

impl MessageBody for Outgoing {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        let piece = self.rest.len().min(PIECE);
        let next = (piece > 0).then(|| Ok(self.rest.split_to(piece)));
        Poll::Ready(next)
    }
}

/// The same of an answer that is made while it is sent.
struct Made {
    body: BoxBody,
    _memory: Held,
}

impl MessageBody for Made {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// Middleware of SCIM's endpoints, inside of the one that authenticates.
pub async fn hold(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = next.call(request).await?.map_into_boxed_body();
    let size = match response.response().body().size() {
        BodySize::None => return Ok(response),
        BodySize::Sized(size) => usize::try_from(size).unwrap_or(usize::MAX),
        BodySize::Stream => {
            response.response().extensions().get().map_or(0, |&Weight(weight)| weight)
        }
    };
    if size < LARGE {
        return whole(response).await;
    }
    // The pattern says which route it was, however its address was written.
    let route = response.request().match_pattern();
    // What is answered to a write has happened: to refuse it now would be to deny that.
    let has_written = !matches!(*response.request().method(), Method::GET)
        && !route.is_some_and(|route| route.ends_with("/.search"));
    let app = response.request().app_data::<web::Data<App>>().cloned();
    let Some(app) = app.filter(|_| !has_written) else { return whole(response).await };
    let mut memory = {
        let extensions = response.request().extensions();
        let client = extensions.get::<Client>();
        app.answers.begin(client.map(|client| client.connection().id.as_str()))
    };
    let mut taken = memory.take(size);
    if !matches!(taken, Err(Spent::Share | Spent::All)) {
        response = whole(response).await?;
        if let BodySize::Sized(length) = response.response().body().size() {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            taken = memory.take(length.saturating_sub(size));
        }
    }
    match told(&app, taken) {
        Ok(()) => Ok(response.map_body(|_, body| match body.try_into_bytes() {
            Ok(rest) => BoxBody::new(Outgoing { rest, _memory: memory }),
            Err(body) => BoxBody::new(Made { body, _memory: memory }),
        })),
        Err(refused) => Ok(response.into_response(refusal(&refused))),
    }
}

/// Memory for an answer of so many bytes that may be refused.
///
/// # Errors
/// There is none left.
pub fn memory(app: &App, connection_id: &str, size: usize) -> ScimResult<Held> {
    let mut memory = app.answers.begin(Some(connection_id));
    if size >= LARGE {
        told(app, memory.take(size))?;
    }
    Ok(memory)
}

/// The body of an answer that counts for its memory until it is sent.
pub fn counted(body: Vec<u8>, memory: Held) -> BoxBody {
    BoxBody::new(Outgoing { rest: body.into(), _memory: memory })
}

/// Why there is no memory for an answer, if there is none.
///
/// # Errors
/// That.
pub fn told(app: &App, taken: Result<(), Spent>) -> ScimResult<()> {
    match taken {
        // One that is too large for all of it is at least alone in that.
        Ok(()) | Err(Spent::TooMuch) => Ok(()),
        Err(Spent::Share) => {
            app.metrics.turn_away(TurnedAway::AnswerShare);
            Err(ScimError::new(
                429,
                "this connection has too many large answers on their way; read them, or send fewer \
                 requests at a time",
            ))
        }
        Err(Spent::All) => {
            app.metrics.turn_away(TurnedAway::AnswerMemory);
            let detail = "the server has too many large answers on their way; try again";
            Err(ScimError::new(503, detail))
        }
    }
}

/// The answer as the client's version of HTTP can take it: HTTP/1.0 knows of no pieces (RFC 9112 section
/// 6.1), so the length has to be known.
async fn whole(response: ServiceResponse<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_old = response.request().version() < Version::HTTP_11;
    if !is_old || response.response().body().size() != BodySize::Stream {
        return Ok(response);
    }
    let (request, response) = response.into_parts();
    let (head, body) = response.into_parts();
    let body = to_bytes(body).await?;
    Ok(ServiceResponse::new(request, head.set_body(BoxBody::new(body))))
}
