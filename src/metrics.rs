//! What the process counts, in the text format that Prometheus reads.
//!
//! Whoever reaches the port can read it, so no label says for whom a request was: not the
//! connection, not the token, and of the path only the pattern. Entry point: [`Metrics::new`].

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::access::Refusal;
use crate::access::limit::Limit;
use crate::scim::quirks::{Quirk, Quirks};

/// The media type of the format.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What stands for every path that has no route, and for every method that HTTP does not have.
const OTHER: &str = "other";
/// Upper bounds of the durations that are told apart, in seconds.
const DURATIONS: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuirkLabels {
    quirk: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    route: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

/// The counters of one process.
pub struct Metrics {
    registry: Registry,
    quirks: Family<QuirkLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// Counters at zero; every compatibility rule, reason and limit is there from the beginning.
    pub fn new() -> Self {
        let quirks = Family::<QuirkLabels, Counter>::default();
        for quirk in Quirk::ALL {
            drop(quirks.get_or_create(&QuirkLabels { quirk: quirk.name() }));
        }
        let refusals = Family::<RefusalLabels, Counter>::default();
        for refusal in Refusal::ALL {
            drop(refusals.get_or_create(&RefusalLabels { reason: refusal.name() }));
        }
        let limited = Family::<LimitLabels, Counter>::default();
        for limit in Limit::ALL {
            drop(limited.get_or_create(&LimitLabels { limit: limit.name() }));
        }
        let requests = Family::<RequestLabels, Counter>::default();
        let durations = Family::<DurationLabels, Histogram, _>::new_with_constructor(
            (|| Histogram::new(DURATIONS)) as fn() -> Histogram,
        );
        let mut registry = Registry::default();
        registry.register(
            "muster_scim_quirks",
            "Requests, and operations of bulk requests, that made use of a compatibility rule",
            quirks.clone(),
        );
        registry.register(
            "muster_refused_authentication",
            "Requests, and operations of bulk requests, of somebody who was not let in",
            refusals.clone(),
        );
        registry.register(
            "muster_limited_requests",
            "Requests that came too often to be looked at",
            limited.clone(),
        );
        registry.register("muster_http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "muster_http_request_duration",
            "Time from the head of a request to the head of its answer",
            Unit::Seconds,
            durations.clone(),
        );
        Self { registry, quirks, refusals, limited, requests, durations }
    }

    /// Counts the rules that one request made use of.
    pub fn count_quirks(&self, quirks: &Quirks) {
        for quirk in quirks.iter() {
            self.quirks.get_or_create(&QuirkLabels { quirk: quirk.name() }).inc();
        }
    }

    /// Counts somebody who was not let in.
    pub fn count_refused(&self, why: Refusal) {
        self.refusals.get_or_create(&RefusalLabels { reason: why.name() }).inc();
    }

    /// Counts a request that came too often.
    pub fn count_limited(&self, limit: Limit) {
        self.limited.get_or_create(&LimitLabels { limit: limit.name() }).inc();
    }

    /// Counts a request; `route` is the pattern that its path matched, if any.
    pub fn count_request(&self, method: &str, route: Option<String>, status: u16, took: Duration) {
        let route = route.unwrap_or_else(|| OTHER.to_owned());
        let method = known_method(method);
        let labels = DurationLabels { route: route.clone(), method };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
    }

    /// All of it as text.
    ///
    /// # Errors
    /// What the writer says.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The method, if HTTP has it: a client may make up as many others as it likes.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_is_counted_together() {
        let metrics = Metrics::new();
        let took = Duration::from_millis(3);
        metrics.count_request("GET", Some("/healthz".to_owned()), 200, took);
        metrics.count_request("BREW", None, 405, took);
        metrics.count_request("PROPFIND", None, 405, took);
        let text = metrics.encode().unwrap();
        for line in [
            r#"muster_http_requests_total{route="/healthz",method="GET",status="200"} 1"#,
            r#"muster_http_requests_total{route="other",method="other",status="405"} 2"#,
            r#"muster_http_request_duration_seconds_count{route="other",method="other"} 2"#,
            r#"muster_scim_quirks_total{quirk="string-boolean"} 0"#,
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
