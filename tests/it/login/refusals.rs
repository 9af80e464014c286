//! A row for every check of an ID token: the token that fails just this check is refused, writes
//! nothing, and the same token without the break signs in.

use serde_json::{Value, json};

use super::harness::{CLIENT_ID, Login, STALE, is_refusal_saying, rows, written};
use crate::support::provider::{
    ACCESS_TOKEN, DISCOVERY, EC_KEY, Provider, SecretForm, Signed, Token, half_hash, key_set,
};
use crate::support::{Case, TestApp};

/// What makes a token wrong.
struct Row {
    status: u16,
    /// What the page says.
    reason: &'static str,
    spoil: fn(&mut Token, &At<'_>),
}

/// What a row may need.
struct At<'p> {
    provider: &'p Provider,
    /// In seconds.
    now: i64,
}

/// A token that is refused with this reason.
fn refused(reason: &'static str, spoil: fn(&mut Token, &At<'_>)) -> Row {
    Row { status: 403, reason, spoil }
}

/// What is no ID token at all: the provider cannot be used.
fn unreadable(spoil: fn(&mut Token, &At<'_>)) -> Row {
    Row { status: 502, reason: "cannot be used", spoil }
}

const NONCE: &str = "it is not the answer to this sign-in (nonce)";
const AUDIENCE: &str = "it is for another application (aud)";
const SEVERAL: &str = "it has several audiences and does not say to whom it was issued (azp)";
const PARTY: &str = "it was issued to another application (azp)";
const ISSUER: &str = "it is from another issuer (iss)";
const EXPIRED: &str = "it has expired (exp)";
const FUTURE: &str = "it was issued in the future (iat)";
const EARLY: &str = "it is not valid yet (nbf)";
const ALGORITHM: &str = "its signature algorithm is not allowed";
const SIGNATURE: &str = "its signature is wrong";
const KEY: &str = "it is signed with a key that the provider does not have";
const ELSEWHERE: &str = "its subject is not in the claim sub";
const SUBJECT: &str = "its subject is empty or too long";
const ACCESS: &str = "it belongs to another access token (at_hash)";
const CODE: &str = "it belongs to another code (c_hash)";
const NUL: &str = "it holds a NUL character";

fn remove(token: &mut Token, claim: &str) {
    token.claims.as_object_mut().expect("claims").remove(claim);
}

/// The claims as text, changed.
fn rewrite(token: &mut Token, change: impl FnOnce(String) -> String) {
    token.claims = Value::String(change(token.claims.to_string()));
}

pub const CASES: &[Case] = rows![is_refused;
    an_id_token_with_a_wrong_nonce_is_refused =>
        refused(NONCE, |token, _| token.claims["nonce"] = "another".into()),
    an_id_token_with_an_empty_nonce_is_refused =>
        refused(NONCE, |token, _| token.claims["nonce"] = "".into()),
    an_id_token_with_a_null_nonce_is_refused =>
        refused(NONCE, |token, _| token.claims["nonce"] = Value::Null),
    an_id_token_without_a_nonce_is_refused => refused(NONCE, |token, _| remove(token, "nonce")),
    an_id_token_whose_nonce_is_a_list_is_refused =>
        unreadable(|token, _| token.claims["nonce"] = json!([token.claims["nonce"]])),

    an_id_token_for_another_audience_is_refused =>
        refused(AUDIENCE, |token, _| token.claims["aud"] = "another".into()),
    an_id_token_for_an_audience_that_begins_like_ours_is_refused =>
        refused(AUDIENCE, |token, _| token.claims["aud"] = format!("{CLIENT_ID}2").into()),
    an_id_token_for_our_audience_in_capitals_is_refused =>
        refused(AUDIENCE, |token, _| token.claims["aud"] = CLIENT_ID.to_uppercase().into()),
    an_id_token_for_nobody_is_refused =>
        refused(AUDIENCE, |token, _| token.claims["aud"] = json!([])),
    an_id_token_without_an_audience_is_refused => refused(AUDIENCE, |token, _| remove(token, "aud")),
    an_id_token_whose_audience_is_a_number_is_refused =>
        unreadable(|token, _| token.claims["aud"] = 1.into()),
    an_id_token_for_several_audiences_without_azp_is_refused =>
        refused(SEVERAL, |token, _| token.claims["aud"] = json!([CLIENT_ID, "another"])),
    an_id_token_for_several_audiences_issued_to_another_is_refused =>
        refused(PARTY, |token, _| {
            token.claims["aud"] = json!([CLIENT_ID, "another"]);
            token.claims["azp"] = "another".into();
        }),
    an_id_token_for_us_alone_issued_to_another_is_refused =>
        refused(PARTY, |token, _| token.claims["azp"] = "another".into()),

    an_id_token_of_another_issuer_is_refused =>
        refused(ISSUER, |token, _| token.claims["iss"] = "https://evil.example".into()),
    an_id_token_whose_issuer_ends_in_a_slash_is_refused =>
        refused(ISSUER, |token, at| {
            token.claims["iss"] = format!("{}/", at.provider.issuer).into();
        }),
    an_id_token_whose_issuer_is_below_ours_is_refused =>
        refused(ISSUER, |token, at| {
            token.claims["iss"] = format!("{}/oauth2/default", at.provider.issuer).into();
        }),
    an_id_token_whose_issuer_has_another_scheme_is_refused =>
        refused(ISSUER, |token, at| {
            token.claims["iss"] = at.provider.issuer.replace("http:", "https:").into();
        }),
    an_id_token_whose_issuer_has_a_user_name_is_refused =>
        refused(ISSUER, |token, at| {
            token.claims["iss"] = at.provider.issuer.replace("//", "//evil@").into();
        }),
    an_id_token_without_an_issuer_is_refused => unreadable(|token, _| remove(token, "iss")),

    an_expired_id_token_is_refused =>
        refused(EXPIRED, |token, at| token.claims["exp"] = (at.now - 600).into()),
    an_id_token_that_expired_before_what_clocks_may_differ_is_refused =>
        refused(EXPIRED, |token, at| token.claims["exp"] = (at.now - 121).into()),
    an_id_token_that_expired_in_the_beginning_is_refused =>
        refused(EXPIRED, |token, _| token.claims["exp"] = 0.into()),
    an_id_token_that_expired_before_the_beginning_is_refused =>
        refused(EXPIRED, |token, _| token.claims["exp"] = (-1).into()),
    an_id_token_without_an_expiry_is_refused => unreadable(|token, _| remove(token, "exp")),
    an_id_token_whose_expiry_is_beyond_all_time_is_refused =>
        unreadable(|token, _| token.claims["exp"] = json!(1e300)),
    an_id_token_whose_expiry_is_a_list_is_refused =>
        unreadable(|token, _| token.claims["exp"] = json!([token.claims["exp"]])),
    an_id_token_issued_in_the_future_is_refused =>
        refused(FUTURE, |token, at| token.claims["iat"] = (at.now + 600).into()),
    an_id_token_without_a_time_of_issue_is_refused => unreadable(|token, _| remove(token, "iat")),
    an_id_token_that_is_not_valid_yet_is_refused =>
        refused(EARLY, |token, at| token.claims["nbf"] = (at.now + 600).into()),
    an_id_token_whose_nbf_is_text_is_refused =>
        refused("its nbf is not a number", |token, _| token.claims["nbf"] = "soon".into()),

    an_id_token_with_alg_none_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header = json!({ "alg": "none" });
            token.signed = Signed::Not;
        }),
    an_id_token_with_alg_none_and_a_kid_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "none".into();
            token.signed = Signed::Not;
        }),
    an_id_token_with_alg_none_and_a_good_signature_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "none".into();
            token.signed = Signed::As("RS256");
        }),
    an_id_token_with_alg_none_and_some_signature_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "none".into();
            token.signed = Signed::With(b"x");
        }),
    an_id_token_with_alg_none_in_mixed_case_is_refused =>
        unreadable(|token, _| {
            token.header["alg"] = "nOnE".into();
            token.signed = Signed::Not;
        }),
    an_id_token_with_an_empty_alg_is_refused =>
        unreadable(|token, _| {
            token.header["alg"] = "".into();
            token.signed = Signed::Not;
        }),
    an_id_token_without_an_alg_is_refused =>
        unreadable(|token, _| {
            token.header.as_object_mut().expect("a header").remove("alg");
        }),
    an_id_token_with_hs256_and_the_public_key_as_pem_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "HS256".into();
            token.signed = Signed::ByPublicKey(SecretForm::Pem);
        }),
    an_id_token_with_hs256_and_the_public_key_as_der_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "HS256".into();
            token.signed = Signed::ByPublicKey(SecretForm::Der);
        }),
    an_id_token_with_hs256_and_the_modulus_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "HS256".into();
            token.signed = Signed::ByPublicKey(SecretForm::Modulus);
        }),
    an_id_token_with_hs256_and_the_jwk_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header["alg"] = "HS256".into();
            token.signed = Signed::ByPublicKey(SecretForm::Jwk);
        }),
    an_id_token_with_hs256_and_our_client_id_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header = json!({ "alg": "HS256" });
            token.signed = Signed::BySecret(CLIENT_ID);
        }),
    an_id_token_with_hs256_and_an_empty_secret_is_refused =>
        refused(ALGORITHM, |token, _| {
            token.header = json!({ "alg": "HS256" });
            token.signed = Signed::BySecret("");
        }),
    an_id_token_signed_by_rsa_that_says_es256_is_refused =>
        refused(KEY, |token, _| {
            token.header["alg"] = "ES256".into();
            token.signed = Signed::As("RS256");
        }),
    an_id_token_signed_by_ecdsa_that_says_rs256_is_refused =>
        refused(KEY, |token, _| {
            token.header["kid"] = EC_KEY.into();
            token.signed = Signed::As("ES256");
        }),
    an_id_token_signed_with_another_hash_than_it_says_is_refused =>
        refused(SIGNATURE, |token, _| token.signed = Signed::As("RS512")),
    an_id_token_with_an_algorithm_that_nobody_knows_is_refused =>
        unreadable(|token, _| token.header["alg"] = "XX256".into()),
    an_id_token_with_a_critical_header_is_refused =>
        refused("a check failed", |token, _| {
            token.header["crit"] = json!(["exp"]);
            token.header["exp"] = 1.into();
        }),

    an_id_token_with_an_unknown_kid_is_refused =>
        refused(KEY, |token, _| token.header["kid"] = "unknown".into()),
    an_id_token_with_a_kid_that_is_a_path_is_refused =>
        refused(KEY, |token, _| token.header["kid"] = "../../../dev/null".into()),
    an_id_token_with_a_kid_that_is_sql_is_refused =>
        refused(KEY, |token, _| token.header["kid"] = "key-1' OR '1'='1".into()),
    an_id_token_with_a_kid_that_is_a_number_is_refused =>
        unreadable(|token, _| token.header["kid"] = 1.into()),
    an_id_token_with_a_bad_signature_is_refused =>
        refused(SIGNATURE, |token, _| token.signed = Signed::Falsely),
    an_id_token_without_a_signature_is_refused =>
        refused(SIGNATURE, |token, _| token.signed = Signed::Not),
    an_id_token_with_a_signature_of_zeros_is_refused =>
        refused(SIGNATURE, |token, _| token.signed = Signed::With(&[0; 256])),
    an_id_token_with_a_short_signature_is_refused =>
        refused(SIGNATURE, |token, _| token.signed = Signed::With(&[1; 128])),
    an_id_token_with_an_ecdsa_signature_of_zeros_is_refused =>
        refused(SIGNATURE, |token, _| {
            token.header = json!({ "alg": "ES256", "kid": EC_KEY });
            token.signed = Signed::With(&[0; 64]);
        }),
    an_id_token_with_a_bad_ecdsa_signature_is_refused =>
        refused(SIGNATURE, |token, _| {
            token.header = json!({ "alg": "ES256", "kid": EC_KEY });
            token.signed = Signed::Falsely;
        }),
    an_id_token_that_brings_its_key_is_refused =>
        refused(SIGNATURE, |token, _| {
            token.header["jwk"] = key_set(2).public_rsa();
            token.signed = Signed::Falsely;
        }),
    an_id_token_that_brings_its_key_and_names_it_is_refused =>
        refused(KEY, |token, _| {
            let mut key = key_set(2).public_rsa();
            key["kid"] = "its-own".into();
            token.header = json!({ "alg": "RS256", "kid": "its-own", "jwk": key });
            token.signed = Signed::Falsely;
        }),
    an_id_token_that_says_where_its_key_is_is_refused =>
        refused(SIGNATURE, |token, at| {
            token.header["jku"] = format!("{}/elsewhere", at.provider.issuer).into();
            token.signed = Signed::Falsely;
        }),
    an_id_token_that_says_where_its_certificate_is_is_refused =>
        refused(SIGNATURE, |token, at| {
            token.header["x5u"] = format!("{}/elsewhere", at.provider.issuer).into();
            token.header["x5c"] = json!(["MIIB"]);
            token.signed = Signed::Falsely;
        }),

    an_id_token_without_a_subject_is_refused => unreadable(|token, _| remove(token, "sub")),
    an_id_token_with_an_empty_subject_is_refused =>
        refused(SUBJECT, |token, _| token.claims["sub"] = "".into()),
    an_id_token_with_a_subject_of_256_bytes_is_refused =>
        refused(SUBJECT, |token, _| token.claims["sub"] = "x".repeat(256).into()),
    an_id_token_with_a_subject_of_256_bytes_in_fewer_letters_is_refused =>
        refused(SUBJECT, |token, _| token.claims["sub"] = "é".repeat(128).into()),
    an_id_token_whose_subject_is_a_number_is_refused =>
        unreadable(|token, _| token.claims["sub"] = 1.into()),
    an_id_token_whose_subject_is_null_is_refused =>
        unreadable(|token, _| token.claims["sub"] = Value::Null),
    an_id_token_whose_subject_is_in_a_language_is_refused =>
        refused(ELSEWHERE, |token, _| {
            remove(token, "sub");
            token.claims["sub#"] = "00uann".into();
        }),
    an_id_token_whose_subject_holds_nul_is_refused =>
        refused(NUL, |token, _| token.claims["sub"] = "00u\0ann".into()),
    an_id_token_whose_user_name_holds_nul_is_refused =>
        refused(NUL, |token, _| token.claims["preferred_username"] = "ann\0".into()),
    an_id_token_with_nul_in_a_group_is_refused =>
        refused(NUL, |token, _| token.claims["groups"] = json!(["Staff", "A\0B"])),
    an_id_token_with_nul_in_the_name_of_a_claim_is_refused =>
        refused(NUL, |token, _| token.claims["a\0b"] = json!({ "c": [] })),
    an_id_token_with_nul_deep_in_a_claim_is_refused =>
        refused(NUL, |token, _| token.claims["addresses"] = json!([{ "street": ["\0"] }])),
    an_id_token_with_two_subjects_is_refused =>
        unreadable(|token, _| rewrite(token, |text| text.replacen('{', "{\"sub\":\"00ueve\",", 1))),
    an_id_token_with_two_nonces_is_refused =>
        unreadable(|token, _| rewrite(token, |text| text.replacen('{', "{\"nonce\":\"x\",", 1))),

    an_id_token_whose_user_name_is_a_list_is_refused =>
        unreadable(|token, _| token.claims["preferred_username"] = json!(["ann@example.com"])),
    an_id_token_that_came_with_another_access_token_is_refused =>
        refused(ACCESS, |token, at| {
            token.claims["at_hash"] = half_hash(ACCESS_TOKEN).into();
            at.provider.gives_access_token("a-swapped-access-token");
        }),
    an_id_token_with_a_wrong_at_hash_is_refused =>
        refused(ACCESS, |token, _| token.claims["at_hash"] = "AAAAAAAAAAAAAAAAAAAAAA".into()),
    an_id_token_with_an_empty_at_hash_is_refused =>
        refused(ACCESS, |token, _| token.claims["at_hash"] = "".into()),
    an_id_token_that_came_with_another_code_is_refused =>
        refused(CODE, |token, _| token.claims["c_hash"] = half_hash("another code").into()),

    an_id_token_whose_claims_are_no_json_is_refused =>
        unreadable(|token, _| token.claims = "claims".into()),
    an_id_token_whose_claims_are_a_list_is_refused =>
        unreadable(|token, _| token.claims = json!([token.claims])),
    an_id_token_whose_claims_end_in_the_middle_is_refused =>
        unreadable(|token, _| rewrite(token, |text| text[..text.len() - 5].to_owned())),
    an_id_token_whose_claims_nest_deeply_is_refused =>
        unreadable(|token, _| {
            let deep = format!("{{\"deep\":{}{},", "[".repeat(10_000), "]".repeat(10_000));
            rewrite(token, |text| text.replacen('{', &deep, 1));
        }),
    an_id_token_whose_header_is_no_json_is_refused =>
        unreadable(|token, _| token.header = "header".into()),
];

async fn is_refused(app: TestApp, row: Row) {
    let login = Login::new(&app).await;
    let before = written(&app).await;
    let begun = login.begin(&login.code_request()).await;
    let mut token = login.token(&app, &begun);
    let at = At { provider: &login.provider, now: app.clock.now() / 1_000_000 };
    (row.spoil)(&mut token, &at);
    login.provider.gives(token);
    is_refusal_saying(&login.come_back(&begun).await, row.status, row.reason);
    assert_eq!(written(&app).await, before);
    // What a token says of keys elsewhere is nothing that anybody looks at.
    assert_eq!(login.provider.asked("/elsewhere"), 0);
    assert_eq!(login.provider.asked(DISCOVERY), 1);
    // The answer is used up, whatever it was.
    login.provider.gives_access_token(ACCESS_TOKEN);
    login.provider.gives(login.token(&app, &begun));
    is_refusal_saying(&login.come_back(&begun).await, 400, STALE);
    // Without the break the same person signs in.
    login.does_sign_in(&app).await;
}
