//! The cookies: one binds a sign-in to the browser that began it, one is the session, one that of an
//! admin token at the console, and one that of a guest at the set-up page.
//!
//! Both are host-only and closed to scripts; over plain http, which is for this machine alone, they
//! do without `Secure` and the prefix that demands it.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::COOKIE;
use url::Url;

use crate::app::App;
use crate::oidc::is_loopback;
use crate::secret::Secret;

/// How long a sign-in may take, in minutes.
const FLOW_MINUTES: i64 = 10;

/// Over plain http nobody signs in but on this machine.
fn is_secure(app: &App) -> bool {
    let url = Url::parse(&app.settings.public_url);
    !url.is_ok_and(|url| url.scheme() == "http" && is_loopback(&url))
}

fn name(app: &App, plain: &str) -> String {
    if is_secure(app) { format!("__Host-muster_{plain}") } else { format!("muster_{plain}") }
}

fn cookie(app: &App, plain: &str, value: String, same_site: SameSite) -> Cookie<'static> {
    Cookie::build(name(app, plain), value)
        .path("/")
        .http_only(true)
        .secure(is_secure(app))
        .same_site(same_site)
        .finish()
}

/// The cookie of a sign-in under way. The provider may send the browser back by a form, which is a
/// cross-site POST: that needs `SameSite=None`, which browsers take over https only.
pub fn flow(app: &App, value: String) -> Cookie<'static> {
    let same_site = if is_secure(app) { SameSite::None } else { SameSite::Lax };
    let mut cookie = cookie(app, "flow", value, same_site);
    cookie.set_max_age(Duration::minutes(FLOW_MINUTES));
    cookie
}

/// The cookie of a session; it goes when the browser does, and the session ends by itself.
pub fn session(app: &App, value: String) -> Cookie<'static> {
    cookie(app, "session", value, SameSite::Lax)
}

/// The cookie that takes the session's away.
pub fn no_session(app: &App) -> Cookie<'static> {
    let mut cookie = session(app, String::new());
    cookie.make_removal();
    cookie
}

/// The cookie of somebody at the console with an admin token.
pub fn console(app: &App, value: String) -> Cookie<'static> {
    cookie(app, "console", value, SameSite::Lax)
}

/// The cookie that takes the console's away.
pub fn no_console(app: &App) -> Cookie<'static> {
    let mut cookie = console(app, String::new());
    cookie.make_removal();
    cookie
}

/// The secret of the console's session, if the browser has one.
pub fn console_value(app: &App, request: &HttpRequest) -> Option<Secret> {
    value(app, request, "console")
}

/// The cookie of a guest with a link to the set-up page.
pub fn share(app: &App, value: String) -> Cookie<'static> {
    cookie(app, "share", value, SameSite::Lax)
}

/// The secret of a guest's link, if the browser has one.
pub fn share_value(app: &App, request: &HttpRequest) -> Option<Secret> {
    value(app, request, "share")
}

/// What the browser sent back of a cookie.
pub fn flow_value(app: &App, request: &HttpRequest) -> Option<Secret> {
    value(app, request, "flow")
}

/// The session's secret, if the browser has one.
pub fn session_value(app: &App, request: &HttpRequest) -> Option<Secret> {
    value(app, request, "session")
}

fn value(app: &App, request: &HttpRequest, plain: &str) -> Option<Secret> {
    // The name as it is written: what a library decodes or trims may be our name and was none to the
    // browser, which keeps neighbours of the host from setting a cookie whose name begins with `__Host-`.
    let name = name(app, plain);
    let headers = request.headers().get_all(COOKIE);
    let pairs = headers.flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    let mut found = pairs
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    // A browser sends a cookie twice where a neighbour of the host has set one of that name too;
    // which of them is ours, nobody can tell.
    let (Some(value), None) = (found.next(), found.next()) else { return None };
    // What we set has no other characters. The browser's own value is set again where it has several
    // sign-ins under way, so nothing may be in it that would mean something there.
    let is_one = value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte));
    let value = std::str::from_utf8(value).ok()?;
    (is_one && !value.is_empty() && value.len() <= 128).then(|| Secret::new(value))
}
