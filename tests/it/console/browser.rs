//! A browser at the console, without its scripts.

use serde_json::json;

use crate::login::harness::encoded;
use crate::support::{Answer, TestApp};

/// A browser at the console.
pub struct Console {
    http: reqwest::Client,
    base: String,
    pub cookie: String,
}

impl Console {
    pub fn new(app: &TestApp) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_built_in_root_certs(false)
            .build()
            .expect("a client");
        Self { http, base: app.base_url.clone(), cookie: String::new() }
    }

    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Somebody who came in with a new admin token.
    pub async fn open(app: &TestApp) -> Self {
        let (_, token) = app.new_admin_token(None).await;
        let mut console = Self::new(app);
        console.enter(&token).await;
        console
    }

    pub async fn enter(&mut self, token: &str) {
        let answer = self.post("/console/login", &[("token", token)]).await.expect(303);
        self.cookie = cookie(&answer).expect("a cookie");
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.header("cookie", &self.cookie).build().expect("a request");
        let name = format!("{} {}", request.method(), request.url());
        Answer::read(name, self.http.execute(request).await.expect("an answer")).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.base))).await
    }

    /// The text of a page that has to be there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await.expect(200);
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        answer.text
    }

    pub fn form(&self, path: &str, pairs: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.http
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(pairs))
    }

    pub async fn post(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        self.send(self.form(path, pairs).header("sec-fetch-site", "same-origin")).await
    }
}

/// Name and value of the console's cookie, if it was set to one.
pub fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.headers.get_all("set-cookie").iter();
    let set = set.map(|value| value.to_str().expect("a readable header"));
    let of_console = set.filter(|set| set.starts_with("muster_console="));
    let mut value = of_console.map(|set| {
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
        set.split(';').next().expect("a value").to_owned()
    });
    value.next_back().filter(|value| !value.ends_with('='))
}

pub fn location(answer: &Answer) -> &str {
    answer.header("location").expect("a location")
}

/// Guesses until somebody is not looked at any more. How often that is, is bounded; one more is looked at
/// for each second that it takes.
pub async fn is_slowed_down(guess: impl AsyncFn(u32) -> u16) {
    let mut looked_at = 0;
    let last = loop {
        let status = guess(looked_at).await;
        if status != 403 || looked_at == 1000 {
            break status;
        }
        looked_at += 1;
    };
    assert_eq!(last, 429, "after {looked_at}");
    assert!(looked_at >= 60, "{looked_at}");
}

pub async fn ann(app: &TestApp) -> String {
    let body = json!({
        "userName": "ann@example.com",
        "externalId": "00uann",
        "name": { "givenName": "Ann", "familyName": "Lee" },
        "emails": [{ "value": "ann@work.example", "primary": true }],
    });
    app.scim().post("/Users", &body).await.expect(201).id()
}

pub const AT: &str = "/console/connections/default";
