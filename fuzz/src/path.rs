//! The path of a PATCH operation is read or refused; what is read writes out as the same path.

use muster::scim::filter::FilterError;
use muster::scim::path::{AttrPath, parse_patch_path};

/// One path, as text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(path) = parse_patch_path(text) else { return };
    assert_eq!(AttrPath::split(&path.path.to_string()), path.path, "the attribute");
    let mut written = path.path.to_string();
    if let Some(filter) = &path.filter {
        written = format!("{written}[{filter}]");
    }
    if let Some(sub) = &path.sub {
        assert!(path.filter.is_some(), "a sub-attribute after a filter that is none");
        written = format!("{written}.{sub}");
    }
    let again = parse_patch_path(&written);
    // Escapes can make the text longer than what is read.
    if !matches!(again, Err(FilterError::TooLong { .. })) {
        assert_eq!(again, Ok(path), "a path does not write out as itself: {written}");
    }
}
