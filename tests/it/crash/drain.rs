//! A server that is told to stop finishes what it has begun, begins nothing more, and ends.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use serde_json::json;

use super::client::{Client, Outcome};
use crate::support::process::{Server, run, serve, succeeds};
use crate::support::{Case, TestDatabase, database_cases, eventually};

/// A server that has nothing to wait for ends sooner than the time it would wait.
const SOON: Duration = Duration::from_secs(10);

pub fn cases() -> Vec<Case> {
    let cases: &[Case] = database_cases![
        what_was_begun_is_finished,
        under_load_each_write_is_answered_or_not_begun,
        told_twice_a_server_ends_at_once,
        a_server_that_stops_later_says_so_and_goes_on_until_then,
        a_server_waits_no_longer_than_it_may,
    ];
    cases.to_vec()
}

/// A connection on which bytes are sent and received as they are.
struct Raw {
    stream: BufReader<TcpStream>,
    host: String,
    token: String,
}

impl Raw {
    fn to(server: &Server, token: &str) -> Self {
        let address = server.field("Listening on").expect("an address");
        let host = address.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).expect("a connection");
        // A test that would wait for ever has failed.
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a setting");
        Self { stream: BufReader::new(stream), host, token: token.to_owned() }
    }

    fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("an open connection");
    }

    fn head(&mut self, method: &str, path: &str, more: &str) {
        let (host, token) = (self.host.clone(), self.token.clone());
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n{more}\r\n"
        ));
    }

    /// The head of an answer, and its body.
    fn answer(&mut self) -> (String, String) {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.stream.read_line(&mut head).expect("an answer");
            assert!(read > 0, "cut off: {head}");
        }
        let length = head.to_lowercase().lines().find_map(|line| {
            line.strip_prefix("content-length:").and_then(|text| text.trim().parse().ok())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.stream.read_exact(&mut body).expect("a whole body");
        (head, String::from_utf8(body).expect("text"))
    }

    /// Sends all but the end of a request that creates a user, and waits until the server has begun
    /// with it.
    fn begin(&mut self, name: &str) -> String {
        let body = json!({ "userName": name }).to_string();
        let (first, rest) = body.split_at(body.len() / 2);
        let length = body.len();
        let more = format!(
            "Content-Type: application/scim+json\r\nContent-Length: {length}\r\n\
             Expect: 100-continue\r\n"
        );
        self.head("POST", "/scim/v2/Users", &more);
        assert!(self.answer().0.starts_with("HTTP/1.1 100"));
        self.send(first);
        rest.to_owned()
    }

    /// Whether the server has closed the connection without another word.
    fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }
}

/// Waits until nobody is let in any more.
fn until_closed(server: &Server) {
    let address = server.field("Listening on").expect("an address");
    let begun = Instant::now();
    while TcpStream::connect(address.trim_start_matches("http://")).is_ok() {
        assert!(begun.elapsed() < Duration::from_mins(1), "it goes on listening");
        std::thread::yield_now();
    }
}

async fn what_was_begun_is_finished(database: TestDatabase) {
    let server = Server::start_logging(&database, &[], "warn");
    let token = server.field("API token").expect("a token");
    let admin = succeeds(&run(&database, &["admin-token", "create"]));
    let mut idle = Raw::to(&server, &token);
    idle.head("GET", "/scim/v2/Users", "");
    assert!(idle.answer().0.starts_with("HTTP/1.1 200"));
    let mut waiting = Raw::to(&server, &admin);
    waiting.head("GET", "/api/v1/events?count=1000", "");
    let (_, page) = waiting.answer();
    let page: serde_json::Value = serde_json::from_str(&page).expect("a page");
    let next = page["next"].as_str().expect("a cursor").to_owned();
    waiting.head("GET", &format!("/api/v1/events?wait=60&after={next}"), "");
    // What is on its way there when the server is told to stop was not begun, and may be cut off.
    eventually("a request waits for an event", async || {
        idle.head("GET", "/metrics", "");
        idle.answer().1.contains("\nmuster_long_waits 1\n")
    })
    .await;
    let mut begun = Raw::to(&server, &token);
    let rest = begun.begin("ann");

    let told = Instant::now();
    server.tell_to_stop();
    until_closed(&server);
    assert!(idle.is_closed(), "nobody waits for a connection that has nothing under way");
    let (head, body) = waiting.answer();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
    let page: serde_json::Value = serde_json::from_str(&body).expect("a page");
    assert_eq!(page, json!({ "events": [], "next": next }));
    begun.send(&rest);
    let (head, body) = begun.answer();
    assert!(head.starts_with("HTTP/1.1 201") && body.contains("\"ann\""), "{head}{body}");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
}

async fn under_load_each_write_is_answered_or_not_begun(database: TestDatabase) {
    let server = Server::start_logging(&database, &[], "warn");
    let token = server.field("API token").expect("a token");
    let address = server.field("Listening on").expect("an address");
    let client = Client::new(&address, &token, "");
    let enough = tokio::sync::Notify::new();
    let all = join_all((0..8).map(|writer| {
        let (client, enough) = (&client, &enough);
        async move {
            let mut created = 0;
            loop {
                let body = json!({ "userName": format!("u{writer}-{created}") });
                match client.scim("POST", "/Users", Some(&body)).await {
                    Outcome::Answered { status: 201, body, .. } => {
                        assert!(body["id"].is_string(), "cut off in the middle");
                        created += 1;
                    }
                    Outcome::Lost(_) => return created,
                    other @ Outcome::Answered { .. } => panic!("{other:?}"),
                }
                if created == 10 {
                    enough.notify_one();
                }
            }
        }
    }));
    let (created, ()) = join(all, async {
        enough.notified().await;
        server.tell_to_stop();
    })
    .await;
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    let again = Server::start_logging(&database, &[], "warn");
    let client = Client::new(&again.field("Listening on").expect("an address"), &token, "");
    let total = client.read("/scim/v2/Users?count=0").await.expect("a list");
    assert_eq!(total["totalResults"], created.iter().sum::<usize>(), "created, and not told so");
    again.stop();
}

async fn told_twice_a_server_ends_at_once(database: TestDatabase) {
    let server = Server::start_logging(&database, &[], "warn");
    let mut begun = Raw::to(&server, &server.field("API token").expect("a token"));
    begun.begin("ann");
    let told = Instant::now();
    server.tell_to_stop();
    until_closed(&server);
    server.tell_to_stop();
    let (code, log) = server.end();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("a second time"), "{log}");
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
}

async fn a_server_that_stops_later_says_so_and_goes_on_until_then(database: TestDatabase) {
    let mut command = serve(&database);
    let server = Server::launch(command.args(["--drain-delay", "3600"]).env("RUST_LOG", "warn"));
    let token = server.field("API token").expect("a token");
    let mut idle = Raw::to(&server, &token);
    idle.head("GET", "/readyz", "");
    let (head, _) = idle.answer();
    assert!(head.starts_with("HTTP/1.1 200") && !head.contains("connection: close"), "{head}");
    server.tell_to_stop();
    let begun = Instant::now();
    loop {
        let mut probe = Raw::to(&server, &token);
        probe.head("GET", "/readyz", "");
        let (head, body) = probe.answer();
        if head.starts_with("HTTP/1.1 503") {
            assert!(body.contains("stopping"), "{body}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "it says that it is ready");
    }
    // New connections are taken, and old ones end with their next answer.
    let mut late = Raw::to(&server, &token);
    let rest = late.begin("ann");
    late.send(&rest);
    let created = late.answer();
    idle.head("GET", "/scim/v2/Users", "");
    let listed = idle.answer();
    for (mut connection, (head, body)) in [(late, created), (idle, listed)] {
        assert!(head.starts_with("HTTP/1.1 20") && body.contains("\"ann\""), "{head}{body}");
        assert!(head.to_lowercase().contains("connection: close"), "{head}");
        assert!(connection.is_closed());
    }
    server.tell_to_stop();
    assert_eq!(server.end().0, Some(1));
}

async fn a_server_waits_no_longer_than_it_may(database: TestDatabase) {
    let mut command = serve(&database);
    let server = Server::launch(command.args(["--drain-time", "1"]).env("RUST_LOG", "warn"));
    let mut begun = Raw::to(&server, &server.field("API token").expect("a token"));
    begun.begin("ann");
    let told = Instant::now();
    server.tell_to_stop();
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(told.elapsed() < SOON, "{:?}", told.elapsed());
    assert!(begun.is_closed());
}
