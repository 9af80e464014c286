//! Queries: what a client asks of a list, in a URL or in the body of a search (RFC 7644 sections
//! 3.4.2 and 3.4.3).

use std::sync::Arc;

use serde_json::Value;

use super::cursor::{CursorKey, Position};
use super::error::{ScimError, ScimResult};
use super::filter::{self, Expression, Filter};
use super::list::{Page, Start};
use super::projection::Projection;
use super::quirks::{Quirk, Quirks};
use super::schema::ResourceType;
use super::sort::{self, Order};

/// The parameters of a query, not yet read.
///
/// Unknown ones are ignored, such as the flags that clients put into the base URL; so is an empty
/// one, such as a trailing `&` leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    filter: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    /// Empty where the list is to go on by cursors from its first page on.
    cursor: Option<String>,
    /// What it took to read the URL.
    tolerances: Quirks,
}

impl Query {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name.to_ascii_lowercase().as_str() {
            "filter" => Some(&mut self.filter),
            "startindex" => Some(&mut self.start_index),
            "count" => Some(&mut self.count),
            "attributes" => Some(&mut self.attributes),
            "excludedattributes" => Some(&mut self.excluded_attributes),
            "sortby" => Some(&mut self.sort_by),
            "sortorder" => Some(&mut self.sort_order),
            "cursor" => Some(&mut self.cursor),
            _ => None,
        }
    }

    /// Reads the query part of a URL.
    pub fn from_url(query: &str) -> Self {
        let mut parameters = Self::default();
        for pair in query.split('&') {
            // Who writes a space as %20 means a plus by a plus; see `Quirk::LiteralPlus`.
            let plus_is_literal = pair.contains("%20") && pair.contains('+');
            let pair = if plus_is_literal { pair.replace('+', "%2B") } else { pair.to_owned() };
            for (name, value) in url::form_urlencoded::parse(pair.as_bytes()) {
                let counts = !value.is_empty() || name.eq_ignore_ascii_case("cursor");
                let Some(slot) = parameters.slot(&name).filter(|_| counts) else { continue };
                *slot = Some(value.into_owned());
                if plus_is_literal {
                    parameters.tolerances.note(Quirk::LiteralPlus);
                }
            }
        }
        parameters
    }

    /// Reads the body of a search.
    ///
    /// # Errors
    /// `invalidSyntax` for a body that is no object, `invalidValue` for a parameter of the wrong
    /// type.
    pub fn from_body(body: Value) -> ScimResult<Self> {
        let Value::Object(body) = body else {
            return Err(ScimError::no_object());
        };
        let mut parameters = Self::default();
        for (key, value) in body {
            let Some(slot) = parameters.slot(&key) else { continue };
            *slot = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(names) => {
                    let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                    Some(names.join(","))
                }
                Value::Bool(_) | Value::Object(_) => {
                    return Err(ScimError::invalid_value(format!("'{key}' has the wrong type")));
                }
            };
        }
        Ok(parameters)
    }

    /// Whether there is a filter.
    pub fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    /// Whether the list is to go on by cursors.
    pub fn has_cursor(&self) -> bool {
        self.cursor.is_some()
    }

    /// The page asked for. `list` says which list it is: whose, and of what; without a key there are
    /// no cursors.
    ///
    /// A cursor comes before a `startIndex`, which clients send along from habit.
    ///
    /// # Errors
    /// `invalidCursor` for one that was not given out for this query of this list; else see
    /// [`Page::parse`] and [`Page::with_cursor`].
    pub fn page(&self, key: Option<&CursorKey>, list: &str) -> ScimResult<Page> {
        let count = self.count.as_deref();
        let start = match (self.cursor.as_deref(), key) {
            (None, _) | (_, None) => return Page::parse(self.start_index.as_deref(), count),
            (Some(""), _) => Start::First,
            (Some(cursor), Some(key)) => Start::Cursor(key.open(cursor, &self.described(list))?),
        };
        Page::with_cursor(start, count)
    }

    /// The cursor to a place in the list.
    pub fn cursor(&self, key: &CursorKey, list: &str, position: &Position) -> String {
        key.seal(position, &self.described(list))
    }

    /// What a cursor is bound to: "all query parameters and values being identical" (RFC 9865
    /// section 2), as far as they say which resources the list has and in which order.
    fn described(&self, list: &str) -> String {
        serde_json::json!([list, self.filter, self.sort_by, self.sort_order]).to_string()
    }

    /// The orders asked for of each of several resource types that are listed together.
    ///
    /// # Errors
    /// See [`sort::orders`].
    pub fn orders<const N: usize>(
        &self,
        resource_types: [&ResourceType; N],
    ) -> ScimResult<Option<[Order; N]>> {
        sort::orders(resource_types, self.sort_by.as_deref(), self.sort_order.as_deref())
    }

    /// The order asked for.
    ///
    /// # Errors
    /// See [`sort::orders`].
    pub fn order(&self, resource_type: &ResourceType) -> ScimResult<Option<Order>> {
        Ok(self.orders([resource_type])?.map(|[order]| order))
    }

    /// The attributes asked for.
    ///
    /// # Errors
    /// See [`Projection::parse`].
    pub fn projection(&self, resource_type: &Arc<ResourceType>) -> ScimResult<Projection> {
        let (attributes, excluded) = (&self.attributes, &self.excluded_attributes);
        Projection::parse(resource_type, attributes.as_deref(), excluded.as_deref())
    }

    /// The filter, held against the schema of one resource type.
    ///
    /// # Errors
    /// `invalidFilter`.
    pub fn filter(
        &self,
        resource_type: &ResourceType,
        quirks: &mut Quirks,
    ) -> ScimResult<Option<Filter>> {
        let Some(expression) = self.expression(quirks)? else { return Ok(None) };
        Ok(Some(filter::check(&expression, resource_type, quirks).map_err(ScimError::from)?))
    }

    /// The filter, held against each of several resource types that are searched at once. What one
    /// of them does not have counts as absent there (RFC 7644 section 3.4.2.1).
    ///
    /// # Errors
    /// `invalidFilter`, also for an attribute that none of them has.
    pub fn filters<const N: usize>(
        &self,
        resource_types: [&ResourceType; N],
        quirks: &mut Quirks,
    ) -> ScimResult<[Option<Filter>; N]> {
        let Some(expression) = self.expression(quirks)? else { return Ok([const { None }; N]) };
        filter::check_each(&expression, resource_types, quirks)
            .map(|filters| filters.map(Some))
            .map_err(ScimError::from)
    }

    fn expression(&self, quirks: &mut Quirks) -> ScimResult<Option<Expression>> {
        quirks.extend(self.tolerances.iter());
        let Some(text) = &self.filter else { return Ok(None) };
        let parsed = filter::parse_with_quirks(text).map_err(ScimError::from)?;
        quirks.extend(parsed.tolerances);
        Ok(Some(parsed.expression))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_space_unless_spaces_are_written_in_another_way() {
        let read = |query: &str| {
            let query = Query::from_url(query);
            (query.filter.unwrap_or_default(), query.tolerances.iter().collect::<Vec<_>>())
        };
        let spaces = read("filter=userName+eq+%22a%2Bb@example.com%22&");
        assert_eq!(spaces, (r#"userName eq "a+b@example.com""#.to_owned(), vec![]));
        let literal = read("filter=userName%20eq%20%22a+b@example.com%22");
        let want = r#"userName eq "a+b@example.com""#.to_owned();
        assert_eq!(literal, (want, vec![Quirk::LiteralPlus]));
        // Each parameter is written in its own way, and what nobody reads is no matter.
        let other = read("x=a%20+b&filter=userName+pr");
        assert_eq!(other, ("userName pr".to_owned(), vec![]));
    }
}
