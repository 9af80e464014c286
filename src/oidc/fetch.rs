//! Requests to providers, bounded in time and size; redirects are answers, not instructions.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use crate::reach::{NotAllowed, Reach};

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

/// What is said of an address that is not asked.
pub const UNSAFE: &str = "it names an address that is not https, or that is not public; a network that is \
     not can be allowed with 'muster serve --allow-issuer-network'";

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0}")]
    Request(String),
    #[error("the answer is larger than {MAX_ANSWER} bytes")]
    TooLarge,
    #[error("{UNSAFE}")]
    Unsafe,
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(found) = cause {
            if found.is::<NotAllowed>() {
                return Self::Unsafe;
            }
            cause = found.source();
        }
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
pub struct Fetch {
    client: reqwest::Client,
    reach: Arc<Reach>,
}

impl Fetch {
    /// A client with all bounds set.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(limits: Limits, reach: Reach) -> Result<Self, FetchError> {
        let reach = Arc::new(reach);
        // No proxy of the environment, which might be meant for some addresses only.
        let builder = reqwest::Client::builder().no_proxy();
        // A proxy looks names up itself, and it is likely to be at a private address.
        let builder = match reach.proxy() {
            Some(proxy) => builder.proxy(reqwest::Proxy::all(proxy.clone())?),
            None => builder.dns_resolver(reach.clone()),
        };
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.connect)
            .timeout(limits.whole)
            // A kept connection that the provider closes just then would fail somebody's sign-in.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, reach })
    }

    /// Where providers may be.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// The client for one provider, which decides where its requests may go.
    pub fn of<'f>(&'f self, issuer: &'f str) -> FetchFrom<'f> {
        FetchFrom { fetch: self, issuer }
    }
}

/// The HTTP client for one provider. Every request passes here, whoever builds it and wherever the
/// address was read: what a provider says of itself sends nothing to an address that is not safe.
#[derive(Debug, Clone, Copy)]
pub struct FetchFrom<'f> {
    fetch: &'f Fetch,
    issuer: &'f str,
}

impl FetchFrom<'_> {
    /// Sends a request and reads the answer within the bounds.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let request = reqwest::Request::try_from(request)?;
        if !self.fetch.reach.may_name(self.issuer, request.url()) {
            return Err(FetchError::Unsafe);
        }
        let mut response = self.fetch.client.execute(request).await?;
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
