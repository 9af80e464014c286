//! The application behind a request to `/token`, `/introspect` or `/revoke`.

use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::failure::OAuthFailure;
use crate::access::Refusal;
use crate::access::limit::Credential;
use crate::app::App;
use crate::directory::apps::{self, VendorApp};
use crate::http::door::Attempt;
use crate::secret::Secret;

/// What a Basic header says, or that it says nothing readable.
enum Basic {
    Absent,
    Unreadable,
    Is { id: String, secret: Option<Secret> },
}

/// The application that asks, if it proves who it is: by Basic authentication or in the form, and
/// a public one by its client id alone (RFC 6749 section 2.3.1).
///
/// # Errors
/// It does not, or does so in both places: "The client MUST NOT use more than one authentication
/// method in each request" (section 2.3).
pub async fn authenticate(
    app: &web::Data<App>,
    request: &HttpRequest,
    id: Option<String>,
    secret: Option<Secret>,
) -> Result<VendorApp, OAuthFailure> {
    let (id, secret) = match basic(request) {
        Basic::Absent => (id.ok_or(OAuthFailure::InvalidClient)?, secret),
        Basic::Unreadable => return Err(OAuthFailure::InvalidClient),
        Basic::Is { id: named, .. } if secret.is_some() || id.is_some_and(|id| id != named) => {
            return Err(OAuthFailure::Refused(
                "invalid_request",
                "the client authenticates in the header and in the form",
            ));
        }
        Basic::Is { id, secret } => (id, secret),
    };
    // Whoever knows that an id and a secret were good has both.
    let whole = format!("{id}\0{}", secret.as_ref().map(Secret::expose).unwrap_or_default());
    let attempt = Attempt::begin(app, request, Credential::Client, &whole)?;
    let client = app.people.read(move |conn| apps::find(conn, &id)).await?;
    let Some(client) = client.filter(|client| client.accepts(secret.as_ref().map(Secret::expose)))
    else {
        attempt.failed(Refusal::Client);
        return Err(OAuthFailure::InvalidClient);
    };
    attempt.succeeded();
    Ok(client)
}

/// Id and secret of a Basic header, each form-encoded inside it.
fn basic(request: &HttpRequest) -> Basic {
    let Some(header) = request.headers().get(AUTHORIZATION) else { return Basic::Absent };
    let Ok(header) = header.to_str() else { return Basic::Unreadable };
    let (scheme, encoded) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Basic::Absent;
    }
    let Some((id, secret)) = decoded(encoded) else { return Basic::Unreadable };
    Basic::Is { id, secret: Some(secret).filter(|secret| !secret.expose().is_empty()) }
}

fn decoded(encoded: &str) -> Option<(String, Secret)> {
    let text = Secret::new(String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?);
    let (id, secret) = text.expose().split_once(':')?;
    let (id, secret) = (plain(id)?, Secret::new(plain(secret)?));
    (!id.is_empty() && !id.contains('\0')).then_some((id, secret))
}

/// One form-encoded value; none where it has parts.
fn plain(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        return None;
    }
    let decoded = url::form_urlencoded::parse(text.as_bytes()).next();
    Some(decoded.map(|(text, _)| text.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn read(header: &str) -> Option<(String, Option<String>)> {
        let request = TestRequest::default().insert_header((AUTHORIZATION, header));
        match basic(&request.to_http_request()) {
            Basic::Is { id, secret } => Some((id, secret.map(|secret| secret.expose().to_owned()))),
            Basic::Absent | Basic::Unreadable => None,
        }
    }

    #[test]
    fn a_basic_header_is_read_as_it_was_encoded() {
        let header = |text: &str| format!("basic {}", STANDARD.encode(text));
        let both = |id: &str, secret: &str| Some((id.to_owned(), Some(secret.to_owned())));
        assert_eq!(read(&header("a:b")), both("a", "b"));
        assert_eq!(read(&header("a%3A:b+c%26")), both("a:", "b c&"));
        assert_eq!(read(&header("a:b:c")), both("a", "b:c"));
        assert_eq!(read(&header("a:")), Some(("a".to_owned(), None)));
        for wrong in ["a", ":b", "", "a=b:c", "a:b&c", "a\0:b"] {
            assert_eq!(read(&header(wrong)), None, "{wrong}");
        }
        for wrong in ["Basic", "Basic !", "Bearer a", "Basic //79"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
