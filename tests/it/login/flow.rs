//! How a sign-in goes well, and what follows from it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster::directory::connections::AdminError;
use muster::directory::{apps, roles};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::harness::{
    CALLBACK, CLIENT_ID, Login, VERIFIER, cookie, is_refusal, is_refusal_saying, location, query,
};
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_code_flow_ends_at_userinfo,
    the_implicit_request_is_answered_in_the_fragment,
    without_a_response_type_there_is_a_session,
    a_session_that_is_used_ends_too,
    the_provider_is_asked_with_pkce_and_nonce,
    the_provider_can_begin,
    the_provider_can_answer_by_a_form,
    a_thin_token_is_completed_by_userinfo,
    deactivation_ends_tokens_codes_and_sessions,
    signing_out_ends_the_session_and_its_tokens,
    a_token_can_be_introspected,
    a_role_follows_the_team,
    a_code_works_once,
    a_code_needs_its_verifier_and_its_address,
];

async fn the_code_flow_ends_at_userinfo(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let back = location(&answer);
    assert!(back.as_str().starts_with(CALLBACK), "{back}");
    assert_eq!(query(&back, "state").as_deref(), Some("the app's"));
    assert_eq!(query(&back, "iss"), Some(app.base_url.clone()));
    let code = query(&back, "code").expect("a code");
    let answer = login.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.body["token_type"], "Bearer");
    let token = answer.body["access_token"].as_str().expect("a token");
    let person = login.userinfo(token).await.expect(200).body;
    let user = app.scim().find("/Users", "userName eq \"ann@example.com\"").await[0].clone();
    assert_eq!(person["sub"], user["id"]);
    assert_eq!(person["preferred_username"], "ann@example.com");
    assert_eq!(person["name"], "Ann Lee");
    assert_eq!(person["email"], "ann@example.com");
    assert_eq!(person["connection"], "default");
    assert_eq!(person["teams"][0]["displayName"], "Staff");
    assert_eq!(person["roles"], json!([]));
}

async fn the_implicit_request_is_answered_in_the_fragment(app: TestApp) {
    let login = Login::new(&app).await;
    let path = login.authorize(&[("response_type", "token"), ("state", "s")]);
    let back = location(&login.sign_in(&app, &path).await.expect(303));
    assert!(query(&back, "access_token").is_none(), "never in the query");
    let fragment = back.fragment().expect("a fragment").to_owned();
    let pairs: std::collections::HashMap<String, String> =
        url::form_urlencoded::parse(fragment.as_bytes()).into_owned().collect();
    assert_eq!(pairs["token_type"], "Bearer");
    assert_eq!(pairs["state"], "s");
    login.userinfo(&pairs["access_token"]).await.expect(200);
}

async fn without_a_response_type_there_is_a_session(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.authorize(&[])).await.expect(303);
    assert_eq!(answer.header("location"), Some(CALLBACK));
    let session = cookie(&answer);
    let person = login.get("/userinfo", Some(&session)).await.expect(200).body;
    assert_eq!(person["preferred_username"], "ann@example.com");
    login.get("/userinfo", None).await.expect(401);
    // A session that is not used ends.
    app.clock.advance(2 * 3600);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn a_session_that_is_used_ends_too(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.authorize(&[])).await.expect(303));
    for _ in 0..11 {
        app.clock.advance(3600);
        login.get("/userinfo", Some(&session)).await.expect(200);
    }
    app.clock.advance(3600);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn the_provider_is_asked_with_pkce_and_nonce(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.authorize(&[("login_hint", "ann")])).await;
    let asked = |name: &str| query(&begun.url, name);
    assert_eq!(asked("response_type").as_deref(), Some("code"));
    assert_eq!(asked("client_id").as_deref(), Some(CLIENT_ID));
    assert_eq!(asked("redirect_uri"), Some(format!("{}/login/callback", app.base_url)));
    assert_eq!(asked("code_challenge_method").as_deref(), Some("S256"));
    assert_eq!(asked("scope").as_deref(), Some("openid profile email groups"));
    assert_eq!(asked("login_hint").as_deref(), Some("ann"));
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    let sent = login.provider.last_request();
    let verifier = url::form_urlencoded::parse(sent.as_bytes())
        .find(|(name, _)| name == "code_verifier")
        .map(|(_, value)| value.into_owned())
        .expect("a verifier");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    assert_eq!(asked("code_challenge"), Some(challenge));
}

async fn the_provider_can_begin(app: TestApp) {
    let login = Login::new(&app).await;
    let issuer = login.provider.issuer.clone();
    let query = |more: &[(&str, &str)]| -> String {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("iss", &issuer)
            .extend_pairs(more)
            .finish()
    };
    let path = format!("/login/initiate?{}", query(&[("login_hint", "ann")]));
    let answer = login.sign_in(&app, &path).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    login.get("/userinfo", Some(&cookie(&answer))).await.expect(200);
    let path = format!("/login/initiate?{}", query(&[("target_link_uri", CALLBACK)]));
    let answer = login.sign_in(&app, &path).await.expect(303);
    assert_eq!(answer.header("location"), Some(CALLBACK));
    let posted = login.post("/login/initiate", &[("iss", &issuer)], &[]).await.expect(303);
    assert!(location(&posted).as_str().starts_with(&issuer));
    for wrong in [
        format!("/login/initiate?{}", query(&[("target_link_uri", "https://evil.example/")])),
        "/login/initiate?iss=https%3A%2F%2Fevil.example".to_owned(),
        "/login/initiate".to_owned(),
    ] {
        is_refusal(&login.get(&wrong, None).await, 400, &wrong);
    }
}

async fn the_provider_can_answer_by_a_form(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.authorize(&[])).await;
    login.provider.gives(login.token(&app, &begun));
    let form = [("code", "c"), ("state", begun.state.as_str())];
    let headers = [("cookie", begun.cookie.as_str())];
    login.post("/login/callback", &form, &headers).await.expect(303);
}

async fn a_thin_token_is_completed_by_userinfo(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.claims.as_object_mut().expect("claims").remove("groups");
    login.provider.gives(token);
    login.provider.says(json!({ "sub": "00uann", "groups": ["Sales"], "name": "Not Ann" }));
    login.come_back(&begun).await.expect(303);
    assert_eq!(app.scim().find("/Groups", "displayName eq \"Sales\"").await.len(), 1);
    let user = app.scim().get("/Users").await.expect(200).body;
    assert_eq!(user["Resources"][0]["displayName"], "Ann Lee", "the token's claims win");
}

async fn deactivation_ends_tokens_codes_and_sessions(app: TestApp) {
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let (session, code) = (cookie(&answer), query(&location(&answer), "code").expect("a code"));
    let person = login.userinfo(&token).await.expect(200).body;
    let path = format!("/Users/{}", person["sub"].as_str().expect("an id"));
    let off = patch_body(json!([{ "op": "replace", "value": { "active": false } }]));
    app.scim().patch(&path, &off).await.expect(200);
    login.userinfo(&token).await.expect(401);
    login.get("/userinfo", Some(&session)).await.expect(401);
    login.exchange(&code, VERIFIER, CALLBACK).await.expect(400);
    let refused = login.sign_in(&app, &login.code_request()).await;
    is_refusal_saying(&refused, 403, "deactivated");
}

async fn signing_out_ends_the_session_and_its_tokens(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let (session, code) = (cookie(&answer), query(&location(&answer), "code").expect("a code"));
    let answer = login.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
    let token = answer.body["access_token"].as_str().expect("a token").to_owned();
    assert!(login.get("/logout", Some(&session)).await.expect(200).text.contains("<form"));
    let foreign = [("cookie", session.as_str()), ("origin", "https://evil.example")];
    login.post("/logout", &[], &foreign).await.expect(400);
    login.userinfo(&token).await.expect(200);
    let hidden = [("cookie", session.as_str()), ("origin", "null")];
    login.post("/logout", &[], &hidden).await.expect(400);
    let cross = [("cookie", session.as_str()), ("sec-fetch-site", "cross-site")];
    login.post("/logout", &[], &cross).await.expect(400);
    login.userinfo(&token).await.expect(200);
    // A browser that hides the origin says at least that the form was ours.
    let own = [hidden[0], hidden[1], ("sec-fetch-site", "same-origin")];
    login.post("/logout", &[], &own).await.expect(200);
    login.post("/logout", &[], &[("origin", app.base_url.as_str())]).await.expect(200);
    login.userinfo(&token).await.expect(401);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn a_token_can_be_introspected(app: TestApp) {
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    let now = app.clock.now();
    let admin = app
        .db
        .write("admin", move |conn| apps::create_admin_token(conn, "test", None, now))
        .await
        .expect("an admin token")
        .1;
    let bearer = format!("Bearer {}", admin.expose());
    let ask = async |token: &str, authorization: &str| {
        login.post("/introspect", &[("token", token)], &[("authorization", authorization)]).await
    };
    let body = ask(&token, &bearer).await.expect(200).body;
    assert_eq!(body["active"], true);
    assert_eq!(body["client_id"], login.client_id.as_str());
    assert_eq!(body["preferred_username"], "ann@example.com");
    assert_eq!(ask("unknown", &bearer).await.expect(200).body, json!({ "active": false }));
    ask(&token, "Bearer unknown").await.expect(401);
    ask(&token, &format!("Bearer {token}")).await.expect(401);
    app.clock.advance(3601);
    assert_eq!(ask(&token, &bearer).await.expect(200).body, json!({ "active": false }));
}

async fn a_role_follows_the_team(app: TestApp) {
    let login = Login::new(&app).await;
    let token = login.access_token(&app).await;
    let now = app.clock.now();
    let granted = app.db.write("grant", move |conn| {
        roles::grant(conn, "default", "staff", "editor", now)?;
        roles::grant(conn, "default", "Staff", "editor", now)?;
        roles::grant(conn, "DEFAULT", "STAFF", "admin", now)?;
        roles::revoke(conn, "default", "staff", "admin", now)?;
        roles::all(conn, "default")
    });
    assert_eq!(granted.await.expect("roles"), [("Staff".to_owned(), "editor".to_owned())]);
    let person = login.userinfo(&token).await.expect(200).body;
    assert_eq!(person["roles"], json!(["editor"]));
    // The team's role goes with the membership: SCIM takes both over, and has nobody in the team.
    app.scim().post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201);
    app.scim().post("/Users", &json!({ "userName": "ann@example.com" })).await.expect(201);
    let person = login.userinfo(&token).await.expect(200).body;
    assert_eq!((&person["roles"], &person["teams"]), (&json!([]), &json!([])));
    let unknown =
        app.db.write("grant", move |conn| roles::grant(conn, "default", "Nobody", "editor", now));
    assert!(matches!(unknown.await, Err(AdminError::NoTeam(_))));
}

async fn a_code_works_once(app: TestApp) {
    let login = Login::new(&app).await;
    let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
    let code = query(&location(&answer), "code").expect("a code");
    let first = login.exchange(&code, VERIFIER, CALLBACK).await.expect(200);
    let token = first.body["access_token"].as_str().expect("a token").to_owned();
    login.userinfo(&token).await.expect(200);
    let second = login.exchange(&code, VERIFIER, CALLBACK).await.expect(400);
    assert_eq!(second.body["error"], "invalid_grant");
    login.userinfo(&token).await.expect(401);
}

async fn a_code_needs_its_verifier_and_its_address(app: TestApp) {
    let login = Login::new(&app).await;
    for (verifier, uri, late) in [
        ("another-verifier-of-some-forty-characters-or-more", CALLBACK, 0),
        (VERIFIER, "https://app.example.com/callback", 0),
        (VERIFIER, CALLBACK, 61),
    ] {
        let answer = login.sign_in(&app, &login.code_request()).await.expect(303);
        let code = query(&location(&answer), "code").expect("a code");
        app.clock.advance(late);
        login.exchange(&code, verifier, uri).await.expect(400);
    }
}
