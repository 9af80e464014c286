//! Tokens that were good a moment ago, so that a request has only to be told that nothing has changed
//! since, instead of looking up all that its token stands for.
//!
//! What is known holds for one [epoch](tokens::epoch) of the store: once a token is revoked or a
//! connection changes, by whichever process, it is forgotten at the next request. What somebody
//! changes in the tables by hand is noticed after [a minute](LONGEST) at the latest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::directory::tokens::{self, Authenticated};

/// Tokens that are known at a time.
const MOST: usize = 10_000;
/// Microseconds for which a token is known without being looked up.
const LONGEST: i64 = 60_000_000;

/// The tokens, by their hashes.
#[derive(Debug, Default)]
pub struct Known {
    tokens: Mutex<HashMap<String, Entry>>,
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

impl Known {
    fn tokens(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the token with that hash, unless it has expired.
    pub fn find(&self, hash: &str, now: i64) -> Option<Entry> {
        let tokens = self.tokens();
        let entry = tokens.get(hash)?;
        let is_fresh = (0..LONGEST).contains(&now.saturating_sub(entry.learned_at));
        let is_good = is_fresh && entry.token.expires_at.is_none_or(|at| at > now);
        is_good.then(|| entry.clone())
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
