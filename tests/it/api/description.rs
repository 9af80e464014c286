//! `/api/v1/openapi.json`: what it says is there, and all that is there it says. That answers are as it
//! says, [`description::check`] sees at every answer of every test.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::signin::{ann, pushed_ann, sign_in};
use crate::support::{Case, TestApp, cases, description, patch_body, pure_cases};

pub fn cases() -> Vec<Case> {
    let served: &[Case] = cases![
        it_is_served_to_everybody_under_the_servers_own_address,
        what_it_describes_is_there_with_its_parameters,
    ];
    let pure: &[Case] = pure_cases![
        every_route_is_described_and_nothing_else,
        it_is_of_this_version,
        an_answer_that_is_not_described_is_noticed,
    ];
    [served, pure].concat()
}

/// Routes that describe themselves, or are pages for people alone.
const ELSEWHERE: [&str; 3] = ["/scim/v2", "/console", "/setup"];

async fn it_is_served_to_everybody_under_the_servers_own_address(app: TestApp) {
    let answer = app.anonymous().get("/api/v1/openapi.json").await.expect(200);
    assert_eq!(answer.body["openapi"], "3.1.0");
    assert_eq!(answer.body["servers"][0]["url"], app.base_url);
    assert!(!answer.text.contains("example.com\""), "the example is not shown");
    let posted = app.anonymous().post("/api/v1/openapi.json", &json!({})).await.expect(405);
    assert_eq!(posted.header("allow"), Some("GET"));
    app.anonymous().get("/api/v1/openapi.json?token=x").await.expect(400);
}

async fn what_it_describes_is_there_with_its_parameters(app: TestApp) {
    let client = app.scim();
    let user = client.post("/Users", &pushed_ann()).await.expect(201).id();
    let members = json!([{ "value": user }]);
    let team = json!({ "displayName": "Staff", "members": members });
    let team = client.post("/Groups", &team).await.expect(201).id();
    sign_in(&app, ann(json!(["Staff", "Sales"]))).await;
    let off = patch_body(json!([{ "op": "remove", "path": "members" }]));
    client.patch(&format!("/Groups/{team}"), &off).await;

    let admin = app.admin().await;
    let hook = "/webhooks?url=https://app.example.com/hooks";
    let hook = admin.post(hook, &Value::Null).await.expect(201).id();
    let request = admin.get("/requests?count=1").await.expect(200);
    let request = request.body["requests"][0]["id"].as_str().expect("a request").to_owned();
    let (mut asked, mut refused) = (0, 0);
    for (path, described) in description::paths() {
        let Some(below) = path.strip_prefix("/api/v1") else { continue };
        let id = match below.split('/').nth(1) {
            Some("users") => &user,
            Some("teams") => &team,
            Some("webhooks") => &hook,
            _ => &request,
        };
        let below = below.replace("{id}", id).replace("{connection}", "default");
        if described.get("get").is_some() {
            // That it is as described was seen when the answer was read.
            admin.get(&below).await.expect(200);
            asked += 1;
        }
        let operations = described.as_object().expect("operations");
        for (method, operation) in operations.iter().filter(|(key, _)| *key != "parameters") {
            // What has a parameter that it does not know does nothing.
            let wrong = format!("{below}?no-such=1");
            let method = method.to_ascii_uppercase();
            let answer = admin.with_body(&method, &wrong, &Value::Null).await.expect(400);
            let message = answer.body["message"].as_str().unwrap_or_default();
            let known = message.rsplit("known are: ").next().unwrap_or_default();
            let known: BTreeSet<&str> = known.split(", ").filter(|name| *name != "none").collect();
            assert_eq!(known, parameters(operation), "the parameters of {method} {path}");
            refused += 1;
        }
    }
    assert!(asked >= 14 && refused >= 21, "only {asked} and {refused} were asked for");
}

/// The names of an operation's query parameters.
fn parameters(operation: &'static Value) -> BTreeSet<&'static str> {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let all = all.map(description::resolved).filter(|one| one["in"] == "query");
    all.filter_map(|one| one["name"].as_str()).collect()
}

/// The table of routes as it stands in the source: methods with their paths. What belongs to a scope
/// stands further in than the scope, as rustfmt has it.
fn routes() -> BTreeSet<(String, String)> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/routes.rs");
    let source = std::fs::read_to_string(file).expect("the table of routes");
    let table = source.split("fn not_allowed").next().unwrap_or_default();
    // A path that stands on a line of its own belongs to the one before.
    let broken = Regex::new(r#"\(\n\s*""#).expect("an expression");
    let table = broken.replace_all(table, "(\"");
    let scope = Regex::new(r#"scope\("([^"]*)"\)"#).expect("an expression");
    let resource = Regex::new(r"\b(?:resource|read_only|shown|done|asked)\((\[[^\]]*\]|[^,)]*)")
        .expect("an expression");
    let text = Regex::new(r#""([^"]*)""#).expect("an expression");
    let method = Regex::new(r"\b(get|post|put|patch|delete)\(\)").expect("an expression");
    let mut found = BTreeSet::new();
    let (mut prefix, mut depth) = (String::new(), usize::MAX);
    let mut paths: Vec<String> = Vec::new();
    for line in table.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(is) = scope.captures(line) {
            (prefix, depth) = (is[1].to_owned(), indent);
            continue;
        }
        if indent <= depth && depth != usize::MAX && !line.trim_start().starts_with(')') {
            (prefix, depth) = (String::new(), usize::MAX);
        }
        if let Some(is) = resource.captures(line) {
            let names = text.captures_iter(is.get(1).map_or("", |part| part.as_str()));
            paths = names.map(|name| format!("{prefix}{}", &name[1])).collect();
            assert!(!paths.is_empty(), "a resource without a path: {line}");
        }
        for is in method.captures_iter(line) {
            found.extend(paths.iter().map(|path| (is[1].to_owned(), path.clone())));
        }
    }
    found
}

fn every_route_is_described_and_nothing_else() {
    let is_elsewhere = |path: &str| ELSEWHERE.iter().any(|start| path.starts_with(start));
    let all = routes();
    for (method, path) in [
        ("patch", "/scim/v2/Users/{id}"),
        ("get", "/login/callback/{connection}"),
        ("get", "/api/v1/users"),
        ("delete", "/api/v1/webhooks/{id}"),
        ("post", "/token"),
        ("get", "/console"),
        ("post", "/console/connections/{connection}/setup/token"),
        ("get", "/console/connections/{connection}/users/{id}/{action}"),
    ] {
        let known = (method.to_owned(), path.to_owned());
        assert!(all.contains(&known), "{known:?} is not found in {all:?}");
    }
    let there: BTreeSet<_> = all.into_iter().filter(|(_, path)| !is_elsewhere(path)).collect();
    let described: BTreeSet<_> = description::paths()
        .iter()
        .flat_map(|(path, is)| {
            let methods = is.as_object().expect("operations").keys();
            methods.filter(|key| *key != "parameters").map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let missing: Vec<_> = there.difference(&described).collect();
    assert!(missing.is_empty(), "src/http/api/openapi.json does not describe {missing:?}");
    let invented: Vec<_> = described.difference(&there).collect();
    assert!(invented.is_empty(), "there is nothing in src/http/routes.rs of {invented:?}");
}

fn it_is_of_this_version() {
    let whole: Value = serde_json::from_str(description::TEXT).expect("JSON");
    assert_eq!(whole["info"]["version"], env!("CARGO_PKG_VERSION"));
}

fn an_answer_that_is_not_described_is_noticed() {
    let flaw = |request: &str, status: u16, body: &Value| {
        let headers = HeaderMap::from_iter([(
            reqwest::header::CONTENT_TYPE,
            reqwest::header::HeaderValue::from_static("application/json"),
        )]);
        description::check(request, status, &headers, &body.to_string(), body).err()
    };
    let member = json!({
        "id": "018f0000-0000-7000-8000-000000000000", "userName": "ann", "externalId": null,
        "name": "Ann", "email": null,
    });
    let request = "GET http://127.0.0.1:1/api/v1/teams/x/members?count=1";
    let page = |member: &Value| json!({ "members": [member], "next": null });
    assert_eq!(flaw(request, 200, &page(&member)), None);
    let changed = |name: &str, value: Value| {
        let mut member = member.clone();
        member[name] = value;
        page(&member)
    };
    let without = json!({ "members": [] });
    for (status, body, problem) in [
        (200, changed("id", json!("x")), "format"),
        (200, changed("userName", json!(null)), "is not of type"),
        (200, changed("age", json!(7)), "'age', which is not described"),
        (200, without, "has no 'next'"),
        (418, page(&member), "418 is not described"),
        (400, json!({ "error": "x" }), "has no 'message'"),
    ] {
        let told = flaw(request, status, &body);
        assert!(told.as_ref().is_some_and(|told| told.contains(problem)), "{body}: {told:?}");
    }
    let deleted = request.replace("GET", "DELETE");
    assert!(flaw(&deleted, 200, &page(&member)).is_some_and(|told| told.contains("method")));
    assert_eq!(flaw(&deleted, 405, &json!({ "error": "x", "message": "y" })), None);
    let status = json!({ "active": false, "sub": "x" });
    let introspected = "POST http://127.0.0.1:1/introspect";
    assert!(flaw(introspected, 200, &status).is_some_and(|told| told.contains("fits 0 schemas")));
}
