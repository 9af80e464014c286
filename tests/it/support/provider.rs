//! An OpenID provider of the tests' own, which can be told to misbehave.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::{App, HttpResponse, HttpServer, web};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use serde_json::{Value, json};

/// How an ID token is written.
#[derive(Clone)]
pub struct Token {
    pub header: Value,
    pub claims: Value,
    pub signed: Signed,
}

/// By what an ID token is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The provider's key.
    Well,
    /// Another key under the same name.
    Falsely,
    Not,
}

#[derive(Default)]
struct Script {
    /// The token of the next answer.
    token: Option<Token>,
    /// The tokens of codes that were given out.
    by_code: HashMap<String, Token>,
    userinfo: Option<Value>,
    /// Parameters of the last request at the token endpoint.
    last_request: String,
    /// What the token endpoint answers instead.
    refusal: Option<(u16, String)>,
}

/// The provider.
pub struct Provider {
    pub issuer: String,
    key: Arc<CoreEdDsaPrivateSigningKey>,
    forger: Arc<CoreEdDsaPrivateSigningKey>,
    script: Arc<Mutex<Script>>,
    /// How often the keys were fetched.
    pub key_fetches: Arc<AtomicUsize>,
}

const KEY_ID: &str = "key-1";

fn new_key() -> CoreEdDsaPrivateSigningKey {
    let seed: [u8; 32] = rand::random();
    // PKCS #8 of an Ed25519 key (RFC 8410 section 7).
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend_from_slice(&seed);
    let kind = "PRIVATE KEY";
    let pem = format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(KEY_ID.to_owned())))
        .expect("a key")
}

impl Provider {
    /// Starts a provider on a free port of this machine.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let key = Arc::new(new_key());
        let script: Arc<Mutex<Script>> = Arc::default();
        let key_fetches = Arc::new(AtomicUsize::new(0));
        let provider = Self {
            issuer: issuer.clone(),
            key: key.clone(),
            forger: Arc::new(new_key()),
            script: script.clone(),
            key_fetches: key_fetches.clone(),
        };
        let keys = json!({ "keys": [key.as_verification_key()] });
        let signers = (provider.key.clone(), provider.forger.clone());
        let server = HttpServer::new(move || {
            let (discovery, keys, fetches) =
                (discovery(&issuer), keys.clone(), key_fetches.clone());
            let (answers, people, signers) = (script.clone(), script.clone(), signers.clone());
            App::new()
                .route(
                    "/.well-known/openid-configuration",
                    web::get()
                        .to(move || std::future::ready(HttpResponse::Ok().json(discovery.clone()))),
                )
                .route(
                    "/keys",
                    web::get().to(move || {
                        fetches.fetch_add(1, Ordering::SeqCst);
                        std::future::ready(HttpResponse::Ok().json(keys.clone()))
                    }),
                )
                .route(
                    "/token",
                    web::post().to(move |body: String| {
                        std::future::ready(token_answer(&answers, &signers, body))
                    }),
                )
                .route(
                    "/userinfo",
                    web::get().to(move || {
                        let script = people.lock().unwrap_or_else(PoisonError::into_inner);
                        std::future::ready(match &script.userinfo {
                            Some(claims) => HttpResponse::Ok().json(claims),
                            None => HttpResponse::NotFound().finish(),
                        })
                    }),
                )
        });
        let server = server.workers(1).disable_signals().listen(listener).expect("a server");
        actix_web::rt::spawn(server.run());
        provider
    }

    /// The token that the next exchange gives.
    pub fn gives(&self, token: Token) {
        self.lock().token = Some(token);
    }

    /// The token that a code is exchanged for, once.
    pub fn gives_for(&self, code: &str, token: Token) {
        self.lock().by_code.insert(code.to_owned(), token);
    }

    /// What userinfo says.
    pub fn says(&self, claims: Value) {
        self.lock().userinfo = Some(claims);
    }

    /// What the token endpoint answers instead of a token.
    pub fn refuses(&self, status: u16, body: &str) {
        self.lock().refusal = Some((status, body.to_owned()));
    }

    /// The last body that the token endpoint was sent.
    pub fn last_request(&self) -> String {
        self.lock().last_request.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A header that the provider's key fits.
pub fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": KEY_ID, "typ": "JWT" })
}

fn discovery(issuer: &str) -> Value {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
        "scopes_supported": ["openid", "profile", "email", "groups"],
    })
}

fn token_answer(
    script: &Mutex<Script>,
    (key, forger): &(Arc<CoreEdDsaPrivateSigningKey>, Arc<CoreEdDsaPrivateSigningKey>),
    body: String,
) -> HttpResponse {
    let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
    script.last_request = body;
    if let Some((status, text)) = &script.refusal {
        let status = actix_web::http::StatusCode::from_u16(*status).expect("a status");
        return HttpResponse::build(status).content_type("application/json").body(text.clone());
    }
    let code = url::form_urlencoded::parse(script.last_request.as_bytes())
        .find(|(name, _)| name == "code")
        .map(|(_, value)| value.into_owned());
    let by_code = code.and_then(|code| script.by_code.remove(&code));
    let Some(token) = by_code.or_else(|| script.token.take()) else {
        return HttpResponse::BadRequest().json(json!({ "error": "invalid_grant" }));
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&token.header), part(&token.claims));
    let sign = |key: &CoreEdDsaPrivateSigningKey| {
        let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes());
        URL_SAFE_NO_PAD.encode(signature.expect("a signature"))
    };
    let signature = match token.signed {
        Signed::Well => sign(key),
        Signed::Falsely => sign(forger),
        Signed::Not => String::new(),
    };
    HttpResponse::Ok().json(json!({
        "access_token": "provider-access-token",
        "token_type": "Bearer",
        "expires_in": 3600,
        "id_token": format!("{signed}.{signature}"),
    }))
}
