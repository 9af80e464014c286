//! `/Groups`.

use std::collections::BTreeSet;

use actix_web::HttpResponse;
use serde_json::Value;

use super::list::List;
use super::log_quirks;
use crate::db::Conn;
use crate::directory::Context;
use crate::directory::listing::Wanted;
use crate::directory::teams::{self, Show, Team};
use crate::http::answer::{self, Failure};
use crate::http::body::GroupBody;
use crate::http::client::Client;
use crate::http::condition::RequestCondition;
use crate::http::id::ResourceId;
use crate::http::presumed::Seeker;
use crate::http::query::UrlQuery;
use crate::scim::ScimResult;
use crate::scim::group::Body;
use crate::scim::patch::PatchPlan;
use crate::scim::projection::Projection;
use crate::scim::query::Query;
use crate::scim::quirks::Quirks;
use crate::scim::resource::Document;
use crate::scim::schema::ResourceType;

/// Members that are changed in no time.
const FEW: usize = 100;

/// `GET /Groups` (RFC 7644 section 3.4.2).
pub async fn list(client: Client, query: UrlQuery) -> Result<HttpResponse, Failure> {
    self::query(&client, &query).await
}

/// Answers a query, however it came.
pub(super) async fn query(client: &Client, query: &Query) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.group();
    let mut quirks = Quirks::default();
    let filter = query.filter(resource_type, &mut quirks)?;
    let projection = query.projection(resource_type)?;
    let order = query.order(resource_type)?;
    let list = List::new(client, query, "Groups", order.as_slice()).await?;
    log_quirks(client, &quirks);
    let wanted = Wanted {
        filter,
        order,
        memberships: projection.includes("members"),
        names: projection.includes_part("members", "display"),
        most_members: client.app.settings.page_members,
    };
    let (context, page) = (client.context(), list.page.clone());
    let listed = client.db().read(move |conn| teams::list(conn, &context, &wanted, &page)).await?;
    let base_url = &client.app.scim_base_url;
    list.answer(query, &listed, |team| team.show(&projection, base_url))
}

/// `POST /Groups` (RFC 7644 section 3.3).
pub async fn create(
    client: Client,
    query: UrlQuery,
    body: GroupBody<Body>,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.group();
    let (document, members) = group(&client, resource_type, body.0)?;
    let projection = query.projection(resource_type)?.after_write(&document);
    let (context, show) = (client.context(), show(&projection));
    let team = client
        .db()
        .large(members.len() > FEW)
        .write("create_group", move |conn| teams::create(conn, &context, &document, &members, show))
        .await?;
    let location = format!("{}/Groups/{}", client.app.scim_base_url, team.id());
    let shown = team.show(&projection, &client.app.scim_base_url)?;
    Ok(answer::created(team.entity_tag(), location, shown))
}

/// `GET /Groups/{id}` (RFC 7644 section 3.4.1).
pub async fn get(
    mut seeker: Seeker,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
) -> Result<HttpResponse, Failure> {
    let projection = query.projection(seeker.client().app.registry.group())?;
    let show = show(&projection);
    let look_up = move |conn: &mut Conn, context: &Context| teams::get(conn, context, &id, show);
    let team = if show == Show::Nobody {
        seeker.look_up(look_up).await?
    } else {
        let client = seeker.sure().await?;
        let context = client.context();
        client.db().snapshot(move |conn| look_up(conn, &context)).await?
    };
    let tag = team.entity_tag();
    if condition.is_met_by_copy(tag)? {
        return Ok(answer::not_modified(tag));
    }
    answer(seeker.client(), &projection, team)
}

/// `PUT /Groups/{id}` (RFC 7644 section 3.5.1).
pub async fn replace(
    client: Client,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
    body: GroupBody<Body>,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.group();
    let (document, members) = group(&client, resource_type, body.0)?;
    let projection = query.projection(resource_type)?.after_write(&document);
    let (context, condition) = (client.context(), condition.into_inner());
    let show = show(&projection);
    let team = client
        .db()
        .large(true)
        .write("replace_group", move |conn| {
            teams::replace(conn, &context, &id, &document, &members, &condition, show)
        })
        .await?;
    answer(&client, &projection, team)
}

/// `PATCH /Groups/{id}` (RFC 7644 section 3.5.2).
pub async fn patch(
    client: Client,
    id: ResourceId,
    query: UrlQuery,
    condition: RequestCondition,
    body: GroupBody<Value>,
) -> Result<HttpResponse, Failure> {
    let resource_type = client.app.registry.group();
    let plan = PatchPlan::new(resource_type, body.0)?;
    let projection = query.projection(resource_type)?.after_patch(&plan);
    let show = if projection.is_default() { Show::AFTER_PATCH } else { show(&projection) };
    let (context, condition) = (client.context(), condition.into_inner());
    let is_large = !plan.members.iter().all(|step| step.is_small(FEW));
    let (team, quirks) = client
        .db()
        .large(is_large)
        .write("patch_group", move |conn| {
            teams::patch(conn, &context, &id, &plan, &condition, show)
        })
        .await?;
    log_quirks(&client, &quirks);
    let tag = team.entity_tag();
    if team.is_too_large() {
        return Ok(answer::changed(tag));
    }
    answer(&client, &projection, team)
}

/// `DELETE /Groups/{id}` (RFC 7644 section 3.6).
pub async fn delete(
    client: Client,
    id: ResourceId,
    condition: RequestCondition,
) -> Result<HttpResponse, Failure> {
    let (context, condition) = (client.context(), condition.into_inner());
    client
        .db()
        .large(true)
        .write("delete_group", move |conn| teams::delete(conn, &context, &id, &condition))
        .await?;
    Ok(answer::no_content())
}

fn show(projection: &Projection) -> Show {
    if !projection.includes("members") {
        return Show::Nobody;
    }
    Show::Everybody { named: projection.includes_part("members", "display") }
}

/// A group's own attributes, and the ids of its members.
fn group(
    client: &Client,
    resource_type: &ResourceType,
    body: Body,
) -> ScimResult<(Document, BTreeSet<String>)> {
    let mut quirks = Quirks::default();
    let parts = body.read(resource_type, &mut quirks)?;
    log_quirks(client, &quirks);
    Ok(parts)
}

/// 200 with what is to be shown of the group.
fn answer(
    client: &Client,
    projection: &Projection,
    mut team: Team,
) -> Result<HttpResponse, Failure> {
    let base_url = &client.app.scim_base_url;
    let pieces = team.pieces(projection, base_url)?;
    let location = || format!("{base_url}/Groups/{}", team.id());
    let tag = team.entity_tag();
    if let Some(pieces) = pieces {
        let location = pieces.has_location.then(location);
        return Ok(answer::large_resource(tag, location, pieces.weight, pieces));
    }
    Ok(answer::resource(tag, location, team.show(projection, base_url)?))
}
