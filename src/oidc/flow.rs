//! One sign-in at a provider: the address to send the browser to, and what to make of its return.

use std::sync::Arc;

use chrono::DateTime;
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType,
};
use openidconnect::http::Method;
use openidconnect::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet,
    EndpointSet, HttpRequest, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, StandardErrorResponse, TokenResponse,
};
use serde_json::{Map, Value};
use url::Url;

use super::providers::{Metadata, Providers};
use super::token::{Received, Rejected, holds_nul, verify};
use super::{OidcError, Registration, Secret, VerifiedIdentity};

/// What an application or a provider wishes of a sign-in.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Who is likely to sign in.
    pub login_hint: Option<String>,
    /// `login`, to ask for the password again, and so on.
    pub prompt: Option<String>,
}

/// A sign-in that has begun. All but the URL is kept until the browser is back.
#[derive(Debug, Clone)]
pub struct Started {
    /// Where to send the browser.
    pub url: Url,
    /// Comes back with the answer.
    pub state: Secret,
    /// Comes back inside the ID token.
    pub nonce: Secret,
    /// Proves to the provider that the code is ours (RFC 7636).
    pub pkce_verifier: Secret,
}

/// What the browser brought back, its `state` checked already.
#[derive(Debug, Clone)]
pub struct Answer {
    pub code: Secret,
    /// The issuer that the answer names (RFC 9207).
    pub issuer: Option<String>,
    /// What was kept at the start.
    pub nonce: Secret,
    pub pkce_verifier: Secret,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
    EndpointNotSet,
>;

impl Providers {
    /// Begins a sign-in: code flow, with PKCE always.
    ///
    /// # Errors
    /// The provider cannot be used.
    pub async fn start(
        &self,
        registration: &Registration,
        asked: &Asked,
        now: i64,
    ) -> Result<Started, OidcError> {
        let metadata = self.metadata(&registration.issuer, now).await?;
        let client = client(&metadata, registration)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge)
            .add_scope(Scope::new("profile".to_owned()))
            .add_scope(Scope::new("email".to_owned()));
        // Okta gives groups for this scope; a provider that does not know it may refuse it.
        if metadata
            .scopes_supported()
            .is_some_and(|known| known.iter().any(|s| s.as_str() == "groups"))
        {
            request = request.add_scope(Scope::new("groups".to_owned()));
        }
        if let Some(hint) = &asked.login_hint {
            request = request.add_extra_param("login_hint", hint);
        }
        if let Some(prompt) = &asked.prompt {
            request = request.add_extra_param("prompt", prompt);
        }
        let (url, state, nonce) = request.url();
        Ok(Started {
            url,
            state: Secret::new(state.secret()),
            nonce: Secret::new(nonce.secret()),
            pkce_verifier: Secret::new(verifier.secret()),
        })
    }

    /// Ends a sign-in: exchanges the code and verifies who signed in. All traffic with the provider
    /// ends here.
    ///
    /// # Errors
    /// The provider refuses the code or cannot be used, or what it says does not stand the checks.
    pub async fn finish(
        &self,
        registration: &Registration,
        answer: &Answer,
        now: i64,
    ) -> Result<VerifiedIdentity, OidcError> {
        let metadata = self.metadata(&registration.issuer, now).await?;
        match &answer.issuer {
            Some(issuer) if *issuer != registration.issuer => return Err(OidcError::WrongIssuer),
            None if metadata
                .additional_metadata()
                .authorization_response_iss_parameter_supported =>
            {
                return Err(OidcError::MissingIssuer);
            }
            _ => {}
        }
        let response = client(&metadata, registration)?
            .exchange_code(AuthorizationCode::new(answer.code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(answer.pkce_verifier.expose().to_owned()))
            .request_async(&self.fetch.of(&registration.issuer))
            .await
            .map_err(refused)?;
        let token = response.id_token().ok_or(OidcError::NoIdToken)?;
        let access_token = response.access_token();
        let received = Received {
            token,
            access_token,
            code: AuthorizationCode::new(answer.code.expose().to_owned()),
            nonce: Nonce::new(answer.nonce.expose().to_owned()),
        };
        let mut identity = self.verified(&received, &metadata, registration, now).await?;
        self.add_userinfo(&metadata, access_token, &mut identity).await;
        Ok(identity)
    }

    /// Verifies the token, once more with new keys if it names one that is not known.
    async fn verified(
        &self,
        received: &Received<'_>,
        metadata: &Arc<Metadata>,
        registration: &Registration,
        now: i64,
    ) -> Result<VerifiedIdentity, OidcError> {
        let time = DateTime::from_timestamp_micros(now).unwrap_or_default();
        let unknown =
            OidcError::InvalidToken("it is signed with a key that the provider does not have");
        match verify(received, metadata, registration, time) {
            Ok(identity) => return Ok(identity),
            Err(Rejected::Invalid(error)) => return Err(error),
            Err(Rejected::UnknownKey) => {}
        }
        let Some(metadata) = self.renewed_keys(&registration.issuer, metadata, now).await? else {
            return Err(unknown);
        };
        verify(received, &metadata, registration, time).map_err(|rejected| match rejected {
            Rejected::Invalid(error) => error,
            Rejected::UnknownKey => unknown,
        })
    }

    /// Adds the claims of userinfo that the ID token lacks, if they are about the same subject
    /// (OpenID Connect Core section 5.3.2). A provider may send a thin ID token; one that has no
    /// more to say, or fails, is left at that.
    async fn add_userinfo(
        &self,
        metadata: &Metadata,
        access_token: &AccessToken,
        identity: &mut VerifiedIdentity,
    ) {
        let Some(endpoint) = metadata.userinfo_endpoint() else { return };
        let wanted = ["groups", "preferred_username", "email", "name"];
        if wanted.iter().all(|claim| identity.claims.contains_key(*claim)) {
            return;
        }
        let Ok(request) = openidconnect::http::Request::builder()
            .method(Method::GET)
            .uri(endpoint.as_str())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Bearer {}", access_token.secret()))
            .body(Vec::new())
        else {
            return;
        };
        match self.userinfo(&identity.issuer, request).await {
            Some(claims)
                if claims.get("sub").and_then(Value::as_str) == Some(&identity.subject) =>
            {
                for (name, value) in claims {
                    identity.claims.entry(name).or_insert(value);
                }
            }
            Some(_) => log::warn!("userinfo of {} is about somebody else", identity.issuer),
            None => log::info!("userinfo of {} cannot be read", identity.issuer),
        }
    }

    async fn userinfo(&self, issuer: &str, request: HttpRequest) -> Option<Map<String, Value>> {
        let response = self.fetch.of(issuer).send(request).await.ok()?;
        // A signed answer has another type; Muster asks for none.
        let is_json = response.headers().get(CONTENT_TYPE).is_none_or(|kind| {
            let kind = kind.to_str().ok().and_then(|kind| kind.parse::<mime::Mime>().ok());
            kind.is_some_and(|kind| kind.essence_str() == mime::APPLICATION_JSON.essence_str())
        });
        if !response.status().is_success() || !is_json {
            return None;
        }
        let claims: Map<String, Value> = serde_json::from_slice(response.body()).ok()?;
        (!holds_nul(&claims)).then_some(claims)
    }
}

fn client(metadata: &Metadata, registration: &Registration) -> Result<Client, OidcError> {
    let redirect = RedirectUrl::new(registration.redirect_uri.clone())
        .map_err(|_| OidcError::Provider("our own redirect URI is no URL".to_owned()))?;
    let token_endpoint = metadata
        .token_endpoint()
        .ok_or_else(|| OidcError::Provider("it has no token endpoint".to_owned()))?;
    let client = CoreClient::new(
        ClientId::new(registration.client_id.clone()),
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_auth_uri(metadata.authorization_endpoint().clone())
    .set_token_uri(token_endpoint.clone())
    .set_redirect_uri(redirect)
    .set_auth_type(auth_type(metadata));
    Ok(match &registration.client_secret {
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose().to_owned())),
        None => client,
    })
}

/// How a confidential client proves who it is: Basic unless the provider takes only the other way.
fn auth_type(metadata: &Metadata) -> AuthType {
    match metadata.token_endpoint_auth_methods_supported() {
        Some(methods)
            if methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic) =>
        {
            AuthType::RequestBody
        }
        _ => AuthType::BasicAuth,
    }
}

/// The errors of a token endpoint (RFC 6749 section 5.2).
const KNOWN_ERRORS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// The provider's words are not repeated: they may hold what it was sent.
fn refused<E: std::error::Error + 'static>(
    error: RequestTokenError<E, StandardErrorResponse<CoreErrorResponseType>>,
) -> OidcError {
    match error {
        RequestTokenError::ServerResponse(response) => {
            let code = response.error().to_string();
            let is_known = KNOWN_ERRORS.contains(&code.as_str());
            OidcError::CodeRefused(if is_known { code } else { "an error of its own".to_owned() })
        }
        RequestTokenError::Request(error) => {
            OidcError::Provider(format!("its token endpoint: {error}"))
        }
        RequestTokenError::Parse(..) => {
            OidcError::Provider("its token endpoint answers something unreadable".to_owned())
        }
        RequestTokenError::Other(_) => {
            OidcError::Provider("its token endpoint answers something else than a token".to_owned())
        }
    }
}
