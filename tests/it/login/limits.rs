//! How often somebody may come who wants to sign in, or an application that does not prove itself.

use muster::directory::apps;

use super::harness::{
    CALLBACK, Login, VERIFIER, is_oauth_error, is_refusal, is_refusal_saying, under_way,
};
use crate::support::{Answer, Case, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![
    who_makes_states_up_is_not_looked_at_any_more,
    who_makes_codes_up_is_not_looked_at_any_more,
    what_an_application_with_a_secret_brings_locks_nobody_out,
    who_guesses_secrets_is_not_looked_at_any_more,
    a_persons_token_that_is_over_locks_nobody_out,
    an_address_begins_so_many_sign_ins,
];

async fn strict(database: TestDatabase) -> TestApp {
    TestApp::start_with(database, |settings| settings.limits.failures = 3).await
}

/// When to come again, in seconds.
#[track_caller]
fn retry_after(answer: &Answer) -> i64 {
    assert_eq!(answer.status, 429, "{}: {}", answer.request, answer.text);
    answer.header("retry-after").and_then(|seconds| seconds.parse().ok()).expect("seconds")
}

async fn who_makes_states_up_is_not_looked_at_any_more(database: TestDatabase) {
    let app = strict(database).await;
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let made_up = async || login.get("/login/callback?code=c&state=made-up", None).await;
    for _ in 0..3 {
        is_refusal(&made_up().await, 400, "a state that is made up");
    }
    let answer = made_up().await;
    let seconds = retry_after(&answer);
    is_refusal_saying(&answer, 429, "Too many attempts from this address failed");
    // By a form too.
    let form = [("code", "c"), ("state", "made-up")];
    is_refusal(&login.post("/login/callback", &form, &[]).await, 429, "a form");
    // Whoever is under way behind the same address gets through.
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    app.clock.advance(seconds);
    is_refusal(&made_up().await, 400, "later");
}

async fn who_makes_codes_up_is_not_looked_at_any_more(database: TestDatabase) {
    let app = strict(database).await;
    let login = Login::new(&app).await;
    let code = login.code(&app).await;
    let made_up = async || login.exchange("made-up", VERIFIER, CALLBACK).await;
    for _ in 0..3 {
        is_oauth_error(&made_up().await, 400, "invalid_grant");
    }
    let answer = made_up().await;
    let seconds = retry_after(&answer);
    is_oauth_error(&answer, 429, "temporarily_unavailable");
    // A good code of somebody behind the same address is exchanged.
    login.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
    // It works once, and counts from then on.
    is_oauth_error(&login.exchange(&code, VERIFIER, CALLBACK).await, 400, "invalid_grant");
    is_oauth_error(
        &login.exchange(&code, VERIFIER, CALLBACK).await,
        429,
        "temporarily_unavailable",
    );
    // There is room again for one that fails in every twenty seconds.
    app.clock.advance(seconds + 20);
    is_oauth_error(&made_up().await, 400, "invalid_grant");
}

/// An application with a secret; gives the client id and the secret.
async fn confidential(app: &TestApp) -> (String, String) {
    let now = app.clock.now();
    let made = app.db.write("create_app", move |conn| {
        apps::create(conn, "with a secret", &[CALLBACK.to_owned()], false, true, now)
    });
    let (made, secret) = made.await.expect("an application");
    (made.id, secret.expect("a secret").expose().to_owned())
}

async fn exchange(login: &Login, client: (&str, &str), code: &str) -> Answer {
    let form = [
        ("grant_type", "authorization_code"),
        ("client_id", client.0),
        ("client_secret", client.1),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ];
    login.post("/token", &form, &[]).await
}

/// Browsers bring it codes, and anybody can bring wrong ones.
async fn what_an_application_with_a_secret_brings_locks_nobody_out(database: TestDatabase) {
    let app = strict(database).await;
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app).await;
    for _ in 0..20 {
        is_oauth_error(&exchange(&login, (&id, &secret), "made-up").await, 400, "invalid_grant");
    }
}

async fn who_guesses_secrets_is_not_looked_at_any_more(database: TestDatabase) {
    let app = strict(database).await;
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app).await;
    is_oauth_error(&exchange(&login, (&id, &secret), "made-up").await, 400, "invalid_grant");
    for guess in ["a", "b", "c"] {
        is_oauth_error(&exchange(&login, (&id, guess), "x").await, 401, "invalid_client");
    }
    let answer = exchange(&login, (&id, "d"), "x").await;
    retry_after(&answer);
    is_oauth_error(&answer, 429, "temporarily_unavailable");
    for path in ["/introspect", "/revoke"] {
        let form = [("client_id", "nobody"), ("token", "x")];
        is_oauth_error(&login.post(path, &form, &[]).await, 429, "temporarily_unavailable");
    }
    // The application itself goes on working.
    is_oauth_error(&exchange(&login, (&id, &secret), "made-up").await, 400, "invalid_grant");
}

/// The application asks for everybody from one address, and tokens end every day.
async fn a_persons_token_that_is_over_locks_nobody_out(database: TestDatabase) {
    let app = strict(database).await;
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    for number in 0..20 {
        login.userinfo(&format!("muster_access_{number}")).await.expect(401);
        let me = app.with_token(&format!("muster_access_{number}"));
        me.get("/Me").await.expect_error(401, None);
    }
    login.userinfo(&token).await.expect(200);
    app.with_token(&token).get("/Me").await.expect(200);
    app.with_token("muster_scim_wrong").get("/Users").await.expect_error(401, None);
}

async fn an_address_begins_so_many_sign_ins(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.limits.sign_ins = 3).await;
    let login = Login::new(&app).await;
    let path = format!("/login/initiate?iss={}", login.provider.issuer);
    let begun = login.begin(&login.code_request()).await;
    for path in [login.code_request(), path.clone()] {
        login.get(&path, None).await.expect(303);
    }
    let answer = login.get(&path, None).await;
    let seconds = retry_after(&answer);
    is_refusal_saying(&answer, 429, "Too many sign-ins were begun from this address");
    is_refusal(&login.get(&login.code_request(), None).await, 429, "by the application");
    assert_eq!(under_way(&app).await, 3);
    // What is under way goes on.
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    app.clock.advance(seconds);
    login.get(&path, None).await.expect(303);
}
