//! People's browsers on their way from the application through the provider and back, where the
//! way out and the way back may go through different servers.

use std::sync::atomic::{AtomicU64, Ordering};

use muster::directory::apps;
use muster::directory::connections::{self, AdminError};
use serde_json::{Value, json};
use url::Url;

use super::stage::Stage;
use crate::login::harness::{
    CALLBACK, CLIENT_ID, VERIFIER, challenge, cookie, encoded, location, query,
};
use crate::support::Answer;
use crate::support::provider::{Provider, Signed, Token, header};

/// The provider, the application, and the browsers between them.
pub struct People<'a> {
    stage: &'a Stage,
    provider: Provider,
    app: String,
    codes: AtomicU64,
}

/// Somebody who is back from the provider, at Muster's door.
pub struct Arriving {
    path: String,
    cookie: String,
}

/// What the application wants.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    Code,
    Token,
}

impl<'a> People<'a> {
    /// People of the connection `default`, whose external ids are the provider's subjects, and an
    /// application of that name.
    pub async fn of(stage: &'a Stage, app: &str) -> Self {
        let provider = Provider::start();
        let (issuer, now) = (provider.issuer.clone(), muster::clock::system()());
        let name = app.to_owned();
        let app = stage
            .db
            .write("set_up", move |conn| {
                let change = |settings: &mut connections::Settings| {
                    settings.sign_in.issuer = Some(issuer.clone());
                    settings.sign_in.client_id = Some(CLIENT_ID.to_owned());
                    settings.sign_in.external_id_claim = Some("sub".to_owned());
                };
                connections::update(conn, "default", change, now)?;
                let (app, _) = apps::create(conn, &name, &[CALLBACK.to_owned()], true, false, now)?;
                Ok::<_, AdminError>(app.id)
            })
            .await
            .expect("a set-up");
        Self { stage, provider, app, codes: AtomicU64::new(0) }
    }

    /// Another application, which is the one that is signed in for from now on.
    pub async fn turn_to(&mut self, name: &str) {
        let (name, now) = (name.to_owned(), muster::clock::system()());
        let made = self.stage.db.write("turn_to", move |conn| {
            let (app, _) = apps::create(conn, &name, &[CALLBACK.to_owned()], true, false, now)?;
            Ok::<_, AdminError>(app.id)
        });
        self.app = made.await.expect("an application");
    }

    /// The application's client id.
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The identity's issuer.
    pub fn issuer(&self) -> &str {
        &self.provider.issuer
    }

    /// Goes to the provider and comes back as far as the door.
    pub async fn arriving(&self, turn: usize, wants: Wants, claims: &Value) -> Arriving {
        let challenge = challenge();
        let mut pairs = vec![
            ("client_id", self.app.as_str()),
            ("connection", "default"),
            ("redirect_uri", CALLBACK),
        ];
        match wants {
            Wants::Token => pairs.push(("response_type", "token")),
            Wants::Code => pairs.extend([
                ("response_type", "code"),
                ("code_challenge", challenge.as_str()),
                ("code_challenge_method", "S256"),
            ]),
        }
        let path = format!("/authorize?{}", encoded(&pairs));
        let begun = self.get(turn, &path, None).await.expect(303);
        let asked = location(&begun);
        let mut claims = claims.clone();
        let now = muster::clock::system()() / 1_000_000;
        claims["iss"] = self.provider.issuer.as_str().into();
        claims["aud"] = CLIENT_ID.into();
        claims["nonce"] = query(&asked, "nonce").expect("a nonce").into();
        claims["iat"] = now.into();
        claims["exp"] = (now + 3600).into();
        let code = format!("code-{}", self.codes.fetch_add(1, Ordering::Relaxed));
        self.provider.gives_for(&code, Token { header: header(), claims, signed: Signed::Well });
        let state = query(&asked, "state").expect("a state");
        let pairs = [("code", code.as_str()), ("state", &state)];
        let path = format!("/login/callback?{}", encoded(&pairs));
        Arriving { path, cookie: cookie(&begun) }
    }

    /// Steps in, or tries to.
    pub async fn enter(&self, turn: usize, arriving: &Arriving) -> Answer {
        self.get(turn, &arriving.path, Some(&arriving.cookie)).await
    }

    /// A whole sign-in, which has to succeed; gives the access token.
    pub async fn sign_in(&self, turn: usize, claims: &Value) -> String {
        let arriving = self.arriving(turn, Wants::Token, claims).await;
        access_token(&self.enter(turn + 1, &arriving).await).expect("a token")
    }

    /// Exchanges a code.
    pub async fn exchange(&self, turn: usize, code: &str) -> Answer {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", self.app.as_str()),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ];
        self.post(turn, "/token", &form, None).await
    }

    /// Takes an access token back, as the application that has it.
    pub async fn revoke(&self, turn: usize, token: &str) -> Answer {
        self.post(turn, "/revoke", &[("token", token), ("client_id", &self.app)], None).await
    }

    /// Signs out, from the back end.
    pub async fn sign_out(&self, turn: usize, token: &str) -> Answer {
        self.post(turn, "/logout", &[], Some(token)).await
    }

    /// Who it is that the token speaks for; nobody, if it is not good any more.
    pub async fn whose(&self, turn: usize, token: &str) -> Option<String> {
        let form = encoded(&[("token", token)]);
        let client = self.stage.admin(turn);
        let request = client
            .request("POST", "/introspect")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        let body = client.send(request).await.expect(200).body;
        let is_active = body["active"].as_bool().expect("a verdict");
        is_active.then(|| body["sub"].as_str().expect("somebody").to_owned())
    }

    async fn post(
        &self,
        turn: usize,
        path: &str,
        form: &[(&str, &str)],
        bearer: Option<&str>,
    ) -> Answer {
        let url = format!("{}{path}", self.stage.base(turn));
        let mut request = self
            .stage
            .http
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(encoded(form));
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        Answer::read(format!("POST {url}"), request.send().await.expect("an answer")).await
    }

    async fn get(&self, turn: usize, path: &str, cookie: Option<&str>) -> Answer {
        let url = format!("{}{path}", self.stage.base(turn));
        let mut request = self.stage.http.get(&url);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        Answer::read(format!("GET {url}"), request.send().await.expect("an answer")).await
    }
}

/// What a provider says of the person.
pub fn claims(subject: &str, groups: &[&str]) -> Value {
    json!({
        "sub": subject,
        "preferred_username": format!("{subject}@example.com"),
        "name": format!("{subject} by sign-in"),
        "groups": groups,
    })
}

/// The access token that the application was given, if somebody was let in.
pub fn access_token(answer: &Answer) -> Option<String> {
    handed(answer, "access_token", Url::fragment)
}

/// The code that the application was given, if somebody was let in.
pub fn code(answer: &Answer) -> Option<String> {
    handed(answer, "code", Url::query)
}

fn handed(answer: &Answer, name: &str, part: fn(&Url) -> Option<&str>) -> Option<String> {
    if answer.status != 303 {
        return None;
    }
    let address = location(answer);
    let pairs = url::form_urlencoded::parse(part(&address)?.as_bytes());
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
