//! A look at a provider for whoever wonders why nobody can sign in: asked anew, past all that is known
//! of it, by the same code and within the same reach as a sign-in.

use openidconnect::core::{CoreJsonWebKeyType, CoreJsonWebKeyUse};
use openidconnect::http::Method;
use openidconnect::http::header::{ACCEPT, DATE};
use openidconnect::{HttpRequest, IssuerUrl, JsonWebKey};
use serde_json::Value;
use url::Url;

use super::providers::{Metadata, Providers};
use super::{OidcError, issuer_url};

/// Where a provider describes itself (OpenID Connect Discovery section 4).
const DISCOVERY: &str = ".well-known/openid-configuration";
/// How much of an issuer's name is told, in characters.
const LONGEST: usize = 300;

/// What was found of a provider.
#[derive(Debug)]
pub struct Examined {
    /// The provider's clock, as its answer's `Date` says.
    pub date: Option<String>,
    /// How the discovery document calls the issuer, whether that is right or not.
    pub named: Option<String>,
    /// Whether people could sign in.
    pub understood: Result<Understood, OidcError>,
}

/// What is known of a provider that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Understood {
    /// Keys that ID tokens may be signed with.
    pub keys: usize,
    /// Whether it names itself in its answers (RFC 9207).
    pub names_itself: bool,
}

impl Providers {
    /// Looks at a provider.
    pub async fn examine(&self, issuer: &str) -> Examined {
        let mut examined =
            Examined { date: None, named: None, understood: Err(OidcError::WrongIssuer) };
        match self.ask(issuer).await {
            Ok((date, named)) => {
                examined.date = date;
                examined.named = named;
                let discovered = self.discover(issuer).await;
                examined.understood = discovered.map(|metadata| understood(&metadata));
            }
            Err(error) => examined.understood = Err(error),
        }
        examined
    }

    /// Asks for the discovery document, and says what time it is there and how the issuer is called.
    async fn ask(&self, issuer: &str) -> Result<(Option<String>, Option<String>), OidcError> {
        issuer_url(issuer)?;
        let bad = || OidcError::BadIssuer(issuer.to_owned());
        let url: Url = IssuerUrl::new(issuer.to_owned())
            .and_then(|issuer| issuer.join(DISCOVERY))
            .map_err(|_| bad())?;
        let request: HttpRequest = openidconnect::http::Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .header(ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|_| bad())?;
        let response = self
            .fetch
            .of(issuer)
            .send(request)
            .await
            .map_err(|error| OidcError::Provider(error.to_string()))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let document: Option<Value> = serde_json::from_slice(response.body()).ok();
        let named = document.as_ref().and_then(|document| document.get("issuer")?.as_str());
        let named = named
            .map(|name| name.chars().filter(|c| !c.is_control()).take(LONGEST).collect::<String>());
        Ok((date.map(str::to_owned), named))
    }
}

fn understood(metadata: &Metadata) -> Understood {
    let signs = |key: &&openidconnect::core::CoreJsonWebKey| {
        *key.key_type() != CoreJsonWebKeyType::Symmetric
            && key.key_use().is_none_or(|usage| *usage == CoreJsonWebKeyUse::Signature)
    };
    Understood {
        keys: metadata.jwks().keys().iter().filter(signs).count(),
        names_itself: metadata.additional_metadata().authorization_response_iss_parameter_supported,
    }
}
