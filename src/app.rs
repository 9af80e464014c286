//! The application: everything that requests share.

pub mod budget;
pub mod doctor;
pub mod figures;
mod gauges;
pub mod known;
pub mod requests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OnceCell, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::budget::Budget;
use self::figures::Figures;
use self::known::Known;
use self::requests::RequestLog;
use crate::access::limit::Limiter;
use crate::clock::Clock;
use crate::config::Settings;
use crate::db::{DatabaseUrl, Db, Limits, StoreError, totals};
use crate::directory::token_quirks::{self, Pending};
use crate::directory::uniqueness::{self, UniquenessError};
use crate::directory::{cursors, sealing};
use crate::metrics::{Metrics, TurnedAway};
use crate::oidc::{self, OidcError, Providers};
use crate::scim::cursor::CursorKey;
use crate::scim::schema::Registry;
use crate::webhooks::{Dispatcher, SendError};

/// Whose work it is that people and applications ask for; no connection has such an id.
pub const PEOPLE: &str = "people";

/// Why the application cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    #[error(transparent)]
    Providers(#[from] OidcError),
    #[error(transparent)]
    Webhooks(#[from] SendError),
}

/// What every request handler has at hand.
pub struct App {
    pub db: Db,
    /// The store for what people's browsers and applications ask, known or not: all of them together
    /// have the share of one connection, so that a crowd leaves room for directories.
    pub people: Db,
    pub registry: Arc<Registry>,
    pub settings: Settings,
    pub clock: Clock,
    /// The identity providers that people sign in at.
    pub providers: Providers,
    /// Base URL of the SCIM endpoint, without a slash at its end.
    pub scim_base_url: Arc<str>,
    /// A permit for each request that may wait for events.
    pub waiting: Semaphore,
    /// Memory for bodies.
    pub bodies: Arc<Budget>,
    /// Memory for large answers on their way.
    pub answers: Arc<Budget>,
    /// Bulk requests that may be carried out.
    pub bulk: Arc<Budget>,
    /// Whoever brings new events into order, so that it is one request at a time.
    pub placing: Mutex<()>,
    /// Whoever has a diagnosis made, so that it is one at a time.
    pub examining: Mutex<()>,
    /// What cursors are sealed with, once it was needed.
    cursor_key: OnceCell<CursorKey>,
    /// Whoever sends events to webhooks.
    pub webhooks: Arc<Dispatcher>,
    /// What the process counts.
    pub metrics: Metrics,
    /// What is known of the whole store for the metrics.
    pub figures: Figures,
    /// When the process started, in UTC microseconds.
    started_at: i64,
    /// Which compatibility rules tokens made use of, not yet written to the store.
    pub quirks: Pending,
    /// What requests leave behind for their log.
    pub requests: RequestLog,
    /// Who comes how often.
    pub limiter: Limiter,
    /// Tokens that need not be looked up.
    pub known: Known,
    /// Whether it was said that a proxy is not named.
    has_warned_of_proxy: AtomicBool,
    /// Whether the server is about to stop.
    stopping: watch::Sender<bool>,
}

/// Opens the store as servers use it, with limits of what it may have to do.
pub fn open_store(url: DatabaseUrl, pool_size: u32, settings: &Settings) -> Db {
    let limits = Limits {
        waiting: settings.max_queue,
        patience: settings.queue_patience,
        reading: Some(settings.query_timeout),
    };
    Db::with_limits(url, pool_size, limits)
}

/// Sees to it that the store knows the values of unique attributes, before anything is served.
///
/// # Errors
/// Values that are there already and are not unique.
pub async fn index_unique_values(db: &Db, registry: &Arc<Registry>) -> Result<(), UniquenessError> {
    let registry = registry.clone();
    db.note("index_unique_values", move |conn| uniqueness::index(conn, &registry)).await
}

/// Sees to it that the totals which the store keeps are what there is, before anything is served.
///
/// # Errors
/// The store's.
pub async fn mend_totals(db: &Db) -> Result<(), StoreError> {
    if db.read(|conn| Ok::<_, StoreError>(totals::are_right(conn)?)).await? {
        return Ok(());
    }
    log::warn!("the totals of users and groups were not what there is, and are counted anew");
    db.note("mend_totals", |conn| Ok::<_, StoreError>(totals::mend(conn)?)).await
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
            people: db.of(PEOPLE),
            webhooks: Arc::new(Dispatcher::new(
                db.clone(),
                settings.webhook_reach.clone(),
                clock.clone(),
            )?),
            db,
            requests: RequestLog::new(settings.request_log, &registry),
            registry,
            scim_base_url: Arc::from(settings.scim_base_url()),
            providers: Providers::with(oidc::Limits::default(), settings.reach.clone())?,
            waiting: Semaphore::new(settings.max_waiting),
            // Half for one tenant, so that there is always something left for another.
            bodies: Budget::new(settings.body_memory, settings.body_memory / 2),
            answers: Budget::new(settings.body_memory, settings.body_memory / 2),
            bulk: Budget::new(settings.max_bulk, settings.max_bulk.div_ceil(4)),
            placing: Mutex::new(()),
            examining: Mutex::new(()),
            cursor_key: OnceCell::new(),
            metrics: Metrics::new(),
            figures: Figures::default(),
            started_at: clock(),
            quirks: Pending::default(),
            limiter: Limiter::new(settings.limits),
            known: Known::default(),
            has_warned_of_proxy: AtomicBool::new(false),
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
            log::log!(error.level(), "could not note the compatibility rules in use: {error}");
            self.quirks.put_back(&uses);
        }
    }

    /// Seals the events of the log every minute, or as often as the settings say, until the server is
    /// about to stop, and removes sealed events that are older than `keep`.
    pub async fn look_after_log(&self, keep: Option<Duration>) {
        let mut turns = interval(self.settings.seal_every);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = self.stopped();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                _ = turns.tick() => self.seal_events(keep).await,
                () = &mut stopped => return,
            }
        }
    }

    /// Sends events to webhooks until the server is about to stop.
    pub async fn look_after_webhooks(&self) {
        self.webhooks.clone().run(self.stopped()).await;
    }

    /// Seals the events of the log that are not sealed yet, and removes those that are older than
    /// `keep`.
    pub async fn seal_events(&self, keep: Option<Duration>) {
        let now = (self.clock)();
        let mut done = sealing::seal(&self.db, now).await;
        if let (Ok(()), Some(keep)) = (&done, keep) {
            let before = now.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX));
            match sealing::prune(&self.db, before, now).await {
                Ok(0) => {}
                Ok(removed) => log::info!("removed {removed} events because of their age"),
                Err(error) => done = Err(error),
            }
        }
        if let Err(error) = done {
            log::warn!("could not seal the log of events, and tries again later: {error}");
        }
    }

    /// All that the process counts, as text.
    ///
    /// # Errors
    /// What the writer says.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut turned_away = [
            (TurnedAway::QueueFull, 0),
            (TurnedAway::QueueShare, 0),
            (TurnedAway::QueueTime, 0),
            (TurnedAway::QueryTime, 0),
        ];
        for (pool, load) in self.db.load() {
            self.metrics.set_database(pool, load.in_use, load.waiting);
            let counts = [load.full, load.share, load.late, load.slow];
            for ((_, sum), count) in turned_away.iter_mut().zip(counts) {
                *sum += count;
            }
        }
        for (reason, count) in turned_away {
            self.metrics.set_turned_away(reason, count);
        }
        self.metrics.set_not_logged(self.requests.lost());
        self.metrics.set_bodies(self.bodies.in_use());
        self.metrics.set_answers(self.answers.in_use());
        self.metrics.set_bulk(self.bulk.in_use());
        let free = self.waiting.available_permits();
        self.metrics.set_long_waits(self.settings.max_waiting.saturating_sub(free));
        let (counts, lag) = (&self.webhooks.counts, self.webhooks.lag());
        for (result, count) in [
            ("delivered", &counts.delivered),
            ("failed", &counts.failed),
            ("disabled", &counts.disabled),
        ] {
            self.metrics.set_webhook_deliveries(result, count.load(Ordering::Relaxed));
        }
        self.metrics.set_webhook_lag(lag.events, lag.seconds);
        let now = (self.clock)();
        let known = self.figures.known(now);
        self.metrics.encode_with(&gauges::registry(&known, self.started_at, now))
    }

    /// Says, once, that somebody writes the header of proxies and is not a proxy that is believed.
    pub fn warn_of_proxy(&self, peer: IpAddr) {
        if !self.has_warned_of_proxy.swap(true, Ordering::Relaxed) {
            log::warn!(
                "{peer} sends {}, which is not believed; if it is your proxy, name it with \
                 --trusted-proxy, else all whom it asks for count as one",
                self.settings.proxies.header.as_str()
            );
        }
    }

    /// Ends the waiting of requests that wait for something to happen: the server is about to stop.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }

    /// Whether the server is about to stop.
    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Comes when the server is about to stop.
    pub async fn stopped(&self) {
        // The sender lives as long as the application, so there is no other way for it to end.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}
