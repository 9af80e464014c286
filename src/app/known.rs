//! Tokens that were good a moment ago, so that a request has only to be told that nothing has changed
//! since, instead of looking up all that its token stands for.
//!
//! What is known holds for one [epoch](tokens::epoch) of the store: once a token is revoked or a
//! connection changes, by whichever process, it is forgotten at the next request. What somebody
//! changes in the tables by hand is noticed after [a minute](LONGEST) at the latest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::db::{Db, StoreError};
use crate::directory::tokens::{self, Authenticated};

/// Tokens that are known at a time.
const MOST: usize = 10_000;
/// Microseconds for which a token is known without being looked up.
const LONGEST: i64 = 60_000_000;

/// The tokens, by their hashes.
#[derive(Debug, Default)]
pub struct Known {
    tokens: Mutex<HashMap<String, Entry>>,
    asking: Arc<Mutex<Asking>>,
}

/// Who waits to hear what the epoch is.
#[derive(Debug, Default)]
struct Asking {
    /// They have come after the store was asked last, so that its answer to others is too old for
    /// them.
    waiting: Vec<oneshot::Sender<Result<Option<String>, StoreError>>>,
    /// Whether the store is being asked.
    is_asked: bool,
}

/// A token that was good.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who it speaks for.
    pub token: Arc<Authenticated>,
    /// The epoch in which it was good.
    pub epoch: Option<String>,
    /// When it was looked up, in UTC microseconds.
    learned_at: i64,
    /// When its use is to be noted again, in UTC microseconds.
    due_at: Arc<AtomicI64>,
}

impl Entry {
    /// Whether it is time to note the use of the token; who is told so has to.
    pub fn is_due(&self, now: i64) -> bool {
        let due_at = self.due_at.load(Ordering::Relaxed);
        let next = now.saturating_add(tokens::LAST_USE_GRAIN);
        now >= due_at
            && self
                .due_at
                .compare_exchange(due_at, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the store for all who wait, until nobody does.
async fn ask(asking: Arc<Mutex<Asking>>, db: Db) {
    loop {
        let waiting = {
            let mut asking = lock(&asking);
            let waiting = std::mem::take(&mut asking.waiting);
            asking.is_asked = !waiting.is_empty();
            waiting
        };
        if waiting.is_empty() {
            return;
        }
        let epoch = db.read(tokens::epoch).await;
        for answer in waiting {
            let epoch = epoch.as_ref().map(Clone::clone).map_err(StoreError::for_another);
            let _ = answer.send(epoch);
        }
    }
}

impl Known {
    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        lock(&self.tokens)
    }

    /// What is known of the token with that hash, unless it has expired.
    pub fn find(&self, hash: &str, now: i64) -> Option<Entry> {
        let tokens = self.tokens();
        let entry = tokens.get(hash)?;
        let is_fresh = (0..LONGEST).contains(&now.saturating_sub(entry.learned_at));
        let is_good = is_fresh && entry.token.expires_at.is_none_or(|at| at > now);
        is_good.then(|| entry.clone())
    }

    /// The store's epoch, as it was at some moment after this was called.
    ///
    /// A server is asked for all requests that have come while it was asked before; a file is asked
    /// at once.
    ///
    /// # Errors
    /// The store's.
    pub async fn epoch(&self, db: &Db) -> Result<Option<String>, StoreError> {
        if db.url().file().is_some() {
            return db.lookup(tokens::epoch).await;
        }
        let (answer, coming) = oneshot::channel();
        let is_asked = {
            let mut asking = lock(&self.asking);
            asking.waiting.push(answer);
            std::mem::replace(&mut asking.is_asked, true)
        };
        if !is_asked {
            tokio::spawn(ask(self.asking.clone(), db.clone()));
        }
        coming.await.unwrap_or(Err(StoreError::Panicked))
    }

    /// Keeps in mind that a token is good in this epoch.
    pub fn learn(
        &self,
        hash: &str,
        token: Authenticated,
        epoch: Option<String>,
        now: i64,
    ) -> Entry {
        let mut tokens = self.tokens();
        // Of those that come all the time, the next request knows again.
        if tokens.len() >= MOST {
            tokens.clear();
        }
        let due_at = Arc::new(AtomicI64::new(token.note_at));
        let entry = Entry { token: Arc::new(token), epoch, learned_at: now, due_at };
        tokens.insert(hash.to_owned(), entry.clone());
        entry
    }
}
