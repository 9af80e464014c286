//! `muster serve`

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};

use super::{connection, output};
use crate::access::limit::{DEFAULT_FAILURES, DEFAULT_REQUESTS, DEFAULT_SIGN_INS, Limits};
use crate::access::network::Network;
use crate::access::proxy::{Proxies, ProxyHeader};
use crate::app::{App, index_unique_values};
use crate::clock::system;
use crate::config::{DEFAULT_MAX_BODY, DEFAULT_POOL_SIZE, Settings};
use crate::db::{DatabaseUrl, Db};
use crate::http::{self, tls};
use crate::schemas;

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// URL under which clients reach the server: https, or http on this machine
    /// [default: the address]
    #[arg(long, env = "MUSTER_PUBLIC_URL", value_parser = public_url)]
    public_url: Option<String>,
    /// PostgreSQL connections, or SQLite readers
    #[arg(long, env = "MUSTER_POOL_SIZE", default_value_t = DEFAULT_POOL_SIZE,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pool_size: u32,
    /// The server's certificate and those that vouch for it, as PEM, to speak TLS without a proxy
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Largest body of a request about a group, in bytes
    #[arg(long, env = "MUSTER_MAX_BODY", default_value_t = DEFAULT_MAX_BODY)]
    max_body: usize,
    /// Networks of the reverse proxies in front of the server, such as `10.0.0.0/8`. They alone are
    /// believed when they say for whom they ask; what else they say is not needed
    #[arg(long, env = "MUSTER_TRUSTED_PROXY", value_name = "NETWORK", num_args = 1..,
          value_delimiter = ',')]
    trusted_proxy: Vec<Network>,
    /// Header in which they say for whom they ask: x-forwarded-for or forwarded
    #[arg(
        long,
        env = "MUSTER_PROXY_HEADER",
        value_name = "NAME",
        default_value = "x-forwarded-for"
    )]
    proxy_header: ProxyHeader,
    /// Requests a second that one SCIM token may make, after a burst of ten seconds' worth; 0 is
    /// without limit
    #[arg(long, env = "MUSTER_RATE_LIMIT", value_name = "NUMBER", default_value_t = DEFAULT_REQUESTS)]
    rate_limit: u32,
    /// Attempts a minute that may fail from one address for each kind of credential; 0 is without
    /// limit
    #[arg(long, env = "MUSTER_FAILURE_LIMIT", value_name = "NUMBER",
          default_value_t = DEFAULT_FAILURES)]
    failure_limit: u32,
    /// Sign-ins a minute that may be begun from one address; 0 is without limit
    #[arg(long, env = "MUSTER_SIGN_IN_LIMIT", value_name = "NUMBER",
          default_value_t = DEFAULT_SIGN_INS)]
    sign_in_limit: u32,
    /// Folder of schemas, a JSON file each, that add attributes to users and groups
    #[arg(long, env = "MUSTER_SCHEMAS", value_name = "FOLDER")]
    schemas: Option<PathBuf>,
}

/// Migrates the store, then serves until a signal asks it to stop.
///
/// # Errors
/// The schemas are wrong, the store cannot be opened, or the address cannot be had.
pub fn run(args: ServeArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<ExitCode> {
    actix_web::rt::System::new().block_on(serve(args, url, as_json))
}

async fn serve(args: ServeArgs, url: DatabaseUrl, as_json: bool) -> anyhow::Result<ExitCode> {
    // Before anything else is touched.
    let registry = Arc::new(schemas::registry(args.schemas.as_deref())?);
    let tls = match args.tls_cert.zip(args.tls_key) {
        Some((certificate, key)) => Some(tls::config(&certificate, &key)?),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    check(args.public_url.as_deref().unwrap_or(&format!("{scheme}://{}", args.listen)))?;
    if tls.is_some() && args.public_url.as_ref().is_some_and(|url| !url.starts_with("https:")) {
        anyhow::bail!("with --tls-cert the server speaks https alone: begin --public-url with it");
    }
    let db = Db::new(url, args.pool_size);
    db.migrate().await.with_context(|| format!("could not migrate {}", db.url()))?;
    index_unique_values(&db, &registry).await?;
    let listener = TcpListener::bind(args.listen)
        .with_context(|| format!("could not listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let own_url = format!("{scheme}://{address}");
    let public_url = args.public_url.unwrap_or_else(|| own_url.clone());
    let settings = Settings {
        max_body: args.max_body,
        proxies: Proxies {
            trusted: args.trusted_proxy.into_iter().collect(),
            header: args.proxy_header,
        },
        limits: Limits {
            requests: args.rate_limit,
            failures: args.failure_limit,
            sign_ins: args.sign_in_limit,
        },
        ..Settings::new(public_url)
    };
    let clock = system();
    let first = connection::first(&db, clock()).await?;
    let app = Arc::new(App::new(db, registry, settings, clock)?);
    let server = http::serve_with(app.clone(), listener, tls)?;
    let handle = server.handle();
    // Listened for before anyone is told that the server is there.
    let stop = stop_signal()?;
    let stopped = app.clone();
    announce(&app, &own_url, first.as_ref().map(|(_, token)| token.expose()), as_json);
    actix_web::rt::spawn(async move {
        stop.await;
        log::info!("stopping; requests under way are finished first");
        stopped.stop_waiting();
        handle.stop(true).await;
    });
    server.await?;
    app.save_quirks().await;
    Ok(ExitCode::SUCCESS)
}

/// Says where the server is and, on a new store, what the identity provider's form asks for.
fn announce(app: &App, own_url: &str, token: Option<&str>, as_json: bool) {
    let mut fields = vec![
        ("Listening on", "listen", own_url.to_owned()),
        ("SCIM base URL", "scim_base_url", app.scim_base_url.to_string()),
    ];
    if let Some(token) = token {
        fields.push(("API token", "token", token.to_owned()));
    }
    let initiate = app.settings.initiate_login_uri();
    fields.push(("Initiate login URI", "initiate_login_uri", initiate));
    fields.push(("Sign-in redirect URI", "redirect_uri", app.settings.redirect_uri()));
    if as_json {
        let object: Map<String, Value> =
            fields.into_iter().map(|(_, key, value)| (key.to_owned(), value.into())).collect();
        return output::json(&object.into());
    }
    let lines: Vec<(&str, String)> =
        fields.into_iter().map(|(name, _, value)| (name, value)).collect();
    output::fields(&lines);
    if token.is_some() {
        eprintln!(
            "This is a new store with the connection 'default'. The token works for a year, and is \
             not shown again; 'muster token create default' makes another."
        );
    }
}

/// Says what will not work with the address under which clients are told to reach the server.
///
/// # Errors
/// It is plain http to another machine: "service providers MUST require the use of a transport-layer
/// security mechanism" (RFC 7644 section 7.2).
fn check(public_url: &str) -> anyhow::Result<()> {
    let url = url::Url::parse(public_url)?;
    if !crate::oidc::is_safe(&url) {
        anyhow::bail!(
            "tokens and people's data do not go over plain http: serve {public_url} by https, with \
             a proxy in front and its address as --public-url, or with --tls-cert and --tls-key"
        );
    }
    if url.host_str().is_some_and(|host| host.contains('_')) {
        log::warn!("Okta does not accept an address with an underscore, such as {public_url}");
    }
    if url.host_str() == Some("0.0.0.0") {
        log::warn!("clients cannot reach {public_url}; say where they can with --public-url");
    }
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C; they are caught from the call on, not from the first wait.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Waits for Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            log::error!("cannot listen for signals: {error}");
            std::future::pending::<()>().await;
        }
    })
}

fn public_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(text).map_err(|error| format!("'{text}' is no URL: {error}"))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(format!("'{text}' must be of the form https://muster.example.com"));
    }
    let text = text.trim_end_matches('/');
    if text.ends_with("/scim/v2") {
        return Err("leave /scim/v2 away: it is added".to_owned());
    }
    Ok(text.to_owned())
}
