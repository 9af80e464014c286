//! `/api/v1/webhooks`: where events are sent to.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::admin::AdminId;
use super::answer::{Failure, ok};
use super::parameters::{Parameters, id};
use crate::app::App;
use crate::directory::Actor;
use crate::directory::webhooks::{self, By, Change, From, New, State, Types, Webhook};
use crate::http::middleware::RequestId;
use crate::secret::Secret;

/// Seconds for which events are signed with the secret before as well, unless the request says so.
const OVERLAP: i64 = 86_400;
/// A month, in seconds.
const LONGEST: i64 = 31 * 86_400;

fn by(app: &App, request: &HttpRequest, admin: web::ReqData<AdminId>) -> By {
    let actor = Actor::Admin(admin.into_inner().0);
    By { actor, request_id: RequestId::of(request), now: (app.clock)() }
}

/// `GET /api/v1/webhooks`
pub async fn list(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let now = (app.clock)();
    let found = app.db.read(webhooks::all).await?;
    let found: Value = found.iter().map(|webhook| webhook.to_json(now)).collect();
    Ok(ok(&json!({ "webhooks": found })))
}

/// `GET /api/v1/webhooks/{id}`
pub async fn get(app: web::Data<App>, request: HttpRequest) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let (id, now) = (id(&request)?, (app.clock)());
    let found = app.db.read(move |conn| webhooks::find(conn, &id)).await?;
    Ok(ok(&found.to_json(now)))
}

/// `POST /api/v1/webhooks`
pub async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["url", "connection", "action", "label"])?;
    let missing = || Failure::Invalid("'url' is missing: where events are to be sent".to_owned());
    let types = match parameters.text("action") {
        None => None,
        Some(text) => {
            let types = text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>();
            Types::some(types.map_err(Failure::Invalid)?)
        }
    };
    let new = New {
        url: parameters.owned("url").ok_or_else(missing)?,
        label: parameters.owned("label").unwrap_or_default(),
        connection: parameters.owned("connection"),
        types,
    };
    let by = by(&app, &request, admin);
    let now = by.now;
    let (webhook, secret) = webhooks::create(&app.db, new, by).await?;
    Ok(with_secret(StatusCode::CREATED, &webhook, &secret, now))
}

/// `DELETE /api/v1/webhooks/{id}`
pub async fn delete(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    Parameters::read(&request, &[])?;
    let (id, by) = (id(&request)?, by(&app, &request, admin));
    app.db.write("delete_webhook", move |conn| webhooks::delete(conn, &id, &by)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `POST /api/v1/webhooks/{id}/pause`
pub async fn pause(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    set(&app, &request, admin, State::Paused).await
}

/// `POST /api/v1/webhooks/{id}/resume`
pub async fn resume(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    set(&app, &request, admin, State::Active).await
}

async fn set(
    app: &web::Data<App>,
    request: &HttpRequest,
    admin: web::ReqData<AdminId>,
    state: State,
) -> Result<HttpResponse, Failure> {
    Parameters::read(request, &[])?;
    let (id, by) = (id(request)?, by(app, request, admin));
    let change = Change { state: Some(state), ..Change::default() };
    let now = by.now;
    let webhook = app
        .db
        .write("update_webhook", move |conn| webhooks::update(conn, &id, &change, &by))
        .await?;
    Ok(ok(&webhook.to_json(now)))
}

/// `POST /api/v1/webhooks/{id}/rotate`
pub async fn rotate(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["overlap"])?;
    let seconds = parameters.number("overlap", 0..=LONGEST)?.unwrap_or(OVERLAP);
    let (id, by) = (id(&request)?, by(&app, &request, admin));
    let now = by.now;
    let old_until = (seconds > 0).then(|| now.saturating_add(seconds * 1_000_000));
    let (webhook, secret) = app
        .db
        .write("rotate_webhook", move |conn| webhooks::rotate(conn, &id, old_until, &by))
        .await?;
    Ok(with_secret(StatusCode::OK, &webhook, &secret, now))
}

/// `POST /api/v1/webhooks/{id}/replay`
pub async fn replay(
    app: web::Data<App>,
    request: HttpRequest,
    admin: web::ReqData<AdminId>,
) -> Result<HttpResponse, Failure> {
    let parameters = Parameters::read(&request, &["after"])?;
    let missing = || Failure::Invalid("'after' is missing: the cursor to go on after".to_owned());
    let from = From::After(parameters.owned("after").ok_or_else(missing)?);
    let (id, by) = (id(&request)?, by(&app, &request, admin));
    let now = by.now;
    let webhook =
        app.db.write("replay_webhook", move |conn| webhooks::replay(conn, &id, &from, &by)).await?;
    Ok(ok(&webhook.to_json(now)))
}

/// The webhook, with its secret this once.
fn with_secret(status: StatusCode, webhook: &Webhook, secret: &Secret, now: i64) -> HttpResponse {
    let mut object = webhook.to_json(now);
    if let Some(members) = object.as_object_mut() {
        members.insert("secret".to_owned(), secret.expose().into());
    }
    HttpResponse::build(status).json(object)
}
