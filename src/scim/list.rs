//! Lists and their paging by index (RFC 7644 sections 3.4.2 and 3.4.2.4).

use serde_json::{Value, json};

use super::error::{ScimError, ScimResult};

/// The `schemas` value of a list.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Resources on a page where the client does not say how many.
pub const DEFAULT_COUNT: u32 = 100;
/// Most resources on a page; `filter.maxResults` of the service provider configuration.
pub const MAX_COUNT: u32 = 1000;

/// The part of a list that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Index of the first resource, counted from 1.
    pub start_index: u64,
    /// Most resources to return; 0 asks for the total alone.
    pub count: u32,
}

impl Page {
    /// Reads `startIndex` and `count`.
    ///
    /// "A value less than 1 SHALL be interpreted as 1" and "a negative value SHALL be interpreted
    /// as 0" (RFC 7644 section 3.4.2.4).
    ///
    /// # Errors
    /// `invalidValue` where one is not an integer.
    pub fn parse(start_index: Option<&str>, count: Option<&str>) -> ScimResult<Self> {
        let start_index = integer("startIndex", start_index)?.unwrap_or(1).max(1);
        let count = integer("count", count)?
            .map_or(DEFAULT_COUNT, |count| u32::try_from(count.max(0)).unwrap_or(MAX_COUNT));
        Ok(Self { start_index: start_index.unsigned_abs(), count: count.min(MAX_COUNT) })
    }

    /// How many resources come before the page.
    pub fn offset(self) -> i64 {
        i64::try_from(self.start_index - 1).unwrap_or(i64::MAX)
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { start_index: 1, count: DEFAULT_COUNT }
    }
}

fn integer(name: &str, text: Option<&str>) -> ScimResult<Option<i64>> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ScimError::invalid_value(format!("'{name}' must be an integer")));
    }
    // A number beyond the machine's is as good as the largest.
    let bound = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(Some(text.parse().unwrap_or(bound)))
}

/// The list message; `Resources` is always there, also when empty.
pub fn list_response(total: u64, start_index: u64, resources: &[Value]) -> Value {
    json!({
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": start_index,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_are_the_rfcs() {
        let page = |start, count| Page::parse(start, count).map(|p| (p.start_index, p.count));
        assert_eq!(page(None, None), Ok((1, DEFAULT_COUNT)));
        assert_eq!(page(Some("0"), Some("-5")), Ok((1, 0)));
        assert_eq!(page(Some("-7"), Some("0")), Ok((1, 0)));
        assert_eq!(page(Some("101"), Some("50")), Ok((101, 50)));
        assert_eq!(page(Some(""), Some("")), Ok((1, DEFAULT_COUNT)));
        assert_eq!(page(None, Some("99999999999999999999")), Ok((1, MAX_COUNT)));
        assert!(page(Some("one"), None).is_err());
        assert!(page(None, Some("1.5")).is_err());
    }
}
