//! `/Users`.

use actix_web::HttpResponse;

use super::list::List;
use super::log_quirks;
use crate::db::Conn;
use crate::directory::Context;
use crate::directory::listing::Wanted;
use crate::directory::users::{self, User};
use crate::http::answer::{self, Failure};
use crate::http::body::UserBody;
use crate::http::client::Client;
use crate::http::condition::RequestCondition;
use crate::http::id::ResourceId;
use crate::http::presumed::Seeker;
use crate::http::query::UrlQuery;
use crate::scim::patch::PatchPlan;
use crate::scim::projection::Projection;
use crate::scim::query::Query;
use crate::scim::quirks::Quirks;
use crate::scim::resource::Document;

/// `GET /Users` (RFC 7644 section 3.4.2).
pub async fn list(seeker: Seeker, query: UrlQuery) -> Result<HttpResponse, Failure> {
    self::query(seeker, &query).await
}

/// Answers a query, however it came.
pub(super) async fn query(mut seeker: Seeker, query: &Query) -> Result<HttpResponse, Failure> {
    let client = seeker.client();
    let resource_type = client.app.registry.user();
    let mut quirks = Quirks::default();
    let filter = query.filter(resource_type, &mut quirks)?;
    let projection = query.projection(resource_type)?;
    let order = query.order(resource_type)?;
    let list = List::new(client, query, "Users", order.as_slice()).await?;
    let wanted = Wanted {
        filter,
        order,
        memberships: projection.includes("groups"),
        names: false,
        most_members: client.app.settings.page_members,
    };
    let page = list.page.clone();
    let is_lookup = wanted.is_lookup(&page);
    let look_up =
        move |conn: &mut Conn, context: &Context| users::list(conn, context, &wanted, &page);
    let listed = if is_lookup {
        seeker.look_up(look_up).await?
    } else {
        let client = seeker.sure().await?;
        let context = client.context();
        client.db().read(move |conn| look_up(conn, &context)).await?
    };
    let client = seeker.client();
    log_quirks(client, &quirks);
    let base_url = &client.app.scim_base_url;
    list.answer(query, &listed, |user| user.show(&projection, base_url))
}

/// `POST /Users` (RFC 7644 section 3.3).
pub async fn create(
    client: Client,
    query: UrlQuery,
    body: UserBody,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.user();
    let mut quirks = Quirks::default();
    let document = Document::from_body(resource_type, body.0, &mut quirks)?;
    let projection = query.projection(resource_type)?.after_write(&document);
    log_quirks(&client, &quirks);
    let context = client.context();
    let user = client
        .db()
        .write("create_user", move |conn| users::create(conn, &context, &document))
        .await?;
    let location = format!("{}/Users/{}", client.app.scim_base_url, user.id());
    let shown = user.show(&projection, &client.app.scim_base_url)?;
    Ok(answer::created(user.entity_tag(), location, shown))
}

/// `GET /Users/{id}` (RFC 7644 section 3.4.1).
pub async fn get(
    mut seeker: Seeker,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
) -> Result<HttpResponse, Failure> {
    let projection = query.projection(seeker.client().app.registry.user())?;
    let want_groups = projection.includes("groups");
    let look_up =
        move |conn: &mut Conn, context: &Context| users::get(conn, context, &id, want_groups);
    let user = seeker.look_up(look_up).await?;
    let tag = user.entity_tag();
    if condition.is_met_by_copy(tag)? {
        return Ok(answer::not_modified(tag));
    }
    answer(seeker.client(), &projection, &user)
}

/// `PUT /Users/{id}` (RFC 7644 section 3.5.1).
pub async fn replace(
    client: Client,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
    body: UserBody,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.user();
    let mut quirks = Quirks::default();
    let document = Document::from_body(resource_type, body.0, &mut quirks)?;
    let projection = query.projection(resource_type)?.after_write(&document);
    log_quirks(&client, &quirks);
    let (context, condition) = (client.context(), condition.into_inner());
    let user = client
        .db()
        .write("replace_user", move |conn| {
            users::replace(conn, &context, &id, &document, &condition)
        })
        .await?;
    answer(&client, &projection, &user)
}

/// `PATCH /Users/{id}` (RFC 7644 section 3.5.2).
pub async fn patch(
    client: Client,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
    body: UserBody,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.user();
    let plan = PatchPlan::new(resource_type, body.0)?;
    let projection = query.projection(resource_type)?.after_patch(&plan);
    let (context, condition) = (client.context(), condition.into_inner());
    let (user, quirks) = client
        .db()
        .write("patch_user", move |conn| users::patch(conn, &context, &id, &plan, &condition))
        .await?;
    log_quirks(&client, &quirks);
    answer(&client, &projection, &user)
}

/// `DELETE /Users/{id}` (RFC 7644 section 3.6).
pub async fn delete(
    client: Client,
    id: ResourceId,
    condition: RequestCondition,
) -> Result<HttpResponse, Failure> {
    let (context, condition) = (client.context(), condition.into_inner());
    client
        .db()
        .write("delete_user", move |conn| users::delete(conn, &context, &id, &condition))
        .await?;
    Ok(answer::no_content())
}

/// 200 with what is to be shown of the user.
fn answer(client: &Client, projection: &Projection, user: &User) -> Result<HttpResponse, Failure> {
    let base_url = &client.app.scim_base_url;
    let location = || format!("{base_url}/Users/{}", user.id());
    Ok(answer::resource(user.entity_tag(), location, user.show(projection, base_url)?))
}
