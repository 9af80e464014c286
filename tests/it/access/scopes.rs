//! What a token may do: users or groups, to read or to write.

use diesel::prelude::*;
use muster::access::scope::{Scope, Scopes};
use muster::directory::tokens::{self, Change};
use serde_json::{Value, json};

use super::{counted, token};
use crate::support::{Case, TestApp, cases, pure_cases};

pub fn cases() -> Vec<Case> {
    let served: &[Case] = cases![
        every_route_wants_its_scope,
        a_method_or_an_endpoint_that_is_not_there_needs_no_scope,
        a_write_shows_what_it_wrote_and_reads_nothing,
        memberships_show_on_the_side_that_may_be_read,
        a_bulk_job_does_what_its_scopes_allow,
        a_list_of_everything_shows_what_may_be_read,
        a_cursor_works_for_those_who_see_the_same,
        a_change_of_scopes_works_at_once_and_is_recorded,
        two_changes_at_once_both_count,
        a_token_from_before_may_do_everything,
    ];
    let pure: &[Case] = pure_cases![the_table_of_routes_names_every_scope];
    [served, pure].concat()
}

/// Every route below the base URL that takes a directory's token, and which scopes open it, one each.
const ROUTES: [(&str, &str, &[&str]); 21] = [
    ("POST", "/Bulk", &["users:write", "groups:write"]),
    ("GET", "/", &["users:read", "groups:read"]),
    ("POST", "/.search", &["users:read", "groups:read"]),
    ("POST", "/Users/.search", &["users:read"]),
    ("POST", "/Groups/.search", &["groups:read"]),
    ("GET", "/Users", &["users:read"]),
    ("POST", "/Users", &["users:write"]),
    ("GET", "/Users/{id}", &["users:read"]),
    ("PUT", "/Users/{id}", &["users:write"]),
    ("PATCH", "/Users/{id}", &["users:write"]),
    ("DELETE", "/Users/{id}", &["users:write"]),
    ("GET", "/Groups", &["groups:read"]),
    ("POST", "/Groups", &["groups:write"]),
    ("GET", "/Groups/{id}", &["groups:read"]),
    ("PUT", "/Groups/{id}", &["groups:write"]),
    ("PATCH", "/Groups/{id}", &["groups:write"]),
    ("DELETE", "/Groups/{id}", &["groups:write"]),
    ("GET", "/Schemas", &[]),
    ("GET", "/Schemas/{id}", &[]),
    ("GET", "/ResourceTypes", &[]),
    ("GET", "/ResourceTypes/{id}", &[]),
];

async fn every_route_wants_its_scope(app: TestApp) {
    let mut refused = 0;
    for held in [vec![], vec![Scope::UsersRead], vec![Scope::UsersWrite], vec![Scope::GroupsRead]]
        .into_iter()
        .chain([vec![Scope::GroupsWrite], Scope::ALL.to_vec()])
    {
        let names: Vec<&str> = held.iter().map(|scope| scope.as_str()).collect();
        let (id, token) = token(&app, &names.join(" "), "").await;
        let client = app.with_token(&token);
        for (method, path, needed) in ROUTES {
            let path = path.replace("{id}", "unknown");
            let answer = match method {
                "GET" | "DELETE" => client.send(client.request(method, &path)).await,
                _ => client.with_body(method, &path, &json!({})).await,
            };
            let may = needed.is_empty() || needed.iter().any(|scope| names.contains(scope));
            let what = format!("{method} {path} with {names:?}: {}", answer.text);
            if may {
                assert!(![401, 403].contains(&answer.status), "{what}");
                continue;
            }
            refused += 1;
            let challenge = format!(
                "Bearer realm=\"muster\", error=\"insufficient_scope\", scope=\"{}\"",
                needed[0]
            );
            assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()), "{what}");
            let detail = answer.expect_error(403, None);
            assert!(needed.iter().all(|scope| detail.contains(scope)), "{what}");
            let remedy = format!("'muster token update {id} --scope ");
            assert!(detail.contains(&remedy), "{what}");
        }
    }
    assert_eq!(
        counted(&app, r#"muster_refused_authentication_total{reason="scope"}"#).await,
        refused
    );
    let all = app.db.read(|conn| tokens::all(conn, Some("default"))).await.expect("tokens");
    assert_eq!(all[0].permit.scopes, Scopes::ALL, "what is not narrowed may do everything");
}

/// Holds the table of routes as it is written against the one above: a new route has to be added there,
/// with the scope that it needs.
fn the_table_of_routes_names_every_scope() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(folder.join("src/http/routes.rs")).expect("the routes");
    let start = source.find("scope(\"/scim/v2\")").expect("the routes of SCIM");
    let text: String = source[start..].split_whitespace().collect::<Vec<_>>().join(" ");
    let text =
        &text[..text.find("default_service(route().to(scim::no_such_endpoint))").expect("the end")];
    let mut found = Vec::new();
    for resource in text.split("resource(").skip(1) {
        let (paths, routes) = resource.split_once(')').expect("the paths of a resource");
        let path = paths.split('"').rfind(|path| path.starts_with('/'));
        for route in routes.split(".route(").skip(1) {
            let route = route.split(".default_service").next().expect("a route");
            let inner = route
                .trim()
                .strip_prefix("needs(")
                .or_else(|| route.trim().strip_prefix("seeks("))
                .unwrap_or_else(|| panic!("this route is not behind a scope: {route}"));
            let handler = inner.find("().to(").expect("a handler");
            let needed = &inner[..handler];
            let method = needed.rsplit([' ', ',']).next().expect("a method").to_uppercase();
            let scopes: Vec<&str> = Scope::ALL
                .into_iter()
                .filter(|scope| needed.contains(&format!("{scope:?}")))
                .map(Scope::as_str)
                .collect();
            found.push((method, path.expect("a path").to_owned(), scopes));
        }
    }
    let known: Vec<(String, String, Vec<&str>)> = ROUTES
        .iter()
        .map(|(method, path, needed)| ((*method).to_owned(), (*path).to_owned(), needed.to_vec()))
        .collect();
    assert_eq!(found, known);
}

async fn a_method_or_an_endpoint_that_is_not_there_needs_no_scope(app: TestApp) {
    let (_, token) = token(&app, "", "").await;
    let client = app.with_token(&token);
    client.put("/Users", &json!({})).await.expect_error(405, None);
    client.get("/Nothing").await.expect_error(404, None);
    app.anonymous().get("/scim/v2/ServiceProviderConfig").await.expect(200);
}

async fn a_write_shows_what_it_wrote_and_reads_nothing(app: TestApp) {
    let (_, token) = token(&app, "users:write groups:write", "").await;
    let client = app.with_token(&token);
    let user = client.post("/Users", &json!({ "userName": "ann", "title": "x" })).await.expect(201);
    assert_eq!(user.body["title"], "x");
    let path = format!("/Users/{}", user.id());
    let patch =
        crate::support::patch_body(json!([{ "op": "replace", "path": "title", "value": "y" }]));
    assert_eq!(client.patch(&path, &patch).await.expect(200).body["title"], "y");
    let group = json!({ "displayName": "G", "members": [{ "value": user.id() }] });
    let group = client.post("/Groups", &group).await.expect(201);
    assert_eq!(group.body["members"][0]["value"], user.id());
    for path in [path.as_str(), "/Users", "/Groups", "/", &format!("/Groups/{}", group.id())] {
        client.get(path).await.expect_error(403, None);
    }
    client.delete(&path).await.expect(204);
}

async fn memberships_show_on_the_side_that_may_be_read(app: TestApp) {
    let user = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({ "displayName": "G", "members": [{ "value": user }] });
    let group = app.scim().post("/Groups", &group).await.expect(201).id();
    let users = app.with_token(&token(&app, "users:read", "").await.1);
    let shown = users.get(&format!("/Users/{user}")).await.expect(200).body;
    assert_eq!(shown["groups"][0]["value"], group);
    users.get(&format!("/Groups/{group}")).await.expect_error(403, None);
    let groups = app.with_token(&token(&app, "groups:read", "").await.1);
    let shown = groups.get(&format!("/Groups/{group}")).await.expect(200).body;
    assert_eq!(shown["members"][0]["value"], user);
    // Whether the user is there is not told either.
    for id in [user.as_str(), "unknown"] {
        groups.get(&format!("/Users/{id}")).await.expect_error(403, None);
    }
}

fn job(operations: &Value) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    })
}

async fn a_bulk_job_does_what_its_scopes_allow(app: TestApp) {
    let (id, token) = token(&app, "users:write", "").await;
    let client = app.with_token(&token);
    let create = |path: &str, name: &str, data: Value| json!({ "method": "POST", "path": path, "bulkId": name, "data": data });
    let members = json!([{ "value": "bulkId:u" }]);
    let group = create("/Groups", "g", json!({ "displayName": "G", "members": members }));
    let answer = client
        .post(
            "/Bulk",
            &job(&json!([
                create("/Users", "u", json!({ "userName": "ann" })),
                group,
                { "method": "DELETE", "path": "/Groups/unknown" },
                create("/Users", "v", json!({ "userName": "bob" })),
                { "method": "PATCH", "path": "/Groups/bulkId:g", "data": { "Operations": [] } },
            ])),
        )
        .await
        .expect(200);
    let results = answer.body["Operations"].as_array().expect("results").clone();
    let statuses: Vec<&str> = results.iter().filter_map(|one| one["status"].as_str()).collect();
    assert_eq!(statuses, ["201", "403", "403", "201", "403"]);
    let error = &results[1]["response"];
    assert_eq!(error["status"], "403");
    let detail = error["detail"].as_str().expect("a detail");
    let remedy = format!("'muster token update {id} --scope users:write groups:write'");
    assert!(detail.contains("groups:write") && detail.contains(&remedy), "{detail}");
    assert_eq!(results[1].get("location"), None);
    assert!(results[2]["location"].as_str().is_some_and(|url| url.ends_with("/Groups/unknown")));
    assert_eq!(app.scim().get("/Groups").await.expect(200).body["totalResults"], 0);
    assert_eq!(app.scim().get("/Users").await.expect(200).body["totalResults"], 2);
    // Two that refer to each other are done both or not at all.
    let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let circle = job(&json!([
        create(
            "/Users",
            "a",
            json!({
                "userName": "cid", manager: { "manager": { "value": "bulkId:g" } }
            })
        ),
        create("/Groups", "g", json!({ "displayName": "G", "members": [{ "value": "bulkId:a" }] })),
    ]));
    let answer = client.post("/Bulk", &circle).await.expect(200).body;
    let statuses: Vec<&Value> = answer["Operations"]
        .as_array()
        .expect("results")
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert!(statuses.contains(&&json!("403")), "{answer}");
    assert_eq!(app.scim().get("/Users").await.expect(200).body["totalResults"], 2);
    assert_eq!(app.scim().get("/Groups").await.expect(200).body["totalResults"], 0);
}

async fn a_list_of_everything_shows_what_may_be_read(app: TestApp) {
    let user = app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({ "displayName": "G", "members": [{ "value": user }] });
    let group = app.scim().post("/Groups", &group).await.expect(201).id();
    for (scopes, seen) in [
        ("users:read", vec![&user]),
        ("groups:read", vec![&group]),
        ("users:read groups:read", vec![&user, &group]),
    ] {
        let client = app.with_token(&token(&app, scopes, "").await.1);
        for query in
            ["", "?filter=id+pr", "?sortBy=id", "?cursor=", "?filter=not+(displayName+eq+%22x%22)"]
        {
            let listed = client.get(&format!("/{query}")).await.expect(200).body;
            assert_eq!(listed["totalResults"], seen.len(), "{scopes} {query}");
            let ids: Vec<&str> = listed["Resources"]
                .as_array()
                .expect("resources")
                .iter()
                .filter_map(|one| one["id"].as_str())
                .collect();
            assert_eq!(ids, seen, "{scopes} {query}");
        }
        let counted = client.post("/.search", &json!({ "count": 0 })).await.expect(200).body;
        assert_eq!(counted["totalResults"], seen.len(), "{scopes}");
        // What a type does not have is absent there, whether or not the other one is seen.
        for (filter, of_users) in [("userName pr", true), ("members pr", false)] {
            let found = client.post("/.search", &json!({ "filter": filter })).await.expect(200);
            let holds = scopes.contains(if of_users { "users" } else { "groups" });
            assert_eq!(found.body["totalResults"], u8::from(holds), "{scopes} {filter}");
        }
    }
}

async fn a_cursor_works_for_those_who_see_the_same(app: TestApp) {
    for name in ["ann", "bob"] {
        app.scim().post("/Users", &json!({ "userName": name })).await.expect(201);
    }
    app.scim().post("/Groups", &json!({ "displayName": "G" })).await.expect(201);
    let page = app.scim().get("/?cursor=&count=1").await.expect(200).body;
    assert_eq!(page["totalResults"], 3);
    let path = format!("/?count=1&cursor={}", page["nextCursor"].as_str().expect("a cursor"));
    let users = app.with_token(&token(&app, "users:read", "").await.1);
    users.get(&path).await.expect_error(400, Some("invalidCursor"));
    let page = users.get("/?cursor=&count=1").await.expect(200).body;
    assert_eq!(page["totalResults"], 2);
    let path = format!("/?count=1&cursor={}", page["nextCursor"].as_str().expect("a cursor"));
    assert_eq!(users.get(&path).await.expect(200).body["Resources"][0]["userName"], "bob");
}

async fn a_change_of_scopes_works_at_once_and_is_recorded(app: TestApp) {
    let (id, token) = app.new_token("default").await;
    let client = app.with_token(&token);
    client.get("/Groups").await.expect(200);
    let change = async |scopes: &str| {
        let change = Change { scopes: scopes.parse().ok(), ..Change::default() };
        let (id, now) = (id.clone(), app.clock.now());
        let changed =
            app.db.write("update_token", move |conn| tokens::update(conn, &id, &change, now));
        changed.await.expect("a token to change")
    };
    change("users:read").await;
    client.get("/Groups").await.expect_error(403, None);
    client.get("/Users").await.expect(200);
    // What changes nothing is no event.
    change("users:read").await;
    change("users:read groups:read").await;
    client.get("/Groups").await.expect(200);
    let events = app.admin().await.get("/events?connection=default").await.expect(200).body;
    let changes: Vec<&Value> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter(|event| event["subject"]["type"] == "token" && event["action"] == "updated")
        .collect();
    assert_eq!(changes.len(), 2, "{events}");
    assert_eq!(changes[0]["data"]["before"]["scopes"].as_array().map(Vec::len), Some(4));
    assert_eq!(changes[0]["data"]["after"]["scopes"], json!(["users:read"]));
    assert_eq!(changes[1]["data"]["before"]["scopes"], json!(["users:read"]));
    assert!(!events.to_string().contains("hash"));
}

async fn two_changes_at_once_both_count(app: TestApp) {
    let (id, _) = app.new_token("default").await;
    let now = app.clock.now();
    let change = |change: Change| {
        let id = id.clone();
        app.db.write("update_token", move |conn| tokens::update(conn, &id, &change, now))
    };
    for round in 0..10 {
        let label = format!("round {round}");
        let scope = Scope::ALL[round % 4];
        let (one, other) = futures_util::future::join(
            change(Change { label: Some(label.clone()), ..Change::default() }),
            change(Change { scopes: Some([scope].into_iter().collect()), ..Change::default() }),
        )
        .await;
        one.expect("a change");
        other.expect("a change");
        let all = app.db.read(|conn| tokens::all(conn, Some("default"))).await.expect("tokens");
        let found = all.into_iter().find(|found| found.id == id).expect("the token");
        assert_eq!(found.label, label);
        assert_eq!(found.permit.scopes, [scope].into_iter().collect());
    }
}

/// As a version of Muster writes it that knows nothing of scopes.
async fn a_token_from_before_may_do_everything(app: TestApp) {
    let token = "muster_scim_of_before";
    let insert = format!(
        "INSERT INTO tokens (id, connection_id, hash, label, created_at) \
         SELECT 'before', id, '{}', 'before', 0 FROM connections WHERE name = 'default'",
        tokens::hash(token)
    );
    app.database.without_log();
    let inserted = diesel::sql_query(insert).execute(&mut app.database.connect());
    assert_eq!(inserted.expect("an insertion"), 1);
    let client = app.with_token(token);
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let group = json!({ "displayName": "G", "members": [{ "value": id }] });
    client.post("/Groups", &group).await.expect(201);
    assert_eq!(client.get("/").await.expect(200).body["totalResults"], 2);
}
