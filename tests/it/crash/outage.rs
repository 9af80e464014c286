//! PostgreSQL goes away and comes back while clients ask. Nobody is left waiting, nobody is told a
//! falsehood, and nobody has to mend anything.

use std::cell::Cell;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use futures_util::future::{join, join_all};
use muster::db::{DatabaseUrl, Db, StoreError};
use serde_json::{Value, json};

use super::client::{Client, Outcome, retry_after};
use crate::support::process::{Server, run, succeeds};
use crate::support::{Case, Cluster, needing, patch_body, pure_cases};

const CLIENTS: usize = 24;
/// How long an answer may take, whatever is the matter with the database.
const SOON: Duration = Duration::from_secs(5);

pub fn cases() -> Vec<Case> {
    let restarted: &[Case] = needing!(Cluster::can_be_made; postgres_can_be_restarted_under_load);
    let silent: &[Case] = pure_cases![a_database_that_is_silent_is_not_waited_for];
    [restarted, silent].concat()
}

/// What a client is told while there is no database.
#[track_caller]
fn is_told_to_come_back(outcome: &Outcome) -> &Value {
    let Outcome::Answered { status: 503, headers, body } = outcome else {
        panic!("{outcome:?}");
    };
    let seconds = retry_after(headers);
    assert!((1..=60).contains(&seconds), "{seconds}");
    body
}

fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

fn postgres_can_be_restarted_under_load() {
    actix_web::rt::System::new().block_on(async {
        let mut cluster = Cluster::durable();
        let database = cluster.database();
        let server = Server::start_logging(&database, &[], "warn");
        let token = server.field("API token").expect("a token");
        let admin = succeeds(&run(&database, &["admin-token", "create"]));
        let address = server.field("Listening on").expect("an address");
        let client = Client::new(&address, &token, &admin);
        let made = client.scim("POST", "/Users", Some(&user("ann"))).await;
        let Outcome::Answered { status: 201, body, .. } = made else { panic!("{made:?}") };
        let ann = format!("/Users/{}", body["id"].as_str().expect("an id"));

        let (asked, turned_away, is_back) = (Cell::new(0), Cell::new(0), Cell::new(false));
        let load = Load { client: &client, ann: &ann, asked, turned_away, is_back };
        let all = join_all((0..CLIENTS).map(|number| {
            let load = &load;
            // Until it has been served by the database that is back.
            async move { while !load.ask(number).await {} }
        }));
        let restart = async {
            // Every one of them is at work.
            client.read("/api/v1/users").await;
            cluster.stop("INT");
            each_endpoint_says_so(&client, &address, &ann).await;
            cluster.start();
            load.is_back.set(true);
        };
        join(all, restart).await;
        assert!(load.turned_away.get() > 0);
        client.read("/readyz").await;
        let log = server.stop();
        // The log tells of the outage, and not as often as somebody met it.
        assert!(log.contains("cannot be reached: "), "{log}");
        assert!(log.contains("no more after"), "{log}");
        assert!(log.lines().count() < 40, "{} turned away: {log}", load.turned_away.get());
    });
}

/// What the clients share.
struct Load<'a> {
    client: &'a Client,
    /// The user that they read and write.
    ann: &'a str,
    asked: Cell<u32>,
    turned_away: Cell<u32>,
    is_back: Cell<bool>,
}

impl Load<'_> {
    /// One request; says whether it was served after the restart.
    async fn ask(&self, number: usize) -> bool {
        let (client, after, begun) = (self.client, self.is_back.get(), Instant::now());
        self.asked.set(self.asked.get() + 1);
        let outcome = match number % 4 {
            0 => {
                // Another value each time, so that there is something to write.
                let title = format!("x{}", self.asked.get());
                let set = json!([{ "op": "replace", "path": "title", "value": title }]);
                client.scim("PATCH", self.ann, Some(&patch_body(set))).await
            }
            1 => client.scim("GET", self.ann, None).await,
            2 => client.send("GET", "/api/v1/events?count=10", None).await,
            _ => client.scim("GET", "/Users?filter=title+sw+%22x%22", None).await,
        };
        assert!(begun.elapsed() < SOON, "{:?}: {outcome:?}", begun.elapsed());
        match outcome {
            Outcome::Answered { status: 200, .. } => after,
            other => {
                is_told_to_come_back(&other);
                self.turned_away.set(self.turned_away.get() + 1);
                false
            }
        }
    }
}

/// Without a database, each kind of endpoint has its own form of the same answer.
async fn each_endpoint_says_so(client: &Client, address: &str, ann: &str) {
    let error = client.scim("GET", ann, None).await;
    let body = is_told_to_come_back(&error);
    assert_eq!(body["status"], "503");
    assert!(body["detail"].as_str().is_some_and(|detail| detail.contains("try again")), "{body}");
    for (method, path) in [("POST", "/Users"), ("GET", "/Groups"), ("POST", "/Bulk")] {
        is_told_to_come_back(&client.scim(method, path, Some(&user("bob"))).await);
    }
    let error = client.send("GET", "/api/v1/teams", None).await;
    assert_eq!(is_told_to_come_back(&error)["error"], "unavailable");

    let http = reqwest::Client::builder().no_proxy().tls_built_in_root_certs(false).build();
    let http = http.expect("a client");
    let sign_in = "response_type=code&client_id=x&connection=default&redirect_uri=https://a.example&\
                   code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
    let page = http.get(format!("{address}/authorize?{sign_in}")).send().await.expect("an answer");
    assert_eq!(page.status(), 503);
    assert!(retry_after(page.headers()) > 0);
    assert!(page.text().await.expect("a page").contains("Try again in a minute"));
    let form = "grant_type=authorization_code&client_id=x&code=y&redirect_uri=https://a.example";
    for (path, form) in [("/token", form), ("/introspect", "token=x"), ("/revoke", "token=x")] {
        let request = http.post(format!("{address}{path}")).basic_auth("x", Some("y"));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form).send().await.expect("an answer");
        assert_eq!(answer.status(), 503, "{path}");
        assert!(retry_after(answer.headers()) > 0, "{path}");
        let body: Value = answer.json().await.expect("JSON");
        assert_eq!(body["error"], "temporarily_unavailable", "{path}");
    }
    let asked = http.get(format!("{address}/userinfo")).bearer_auth("muster_access_x");
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.status(), 503);
    assert!(retry_after(answer.headers()) > 0);

    let ready = client.send("GET", "/readyz", None).await;
    assert!(matches!(ready, Outcome::Answered { status: 503, .. }), "{ready:?}");
    assert_eq!(client.read("/healthz").await.expect("an answer")["status"], "ok");
}

/// A machine that takes connections and says nothing, as behind a network that loses everything.
fn a_database_that_is_silent_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = silent.local_addr().expect("an address").port();
    let url: DatabaseUrl =
        format!("postgres://muster@127.0.0.1:{port}/muster").parse().expect("a URL");
    actix_web::rt::System::new().block_on(async {
        let db = Db::new(url, 4);
        let begun = Instant::now();
        let all = join_all((0..100).map(|_| {
            db.read(|conn| {
                diesel::sql_query("SELECT 1").execute(conn)?;
                Ok::<_, StoreError>(())
            })
        }));
        for outcome in all.await {
            let error = outcome.expect_err("no answer");
            assert!(error.is_unavailable(), "{error}");
        }
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    });
}
