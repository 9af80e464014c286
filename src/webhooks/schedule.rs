//! When an attempt that failed is made again, and when it is given up (Standard Webhooks, deliverability
//! and reliability).

use std::time::Duration;

use rand::RngExt;

/// How long the first attempts are apart; the last stands for all that follow.
const DELAYS: [Duration; 6] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
];
/// For how long attempts may fail before the webhook is disabled.
pub const GIVEN_UP_AFTER: Duration = Duration::from_hours(5 * 24);
/// The longest that a receiver can put an attempt off.
pub const LONGEST: Duration = Duration::from_hours(24);
/// By how much a delay is lengthened at most, so that webhooks that failed together do not come together.
const JITTER: f64 = 0.2;

/// When it is tried again, in UTC microseconds, after so many attempts that failed (the last of them
/// included) and with what the receiver asked for.
pub fn next_attempt(now: i64, failures: i64, retry_after: Option<Duration>) -> i64 {
    let jitter = rand::rng().random_range(0.0..=JITTER);
    next_with(now, failures, retry_after, jitter)
}

fn next_with(now: i64, failures: i64, retry_after: Option<Duration>, jitter: f64) -> i64 {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(0).min(DELAYS.len() - 1);
    let delay = DELAYS.get(place).copied().unwrap_or(LONGEST).mul_f64(1.0 + jitter);
    let asked = retry_after.unwrap_or_default().min(LONGEST);
    now.saturating_add(micros(delay.max(asked)))
}

/// A duration in microseconds.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn attempts_come_further_and_further_apart() {
        let after = |failures| next_with(7, failures, None, 0.0) - 7;
        let seconds = [5, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000];
        for (failures, seconds) in (1..).zip(seconds) {
            assert_eq!(after(failures), seconds * SECOND);
        }
        assert_eq!(after(i64::MAX), 36_000 * SECOND);
        assert_eq!(after(0), 5 * SECOND);
    }

    #[test]
    fn chance_lengthens_a_delay_by_a_fifth_at_most() {
        for _ in 0..100 {
            assert!((5 * SECOND..=6 * SECOND).contains(&next_attempt(0, 1, None)));
        }
    }

    #[test]
    fn a_receiver_can_ask_for_more_time_but_not_for_less() {
        let asked = |seconds| next_with(0, 1, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(asked(1), 5 * SECOND);
        assert_eq!(asked(120), 120 * SECOND);
        assert_eq!(asked(u64::MAX), 86_400 * SECOND);
    }
}
