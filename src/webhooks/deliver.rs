//! Delivering to one webhook: event by event, in the order of the feed, until there is none left, one fails, or it
//! is another's turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::schedule::{GIVEN_UP_AFTER, micros, next_attempt};
use super::send::{Message, Outcome, WHOLE};
use super::{Dispatcher, lock};
use crate::db::StoreError;
use crate::db::webhooks::{Failure, Progress};
use crate::directory::connections::AdminError;
use crate::directory::webhooks::Reason;
use crate::directory::webhooks::delivery::{self, PageError, Taken};

/// How long a lease is good after it was last written. A process that is gone is waited for so long.
const LEASE: Duration = Duration::from_mins(1);
/// How long a delivery goes on before it is written down how far it has come. As much may be sent a
/// second time after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How many events are sent at most before that.
const SAVE_AFTER: u32 = 50;
/// How long a delivery goes on while other webhooks wait for a place; a request under way is waited for.
const TURN: Duration = Duration::from_secs(10);

/// A delivery under way.
struct Run<'d> {
    dispatcher: &'d Dispatcher,
    taken: Arc<Taken>,
    /// Hears of what this process changes: it may be the webhook.
    commits: watch::Receiver<()>,
    /// Since when it goes on, in UTC microseconds.
    begun: i64,
    /// Until when nobody else delivers.
    lease_until: i64,
    progress: Progress,
    /// Events that were sent since it was written down.
    unsaved: u32,
    saved: Instant,
}

impl Dispatcher {
    /// Delivers to a webhook as far as it goes.
    pub(super) async fn deliver_to(&self, id: &str) -> Result<(), StoreError> {
        let now = (self.clock)();
        let (webhook, lease) = (id.to_owned(), uuid::Uuid::now_v7().to_string());
        let lease_until = now.saturating_add(micros(LEASE));
        // From before the webhook is read, so that no change of it is missed.
        let commits = self.db.commits();
        let taken = self
            .db
            .note("take_webhook", move |conn| {
                delivery::take(conn, &webhook, &lease, now, lease_until)
            })
            .await?;
        let Some(taken) = taken else { return Ok(()) };
        let progress = Progress { cursor: taken.webhook.cursor(), ..Progress::default() };
        let run = Run {
            dispatcher: self,
            taken: Arc::new(taken),
            commits,
            begun: now,
            lease_until,
            progress,
            unsaved: 0,
            saved: Instant::now(),
        };
        run.deliver().await
    }
}

impl Run<'_> {
    async fn deliver(mut self) -> Result<(), StoreError> {
        loop {
            let (taken, after) = (self.taken.clone(), self.progress.cursor);
            let page = match self.dispatcher.db.snapshot(move |conn| taken.page(conn, after)).await
            {
                Ok(page) => page,
                Err(PageError::End(reason)) => return self.disable(reason).await,
                Err(PageError::Store(error)) => return Err(error),
            };
            let is_empty = page.events.is_empty();
            for (position, event) in page.events {
                if let Some(event) = event {
                    if !self.keeps_lease().await? {
                        return Ok(());
                    }
                    let message = Message::of(&self.taken.webhook, position, &event);
                    if !self.send(&message).await? {
                        return Ok(());
                    }
                    if self.taken.is_end(&event) {
                        self.progress.cursor = position;
                        return self.disable(Reason::ConnectionDeleted).await;
                    }
                }
                self.progress.cursor = position;
            }
            self.progress.cursor = page.next;
            if is_empty {
                self.save(None).await?;
                return Ok(());
            }
            // Pages may be passed over one after the other without anything that is sent.
            if !self.keeps_lease().await? {
                return Ok(());
            }
        }
    }

    /// Sees to it that nobody else delivers for as long as a request or a page may take; false where somebody does,
    /// the webhook is not what it was, it is another's turn, or the server is about to stop.
    async fn keeps_lease(&mut self) -> Result<bool, StoreError> {
        let now = self.now();
        if self.dispatcher.stopping.load(Ordering::Relaxed) || self.had_its_turn(now) {
            self.save(None).await?;
            return Ok(false);
        }
        let ends_soon = self.lease_until.saturating_sub(micros(WHOLE)) <= now;
        let is_due = self.unsaved >= SAVE_AFTER || self.saved.elapsed() >= SAVE_EVERY;
        if ends_soon || is_due {
            return self.save(Some(now.saturating_add(micros(LEASE)))).await;
        }
        // What other processes change is found when it is saved the next time.
        if self.commits.has_changed().unwrap_or(true) {
            self.commits.mark_unchanged();
            let taken = self.taken.clone();
            return self.dispatcher.db.lookup(move |conn| taken.is_held(conn)).await;
        }
        Ok(true)
    }

    /// Whether it has gone on for long enough, and others wait. A clock that was set back ends it as well.
    fn had_its_turn(&self, now: i64) -> bool {
        !(0..micros(TURN)).contains(&(now - self.begun))
            && lock(&self.dispatcher.places).are_wanted()
    }

    /// Sends a message; false where it failed, and this has been seen to.
    async fn send(&mut self, message: &Message) -> Result<bool, StoreError> {
        let now = self.now();
        let webhook = &self.taken.webhook;
        let secrets = webhook.secrets(now);
        let outcome = self.dispatcher.sender.send(&webhook.url, &secrets, message, now).await;
        let counts = &self.dispatcher.counts;
        match outcome {
            Outcome::Taken(_) => {
                counts.delivered.fetch_add(1, Ordering::Relaxed);
                self.progress.delivered_at = Some(self.now());
                self.unsaved += 1;
                Ok(true)
            }
            Outcome::Gone => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                self.fail("it answered 410".to_owned(), None);
                self.disable(Reason::ReceiverGone).await?;
                Ok(false)
            }
            Outcome::Failed { error, retry_after } => {
                counts.failed.fetch_add(1, Ordering::Relaxed);
                self.fail(error, retry_after);
                let failure = self.progress.failure.as_ref();
                let is_over = failure.is_some_and(|failure| {
                    failure.at.saturating_sub(failure.since) >= micros(GIVEN_UP_AFTER)
                });
                if is_over {
                    self.disable(Reason::Failing).await?;
                } else if self.save(None).await? {
                    self.tell();
                }
                Ok(false)
            }
        }
    }

    /// Notes that an attempt failed.
    fn fail(&mut self, error: String, retry_after: Option<Duration>) {
        let at = self.now();
        // Whatever was delivered in this run is the end of the failures before it.
        let (failures, since) = match self.progress.delivered_at {
            Some(_) => (0, at),
            None => (self.taken.failures, self.taken.failing_since.unwrap_or(at)),
        };
        let failures = failures + 1;
        let next_attempt_at = next_attempt(at, failures, retry_after);
        self.progress.failure = Some(Failure { error, failures, since, at, next_attempt_at });
    }

    fn tell(&self) {
        if let Some(failure) = &self.progress.failure {
            log::warn!(
                "the webhook {} could not be delivered to: {}; failures={} next_attempt={}",
                self.taken.webhook.id,
                failure.error,
                failure.failures,
                crate::clock::rfc3339(failure.next_attempt_at)
            );
        }
    }

    /// Writes down how far it has come; the lease is kept until a time, or given back. False where the
    /// lease is somebody else's by now.
    async fn save(&mut self, until: Option<i64>) -> Result<bool, StoreError> {
        let (taken, progress) = (self.taken.clone(), self.progress.clone());
        let saved = self
            .dispatcher
            .db
            .note("advance_webhook", move |conn| taken.save(conn, &progress, until))
            .await?;
        self.unsaved = 0;
        self.saved = Instant::now();
        self.lease_until = until.unwrap_or(i64::MIN);
        Ok(saved)
    }

    async fn disable(&mut self, reason: Reason) -> Result<(), StoreError> {
        let (taken, progress, now) = (self.taken.clone(), self.progress.clone(), self.now());
        let disabled = self
            .dispatcher
            .db
            .write("disable_webhook", move |conn| taken.disable(conn, &progress, reason, now))
            .await
            .map_err(|error| match error {
                AdminError::Store(error) => error,
                other => StoreError::Corrupt(other.to_string()),
            })?;
        if disabled {
            self.dispatcher.counts.disabled.fetch_add(1, Ordering::Relaxed);
            log::warn!(
                "the webhook {} is disabled, and nothing more is sent to it: {}; see \
                 'muster webhook show {}'",
                self.taken.webhook.id,
                reason.as_str(),
                self.taken.webhook.id
            );
        }
        Ok(())
    }

    fn now(&self) -> i64 {
        (self.dispatcher.clock)()
    }
}
