//! What the server answered, and what is expected of it.

use reqwest::header::HeaderMap;
use serde_json::Value;

use super::description;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The request, for messages.
    pub request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON; null where there is none.
    pub body: Value,
}

impl Answer {
    pub async fn read(request: String, response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.expect("a body");
        let body = serde_json::from_str(&text).unwrap_or_default();
        if let Err(flaw) = description::check(&request, status, &headers, &text, &body) {
            panic!("{request} is not as /api/v1/openapi.json says: {flaw}");
        }
        Self { request, status, headers, text, body }
    }

    /// The answer, if it has the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{} answered {}", self.request, self.text);
        self
    }

    /// The `detail` of the SCIM error that the answer must be.
    #[track_caller]
    pub fn expect_error(self, status: u16, scim_type: Option<&str>) -> String {
        let request = &self.request;
        assert_eq!(self.status, status, "{request} answered {}", self.text);
        assert_eq!(self.header("content-type"), Some("application/scim+json"), "{request}");
        assert_eq!(
            self.body["schemas"],
            serde_json::json!(["urn:ietf:params:scim:api:messages:2.0:Error"]),
            "{request}"
        );
        assert_eq!(self.body["status"], status.to_string(), "{request}: status is a string");
        let found = self.body.get("scimType").and_then(Value::as_str);
        assert_eq!(found, scim_type, "{request} answered {}", self.text);
        let detail = self.body["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty(), "{request}: an error says what to do");
        detail.to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("a readable header"))
    }

    /// The id of the resource in the body.
    #[track_caller]
    pub fn id(&self) -> String {
        self.body["id"].as_str().expect("a resource with an id").to_owned()
    }
}
