//! The one table of routes.

use actix_web::middleware::from_fn;
use actix_web::web::{ServiceConfig, delete, get, patch, post, put, resource, route, scope};
use actix_web::{Resource, Route};

use super::scim::{bulk, discovery, groups, me, search, users};
use super::scopes::{NONE, needs};
use super::signin::{
    authorize, callback, initiate, logout, metadata, refused, revoke, token, userinfo,
};
use super::{api, client, ops, outgoing, scim};
use crate::access::scope::Scope::{GroupsRead, GroupsWrite, UsersRead, UsersWrite};

/// Adds every route.
#[expect(clippy::too_many_lines, reason = "it is the one table")]
pub fn configure(config: &mut ServiceConfig) {
    config
        // SCIM comes first, since it is asked for most. People have tokens of another kind than directories.
        .service(resource("/scim/v2/Me").route(route().to(me::me)))
        // How to authenticate is said before anybody does.
        .service(
            resource("/scim/v2/ServiceProviderConfig")
                .route(get().to(discovery::service_provider_config))
                .default_service(not_allowed("GET")),
        )
        .service(
            scope("/scim/v2")
                .wrap(from_fn(outgoing::hold))
                .wrap(from_fn(client::authenticate))
                .service(
                    resource("/Bulk")
                        .route(needs(&[UsersWrite, GroupsWrite], post().to(bulk::post)))
                        .default_service(not_allowed("POST")),
                )
                .service(
                    resource(["", "/"])
                        .route(needs(&[UsersRead, GroupsRead], get().to(search::root)))
                        .default_service(not_allowed("GET")),
                )
                .service(
                    resource("/.search")
                        .route(needs(&[UsersRead, GroupsRead], post().to(search::everything)))
                        .default_service(not_allowed("POST")),
                )
                .service(
                    resource("/Users/.search")
                        .route(needs(&[UsersRead], post().to(search::users)))
                        .default_service(not_allowed("POST")),
                )
                .service(
                    resource("/Groups/.search")
                        .route(needs(&[GroupsRead], post().to(search::groups)))
                        .default_service(not_allowed("POST")),
                )
                .service(
                    resource("/Users")
                        .route(needs(&[UsersRead], get().to(users::list)))
                        .route(needs(&[UsersWrite], post().to(users::create)))
                        .default_service(not_allowed("GET, POST")),
                )
                .service(
                    resource("/Users/{id}")
                        .route(needs(&[UsersRead], get().to(users::get)))
                        .route(needs(&[UsersWrite], put().to(users::replace)))
                        .route(needs(&[UsersWrite], patch().to(users::patch)))
                        .route(needs(&[UsersWrite], delete().to(users::delete)))
                        .default_service(not_allowed("GET, PUT, PATCH, DELETE")),
                )
                .service(
                    resource("/Groups")
                        .route(needs(&[GroupsRead], get().to(groups::list)))
                        .route(needs(&[GroupsWrite], post().to(groups::create)))
                        .default_service(not_allowed("GET, POST")),
                )
                .service(
                    resource("/Groups/{id}")
                        .route(needs(&[GroupsRead], get().to(groups::get)))
                        .route(needs(&[GroupsWrite], put().to(groups::replace)))
                        .route(needs(&[GroupsWrite], patch().to(groups::patch)))
                        .route(needs(&[GroupsWrite], delete().to(groups::delete)))
                        .default_service(not_allowed("GET, PUT, PATCH, DELETE")),
                )
                .service(
                    resource("/Schemas")
                        .route(needs(NONE, get().to(discovery::schemas)))
                        .default_service(not_allowed("GET")),
                )
                .service(
                    resource("/Schemas/{id}")
                        .route(needs(NONE, get().to(discovery::schema)))
                        .default_service(not_allowed("GET")),
                )
                .service(
                    resource("/ResourceTypes")
                        .route(needs(NONE, get().to(discovery::resource_types)))
                        .default_service(not_allowed("GET")),
                )
                .service(
                    resource("/ResourceTypes/{id}")
                        .route(needs(NONE, get().to(discovery::resource_type)))
                        .default_service(not_allowed("GET")),
                )
                .default_service(route().to(scim::no_such_endpoint)),
        )
        .default_service(route().to(ops::not_found))
        .service(
            resource("/healthz").route(get().to(ops::healthz)).default_service(not_allowed("GET")),
        )
        .service(
            resource("/readyz").route(get().to(ops::readyz)).default_service(not_allowed("GET")),
        )
        .service(
            resource("/metrics").route(get().to(ops::metrics)).default_service(not_allowed("GET")),
        )
        .service(
            resource("/authorize").route(get().to(authorize::get)).default_service(no_page("GET")),
        )
        .service(
            resource("/login/initiate")
                .route(get().to(initiate::get))
                .route(post().to(initiate::post))
                .default_service(no_page("GET, POST")),
        )
        .service(
            resource(["/login/callback", "/login/callback/{connection}"])
                .route(get().to(callback::get))
                .route(post().to(callback::post))
                .default_service(no_page("GET, POST")),
        )
        .service(
            resource("/logout")
                .route(get().to(logout::ask))
                .route(post().to(logout::end))
                .default_service(no_page("GET, POST")),
        )
        .service(
            resource("/token")
                .route(post().to(token::exchange))
                .default_service(no_program("POST")),
        )
        .service(
            resource("/introspect")
                .route(post().to(token::introspect))
                .default_service(no_program("POST")),
        )
        .service(
            resource("/revoke").route(post().to(revoke::post)).default_service(no_program("POST")),
        )
        .service(
            resource("/userinfo")
                .route(get().to(userinfo::userinfo))
                .route(post().to(userinfo::userinfo))
                .default_service(no_program("GET, POST")),
        )
        .service(
            resource("/.well-known/oauth-authorization-server")
                .route(get().to(metadata::get))
                .default_service(no_program("GET")),
        )
        // What there is to ask for is said before anybody authenticates.
        .service(read_only("/api/v1/openapi.json", get().to(api::description::get)))
        .service(
            scope("/api/v1")
                .wrap(from_fn(api::admin::authenticate))
                .service(read_only("/users", get().to(api::users::list)))
                .service(read_only("/users/{id}", get().to(api::users::get)))
                .service(read_only("/users/{id}/explain", get().to(api::users::explain)))
                .service(read_only("/teams", get().to(api::teams::list)))
                .service(read_only("/teams/{id}", get().to(api::teams::get)))
                .service(read_only("/teams/{id}/members", get().to(api::teams::members)))
                .service(read_only("/events", get().to(api::events::list)))
                .service(read_only("/brakes", get().to(api::brakes::list)))
                .service(
                    resource("/brakes/{connection}/release")
                        .route(post().to(api::brakes::release))
                        .default_service(route().to(api::post_only)),
                )
                .default_service(route().to(api::no_such_endpoint)),
        );
}

fn not_allowed(methods: &'static str) -> Route {
    route().to(move || std::future::ready(ops::method_not_allowed(methods)))
}

fn read_only(path: &'static str, get: Route) -> Resource {
    resource(path).route(get).default_service(route().to(api::method_not_allowed))
}

/// For a method that a page of sign-in does not have.
fn no_page(methods: &'static str) -> Route {
    route().to(move || std::future::ready(refused::page_method(methods)))
}

/// For a method that an endpoint for programs does not have.
fn no_program(methods: &'static str) -> Route {
    route().to(move || std::future::ready(refused::program_method(methods)))
}
