//! Turns at the database: so many pieces of work at a time, a line of bounded length for the others,
//! and of both no more than a share for one tenant, so that nobody can keep everybody else out.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

/// Jobs that a thread does, one after the other, before it goes back.
const MOST: usize = 256;

/// Whose work it is; none for what belongs to no tenant, such as the look at a token.
pub type Tenant = Option<Arc<str>>;

/// Why there is no turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoTurn {
    /// The line is full.
    Full,
    /// The tenant has its share of the line already.
    Share,
    /// The turn did not come in time.
    Late,
}

/// How busy the database is, and how often there was no turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Turns that are taken.
    pub in_use: usize,
    /// Work that waits for a turn.
    pub waiting: usize,
    /// How often the line was full.
    pub full: u64,
    /// How often a tenant had its share of the line already.
    pub share: u64,
    /// How often a turn did not come in time.
    pub late: u64,
    /// How often work was ended because it took too long.
    pub slow: u64,
}

/// The turns at one pool of connections.
#[derive(Debug)]
pub struct Turns {
    /// How many there are.
    size: usize,
    /// How much work may wait.
    longest: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    load: Load,
    /// Those that hold a turn or wait for one.
    tenants: HashMap<Tenant, Queue>,
    /// Numbers what comes, and who was served.
    count: u64,
}

#[derive(Debug, Default)]
struct Queue {
    in_use: usize,
    /// When the tenant last got a turn.
    served: u64,
    line: VecDeque<(u64, Waiting)>,
}

/// Work that is done in a turn. What it returns is called once the turn is over, to tell whoever waits.
pub type Job = Box<dyn FnOnce(&Turn) -> Answer + Send>;
/// Tells how a job has gone.
pub type Answer = Box<dyn FnOnce() + Send>;

/// What waits for a turn.
enum Waiting {
    /// Somebody who uses it elsewhere.
    Somebody(oneshot::Sender<Turn>),
    /// Work for the thread that has just done other work.
    Job(Job),
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Somebody(_) => "Somebody",
            Self::Job(_) => "Job",
        })
    }
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    tenant: Tenant,
    /// None once it has been taken back.
    home: Option<Arc<Turns>>,
}

impl Turns {
    /// So many turns, for which so much work may wait.
    pub fn new(size: u32, longest: usize) -> Arc<Self> {
        let size = usize::try_from(size).unwrap_or(1).max(1);
        Arc::new(Self { size, longest, state: Mutex::default() })
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        self.lock().load
    }

    /// A turn, if there is one that nobody waits for.
    pub fn at_once(self: &Arc<Self>, tenant: &Tenant) -> Option<Turn> {
        let mut state = self.lock();
        let is_free = state.load.in_use < self.size
            && state
                .tenants
                .get(tenant)
                .is_none_or(|queue| queue.line.is_empty() && self.may_take(tenant, queue));
        is_free.then(|| self.grant(&mut state, tenant))
    }

    /// The next turn, waited for no longer than `patience`.
    ///
    /// # Errors
    /// There is none; see [`NoTurn`].
    pub async fn take(
        self: &Arc<Self>,
        tenant: &Tenant,
        patience: Duration,
    ) -> Result<Turn, NoTurn> {
        let (sender, mut coming) = oneshot::channel();
        let mut place = match self.stand_in_line(tenant, Waiting::Somebody(sender))? {
            Stands::HasTurn(turn, _) => return Ok(turn),
            Stands::InLine(place) => place,
        };
        if let Ok(Ok(turn)) = tokio::time::timeout(patience, &mut coming).await {
            place.id = None;
            return Ok(turn);
        }
        self.count_late();
        Err(NoTurn::Late)
    }

    /// Does the job in a turn, on a thread that may block. It is over when `coming` says so, which the
    /// job's answer makes it do; as long as it waits for its turn, no longer than `patience`, it can
    /// be given up, and is where this is dropped.
    ///
    /// A thread that has done a job goes on with the next one: to wake another one costs more than
    /// most jobs do.
    ///
    /// # Errors
    /// There is no turn; see [`NoTurn`].
    pub async fn carry_out<T>(
        self: &Arc<Self>,
        tenant: &Tenant,
        patience: Duration,
        job: Job,
        mut coming: oneshot::Receiver<T>,
    ) -> Result<Option<T>, NoTurn> {
        let place = match self.stand_in_line(tenant, Waiting::Job(job))? {
            Stands::HasTurn(turn, Waiting::Job(job)) => {
                tokio::task::spawn_blocking(move || work(turn, job));
                return Ok(coming.await.ok());
            }
            Stands::HasTurn(_, Waiting::Somebody(_)) => return Ok(None),
            Stands::InLine(place) => place,
        };
        if let Ok(done) = tokio::time::timeout(patience, &mut coming).await {
            return Ok(done.ok());
        }
        if place.leave() {
            self.count_late();
            return Err(NoTurn::Late);
        }
        // It has begun, so that it comes to an end.
        Ok(coming.await.ok())
    }

    /// A turn if there is one, or else a place in the line.
    fn stand_in_line<'a>(
        self: &'a Arc<Self>,
        tenant: &'a Tenant,
        waiting: Waiting,
    ) -> Result<Stands<'a>, NoTurn> {
        let mut state = self.lock();
        let queue = state.tenants.entry(tenant.clone()).or_default();
        let has_share = tenant.is_some() && queue.line.len() >= self.longest.div_ceil(2);
        let at_once = queue.line.is_empty() && self.may_take(tenant, queue);
        if at_once && state.load.in_use < self.size {
            return Ok(Stands::HasTurn(self.grant(&mut state, tenant), waiting));
        }
        if state.load.waiting >= self.longest || has_share {
            state.forget(tenant);
            // Who is the cause is told so, even where the line is full.
            state.load.full += u64::from(!has_share);
            state.load.share += u64::from(has_share);
            return Err(if has_share { NoTurn::Share } else { NoTurn::Full });
        }
        state.count += 1;
        state.load.waiting += 1;
        let id = state.count;
        let queue = state.tenants.entry(tenant.clone()).or_default();
        queue.line.push_back((id, waiting));
        Ok(Stands::InLine(Place { turns: self, tenant, id: Some(id) }))
    }

    /// Counts what was given up because others took too long.
    pub fn count_late(&self) {
        self.lock().load.late += 1;
    }

    /// Whether the tenant has less than its share of the turns: half, so that the other half is there
    /// for others however long the work of one may take.
    fn may_take(&self, tenant: &Tenant, queue: &Queue) -> bool {
        tenant.is_none() || queue.in_use < self.size.div_ceil(2)
    }

    fn grant(self: &Arc<Self>, state: &mut State, tenant: &Tenant) -> Turn {
        state.count += 1;
        state.load.in_use += 1;
        let served = state.count;
        let queue = state.tenants.entry(tenant.clone()).or_default();
        queue.in_use += 1;
        queue.served = served;
        Turn { tenant: tenant.clone(), home: Some(self.clone()) }
    }

    /// Takes a turn back, and gives it to whoever waits and has the fewest; of several to the one who
    /// got none for longest. Jobs that have a turn now are for the caller to do.
    fn take_back(self: &Arc<Self>, tenant: &Tenant) -> Vec<(Turn, Job)> {
        let mut jobs = Vec::new();
        let mut state = self.lock();
        state.give_back(tenant);
        state.forget(tenant);
        while state.load.in_use < self.size {
            let waiting = state
                .tenants
                .iter()
                .filter(|(tenant, queue)| !queue.line.is_empty() && self.may_take(tenant, queue));
            let next = waiting.min_by_key(|(_, queue)| (queue.in_use, queue.served));
            let Some(next) = next.map(|(tenant, _)| tenant.clone()) else { break };
            let first = state.tenants.get_mut(&next).and_then(|queue| queue.line.pop_front());
            let Some((_, first)) = first else { break };
            state.load.waiting -= 1;
            let turn = self.grant(&mut state, &next);
            match first {
                Waiting::Job(job) => jobs.push((turn, job)),
                Waiting::Somebody(sender) => {
                    if let Err(mut unwanted) = sender.send(turn) {
                        // It must not come back here by itself while the state is locked.
                        unwanted.home = None;
                        state.give_back(&next);
                        state.forget(&next);
                    }
                }
            }
        }
        jobs
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_back(&mut self, tenant: &Tenant) {
        self.load.in_use = self.load.in_use.saturating_sub(1);
        if let Some(queue) = self.tenants.get_mut(tenant) {
            queue.in_use = queue.in_use.saturating_sub(1);
        }
    }

    /// Keeps no tenant that neither holds a turn nor waits for one.
    fn forget(&mut self, tenant: &Tenant) {
        if self.tenants.get(tenant).is_some_and(|queue| queue.in_use == 0 && queue.line.is_empty())
        {
            self.tenants.remove(tenant);
        }
    }
}

impl Turn {
    /// Whose it is.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// Ends it; gives what is to be done by whoever had it.
    fn pass_on(mut self) -> Vec<(Turn, Job)> {
        self.home.take().map(|home| home.take_back(&self.tenant)).unwrap_or_default()
    }

    /// Counts work that was ended because it took too long.
    pub fn count_slow(&self) {
        if let Some(home) = &self.home {
            home.lock().load.slow += 1;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(home) = self.home.take() {
            for (turn, job) in home.take_back(&self.tenant) {
                elsewhere(turn, job);
            }
        }
    }
}

/// Does a job, and then those that wait for its turn, until none does.
fn work(turn: Turn, job: Job) {
    let mut next = Some((turn, job));
    for done in 1.. {
        let Some((turn, job)) = next else { return };
        // Whoever waits for one that panicked hears nothing, and makes of that what it is.
        let answer = catch_unwind(AssertUnwindSafe(|| job(&turn)));
        let mut jobs = turn.pass_on().into_iter();
        // Threads are shared with others, so that none is kept for ever.
        next = if done < MOST { jobs.next() } else { None };
        for (turn, job) in jobs {
            elsewhere(turn, job);
        }
        if let Ok(answer) = answer {
            answer();
        }
    }
}

/// Does a job on another thread.
fn elsewhere(turn: Turn, job: Job) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || work(turn, job))),
        Err(_) => drop(std::thread::spawn(move || work(turn, job))),
    }
}

/// Where somebody who asked for a turn stands.
enum Stands<'a> {
    HasTurn(Turn, Waiting),
    InLine(Place<'a>),
}

/// A place in the line, which is left when the request is given up.
struct Place<'a> {
    turns: &'a Turns,
    tenant: &'a Tenant,
    /// None once the turn has come.
    id: Option<u64>,
}

impl Place<'_> {
    /// Leaves it; whether it was there still.
    fn leave(mut self) -> bool {
        self.id.take().is_some_and(|id| self.leave_line(id))
    }

    fn leave_line(&self, id: u64) -> bool {
        let mut state = self.turns.lock();
        let Some(queue) = state.tenants.get_mut(self.tenant) else { return false };
        let found = queue.line.iter().position(|(other, _)| *other == id);
        // A turn that came at the very last moment has left the line already.
        let Some(left) = found.and_then(|position| queue.line.remove(position)) else {
            return false;
        };
        state.load.waiting -= 1;
        state.forget(self.tenant);
        drop(state);
        // What it holds may be anything.
        drop(left);
        true
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.leave_line(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_hours(1);

    fn tenant(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    fn now(turns: &Arc<Turns>, tenant: &Tenant) -> Option<Result<Turn, NoTurn>> {
        poll(pin!(turns.take(tenant, LONG)))
    }

    #[tokio::test]
    async fn one_tenant_takes_half_and_the_others_the_rest() {
        let turns = Turns::new(4, 10);
        let (a, b) = (Some(tenant("a")), Some(tenant("b")));
        let _first = now(&turns, &a).unwrap().unwrap();
        let _second = now(&turns, &a).unwrap().unwrap();
        assert!(now(&turns, &a).is_none(), "it waits, though there are turns");
        let _third = now(&turns, &b).unwrap().unwrap();
        let _fourth = now(&turns, &None).unwrap().unwrap();
        assert!(now(&turns, &b).is_none());
        assert_eq!(turns.load().in_use, 4);
        assert_eq!(turns.load().waiting, 0, "who gave up waits no more");
    }

    #[tokio::test]
    async fn who_waits_is_served_in_turn() {
        let turns = Turns::new(1, 10);
        let (a, b) = (Some(tenant("a")), Some(tenant("b")));
        let held = now(&turns, &a).unwrap().unwrap();
        let mut first = pin!(turns.take(&a, LONG));
        let mut second = pin!(turns.take(&a, LONG));
        let mut other = pin!(turns.take(&b, LONG));
        assert!(poll(first.as_mut()).is_none());
        assert!(poll(second.as_mut()).is_none());
        assert!(poll(other.as_mut()).is_none());
        drop(held);
        assert!(poll(first.as_mut()).is_none(), "the tenant has just had a turn");
        let held = poll(other.as_mut()).unwrap().unwrap();
        drop(held);
        assert!(poll(second.as_mut()).is_none());
        let held = poll(first.as_mut()).unwrap().unwrap();
        drop(held);
        drop(poll(second.as_mut()).unwrap().unwrap());
        assert_eq!(turns.load(), Load::default());
        assert!(turns.lock().tenants.is_empty());
    }

    #[tokio::test]
    async fn the_line_has_an_end_and_a_share_of_it() {
        let turns = Turns::new(1, 4);
        let (a, b) = (Some(tenant("a")), Some(tenant("b")));
        let held = now(&turns, &a).unwrap().unwrap();
        let mut waiting = Vec::new();
        for tenant in [&a, &a, &b, &None] {
            let mut place = Box::pin(turns.take(tenant, LONG));
            assert!(poll(place.as_mut()).is_none());
            if waiting.len() == 1 {
                assert_eq!(now(&turns, &a).unwrap().unwrap_err(), NoTurn::Share);
            }
            waiting.push(place);
        }
        assert_eq!(now(&turns, &b).unwrap().unwrap_err(), NoTurn::Full);
        assert_eq!(now(&turns, &None).unwrap().unwrap_err(), NoTurn::Full);
        let load = turns.load();
        assert_eq!((load.waiting, load.full, load.share), (4, 2, 1));
        // Turns that nobody waits for any more are not lost.
        drop(waiting);
        drop(held);
        assert_eq!(turns.load().in_use, 0);
        drop(now(&turns, &b).unwrap().unwrap());
    }

    #[tokio::test]
    async fn patience_ends() {
        let turns = Turns::new(1, 4);
        let _held = now(&turns, &None).unwrap().unwrap();
        let late = turns.take(&Some(tenant("a")), Duration::ZERO).await;
        assert_eq!(late.unwrap_err(), NoTurn::Late);
        assert_eq!((turns.load().waiting, turns.load().late), (0, 1));
    }

    #[tokio::test]
    async fn a_turn_that_came_too_late_goes_to_the_next() {
        let turns = Turns::new(1, 4);
        let held = now(&turns, &None).unwrap().unwrap();
        let (a, b) = (Some(tenant("a")), Some(tenant("b")));
        let mut gone = Box::pin(turns.take(&a, LONG));
        let mut next = pin!(turns.take(&b, LONG));
        assert!(poll(gone.as_mut()).is_none());
        assert!(poll(next.as_mut()).is_none());
        drop(held);
        drop(gone);
        drop(poll(next.as_mut()).unwrap().unwrap());
        assert_eq!(turns.load().in_use, 0);
    }

    /// A job that says in which thread it was done, once it may.
    fn job<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> (Job, oneshot::Receiver<T>) {
        let (answer, coming) = oneshot::channel();
        let job: Job = Box::new(move |_| {
            let done = work();
            Box::new(move || drop(answer.send(done)))
        });
        (job, coming)
    }

    /// Lets a job hold the one turn until the sender says something.
    fn held(
        turns: &Arc<Turns>,
    ) -> (std::sync::mpsc::Sender<()>, impl Future<Output = Option<std::thread::ThreadId>>) {
        let (go, held) = std::sync::mpsc::channel();
        let (job, coming) = job(move || {
            // An error is a release too.
            let _ = held.recv();
            std::thread::current().id()
        });
        let turns = turns.clone();
        (go, async move { turns.carry_out(&None, LONG, job, coming).await.unwrap() })
    }

    #[tokio::test]
    async fn a_thread_goes_on_with_the_next_job() {
        let turns = Turns::new(1, 10);
        let (go, first) = held(&turns);
        let mut first = pin!(first);
        assert!(poll(first.as_mut()).is_none());
        let (job, coming) = job(|| std::thread::current().id());
        let mut second = pin!(turns.carry_out(&None, LONG, job, coming));
        assert!(poll(second.as_mut()).is_none());
        assert_eq!(turns.load().waiting, 1);
        go.send(()).unwrap();
        let (first, second) = futures_util::future::join(first, second).await;
        assert_eq!(first, second.unwrap());
        assert_eq!(turns.load(), Load::default());
    }

    #[tokio::test]
    async fn jobs_that_are_given_up_are_not_done() {
        let turns = Turns::new(1, 10);
        let (go, first) = held(&turns);
        let mut first = pin!(first);
        assert!(poll(first.as_mut()).is_none());
        let (dropped, coming) = job(|| panic!("it is done"));
        let mut gone = Box::pin(turns.carry_out(&None, LONG, dropped, coming));
        assert!(poll(gone.as_mut()).is_none());
        drop(gone);
        let (job, coming) = job(|| panic!("it is done"));
        let late: Result<Option<()>, NoTurn> =
            turns.carry_out(&None, Duration::ZERO, job, coming).await;
        assert_eq!(late.unwrap_err(), NoTurn::Late);
        assert_eq!((turns.load().waiting, turns.load().late), (0, 1));
        go.send(()).unwrap();
        assert!(first.await.is_some());
        assert_eq!(turns.load().in_use, 0);
    }

    #[tokio::test]
    async fn a_job_that_panics_gives_its_turn_to_the_next() {
        let turns = Turns::new(1, 10);
        let (go, first) = held(&turns);
        let mut first = pin!(first);
        assert!(poll(first.as_mut()).is_none());
        let (bad, coming) = job(|| -> u8 { panic!("as it is meant to") });
        let mut second = pin!(turns.carry_out(&None, LONG, bad, coming));
        assert!(poll(second.as_mut()).is_none());
        let (good, coming) = job(|| 3_u8);
        let mut third = pin!(turns.carry_out(&None, LONG, good, coming));
        assert!(poll(third.as_mut()).is_none());
        go.send(()).unwrap();
        assert!(first.await.is_some());
        assert_eq!(second.await.unwrap(), None);
        assert_eq!(third.await.unwrap(), Some(3));
        assert_eq!(turns.load(), Load::default());
    }
}
