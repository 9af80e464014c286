//! A browser, an application and a provider, and what a refusal has to look like.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diesel::prelude::*;
use muster::db::StoreError;
use muster::db::schema;
use muster::directory::apps;
use muster::directory::connections::{self, AdminError};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;

use crate::support::provider::{Provider, Signed, Token, header};
use crate::support::{Answer, TestApp};

/// Where the application is.
pub const CALLBACK: &str = "https://app.example.com/callback?tenant=1";
/// The application's proof that a code is its own.
pub const VERIFIER: &str = "a-verifier-of-some-forty-characters-or-more-0";
/// Muster's client id at every provider.
pub const CLIENT_ID: &str = "muster-at-okta";
/// What a page says of a sign-in that is not under way.
pub const STALE: &str = "not under way in this browser";

/// A trial of its own for every row of a table: a name that says the row, and the row, which the
/// test is given.
macro_rules! rows {
    ($test:path; $($name:ident => $row:expr),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::App(|app| Box::pin($test(app, $row))),
        }),*]
    };
}

pub(crate) use rows;

/// A connection with its provider, and an application that asks for sign-in.
pub struct Login {
    pub provider: Provider,
    pub connection: String,
    pub client_id: String,
    pub http: reqwest::Client,
    pub base: String,
}

/// The browser's part of a sign-in that is under way.
pub struct Begun {
    pub state: String,
    pub nonce: String,
    pub cookie: String,
    pub url: Url,
}

/// The value of a parameter of an address.
pub fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Parameters as a query or a form.
pub fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// What the application sends with its request, to prove later that a code is its own.
pub fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

impl Login {
    /// A provider for the connection `default`, and an application with the implicit grant.
    pub async fn new(app: &TestApp) -> Self {
        Self::at(app, "default", Provider::start()).await
    }

    /// A provider for a connection that is there, and an application with the implicit grant.
    pub async fn at(app: &TestApp, connection: &str, provider: Provider) -> Self {
        let (issuer, now) = (provider.issuer.clone(), app.clock.now());
        let name = connection.to_owned();
        let client_id = app
            .db
            .write("set_up", move |conn| {
                let change = |settings: &mut connections::Settings| {
                    settings.sign_in.issuer = Some(issuer.clone());
                    settings.sign_in.client_id = Some(CLIENT_ID.to_owned());
                };
                connections::update(conn, &name, change, now)?;
                let uris = [CALLBACK.to_owned()];
                let (made, _) =
                    apps::create(conn, &format!("app of {name}"), &uris, true, false, now)?;
                Ok::<_, AdminError>(made.id)
            })
            .await
            .expect("a set-up");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_built_in_root_certs(false)
            .build()
            .expect("a client");
        let (connection, base) = (connection.to_owned(), app.base_url.clone());
        Self { provider, connection, client_id, http, base }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let name = format!("{} {}", request.method(), request.url());
        Answer::read(name, self.http.execute(request).await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str, cookie: Option<&str>) -> Answer {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        self.send(request).await
    }

    pub async fn post(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self
            .http
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(form));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    /// The address by which the application asks for a sign-in.
    pub fn authorize(&self, more: &[(&str, &str)]) -> String {
        let mut pairs = vec![
            ("client_id", self.client_id.as_str()),
            ("connection", &self.connection),
            ("redirect_uri", CALLBACK),
        ];
        pairs.extend(more);
        format!("/authorize?{}", encoded(&pairs))
    }

    /// The address by which the application asks for a code.
    pub fn code_request(&self) -> String {
        self.authorize(&[
            ("response_type", "code"),
            ("state", "the app's"),
            ("code_challenge", &challenge()),
            ("code_challenge_method", "S256"),
        ])
    }

    pub async fn begin(&self, path: &str) -> Begun {
        self.begin_in(path, None).await
    }

    /// Begins in a browser that has a cookie, perhaps.
    pub async fn begin_in(&self, path: &str, cookies: Option<&str>) -> Begun {
        let answer = self.get(path, cookies).await.expect(303);
        let url = location(&answer);
        assert!(url.as_str().starts_with(&self.provider.issuer), "{url}");
        Begun {
            state: query(&url, "state").expect("a state"),
            nonce: query(&url, "nonce").expect("a nonce"),
            cookie: cookie(&answer),
            url,
        }
    }

    pub async fn come_back(&self, begun: &Begun) -> Answer {
        self.come_back_with(begun, &[]).await
    }

    /// Comes back with more parameters than the code and the state.
    pub async fn come_back_with(&self, begun: &Begun, more: &[(&str, &str)]) -> Answer {
        let mut pairs = vec![("code", "c"), ("state", begun.state.as_str())];
        pairs.extend(more);
        self.get(&format!("/login/callback?{}", encoded(&pairs)), Some(&begun.cookie)).await
    }

    /// The token that a sign-in should get.
    pub fn token(&self, app: &TestApp, begun: &Begun) -> Token {
        let now = app.clock.now() / 1_000_000;
        let claims = json!({
            "iss": self.provider.issuer,
            "sub": "00uann",
            "aud": CLIENT_ID,
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
    pub async fn sign_in(&self, app: &TestApp, path: &str) -> Answer {
        let begun = self.begin(path).await;
        self.provider.gives(self.token(app, &begun));
        self.come_back(&begun).await
    }

    /// A whole sign-in that has to succeed, as the control of one that was refused.
    pub async fn does_sign_in(&self, app: &TestApp) {
        self.sign_in(app, &self.code_request()).await.expect(303);
        assert_eq!(users(app).await, 1);
    }

    /// A whole code flow up to the code.
    pub async fn code(&self, app: &TestApp) -> String {
        let answer = self.sign_in(app, &self.code_request()).await.expect(303);
        query(&location(&answer), "code").expect("a code")
    }

    /// A whole code flow; gives the access token.
    pub async fn access_token(&self, app: &TestApp) -> String {
        let code = self.code(app).await;
        let body = self.exchange(&code, VERIFIER, CALLBACK).await.expect(200).body;
        body["access_token"].as_str().expect("a token").to_owned()
    }

    pub async fn exchange(&self, code: &str, verifier: &str, redirect_uri: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &self.client_id),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.post("/token", &form, &[]).await
    }

    pub async fn userinfo(&self, token: &str) -> Answer {
        self.send(self.http.get(format!("{}/userinfo", self.base)).bearer_auth(token)).await
    }
}

/// Name and value of the cookie that was set.
pub fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").expect("a cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().expect("a value").to_owned()
}

pub fn location(answer: &Answer) -> Url {
    Url::parse(answer.header("location").expect("a location")).expect("a URL")
}

/// That the answer is a page of Muster's, and nobody is signed in.
#[track_caller]
pub fn is_refusal(answer: &Answer, status: u16, name: &str) {
    let text = &answer.text;
    assert_eq!(answer.status, status, "{name}: {text}");
    assert!(text.starts_with("<!doctype html>"), "{name}: {text}");
    assert!(answer.header("set-cookie").is_none(), "{name}");
    assert!(answer.header("location").is_none(), "{name}");
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'"), "{name}: {policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{name}: {policy}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{name}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{name}");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{name}");
}

/// That the answer is such a page, and says this.
#[track_caller]
pub fn is_refusal_saying(answer: &Answer, status: u16, reason: &str) {
    is_refusal(answer, status, reason);
    assert!(answer.text.contains(reason), "{reason}: {}", answer.text);
}

/// That the answer is an error of OAuth, in JSON.
#[track_caller]
pub fn is_oauth_error(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status, status, "{}: {}", answer.request, answer.text);
    assert_eq!(answer.body["error"], error, "{}: {}", answer.request, answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"), "{}", answer.request);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.request);
}

pub async fn users(app: &TestApp) -> u64 {
    app.scim().get("/Users").await.expect(200).body["totalResults"].as_u64().expect("a total")
}

/// How many rows there are of all that a sign-in writes in the end.
pub async fn written(app: &TestApp) -> Vec<(&'static str, i64)> {
    let counted = app.db.read(|conn| {
        Ok::<_, StoreError>(vec![
            ("users", schema::users::table.count().get_result(conn)?),
            ("teams", schema::teams::table.count().get_result(conn)?),
            ("memberships", schema::memberships::table.count().get_result(conn)?),
            ("sessions", schema::sessions::table.count().get_result(conn)?),
            ("codes", schema::codes::table.count().get_result(conn)?),
            ("access tokens", schema::access_tokens::table.count().get_result(conn)?),
        ])
    });
    counted.await.expect("counts")
}

/// How many sign-ins are under way.
pub async fn under_way(app: &TestApp) -> i64 {
    let counted =
        app.db.read(|conn| Ok::<_, StoreError>(schema::flows::table.count().get_result(conn)?));
    counted.await.expect("a count")
}
