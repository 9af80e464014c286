//! The door: whether somebody may try to get in, and what is counted of it.

use std::net::IpAddr;

use actix_web::{HttpRequest, web};

use super::address;
use crate::access::Refusal;
use crate::access::limit::{Credential, TooOften};
use crate::app::App;
use crate::db::StoreError;
use crate::directory::tokens;

/// Why somebody with a good token is not let in, or was not asked for one.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// The networks themselves are nobody's business.
    #[error("this token may not be used from the address that the request came from")]
    Address,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An attempt to get in by a credential.
pub struct Attempt {
    app: web::Data<App>,
    credential: Credential,
    address: IpAddr,
    /// The hash of the secret.
    pub(super) hash: String,
    now: i64,
}

impl Attempt {
    /// Begins an attempt, before the store is asked anything.
    ///
    /// # Errors
    /// Too many attempts from the client's address have failed, and the secret was not good lately.
    pub fn begin(
        app: &web::Data<App>,
        request: &HttpRequest,
        credential: Credential,
        secret: &str,
    ) -> Result<Self, TooOften> {
        let attempt = Self {
            app: app.clone(),
            credential,
            address: address::counted(request),
            hash: tokens::hash(secret),
            now: (app.clock)(),
        };
        let allowed = app.limiter.attempt(credential, attempt.address, &attempt.hash, attempt.now);
        allowed.inspect_err(|error| app.metrics.count_limited(error.limit))?;
        Ok(attempt)
    }

    /// It was good.
    pub fn succeeded(self) {
        self.app.limiter.succeeded(self.credential, self.hash);
    }

    /// It was not.
    pub fn failed(self, why: Refusal) {
        self.app.metrics.count_refused(why);
        self.app.limiter.failed(self.credential, self.address, &self.hash, self.now);
    }

    /// It was good once, and is no more: that is no guess.
    pub fn ended(self, why: Refusal) {
        self.app.metrics.count_refused(why);
        self.app.limiter.ended(self.credential, &self.hash);
    }
}

/// Refuses a good token where it may not be used from the client's address.
///
/// # Errors
/// It may not.
pub fn admit(
    app: &App,
    request: &HttpRequest,
    allow_from: &crate::access::network::Networks,
    token_id: &str,
) -> Result<(), Denied> {
    if allow_from.admits(address::of(request)) {
        return Ok(());
    }
    app.metrics.count_refused(Refusal::Address);
    log::warn!(
        token:% = token_id,
        client:% = address::shown(request);
        "the token {token_id} was used from an address that it does not allow"
    );
    Err(Denied::Address)
}
