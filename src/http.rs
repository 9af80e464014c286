//! HTTP, and the only place that knows of it besides the server's start: routes, extractors and
//! handlers of a few lines each.

mod address;
mod answer;
mod api;
mod bearer;
mod body;
mod client;
mod condition;
mod console;
mod door;
mod dry_run;
mod headers;
mod id;
mod middleware;
mod negotiate;
mod notes;
mod ops;
mod origin;
mod outgoing;
mod presumed;
mod query;
mod receive;
mod routes;
mod scim;
mod scopes;
mod signin;
pub mod tls;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{NormalizePath, from_fn};
use actix_web::{App as ActixApp, Error, HttpServer, web};

use crate::app::App;

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

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
    let (workers, drain_time) = (app.settings.workers, app.settings.drain_time);
    let head_patience = app.settings.head_patience;
    let connections = app.settings.max_connections.div_ceil(workers.max(1));
    end_unread(&listener, app.settings.reader_patience)?;
    let data = web::Data::from(app);
    let server = HttpServer::new(move || stack(data.clone()).configure(routes::configure));
    let server = server
        .workers(workers)
        // The end of an answer in pieces would wait until the client has acknowledged the piece before
        // it, for which clients take 40 ms.
        .tcp_nodelay(true)
        // Beyond these, connections wait to be accepted until others end.
        .max_connections(connections)
        .client_request_timeout(head_patience)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(drain_time)
        .disable_signals();
    let server = match tls {
        None => server.listen(listener)?,
        Some(tls) => server.listen_rustls_0_23(listener, tls)?,
    };
    Ok(server.run())
}

/// What is around every handler, for routes to be added to. The last is the outermost.
pub fn stack(
    app: web::Data<App>,
) -> ActixApp<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    ActixApp::new()
        .app_data(app)
        .wrap(from_fn(middleware::catch_panics))
        .wrap(from_fn(negotiate::media_type))
        .wrap(from_fn(dry_run::refuse_elsewhere))
        .wrap(from_fn(middleware::observe))
        .wrap(from_fn(negotiate::default_version))
        .wrap(NormalizePath::trim())
        .wrap(from_fn(headers::protect))
}

/// Has the operating system end connections whose client reads nothing of what it was sent for so
/// long: the library waits for it for ever. Those that are accepted inherit it.
#[cfg(target_os = "linux")]
fn end_unread(listener: &TcpListener, patience: Duration) -> io::Result<()> {
    socket2::SockRef::from(listener).set_tcp_user_timeout(Some(patience))
}

/// Elsewhere a proxy in front has to.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
fn end_unread(_: &TcpListener, _: Duration) -> io::Result<()> {
    Ok(())
}
