//! `/api/v1/brakes`: the mass-change brakes, and letting through what they hold.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::admin::AdminId;
use super::answer::{Failure, ok};
use super::parameters::Parameters;
use crate::app::App;
use crate::directory::Actor;
use crate::directory::brake::{self, State};
use crate::http::middleware::RequestId;

/// Seconds for which what was held goes through, unless the request says so.
const RELEASED_FOR: i64 = 3600;
/// A week, in seconds.
const LONGEST: i64 = 7 * 86_400;

/// `GET /api/v1/brakes`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let now = (app.clock)();
    let found = app.db.snapshot(move |conn| brake::all(conn, now)).await?;
    Ok(ok(&json!({ "brakes": found.iter().map(State::to_json).collect::<Value>() })))
}

/// `POST /api/v1/brakes/{connection}/release`
pub async fn release(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["for"])?;
    let seconds = parameters.number("for", 1..=LONGEST)?.unwrap_or(RELEASED_FOR);
    let connection = request.match_info().get("connection").unwrap_or_default().to_owned();
    let (request_id, now) = (RequestId::of(&request), (app.clock)());
    let until = now.saturating_add(seconds * 1_000_000);
    let actor = Actor::Admin(admin.into_inner().0);
    let released = app
        .db
        .write("release_brake", move |conn| {
            brake::release(conn, &connection, &actor, request_id.as_deref(), until, now)
        })
        .await?;
    Ok(ok(&released.to_json()))
}
