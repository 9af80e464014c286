//! Where a race takes place: servers on one store, each a process, clients for them, and a count of
//! what they answered.

use std::cell::RefCell;
use std::collections::BTreeMap;

use futures_util::future::join_all;
use muster::db::{DatabaseUrl, Db};
use muster::directory::apps;
use muster::directory::connections::AdminError;
use serde_json::{Value, json};

use crate::support::process::Server;
use crate::support::{Answer, Backend, ScimClient, TestDatabase, patch_body, schema_folder};

/// How many stages there are: SQLite has one with a single process besides.
pub fn stages(database: &TestDatabase) -> usize {
    match database.backend {
        Backend::Sqlite => 2,
        Backend::Postgres => 1,
    }
}

/// How many rounds a case is asked to play, if it is.
pub fn asked_rounds() -> Option<usize> {
    let asked = std::env::var("MUSTER_RACE_ROUNDS").ok()?;
    Some(asked.parse().expect("MUSTER_RACE_ROUNDS is a number"))
}

/// Servers on one store.
pub struct Stage {
    pub database: TestDatabase,
    /// The hand of whoever has a command line: as a process of its own.
    pub db: Db,
    /// No connection survives its request here: a server may not mind.
    pub http: reqwest::Client,
    name: &'static str,
    servers: Vec<Server>,
    bases: Vec<String>,
    token: String,
    admin_token: String,
    rounds: RefCell<usize>,
    counts: RefCell<BTreeMap<(String, u16), usize>>,
}

impl Stage {
    /// The stage of that number, with its servers running on a store with the connection `default`.
    pub async fn set(backend: Backend, number: usize, name: &'static str) -> Self {
        let processes = if backend == Backend::Sqlite && number == 0 { 1 } else { 2 };
        let database = TestDatabase::migrated(backend);
        let folder = schema_folder();
        let folder = folder.to_str().expect("a readable path");
        // Replicas are behind one address.
        let mut more = vec!["--public-url", "http://localhost:8080", "--schemas", folder];
        // Nobody is told to come less often.
        more.extend(["--rate-limit", "0", "--failure-limit", "0", "--sign-in-limit", "0"]);
        let servers: Vec<Server> = (0..processes)
            .map(|_| Server::start_logging(&database, &more, "muster=debug"))
            .collect();
        let bases: Vec<String> = servers
            .iter()
            .map(|server| server.field("Listening on").expect("an address"))
            .collect();
        let token = servers[0].field("API token").expect("the first one makes a token");
        let url: DatabaseUrl = database.url.parse().expect("a database URL");
        let db = Db::new(url, 2);
        let now = muster::clock::system()();
        let admin_token = db
            .write("create_admin_token", move |conn| {
                let (_, token) = apps::create_admin_token(conn, "test", None, now)?;
                Ok::<_, AdminError>(token.expose().to_owned())
            })
            .await
            .expect("an admin token");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_built_in_root_certs(false)
            .build()
            .expect("a client");
        Self {
            database,
            db,
            http,
            name,
            servers,
            bases,
            token,
            admin_token,
            rounds: RefCell::default(),
            counts: RefCell::default(),
        }
    }

    /// The rounds to play: as many as were asked for, else so many.
    pub fn rounds(&self, otherwise: usize) -> impl Iterator<Item = usize> + use<> {
        let stages = stages(&self.database);
        let rounds = asked_rounds().unwrap_or(otherwise).div_ceil(stages);
        *self.rounds.borrow_mut() = rounds;
        0..rounds
    }

    /// The address of a server; they are taken in turn.
    pub fn base(&self, turn: usize) -> &str {
        &self.bases[turn % self.bases.len()]
    }

    /// A client of the connection `default`, at the server whose turn it is.
    pub fn scim(&self, turn: usize) -> ScimClient {
        self.scim_with(turn, &self.token)
    }

    /// A client with a token, at the server whose turn it is.
    pub fn scim_with(&self, turn: usize, token: &str) -> ScimClient {
        ScimClient::at(&self.http, &format!("{}/scim/v2", self.base(turn)), token)
    }

    /// A client of the read API, at the server whose turn it is.
    pub fn api(&self, turn: usize) -> ScimClient {
        ScimClient::at(&self.http, &format!("{}/api/v1", self.base(turn)), &self.admin_token)
    }

    /// A client of everything else, with the admin token.
    pub fn admin(&self, turn: usize) -> ScimClient {
        ScimClient::at(&self.http, self.base(turn), &self.admin_token)
    }

    /// Lets a little time go by, by the server's own measure: as much as so many small requests.
    pub async fn pass(&self, turn: usize, requests: usize) {
        for _ in 0..requests {
            self.admin(turn).get("/healthz").await.expect(200);
        }
    }

    /// The answer's status, which has to be one of those.
    #[track_caller]
    pub fn is_one_of(&self, answer: &Answer, allowed: &[u16]) -> u16 {
        let Answer { request, status, text, .. } = answer;
        assert!(allowed.contains(status), "{request} answered {status}: {text}");
        let (method, url) = request.split_once(' ').expect("a method");
        let path = url::Url::parse(url).expect("an address").path().to_owned();
        // What is behind the endpoint's name is an id.
        let endpoint: Vec<&str> = path.trim_start_matches("/scim/v2").split('/').take(2).collect();
        let key = (format!("{method} {}", endpoint.join("/")), *status);
        *self.counts.borrow_mut().entry(key).or_default() += 1;
        *status
    }

    /// That exactly one of the answers has the one status, and all others the other.
    #[track_caller]
    pub fn one_is(&self, answers: &[Answer], one: u16, others: u16) -> usize {
        let statuses: Vec<u16> =
            answers.iter().map(|answer| self.is_one_of(answer, &[one, others])).collect();
        let winners: Vec<usize> = (0..statuses.len()).filter(|n| statuses[*n] == one).collect();
        assert_eq!(winners.len(), 1, "{}: {statuses:?}", answers[0].request);
        winners[0]
    }

    /// Makes a user of the name; gives its id.
    pub async fn user(&self, turn: usize, name: &str) -> String {
        self.scim(turn).post("/Users", &json!({ "userName": name })).await.expect(201).id()
    }

    /// Makes users of names that begin so; gives their ids.
    pub async fn users(&self, prefix: &str, count: usize) -> Vec<String> {
        let made = (0..count)
            .map(|number| async move { self.user(number, &format!("{prefix}-{number}")).await });
        join_all(made).await
    }

    /// Makes a group with the members; gives its id.
    pub async fn group(&self, turn: usize, name: &str, members: &[String]) -> String {
        let body = json!({ "displayName": name, "members": references(members) });
        self.scim(turn).post("/Groups", &body).await.expect(201).id()
    }

    /// Ends the servers, none of which may have had an error of its own.
    pub fn clear(self) {
        let mut retried = BTreeMap::<String, usize>::new();
        let processes = self.servers.len();
        for server in self.servers {
            let log = server.stop();
            for line in log.lines() {
                let is_ours = line.contains(" ERROR ")
                    || line.contains("panicked")
                    || line.contains("unavailable");
                assert!(!is_ours, "{}: {line}", self.name);
                if let Some((_, what)) = line.split_once("retrying operation=") {
                    let operation = what.split(' ').next().unwrap_or_default();
                    *retried.entry(operation.to_owned()).or_default() += 1;
                }
            }
        }
        if asked_rounds().is_some() {
            let counts = self.counts.into_inner();
            let total: usize = counts.values().sum();
            let counts: Vec<String> = counts
                .iter()
                .map(|((request, status), count)| format!("{request} {status}: {count}"))
                .collect();
            eprintln!(
                "{} {} with {processes}: {} rounds, {total} racing requests ({}); retried: {retried:?}",
                self.name,
                self.database.backend.name(),
                self.rounds.into_inner(),
                counts.join(", "),
            );
        }
    }
}

/// Members as a client lists them.
pub fn references<'a>(ids: impl IntoIterator<Item = &'a String>) -> Value {
    ids.into_iter().map(|id| json!({ "value": id })).collect()
}

/// A PATCH with one operation.
pub fn patch_one(op: &str, path: &str, value: Option<Value>) -> Value {
    let mut operation = json!({ "op": op, "path": path });
    if let Some(value) = value {
        operation["value"] = value;
    }
    patch_body(json!([operation]))
}

/// The ids of a group's members, in order.
pub fn member_ids(group: &Value) -> Vec<String> {
    let members = group["members"].as_array().into_iter().flatten();
    let mut ids: Vec<String> =
        members.map(|member| member["value"].as_str().expect("an id").to_owned()).collect();
    ids.sort();
    ids
}

/// The number in a resource's version.
pub fn version(resource: &Value) -> u64 {
    let tag = resource["meta"]["version"].as_str().expect("a version");
    let number = tag.trim_start_matches("W/\"").trim_end_matches('"');
    let number = number.split('-').next().expect("a number");
    number.parse().expect("a number")
}

/// The requests' answers; all are sent at the same moment.
pub async fn at_once<F: Future<Output = Answer>>(
    requests: impl IntoIterator<Item = F>,
) -> Vec<Answer> {
    join_all(requests).await
}
