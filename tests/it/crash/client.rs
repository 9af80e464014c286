//! A client that lives through the server's end: no answer is an outcome too.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The server answered. The body is null where the connection broke in the middle of it.
    Answered { status: u16, headers: HeaderMap, body: Value },
    /// There was no answer: nobody knows whether it was carried out.
    Lost(#[expect(dead_code, reason = "shown where a test fails")] String),
}

/// After how many seconds a client is told to come back.
#[track_caller]
pub fn retry_after(headers: &HeaderMap) -> u32 {
    let value = headers.get("retry-after").and_then(|value| value.to_str().ok());
    value.and_then(|text| text.parse().ok()).expect("seconds")
}

/// A client of one server, with a SCIM token and an admin token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base_url: String,
    scim_token: String,
    admin_token: String,
}

impl Client {
    pub fn new(base_url: &str, scim_token: &str, admin_token: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            // Nothing here speaks TLS, and reading the machine's certificates takes longest of all.
            .tls_built_in_root_certs(false)
            .build()
            .expect("an HTTP client");
        Self {
            http,
            base_url: base_url.to_owned(),
            scim_token: scim_token.to_owned(),
            admin_token: admin_token.to_owned(),
        }
    }

    /// Sends a request with the token that the path asks for.
    pub async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome {
        let token = if path.starts_with("/api/") { &self.admin_token } else { &self.scim_token };
        let mut request = self
            .http
            .request(method.parse().expect("a method"), format!("{}{path}", self.base_url))
            .bearer_auth(token);
        if let Some(body) = body {
            request =
                request.header("content-type", "application/scim+json").body(body.to_string());
        }
        match request.send().await {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                let text = response.text().await.unwrap_or_default();
                let body = serde_json::from_str(&text).unwrap_or_default();
                Outcome::Answered { status, headers, body }
            }
            Err(error) => Outcome::Lost(format!("{error:?}")),
        }
    }

    /// Sends a SCIM request.
    pub async fn scim(&self, method: &str, path: &str, body: Option<&Value>) -> Outcome {
        self.send(method, &format!("/scim/v2{path}"), body).await
    }

    /// Reads something from a server that is there; `None` if it has no such thing.
    pub async fn read(&self, path: &str) -> Option<Value> {
        match self.send("GET", path, None).await {
            Outcome::Answered { status: 200, body, .. } => Some(body),
            Outcome::Answered { status: 404, .. } => None,
            other => panic!("GET {path}: {other:?}"),
        }
    }
}
