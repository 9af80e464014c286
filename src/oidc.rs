//! The relying party of OpenID Connect: from an issuer's address to a verified identity.
//!
//! Code flow with PKCE, `nonce` and `state`; the ID token is checked in full. Everything that comes
//! from a provider is held for hostile: sizes, times, redirects and types are bounded. Knows neither
//! the store nor the web framework; `http` carries what is found here to `directory`.
//! Entry points: [`Providers::start`] and [`Providers::finish`].

mod examine;
mod fetch;
mod flow;
mod providers;
pub mod token;

pub use crate::reach::{Lookup, Reach, is_loopback, is_safe};
pub use crate::secret::Secret;
pub use examine::{Examined, Understood};
pub use fetch::Limits;
pub use flow::{Answer, Asked, Started};
pub use providers::{Metadata, Providers};

use serde_json::{Map, Value};
use url::Url;

/// Muster as the provider knows it: one registration at one issuer.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The issuer, exactly as in its discovery document.
    pub issuer: String,
    pub client_id: String,
    /// None for a public client, which has PKCE alone.
    pub client_secret: Option<Secret>,
    /// Where the provider sends the browser back to.
    pub redirect_uri: String,
}

/// Who signed in, as the provider vouches for it.
#[derive(Debug, Clone, PartialEq)]
pub struct VerifiedIdentity {
    pub issuer: String,
    pub subject: String,
    /// When the ID token was issued, in UTC microseconds.
    pub issued_at: i64,
    /// The claims of the ID token, and those of userinfo that it lacks.
    pub claims: Map<String, Value>,
}

/// Why a sign-in at the provider came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// The issuer's address cannot be used.
    #[error("the issuer {0} must be an https address, or http on this machine")]
    BadIssuer(String),
    /// A client id that no provider gives.
    #[error("a client id has 1,024 printable ASCII characters at most")]
    BadClientId,
    /// The provider does not answer, or answers nonsense.
    #[error("the identity provider cannot be used: {0}")]
    Provider(String),
    /// The provider refused the code.
    #[error("the identity provider refused the sign-in code: {0}")]
    CodeRefused(String),
    /// The answer came from another issuer (RFC 9207).
    #[error("the answer names another issuer than the one that was asked")]
    WrongIssuer,
    /// The provider says in its metadata that it names itself in answers, but did not (RFC 9207).
    #[error("the answer does not name its issuer, though the provider says that it does")]
    MissingIssuer,
    /// The token response has no ID token.
    #[error("the identity provider sent no ID token")]
    NoIdToken,
    /// The ID token failed a check; the text says which one, never what was in it.
    #[error("the ID token is not valid: {0}")]
    InvalidToken(&'static str),
}

/// Most bytes of an issuer or a client id.
const MAX_NAME: usize = 1024;
/// Most characters of a wrong issuer that an error shows.
const MAX_SHOWN: usize = 200;

/// Whether a client id can be one: printable ASCII characters (RFC 6749 appendix A.1), 1,024 at most.
///
/// # Errors
/// [`OidcError::BadClientId`].
pub fn check_client_id(client_id: &str) -> Result<(), OidcError> {
    let is_one = client_id.len() <= MAX_NAME
        && client_id.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if is_one { Ok(()) } else { Err(OidcError::BadClientId) }
}

/// The issuer's URL, if it may be asked: `https`, or `http` on this machine.
///
/// # Errors
/// [`OidcError::BadIssuer`].
pub fn issuer_url(issuer: &str) -> Result<Url, OidcError> {
    let bad = || {
        // It may be anything that somebody entered.
        let shown = issuer.chars().take(MAX_SHOWN).map(|c| if c.is_control() { '?' } else { c });
        OidcError::BadIssuer(shown.collect())
    };
    // A parser of URLs passes over line feeds and the like, and a terminal obeys them.
    if issuer.len() > MAX_NAME || !issuer.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(bad());
    }
    let url = Url::parse(issuer).map_err(|_| bad())?;
    let plain = url.username().is_empty() && url.password().is_none();
    let bare = url.query().is_none() && url.fragment().is_none();
    if is_safe(&url) && plain && bare { Ok(url) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for good in [
            "https://example.okta.com",
            "https://example.okta.com/oauth2/default",
            "http://localhost:3000",
            "http://127.0.0.1:3000",
            "http://[::1]:3000",
        ] {
            assert!(issuer_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.okta.com",
            "http://example.okta.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "ftp://localhost",
            "https://user@example.okta.com",
            "https://example.okta.com?x",
            "https://example.okta.com#x",
            "file:///etc/passwd",
            "https://example.okta.com\n",
            "https://example\u{1b}[2J.okta.com",
            "https://example.okta.com/a b",
        ] {
            assert!(issuer_url(bad).is_err(), "{bad}");
        }
    }
}
