//! Parameters of the sign-in endpoints, from the address or from a form.
//!
//! A parameter without a value counts as left out, one that nobody knows is ignored, and none may
//! come twice (RFC 6749 section 3.1).

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::failure::{OAuthFailure, PageFailure, Unreadable};
use crate::http::receive::{NotReceived, Received, receive};

/// The largest form, in bytes: a provider may send an ID token along with its code.
const MAX_FORM: usize = 64 * 1024;

/// The parameters of a page's address.
pub struct PageQuery<T>(pub T);

/// The form that a person's browser sends.
pub struct PageForm<T>(pub T);

/// The form that a program sends.
pub struct ProgramForm<T>(pub T);

impl<T: DeserializeOwned> FromRequest for PageQuery<T> {
    type Error = PageFailure;
    type Future = Ready<Result<Self, PageFailure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(request.query_string().as_bytes()).map(Self).map_err(PageFailure::from))
    }
}

impl<T: DeserializeOwned> FromRequest for PageForm<T> {
    type Error = PageFailure;
    type Future = LocalBoxFuture<'static, Result<Self, PageFailure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = read(request.clone(), payload.take());
        Box::pin(async move { Ok(Self(parse(&form.await?.bytes)?)) })
    }
}

impl<T: DeserializeOwned> FromRequest for ProgramForm<T> {
    type Error = OAuthFailure;
    type Future = LocalBoxFuture<'static, Result<Self, OAuthFailure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = read(request.clone(), payload.take());
        Box::pin(async move { Ok(Self(parse(&form.await?.bytes)?)) })
    }
}

async fn read(request: HttpRequest, mut payload: Payload) -> Result<Received, Unreadable> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let kind = header(CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default();
    let encoding = header(CONTENT_ENCODING).unwrap_or("identity");
    if !kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        || !encoding.eq_ignore_ascii_case("identity")
    {
        return Err(Unreadable::new(
            "The body has to be a form: application/x-www-form-urlencoded, not compressed.",
        ));
    }
    receive(&request, &mut payload, MAX_FORM).await.map_err(|reason| Unreadable {
        status: StatusCode::from_u16(reason.status()).unwrap_or(StatusCode::BAD_REQUEST),
        text: match reason {
            NotReceived::CutOff => "The form was cut off.",
            NotReceived::TooLarge | NotReceived::NeverFits => "The form is too large.",
            NotReceived::Slow => "The form came too slowly. Try again.",
            NotReceived::Share | NotReceived::NoMemory => {
                "Muster has too much to do for the moment. Try again in a minute."
            }
        },
    })
}

fn parse<T: DeserializeOwned>(encoded: &[u8]) -> Result<T, Unreadable> {
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in url::form_urlencoded::parse(encoded) {
        // What is not UTF-8 was read as the replacement character; and not every database takes NUL.
        if value.contains(['\0', char::REPLACEMENT_CHARACTER]) {
            return Err(Unreadable::new("A parameter holds characters that are not text."));
        }
        if !value.is_empty() {
            kept.append_pair(&name, &value);
        }
    }
    web::Query::from_query(&kept.finish())
        .map(web::Query::into_inner)
        .map_err(|_| Unreadable::new("A parameter comes twice, or is not written as it should be."))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Eq)]
    struct Two {
        a: Option<String>,
        b: Option<String>,
    }

    fn read(text: &str) -> Option<(Option<String>, Option<String>)> {
        parse::<Two>(text.as_bytes()).ok().map(|two| (two.a, two.b))
    }

    #[test]
    fn a_parameter_comes_once_or_not_at_all() {
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read(""), Some((None, None)));
        assert_eq!(read("a=1&b=2+3%26&c=4&c=5"), Some((text("1"), text("2 3&"))));
        assert_eq!(read("a=&b"), Some((None, None)));
        assert_eq!(read("a=&a=1"), Some((text("1"), None)));
        assert_eq!(read("a=%C3%A9&&=&"), Some((text("é"), None)));
        for wrong in ["a=1&a=1", "a=1&%61=2", "a=%00", "a=%FF", "c=%00", "a=x%C3"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
