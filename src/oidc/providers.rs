//! What is known of providers: their metadata and keys, fetched once and kept.
//!
//! A provider that fails for a moment does not fail those who sign in meanwhile: what is known is
//! used until it can be renewed. Requests for the same provider wait for one fetch.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{AdditionalProviderMetadata, IssuerUrl, ProviderMetadata};
use serde::{Deserialize, Serialize};
use url::Url;

use super::fetch::{Fetch, Limits, UNSAFE};
use super::{OidcError, Reach, issuer_url};

/// How long metadata and keys are used before they are fetched again, in microseconds.
const LIFETIME: i64 = 3600 * 1_000_000;
/// How often keys, or a provider that failed, may be asked for out of turn, in microseconds.
const INTERVAL: i64 = 60 * 1_000_000;
/// How long a provider of which nothing is known and that failed is not asked again, in
/// microseconds: those who wait for it fail together, not one after the other.
const FAILURE_INTERVAL: i64 = 5 * 1_000_000;

/// What a provider says of itself beyond OpenID Connect Discovery.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct More {
    /// RFC 9207 section 3.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

/// A provider's metadata.
pub type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// How many bytes what is known of providers takes, at most, as they wrote it: who sets a connection up
/// says of which there is something to know.
const MAX_SIZE: usize = 64 * 1024 * 1024;
/// What is known of a provider that has not answered, in bytes, give or take.
const RECORD: usize = 512;

/// The providers that have been asked so far.
#[derive(Debug)]
pub struct Providers {
    pub(super) fetch: Fetch,
    all: Mutex<All>,
}

/// The providers that are known, as far as there is room.
#[derive(Debug, Default)]
struct All {
    entries: HashMap<String, Entry>,
    /// The bytes of all.
    size: usize,
    /// Counts how often one was asked for.
    uses: u64,
}

#[derive(Debug)]
struct Entry {
    known: Arc<tokio::sync::Mutex<Known>>,
    size: usize,
    /// The last use.
    used: u64,
}

impl All {
    fn entry(&mut self, issuer: &str) -> Arc<tokio::sync::Mutex<Known>> {
        self.uses += 1;
        let used = self.uses;
        if let Some(entry) = self.entries.get_mut(issuer) {
            entry.used = used;
            return entry.known.clone();
        }
        let known = Arc::<tokio::sync::Mutex<Known>>::default();
        self.entries.insert(issuer.to_owned(), Entry { known: known.clone(), size: 0, used });
        self.weigh(issuer, 0);
        known
    }

    /// Notes how much is known of a provider; what was not used for longest makes room for it.
    fn weigh(&mut self, issuer: &str, size: usize) {
        let size = size + issuer.len() + RECORD;
        if let Some(entry) = self.entries.get_mut(issuer) {
            self.size = self.size - entry.size + size;
            entry.size = size;
        }
        while self.size > MAX_SIZE {
            let others = self.entries.iter().filter(|(name, _)| *name != issuer);
            let oldest = others.min_by_key(|(_, entry)| entry.used).map(|(name, _)| name.clone());
            let Some(gone) = oldest.and_then(|name| self.entries.remove(&name)) else { break };
            self.size -= gone.size;
        }
    }
}

/// What is known of one provider.
#[derive(Debug, Default)]
struct Known {
    metadata: Option<Arc<Metadata>>,
    /// When it was fetched, in UTC microseconds.
    fetched_at: i64,
    /// When a fetch was last tried, with or without success.
    tried_at: Option<i64>,
    /// When a fetch last came to nothing, and why: whoever waited for it then need not try it again.
    failed: Option<(Instant, OidcError)>,
    /// When keys were last asked for out of turn, with or without success. A provider may change
    /// its keys a moment after it was discovered, so the one does not count for the other.
    keys_tried_at: Option<i64>,
}

/// Whether something that was last tried then may be tried again.
fn is_due(tried_at: Option<i64>, now: i64, interval: i64) -> bool {
    tried_at.is_none_or(|at| now - at >= interval)
}

/// What is said of a provider that is not asked again yet.
fn again(why: Option<&OidcError>) -> OidcError {
    let text = "it failed a moment ago";
    match why {
        Some(OidcError::Provider(why)) => OidcError::Provider(format!("{text}: {why}")),
        Some(other) => other.clone(),
        None => OidcError::Provider(text.to_owned()),
    }
}

impl Providers {
    /// No provider is known yet.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new() -> Result<Self, OidcError> {
        Self::with(Limits::default(), Reach::default())
    }

    /// No provider is known yet; each may take so long, and be there.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn with(limits: Limits, reach: Reach) -> Result<Self, OidcError> {
        let fetch =
            Fetch::new(limits, reach).map_err(|error| OidcError::Provider(error.to_string()))?;
        Ok(Self { fetch, all: Mutex::default() })
    }

    /// The metadata of a provider with its keys, from memory where it is young enough.
    pub(super) async fn metadata(
        &self,
        issuer: &str,
        now: i64,
    ) -> Result<Arc<Metadata>, OidcError> {
        let entry = self.entry(issuer);
        let begun = Instant::now();
        let mut known = entry.lock().await;
        let has_waited = known.failed.as_ref().is_some_and(|(failed, _)| *failed >= begun);
        match &known.metadata {
            Some(metadata) if now - known.fetched_at < LIFETIME => return Ok(metadata.clone()),
            Some(metadata) if !is_due(known.tried_at, now, INTERVAL) => return Ok(metadata.clone()),
            None if has_waited || !is_due(known.tried_at, now, FAILURE_INTERVAL) => {
                return Err(again(known.failed.as_ref().map(|(_, why)| why)));
            }
            _ => {}
        }
        let discovered = self.discover(issuer).await;
        // Not before: a client that hangs up ends the fetch, which then is no failure of the provider's.
        known.tried_at = Some(now);
        known.failed = discovered.as_ref().err().map(|error| (Instant::now(), error.clone()));
        match discovered {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                self.weigh(issuer, &metadata);
                known.metadata = Some(metadata.clone());
                known.fetched_at = now;
                Ok(metadata)
            }
            // Better an hour-old answer than nobody signing in.
            Err(error) => match &known.metadata {
                Some(metadata) => {
                    log::warn!(issuer:% = issuer; "could not renew what is known of a provider: {error}");
                    Ok(metadata.clone())
                }
                None => Err(error),
            },
        }
    }

    /// The metadata with keys fetched anew, because a token names a key that is not known; `None`
    /// if that was done a moment ago, so that forged tokens cannot make a flood of fetches.
    pub(super) async fn renewed_keys(
        &self,
        issuer: &str,
        used: &Arc<Metadata>,
        now: i64,
    ) -> Result<Option<Arc<Metadata>>, OidcError> {
        let entry = self.entry(issuer);
        let mut known = entry.lock().await;
        let Some(metadata) = known.metadata.clone() else { return Ok(None) };
        if !Arc::ptr_eq(&metadata, used) {
            // Somebody else fetched while this one waited.
            return Ok(Some(metadata));
        }
        if !is_due(known.keys_tried_at, now, INTERVAL) {
            return Ok(None);
        }
        let fetch = self.fetch.of(issuer);
        let fetched = CoreJsonWebKeySet::fetch_async(metadata.jwks_uri(), &fetch).await;
        known.keys_tried_at = Some(now);
        let keys = fetched.map_err(|error| {
            OidcError::Provider(format!("its keys cannot be read: {}", chain(&error)))
        })?;
        let metadata = Arc::new(Metadata::clone(&metadata).set_jwks(keys));
        self.weigh(issuer, &metadata);
        known.metadata = Some(metadata.clone());
        Ok(Some(metadata))
    }

    fn entry(&self, issuer: &str) -> Arc<tokio::sync::Mutex<Known>> {
        self.all().entry(issuer)
    }

    /// Notes how much is known of a provider.
    fn weigh(&self, issuer: &str, metadata: &Metadata) {
        // Twice: what was parsed takes more than what was read.
        let size = serde_json::to_vec(metadata).map_or(0, |text| text.len())
            + serde_json::to_vec(metadata.jwks()).map_or(0, |text| text.len());
        self.all().weigh(issuer, 2 * size);
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn discover(&self, issuer: &str) -> Result<Metadata, OidcError> {
        issuer_url(issuer)?;
        let url = IssuerUrl::new(issuer.to_owned())
            .map_err(|_| OidcError::BadIssuer(issuer.to_owned()))?;
        // This checks that the document names the issuer exactly as it was asked for.
        let fetch = self.fetch.of(issuer);
        let metadata = Metadata::discover_async(url, &fetch).await.map_err(|error| {
            OidcError::Provider(format!("its discovery document cannot be used: {}", chain(&error)))
        })?;
        let Some(token_endpoint) = metadata.token_endpoint() else {
            return Err(OidcError::Provider("it has no token endpoint".to_owned()));
        };
        let urls: [Option<&Url>; 4] = [
            Some(metadata.authorization_endpoint().url()),
            Some(token_endpoint.url()),
            metadata.userinfo_endpoint().map(openidconnect::UserInfoUrl::url),
            Some(metadata.jwks_uri().url()),
        ];
        if urls.into_iter().flatten().any(|url| !self.fetch.reach().may_name(issuer, url)) {
            return Err(OidcError::Provider(format!("its discovery document: {UNSAFE}")));
        }
        Ok(metadata)
    }
}

/// How much of an error is told: a provider may have written a great deal of it.
const MAX_ERROR: usize = 300;

/// An error with what caused it, cut off so that what a provider wrote in it cannot fill the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    let mut cut: String = text.chars().take(MAX_ERROR).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut all = All::default();
        let first = all.entry("first");
        all.weigh("first", MAX_SIZE / 2);
        all.entry("second");
        all.weigh("second", MAX_SIZE / 3);
        assert!(Arc::ptr_eq(&first, &all.entry("first")));
        all.entry("third");
        all.weigh("third", MAX_SIZE / 3);
        assert!(all.entries.contains_key("first") && !all.entries.contains_key("second"));
        assert!(Arc::ptr_eq(&first, &all.entry("first")));
        // Less is known now, so there is room again.
        all.weigh("first", 0);
        all.entry("fourth");
        all.weigh("fourth", MAX_SIZE / 2);
        assert_eq!(all.entries.len(), 3);
        // One that is too large for all is the only one.
        all.weigh("third", MAX_SIZE);
        assert_eq!(all.entries.keys().collect::<Vec<_>>(), ["third"]);
    }

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Inner(String);

    #[test]
    fn an_error_is_told_in_part_where_a_provider_wrote_much_in_it() {
        let told = chain(&Outer(Inner("ż".repeat(MAX_ERROR - "outer: ".len()))));
        assert!(told.ends_with("żż"), "all of it: {told}");
        let told = chain(&Outer(Inner("ż".repeat(1_000_000))));
        assert_eq!(told.chars().count(), MAX_ERROR + 1);
        assert!(told.starts_with("outer: żż") && told.ends_with("ż…"), "{told}");
    }
}
