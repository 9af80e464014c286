//! Queries: what a client asks of a list, in a URL or in the body of a search (RFC 7644 sections
//! 3.4.2 and 3.4.3).

use std::sync::Arc;

use serde_json::Value;

use super::error::{ScimError, ScimResult};
use super::filter::{self, Expression, Filter};
use super::list::Page;
use super::projection::Projection;
use super::quirks::Quirks;
use super::schema::ResourceType;

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
}

impl Query {
    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name.to_ascii_lowercase().as_str() {
            "filter" => Some(&mut self.filter),
            "startindex" => Some(&mut self.start_index),
            "count" => Some(&mut self.count),
            "attributes" => Some(&mut self.attributes),
            "excludedattributes" => Some(&mut self.excluded_attributes),
            _ => None,
        }
    }

    /// Reads the query part of a URL.
    pub fn from_url(query: &str) -> Self {
        let mut parameters = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let Some(slot) = parameters.slot(&name).filter(|_| !value.is_empty()) {
                *slot = Some(value.into_owned());
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
            return Err(ScimError::invalid_syntax("the body must be a JSON object"));
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

    /// The page asked for.
    ///
    /// # Errors
    /// See [`Page::parse`].
    pub fn page(&self) -> ScimResult<Page> {
        Page::parse(self.start_index.as_deref(), self.count.as_deref())
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
        let Some(text) = &self.filter else { return Ok(None) };
        let parsed = filter::parse_with_quirks(text).map_err(ScimError::from)?;
        quirks.extend(parsed.tolerances);
        Ok(Some(parsed.expression))
    }
}
