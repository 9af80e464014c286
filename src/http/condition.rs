//! The headers of a conditional request.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest};

use crate::scim::condition::Condition;

/// What the request's headers ask of the version of the resource.
pub struct RequestCondition(Condition);

impl RequestCondition {
    /// The condition, given away.
    pub fn into_inner(self) -> Condition {
        self.0
    }
}

impl Deref for RequestCondition {
    type Target = Condition;

    fn deref(&self) -> &Condition {
        &self.0
    }
}

impl FromRequest for RequestCondition {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (wanted, known) = (joined(request, IF_MATCH), joined(request, IF_NONE_MATCH));
        ready(Ok(Self(Condition::from_headers(wanted.as_deref(), known.as_deref()))))
    }
}

/// All headers of that name as one list. One that is no text is a tag that no resource has.
fn joined(request: &HttpRequest, name: HeaderName) -> Option<String> {
    let values: Vec<&str> =
        request.headers().get_all(name).map(|value| value.to_str().unwrap_or_default()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}
