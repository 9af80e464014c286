//! The keys of a provider: which one a token may be signed with, and how often they are asked for.

use std::sync::atomic::Ordering;

use futures_util::future::join_all;
use muster::oidc::{Answer, Asked, OidcError, Providers, Registration, Secret};
use serde_json::{Value, json};

use super::harness::{CLIENT_ID, Login, is_refusal, is_refusal_saying, rows, users, written};
use crate::support::provider::{
    DISCOVERY, EC_KEY, Instead, KEYS, KeySet, Provider, RSA_KEY, Signed, Token, header, key_set,
};
use crate::support::{Case, TestApp, cases, pure_cases};

/// A key set and a header: the published keys, which header the token has, and why it is refused.
struct Row {
    published: fn(&KeySet) -> Vec<Value>,
    header: Value,
    refused: Option<&'static str>,
}

fn accepted(header: Value, published: fn(&KeySet) -> Vec<Value>) -> Row {
    Row { published, header, refused: None }
}

fn refused(reason: &'static str, header: Value, published: fn(&KeySet) -> Vec<Value>) -> Row {
    Row { published, header, refused: Some(reason) }
}

const KEY: &str = "it is signed with a key that the provider does not have";
const AMBIGUOUS: &str = "it does not say which of several keys it is signed with (kid)";

/// The RSA key, changed.
fn rsa(keys: &KeySet, name: &str, value: &str) -> Value {
    let mut key = keys.public_rsa();
    key[name] = value.into();
    key
}

/// A key that nothing is signed with, under another name.
fn another(name: &str) -> Value {
    rsa(&key_set(2), "kid", name)
}

fn without_kid() -> Value {
    json!({ "alg": "RS256" })
}

pub fn cases() -> Vec<Case> {
    let rows: &[Case] = rows![is_so;
        a_token_without_kid_is_accepted_where_there_is_one_key =>
            accepted(without_kid(), |keys| vec![keys.public_rsa()]),
        a_token_without_kid_is_accepted_where_one_key_is_of_its_kind =>
            accepted(without_kid(), KeySet::public),
        a_token_without_kid_is_accepted_where_the_other_key_is_for_encryption =>
            accepted(without_kid(), |keys| {
                let mut other = another("key-2");
                other["use"] = "enc".into();
                vec![other, keys.public_rsa()]
            }),
        a_token_without_kid_is_accepted_where_the_only_key_has_no_name =>
            accepted(without_kid(), |keys| {
                let mut key = keys.public_rsa();
                key.as_object_mut().expect("a key").remove("kid");
                vec![key]
            }),
        a_token_without_kid_is_refused_where_several_keys_fit =>
            refused(AMBIGUOUS, without_kid(), |keys| vec![keys.public_rsa(), another("key-2")]),
        a_token_without_kid_is_refused_where_no_key_is_of_its_kind =>
            refused(KEY, without_kid(), |keys| vec![keys.public_ec()]),
        a_token_is_refused_where_two_keys_have_its_kid =>
            refused(AMBIGUOUS, header(), |keys| vec![another(RSA_KEY), keys.public_rsa()]),
        a_token_is_refused_where_no_key_has_a_name =>
            refused(KEY, header(), |keys| {
                let mut key = keys.public_rsa();
                key.as_object_mut().expect("a key").remove("kid");
                vec![key]
            }),
        a_token_is_refused_where_there_are_no_keys => refused(KEY, header(), |_| Vec::new()),
        a_key_for_encryption_does_not_sign =>
            refused(KEY, header(), |keys| vec![rsa(keys, "use", "enc")]),
        a_key_for_another_algorithm_does_not_sign =>
            refused(KEY, header(), |keys| vec![rsa(keys, "alg", "RS512")]),
        a_key_for_the_algorithm_signs =>
            accepted(header(), |keys| vec![rsa(keys, "alg", "RS256")]),
        a_key_of_another_kind_under_the_same_name_does_not_sign =>
            refused(KEY, json!({ "alg": "ES256", "kid": EC_KEY }), |keys| {
                vec![rsa(keys, "kid", EC_KEY)]
            }),
        a_shared_secret_among_the_keys_does_not_sign =>
            refused(
                "its signature algorithm is not allowed",
                json!({ "alg": "HS256", "kid": "shared" }),
                |keys| {
                    let shared = json!({ "kty": "oct", "kid": "shared", "k": "c2VjcmV0" });
                    vec![keys.public_rsa(), shared]
                },
            ),
        keys_that_nobody_can_read_do_not_hide_the_others =>
            accepted(header(), |keys| {
                vec![
                    json!({ "kty": "XYZ", "kid": "new" }),
                    json!({ "kty": "EC", "crv": "P-9999", "kid": "curve", "x": "", "y": "" }),
                    json!({ "kty": "RSA", "kid": "no-modulus" }),
                    keys.public_rsa(),
                ]
            }),
        thousands_of_keys_are_read =>
            accepted(header(), |keys| {
                let many = (0..3000).map(|number| {
                    let mut key = key_set(2).public_ec();
                    key["kid"] = format!("key-of-many-{number}").into();
                    key
                });
                many.chain([keys.public_rsa()]).collect()
            }),
    ];
    let others: &[Case] = cases![
        a_new_key_is_found_in_the_middle_of_a_sign_in,
        a_key_that_is_gone_does_not_sign_any_more,
        keys_that_cannot_be_renewed_leave_the_old_ones_working,
        a_provider_that_is_away_for_hours_leaves_the_old_keys_working,
        forged_key_ids_cause_one_fetch_a_minute,
    ];
    let alone: &[Case] = pure_cases![
        a_thousand_forged_key_ids_cause_one_fetch,
        those_who_wait_for_a_provider_wait_for_one_fetch,
    ];
    [rows, others, alone].concat()
}

async fn is_so(app: TestApp, row: Row) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    login.provider.publishes((row.published)(login.provider.keys()));
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    token.header = row.header;
    login.provider.gives(token);
    let answer = login.come_back(&begun).await;
    let Some(reason) = row.refused else {
        answer.expect(303);
        return;
    };
    is_refusal_saying(&answer, 403, reason);
    assert_eq!(written(&app).await, before);
    // With the provider's usual keys, which are found in a minute, the same person signs in.
    login.provider.publishes(login.provider.keys().public());
    app.clock.advance(3601);
    login.does_sign_in(&app).await;
}

/// The token, signed by the provider's next key.
fn by_the_next_key(mut token: Token) -> Token {
    token.header["kid"] = "key-2".into();
    token.signed = Signed::Falsely;
    token
}

async fn a_new_key_is_found_in_the_middle_of_a_sign_in(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.publishes(vec![another("key-2"), login.provider.keys().public_rsa()]);
    login.provider.gives(by_the_next_key(login.token(&app, &begun)));
    let before = login.provider.key_fetches.load(Ordering::SeqCst);
    login.come_back(&begun).await.expect(303);
    assert_eq!(login.provider.key_fetches.load(Ordering::SeqCst), before + 1);
    // Both keys are known now.
    login.does_sign_in(&app).await;
    assert_eq!(login.provider.key_fetches.load(Ordering::SeqCst), before + 1);
}

async fn a_key_that_is_gone_does_not_sign_any_more(app: TestApp) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    login.provider.publishes(vec![another("key-2")]);
    login.provider.gives(by_the_next_key(login.token(&app, &begun)));
    login.come_back(&begun).await.expect(303);
    let begun = login.begin(&login.code_request()).await;
    login.provider.gives(login.token(&app, &begun));
    is_refusal_saying(&login.come_back(&begun).await, 403, KEY);
}

async fn keys_that_cannot_be_renewed_leave_the_old_ones_working(app: TestApp) {
    let login = Login::new(&app).await;
    login.does_sign_in(&app).await;
    for instead in [
        Instead::status(500),
        Instead::Body(200, "text/html", "<p>moved</p>".to_owned()),
        Instead::Body(200, "application/json", "{\"keys\":".to_owned()),
        Instead::Body(200, "application/json", "x".repeat(2 * 1024 * 1024)),
        Instead::Elsewhere("/elsewhere"),
    ] {
        login.provider.answers(KEYS, instead);
        app.clock.advance(61);
        let begun = login.begin(&login.code_request()).await;
        login.provider.gives(by_the_next_key(login.token(&app, &begun)));
        is_refusal(&login.come_back(&begun).await, 502, "keys that cannot be read");
        login.does_sign_in(&app).await;
    }
    assert_eq!(login.provider.asked("/elsewhere"), 0);
}

async fn a_provider_that_is_away_for_hours_leaves_the_old_keys_working(app: TestApp) {
    let login = Login::new(&app).await;
    login.does_sign_in(&app).await;
    login.provider.answers(DISCOVERY, Instead::status(503));
    login.provider.answers(KEYS, Instead::status(503));
    let before = login.provider.asked(DISCOVERY);
    app.clock.advance(3 * 3600);
    login.does_sign_in(&app).await;
    login.does_sign_in(&app).await;
    assert_eq!(login.provider.asked(DISCOVERY), before + 1, "it is asked once a minute");
}

async fn forged_key_ids_cause_one_fetch_a_minute(app: TestApp) {
    let login = Login::new(&app).await;
    let forge = async |number: usize| {
        let begun = login.begin(&login.code_request()).await;
        let mut token = login.token(&app, &begun);
        token.header["kid"] = format!("forged-{number}").into();
        token.signed = Signed::Not;
        login.provider.gives(token);
        is_refusal_saying(&login.come_back(&begun).await, 403, KEY);
    };
    login.begin(&login.code_request()).await;
    let before = login.provider.key_fetches.load(Ordering::SeqCst);
    for number in 0..20 {
        forge(number).await;
    }
    assert_eq!(login.provider.key_fetches.load(Ordering::SeqCst), before + 1);
    app.clock.advance(61);
    forge(20).await;
    forge(21).await;
    assert_eq!(login.provider.key_fetches.load(Ordering::SeqCst), before + 2);
    // The provider's own name for the key is still good.
    login.does_sign_in(&app).await;
    assert_eq!(users(&app).await, 1);
}

/// Runs a test that needs no store and no server of ours.
pub fn alone(test: impl Future<Output = ()>) {
    actix_web::rt::System::new().block_on(test);
}

/// Muster at the provider, without a server around it.
pub fn registration(provider: &Provider) -> Registration {
    Registration {
        issuer: provider.issuer.clone(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: None,
        redirect_uri: "http://127.0.0.1/login/callback".to_owned(),
    }
}

fn a_thousand_forged_key_ids_cause_one_fetch() {
    alone(async {
        let provider = Provider::start();
        let (providers, registration) =
            (Providers::new().expect("providers"), registration(&provider));
        let now = muster::clock::system()();
        let started =
            providers.start(&registration, &Asked::default(), now).await.expect("a start");
        let before = provider.key_fetches.load(Ordering::SeqCst);
        let claims = json!({
            "iss": provider.issuer,
            "sub": "00uann",
            "aud": CLIENT_ID,
            "iat": now / 1_000_000,
            "exp": now / 1_000_000 + 3600,
            "nonce": started.nonce.expose(),
        });
        for number in 0..1000 {
            let header = json!({ "alg": "RS256", "kid": format!("forged-{number}") });
            let token = Token { header, claims: claims.clone(), signed: Signed::Not };
            provider.gives_for(&format!("code-{number}"), token);
        }
        let unknown = |found: &Result<_, OidcError>| matches!(found, Err(OidcError::InvalidToken(reason)) if *reason == KEY);
        let numbers: Vec<usize> = (0..1000).collect();
        // A few at a time, so that many are at the same point at once.
        for some in numbers.chunks(50) {
            let forged = some.iter().map(|number| {
                let answer = Answer {
                    code: Secret::new(format!("code-{number}")),
                    issuer: None,
                    nonce: started.nonce.clone(),
                    pkce_verifier: started.pkce_verifier.clone(),
                };
                let (providers, registration) = (&providers, &registration);
                async move { providers.finish(registration, &answer, now).await }
            });
            let found = join_all(forged).await;
            assert!(found.iter().all(unknown), "{found:?}");
        }
        assert_eq!(provider.key_fetches.load(Ordering::SeqCst), before + 1);
        assert_eq!(provider.asked(DISCOVERY), 1);
    });
}

fn those_who_wait_for_a_provider_wait_for_one_fetch() {
    alone(async {
        let provider = Provider::start();
        let (providers, registration) =
            (Providers::new().expect("providers"), registration(&provider));
        let now = muster::clock::system()();
        let asked = Asked::default();
        let starts = (0..200).map(|_| providers.start(&registration, &asked, now));
        assert!(join_all(starts).await.iter().all(Result::is_ok));
        assert_eq!(provider.asked(DISCOVERY), 1);
        assert_eq!(provider.key_fetches.load(Ordering::SeqCst), 1);
        // One that is not there is asked once, too, and all fail together.
        let (providers, gone) = (Providers::new().expect("providers"), Provider::start());
        gone.answers(DISCOVERY, Instead::status(503));
        let registration = self::registration(&gone);
        let starts = (0..200).map(|_| providers.start(&registration, &asked, now));
        assert!(join_all(starts).await.iter().all(Result::is_err));
        assert_eq!(gone.asked(DISCOVERY), 1);
    });
}
