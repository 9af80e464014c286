//! HTTP, and the only place that knows of it besides the server's start: routes, extractors and
//! handlers of a few lines each.

mod answer;
mod api;
mod bearer;
mod body;
mod client;
mod condition;
mod headers;
mod id;
mod middleware;
mod negotiate;
mod ops;
mod query;
mod routes;
mod scim;
mod signin;
pub mod tls;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::{App as ActixApp, HttpServer, web};

use crate::app::App;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Seconds that requests under way have to finish when the server stops.
const SHUTDOWN_TIMEOUT: u64 = 30;

/// Serves plain HTTP on a listening socket until the server is stopped.
///
/// # Errors
/// The socket cannot be used.
pub fn serve(app: Arc<App>, listener: TcpListener) -> io::Result<Server> {
    serve_with(app, listener, None)
}

/// Serves on a listening socket until the server is stopped, by TLS where there is a configuration.
///
/// # Errors
/// The socket cannot be used.
pub fn serve_with(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<rustls::ServerConfig>,
) -> io::Result<Server> {
    let workers = app.settings.workers;
    let data = web::Data::from(app);
    let server = HttpServer::new(move || {
        ActixApp::new()
            .app_data(data.clone())
            .wrap(actix_web::middleware::from_fn(middleware::catch_panics))
            .wrap(actix_web::middleware::from_fn(negotiate::media_type))
            .wrap(actix_web::middleware::from_fn(middleware::observe))
            .wrap(actix_web::middleware::from_fn(negotiate::default_version))
            .wrap(actix_web::middleware::NormalizePath::trim())
            .wrap(actix_web::middleware::from_fn(headers::protect))
            .configure(routes::configure)
    });
    let server = server
        .workers(workers)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_TIMEOUT)
        .disable_signals();
    let server = match tls {
        None => server.listen(listener)?,
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
    };
    Ok(server.run())
}
