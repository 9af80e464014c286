//! The bearer token of a request, read as the standard writes it. SCIM clients, which do not, have
//! a reading of their own in `client`.

use actix_web::HttpRequest;
use actix_web::http::header::AUTHORIZATION;

use crate::secret::Secret;

/// The bearer token of a request (RFC 6750 section 2.1).
pub fn bearer(request: &HttpRequest) -> Option<Secret> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}
