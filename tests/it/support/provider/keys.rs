//! The keys of the tests' providers: made once a run, of every kind that providers sign with.

use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use openidconnect::core::{
    CoreEdDsaPrivateSigningKey, CoreHmacKey, CoreJwsSigningAlgorithm, CoreRsaPrivateSigningKey,
};
use openidconnect::{JsonWebKeyId, PrivateSigningKey};
use p256::ecdsa::signature::Signer;
use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey, LineEnding};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};

use super::random::Random;

/// One key of each kind, under the same names whoever has them.
pub struct KeySet {
    rsa: CoreRsaPrivateSigningKey,
    rsa_public: RsaPublicKey,
    ec: p256::ecdsa::SigningKey,
    ed: CoreEdDsaPrivateSigningKey,
}

/// The name of a provider's RSA key, with which Okta would sign.
pub const RSA_KEY: &str = "key-1";
/// The name of a provider's P-256 key.
pub const EC_KEY: &str = "key-ec";
/// The name of a provider's Ed25519 key.
pub const ED_KEY: &str = "key-ed";

/// Key sets of a whole run: by number, so that two providers can differ.
pub fn key_set(number: usize) -> Arc<KeySet> {
    static SETS: [OnceLock<Arc<KeySet>>; 3] = [const { OnceLock::new() }; 3];
    SETS[number].get_or_init(|| Arc::new(KeySet::new())).clone()
}

impl KeySet {
    fn new() -> Self {
        let private = RsaPrivateKey::new(&mut Random, 2048).expect("an RSA key");
        let pem = private.to_pkcs1_pem(LineEnding::LF).expect("a PEM");
        let name = |name: &str| Some(JsonWebKeyId::new(name.to_owned()));
        Self {
            rsa_public: private.to_public_key(),
            rsa: CoreRsaPrivateSigningKey::from_pem(&pem, name(RSA_KEY)).expect("an RSA key"),
            ec: p256::ecdsa::SigningKey::from_slice(&rand::random::<[u8; 32]>()).expect("a key"),
            ed: CoreEdDsaPrivateSigningKey::from_ed25519_pem(&ed25519_pem(), name(ED_KEY))
                .expect("an Ed25519 key"),
        }
    }

    /// The public halves, as they stand in a key set document.
    pub fn public(&self) -> Vec<Value> {
        vec![self.public_rsa(), self.public_ec(), json!(self.ed.as_verification_key())]
    }

    pub fn public_rsa(&self) -> Value {
        json!(self.rsa.as_verification_key())
    }

    pub fn public_ec(&self) -> Value {
        let point = self.ec.verifying_key().to_sec1_point(false);
        let part = |bytes: Option<&[u8]>| URL_SAFE_NO_PAD.encode(bytes.expect("a coordinate"));
        json!({
            "kty": "EC",
            "crv": "P-256",
            "kid": EC_KEY,
            "use": "sig",
            "x": part(point.x().map(AsRef::as_ref)),
            "y": part(point.y().map(AsRef::as_ref)),
        })
    }

    /// The public RSA key in each form that somebody may have taken for a shared secret.
    pub fn public_rsa_as_secret(&self, form: SecretForm) -> Vec<u8> {
        let key = &self.rsa_public;
        match form {
            SecretForm::Pem => key.to_pkcs1_pem(LineEnding::LF).expect("a PEM").into_bytes(),
            SecretForm::Der => key.to_pkcs1_der().expect("a DER").into_vec(),
            SecretForm::Modulus => key.n().to_bytes_be(),
            SecretForm::Jwk => self.public_rsa().to_string().into_bytes(),
        }
    }

    /// Signs with the key that fits the algorithm; RSA where none does.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        use CoreJwsSigningAlgorithm as Algorithm;
        let rsa = |algorithm| self.rsa.sign(&algorithm, message).expect("a signature");
        match algorithm {
            "ES256" => {
                let signature: p256::ecdsa::Signature = self.ec.sign(message);
                signature.to_bytes().to_vec()
            }
            "EdDSA" => self.ed.sign(&Algorithm::EdDsa, message).expect("a signature"),
            "RS384" => rsa(Algorithm::RsaSsaPkcs1V15Sha384),
            "RS512" => rsa(Algorithm::RsaSsaPkcs1V15Sha512),
            "PS256" => rsa(Algorithm::RsaSsaPssSha256),
            _ => rsa(Algorithm::RsaSsaPkcs1V15Sha256),
        }
    }
}

/// A way of writing a public key down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    Pem,
    Der,
    Modulus,
    Jwk,
}

/// HMAC-SHA-256, for tokens that are signed with what is no secret.
pub fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    CoreHmacKey::new(secret.to_vec())
        .sign(&CoreJwsSigningAlgorithm::HmacSha256, message)
        .expect("a signature")
}

fn ed25519_pem() -> String {
    let seed: [u8; 32] = rand::random();
    // PKCS #8 of an Ed25519 key (RFC 8410 section 7).
    let mut der = vec![
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    der.extend_from_slice(&seed);
    let kind = "PRIVATE KEY";
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}
