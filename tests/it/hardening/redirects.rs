//! Where browsers end up besides the addresses of applications, which `login::redirects` is about:
//! nowhere.

use serde_json::json;

use crate::login::harness::{Login, cookie, location, query};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    signing_out_sends_nobody_anywhere,
    no_path_becomes_an_address,
    the_host_that_a_request_names_is_not_believed,
];

async fn signing_out_sends_nobody_anywhere(app: TestApp) {
    let login = Login::new(&app).await;
    let session = cookie(&login.sign_in(&app, &login.code_request()).await.expect(303));
    let own = [("cookie", session.as_str()), ("origin", app.base_url.as_str())];
    for name in ["post_logout_redirect_uri", "redirect_uri", "returnTo", "target_link_uri", "next"]
    {
        for target in ["https://evil.example", "//evil.example", "javascript:alert(1)"] {
            let query = crate::login::harness::encoded(&[(name, target), ("state", "x")]);
            let path = format!("/logout?{query}");
            let asked = login.get(&path, Some(&session)).await.expect(200);
            let ended = login.post(&path, &[(name, target)], &own).await.expect(200);
            for answer in [asked, ended] {
                assert!(answer.header("location").is_none() && answer.header("refresh").is_none());
                assert!(!answer.text.contains("evil") && !answer.text.contains("alert"));
            }
        }
    }
}

async fn no_path_becomes_an_address(app: TestApp) {
    let login = Login::new(&app).await;
    for path in [
        "//evil.example",
        "///evil.example/..",
        "//evil.example/%2e%2e",
        "/%2f%2fevil.example",
        "/%5cevil.example",
        "/%5c%5cevil.example/",
        "/.//evil.example/",
        "/logout//evil.example",
        "/login/initiate//evil.example/",
        "/login/callback//evil.example",
        "/authorize/https://evil.example",
        "/https:/evil.example",
        "/%0d%0alocation:%20https://evil.example",
        "/scim//evil.example/",
    ] {
        let answer = login.get(path, None).await;
        assert!(answer.status >= 400, "{path}: {}", answer.status);
        for name in ["location", "refresh", "set-cookie"] {
            assert!(answer.header(name).is_none(), "{path}: {name}");
        }
    }
}

/// Links that end in mails, caches and directories are made of the public address alone.
async fn the_host_that_a_request_names_is_not_believed(app: TestApp) {
    let login = Login::new(&app).await;
    let lying = |mut request: reqwest::RequestBuilder| {
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-url", "/evil"),
            ("x-rewrite-url", "/evil"),
            ("forwarded", "host=evil.example;proto=https"),
        ] {
            request = request.header(name, value);
        }
        request
    };
    let own = app.base_url.as_str();
    let client = app.scim();
    let body = json!({ "userName": "ann" }).to_string();
    let request = client.request("POST", "/Users").header("content-type", "application/scim+json");
    let made = client.send(lying(request.body(body))).await.expect(201);
    assert!(made.header("location").is_some_and(|location| location.starts_with(own)));
    assert!(!made.text.contains("evil"), "{}", made.text);
    let listed = client.send(lying(client.request("GET", "/Users"))).await.expect(200);
    assert!(!listed.text.contains("evil"), "{}", listed.text);
    for path in ["/.well-known/oauth-authorization-server", "/scim/v2/ServiceProviderConfig"] {
        let answer = login.send(lying(login.http.get(format!("{own}{path}")))).await.expect(200);
        assert!(answer.text.contains(own) && !answer.text.contains("evil"), "{}", answer.text);
    }
    let request = login.http.get(format!("{own}{}", login.code_request()));
    let there = location(&login.send(lying(request)).await.expect(303));
    assert_eq!(query(&there, "redirect_uri"), Some(format!("{own}/login/callback")));
}
