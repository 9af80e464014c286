//! Jobs beside each other and beside other requests, and what is recorded of them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use diesel::prelude::*;
use futures_util::future::join_all;
use muster::db::schema::events;
use serde_json::{Value, json};

use super::{
    ENTERPRISE, carry_out, count, delete, group, id, job, managed_user, members, patch, path, read,
    statuses, user,
};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    of_two_jobs_that_create_one_user_one_succeeds,
    jobs_with_circles_do_not_get_into_each_others_way,
    every_event_carries_the_id_of_the_job,
    a_job_sent_again_finds_what_it_made,
    a_large_group_is_changed_one_by_one,
    a_job_goes_on_when_nobody_waits_for_it,
];

async fn of_two_jobs_that_create_one_user_one_succeeds(app: TestApp) {
    let replica = app.replica().await;
    let clients = [app.scim(), replica.with_token(app.default_token())];
    let operations = |first: &str, second: &str| {
        json!([user(first), user("ann"), user(second), group("team", &["bulkId:ann"])])
    };
    let jobs = [operations("a", "b"), operations("c", "d")];
    let done = clients.iter().zip(jobs).map(|(client, job)| carry_out(client, job));
    let done = join_all(done).await;
    let [one, other] = done.as_slice() else { panic!("two jobs") };
    let (winner, loser) = if one[1]["status"] == "201" { (one, other) } else { (other, one) };
    assert_eq!(statuses(winner), ["201", "201", "201", "201"]);
    assert_eq!(statuses(loser), ["201", "409", "201", "409"]);
    assert_eq!(loser[1]["response"]["scimType"], "uniqueness");
    assert_eq!(count(&app.scim(), "/Users").await, 5);
    replica.stopper().await;
}

async fn jobs_with_circles_do_not_get_into_each_others_way(app: TestApp) {
    // Two at each server: no more are carried out of one connection at a time.
    const JOBS: usize = 4;
    let replica = app.replica().await;
    let old = carry_out(&app.scim(), json!([user("x"), user("y"), group("all", &[])])).await;
    let jobs = (0..JOBS).map(|number| {
        let client = match number % 2 {
            0 => app.scim(),
            _ => replica.with_token(app.default_token()),
        };
        // Two people who are there already, in either order, and a group.
        let (first, second) = if number % 3 == 0 { (0, 1) } else { (1, 0) };
        let (a, b) = (format!("a{number}"), format!("b{number}"));
        let put = |place: usize, reference: &str| {
            let name = if place == 0 { "x" } else { "y" };
            json!({
                "method": "PUT", "path": path(&old[place]), "bulkId": format!("p{place}"),
                "data": {
                    "userName": name,
                    ENTERPRISE: { "manager": { "value": format!("bulkId:{reference}") } },
                },
            })
        };
        let add = |name: &str| json!([{ "op": "add", "path": "members", "value": [{ "value": format!("bulkId:{name}") }] }]);
        let operations = json!([
            patch(&path(&old[2]), add(&a)),
            managed_user(&a, &format!("bulkId:{b}")),
            put(first, &a),
            managed_user(&b, &format!("bulkId:p{second}")),
            put(second, &format!("p{first}")),
        ]);
        async move { carry_out(&client, operations).await }
    });
    for results in join_all(jobs).await {
        assert_eq!(statuses(&results), ["200", "201", "200", "201", "200"], "{results:?}");
    }
    assert_eq!(members(&read(&app.scim(), &old[2]).await).len(), JOBS);
    assert_eq!(count(&app.scim(), "/Users").await, 2 + 2 * u64::try_from(JOBS).expect("a number"));
    replica.stopper().await;
}

async fn every_event_carries_the_id_of_the_job(app: TestApp) {
    let client = app.scim();
    let operations = json!([
        user("ann"),
        managed_user("bob", "bulkId:bob"),
        group("team", &["bulkId:ann"]),
        delete("/Users/bulkId:ann"),
        delete("/Users/ghost"),
    ]);
    let answer = client.post("/Bulk", &job(operations)).await.expect(200);
    let request = answer.header("x-request-id").expect("an id");
    let recorded: Vec<(String, Option<String>)> = events::table
        .filter(events::actor.eq("token"))
        .order(events::sequence)
        .select((events::action, events::request_id))
        .load(&mut app.database.connect())
        .expect("events");
    let actions: Vec<&str> = recorded.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["created", "created", "updated", "created", "deleted"]);
    assert!(recorded.iter().all(|(_, id)| id.as_deref() == Some(request)), "{recorded:?}");
}

/// A client that did not hear the answer sends the job again.
async fn a_job_sent_again_finds_what_it_made(app: TestApp) {
    let client = app.scim();
    let old = client.post("/Users", &json!({ "userName": "old" })).await.expect(201).id();
    let operations = json!([
        user("ann"),
        { "method": "PUT", "path": format!("/Users/{old}"), "data": { "userName": "new" } },
        delete(&format!("/Users/{old}")),
    ]);
    let first = carry_out(&client, operations.clone()).await;
    assert_eq!(statuses(&first), ["201", "200", "204"]);
    assert_eq!(statuses(&carry_out(&client, operations).await), ["409", "404", "404"]);
    assert_eq!(count(&client, "/Users").await, 1);
}

async fn a_large_group_is_changed_one_by_one(app: TestApp) {
    let client = app.scim();
    let mut people = Vec::new();
    for half in ["a", "b"] {
        let users: Value = (0..600).map(|number| user(&format!("{half}{number}"))).collect();
        people.extend(carry_out(&client, users).await.iter().map(id));
    }
    let ids: Vec<&str> = people.iter().map(String::as_str).collect();
    let all: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let add = json!([{ "op": "add", "path": "members", "value": all }]);
    let remove = format!("members[value eq \"{}\"]", ids[0]);
    let operations = json!([
        patch("/Groups/bulkId:big", add),
        patch("/Groups/bulkId:big", json!([{ "op": "remove", "path": remove }])),
        group("big", &ids[..600]),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["200", "200", "201"]);
    // More members than an answer shows: the version is the group's own.
    assert_eq!(results[1]["version"], "W/\"3\"");
    let group = read(&client, &results[2]).await;
    assert_eq!(members(&group).len(), 1199);
    assert!(!members(&group).contains(&ids[0]));
}

async fn a_job_goes_on_when_nobody_waits_for_it(app: TestApp) {
    const MANY: usize = 200;
    let operations: Value = (0..MANY).map(|number| user(&format!("u{number}"))).collect();
    let body = job(operations).to_string();
    let address = app.base_url.trim_start_matches("http://");
    let request = format!(
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n\
         POST /scim/v2/Bulk HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        app.default_token(),
        body.len()
    );
    let mut commits = app.db.commits();
    let mut stream = TcpStream::connect(address).expect("a connection");
    // A test that would wait for ever has failed.
    stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a setting");
    stream.write_all(request.as_bytes()).expect("a request");
    // What is left unread breaks the connection off, rather than closing it in order.
    stream.peek(&mut [0]).expect("the first answer");
    commits.changed().await.expect("the first commit");
    drop(stream);
    let all = async {
        while count(&app.scim(), "/Users").await < u64::try_from(MANY).expect("a number") {
            commits.changed().await.expect("a commit");
        }
    };
    tokio::time::timeout(Duration::from_mins(1), all).await.expect("the whole job");
}
