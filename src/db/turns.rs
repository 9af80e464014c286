//! Turns at the database: so many pieces of work at a time, a line of bounded length for the others,
//! and of both no more than a share for one tenant, so that nobody can keep everybody else out.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

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
    line: VecDeque<(u64, oneshot::Sender<Turn>)>,
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
        let (mut place, mut coming) = {
            let mut state = self.lock();
            let queue = state.tenants.entry(tenant.clone()).or_default();
            let has_share = tenant.is_some() && queue.line.len() >= self.longest.div_ceil(2);
            let at_once = queue.line.is_empty() && self.may_take(tenant, queue);
            if at_once && state.load.in_use < self.size {
                return Ok(self.grant(&mut state, tenant));
            }
            if state.load.waiting >= self.longest || has_share {
                state.forget(tenant);
                // Who is the cause is told so, even where the line is full.
                state.load.full += u64::from(!has_share);
                state.load.share += u64::from(has_share);
                return Err(if has_share { NoTurn::Share } else { NoTurn::Full });
            }
            let (sender, coming) = oneshot::channel();
            state.count += 1;
            state.load.waiting += 1;
            let id = state.count;
            let queue = state.tenants.entry(tenant.clone()).or_default();
            queue.line.push_back((id, sender));
            (Place { turns: self, tenant, id: Some(id) }, coming)
        };
        if let Ok(Ok(turn)) = tokio::time::timeout(patience, &mut coming).await {
            place.id = None;
            return Ok(turn);
        }
        self.count_late();
        Err(NoTurn::Late)
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
    /// got none for longest.
    fn take_back(self: &Arc<Self>, tenant: &Tenant) {
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
            let Some((_, sender)) = first else { break };
            state.load.waiting -= 1;
            let turn = self.grant(&mut state, &next);
            if let Err(mut unwanted) = sender.send(turn) {
                // It must not come back here by itself while the state is locked.
                unwanted.home = None;
                state.give_back(&next);
                state.forget(&next);
            }
        }
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
            home.take_back(&self.tenant);
        }
    }
}

/// A place in the line, which is left when the request is given up.
struct Place<'a> {
    turns: &'a Turns,
    tenant: &'a Tenant,
    /// None once the turn has come.
    id: Option<u64>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.turns.lock();
        let Some(queue) = state.tenants.get_mut(self.tenant) else { return };
        let before = queue.line.len();
        queue.line.retain(|(other, _)| *other != id);
        // A turn that came at the very last moment has left the line already.
        let left = before - queue.line.len();
        state.load.waiting -= left;
        state.forget(self.tenant);
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
}
