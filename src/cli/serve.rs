//! `muster serve`

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use clap::builder::BoolishValueParser;
use serde_json::{Map, Value};

use super::{connection, hangup, output};
use crate::app::{App, index_unique_values};
use crate::clock::system;
use crate::config::{DEFAULT_MAX_BODY, DEFAULT_POOL_SIZE, Settings};
use crate::db::{DatabaseUrl, Db};
use crate::http::{self, tls::Tls};
use crate::oidc::{Network, Reach};
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
    /// The server's certificate and those that vouch for it, as PEM, to speak TLS without a proxy;
    /// SIGHUP has it and its key read again
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Network that is not public and that identity providers may be in, such as 10.1.0.0/16; may be
    /// given more than once
    #[arg(
        long,
        env = "MUSTER_ALLOW_ISSUER_NETWORK",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    allow_issuer_network: Vec<Network>,
    /// Reach identity providers by way of the proxy that `HTTPS_PROXY` names; that one has to keep
    /// requests away from private addresses then
    #[arg(long, env = "MUSTER_ISSUER_PROXY", value_parser = BoolishValueParser::new())]
    issuer_proxy: bool,
    /// Largest body of a request about a group, in bytes
    #[arg(long, env = "MUSTER_MAX_BODY", default_value_t = DEFAULT_MAX_BODY)]
    max_body: usize,
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
        Some((certificates, key)) => Some(Tls::read(certificates, key)?),
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
        reach: Reach::with(args.allow_issuer_network).by_proxy(args.issuer_proxy),
        ..Settings::new(public_url)
    };
    let clock = system();
    let first = connection::first(&db, clock()).await?;
    let app = Arc::new(App::new(db, registry, settings, clock)?);
    if let Some(warning) = tls.as_ref().and_then(|tls| tls.warning((app.clock)())) {
        log::warn!("{warning}");
    }
    let tls_config = tls.as_ref().map(Tls::config).transpose()?;
    let server = http::serve_with(app.clone(), listener, tls_config)?;
    let handle = server.handle();
    // Listened for before anyone is told that the server is there.
    let stop = stop_signal()?;
    actix_web::rt::spawn(hangup::renew(tls, app.clock.clone())?);
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
