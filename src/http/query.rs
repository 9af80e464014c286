//! Query parameters of SCIM requests (RFC 7644 section 3.4.2).

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::scim::filter::{self, Filter};
use crate::scim::list::Page;
use crate::scim::projection::Projection;
use crate::scim::quirks::Quirks;
use crate::scim::schema::ResourceType;
use crate::scim::{ScimResult, ScimError};

/// The parameters that a request carries. Unknown ones are ignored, such as the flags that clients
/// put into the base URL; so is an empty one, such as a trailing `&` leaves.
#[derive(Debug, Default)]
pub struct Query {
    pub filter: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

impl Query {
    /// The page asked for.
    pub fn page(&self) -> ScimResult<Page> {
        Page::parse(self.start_index.as_deref(), self.count.as_deref())
    }

    /// The attributes asked for.
    pub fn projection(&self, resource_type: &Arc<ResourceType>) -> ScimResult<Projection> {
        let (attributes, excluded) = (&self.attributes, &self.excluded_attributes);
        Projection::parse(resource_type, attributes.as_deref(), excluded.as_deref())
    }

    /// The filter, held against the schema.
    pub fn filter(
        &self,
        resource_type: &ResourceType,
        quirks: &mut Quirks,
    ) -> ScimResult<Option<Filter>> {
        let Some(text) = &self.filter else { return Ok(None) };
        let parsed = filter::parse_with_quirks(text).map_err(ScimError::from)?;
        quirks.extend(parsed.tolerances);
        Ok(Some(filter::check(&parsed.expression, resource_type).map_err(ScimError::from)?))
    }
}

impl FromRequest for Query {
    type Error = std::convert::Infallible;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(request.query_string().as_bytes()) {
            if value.is_empty() {
                continue;
            }
            let slot = match name.to_ascii_lowercase().as_str() {
                "filter" => &mut query.filter,
                "startindex" => &mut query.start_index,
                "count" => &mut query.count,
                "attributes" => &mut query.attributes,
                "excludedattributes" => &mut query.excluded_attributes,
                _ => continue,
            };
            *slot = Some(value.into_owned());
        }
        ready(Ok(query))
    }
}
