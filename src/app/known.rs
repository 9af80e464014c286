//! Tokens that were good a moment ago, so that a request has only to be told that nothing has changed
//! since, instead of looking up all that its token stands for.
//!
//! What is known holds for one [epoch](tokens::epoch) of the store: once a token is revoked or a
//! connection changes, by whichever process, it is forgotten at the next request. What somebody
//! changes in the tables by hand is noticed after a minute at the latest.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::db::{Db, StoreError};
use crate::directory::tokens::{self, Authenticated};

/// Tokens that are known at a time.
const MOST: usize = 10_000;
/// Microseconds for which a token is known without being looked up.
const LONGEST: i64 = 60_000_000;
/// How long to wait for what somebody else asks the store.
const PATIENCE: Duration = Duration::from_secs(1);

/// The tokens, by their hashes.
#[derive(Debug, Default)]
pub struct Known {
    tokens: Mutex<HashMap<String, Entry>>,
    asking: Arc<Mutex<Asking>>,
}

/// A token that was good.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Who it speaks for.
    pub token: Arc<Authenticated>,
    /// The epoch in which it was good.
    pub epoch: String,
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

/// Who waits to hear what the epoch is, while others ask.
#[derive(Debug, Default)]
struct Asking {
    /// They have come after the store was asked last, so that its answer to others is too old for
    /// them.
    waiting: Vec<oneshot::Sender<Told>>,
    /// Whether the store is being asked, or somebody was told to.
    is_asked: bool,
}

/// What somebody who waits is told.
#[derive(Debug)]
enum Told {
    /// What the store has answered.
    Epoch(Result<String, StoreError>),
    /// To ask, for all who wait.
    Ask(Turn),
}

/// The turn to ask the store. However it ends, the next one who waits gets it.
#[derive(Debug)]
struct Turn(Option<Arc<Mutex<Asking>>>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(shared) = self.0.take() else { return };
        let mut asking = lock(&shared);
        while let Some(next) = asking.waiting.pop() {
            let Err(Told::Ask(mut unwanted)) = next.send(Told::Ask(Self(Some(shared.clone()))))
            else {
                return;
            };
            // It must not come back here by itself while the state is locked.
            unwanted.0 = None;
        }
        asking.is_asked = false;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks the store for all who wait.
async fn ask(db: &Db, asking: &Mutex<Asking>, turn: Turn) -> Result<String, StoreError> {
    let waiting = Arc::new(Mutex::new(std::mem::take(&mut lock(asking).waiting)));
    let told = waiting.clone();
    let epoch = db.read(move |conn| {
        let epoch = tokens::epoch(conn)?;
        // Told from here, since the thread of the request may have other things to do.
        for answer in lock(&told).drain(..) {
            let _ = answer.send(Told::Epoch(Ok(epoch.clone())));
        }
        drop(turn);
        Ok::<_, StoreError>(epoch)
    });
    epoch.await.inspect_err(|error| {
        for answer in lock(&waiting).drain(..) {
            let _ = answer.send(Told::Epoch(Err(error.for_another())));
        }
    })
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

    /// Forgets the token with that hash, which is good no more.
    pub fn forget(&self, hash: &str) {
        self.tokens().remove(hash);
    }

    /// The store's epoch, as it was at some moment after this was called.
    ///
    /// A server is asked for all requests that have come while it was asked before; a file is asked
    /// at once.
    ///
    /// # Errors
    /// The store's.
    pub async fn epoch(&self, db: &Db) -> Result<String, StoreError> {
        if db.url().file().is_some() {
            return db.lookup(tokens::epoch).await;
        }
        self.asked_together(db).await
    }

    async fn asked_together(&self, db: &Db) -> Result<String, StoreError> {
        let coming = {
            let mut asking = lock(&self.asking);
            if asking.is_asked {
                let (answer, coming) = oneshot::channel();
                asking.waiting.push(answer);
                Some(coming)
            } else {
                asking.is_asked = true;
                None
            }
        };
        let turn = match coming {
            None => Turn(Some(self.asking.clone())),
            Some(coming) => match tokio::time::timeout(PATIENCE, coming).await {
                Ok(Ok(Told::Epoch(epoch))) => return epoch,
                Ok(Ok(Told::Ask(turn))) => turn,
                // Whoever asks does not get on, or is gone: everyone asks for itself then.
                Ok(Err(_)) | Err(_) => return db.read(tokens::epoch).await,
            },
        };
        ask(db, &self.asking, turn).await
    }

    /// Keeps in mind that a token is good in this epoch.
    pub fn learn(&self, hash: &str, token: Authenticated, epoch: String, now: i64) -> Entry {
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use futures_util::future::join_all;

    use super::*;
    use crate::db::DatabaseUrl;

    async fn store() -> (Db, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::new(DatabaseUrl::Sqlite(folder.path().join("muster.db")), 1);
        db.migrate().await.unwrap();
        (db, folder)
    }

    fn is_idle(known: &Known) -> bool {
        let asking = lock(&known.asking);
        asking.waiting.is_empty() && !asking.is_asked
    }

    #[tokio::test]
    async fn all_who_wait_are_told() {
        let (db, _folder) = store().await;
        let known = Known::default();
        for _ in 0..20 {
            let asked = join_all((0..50).map(|_| known.asked_together(&db))).await;
            assert!(asked.into_iter().all(|epoch| epoch.unwrap().is_empty()));
            assert!(is_idle(&known));
        }
    }

    #[tokio::test]
    async fn who_goes_leaves_the_asking_to_others() {
        let (db, _folder) = store().await;
        let known = Known::default();
        // As long as this is read, nothing else is.
        let (go, held) = std::sync::mpsc::channel::<()>();
        let mut reads = pin!(db.read(move |_| Ok::<_, StoreError>(held.recv().is_ok())));
        let mut context = Context::from_waker(Waker::noop());
        assert!(reads.as_mut().poll(&mut context).is_pending());
        let mut asks = Box::pin(known.asked_together(&db));
        assert!(asks.as_mut().poll(&mut context).is_pending());
        let mut waits = pin!(known.asked_together(&db));
        assert!(matches!(waits.as_mut().poll(&mut context), Poll::Pending));
        drop(asks);
        go.send(()).unwrap();
        assert!(reads.await.unwrap());
        assert!(waits.await.unwrap().is_empty());
        assert!(known.asked_together(&db).await.unwrap().is_empty());
        assert!(is_idle(&known));
    }

    #[tokio::test]
    async fn an_error_is_told_to_all() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = DatabaseUrl::Sqlite(folder.path().join("no folder").join("muster.db"));
        let (db, known) = (Db::new(nothing, 2), Known::default());
        let asked = join_all((0..10).map(|_| known.asked_together(&db))).await;
        assert!(asked.into_iter().all(|epoch| epoch.is_err()));
        assert!(is_idle(&known));
    }
}
