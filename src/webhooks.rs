//! Sending events to webhooks, by the conventions of Standard Webhooks.
//!
//! Each webhook is one ordered stream: an event is sent once the one before it was received. Who delivers
//! is the one that has the webhook's lease in the store, so that of many processes it is one at a time.
//! Entry points: [`Dispatcher::run`], and for tests [`Dispatcher::deliver_due`].

mod deliver;
mod places;
mod schedule;
mod send;
pub mod signature;

pub use self::send::{Message, Outcome, SendError, Sender};

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use self::places::Places;
use self::schedule::micros;
use crate::clock::Clock;
use crate::db::{Db, StoreError};
use crate::directory::feed;
use crate::directory::webhooks::delivery::{self, Due};
use crate::reach::Reach;

/// How often it is looked what other processes have written, and what may be tried again.
const OTHERS: Duration = Duration::from_secs(1);
/// How long nobody looks again, however much is written meanwhile.
const PAUSE: Duration = Duration::from_millis(50);
/// How often webhooks of quiet connections pass over the events of others, also where nothing happens at all: the
/// last events are passed over then, and by webhooks whose lease a crash has left behind.
const PASS_OVER: Duration = Duration::from_mins(1);

/// What the process has sent.
#[derive(Debug, Default)]
pub struct Counts {
    /// Events that a receiver has taken.
    pub delivered: AtomicU64,
    /// Attempts that failed.
    pub failed: AtomicU64,
    /// Webhooks that were disabled.
    pub disabled: AtomicU64,
}

/// How far webhooks are behind the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lag {
    /// Positions of the feed from the slowest webhook to its end.
    pub events: i64,
    /// Seconds since the first event was that waits to be delivered.
    pub seconds: i64,
}

/// What was seen when it was last looked.
#[derive(Debug, Default)]
struct Seen {
    /// The end of the feed, if there was nothing to deliver up to there but what has to wait.
    last: Option<i64>,
    /// When something of that may be tried, in UTC microseconds.
    next: Option<i64>,
    /// When webhooks passed over what is not theirs, in UTC microseconds.
    passed: Option<i64>,
}

/// Whoever delivers in this process.
pub struct Dispatcher {
    db: Db,
    sender: Sender,
    clock: Clock,
    seen: Mutex<Seen>,
    /// The webhooks that are being delivered to by this process, and those that wait for that.
    places: Mutex<Places>,
    /// What was sent.
    pub counts: Counts,
    /// Whether nothing more is to be begun.
    stopping: AtomicBool,
    lag_events: AtomicI64,
    /// 0 where nothing waits.
    oldest: AtomicI64,
}

impl Dispatcher {
    /// Somebody who delivers to receivers that are where they may be.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(db: Db, reach: Reach, clock: Clock) -> Result<Self, SendError> {
        Ok(Self {
            db,
            sender: Sender::new(reach)?,
            clock,
            seen: Mutex::default(),
            places: Mutex::default(),
            counts: Counts::default(),
            stopping: AtomicBool::new(false),
            lag_events: AtomicI64::new(0),
            oldest: AtomicI64::new(0),
        })
    }

    /// How far the slowest webhook is behind, as of the last look.
    pub fn lag(&self) -> Lag {
        let oldest = self.oldest.load(Ordering::Relaxed);
        let now = (self.clock)();
        let seconds = if oldest == 0 { 0 } else { (now - oldest).max(0) / 1_000_000 };
        Lag { events: self.lag_events.load(Ordering::Relaxed), seconds }
    }

    /// Delivers whatever comes until `stopped` does.
    pub async fn run(self: Arc<Self>, stopped: impl Future<Output = ()>) {
        let mut commits = self.db.commits();
        let mut others = interval(OTHERS);
        others.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way: JoinSet<()> = JoinSet::new();
        tokio::pin!(stopped);
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                // The sender lives as long as the store does.
                _ = commits.changed() => {}
                _ = others.tick() => {}
                Some(_) = under_way.join_next() => {}
            }
            let pause = Instant::now() + PAUSE;
            match self.look().await {
                Ok(due) => {
                    for id in due {
                        under_way.spawn(self.clone().deliver(id));
                    }
                }
                Err(error) => {
                    log::log!(error.level(), "could not look for webhooks to deliver to: {error}");
                }
            }
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = sleep_until(pause) => {}
            }
        }
        // The requests under way are waited for, so that it is known what came of them.
        self.stopping.store(true, Ordering::Relaxed);
        while under_way.join_next().await.is_some() {}
    }

    /// Delivers to all webhooks that are due, as far as it goes; how many that were.
    ///
    /// # Errors
    /// The store's.
    pub async fn deliver_due(self: &Arc<Self>) -> Result<usize, StoreError> {
        *lock(&self.seen) = Seen::default();
        let due = self.look().await?;
        let count = due.len();
        let mut under_way: JoinSet<()> = JoinSet::new();
        for id in due {
            under_way.spawn(self.clone().deliver(id));
        }
        while under_way.join_next().await.is_some() {}
        Ok(count)
    }

    /// Which webhooks there is something for that may be sent now, and that nobody sends already.
    async fn look(&self) -> Result<Vec<String>, StoreError> {
        let now = (self.clock)();
        let mut feed = self.db.read(delivery::feed).await?;
        let (known, next, passed) = {
            let seen = lock(&self.seen);
            (seen.last, seen.next, seen.passed)
        };
        let is_quiet = !feed.is_incomplete && known == Some(feed.last);
        // Where the clock was set back, it is time as well.
        let passed = passed.filter(|at| (0..micros(PASS_OVER)).contains(&(now - at)));
        if is_quiet && passed.is_some() && next.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        if !self.db.read(delivery::is_wanted).await? {
            self.note(Due::default(), feed.last, now, passed.unwrap_or(now));
            return Ok(Vec::new());
        }
        if feed.is_incomplete {
            feed::place_all(&self.db).await?;
            feed = self.db.read(delivery::feed).await?;
        }
        let last = feed.last;
        if passed.is_none() {
            self.db
                .note("pass_over_events", move |conn| delivery::pass_over(conn, last, now))
                .await?;
        }
        let due = self.db.snapshot(move |conn| delivery::due(conn, last)).await?;
        Ok(self.note(due, last, now, passed.unwrap_or(now)))
    }

    /// Notes what was seen; gives back what can be delivered at once.
    fn note(&self, due: Due, last: i64, now: i64, passed: i64) -> Vec<String> {
        let behind = due.webhooks.iter().map(|row| last - row.cursor).max();
        self.lag_events.store(behind.unwrap_or(0), Ordering::Relaxed);
        self.oldest.store(due.oldest.unwrap_or(0), Ordering::Relaxed);
        let mut places = lock(&self.places);
        let mut next: Option<i64> = None;
        let mut able = Vec::new();
        for row in due.webhooks {
            if places.has(&row.id) {
                continue;
            }
            let is_leased = row.lease_until.is_some_and(|until| until > now);
            // A lease may be given back at any time, also while this was looked at.
            let at = if is_leased { now } else { row.next_attempt_at.unwrap_or(now) };
            if !is_leased && at <= now {
                able.push(row.id);
            } else {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        let ready = places.give(able);
        if places.are_wanted() {
            next = Some(now);
        }
        *lock(&self.seen) = Seen { last: Some(last), next, passed: Some(passed) };
        ready
    }

    /// Delivers to a webhook that was given a place, as far as it goes.
    fn deliver(self: Arc<Self>, id: String) -> impl Future<Output = ()> {
        // Also where the task is cut off, before it has begun too.
        let place = Place { dispatcher: self, id };
        async move {
            let Place { dispatcher, id } = &place;
            if let Err(error) = dispatcher.deliver_to(id).await {
                log::log!(error.level(), "could not deliver to the webhook {id}: {error}");
            }
        }
    }
}

/// The place of a webhook that is being delivered to, until it is dropped.
struct Place {
    dispatcher: Arc<Dispatcher>,
    id: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.dispatcher.places).leave(&self.id);
        // There may be more by now.
        lock(&self.dispatcher.seen).last = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
