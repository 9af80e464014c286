//! An OpenID provider of the tests' own, which can be told to misbehave.

mod keys;
mod random;

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub use keys::{EC_KEY, ED_KEY, KeySet, RSA_KEY, SecretForm, key_set};

/// How an ID token is written.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    /// The claims; text stands for itself, so that it need not be JSON.
    pub claims: Value,
    pub signed: Signed,
}

/// By what an ID token is signed.
#[derive(Clone, PartialEq, Eq)]
pub enum Signed {
    /// The provider's key for the algorithm that the header names.
    Well,
    /// Another key under the same name.
    Falsely,
    /// The provider's key for this algorithm, whatever the header says.
    As(&'static str),
    /// HMAC with the provider's public key for a secret.
    ByPublicKey(SecretForm),
    /// HMAC with this secret.
    BySecret(&'static str),
    /// With these bytes.
    With(&'static [u8]),
    Not,
}

/// An answer that stands for the provider's own.
#[derive(Clone)]
pub enum Instead {
    /// Status, content type and body.
    Body(u16, &'static str, String),
    /// A redirect to another path of the provider.
    Elsewhere(&'static str),
    /// None, ever.
    Silence,
}

impl Instead {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self::Body(status, "application/json", String::new())
    }
}

#[derive(Default)]
struct Script {
    /// The token of the next answer.
    token: Option<Token>,
    /// The token of every answer.
    always: Option<Token>,
    /// The tokens of codes that were given out.
    by_code: HashMap<String, Token>,
    access_token: Option<String>,
    userinfo: Option<Value>,
    /// What discovery says besides or instead.
    description: Value,
    keys: Option<Vec<Value>>,
    /// Parameters of the last request at the token endpoint.
    last_request: String,
    /// What a path answers instead.
    instead: HashMap<String, Instead>,
    /// How often each path was asked for.
    asked: HashMap<String, usize>,
}

struct Shared {
    issuer: String,
    keys: Arc<KeySet>,
    script: Mutex<Script>,
    key_fetches: Arc<AtomicUsize>,
}

/// The provider.
pub struct Provider {
    pub issuer: String,
    shared: Arc<Shared>,
    /// How often the keys were fetched.
    pub key_fetches: Arc<AtomicUsize>,
}

/// Where the parts of a provider are.
pub const DISCOVERY: &str = "/.well-known/openid-configuration";
pub const KEYS: &str = "/keys";
pub const TOKEN: &str = "/token";
pub const USERINFO: &str = "/userinfo";

/// The number of the keys that nobody publishes.
const FORGER: usize = 2;

impl Provider {
    /// Starts a provider on a free port of this machine.
    pub fn start() -> Self {
        Self::with_keys(0)
    }

    /// Starts a provider that has other keys, under the same names.
    pub fn start_another() -> Self {
        Self::with_keys(1)
    }

    fn with_keys(number: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let key_fetches = Arc::new(AtomicUsize::new(0));
        let shared = Arc::new(Shared {
            issuer: issuer.clone(),
            keys: key_set(number),
            script: Mutex::default(),
            key_fetches: key_fetches.clone(),
        });
        let data = web::Data::from(shared.clone());
        let server = HttpServer::new(move || {
            App::new().app_data(data.clone()).default_service(web::to(answer))
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("a server");
        actix_web::rt::spawn(server.run());
        Self { issuer, shared, key_fetches }
    }

    /// The token that the next exchange gives.
    pub fn gives(&self, token: Token) {
        self.lock().token = Some(token);
    }

    /// The token that a code is exchanged for, once.
    pub fn gives_for(&self, code: &str, token: Token) {
        self.lock().by_code.insert(code.to_owned(), token);
    }

    /// The token that every exchange gives.
    pub fn always_gives(&self, token: Token) {
        self.lock().always = Some(token);
    }

    /// The access token that comes with ID tokens.
    pub fn gives_access_token(&self, token: &str) {
        self.lock().access_token = Some(token.to_owned());
    }

    /// What userinfo says.
    pub fn says(&self, claims: Value) {
        self.lock().userinfo = Some(claims);
    }

    /// What the token endpoint answers instead of a token.
    pub fn refuses(&self, status: u16, body: &str) {
        self.answers(TOKEN, Instead::Body(status, "application/json", body.to_owned()));
    }

    /// What a path answers instead.
    pub fn answers(&self, path: &str, instead: Instead) {
        self.lock().instead.insert(path.to_owned(), instead);
    }

    /// A path answers as it should again.
    pub fn mends(&self, path: &str) {
        self.lock().instead.remove(path);
    }

    /// What discovery says besides or instead of what is so.
    pub fn describes_itself(&self, description: Value) {
        self.lock().description = description;
    }

    /// What is so, as discovery says it.
    pub fn description(&self) -> Value {
        discovery(&self.issuer, &self.lock().description)
    }

    /// The keys that the provider publishes instead of its own.
    pub fn publishes(&self, keys: Vec<Value>) {
        self.lock().keys = Some(keys);
    }

    /// The provider's own keys.
    pub fn keys(&self) -> &KeySet {
        &self.shared.keys
    }

    /// The last body that the token endpoint was sent.
    pub fn last_request(&self) -> String {
        self.lock().last_request.clone()
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.lock().asked.get(path).copied().unwrap_or_default()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.shared.lock()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A header that the provider's key fits: RS256, as Okta signs.
pub fn header() -> Value {
    json!({ "alg": "RS256", "kid": RSA_KEY, "typ": "JWT" })
}

/// The access token that the provider gives unless it is told otherwise.
pub const ACCESS_TOKEN: &str = "provider-access-token";

/// The hash by which an ID token names what it came with (OpenID Connect Core section 3.1.3.6).
pub fn half_hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2])
}

async fn answer(shared: web::Data<Shared>, request: HttpRequest, body: String) -> HttpResponse {
    let path = request.path();
    let instead = {
        let mut script = shared.lock();
        *script.asked.entry(path.to_owned()).or_default() += 1;
        if path == TOKEN {
            script.last_request = body;
        }
        script.instead.get(path).cloned()
    };
    if path == KEYS {
        shared.key_fetches.fetch_add(1, Ordering::SeqCst);
    }
    match instead {
        None => {}
        Some(Instead::Body(status, kind, text)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            return HttpResponse::build(status).content_type(kind).body(text);
        }
        Some(Instead::Elsewhere(path)) => {
            let there = (LOCATION, format!("{}{path}", shared.issuer));
            return HttpResponse::TemporaryRedirect().insert_header(there).finish();
        }
        Some(Instead::Silence) => return std::future::pending().await,
    }
    match path {
        DISCOVERY => HttpResponse::Ok().json(discovery(&shared.issuer, &shared.lock().description)),
        KEYS => {
            let keys = shared.lock().keys.clone().unwrap_or_else(|| shared.keys.public());
            HttpResponse::Ok().json(json!({ "keys": keys }))
        }
        TOKEN => token_answer(&shared),
        USERINFO => match &shared.lock().userinfo {
            Some(claims) => HttpResponse::Ok().json(claims),
            None => HttpResponse::NotFound().finish(),
        },
        _ => HttpResponse::NotFound().finish(),
    }
}

fn discovery(issuer: &str, description: &Value) -> Value {
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}{TOKEN}"),
        "userinfo_endpoint": format!("{issuer}{USERINFO}"),
        "jwks_uri": format!("{issuer}{KEYS}"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "scopes_supported": ["openid", "profile", "email", "groups"],
    });
    for (name, value) in description.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    document
}

fn token_answer(shared: &Shared) -> HttpResponse {
    let mut script = shared.lock();
    let code = url::form_urlencoded::parse(script.last_request.as_bytes())
        .find(|(name, _)| name == "code")
        .map(|(_, value)| value.into_owned());
    let by_code = code.and_then(|code| script.by_code.remove(&code));
    let token = by_code.or_else(|| script.token.take()).or_else(|| script.always.clone());
    let Some(token) = token else {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    };
    HttpResponse::Ok().json(json!({
        "access_token": script.access_token.as_deref().unwrap_or(ACCESS_TOKEN),
        "token_type": "Bearer",
        "expires_in": 3600,
        "id_token": write(&token, &shared.keys),
    }))
}

/// The token as it is sent.
fn write(token: &Token, own: &KeySet) -> String {
    let part = |value: &Value| match value {
        Value::String(text) => URL_SAFE_NO_PAD.encode(text),
        other => URL_SAFE_NO_PAD.encode(other.to_string()),
    };
    let signed = format!("{}.{}", part(&token.header), part(&token.claims));
    let message = signed.as_bytes();
    let algorithm = token.header["alg"].as_str().unwrap_or_default();
    let signature = match &token.signed {
        Signed::Well => own.sign(algorithm, message),
        Signed::Falsely => key_set(FORGER).sign(algorithm, message),
        Signed::As(algorithm) => own.sign(algorithm, message),
        Signed::ByPublicKey(form) => keys::hmac(&own.public_rsa_as_secret(*form), message),
        Signed::BySecret(secret) => keys::hmac(secret.as_bytes(), message),
        Signed::With(bytes) => bytes.to_vec(),
        Signed::Not => Vec::new(),
    };
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
