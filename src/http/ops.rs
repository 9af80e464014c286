//! Operations: whether the process lives, whether it can serve, and what is not there.

use actix_web::http::header::{ALLOW, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::answer::refusal;
use crate::app::App;
use crate::db::{StoreError, connections};
use crate::metrics::MEDIA_TYPE;
use crate::scim::ScimError;

/// How long the database may take to answer for the process to count as ready.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// How long whoever asks for the metrics waits for the store to be counted.
const COUNTING: std::time::Duration = std::time::Duration::from_secs(1);

/// The process answers.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// The process and its database answer, and go on doing so.
pub async fn readyz(app: web::Data<App>) -> HttpResponse {
    if app.is_stopping() {
        return HttpResponse::ServiceUnavailable().json(json!({ "status": "stopping" }));
    }
    let look = app.db.read(|conn| Ok::<_, StoreError>(connections::is_empty(conn).map(drop)?));
    // Whoever asks wants to know now.
    let late = || StoreError::Unavailable("it takes too long to answer".to_owned());
    let reached = tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| Err(late()));
    match reached {
        Ok(()) => HttpResponse::Ok().json(json!({ "status": "ready" })),
        Err(error) => {
            log::log!(error.level(), "not ready: {error}");
            HttpResponse::ServiceUnavailable().json(json!({ "status": "database unavailable" }))
        }
    }
}

/// What the process has counted, for Prometheus, and what the store was counted for lately. It tells of
/// no connection, so it needs no token; without the database it tells of the process alone.
pub async fn metrics(app: web::Data<App>) -> HttpResponse {
    let counting = app.clone().into_inner();
    // It goes on where it takes longer, for the next one who asks.
    let counted = actix_web::rt::spawn(async move { counting.count_figures().await });
    let _ = tokio::time::timeout(COUNTING, counted).await;
    match app.metrics() {
        Ok(text) => HttpResponse::Ok().insert_header((CONTENT_TYPE, MEDIA_TYPE)).body(text),
        Err(error) => {
            log::error!("could not write the metrics: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// 404 for a path that is nobody's.
pub async fn not_found() -> HttpResponse {
    refusal(&ScimError::not_found(
        "there is nothing here; the SCIM base URL ends in /scim/v2, such as \
         https://muster.example.com/scim/v2",
    ))
}

/// 405 for a method that the path does not have.
pub fn method_not_allowed(methods: &'static str) -> HttpResponse {
    let error = ScimError::new(405, format!("this endpoint takes {methods} only"));
    let mut response = refusal(&error);
    response
        .headers_mut()
        .insert(ALLOW, actix_web::http::header::HeaderValue::from_static(methods));
    response
}
