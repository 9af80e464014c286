//! Queries in the body of a request (RFC 7644 section 3.4.3), and queries of users and groups
//! together (section 3.4.2.1).

use actix_web::HttpResponse;

use super::list::List;
use super::{groups, log_quirks, users};
use crate::access::scope::Scope;
use crate::directory::listing::{self, Item, Wanted};
use crate::http::answer::Failure;
use crate::http::body::UserBody;
use crate::http::client::Client;
use crate::http::presumed::Seeker;
use crate::http::query::UrlQuery;
use crate::scim::filter::Filter;
use crate::scim::query::Query;
use crate::scim::quirks::Quirks;

/// `POST /Users/.search`.
pub async fn users(seeker: Seeker, body: UserBody) -> Result<HttpResponse, Failure> {
    users::query(seeker, &Query::from_body(body.0)?).await
}

/// `POST /Groups/.search`.
pub async fn groups(client: Client, body: UserBody) -> Result<HttpResponse, Failure> {
    groups::query(&client, &Query::from_body(body.0)?).await
}

/// `POST /.search`: users and groups as one list, as far as the token may read them.
pub async fn everything(client: Client, body: UserBody) -> Result<HttpResponse, Failure> {
    query(&client, &Query::from_body(body.0)?).await
}

/// `GET /`: users and groups as one list, as far as the token may read them.
pub async fn root(client: Client, query: UrlQuery) -> Result<HttpResponse, Failure> {
    self::query(&client, &query).await
}

async fn query(client: &Client, query: &Query) -> Result<HttpResponse, Failure> {
    let (user, group) = (client.app.registry.user(), client.app.registry.group());
    let mut quirks = Quirks::default();
    let [user_filter, group_filter] = query.filters([user, group], &mut quirks)?;
    let orders = query.orders([user, group])?;
    // A cursor of one who may read both would tell how many there are of both.
    let (sees_users, sees_groups) = (client.may(Scope::UsersRead), client.may(Scope::GroupsRead));
    let kind = match (sees_users, sees_groups) {
        (true, false) => "users alone",
        (false, true) => "groups alone",
        _ => "",
    };
    // An empty disjunction holds never.
    let seen = |filter, is_seen| if is_seen { filter } else { Some(Filter::Or(Vec::new())) };
    let list = List::new(client, query, kind, orders.as_ref().map_or(&[], |both| both)).await?;
    let (user_order, group_order) = orders.map_or((None, None), |[a, b]| (Some(a), Some(b)));
    let (of_users, of_groups) = (query.projection(user)?, query.projection(group)?);
    log_quirks(client, &quirks);
    let most_members = client.app.settings.page_members;
    let wanted_users = Wanted {
        filter: seen(user_filter, sees_users),
        order: user_order,
        memberships: of_users.includes("groups"),
        names: false,
        most_members,
    };
    let wanted_groups = Wanted {
        filter: seen(group_filter, sees_groups),
        order: group_order,
        memberships: of_groups.includes("members"),
        names: of_groups.includes_part("members", "display"),
        most_members,
    };
    let (context, page) = (client.context(), list.page.clone());
    let listed = client
        .db()
        .snapshot(move |conn| {
            listing::everything(conn, &context, &wanted_users, &wanted_groups, &page)
        })
        .await?;
    let base_url = &client.app.scim_base_url;
    list.answer(query, &listed, |item| match item {
        Item::User(user) => user.show(&of_users, base_url),
        Item::Team(team) => team.show(&of_groups, base_url),
    })
}
