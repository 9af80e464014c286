//! Requests that no browser and no application sends: each ends on a page of Muster's, or, where
//! programs ask, in an error of OAuth; never in a 500 and never in words of the library underneath.

use serde_json::json;

use super::harness::{
    Begun, CALLBACK, Login, STALE, VERIFIER, challenge, cookie, encoded, is_oauth_error,
    is_refusal, is_refusal_saying, location, query, rows, under_way, users, written,
};
use crate::support::provider::Provider;
use crate::support::{Case, TestApp, TestDatabase, cases, database_cases};

/// Path, parameters that are right, and which of them is made wrong.
type Parameter = (&'static str, &'static str);

/// The parameters of a page that would be answered well.
fn right(login: &Login, path: &str) -> Vec<(&'static str, String)> {
    match path {
        "/authorize" => vec![
            ("client_id", login.client_id.clone()),
            ("connection", login.connection.clone()),
            ("redirect_uri", CALLBACK.to_owned()),
            ("response_type", "code".to_owned()),
            ("state", "s".to_owned()),
            ("code_challenge", challenge()),
            ("code_challenge_method", "S256".to_owned()),
            ("login_hint", "ann".to_owned()),
            ("prompt", "login".to_owned()),
        ],
        "/login/initiate" => vec![
            ("iss", login.provider.issuer.clone()),
            ("login_hint", "ann".to_owned()),
            ("target_link_uri", CALLBACK.to_owned()),
            ("connection", login.connection.clone()),
        ],
        "/token" => vec![
            ("grant_type", "authorization_code".to_owned()),
            ("client_id", login.client_id.clone()),
            ("code", "x".to_owned()),
            ("code_verifier", VERIFIER.to_owned()),
            ("redirect_uri", CALLBACK.to_owned()),
        ],
        _ => vec![("token", "x".to_owned()), ("client_id", login.client_id.clone())],
    }
}

/// The parameters with one of them changed.
fn with(pairs: &[(&'static str, String)], name: &str, value: &str) -> String {
    let changed = pairs
        .iter()
        .map(|(known, right)| (*known, if *known == name { value } else { right.as_str() }));
    let changed: Vec<(&str, &str)> = changed.collect();
    encoded(&changed)
}

/// A trial for every parameter of a page.
mod page {
    use super::{Case, a_pages_parameter, rows};
    pub const CASES: &[Case] = rows![a_pages_parameter;
        authorize_takes_no_odd_client_id => ("/authorize", "client_id"),
        authorize_takes_no_odd_connection => ("/authorize", "connection"),
        authorize_takes_no_odd_redirect_uri => ("/authorize", "redirect_uri"),
        authorize_takes_no_odd_response_type => ("/authorize", "response_type"),
        authorize_takes_no_odd_state => ("/authorize", "state"),
        authorize_takes_no_odd_code_challenge => ("/authorize", "code_challenge"),
        authorize_takes_no_odd_code_challenge_method => ("/authorize", "code_challenge_method"),
        authorize_takes_no_odd_login_hint => ("/authorize", "login_hint"),
        authorize_takes_no_odd_prompt => ("/authorize", "prompt"),
        initiate_takes_no_odd_issuer => ("/login/initiate", "iss"),
        initiate_takes_no_odd_login_hint => ("/login/initiate", "login_hint"),
        initiate_takes_no_odd_target_link_uri => ("/login/initiate", "target_link_uri"),
        initiate_takes_no_odd_connection => ("/login/initiate", "connection"),
    ];
}

/// A trial for every parameter that programs send.
mod program {
    use super::{Case, a_programs_parameter, rows};
    pub const CASES: &[Case] = rows![a_programs_parameter;
        token_takes_no_odd_grant_type => ("/token", "grant_type"),
        token_takes_no_odd_client_id => ("/token", "client_id"),
        token_takes_no_odd_code => ("/token", "code"),
        token_takes_no_odd_code_verifier => ("/token", "code_verifier"),
        token_takes_no_odd_redirect_uri => ("/token", "redirect_uri"),
        introspect_takes_no_odd_token => ("/introspect", "token"),
        introspect_takes_no_odd_client_id => ("/introspect", "client_id"),
        revoke_takes_no_odd_token => ("/revoke", "token"),
        revoke_takes_no_odd_client_id => ("/revoke", "client_id"),
    ];
}

pub fn cases() -> Vec<Case> {
    let others: &[Case] = cases![
        a_form_of_another_type_is_refused,
        a_form_that_is_too_large_is_refused,
        a_form_that_is_compressed_is_refused,
        a_method_that_is_not_there_is_refused,
        a_parameter_that_nobody_knows_is_ignored,
        a_request_that_is_wrong_is_told_to_the_application,
        a_hint_and_a_prompt_go_to_the_provider_as_they_came,
        a_planted_session_is_not_taken_up,
        a_cookie_that_is_none_is_replaced,
        the_page_after_a_sign_in_says_who_is_signed_in,
        a_store_that_fails_is_told_as_page_or_error,
    ];
    let databases: &[Case] = database_cases![
        over_https_cookies_are_locked_to_the_host,
        over_plain_http_nobody_signs_in,
        a_sign_in_flood_stays_bounded,
    ];
    [page::CASES, program::CASES, others, databases].concat()
}

/// What no parameter may be, percent-encoded.
fn odd(pairs: &[(&'static str, String)], name: &str) -> Vec<(&'static str, String)> {
    let right = with(pairs, name, &pairs.iter().find(|(n, _)| *n == name).expect("a name").1);
    let spoiled = |value: &str| with(pairs, name, "@").replace("%40", value);
    vec![
        ("NUL", with(pairs, name, "a\0b")),
        ("NUL alone", with(pairs, name, "\0")),
        ("not UTF-8", spoiled("%FF")),
        ("half a letter", spoiled("a%C3")),
        ("overlong NUL", spoiled("%C0%80")),
        ("a surrogate", spoiled("%ED%A0%80")),
        ("twice", format!("{right}&{name}=x")),
        ("twice the same", format!("{right}&{}", encoded(&[(name, "x"), (name, "x")]))),
        ("an encoded name, twice", format!("{right}&%{:02x}{}=x", name.as_bytes()[0], &name[1..])),
    ]
}

async fn a_pages_parameter(app: TestApp, (path, name): Parameter) {
    let login = Login::new(&app).await;
    let pairs = right(&login, path);
    for (what, query) in odd(&pairs, name) {
        is_refusal(&login.get(&format!("{path}?{query}"), None).await, 400, what);
        if path == "/login/initiate" {
            is_refusal(&form(&login, path, query).await, 400, what);
        }
    }
    // What is too long is refused, or told to the application without repeating it.
    let long = format!("{path}?{}", with(&pairs, name, &"x".repeat(20_000)));
    let answer = login.get(&long, None).await;
    assert!(matches!(answer.status, 303 | 400), "{} {}", answer.status, answer.text);
    if answer.status == 400 {
        is_refusal(&answer, 400, "too long");
    } else {
        let there = location(&answer);
        assert!(there.as_str().starts_with(CALLBACK), "{there}");
        assert!(query(&there, "error").is_some() && there.as_str().len() < 1000, "{there}");
    }
    assert_eq!(under_way(&app).await, 0);
    let right: Vec<(&str, &str)> = pairs.iter().map(|(n, v)| (*n, v.as_str())).collect();
    login.begin(&format!("{path}?{}", encoded(&right))).await;
}

async fn a_programs_parameter(app: TestApp, (path, name): Parameter) {
    let login = Login::new(&app).await;
    let pairs = right(&login, path);
    let before = written(&app).await;
    for (what, body) in odd(&pairs, name) {
        let answer = form(&login, path, body).await;
        is_oauth_error(&answer, 400, "invalid_request");
        assert!(!answer.text.contains('\0'), "{what}");
    }
    assert_eq!(written(&app).await, before);
}

async fn form(login: &Login, path: &str, body: String) -> crate::support::Answer {
    let request = login
        .http
        .post(format!("{}{path}", login.base))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    login.send(request).await
}

/// The addresses that take forms: whether a person or a program sends them.
const FORMS: [(&str, bool); 5] = [
    ("/login/callback", true),
    ("/login/initiate", true),
    ("/token", false),
    ("/introspect", false),
    ("/revoke", false),
];

async fn a_form_of_another_type_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    let json = json!({ "client_id": login.client_id, "token": "x", "state": "x" }).to_string();
    for (path, is_page) in FORMS {
        for (kind, body) in [
            (Some("application/json"), json.as_str()),
            (Some("text/plain"), "client_id=x"),
            (Some("multipart/form-data; boundary=x"), "--x--"),
            (Some("nonsense"), "client_id=x"),
            (Some(""), "client_id=x"),
            (None, "client_id=x"),
        ] {
            let mut request =
                login.http.post(format!("{}{path}", login.base)).body(body.to_owned());
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            let answer = login.send(request).await;
            if is_page {
                is_refusal(&answer, 400, path);
            } else {
                is_oauth_error(&answer, 400, "invalid_request");
            }
        }
        // A character set is no other type.
        let request = login
            .http
            .post(format!("{}{path}", login.base))
            .header("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")
            .body(encoded(&[("state", "x"), ("client_id", "x")]));
        let answer = login.send(request).await;
        assert!(matches!(answer.status, 400 | 401), "{path} {}", answer.status);
        assert!(!answer.text.contains("form"), "{path}: {}", answer.text);
    }
}

async fn a_form_that_is_too_large_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    for (path, is_page) in FORMS {
        let answer = form(&login, path, format!("x={}", "x".repeat(200_000))).await;
        if is_page {
            is_refusal(&answer, 413, path);
        } else {
            is_oauth_error(&answer, 413, "invalid_request");
        }
    }
}

async fn a_form_that_is_compressed_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    for (path, is_page) in FORMS {
        let request = login
            .http
            .post(format!("{}{path}", login.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-encoding", "gzip")
            .body("x");
        let answer = login.send(request).await;
        if is_page {
            is_refusal(&answer, 400, path);
        } else {
            is_oauth_error(&answer, 400, "invalid_request");
        }
    }
}

async fn a_method_that_is_not_there_is_refused(app: TestApp) {
    let login = Login::new(&app).await;
    for (path, allowed, is_page) in [
        ("/authorize", "GET", true),
        ("/login/callback", "GET, POST", true),
        ("/login/initiate", "GET, POST", true),
        ("/logout", "GET, POST", true),
        ("/token", "POST", false),
        ("/introspect", "POST", false),
        ("/revoke", "POST", false),
        ("/userinfo", "GET, POST", false),
        ("/.well-known/oauth-authorization-server", "GET", false),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if allowed.split(", ").any(|known| known == method) {
                continue;
            }
            let method: reqwest::Method = method.parse().expect("a method");
            let is_head = method == reqwest::Method::HEAD;
            let answer =
                login.send(login.http.request(method, format!("{}{path}", login.base))).await;
            assert_eq!(answer.header("allow"), Some(allowed), "{}", answer.request);
            if is_head {
                assert_eq!(answer.status, 405);
            } else if is_page {
                is_refusal(&answer, 405, path);
            } else {
                is_oauth_error(&answer, 405, "invalid_request");
            }
        }
    }
    assert_eq!(under_way(&app).await, 0);
}

async fn a_parameter_that_nobody_knows_is_ignored(app: TestApp) {
    let login = Login::new(&app).await;
    let more = [("resource", "x"), ("resource", "y"), ("ui_locales", "de"), ("max_age", "1")];
    let begun = login.begin(&login.authorize(&more)).await;
    login.provider.gives(login.token(&app, &begun));
    login.come_back_with(&begun, &[("session_state", "x"), ("scope", "y")]).await.expect(303);
}

async fn a_request_that_is_wrong_is_told_to_the_application(app: TestApp) {
    let login = Login::new(&app).await;
    let challenge = challenge();
    let long = "s".repeat(2049);
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
        (vec![("response_type", "code"), ("code_challenge", &challenge)], "invalid_request"),
        (
            vec![
                ("response_type", "code"),
                ("code_challenge", "short"),
                ("code_challenge_method", "S256"),
            ],
            "invalid_request",
        ),
        (vec![("response_type", "id_token")], "unsupported_response_type"),
        (vec![("response_type", "code token")], "unsupported_response_type"),
        (vec![("response_type", "CODE")], "unsupported_response_type"),
        (vec![("state", &long)], "invalid_request"),
    ] {
        let mut more = more;
        if !more.iter().any(|(name, _)| *name == "state") {
            more.push(("state", "s"));
        }
        let back = location(&login.get(&login.authorize(&more), None).await.expect(303));
        assert!(back.as_str().starts_with("https://app.example.com/callback?tenant=1&"), "{back}");
        assert_eq!(query(&back, "error").as_deref(), Some(error));
        // Who answers is said in errors too (RFC 9207 section 2).
        assert_eq!(query(&back, "iss").as_deref(), Some(app.base_url.as_str()));
        let state = (!more.contains(&("state", &long))).then_some("s");
        assert_eq!(query(&back, "state").as_deref(), state);
    }
    for (path, said) in [
        ("/authorize".to_owned(), "lacks the client_id"),
        ("/authorize?client_id=unknown".to_owned(), "no application with this client_id"),
        (
            login.authorize(&[]).replace("connection=default", "connection=nobody"),
            "no connection of the name",
        ),
    ] {
        is_refusal_saying(&login.get(&path, None).await, 400, said);
    }
    assert_eq!(under_way(&app).await, 0);
}

async fn a_hint_and_a_prompt_go_to_the_provider_as_they_came(app: TestApp) {
    let login = Login::new(&app).await;
    let hint = "ann&redirect_uri=https://evil.example#x \u{e9}";
    let more = [("login_hint", hint), ("prompt", "login&state=x")];
    let begun = login.begin(&login.authorize(&more)).await;
    assert_eq!(query(&begun.url, "login_hint").as_deref(), Some(hint));
    assert_eq!(query(&begun.url, "prompt").as_deref(), Some("login&state=x"));
    for name in ["state", "nonce", "redirect_uri", "client_id", "code_challenge", "response_type"] {
        assert_eq!(begun.url.query_pairs().filter(|(known, _)| known == name).count(), 1, "{name}");
    }
    let ours = format!("{}/login/callback", app.base_url);
    assert_eq!(query(&begun.url, "redirect_uri"), Some(ours));
}

async fn a_planted_session_is_not_taken_up(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    let planted = "muster_session=planted-by-somebody";
    let path = format!("/login/callback?{}", encoded(&[("code", "c"), ("state", &begun.state)]));
    let cookies = format!("{planted}; {}", begun.cookie);
    let answer = login.get(&path, Some(&cookies)).await.expect(303);
    let session = cookie(&answer);
    assert_ne!(session, planted);
    login.get("/userinfo", Some(planted)).await.expect(401);
    login.get("/userinfo", Some(&session)).await.expect(200);
    // The next sign-in in the same browser has a session of its own again.
    let again = login.sign_in(&app, &login.code_request()).await.expect(303);
    assert_ne!(cookie(&again), session);
}

async fn a_cookie_that_is_none_is_replaced(app: TestApp) {
    let login = Login::new(&app).await;
    let long = format!("muster_flow={}", "x".repeat(200));
    for cookie in [
        "muster_flow=",
        long.as_str(),
        "muster_flow",
        "=;=",
        "muster_flow=\"\"",
        // What would be another attribute, or another header, if it were decoded and set again.
        "muster_flow=x%3B%20Domain%3Dexample.com",
        "muster_flow=x%0D%0Aset-cookie:%20a=b",
        "muster_flow=x\u{e9}",
    ] {
        let begun = login.begin_in(&login.code_request(), Some(cookie)).await;
        assert!(begun.cookie.len() > "muster_flow=".len() + 40, "{}", begun.cookie);
        login.provider.gives(login.token(&app, &begun));
        login.come_back(&begun).await.expect(303);
    }
}

async fn the_page_after_a_sign_in_says_who_is_signed_in(app: TestApp) {
    let login = Login::new(&app).await;
    let path = format!("/login/initiate?{}", encoded(&[("iss", &login.provider.issuer)]));
    let begun = login.begin(&path).await;
    let mut token = login.token(&app, &begun);
    token.claims["preferred_username"] = "<b>ann</b>".into();
    login.provider.gives(token);
    let answer = login.come_back(&begun).await.expect(200);
    assert!(answer.text.contains("as &lt;b&gt;ann&lt;/b&gt;"), "{}", answer.text);
    assert_eq!(users(&app).await, 1);
}

async fn a_store_that_fails_is_told_as_page_or_error(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let broken = app.db.write("break", |conn| {
        use diesel::connection::SimpleConnection;
        conn.batch_execute("DROP TABLE flows; DROP TABLE access_tokens; DROP TABLE codes;")?;
        Ok::<_, muster::db::StoreError>(())
    });
    broken.await.expect("a store without tables");
    let said = "This cannot go on for now";
    is_refusal_saying(&login.get(&login.code_request(), None).await, 500, said);
    is_refusal_saying(&login.come_back(&begun).await, 500, said);
    is_oauth_error(&login.exchange("x", VERIFIER, CALLBACK).await, 500, "server_error");
    is_oauth_error(&login.userinfo("x").await, 500, "server_error");
    let form = [("token", "x"), ("client_id", login.client_id.as_str())];
    is_oauth_error(&login.post("/revoke", &form, &[]).await, 500, "server_error");
}

async fn over_plain_http_nobody_signs_in(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        "http://muster.example.com".clone_into(&mut settings.public_url);
    })
    .await;
    let login = Login::new(&app).await;
    let answer = login.get(&login.code_request(), None).await;
    is_refusal_saying(&answer, 400, "by plain http");
}

async fn over_https_cookies_are_locked_to_the_host(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        "https://muster.example.com".clone_into(&mut settings.public_url);
    })
    .await;
    let login = Login::new(&app).await;
    let mut sessions = Vec::new();
    // Without the prefix anybody could have set it.
    for prefix in ["", "__Host-"] {
        let answer = login.get(&login.code_request(), None).await.expect(303);
        let flow = answer.header("set-cookie").expect("a cookie").to_owned();
        assert!(flow.starts_with("__Host-muster_flow="), "{flow}");
        // The provider may come back by a form on its own page, which is another site.
        for part in ["; Secure", "; HttpOnly", "; Path=/", "; SameSite=None", "; Max-Age=600"] {
            assert!(flow.contains(part), "{part}: {flow}");
        }
        assert!(!flow.contains("Domain"), "{flow}");
        let url = location(&answer);
        let begun = Begun {
            state: query(&url, "state").expect("a state"),
            nonce: query(&url, "nonce").expect("a nonce"),
            cookie: flow.split(';').next().expect("a value").replace("__Host-", prefix),
            url,
        };
        login.provider.gives(login.token(&app, &begun));
        let form = [("code", "c"), ("state", begun.state.as_str())];
        sessions.push(login.post("/login/callback", &form, &[("cookie", &begun.cookie)]).await);
    }
    is_refusal_saying(&sessions[0], 400, STALE);
    let session = sessions[1].header("set-cookie").expect("a cookie");
    assert!(session.starts_with("__Host-muster_session="), "{session}");
    for part in ["; Secure", "; HttpOnly", "; Path=/", "; SameSite=Lax"] {
        assert!(session.contains(part), "{part}: {session}");
    }
    assert!(!session.contains("Domain") && !session.contains("Max-Age"), "{session}");
}

/// However many begin and never come back, the table stays of one size, the newest are kept, and a
/// crowd at one connection pushes out nobody at another.
async fn a_sign_in_flood_stays_bounded(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| settings.max_flows = 5).await;
    let login = Login::new(&app).await;
    app.other("other").await;
    let other = Login::at(&app, "other", Provider::start()).await;
    let quiet = other.begin(&other.code_request()).await;
    let mut crowd = Vec::new();
    for _ in 0..30 {
        app.clock.advance(1);
        crowd.push(login.begin(&login.code_request()).await);
        // Each counts those before it.
        assert!(under_way(&app).await <= 6);
    }
    assert_eq!(under_way(&app).await, 6);
    let newest = crowd.split_off(25);
    for begun in &crowd {
        is_refusal_saying(&login.come_back(begun).await, 400, STALE);
    }
    for (login, begun) in newest.iter().map(|begun| (&login, begun)).chain([(&other, &quiet)]) {
        login.provider.gives(login.token(&app, begun));
        login.come_back(begun).await.expect(303);
    }
}
