//! The whole diagnosis: the store, the server's own address, and the identity providers. The command
//! and the server call [`examine`], each with what it has at hand.

use std::future::ready;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::DateTime;
use futures_util::{StreamExt, stream};
use url::Url;

use crate::certificate::validity;
use crate::db::checkup::{self, Integrity};
use crate::db::{Conn, Db, StoreError, migrations};
use crate::directory::connections::{AdminError, Connection};
use crate::directory::doctor::{self, Bounds, Check, DAY, Report, SKEW, lasting, sized};
use crate::oidc::{self, Examined, OidcError, Providers};
use crate::secret::Secret;

/// How long the server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// So many providers are asked at a time.
const AT_A_TIME: usize = 8;
/// So many providers are asked.
const MOST_PROVIDERS: usize = 20;
/// Less room than this on the disk is too little, in bytes.
const ROOM: u64 = 64 << 20;
/// A journal of this size is not written back, in bytes; SQLite begins to at 16 MiB.
const LARGE_JOURNAL: u64 = 256 << 20;
/// How long before its end a certificate is warned of, in microseconds.
const NOTICE: i64 = 14 * DAY;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// This connection alone, and not all.
    pub connection: Option<String>,
    /// The server's public address, if it is known.
    pub url: Option<String>,
    pub bounds: Bounds,
}

/// Looks at everything. Nothing is changed.
///
/// # Errors
/// There is no such connection.
pub async fn examine(
    db: &Db,
    providers: &Providers,
    wanted: &Wanted,
    now: i64,
) -> Result<Report, AdminError> {
    let mut report = Report::default();
    let mut connections = Vec::new();
    match store(db, wanted, now, &mut report.checks).await {
        Ok(Some(told)) => {
            report.checks.extend(told.store);
            connections = told.connections;
            for (place, (connection, checks)) in connections.iter_mut().enumerate() {
                checks.extend(secret(connection));
                if place >= MOST_PROVIDERS && connection.settings.sign_in.issuer.is_some() {
                    let why =
                        format!("{MOST_PROVIDERS} providers were asked; name this connection");
                    checks.push(Check::unchecked("issuer", why).of(&connection.name));
                }
            }
            let asked = stream::iter(connections.iter().take(MOST_PROVIDERS).map(|(one, _)| one))
                .map(|connection| provider(providers, connection, told.signing_in, now))
                .buffered(AT_A_TIME);
            let asked: Vec<Vec<Check>> = asked.collect().await;
            for ((_, checks), more) in connections.iter_mut().zip(asked) {
                checks.extend(more);
            }
        }
        Ok(None) => {}
        Err(AdminError::Store(error)) => report.checks.push(failed(&error)),
        Err(error) => return Err(error),
    }
    match &wanted.url {
        Some(url) => report.checks.extend(server(url, now).await),
        None => report.checks.push(Check::unchecked(
            "server",
            "its address is not known; say it with --url or MUSTER_PUBLIC_URL",
        )),
    }
    report.checks.extend(connections.into_iter().flat_map(|(_, checks)| checks));
    Ok(report)
}

fn failed(error: &StoreError) -> Check {
    Check::problem(
        "database",
        error.to_string(),
        "Make the database run and answer at the address in --database-url or MUSTER_DATABASE_URL, \
         for the account that Muster runs as.",
    )
}

/// What the store tells; nothing where it has no tables to look at.
async fn store(
    db: &Db,
    wanted: &Wanted,
    now: i64,
    checks: &mut Vec<Check>,
) -> Result<Option<doctor::Told>, AdminError> {
    let file = db.url().file().map(Path::to_owned);
    if file.as_ref().is_some_and(|file| !file.exists()) {
        checks.push(Check::problem(
            "database",
            format!("there is no store at {}", db.url()),
            "Run the command in the server's folder, or give the server's --database-url; 'muster \
             serve' makes a new store.",
        ));
        return Ok(None);
    }
    let version = db.read(|conn| Ok::<_, StoreError>(checkup::version(conn)?)).await?;
    checks.push(Check::ok("database", format!("{version}, {}", db.url())));
    let pending = db
        .read(|conn| {
            if !checkup::has_tables(conn)? {
                return Ok(true);
            }
            migrations::is_pending(conn).map_err(|error| StoreError::Unavailable(error.to_string()))
        })
        .await?;
    if pending {
        checks.push(Check::problem(
            "migrations",
            "the tables are older than this program",
            "Make a backup, then run 'muster migrate', or start the server, which does the same.",
        ));
        return Ok(None);
    }
    checks.push(Check::ok("migrations", "up to date"));
    let bounds = wanted.bounds;
    if let Some(file) = file {
        checks.push(integrity(db, bounds).await);
        checks.push(disk(&file));
        checks.push(journal(&file));
    }
    let connection = wanted.connection.clone();
    let look = move |conn: &mut Conn| doctor::look(conn, connection.as_deref(), bounds, now);
    Ok(Some(db.snapshot(look).await?))
}

async fn integrity(db: &Db, bounds: Bounds) -> Check {
    const NAME: &str = "integrity";
    let looked = db.read(move |conn| {
        let size = checkup::size(conn)?;
        let is_small = size <= bounds.file;
        let found = is_small.then(|| checkup::integrity(conn, bounds.time)).transpose()?;
        Ok::<_, StoreError>((size, found))
    });
    let advice = "Stop the server, keep a copy of the file and of those beside it, and go on with the \
                  last backup ('muster restore'). Disks that fail, and copies that were made of a file \
                  in use, are the usual causes.";
    match looked.await {
        Ok((size, found)) => {
            let size = sized(u64::try_from(size).unwrap_or_default());
            match found {
                Some(Integrity::Whole) => Check::ok(NAME, format!("{size}, nothing wrong")),
                Some(Integrity::InPart(done, all)) => Check::unchecked(
                    NAME,
                    format!(
                        "{size}, nothing wrong in {done} of {all} tables; there was no time for more"
                    ),
                ),
                Some(Integrity::Broken(what)) => Check::problem(NAME, what, advice),
                None => Check::unchecked(NAME, format!("{size}, too large to be read through now")),
            }
        }
        Err(error) => Check::problem(NAME, error.to_string(), advice),
    }
}

fn disk(file: &Path) -> Check {
    const NAME: &str = "disk";
    const ADVICE: &str = "Make room on the disk of the SQLite file: when it is full, nothing can be \
                          stored, and pushes and sign-ins are turned away.";
    match checkup::room(file) {
        Ok((free, all)) => {
            let found = format!("{} free of {}", sized(free), sized(all));
            if free < ROOM {
                Check::problem(NAME, found, ADVICE)
            } else if free < all / 20 && free < ROOM * 160 {
                Check::warning(NAME, found, ADVICE)
            } else {
                Check::ok(NAME, found)
            }
        }
        Err(error) => Check::unchecked(NAME, error.to_string()),
    }
}

fn journal(file: &Path) -> Check {
    let size = checkup::journal_size(file);
    if size > LARGE_JOURNAL {
        return Check::warning(
            "wal",
            format!("{}, which is not written back into the file", sized(size)),
            "Something reads the file for hours, such as a backup that hangs or a shell that was left \
             open: end it.",
        );
    }
    Check::ok("wal", sized(size))
}

/// Whether the client secret can be read, by whoever runs this.
fn secret(connection: &Connection) -> Option<Check> {
    const NAME: &str = "client-secret";
    connection.settings.sign_in.issuer.as_ref()?;
    let name = &connection.name;
    let check = match connection.settings.sign_in.client_secret_file.as_ref().map(PathBuf::from) {
        None => Check::ok(NAME, "there is none: a public client, which proves itself by PKCE"),
        Some(file) => match std::fs::read_to_string(&file).map(Secret::new) {
            Ok(text) if text.expose().trim().is_empty() => Check::problem(
                NAME,
                format!("{} is empty", file.display()),
                "Write the client secret of the provider's OIDC application into it.",
            ),
            Ok(_) => Check::ok(NAME, format!("{} can be read", file.display())),
            Err(error) => Check::problem(
                NAME,
                format!("{} cannot be read by this account: {}", file.display(), error.kind()),
                format!(
                    "Let the account that the server runs as read the file, or name another one with \
                     'muster connection update {name} --client-secret-file FILE'. The path counts from \
                     the folder that the server runs in."
                ),
            ),
        },
    };
    Some(check.of(name))
}

/// Asks the connection's provider.
async fn provider(
    providers: &Providers,
    connection: &Connection,
    signing_in: usize,
    now: i64,
) -> Vec<Check> {
    let Some(issuer) = &connection.settings.sign_in.issuer else { return Vec::new() };
    let examined = providers.examine(issuer).await;
    let checks = judge(connection, issuer, &examined, signing_in, now);
    checks.into_iter().map(|check| check.of(&connection.name)).collect()
}

/// Whether an issuer can stand in a command that somebody copies: a provider calls itself as it likes.
fn is_for_a_shell(issuer: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/._~%-".contains(&byte);
    oidc::issuer_url(issuer).is_ok() && issuer.bytes().all(is_plain)
}

fn judge(
    connection: &Connection,
    issuer: &str,
    examined: &Examined,
    signing_in: usize,
    now: i64,
) -> Vec<Check> {
    let mut checks = Vec::new();
    let name = &connection.name;
    let is_named_otherwise = examined.named.as_deref().is_some_and(|named| named != issuer);
    checks.push(match &examined.understood {
        Ok(_) => Check::ok("issuer", format!("{issuer} answers and is understood")),
        Err(_) if is_named_otherwise => Check::ok("issuer", format!("{issuer} answers")),
        Err(OidcError::BadIssuer(_)) => Check::problem(
            "issuer",
            format!("'{issuer}' is no address of an issuer: https, without a query"),
            format!("Enter the provider's: 'muster connection update {name} --issuer URL'."),
        ),
        Err(error) => Check::problem(
            "issuer",
            error.to_string(),
            format!(
                "Open {}/.well-known/openid-configuration on this machine. A firewall has to let \
                 Muster out to it; a provider at a private address needs 'muster serve \
                 --allow-issuer-network'.",
                issuer.trim_end_matches('/')
            ),
        ),
    });
    match &examined.named {
        Some(named) if is_named_otherwise => checks.push(Check::problem(
            "issuer-name",
            format!("the provider calls itself '{named}', and the connection '{issuer}'"),
            format!(
                "They have to be the same to the letter, a slash at the end too: 'muster connection \
                 update {name} --issuer {}', if that is the provider you mean.",
                if is_for_a_shell(named) { named } else { "URL" }
            ),
        )),
        Some(_) => checks.push(Check::ok("issuer-name", issuer)),
        None => checks.push(Check::unchecked("issuer-name", "the provider does not say")),
    }
    match &examined.understood {
        Ok(understood) if understood.keys == 0 => checks.push(Check::problem(
            "issuer-keys",
            "the provider publishes no key that an ID token could be signed with",
            "Wait for the provider to publish one, or look at its settings of signing: RS256, ES256, \
             PS256 and EdDSA are understood, and no secret that is shared.",
        )),
        Ok(understood) => {
            checks.push(Check::ok("issuer-keys", format!("{} to sign with", understood.keys)));
            let is_apart = understood.names_itself || connection.settings.sign_in.own_callback;
            checks.push(if is_apart || signing_in < 2 {
                Check::ok("mix-up", "its answers cannot be taken for another's")
            } else {
                Check::warning(
                    "mix-up",
                    format!("people sign in by {signing_in} connections, and this provider does not \
                             name itself in its answers"),
                    format!(
                        "Give the connection an address of its own: 'muster connection update {name} \
                         --own-callback on', and enter that at the provider first."
                    ),
                )
            });
        }
        Err(_) => checks.push(Check::unchecked("issuer-keys", "the provider could not be used")),
    }
    checks.push(clock(
        "issuer-clock",
        examined.date.as_deref(),
        now,
        "Let this machine set its clock by the network (NTP): tokens that seem to come from the future, \
         or to be over, are refused.",
    ));
    checks
}

/// Holds the `Date` of an answer against this machine's clock.
fn clock(name: &'static str, date: Option<&str>, now: i64, advice: &str) -> Check {
    let theirs = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(theirs) = theirs.map(|theirs| theirs.timestamp_micros()) else {
        return Check::unchecked(name, "the answer does not say what time it is");
    };
    let apart = theirs.saturating_sub(now);
    let found = format!("they are {} apart", lasting(apart));
    if apart.abs() > SKEW { Check::problem(name, found, advice) } else { Check::ok(name, found) }
}

/// Looks at the server by its public address.
async fn server(url: &str, now: i64) -> Vec<Check> {
    let mut checks = vec![address(url)];
    if Url::parse(url).is_err() {
        return checks;
    }
    // A proxy in front may well hide whether the database is reached, but not whether the process lives.
    let ready_url = format!("{}/readyz", url.trim_end_matches('/'));
    let url = format!("{}/healthz", url.trim_end_matches('/'));
    let is_https = url.starts_with("https:");
    match get(&url, false).await {
        Ok(answer) => {
            if is_https {
                checks.push(certificate(&answer, now));
            }
            checks.push(readiness(&url, &answer, &ready_url, false).await);
            checks.push(clock(
                "server-clock",
                answer.date.as_deref(),
                now,
                "Let both machines set their clocks by the network (NTP).",
            ));
        }
        Err(error) => {
            // If it answers whoever looks at no certificate, that is what is wrong.
            let unverified = if is_https { get(&url, true).await.ok() } else { ready(None).await };
            if let Some(answer) = unverified {
                let check = certificate(&answer, now);
                checks.push(if check.advice.is_some() {
                    check
                } else {
                    Check::problem(
                        "certificate",
                        format!("it is not trusted here ({error})"),
                        "It has to be for the host's name and from an authority that identity \
                         providers trust, and the server has to send the certificates in between: \
                         'openssl s_client -connect HOST:443' shows what it sends.",
                    )
                });
                checks.push(readiness(&url, &answer, &ready_url, true).await);
            } else {
                checks.push(Check::problem(
                    "server",
                    format!("nothing answers at {url}: {error}"),
                    "Is the server running, and does the address lead to it from here, through the \
                     proxy in front? Where this machine cannot reach its own public address, run \
                     'muster doctor --url' on another one.",
                ));
            }
        }
    }
    checks
}

/// What is wrong with the address, for identity providers.
fn address(url: &str) -> Check {
    const NAME: &str = "public-url";
    const ADVICE: &str =
        "Serve Muster at an https address with a certificate, and say which with --public-url.";
    let parsed = Url::parse(url).ok();
    let Some(parsed) = parsed.filter(Url::has_host) else {
        return Check::problem(NAME, format!("'{url}' is no address"), ADVICE);
    };
    if !oidc::is_safe(&parsed) {
        return Check::problem(
            NAME,
            format!("{url} is not https, so providers do not call it, and nobody can sign in"),
            ADVICE,
        );
    }
    if parsed.host_str().is_some_and(|host| host.contains('_')) {
        return Check::problem(
            NAME,
            format!("{url} has an underscore in its host, which Okta does not accept"),
            "Give the host another name.",
        );
    }
    if oidc::is_loopback(&parsed) {
        return Check::warning(
            NAME,
            format!("{url} is on this machine, where no provider reaches it"),
            ADVICE,
        );
    }
    Check::ok(NAME, url)
}

/// What the server answered.
struct Answer {
    status: u16,
    date: Option<String>,
    certificate: Option<Vec<u8>>,
}

/// Asks the server; an error is what is wrong, in words.
async fn get(url: &str, any_certificate: bool) -> Result<Answer, String> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .tls_info(true)
        .danger_accept_invalid_certs(any_certificate)
        .build()
        .map_err(|error| error.to_string())?;
    let answer = client.get(url).send().await.map_err(|error| cause(&error))?;
    let certificate = answer.extensions().get::<reqwest::tls::TlsInfo>();
    let certificate = certificate.and_then(reqwest::tls::TlsInfo::peer_certificate);
    let date = answer.headers().get(reqwest::header::DATE);
    Ok(Answer {
        status: answer.status().as_u16(),
        certificate: certificate.map(<[u8]>::to_vec),
        date: date.and_then(|date| date.to_str().ok()).map(str::to_owned),
    })
}

/// The innermost reason, which is the telling one.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it takes too long to answer".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// What the server answers where everybody may ask, and whether it is ready, where it says so.
async fn readiness(url: &str, answer: &Answer, ready_url: &str, any_certificate: bool) -> Check {
    const NAME: &str = "server";
    if answer.status != 200 {
        return Check::problem(
            NAME,
            format!("{url} answers {}", answer.status),
            "Does the address lead to Muster, and the proxy in front pass /healthz on?",
        );
    }
    match get(ready_url, any_certificate).await {
        Ok(Answer { status: 200, .. }) => Check::ok(NAME, format!("{ready_url} answers 200")),
        Ok(Answer { status: 503, .. }) => Check::problem(
            NAME,
            format!("{ready_url} answers 503: the server does not reach its database"),
            "See in the server's log why.",
        ),
        // Hidden by the proxy, as it may be.
        _ => Check::ok(NAME, format!("{url} answers 200")),
    }
}

fn certificate(answer: &Answer, now: i64) -> Check {
    const NAME: &str = "certificate";
    let renew = "Renew it; with --tls-cert, put the new one in its place and send SIGHUP.";
    let Some((begins, ends)) = answer.certificate.as_deref().and_then(validity) else {
        return Check::unchecked(NAME, "it cannot be read");
    };
    if begins > now {
        return Check::problem(NAME, format!("it begins in {}", lasting(begins - now)), renew);
    }
    if ends <= now {
        return Check::problem(NAME, format!("it ended {} ago", lasting(now - ends)), renew);
    }
    let found = format!("it ends in {}", lasting(ends - now));
    if ends - now < NOTICE { Check::warning(NAME, found, renew) } else { Check::ok(NAME, found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::doctor::Status;

    #[test]
    fn an_address_is_https_and_without_underscore() {
        for (url, status) in [
            ("https://muster.example.com", Status::Ok),
            ("http://127.0.0.1:8080", Status::Warning),
            ("https://localhost", Status::Warning),
            ("http://muster.example.com", Status::Problem),
            ("https://my_muster.example.com", Status::Problem),
            ("muster.example.com", Status::Problem),
        ] {
            assert_eq!(address(url).status, status, "{url}");
        }
    }

    #[test]
    fn clocks_may_be_a_minute_apart() {
        let date = "Thu, 26 Nov 2026 18:00:00 GMT";
        let exact = DateTime::parse_from_rfc2822(date).expect("a date").timestamp_micros();
        for (apart, status) in [
            (0, Status::Ok),
            (SKEW, Status::Ok),
            (-SKEW, Status::Ok),
            (SKEW + 1, Status::Problem),
            (-SKEW - 1, Status::Problem),
        ] {
            assert_eq!(clock("server-clock", Some(date), exact + apart, "").status, status);
        }
        assert_eq!(clock("server-clock", Some("now"), exact, "").status, Status::Unchecked);
        assert_eq!(clock("server-clock", None, exact, "").status, Status::Unchecked);
    }
}
