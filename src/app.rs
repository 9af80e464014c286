//! The application: everything that requests share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::oidc::{OidcError, Providers};
use crate::scim::schema::{Registry, SchemaError};

/// Why the application cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Providers(#[from] OidcError),
}

/// What every request handler has at hand.
pub struct App {
    pub db: Db,
    pub registry: Registry,
    pub settings: Settings,
    pub clock: Clock,
    /// The identity providers that people sign in at.
    pub providers: Providers,
    /// Base URL of the SCIM endpoint, without a slash at its end.
    pub scim_base_url: Arc<str>,
}

impl App {
    /// Puts an application together.
    ///
    /// # Errors
    /// A schema file is wrong, or the TLS library cannot be set up.
    pub fn new(db: Db, settings: Settings, clock: Clock) -> Result<Self, AppError> {
        Ok(Self {
            db,
            registry: Registry::builtin()?,
            scim_base_url: Arc::from(settings.scim_base_url()),
            providers: Providers::new()?,
            settings,
            clock,
        })
    }
}
