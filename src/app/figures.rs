//! What is known of the whole store for the metrics: counted when somebody asks, but not every time,
//! so that scrapes cost the database little and get an answer without it.

use std::sync::{Mutex, PoisonError};

use super::App;
use crate::db::figures::Overview;
use crate::directory::figures::{self, Disagreements};

/// A second, in the unit of the clock.
const SECOND: i64 = 1_000_000;
/// How long what is counted at once is good enough.
const OVERVIEW_AGE: i64 = 15 * SECOND;
/// How long the disagreements are, which take longer to count.
const DISAGREEMENTS_AGE: i64 = 60 * SECOND;
/// So many times as long as it took to count them they are good enough as well, so that counting takes
/// at most one part of so many of a connection's time.
const SHARE: i64 = 20;
/// What is older than this is not told any more.
pub const OLDEST: i64 = 300 * SECOND;

/// Something that was counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<T> {
    pub value: T,
    /// When it was begun.
    pub at: i64,
}

/// All of it, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known {
    pub overview: Option<Counted<Overview>>,
    pub disagreements: Option<Counted<Disagreements>>,
    /// Whether the database answered when it was last asked; `None` if it never was.
    pub reached: Option<bool>,
    /// From when on the disagreements are counted anew.
    pub(super) disagreements_due: i64,
}

/// What was counted, and whoever is counting.
#[derive(Debug, Default)]
pub struct Figures {
    known: Mutex<Known>,
    turn: tokio::sync::Mutex<()>,
}

impl Figures {
    /// What is known, without what is too old to be told at this time.
    pub fn known(&self, now: i64) -> Known {
        let mut known = *self.lock();
        known.overview = known.overview.filter(|counted| !is_past(counted.at, OLDEST, now));
        // They may take long to count, and are counted the more rarely.
        let oldest = OLDEST.max(known.disagreements_due.saturating_sub(now));
        known.disagreements =
            known.disagreements.filter(|counted| !is_past(counted.at, oldest, now));
        known
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something is older than an age; what comes from the future is, since the clock was set.
fn is_past(at: i64, age: i64, now: i64) -> bool {
    !(at..=at.saturating_add(age)).contains(&now)
}

impl App {
    /// Counts anew what is not good enough any more, unless somebody is at it.
    pub async fn count_figures(&self) {
        let Ok(_turn) = self.figures.turn.try_lock() else { return };
        let now = (self.clock)();
        let known = *self.figures.lock();
        let is_good = known.overview.is_some_and(|found| !is_past(found.at, OVERVIEW_AGE, now));
        if !is_good || known.reached == Some(false) {
            match self.db.read(move |conn| figures::overview(conn, now)).await {
                Ok(value) => {
                    let mut known = self.figures.lock();
                    known.overview = Some(Counted { value, at: now });
                    known.reached = Some(true);
                }
                Err(error) => return self.not_counted(&error),
            }
        }
        let is_due = now >= known.disagreements_due
            || known.disagreements.is_some_and(|found| found.at > now);
        if is_due {
            match self.db.read(figures::disagreements).await {
                Ok(value) => {
                    let took = (self.clock)().saturating_sub(now).max(0);
                    let mut known = self.figures.lock();
                    known.disagreements = Some(Counted { value, at: now });
                    known.disagreements_due = now + DISAGREEMENTS_AGE.max(took * SHARE);
                }
                Err(error) => {
                    // What took too long would take as long in a moment.
                    let took = (self.clock)().saturating_sub(now).max(0);
                    self.figures.lock().disagreements_due =
                        now + DISAGREEMENTS_AGE.max(took * SHARE);
                    self.not_counted(&error);
                }
            }
        }
    }

    fn not_counted(&self, error: &crate::db::StoreError) {
        log::log!(error.level(), "could not count for the metrics: {error}");
        if error.is_unavailable() {
            self.figures.lock().reached = Some(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_old_or_of_the_future_is_not_told() {
        let figures = Figures::default();
        figures.lock().overview = Some(Counted { value: Overview::default(), at: 1000 });
        for (now, is_told) in
            [(999, false), (1000, true), (1000 + OLDEST, true), (1001 + OLDEST, false)]
        {
            assert_eq!(figures.known(now).overview.is_some(), is_told, "{now}");
        }
    }

    #[test]
    fn disagreements_that_take_long_to_count_are_told_until_they_are_counted_anew() {
        let figures = Figures::default();
        let hour = 3600 * SECOND;
        *figures.lock() = Known {
            disagreements: Some(Counted { value: Disagreements::default(), at: 0 }),
            disagreements_due: 2 * hour,
            ..Known::default()
        };
        assert!(figures.known(hour).disagreements.is_some());
        assert!(figures.known(3 * hour).disagreements.is_none());
    }
}
