//! Lists and their paging, by index (RFC 7644 sections 3.4.2 and 3.4.2.4) and by cursor (RFC 9865).

use serde_json::{Map, Value, json};

use super::cursor::Position;
use super::error::{ScimError, ScimResult};

/// The `schemas` value of a list.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// Resources on a page where the client does not say how many.
pub const DEFAULT_COUNT: u32 = 100;
/// Most resources on a page; `filter.maxResults` of the service provider configuration.
pub const MAX_COUNT: u32 = 1000;

/// The part of a list that a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Where it begins.
    pub start: Start,
    /// Most resources to return; 0 asks for the total alone.
    pub count: u32,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Start {
    /// At the resource with this index, counted from 1.
    Index(u64),
    /// At the beginning of a list that goes on by cursors.
    First,
    /// At a place that an earlier page named.
    Cursor(Position),
}

impl Page {
    /// Rows to look up: one more than are shown, where cursors go on from it.
    pub fn most_rows(&self) -> i64 {
        if self.count == 0 { 0 } else { i64::from(self.count) + i64::from(self.has_cursor()) }
    }

    /// Whether the page ends where the client has begun.
    pub fn is_backwards(&self) -> bool {
        matches!(&self.start, Start::Cursor(position) if position.backwards)
    }

    /// Reads `startIndex` and `count` of a list that is paged by index.
    ///
    /// "A value less than 1 SHALL be interpreted as 1" and "a negative value SHALL be interpreted
    /// as 0" (RFC 7644 section 3.4.2.4).
    ///
    /// # Errors
    /// `invalidValue` where one is not an integer.
    pub fn parse(start_index: Option<&str>, count: Option<&str>) -> ScimResult<Self> {
        let wrong = |name: &str| ScimError::invalid_value(format!("'{name}' must be an integer"));
        let start_index = integer(start_index).map_err(|()| wrong("startIndex"))?.unwrap_or(1);
        let count = integer(count).map_err(|()| wrong("count"))?;
        Ok(Self { start: Start::Index(start_index.max(1).unsigned_abs()), count: limited(count) })
    }

    /// Reads `count` of a list that is paged by cursor.
    ///
    /// # Errors
    /// `invalidCount` where it is not an integer (RFC 9865 section 2.1).
    pub fn with_cursor(start: Start, count: Option<&str>) -> ScimResult<Self> {
        let count =
            integer(count).map_err(|()| ScimError::invalid_count("'count' must be an integer"))?;
        Ok(Self { start, count: limited(count) })
    }

    /// How many resources come before a page that begins at an index.
    pub fn offset(&self) -> i64 {
        match self.start {
            Start::Index(index) => i64::try_from(index.saturating_sub(1)).unwrap_or(i64::MAX),
            Start::First | Start::Cursor(_) => 0,
        }
    }

    /// Whether the list goes on by cursors.
    pub fn has_cursor(&self) -> bool {
        !matches!(self.start, Start::Index(_))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self { start: Start::Index(1), count: DEFAULT_COUNT }
    }
}

fn limited(count: Option<i64>) -> u32 {
    let count =
        count.map_or(DEFAULT_COUNT, |count| u32::try_from(count.max(0)).unwrap_or(MAX_COUNT));
    count.min(MAX_COUNT)
}

fn integer(text: Option<&str>) -> Result<Option<i64>, ()> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(());
    }
    // A number beyond the machine's is as good as the largest.
    let bound = if text.starts_with('-') { i64::MIN } else { i64::MAX };
    Ok(Some(text.parse().unwrap_or(bound)))
}

/// Cursors to the pages around one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    pub previous: Option<String>,
    pub next: Option<String>,
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

/// A list message that is written resource by resource.
#[derive(Debug, Default)]
pub struct ListWriter {
    resources: Vec<u8>,
    count: usize,
}

impl ListWriter {
    /// Adds a resource, as JSON.
    pub fn add(&mut self, resource: &[u8]) {
        if self.count > 0 {
            self.resources.push(b',');
        }
        self.resources.extend_from_slice(resource);
        self.count += 1;
    }

    /// The message of a page that was asked for by `page`, as JSON (RFC 7644 section 3.4.2, RFC 9865
    /// section 2); `Resources` is always there, also when empty.
    pub fn page(self, total: u64, page: &Page, around: Around) -> Vec<u8> {
        let mut message = Map::new();
        message.insert("schemas".to_owned(), json!([LIST_SCHEMA]));
        message.insert("totalResults".to_owned(), total.into());
        if let Start::Index(index) = page.start {
            message.insert("startIndex".to_owned(), index.into());
        }
        message.insert("itemsPerPage".to_owned(), self.count.into());
        for (name, cursor) in [("previousCursor", around.previous), ("nextCursor", around.next)] {
            if let Some(cursor) = cursor {
                message.insert(name.to_owned(), cursor.into());
            }
        }
        let mut json = Value::Object(message).to_string().into_bytes();
        json.pop();
        json.extend_from_slice(b",\"Resources\":[");
        json.extend_from_slice(&self.resources);
        json.extend_from_slice(b"]}");
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edges_are_the_rfcs() {
        let page =
            |start, count| Page::parse(start, count).map(|page| (page.offset() + 1, page.count));
        assert_eq!(page(None, None), Ok((1, DEFAULT_COUNT)));
        assert_eq!(page(Some("0"), Some("-5")), Ok((1, 0)));
        assert_eq!(page(Some("-7"), Some("0")), Ok((1, 0)));
        assert_eq!(page(Some("101"), Some("50")), Ok((101, 50)));
        assert_eq!(page(Some(""), Some("")), Ok((1, DEFAULT_COUNT)));
        assert_eq!(page(None, Some("99999999999999999999")), Ok((1, MAX_COUNT)));
        assert!(page(Some("one"), None).is_err());
        assert!(page(None, Some("1.5")).is_err());
    }

    #[test]
    fn a_count_beside_a_cursor_has_an_error_of_its_own() {
        let count = |count| Page::with_cursor(Start::First, count).map(|page| page.count);
        assert_eq!(count(None), Ok(DEFAULT_COUNT));
        assert_eq!(count(Some("-1")), Ok(0));
        assert_eq!(count(Some("100000")), Ok(MAX_COUNT));
        let error = count(Some("many")).expect_err("no number");
        assert_eq!(error.scim_type, Some(super::super::ScimType::InvalidCount));
    }
}
