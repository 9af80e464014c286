//! A soak: a server under as much of everything as it gets, whose memory has to stay level.
//!
//! It runs for some seconds along with the other tests, and for as long as `MUSTER_SOAK_SECONDS`
//! says; `MUSTER_SOAK_PROGRAM` is another build of the program to run, such as an optimized one.

use std::collections::{BTreeMap, VecDeque};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::process::{self, Server, muster, succeeds};
use crate::support::{Case, TestDatabase, database_cases, patch_body};

pub const CASES: &[Case] = database_cases![memory_stays_level_under_full_load];

/// Clients that ask without pause.
const CLIENTS: usize = 24;
/// Users that a client has at most.
const USERS: usize = 20;
/// By how much memory may have grown from the end of the first fifth to the end, in KiB.
const GROWTH: u64 = 64 * 1024;

async fn memory_stays_level_under_full_load(database: TestDatabase) {
    let seconds = std::env::var("MUSTER_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds: u64 = seconds.unwrap_or(3);
    let mut program = match std::env::var_os("MUSTER_SOAK_PROGRAM") {
        Some(program) => {
            let mut program = Command::new(program);
            program.env_clear();
            program
        }
        None => muster(&[]),
    };
    // Bounds that are met: there are more clients than turns and places in the line. What tokens may
    // ask for in a second is not among them: it would keep the rest from being busy.
    let bounds = ["--pool-size", "6", "--max-queue", "16", "--max-bulk", "2", "--rate-limit", "0"];
    let server = Server::launch(
        program
            .args(["serve", "--listen", "127.0.0.1:0", "--database-url", &database.url])
            .args(bounds)
            .env("RUST_LOG", "error"),
    );
    let admin = succeeds(&process::run(&database, &["admin-token", "create", "--label", "soak"]));
    let mut tokens = vec![server.field("API token").expect("a token")];
    for name in ["second", "third", "fourth"] {
        succeeds(&process::run(&database, &["connection", "create", name]));
        tokens.push(succeeds(&process::run(&database, &["token", "create", name])));
    }
    let load = Load {
        http: Client::builder().no_proxy().tls_built_in_root_certs(false).build().expect("HTTP"),
        base: server.field("Listening on").expect("an address"),
        token: tokens[0].clone(),
        admin,
        until: Instant::now() + Duration::from_secs(seconds),
        counts: Arc::default(),
    };
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let own = Load { token: tokens[number % tokens.len()].clone(), ..load.clone() };
            actix_web::rt::spawn(client(own, number))
        })
        .collect();
    let mut memory = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    while Instant::now() < load.until {
        tick.tick().await;
        memory.push(resident(server.id()));
    }
    for client in clients {
        client.await.expect("a client that comes to its end");
    }
    let counts = load.counts.lock().expect("counts").clone();
    let backend = database.backend.name();
    report(backend, seconds, &counts, &memory);
    // Everything was cleaned up, and nothing came back.
    for token in tokens {
        let load = Load { token, ..load.clone() };
        for path in ["/Users", "/Groups"] {
            let left = load.answer(load.scim(Method::GET, path)).await.expect("an answer").1;
            assert_eq!(left["totalResults"], 0, "{path} are left");
        }
    }
    let log = server.stop();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    // Whoever is turned away is told when to come back; all others are served, or told what is wrong.
    let known = ["-", "200", "201", "204", "400", "413", "429", "503"];
    let odd: Vec<_> = counts.keys().filter(|(_, status)| !known.contains(&&**status)).collect();
    assert!(odd.is_empty(), "{odd:?}: {counts:?}\n{log}");
    for (what, expected) in [("200", true), ("201", true), ("204", true), ("500", false)] {
        let seen = counts.keys().any(|(_, status)| status == what);
        assert_eq!(seen, expected, "{what}: {counts:?}\n{log}");
    }
    let (settled, last) = (memory[memory.len() / 5], median(&memory[memory.len() * 9 / 10..]));
    // In a few seconds nothing settles.
    if seconds >= 60 {
        assert!(last <= settled + GROWTH, "memory grew from {settled} KiB to {last} KiB");
    }
    assert!(last < 1024 * 1024, "{last} KiB");
}

/// What the clients share.
#[derive(Clone)]
struct Load {
    http: Client,
    base: String,
    token: String,
    admin: String,
    until: Instant,
    /// Answers by what was asked and the status.
    counts: Arc<Mutex<BTreeMap<(&'static str, String), u64>>>,
}

/// The users and the group of one client, and what it does next.
struct Own {
    name: String,
    users: VecDeque<String>,
    group: Option<String>,
    step: u64,
}

impl Load {
    fn scim(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/scim/v2{path}", self.base));
        request.bearer_auth(&self.token).header("content-type", "application/scim+json")
    }

    async fn answer(&self, request: RequestBuilder) -> Result<(StatusCode, Value), reqwest::Error> {
        let response = request.send().await?;
        let status = response.status();
        if matches!(status.as_u16(), 429 | 503) {
            let seconds = response.headers().get("retry-after").and_then(|text| text.to_str().ok());
            assert!(seconds.is_some_and(|text| text.parse::<u32>().is_ok()), "{seconds:?}");
        }
        let text = response.text().await?;
        Ok((status, serde_json::from_str(&text).unwrap_or_default()))
    }

    fn count(&self, what: &'static str, status: String) {
        *self.counts.lock().expect("counts").entry((what, status)).or_default() += 1;
    }

    /// Sends a request, and counts its answer; the body, if it was served.
    async fn ask(&self, what: &'static str, request: RequestBuilder) -> Option<Value> {
        match self.answer(request).await {
            Ok((status, body)) => {
                self.count(what, status.as_u16().to_string());
                status.is_success().then_some(body)
            }
            Err(error) => {
                self.count(what, "no answer".to_owned());
                assert!(!error.is_connect(), "the server is gone: {error}");
                None
            }
        }
    }

    /// Asks until it is done: whoever is turned away comes back.
    async fn insist(&self, what: &'static str, method: &Method, path: &str) {
        while self.ask(what, self.scim(method.clone(), path)).await.is_none() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn client(load: Load, number: usize) {
    let mut own = Own { name: format!("c{number}"), users: VecDeque::new(), group: None, step: 0 };
    while Instant::now() < load.until {
        own.step += 1;
        step(&load, &mut own, number).await;
    }
    for id in own.users {
        load.insist("delete user", &Method::DELETE, &format!("/Users/{id}")).await;
    }
    if let Some(id) = own.group {
        load.insist("delete group", &Method::DELETE, &format!("/Groups/{id}")).await;
    }
}

async fn step(load: &Load, own: &mut Own, number: usize) {
    let user = own.users.front().cloned().unwrap_or_default();
    let place = usize::try_from(own.step).unwrap_or_default() + number * 7;
    match place % 20 {
        _ if user.is_empty() => create(load, own).await,
        0..3 => create(load, own).await,
        3 => {
            if let Some(id) = own.users.pop_front() {
                load.insist("delete user", &Method::DELETE, &format!("/Users/{id}")).await;
            }
        }
        4 => drop(load.ask("get", load.scim(Method::GET, &format!("/Users/{user}"))).await),
        5 => drop(load.ask("list", load.scim(Method::GET, "/Users?count=50")).await),
        6 => {
            let path = format!("/Users?filter=userName%20eq%20%22{}-1%22", own.name);
            load.ask("find", load.scim(Method::GET, &path)).await;
        }
        7 => {
            let path = "/Users?sortBy=title&filter=emails.type%20co%20%22w%22%20and%20title%20pr";
            load.ask("search", load.scim(Method::GET, path)).await;
        }
        8 => {
            let body = patch_body(json!([{ "op": "replace", "path": "title",
                                          "value": format!("t{}", own.step) }]));
            let path = format!("/Users/{user}");
            load.ask("patch user", load.scim(Method::PATCH, &path).body(body.to_string())).await;
        }
        9..12 => churn(load, own).await,
        12 => drop(load.ask("list groups", load.scim(Method::GET, "/Groups")).await),
        13 => {
            let operations: Vec<Value> = (0..10)
                .map(|n| {
                    json!({ "method": "PATCH", "path": format!("/Users/{user}"),
                            "data": patch_body(json!([{ "op": "replace", "path": "nickName",
                                                        "value": format!("n{n}") }])) })
                })
                .collect();
            let body = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
                "Operations": operations,
            });
            load.ask("bulk", load.scim(Method::POST, "/Bulk").body(body.to_string())).await;
        }
        14 => {
            let request = load.http.post(format!("{}/introspect", load.base));
            let request = request.bearer_auth(&load.admin).form(&[("token", "no-such-token")]);
            load.ask("introspect", request).await;
        }
        15 => {
            let request = load.http.get(format!("{}/api/v1/events?count=20", load.base));
            load.ask("events", request.bearer_auth(&load.admin)).await;
        }
        16 => hostile(load, own.step).await,
        17 => {
            // Given up before there is an answer.
            let body = format!("{{\"userName\":\"{}\"", "x".repeat(20_000));
            let request = load.scim(Method::POST, "/Users/.search").body(body);
            let _ = tokio::time::timeout(Duration::from_millis(1), load.answer(request)).await;
            load.count("given up", "-".to_owned());
        }
        18 => hang_up(load).await,
        _ => drop(load.ask("metrics", load.http.get(format!("{}/metrics", load.base))).await),
    }
}

async fn create(load: &Load, own: &mut Own) {
    if own.users.len() >= USERS
        && let Some(id) = own.users.pop_front()
    {
        load.insist("delete user", &Method::DELETE, &format!("/Users/{id}")).await;
    }
    let name = format!("{}-{}", own.name, own.step);
    let body = json!({
        "userName": name, "externalId": name, "title": "someone", "active": true,
        "name": { "givenName": "Ann", "familyName": name },
        "emails": [{ "value": format!("{name}@example.com"), "type": "work", "primary": true }],
    });
    let request = load.scim(Method::POST, "/Users").body(body.to_string());
    if let Some(id) = load.ask("create user", request).await.as_ref().and_then(id) {
        own.users.push_back(id);
    }
}

/// Makes a group of the client's users, or takes a member out and puts another in.
async fn churn(load: &Load, own: &mut Own) {
    let members: Vec<Value> = own.users.iter().map(|id| json!({ "value": id })).collect();
    let Some(group) = &own.group else {
        let body = json!({ "displayName": format!("group of {}", own.name), "members": members });
        let request = load.scim(Method::POST, "/Groups").body(body.to_string());
        own.group = load.ask("create group", request).await.as_ref().and_then(id);
        return;
    };
    let first = own.users.front().cloned().unwrap_or_default();
    let body = patch_body(json!([
        { "op": "remove", "path": format!("members[value eq \"{first}\"]") },
        { "op": "add", "path": "members", "value": members },
    ]));
    let request = load.scim(Method::PATCH, &format!("/Groups/{group}"));
    load.ask("patch group", request.body(body.to_string())).await;
}

async fn hostile(load: &Load, step: u64) {
    let body = match step % 4 {
        0 => format!("{{\"userName\":\"{}\"}}", "x".repeat(2_000_000)),
        1 => "[".repeat(500_000),
        2 => json!({ "filter": "(".repeat(10_000) }).to_string(),
        _ => json!({ "userName": "x", "emails": vec![0; 200_000] }).to_string(),
    };
    let path = if step % 4 == 2 { "/Users/.search" } else { "/Users" };
    load.ask("hostile", load.scim(Method::POST, path).body(body)).await;
}

/// Ends a connection in the middle of a body.
async fn hang_up(load: &Load) {
    let address = load.base.trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /scim/v2/Users HTTP/1.1\r\nHost: muster\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1000\r\n\r\n{{\"userName\":",
        load.token
    );
    let done = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        std::net::TcpStream::connect(address).and_then(|mut to| to.write_all(head.as_bytes()))
    });
    done.await.expect("a connection").expect("a server that listens");
    load.count("hung up", "-".to_owned());
}

fn id(body: &Value) -> Option<String> {
    Some(body.get("id")?.as_str()?.to_owned())
}

/// The memory that a process has, in KiB.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

/// KiB an hour, by least squares over the last four fifths.
#[expect(clippy::cast_precision_loss, reason = "for a report")]
fn slope(memory: &[u64]) -> f64 {
    let settled = &memory[memory.len() / 5..];
    let n = settled.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = settled.iter().sum::<u64>() as f64 / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in settled.iter().enumerate() {
        let x = x as f64 - mean_x;
        xy += x * (*y as f64 - mean_y);
        xx += x * x;
    }
    if xx > 0.0 { xy / xx * 3600.0 } else { 0.0 }
}

fn report(
    backend: &str,
    seconds: u64,
    counts: &BTreeMap<(&'static str, String), u64>,
    memory: &[u64],
) {
    let total: u64 = counts.values().sum();
    println!(
        "soak on {backend}: {seconds} s, {total} requests, {} a second",
        total / seconds.max(1)
    );
    let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
    for ((_, status), count) in counts {
        *statuses.entry(status).or_default() += count;
    }
    println!("  by status: {statuses:?}");
    for ((what, status), count) in counts {
        println!("  {what} {status}: {count}");
    }
    let at = |second: usize| memory.get(second.min(memory.len() - 1)).copied().unwrap_or_default();
    println!(
        "  resident: {} KiB after 60 s, {} KiB after a fifth, {} KiB at the end, {} KiB at most; \
         {:.0} KiB an hour",
        at(60),
        at(memory.len() / 5),
        median(&memory[memory.len() * 9 / 10..]),
        memory.iter().max().copied().unwrap_or_default(),
        slope(memory)
    );
}
