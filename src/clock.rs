//! Time, as a value that is passed in: microseconds since 1970, UTC.

use chrono::{DateTime, SecondsFormat, Utc};

/// Where the time comes from; tests put another one in its place.
pub type Clock = std::sync::Arc<dyn Fn() -> i64 + Send + Sync>;

/// The machine's clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
pub fn system() -> Clock {
    std::sync::Arc::new(|| Utc::now().timestamp_micros())
}

/// The time as RFC 3339 text, to the microsecond.
pub fn rfc3339(micros: i64) -> String {
    DateTime::from_timestamp_micros(micros)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Micros, true)
}
