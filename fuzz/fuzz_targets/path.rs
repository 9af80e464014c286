//! The path of a PATCH operation is read or refused; its attribute writes out the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster::scim::path::{AttrPath, parse_patch_path};

fuzz_target!(|text: &str| {
    let Ok(path) = parse_patch_path(text) else { return };
    assert_eq!(AttrPath::split(&path.path.to_string()), path.path);
});
