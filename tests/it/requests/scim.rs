//! What directories ask for.

use serde_json::json;

use super::{logged, newest};
use crate::support::{Case, TestApp, cases, patch_body, schema_cases};

const APPS: &[Case] = cases![
    a_push_is_there_with_what_it_changed,
    a_refusal_says_what_was_wrong,
    a_password_is_never_kept,
    reads_are_counted_and_not_kept,
    requests_are_found_by_whom_they_are_about,
    what_has_changed_is_found_among_many_events,
    a_bulk_request_shows_all_that_it_changed,
    somebody_without_a_good_token_is_logged,
    a_token_that_is_good_no_more_tells_whose_it_was,
    a_wrong_address_is_logged,
    a_token_that_was_pasted_wrongly_is_noticed,
    rules_that_a_request_made_use_of_are_named,
    no_connection_sees_another_ones_requests,
    pages_go_back_to_the_beginning,
    whoever_waits_is_shown_the_next_request,
    parameters_are_read_strictly,
    a_deleted_connection_takes_its_requests_along,
    a_summary_says_how_things_are,
    two_processes_write_one_log,
];
const SCHEMAS: &[Case] = schema_cases![what_a_schema_never_returns_is_not_kept];

pub fn cases() -> Vec<Case> {
    [APPS, SCHEMAS].concat()
}

async fn a_push_is_there_with_what_it_changed(app: TestApp) {
    let client = app.scim();
    let request = client
        .request("POST", "/Users?attributes=userName")
        .header("content-type", "application/scim+json")
        .header("user-agent", "Okta SCIM Client 1.0.0")
        .body(json!({ "userName": "Ann", "externalId": "00uann" }).to_string());
    let made = client.send(request).await.expect(201);
    let entry = newest(&app, "connection=default").await;
    assert_eq!(entry["kind"], "scim");
    assert_eq!(entry["method"], "POST");
    assert_eq!(entry["path"], "/scim/v2/Users");
    assert_eq!(entry["query"], "attributes=userName");
    assert_eq!(entry["status"], 201);
    assert_eq!(entry["connection"], "default");
    assert_eq!(entry["resourceType"], "User");
    assert_eq!(entry["user"], json!({ "id": made.id(), "userName": "Ann" }));
    assert_eq!(entry["requestId"], made.header("x-request-id").expect("an id"));
    assert_eq!(entry["client"], "127.0.0.1");
    assert_eq!(entry["userAgent"], "Okta SCIM Client 1.0.0");
    assert!(entry["tokenId"].is_string());
    assert_eq!(
        entry["request"]["text"],
        json!({ "userName": "Ann", "externalId": "00uann" }).to_string()
    );
    assert_eq!(entry["request"]["cut"], false);
    assert_eq!(entry["answer"]["text"], made.text);
    let duration = entry["durationMicros"].as_i64().expect("a duration");
    assert!(duration > 0 && duration < 60_000_000, "{duration}");
    assert_eq!(entry["changes"].as_array().expect("changes").len(), 1, "{entry}");
    assert_eq!(entry["changes"][0]["action"], "created");
    assert_eq!(entry["changes"][0]["subject"], json!({ "type": "user", "id": made.id() }));

    client.delete(&format!("/Users/{}", made.id())).await.expect(204);
    let entry = newest(&app, "method=delete").await;
    assert_eq!(entry["user"], json!({ "id": made.id(), "userName": "Ann" }), "as it was called");
    assert_eq!(entry["changes"][0]["action"], "deleted");
    assert_eq!(entry["answer"], json!(null));
}

async fn a_refusal_says_what_was_wrong(app: TestApp) {
    let client = app.scim();
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let refused = client.post("/Users", &json!({ "userName": "ANN" })).await;
    let text = refused.text.clone();
    let detail = refused.expect_error(409, Some("uniqueness"));
    let entry = newest(&app, "errors=true").await;
    assert_eq!(entry["status"], 409);
    assert_eq!(entry["scimType"], "uniqueness");
    assert_eq!(entry["detail"], detail);
    assert_eq!(entry["user"], json!({ "id": null, "userName": "ANN" }));
    assert_eq!(entry["answer"]["text"], text);
    assert_eq!(entry["changes"], json!([]));
    assert_eq!(logged(&app, "errors=true").await.len(), 1);
    assert_eq!(logged(&app, "").await.len(), 2);
}

async fn a_password_is_never_kept(app: TestApp) {
    let client = app.scim();
    let body = json!({ "userName": "ann", "password": "s3cr3t-pw" });
    let id = client.post("/Users", &body).await.expect(201).id();
    let path = format!("/Users/{id}");
    let operations = json!([{ "op": "replace", "value": "s3cr3t-pw", "path": "password" }]);
    client.patch(&path, &patch_body(operations)).await.expect(200);
    client.post("/Users", &body).await.expect(409);
    client.get("/Users?filter=password+eq+%22s3cr3t-pw%22").await.expect(400);
    client.get("/Users?password=s3cr3t-pw").await;
    let search = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "filter": "password eq \"s3cr3t-pw\"",
    });
    client.post("/Users/.search", &search).await.expect(400);
    let found = logged(&app, "").await;
    assert_eq!(found.len(), 6);
    for entry in found {
        let id = entry["id"].as_str().expect("an id");
        let whole = app.admin().await.get(&format!("/requests/{id}")).await.expect(200);
        assert!(!whole.text.contains("s3cr3t"), "{}", whole.text);
    }
    let mut conn = app.database.connect();
    assert_eq!(super::bounds::rows_with(&mut conn, "s3cr3t"), 0);
    assert!(super::bounds::rows_with(&mut conn, "***") > 3);
}

async fn what_a_schema_never_returns_is_not_kept(app: TestApp) {
    let acme = "urn:example:params:scim:schemas:extension:acme:2.0:User";
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", acme],
        "userName": "ann", acme: { "pin": "s3cr3t-pin" },
    });
    app.scim().post("/Users", &body).await;
    let entry = newest(&app, "").await;
    assert!(
        entry["request"]["text"].as_str().expect("a body").contains("\"pin\":\"***\""),
        "{entry}"
    );
    assert_eq!(super::bounds::rows_with(&mut app.database.connect(), "s3cr3t"), 0);
}

async fn reads_are_counted_and_not_kept(app: TestApp) {
    let client = app.scim();
    for name in ["ann", "bob"] {
        client.post("/Users", &json!({ "userName": name })).await.expect(201);
    }
    let answer = client.get("/Users?filter=userName+sw+%22b%22&startIndex=1").await.expect(200);
    let entry = newest(&app, "method=GET").await;
    assert_eq!(entry["resources"], 1);
    assert_eq!(entry["query"], "filter=userName+sw+%22b%22&startIndex=1");
    assert_eq!(entry["answer"], json!({ "size": answer.text.len(), "text": null, "cut": false }));
    assert_eq!(entry["request"], json!(null));
}

async fn requests_are_found_by_whom_they_are_about(app: TestApp) {
    let client = app.scim();
    let ann = client.post("/Users", &json!({ "userName": "Ann" })).await.expect(201).id();
    let bob = client.post("/Users", &json!({ "userName": "bob" })).await.expect(201).id();
    let staff = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    client.get(&format!("/Users/{ann}")).await.expect(200);
    client.get("/Users?filter=userName%20eq%20%22aNN%22").await.expect(200);
    let put =
        client.put(&format!("/Users/{ann}"), &json!({ "userName": "Ann2" })).await.expect(200);
    client.delete(&format!("/Groups/{staff}")).await.expect(204);
    let count = async |query: &str| logged(&app, query).await.len();
    assert_eq!(count(&format!("user={ann}")).await, 3);
    assert_eq!(count("user=ann").await, 2, "by the name that requests say");
    assert_eq!(count("user=ann2").await, 2, "or that there was when they were written");
    assert_eq!(count("connection=default&user=ANN2").await, 3, "by whoever has the name");
    assert_eq!(count(&format!("user={bob}&errors=false")).await, 1);
    assert_eq!(count(&format!("user={bob}&errors=true")).await, 0);
    assert_eq!(count("team=STAFF").await, 2);
    assert_eq!(count(&format!("team={staff}&method=DELETE")).await, 1);
    assert_eq!(count("user=nobody").await, 0);
    let id = put.header("x-request-id").expect("an id");
    assert_eq!(logged(&app, &format!("requestId={id}")).await[0]["method"], "PUT");
    assert_eq!(logged(&app, "user=ann&count=1").await.len(), 1);
}

async fn what_has_changed_is_found_among_many_events(app: TestApp) {
    let client = app.scim();
    let mut made = Vec::new();
    for number in 0..8 {
        let user = json!({ "userName": format!("user{number}") });
        made.push(client.post("/Users", &user).await.expect(201));
        // They are far from each other, and those of the last have no place in the feed yet.
        if number < 6 {
            app.clock.advance(3_600);
            app.admin().await.get("/events").await.expect(200);
        }
    }
    for answer in made {
        let id = answer.header("x-request-id").expect("an id");
        let entry = newest(&app, &format!("requestId={id}")).await;
        let changes = entry["changes"].as_array().expect("changes");
        assert_eq!(changes.len(), 1, "{entry}");
        assert_eq!(changes[0]["subject"]["id"], answer.id().as_str());
    }
}

async fn a_bulk_request_shows_all_that_it_changed(app: TestApp) {
    let operations: Vec<_> = ["ann", "bob"]
        .iter()
        .map(|name| {
            json!({ "method": "POST", "path": "/Users", "bulkId": name,
                    "data": { "userName": name, "password": "s3cr3t" } })
        })
        .collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": operations,
    });
    app.scim().post("/Bulk", &body).await.expect(200);
    let entry = newest(&app, "").await;
    assert_eq!(entry["resourceType"], "Bulk");
    assert_eq!(entry["changes"].as_array().expect("changes").len(), 2);
    assert!(!entry.to_string().contains("s3cr3t"), "{entry}");
    assert!(entry["request"]["text"].as_str().expect("a body").contains("\"password\":\"***\""));
}

async fn somebody_without_a_good_token_is_logged(app: TestApp) {
    app.with_authorization(None).get("/Users").await.expect(401);
    app.with_token("muster_scim_nobody").get("/Users").await.expect(401);
    let found = logged(&app, "unassigned=true").await;
    assert_eq!(found.len(), 2);
    for (entry, said) in found.iter().zip(["not known", "send the token"]) {
        assert_eq!((&entry["connection"], &entry["status"]), (&json!(null), &json!(401)));
        assert!(entry["detail"].as_str().expect("a detail").contains(said), "{entry}");
        assert_eq!(entry["tokenId"], json!(null));
    }
    assert_eq!(logged(&app, "connection=default").await.len(), 0);
    assert_eq!(super::bounds::rows_with(&mut app.database.connect(), "scim_nobody"), 0);
}

async fn a_token_that_is_good_no_more_tells_whose_it_was(app: TestApp) {
    let soon = app.clock.now() + 60_000_000;
    let (expired_id, expired) = app.new_token_until("default", Some(soon)).await;
    let (revoked_id, revoked) = app.new_token("default").await;
    let (id, now) = (revoked_id.clone(), app.clock.now());
    app.db
        .write("revoke", move |conn| muster::directory::tokens::revoke(conn, &id, now))
        .await
        .expect("a token");
    app.clock.advance(61);
    app.with_token(&expired).get("/Users").await.expect(401);
    app.with_token(&revoked).get("/Users").await.expect(401);
    let found = logged(&app, "connection=default&errors=true").await;
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0]["tokenId"], &found[1]["tokenId"]),
        (&json!(revoked_id), &json!(expired_id))
    );
    assert_eq!(logged(&app, "unassigned=true").await.len(), 0);
}

async fn a_wrong_address_is_logged(app: TestApp) {
    let token = format!("Bearer {}", app.default_token());
    let nobody = app.anonymous();
    for path in ["/Users?count=2", "/v2/Users", "/scim/v1/Groups/7"] {
        nobody.get(path).await.expect(404);
    }
    let with_token = nobody.request("GET", "/Users").header("authorization", token);
    nobody.send(with_token).await.expect(404);
    for path in ["/favicon.ico", "/wp-login.php", "/"] {
        nobody.get(path).await.expect(404);
    }
    let found = logged(&app, "unassigned=true").await;
    let paths: Vec<_> = found.iter().map(|entry| entry["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["/scim/v1/Groups/7", "/v2/Users", "/Users"]);
    assert!(found[2]["detail"].as_str().expect("a detail").contains("/scim/v2"), "{}", found[2]);
    // The token says who was told wrongly.
    let found = logged(&app, "connection=default").await;
    assert_eq!((found.len(), &found[0]["path"]), (1, &json!("/Users")));
    app.scim().get("/Vegetables").await.expect(404);
    assert_eq!(logged(&app, "connection=default").await[0]["path"], "/scim/v2/Vegetables");
}

async fn a_token_that_was_pasted_wrongly_is_noticed(app: TestApp) {
    let token = app.default_token().to_owned();
    for (header, quirks) in [
        (format!("Bearer {token}"), json!([])),
        (format!("Bearer Bearer {token}"), json!(["bearer-twice"])),
        (token.clone(), json!(["bare-token"])),
    ] {
        app.with_authorization(Some(header)).get("/Users").await.expect(200);
        assert_eq!(newest(&app, "").await["quirks"], quirks);
    }
}

async fn rules_that_a_request_made_use_of_are_named(app: TestApp) {
    let client = app.scim();
    let user = json!({ "userName": "ann", "active": "True", "schemas": [] });
    let id = client.post("/Users", &user).await.expect(201).id();
    assert_eq!(newest(&app, "").await["quirks"], json!(["foreign-schemas", "string-boolean"]));
    let operations = json!([{ "op": "Replace", "path": "active", "value": false }]);
    client.patch(&format!("/Users/{id}"), &patch_body(operations)).await.expect(200);
    assert_eq!(newest(&app, "").await["quirks"], json!(["capitalized-operation"]));
}

async fn no_connection_sees_another_ones_requests(app: TestApp) {
    let other = app.other("other").await;
    app.scim().post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    let id = other.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    for (query, count) in [
        ("", 2),
        ("connection=default", 1),
        ("connection=other", 1),
        ("user=ann", 2),
        ("connection=other&user=ann", 1),
    ] {
        let found = logged(&app, query).await;
        assert_eq!(found.len(), count, "{query}");
        if let Some(name) = query.strip_prefix("connection=") {
            assert_eq!(found[0]["connection"], name.split('&').next().expect("a name"));
        }
    }
    assert_eq!(logged(&app, &format!("connection=default&user={id}")).await.len(), 0);
    app.admin().await.get("/requests?connection=nobody").await.expect(404);
    // A directory's token reads no log.
    let scim = app.default_token().to_owned();
    app.api_with(&scim).get("/requests").await.expect(401);
    // And in the program itself: a request of another connection is none of a connection's.
    let entry = logged(&app, "connection=other").await[0].clone();
    let of = |name: &'static str| {
        let number: i64 = entry["id"].as_str().expect("an id").parse().expect("a number");
        app.db.read(move |conn| {
            let connection = muster::directory::connections::find(conn, name)?;
            let found = muster::directory::requests::one(conn, Some(&connection.id), number)?;
            Ok::<_, muster::directory::connections::AdminError>(found)
        })
    };
    assert!(of("default").await.expect("a look").is_none());
    assert!(of("other").await.expect("a look").is_some());
}

async fn pages_go_back_to_the_beginning(app: TestApp) {
    let client = app.scim();
    for number in 0..5 {
        client.post("/Users", &json!({ "userName": format!("user{number}") })).await.expect(201);
    }
    let admin = app.admin().await;
    let name =
        |entry: &serde_json::Value| entry["user"]["userName"].as_str().expect("a name").to_owned();
    let (mut names, mut before) = (Vec::new(), String::new());
    loop {
        let body = admin.get(&format!("/requests?count=2{before}")).await.expect(200).body;
        let found = body["requests"].as_array().expect("requests").clone();
        if found.is_empty() {
            assert_eq!(body["before"], json!(null));
            break;
        }
        names.extend(found.iter().map(name));
        before = format!("&before={}", body["before"].as_str().expect("an id"));
    }
    assert_eq!(names, ["user4", "user3", "user2", "user1", "user0"]);
    // Forwards, the ones that come next.
    let (mut names, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let body = admin.get(&format!("/requests?count=2&after={after}")).await.expect(200).body;
        let found = body["requests"].as_array().expect("requests").clone();
        if found.is_empty() {
            assert_eq!(body["next"], after.as_str());
            break;
        }
        names.extend(found.iter().rev().map(name));
        body["next"].as_str().expect("an id").clone_into(&mut after);
    }
    assert_eq!(names, ["user0", "user1", "user2", "user3", "user4"]);
}

async fn whoever_waits_is_shown_the_next_request(app: TestApp) {
    let admin = app.admin().await;
    let waiting = admin.get("/requests?after=0&wait=60");
    let asking = async {
        app.until_somebody_waits().await;
        let client = app.scim();
        client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    };
    let (found, ()) = futures_util::future::join(waiting, asking).await;
    assert_eq!(found.expect(200).body["requests"][0]["user"]["userName"], "ann");
}

async fn parameters_are_read_strictly(app: TestApp) {
    let admin = app.admin().await;
    for wrong in [
        "conection=default",
        "errors=yes",
        "kind=other",
        "after=x",
        "before=-1",
        "count=0",
        "wait=61",
        "connection=default&unassigned=true",
    ] {
        let answer = admin.get(&format!("/requests?{wrong}")).await.expect(400);
        assert_eq!(answer.body["error"], "invalid_request", "{wrong}");
    }
    for none in ["/requests/0", "/requests/x", "/requests/999999"] {
        admin.get(none).await.expect(404);
    }
    admin.get("/requests/1?x=1").await.expect(400);
}

async fn a_deleted_connection_takes_its_requests_along(app: TestApp) {
    let other = app.other("other").await;
    other.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    assert_eq!(logged(&app, "").await.len(), 1);
    // One that is not written yet, too.
    other.post("/Users", &json!({ "userName": "bob" })).await.expect(201);
    let now = app.clock.now();
    app.db
        .write("delete", move |conn| muster::directory::connections::delete(conn, "other", now))
        .await
        .expect("a connection");
    assert_eq!(logged(&app, "").await.len(), 0);
    app.scim().get("/Users").await.expect(200);
    assert_eq!(logged(&app, "").await.len(), 1, "the log goes on");
}

async fn a_summary_says_how_things_are(app: TestApp) {
    // It is of whole hours: all of this happens in the first minutes of one.
    let past = app.clock.now().rem_euclid(3_600_000_000) / 1_000_000;
    app.clock.advance(3_600 - past + 60);
    let summary = async || {
        // Reading writes what is there first.
        logged(&app, "").await;
        let now = app.clock.now();
        app.db
            .read(move |conn| {
                let connection = muster::directory::connections::find(conn, "default")?;
                let found = muster::directory::requests::summary(conn, &connection.id, now)?;
                Ok::<_, muster::directory::connections::AdminError>(found)
            })
            .await
            .expect("a summary")
    };
    let empty = summary().await;
    assert_eq!(
        (empty.last_push_at, empty.last_error.is_none(), empty.hours.len()),
        (None, true, 24)
    );
    let client = app.scim();
    client.get("/Users").await.expect(200);
    assert_eq!(summary().await.last_push_at, None, "nothing was pushed");
    let before = app.clock.now();
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(201);
    client.post("/Users", &json!({ "userName": "ann" })).await.expect(409);
    app.clock.advance(2 * 3_600);
    let dry = client.request("POST", "/Users").header("Muster-Dry-Run", "true");
    let dry = dry.header("content-type", "application/scim+json").body(r#"{"userName":"ben"}"#);
    assert_eq!(client.send(dry).await.expect(200).body["status"], 201);
    let found = summary().await;
    let pushed = found.last_push_at.expect("a push");
    assert!(pushed >= before && pushed < app.clock.now());
    assert_eq!(found.last_error.expect("an error").status, 409);
    let counts: Vec<_> = found.hours.iter().map(|hour| (hour.requests, hour.errors)).collect();
    assert_eq!(counts.iter().map(|(requests, _)| requests).sum::<i64>(), 4);
    assert_eq!((counts[21], counts[23]), ((3, 1), (1, 0)), "{counts:?}");
    app.clock.advance(24 * 3_600);
    let later = summary().await;
    assert_eq!(later.hours.iter().map(|hour| hour.requests).sum::<i64>(), 0);
    assert_eq!(later.last_push_at, Some(pushed));
}

async fn two_processes_write_one_log(app: TestApp) {
    let replica = app.replica().await;
    let (here, there) = (app.scim(), replica.scim());
    for number in 0..3 {
        here.post("/Users", &json!({ "userName": format!("here{number}") })).await.expect(201);
        there.post("/Users", &json!({ "userName": format!("there{number}") })).await.expect(201);
    }
    assert_eq!(logged(&replica, "").await.len(), 3, "what the other has is not written yet");
    assert_eq!(logged(&app, "").await.len(), 6);
    let found = logged(&replica, "").await;
    assert_eq!(found.len(), 6);
    let waiting = app.admin().await;
    let newest = found[0]["id"].as_str().expect("an id");
    let path = format!("/requests?after={newest}&wait=60");
    let asking = async {
        there.delete("/Users/nobody").await.expect(404);
        logged(&replica, "").await;
    };
    let (found, ()) = futures_util::future::join(waiting.get(&path), asking).await;
    assert_eq!(found.expect(200).body["requests"][0]["status"], 404);
    replica.stopper().await;
}
