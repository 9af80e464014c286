//! Turns at the database: time, a line with an end, and a share for each connection.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use muster::app::PEOPLE;
use muster::config::Settings;
use muster::db::{Db, StoreError};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{
    Kind, comes_back, connection_id, counted, each_kind, each_kind_comes_back, is_told,
    names_seconds, until,
};
use crate::login::harness::Login;
use crate::support::{
    Backend, Case, ScimClient, TestApp, TestDatabase, database_cases, eventually,
};

pub const CASES: &[Case] = database_cases![
    a_search_that_takes_too_long_is_ended,
    a_lookup_that_takes_too_long_is_to_come_back,
    one_connection_cannot_keep_the_others_out,
    a_crowd_of_browsers_leaves_room_for_directories,
    the_line_has_an_end,
    nobody_waits_for_longer_than_there_is_patience,
    a_connection_has_half_of_the_line,
];

/// Turns at the database that are taken until this is dropped.
struct Taken {
    release: Vec<Sender<()>>,
    done: Vec<JoinHandle<()>>,
}

/// Takes so many turns for reading or writing, and comes back once it has them all.
async fn take(db: &Db, pool: &str, turns: usize) -> Taken {
    let mut taken = Taken { release: Vec::new(), done: Vec::new() };
    let is_one_writer = pool == "write" && db.url().file().is_some();
    let held = Arc::new(AtomicUsize::new(0));
    for _ in 0..turns {
        let (release, released) = channel();
        taken.release.push(release);
        let hold = hold(db.clone(), pool == "write", held.clone(), released);
        taken.done.push(actix_web::rt::spawn(hold));
    }
    eventually(&format!("{turns} turns of {pool} are taken"), async || {
        let is_over = taken.done.iter().any(JoinHandle::is_finished);
        assert!(!is_over, "a turn of {pool} was not given, or has ended by itself");
        // Of the turns for one writer, one is carried out, and the others keep it from the rest.
        let begun = if is_one_writer { 1 } else { turns };
        held.load(Ordering::SeqCst) == begun && in_use(db, pool) >= turns
    })
    .await;
    taken
}

async fn hold(db: Db, for_writing: bool, held: Arc<AtomicUsize>, released: Receiver<()>) {
    let released = Arc::new(Mutex::new(released));
    let wait = move || {
        held.fetch_add(1, Ordering::SeqCst);
        // An error is a release too.
        let _ = released.lock().expect("a channel").recv();
        Ok::<_, StoreError>(())
    };
    let done = if for_writing {
        db.note("hold", move |_| wait()).await
    } else {
        db.read(move |_| wait()).await
    };
    done.expect("a turn");
}

impl Taken {
    async fn release(self) {
        drop(self.release);
        for done in self.done {
            done.await.expect("a turn that ends");
        }
    }
}

fn in_use(db: &Db, pool: &str) -> usize {
    let load = db.load();
    load.iter().find(|(name, _)| *name == pool).expect("a pool").1.in_use
}

fn waiting(db: &Db) -> usize {
    db.load().iter().map(|(_, load)| load.waiting).sum()
}

/// How often a turn did not come in time.
fn late_so_far(db: &Db) -> u64 {
    db.load().iter().map(|(_, load)| load.late).sum()
}

async fn until_waiting(db: &Db, many: usize) {
    eventually(&format!("{many} wait"), async || waiting(db) >= many).await;
}

/// Uses the tokens, until it is noted that they were used: that would take turns of its own.
async fn until_noted(app: &TestApp, clients: &[&ScimClient]) {
    use diesel::prelude::*;
    use muster::db::schema::tokens;
    for client in clients {
        client.get("/Users").await.expect(200);
    }
    let unused = || {
        app.db.read(|conn| {
            let unused = tokens::table.filter(tokens::last_used_at.is_null()).count();
            Ok::<i64, StoreError>(unused.get_result(conn)?)
        })
    };
    eventually("the use of the tokens is noted", async || {
        unused().await.expect("a number") == 0 && in_use(&app.db, "write") == 0
    })
    .await;
}

/// A user to create, in which there is nothing that would be noted about the token: that takes a turn.
fn user(name: &str) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name })
}

/// How many turns there are for reading and for writing, at the size that the harness uses.
fn turns(backend: Backend, pool: &str) -> usize {
    match (backend, pool) {
        (Backend::Sqlite, "read") => 4,
        (Backend::Sqlite, _) => 64,
        (Backend::Postgres, "read") => 1,
        (Backend::Postgres, _) => 3,
    }
}

/// Keeps PostgreSQL from answering whoever asks for users; on SQLite no time is left from the start.
struct Slow {
    lock: Option<muster::db::Conn>,
}

impl Slow {
    fn limit(backend: Backend) -> Duration {
        match backend {
            Backend::Sqlite => Duration::ZERO,
            Backend::Postgres => Duration::from_secs(1),
        }
    }

    fn begin(database: &TestDatabase) -> Self {
        let mut conn = database.connect();
        let muster::db::Conn::Postgres(inner) = &mut conn else { return Self { lock: None } };
        inner.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").expect("a lock");
        Self { lock: Some(conn) }
    }
}

async fn a_search_that_takes_too_long_is_ended(database: TestDatabase) {
    let limit = Slow::limit(database.backend);
    let app = TestApp::start_with(database, |settings| settings.query_timeout = limit).await;
    let (client, other) = (app.scim(), app.other("other").await);
    client.post("/Users", &user("ann")).await.expect(201);
    let slow = Slow::begin(&app.database);
    let costly = vec!["emails.type co \"x\""; 250].join(" or ");
    for search in
        [json!({ "filter": costly }), json!({ "filter": "title co \"x\"", "sortBy": "title" })]
    {
        for path in ["/Users/.search", "/.search"] {
            let answer = client.post(path, &search).await;
            let detail = answer.expect_error(400, Some("tooMany"));
            assert!(detail.contains("userName"), "{detail}");
        }
    }
    assert!(counted(&app, r#"muster_turned_away_total{reason="query-time"}"#).await >= 4);
    // What does not look at users is answered all along.
    other.get("/Groups").await.expect(200);
    drop(slow.lock);
    client.get("/Users").await.expect(200);
}

async fn a_lookup_that_takes_too_long_is_to_come_back(database: TestDatabase) {
    if database.backend == Backend::Sqlite {
        // There no lookup takes long: nothing waits for anybody.
        return;
    }
    let limit = Slow::limit(database.backend);
    let app = TestApp::start_with(database, |settings| settings.query_timeout = limit).await;
    let client = app.scim();
    let id = client.post("/Users", &user("ann")).await.expect(201).id();
    let slow = Slow::begin(&app.database);
    comes_back(client.get(&format!("/Users/{id}")).await, 503);
    comes_back(client.get("/Users").await, 503);
    names_seconds(&app.admin().await.get("/users").await.expect(503));
    drop(slow.lock);
    client.get(&format!("/Users/{id}")).await.expect(200);
}

async fn one_connection_cannot_keep_the_others_out(database: TestDatabase) {
    let backend = database.backend;
    let patience = |settings: &mut Settings| settings.queue_patience = super::LONG;
    let app = TestApp::start_with(database, patience).await;
    let (client, other) = (app.scim(), app.other("other").await);
    until_noted(&app, &[&client, &other]).await;
    // On SQLite there are several readers, on PostgreSQL several writers.
    let pool = if backend == Backend::Sqlite { "read" } else { "write" };
    let own = app.db.of(&connection_id(&app, "default").await);
    let share = turns(backend, pool).div_ceil(2);
    let taken = take(&own, pool, share).await;
    // There are turns left, but not for this connection.
    let request = move || async move {
        let user = user("ann");
        if backend == Backend::Sqlite {
            client.get("/Users").await.expect(200)
        } else {
            client.post("/Users", &user).await.expect(201)
        }
    };
    let late = actix_web::rt::spawn(request());
    until_waiting(&app.db, 1).await;
    // What is noted about a token takes a turn of its own, and gives it back.
    eventually("no more than the share is in use", async || in_use(&app.db, pool) <= share).await;
    for number in 0..10 {
        other.get("/Users").await.expect(200);
        other.post("/Users", &user(&format!("u{number}"))).await.expect(201);
    }
    assert!(!late.is_finished(), "it waits for its own connection's turns");
    taken.release().await;
    late.await.expect("an answer");
}

async fn a_crowd_of_browsers_leaves_room_for_directories(database: TestDatabase) {
    let backend = database.backend;
    let patience = |settings: &mut Settings| settings.queue_patience = super::LONG;
    let app = TestApp::start_with(database, patience).await;
    let login = Login::new(&app).await;
    let client = app.scim();
    until_noted(&app, &[&client]).await;
    let pool = if backend == Backend::Sqlite { "read" } else { "write" };
    let share = turns(backend, pool).div_ceil(2);
    let taken = take(&app.db.of(PEOPLE), pool, share).await;
    // There are turns left, but not for one more who wants to sign in.
    let late = actix_web::rt::spawn(async move { login.get(&login.code_request(), None).await });
    until_waiting(&app.db, 1).await;
    for number in 0..10 {
        client.get("/Users").await.expect(200);
        client.post("/Users", &user(&format!("u{number}"))).await.expect(201);
    }
    assert!(!late.is_finished(), "it waits for the turns of its own kind");
    taken.release().await;
    late.await.expect("an answer").expect(303);
}

async fn the_line_has_an_end(database: TestDatabase) {
    let backend = database.backend;
    let app = TestApp::start_with(database, |settings| {
        settings.max_queue = 2;
        settings.queue_patience = super::LONG;
    })
    .await;
    let admin = app.admin().await;
    let taken = take(&app.db, "read", turns(backend, "read")).await;
    let mut late = Vec::new();
    for number in 0..2 {
        let client = app.scim();
        late.push(actix_web::rt::spawn(async move { client.get("/Users").await }));
        until_waiting(&app.db, number + 1).await;
    }
    let detail = each_kind_comes_back(&app, &admin).await;
    assert!(detail.contains("more to do"), "{detail}");
    app.anonymous().get("/readyz").await.expect(503);
    // What needs no database is there.
    app.anonymous().get("/healthz").await.expect(200);
    assert_eq!(counted(&app, r#"muster_database_waiting{pool="read"}"#).await, 2);
    assert!(counted(&app, r#"muster_turned_away_total{reason="queue-full"}"#).await >= 8);
    taken.release().await;
    for late in late {
        late.await.expect("an answer").expect(200);
    }
    app.scim().get("/Users").await.expect(200);
}

async fn nobody_waits_for_longer_than_there_is_patience(database: TestDatabase) {
    const PATIENCE: Duration = Duration::from_millis(500);
    // What there is by itself is ten seconds.
    const LESS_THAN_USUAL: Duration = Duration::from_secs(8);
    const LATE: &str = r#"muster_turned_away_total{reason="queue-time"}"#;
    let backend = database.backend;
    let app = TestApp::start_with(database, |settings| settings.queue_patience = PATIENCE).await;
    let (client, admin) = (app.scim(), app.admin().await);
    until_noted(&app, &[&client]).await;
    // What the metrics count waits for its turn as well.
    app.app.count_figures().await;
    let taken = take(&app.db, "read", turns(backend, "read")).await;
    let mut late = 0;
    // One after the other, so that it is each that has waited.
    for (kind, request) in each_kind(&app, &admin) {
        let begun = Instant::now();
        let answer = request.await;
        let waited = begun.elapsed();
        assert!((PATIENCE..LESS_THAN_USUAL).contains(&waited), "{kind:?} {waited:?}");
        let said = is_told(kind, answer);
        assert!(kind != Kind::Scim || said.contains("more to do"), "{said}");
        late += 1;
        // Not by a request for the metrics, which may have to wait as well.
        assert_eq!(late_so_far(&app.db), late, "{kind:?}");
    }
    assert_eq!(late, 7);
    taken.release().await;
    // Those who wait for the one writer have no more patience than others.
    let writers = if backend == Backend::Sqlite { 1 } else { turns(backend, "write") };
    let taken = take(&app.db, "write", writers).await;
    let begun = Instant::now();
    comes_back(client.post("/Users", &user("ann")).await, 503);
    let waited = begun.elapsed();
    assert!((PATIENCE..LESS_THAN_USUAL).contains(&waited), "{waited:?}");
    assert_eq!(late_so_far(&app.db), 8);
    assert_eq!(waiting(&app.db), 0, "who has gone leaves no place in the line");
    taken.release().await;
    assert_eq!(counted(&app, LATE).await, 8);
    // Who was turned away has changed nothing.
    client.post("/Users", &user("ann")).await.expect(201);
}

async fn a_connection_has_half_of_the_line(database: TestDatabase) {
    let backend = database.backend;
    let app = TestApp::start_with(database, |settings| {
        settings.max_queue = 6;
        settings.queue_patience = super::LONG;
    })
    .await;
    let (client, other) = (app.scim(), app.other("other").await);
    until_noted(&app, &[&client, &other]).await;
    let taken = take(&app.db, "write", turns(backend, "write")).await;
    let mut late = Vec::new();
    let post = |client: &ScimClient, name: &str| {
        let (client, user) = (client.clone(), user(name));
        actix_web::rt::spawn(async move { client.post("/Users", &user).await })
    };
    for name in ["ann", "ben", "cat"] {
        late.push(post(&client, name));
    }
    until_waiting(&app.db, 3).await;
    let detail = comes_back(client.post("/Users", &user("dan")).await, 429);
    assert!(detail.contains("fewer at a time"), "{detail}");
    assert_eq!(counted(&app, r#"muster_turned_away_total{reason="queue-share"}"#).await, 1);
    late.push(post(&other, "ann"));
    until(&app, r#"muster_database_waiting{pool="write"}"#, 4).await;
    taken.release().await;
    for late in late {
        late.await.expect("an answer").expect(201);
    }
    // Who was turned away has changed nothing.
    assert!(client.find("/Users", "userName eq \"dan\"").await.is_empty());
    client.post("/Users", &user("dan")).await.expect(201);
}
