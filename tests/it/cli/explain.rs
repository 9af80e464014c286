//! `muster explain` and `muster admin-token list`.

use serde_json::{Value, json};

use crate::support::process::{Server, fails, run, succeeds};
use crate::support::{Case, ScimClient, TestDatabase, database_cases, eventually};

pub const CASES: &[Case] = database_cases![
    a_membership_is_explained,
    a_user_of_several_connections_is_told_apart,
    a_user_or_team_that_is_not_there_is_named,
    admin_tokens_are_listed_with_their_use,
];

/// Sends a SCIM resource; gives its id.
async fn post(server: &Server, token: &str, path: &str, body: Value) -> String {
    let base = server.field("Listening on").expect("an address");
    let request = reqwest::Client::new()
        .post(format!("{base}/scim/v2{path}"))
        .bearer_auth(token)
        .header("content-type", "application/scim+json")
        .body(body.to_string());
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 201);
    let made: Value =
        serde_json::from_str(&answer.text().await.expect("a body")).expect("a resource");
    made["id"].as_str().expect("an id").to_owned()
}

fn json_of(database: &TestDatabase, arguments: &[&str]) -> Value {
    let text = succeeds(&run(database, &[arguments, &["--json"]].concat()));
    serde_json::from_str(&text).expect("JSON")
}

async fn a_membership_is_explained(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let ann = json!({ "userName": "Ann@example.com", "externalId": "00uann" });
    let id = post(&server, &token, "/Users", ann).await;
    let staff = json!({
        "displayName": "Staff", "externalId": "00g1", "members": [{ "value": id }],
    });
    let team = post(&server, &token, "/Groups", staff).await;
    let sales = post(&server, &token, "/Groups", json!({ "displayName": "Sales" })).await;
    succeeds(&run(&database, &["role", "grant", "default", "Staff", "editor"]));
    let text = succeeds(&run(&database, &["explain", "ANN@example.com"]));
    for part in [
        format!("Ann@example.com ({id})"),
        format!("Staff ({team})"),
        "member since".to_owned(),
        "has never named the user".to_owned(),
        "editor".to_owned(),
        "SCIM decides, because it manages the team and owns the user".to_owned(),
        "Remove the person from the group in the identity provider, and push it.".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    assert!(!text.contains("Sales"), "{text}");
    // However user and team are called, it is the same; and what the API says.
    let want = json_of(&database, &["explain", &id, &team]);
    assert_eq!(want["memberships"][0]["scim"]["member"], true);
    assert_eq!(want["user"]["id"], id.as_str());
    for (user, name) in [("00uann", "staff"), ("ann@example.com", "00g1")] {
        let arguments = ["explain", user, name, "--connection", "Default"];
        assert_eq!(json_of(&database, &arguments), want, "{user} {name}");
    }
    let admin = succeeds(&run(&database, &["admin-token", "create"]));
    let base = server.field("Listening on").expect("an address");
    let url = format!("{base}/api/v1/users/{id}/explain?team={team}");
    let answer = reqwest::Client::new().get(url).bearer_auth(admin).send().await;
    let text = answer.expect("an answer").text().await.expect("a body");
    assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), want);
    // A team that nobody has spoken of.
    let text = succeeds(&run(&database, &["explain", &id, &sales]));
    assert!(text.contains("not a member") && text.contains("Add the person"), "{text}");
}

async fn a_user_of_several_connections_is_told_apart(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let first = server.field("API token").expect("a token");
    succeeds(&run(&database, &["connection", "create", "acme"]));
    let second = succeeds(&run(&database, &["token", "create", "acme"]));
    let body = json!({ "userName": "ann" });
    let ours = post(&server, &first, "/Users", body.clone()).await;
    let theirs = post(&server, &second, "/Users", body).await;
    let errors = fails(&run(&database, &["explain", "ann"]), 2);
    assert!(errors.contains("acme, default"), "{errors}");
    for (connection, id) in [("default", &ours), ("acme", &theirs)] {
        let found = json_of(&database, &["explain", "--connection", connection, "ann"]);
        assert_eq!(found["user"]["id"], id.as_str());
        assert_eq!(json_of(&database, &["explain", id]), found, "an id is in one connection");
    }
    fails(&run(&database, &["explain", "--connection", "acme", &ours]), 2);
    // One user's name is another one's external id.
    let bob = json!({ "userName": "bob", "externalId": "ann" });
    let bob = post(&server, &first, "/Users", bob).await;
    let errors = fails(&run(&database, &["explain", "--connection", "default", "ann"]), 2);
    assert!(errors.contains(&ours) && errors.contains(&bob), "{errors}");
}

async fn a_user_or_team_that_is_not_there_is_named(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let token = server.field("API token").expect("a token");
    let id = post(&server, &token, "/Users", json!({ "userName": "ann" })).await;
    let text = succeeds(&run(&database, &["explain", &id]));
    assert!(text.contains("in any team"), "{text}");
    assert!(fails(&run(&database, &["explain", "bob"]), 2).contains("'bob'"));
    assert!(fails(&run(&database, &["explain", "ann", "Staff"]), 2).contains("'Staff'"));
    let nowhere = run(&database, &["explain", "ann", "--connection", "nowhere"]);
    assert!(fails(&nowhere, 2).contains("'nowhere'"));
}

async fn admin_tokens_are_listed_with_their_use(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let token = succeeds(&run(&database, &["admin-token", "create", "--label", "back end"]));
    let list = || json_of(&database, &["admin-token", "list"]);
    assert_eq!(list()[0]["label"], "back end");
    assert_eq!(list()[0]["last_used_at"], Value::Null);
    let base = server.field("Listening on").expect("an address");
    ScimClient::of(&format!("{base}/api/v1"), &token).get("/users").await.expect(200);
    eventually("the use of the token is noted", async || !list()[0]["last_used_at"].is_null())
        .await;
    let table = succeeds(&run(&database, &["admin-token", "list"]));
    assert!(table.starts_with("ID") && table.contains("LAST USED"), "{table}");
    assert!(table.contains("back end") && !table.contains(&token), "{table}");
}
