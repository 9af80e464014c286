//! Query parameters of SCIM requests.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::scim::query::Query;

/// The query part of a request's URL.
pub struct UrlQuery(Query);

impl Deref for UrlQuery {
    type Target = Query;

    fn deref(&self) -> &Query {
        &self.0
    }
}

impl FromRequest for UrlQuery {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self(Query::from_url(request.query_string()))))
    }
}
