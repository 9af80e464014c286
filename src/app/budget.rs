//! What requests under way may use together of something that there is not enough of for all who
//! might ask, such as memory for bodies; and how much of it one tenant may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Why nothing of it can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The tenant has its share already, by other requests.
    Share,
    /// Nothing is left for the moment.
    All,
    /// There will never be so much.
    TooMuch,
}

/// An amount that is shared out.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    share: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    in_all: usize,
    by: HashMap<String, usize>,
}

/// What a request uses, until it is dropped.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    tenant: Option<String>,
    amount: usize,
}

impl Budget {
    /// So much in all, and so much for the requests of a tenant together.
    pub fn new(total: usize, share: usize) -> Arc<Self> {
        Arc::new(Self { total, share, used: Mutex::default() })
    }

    /// How much is in use.
    pub fn in_use(&self) -> usize {
        self.lock().in_all
    }

    /// Begins to use something for a tenant; nothing yet.
    pub fn begin(self: &Arc<Self>, tenant: Option<&str>) -> Held {
        Held { budget: self.clone(), tenant: tenant.map(str::to_owned), amount: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Nothing in here panics halfway.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Uses that much more. What a request needs by itself it gets if it is there, share or not.
    ///
    /// # Errors
    /// It is not to be had; what is held is held on to.
    pub fn take(&mut self, more: usize) -> Result<(), Spent> {
        let budget = &self.budget;
        // Whoever is alone leaves something for those who come.
        let most =
            if self.tenant.is_some() { budget.total - budget.total / 8 } else { budget.total };
        if self.amount.saturating_add(more) > most {
            return Err(Spent::TooMuch);
        }
        let mut used = budget.lock();
        if let Some(tenant) = &self.tenant {
            let of_tenant = used.by.get(tenant).copied().unwrap_or(0);
            let is_alone = of_tenant <= self.amount;
            if !is_alone && of_tenant.saturating_add(more) > budget.share {
                return Err(Spent::Share);
            }
        }
        if used.in_all.saturating_add(more) > budget.total {
            return Err(Spent::All);
        }
        used.in_all += more;
        if let Some(tenant) = &self.tenant {
            *used.by.entry(tenant.clone()).or_default() += more;
        }
        self.amount += more;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.budget.lock();
        used.in_all = used.in_all.saturating_sub(self.amount);
        let Some(tenant) = &self.tenant else { return };
        let left = used.by.get(tenant).copied().unwrap_or(0).saturating_sub(self.amount);
        if left == 0 {
            used.by.remove(tenant);
        } else {
            used.by.insert(tenant.clone(), left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_others_the_rest() {
        let budget = Budget::new(10, 5);
        let mut first = budget.begin(Some("a"));
        assert_eq!(first.take(3), Ok(()));
        let mut second = budget.begin(Some("a"));
        assert_eq!(second.take(3), Err(Spent::Share));
        assert_eq!(second.take(2), Ok(()));
        assert_eq!(first.take(1), Err(Spent::Share), "others of the tenant are under way");
        let mut other = budget.begin(Some("b"));
        assert_eq!(other.take(6), Err(Spent::All));
        assert_eq!(other.take(11), Err(Spent::TooMuch));
        assert_eq!(other.take(5), Ok(()));
        assert_eq!(budget.begin(None).take(1), Err(Spent::All));
        assert_eq!(budget.in_use(), 10);
        drop((first, second, other));
        assert_eq!(budget.in_use(), 0);
        assert!(budget.lock().by.is_empty());
    }

    #[test]
    fn one_request_alone_leaves_something_for_the_others() {
        let budget = Budget::new(16, 8);
        let mut alone = budget.begin(Some("a"));
        assert_eq!(alone.take(4), Ok(()));
        assert_eq!(alone.take(10), Ok(()), "more than its share");
        assert_eq!(alone.take(1), Err(Spent::TooMuch));
        assert_eq!(budget.begin(Some("b")).take(2), Ok(()));
    }
}
