//! The id in a resource's path.

use std::future::{Ready, ready};
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::web::Path;
use actix_web::{FromRequest, HttpRequest};

use super::answer::Failure;
use crate::scim::ScimError;

/// The id of a resource, as a client sent it: any text at all, known or not.
pub struct ResourceId(String);

impl Deref for ResourceId {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromRequest for ResourceId {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let unknown = || ScimError::not_found("there is no resource with this id").into();
        let id = Path::<String>::from_request(request, payload).into_inner();
        // No database can be asked for a text with NUL in it, and no id has one.
        ready(match id {
            Ok(id) if !id.contains('\0') => Ok(Self(id.into_inner())),
            _ => Err(unknown()),
        })
    }
}
