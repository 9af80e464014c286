//! Addresses of resources.

use std::borrow::Cow;

use super::schema::{Attribute, AttributeType};

/// Whether values of the attribute are addresses of SCIM resources (RFC 7643 section 7,
/// `referenceTypes`).
pub fn names_resources(attribute: &Attribute) -> bool {
    let is_resource = |kind: &String| !matches!(kind.as_str(), "external" | "uri");
    attribute.kind == AttributeType::Reference && attribute.reference_types.iter().any(is_resource)
}

/// The address of a resource without the version of the protocol: `…/v2/Users/ID` as `…/Users/ID`.
///
/// "URIs for SCIM resources with an API version SHALL be considered comparable to URIs without a
/// version or with a different version" (RFC 7643 section 2.4).
pub fn unversioned(address: &str) -> Cow<'_, str> {
    let parts = || {
        let (rest, id) = address.rsplit_once('/')?;
        let (rest, endpoint) = rest.rsplit_once('/')?;
        let (base, version) = rest.rsplit_once('/')?;
        let digits = version.strip_prefix('v')?;
        let is_version = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_version && !endpoint.is_empty() && !id.is_empty()).then_some((base, endpoint, id))
    };
    match parts() {
        Some((base, endpoint, id)) => Cow::Owned(format!("{base}/{endpoint}/{id}")),
        None => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_with_and_without_a_version() {
        for (address, without) in [
            ("https://example.com/v2/Users/12345", "https://example.com/Users/12345"),
            ("https://example.com/scim/v10/Groups/a-b", "https://example.com/scim/Groups/a-b"),
            ("/v2/Users/1", "/Users/1"),
            ("https://example.com/Users/1", "https://example.com/Users/1"),
            ("https://example.com/v/Users/1", "https://example.com/v/Users/1"),
            ("https://example.com/v2.1/Users/1", "https://example.com/v2.1/Users/1"),
            ("https://example.com/v2/Users/", "https://example.com/v2/Users/"),
            ("https://example.com/v2//1", "https://example.com/v2//1"),
            ("https://example.com/v2/Users", "https://example.com/v2/Users"),
            ("../Users/1", "../Users/1"),
            ("", ""),
        ] {
            assert_eq!(unversioned(address), without);
        }
    }
}
