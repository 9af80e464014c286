//! What fails a job, what fails one operation, and what goes on.

use diesel::connection::SimpleConnection;
use serde_json::{Value, json};

use super::{
    carry_out, check, count, delete, detail, group, id, job, managed_user, members, patch, path,
    read, results, statuses, user,
};
use crate::support::{Backend, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    what_is_no_job_is_refused_whole,
    an_operation_that_is_wrong_fails_alone,
    an_operation_is_answered_as_a_request_of_its_own,
    a_version_must_be_the_one_that_was_read,
    errors_end_the_job_when_there_are_enough,
    a_job_needs_a_token_and_json,
    an_error_of_the_store_is_the_operations_own,
    a_store_that_goes_away_ends_the_job,
    nobody_reaches_another_tenant,
];

async fn what_is_no_job_is_refused_whole(app: TestApp) {
    let client = app.scim();
    let schemas = json!(["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]);
    let operations = json!([user("ann")]);
    for (wrong, word) in [
        (json!([]), "object"),
        (json!({ "schemas": schemas }), "Operations"),
        (json!({ "schemas": schemas, "Operations": [] }), "Operations"),
        (json!({ "schemas": schemas, "Operations": user("ann") }), "Operations"),
        (json!({ "schemas": schemas, "Operations": [user("ann"), 5] }), "Operations"),
        (
            json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations }),
            "BulkRequest",
        ),
        (
            json!({ "schemas": schemas, "failOnErrors": 0, "Operations": operations }),
            "failOnErrors",
        ),
        (
            json!({ "schemas": schemas, "failOnErrors": "2", "Operations": operations }),
            "failOnErrors",
        ),
        (job(json!([user("ann"), user("ann")])), "'ann'"),
        (
            job(json!([user("ann"), { "method": "DELETE", "path": "/Users/x", "bulkId": "ann" }])),
            "'ann'",
        ),
    ] {
        let error = client.post("/Bulk", &wrong).await.expect_error(400, Some("invalidSyntax"));
        assert!(error.contains(word), "{wrong}: {error}");
    }
    assert_eq!(count(&client, "/Users").await, 0);
    for method in ["GET", "PUT", "PATCH", "DELETE"] {
        let answer = client.with_body(method, "/Bulk", &json!({})).await;
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
        answer.expect_error(405, None);
    }
}

async fn an_operation_that_is_wrong_fails_alone(app: TestApp) {
    let client = app.scim();
    let data = json!({ "userName": "x" });
    let wrong = json!([
        { "path": "/Users", "bulkId": "1", "data": data },
        { "method": "GET", "path": "/Users/x" },
        { "method": "POST", "path": "/Users", "data": data },
        { "method": "POST", "path": "/Users/x", "bulkId": "2", "data": data },
        { "method": "POST", "path": "/Devices", "bulkId": "3", "data": data },
        { "method": "POST", "path": "/Users", "bulkId": "4" },
        { "method": "PUT", "path": "/Users", "data": data },
        { "method": "PATCH", "path": "/Me", "data": data },
        { "method": "DELETE", "path": "/Schemas/x" },
        { "method": "DELETE" },
        { "method": "DELETE", "path": "/Users/\u{0}" },
        { "method": "post", "path": "/Users", "bulkId": "ok", "data": data },
    ]);
    let body = client.post("/Bulk", &job(wrong)).await.expect(200).body;
    let results = body["Operations"].as_array().expect("results");
    assert_eq!(
        statuses(results),
        ["400", "405", "400", "405", "404", "400", "405", "404", "405", "400", "404", "201"]
    );
    for result in &results[..11] {
        let status: u16 = result["status"].as_str().expect("text").parse().expect("a status");
        let scim_type = if status == 400 { json!("invalidSyntax") } else { Value::Null };
        assert_eq!(result["response"]["scimType"], scim_type, "{result}");
    }
    check(&results[11]);
    assert_eq!(results[11]["method"], "POST");
    assert_eq!(results[1]["method"], "GET");
    assert_eq!(results[0].get("method"), None);
    assert_eq!(count(&client, "/Users").await, 1);
}

/// Each operation fails as the same request does on its own endpoint, in the same words.
async fn an_operation_is_answered_as_a_request_of_its_own(app: TestApp) {
    let client = app.scim();
    let ann = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let team = client.post("/Groups", &json!({ "displayName": "Team" })).await.expect(201);
    let (ann, team) = (format!("/Users/{}", ann.id()), format!("/Groups/{}", team.id()));
    let many: Vec<Value> =
        (0..10_001).map(|_| json!({ "op": "remove", "path": "title" })).collect();
    let remove = |path: &str| patch_body(json!([{ "op": "remove", "path": path }]));
    for (method, path, data) in [
        ("POST", "/Users", json!({ "userName": "ANN" })),
        ("POST", "/Users", json!({ "title": "x" })),
        ("POST", "/Users", json!({ "userName": "x", "emails": 5 })),
        ("POST", "/Groups", json!({ "displayName": "TEAM" })),
        ("POST", "/Groups", json!({ "displayName": "x", "members": [{ "value": "ghost" }] })),
        ("PUT", "/Users/ghost", json!({ "userName": "x" })),
        ("PUT", &ann, json!({ "userName": "" })),
        ("PUT", &team, json!({ "displayName": "Team", "members": [{}] })),
        ("PATCH", &ann, json!({})),
        ("PATCH", &ann, remove("userName")),
        ("PATCH", &ann, remove("emails[type eq")),
        ("PATCH", &ann, patch_body(many.into())),
        (
            "PATCH",
            &team,
            patch_body(
                json!([{ "op": "add", "path": "members", "value": [{ "value": "ghost" }] }]),
            ),
        ),
        ("DELETE", "/Groups/ghost", Value::Null),
    ] {
        let alone = client.with_body(method, path, &data).await;
        assert!(alone.status >= 400, "{method} {path}");
        let operation = json!({ "method": method, "path": path, "bulkId": "x", "data": data });
        let results = carry_out(&client, json!([operation])).await;
        assert_eq!(results[0]["response"], alone.body, "{method} {path}");
    }
}

async fn a_version_must_be_the_one_that_was_read(app: TestApp) {
    let client = app.scim();
    let ann = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let bob = client.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    let team = json!({ "displayName": "Team", "members": [{ "value": bob.id() }] });
    let team = client.post("/Groups", &team).await.expect(201);
    let versioned = |made: &crate::support::Answer, method: &str, path: &str, data: Value| {
        json!({
            "method": method, "path": format!("{path}/{}", made.id()),
            "version": made.body["meta"]["version"], "data": data,
        })
    };
    let title = |title: &str| patch_body(json!([{ "op": "add", "path": "title", "value": title }]));
    let put = json!({ "displayName": "Team", "members": [] });
    let operations = json!([
        versioned(&ann, "PATCH", "/Users", title("x")),
        versioned(&ann, "PATCH", "/Users", title("y")),
        versioned(&ann, "DELETE", "/Users", Value::Null),
        versioned(&team, "PUT", "/Groups", put.clone()),
        versioned(&team, "PUT", "/Groups", put),
        versioned(&team, "DELETE", "/Groups", Value::Null),
    ]);
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["200", "412", "412", "200", "412", "412"]);
    let user = read(&client, &results[0]).await;
    assert_eq!((&user["title"], &user["meta"]["version"]), (&json!("x"), &results[0]["version"]));
    assert_eq!(read(&client, &results[3]).await["meta"]["version"], results[3]["version"]);
    let mut gone = delete(&path(&results[0]));
    gone["version"] = results[0]["version"].clone();
    let operations = json!([gone, { "method": "POST", "path": "/Users", "bulkId": "n", "version": "W/\"9\"", "data": { "userName": "new" } }]);
    assert_eq!(statuses(&carry_out(&client, operations).await), ["204", "201"]);
}

async fn errors_end_the_job_when_there_are_enough(app: TestApp) {
    let client = app.scim();
    for (limit, expected) in [
        (1, vec!["201", "404"]),
        (2, vec!["201", "404", "201", "400"]),
        (3, vec!["201", "404", "201", "400", "201"]),
    ] {
        let name = |name: &str| format!("{name}{limit}");
        let mut job = job(json!([
            user(&name("a")),
            delete("/Users/ghost"),
            user(&name("b")),
            managed_user(&name("c"), "bulkId:ghost"),
            user(&name("d")),
        ]));
        job["failOnErrors"] = json!(limit);
        assert_eq!(statuses(&results(&client, &job).await), expected);
        let found = client.find("/Users", &format!("userName ew \"{limit}\"")).await.len();
        assert_eq!(found, expected.iter().filter(|status| **status == "201").count());
    }
}

async fn a_job_needs_a_token_and_json(app: TestApp) {
    let job = job(json!([user("ann")]));
    app.with_token("nonsense").post("/Bulk", &job).await.expect_error(401, None);
    let client = app.scim();
    let request = client.request("POST", "/Bulk").header("content-type", "text/plain");
    client.send(request.body(job.to_string())).await.expect_error(415, None);
    let request = client.request("POST", "/Bulk").header("content-type", "application/json");
    client.send(request.body("{")).await.expect_error(400, Some("invalidSyntax"));
    assert_eq!(count(&client, "/Users").await, 0);
}

/// Makes the database refuse users whose name begins with `broken`, and be in the way of those
/// whose name begins with `gone`.
fn sabotage(app: &TestApp) {
    let statements = match app.database.backend {
        Backend::Sqlite => {
            "CREATE TRIGGER broken BEFORE INSERT ON users WHEN NEW.user_name LIKE 'broken%'
             BEGIN SELECT RAISE(ABORT, 'broken'); END;
             CREATE TRIGGER gone BEFORE INSERT ON users WHEN NEW.user_name LIKE 'gone%'
             BEGIN SELECT RAISE(ABORT, 'database is locked'); END;"
        }
        Backend::Postgres => {
            "CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               IF NEW.user_name LIKE 'broken%' THEN RAISE EXCEPTION 'broken'; END IF;
               IF NEW.user_name LIKE 'gone%' THEN
                 RAISE EXCEPTION 'gone' USING ERRCODE = 'serialization_failure';
               END IF;
               RETURN NEW;
             END $$;
             CREATE TRIGGER sabotage BEFORE INSERT ON users
             FOR EACH ROW EXECUTE FUNCTION sabotage();"
        }
    };
    app.database.connect().batch_execute(statements).expect("a trigger");
}

async fn an_error_of_the_store_is_the_operations_own(app: TestApp) {
    sabotage(&app);
    let client = app.scim();
    let operations = json!([
        user("ann"),
        user("broken"),
        user("gone"),
        managed_user("bob", "bulkId:broken"),
        user("eve"),
        user("gone again"),
        managed_user("cid", "bulkId:broken too"),
        managed_user("broken too", "bulkId:cid"),
        user("dan"),
    ]);
    // Each may be refused for the moment; only several in a row say that there is no database.
    let results = carry_out(&client, operations).await;
    assert_eq!(statuses(&results), ["201", "500", "503", "409", "201", "503", "500", "500", "201"]);
    assert_eq!(count(&client, "/Users").await, 3);
    assert!(!detail(&results[1]).contains("broken"), "the store's words are for the log");
}

async fn a_store_that_goes_away_ends_the_job(app: TestApp) {
    sabotage(&app);
    let client = app.scim();
    let operations =
        || json!([user("ann"), user("gone"), user("gone too"), user("bob"), user("cid")]);
    let results = carry_out(&client, operations()).await;
    assert_eq!(statuses(&results), ["201", "503", "503", "503", "503"]);
    assert_eq!(count(&client, "/Users").await, 1);
    let mut job = job(operations());
    job["failOnErrors"] = json!(4);
    let results = super::results(&client, &job).await;
    assert_eq!(statuses(&results), ["409", "503", "503", "503"]);
}

async fn nobody_reaches_another_tenant(app: TestApp) {
    let ours = app.scim();
    let theirs = app.other("other").await;
    let made = carry_out(&theirs, json!([user("ann"), group("team", &["bulkId:ann"])])).await;
    let (ann, team) = (id(&made[0]), id(&made[1]));
    let reach = |user: &str, team: &str| {
        let member = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
        json!([
            { "method": "PUT", "path": format!("/Users/{user}"), "data": { "userName": "mine" } },
            patch(&format!("/Users/{user}"), json!([{ "op": "replace", "value": { "active": false } }])),
            patch(&format!("/Groups/{team}"), member),
            group("ours", &[user]),
            delete(&format!("/Users/{user}")),
            delete(&format!("/Groups/{team}")),
        ])
    };
    let mine = carry_out(&ours, reach(&ann, &team)).await;
    let nobodys = carry_out(&ours, reach("ghost", "ghoul")).await;
    assert_eq!(statuses(&mine), ["404", "404", "404", "400", "404", "404"]);
    let strip = |results: &[Value], user: &str, team: &str| {
        json!(results).to_string().replace(user, "").replace(team, "")
    };
    assert_eq!(strip(&mine, &ann, &team), strip(&nobodys, "ghost", "ghoul"));
    assert_eq!(read(&theirs, &made[0]).await["active"], true);
    assert_eq!(members(&read(&theirs, &made[1]).await), [ann]);
    // The names of one tenant mean nothing in another one.
    assert_eq!(statuses(&carry_out(&ours, json!([user("ann")])).await), ["201"]);
}
