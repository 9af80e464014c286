//! What the metrics tell besides what the process counts: the store as a whole, and the process itself.
//! No label names anybody, as in [`crate::metrics`].

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::figures::{Counted, Known};
use crate::db::figures::Overview;
use crate::directory::figures::Disagreements;

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithinLabels {
    within: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfLabels {
    of: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NewerLabels {
    newer: &'static str,
}

/// All of it at a time; `started_at` is when the process began. What is not known is left out.
pub fn registry(known: &Known, started_at: i64, now: i64) -> Registry {
    let mut registry = Registry::default();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("muster_build", "The program", Info::new(version));
    let help = "When the process started, since 1970";
    set_seconds(&mut registry, "process_start_time", help, seconds(started_at));
    if let Some(bytes) = resident() {
        let gauge: Gauge = Gauge::default();
        gauge.set(bytes);
        let help = "Memory of the process that is not swapped out";
        registry.register_with_unit("process_resident_memory", help, Unit::Bytes, gauge);
    }
    if let Some(reached) = known.reached {
        let help = "Whether the database answered when it was last asked for what follows";
        set(&mut registry, "muster_store_up", help, i64::from(reached));
    }
    let ages: Family<OfLabels, Seconds> = Family::default();
    let help = "How old what the store was counted for is";
    registry.register_with_unit("muster_figures_age", help, Unit::Seconds, ages.clone());
    if let Some(Counted { value, at }) = &known.overview {
        ages.get_or_create(&OfLabels { of: "overview" }).set(seconds(now - at));
        overview(&mut registry, value, now);
    }
    if let Some(Counted { value, at }) = &known.disagreements {
        ages.get_or_create(&OfLabels { of: "disagreements" }).set(seconds(now - at));
        disagreements(&mut registry, value, now);
    }
    registry
}

fn overview(registry: &mut Registry, found: &Overview, now: i64) {
    set(registry, "muster_connections", "Connections there are", found.connections);
    set(registry, "muster_sessions", "Sessions of people who are signed in", found.sessions);
    let help = "Connections whose removals the mass-change brake holds";
    set(registry, "muster_brakes_on", help, found.brakes_on);
    let help = "Events of the log that no seal covers";
    set(registry, "muster_events_unsealed", help, found.unsealed);
    let expiring: Family<WithinLabels, Gauge> = Family::default();
    for (within, count) in
        [("1d", found.expiring_1), ("7d", found.expiring_7), ("30d", found.expiring_30)]
    {
        expiring.get_or_create(&WithinLabels { within }).set(count);
    }
    let help = "SCIM tokens in use that end within so many days";
    registry.register("muster_tokens_expiring", help, expiring);
    let expired: Family<WithinLabels, Gauge> = Family::default();
    expired.get_or_create(&WithinLabels { within: "7d" }).set(found.expired_7);
    let help = "SCIM tokens that ended within the last so many days";
    registry.register("muster_tokens_expired", help, expired);
    let silence: Family<OfLabels, Seconds> = Family::default();
    for (of, last) in [("any", found.last_push), ("quietest", found.quietest_push)] {
        if let Some(last) = last {
            silence.get_or_create(&OfLabels { of }).set(seconds((now - last).max(0)));
        }
    }
    let help = "Time since a SCIM token was last used, of any connection and of the quietest";
    registry.register_with_unit("muster_push_silence", help, Unit::Seconds, silence);
}

fn disagreements(registry: &mut Registry, found: &Disagreements, now: i64) {
    let counts: Family<NewerLabels, Gauge> = Family::default();
    for (newer, count) in [("scim", found.scim_newer), ("claim", found.claim_newer)] {
        counts.get_or_create(&NewerLabels { newer }).set(count);
    }
    let help = "Memberships of active users over which SCIM and the last claim differ";
    registry.register("muster_disagreements", help, counts);
    let lag = found.since.map_or(0.0, |since| seconds((now - since).max(0)));
    let help = "Age of the oldest claim that SCIM has not followed";
    set_seconds(registry, "muster_convergence_lag", help, lag);
}

fn set(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge: Gauge = Gauge::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn set_seconds(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Seconds::default();
    gauge.set(value);
    registry.register_with_unit(name, help, Unit::Seconds, gauge);
}

/// Microseconds as seconds.
#[expect(clippy::cast_precision_loss, reason = "a double counts microseconds for 285 years")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1_000_000.0
}

/// The memory of this process in bytes, where Linux tells.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    kibibytes(&status)?.checked_mul(1024)
}

fn kibibytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read_as_linux_writes_it() {
        assert_eq!(kibibytes("Name:\tmuster\nVmRSS:\t   12345 kB\nThreads:\t3\n"), Some(12345));
        assert_eq!(kibibytes("Name:\tmuster\n"), None);
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        let told = |known: &Known| {
            let mut text = String::new();
            let registry = registry(known, 1_500_000, 61_000_000);
            prometheus_client::encoding::text::encode(&mut text, &registry).expect("text");
            text
        };
        let text = told(&Known::default());
        assert!(text.contains("process_start_time_seconds 1.5\n"), "{text}");
        assert!(!text.contains("muster_connections") && !text.contains("store_up"), "{text}");
        let value = Disagreements { scim_newer: 1, claim_newer: 2, since: Some(1_000_000) };
        let disagreements = Some(Counted { value, at: 60_000_000 });
        let text = told(&Known { disagreements, reached: Some(false), ..Known::default() });
        for line in [
            "muster_disagreements{newer=\"claim\"} 2",
            "muster_convergence_lag_seconds 60.0",
            "muster_figures_age_seconds{of=\"disagreements\"} 1.0",
            "muster_store_up 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
