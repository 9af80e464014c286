//! The headers of every answer: a walk over the whole table of routes with every method.

use std::collections::BTreeSet;
use std::net::TcpListener;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, HttpServer, web};
use muster::app::App;
use muster::config::Settings;

use crate::login::harness::Login;
use crate::support::{
    Answer, Case, ScimClient, TestApp, TestDatabase, cases, database_cases, pure_cases,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        every_answer_has_its_headers,
        no_origin_is_let_in,
        an_answer_without_a_store_has_its_headers_too,
        a_handler_that_panics_is_answered_and_the_server_goes_on,
        what_is_no_request_is_answered_with_nothing,
    ];
    let databases: &[Case] = database_cases![over_https_browsers_are_told_to_stay_there];
    let pure: &[Case] = pure_cases![the_table_of_routes_is_read_whole];
    [apps, databases, pure].concat()
}

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// The patterns of the table of routes, as its source has them.
pub(super) fn patterns() -> BTreeSet<String> {
    let source = include_str!("../../../src/http/routes.rs");
    let table = source.split("\nfn not_allowed").next().expect("the table");
    // A path that stands on a line of its own belongs to the one before.
    let broken = regex::Regex::new(r#"\(\n\s*""#).expect("an expression");
    let table = broken.replace_all(table, "(\"");
    let mut found = BTreeSet::new();
    let mut prefix = String::new();
    for line in table.lines() {
        let texts: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        if line.starts_with("        .service(") {
            prefix.clear();
        }
        if line.contains("scope(") {
            texts[0].clone_into(&mut prefix);
        } else if MAKES_A_RESOURCE.iter().any(|word| line.contains(word)) {
            let paths = texts.iter().filter(|text| text.is_empty() || text.starts_with('/'));
            found.extend(paths.map(|path| format!("{prefix}{path}")));
        }
    }
    found
}

/// What a line of the table with a path begins with.
const MAKES_A_RESOURCE: [&str; 5] = ["resource(", "read_only(", "shown(", "done(", "asked("];

/// That a route written in another way does not hide from the walk.
fn the_table_of_routes_is_read_whole() {
    let source = include_str!("../../../src/http/routes.rs");
    let table = source.split("pub fn configure").nth(1).expect("the table");
    let table = table.split("\nfn not_allowed").next().expect("the table");
    let uses = |text: &str| table.matches(text).count();
    let paths = patterns();
    // Two of the resources have two paths.
    let resources: usize = MAKES_A_RESOURCE.into_iter().map(uses).sum();
    assert_eq!(paths.len(), resources + 2, "{paths:#?}");
    assert_eq!(uses("scope("), 3, "the prefixes");
    for path in
        ["/healthz", "/login/callback/{connection}", "/scim/v2/Users/{id}", "/api/v1/events"]
    {
        assert!(paths.contains(path), "{path} in {paths:#?}");
    }
}

/// The addresses to ask for: every pattern, and what has none.
fn addresses() -> Vec<String> {
    let known = patterns()
        .into_iter()
        .map(|path| path.replace("{id}", "0198").replace("{connection}", "default"))
        .map(|path| path.replace("{session}", "0198").replace("{action}", "deactivate"));
    let unknown =
        ["/", "/nothing", "/scim/v2/Nothing", "/api/v1/nothing", "/scim/v1/Users", "/login/x/y/z"];
    known.chain(unknown.map(str::to_owned)).collect()
}

#[track_caller]
fn has_its_headers(answer: &Answer) {
    let said = &answer.request;
    let header = |name: &str| answer.header(name).unwrap_or_default();
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{said}: {name}");
        assert_eq!(header(name), value, "{said}: {name}");
    }
    assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "{said}");
    let policy = header("content-security-policy");
    for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{said}: {policy}");
    }
    // The console has a style sheet and a script of its own; no other page has a script.
    let is_console = ["/console", "/setup"].iter().any(|place| said.contains(place));
    assert!(!policy.contains("unsafe"), "{said}: {policy}");
    assert!(is_console || !policy.contains("script-src"), "{said}: {policy}");
    if header("content-type").starts_with("text/html") {
        assert_eq!(header("referrer-policy"), "same-origin", "{said}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{said}");
        assert!(header("permissions-policy").contains("camera=()"), "{said}");
        let is_own = policy.contains("style-src 'self'; script-src 'self';");
        let is_plain = policy.contains("style-src 'sha256-");
        assert!(is_plain || (is_console && is_own), "{said}: {policy}");
    } else {
        assert_eq!(header("referrer-policy"), "no-referrer", "{said}");
        assert!(policy.contains("form-action 'none'"), "{said}: {policy}");
    }
    // Nothing says what serves this, and in which version.
    for name in ["server", "x-powered-by", "via"] {
        assert!(answer.headers.get(name).is_none(), "{said}: {name}");
    }
    let version = env!("CARGO_PKG_VERSION");
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        assert!(!value.contains(&format!("muster/{version}")), "{said}: {name}: {value}");
        assert!(!value.to_lowercase().contains("actix"), "{said}: {name}: {value}");
        assert!(!name.as_str().starts_with("access-control-"), "{said}: {name}");
    }
}

async fn every_answer_has_its_headers(app: TestApp) {
    let (scim, admin) = (app.scim(), app.admin().await);
    let mut statuses = BTreeSet::new();
    for address in addresses() {
        for method in METHODS {
            let anonymous = app.anonymous();
            let mut requests = vec![anonymous.request(method, &address)];
            if let Some(path) = address.strip_prefix("/scim/v2") {
                requests.push(scim.request(method, path));
            }
            if let Some(path) = address.strip_prefix("/api/v1") {
                requests.push(admin.request(method, path));
            }
            for request in requests {
                let answer = anonymous.send(request).await;
                has_its_headers(&answer);
                statuses.insert(answer.status);
            }
        }
    }
    for status in [200, 400, 401, 404, 405] {
        assert!(statuses.contains(&status), "{status} in {statuses:?}");
    }
    // The patterns that were read are those that the server has.
    let counted = app.anonymous().get("/metrics").await.expect(200).text;
    let routes: BTreeSet<&str> =
        counted.split("route=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    // A second path of a resource is counted under its first.
    let aliases = ["/login/callback/{connection}", "/scim/v2/"];
    for pattern in patterns().into_iter().filter(|path| !aliases.contains(&path.as_str())) {
        assert!(routes.contains(pattern.as_str()), "{pattern} in {routes:#?}");
    }
}

/// Browsers let pages elsewhere read answers where the server says so; this one never does.
async fn no_origin_is_let_in(app: TestApp) {
    let client = app.anonymous();
    let own = app.base_url.clone();
    for address in addresses() {
        for origin in ["https://evil.example", "null", own.as_str()] {
            for (method, asked) in
                [("OPTIONS", "PUT"), ("OPTIONS", "GET"), ("GET", ""), ("POST", "")]
            {
                let mut request = client.request(method, &address).header("origin", origin);
                if !asked.is_empty() {
                    request = request
                        .header("access-control-request-method", asked)
                        .header("access-control-request-headers", "authorization")
                        .header("access-control-request-private-network", "true");
                }
                let answer = client.send(request).await;
                has_its_headers(&answer);
                assert!(method != "OPTIONS" || answer.status >= 400, "{}", answer.request);
            }
        }
    }
}

/// Redirects and sign-in's own pages over https.
async fn over_https_browsers_are_told_to_stay_there(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        "https://muster.example.com".clone_into(&mut settings.public_url);
    })
    .await;
    let login = Login::new(&app).await;
    let hsts = |answer: &Answer| answer.header("strict-transport-security").map(str::to_owned);
    let off_to_the_provider = login.get(&login.code_request(), None).await.expect(303);
    has_its_headers(&off_to_the_provider);
    for answer in [
        off_to_the_provider,
        login.get("/logout", None).await.expect(200),
        app.scim().get("/Users").await.expect(200),
        app.anonymous().get("/nothing").await.expect(404),
    ] {
        has_its_headers(&answer);
        assert_eq!(hsts(&answer).as_deref(), Some("max-age=31536000"), "{}", answer.request);
    }
    // Over plain http the header says nothing to a browser, and is not sent.
    let plain = TestApp::start(app.database.clone()).await;
    assert_eq!(hsts(&plain.scim().get("/Users").await), None);
}

async fn an_answer_without_a_store_has_its_headers_too(app: TestApp) {
    // A store without tables is the worst that a request can be made to meet from outside.
    let broken = app.db.write("break", |conn| {
        use diesel::connection::SimpleConnection;
        conn.batch_execute("DROP TABLE flows; DROP TABLE access_tokens; DROP TABLE codes;")?;
        Ok::<_, muster::db::StoreError>(())
    });
    broken.await.expect("a store without tables");
    let request = app.anonymous().request("GET", "/userinfo").bearer_auth("x");
    let answer = app.anonymous().send(request).await.expect(500);
    has_its_headers(&answer);
    assert!(answer.header("x-request-id").is_some());
}

/// What `muster::http::serve` has around its handlers, around some that panic: before they wait for
/// anything, after it, and in what reads the request.
async fn a_handler_that_panics_is_answered_and_the_server_goes_on(app: TestApp) {
    struct Unreadable;
    impl FromRequest for Unreadable {
        type Error = actix_web::Error;
        type Future = std::future::Ready<Result<Self, Self::Error>>;

        fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
            panic!("a panic of an extractor, with a secret-of-the-panic")
        }
    }
    async fn at_once() -> HttpResponse {
        panic!("a panic at once, with a secret-of-the-panic")
    }
    async fn later() -> HttpResponse {
        actix_web::rt::task::yield_now().await;
        panic!("a panic later, with a secret-of-the-panic")
    }
    async fn unreadable(_: Unreadable) -> HttpResponse {
        HttpResponse::Ok().finish()
    }
    async fn well() -> HttpResponse {
        HttpResponse::Ok().body("well")
    }
    let settings = Settings::new(app.base_url.clone());
    let clock = muster::clock::system();
    let own = App::new(app.db.clone(), app.registry.clone(), settings, clock).expect("an app");
    let data = web::Data::new(own);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let server = HttpServer::new(move || {
        muster::http::stack(data.clone())
            .route("/at-once", web::to(at_once))
            .route("/later", web::to(later))
            .route("/unreadable", web::to(unreadable))
            .route("/well", web::to(well))
    });
    // One worker: one that a panic ends answers nobody any more.
    let server = server.workers(1).disable_signals().listen(listener).expect("a server").run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let client = ScimClient::of(&base, "x");
    let mut ids = BTreeSet::new();
    for _ in 0..3 {
        for path in ["/at-once", "/later", "/unreadable"] {
            for method in ["GET", "POST"] {
                let answer = client.send(client.request(method, path)).await.expect(500);
                has_its_headers(&answer);
                assert_eq!(answer.body["status"], "500", "{}", answer.text);
                assert!(!answer.text.contains("secret-of"), "{}", answer.text);
                assert!(!answer.text.contains("panic of"), "{}", answer.text);
                let id = answer.header("x-request-id").expect("the id of the request");
                assert!(ids.insert(id.to_owned()), "an id of its own: {id}");
            }
            let answer = client.get("/well").await.expect(200);
            has_its_headers(&answer);
            assert_eq!(answer.text, "well");
        }
    }
    handle.stop(false).await;
}

/// What cannot be read as HTTP never comes to a handler: it is answered with a status alone.
async fn what_is_no_request_is_answered_with_nothing(app: TestApp) {
    use std::io::{Read, Write};
    for request in [
        "GARBAGE\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(200_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "<script>".repeat(30_000)),
        "POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "POST /token HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"
            .to_owned(),
        "POST /token HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, nonsense\r\n\r\n0\r\n\r\n"
            .to_owned(),
    ] {
        let address = app.base_url.clone();
        let answer = actix_web::web::block(move || {
            let mut stream = super::wire::connect(&address);
            // The server may close before all is sent.
            let _ = stream.write_all(request.as_bytes());
            let mut answer = Vec::new();
            let mut part = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut part) {
                answer.extend(&part[..read]);
            }
            String::from_utf8_lossy(&answer).into_owned()
        });
        let answer = answer.await.expect("an answer").to_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        assert!(head.is_empty() || head.starts_with("http/1.1 4"), "{answer}");
        assert_eq!(body, "", "{answer}");
        for name in ["server:", "actix", "access-control-", "<script>"] {
            assert!(!head.contains(name), "{answer}");
        }
    }
    app.anonymous().get("/healthz").await.expect(200);
}
