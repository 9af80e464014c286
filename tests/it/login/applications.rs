//! What applications ask for themselves: how they prove who they are, and how they give a token up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use muster::directory::apps;
use serde_json::json;

use super::harness::{
    CALLBACK, Login, VERIFIER, challenge, cookie, is_oauth_error, is_refusal, location, query,
    written,
};
use crate::support::{Answer, Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    an_application_with_a_secret_has_to_prove_it,
    an_application_proves_itself_in_one_place_only,
    a_public_application_has_no_secret_to_send,
    a_public_application_cannot_introspect,
    an_application_introspects_its_own_tokens_alone,
    a_token_is_revoked_by_its_application,
    a_token_of_another_application_is_not_revoked,
    a_token_is_revoked_alone,
    a_code_is_revoked_with_what_it_was_exchanged_for,
    revoking_what_is_not_there_is_no_error,
    revoking_needs_the_application_to_prove_itself,
    signing_out_takes_a_page_of_ours,
    the_page_that_asks_before_signing_out_names_its_origin,
    the_metadata_document_lists_what_is_there,
];

/// An application with a secret; gives the client id and the secret.
async fn confidential(app: &TestApp, name: &str) -> (String, String) {
    let (name, now) = (name.to_owned(), app.clock.now());
    let made = app.db.write("create_app", move |conn| {
        apps::create(conn, &name, &[CALLBACK.to_owned()], false, true, now)
    });
    let (made, secret) = made.await.expect("an application");
    (made.id, secret.expect("a secret").expose().to_owned())
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// A code for an application.
async fn code_for(app: &TestApp, login: &Login, client_id: &str) -> String {
    let challenge = challenge();
    let pairs = [
        ("client_id", client_id),
        ("connection", "default"),
        ("redirect_uri", CALLBACK),
        ("response_type", "code"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let path = format!("/authorize?{}", super::harness::encoded(&pairs));
    let answer = login.sign_in(app, &path).await.expect(303);
    query(&location(&answer), "code").expect("a code")
}

/// Exchanges a code with more in the form and in the header.
async fn exchange(
    login: &Login,
    code: &str,
    more: &[(&str, &str)],
    authorization: Option<&str>,
) -> Answer {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", CALLBACK),
    ];
    form.extend(more);
    let headers: Vec<(&str, &str)> =
        authorization.into_iter().map(|value| ("authorization", value)).collect();
    login.post("/token", &form, &headers).await
}

async fn an_application_with_a_secret_has_to_prove_it(app: TestApp) {
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app, "confidential").await;
    let (_, others) = confidential(&app, "another").await;
    let code = code_for(&app, &login, &id).await;
    let wrong = [
        (vec![], None),
        (vec![("client_id", id.as_str())], None),
        (vec![("client_id", id.as_str()), ("client_secret", "")], None),
        (vec![("client_id", id.as_str()), ("client_secret", "wrong")], None),
        (vec![("client_id", id.as_str()), ("client_secret", others.as_str())], None),
        (vec![("client_secret", secret.as_str())], None),
        (vec![("client_id", "unknown"), ("client_secret", secret.as_str())], None),
        (vec![], Some(basic(&id, ""))),
        (vec![], Some(basic(&id, "wrong"))),
        (vec![], Some(basic("", &secret))),
        (vec![], Some(basic(&format!("{id}\0"), &secret))),
        (vec![], Some(format!("Basic {}", STANDARD.encode(&id)))),
        (vec![], Some(format!("Basic {}", STANDARD.encode([0xff, 0xfe, b':', 0xff])))),
        (vec![], Some("Basic !!!".to_owned())),
        (vec![], Some("Basic".to_owned())),
        (vec![], Some(format!("Bearer {secret}"))),
        // A header that says nothing readable is not passed over for the form.
        (vec![("client_id", id.as_str())], Some("Basic !!!".to_owned())),
    ];
    for (form, authorization) in wrong {
        let answer = exchange(&login, &code, &form, authorization.as_deref()).await;
        is_oauth_error(&answer, 401, "invalid_client");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"muster\""));
    }
    // None of that used the code up.
    exchange(&login, &code, &[], Some(&basic(&id, &secret))).await.expect(200);
    let code = code_for(&app, &login, &id).await;
    let form = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    exchange(&login, &code, &form, None).await.expect(200);
}

async fn an_application_proves_itself_in_one_place_only(app: TestApp) {
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app, "confidential").await;
    let code = code_for(&app, &login, &id).await;
    let header = basic(&id, &secret);
    // RFC 6749 section 2.3: not more than one way in a request.
    for form in [
        vec![("client_secret", secret.as_str())],
        vec![("client_id", id.as_str()), ("client_secret", secret.as_str())],
        vec![("client_id", login.client_id.as_str())],
    ] {
        let answer = exchange(&login, &code, &form, Some(&header)).await;
        is_oauth_error(&answer, 400, "invalid_request");
    }
    // The client id besides is no second way, if it is the same.
    exchange(&login, &code, &[("client_id", &id)], Some(&header)).await.expect(200);
}

async fn a_public_application_has_no_secret_to_send(app: TestApp) {
    let login = Login::new(&app).await;
    let code = login.code(&app).await;
    let id = login.client_id.as_str();
    let form = [("client_id", id), ("client_secret", "x")];
    is_oauth_error(&exchange(&login, &code, &form, None).await, 401, "invalid_client");
    let header = basic(id, "x");
    is_oauth_error(&exchange(&login, &code, &[], Some(&header)).await, 401, "invalid_client");
    // An empty one is none.
    exchange(&login, &code, &[], Some(&basic(id, ""))).await.expect(200);
}

async fn introspect(login: &Login, token: &str, authorization: &str) -> Answer {
    login.post("/introspect", &[("token", token)], &[("authorization", authorization)]).await
}

async fn a_public_application_cannot_introspect(app: TestApp) {
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    let form = [("token", token.as_str()), ("client_id", login.client_id.as_str())];
    is_oauth_error(&login.post("/introspect", &form, &[]).await, 401, "invalid_client");
    is_oauth_error(&login.post("/introspect", &form[..1], &[]).await, 401, "invalid_client");
    let header = basic(&login.client_id, "");
    is_oauth_error(&introspect(&login, &token, &header).await, 401, "invalid_client");
}

async fn an_application_introspects_its_own_tokens_alone(app: TestApp) {
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app, "confidential").await;
    let header = basic(&id, &secret);
    let others = login.access_token(&app).await;
    let body = introspect(&login, &others, &header).await.expect(200).body;
    assert_eq!(body, json!({ "active": false }));
    let code = code_for(&app, &login, &id).await;
    let token = exchange(&login, &code, &[], Some(&header)).await.expect(200).body;
    let token = token["access_token"].as_str().expect("a token");
    assert_eq!(introspect(&login, token, &header).await.expect(200).body["active"], true);
}

/// Gives a token up, as the public application does.
async fn revoke(login: &Login, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut form = vec![("token", token), ("client_id", login.client_id.as_str())];
    form.extend(more);
    login.post("/revoke", &form, &[]).await
}

async fn a_token_is_revoked_by_its_application(app: TestApp) {
    let login = Login::new(&app).await;
    for hint in [&[][..], &[("token_type_hint", "access_token")], &[("token_type_hint", "odd")]] {
        let token = login.access_token(&app).await;
        login.userinfo(&token).await.expect(200);
        let answer = revoke(&login, &token, hint).await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        login.userinfo(&token).await.expect(401);
        revoke(&login, &token, hint).await.expect(200);
    }
    let (id, secret) = confidential(&app, "confidential").await;
    let header = basic(&id, &secret);
    let code = code_for(&app, &login, &id).await;
    let token = exchange(&login, &code, &[], Some(&header)).await.expect(200).body;
    let token = token["access_token"].as_str().expect("a token");
    let headers = [("authorization", header.as_str())];
    login.post("/revoke", &[("token", token)], &headers).await.expect(200);
    login.userinfo(token).await.expect(401);
}

async fn a_token_of_another_application_is_not_revoked(app: TestApp) {
    let login = Login::new(&app).await;
    let (id, secret) = confidential(&app, "confidential").await;
    let (token, code) = (login.access_token(&app).await, login.code(&app).await);
    let before = written(&app).await;
    let header = basic(&id, &secret);
    for secret in [&token, &code] {
        let headers = [("authorization", header.as_str())];
        // It is not told that there is such a token.
        let answer = login.post("/revoke", &[("token", secret)], &headers).await.expect(200);
        assert_eq!(answer.text, "");
    }
    assert_eq!(written(&app).await, before);
    login.userinfo(&token).await.expect(200);
    login.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
}

async fn a_token_is_revoked_alone(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let (session, code) = (cookie(&answer), query(&location(&answer), "code").expect("a code"));
    let body = login.exchange(&code, VERIFIER, CALLBACK).await.expect(200).body;
    let another = login.access_token(&app).await;
    revoke(&login, body["access_token"].as_str().expect("a token"), &[]).await.expect(200);
    login.userinfo(&another).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(200);
    // A session is no token of the application's.
    let secret = session.split_once('=').expect("a value").1.to_owned();
    revoke(&login, &secret, &[]).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(200);
}

async fn a_code_is_revoked_with_what_it_was_exchanged_for(app: TestApp) {
    let login = Login::new(&app).await;
    let code = login.code(&app).await;
    revoke(&login, &code, &[("token_type_hint", "authorization_code")]).await.expect(200);
    let answer = login.exchange(&code, VERIFIER, CALLBACK).await;
    is_oauth_error(&answer, 400, "invalid_grant");
    let code = login.code(&app).await;
    let body = login.exchange(&code, VERIFIER, CALLBACK).await.expect(200).body;
    revoke(&login, &code, &[]).await.expect(200);
    login.userinfo(body["access_token"].as_str().expect("a token")).await.expect(401);
}

async fn revoking_what_is_not_there_is_no_error(app: TestApp) {
    let login = Login::new(&app).await;
    for token in ["x", "muster_access_x", app.default_token(), "é", &"x".repeat(5000)] {
        revoke(&login, token, &[]).await.expect(200);
    }
    // The SCIM token is not one that an application can give up.
    app.scim().get("/Users").await.expect(200);
    let nothing = [("client_id", login.client_id.as_str())];
    is_oauth_error(&login.post("/revoke", &nothing, &[]).await, 400, "invalid_request");
}

async fn revoking_needs_the_application_to_prove_itself(app: TestApp) {
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    let (id, secret) = confidential(&app, "confidential").await;
    for form in [
        vec![("token", token.as_str())],
        vec![("token", token.as_str()), ("client_id", "unknown")],
        vec![("token", token.as_str()), ("client_id", id.as_str())],
        vec![("token", token.as_str()), ("client_id", id.as_str()), ("client_secret", "wrong")],
        vec![
            ("token", token.as_str()),
            ("client_id", login.client_id.as_str()),
            ("client_secret", secret.as_str()),
        ],
    ] {
        is_oauth_error(&login.post("/revoke", &form, &[]).await, 401, "invalid_client");
    }
    login.userinfo(&token).await.expect(200);
}

async fn signing_out_takes_a_page_of_ours(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let session = cookie(&answer);
    let begins_like_ours = format!("{}0", app.base_url);
    for origin in [
        None,
        Some("null"),
        Some(""),
        Some("https://evil.example"),
        Some(begins_like_ours.as_str()),
        Some("http://127.0.0.1:1"),
        Some("http://127.0.0.1"),
    ] {
        let mut headers = vec![("cookie", session.as_str())];
        headers.extend(origin.map(|origin| ("origin", origin)));
        is_refusal(&login.post("/logout", &[], &headers).await, 400, "another origin");
        login.get("/userinfo", Some(&session)).await.expect(200);
    }
    // Looking at the page ends nothing.
    login.get("/logout", Some(&session)).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(200);
    let ours = [("cookie", session.as_str()), ("origin", app.base_url.as_str())];
    login.post("/logout", &[], &ours).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn the_page_that_asks_before_signing_out_names_its_origin(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let page = login.get("/logout", Some(&cookie(&answer))).await.expect(200);
    assert!(page.text.contains("<form method=\"post\""), "{}", page.text);
    // With `no-referrer` a browser would send `Origin: null` along with the form (Fetch, "append a
    // request Origin header"), and the form would be taken for one from elsewhere.
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
}

async fn the_metadata_document_lists_what_is_there(app: TestApp) {
    let login = Login::new(&app).await;
    let path = "/.well-known/oauth-authorization-server";
    let document = login.get(path, None).await.expect(200).body;
    assert_eq!(document["issuer"], app.base_url.as_str());
    for (name, method) in [
        ("authorization_endpoint", "GET"),
        ("token_endpoint", "POST"),
        ("userinfo_endpoint", "GET"),
        ("introspection_endpoint", "POST"),
        ("revocation_endpoint", "POST"),
        ("end_session_endpoint", "GET"),
    ] {
        let url = document[name].as_str().expect(name);
        let method: reqwest::Method = method.parse().expect("a method");
        let answer = login.send(login.http.request(method, url)).await;
        assert!(!matches!(answer.status, 404 | 405 | 500), "{name}: {}", answer.status);
    }
    assert_eq!(
        document["revocation_endpoint_auth_methods_supported"],
        json!(["none", "client_secret_basic", "client_secret_post"])
    );
}
