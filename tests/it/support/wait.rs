//! Waiting for what comes about behind a test's back.
//!
//! Nothing here waits for a time of which it is guessed that it is enough: a test goes on as soon as what it
//! waits for is there. The pause between two looks leaves the machine to whoever is at it.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(5);
/// Longer than anything takes that comes about at all.
const LONG: Duration = Duration::from_mins(2);

/// Looks until there is something; what never is there is told of, by its name.
pub async fn eventually_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < LONG, "waited in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Looks until it is so; what never becomes so is told of, by its name.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    eventually_some(what, async || is_so().await.then_some(())).await;
}
