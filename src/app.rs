//! The application: everything that requests share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::Db;
use crate::scim::schema::{Registry, SchemaError};

/// What every request handler has at hand.
pub struct App {
    pub db: Db,
    pub registry: Registry,
    pub settings: Settings,
    pub clock: Clock,
    /// Base URL of the SCIM endpoint, without a slash at its end.
    pub scim_base_url: Arc<str>,
}

impl App {
    /// Puts an application together.
    ///
    /// # Errors
    /// A schema file is wrong.
    pub fn new(db: Db, settings: Settings, clock: Clock) -> Result<Self, SchemaError> {
        Ok(Self {
            db,
            registry: Registry::builtin()?,
            scim_base_url: Arc::from(settings.scim_base_url()),
            settings,
            clock,
        })
    }
}
