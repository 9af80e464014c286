//! `/ServiceProviderConfig`, `/Schemas` and `/ResourceTypes` (RFC 7644 section 4).

use actix_web::HttpResponse;
use actix_web::web::{self, Path};
use serde_json::Value;

use crate::app::App;
use crate::http::answer::{self, Failure};
use crate::http::client::Client;
use crate::http::query::UrlQuery;
use crate::scim::{ScimError, ScimResult, discovery};

/// `GET /ServiceProviderConfig`, for everybody: "the service provider SHOULD … make the
/// authenticationSchemes attribute publicly accessible without prior authentication" (RFC 7643
/// section 5). It says nothing of any connection.
pub async fn service_provider_config(
    app: web::Data<App>,
    query: UrlQuery,
) -> Result<HttpResponse, Failure> {
    no_filter(&query)?;
    Ok(answer::document(&discovery::service_provider_config(&app.scim_base_url)))
}

/// `GET /Schemas`.
pub async fn schemas(client: Client, query: UrlQuery) -> Result<HttpResponse, Failure> {
    no_filter(&query)?;
    Ok(answer::message(&discovery::schemas(&client.app.registry, &client.app.scim_base_url)))
}

/// `GET /Schemas/{id}`.
pub async fn schema(client: Client, id: Path<String>) -> Result<HttpResponse, Failure> {
    found("schema", &id, discovery::schema(&client.app.registry, &client.app.scim_base_url, &id))
}

/// `GET /ResourceTypes`.
pub async fn resource_types(client: Client, query: UrlQuery) -> Result<HttpResponse, Failure> {
    no_filter(&query)?;
    Ok(answer::message(&discovery::resource_types(&client.app.registry, &client.app.scim_base_url)))
}

/// `GET /ResourceTypes/{id}`.
pub async fn resource_type(client: Client, id: Path<String>) -> Result<HttpResponse, Failure> {
    let base_url = &client.app.scim_base_url;
    found("resource type", &id, discovery::resource_type(&client.app.registry, base_url, &id))
}

fn found(kind: &str, id: &str, document: Option<Value>) -> Result<HttpResponse, Failure> {
    match document {
        Some(document) => Ok(answer::document(&document)),
        None => Err(ScimError::not_found(format!("there is no {kind} '{id}'")).into()),
    }
}

/// "If a filter is provided, the service provider SHOULD respond with HTTP status code 403"
/// (RFC 7644 section 4).
fn no_filter(query: &UrlQuery) -> ScimResult<()> {
    if query.has_filter() {
        return Err(ScimError::new(403, "this endpoint takes no filter"));
    }
    Ok(())
}
