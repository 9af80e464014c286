//! `POST …/.search`: queries in the body of a request (RFC 7644 section 3.4.3).

use actix_web::HttpResponse;
use serde_json::Value;

use super::{groups, log_quirks, users};
use crate::directory::{DirectoryError, teams, users as people};
use crate::http::answer::{self, Failure};
use crate::http::body::UserBody;
use crate::http::client::Client;
use crate::scim::list::{Page, list_response};
use crate::scim::query::Query;
use crate::scim::quirks::Quirks;

/// `POST /Users/.search`.
pub async fn users(client: Client, body: UserBody) -> Result<HttpResponse, Failure> {
    users::query(&client, &Query::from_body(body.0)?).await
}

/// `POST /Groups/.search`.
pub async fn groups(client: Client, body: UserBody) -> Result<HttpResponse, Failure> {
    groups::query(&client, &Query::from_body(body.0)?).await
}

/// `POST /.search`: users first, then groups, as one list.
pub async fn everything(client: Client, body: UserBody) -> Result<HttpResponse, Failure> {
    let query = Query::from_body(body.0)?;
    let registry = &client.app.registry;
    let mut quirks = Quirks::default();
    let [user_filter, group_filter] =
        query.filters([registry.user(), registry.group()], &mut quirks)?;
    log_quirks(&client, &quirks);
    let page = query.page()?;
    let user_projection = query.projection(registry.user())?;
    let group_projection = query.projection(registry.group())?;
    let (want_groups, want_members) =
        (user_projection.includes("groups"), group_projection.includes("members"));
    let context = client.context();
    let (found_users, found_groups) = client
        .app
        .db
        .snapshot(move |conn| {
            let users = people::list(conn, &context, user_filter.as_ref(), page, want_groups)?;
            let shown = u32::try_from(users.items.len()).unwrap_or(u32::MAX);
            let rest = Page {
                start_index: page.start_index.saturating_sub(users.total).max(1),
                count: page.count.saturating_sub(shown),
            };
            let groups = teams::list(conn, &context, group_filter.as_ref(), rest, want_members)?;
            Ok::<_, DirectoryError>((users, groups))
        })
        .await?;
    let mut resources = Vec::with_capacity(found_users.items.len() + found_groups.items.len());
    for user in &found_users.items {
        resources.push(Value::Object(users::projected(&client, &user_projection, user)?));
    }
    for group in &found_groups.items {
        resources.push(Value::Object(groups::projected(&client, &group_projection, group)?));
    }
    let total = found_users.total + found_groups.total;
    Ok(answer::message(&list_response(total, page.start_index, &resources)))
}
