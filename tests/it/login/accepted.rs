//! A row for everything that an ID token may have or lack and still sign in.

use serde_json::json;

use super::harness::{CLIENT_ID, Login, rows, users};
use crate::support::provider::{
    ACCESS_TOKEN, EC_KEY, ED_KEY, Signed, Token, half_hash, header, key_set,
};
use crate::support::{Case, TestApp};

/// What changes a token, at a time in seconds.
type Change = fn(&mut Token, i64);

fn with(change: Change) -> Change {
    change
}

pub const CASES: &[Case] = rows![is_accepted;
    an_id_token_with_rs256_is_accepted => with(|token, _| assert_eq!(token.header, header())),
    an_id_token_with_rs384_is_accepted => with(|token, _| token.header["alg"] = "RS384".into()),
    an_id_token_with_rs512_is_accepted => with(|token, _| token.header["alg"] = "RS512".into()),
    an_id_token_with_ps256_is_accepted => with(|token, _| token.header["alg"] = "PS256".into()),
    an_id_token_with_es256_is_accepted =>
        with(|token, _| token.header = json!({ "alg": "ES256", "kid": EC_KEY })),
    an_id_token_with_eddsa_is_accepted =>
        with(|token, _| token.header = json!({ "alg": "EdDSA", "kid": ED_KEY })),
    an_id_token_without_typ_is_accepted =>
        with(|token, _| {
            token.header.as_object_mut().expect("a header").remove("typ");
        }),
    an_id_token_whose_key_in_the_header_is_ignored_is_accepted =>
        with(|token, _| {
            token.header["jwk"] = key_set(2).public_rsa();
            token.header["jku"] = "https://evil.example/keys".into();
            token.header["x5u"] = "https://evil.example/certificate".into();
        }),
    an_id_token_for_us_in_a_list_of_one_is_accepted =>
        with(|token, _| token.claims["aud"] = json!([CLIENT_ID])),
    an_id_token_for_several_issued_to_us_is_accepted =>
        with(|token, _| {
            token.claims["aud"] = json!(["another", CLIENT_ID]);
            token.claims["azp"] = CLIENT_ID.into();
        }),
    an_id_token_from_a_clock_that_is_a_minute_ahead_is_accepted =>
        with(|token, now| {
            token.claims["iat"] = (now + 60).into();
            token.claims["nbf"] = (now + 60).into();
        }),
    an_id_token_from_a_clock_that_is_a_minute_behind_is_accepted =>
        with(|token, now| token.claims["exp"] = (now - 60).into()),
    an_id_token_with_fractions_of_seconds_is_accepted =>
        with(|token, now| {
            token.claims["iat"] = json!(f64::from(i32::try_from(now).expect("a time")) - 0.5);
        }),
    an_id_token_with_the_hash_of_its_access_token_is_accepted =>
        with(|token, _| token.claims["at_hash"] = half_hash(ACCESS_TOKEN).into()),
    an_id_token_with_the_hash_of_its_code_is_accepted =>
        with(|token, _| token.claims["c_hash"] = half_hash("c").into()),
    an_id_token_with_a_subject_of_255_bytes_is_accepted =>
        with(|token, _| token.claims["sub"] = "x".repeat(255).into()),
    an_id_token_with_all_that_okta_adds_is_accepted =>
        with(|token, now| {
            token.claims["ver"] = 1.into();
            token.claims["jti"] = "ID.x".into();
            token.claims["amr"] = json!(["pwd", "mfa"]);
            token.claims["idp"] = "00o1".into();
            token.claims["auth_time"] = now.into();
            token.claims["email_verified"] = true.into();
            token.claims["updated_at"] = now.into();
            token.claims["locale"] = "en_US".into();
            token.claims["zoneinfo"] = "America/Los_Angeles".into();
        }),
    an_id_token_with_times_and_truths_as_text_is_accepted =>
        with(|token, _| {
            // As some providers write them.
            token.claims["updated_at"] = "2026-01-31T12:00:00.000Z".into();
            token.claims["email_verified"] = "true".into();
        }),
];

async fn is_accepted(app: TestApp, change: Change) {
    let login = Login::new(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    change(&mut token, app.clock.now() / 1_000_000);
    assert!(token.signed == Signed::Well);
    login.provider.gives(token);
    login.come_back(&begun).await.expect(303);
    assert_eq!(users(&app).await, 1);
}
