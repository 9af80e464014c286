//! What becomes of sign-ins.

use serde_json::{Value, json};

use super::{logged, newest};
use crate::login::harness::{Begun, Login};
use crate::support::provider::TOKEN;
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    a_sign_in_says_who_and_how_it_ended,
    a_missing_groups_claim_is_told,
    a_filter_that_matches_nothing_is_told,
    a_claim_that_may_have_been_cut_is_told,
    somebody_inactive_is_told,
    somebody_whom_nobody_knows_is_told,
    a_provider_that_says_no_is_told,
    a_token_that_stands_no_check_is_told,
    a_provider_that_does_not_answer_is_told,
    a_sign_in_that_cannot_begin_is_told,
    a_sign_in_that_is_not_under_way_is_nobodys,
    nothing_secret_of_a_sign_in_is_kept,
];

/// A sign-in with these claims besides or instead; with null, without that claim.
async fn with_claims(app: &TestApp, login: &Login, claims: Value) -> Begun {
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(app, &begun);
    for (name, value) in claims.as_object().expect("claims") {
        if value.is_null() {
            token.claims.as_object_mut().expect("claims").remove(name);
        } else {
            token.claims[name] = value.clone();
        }
    }
    login.provider.gives(token);
    begun
}

async fn a_sign_in_says_who_and_how_it_ended(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let entry = newest(&app, "kind=sign_in").await;
    assert_eq!(entry["connection"], "default");
    assert_eq!((&entry["outcome"], &entry["status"]), (&json!("created"), &json!(303)));
    assert_eq!((&entry["path"], &entry["query"]), (&json!("/login/callback"), &json!(null)));
    assert_eq!(entry["user"]["userName"], "ann@example.com");
    assert_eq!(entry["requestId"], answer.header("x-request-id").expect("an id"));
    assert_eq!(
        entry["signIn"]["groups"],
        json!({
            "claim": "groups", "present": true, "complete": true, "incomplete": null,
            "listed": 1, "filtered": false, "passed": 1,
        })
    );
    let claims = entry["signIn"]["claims"].as_array().expect("names");
    assert!(claims.contains(&json!("preferred_username")), "{entry}");
    let changes = entry["changes"].as_array().expect("changes");
    assert!(changes.iter().any(|change| change["action"] == "signed-in"), "{entry}");
    login.sign_in(&app, &login.code_request()).await.expect(303);
    let again = newest(&app, "kind=sign_in").await;
    assert_eq!(again["outcome"], "signed_in");
    assert_eq!(again["user"]["id"], entry["user"]["id"]);
    assert_eq!(logged(&app, "kind=sign_in&user=ANN@example.com").await.len(), 2);
    assert_eq!(logged(&app, "kind=scim").await.len(), 0);
}

async fn a_missing_groups_claim_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = with_claims(&app, &login, json!({ "groups": null })).await;
    login.come_back(&begun).await.expect(303);
    let groups = &newest(&app, "kind=sign_in").await["signIn"]["groups"];
    assert_eq!((&groups["present"], &groups["incomplete"]), (&json!(false), &json!("missing")));
}

async fn a_filter_that_matches_nothing_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.groups_filter = Some("^app-".to_owned())).await;
    let begun = with_claims(&app, &login, json!({ "groups": ["Everyone", "Staff"] })).await;
    login.come_back(&begun).await.expect(303);
    let groups = &newest(&app, "kind=sign_in").await["signIn"]["groups"];
    assert_eq!((&groups["listed"], &groups["passed"]), (&json!(2), &json!(0)));
    assert_eq!((&groups["filtered"], &groups["complete"]), (&json!(true), &json!(true)));
}

async fn a_claim_that_may_have_been_cut_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    let many: Vec<String> = (0..100).map(|number| format!("g{number}")).collect();
    let begun = with_claims(&app, &login, json!({ "groups": many })).await;
    login.come_back(&begun).await.expect(303);
    let groups = &newest(&app, "kind=sign_in").await["signIn"]["groups"];
    assert_eq!((&groups["complete"], &groups["incomplete"]), (&json!(false), &json!("too-many")));
}

async fn somebody_inactive_is_told(app: TestApp) {
    let user = json!({ "userName": "ann@example.com", "externalId": "00uann", "active": false });
    app.scim().post("/Users", &user).await.expect(201);
    let login = Login::new(&app).await;
    login.sign_in(&app, &login.code_request()).await.expect(403);
    let entry = newest(&app, "kind=sign_in&errors=true").await;
    assert_eq!(entry["outcome"], "inactive");
    assert!(entry["detail"].as_str().expect("a text").contains("deactivated"), "{entry}");
    assert_eq!(entry["user"], json!({ "id": null, "userName": "ann@example.com" }));
    assert_eq!(entry["changes"][0]["action"], "sign-in-refused");
}

async fn somebody_whom_nobody_knows_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.jit = false).await;
    login.sign_in(&app, &login.code_request()).await.expect(403);
    assert_eq!(newest(&app, "kind=sign_in").await["outcome"], "not_provisioned");
    app.set(|settings| settings.sign_in.jit = true).await;
    let begun = with_claims(&app, &login, json!({ "preferred_username": null })).await;
    login.come_back(&begun).await.expect(403);
    assert_eq!(newest(&app, "kind=sign_in").await["outcome"], "no_user_name");
}

async fn a_provider_that_says_no_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    for (error, said) in [
        ("access_denied", "access_denied"),
        ("<b>paid content</b>", "an error that is none of OAuth"),
    ] {
        let begun = login.begin(&login.code_request()).await;
        let query = crate::login::harness::encoded(&[("error", error), ("state", &begun.state)]);
        login.get(&format!("/login/callback?{query}"), Some(&begun.cookie)).await.expect(403);
        let entry = newest(&app, "kind=sign_in").await;
        assert_eq!((&entry["outcome"], &entry["detail"]), (&json!("provider_error"), &json!(said)));
        assert_eq!(entry["connection"], "default");
    }
}

async fn a_token_that_stands_no_check_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = with_claims(&app, &login, json!({ "nonce": "another" })).await;
    login.come_back(&begun).await.expect(403);
    let entry = newest(&app, "kind=sign_in").await;
    assert_eq!(entry["outcome"], "not_verified");
    assert!(entry["detail"].as_str().expect("a text").contains("ID token"), "{entry}");
    login.provider.refuses(401, r#"{"error":"invalid_client"}"#);
    let begun = login.begin(&login.code_request()).await;
    login.come_back(&begun).await.expect(403);
    assert_eq!(newest(&app, "kind=sign_in").await["outcome"], "client_refused");
    login.provider.refuses(400, r#"{"error":"invalid_grant"}"#);
    let begun = login.begin(&login.code_request()).await;
    login.come_back(&begun).await.expect(403);
    assert_eq!(newest(&app, "kind=sign_in").await["outcome"], "code_refused");
}

async fn a_provider_that_does_not_answer_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.refuses(200, "no JSON");
    let answer = login.come_back(&begun).await;
    let entry = newest(&app, "kind=sign_in").await;
    assert_eq!(entry["status"], answer.status);
    assert_eq!(entry["outcome"], "provider_failed");
    login.provider.mends(TOKEN);
}

async fn a_sign_in_that_cannot_begin_is_told(app: TestApp) {
    let login = Login::new(&app).await;
    login.begin(&login.code_request()).await;
    assert_eq!(logged(&app, "").await.len(), 0, "what begins is not logged until it is over");
    app.set(|settings| settings.sign_in.issuer = None).await;
    login.get(&format!("{}&login_hint=s3cr3t-hint", login.code_request()), None).await.expect(502);
    let entry = newest(&app, "kind=sign_in").await;
    assert_eq!((&entry["connection"], &entry["status"]), (&json!("default"), &json!(502)));
    assert_eq!((&entry["outcome"], &entry["path"]), (&json!("not_set_up"), &json!("/authorize")));
    assert!(entry["detail"].as_str().is_some_and(|detail| detail.contains("issuer")), "{entry}");
    assert_eq!(super::bounds::rows_with(&mut app.database.connect(), "s3cr3t"), 0);
}

async fn a_sign_in_that_is_not_under_way_is_nobodys(app: TestApp) {
    let login = Login::new(&app).await;
    login.get("/login/callback?state=s3cr3t-state&code=s3cr3t-code", None).await.expect(400);
    let found = logged(&app, "unassigned=true").await;
    assert_eq!((found.len(), &found[0]["outcome"]), (1, &json!("not_under_way")));
    assert_eq!(super::bounds::rows_with(&mut app.database.connect(), "s3cr3t"), 0);
}

async fn nothing_secret_of_a_sign_in_is_kept(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = with_claims(&app, &login, json!({ "private": "s3cr3t-claim" })).await;
    let answer = login.come_back(&begun).await.expect(303);
    let session = crate::login::harness::cookie(&answer);
    logged(&app, "").await;
    let mut conn = app.database.connect();
    let session = session.split('=').nth(1).expect("a value");
    for secret in ["s3cr3t-claim", &begun.state, &begun.nonce, session] {
        assert_eq!(super::bounds::rows_with(&mut conn, secret), 0, "{secret}");
    }
    assert_eq!(super::bounds::rows_with(&mut conn, "private"), 1, "the name of the claim is");
}
