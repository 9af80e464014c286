//! A real server on a free port, with a store of its own, and clients for it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use muster::app::{App, index_unique_values, open_store};
use muster::config::Settings;
use muster::db::{DatabaseUrl, Db};
use muster::directory::connections::{self, AdminError, Connection};
use muster::directory::{apps, tokens};
use muster::scim::schema::Registry;
use serde_json::{Value, json};

use super::answer::Answer;
use super::database::TestDatabase;
use super::wait::eventually;

/// A clock that starts at the real time and can be moved.
#[derive(Clone, Default)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Moves the clock forward.
    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }

    pub fn now(&self) -> i64 {
        muster::clock::system()() + self.0.load(Ordering::Relaxed)
    }
}

/// The server under test.
pub struct TestApp {
    pub database: TestDatabase,
    pub db: Db,
    pub base_url: String,
    pub clock: TestClock,
    http: reqwest::Client,
    handle: actix_web::dev::ServerHandle,
    token: String,
    /// The folder of its schemas, and what is in it.
    schemas: Option<PathBuf>,
    pub registry: Arc<Registry>,
    /// What the server runs on.
    pub app: Arc<App>,
}

impl TestApp {
    /// Starts a server with the connection `default`.
    pub async fn start(database: TestDatabase) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts a server with settings of its own.
    pub async fn start_with(database: TestDatabase, set: impl FnOnce(&mut Settings)) -> Self {
        Self::start_at(database, None, set).await
    }

    /// Starts a server with the schemas of a folder.
    pub async fn with_schemas(database: TestDatabase, folder: &Path) -> Self {
        Self::start_at(database, Some(folder.to_owned()), |_| {}).await
    }

    async fn start_at(
        database: TestDatabase,
        schemas: Option<PathBuf>,
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let url: DatabaseUrl = database.url.parse().expect("a database URL");
        let clock = TestClock::default();
        let mut settings = Settings::new(base_url.clone());
        settings.workers = 1;
        set(&mut settings);
        let db = open_store(url, 4, &settings);
        let ticks = clock.clone();
        let registry = muster::schemas::registry(schemas.as_deref()).expect("schemas");
        let registry = Arc::new(registry);
        index_unique_values(&db, &registry).await.expect("unique values");
        let clock_of_app = Arc::new(move || ticks.now());
        let app = App::new(db.clone(), registry.clone(), settings, clock_of_app).expect("an app");
        let app = Arc::new(app);
        let server = muster::http::serve(app.clone(), listener).expect("a server");
        let handle = server.handle();
        actix_web::rt::spawn(server);
        // It starts when it has this thread for the first time, and the test may keep that to itself.
        tokio::task::yield_now().await;
        let http = http_client();
        let token = String::new();
        let mut app =
            Self { database, db, base_url, clock, http, handle, token, schemas, registry, app };
        app.token = match app.connection_settings("default").await {
            Some(_) => app.new_token("default").await.1,
            None => app.connect("default").await,
        };
        app
    }

    /// Another server on the same store, as if in another process.
    pub async fn replica(&self) -> Self {
        Self::start_at(self.database.clone(), self.schemas.clone(), |_| {}).await
    }

    /// Stops the server, once awaited.
    pub fn stopper(&self) -> impl Future<Output = ()> + use<> {
        let handle = self.handle.clone();
        async move { handle.stop(false).await }
    }

    /// Waits until it is noted that a token was used, since a time: that is done behind the answer's back.
    pub async fn until_used(&self, since: i64) {
        eventually("the use of a token is noted", async || {
            let all = self.db.read(|conn| tokens::all(conn, None)).await.expect("tokens");
            all.iter().any(|token| token.last_used_at.is_some_and(|at| at >= since))
        })
        .await;
    }

    /// Waits until a request waits for something to happen.
    pub async fn until_somebody_waits(&self) {
        let most = self.app.settings.max_waiting;
        eventually("somebody waits", async || self.app.waiting.available_permits() < most).await;
    }

    async fn connection_settings(&self, name: &str) -> Option<Connection> {
        let name = name.to_owned();
        self.db.read(move |conn| connections::find(conn, &name)).await.ok()
    }

    /// Adds a connection; returns a token of it.
    async fn connect(&self, name: &str) -> String {
        let (name, now) = (name.to_owned(), self.clock.now());
        self.db
            .write("create_connection", move |conn| {
                let settings = connections::Settings::default();
                let connection = connections::create(conn, &name, settings, now)?;
                let (_, token) = tokens::create(conn, &connection, "test", None, now)?;
                Ok::<_, AdminError>(token.expose().to_owned())
            })
            .await
            .expect("a connection")
    }

    /// Adds a token; returns its id and the token.
    pub async fn new_token(&self, connection: &str) -> (String, String) {
        self.new_token_until(connection, None).await
    }

    pub async fn new_token_until(
        &self,
        connection: &str,
        expires_at: Option<i64>,
    ) -> (String, String) {
        let (name, now) = (connection.to_owned(), self.clock.now());
        self.db
            .write("create_token", move |conn| {
                let connection = connections::find(conn, &name)?;
                let (token, plain) = tokens::create(conn, &connection, "another", expires_at, now)?;
                Ok::<_, AdminError>((token.id, plain.expose().to_owned()))
            })
            .await
            .expect("a token")
    }

    /// Changes settings of the connection `default`.
    pub async fn set(&self, change: fn(&mut connections::Settings)) {
        let now = self.clock.now();
        self.db
            .write("update", move |conn| connections::update(conn, "default", change, now))
            .await
            .expect("a connection that can be changed");
    }

    /// Users put into the store directly, where going through HTTP would take too long.
    pub fn seed(&self, count: usize) -> Vec<String> {
        use diesel::prelude::*;
        use muster::db::{connections, sql::Sql};
        self.database.without_log();
        let mut conn = self.database.connect();
        let connection = connections::find_by_name(&mut conn, "default")
            .expect("a query")
            .expect("a connection");
        let ids: Vec<String> = (0..count).map(|n| format!("seed-{n:06}")).collect();
        for chunk in ids.chunks(1000) {
            let mut insert = Sql::new(
                "INSERT INTO users (id, connection_id, user_name, user_name_fold, active, scim_owned, \
                 document, version, created_at, updated_at) VALUES ",
            );
            for (n, id) in chunk.iter().enumerate() {
                let document = json!({
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                    "userName": id, "active": true,
                });
                insert = insert
                    .raw(if n == 0 { "(" } else { ", (" })
                    .text(id.as_str())
                    .raw(", ")
                    .text(connection.id.as_str())
                    .raw(", ")
                    .text(id.as_str())
                    .raw(", ")
                    .text(id.as_str())
                    .raw(", TRUE, TRUE, ")
                    .text(document.to_string())
                    .raw(", 1, 0, 0)");
            }
            insert.one_off().execute(&mut conn).expect("users");
        }
        ids
    }

    /// A client with a token of the connection `default`.
    pub fn scim(&self) -> ScimClient {
        self.with_token(&self.token)
    }

    /// A client of the connection `default` whose address has no version in it.
    pub fn unversioned(&self) -> ScimClient {
        ScimClient { base_url: format!("{}/scim", self.base_url), ..self.scim() }
    }

    /// A client of another connection, which is created.
    pub async fn other(&self, name: &str) -> ScimClient {
        let token = self.connect(name).await;
        self.with_token(&token)
    }

    /// A client that sends the token in the usual way.
    pub fn with_token(&self, token: &str) -> ScimClient {
        self.with_authorization(Some(format!("Bearer {token}")))
    }

    /// A client that sends the header as it is.
    pub fn with_authorization(&self, authorization: Option<String>) -> ScimClient {
        ScimClient {
            http: self.http.clone(),
            base_url: format!("{}/scim/v2", self.base_url),
            authorization,
        }
    }

    /// A client of the read API, with a new admin token.
    pub async fn admin(&self) -> ScimClient {
        let token = self.new_admin_token(None).await.1;
        self.api_with(&token)
    }

    /// A client of the read API that sends the token.
    pub fn api_with(&self, token: &str) -> ScimClient {
        ScimClient {
            http: self.http.clone(),
            base_url: format!("{}/api/v1", self.base_url),
            authorization: Some(format!("Bearer {token}")),
        }
    }

    /// Adds an admin token; returns its id and the token.
    pub async fn new_admin_token(&self, expires_at: Option<i64>) -> (String, String) {
        let now = self.clock.now();
        let (id, token) = self
            .db
            .write("create_admin_token", move |conn| {
                apps::create_admin_token(conn, "test", expires_at, now)
            })
            .await
            .expect("an admin token");
        (id, token.expose().to_owned())
    }

    /// A client for everything outside SCIM.
    pub fn anonymous(&self) -> Anonymous {
        ScimClient { http: self.http.clone(), base_url: self.base_url.clone(), authorization: None }
    }

    pub fn default_token(&self) -> &str {
        &self.token
    }
}

fn http_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        // Nothing here speaks TLS, and reading the machine's certificates takes longest of all.
        .tls_built_in_root_certs(false)
        .build()
        .expect("an HTTP client")
}

/// A client without a token, at the root of the server.
pub type Anonymous = ScimClient;

/// A SCIM client.
#[derive(Clone)]
pub struct ScimClient {
    http: reqwest::Client,
    base_url: String,
    authorization: Option<String>,
}

impl ScimClient {
    /// A client with a token of a server that runs somewhere.
    pub fn of(base_url: &str, token: &str) -> Self {
        Self::at(&http_client(), base_url, token)
    }

    /// A client of a server that is somewhere else, with a token.
    pub fn at(http: &reqwest::Client, base_url: &str, token: &str) -> Self {
        let authorization = Some(format!("Bearer {token}"));
        Self { http: http.clone(), base_url: base_url.to_owned(), authorization }
    }

    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().expect("a method");
        let mut request = self.http.request(method, format!("{}{path}", self.base_url));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        request
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let name = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await.expect("an answer");
        Answer::read(name, response).await
    }

    pub async fn with_body(&self, method: &str, path: &str, body: &Value) -> Answer {
        let request = self
            .request(method, path)
            .header("content-type", "application/scim+json; charset=utf-8")
            .body(body.to_string());
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_body("POST", path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.with_body("PUT", path, body).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.with_body("PATCH", path, body).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// The resources that a filter selects.
    pub async fn find(&self, path: &str, filter: &str) -> Vec<Value> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("filter", filter)
            .finish();
        let body = self.get(&format!("{path}?{query}")).await.expect(200).body;
        body["Resources"].as_array().expect("an array").clone()
    }
}

/// A PATCH body with the operations.
#[expect(clippy::needless_pass_by_value, reason = "called with json!([…]) written in place")]
pub fn patch_body(operations: Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations,
    })
}
