//! The log of requests: what was asked, how it was answered, what it changed, and nothing that is
//! secret.

mod bounds;
mod scim;
mod sign_in;

use serde_json::Value;

use crate::support::{Case, TestApp};

pub fn cases() -> Vec<Case> {
    [scim::cases(), sign_in::CASES.to_vec(), bounds::cases()].concat()
}

/// The requests of the log, the newest first, as the read API shows them.
pub async fn logged(app: &TestApp, query: &str) -> Vec<Value> {
    let body = app.admin().await.get(&format!("/requests?{query}")).await.expect(200).body;
    body["requests"].as_array().expect("requests").clone()
}

/// The newest request of the log, with its bodies and what it has changed.
pub async fn newest(app: &TestApp, query: &str) -> Value {
    let found = logged(app, query).await;
    let id = found.first().expect("a request")["id"].as_str().expect("an id").to_owned();
    app.admin().await.get(&format!("/requests/{id}")).await.expect(200).body
}
