//! `/api/v1/doctor`: the diagnosis.

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Failure, ok};
use super::parameters::Parameters;
use crate::app::App;
use crate::app::doctor::{Wanted, examine};
use crate::directory::doctor::Bounds;

/// `GET /api/v1/doctor`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["connection"])?;
    let wanted = Wanted {
        connection: parameters.owned("connection"),
        url: Some(app.settings.public_url.clone()),
        bounds: Bounds::SERVER,
    };
    // One at a time, however often somebody asks: each has the store and the providers look around.
    let _turn = app.examining.lock().await;
    let report = examine(&app.db, &app.providers, &wanted, (app.clock)()).await?;
    Ok(ok(&report.to_json()))
}
