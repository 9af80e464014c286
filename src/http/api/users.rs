//! `/api/v1/users`

use actix_web::{HttpRequest, HttpResponse, web};

use super::answer::{Failure, ok, page};
use super::parameters::{Parameters, id};
use crate::app::App;
use crate::directory::explain;
use crate::directory::read::{self, UserQuery};

/// `GET /api/v1/users`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let known = ["connection", "after", "count", "userName", "externalId", "active"];
    let parameters = Parameters::read(&request, &known)?;
    let query = UserQuery {
        connection: parameters.owned("connection"),
        user_name: parameters.owned("userName"),
        external_id: parameters.owned("externalId"),
        active: parameters.boolean("active")?,
    };
    let range = parameters.range()?;
    let found = app.db.snapshot(move |conn| read::users(conn, &query, &range)).await?;
    Ok(page("users", &found))
}

/// `GET /api/v1/users/{id}`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let id = id(&request)?;
    Ok(ok(&app.db.snapshot(move |conn| read::user(conn, &id)).await?))
}

/// `GET /api/v1/users/{id}/explain`
pub async fn explain(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    let team = Parameters::read(&request, &["team"])?.owned("team");
    let id = id(&request)?;
    let found = app.db.snapshot(move |conn| explain::of_id(conn, &id, team.as_deref())).await?;
    Ok(ok(&found.to_json()))
}
