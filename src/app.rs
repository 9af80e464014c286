//! The application: everything that requests share.

use std::sync::Arc;

use tokio::sync::{Mutex, OnceCell, Semaphore, watch};

use crate::clock::Clock;
use crate::config::Settings;
use crate::db::{Db, StoreError};
use crate::directory::cursors;
use crate::directory::token_quirks::{self, Pending};
use crate::directory::uniqueness::{self, UniquenessError};
use crate::metrics::Metrics;
use crate::oidc::{Limits, OidcError, Providers};
use crate::scim::cursor::CursorKey;
use crate::scim::schema::Registry;

/// Why the application cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Providers(#[from] OidcError),
}

/// What every request handler has at hand.
pub struct App {
    pub db: Db,
    pub registry: Arc<Registry>,
    pub settings: Settings,
    pub clock: Clock,
    /// The identity providers that people sign in at.
    pub providers: Providers,
    /// Base URL of the SCIM endpoint, without a slash at its end.
    pub scim_base_url: Arc<str>,
    /// A permit for each request that may wait for events.
    pub waiting: Semaphore,
    /// Whoever brings new events into order, so that it is one request at a time.
    pub placing: Mutex<()>,
    /// What cursors are sealed with, once it was needed.
    cursor_key: OnceCell<CursorKey>,
    /// What the process counts.
    pub metrics: Metrics,
    /// Which compatibility rules tokens made use of, not yet written to the store.
    pub quirks: Pending,
    /// Whether the server is about to stop.
    stopping: watch::Sender<bool>,
}

/// Sees to it that the store knows the values of unique attributes, before anything is served.
///
/// # Errors
/// Values that are there already and are not unique.
pub async fn index_unique_values(db: &Db, registry: &Arc<Registry>) -> Result<(), UniquenessError> {
    let registry = registry.clone();
    db.note("index_unique_values", move |conn| uniqueness::index(conn, &registry)).await
}

impl App {
    /// Puts an application together.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(
        db: Db,
        registry: Arc<Registry>,
        settings: Settings,
        clock: Clock,
    ) -> Result<Self, AppError> {
        Ok(Self {
            db,
            registry,
            scim_base_url: Arc::from(settings.scim_base_url()),
            providers: Providers::with(Limits::default(), settings.reach.clone())?,
            waiting: Semaphore::new(settings.max_waiting),
            placing: Mutex::new(()),
            cursor_key: OnceCell::new(),
            metrics: Metrics::new(),
            quirks: Pending::default(),
            stopping: watch::Sender::new(false),
            settings,
            clock,
        })
    }

    /// What cursors are sealed with: the same on all servers of one store.
    ///
    /// # Errors
    /// The store's.
    pub async fn cursor_key(&self) -> Result<&CursorKey, StoreError> {
        self.cursor_key
            .get_or_try_init(|| async {
                match self.db.read(cursors::key).await? {
                    Some(key) => Ok(key),
                    None => self.db.note("make_cursor_key", cursors::make_key).await,
                }
            })
            .await
    }

    /// Writes down which rules tokens made use of since it was last done.
    pub async fn save_quirks(&self) {
        let uses = self.quirks.take((self.clock)());
        if uses.is_empty() {
            return;
        }
        let batch = uses.clone();
        let saved =
            self.db.note("note_token_quirks", move |conn| token_quirks::save(conn, &batch)).await;
        if let Err(error) = saved {
            log::warn!("could not note the compatibility rules in use: {error}");
            self.quirks.put_back(&uses);
        }
    }

    /// Ends the waiting of requests that wait for something to happen: the server is about to stop.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Comes when the server is about to stop.
    pub async fn stopped(&self) {
        // The sender lives as long as the application, so there is no other way for it to end.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
