//! `muster webhook`, and servers that send by themselves.

use std::process::Output;

use serde_json::{Value, json};

use super::{cursors, kinds};
use crate::support::process::{Server, fails, run, succeeds};
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Case, ScimClient, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    a_running_server_sends_by_itself,
    webhooks_are_managed,
    a_restart_loses_nothing
];

fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let all = [arguments, &["--json"]].concat();
    serde_json::from_str(&succeeds(&run(database, &all))).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn client(server: &Server, token: &str) -> ScimClient {
    ScimClient::of(&server.field("SCIM base URL").expect("an address"), token)
}

async fn push(client: &ScimClient, name: &str) {
    client.post("/Users", &json!({ "userName": name })).await.expect(201);
}

async fn a_running_server_sends_by_itself(database: TestDatabase) {
    let receiver = Receiver::start();
    let mut server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let client = client(&server, &token);
    let made = json_of(&database, &["webhook", "create", &receiver.url, "--action", "user.*"]);
    let secret = text(&made["secret"]);
    push(&client, "ann").await;
    push(&client, "bob").await;
    let received = receiver.wait_for(2).await;
    assert_eq!(kinds(&received), ["user.created", "user.created"]);
    assert!(received.iter().all(|one| one.is_signed_by(&secret)));
    // What another process writes is found, too.
    let other = Server::start(&database, &[]);
    push(&self::client(&other, &token), "cid").await;
    receiver.wait_for(3).await;
    receiver.answers([Reply::Status(500)]);
    push(&client, "dan").await;
    receiver.wait_for(4).await;
    let log = other.stop();
    // Whichever of them it was that sent it tells of it.
    if !log.contains("it answered 500") {
        server.logs("it answered 500");
    }
    let log = format!("{log}{}", server.stop());
    let random = secret.strip_prefix("whsec_").expect("a secret");
    assert!(!log.contains(&random[..16]), "the log shows the secret");
    assert!(!log.contains("what a receiver says"), "the log shows what a receiver says");
}

async fn a_restart_loses_nothing(database: TestDatabase) {
    let receiver = Receiver::start();
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    json_of(&database, &["webhook", "create", &receiver.url, "--action", "user.*"]);
    let client = client(&server, &token);
    for number in 0..5 {
        push(&client, &format!("user{number}")).await;
    }
    receiver.wait_for(1).await;
    server.stop();
    let server = Server::start(&database, &[]);
    push(&self::client(&server, &token), "last").await;
    let received = receiver.wait_for(6).await;
    assert_eq!(received.len(), 6, "a server that was stopped well sends nothing twice");
    assert!(cursors(&received).is_sorted());
    assert_eq!(received[5].body["data"]["data"]["after"]["userName"], "last");
    server.stop();
}

/// Has an event sent while the receiver answers on this thread.
async fn test(database: &TestDatabase, id: &str) -> Output {
    let (database, id) = (database.clone(), id.to_owned());
    let running = move || run(&database, &["webhook", "test", &id, "--json"]);
    tokio::task::spawn_blocking(running).await.expect("a run")
}

async fn webhooks_are_managed(database: TestDatabase) {
    succeeds(&run(&database, &["connection", "create", "acme"]));
    let receiver = Receiver::start();
    let url = receiver.url.as_str();
    // The secret stands alone on stdout.
    let create = ["webhook", "create", url, "--connection", "acme", "--label", "app"];
    let secret = succeeds(&run(&database, &create));
    assert!(secret.starts_with("whsec_") && !secret.contains(char::is_whitespace), "{secret}");
    let listed = json_of(&database, &["webhook", "list"]);
    let id = text(&listed[0]["id"]);
    assert_eq!(listed[0]["connection"], "acme");
    assert_eq!(listed[0].get("secret"), None);
    let table = succeeds(&run(&database, &["webhook", "list"]));
    assert!(table.contains(&id) && table.contains("acme") && table.contains("active"), "{table}");
    let shown = succeeds(&run(&database, &["webhook", "show", &id]));
    assert!(shown.contains(url) && !shown.contains("whsec_"), "{shown}");

    let update = ["webhook", "update", &id, "--action", "user.created", "team.*", "--label", "b"];
    let updated = json_of(&database, &update);
    assert_eq!(
        (&updated["types"], &updated["label"]),
        (&json!(["team.*", "user.created"]), &json!("b"))
    );
    let updated = json_of(&database, &["webhook", "update", &id, "--all-actions"]);
    assert_eq!(updated["types"], Value::Null);
    assert_eq!(json_of(&database, &["webhook", "pause", &id])["state"], "paused");
    assert_eq!(json_of(&database, &["webhook", "resume", &id])["state"], "active");
    let rotated = json_of(&database, &["webhook", "rotate", &id, "--overlap", "1h"]);
    assert!(rotated["old_secret_until"].is_string());
    let rotated = json_of(&database, &["webhook", "rotate", &id, "--at-once"]);
    assert_eq!(rotated["old_secret_until"], Value::Null);

    let tested = succeeds(&test(&database, &id).await);
    let tested: Value = serde_json::from_str(&tested).expect("JSON");
    assert_eq!((&tested["taken"], &tested["result"]), (&json!(true), &json!("it answered 204")));
    let received = receiver.take();
    assert_eq!(kinds(&received), ["muster.test"]);
    assert!(received[0].is_signed_by(&text(&rotated["secret"])));
    receiver.answers([Reply::Status(404)]);
    let failed = test(&database, &id).await;
    fails(&failed, 1);
    assert!(String::from_utf8_lossy(&failed.stdout).contains("it answered 404"));

    let replayed = json_of(&database, &["webhook", "replay", &id, "--after", "0"]);
    assert_eq!(replayed["cursor"], "0");
    succeeds(&run(&database, &["webhook", "replay", &id, "--since", "2026-01-01T00:00:00Z"]));
    assert!(
        fails(&run(&database, &["webhook", "replay", &id, "--after", "999"]), 2).contains("999")
    );

    for (arguments, word) in [
        (vec!["webhook", "create", "http://app.example.com/"], "https"),
        (vec!["webhook", "create", url, "--action", "user.nothing"], "user.nothing"),
        (vec!["webhook", "create", url, "--connection", "nobody"], "nobody"),
        (vec!["webhook", "update", &id], "nothing to change"),
        (vec!["webhook", "replay", &id], "--after"),
        (vec!["webhook", "show", "x"], "muster webhook list"),
    ] {
        let errors = fails(&run(&database, &arguments), 2);
        assert!(errors.contains(word), "{errors}");
    }
    let private = run(&database, &["webhook", "create", "https://10.0.0.1/"]);
    succeeds(&private);
    assert!(String::from_utf8_lossy(&private.stderr).contains("--allow-webhook-network"));

    assert_eq!(json_of(&database, &["webhook", "delete", &id])["deleted"], id.as_str());
    assert_eq!(json_of(&database, &["webhook", "list"]).as_array().map(Vec::len), Some(1));
    assert!(fails(&run(&database, &["webhook", "delete", &id]), 2).contains("no webhook"));
}
