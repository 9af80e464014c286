//! `muster serve`

mod open_files;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Map, Value};

use super::signals::Signals;
use super::token::duration;
use super::{GivenUrl, connection, hangup, lines, output};
use crate::access::limit::{DEFAULT_FAILURES, DEFAULT_REQUESTS, DEFAULT_SIGN_INS, Limits};
use crate::access::network::Network;
use crate::access::proxy::{Proxies, ProxyHeader};
use crate::app::{App, index_unique_values, mend_totals, open_store};
use crate::clock::system;
use crate::config::{
    DEFAULT_BODY_MEMORY, DEFAULT_DRAIN_TIME, DEFAULT_KEEP_REQUESTS, DEFAULT_MAX_BODY,
    DEFAULT_MAX_BULK, DEFAULT_MAX_CONNECTIONS, DEFAULT_MAX_QUEUE, DEFAULT_MAX_REQUESTS,
    DEFAULT_POOL_SIZE, DEFAULT_QUERY_TIMEOUT, LogRequests, RequestLogSettings, Settings,
};
use crate::db::{DatabaseUrl, Db};
use crate::http::{self, tls::Tls};
use crate::reach::Reach;
use crate::schemas;

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 picks a free one
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080", value_parser = listen)]
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
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE")]
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
    /// Reach identity providers by way of this proxy, http://HOST:PORT; that one has to keep requests
    /// away from private addresses then
    #[arg(long, env = "MUSTER_ISSUER_PROXY", value_name = "URL", hide_env_values = true)]
    issuer_proxy: Option<String>,
    /// Network that is not public and that receivers of webhooks may be in, such as 10.1.0.0/16; may be
    /// given more than once
    #[arg(
        long,
        env = "MUSTER_ALLOW_WEBHOOK_NETWORK",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    allow_webhook_network: Vec<Network>,
    /// Largest body of a request about a group, in bytes
    #[arg(long, env = "MUSTER_MAX_BODY", default_value_t = DEFAULT_MAX_BODY)]
    max_body: usize,
    /// Seconds that the server, told to stop, goes on taking requests, while /readyz says that it stops
    /// and every answer ends its connection: as long as a proxy takes to notice; told again, it ends at
    /// once
    #[arg(long, env = "MUSTER_DRAIN_DELAY", value_name = "SECONDS", default_value_t = 0)]
    drain_delay: u64,
    /// Seconds that requests under way have to finish when the server is told to stop; told again,
    /// it ends at once
    #[arg(long, env = "MUSTER_DRAIN_TIME", value_name = "SECONDS",
          default_value_t = DEFAULT_DRAIN_TIME)]
    drain_time: u64,
    /// Requests that may wait for the database at a time, for reading and for writing each; any more
    /// are told to come back, and so are those of a connection that has half of them waiting
    #[arg(long, env = "MUSTER_MAX_QUEUE", value_name = "REQUESTS", default_value_t = DEFAULT_MAX_QUEUE,
          value_parser = at_least_one)]
    max_queue: usize,
    /// Seconds that a search may keep the database busy
    #[arg(long, env = "MUSTER_QUERY_TIMEOUT", value_name = "SECONDS",
          default_value_t = DEFAULT_QUERY_TIMEOUT,
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    query_timeout: u64,
    /// Bytes that the bodies of requests under way may take together, as text and parsed; half of it
    /// for the requests of one connection. Large answers on their way may take as much
    #[arg(long, env = "MUSTER_BODY_MEMORY", value_name = "BYTES", default_value_t = DEFAULT_BODY_MEMORY,
          value_parser = at_least_one)]
    body_memory: usize,
    /// Bulk requests that are carried out at a time; a quarter of them for one connection
    #[arg(long, env = "MUSTER_MAX_BULK", value_name = "REQUESTS", default_value_t = DEFAULT_MAX_BULK,
          value_parser = at_least_one)]
    max_bulk: usize,
    /// Connections that clients may have open at a time; any more wait until others end
    #[arg(long, env = "MUSTER_MAX_CONNECTIONS", value_name = "CONNECTIONS",
          default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = at_least_one)]
    max_connections: usize,
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
    /// How long events are kept in the log, such as 400d [default: for ever]
    #[arg(long, env = "MUSTER_KEEP_EVENTS", value_name = "AGE", value_parser = duration)]
    keep_events: Option<Duration>,
    /// How often what is new in the log of events is sealed, and what is too old removed: 1s to 1d
    #[arg(long, env = "MUSTER_SEAL_EVERY", value_name = "TIME", default_value = "1m",
          value_parser = seal_every)]
    seal_every: Duration,
    /// Which requests of directories, and sign-ins, are logged for `muster requests`: all, those that
    /// write or fail, or none
    #[arg(long, env = "MUSTER_LOG_REQUESTS", value_name = "WHICH", default_value = "all",
          value_parser = ["all", "writes", "off"])]
    log_requests: String,
    /// Whether bodies are logged with them, with what is secret masked
    #[arg(long, env = "MUSTER_LOG_BODIES", value_name = "ON", default_value = "on",
          value_parser = ["on", "off"])]
    log_bodies: String,
    /// How long they are kept, such as 14d
    #[arg(long, env = "MUSTER_KEEP_REQUESTS", value_name = "AGE", default_value = DEFAULT_KEEP_REQUESTS,
          value_parser = duration)]
    keep_requests: Duration,
    /// How many of them are kept at most
    #[arg(long, env = "MUSTER_MAX_REQUESTS", value_name = "NUMBER", default_value_t = DEFAULT_MAX_REQUESTS,
          value_parser = clap::value_parser!(i64).range(1..))]
    max_requests: i64,
}

impl ServeArgs {
    /// How requests are logged.
    fn request_log(&self) -> RequestLogSettings {
        RequestLogSettings {
            which: match self.log_requests.as_str() {
                "off" => LogRequests::Off,
                "writes" => LogRequests::Writes,
                _ => LogRequests::All,
            },
            bodies: self.log_bodies == "on",
            keep: self.keep_requests,
            most: self.max_requests,
        }
    }

    fn scheme(&self) -> &'static str {
        if self.tls_cert.is_some() { "https" } else { "http" }
    }

    /// The certificate and its key, if there are to be some.
    ///
    /// # Errors
    /// One of the two is missing, or they are not good.
    fn tls(&self) -> anyhow::Result<Option<Tls>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificates), Some(key)) => {
                Ok(Some(Tls::read(certificates.clone(), key.clone())?))
            }
            (None, None) => Ok(None),
            (Some(_), None) => anyhow::bail!("--tls-cert needs --tls-key with it"),
            (None, Some(_)) => anyhow::bail!("--tls-key needs --tls-cert with it"),
        }
    }

    /// Whether clients may be told the address.
    ///
    /// # Errors
    /// As in [`check`], or it is not the scheme that the server speaks.
    fn check_address(&self) -> anyhow::Result<()> {
        let own = format!("{}://{}", self.scheme(), self.listen);
        check(self.public_url.as_deref().unwrap_or(&own))?;
        let is_plain = self.public_url.as_ref().is_some_and(|url| !url.starts_with("https:"));
        if self.tls_cert.is_some() && is_plain {
            anyhow::bail!(
                "with --tls-cert the server speaks https alone: begin --public-url with it"
            );
        }
        Ok(())
    }

    fn proxy(&self) -> anyhow::Result<Option<url::Url>> {
        self.issuer_proxy.as_deref().map(issuer_proxy).transpose()
    }

    /// All that can be known to be wrong without beginning, with the option that it is about.
    pub fn problems(&self, url: &GivenUrl) -> Vec<(&'static str, anyhow::Error)> {
        let tls = if self.tls_cert.is_some() { "tls-cert" } else { "tls-key" };
        let address = if self.public_url.is_some() { "public-url" } else { "listen" };
        let checks = [
            ("database-url", database(url)),
            (address, self.check_address()),
            (tls, self.tls().map(drop)),
            ("issuer-proxy", self.proxy().map(drop)),
            ("schemas", schemas::registry(self.schemas.as_deref()).map(drop).map_err(Into::into)),
        ];
        checks.into_iter().filter_map(|(key, done)| Some((key, done.err()?))).collect()
    }
}

/// Whether there can be a store there.
///
/// # Errors
/// The address is none, or its file would be in a folder that is not there.
fn database(url: &GivenUrl) -> anyhow::Result<()> {
    let url = url.0.clone()?;
    let folder = url.file().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && !folder.is_dir()
    {
        anyhow::bail!("there is no folder {}", folder.display());
    }
    Ok(())
}

/// How often the log is sealed: whoever reads it wants to rely on it the same day.
fn seal_every(text: &str) -> Result<Duration, String> {
    let every = duration(text)?;
    if every > Duration::from_hours(24) {
        return Err(format!("'{text}' is longer than a day"));
    }
    Ok(every)
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
    let tls = args.tls()?;
    args.check_address()?;
    let proxy = args.proxy()?;
    let (scheme, request_log) = (args.scheme(), args.request_log());
    // What is done before anybody is served may take its time.
    let setup = Db::new(url.clone(), 1);
    setup.migrate().await.with_context(|| format!("could not migrate {url}"))?;
    index_unique_values(&setup, &registry)
        .await
        .with_context(|| format!("could not make {url} ready"))?;
    mend_totals(&setup).await.with_context(|| format!("could not make {url} ready"))?;
    drop(setup);
    let listener =
        TcpListener::bind(args.listen).map_err(|error| not_listening(args.listen, error))?;
    let address = listener.local_addr()?;
    let own_url = format!("{scheme}://{address}");
    let public_url = args.public_url.unwrap_or_else(|| own_url.clone());
    let settings = Settings {
        max_body: args.max_body,
        drain_time: args.drain_time,
        max_queue: args.max_queue,
        query_timeout: Duration::from_secs(args.query_timeout),
        body_memory: args.body_memory,
        max_bulk: args.max_bulk,
        max_connections: open_files::for_clients(args.max_connections, args.pool_size),
        proxies: Proxies {
            trusted: args.trusted_proxy.into_iter().collect(),
            header: args.proxy_header,
        },
        limits: Limits {
            requests: args.rate_limit,
            failures: args.failure_limit,
            sign_ins: args.sign_in_limit,
        },
        reach: Reach::with(args.allow_issuer_network).by_proxy(proxy),
        webhook_reach: Reach::with(args.allow_webhook_network),
        seal_every: args.seal_every,
        request_log,
        ..Settings::new(public_url)
    };
    let db = open_store(url, args.pool_size, &settings);
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
    let mut signals = Signals::listen()?;
    let (cut_off, is_cut_off) = tokio::sync::oneshot::channel();
    actix_web::rt::spawn(hangup::renew(tls, app.clock.clone())?);
    let stopped = app.clone();
    announce(&app, &own_url, first.as_ref().map(|(_, token)| token.expose()), as_json);
    actix_web::rt::spawn(async move {
        signals.next().await;
        log::info!("stopping; requests under way are finished first");
        stopped.stop_waiting();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(args.drain_delay)).await;
            handle.stop(true).await;
        };
        let again = async {
            signals.next().await;
            // Whoever waits for it is gone only if the server is, too.
            let _ = cut_off.send(());
        };
        tokio::join!(stop, again);
    });
    let keeper = app.clone();
    actix_web::rt::spawn(async move { keeper.look_after_log(args.keep_events).await });
    let logger = app.clone();
    actix_web::rt::spawn(async move { logger.look_after_requests().await });
    let sender = app.clone();
    let sending = actix_web::rt::spawn(async move { sender.look_after_webhooks().await });
    let all = async {
        server.await?;
        // It stopped when the server was told to, and has only to be waited for.
        let _ = sending.await;
        app.save_requests().await;
        app.seal_events(None).await;
        app.save_quirks().await;
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        done = all => done,
        Ok(()) = is_cut_off => {
            log::warn!("told to stop a second time; requests under way are cut off");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Why nobody can be listened for, with what helps.
fn not_listening(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let why = format!("could not listen on {address}");
    let is_taken = error.kind() == ErrorKind::AddrInUse;
    let error = anyhow::Error::from(error);
    if is_taken {
        let advice = "another program listens there, or another muster: stop it, or choose another port, \
                      such as --listen 127.0.0.1:8081";
        return error.context(format!("{why}: {advice}"));
    }
    error.context(why)
}

/// An address to listen on, in words where it is none.
fn listen(text: &str) -> Result<SocketAddr, String> {
    let advice = "write an IP address and a port, such as 127.0.0.1:8080";
    text.parse().map_err(|_| format!("'{text}' is no address to listen on: {advice}"))
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
        let notice = format!(
            "This is a new store with the connection 'default'. The token works for a year, and is not \
             shown again; 'muster token create default' makes another. The console is at {}/console, \
             and asks for what 'muster admin-token create' prints.",
            app.settings.public_url
        );
        lines::say(log::Level::Info, "", &notice);
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

/// The proxy for requests to providers.
///
/// # Errors
/// It is none. What was given may hold a password, and is not repeated.
pub fn issuer_proxy(text: &str) -> anyhow::Result<url::Url> {
    let url = url::Url::parse(text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.context("--issuer-proxy has to be of the form http://HOST:PORT")
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

/// A number that is not nothing.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be 1 at least".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_sealed_once_a_day_at_least() {
        assert_eq!(seal_every("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(seal_every("1d"), Ok(Duration::from_hours(24)));
        for wrong in ["0s", "2d", "25h", "1", ""] {
            assert!(seal_every(wrong).is_err(), "{wrong}");
        }
    }
}
