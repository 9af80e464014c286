//! Claims of any JSON. An ID token that is accepted is for us, of now and of one person; what its
//! claims say of groups is no more than what they list; and the profile made of them is a user.

use std::sync::LazyLock;

use muster::directory::claims::{
    GroupsClaim, Incomplete, SUSPICIOUS_COUNT, groups, identifier, text,
};
use muster::directory::signin::{Identity, profile};
use muster::oidc::token::{Received, verify};
use muster::oidc::{Metadata, Registration, VerifiedIdentity};
use muster::scim::fold::fold;
use openidconnect::core::{CoreEdDsaPrivateSigningKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{AccessToken, AuthorizationCode, JsonWebKeyId, Nonce, PrivateSigningKey};
use serde_json::{Map, Value, json};

use super::known::{REGISTRY, assert_canonical};

const ISSUER: &str = "https://example.okta.com";
const CLIENT: &str = "0oa1";
const NONCE: &str = "nonce";
/// The moment at which tokens are checked, in seconds; any would do.
const NOW: i64 = 1_780_000_000;
/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 120;

/// The provider's key; the example of RFC 8410 section 10.3.
static KEY: LazyLock<CoreEdDsaPrivateSigningKey> = LazyLock::new(|| {
    let pem = "-----BEGIN PRIVATE KEY-----\n\
               MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
               -----END PRIVATE KEY-----";
    let id = Some(JsonWebKeyId::new("k".to_owned()));
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, id).expect("a key")
});

static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
    let metadata: Metadata = serde_json::from_value(json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://example.okta.com/authorize",
        "token_endpoint": "https://example.okta.com/token",
        "jwks_uri": "https://example.okta.com/keys",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
    .expect("metadata");
    metadata.set_jwks(CoreJsonWebKeySet::new(vec![KEY.as_verification_key()]))
});

static REGISTRATION: LazyLock<Registration> = LazyLock::new(|| Registration {
    issuer: ISSUER.to_owned(),
    client_id: CLIENT.to_owned(),
    client_secret: None,
    redirect_uri: "https://muster.example.com/login/callback".to_owned(),
});

/// The claims of a token that is accepted.
static GOOD: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let claims = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "00u1", "nonce": NONCE,
        "iat": NOW - 10, "exp": NOW + 300, "preferred_username": "ann@example.com",
    });
    let claims = claims.as_object().expect("an object").clone();
    let payload = serde_json::to_vec(&claims).expect("claims as JSON");
    assert!(verified(&payload).is_some(), "a good token is refused");
    claims
});

/// The claims, as a token has them; they are laid over good ones, too.
pub fn run(data: &[u8]) {
    let Ok(Value::Object(claims)) = serde_json::from_slice::<Value>(data) else { return };
    assert_groups(&claims);
    assert_texts(&claims);
    assert_token(data);
    let mut good = GOOD.clone();
    good.extend(claims);
    assert_token(&serde_json::to_vec(&good).expect("claims as JSON"));
}

fn read(claims: &Map<String, Value>) -> GroupsClaim {
    groups(claims, "groups", None)
}

fn assert_groups(claims: &Map<String, Value>) {
    let claim = read(claims);
    let listed = claims.get("groups");
    let elements = match listed {
        Some(Value::Array(elements)) => elements.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    let is_listed =
        |name: &String| elements.iter().any(|e| e.as_str().map(str::trim) == Some(name));
    for (folded, name) in &claim.groups {
        assert_eq!(folded, &fold(name), "a group is found by its folded name");
        assert!(is_listed(name), "{name} is not listed");
    }
    if claim.incomplete.is_none() {
        assert!(listed.is_some_and(Value::is_array), "a complete claim is a list");
        assert!(elements.len() < SUSPICIOUS_COUNT);
        for element in elements {
            let name = fold(element.as_str().expect("a complete claim is of texts").trim());
            assert!(claim.groups.contains_key(name.as_ref()), "{name} is left out");
        }
    }
    // A list in another order says the same.
    let mut turned = claims.clone();
    if let Some(Value::Array(elements)) = turned.get_mut("groups") {
        elements.reverse();
    }
    let turned = read(&turned);
    assert!(turned.groups.keys().eq(claim.groups.keys()));
    assert_eq!(turned.incomplete, claim.incomplete, "the order counts");
    // A hint that the list is elsewhere is never overlooked.
    let mut elsewhere = claims.clone();
    elsewhere.insert("_claim_names".to_owned(), json!({"groups": "src1"}));
    assert_eq!(read(&elsewhere).incomplete, Some(Incomplete::Overage));
}

fn assert_texts(claims: &Map<String, Value>) {
    for (name, value) in claims {
        if let Some(identifier) = identifier(claims, name) {
            assert_eq!(value.as_str(), Some(identifier), "an identifier is as it was sent");
            assert_eq!(text(claims, name), Some(identifier));
        }
        assert!(text(claims, name).is_none_or(|text| !text.is_empty() && !text.contains('\0')));
    }
    let identity = Identity {
        issuer: ISSUER.to_owned(),
        subject: "00u1".to_owned(),
        issued_at: NOW * 1_000_000,
        claims: claims.clone(),
    };
    let name = identifier(claims, "preferred_username").unwrap_or("ann");
    let Ok(user) = profile(REGISTRY.user(), &identity, name) else { return };
    assert_canonical(REGISTRY.user(), &user);
    assert_eq!(user.text("userName"), Some(name));
    assert!(user.active().is_none() && user.text("externalId").is_none());
    assert!(!user.as_map().contains_key("groups") && !user.as_map().contains_key("roles"));
}

/// Who a token with that payload is about, if it is accepted. It is always well signed.
fn verified(payload: &[u8]) -> Option<VerifiedIdentity> {
    let header = encoded(br#"{"alg":"EdDSA","kid":"k"}"#);
    let signed = format!("{header}.{}", encoded(payload));
    let signature = KEY.sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes());
    let token = format!("{signed}.{}", encoded(&signature.expect("a signature"))).parse().ok()?;
    let received = Received {
        token: &token,
        access_token: &AccessToken::new("access".to_owned()),
        code: AuthorizationCode::new("code".to_owned()),
        nonce: Nonce::new(NONCE.to_owned()),
    };
    let now = chrono::DateTime::from_timestamp(NOW, 0).expect("a time");
    verify(&received, &METADATA, &REGISTRATION, now).ok()
}

fn encoded(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with that payload is refused, or is one for us (OpenID Connect Core section 3.1.3.7).
fn assert_token(payload: &[u8]) {
    let Some(identity) = verified(payload) else { return };
    let claims: Map<String, Value> = serde_json::from_slice(payload).expect("claims");
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    assert_eq!((text("iss"), identity.issuer.as_str()), (Some(ISSUER), ISSUER));
    assert_eq!(text("nonce"), Some(NONCE));
    assert_eq!(text("sub"), Some(identity.subject.as_str()));
    assert!((1..=255).contains(&identity.subject.len()));
    let audiences = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.as_slice(),
        Some(single) => std::slice::from_ref(single),
        None => &[],
    };
    assert!(audiences.iter().any(|audience| audience == CLIENT), "it is for somebody else");
    let party = claims.get("azp").filter(|party| !party.is_null());
    assert!(party.is_none_or(|party| party == CLIENT), "it was issued to somebody else");
    assert!(party.is_some() || audiences.len() == 1, "nobody knows to whom it was issued");
    let bound = |seconds: i64| Value::from(seconds).as_f64().expect("a time");
    let expires = number("exp").or_else(|| date("exp", &claims)).expect("a time");
    assert!(expires >= bound(NOW - LEEWAY), "it has expired");
    let issued = number("iat").or_else(|| date("iat", &claims)).expect("a time");
    assert!(issued < bound(NOW + LEEWAY + 1), "it was issued in the future");
    assert!(number("nbf").is_none_or(|from| from <= bound(NOW + LEEWAY)), "it is not valid yet");
    assert!(!claims.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)));
    assert_eq!(identity.claims, claims, "the claims are those that were sent");
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(elements) => elements.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(name, v)| name.contains('\0') || holds_nul(v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A time as some providers write it.
fn date(name: &str, claims: &Map<String, Value>) -> Option<f64> {
    let time = chrono::DateTime::parse_from_rfc3339(claims.get(name)?.as_str()?).ok()?;
    Value::from(time.timestamp()).as_f64()
}
