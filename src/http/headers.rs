//! The headers that every answer has, whoever gives it: what browsers may make of it, and that
//! nobody keeps it.
//!
//! There is no header of CORS anywhere: pages elsewhere read nothing here.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    PERMISSIONS_POLICY, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use super::middleware::with_headers;
use super::signin::page_policy;
use crate::app::App;

const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// What is no page is not shown, framed or run, even where a browser is made to open it.
const NO_PAGE: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What a page could ask for and ours do not.
const NO_FEATURES: &str = "accelerometer=(), camera=(), clipboard-read=(), display-capture=(), \
     geolocation=(), gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), \
     publickey-credentials-get=(), serial=(), usb=()";
/// A year. Other names below the host's are not ours to decide about.
const HTTPS_ALONE: &str = "max-age=31536000";

/// Gives the answer its headers.
pub async fn protect(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let app = request.app_data::<web::Data<App>>();
    let is_https = app.is_some_and(|app| app.settings.public_url.starts_with("https:"));
    with_headers(next.call(request).await, |headers| set(headers, is_https))
}

fn set(headers: &mut HeaderMap, is_https: bool) {
    let is_page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"));
    // The console's pages have one of their own.
    let has_policy = is_page && headers.contains_key(CONTENT_SECURITY_POLICY);
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    // Personal data and secrets do not belong into any cache on the way.
    set(CACHE_CONTROL, "no-store");
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(CROSS_ORIGIN_RESOURCE_POLICY, "same-origin");
    if is_https {
        set(STRICT_TRANSPORT_SECURITY, HTTPS_ALONE);
    }
    if is_page {
        // With "no-referrer" browsers would hide the origin of the page's own forms too.
        set(REFERRER_POLICY, "same-origin");
        set(PERMISSIONS_POLICY, NO_FEATURES);
        // Not on redirects: an application may sign people in in a window that it opened.
        set(CROSS_ORIGIN_OPENER_POLICY, "same-origin");
        if !has_policy {
            set(CONTENT_SECURITY_POLICY, page_policy());
        }
    } else {
        set(REFERRER_POLICY, "no-referrer");
        set(CONTENT_SECURITY_POLICY, NO_PAGE);
    }
}
