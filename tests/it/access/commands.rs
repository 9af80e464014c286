//! The commands that say what a token may do.

use serde_json::{Value, json};

use crate::support::process::{Server, fails, run, succeeds};
use crate::support::{Case, TestDatabase, database_cases};

pub const CASES: &[Case] =
    database_cases![a_token_is_narrowed_and_widened, a_limit_is_set_when_the_server_starts];

async fn a_token_is_narrowed_and_widened(database: TestDatabase) {
    let on = |arguments: &[&str]| run(&database, arguments);
    let json_of = |arguments: &[&str]| -> Value {
        let text = succeeds(&on(&[arguments, &["--json"]].concat()));
        serde_json::from_str(&text).expect("JSON")
    };
    succeeds(&on(&["connection", "create", "acme"]));
    let made = json_of(&["token", "create", "acme", "--scope", "users:read,groups:read"]);
    assert_eq!(made["scopes"], json!(["users:read", "groups:read"]));
    assert_eq!(made["allow_from"], json!([]));
    let (id, token) =
        (made["id"].as_str().expect("an id"), made["token"].as_str().expect("a token"));
    let server = Server::start(&database, &[]);
    let url = format!("{}/scim/v2/", server.field("Listening on").expect("an address"));
    let status = async |path: &str| {
        let request = reqwest::Client::new().get(format!("{url}{path}")).bearer_auth(token);
        request.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(status("Groups").await, 200);
    let updated = json_of(&["token", "update", id, "--scope", "users:read", "--label", "read"]);
    assert_eq!(updated["scopes"], json!(["users:read"]));
    assert_eq!(updated["label"], "read");
    assert_eq!((status("Users").await, status("Groups").await), (200, 403));
    let updated = json_of(&["token", "update", id, "--allow-from", "192.0.2.7", "2001:db8::1/32"]);
    assert_eq!(updated["allow_from"], json!(["192.0.2.7/32", "2001:db8::/32"]));
    assert_eq!(updated["scopes"], json!(["users:read"]), "what is not given stays");
    assert_eq!(status("Users").await, 403);
    let table = succeeds(&on(&["token", "list", "acme"]));
    assert!(
        table.contains("users:read") && table.contains("192.0.2.7/32 2001:db8::/32"),
        "{table}"
    );
    assert_eq!(json_of(&["token", "list", "acme"])[0]["allow_from"], updated["allow_from"]);
    json_of(&["token", "update", id, "--allow-from-everywhere"]);
    assert_eq!(status("Users").await, 200);
    // What is wrong says what is right, and changes nothing.
    let wrong = fails(&on(&["token", "update", id, "--scope", "users:delete"]), 2);
    assert!(wrong.contains("users:read users:write groups:read groups:write"), "{wrong}");
    let wrong = fails(&on(&["token", "create", "acme", "--allow-from", "here"]), 2);
    assert!(wrong.contains("192.0.2.0/24"), "{wrong}");
    assert!(fails(&on(&["token", "update", id]), 2).contains("--allow-from"));
    assert!(fails(&on(&["token", "update", "none", "--label", "x"]), 2).contains("token list"));
    assert_eq!(json_of(&["token", "list", "acme"]).as_array().map(Vec::len), Some(1));
    let help = succeeds(&on(&["token", "create", "--help"]));
    for word in ["users:read", "groups:write", "--allow-from", "MUSTER_TOKEN_SCOPE"] {
        assert!(help.contains(word), "{help}");
    }
    let made = json_of(&["admin-token", "create", "--allow-from", "10.0.0.0/8"]);
    let listed = json_of(&["admin-token", "list"]);
    assert_eq!(listed[0]["id"], made["id"]);
    assert_eq!(listed[0]["allow_from"], json!(["10.0.0.0/8"]));
}

async fn a_limit_is_set_when_the_server_starts(database: TestDatabase) {
    let server = Server::start(&database, &["--failure-limit", "2"]);
    let url = format!("{}/scim/v2/Users", server.field("Listening on").expect("an address"));
    let ask = async |token: &str| {
        let request = reqwest::Client::new().get(&url).bearer_auth(token);
        request.send().await.expect("an answer").status().as_u16()
    };
    let token = server.field("API token").expect("a token");
    assert_eq!(ask(&token).await, 200);
    let answers = [ask("a").await, ask("b").await, ask("c").await];
    assert_eq!(answers, [401, 401, 429]);
    assert_eq!(ask(&token).await, 200);
    let log = server.stop();
    assert!(!log.contains(&token), "{log}");
}
