//! How often somebody may come: wrong tokens of an address, and requests of a token.

use diesel::prelude::*;
use serde_json::json;

use super::{behind_proxy, counted, get_from, revoke};
use crate::support::{Answer, Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    who_guesses_tokens_is_not_looked_at_any_more,
    a_good_token_works_behind_the_address_of_one_who_guesses,
    a_revoked_token_is_no_guess_and_good_no_more,
    a_network_of_ipv6_is_one_guesser,
    who_guesses_admin_tokens_is_not_looked_at_any_more,
    a_token_makes_so_many_requests_and_no_more,
    an_operation_of_a_bulk_job_counts_as_a_request,
    no_limit_is_none,
    what_is_refused_is_counted_by_reason,
];

/// When to come again, of an answer that must be 429.
#[track_caller]
fn retry_after(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 429, "{}: {}", answer.request, answer.text);
    let seconds = answer.header("retry-after").expect("when to try again");
    // Okta reads whole seconds, and no dates.
    let seconds = seconds.parse().expect("seconds");
    assert!((1..=60).contains(&seconds), "{seconds}");
    seconds
}

/// A server that takes three failures a minute, behind a proxy.
async fn strict(database: TestDatabase) -> TestApp {
    behind_proxy(database, |settings| settings.limits.failures = 3).await
}

async fn guess(app: &TestApp, address: &str, number: u32) -> Answer {
    get_from(&app.with_token(&format!("muster_scim_{number}")), address, "/Users").await
}

async fn who_guesses_tokens_is_not_looked_at_any_more(database: TestDatabase) {
    let app = strict(database).await;
    for number in 0..3 {
        guess(&app, "192.0.2.7", number).await.expect_error(401, None);
    }
    let answer = guess(&app, "192.0.2.7", 3).await;
    let seconds = retry_after(&answer);
    let detail = answer.expect_error(429, None);
    assert!(detail.contains("address") && detail.contains(&format!("{seconds} s")), "{detail}");
    // Nor is any other path below.
    get_from(&app.with_token("x"), "192.0.2.7", "/Bulk").await.expect_error(429, None);
    // Others are looked at.
    guess(&app, "192.0.2.8", 3).await.expect_error(401, None);
    // Who comes without any token guesses nothing.
    for _ in 0..5 {
        get_from(&app.with_authorization(None), "192.0.2.9", "/Users")
            .await
            .expect_error(401, None);
    }
    guess(&app, "192.0.2.9", 3).await.expect_error(401, None);
    assert_eq!(counted(&app, r#"muster_limited_requests_total{limit="failures"}"#).await, 2);
    // And not for ever.
    app.clock.advance(seconds);
    guess(&app, "192.0.2.7", 3).await.expect_error(401, None);
    guess(&app, "192.0.2.7", 3).await.expect_error(429, None);
    // The store is not asked anything: it need not be there.
    let gone = "ALTER TABLE tokens RENAME TO somewhere_else";
    diesel::sql_query(gone).execute(&mut app.database.connect()).expect("a change");
    guess(&app, "192.0.2.7", 3).await.expect_error(429, None);
    let answer = guess(&app, "192.0.2.10", 3).await;
    assert!(answer.status >= 500, "{}", answer.text);
}

async fn a_good_token_works_behind_the_address_of_one_who_guesses(database: TestDatabase) {
    let app = strict(database).await;
    let (first, second) = (app.scim(), app.with_token(&app.new_token("default").await.1));
    get_from(&first, "192.0.2.7", "/Users").await.expect(200);
    // Where it was good before does not matter.
    get_from(&second, "203.0.113.1", "/Users").await.expect(200);
    for number in 0..5 {
        guess(&app, "192.0.2.7", number).await;
    }
    guess(&app, "192.0.2.7", 5).await.expect_error(429, None);
    for client in [&first, &second] {
        for _ in 0..5 {
            get_from(client, "192.0.2.7", "/Users").await.expect(200);
        }
    }
    // One that the process does not know yet has to wait, like any guess.
    let third = app.with_token(&app.new_token("default").await.1);
    let seconds = retry_after(&get_from(&third, "192.0.2.7", "/Users").await);
    get_from(&third, "203.0.113.1", "/Users").await.expect(200);
    get_from(&third, "192.0.2.7", "/Users").await.expect(200);
    app.clock.advance(seconds);
    let fourth = app.with_token(&app.new_token("default").await.1);
    get_from(&fourth, "192.0.2.7", "/Users").await.expect(200);
}

async fn a_revoked_token_is_no_guess_and_good_no_more(database: TestDatabase) {
    let app = strict(database).await;
    let (id, token) = app.new_token("default").await;
    let client = app.with_token(&token);
    get_from(&client, "192.0.2.7", "/Users").await.expect(200);
    revoke(&app, &id).await;
    // Whoever goes on with it keeps nobody else out who asks from there.
    for _ in 0..10 {
        get_from(&client, "192.0.2.7", "/Users").await.expect_error(401, None);
    }
    let new = app.with_token(&app.new_token("default").await.1);
    get_from(&new, "192.0.2.7", "/Users").await.expect(200);
    // Nor does it get past the limit that somebody else has reached.
    for number in 0..3 {
        guess(&app, "192.0.2.7", number).await.expect_error(401, None);
    }
    get_from(&client, "192.0.2.7", "/Users").await.expect_error(429, None);
    get_from(&new, "192.0.2.7", "/Users").await.expect(200);
}

async fn a_network_of_ipv6_is_one_guesser(database: TestDatabase) {
    let app = strict(database).await;
    for (number, address) in
        ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:0:0:3"].iter().enumerate()
    {
        let number = u32::try_from(number).expect("a small number");
        guess(&app, address, number).await.expect_error(401, None);
    }
    guess(&app, "2001:db8::4", 4).await.expect_error(429, None);
    guess(&app, "2001:db8:0:1::4", 4).await.expect_error(401, None);
}

async fn who_guesses_admin_tokens_is_not_looked_at_any_more(database: TestDatabase) {
    let app = strict(database).await;
    let admin = app.admin().await;
    get_from(&admin, "192.0.2.7", "/users").await.expect(200);
    let wrong = app.api_with("muster_admin_wrong");
    for _ in 0..3 {
        get_from(&wrong, "192.0.2.7", "/users").await.expect(401);
    }
    let answer = get_from(&wrong, "192.0.2.7", "/users").await;
    retry_after(&answer);
    assert_eq!(answer.body["error"], "too_many_requests");
    get_from(&admin, "192.0.2.7", "/users").await.expect(200);
    // Each kind of credential is counted for itself.
    guess(&app, "192.0.2.7", 1).await.expect_error(401, None);
    // At /introspect it is the same token.
    let request = app.anonymous().request("POST", "/introspect").bearer_auth("muster_admin_wrong");
    let request =
        request.header("content-type", "application/x-www-form-urlencoded").body("token=x");
    let answer = app.anonymous().send(request.header("x-forwarded-for", "192.0.2.7")).await;
    retry_after(&answer);
    assert_eq!(answer.body["error"], "temporarily_unavailable");
}

async fn a_token_makes_so_many_requests_and_no_more(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.limits.requests = 1).await;
    let client = app.scim();
    let mut answer = client.get("/Users?count=0").await;
    let mut served = 0;
    // Ten at once, and one more for each second that this takes.
    while answer.status == 200 && served < 1000 {
        served += 1;
        answer = client.get("/Users?count=0").await;
    }
    assert!(served >= 10, "{served}");
    let detail = answer.expect_error(429, None);
    assert!(detail.contains("token"), "{detail}");
    // Writes too, and nothing is written.
    let other = app.with_token(&app.new_token("default").await.1);
    let mut written = 0;
    let refused = loop {
        // There is room for one where this takes a second, and not for long.
        let refused = client.post("/Users", &json!({ "userName": format!("user{written}") })).await;
        if refused.status != 201 || written == 1000 {
            break refused;
        }
        written += 1;
    };
    let seconds = retry_after(&refused);
    assert_eq!(other.get("/Users").await.expect(200).body["totalResults"], written);
    let limited = counted(&app, r#"muster_limited_requests_total{limit="requests"}"#).await;
    assert_eq!(limited, 2);
    app.clock.advance(seconds + 1);
    client.get("/Users").await.expect(200);
}

async fn an_operation_of_a_bulk_job_counts_as_a_request(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.limits.requests = 1).await;
    let create = |name: usize| {
        json!({
            "method": "POST", "path": "/Users", "bulkId": name.to_string(),
            "data": { "userName": name.to_string() },
        })
    };
    let job = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": (0..40).map(create).collect::<Vec<_>>(),
    });
    let client = app.scim();
    let results = client.post("/Bulk", &job).await.expect(200).body;
    let done = results["Operations"].as_array().expect("results");
    assert!(done.iter().all(|one| one["status"] == "201"), "a job is done whole: {results}");
    // It takes thirty seconds to make that up, and never more than a minute.
    let seconds = retry_after(&client.get("/Users").await);
    app.clock.advance(seconds);
    client.get("/Users").await.expect(200);
}

async fn no_limit_is_none(database: TestDatabase) {
    let app = behind_proxy(database, |settings| {
        settings.limits.failures = 0;
        settings.limits.requests = 0;
    })
    .await;
    for number in 0..100 {
        guess(&app, "192.0.2.7", number).await.expect_error(401, None);
    }
}

async fn what_is_refused_is_counted_by_reason(database: TestDatabase) {
    let app = TestApp::start(database).await;
    let (id, revoked) = app.new_token("default").await;
    revoke(&app, &id).await;
    let (_, expired) = app.new_token_until("default", Some(app.clock.now() - 1)).await;
    let (_, admin) = app.new_admin_token(None).await;
    app.with_authorization(None).get("/Users").await.expect(401);
    for token in ["unknown", &revoked, &expired, &admin] {
        app.with_token(token).get("/Users").await.expect(401);
    }
    app.api_with("wrong").get("/users").await.expect(401);
    app.anonymous().get("/login/callback?state=none&code=x").await.expect(400);
    let form = "grant_type=authorization_code&client_id=nobody&code=x";
    let request = app.anonymous().request("POST", "/token").body(form);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    app.anonymous().send(request).await.expect(401);
    for (reason, times) in [
        ("no-token", 1),
        ("unknown-token", 1),
        ("other-token", 1),
        ("expired-token", 1),
        ("revoked-token", 1),
        ("admin-token", 1),
        ("address", 0),
        ("scope", 0),
        ("client", 1),
        ("code", 0),
        ("sign-in", 1),
    ] {
        let line = format!("muster_refused_authentication_total{{reason=\"{reason}\"}}");
        assert_eq!(counted(&app, &line).await, times, "{reason}");
    }
}
