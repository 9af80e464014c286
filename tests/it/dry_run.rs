//! Dry runs: what they say comes true, and nothing stays of them.

use diesel::prelude::*;
use diesel::sql_types::Text;
use futures_util::future::{join, join_all};
use muster::db::backup::TABLES;
use muster::db::connection::Conn;
use muster::db::schema::events;
use muster::directory::brake::Limit;
use regex::Regex;
use serde_json::{Value, json};

use crate::signin::{ann, pushed_ann, sign_in};
use crate::support::process::{Server, fails, muster, run, succeeds};
use crate::support::provider::Provider;
use crate::support::{
    Answer, Case, ScimClient, TestApp, TestDatabase, cases, database_cases, patch_body,
};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![
        what_a_dry_run_says_comes_true,
        a_bulk_job_is_rehearsed_whole,
        sessions_that_would_end_are_listed,
        members_are_named,
        of_many_members_the_first_are_named,
        what_the_brake_would_hold_is_said_and_the_brake_stays_off,
        writers_beside_it_keep_what_is_theirs,
        who_may_not_may_not_try_either,
        the_header_is_yes_or_no,
        what_reads_is_answered_as_it_is,
        tolerances_are_not_counted,
        nothing_else_is_done_where_a_dry_run_is_asked_for,
    ];
    let databases: &[Case] = database_cases![
        the_command_tells_what_would_change,
        the_command_asks_a_server_that_knows_dry_runs_alone,
    ];
    [apps, databases].concat()
}

const SCHEMA: &str = "urn:ietf:params:scim:api:messages:muster:2.0:DryRun";
const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

/// A request.
struct Asked {
    method: &'static str,
    path: String,
    body: Option<Value>,
    if_match: Option<&'static str>,
}

fn asked(method: &'static str, path: impl Into<String>, body: Option<Value>) -> Asked {
    Asked { method, path: path.into(), body, if_match: None }
}

fn request(client: &ScimClient, asked: &Asked) -> reqwest::RequestBuilder {
    let mut request = client.request(asked.method, &asked.path);
    if let Some(body) = &asked.body {
        request = request.header("content-type", "application/scim+json").body(body.to_string());
    }
    if let Some(tag) = asked.if_match {
        request = request.header("if-match", tag);
    }
    request
}

/// Sends it as a dry run; gives what the answer says.
async fn rehearse(client: &ScimClient, asked: &Asked) -> Value {
    let answer = client.send(request(client, asked).header("Muster-Dry-Run", "true")).await;
    let answer = answer.expect(200);
    assert_eq!(answer.header("muster-dry-run"), Some("true"), "{}", answer.request);
    assert_eq!(answer.header("content-type"), Some("application/scim+json"));
    for name in ["etag", "location", "content-location", "retry-after"] {
        assert_eq!(answer.header(name), None, "{}: what is true of the real thing", answer.request);
    }
    assert_eq!(answer.body["schemas"], json!([SCHEMA]));
    answer.body
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// All that is in the store, but when tokens were last used, which is noted of whoever comes.
pub fn store(app: &TestApp) -> Vec<String> {
    let mut conn = app.database.connect();
    let mut all = Vec::new();
    // The use of tolerances is noted a while after the request that made it.
    let tables = TABLES.iter().filter(|table| **table != "token_quirks");
    for table in tables.chain(&["totals"]) {
        let statement = if conn.is_postgres() {
            format!("SELECT (row_to_json(t)::jsonb - 'last_used_at')::text AS line FROM {table} t")
        } else {
            let columns: Vec<Line> = diesel::sql_query(format!(
                "SELECT name AS line FROM pragma_table_info('{table}') WHERE name <> 'last_used_at'"
            ))
            .load(&mut conn)
            .expect("columns");
            let columns: Vec<String> = columns.into_iter().map(|column| column.line).collect();
            format!("SELECT json_array({}) AS line FROM {table}", columns.join(", "))
        };
        let rows: Vec<Line> = diesel::sql_query(statement).load(&mut conn).expect("rows");
        let mut rows: Vec<String> =
            rows.into_iter().map(|row| format!("{table} {}", row.line)).collect();
        rows.sort();
        all.extend(rows);
    }
    all
}

/// The text with what no rehearsal can know: new ids and times.
fn comparable(text: &str, before: &[String]) -> String {
    let known = before.join("\n");
    let id = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}");
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z").expect("an expression");
    let text = id.expect("an expression").replace_all(text, |found: &regex::Captures<'_>| {
        if known.contains(&found[0]) { found[0].to_owned() } else { "(new)".to_owned() }
    });
    time.replace_all(&text, "(time)").into_owned()
}

/// The events that a request left, each as action, subject's type and data.
fn left(conn: &mut Conn, request_id: &str) -> Vec<(String, String, Value)> {
    let rows: Vec<(String, String, String)> = events::table
        .filter(events::request_id.eq(request_id))
        .order(events::sequence)
        .select((events::action, events::subject, events::data))
        .load(conn)
        .expect("events");
    rows.into_iter()
        .map(|(action, subject, data)| {
            (action, subject, serde_json::from_str(&data).expect("JSON"))
        })
        .collect()
}

/// A change as the event that it was made of.
fn event_of(change: &Value) -> (String, String, Value) {
    let mut data = change.as_object().expect("an object").clone();
    let action = data.shift_remove("action").expect("an action");
    let subject = data.shift_remove("subject").expect("a subject");
    data.shift_remove("sessionsEnded");
    let ids = |list: &mut Value| {
        *list = list.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    };
    for list in ["added", "removed"] {
        if let Some(list) = data.get_mut("members").and_then(|members| members.get_mut(list)) {
            ids(list);
        }
    }
    data.get_mut("teams").map(ids);
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    (text(&action), text(&subject["type"]), data.into())
}

/// Rehearses a request, holds the whole store against what it was, does it for real, and holds that
/// against what was said of it.
async fn comes_true(app: &TestApp, client: &ScimClient, asked: &Asked) -> (Value, Answer) {
    let before = store(app);
    let said = rehearse(client, asked).await;
    assert_eq!(store(app), before, "{} {}", asked.method, asked.path);
    let done = client.send(request(client, asked)).await;
    let name = &done.request;
    assert_eq!(said["status"], done.status, "{name}: {said}");
    let (promised, given) = if asked.path == "/Bulk" {
        // Which members a group has is part of its version, so new ones make it another.
        let version = Regex::new(r#"W/\\"[^"]*\\""#).expect("an expression");
        let text = |body: &Value| version.replace_all(&body.to_string(), "(version)").into_owned();
        (text(&said["response"]), text(&done.body))
    } else {
        (said["response"].to_string(), done.body.to_string())
    };
    assert_eq!(comparable(&promised, &before), comparable(&given, &before), "{name}");
    let promised = said["changes"].as_array().expect("changes").iter().map(event_of);
    let promised = format!("{:?}", promised.collect::<Vec<_>>());
    let request_id = done.header("x-request-id").expect("an id");
    let given = format!("{:?}", left(&mut app.database.connect(), request_id));
    assert_eq!(comparable(&promised, &before), comparable(&given, &before), "{name}");
    (said, done)
}

fn members(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "value": id })).collect()
}

#[expect(clippy::too_many_lines, reason = "it is one list of requests")]
async fn what_a_dry_run_says_comes_true(app: TestApp) {
    let client = app.scim();
    let ann_id = client.post("/Users", &pushed_ann()).await.expect(201).id();
    sign_in(&app, ann(json!(["Staff"]))).await;
    let bob = json!({ "userName": "bob", "externalId": "b", "displayName": "Bob" });
    let bob_id = client.post("/Users", &bob).await.expect(201).id();
    let staff = json!({ "displayName": "Staff", "members": members(&[&ann_id]) });
    let staff_id = client.post("/Groups", &staff).await.expect(201).id();
    let (ann_path, bob_path) = (format!("/Users/{ann_id}"), format!("/Users/{bob_id}"));
    let staff_path = format!("/Groups/{staff_id}");
    let active =
        |active: bool| patch_body(json!([{ "op": "replace", "value": { "active": active } }]));
    let title = || patch_body(json!([{ "op": "add", "path": "title", "value": "Boss" }]));
    let rows: Vec<(u16, usize, Asked)> = vec![
        (201, 1, asked("POST", "/Users", Some(json!({ "userName": "dan", "externalId": "d" })))),
        (201, 1, asked("POST", "/Users?attributes=userName", Some(json!({ "userName": "eve" })))),
        (409, 0, asked("POST", "/Users", Some(json!({ "userName": "BOB" })))),
        (400, 0, asked("POST", "/Users", Some(json!({ "displayName": "nobody" })))),
        (400, 0, asked("PUT", bob_path.as_str(), Some(json!({ "userName": "" })))),
        (
            200,
            1,
            asked(
                "PUT",
                bob_path.as_str(),
                Some(json!({ "userName": "robert", "externalId": "b" })),
            ),
        ),
        (409, 0, asked("PUT", bob_path.as_str(), Some(json!({ "userName": "dan" })))),
        (200, 1, asked("PATCH", bob_path.as_str(), Some(title()))),
        (200, 0, asked("PATCH", bob_path.as_str(), Some(title()))),
        (400, 0, asked("PATCH", bob_path.as_str(), Some(patch_body(json!([{ "op": "x" }]))))),
        (
            412,
            0,
            Asked {
                if_match: Some("W/\"99\""),
                ..asked("PATCH", bob_path.as_str(), Some(active(false)))
            },
        ),
        (200, 1, asked("PATCH", ann_path.as_str(), Some(active(false)))),
        (201, 1, asked("POST", "/Users", Some(pushed_ann()))),
        // It takes the identity away as well, since it is somebody else.
        (
            200,
            2,
            asked(
                "PUT",
                ann_path.as_str(),
                Some(json!({ "userName": "ann@example.com", "externalId": "other" })),
            ),
        ),
        (
            201,
            1,
            asked(
                "POST",
                "/Groups",
                Some(json!({ "displayName": "Sales", "members": members(&[&ann_id, &bob_id]) })),
            ),
        ),
        (409, 0, asked("POST", "/Groups", Some(json!({ "displayName": "sales" })))),
        (
            400,
            0,
            asked(
                "POST",
                "/Groups",
                Some(json!({ "displayName": "New", "members": members(&[NOBODY]) })),
            ),
        ),
        (
            200,
            1,
            asked(
                "PATCH",
                staff_path.as_str(),
                Some(patch_body(json!([
                    { "op": "add", "path": "members", "value": members(&[&bob_id]) },
                    { "op": "remove", "path": format!("members[value eq \"{ann_id}\"]") },
                ]))),
            ),
        ),
        (
            200,
            1,
            asked(
                "PATCH",
                staff_path.as_str(),
                Some(patch_body(json!([
                    { "op": "replace", "path": "displayName", "value": "Everybody" },
                ]))),
            ),
        ),
        (
            200,
            1,
            asked(
                "PUT",
                staff_path.as_str(),
                Some(json!({ "displayName": "Everybody", "members": members(&[&ann_id]) })),
            ),
        ),
        (
            200,
            0,
            asked(
                "PUT",
                staff_path.as_str(),
                Some(json!({ "displayName": "Everybody", "members": members(&[&ann_id]) })),
            ),
        ),
        (404, 0, asked("PUT", format!("/Groups/{NOBODY}"), Some(json!({ "displayName": "x" })))),
        (204, 1, asked("DELETE", bob_path.as_str(), None)),
        (404, 0, asked("DELETE", bob_path.as_str(), None)),
        (204, 1, asked("DELETE", staff_path.as_str(), None)),
        (404, 0, asked("POST", "/Nothing", Some(json!({})))),
        (405, 0, asked("PUT", "/Users", Some(json!({})))),
    ];
    for (status, changes, asked) in rows {
        let (said, done) = comes_true(&app, &client, &asked).await;
        assert_eq!(done.status, status, "{}: {}", done.request, done.text);
        assert_eq!(said["changes"].as_array().map(Vec::len), Some(changes), "{}", done.request);
    }
}

async fn a_bulk_job_is_rehearsed_whole(app: TestApp) {
    let client = app.scim();
    let bob = client.post("/Users", &json!({ "userName": "bob" })).await.expect(201).id();
    let job = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            { "method": "POST", "path": "/Groups", "bulkId": "team", "data": {
                "displayName": "Team", "members": members(&["bulkId:ann", &bob]) } },
            { "method": "POST", "path": "/Users", "bulkId": "ann", "data": { "userName": "ann" } },
            { "method": "POST", "path": "/Users", "bulkId": "again", "data": { "userName": "BOB" } },
            { "method": "PATCH", "path": "/Users/bulkId:again", "data": { "Operations": [
                { "op": "add", "path": "title", "value": "x" }] } },
            { "method": "PATCH", "path": "/Groups/bulkId:team", "data": { "Operations": [
                { "op": "replace", "path": "displayName", "value": "Other" }] } },
            { "method": "DELETE", "path": format!("/Users/{bob}") },
        ],
    });
    let (said, _) = comes_true(&app, &client, &asked("POST", "/Bulk", Some(job))).await;
    let statuses: Vec<&Value> = said["response"]["Operations"]
        .as_array()
        .expect("results")
        .iter()
        .map(|one| &one["status"])
        .collect();
    assert_eq!(statuses, ["201", "201", "409", "409", "200", "204"]);
    // The team is called as it is in the end, and so is a member who is gone then.
    let changes = said["changes"].as_array().expect("changes");
    let team = changes
        .iter()
        .find(|change| change["action"] == "created" && change["subject"]["type"] == "team");
    let team = team.expect("the team");
    assert_eq!(team["subject"]["name"], "Other");
    let names: Vec<&Value> = team["members"]["added"]
        .as_array()
        .expect("members")
        .iter()
        .map(|one| &one["name"])
        .collect();
    assert!(names.contains(&&json!("ann")) && names.contains(&&json!("bob")), "{names:?}");
    let broken = json!({ "Operations": "none" });
    comes_true(&app, &client, &asked("POST", "/Bulk", Some(broken))).await;
}

async fn sessions_that_would_end_are_listed(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &pushed_ann()).await.expect(201).id();
    sign_in(&app, ann(json!([]))).await;
    app.clock.advance(60);
    sign_in(&app, ann(json!([]))).await;
    let path = format!("/Users/{id}");
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    for asked in [asked("PATCH", path.as_str(), Some(off)), asked("DELETE", path.as_str(), None)] {
        let said = rehearse(&client, &asked).await;
        let change = &said["changes"][0];
        assert_eq!(
            change["subject"],
            json!({ "type": "user", "id": id, "name": "ann@EXAMPLE.com" })
        );
        let ended = change["sessionsEnded"].as_array().expect("sessions");
        assert_eq!(ended.len(), 2);
        assert!(!said.to_string().contains("hash"), "{said}");
    }
    // One that is over by itself does not end any more.
    app.clock.advance(2 * 3600 - 30);
    let said = rehearse(&client, &asked("DELETE", path, None)).await;
    assert_eq!(said["changes"][0]["sessionsEnded"].as_array().map(Vec::len), Some(1));
}

async fn members_are_named(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let body = json!({ "displayName": "Staff", "members": members(&[&id]) });
    let said = rehearse(&client, &asked("POST", "/Groups", Some(body.clone()))).await;
    let named = json!([{ "id": id, "name": "ann" }]);
    assert_eq!(said["changes"][0]["members"], json!({ "added": named }));
    let team = client.post("/Groups", &body).await.expect(201).id();
    let said = rehearse(&client, &asked("DELETE", format!("/Groups/{team}"), None)).await;
    assert_eq!(said["changes"][0]["members"], json!({ "removed": named }));
    assert_eq!(said["changes"][0]["subject"]["name"], "Staff");
    let said = rehearse(&client, &asked("DELETE", format!("/Users/{id}"), None)).await;
    assert_eq!(said["changes"][0]["teams"], json!([{ "id": team, "name": "Staff" }]));
}

async fn of_many_members_the_first_are_named(app: TestApp) {
    let ids = app.seed(10_005);
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let body = json!({ "displayName": "All", "members": members(&ids) });
    let said = rehearse(&app.scim(), &asked("POST", "/Groups", Some(body))).await;
    assert_eq!(said["status"], 201);
    let change = &said["changes"][0];
    let added = change["members"]["added"].as_array().expect("members");
    assert!(added.iter().all(|member| member["name"].is_string()));
    assert_eq!((added.len(), &change["more"]), (10_000, &json!({ "added": 5 })));
}

async fn what_the_brake_would_hold_is_said_and_the_brake_stays_off(app: TestApp) {
    app.set(|settings| settings.brake.users = Some(Limit::Number(1))).await;
    let client = app.scim();
    let mut ids = Vec::new();
    for name in ["ann", "bob", "cat"] {
        ids.push(client.post("/Users", &json!({ "userName": name })).await.expect(201).id());
    }
    let delete = |id: &str| asked("DELETE", format!("/Users/{id}"), None);
    // What is rehearsed is not counted, however often.
    for _ in 0..3 {
        assert_eq!(rehearse(&client, &delete(&ids[0])).await["status"], 204);
    }
    comes_true(&app, &client, &delete(&ids[0])).await;
    let before = store(&app);
    let said = rehearse(&client, &delete(&ids[1])).await;
    assert_eq!(said["status"], 429);
    assert!(
        said["response"]["detail"].as_str().is_some_and(|text| text.contains("brake")),
        "{said}"
    );
    let job = json!({ "Operations": [
        { "method": "DELETE", "path": format!("/Users/{}", ids[1]) },
        { "method": "DELETE", "path": format!("/Users/{}", ids[2]) },
    ] });
    let said = rehearse(&client, &asked("POST", "/Bulk", Some(job.clone()))).await;
    let results = &said["response"]["Operations"];
    assert_eq!((&results[0]["status"], &results[1]["status"]), (&json!("429"), &json!("429")));
    assert_eq!(said["changes"][0]["action"], "brake-held");
    assert_eq!(store(&app), before, "the brake was not put on");
    let brakes = app.admin().await.get("/brakes").await.expect(200).body;
    assert_eq!(brakes["brakes"][0]["status"], "ready");
    // As the real thing does.
    comes_true(&app, &client, &asked("POST", "/Bulk", Some(job))).await;
    let brakes = app.admin().await.get("/brakes").await.expect(200).body;
    assert_eq!(brakes["brakes"][0]["status"], "held");
}

async fn writers_beside_it_keep_what_is_theirs(app: TestApp) {
    let client = app.scim();
    let team = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    let path = format!("/Groups/{team}");
    let real = join_all((0..40).map(|number| {
        let (client, path) = (client.clone(), path.clone());
        async move {
            let body = json!({ "userName": format!("real{number}") });
            let id = client.post("/Users", &body).await.expect(201).id();
            let join =
                patch_body(json!([{ "op": "add", "path": "members", "value": members(&[&id]) }]));
            client.patch(&path, &join).await.expect(200);
            id
        }
    }));
    let dry = join_all((0..40).map(|number| {
        let (client, path) = (client.clone(), path.clone());
        async move {
            // Every third is refused, each in the middle of the others.
            let name = format!("{}{number}", if number % 3 == 0 { "real" } else { "dry" });
            rehearse(&client, &asked("POST", "/Users", Some(json!({ "userName": name })))).await;
            let rename =
                patch_body(json!([{ "op": "replace", "path": "displayName", "value": "Gone" }]));
            rehearse(&client, &asked("PATCH", path.as_str(), Some(rename))).await;
            rehearse(&client, &asked("DELETE", path, None)).await;
        }
    }));
    let (ids, _) = join(real, dry).await;
    let found = client.get("/Users?count=1000").await.expect(200).body;
    assert_eq!(found["totalResults"], 40);
    let found = client.get(&path).await.expect(200).body;
    assert_eq!(found["displayName"], "Staff");
    assert_eq!(found["members"].as_array().map(Vec::len), Some(ids.len()));
    let recorded: i64 =
        events::table.count().get_result(&mut app.database.connect()).expect("a count");
    // The connection, its token and the team come before.
    assert_eq!(recorded, 3 + 2 * 40);
    assert!(!store(&app).iter().any(|line| line.contains("dry")));
}

async fn who_may_not_may_not_try_either(app: TestApp) {
    let create = asked("POST", "/Users", Some(json!({ "userName": "ann" })));
    let nobody = app.with_token("muster_scim_wrong");
    let answer = nobody.send(request(&nobody, &create).header("Muster-Dry-Run", "true")).await;
    assert_eq!(answer.header("muster-dry-run"), None);
    answer.expect_error(401, None);
    // Another connection's user is nobody, in a dry run too.
    let theirs = app.other("other").await.post("/Users", &json!({ "userName": "x" })).await.id();
    let said = rehearse(&app.scim(), &asked("DELETE", format!("/Users/{theirs}"), None)).await;
    assert_eq!((&said["status"], &said["changes"]), (&json!(404), &json!([])));
}

async fn the_header_is_yes_or_no(app: TestApp) {
    let client = app.scim();
    let create = asked("POST", "/Users", Some(json!({ "userName": "ann" })));
    for value in ["yes", "1", "", "tru"] {
        let answer = client.send(request(&client, &create).header("Muster-Dry-Run", value)).await;
        assert!(answer.expect_error(400, Some("invalidValue")).contains("Muster-Dry-Run"));
    }
    let twice = request(&client, &create).header("Muster-Dry-Run", "true");
    client.send(twice.header("Muster-Dry-Run", "false")).await.expect(400);
    assert_eq!(client.get("/Users").await.expect(200).body["totalResults"], 0);
    let no = client.send(request(&client, &create).header("Muster-Dry-Run", "false")).await;
    assert_eq!(no.expect(201).header("muster-dry-run"), None);
    let yes = request(&client, &create).header("muster-dry-run", "TRUE");
    assert_eq!(client.send(yes).await.expect(200).body["status"], 409);
}

async fn what_reads_is_answered_as_it_is(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let dry = async |asked: Asked| {
        let answer = client.send(request(&client, &asked).header("Muster-Dry-Run", "true")).await;
        assert_eq!(answer.header("muster-dry-run"), None);
        answer
    };
    let one = dry(asked("GET", format!("/Users/{id}"), None)).await.expect(200);
    assert_eq!((one.id(), one.header("etag").is_some()), (id, true));
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "userName eq \"ann\"",
    });
    for path in ["/.search", "/Users/.search"] {
        let found = dry(asked("POST", path, Some(search.clone()))).await.expect(200);
        assert_eq!(found.body["totalResults"], 1);
    }
    dry(asked("GET", "/ServiceProviderConfig", None)).await.expect(200);
}

async fn tolerances_are_not_counted(app: TestApp) {
    let client = app.scim();
    let id = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    let off = patch_body(json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    let said = rehearse(&client, &asked("PATCH", format!("/Users/{id}"), Some(off))).await;
    assert_eq!(said["status"], 200);
    let counted = app.anonymous().get("/metrics").await.expect(200).text;
    for name in ["capitalized-operation", "string-boolean"] {
        let line = format!("muster_scim_quirks_total{{quirk=\"{name}\"}} 0\n");
        assert!(counted.contains(&line), "{name} in {counted}");
    }
    app.app.save_quirks().await;
    let all = app.db.read(|conn| muster::directory::tokens::all(conn, None)).await.expect("tokens");
    let noted: Vec<&str> =
        all.iter().flat_map(|token| &token.quirks).map(|quirk| quirk.name.as_str()).collect();
    assert!(!noted.contains(&"capitalized-operation"), "{noted:?}");
    assert!(!noted.contains(&"string-boolean"), "{noted:?}");
}

async fn nothing_else_is_done_where_a_dry_run_is_asked_for(app: TestApp) {
    let nobody = app.anonymous();
    for (method, path) in [
        ("POST", "/token"),
        ("POST", "/revoke"),
        ("POST", "/logout"),
        ("GET", "/login/callback?code=x&state=y"),
        ("GET", "/login/initiate"),
        ("GET", "/authorize"),
        ("POST", "/api/v1/brakes/default/release"),
    ] {
        let request = nobody.request(method, path).header("Muster-Dry-Run", "true");
        let detail = nobody.send(request).await.expect_error(400, None);
        assert!(detail.contains("SCIM requests alone"), "{detail}");
    }
}

/// Runs a command on the database that is told its body on the standard input.
fn told(database: &TestDatabase, arguments: &[&str], body: &Value) -> std::process::Output {
    use std::io::Write;
    let mut command = muster(arguments);
    command.args(["--database-url", &database.url, "--body", "-"]);
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("a run");
    let mut input = child.stdin.take().expect("its input");
    // One that ends before it has read everything says why.
    let _ = input.write_all(body.to_string().as_bytes());
    drop(input);
    child.wait_with_output().expect("an end")
}

async fn the_command_tells_what_would_change(database: TestDatabase) {
    let digest = || succeeds(&run(&database, &["events", "digest"]));
    succeeds(&run(&database, &["connection", "create", "acme"]));
    let before = digest();
    let create = json!({ "userName": "ann", "title": "Boss" });
    let text = succeeds(&told(&database, &["dry-run", "post", "Users"], &create));
    for line in ["would be answered with: 201", "created: user 'ann' (", "  title: - -> Boss"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let found = succeeds(&told(&database, &["dry-run", "POST", "/Users", "--json"], &create));
    let found: Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!((&found["schemas"], &found["status"]), (&json!([SCHEMA]), &json!(201)));
    assert_eq!(found["changes"][0]["after"]["title"], "Boss");
    let nobody = run(&database, &["dry-run", "DELETE", &format!("/Users/{NOBODY}")]);
    fails(&nobody, 1);
    let text = String::from_utf8_lossy(&nobody.stdout).into_owned();
    assert!(text.contains("404") && text.contains("because: there is no user"), "{text}");
    let job = json!({ "Operations": [
        { "method": "POST", "path": "/Users", "bulkId": "a", "data": { "userName": "ann" } },
        { "method": "POST", "path": "/Groups", "bulkId": "g", "data": {
            "displayName": "Staff", "members": [{ "value": "bulkId:a" }] } },
    ] });
    let text = succeeds(&told(&database, &["dry-run", "POST", "/Bulk"], &job));
    assert!(text.contains("operation 2, POST") && text.contains("  adds ann"), "{text}");
    assert_eq!(digest(), before, "nothing was changed");
    // What cannot be meant.
    assert!(fails(&run(&database, &["dry-run", "GET", "/Users"]), 2).contains("'GET'"));
    succeeds(&run(&database, &["connection", "create", "other"]));
    let of_two = told(&database, &["dry-run", "POST", "/Users"], &create);
    assert!(fails(&of_two, 2).contains("--connection"));
    succeeds(&told(&database, &["dry-run", "--connection", "other", "POST", "/Users"], &create));
}

async fn the_command_asks_a_server_that_knows_dry_runs_alone(database: TestDatabase) {
    let server = Server::start(&database, &[]);
    let base = server.field("SCIM base URL").expect("an address");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, server.field("API token").expect("a token")).expect("a file");
    let file = file.to_str().expect("a name");
    let create = json!({ "userName": "ann" });
    let ask = |url: &str| {
        let arguments = ["dry-run", "--url", url, "--token-file", file, "POST", "/Users"];
        told(&database, &arguments, &create)
    };
    let text = succeeds(&ask(&base));
    assert!(text.contains("201") && text.contains("created: user 'ann'"), "{text}");
    // Whoever does not know the header might do it for real, and is not sent the request.
    let stranger = Provider::start();
    // It runs once it was waited for.
    reqwest::get(format!("{}/x", stranger.issuer)).await.expect("an answer");
    assert!(fails(&ask(&stranger.issuer), 2).contains("does not seem to know dry runs"));
    assert_eq!((stranger.asked("/Users"), stranger.asked("/Schemas")), (0, 1));
    let text = succeeds(&told(&database, &["dry-run", "POST", "/Users"], &create));
    assert!(text.contains("201"), "it is not there yet: {text}");
}
