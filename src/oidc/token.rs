//! The ID token's checks (OpenID Connect Core section 3.1.3.7).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm,
};
use openidconnect::{
    AccessToken, AccessTokenHash, AuthorizationCode, AuthorizationCodeHash,
    ClaimsVerificationError, ClientId, Nonce, SignatureVerificationError,
};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::providers::Metadata;
use super::{OidcError, Registration, VerifiedIdentity};

/// How far the provider's clock may be from ours: what Okta's own libraries allow.
const LEEWAY: TimeDelta = TimeDelta::minutes(2);
/// The longest subject (OpenID Connect Core section 2), in bytes.
const MAX_SUBJECT: usize = 255;

/// What the provider gave for a code, and what it was asked with.
pub struct Received<'a> {
    pub token: &'a CoreIdToken,
    pub access_token: &'a AccessToken,
    pub code: AuthorizationCode,
    pub nonce: Nonce,
}

/// Why a token is not accepted for now.
#[derive(Debug)]
pub enum Rejected {
    /// It names a key that is not known; the provider may have a new one.
    UnknownKey,
    /// For good.
    Invalid(OidcError),
}

fn invalid(what: &'static str) -> Rejected {
    Rejected::Invalid(OidcError::InvalidToken(what))
}

/// Checks the token and gives who it is about.
///
/// # Errors
/// The check that it did not stand.
pub fn verify(
    received: &Received<'_>,
    metadata: &Metadata,
    registration: &Registration,
    now: DateTime<Utc>,
) -> Result<VerifiedIdentity, Rejected> {
    let token = received.token;
    let client_id = ClientId::new(registration.client_id.clone());
    // The list is ours, not the token's: `none` and keys shared with the client are not on it.
    let verifier = CoreIdTokenVerifier::new_public_client(
        client_id,
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_allowed_algs([
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
        CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
        CoreJwsSigningAlgorithm::RsaSsaPssSha256,
        CoreJwsSigningAlgorithm::RsaSsaPssSha384,
        CoreJwsSigningAlgorithm::RsaSsaPssSha512,
        CoreJwsSigningAlgorithm::EcdsaP256Sha256,
        CoreJwsSigningAlgorithm::EcdsaP384Sha384,
        CoreJwsSigningAlgorithm::EdDsa,
    ])
    // Further audiences are trusted if the provider says, by `azp`, that the token is for us.
    .set_other_audience_verifier_fn(|_| true)
    .set_time_fn(move || now - LEEWAY)
    .set_issue_time_verifier_fn(move |issued_at| {
        if issued_at > now + LEEWAY { Err("issued in the future".to_owned()) } else { Ok(()) }
    });
    let claims = token.claims(&verifier, &received.nonce).map_err(rejected)?;
    let azp = claims.authorized_party().map(|party| party.as_str());
    if azp.is_some_and(|azp| azp != registration.client_id) {
        return Err(invalid("it was issued to another application (azp)"));
    }
    if claims.audiences().len() > 1 && azp.is_none() {
        return Err(invalid(
            "it has several audiences and does not say to whom it was issued (azp)",
        ));
    }
    let subject = claims.subject().as_str();
    if subject.is_empty() || subject.len() > MAX_SUBJECT {
        return Err(invalid("its subject is empty or too long"));
    }
    check_hashes(received, claims, &verifier)?;
    let payload = payload(&token.to_string()).ok_or_else(|| invalid("it cannot be read"))?;
    if holds_nul(&payload) {
        return Err(invalid("it holds a NUL character"));
    }
    // The library takes `sub#` for `sub`, as if a subject could be in a language.
    if payload.get("sub").and_then(Value::as_str) != Some(subject) {
        return Err(invalid("its subject is not in the claim sub"));
    }
    if let Some(not_before) = payload.get("nbf") {
        let not_before = not_before.as_f64().ok_or_else(|| invalid("its nbf is not a number"))?;
        #[expect(clippy::cast_precision_loss, reason = "seconds fit a double exactly")]
        if not_before > (now + LEEWAY).timestamp() as f64 {
            return Err(invalid("it is not valid yet (nbf)"));
        }
    }
    Ok(VerifiedIdentity {
        issuer: claims.issuer().to_string(),
        subject: subject.to_owned(),
        issued_at: claims.issue_time().timestamp_micros(),
        claims: payload,
    })
}

/// The access token and the code that the token came with are those that it names (OpenID Connect
/// Core sections 3.1.3.6 and 3.3.2.11).
fn check_hashes(
    received: &Received<'_>,
    claims: &CoreIdTokenClaims,
    verifier: &CoreIdTokenVerifier<'_>,
) -> Result<(), Rejected> {
    let (access, code) = (claims.access_token_hash(), claims.code_hash());
    if access.is_none() && code.is_none() {
        return Ok(());
    }
    let algorithm = received.token.signing_alg().map_err(|_| invalid("its algorithm"))?;
    let key = received.token.signing_key(verifier).map_err(|_| invalid("its key"))?;
    if let Some(expected) = access {
        let found = AccessTokenHash::from_token(received.access_token, algorithm, key)
            .map_err(|_| invalid("its at_hash cannot be computed"))?;
        if !equal(found.as_str(), expected.as_str()) {
            return Err(invalid("it belongs to another access token (at_hash)"));
        }
    }
    if let Some(expected) = code {
        let found = AuthorizationCodeHash::from_code(&received.code, algorithm, key)
            .map_err(|_| invalid("its c_hash cannot be computed"))?;
        if !equal(found.as_str(), expected.as_str()) {
            return Err(invalid("it belongs to another code (c_hash)"));
        }
    }
    Ok(())
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
fn equal(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Whether there is a NUL character anywhere: no name holds one, and not every database takes it.
pub(super) fn holds_nul(claims: &Map<String, Value>) -> bool {
    // The parser bounds how deep values nest.
    fn in_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(values) => values.iter().any(in_value),
            Value::Object(members) => holds_nul(members),
            _ => false,
        }
    }
    claims.iter().any(|(name, value)| name.contains('\0') || in_value(value))
}

/// The claims as they were sent; only for a token that has been verified.
fn payload(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn rejected(error: ClaimsVerificationError) -> Rejected {
    invalid(match error {
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        ) => return Rejected::UnknownKey,
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::UnsupportedAlg(_)
            | SignatureVerificationError::NoSignature,
        ) => "its signature algorithm is not allowed",
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::AmbiguousKeyId(_),
        ) => "it does not say which of several keys it is signed with (kid)",
        ClaimsVerificationError::SignatureVerification(_) => "its signature is wrong",
        ClaimsVerificationError::Expired(text) if text == "issued in the future" => {
            "it was issued in the future (iat); check the clocks"
        }
        ClaimsVerificationError::Expired(_) => "it has expired (exp)",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another application (aud)",
        ClaimsVerificationError::InvalidIssuer(_) => "it is from another issuer (iss)",
        ClaimsVerificationError::InvalidNonce(_) => "it is not the answer to this sign-in (nonce)",
        ClaimsVerificationError::InvalidSubject(_) => "its subject",
        _ => "a check failed",
    })
}
