//! Work for a connection, without the types of its answer: whoever asked for it keeps a place for the
//! answer, and what is done around it looks only at how it ended.
//!
//! All of that, waiting for a turn, transactions, attempts, would else be compiled again for each type of
//! answer, which was a sixth of the program.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use diesel::result::Error as DieselError;

use super::connection::Conn;
use super::pool::{MayBeStore, StoreError};

/// Work that is done once.
pub type Work = Box<dyn FnOnce(&mut Conn) -> Ended + Send>;
/// Work that may have to be done again, because another transaction was in its way.
pub type Writing = Box<dyn Fn(&mut Conn) -> Ended + Send>;
/// How work ended, as far as whoever carries it out is concerned.
pub type Ended = Result<(), Undone>;

/// Why nothing of work is to be kept.
#[derive(Debug)]
pub enum Undone {
    /// It says so itself, and has left its answer.
    Answered,
    /// The store failed, whatever the work has left.
    Store(StoreError),
}

impl From<DieselError> for Undone {
    fn from(error: DieselError) -> Self {
        Self::Store(error.into())
    }
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Undone {
    /// The store's error, if it is one.
    pub fn store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Answered => None,
        }
    }
}

/// The place for the answer of a piece of work.
pub struct Answer<T, E>(Arc<Mutex<Option<Result<T, E>>>>);

impl<T: Send + 'static, E: MayBeStore + Send + 'static> Answer<T, E> {
    /// Work that is done once, and the place for its answer.
    pub fn once(work: impl FnOnce(&mut Conn) -> Result<T, E> + Send + 'static) -> (Work, Self) {
        let (own, answer) = Self::shared();
        (Box::new(move |conn| own.keep(work(conn))), answer)
    }

    /// Work that may have to be done again, and the place for the last of its answers.
    pub fn again(work: impl Fn(&mut Conn) -> Result<T, E> + Send + 'static) -> (Writing, Self) {
        let (own, answer) = Self::shared();
        (Box::new(move |conn| own.keep(work(conn))), answer)
    }

    /// One place, for the work and for whoever asks for it.
    fn shared() -> (Self, Self) {
        let place = Arc::default();
        (Self(Arc::clone(&place)), Self(place))
    }

    fn place(&self) -> MutexGuard<'_, Option<Result<T, E>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an answer instead of the one before, unless it is the store that failed.
    fn keep(&self, done: Result<T, E>) -> Ended {
        let answer = match done.map_err(MayBeStore::or_store) {
            Ok(done) => Ok(done),
            Err(Ok(store)) => return Err(Undone::Store(store)),
            Err(Err(own)) => Err(own),
        };
        let ended = answer.as_ref().map(|_| ()).map_err(|_| Undone::Answered);
        *self.place() = Some(answer);
        ended
    }

    /// The answer, once the work has ended.
    ///
    /// # Errors
    /// What the work said, or the store.
    pub async fn after(self, ended: impl Future<Output = Ended>) -> Result<T, E> {
        match ended.await {
            Err(Undone::Store(error)) => Err(error.into()),
            Ok(()) | Err(Undone::Answered) => {
                let answer = self.place().take();
                answer.unwrap_or_else(|| Err(StoreError::Panicked.into()))
            }
        }
    }
}
