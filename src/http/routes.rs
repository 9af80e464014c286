//! The one table of routes.

use actix_web::middleware::from_fn;
use actix_web::web::{ServiceConfig, delete, get, patch, post, put, resource, route, scope};
use actix_web::{Resource, Route};

use super::scim::{bulk, discovery, groups, me, search, users};
use super::scopes::{NONE, needs, seeks};
use super::signin::{
    authorize, callback, initiate, logout, metadata, refused, revoke, token, userinfo,
};
use super::{api, client, dry_run, ops, outgoing, scim};
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
                .wrap(from_fn(dry_run::rehearse))
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
                        .route(seeks(&[UsersRead], get().to(users::list)))
                        .route(needs(&[UsersWrite], post().to(users::create)))
                        .default_service(not_allowed("GET, POST")),
                )
                .service(
                    resource("/Users/{id}")
                        .route(seeks(&[UsersRead], get().to(users::get)))
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
                        .route(seeks(&[GroupsRead], get().to(groups::get)))
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
                .service(read_only("/requests", get().to(api::requests::list)))
                .service(read_only("/requests/{id}", get().to(api::requests::get)))
                .service(read_only("/brakes", get().to(api::brakes::list)))
                .service(read_only("/doctor", get().to(api::doctor::get)))
                .service(
                    resource("/brakes/{connection}/release")
                        .route(post().to(api::brakes::release))
                        .default_service(route().to(api::post_only)),
                )
                .service(
                    resource("/webhooks")
                        .route(get().to(api::webhooks::list))
                        .route(post().to(api::webhooks::create))
                        .default_service(route().to(|| api::other_method("GET, POST"))),
                )
                .service(
                    resource("/webhooks/{id}")
                        .route(get().to(api::webhooks::get))
                        .route(delete().to(api::webhooks::delete))
                        .default_service(route().to(|| api::other_method("GET, DELETE"))),
                )
                .service(
                    resource("/webhooks/{id}/pause")
                        .route(post().to(api::webhooks::pause))
                        .default_service(route().to(api::post_only)),
                )
                .service(
                    resource("/webhooks/{id}/resume")
                        .route(post().to(api::webhooks::resume))
                        .default_service(route().to(api::post_only)),
                )
                .service(
                    resource("/webhooks/{id}/rotate")
                        .route(post().to(api::webhooks::rotate))
                        .default_service(route().to(api::post_only)),
                )
                .service(
                    resource("/webhooks/{id}/replay")
                        .route(post().to(api::webhooks::replay))
                        .default_service(route().to(api::post_only)),
                )
                .default_service(route().to(api::no_such_endpoint)),
        )
        .configure(console);
}

/// The console and the page of set-up. The console's pages are for operators, but for that of signing
/// in; the page of set-up is for guests, who show a link.
fn console(config: &mut ServiceConfig) {
    use super::console::setup::{self, guest, shares};
    use super::console::{
        actions, admit, connection, connections, doctor, events, log, login, shell, teams, user,
        users,
    };
    config
        .service(asked("/setup", get().to(guest::show), post().to(guest::open)))
        .service(done("/setup/token", post().to(guest::make_token)))
        .service(done("/setup/sign-in", post().to(guest::register)))
        .service(shown("/console/assets/console.css", get().to(shell::style)))
        .service(shown("/console/assets/console.js", get().to(shell::script)))
        .service(shown("/console/assets/icon.svg", get().to(shell::icon)))
        .service(asked("/console/login", get().to(login::ask), post().to(login::enter)))
        .service(shown("/console/login/{connection}", get().to(login::begin)))
        .service(
            scope("/console")
                .wrap(from_fn(admit))
                .service(shown("", get().to(shell::home)))
                .service(done("/logout", post().to(login::leave)))
                .service(shown("/connections", get().to(connections::list)))
                .service(shown("/strays", get().to(log::strays)))
                .service(shown("/connections/{connection}", get().to(connection::overview)))
                .service(done("/connections/{connection}/tokens", post().to(actions::make_token)))
                .service(asked(
                    "/connections/{connection}/tokens/{id}/revoke",
                    get().to(actions::ask_revoke_token),
                    post().to(actions::revoke_token),
                ))
                .service(asked(
                    "/connections/{connection}/brake/release",
                    get().to(actions::ask_release),
                    post().to(actions::release),
                ))
                .service(shown("/connections/{connection}/setup", get().to(setup::show)))
                .service(done(
                    "/connections/{connection}/setup/token",
                    post().to(actions::make_token),
                ))
                .service(done(
                    "/connections/{connection}/setup/sign-in",
                    post().to(setup::register),
                ))
                .service(done("/connections/{connection}/setup/links", post().to(shares::make)))
                .service(done(
                    "/connections/{connection}/setup/links/{id}/revoke",
                    post().to(shares::revoke),
                ))
                .service(shown("/connections/{connection}/log", get().to(log::list)))
                .service(shown("/connections/{connection}/log/{id}", get().to(log::show)))
                .service(shown("/connections/{connection}/users", get().to(users::list)))
                .service(shown("/connections/{connection}/users/{id}", get().to(user::show)))
                .service(done(
                    "/connections/{connection}/users/{id}/sessions/{session}/end",
                    post().to(actions::end_session),
                ))
                .service(asked(
                    "/connections/{connection}/users/{id}/{action}",
                    get().to(actions::ask_user),
                    post().to(actions::change_user),
                ))
                .service(shown("/connections/{connection}/teams", get().to(teams::list)))
                .service(shown("/connections/{connection}/teams/{id}", get().to(teams::show)))
                .service(shown("/connections/{connection}/events", get().to(events::list)))
                .service(shown("/connections/{connection}/doctor", get().to(doctor::show)))
                .default_service(route().to(shell::nothing)),
        );
}

fn not_allowed(methods: &'static str) -> Route {
    route().to(move || std::future::ready(ops::method_not_allowed(methods)))
}

fn read_only(path: &'static str, get: Route) -> Resource {
    resource(path).route(get).default_service(route().to(api::method_not_allowed))
}

/// A page that shows something.
fn shown(path: &'static str, get: Route) -> Resource {
    resource(path).route(get).default_service(no_page("GET"))
}

/// What a form does.
fn done(path: &'static str, post: Route) -> Resource {
    resource(path).route(post).default_service(no_page("POST"))
}

/// A page that asks, with the form that does it.
fn asked(path: &'static str, get: Route, post: Route) -> Resource {
    resource(path).route(get).route(post).default_service(no_page("GET, POST"))
}

/// For a method that a page of sign-in does not have.
fn no_page(methods: &'static str) -> Route {
    route().to(move || std::future::ready(refused::page_method(methods)))
}

/// For a method that an endpoint for programs does not have.
fn no_program(methods: &'static str) -> Route {
    route().to(move || std::future::ready(refused::program_method(methods)))
}
