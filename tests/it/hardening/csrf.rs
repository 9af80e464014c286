//! Requests that other pages make a browser send. What they could change is `/logout`, which wants
//! to be asked by a page of ours; sign-ins, which come back with what the browser that began them
//! has; and nothing else, since no other endpoint takes a cookie for an authority.

use diesel::prelude::*;
use muster::db::schema::{access_tokens, codes, events, flows, sessions};
use muster::db::sessions::{AccessTokenRow, CodeRow, SessionRow};
use muster::db::{StoreError, state};
use serde_json::json;

use super::headers::patterns;
use crate::login::harness::{
    Login, STALE, cookie, is_refusal, is_refusal_saying, under_way, users, written,
};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    only_a_page_of_ours_signs_out,
    a_cookie_opens_no_endpoint_for_programs,
    no_route_does_anything_for_another_page,
    an_answer_that_another_browser_began_signs_nobody_in,
    a_sign_in_that_others_begin_changes_no_session,
    a_page_that_asks_changes_nothing,
];

async fn only_a_page_of_ours_signs_out(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let own = app.base_url.as_str();
    let by_tls = own.replace("http:", "https:");
    let on_another_port = format!("{}1", &own[..own.len() - 1]);
    let with_a_user = own.replace("http://", "http://user@");
    for (site, origin) in [
        (None, None),
        (None, Some("null")),
        (None, Some("")),
        (None, Some("https://evil.example")),
        (None, Some("http://127.0.0.1.evil.example")),
        (None, Some(by_tls.as_str())),
        (None, Some(on_another_port.as_str())),
        (None, Some("data:text/html,x")),
        (None, Some("file:///x")),
        (None, Some("chrome-extension://x")),
        (Some("cross-site"), None),
        (Some("cross-site"), Some("null")),
        // What the browser says of the site counts, whatever else is said.
        (Some("cross-site"), Some(own)),
        (Some("same-site"), Some(own)),
        (Some("none"), None),
        (Some("none"), Some(own)),
        (Some(""), Some(own)),
        (Some("Same-Origin"), Some("https://evil.example")),
        (Some("same-origin, cross-site"), Some(own)),
    ] {
        if origin == Some(own) && on_another_port == own {
            continue;
        }
        let mut headers = vec![("cookie", session.as_str())];
        headers.extend(site.map(|site| ("sec-fetch-site", site)));
        headers.extend(origin.map(|origin| ("origin", origin)));
        let answer = login.post("/logout", &[], &headers).await;
        is_refusal_saying(&answer, 400, "Signing out has to begin on");
        login.get("/userinfo", Some(&session)).await.expect(200);
    }
    // A referrer proves nothing.
    let referred = [("cookie", session.as_str()), ("referer", with_a_user.as_str())];
    is_refusal(&login.post("/logout", &[], &referred).await, 400, "a referrer");
    login.get("/userinfo", Some(&session)).await.expect(200);
    let ours = [("cookie", session.as_str()), ("sec-fetch-site", "same-origin")];
    login.post("/logout", &[], &ours).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(401);
}

async fn a_cookie_opens_no_endpoint_for_programs(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    login.get("/userinfo", Some(&session)).await.expect(200);
    let before = written(&app).await;
    for path in [
        "/scim/v2/Users",
        "/scim/v2/Groups",
        "/scim/v2/Me",
        "/scim/v2/Bulk",
        "/api/v1/users",
        "/api/v1/events",
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let request = app
                .anonymous()
                .request(method, path)
                .header("cookie", &session)
                .header("origin", &app.base_url)
                .header("content-type", "application/scim+json")
                .body(json!({ "userName": "eve" }).to_string());
            app.anonymous().send(request).await.expect(401);
        }
    }
    let headers = [("cookie", session.as_str()), ("origin", app.base_url.as_str())];
    for path in ["/token", "/introspect", "/revoke"] {
        let form = [("token", "x"), ("grant_type", "authorization_code")];
        login.post(path, &form, &headers).await.expect(401);
    }
    assert_eq!(written(&app).await, before);
}

/// All that is in the store but when sessions were last used: the lasting state, who is signed in with
/// what, the sign-ins under way, and how much has happened.
async fn stored(
    app: &TestApp,
) -> (String, Vec<SessionRow>, Vec<CodeRow>, Vec<AccessTokenRow>, [i64; 2]) {
    let found = app.db.snapshot(|conn| {
        let mut sessions: Vec<SessionRow> = sessions::table.order(sessions::id).load(conn)?;
        for session in &mut sessions {
            session.last_seen_at = 0;
        }
        Ok::<_, StoreError>((
            state::digest(conn)?,
            sessions,
            codes::table.order(codes::hash).load(conn)?,
            access_tokens::table.order(access_tokens::hash).load(conn)?,
            [flows::table.count().get_result(conn)?, events::table.count().get_result(conn)?],
        ))
    });
    found.await.expect("what is stored")
}

/// Every pattern of the table of routes, so that a new one that takes a cookie is noticed.
async fn no_route_does_anything_for_another_page(app: TestApp) {
    let login = Login::new(&app).await;
    let group = app.scim().post("/Groups", &json!({ "displayName": "Tour Guides" })).await;
    let group = group.expect(201).id();
    login.access_token(&app).await;
    login.code(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let user = app.scim().get("/Users").await.expect(200).body["Resources"][0]["id"].clone();
    let user = user.as_str().expect("an id").to_owned();
    let before = stored(&app).await;
    let own = app.base_url.clone();
    let pages: [&[(&str, &str)]; 3] = [
        &[("origin", "https://evil.example")],
        &[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")],
        // A browser that says what the site is counts for more than an origin.
        &[("origin", &own), ("sec-fetch-site", "cross-site")],
    ];
    let form = "token=x&confirm=yes";
    let user_body = json!({ "userName": "eve", "displayName": "eve", "active": false }).to_string();
    let bodies =
        [("application/x-www-form-urlencoded", form), ("application/json", user_body.as_str())];
    let patterns = patterns();
    assert!(patterns.len() > 35, "{patterns:#?}");
    for pattern in &patterns {
        let id =
            if pattern.contains("/Groups") || pattern.contains("/teams") { &group } else { &user };
        let path = pattern.replace("{id}", id).replace("{connection}", "default");
        let path = path.replace("{session}", "0198").replace("{action}", "deactivate");
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            for (kind, body) in bodies {
                for page in pages {
                    let mut request = app
                        .anonymous()
                        .request(method, &path)
                        .header("cookie", &session)
                        .header("content-type", kind)
                        .body(body.to_owned());
                    for (name, value) in page {
                        request = request.header(*name, *value);
                    }
                    let answer = app.anonymous().send(request).await;
                    let reads = method == "POST" && path == "/userinfo";
                    assert_eq!(answer.status < 400, reads, "{method} {path}: {}", answer.status);
                    // It was looked at, and not turned away for having come too often.
                    assert_ne!(answer.status, 429, "{method} {path}");
                }
            }
        }
        assert_eq!(stored(&app).await, before, "{path}");
    }
    login.get("/userinfo", Some(&session)).await.expect(200);
    // The same cookie, from a page of ours.
    let ours = [("cookie", session.as_str()), ("origin", own.as_str())];
    login.post("/logout", &[], &ours).await.expect(200);
    login.get("/userinfo", Some(&session)).await.expect(401);
    assert_ne!(stored(&app).await, before);
}

/// Login CSRF: an attacker who has an answer of the provider's for a sign-in of his own has
/// somebody else's browser bring it.
async fn an_answer_that_another_browser_began_signs_nobody_in(app: TestApp) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    for posted in [false, true] {
        for victim in [None, Some(())] {
            let attacker = login.begin(&login.code_request()).await;
            // The victim has a sign-in under way as well, or none.
            let own = match victim {
                None => None,
                Some(()) => Some(login.begin(&login.code_request()).await.cookie),
            };
            login.provider.gives(login.token(&app, &attacker));
            let answer = [("code", "c"), ("state", attacker.state.as_str())];
            let answer = if posted {
                let mut headers = vec![("origin", login.provider.issuer.as_str())];
                headers.extend(own.as_ref().map(|own| ("cookie", own.as_str())));
                login.post("/login/callback", &answer, &headers).await
            } else {
                let query = crate::login::harness::encoded(&answer);
                login.get(&format!("/login/callback?{query}"), own.as_deref()).await
            };
            is_refusal_saying(&answer, 400, STALE);
            // What was tried in the wrong browser is over in the right one.
            is_refusal_saying(&login.come_back(&attacker).await, 400, STALE);
        }
    }
    assert_eq!(login.provider.last_request(), "", "the code goes to nobody");
    assert_eq!(written(&app).await, before);
    login.does_sign_in(&app).await;
}

/// Anybody may begin a sign-in (OpenID Connect Core section 4); whoever is signed in stays so.
async fn a_sign_in_that_others_begin_changes_no_session(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let before = written(&app).await;
    let headers = [
        ("cookie", session.as_str()),
        ("origin", "https://evil.example"),
        ("sec-fetch-site", "cross-site"),
    ];
    let issuer = login.provider.issuer.clone();
    let form = [("iss", issuer.as_str())];
    let answer = login.post("/login/initiate", &form, &headers).await.expect(303);
    assert!(!cookie(&answer).contains("session"), "a cookie of the sign-in alone");
    login.get(&login.code_request(), Some(&session)).await.expect(303);
    assert_eq!(written(&app).await, before);
    assert_eq!(under_way(&app).await, 2);
    login.get("/userinfo", Some(&session)).await.expect(200);
}

/// GET and HEAD are what a browser sends for an image, a link or ahead of time.
async fn a_page_that_asks_changes_nothing(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    for path in ["/logout", "/logout?", "/logout/", "/logout?x=POST&_method=POST"] {
        for method in [reqwest::Method::GET, reqwest::Method::HEAD] {
            let request = login
                .http
                .request(method, format!("{}{path}", login.base))
                .header("cookie", &session)
                .header("x-http-method-override", "POST");
            let answer = login.send(request).await;
            assert!(answer.status == 200 || answer.status == 405, "{path}: {}", answer.status);
        }
    }
    login.get("/userinfo", Some(&session)).await.expect(200);
    assert_eq!(users(&app).await, 1);
}
