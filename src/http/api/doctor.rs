//! `/api/v1/doctor`: the diagnosis.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Failure, ok};
use super::parameters::Parameters;
use crate::app::App;
use crate::app::doctor::{Wanted, examine};
use crate::directory::connections::AdminError;
use crate::directory::doctor::{Bounds, Report};

/// `GET /api/v1/doctor`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["connection"])?;
    Ok(ok(&report(&app, parameters.owned("connection")).await?.to_json()))
}

/// The server's diagnosis of itself, and of its connections or one of them.
///
/// # Errors
/// There is no such connection; the store's.
pub async fn report(app: &App, connection: Option<String>) -> Result<Report, AdminError> {
    let url = Some(app.settings.public_url.clone());
    let wanted = Wanted { connection, url, bounds: Bounds::SERVER };
    // One at a time, however often somebody asks: each has the store and the providers look around.
    let _turn = app.examining.lock().await;
    examine(&app.db, &app.providers, &wanted, (app.clock)()).await
}
