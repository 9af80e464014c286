//! `/api/v1/events`: nothing is skipped, nothing comes twice, everybody sees one order, and whoever
//! waits is told.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use futures_util::future::{join, join_all};
use muster::db::connection::Conn;
use muster::db::events::{NewEvent, append};
use muster::db::schema::events;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::login::harness::Login;
use crate::support::{
    Backend, Case, ScimClient, TestApp, TestDatabase, cases, database_cases, patch_body,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        an_event_says_who_did_what_when,
        events_of_a_sign_in_carry_the_id_of_its_request,
        pages_go_from_the_beginning_to_the_end,
        the_events_of_a_deleted_connection_stay,
        a_page_is_bounded_by_what_its_events_hold,
        a_late_commit_of_an_early_sequence_is_delivered,
        a_reader_among_many_writers_gets_every_event_once,
        readers_of_two_processes_see_one_order,
        a_cursor_means_the_same_after_a_restart,
        whoever_waits_is_told_at_once,
        whoever_waits_is_told_of_another_process,
        whoever_waits_hears_of_their_own_connection_only,
        a_wait_ends_when_it_is_over,
        those_who_wait_hold_no_database_connection,
    ];
    let databases: &[Case] = database_cases![no_more_wait_than_may];
    [apps, databases].concat()
}

/// Longer than anything here takes, and shorter than a wait of a minute.
const SOON: Duration = Duration::from_secs(20);

/// The events of a page, and where the next one begins.
async fn page(client: &ScimClient, query: &str) -> (Vec<Value>, String) {
    let body = client.get(&format!("/events?{query}")).await.expect(200).body;
    let events = body["events"].as_array().expect("events").clone();
    (events, body["next"].as_str().expect("a cursor").to_owned())
}

/// Everything that is there, `count` at a time, from a cursor on.
async fn all_after(client: &ScimClient, after: &str, count: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), after.to_owned());
    loop {
        let (events, next) = page(client, &format!("count={count}&after={after}")).await;
        if events.is_empty() {
            assert_eq!(next, after, "the cursor stays where it is");
            return found;
        }
        assert_eq!(events.last().expect("an event")["cursor"], next.as_str());
        found.extend(events);
        after = next;
    }
}

fn subjects(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["subject"]["id"].as_str().expect("an id")).collect()
}

async fn an_event_says_who_did_what_when(app: TestApp) {
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    let answer = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let (events, next) = page(&admin, &format!("after={start}&connection=default")).await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!(event["cursor"], next.as_str());
    assert_eq!(event["connection"], "default");
    assert!(event["connectionId"].is_string());
    let time = event["time"].as_str().expect("a time");
    assert!(time.ends_with('Z') && muster::scim::filter::instant(time).is_some(), "{time}");
    assert_eq!(event["actor"]["type"], "token");
    assert!(event["actor"]["id"].is_string());
    assert_eq!(event["requestId"].as_str(), answer.header("x-request-id"));
    assert_eq!(event["action"], "created");
    assert_eq!(event["subject"], json!({ "type": "user", "id": answer.id() }));
    assert_eq!(event["data"]["after"]["userName"], "ann");
}

async fn events_of_a_sign_in_carry_the_id_of_its_request(app: TestApp) {
    let login = Login::new(&app).await;
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    app.set(|settings| settings.sign_in.jit = false).await;
    let begun = login.begin(&login.code_request()).await;
    let mut stranger = login.token(&app, &begun);
    stranger.claims["sub"] = "00ubob".into();
    stranger.claims["preferred_username"] = "bob@example.com".into();
    login.provider.gives(stranger);
    let refusal = login.come_back(&begun).await.expect(403);
    let (events, _) = page(&admin, &format!("after={start}&count=1000")).await;
    let of_sign_ins = events.iter().filter(|event| event["actor"]["type"] == "sign-in");
    let mut ids: Vec<&str> =
        of_sign_ins.map(|event| event["requestId"].as_str().expect("an id")).collect();
    ids.dedup();
    let expected = [&answer, &refusal].map(|answer| answer.header("x-request-id").expect("an id"));
    assert_eq!(ids, expected);
}

async fn pages_go_from_the_beginning_to_the_end(app: TestApp) {
    let admin = app.admin().await;
    for number in 0..7 {
        let body = json!({ "userName": format!("user{number}") });
        app.scim().post("/Users", &body).await.expect(201);
    }
    // The connection, its token, the admin token and the seven.
    let all = all_after(&admin, "0", 1000).await;
    assert_eq!(all.len(), 10);
    assert_eq!(all[0]["subject"]["type"], "connection");
    for count in [1, 2, 10] {
        assert_eq!(all_after(&admin, "0", count).await, all, "{count}");
    }
    let (again, _) = page(&admin, "").await;
    assert_eq!(again, all, "a page can be had again");
    let (none, next) = page(&admin, "after=10").await;
    assert!(none.is_empty() && next == "10");
    for ahead in ["11", "9223372036854775807"] {
        admin.get(&format!("/events?after={ahead}")).await.expect(400);
    }
}

async fn the_events_of_a_deleted_connection_stay(app: TestApp) {
    let admin = app.admin().await;
    app.other("other").await.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let (before, _) = page(&admin, "connection=other").await;
    let now = app.clock.now();
    app.db
        .write("delete", move |conn| muster::directory::connections::delete(conn, "other", now))
        .await
        .expect("a connection to delete");
    let id = before[0]["connectionId"].clone();
    let (all, _) = page(&admin, "").await;
    let of_it: Vec<&Value> = all.iter().filter(|event| event["connectionId"] == id).collect();
    assert_eq!(of_it.len(), before.len() + 1);
    assert!(of_it.iter().all(|event| event["connection"].is_null()));
    assert_eq!(of_it.last().expect("an event")["action"], "deleted");
}

async fn a_page_is_bounded_by_what_its_events_hold(app: TestApp) {
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    let mut conn = app.database.connect();
    let large = json!({ "text": "x".repeat(5 * 1024 * 1024) }).to_string();
    for number in 0..3 {
        write_event(&mut conn, &format!("large{number}"), &large);
    }
    let (events, next) = page(&admin, &format!("after={start}")).await;
    assert_eq!(subjects(&events), ["large0"], "one is there, however large");
    let rest = all_after(&admin, &next, 1000).await;
    assert_eq!(subjects(&rest), ["large1", "large2"]);
}

fn write_event(conn: &mut Conn, subject_id: &str, data: &str) {
    let event = NewEvent {
        connection_id: "nobodys",
        at: 0,
        actor: "command-line",
        actor_id: None,
        request_id: None,
        action: "updated",
        subject: "user",
        subject_id,
        data: data.to_owned(),
        changes: "[]".to_owned(),
    };
    append(conn, &event).expect("an event");
}

async fn a_late_commit_of_an_early_sequence_is_delivered(app: TestApp) {
    // SQLite has one writer: nothing else commits between a sequence and its commit.
    if app.database.backend == Backend::Sqlite {
        return;
    }
    let admin = app.admin().await;
    let sequence = |conn: &mut Conn, id: &str| -> i64 {
        let of_it = events::table.filter(events::subject_id.eq(id)).select(events::sequence);
        of_it.first(conn).expect("a sequence")
    };
    let (mut early, mut late) = (app.database.connect(), app.database.connect());
    for early_commits_first in [true, false] {
        let (_, start) = page(&admin, "count=1000").await;
        let (first, second) =
            (format!("early{early_commits_first}"), format!("late{early_commits_first}"));
        early.batch_execute("BEGIN").expect("a transaction");
        write_event(&mut early, &first, "{}");
        late.batch_execute("BEGIN").expect("a transaction");
        write_event(&mut late, &second, "{}");
        let taken = (sequence(&mut early, &first), sequence(&mut late, &second));
        assert!(taken.0 < taken.1, "{taken:?}");
        let (before, unmoved) = page(&admin, &format!("after={start}")).await;
        assert!(before.is_empty() && unmoved == start, "nothing is committed yet");
        let (conn, other) =
            if early_commits_first { (&mut early, &mut late) } else { (&mut late, &mut early) };
        conn.batch_execute("COMMIT").expect("a commit");
        let (committed, next) = page(&admin, &format!("after={start}")).await;
        other.batch_execute("COMMIT").expect("a commit");
        let (later, _) = page(&admin, &format!("after={next}")).await;
        let want = if early_commits_first { [&first, &second] } else { [&second, &first] };
        assert_eq!(subjects(&committed), [want[0].as_str()]);
        assert_eq!(subjects(&later), [want[1].as_str()], "it is not skipped");
        let (whole, _) = page(&admin, &format!("after={start}")).await;
        assert_eq!(subjects(&whole), [want[0].as_str(), want[1].as_str()], "one order for ever");
    }
}

/// Lets 24 writers at two servers write, six changes each.
async fn write_much(app: &TestApp, replica: &TestApp) {
    let writers = (0..24).map(|writer| {
        let client = match writer % 2 {
            0 => app.scim(),
            _ => replica.with_token(app.default_token()),
        };
        async move {
            let body = json!({ "userName": format!("user{writer}") });
            let id = client.post("/Users", &body).await.expect(201).id();
            for turn in 0..5 {
                let value = json!([{ "op": "replace", "value": { "active": turn % 2 == 1 } }]);
                client.patch(&format!("/Users/{id}"), &patch_body(value)).await.expect(200);
            }
        }
    });
    join_all(writers).await;
}

/// Follows the feed until `total` events have come.
async fn follow(client: &ScimClient, start: &str, total: usize) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), start.to_owned());
    while found.len() < total {
        let (events, next) = page(client, &format!("after={after}&count=7&wait=30")).await;
        found.extend(events);
        after = next;
    }
    found
}

async fn a_reader_among_many_writers_gets_every_event_once(app: TestApp) {
    let (admin, replica) = (app.admin().await, app.replica().await);
    let (_, start) = page(&admin, "").await;
    let reading = timeout(SOON * 3, follow(&admin, &start, 24 * 6));
    let (read, ()) = join(reading, write_much(&app, &replica)).await;
    let read = read.expect("every event, soon");
    assert!(all_after(&admin, &start, 1000).await == read, "the same, read at leisure");
    let positions: Vec<i64> = read
        .iter()
        .map(|event| event["cursor"].as_str().expect("a cursor").parse().expect("a number"))
        .collect();
    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "{positions:?}");
    let written: i64 =
        events::table.count().get_result(&mut app.database.connect()).expect("a count");
    let before: i64 = start.parse().expect("a number");
    assert_eq!(i64::try_from(read.len()).expect("a count"), written - before);
    replica.stopper().await;
}

async fn readers_of_two_processes_see_one_order(app: TestApp) {
    let (admin, replica) = (app.admin().await, app.replica().await);
    let (_, token) = app.new_admin_token(None).await;
    let (here, there) = (app.api_with(&token), replica.api_with(&token));
    let (_, start) = page(&admin, "").await;
    let reading =
        timeout(SOON * 3, join(follow(&here, &start, 24 * 6), follow(&there, &start, 24 * 6)));
    let (read, ()) = join(reading, write_much(&app, &replica)).await;
    let (here, there) = read.expect("every event, soon");
    assert!(here == there);
    // What happened to one user comes in the order in which it happened.
    for event in here.iter().filter(|event| event["action"] == "created") {
        let of_user: Vec<&Value> =
            here.iter().filter(|other| other["subject"] == event["subject"]).collect();
        assert_eq!(of_user[0]["action"], "created");
        for pair in of_user.windows(2) {
            assert_eq!(pair[0]["data"]["after"], pair[1]["data"]["before"]);
        }
    }
    replica.stopper().await;
}

async fn a_cursor_means_the_same_after_a_restart(app: TestApp) {
    let admin = app.admin().await;
    for name in ["ann", "bob", "cid"] {
        app.scim().post("/Users", &json!({ "userName": name })).await.expect(201);
    }
    let (_, token) = app.new_admin_token(None).await;
    let (first, next) = page(&admin, "count=3").await;
    // The rest has not been read, and so has no place in the feed yet; a copy gives it the same.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("copy.db");
    let copy = file.clone();
    app.db
        .read(move |conn| muster::db::backup::write(conn, &copy))
        .await
        .expect("a copy of the store");
    let rest = all_after(&admin, &next, 1000).await;
    let url = format!("sqlite://{}", file.display());
    let copied = TestApp::start(TestDatabase::at(Backend::Sqlite, &url)).await;
    let reader = copied.api_with(&token);
    let (again, same) = page(&reader, "count=3").await;
    assert_eq!((again, same), (first, next.clone()));
    let more = all_after(&reader, &next, 1000).await;
    assert_eq!(more[..rest.len()], rest);
    copied.stopper().await;
}

async fn whoever_waits_is_told_at_once(app: TestApp) {
    // Whoever is not told of what happens here looks once a second for what others have written.
    const ROUNDS: u32 = 20;
    let admin = app.admin().await;
    let (_, mut start) = page(&admin, "").await;
    let begun = Instant::now();
    for number in 0..ROUNDS {
        let query = format!("after={start}&wait=60");
        let write = async {
            app.until_somebody_waits().await;
            let body = json!({ "userName": format!("user{number}") });
            app.scim().post("/Users", &body).await
        };
        let both = join(page(&admin, &query), write);
        let ((events, next), made) = timeout(SOON, both).await.expect("an answer, soon");
        assert_eq!(subjects(&events), [made.expect(201).id()]);
        start = next;
    }
    assert!(begun.elapsed() < Duration::from_secs(18), "{:?}", begun.elapsed());
}

async fn whoever_waits_is_told_of_another_process(app: TestApp) {
    let (admin, replica) = (app.admin().await, app.replica().await);
    let other = replica.with_token(app.default_token());
    let (_, start) = page(&admin, "").await;
    let query = format!("after={start}&wait=60");
    let body = json!({ "userName": "ann" });
    let both = join(page(&admin, &query), other.post("/Users", &body));
    let ((events, _), made) = timeout(SOON, both).await.expect("an answer, soon");
    assert_eq!(subjects(&events), [made.expect(201).id()]);
    replica.stopper().await;
}

async fn whoever_waits_hears_of_their_own_connection_only(app: TestApp) {
    let admin = app.admin().await;
    let theirs = app.other("other").await;
    let (_, start) = page(&admin, "").await;
    let query = format!("after={start}&connection=default&wait=60");
    let write = async {
        for number in 0..5 {
            let body = json!({ "userName": format!("user{number}") });
            theirs.post("/Users", &body).await.expect(201);
        }
        app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201).id()
    };
    let ((events, _), id) =
        timeout(SOON, join(page(&admin, &query), write)).await.expect("an answer, soon");
    assert_eq!(subjects(&events), [id]);
}

async fn a_wait_ends_when_it_is_over(app: TestApp) {
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    let waited = timeout(SOON, page(&admin, &format!("after={start}&wait=1"))).await;
    assert_eq!(waited.expect("an answer, soon"), (Vec::new(), start));
}

async fn those_who_wait_hold_no_database_connection(app: TestApp) {
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    // Many more than there are connections.
    let query = format!("after={start}&wait=60");
    let waiting = join_all((0..24).map(|_| page(&admin, &query)));
    let work = async {
        for _ in 0..5 {
            app.scim().get("/Users").await.expect(200);
        }
        app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    };
    let (told, ()) = timeout(SOON, join(waiting, work)).await.expect("answers, soon");
    assert!(told.iter().all(|(events, _)| events.len() == 1));
}

async fn no_more_wait_than_may(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.max_waiting = 0).await;
    let admin = app.admin().await;
    let (_, start) = page(&admin, "").await;
    let told = timeout(SOON, page(&admin, &format!("after={start}&wait=60"))).await;
    assert_eq!(told.expect("an answer at once"), (Vec::new(), start));
    app.stopper().await;
}
