//! `/api/v1/teams`

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Failure, ok, page};
use super::parameters::{Parameters, id};
use crate::app::App;
use crate::directory::read;

/// `GET /api/v1/teams`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["connection", "after", "count"])?;
    let (connection, range) = (parameters.owned("connection"), parameters.range()?);
    let found =
        app.db.snapshot(move |conn| read::teams(conn, connection.as_deref(), &range)).await?;
    Ok(page("teams", &found))
}

/// `GET /api/v1/teams/{id}`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let id = id(&request)?;
    Ok(ok(&app.db.snapshot(move |conn| read::team(conn, &id)).await?))
}

/// `GET /api/v1/teams/{id}/members`
pub async fn members(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let range = Parameters::read(&request, &["after", "count"])?.range()?;
    let id = id(&request)?;
    let found = app.db.snapshot(move |conn| read::members(conn, &id, &range)).await?;
    Ok(page("members", &found))
}
