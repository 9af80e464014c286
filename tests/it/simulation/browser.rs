//! The sign-in half: a person's browser on its way from the application through the provider and
//! back.

use std::sync::atomic::{AtomicU64, Ordering};

use muster::directory::apps;
use muster::directory::connections::AdminError;
use serde_json::Value;
use url::Url;

use crate::support::TestApp;
use crate::support::provider::{Provider, Signed, Token, header};

const CALLBACK: &str = "https://app.example.com/callback";

/// Browsers, and the provider and the application that they go to.
pub struct Browser {
    pub provider: Provider,
    client_id: String,
    http: reqwest::Client,
    base: String,
    codes: AtomicU64,
}

impl Browser {
    pub async fn new(app: &TestApp) -> Self {
        let now = app.clock.now();
        let client_id = app
            .db
            .write("app", move |conn| {
                let uris = [CALLBACK.to_owned()];
                let (made, _) = apps::create(conn, "app", &uris, false, false, now)?;
                Ok::<_, AdminError>(made.id)
            })
            .await
            .expect("an application");
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a client");
        let base = app.base_url.clone();
        Self { provider: Provider::start(), client_id, http, base, codes: AtomicU64::new(0) }
    }

    /// Signs somebody in whom the provider describes by the claims; the session's cookie, or `None`
    /// if the person is not let in.
    pub async fn sign_in(
        &self,
        connection: &str,
        claims: &Value,
        issued_at: i64,
    ) -> Result<Option<String>, String> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &self.client_id)
            .append_pair("connection", connection)
            .append_pair("redirect_uri", CALLBACK)
            .finish();
        let begun = self.get(&format!("/authorize?{query}"), None).await;
        if begun.status() != 303 {
            return Err(format!("/authorize answered {}", begun.status()));
        }
        let location = begun.headers()["location"].to_str().expect("a location");
        let asked = Url::parse(location).expect("a URL");
        let parameter = |name: &str| {
            let found = asked.query_pairs().find(|(key, _)| key == name);
            found.map(|(_, value)| value.into_owned()).expect("a parameter")
        };
        let mut claims = claims.clone();
        claims["iss"] = self.provider.issuer.as_str().into();
        claims["aud"] = parameter("client_id").into();
        claims["nonce"] = parameter("nonce").into();
        claims["iat"] = issued_at.into();
        claims["exp"] = (issued_at + 100_000).into();
        let code = format!("code-{}", self.codes.fetch_add(1, Ordering::Relaxed));
        self.provider.gives_for(&code, Token { header: header(), claims, signed: Signed::Well });
        let path = format!("/login/callback?code={code}&state={}", parameter("state"));
        let answer = self.get(&path, cookie(&begun).as_deref()).await;
        match answer.status().as_u16() {
            303 => Ok(Some(cookie(&answer).ok_or("no session cookie")?)),
            403 => Ok(None),
            status => Err(format!("/login/callback answered {status}")),
        }
    }

    /// The status of a request for what is known of who is signed in.
    pub async fn userinfo(&self, cookie: &str) -> u16 {
        self.get("/userinfo", Some(cookie)).await.status().as_u16()
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> reqwest::Response {
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        request.send().await.expect("an answer")
    }
}

fn cookie(response: &reqwest::Response) -> Option<String> {
    let set = response.headers().get("set-cookie")?.to_str().ok()?;
    Some(set.split(';').next()?.to_owned())
}
