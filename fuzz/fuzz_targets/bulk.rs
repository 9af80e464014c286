//! A bulk request of any JSON is refused, or each of its operations is answered.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster::scim::ScimError;
use muster::scim::bulk::{Job, Run, Verb, Write, Written};
use muster::scim::quirks::Quirks;
use muster::scim::schema::Registry;
use serde_json::{Value, json};

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::builtin().expect("the embedded schemas"));

/// Every write succeeds; what is new has the id `new`.
fn write(write: &Write) -> Result<Written, ScimError> {
    let id = match &write.verb {
        Verb::Create { .. } => "new".to_owned(),
        Verb::Replace { id, .. } | Verb::Patch { id, .. } | Verb::Delete { id } => id.clone(),
    };
    Ok(Written { id, version: None, quirks: Quirks::default() })
}

fuzz_target!(|body: &[u8]| {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
    // The bare operations are a request as well: it takes the fuzzer long to find the wrapping.
    for body in [body.clone(), json!({"Operations": body.clone()}), json!({"Operations": [body]})] {
        let Ok(job) = Job::parse(body, &mut Quirks::default()) else { continue };
        let mut run = Run::new(job);
        while let Some(step) = run.next(&REGISTRY) {
            match step.carry_out(&REGISTRY, write) {
                Ok(done) => run.succeed(done),
                Err(broken) => run.fail(&step.places(), &broken),
            }
        }
        let answer = run.answer("https://example.com");
        let results = answer["Operations"].as_array().expect("an array");
        assert!(!results.is_empty() && results.iter().all(|result| result["status"].is_string()));
    }
});
