//! What a SCIM client may say in other words than the RFC's favourite ones: the address without a
//! version, and plain JSON as the media type.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Uri;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::middleware::Next;

use super::answer::SCIM_JSON;

/// The part of the path that all of SCIM is below.
const SCIM: &str = "/scim";
/// The version that is served.
const VERSION: &str = "/v2";
const JSON: &str = "application/json";

/// "When omitted, service providers SHOULD perform the operation using the most recent SCIM protocol
/// version supported" (RFC 7644 section 3.13): `/scim/Users` is `/scim/v2/Users`.
pub async fn default_version(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if let Some(uri) = with_version(request.uri()) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
    next.call(request).await
}

/// "Service providers … SHOULD support the header 'Accept: application/json'" (RFC 7644 section 3.8):
/// whoever asks for that alone, or rather, is told that it is JSON.
pub async fn media_type(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let wants_json = prefers_json(request.headers());
    let mut response = next.call(request).await?;
    let headers = response.headers_mut();
    if wants_json && headers.get(CONTENT_TYPE).is_some_and(|kind| kind == SCIM_JSON) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    }
    Ok(response)
}

/// The address with the version put in, if it is one of SCIM's without.
fn with_version(uri: &Uri) -> Option<Uri> {
    let rest = uri.path().strip_prefix(SCIM)?;
    let first = match rest {
        "" => "",
        rest => rest.strip_prefix('/')?.split('/').next()?,
    };
    // Another version is refused, since nothing is there.
    let is_version =
        first.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if is_version {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = format!("{SCIM}{VERSION}{rest}{query}").parse().ok();
    Uri::from_parts(parts).ok()
}

/// Whether plain JSON is asked for, and more than SCIM's own type.
fn prefers_json(headers: &HeaderMap) -> bool {
    let mut json = 0.0;
    let mut scim = None;
    let mut others = 0.0_f64;
    let ranges = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    for range in ranges.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
            .map_or(1.0, |weight| weight.parse().unwrap_or(0.0));
        match kind.as_str() {
            JSON => json = weight,
            SCIM_JSON => scim = Some(weight),
            "application/*" | "*/*" => others = others.max(weight),
            _ => {}
        }
    }
    json > scim.unwrap_or(others)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    #[test]
    fn json_is_answered_where_it_is_asked_for_most() {
        for (accept, wanted) in [
            ("application/json", true),
            ("Application/JSON;charset=utf-8", true),
            ("text/html, application/json", true),
            ("application/json, application/scim+json;q=0.9", true),
            ("application/json;q=0.5, */*;q=0.1", true),
            ("", false),
            ("*/*", false),
            ("application/json, */*", false),
            ("application/scim+json, application/json", false),
            ("application/scim+json", false),
            ("application/json;q=0", false),
            ("application/json;q=0.5, application/scim+json", false),
            ("application/json;q=nonsense", false),
            ("text/html", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                HeaderName::from_static("accept"),
                HeaderValue::from_str(accept).expect("a header"),
            );
            assert_eq!(prefers_json(&headers), wanted, "{accept}");
        }
        assert!(!prefers_json(&HeaderMap::new()));
    }

    #[test]
    fn the_version_is_put_in_where_there_is_none() {
        for (address, wanted) in [
            ("/scim/Users", Some("/scim/v2/Users")),
            ("/scim/Users/1?attributes=id", Some("/scim/v2/Users/1?attributes=id")),
            ("/scim", Some("/scim/v2")),
            ("/scim?filter=a", Some("/scim/v2?filter=a")),
            ("/scim/vegetables", Some("/scim/v2/vegetables")),
            ("/scim/v2/Users", None),
            ("/scim/v2", None),
            ("/scim/v1/Users", None),
            ("/scim/v2.1/Users", None),
            ("/scimmy", None),
            ("/api/v1/users", None),
        ] {
            let found = with_version(&address.parse().expect("an address"));
            assert_eq!(found.map(|uri| uri.to_string()).as_deref(), wanted, "{address}");
        }
    }
}
