//! PostgreSQL goes away and comes back while clients ask. Nobody is left waiting, nobody is told a
//! falsehood, and nobody has to mend anything.

use std::cell::Cell;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use futures_util::future::{join_all, join3};
use muster::db::{DatabaseUrl, Db, StoreError};
use serde_json::{Value, json};

use super::client::{Client, Outcome, retry_after};
use crate::support::process::{Server, run, succeeds};
use crate::support::{Case, Cluster, needing, patch_body, pure_cases};

const CLIENTS: usize = 24;
/// How many of them write; the others read.
const WRITERS: usize = 6;
/// How long an answer may take, whatever is the matter with the database.
const SOON: Duration = Duration::from_secs(20);
/// How long after PostgreSQL is back somebody may still be turned away.
const RECOVERY: Duration = Duration::from_secs(30);

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
        let cluster = Cluster::durable();
        let database = cluster.database();
        let server = Server::start_logging(&database, &[], "warn");
        let token = server.field("API token").expect("a token");
        let admin = succeeds(&run(&database, &["admin-token", "create"]));
        let address = server.field("Listening on").expect("an address");
        let client = Client::new(&address, &token, &admin);
        let mut users = Vec::new();
        for number in 0..WRITERS {
            let made = client.scim("POST", "/Users", Some(&user(&format!("ann{number}")))).await;
            let Outcome::Answered { status: 201, body, .. } = made else { panic!("{made:?}") };
            users.push(format!("/Users/{}", body["id"].as_str().expect("an id")));
        }

        let load = Load::new(&client, &users[0]);
        // Each goes on until it has been served by the database that is back.
        let writers = join_all(users.iter().map(|user| {
            let mut writer = Writer::new(&load, user);
            async move {
                while !writer.go_on().await {}
                writer
            }
        }));
        let readers = join_all((WRITERS..CLIENTS).map(|number| {
            let load = &load;
            async move { while !load.read(number).await {} }
        }));
        let restart = async {
            // Every one of them is at work.
            client.read("/api/v1/users").await;
            let cluster = meanwhile(&load, cluster, |cluster| cluster.stop("INT")).await;
            each_endpoint_says_so(&client, &address, &users[0]).await;
            let cluster = meanwhile(&load, cluster, Cluster::start).await;
            load.is_back.set(Some(Instant::now()));
            cluster
        };
        let (writers, _, _cluster) = join3(writers, readers, restart).await;
        let seconds = load.served.get().as_secs_f32();
        println!("crash::outage: {CLIENTS} clients were served {seconds:.1} s after the restart");
        assert!(load.turned_away.get() > 0);
        // What was acknowledged, before the outage and after it, is there.
        for writer in writers {
            assert!(writer.looked > 0, "it was turned away, and has looked what became of that");
            let title = load.title(writer.user).await.expect("an answer");
            assert_eq!(title, writer.acknowledged);
        }
        client.read("/readyz").await;
        let log = server.stop();
        // The log tells of the outage, and not as often as somebody met it.
        assert!(log.contains("cannot be reached: "), "{log}");
        assert!(log.contains("no more after"), "{log}");
        assert!(log.lines().count() < 40, "{} turned away: {log}", load.turned_away.get());
    });
}

/// Does something with the cluster that takes its time, while the clients go on asking.
async fn meanwhile(
    load: &Load<'_>,
    mut cluster: Cluster,
    work: impl FnOnce(&mut Cluster) + Send + 'static,
) -> Cluster {
    let (asked, answered) = (load.asked.get(), load.answered.get());
    let cluster = actix_web::web::block(move || {
        work(&mut cluster);
        cluster
    });
    let cluster = cluster.await.expect("a cluster that does as it is told");
    assert!(load.asked.get() > asked, "nobody has asked meanwhile");
    assert!(load.answered.get() > answered, "nobody was answered meanwhile");
    cluster
}

/// What the clients share.
struct Load<'a> {
    client: &'a Client,
    /// The user that the readers read.
    ann: &'a str,
    asked: Cell<u32>,
    answered: Cell<u32>,
    turned_away: Cell<u32>,
    /// Since when the database is back.
    is_back: Cell<Option<Instant>>,
    /// How long it took until the last of those who were served after that.
    served: Cell<Duration>,
}

impl<'a> Load<'a> {
    fn new(client: &'a Client, ann: &'a str) -> Self {
        Self {
            client,
            ann,
            asked: Cell::default(),
            answered: Cell::default(),
            turned_away: Cell::default(),
            is_back: Cell::default(),
            served: Cell::default(),
        }
    }

    /// One request: its answer, if it is not that there is no database, and whether it was sent after
    /// that was back.
    async fn ask(&self, request: impl Future<Output = Outcome>) -> (Option<Value>, bool) {
        let (back, begun) = (self.is_back.get(), Instant::now());
        self.asked.set(self.asked.get() + 1);
        let outcome = request.await;
        self.answered.set(self.answered.get() + 1);
        assert!(begun.elapsed() < SOON, "{:?}: {outcome:?}", begun.elapsed());
        if let Outcome::Answered { status: 200, body, .. } = outcome {
            return (Some(body), back.is_some());
        }
        is_told_to_come_back(&outcome);
        self.turned_away.set(self.turned_away.get() + 1);
        let since = back.map(|back| back.elapsed()).unwrap_or_default();
        assert!(since < RECOVERY, "turned away {since:?} after the database was back: {outcome:?}");
        (None, false)
    }

    /// Somebody was served by the database that is back.
    fn serves(&self) {
        self.served.set(self.is_back.get().map(|back| back.elapsed()).unwrap_or_default());
    }

    /// One request of a reader; says whether it was served after the restart.
    async fn read(&self, number: usize) -> bool {
        let path = match number % 3 {
            0 => format!("/scim/v2{}", self.ann),
            1 => "/api/v1/events?count=10".to_owned(),
            _ => "/scim/v2/Users?filter=title+sw+%22x%22".to_owned(),
        };
        let (answer, after) = self.ask(self.client.send("GET", &path, None)).await;
        let is_served = answer.is_some() && after;
        if is_served {
            self.serves();
        }
        is_served
    }

    /// The title of a user; none if there is no database.
    async fn title(&self, user: &str) -> Option<String> {
        let (found, _) = self.ask(self.client.scim("GET", user, None)).await;
        Some(found?["title"].as_str().unwrap_or_default().to_owned())
    }
}

/// Writes the title of a user of its own, another one each time, and knows what became of it.
struct Writer<'a> {
    load: &'a Load<'a>,
    user: &'a str,
    written: u32,
    acknowledged: String,
    /// Those of which it was told to come back, since the last that was acknowledged: the database may
    /// have gone away before it wrote them, or after.
    unsure: Vec<String>,
    /// How often it has looked.
    looked: u32,
    /// Whether it was turned away, and has not looked since.
    is_to_look: bool,
}

impl<'a> Writer<'a> {
    fn new(load: &'a Load<'a>, user: &'a str) -> Self {
        Self {
            load,
            user,
            written: 0,
            acknowledged: String::new(),
            unsure: Vec::new(),
            looked: 0,
            is_to_look: false,
        }
    }

    /// One request; says whether a write was acknowledged after the restart.
    async fn go_on(&mut self) -> bool {
        if self.is_to_look {
            if let Some(title) = self.load.title(self.user).await {
                let is_known = title == self.acknowledged || self.unsure.contains(&title);
                assert!(is_known, "{title} after {}, {:?}", self.acknowledged, self.unsure);
                self.looked += 1;
                self.is_to_look = false;
            }
            return false;
        }
        self.written += 1;
        let title = format!("x{}", self.written);
        let set = json!([{ "op": "replace", "path": "title", "value": title }]);
        let body = patch_body(set);
        let write = self.load.client.scim("PATCH", self.user, Some(&body));
        let (answer, after) = self.load.ask(write).await;
        if answer.is_some() {
            (self.acknowledged, self.is_to_look) = (title, false);
            self.unsure.clear();
        } else {
            self.unsure.push(title);
            self.is_to_look = true;
        }
        let is_served = answer.is_some() && after;
        if is_served {
            self.load.serves();
        }
        is_served
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

    let asked = http.get(format!("{address}/metrics")).send().await.expect("an answer");
    assert_eq!(asked.status(), 200);
    let told = asked.text().await.expect("text");
    for part in ["muster_store_up 0\n", "muster_http_requests_total{", "muster_build_info{"] {
        assert!(told.contains(part), "{part} in {told}");
    }

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
        // One after the other they would take five minutes.
        assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
    });
}
