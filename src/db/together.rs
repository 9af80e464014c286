//! Writes of several requests that are committed together.
//!
//! SQLite has one writer, and a commit waits for the disk. What comes meanwhile is carried out in one
//! transaction once the disk is done, and each is answered only after the commit of all. Where that
//! commit fails, or one of them does harm to the whole, each is done again alone.
//!
//! A write that is refused mostly says so before it has written anything. One that has leaves something
//! that nobody can tell from what the others have written, and so may one of whose statements the store
//! refused: all of it is rolled back, and done again, each write in a part of its own that can fail by
//! itself. Such parts cost a copy of each page that they change, so they are not made before one is needed.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::connection::{self, Conn};
use super::kept::Kept;
use super::pool::{Committed, StoreError, in_time, insist};
use super::turns::{Tenant, Turn, Turns};
use super::work::{Ended, Undone, Writing};

/// Writes in one transaction, at most.
pub const MOST: u32 = 64;
/// How long writes are added to a transaction: those that are in it wait for its end. Tests say what comes
/// meanwhile, and a slow machine is to make no difference to them.
const LONGEST: Duration =
    if cfg!(test) { Duration::from_hours(1) } else { Duration::from_millis(10) };
/// Transactions that are made of parts from the beginning, after one in which that was needed: where many
/// writes fail halfway, not every transaction is to be done twice.
const CAREFUL: u32 = 100;

/// The writes that wait, and whoever carries them out.
pub struct Together {
    connections: Arc<Kept>,
    turns: Arc<Turns>,
    /// How long one write may take.
    limit: Option<Duration>,
    /// How long a write waits for those before it.
    patience: Duration,
    /// How many transactions from here on are made of parts.
    careful: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Of one tenant after the other, so that nobody waits for all that another one has to do.
    waiting: VecDeque<(Tenant, VecDeque<Job>)>,
    /// Whether a thread is at it. It goes on until nothing waits.
    is_led: bool,
}

impl State {
    fn add(&mut self, tenant: &Tenant, job: Job) {
        match self.waiting.iter_mut().find(|(other, _)| other == tenant) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.waiting.push_back((tenant.clone(), VecDeque::from([job]))),
        }
    }

    /// The next write that somebody still waits for.
    fn next(&mut self) -> Option<Job> {
        loop {
            let (tenant, mut jobs) = self.waiting.pop_front()?;
            let job = jobs.pop_front();
            if !jobs.is_empty() {
                self.waiting.push_back((tenant, jobs));
            }
            if let Some(job) = job.filter(|job| job.claimed.take()) {
                return Some(job);
            }
        }
    }
}

/// How a write has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It is done.
    Well,
    /// It was refused, as it would be again.
    Refused,
    /// Another write was in its way, so that another attempt may go well; of this one nothing is left.
    InTheWay,
    /// It has left something in the transaction that ought not to be there.
    Halfway,
    /// The transaction is not what it was.
    Harm,
}

/// Whether a write is carried out, or was given up before: whoever is first says so.
#[derive(Clone, Default)]
struct Claim(Arc<AtomicBool>);

impl Claim {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}

/// Gives a write up that nobody waits for any more.
struct Waiting(Claim);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// A write, and how it ended.
struct Job {
    operation: &'static str,
    /// Whether it begins a transaction: it may take so long that those who are done should not wait for
    /// it, or has to be rolled back in any case.
    is_apart: bool,
    work: Writing,
    /// Called once it is committed.
    committed: Committed,
    turn: Turn,
    limit: Option<Duration>,
    claimed: Claim,
    /// None as long as it was not carried out, and where it panicked.
    ended: Option<Ended>,
    waits: oneshot::Sender<Ended>,
}

impl Job {
    /// Carries the work out as `how` says.
    fn run(
        &mut self,
        conn: &mut Conn,
        how: impl FnOnce(&mut Conn, &Writing, &'static str) -> Ended,
    ) {
        self.ended = None;
        let Self { work, turn, limit, operation, .. } = self;
        let run = || in_time(*limit, turn, || how(conn, work, operation));
        // What it panicked in the middle of is rolled back by whoever called.
        self.ended = catch_unwind(AssertUnwindSafe(run)).ok();
    }

    fn gone(&self) -> Gone {
        match &self.ended {
            Some(Ok(())) => Gone::Well,
            Some(Err(Undone::Store(error))) if error.cannot_write() => Gone::Harm,
            Some(Err(Undone::Store(error))) if error.may_be_transient() => Gone::InTheWay,
            Some(Err(_)) => Gone::Refused,
            None => Gone::Harm,
        }
    }

    /// The error that it ended with, if it is the store's.
    fn error(&self) -> Option<&StoreError> {
        self.ended.as_ref()?.as_ref().err()?.store()
    }

    /// Carries the write out in a transaction that has just begun, and is over if it is refused.
    fn begin(&mut self, conn: &mut Conn) -> Gone {
        match self.attempt(conn) {
            // Whoever joined it might join nothing.
            (Gone::Well, false) => Gone::Harm,
            (gone, _) => gone,
        }
    }

    /// Carries the write out; says how it went, and whether no statement failed. One that fails may undo
    /// itself, and may roll back all there is, whatever the work makes of it.
    fn attempt(&mut self, conn: &mut Conn) -> (Gone, bool) {
        connection::forget_failures();
        self.run(conn, |conn, work, _| conn.telling(work));
        (self.gone(), !connection::has_failed())
    }

    /// Carries the write out in the transaction as it is.
    fn add(&mut self, conn: &mut Conn) -> Gone {
        self.ended = None;
        let Ok(before) = conn.changes() else { return Gone::Harm };
        match self.attempt(conn) {
            (Gone::Well, true) => Gone::Well,
            // A statement that failed would not be counted.
            (Gone::Refused, true) if conn.changes().is_ok_and(|now| now == before) => Gone::Refused,
            (Gone::Harm, _) => Gone::Harm,
            _ => Gone::Halfway,
        }
    }

    /// Carries the write out in a part of the transaction, of which nothing is left if it is refused.
    fn join(&mut self, conn: &mut Conn) -> Gone {
        let mut is_intact = true;
        self.run(conn, |conn, work, _| conn.part(work, &mut is_intact));
        if is_intact { self.gone() } else { Gone::Harm }
    }

    /// Carries the write out in a transaction of its own.
    fn alone(&mut self, conn: &mut Conn) {
        self.run(conn, |conn, work, operation| insist(operation, || conn.write(work)));
    }

    /// Ends it with an error.
    fn fail(&mut self, error: StoreError) {
        self.ended = Some(Err(error.into()));
    }

    /// Tells whoever waits for it.
    fn answer(self) {
        let Some(ended) = self.ended else { return };
        if ended.is_ok() {
            // Said here, since whoever asked may not wait for the answer any more.
            (self.committed)();
        }
        drop(self.turn);
        let _ = self.waits.send(ended);
    }
}

impl Together {
    /// Nothing waits yet.
    pub fn new(
        connections: Arc<Kept>,
        turns: Arc<Turns>,
        limit: Option<Duration>,
        patience: Duration,
    ) -> Arc<Self> {
        let (careful, state) = (AtomicU32::new(0), Mutex::default());
        Arc::new(Self { connections, turns, limit, patience, careful, state })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries a write out, together with others; `committed` is called after its commit. One that
    /// has not begun when whoever asked for it has gone is not carried out.
    ///
    /// # Errors
    /// What `work` says, or the store, or that others took too long.
    pub async fn write(
        self: &Arc<Self>,
        turn: Turn,
        (operation, is_apart): (&'static str, bool),
        work: Writing,
        committed: Committed,
    ) -> Ended {
        let (waits, mut coming) = oneshot::channel();
        let (limit, claimed) = (self.limit, Claim::default());
        let waiting = Waiting(claimed.clone());
        let tenant = turn.tenant().clone();
        let job =
            Job { operation, is_apart, work, committed, turn, limit, claimed, ended: None, waits };
        let is_led = {
            let mut state = self.state();
            state.add(&tenant, job);
            std::mem::replace(&mut state.is_led, true)
        };
        if !is_led {
            let leader = Leader::new(self.clone());
            tokio::task::spawn_blocking(move || leader.lead());
        }
        let ended = match tokio::time::timeout(self.patience, &mut coming).await {
            Err(_) if waiting.0.take() => {
                self.turns.count_late();
                return Err(StoreError::Busy.into());
            }
            // It has begun, so that it comes to an end.
            Err(_) => coming.await,
            Ok(ended) => ended,
        };
        ended.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    fn next(&self) -> Option<Job> {
        self.state().next()
    }

    /// Whether the next transaction is to be made of parts.
    fn is_careful(&self) -> bool {
        let fewer = |left: u32| left.checked_sub(1);
        self.careful.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok()
    }

    /// One transaction, of the first write and of those that have come meanwhile. Gives one that is to
    /// begin the next.
    fn transact(&self, mut first: Job) -> Option<Job> {
        let mut taken = match self.connections.take() {
            Ok(taken) => taken,
            Err(error) => {
                first.fail(error);
                first.answer();
                return None;
            }
        };
        if let Err(error) = taken.conn.begin_write() {
            first.fail(error.into());
            self.connections.give_back(taken, first.error());
            first.answer();
            return None;
        }
        let begun = Instant::now();
        match first.begin(&mut taken.conn) {
            Gone::Well => {}
            Gone::Refused => {
                taken.conn.roll_back();
                self.connections.give_back(taken, first.error());
                first.answer();
                return None;
            }
            Gone::InTheWay | Gone::Halfway | Gone::Harm => {
                // Closing it rolls back whatever it is in the middle of.
                drop(taken);
                self.alone(first);
                return None;
            }
        }
        let (mut jobs, mut again, mut is_intact) = (vec![first], Vec::new(), true);
        let mut next = None;
        let mut is_careful = self.is_careful();
        // What was rolled back.
        let mut undone = VecDeque::new();
        while is_intact {
            let mut job = if let Some(job) = undone.pop_front() {
                job
            } else {
                let has_room = jobs.len() < MOST as usize && begun.elapsed() < LONGEST;
                let Some(job) = has_room.then(|| self.next()).flatten() else { break };
                if job.is_apart {
                    next = Some(job);
                    break;
                }
                job
            };
            let conn = &mut taken.conn;
            match if is_careful { job.join(conn) } else { job.add(conn) } {
                Gone::InTheWay => again.push(job),
                Gone::Halfway => {
                    self.careful.store(CAREFUL, Ordering::Relaxed);
                    is_careful = true;
                    undone = jobs.drain(..).chain([job]).collect();
                    conn.roll_back();
                    if let Err(error) = conn.begin_write() {
                        // Another process has the lock, and nothing is left of any of them.
                        self.connections.give_back(taken, Some(&error.into()));
                        for mut job in undone {
                            job.fail(StoreError::Busy);
                            job.answer();
                        }
                        return None;
                    }
                }
                gone => {
                    is_intact = gone != Gone::Harm;
                    jobs.push(job);
                }
            }
        }
        jobs.extend(undone);
        if is_intact && taken.conn.commit().is_ok() {
            self.connections.give_back(taken, None);
            for job in jobs {
                job.answer();
            }
        } else {
            drop(taken);
            again.splice(0..0, jobs);
        }
        for job in again {
            self.alone(job);
        }
        next
    }

    /// One write, in a transaction of its own.
    fn alone(&self, mut job: Job) {
        match self.connections.take() {
            Ok(mut taken) => {
                job.alone(&mut taken.conn);
                self.connections.give_back(taken, job.error());
            }
            Err(error) => job.fail(error),
        }
        job.answer();
    }
}

/// Whoever carries out what waits. However it ends, what waits still is carried out by another one.
struct Leader {
    together: Arc<Together>,
    is_done: bool,
}

impl Leader {
    fn new(together: Arc<Together>) -> Self {
        Self { together, is_done: false }
    }

    /// Carries out what waits, until nothing does.
    fn lead(mut self) {
        let mut next = None;
        loop {
            let first = next.take().or_else(|| {
                let mut state = self.together.state();
                let first = state.next();
                state.is_led = first.is_some();
                first
            });
            let Some(first) = first else { break };
            // Whoever waits for what is lost hears so, and the rest is carried out.
            match catch_unwind(AssertUnwindSafe(|| self.together.transact(first))) {
                Ok(pending) => next = pending,
                Err(_) => log::error!("a thread that writes panicked"),
            }
        }
        self.is_done = true;
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if self.is_done {
            return;
        }
        // It has not begun, since its runtime is gone or has no thread for it.
        let together = self.together.clone();
        let begun = std::thread::Builder::new().spawn(move || Self::new(together).lead());
        if let Err(error) = begun {
            log::error!("there is no thread to write with: {error}");
            let abandoned = {
                let mut state = self.together.state();
                state.is_led = false;
                std::mem::take(&mut state.waiting)
            };
            drop(abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use diesel::prelude::*;
    use diesel::result::Error as DieselError;
    use diesel::sql_types::BigInt;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::db::connection::changed_meanwhile;
    use crate::db::pool::Limits;
    use crate::db::{DatabaseUrl, Db, MayBeStore};

    /// A store with a table, whose first write waits until it is let go.
    struct Store {
        db: Db,
        folder: tempfile::TempDir,
    }

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        number: i64,
    }

    fn insert(conn: &mut Conn, number: i64) -> Result<i64, StoreError> {
        let insert = diesel::sql_query("INSERT INTO t VALUES (?)").bind::<BigInt, _>(number);
        insert.execute(conn)?;
        Ok(number)
    }

    /// Polls each once, so that all have their place in the line.
    async fn line_up<F: Future>(others: &mut [std::pin::Pin<Box<F>>]) {
        futures_util::future::poll_fn(|context| {
            for other in &mut *others {
                assert!(other.as_mut().poll(context).is_pending());
            }
            std::task::Poll::Ready(())
        })
        .await;
    }

    impl Store {
        async fn new() -> Self {
            Self::with_patience(Duration::from_hours(1)).await
        }

        async fn with_patience(patience: Duration) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let url = DatabaseUrl::Sqlite(folder.path().join("muster.db"));
            let db = Db::with_limits(url, 2, Limits { patience, ..Limits::NONE });
            db.write("make", |conn| {
                diesel::sql_query("CREATE TABLE t (number BIGINT PRIMARY KEY)").execute(conn)?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
            Self { db, folder }
        }

        /// A write that lasts until the sender says something.
        fn hold(&self, number: i64) -> (Sender<()>, impl Future<Output = Result<i64, StoreError>>) {
            self.holding(move |conn| insert(conn, number))
        }

        /// A write that does not begin before the sender says something.
        fn holding<T: Send + 'static>(
            &self,
            work: impl Fn(&mut Conn) -> Result<T, StoreError> + Send + 'static,
        ) -> (Sender<()>, impl Future<Output = Result<T, StoreError>>) {
            let (go, held): (_, Receiver<()>) = channel();
            let held = Mutex::new(Some(held));
            let write = self.db.write("hold", move |conn| {
                if let Some(held) = held.lock().unwrap().take() {
                    held.recv().unwrap();
                }
                work(conn)
            });
            (go, write)
        }

        /// Tells how many numbers are committed, whoever is in the middle of a transaction.
        fn committed(&self) -> impl Fn() -> i64 + Send + Clone + 'static {
            let file = self.folder.path().join("muster.db").display().to_string();
            move || {
                let mut conn = SqliteConnection::establish(&file).unwrap();
                let count = diesel::sql_query("SELECT COUNT(*) AS number FROM t");
                count.get_result::<Row>(&mut conn).unwrap().number
            }
        }

        async fn numbers(&self) -> Vec<i64> {
            let rows = self.db.read(|conn| {
                let rows: Vec<Row> =
                    diesel::sql_query("SELECT number FROM t ORDER BY number").load(conn)?;
                Ok::<_, StoreError>(rows)
            });
            rows.await.unwrap().into_iter().map(|row| row.number).collect()
        }
    }

    /// Lets `others` come while a write is under way, and gives what came of each.
    async fn meanwhile<F: Future>(store: &Store, others: Vec<F>) -> Vec<F::Output> {
        let (held, others) = beside(store.hold(0), others).await;
        assert_eq!(held.unwrap(), 0);
        others
    }

    /// Lets `others` come while a write is held, and gives what came of it and of each.
    async fn beside<T, F: Future>(
        (go, held): (Sender<()>, impl Future<Output = T>),
        others: Vec<F>,
    ) -> (T, Vec<F::Output>) {
        let others = async {
            let mut others: Vec<_> = others.into_iter().map(Box::pin).collect();
            line_up(&mut others).await;
            go.send(()).unwrap();
            join_all(others).await
        };
        futures_util::future::join(held, others).await
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_committed_together() {
        let store = Store::new().await;
        let write = |number| {
            let committed = store.committed();
            store.db.write("join", move |conn| insert(conn, number).map(|_| committed()))
        };
        let found = meanwhile(&store, (1..=40).map(write).collect()).await;
        assert!(found.into_iter().all(|before| before.unwrap() == 0));
        assert_eq!(store.numbers().await, (0..=40).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn who_is_refused_takes_nobody_along() {
        let store = Store::new().await;
        let write = |number| {
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                if number % 2 == 0 {
                    Err(StoreError::from(DieselError::NotFound))
                } else {
                    Ok(number)
                }
            })
        };
        let found = meanwhile(&store, (1..=6).map(write).collect()).await;
        let well: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, true, false, true, false]);
        assert_eq!(store.numbers().await, [0, 1, 3, 5]);
    }

    /// A refusal that is no fault of the store's.
    #[derive(Debug)]
    struct No;

    impl From<StoreError> for No {
        fn from(_: StoreError) -> Self {
            Self
        }
    }

    impl From<DieselError> for No {
        fn from(_: DieselError) -> Self {
            Self
        }
    }

    impl MayBeStore for No {
        fn or_store(self) -> Result<StoreError, Self> {
            Err(self)
        }
    }

    /// The numbers that are written while another write is under way, in the order in which they are:
    /// 2 is refused, `halfway` after it was written or before.
    async fn written_beside_a_refusal(halfway: bool) -> Vec<i64> {
        let store = Store::new().await;
        let runs = Arc::new(Mutex::new(Vec::new()));
        let write = |number| {
            let (runs, committed) = (runs.clone(), store.committed());
            store.db.write("join", move |conn| {
                runs.lock().unwrap().push(number);
                if number == 2 && !halfway {
                    return Err(No);
                }
                insert(conn, number)?;
                if number == 2 { Err(No) } else { Ok(committed()) }
            })
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        assert!(found[1].is_err());
        assert!([&found[0], &found[2]].iter().all(|found| matches!(found, Ok(0))), "{found:?}");
        assert_eq!(store.numbers().await, [0, 1, 3]);
        // In what comes next each write has a part of its own, so that none is done twice.
        runs.lock().unwrap().push(0);
        let write = |number| {
            let runs = runs.clone();
            store.db.write("join", move |conn| {
                runs.lock().unwrap().push(number);
                insert(conn, number)?;
                if number == 5 { Err(No) } else { Ok(()) }
            })
        };
        let (held, found) = beside(store.hold(10), (4..=6).map(write).collect()).await;
        assert_eq!(held.unwrap(), 10);
        let well: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, true]);
        assert_eq!(store.numbers().await, [0, 1, 3, 4, 6, 10]);
        let runs = runs.lock().unwrap();
        runs.clone()
    }

    #[tokio::test]
    async fn who_is_refused_halfway_is_told_apart_from_the_others() {
        let runs = written_beside_a_refusal(true).await;
        assert_eq!(runs, [1, 2, 1, 2, 3, 0, 4, 5, 6], "all of it once more, each by itself");
    }

    #[tokio::test]
    async fn who_is_refused_before_it_has_written_costs_the_others_nothing() {
        let runs = written_beside_a_refusal(false).await;
        assert_eq!(runs, [1, 2, 3, 0, 4, 5, 4, 5, 6]);
    }

    #[tokio::test]
    async fn a_first_one_that_is_refused_leaves_nothing_behind() {
        let store = Store::new().await;
        let refused = store.db.write("refused", |conn| {
            insert(conn, 1)?;
            Err::<(), StoreError>(DieselError::NotFound.into())
        });
        assert!(matches!(refused.await, Err(StoreError::Database(DieselError::NotFound))));
        assert_eq!(store.numbers().await, [0; 0]);
        store.db.write("another", |conn| insert(conn, 2)).await.unwrap();
        assert_eq!(store.numbers().await, [2]);
    }

    #[tokio::test]
    async fn who_does_harm_to_the_whole_does_it_alone() {
        let store = Store::new().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let write = |number| {
            let runs = runs.clone();
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                if number == 2 {
                    // As SQLite itself does where its disk is full.
                    diesel::sql_query("ROLLBACK").execute(conn)?;
                    runs.fetch_add(1, Ordering::Relaxed);
                    return Err(StoreError::from(DieselError::RollbackTransaction));
                }
                Ok(number)
            })
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        let well: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, true]);
        assert_eq!(runs.load(Ordering::Relaxed), 3, "together, by itself, and once more alone");
        assert_eq!(store.numbers().await, [0, 1, 3]);
    }

    #[tokio::test]
    async fn who_says_nothing_of_the_harm_it_does_takes_nobody_along() {
        let store = Store::new().await;
        let write = |number| {
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                if number == 2 {
                    // As SQLite itself does for some errors; this one comes with another.
                    diesel::sql_query("ROLLBACK").execute(conn)?;
                    let _ = diesel::sql_query("INSERT INTO nowhere VALUES (1)").execute(conn);
                }
                Ok::<_, StoreError>(number)
            })
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        let well: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, false, true], "{found:?}");
        assert_eq!(store.numbers().await, [0, 1, 3]);
    }

    #[tokio::test]
    async fn nobody_joins_a_first_one_that_says_nothing_of_the_harm_it_does() {
        let store = Store::new().await;
        let first = store.holding(|conn| {
            insert(conn, 1)?;
            diesel::sql_query("ROLLBACK").execute(conn)?;
            let _ = diesel::sql_query("INSERT INTO nowhere VALUES (1)").execute(conn);
            Ok::<_, StoreError>(())
        });
        let write = |number| store.db.write("join", move |conn| insert(conn, number));
        let (first, others) = beside(first, vec![write(2), write(3)]).await;
        assert!(first.is_err());
        assert!(others.iter().all(Result::is_ok), "{others:?}");
        assert_eq!(store.numbers().await, [2, 3]);
    }

    #[tokio::test]
    async fn what_was_rolled_back_is_carried_out_whoever_does_harm_then() {
        let store = Store::new().await;
        let runs = Arc::new(AtomicUsize::new(0));
        let write = |number| {
            let runs = runs.clone();
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                // The first one fails the second time, when the third has made all begin again.
                assert!(number != 1 || runs.fetch_add(1, Ordering::Relaxed) != 1, "a fault");
                if number == 3 { Err(No) } else { Ok(()) }
            })
        };
        let found = meanwhile(&store, (1..=4).map(write).collect()).await;
        let well: Vec<bool> = found.iter().map(Result::is_ok).collect();
        assert_eq!(well, [true, true, false, true]);
        assert_eq!(runs.load(Ordering::Relaxed), 3, "together, in a part, and alone");
        assert_eq!(store.numbers().await, [0, 1, 2, 4]);
    }

    #[tokio::test]
    async fn who_panics_takes_nobody_along() {
        let store = Store::new().await;
        let write = |number| {
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                assert!(number != 2, "a fault of the program");
                Ok::<_, StoreError>(number)
            })
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        assert!(matches!(found[1], Err(StoreError::Panicked)), "{:?}", found[1]);
        assert!(found[0].is_ok() && found[2].is_ok());
        assert_eq!(store.numbers().await, [0, 1, 3]);
    }

    /// What is carried out as the first of its transaction is noted in the order in which it was.
    #[tokio::test]
    async fn one_tenant_does_not_wait_for_all_that_another_has_to_do() {
        let store = Store::new().await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let write = |(tenant, number): (&str, i64)| {
            let order = order.clone();
            let db = store.db.of(tenant);
            async move {
                let write = db.write("join", move |conn| {
                    order.lock().unwrap().push(number);
                    insert(conn, number)
                });
                write.await
            }
        };
        let asked = [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)];
        let found = meanwhile(&store, asked.into_iter().map(write).collect()).await;
        assert!(found.iter().all(Result::is_ok));
        assert_eq!(*order.lock().unwrap(), [1, 4, 6, 2, 5, 3]);
    }

    #[tokio::test]
    async fn what_may_take_long_begins_a_transaction_of_its_own() {
        let store = Store::new().await;
        let write = |number| {
            let (db, committed) = (store.db.large(number == 2), store.committed());
            async move { db.write("join", move |conn| insert(conn, number).map(|_| committed())).await }
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        let before: Vec<i64> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(before, [0, 2, 2]);
        assert_eq!(store.numbers().await, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn who_met_another_in_its_way_is_carried_out_again_by_itself() {
        let store = Store::new().await;
        let runs = Arc::new(Mutex::new(Vec::new()));
        let write = |number| {
            let (runs, committed) = (runs.clone(), store.committed());
            store.db.write("join", move |conn| {
                insert(conn, number)?;
                let so_far = {
                    let mut runs = runs.lock().unwrap();
                    runs.push(number);
                    runs.iter().filter(|run| **run == number).count()
                };
                if number == 2 && so_far < 3 {
                    return Err(changed_meanwhile().into());
                }
                Ok::<_, StoreError>(committed())
            })
        };
        let found = meanwhile(&store, (1..=3).map(write).collect()).await;
        let before: Vec<i64> = found.into_iter().map(Result::unwrap).collect();
        assert_eq!(before, [0, 3, 0]);
        assert_eq!(*runs.lock().unwrap(), [1, 2, 1, 2, 3, 2]);
        assert_eq!(store.numbers().await, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn what_waits_too_long_is_given_up_and_not_carried_out() {
        // The other writes have no more of it, and are to be in time.
        let store = Store::with_patience(Duration::from_secs(2)).await;
        let (go, held) = store.hold(0);
        let late = async {
            let late = store.db.write("late", |conn| insert(conn, 1)).await;
            go.send(()).unwrap();
            late
        };
        let (held, late) = futures_util::future::join(held, late).await;
        assert_eq!(held.unwrap(), 0, "what has begun comes to an end, however long it takes");
        assert!(matches!(late, Err(StoreError::Busy)), "{late:?}");
        store.db.write("another", |conn| insert(conn, 2)).await.unwrap();
        assert_eq!(store.numbers().await, [0, 2]);
        let [_, (_, load)] = store.db.load();
        assert_eq!((load.late, load.in_use), (1, 0));
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_begun() {
        let store = Store::new().await;
        let (go, held) = store.hold(0);
        let gone = async {
            let mut gone = [Box::pin(store.db.write("gone", |conn| insert(conn, 1)))];
            line_up(&mut gone).await;
            drop(gone);
            go.send(()).unwrap();
        };
        let (held, ()) = futures_util::future::join(held, gone).await;
        assert_eq!(held.unwrap(), 0);
        store.db.write("another", |conn| insert(conn, 2)).await.unwrap();
        assert_eq!(store.numbers().await, [0, 2]);
    }

    #[tokio::test]
    async fn a_commit_is_told_of_once_it_is_done() {
        let store = Store::new().await;
        let mut commits = store.db.commits();
        commits.mark_unchanged();
        let refused = store.db.write("refused", |_| Err::<(), _>(StoreError::Busy));
        assert!(refused.await.is_err());
        assert!(!commits.has_changed().unwrap());
        store.db.write("done", |conn| insert(conn, 1)).await.unwrap();
        assert!(commits.has_changed().unwrap());
    }
}
