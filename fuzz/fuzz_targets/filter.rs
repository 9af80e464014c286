//! A filter is read or refused; what is read writes out as the same filter, and can be asked.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use muster::scim::filter::{FilterError, check, matches, parse};
use muster::scim::quirks::Quirks;
use muster::scim::schema::Registry;
use serde_json::{Map, Value, json};

static REGISTRY: LazyLock<Registry> =
    LazyLock::new(|| Registry::builtin().expect("the embedded schemas"));
static USER: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ann@example.com",
        "emails": [{"value": "ann@example.com", "type": "work", "primary": true}],
        "active": true,
    });
    user.as_object().cloned().unwrap_or_default()
});

fuzz_target!(|text: &str| {
    let Ok(expression) = parse(text) else { return };
    let again = parse(&expression.to_string());
    // Escapes can make the text longer than what is read.
    if !matches!(again, Err(FilterError::TooLong { .. })) {
        assert_eq!(again.as_ref(), Ok(&expression));
    }
    if let Ok(filter) = check(&expression, REGISTRY.user(), &mut Quirks::default()) {
        matches(&filter, &USER);
    }
});
