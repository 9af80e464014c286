//! A request of any address, headers, cookies and body is answered by the real server on a store of
//! its own: never by a failure of the server's, by an error as SCIM writes it, in the type that was
//! asked for. Without a token nobody sees anything of the store, nobody is sent to an address that no
//! application has, and no cookie opens the session but the session's own, and that once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::Duration;

use muster::app::App;
use muster::config::Settings;
use muster::db::{DatabaseUrl, Db};
use muster::directory::connections::{self, AdminError};
use muster::directory::events::Actor;
use muster::directory::{Context, apps, sessions, tokens};
use serde_json::{Value, json};

use super::known::{GROUP, USER, registry};

/// What stands in an input for the token, the session's secret and the client id of the application.
const TOKEN: &str = "TOKEN";
const SESSION: &str = "SESSION";
const CLIENT: &str = "CLIENT";
/// Where the application's browsers may be sent.
const REDIRECT_URI: &str = "https://app.example.com/callback";
/// What only those see who have a token.
const SECRET: &str = "Seen-with-a-token";
/// The name of the session's cookie on this machine.
const COOKIE: &str = "muster_session";
/// How far ahead the session has begun, in microseconds: further than any run takes.
const AHEAD: i64 = 365 * 24 * 3600 * 1_000_000;
/// What the page says that asks somebody who is signed in.
const QUESTION: &str = "Sign out?";
/// What would be an element of a page if it were not escaped; seeds send it.
const ELEMENT: &str = "<x9";
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];
/// Headers that say where the request ends, or make the server wait.
const OURS: [&str; 7] =
    ["host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te"];

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

/// `METHOD /address`, a header on each line after it, an empty line, and the body.
pub fn run(data: &[u8]) {
    let Some(request) = Request::read(data) else { return };
    let answer = SERVER.send(&request);
    check(&request, &answer);
    // Whatever was sent along, who is signed in stays so.
    if request.has_session {
        SERVER.has_a_session();
    }
}

/// Removes the server's store; for a process that goes on.
pub fn clean_up() {
    let _ = std::fs::remove_dir_all(&SERVER.folder);
}

struct Request {
    method: &'static str,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    has_token: bool,
    /// Whether the session's secret is in it somewhere.
    has_session: bool,
}

impl Request {
    fn read(data: &[u8]) -> Option<Self> {
        let mut lines = data.splitn(12, |byte| *byte == b'\n');
        let first = std::str::from_utf8(lines.next()?).ok()?;
        let (method, target) = first.split_once(' ')?;
        let method = METHODS.into_iter().find(|known| *known == method)?;
        let target = target.replace(CLIENT, &SERVER.client_id);
        if !target.starts_with('/') || target.len() > 4096 {
            return None;
        }
        let mut request = Self {
            method,
            target: target.bytes().map(in_target).collect(),
            headers: Vec::new(),
            body: Vec::new(),
            has_token: false,
            has_session: false,
        };
        while let Some(line) = lines.next() {
            if line.is_empty() {
                request.body = lines.collect::<Vec<_>>().join(&b'\n');
                break;
            }
            let at = line.iter().position(|byte| *byte == b':')?;
            let name = std::str::from_utf8(&line[..at]).ok()?.to_ascii_lowercase();
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if name.is_empty() || !name.bytes().all(is_name) || OURS.contains(&&*name) {
                return None;
            }
            let mut value = line[at + 1..].to_vec();
            value.retain(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
            if name == "authorization"
                && let Ok(text) = std::str::from_utf8(&value)
                && text.contains(TOKEN)
            {
                value = text.replace(TOKEN, &SERVER.token).into_bytes();
                request.has_token = true;
            }
            if name == "cookie" && contains(&value, SESSION.as_bytes()) {
                value = replaced(&value, SESSION.as_bytes(), SERVER.session.as_bytes());
                request.has_session = true;
            }
            request.headers.push((name, value));
        }
        // Whoever has a token may write, and then the store would not be the same for the next one.
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS") || target.ends_with("/.search");
        // So may whoever asks from a page of ours to be signed out.
        let signs_out =
            request.has_session && request.header("sec-fetch-site").contains("same-origin");
        (reads || !(request.has_token || signs_out)).then_some(request)
    }

    /// Whether the request has the session's cookie: by its own name, with its own value, and once.
    fn is_signed_in(&self) -> bool {
        let cookies = self.headers.iter().filter(|(name, _)| name == "cookie");
        let pairs = cookies.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
        let named = pairs.filter_map(|pair| {
            let end = pair.iter().position(|byte| *byte == b'=')?;
            let is_ours = pair[..end].trim_ascii_start() == COOKIE.as_bytes();
            is_ours.then(|| pair[end + 1..].trim_ascii_end())
        });
        named.eq([SERVER.session.as_bytes()])
    }

    /// Whether it asks who is signed in, and has nothing along but cookies.
    fn is_plain(&self) -> bool {
        self.method == "GET"
            && self.target == "/userinfo"
            && self.body.is_empty()
            && self.headers.iter().all(|(name, _)| name == "cookie")
    }

    fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(found, _)| found == name);
        let values = values.map(|(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase());
        values.collect::<Vec<_>>().join(",")
    }

    fn written(&self) -> Vec<u8> {
        let (method, target, length) = (&self.method, &self.target, self.body.len());
        let mut out =
            format!("{method} {target} HTTP/1.1\r\nHost: muster\r\nContent-Length: {length}\r\n")
                .into_bytes();
        for (name, value) in &self.headers {
            out.extend(name.as_bytes());
            out.extend(b": ");
            out.extend(value);
            out.extend(b"\r\n");
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

fn replaced(text: &[u8], word: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(word) {
            out.extend(by);
            rest = after;
        } else {
            out.push(*first);
            rest = &rest[1..];
        }
    }
    out
}

/// A byte as the address of a request may have it.
fn in_target(byte: u8) -> String {
    if byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

#[derive(Debug, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn header(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }
}

fn check(request: &Request, answer: &Answer) {
    let status = answer.status;
    assert!((200..600).contains(&status) && status != 500, "{} {answer:?}", request.target);
    let has = |text: &str| answer.body.contains(text);
    for secret in [&SERVER.token, &SERVER.session] {
        assert!(!has(secret), "an answer shows a secret");
        assert!(answer.headers.iter().all(|(_, value)| !value.contains(secret)));
    }
    let is_signed_in = request.is_signed_in();
    if !request.has_token {
        assert!(!has(SECRET) || is_signed_in, "{} shows the store to anybody", request.target);
        // What the server can do may be known to anybody.
        let is_scim = request.target.starts_with("/scim/v2/") && request.method != "HEAD";
        let is_open = has("urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig");
        assert!(!is_scim || status >= 400 || is_open, "{} {answer:?}", request.target);
    }
    // There is no admin token, so there is nothing to see; and but one session.
    let path = request.target.split('?').next().unwrap_or_default();
    let is_closed = path.starts_with("/api/") || (path == "/userinfo" && !is_signed_in);
    assert!(!is_closed || status >= 400, "{path} {answer:?}");
    assert!(is_signed_in || !has(QUESTION), "{path} takes somebody for signed in");
    assert!(!is_signed_in || !request.is_plain() || status == 200, "a session is lost: {answer:?}");
    for cookie in answer.all("set-cookie") {
        assert!(cookie.contains("HttpOnly") && cookie.contains("Path=/"), "{cookie}");
    }
    for location in answer.all("location") {
        let known = [REDIRECT_URI, &SERVER.base_url];
        assert!(known.iter().any(|known| location.starts_with(known)), "sent to {location}");
    }
    let kind = answer.header("content-type");
    if kind.starts_with("text/html") {
        assert!(!has(ELEMENT), "a page repeats what was sent: {}", request.target);
    }
    if path.starts_with("/scim/v2/") && request.method != "HEAD" && !answer.body.is_empty() {
        check_scim(request, answer, kind);
    }
}

fn check_scim(request: &Request, answer: &Answer, kind: &str) {
    let asks_for_json = request.header("accept").contains("application/json");
    assert!(
        kind == "application/scim+json" || (kind == "application/json" && asks_for_json),
        "{kind} for {}",
        request.header("accept")
    );
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(body["schemas"].is_array() && body.get("password").is_none(), "{body}");
    if answer.status >= 400 {
        assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(body["status"], json!(answer.status.to_string()));
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    }
    if let Some(resources) = body["Resources"].as_array() {
        let total = body["totalResults"].as_u64().expect("a total");
        assert!(resources.len() as u64 <= total, "{body}");
        assert!(resources.iter().all(|one| one["id"].is_string()), "{body}");
    }
}

/// The server, with a user who is signed in, a group and an application.
struct Server {
    base_url: String,
    address: std::net::SocketAddr,
    token: String,
    session: String,
    client_id: String,
    folder: PathBuf,
    connection: Mutex<Option<BufReader<TcpStream>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let base_url = format!("http://{address}");
        let folder = std::env::temp_dir().join(format!("muster-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let url = format!("sqlite://{}", folder.join("muster.db").display());
        let (sender, receiver) = mpsc::channel();
        let (public_url, store) = (base_url.clone(), url.clone());
        std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async move {
                let url: DatabaseUrl = url.parse().expect("a database URL");
                let db = Db::new(url, 2);
                db.migrate().await.expect("tables");
                sender.send(prepare(&db).await).expect("somebody waits");
                let mut settings = Settings::new(public_url);
                settings.workers = 1;
                let registry = Arc::new(registry());
                let app = App::new(db, registry, settings, muster::clock::system());
                let app = Arc::new(app.expect("an app"));
                muster::http::serve(app, listener).expect("a server").await.expect("no end");
            });
        });
        let (token, client_id) = receiver.recv().expect("a store");
        let connection = Mutex::default();
        let session = String::new();
        let mut server = Self { base_url, address, token, session, client_id, folder, connection };
        let user = server.create("Users", USER.as_map().clone());
        server.create("Groups", GROUP.as_map().clone());
        server.session = sign_in(&store, user);
        server.has_a_session();
        server
    }

    /// That the session's cookie opens it.
    fn has_a_session(&self) {
        let cookie = format!("{COOKIE}={}", self.session);
        let answer = self.send(&Request {
            method: "GET",
            target: "/userinfo".to_owned(),
            headers: vec![("cookie".to_owned(), cookie.into_bytes())],
            body: Vec::new(),
            has_token: false,
            has_session: true,
        });
        assert!(answer.status == 200 && answer.body.contains(SECRET), "{answer:?}");
    }

    /// Makes a resource; gives its id.
    fn create(&self, endpoint: &str, mut resource: serde_json::Map<String, Value>) -> String {
        resource.insert("displayName".to_owned(), SECRET.into());
        let body = serde_json::to_vec(&resource).expect("a resource as JSON");
        let request = Request {
            method: "POST",
            target: format!("/scim/v2/{endpoint}"),
            headers: vec![("authorization".to_owned(), self.token.clone().into_bytes())],
            body,
            has_token: true,
            has_session: false,
        };
        let answer = self.send(&request);
        assert_eq!(answer.status, 201, "{answer:?}");
        let made: Value = serde_json::from_str(&answer.body).expect("JSON");
        made["id"].as_str().expect("an id").to_owned()
    }

    fn send(&self, request: &Request) -> Answer {
        let mut kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        // The server may have closed a connection that it kept, so that is tried once more.
        if let Some(mut stream) = kept.take()
            && let Ok((answer, is_kept)) = exchange(&mut stream, request)
        {
            *kept = is_kept.then_some(stream);
            return answer;
        }
        let stream = TcpStream::connect(self.address).expect("a connection");
        let timeout = Some(Duration::from_mins(1));
        stream.set_read_timeout(timeout).expect("a bound");
        stream.set_nodelay(true).expect("no delay");
        let mut stream = BufReader::new(stream);
        let (answer, is_kept) = exchange(&mut stream, request).expect("an answer");
        *kept = is_kept.then_some(stream);
        answer
    }
}

/// Fills the store; gives the token and the client id.
async fn prepare(db: &Db) -> (String, String) {
    let now = muster::clock::system()();
    db.write("prepare", move |conn| {
        let settings = connections::Settings::default();
        let connection = connections::create(conn, "default", settings, now)?;
        let (_, token) = tokens::create(conn, &connection, "fuzz", None, now)?;
        let uris = [REDIRECT_URI.to_owned()];
        let (app, _) = apps::create(conn, "app", &uris, false, false, now)?;
        Ok::<_, AdminError>((token.expose().to_owned(), app.id))
    })
    .await
    .expect("a connection, a token and an application")
}

/// Begins a session of a user's; gives its secret.
fn sign_in(store: &str, user_id: String) -> String {
    let db = Db::new(store.parse().expect("a database URL"), 1);
    let session = db.write("sign_in", move |conn| {
        let context = Context {
            connection: connections::find(conn, "default").expect("a connection").into(),
            actor: Actor::CommandLine,
            request_id: None,
            now: muster::clock::system()() + AHEAD,
            base_url: "http://localhost".into(),
            registry: Arc::new(registry()),
        };
        sessions::create(conn, &context, &user_id)
    });
    let session = actix_web::rt::System::new().block_on(session).expect("a session");
    session.secret.expose().to_owned()
}

fn exchange(
    stream: &mut BufReader<TcpStream>,
    request: &Request,
) -> std::io::Result<(Answer, bool)> {
    stream.get_mut().write_all(&request.written())?;
    let mut answer = Answer::default();
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    answer.status = status.ok_or_else(|| std::io::Error::other(format!("no status: {line:?}")))?;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        let header = line.trim_end_matches(['\r', '\n']);
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').expect("a header");
        answer.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    if request.method != "HEAD" && !matches!(answer.status, 204 | 304) {
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                line.clear();
                stream.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim(), 16).expect("a size");
                let start = body.len();
                body.resize(start + size + 2, 0);
                stream.read_exact(&mut body[start..])?;
                body.truncate(start + size);
                if size == 0 {
                    break;
                }
            }
        } else {
            body.resize(answer.header("content-length").parse().unwrap_or(0), 0);
            stream.read_exact(&mut body)?;
        }
    }
    answer.body = String::from_utf8(body).expect("text");
    let is_kept = !answer.header("connection").eq_ignore_ascii_case("close");
    Ok((answer, is_kept))
}
