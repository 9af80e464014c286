//! The address of the client behind a request, by way of the proxies that the operator named.
//!
//! Nothing else of what a proxy says is believed: under which address clients reach the server is a
//! setting, so no `Host`, `X-Forwarded-Host` or `X-Forwarded-Proto` gets into a link.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::{HttpMessage, HttpRequest};

use crate::app::App;

/// The client's address, worked out once for a request.
#[derive(Debug, Clone, Copy)]
struct ClientAddress(Option<IpAddr>);

/// Works the address out and keeps it with the request.
pub fn resolve(app: &App, request: &HttpRequest) -> Option<IpAddr> {
    let proxies = &app.settings.proxies;
    let lines = request.headers().get_all(proxies.header.as_str());
    let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
    let lines: Vec<&[u8]> = lines.map(actix_web::http::header::HeaderValue::as_bytes).collect();
    if let Some(peer) = peer
        && !lines.is_empty()
        && !proxies.trusted.contains(peer)
    {
        app.warn_of_proxy(peer);
    }
    let client = peer.and_then(|peer| proxies.client(peer, lines.into_iter()));
    request.extensions_mut().insert(ClientAddress(client));
    client
}

/// The client's address, if it is known.
pub fn of(request: &HttpRequest) -> Option<IpAddr> {
    request.extensions().get::<ClientAddress>().and_then(|address| address.0)
}

/// The client's address to count by: those of whom it is not known count as one.
pub fn counted(request: &HttpRequest) -> IpAddr {
    of(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The client's address for the log.
pub fn shown(request: &HttpRequest) -> String {
    of(request).map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}
