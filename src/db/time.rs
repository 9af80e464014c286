//! How long one piece of work may keep the database busy.
//!
//! PostgreSQL ends a statement by itself. SQLite runs on the thread that asks it, so a search that
//! looks at every row asks at each of them whether there is time left: the condition
//! `muster_in_time()` fails once there is none.

use std::cell::Cell;
use std::time::{Duration, Instant};

use diesel::serialize::{IsNull, Output, Result as Serialized, ToSql};
use diesel::sql_types::Bool;
use diesel::sqlite::Sqlite;

thread_local! {
    /// When the work that runs on this thread has to be done.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work` on this thread; for as long [`is_up`] tells whether it takes too long.
pub(super) fn within<T>(limit: Option<Duration>, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<Instant>);
    impl Drop for Reset {
        fn drop(&mut self) {
            DEADLINE.set(self.0);
        }
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let _reset = Reset(DEADLINE.replace(deadline));
    work()
}

/// Whether the work that runs on this thread has used up its time.
pub fn is_up() -> bool {
    DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)
}

/// What `muster_in_time()` returns on SQLite: true, or an error that ends the statement.
#[derive(Debug)]
pub(super) struct InTime;

impl ToSql<Bool, Sqlite> for InTime {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> Serialized {
        if is_up() {
            return Err("the statement takes too long".into());
        }
        out.set_value(1_i32);
        Ok(IsNull::No)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_up_for_the_work_alone() {
        assert!(!is_up());
        assert!(within(Some(Duration::ZERO), is_up));
        assert!(!within(Some(Duration::from_hours(1)), is_up));
        assert!(!within(None, is_up));
        within(Some(Duration::ZERO), || assert!(!within(None, is_up)));
        assert!(!is_up());
    }
}
