//! `/api/v1/openapi.json`: what there is to ask for, in `OpenAPI` 3.1.
//!
//! The description is written by hand, in the file beside this one. Tests hold it against the table of
//! routes, and against every answer that they get.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::Value;

use super::answer::Failure;
use super::parameters::Parameters;
use crate::app::App;

const DESCRIPTION: &str = include_str!("openapi.json");
/// The address in the description, in place of which the server's own is shown.
const EXAMPLE: &str = "\"https://muster.example.com\"";

/// `GET /api/v1/openapi.json`, which tells nothing that needs a token.
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let own = Value::from(app.settings.public_url.as_str()).to_string();
    let shown = DESCRIPTION.replacen(EXAMPLE, &own, 1);
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(shown))
}
