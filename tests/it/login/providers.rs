//! Providers that misbehave: at discovery, at the token endpoint and at userinfo. What they answer
//! is bounded in size and time, redirects are not followed, and nothing is asked of an address that
//! is not safe.

use std::time::Duration;

use muster::oidc::{Answer, Asked, Limits, OidcError, Providers, Reach, Registration};
use serde_json::{Value, json};

use super::harness::{
    CLIENT_ID, Login, cookie, is_refusal, is_refusal_saying, query, rows, under_way, users, written,
};
use super::keys::{alone, registration};
use crate::support::provider::{
    DISCOVERY, Instead, KEYS, Provider, Signed, TOKEN, Token, USERINFO, header,
};
use crate::support::{Case, TestApp, cases, pure_cases};

/// How a provider misbehaves.
type Fault = fn(&Provider);

fn with(fault: Fault) -> Fault {
    fault
}

/// Discovery says something else.
#[expect(clippy::needless_pass_by_value, reason = "called with values made in place")]
fn says(provider: &Provider, name: &str, value: Value) {
    provider.describes_itself(json!({ name: value }));
}

/// The provider's address under a name that is not this machine's, though it leads here.
fn under_another_name(provider: &Provider, path: &str) -> Value {
    format!("{}{path}", provider.issuer.replace("127.0.0.1", "0.0.0.0")).into()
}

fn json_text(text: impl Into<String>) -> Instead {
    Instead::Body(200, "application/json", text.into())
}

const TOO_LARGE: usize = 1024 * 1024 + 1;

mod discovery {
    use super::{
        Case, DISCOVERY, Instead, KEYS, TOO_LARGE, Value, discovery_is_refused, json_text, rows,
        says, under_another_name, with,
    };

    pub const CASES: &[Case] = rows![discovery_is_refused;
        another_issuer_is_refused =>
            with(|provider| says(provider, "issuer", "https://evil.example".into())),
        an_issuer_with_a_slash_more_is_refused =>
            with(|provider| says(provider, "issuer", format!("{}/", provider.issuer).into())),
        an_issuer_that_is_null_is_refused => with(|provider| says(provider, "issuer", Value::Null)),
        no_authorization_endpoint_is_refused =>
            with(|provider| says(provider, "authorization_endpoint", Value::Null)),
        a_script_as_authorization_endpoint_is_refused =>
            with(|provider| says(provider, "authorization_endpoint", "javascript:alert(1)".into())),
        a_plain_authorization_endpoint_elsewhere_is_refused =>
            with(|provider| {
                says(provider, "authorization_endpoint", "http://evil.example/authorize".into());
            }),
        no_token_endpoint_is_refused =>
            with(|provider| says(provider, "token_endpoint", Value::Null)),
        a_plain_token_endpoint_elsewhere_is_refused =>
            with(|provider| {
                says(provider, "token_endpoint", under_another_name(provider, "/token"));
            }),
        a_plain_userinfo_endpoint_elsewhere_is_refused =>
            with(|provider| {
                says(provider, "userinfo_endpoint", under_another_name(provider, "/userinfo"));
            }),
        a_userinfo_endpoint_of_files_is_refused =>
            with(|provider| says(provider, "userinfo_endpoint", "file:///etc/passwd".into())),
        plain_keys_elsewhere_are_refused_and_not_asked_for =>
            with(|provider| says(provider, "jwks_uri", under_another_name(provider, "/keys"))),
        keys_of_files_are_refused =>
            with(|provider| says(provider, "jwks_uri", "file:///etc/passwd".into())),
        no_keys_are_refused => with(|provider| says(provider, "jwks_uri", Value::Null)),
        a_redirect_is_not_followed =>
            with(|provider| provider.answers(DISCOVERY, Instead::Elsewhere("/elsewhere"))),
        a_redirect_to_the_keys_is_not_followed =>
            with(|provider| provider.answers(KEYS, Instead::Elsewhere("/elsewhere"))),
        not_found_is_refused => with(|provider| provider.answers(DISCOVERY, Instead::status(404))),
        a_failure_is_refused => with(|provider| provider.answers(DISCOVERY, Instead::status(500))),
        an_empty_answer_is_refused =>
            with(|provider| provider.answers(DISCOVERY, Instead::status(200))),
        an_answer_that_is_no_json_is_refused =>
            with(|provider| provider.answers(DISCOVERY, json_text("<html>"))),
        a_list_is_refused => with(|provider| provider.answers(DISCOVERY, json_text("[]"))),
        html_is_refused =>
            with(|provider| {
                let page = provider.description().to_string();
                provider.answers(DISCOVERY, Instead::Body(200, "text/html", page));
            }),
        a_huge_answer_is_refused =>
            with(|provider| {
                let huge = format!("{}{}", " ".repeat(TOO_LARGE), provider.description());
                provider.answers(DISCOVERY, json_text(huge));
            }),
        deep_nesting_is_refused =>
            with(|provider| {
                let deep = format!("{{\"x\":{}{},", "[".repeat(200_000), "]".repeat(200_000));
                let text = provider.description().to_string().replacen('{', &deep, 1);
                provider.answers(DISCOVERY, json_text(text));
            }),
        keys_that_fail_are_refused =>
            with(|provider| provider.answers(KEYS, Instead::status(500))),
        keys_that_are_no_json_are_refused =>
            with(|provider| provider.answers(KEYS, json_text("keys"))),
        keys_that_are_no_list_are_refused =>
            with(|provider| provider.answers(KEYS, json_text("{\"keys\":{}}"))),
        keys_as_html_are_refused =>
            with(|provider| {
                provider.answers(KEYS, Instead::Body(200, "text/html", "{\"keys\":[]}".into()));
            }),
        huge_keys_are_refused =>
            with(|provider| {
                let huge = format!("{{\"keys\":[]{}}}", " ".repeat(TOO_LARGE));
                provider.answers(KEYS, json_text(huge));
            }),
        deeply_nested_keys_are_refused =>
            with(|provider| {
                let deep = format!("{{\"keys\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
                provider.answers(KEYS, json_text(deep));
            }),
    ];
}

mod token_endpoint {
    use super::{Case, Instead, TOKEN, TOO_LARGE, json_text, rows, token_answer_is_refused, with};

    pub const CASES: &[Case] = rows![token_answer_is_refused;
        a_refused_code_is_refused =>
            with(|provider| provider.refuses(400, "{\"error\":\"invalid_grant\"}")),
        a_refused_client_is_refused =>
            with(|provider| provider.refuses(401, "{\"error\":\"invalid_client\"}")),
        an_error_of_script_is_refused =>
            with(|provider| provider.refuses(400, "{\"error\":\"<script>alert(1)</script>\"}")),
        a_failure_is_refused => with(|provider| provider.refuses(500, "oops")),
        an_error_with_status_200_is_refused =>
            with(|provider| provider.refuses(200, "{\"error\":\"invalid_grant\"}")),
        an_empty_answer_is_refused => with(|provider| provider.refuses(200, "")),
        an_answer_that_is_no_json_is_refused => with(|provider| provider.refuses(200, "token")),
        an_empty_object_is_refused => with(|provider| provider.refuses(200, "{}")),
        an_answer_without_an_id_token_is_refused =>
            with(|provider| {
                provider.refuses(200, "{\"access_token\":\"x\",\"token_type\":\"Bearer\"}");
            }),
        an_id_token_that_is_no_token_is_refused =>
            with(|provider| {
                provider.refuses(
                    200,
                    "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":\"x\"}",
                );
            }),
        an_id_token_of_five_parts_is_refused =>
            with(|provider| {
                provider.refuses(
                    200,
                    "{\"access_token\":\"x\",\"token_type\":\"Bearer\",\"id_token\":\"a.b.c.d.e\"}",
                );
            }),
        a_huge_answer_is_refused =>
            with(|provider| {
                let huge = format!("{{\"access_token\":\"{}\"}}", "x".repeat(TOO_LARGE));
                provider.answers(TOKEN, json_text(huge));
            }),
        html_is_refused =>
            with(|provider| {
                provider.answers(TOKEN, Instead::Body(200, "text/html", "<p>hello</p>".into()));
            }),
        deep_nesting_is_refused =>
            with(|provider| {
                let deep = format!("{{\"x\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
                provider.answers(TOKEN, json_text(deep));
            }),
        a_redirect_is_not_followed =>
            with(|provider| provider.answers(TOKEN, Instead::Elsewhere("/elsewhere"))),
    ];
}

mod userinfo {
    use super::{
        Case, Instead, TOO_LARGE, USERINFO, json, json_text, rows, userinfo_is_not_believed, with,
    };

    pub const CASES: &[Case] = rows![userinfo_is_not_believed;
        userinfo_about_somebody_else_is_not_believed =>
            with(|provider| provider.says(json!({ "sub": "00ueve", "groups": ["Admins"] }))),
        userinfo_about_nobody_is_not_believed =>
            with(|provider| provider.says(json!({ "groups": ["Admins"] }))),
        userinfo_about_somebody_in_capitals_is_not_believed =>
            with(|provider| provider.says(json!({ "sub": "00UANN", "groups": ["Admins"] }))),
        userinfo_about_a_number_is_not_believed =>
            with(|provider| provider.says(json!({ "sub": 1, "groups": ["Admins"] }))),
        userinfo_with_nul_is_not_believed =>
            with(|provider| provider.says(json!({ "sub": "00uann", "groups": ["Admins", "\0"] }))),
        userinfo_that_is_a_list_is_not_believed =>
            with(|provider| provider.says(json!([{ "sub": "00uann", "groups": ["Admins"] }]))),
        userinfo_behind_a_redirect_is_not_believed =>
            with(|provider| provider.answers(USERINFO, Instead::Elsewhere("/elsewhere"))),
        userinfo_that_fails_is_not_believed =>
            with(|provider| {
                let claims = json!({ "sub": "00uann", "groups": ["Admins"] }).to_string();
                provider.answers(USERINFO, Instead::Body(500, "application/json", claims));
            }),
        userinfo_as_html_is_not_believed =>
            with(|provider| {
                let claims = json!({ "sub": "00uann", "groups": ["Admins"] }).to_string();
                provider.answers(USERINFO, Instead::Body(200, "text/html", claims));
            }),
        huge_userinfo_is_not_believed =>
            with(|provider| {
                let claims = json!({ "sub": "00uann", "groups": ["Admins"] });
                provider.answers(USERINFO, json_text(format!("{claims}{}", " ".repeat(TOO_LARGE))));
            }),
        deeply_nested_userinfo_is_not_believed =>
            with(|provider| {
                let claims = format!(
                    "{{\"sub\":\"00uann\",\"groups\":[\"Admins\"],\"x\":{}{}}}",
                    "[".repeat(200_000),
                    "]".repeat(200_000)
                );
                provider.answers(USERINFO, json_text(claims));
            }),
    ];
}

pub fn cases() -> Vec<Case> {
    let others: &[Case] = cases![
        a_providers_refusal_is_explained,
        a_provider_that_takes_the_secret_in_the_form_gets_it_there,
        a_connection_without_an_issuer_cannot_be_signed_in_to,
    ];
    let alone: &[Case] = pure_cases![
        a_provider_that_never_answers_is_given_up,
        those_who_wait_for_a_provider_fail_together,
        who_gives_up_waiting_stands_in_nobodys_way,
        an_issuer_that_is_not_safe_is_never_asked,
    ];
    [discovery::CASES, token_endpoint::CASES, userinfo::CASES, others, alone].concat()
}

async fn discovery_is_refused(app: TestApp, fault: Fault) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    fault(&login.provider);
    let answer = login.get(&login.code_request(), None).await;
    is_refusal_saying(&answer, 502, "The identity provider cannot be used");
    assert_eq!(written(&app).await, before);
    assert_eq!(under_way(&app).await, 0);
    assert_eq!(login.provider.asked("/elsewhere"), 0);
    // Nothing that is not safe was asked, not even for keys; nor anything a second time.
    assert!(login.provider.asked(KEYS) <= 1);
    if login.provider.description()["jwks_uri"] != format!("{}{KEYS}", login.provider.issuer) {
        assert_eq!(login.provider.asked(KEYS), 0);
    }
    is_refusal(&login.get(&login.code_request(), None).await, 502, "a moment later");
    assert_eq!(login.provider.asked(DISCOVERY), 1);
    // Mended, it is found a few seconds later.
    login.provider.describes_itself(Value::Null);
    login.provider.mends(DISCOVERY);
    login.provider.mends(KEYS);
    app.clock.advance(6);
    login.does_sign_in(&app).await;
}

async fn token_answer_is_refused(app: TestApp, fault: Fault) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    let begun = login.begin(&login.code_request()).await;
    fault(&login.provider);
    let answer = login.come_back(&begun).await;
    assert!(matches!(answer.status, 403 | 502), "{} {}", answer.status, answer.text);
    is_refusal(&answer, answer.status, "a token answer");
    assert!(!answer.text.contains("<script>"));
    assert_eq!(written(&app).await, before);
    assert_eq!(login.provider.asked("/elsewhere"), 0);
    login.provider.mends(TOKEN);
    login.does_sign_in(&app).await;
}

/// Signs in with a token that lacks groups, so that userinfo is asked.
async fn sign_in_thinly(app: &TestApp, login: &Login) {
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(app, &begun);
    token.claims.as_object_mut().expect("claims").remove("groups");
    login.provider.gives(token);
    login.come_back(&begun).await.expect(303);
}

async fn userinfo_is_not_believed(app: TestApp, fault: Fault) {
    let login = Login::new(&app).await;
    fault(&login.provider);
    sign_in_thinly(&app, &login).await;
    assert_eq!(login.provider.asked(USERINFO), 1);
    assert_eq!(login.provider.asked("/elsewhere"), 0);
    assert_eq!(app.scim().get("/Groups").await.expect(200).body["totalResults"], 0);
    // What it says well is believed.
    login.provider.mends(USERINFO);
    login.provider.says(json!({ "sub": "00uann", "groups": ["Admins"] }));
    sign_in_thinly(&app, &login).await;
    assert_eq!(app.scim().find("/Groups", "displayName eq \"Admins\"").await.len(), 1);
}

async fn a_providers_refusal_is_explained(app: TestApp) {
    let login = Login::new(&app).await;
    for (error, said) in [
        ("access_denied", "did not let you in"),
        ("login_required", "wants you to sign in there first"),
        ("server_error", "has a problem for the moment"),
        ("invalid_scope", "check the application"),
        ("<script>", "check the application"),
        ("a\r\nset-cookie: x=y", "check the application"),
    ] {
        let begun = login.begin(&login.code_request()).await;
        let description = [("error", error), ("error_description", "<b>call 555</b>")];
        let answer = login.come_back_with(&begun, &description).await;
        is_refusal_saying(&answer, 403, said);
        assert!(!answer.text.contains("<script>") && !answer.text.contains("555"));
        assert_eq!(login.provider.last_request(), "", "no code is exchanged");
    }
    assert_eq!(users(&app).await, 0);
}

async fn a_provider_that_takes_the_secret_in_the_form_gets_it_there(app: TestApp) {
    let login = Login::new(&app).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("secret");
    std::fs::write(&file, "hunter 2&\n").expect("a file");
    let (file, now) = (file.display().to_string(), app.clock.now());
    app.db
        .write("update", move |conn| {
            let change = |settings: &mut muster::directory::connections::Settings| {
                settings.sign_in.client_secret_file = Some(file.clone());
            };
            muster::directory::connections::update(conn, "default", change, now)
        })
        .await
        .expect("a connection");
    login.does_sign_in(&app).await;
    assert!(!login.provider.last_request().contains("client_secret"), "Basic is the default");
    login.provider.describes_itself(
        json!({ "token_endpoint_auth_methods_supported": ["client_secret_post"] }),
    );
    app.clock.advance(3601);
    login.does_sign_in(&app).await;
    assert!(login.provider.last_request().contains("client_secret=hunter+2%26"));
    // A shared secret signs no ID tokens, though OpenID Connect would let it.
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.header = json!({ "alg": "HS256" });
    token.signed = Signed::BySecret("hunter 2&");
    login.provider.gives(token);
    let answer = login.come_back(&begun).await;
    is_refusal_saying(&answer, 403, "its signature algorithm is not allowed");
}

async fn a_connection_without_an_issuer_cannot_be_signed_in_to(app: TestApp) {
    let login = Login::new(&app).await;
    app.set(|settings| settings.sign_in.issuer = None).await;
    is_refusal_saying(&login.get(&login.authorize(&[]), None).await, 502, "it has no issuer");
    // So it is for one whose issuer goes while somebody is at the provider.
    let issuer = login.provider.issuer.clone();
    let now = app.clock.now();
    let set = app.db.write("update", move |conn| {
        let change = |settings: &mut muster::directory::connections::Settings| {
            settings.sign_in.issuer = Some(issuer.clone());
        };
        muster::directory::connections::update(conn, "default", change, now)
    });
    set.await.expect("a connection");
    let answer = login.get(&login.code_request(), None).await.expect(303);
    let (cookie, url) = (cookie(&answer), super::harness::location(&answer));
    app.set(|settings| settings.sign_in.issuer = None).await;
    let path = format!("/login/callback?code=c&state={}", query(&url, "state").expect("a state"));
    is_refusal_saying(&login.get(&path, Some(&cookie)).await, 502, "it has no issuer");
    assert_eq!(users(&app).await, 0);
}

/// However long it took: else each of them would wait for a failure of their own, and the line would
/// grow for as long as people come.
fn those_who_wait_for_a_provider_fail_together() {
    alone(async {
        let provider = Provider::start();
        provider.answers(DISCOVERY, Instead::Silence);
        let limits = Limits { whole: Duration::from_secs(2), ..Limits::default() };
        let providers = Providers::with(limits, Reach::default()).expect("providers");
        let now = muster::clock::system()();
        let (registration, asked) = (registration(&provider), Asked::default());
        let start = |second: i64| providers.start(&registration, &asked, now + second * 1_000_000);
        let started = futures_util::future::join3(start(0), start(6), start(12)).await;
        assert!(started.0.is_err() && started.1.is_err() && started.2.is_err());
        assert_eq!(provider.asked(DISCOVERY), 1);
        // Whoever comes later asks anew.
        start(18).await.expect_err("no answer");
        assert_eq!(provider.asked(DISCOVERY), 2);
    });
}

/// A client that hangs up ends its request, and with it the question to the provider: that is no
/// answer of the provider's.
fn who_gives_up_waiting_stands_in_nobodys_way() {
    alone(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let registration = Registration {
            issuer,
            client_id: CLIENT_ID.to_owned(),
            client_secret: None,
            redirect_uri: "https://muster.example.com/login/callback".to_owned(),
        };
        let providers = Providers::new().expect("providers");
        let (asked, now) = (Asked::default(), muster::clock::system()());
        for _ in 0..3 {
            tokio::select! {
                started = providers.start(&registration, &asked, now) => panic!("{started:?}"),
                accepted = listener.accept() => drop(accepted.expect("a connection")),
            }
        }
    });
}

fn a_provider_that_never_answers_is_given_up() {
    alone(async {
        let limits = Limits { whole: Duration::from_millis(50), ..Limits::default() };
        let now = muster::clock::system()();
        for path in [DISCOVERY, KEYS] {
            let provider = Provider::start();
            provider.answers(path, Instead::Silence);
            let providers = Providers::with(limits, Reach::default()).expect("providers");
            let started = providers.start(&registration(&provider), &Asked::default(), now).await;
            let Err(OidcError::Provider(reason)) = started else { panic!("{path}: {started:?}") };
            assert!(reason.contains("takes too long"), "{path}: {reason}");
        }
        for path in [TOKEN, USERINFO] {
            let provider = Provider::start();
            let registration = registration(&provider);
            // Discovery may take its time on a busy machine; silence is for the path in question.
            let providers = Providers::with(
                Limits { whole: Duration::from_secs(2), ..Limits::default() },
                Reach::default(),
            )
            .expect("providers");
            let started =
                providers.start(&registration, &Asked::default(), now).await.expect("a start");
            provider.answers(path, Instead::Silence);
            let claims = json!({
                "iss": provider.issuer,
                "sub": "00uann",
                "aud": CLIENT_ID,
                "iat": now / 1_000_000,
                "exp": now / 1_000_000 + 3600,
                "nonce": started.nonce.expose(),
            });
            provider.always_gives(Token { header: header(), claims, signed: Signed::Well });
            let answer = Answer {
                code: muster::oidc::Secret::new("c"),
                issuer: None,
                nonce: started.nonce,
                pkce_verifier: started.pkce_verifier,
            };
            let finished = providers.finish(&registration, &answer, now).await;
            if path == TOKEN {
                let Err(OidcError::Provider(reason)) = finished else { panic!("{finished:?}") };
                assert!(reason.contains("takes too long"), "{reason}");
            } else {
                // A thin token is enough to know who it is.
                assert_eq!(finished.expect("an identity").subject, "00uann");
            }
        }
    });
}

fn an_issuer_that_is_not_safe_is_never_asked() {
    alone(async {
        let provider = Provider::start();
        let mut registration = registration(&provider);
        let providers = Providers::new().expect("providers");
        let now = muster::clock::system()();
        for issuer in [
            provider.issuer.replace("127.0.0.1", "0.0.0.0"),
            provider.issuer.replace("//", "//user@"),
            format!("{}?x", provider.issuer),
            format!("{}#x", provider.issuer),
            "file:///etc".to_owned(),
            String::new(),
        ] {
            registration.issuer = issuer;
            let started = providers.start(&registration, &Asked::default(), now).await;
            assert!(matches!(started, Err(OidcError::BadIssuer(_))), "{started:?}");
        }
        assert_eq!(provider.asked(DISCOVERY), 0);
    });
}
