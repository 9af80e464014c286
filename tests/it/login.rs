//! `/authorize`, `/login/callback`, `/token` and what follows, with a provider of the tests' own:
//! how it goes well, and how each thing that can be wrong is refused.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster::directory::connections::{self, AdminError};
use muster::directory::{apps, roles};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::support::provider::{Provider, Signed, Token, header};
use crate::support::{Answer, Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    the_code_flow_ends_at_userinfo,
    the_implicit_request_is_answered_in_the_fragment,
    without_a_response_type_there_is_a_session,
    the_provider_is_asked_with_pkce_and_nonce,
    the_provider_can_begin,
    the_provider_can_answer_by_a_form,
    a_thin_token_is_completed_by_userinfo,
    userinfo_about_somebody_else_is_not_believed,
    deactivation_ends_tokens_codes_and_sessions,
    signing_out_ends_the_session_and_its_tokens,
    a_token_can_be_introspected,
    a_role_follows_the_team,
    a_code_works_once,
    a_code_needs_its_verifier_and_its_address,
    a_state_that_is_wrong_missing_or_replayed_is_refused,
    another_browsers_state_is_refused,
    an_old_state_is_refused,
    an_id_token_that_fails_a_check_is_refused,
    an_id_token_with_all_it_may_have_is_accepted,
    forged_key_ids_cause_one_fetch,
    the_answer_of_another_issuer_is_refused,
    a_providers_refusal_is_explained,
    a_provider_that_answers_nonsense_is_survived,
    a_person_who_is_not_let_in_sees_why,
    a_redirect_uri_is_matched_exactly,
    a_request_that_is_wrong_is_told_to_the_application,
    a_connection_without_an_issuer_cannot_be_signed_in_to,
];

const CALLBACK: &str = "https://app.example.com/callback?tenant=1";
const VERIFIER: &str = "a-verifier-of-some-forty-characters-or-more-0";

struct Login {
    provider: Provider,
    client_id: String,
    http: reqwest::Client,
    base: String,
}

/// The browser's part of a sign-in that is under way.
struct Begun {
    state: String,
    nonce: String,
    cookie: String,
    url: Url,
}

fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Login {
    /// A provider for the connection `default`, and an application with the implicit grant.
    async fn new(app: &TestApp) -> Self {
        let provider = Provider::start();
        let (issuer, now) = (provider.issuer.clone(), app.clock.now());
        let client_id = app
            .db
            .write("set_up", move |conn| {
                let change = |settings: &mut connections::Settings| {
                    settings.sign_in.issuer = Some(issuer.clone());
                    settings.sign_in.client_id = Some("muster-at-okta".to_owned());
                };
                connections::update(conn, "default", change, now)?;
                let uris = [CALLBACK.to_owned()];
                let (made, _) = apps::create(conn, "app", &uris, true, false, now)?;
                Ok::<_, AdminError>(made.id)
            })
            .await
            .expect("a set-up");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        Self { provider, client_id, http, base: app.base_url.clone() }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let name = format!("{} {}", request.method(), request.url());
        Answer::read(name, self.http.execute(request).await.expect("an answer")).await
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        self.send(request).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
        let body: String =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    fn authorize(&self, more: &[(&str, &str)]) -> String {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.client_id)
            .append_pair("connection", "default")
            .append_pair("redirect_uri", CALLBACK)
            .extend_pairs(more)
            .finish();
        format!("/authorize?{query}")
    }

    fn code_request(&self) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        self.authorize(&[
            ("response_type", "code"),
            ("state", "the app's"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ])
    }

    async fn begin(&self, path: &str) -> Begun {
        let answer = self.get(path, None).await.expect(303);
        let url = Url::parse(answer.header("location").expect("a location")).expect("a URL");
        assert!(url.as_str().starts_with(&self.provider.issuer), "{url}");
        Begun {
            state: query(&url, "state").expect("a state"),
            nonce: query(&url, "nonce").expect("a nonce"),
            cookie: cookie(&answer),
            url,
        }
    }

    async fn come_back(&self, begun: &Begun) -> Answer {
        let path = format!("/login/callback?code=c&state={}", begun.state);
        self.get(&path, Some(&begun.cookie)).await
    }

    /// The token that a sign-in should get.
    fn token(&self, app: &TestApp, begun: &Begun) -> Token {
        let now = app.clock.now() / 1_000_000;
        let claims = json!({
            "iss": self.provider.issuer,
            "sub": "00uann",
            "aud": "muster-at-okta",
            "iat": now,
            "exp": now + 3600,
            "nonce": begun.nonce,
            "preferred_username": "ann@example.com",
            "name": "Ann Lee",
            "email": "ann@example.com",
            "groups": ["Staff"],
        });
        Token { header: header(), claims, signed: Signed::Well }
    }

    /// A whole sign-in; gives the browser's last answer.
    async fn sign_in(&self, app: &TestApp, path: &str) -> Answer {
        let begun = self.begin(path).await;
        self.provider.gives(self.token(app, &begun));
        self.come_back(&begun).await
    }

    /// A whole code flow; gives the access token.
    async fn access_token(&self, app: &TestApp) -> String {
        let answer = self.sign_in(app, &self.code_request()).await.expect(303);
        let code = query(&location(&answer), "code").expect("a code");
        let body = self.exchange(&code, VERIFIER, CALLBACK).await.expect(200).body;
        body["access_token"].as_str().expect("a token").to_owned()
    }

    async fn exchange(&self, code: &str, verifier: &str, redirect_uri: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.post("/token", &form, &[]).await
    }

    async fn userinfo(&self, token: &str) -> Answer {
        self.send(self.http.get(format!("{}/userinfo", self.base)).bearer_auth(token)).await
    }
}

/// Name and value of the cookie that was set.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().expect("a value").to_owned()
}

fn location(answer: &Answer) -> Url {
    Url::parse(answer.header("location").expect("a location")).expect("a URL")
}

/// That the answer is a page, and nobody is signed in.
#[track_caller]
fn is_refusal(answer: &Answer, status: u16, name: &str) {
    assert_eq!(answer.status, status, "{name}: {}", answer.text);
    assert!(answer.text.starts_with("<!doctype html>"), "{name}");
    assert!(answer.header("set-cookie").is_none(), "{name}");
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors"), "{name}");
}

async fn users(app: &TestApp) -> u64 {
    app.scim().get("/Users").await.expect(200).body["totalResults"].as_u64().expect("a total")
}

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
    // A session that is not used ends, and so does one that is.
    app.clock.advance(2 * 3600);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn the_provider_is_asked_with_pkce_and_nonce(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.authorize(&[("login_hint", "ann")])).await;
    let asked = |name: &str| query(&begun.url, name);
    assert_eq!(asked("response_type").as_deref(), Some("code"));
    assert_eq!(asked("client_id").as_deref(), Some("muster-at-okta"));
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

async fn userinfo_about_somebody_else_is_not_believed(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.claims.as_object_mut().expect("claims").remove("groups");
    login.provider.gives(token);
    login.provider.says(json!({ "sub": "00ueve", "groups": ["Admins"] }));
    login.come_back(&begun).await.expect(303);
    assert_eq!(app.scim().get("/Groups").await.expect(200).body["totalResults"], 0);
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
    is_refusal(&refused, 403, "inactive");
    assert!(refused.text.contains("deactivated"), "{}", refused.text);
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

async fn a_state_that_is_wrong_missing_or_replayed_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    for (name, path) in [
        ("missing", "/login/callback?code=c".to_owned()),
        ("wrong", "/login/callback?code=c&state=wrong".to_owned()),
        ("empty", "/login/callback?code=c&state=".to_owned()),
        ("none at all", "/login/callback".to_owned()),
    ] {
        is_refusal(&login.get(&path, Some(&begun.cookie)).await, 400, name);
    }
    login.provider.gives(login.token(&app, &begun));
    login.come_back(&begun).await.expect(303);
    login.provider.gives(login.token(&app, &begun));
    is_refusal(&login.come_back(&begun).await, 400, "replayed");
}

async fn another_browsers_state_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let victim = login.begin(&login.code_request()).await;
    let attacker = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &attacker));
    let path = format!("/login/callback?code=c&state={}", attacker.state);
    is_refusal(&login.get(&path, Some(&victim.cookie)).await, 400, "another browser");
    is_refusal(&login.get(&path, None).await, 400, "no cookie");
    assert_eq!(users(&app).await, 0);
}

async fn an_old_state_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    app.clock.advance(601);
    login.provider.gives(login.token(&app, &begun));
    is_refusal(&login.come_back(&begun).await, 400, "old");
}

async fn an_id_token_that_fails_a_check_is_refused(app: TestApp) {
    type Break = fn(&mut Token, i64);
    let login = Login::new(&app).await;
    let now = app.clock.now() / 1_000_000;
    let breaks: [(&str, Break); 19] = [
        ("wrong nonce", |token, _| token.claims["nonce"] = "another".into()),
        ("missing nonce", |token, _| token.claims["nonce"] = Value::Null),
        ("wrong aud", |token, _| token.claims["aud"] = "another".into()),
        ("missing aud", |token, _| token.claims["aud"] = json!([])),
        ("extra aud without azp", |token, _| {
            token.claims["aud"] = json!(["muster-at-okta", "another"]);
        }),
        ("extra aud with another azp", |token, _| {
            token.claims["aud"] = json!(["muster-at-okta", "another"]);
            token.claims["azp"] = "another".into();
        }),
        ("another azp", |token, _| token.claims["azp"] = "another".into()),
        ("wrong iss", |token, _| token.claims["iss"] = "https://evil.example".into()),
        ("expired", |token, now| token.claims["exp"] = (now - 600).into()),
        ("issued in the future", |token, now| token.claims["iat"] = (now + 600).into()),
        ("not valid yet", |token, now| token.claims["nbf"] = (now + 600).into()),
        ("missing iat", |token, _| {
            token.claims.as_object_mut().expect("claims").remove("iat");
        }),
        ("missing sub", |token, _| {
            token.claims.as_object_mut().expect("claims").remove("sub");
        }),
        ("empty sub", |token, _| token.claims["sub"] = "".into()),
        ("alg none", |token, _| {
            token.header = json!({ "alg": "none" });
            token.signed = Signed::Not;
        }),
        ("HS256 with the public key", |token, _| token.header["alg"] = "HS256".into()),
        ("unknown kid", |token, _| token.header["kid"] = "unknown".into()),
        ("bad signature", |token, _| token.signed = Signed::Falsely),
        ("another access token", |token, _| token.claims["at_hash"] = "AAAAAAAAAAAAAAAA".into()),
    ];
    for (name, change) in breaks {
        let begun = login.begin(&login.code_request()).await;
        let mut token = login.token(&app, &begun);
        change(&mut token, now);
        login.provider.gives(token);
        let answer = login.come_back(&begun).await;
        assert!(matches!(answer.status, 403 | 502), "{name}: {} {}", answer.status, answer.text);
        is_refusal(&answer, answer.status, name);
    }
    assert_eq!(users(&app).await, 0);
}

async fn an_id_token_with_all_it_may_have_is_accepted(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let now = app.clock.now() / 1_000_000;
    let mut token = login.token(&app, &begun);
    token.claims["aud"] = json!(["another", "muster-at-okta"]);
    token.claims["azp"] = "muster-at-okta".into();
    // Clocks differ by up to two minutes.
    token.claims["iat"] = (now + 60).into();
    token.claims["nbf"] = (now + 60).into();
    token.claims["exp"] = (now - 60).into();
    token.claims["auth_time"] = now.into();
    token.claims["amr"] = json!(["pwd"]);
    login.provider.gives(token);
    login.come_back(&begun).await.expect(303);
}

async fn forged_key_ids_cause_one_fetch(app: TestApp) {
    let login = Login::new(&app).await;
    for number in 0..12 {
        let begun = login.begin(&login.code_request()).await;
        let mut token = login.token(&app, &begun);
        token.header["kid"] = format!("forged-{number}").into();
        login.provider.gives(token);
        is_refusal(&login.come_back(&begun).await, 403, "forged");
    }
    // One at discovery; the next is due a minute after it.
    assert!(login.provider.key_fetches.load(Ordering::SeqCst) <= 2);
    app.clock.advance(61);
    let before = login.provider.key_fetches.load(Ordering::SeqCst);
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.header["kid"] = "forged".into();
    login.provider.gives(token);
    is_refusal(&login.come_back(&begun).await, 403, "forged");
    assert_eq!(login.provider.key_fetches.load(Ordering::SeqCst), before + 1);
}

async fn the_answer_of_another_issuer_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    let path =
        format!("/login/callback?code=c&state={}&iss=https%3A%2F%2Fevil.example", begun.state);
    is_refusal(&login.get(&path, Some(&begun.cookie)).await, 403, "another issuer");
    assert_eq!(login.provider.last_request(), "", "the code goes to nobody");
}

async fn a_providers_refusal_is_explained(app: TestApp) {
    let login = Login::new(&app).await;
    for error in ["access_denied", "login_required", "server_error", "<script>"] {
        let begun = login.begin(&login.code_request()).await;
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("error", error)
            .append_pair("state", &begun.state)
            .finish();
        let answer = login.get(&format!("/login/callback?{query}"), Some(&begun.cookie)).await;
        is_refusal(&answer, 403, error);
        assert!(!answer.text.contains("<script>"));
    }
}

async fn a_provider_that_answers_nonsense_is_survived(app: TestApp) {
    let login = Login::new(&app).await;
    let huge = format!("{{\"access_token\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for (status, body) in [
        (200, "not JSON"),
        (200, "{}"),
        (200, "{\"access_token\":\"x\",\"token_type\":\"Bearer\"}"),
        (200, huge.as_str()),
        (302, ""),
        (400, "{\"error\":\"invalid_grant\"}"),
        (500, "oops"),
    ] {
        let begun = login.begin(&login.code_request()).await;
        login.provider.refuses(status, body);
        let answer = login.come_back(&begun).await;
        assert!(matches!(answer.status, 403 | 502), "{status} {}", answer.status);
        is_refusal(&answer, answer.status, "nonsense");
    }
    assert_eq!(users(&app).await, 0);
}

async fn a_person_who_is_not_let_in_sees_why(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.jit = false).await;
    let answer = login.sign_in(&app, &login.code_request()).await;
    is_refusal(&answer, 403, "no account");
    assert!(answer.text.contains("assign the application"), "{}", answer.text);
    let recycled = json!({ "userName": "ann@example.com", "externalId": "00uold" });
    app.scim().post("/Users", &recycled).await.expect(201);
    let answer = login.sign_in(&app, &login.code_request()).await;
    is_refusal(&answer, 403, "recycled");
    assert!(answer.text.contains("belongs to another account"), "{}", answer.text);
}

async fn a_redirect_uri_is_matched_exactly(app: TestApp) {
    let login = Login::new(&app).await;
    for trick in [
        "https://evil.example/",
        "https://evil.example/callback?tenant=1",
        "https://app.example.com.evil.example/callback?tenant=1",
        "https://app.example.com@evil.example/callback?tenant=1",
        "https://evil.example/https://app.example.com/callback?tenant=1",
        "https://evil.example#https://app.example.com/callback?tenant=1",
        "https://evil.example\\@app.example.com/callback?tenant=1",
        "https://app.example.com\\.evil.example/callback?tenant=1",
        "https://app.example.com/callback",
        "https://app.example.com/callback/",
        "https://app.example.com/callback?tenant=2",
        "https://app.example.com/callback?tenant=1&x=1",
        "https://app.example.com/callback?tenant=1#x",
        "https://app.example.com/callback?tenant=1/",
        "https://app.example.com/callback/../evil?tenant=1",
        "https://app.example.com/./callback?tenant=1",
        "https://app.example.com//callback?tenant=1",
        "https://app.example.com:443/callback?tenant=1",
        "https://APP.example.com/callback?tenant=1",
        "https://app.example.com./callback?tenant=1",
        "https://app.example.com/Callback?tenant=1",
        "https://app.example.com/%63allback?tenant=1",
        "https://user@app.example.com/callback?tenant=1",
        "http://app.example.com/callback?tenant=1",
        "HTTPS://app.example.com/callback?tenant=1",
        "//app.example.com/callback?tenant=1",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/callback?tenant=1",
        "javascript:alert(1)",
        "data:text/html,x",
        " https://app.example.com/callback?tenant=1",
        "https://app.example.com/callback?tenant=1 ",
        "https://app.example.com/callback?tenant=1\n",
        "https://app.example.com/callback?tenant=1%00",
        "https://app.example.com%2f@evil.example/callback?tenant=1",
        "https://app.example.com%E3%80%82evil.example/callback?tenant=1",
        "",
    ] {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &login.client_id)
            .append_pair("connection", "default")
            .append_pair("response_type", "token")
            .append_pair("redirect_uri", trick)
            .finish();
        is_refusal(&login.get(&format!("/authorize?{query}"), None).await, 400, trick);
    }
}

async fn a_request_that_is_wrong_is_told_to_the_application(app: TestApp) {
    let login = Login::new(&app).await;
    for (more, error) in [
        (vec![("response_type", "code")], "invalid_request"),
        (
            vec![
                ("response_type", "code"),
                ("code_challenge", VERIFIER),
                ("code_challenge_method", "plain"),
            ],
            "invalid_request",
        ),
        (vec![("response_type", "id_token")], "unsupported_response_type"),
    ] {
        let mut more = more;
        more.push(("state", "s"));
        let back = location(&login.get(&login.authorize(&more), None).await.expect(303));
        assert!(back.as_str().starts_with("https://app.example.com/callback?tenant=1&"), "{back}");
        assert_eq!(query(&back, "error").as_deref(), Some(error));
        assert_eq!(query(&back, "state").as_deref(), Some("s"));
    }
    for path in [
        "/authorize".to_owned(),
        "/authorize?client_id=unknown".to_owned(),
        login.authorize(&[]).replace("connection=default", "connection=nobody"),
    ] {
        is_refusal(&login.get(&path, None).await, 400, &path);
    }
}

async fn a_connection_without_an_issuer_cannot_be_signed_in_to(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.issuer = None).await;
    is_refusal(&login.get(&login.authorize(&[]), None).await, 502, "no issuer");
}
