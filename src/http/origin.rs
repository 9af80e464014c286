//! Whether a form stood on a page of ours.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, ORIGIN};
use url::Url;

use crate::app::App;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a browser says that the form stood on a page of ours: by Fetch Metadata, else by the
/// origin, which every browser names with a POST.
pub fn is_own_page(app: &App, request: &HttpRequest) -> bool {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
    let own = origin(&app.settings.public_url).filter(url::Origin::is_tuple);
    own.is_some() && header(ORIGIN).and_then(origin) == own
}
