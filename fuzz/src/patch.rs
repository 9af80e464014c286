//! A PATCH request of any JSON is planned or refused, and its plan applied or refused. What it makes
//! of a resource is a resource, and a single operation that selects nothing by a filter changes
//! nothing the second time.

use std::sync::Arc;

use muster::scim::ScimType;
use muster::scim::patch::PatchPlan;
use muster::scim::quirks::Quirks;
use muster::scim::resource::Document;
use muster::scim::schema::ResourceType;
use serde_json::{Value, json};

use super::known::{assert_canonical, resources};

/// The body of one request, or its operations alone.
pub fn run(data: &[u8]) {
    let Ok(body) = serde_json::from_slice::<Value>(data) else { return };
    for (resource_type, resource) in resources() {
        // The bare operations are a request as well: it takes the fuzzer long to find the wrapping.
        let list = json!({"Operations": body.clone()});
        let one = json!({"Operations": [body.clone()]});
        patch(resource_type, resource, body.clone(), false);
        patch(resource_type, resource, list, false);
        patch(resource_type, resource, one, has_no_filter(&body));
    }
}

fn has_no_filter(operation: &Value) -> bool {
    !operation.to_string().contains('[')
}

fn patch(resource_type: &Arc<ResourceType>, resource: &Document, body: Value, is_repeatable: bool) {
    let Ok(plan) = PatchPlan::new(resource_type, body) else { return };
    let Ok(patched) = plan.apply(resource.clone(), &mut Quirks::default()) else { return };
    assert_canonical(resource_type, &patched);
    if is_repeatable {
        match plan.apply(patched.clone(), &mut Quirks::default()) {
            Ok(again) => assert_eq!(again, patched, "an operation done again changes something"),
            Err(error) => assert_eq!(error.scim_type, Some(ScimType::NoTarget), "{error:?}"),
        }
    }
}
