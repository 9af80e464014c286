//! A bulk request of any JSON is refused, or each of its operations is answered, in words that fit
//! what came of it.

use std::collections::BTreeSet;

use muster::scim::ScimError;
use muster::scim::bulk::{Job, Run, Verb, Write, Written};
use muster::scim::quirks::Quirks;
use serde_json::{Value, json};

use super::known::{GROUP, REGISTRY, USER, assert_canonical};

/// The body of one request, or its operations alone.
pub fn run(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return };
    // The bare operations are a request as well: it takes the fuzzer long to find the wrapping.
    for body in [body.clone(), json!({"Operations": body.clone()}), json!({"Operations": [body]})] {
        // A store that takes everything, and one that refuses every third write.
        for refused in [usize::MAX, 3] {
            carry_out(body.clone(), refused);
        }
    }
}

fn carry_out(body: Value, refused: usize) {
    let Ok(job) = Job::parse(body, &mut Quirks::default()) else { return };
    let mut run = Run::new(job);
    let (mut writes, mut seen) = (0, BTreeSet::new());
    while let Some(step) = run.next(&REGISTRY) {
        for place in step.places() {
            assert!(seen.insert(place), "operation {place} comes twice");
        }
        let done = step.carry_out(&REGISTRY, |one| {
            writes += 1;
            write(one, writes, refused)
        });
        match done {
            Ok(done) => {
                let mut places: Vec<usize> = done.iter().map(|(place, _)| *place).collect();
                places.sort_unstable();
                assert_eq!(places, step.places(), "an operation of the step is not answered");
                run.succeed(done);
            }
            Err(broken) => run.fail(&step.places(), &broken),
        }
    }
    let answer = run.answer("https://example.com");
    let results = answer["Operations"].as_array().expect("an array");
    let (processed, errors) = run.counts();
    assert!(processed > 0 && results.len() == processed, "an operation has no answer");
    let failed = |result: &&Value| {
        let status: u16 = result["status"].as_str().expect("a status").parse().expect("a number");
        assert!((200..600).contains(&status) && status != 500, "{result}");
        let is_failed = status >= 400;
        assert_eq!(is_failed, result.get("response").is_some(), "{result}");
        assert!(!is_failed || result["response"]["status"] == result["status"], "{result}");
        assert!(is_failed || result["location"].is_string(), "{result}");
        is_failed
    };
    let failures = results.iter().filter(failed).count();
    assert_eq!(u64::try_from(failures), Ok(errors), "the errors are counted");
}

/// A write that succeeds, or is refused; what is new has an id of its own.
fn write(write: &Write, count: usize, refused: usize) -> Result<Written, ScimError> {
    if count.is_multiple_of(refused) {
        return Err(ScimError::not_found("there is no resource with this id"));
    }
    let resource_type = match write.endpoint.to_string().as_str() {
        "Users" => REGISTRY.user(),
        _ => REGISTRY.group(),
    };
    let id = match &write.verb {
        Verb::Create { document, .. } => {
            assert_canonical(resource_type, document);
            format!("new{count}")
        }
        Verb::Replace { id, document, .. } => {
            assert_canonical(resource_type, document);
            id.clone()
        }
        Verb::Patch { id, plan } => {
            let old = if resource_type.name == "User" { &USER } else { &GROUP };
            let patched = plan.apply((*old).clone(), &mut Quirks::default())?;
            assert_canonical(resource_type, &patched);
            id.clone()
        }
        Verb::Delete { id } => id.clone(),
    };
    Ok(Written { id, version: None, quirks: Quirks::default() })
}
