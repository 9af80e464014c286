//! The HTTP side: one request, one [`Reply`], with the headers of the client that is played.
//!
//! Redirects are not followed and an answer has 60 seconds, as with Okta. The client remembers what
//! it created, whatever a step then makes of the answer, so that the clean-up can find it.
//! `Accept-Encoding` is the one header left out: this client does not decompress.

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
    USER_AGENT,
};
use reqwest::{Method, redirect};
use serde_json::Value;
use url::Url;

use super::bodies::encode;
use super::expect::Checked;

/// Okta closes the socket after this long.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How much of a body a message quotes, in characters.
const QUOTE: usize = 400;

/// The wording of a client: its headers, but for the token.
#[derive(Debug)]
pub struct Dialect {
    user_agent: &'static str,
    accept: &'static str,
    content_type: &'static str,
    /// Whether a GET carries a `Content-Type` too.
    typed_get: bool,
    /// Headers of this client alone.
    extra: &'static [(&'static str, &'static str)],
}

/// What Okta's provisioning service sends.
pub const OKTA: Dialect = Dialect {
    user_agent: "Okta SCIM Client 1.0.0",
    accept: "application/scim+json",
    content_type: "application/scim+json; charset=utf-8",
    typed_get: false,
    extra: &[("accept-charset", "utf-8"), ("connection", "close")],
};

/// What Okta's published SPEC test sends: other media types, and one on every GET.
pub const OKTA_SPEC: Dialect = Dialect {
    user_agent: "Okta SCIM Client 1.0.0",
    accept: "application/scim+json; charset=utf-8",
    content_type: "application/json",
    typed_get: true,
    extra: &[],
};

/// What a client sends whose headers are not known: only what it must.
pub const PLAIN: Dialect = Dialect {
    user_agent: concat!("muster-check/", env!("CARGO_PKG_VERSION")),
    accept: "application/scim+json",
    content_type: "application/scim+json; charset=utf-8",
    typed_get: false,
    extra: &[],
};

/// What authentik sends: the media type with every request.
pub const AUTHENTIK: Dialect =
    Dialect { content_type: "application/scim+json", typed_get: true, ..PLAIN };

/// What rauthy sends.
pub const RAUTHY: Dialect = Dialect { content_type: "application/scim+json", ..PLAIN };

/// A SCIM server as one client sees it.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// The base URL without its query and without a slash at the end.
    base: String,
    /// A query to send with every request: Entra's flags live in the base URL.
    query: String,
    authorization: HeaderValue,
    dialect: &'static Dialect,
    /// A condition that requests are made under.
    condition: Option<(HeaderName, HeaderValue)>,
    /// Paths of the resources created and not yet deleted.
    made: Arc<Mutex<Vec<String>>>,
}

/// An answer, together with the request it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, or null if it is empty or not JSON.
    pub body: Value,
    /// The media type, with its parameters.
    pub content_type: String,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `ETag` header.
    pub tag: Option<String>,
    /// The time from the request to the end of the body.
    pub elapsed: Duration,
    /// The request in words: method, path and body.
    pub sent: String,
    /// The body as it came.
    pub text: String,
}

impl Client {
    /// A client for the server at `url`, which must be http or https and may carry a query.
    pub fn new(url: &str, token: &str, dialect: &'static Dialect) -> anyhow::Result<Self> {
        let mut url = Url::parse(url).with_context(|| format!("{url} is not a URL"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "the URL must begin with http or https");
        ensure!(url.username().is_empty() && url.password().is_none(), "no user in the URL");
        let query = url.query().unwrap_or_default().to_owned();
        url.set_query(None);
        url.set_fragment(None);
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .context("cannot set up the HTTP client")?;
        let base = url.as_str().trim_end_matches('/').to_owned();
        let authorization = secret_header(&format!("Bearer {token}"))
            .context("the token has characters that no header can carry")?;
        let condition = None;
        Ok(Self { http, base, query, authorization, dialect, condition, made: Arc::default() })
    }

    /// The same server, addressed with other headers.
    pub fn speaking(&self, dialect: &'static Dialect) -> Self {
        Self { dialect, ..self.clone() }
    }

    /// The same server, with the token sent bare, without `Bearer`.
    pub fn bare_token(&self) -> Checked<Self> {
        let value = self.authorization.to_str().map_err(|error| error.to_string())?;
        let token = value.trim_start_matches("Bearer ");
        let authorization = secret_header(token).map_err(|error| error.to_string())?;
        Ok(Self { authorization, ..self.clone() })
    }

    /// The same server, with this `Authorization` header.
    pub fn authorized_as(&self, authorization: &'static str) -> Self {
        Self { authorization: HeaderValue::from_static(authorization), ..self.clone() }
    }

    /// The same server, each request made under this condition, such as `If-Match`.
    pub fn on_condition(&self, header: HeaderName, tag: &str) -> Checked<Self> {
        let value = HeaderValue::from_str(tag).map_err(|error| error.to_string())?;
        Ok(Self { condition: Some((header, value)), ..self.clone() })
    }

    /// The same server, with this flag in the query of every request.
    pub fn flagged(&self, flag: &str) -> Self {
        let query = match self.query.as_str() {
            "" => flag.to_owned(),
            query if query.contains(flag) => query.to_owned(),
            query => format!("{query}&{flag}"),
        };
        Self { query, ..self.clone() }
    }

    /// Whether anything answers at all.
    pub async fn reach(&self) -> Checked<Reply> {
        self.get("/Users?startIndex=1&count=2").await
    }

    /// Sends a GET.
    pub async fn get(&self, path: &str) -> Checked<Reply> {
        self.send(Method::GET, path, None).await
    }

    /// Sends a POST.
    pub async fn post(&self, path: &str, body: &Value) -> Checked<Reply> {
        self.post_text(path, body.to_string(), body).await
    }

    /// Sends a POST whose body need not be JSON.
    pub async fn post_broken(&self, path: &str, body: &str) -> Checked<Reply> {
        self.post_text(path, body.to_owned(), &Value::from(body)).await
    }

    /// Sends a PUT.
    pub async fn put(&self, path: &str, body: &Value) -> Checked<Reply> {
        self.send(Method::PUT, path, Some((body.to_string(), body))).await
    }

    /// Sends a PATCH.
    pub async fn patch(&self, path: &str, body: &Value) -> Checked<Reply> {
        self.send(Method::PATCH, path, Some((body.to_string(), body))).await
    }

    /// Sends a DELETE.
    pub async fn delete(&self, path: &str) -> Checked<Reply> {
        let reply = self.send(Method::DELETE, path, None).await?;
        if matches!(reply.status, 200..=299 | 404) {
            self.made().retain(|made| made != path);
        }
        Ok(reply)
    }

    /// Sends a PUT, which must answer 200 with the resource, and reads the resource back.
    pub async fn put_then_get(&self, path: &str, body: &Value) -> Checked<Reply> {
        let write = self.put(path, body).await?.status(200)?.present("/id")?;
        self.read_after(path, &write).await
    }

    /// Sends a PATCH, which may answer 200 or 204, and reads the resource back.
    pub async fn patch_then_get(&self, path: &str, body: &Value) -> Checked<Reply> {
        let write = self.patch(path, body).await?.status_in(&[200, 204])?;
        self.read_after(path, &write).await
    }

    /// Has what was created at this path removed at the end.
    pub fn remember(&self, path: String) {
        self.made().push(path);
    }

    /// The paths of what was created and is still there.
    pub fn left_over(&self) -> Vec<String> {
        self.made().clone()
    }

    async fn read_after(&self, path: &str, write: &Reply) -> Checked<Reply> {
        let mut read = self.get(path).await?;
        read.sent = format!("{}, then {}", write.sent, read.sent);
        read.status(200)
    }

    async fn post_text(&self, path: &str, text: String, shown: &Value) -> Checked<Reply> {
        let reply = self.send(Method::POST, path, Some((text, shown))).await?;
        if matches!(reply.status, 200..=299) {
            let id = reply.body.get("id").and_then(Value::as_str).map(encode);
            let last = |address: &String| address.rsplit('/').next().map(str::to_owned);
            let id = id.or_else(|| reply.location.as_ref().and_then(last));
            self.made().extend(id.map(|id| format!("{path}/{id}")));
        }
        Ok(reply)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(String, &Value)>,
    ) -> Checked<Reply> {
        let mut sent = format!("{method} {path}");
        if let Some((_, shown)) = &body {
            sent = format!("{sent} {}", quote(&without_password(shown).to_string()));
        }
        let typed = body.is_some() || (self.dialect.typed_get && method == Method::GET);
        let mut request = self.http.request(method, self.address(path)).headers(self.headers());
        if typed {
            request = request.header(CONTENT_TYPE, self.dialect.content_type);
        }
        if let Some((text, _)) = body {
            request = request.body(text);
        }
        let begun = Instant::now();
        let unanswered = |error| format!("expected an answer (sent {sent}; got {})", causes(error));
        let response = request.send().await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let content_type = header(response.headers(), &CONTENT_TYPE).unwrap_or_default();
        let location = header(response.headers(), &LOCATION);
        let tag = header(response.headers(), &ETAG);
        let text = response.text().await.map_err(unanswered)?;
        let elapsed = begun.elapsed();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Reply { status, body, content_type, location, tag, elapsed, sent, text })
    }

    fn address(&self, path: &str) -> String {
        let Self { base, query, .. } = self;
        match (query.as_str(), path.contains('?')) {
            ("", _) => format!("{base}{path}"),
            (query, true) => format!("{base}{path}&{query}"),
            (query, false) => format!("{base}{path}?{query}"),
        }
    }

    fn headers(&self) -> HeaderMap {
        let Dialect { user_agent, accept, extra, .. } = *self.dialect;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        headers.insert(USER_AGENT, HeaderValue::from_static(user_agent));
        headers.insert(AUTHORIZATION, self.authorization.clone());
        if let Some((name, value)) = &self.condition {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in extra {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn made(&self) -> MutexGuard<'_, Vec<String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// The message of a failed assertion: what was expected, what was sent, what came.
    pub fn wrong(&self, expected: impl Display) -> String {
        let came = if self.text.is_empty() { "no body".to_owned() } else { quote(&self.text) };
        format!("expected {expected} (sent {}; got {} {came})", self.sent, self.status)
    }
}

fn secret_header(value: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// The error and its causes, without repeating the address in between.
fn causes(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::new(error.without_url()))
}

/// The beginning of a text, for a message.
fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE).and_then(|(end, _)| text.get(..end)) {
        Some(beginning) => format!("{beginning}…"),
        None => text.to_owned(),
    }
}

/// The body as a message may show it.
fn without_password(body: &Value) -> Value {
    let mut shown = body.clone();
    if let Some(password) = shown.get_mut("password") {
        *password = Value::from("…");
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn client(url: &str) -> Client {
        Client::new(url, "token", &OKTA).unwrap()
    }

    #[test]
    fn the_base_url_may_end_in_a_slash_and_may_carry_a_query() {
        assert_eq!(client("http://h/scim/v2/").address("/Users"), "http://h/scim/v2/Users");
        let flagged = client("http://h/scim/?aadOptscim062020");
        assert_eq!(flagged.address("/Users"), "http://h/scim/Users?aadOptscim062020");
        assert_eq!(flagged.address("/Users?a=b"), "http://h/scim/Users?a=b&aadOptscim062020");
        assert_eq!(flagged.flagged("aadOptscim062020").query, "aadOptscim062020");
        assert_eq!(client("http://h").flagged("x").address("/Users"), "http://h/Users?x");
    }

    #[test]
    fn only_http_and_https_are_spoken() {
        assert!(Client::new("ftp://h/scim", "token", &OKTA).is_err());
        assert!(Client::new("h/scim", "token", &OKTA).is_err());
        assert!(Client::new("https://h", "to\nken", &OKTA).is_err());
    }

    #[test]
    fn neither_token_nor_password_is_shown() {
        assert!(!format!("{:?}", client("http://h")).contains("token"));
        assert_eq!(without_password(&json!({"password": "p"})), json!({"password": "…"}));
    }

    #[test]
    fn a_long_body_is_quoted_by_its_beginning() {
        assert_eq!(quote("short"), "short");
        assert_eq!(quote(&"é".repeat(QUOTE + 1)).chars().count(), QUOTE + 1);
    }
}
