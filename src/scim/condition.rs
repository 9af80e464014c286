//! Conditional requests: versions, entity tags, `If-Match` and `If-None-Match` (RFC 7644 section
//! 3.14, RFC 9110 section 13).
//!
//! SCIM's tags are weak ones and are compared as such in both headers: RFC 7644 shows `If-Match`
//! with a weak tag, which the strong comparison of RFC 9110 could never meet.
//!
//! A tag reads `W/"VERSION"`, or `W/"VERSION-RELATED"` where the representation shows what other
//! resources say of this one: a user's groups, a group's members. A change needs the resource's own
//! version to be the one that was read; a cached copy needs the whole tag to be the same.

use super::error::{ScimError, ScimResult};

/// Separates a resource's own version from what the tag says of related resources.
const SEPARATOR: char = '-';

/// The weak entity tag of a version, and of the related resources that a representation shows.
pub fn entity_tag(version: i64, related: Option<u64>) -> String {
    match related {
        None => format!("W/\"{version}\""),
        Some(related) => format!("W/\"{version}{SEPARATOR}{related:016x}\""),
    }
}

/// A tag without what it says of related resources: the form in which versions are compared.
pub fn own_version(tag: &str) -> String {
    match tag.trim_end_matches('"').split_once(SEPARATOR) {
        Some((own, _)) => format!("{own}\""),
        None => tag.to_owned(),
    }
}

/// What a request asks of the version of the resource that it is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: whichever version there is.
    Any,
    /// The opaque parts of the tags, without quotes and `W/`.
    Listed(Vec<String>),
}

impl Condition {
    /// No condition.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the two headers; several of one name are joined by commas.
    ///
    /// A tag without quotes is taken as it is. What is no tag at all is met by no version.
    pub fn from_headers(if_match: Option<&str>, if_none_match: Option<&str>) -> Self {
        Self { if_match: if_match.map(Tags::parse), if_none_match: if_none_match.map(Tags::parse) }
    }

    /// The condition that the resource still has this version, as an operation of a bulk request
    /// states it (RFC 7644 section 3.7).
    pub fn of_version(version: &str) -> Self {
        Self::from_headers(Some(version), None)
    }

    /// Holds a change against the version that the resource has at that moment.
    ///
    /// # Errors
    /// 412 if the condition does not hold.
    pub fn check(&self, version: i64) -> ScimResult<()> {
        let opaque = version.to_string();
        let own = |tag: &str| tag.split(SEPARATOR).next().unwrap_or_default() == opaque;
        let fails = self.if_match.as_ref().is_some_and(|tags| !tags.include(own))
            || self.if_none_match.as_ref().is_some_and(|tags| tags.include(own));
        if fails {
            return Err(changed(&entity_tag(version, None)));
        }
        Ok(())
    }

    /// Whether the client has the representation with that tag already, so that it need not be
    /// sent: the answer is 304 then.
    ///
    /// # Errors
    /// 412 if the client wants another version than the one there is.
    pub fn is_met_by_copy(&self, tag: &str) -> ScimResult<bool> {
        let opaque = opaque(tag);
        let own = |text: &str| text.split(SEPARATOR).next().unwrap_or_default().to_owned();
        if self.if_match.as_ref().is_some_and(|tags| !tags.include(|tag| own(tag) == own(opaque))) {
            return Err(changed(tag));
        }
        Ok(self.if_none_match.as_ref().is_some_and(|tags| tags.include(|tag| tag == opaque)))
    }
}

impl Tags {
    fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        let mut tags = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_whitespace());
            if rest.is_empty() {
                return Self::Listed(tags);
            }
            let quoted = rest.strip_prefix("W/").unwrap_or(rest).strip_prefix('"');
            // A quoted tag may hold commas.
            let (tag, after) = match quoted.and_then(|inner| inner.split_once('"')) {
                Some(found) => found,
                None => rest.split_once(',').unwrap_or((rest, "")),
            };
            tags.push(opaque(tag.trim()).to_owned());
            rest = after;
        }
    }

    fn include(&self, is_it: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::Listed(tags) => tags.iter().any(|tag| is_it(tag)),
        }
    }
}

/// What stands between the quotes of a tag.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
}

fn changed(tag: &str) -> ScimError {
    ScimError::new(
        412,
        format!(
            "the resource is not in the version that the request asks for: its version is {tag}; \
             read it again and repeat the request"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writes(if_match: Option<&str>, if_none_match: Option<&str>, version: i64) -> bool {
        Condition::from_headers(if_match, if_none_match).check(version).is_ok()
    }

    fn copy(if_none_match: &str, tag: &str) -> bool {
        Condition::from_headers(None, Some(if_none_match)).is_met_by_copy(tag) == Ok(true)
    }

    #[test]
    fn a_change_needs_the_version_that_was_read() {
        assert!(writes(None, None, 3));
        for header in ["W/\"3\"", "\"3\"", "3", "W/3", "*", " W/\"2\" , W/\"3\"", "W/\"3-00ff\""] {
            assert!(writes(Some(header), None, 3), "{header}");
            assert!(!writes(None, Some(header), 3), "{header}");
        }
        for header in ["W/\"2\"", "", "W/\"33\"", "W/\"", "W/\"2\", \"4\"", "w/\"3\"", "\"a,3,b\""]
        {
            assert!(!writes(Some(header), None, 3), "{header}");
            assert!(writes(None, Some(header), 3), "{header}");
        }
    }

    #[test]
    fn a_copy_is_good_while_nothing_that_it_shows_has_changed() {
        let tag = entity_tag(3, Some(0xabc));
        assert_eq!(tag, "W/\"3-0000000000000abc\"");
        assert!(copy(&tag, &tag));
        assert!(copy("*", &tag));
        assert!(!copy("W/\"3\"", &tag));
        assert!(!copy(&entity_tag(3, Some(0xabd)), &tag));
        assert!(!copy(&entity_tag(4, Some(0xabc)), &tag));
        assert!(copy("W/\"3\"", &entity_tag(3, None)));
    }

    #[test]
    fn a_read_may_insist_on_a_version() {
        let read = |wanted: &str| {
            let condition = Condition::from_headers(Some(wanted), None);
            condition.is_met_by_copy("W/\"3-0000000000000abc\"").map_err(|error| error.status)
        };
        assert_eq!(read("W/\"3\""), Ok(false));
        assert_eq!(read("W/\"2\""), Err(412));
    }

    #[test]
    fn related_resources_can_be_left_out_of_a_tag() {
        assert_eq!(own_version("W/\"3-0000000000000abc\""), "W/\"3\"");
        assert_eq!(own_version("W/\"3\""), "W/\"3\"");
        assert_eq!(own_version("anything"), "anything");
    }
}
