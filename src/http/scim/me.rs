//! `/Me`: the user behind the access token of a sign-in (RFC 7644 section 3.11).

use actix_web::http::Method;
use actix_web::http::header::{HeaderValue, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};

use crate::app::App;
use crate::directory::{Actor, Context, DirectoryError, grants, users};
use crate::http::answer::{self, Failure};
use crate::http::bearer::bearer;
use crate::http::condition::RequestCondition;
use crate::http::query::UrlQuery;
use crate::http::{client, ops};
use crate::scim::ScimError;

const NO_TOKEN: &str = "send the access token of a sign-in as 'Authorization: Bearer TOKEN'; \
                        this one is unknown or over, or the user is deactivated";

/// `/Me`, with whatever method. People do not manage themselves: whoever speaks for the directory
/// does, so there is nothing but `GET`.
pub async fn me(
    app: web::Data<App>,
    request: HttpRequest,
    query: UrlQuery,
    condition: RequestCondition,
) -> Result<HttpResponse, Failure> {
    let projection = query.projection(app.registry.user())?;
    let want_groups = projection.includes("groups");
    let (token, now) = (bearer(&request).unwrap_or_default(), (app.clock)());
    let (base_url, registry) = (app.scim_base_url.clone(), app.registry.clone());
    let found = app
        .people
        .snapshot(move |conn| {
            let Some(grant) = grants::of_token(conn, token.expose(), now)? else { return Ok(None) };
            let context = Context {
                connection: grant.connection.into(),
                actor: Actor::User(grant.user_id.clone()),
                request_id: None,
                now,
                base_url,
                registry,
            };
            users::get(conn, &context, &grant.user_id, want_groups).map(Some)
        })
        .await
        .map_err(|error: DirectoryError| Failure::from(error))?;
    let Some(user) = found else {
        // A directory's token is good, but nobody stands behind it.
        if !client::is_directory(&request).await? {
            return Err(ScimError::new(401, NO_TOKEN).into());
        }
        return Err(ScimError::not_found(
            "this token is a directory's, not a person's; /Me takes the access token of a sign-in",
        )
        .into());
    };
    if request.method() != Method::GET {
        return Ok(ops::method_not_allowed("GET"));
    }
    let tag = user.entity_tag();
    let location = format!("{}/Users/{}", app.scim_base_url, user.id());
    let mut answer = if condition.is_met_by_copy(tag)? {
        answer::not_modified(tag)
    } else {
        let shown = user.show(&projection, &app.scim_base_url)?;
        answer::resource(tag, || location.clone(), shown)
    };
    // "The Location header MUST be the permanent location of the aliased resource".
    if let Ok(location) = HeaderValue::from_str(&location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    Ok(answer)
}
