//! People who sign in, at a provider that answers at once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::{LOCATION, SET_COOKIE};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::client::{Answer, Ask, Lane, Work};
use super::rows::pick;
use super::subject::Subject;
use crate::support::process::{self, succeeds};
use crate::support::provider::{EC_KEY, Provider, Signed, Token};

const CALLBACK: &str = "https://app.example.com/callback";
const VERIFIER: &str = "a-verifier-of-some-forty-characters-or-more-0";
const CLIENT_ID: &str = "muster-at-okta";

/// The provider, and an application that people sign in for.
pub struct SignIn {
    provider: Provider,
    authorize: String,
    client_id: String,
    users: usize,
    /// How many came already.
    count: Cell<u64>,
    access_token: Cell<Option<String>>,
}

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn location(answer: &Answer) -> Url {
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    Url::parse(location.expect("a location")).expect("a URL")
}

fn query(url: &Url, name: &str) -> String {
    let found = url.query_pairs().find(|(key, _)| key == name);
    found.expect("a parameter").1.into_owned()
}

impl SignIn {
    /// Sets the connection and an application up, and signs one person in.
    pub async fn set_up(subject: &Subject, users: usize) -> Rc<Self> {
        let provider = Provider::start();
        let database = &subject.database;
        let update = ["connection", "update", "bench", "--issuer", &provider.issuer];
        let update = [&update[..], &["--client-id", CLIENT_ID]].concat();
        succeeds(&process::run(database, &update));
        let create = ["app", "create", "bench", "--redirect-uri", CALLBACK, "--json"];
        let made = succeeds(&process::run(database, &create));
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let client_id = made["client_id"].as_str().expect("an id").to_owned();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let authorize = encoded(&[
            ("client_id", client_id.as_str()),
            ("connection", "bench"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        let authorize = format!("/authorize?{authorize}");
        let (count, access_token) = (Cell::new(0), Cell::new(None));
        let made = Rc::new(Self { provider, authorize, client_id, users, count, access_token });
        let mut lane = Lane::open(&subject.host(), 0).await;
        let code = made.sign_in(&mut lane, 0).await;
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &made.client_id),
            ("code", &code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        let exchange = Ask {
            method: Method::POST,
            path: "/token".to_owned(),
            content_type: "application/x-www-form-urlencoded",
            body: Bytes::from(encoded(&form)),
            ..Ask::default()
        };
        let body: Value =
            serde_json::from_slice(&lane.get(&exchange).await.body).expect("a token answer");
        made.access_token.set(body["access_token"].as_str().map(str::to_owned));
        made
    }

    /// A token of somebody who is signed in.
    pub fn access_token(&self) -> String {
        let token = self.access_token.take().expect("a token");
        self.access_token.set(Some(token.clone()));
        token
    }

    /// Signs in whoever's turn it is.
    pub fn work(self: &Rc<Self>) -> Work {
        let own = self.clone();
        Rc::new(move |lane: &mut Lane, turn| {
            let own = own.clone();
            Box::pin(async move {
                let number = pick(lane.number, turn, own.users);
                own.sign_in(lane, number).await;
            })
        })
    }

    /// Signs the user with that number in; gives the code for the application.
    async fn sign_in(&self, lane: &mut Lane, number: usize) -> String {
        // Of the two requests of a sign-in, the one that costs is measured.
        let asked = Instant::now();
        let begun = lane.get(&Ask { path: self.authorize.clone(), ..Ask::default() }).await;
        let cookie = begun.headers.get(SET_COOKIE).and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|value| value.split(';').next()).expect("a cookie");
        let to_provider = location(&begun);
        let now = muster::clock::system()() / 1_000_000;
        let claims = json!({
            "iss": self.provider.issuer,
            "sub": format!("00uuser{number:07}"),
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 3600,
            "nonce": query(&to_provider, "nonce"),
            "preferred_username": format!("user{number:07}@example.com"),
            "groups": ["Engineering", "Everyone", "Berlin"],
        });
        let header = json!({ "alg": "ES256", "kid": EC_KEY, "typ": "JWT" });
        self.count.set(self.count.get() + 1);
        let code = format!("code-{}", self.count.get());
        self.provider.gives_for(&code, Token { header, claims, signed: Signed::Well });
        let state = query(&to_provider, "state");
        let callback = encoded(&[("code", code.as_str()), ("state", &state)]);
        lane.aside(asked.elapsed());
        let callback = Ask {
            path: format!("/login/callback?{callback}"),
            cookie: Some(cookie.to_owned()),
            ..Ask::default()
        };
        query(&location(&lane.get(&callback).await), "code")
    }
}
