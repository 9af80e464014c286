//! Requests to providers, bounded in time and size; redirects are answers, not instructions.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use url::Url;

use super::{is_loopback, is_safe};

/// How long a provider may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For a whole answer.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Request(String),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("it names an address that is not https, or that is on this machine")]
    Unsafe,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        let what = if error.is_timeout() {
            "it takes too long to answer"
        } else if error.is_connect() {
            "it cannot be connected to"
        } else {
            "the request failed"
        };
        Self::Request(what.to_owned())
    }
}

/// The HTTP client for providers.
#[derive(Debug, Clone)]
pub struct Fetch(reqwest::Client);

impl Fetch {
    /// A client with all bounds set.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(limits: Limits) -> Result<Self, FetchError> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .timeout(limits.whole)
            // A kept connection that the provider closes just then would fail somebody's sign-in.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    /// The client for one provider, which decides where its requests may go.
    pub fn of<'f>(&'f self, issuer: &'f str) -> FetchFrom<'f> {
        FetchFrom { client: &self.0, issuer }
    }
}

/// The HTTP client for one provider. Every request passes here, whoever builds it and wherever the
/// address was read: what a provider says of itself sends nothing to an address that is not safe.
#[derive(Debug, Clone, Copy)]
pub struct FetchFrom<'f> {
    client: &'f reqwest::Client,
    issuer: &'f str,
}

impl FetchFrom<'_> {
    /// Sends a request and reads the answer within the bounds.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let request = reqwest::Request::try_from(request)?;
        if !may_name(self.issuer, request.url()) {
            return Err(FetchError::Unsafe);
        }
        let mut response = self.client.execute(request).await?;
        let mut answer = openidconnect::http::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            answer = answer.header(name, value);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        answer.body(body).map_err(|error| FetchError::Request(error.to_string()))
    }
}

impl<'c> AsyncHttpClient<'c> for FetchFrom<'_> {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// Whether a provider may name this address as one of its own. What runs on this machine is for
/// providers on this machine: a customer's provider must not have Muster knock there.
pub fn may_name(issuer: &str, url: &Url) -> bool {
    let is_local = || Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer));
    is_safe(url) && (!is_loopback(url) || is_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_elsewhere_names_nothing_on_this_machine() {
        let named = |issuer, url| may_name(issuer, &Url::parse(url).expect("a URL"));
        let far = "https://example.okta.com";
        assert!(named(far, "https://keys.example.com/keys"));
        assert!(named("http://127.0.0.1:3000", "http://localhost:3000/keys"));
        assert!(named("http://localhost:3000", "https://keys.example.com/keys"));
        for url in [
            "http://127.0.0.1:6379/",
            "http://localhost/",
            "https://localhost/",
            "https://[::1]/",
            "https://127.1/",
            "https://2130706433/",
            "http://keys.example.com/",
            "file:///etc/passwd",
        ] {
            assert!(!named(far, url), "{url}");
        }
        assert!(!named("http://127.0.0.1:3000", "http://keys.example.com/"));
    }
}
