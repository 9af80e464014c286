//! A PATCH request of any JSON is planned or refused, and its plan applied or refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster::scim::patch::PatchPlan;
use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use muster::scim::schema::Registry;
use serde_json::{Value, json};

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::builtin().expect("the embedded schemas"));

fn user() -> Document {
    let body = json!({
        "userName": "ann@example.com",
        "name": {"givenName": "Ann"},
        "emails": [{"value": "ann@example.com", "type": "work", "primary": true}],
    });
    Document::from_body(REGISTRY.user(), body, &mut Quirks::default()).expect("a user")
}

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    for resource_type in [REGISTRY.user(), REGISTRY.group()] {
        // The bare operations are a request as well: it takes the fuzzer long to find the wrapping.
        for body in [
            body.clone(),
            json!({"Operations": body.clone()}),
            json!({"Operations": [body.clone()]}),
        ] {
            if let Ok(plan) = PatchPlan::new(resource_type, body) {
                let _ = plan.apply(user(), &mut Quirks::default());
            }
        }
    }
});
