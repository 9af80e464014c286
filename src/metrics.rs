//! What the process counts, in the text format that Prometheus reads.
//!
//! Whoever reaches the port can read it, so no label says for whom a request was: not the
//! connection, not the token, and of the path only the pattern. Entry point: [`Metrics::new`].

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

/// Why a request was turned away that might have been served at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnedAway {
    /// As many waited for the database as may wait.
    QueueFull,
    /// As many of the tenant's waited for the database as may wait of one.
    QueueShare,
    /// The database had no time for it.
    QueueTime,
    /// It would have kept the database for too long.
    QueryTime,
    /// The body came too slowly.
    SlowBody,
    /// The tenant's bodies had their share of the memory.
    BodyShare,
    /// There was no memory for the body.
    BodyMemory,
    /// The tenant's answers on their way had their share of the memory.
    AnswerShare,
    /// There was no memory for the answer.
    AnswerMemory,
    /// As many of the tenant's bulk requests were carried out as may be of one.
    BulkShare,
    /// As many bulk requests were carried out as may be.
    BulkFull,
}

impl TurnedAway {
    const ALL: [Self; 11] = [
        Self::QueueFull,
        Self::QueueShare,
        Self::QueueTime,
        Self::QueryTime,
        Self::SlowBody,
        Self::BodyShare,
        Self::BodyMemory,
        Self::AnswerShare,
        Self::AnswerMemory,
        Self::BulkShare,
        Self::BulkFull,
    ];

    fn labels(self) -> ReasonLabels {
        let reason = match self {
            Self::QueueFull => "queue-full",
            Self::QueueShare => "queue-share",
            Self::QueueTime => "queue-time",
            Self::QueryTime => "query-time",
            Self::SlowBody => "slow-body",
            Self::BodyShare => "body-share",
            Self::BodyMemory => "body-memory",
            Self::AnswerShare => "answer-share",
            Self::AnswerMemory => "answer-memory",
            Self::BulkShare => "bulk-share",
            Self::BulkFull => "bulk-full",
        };
        ReasonLabels { reason }
    }
}

/// How a sign-in at a provider ended, or that it could not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInEnd {
    /// The person is signed in.
    SignedIn,
    /// It is not under way in this browser, or not any more.
    NotUnderWay,
    /// The answer came to another connection's address.
    WrongAddress,
    /// The provider did not let the person in.
    ProviderRefused,
    /// The provider cannot be reached or understood.
    ProviderFailed,
    /// The provider did not take the code, or not Muster's secret.
    CodeRefused,
    /// What the provider says of the person did not stand the checks.
    InvalidToken,
    /// The connection lacks what sign-in needs.
    NotSetUp,
    /// SCIM has deactivated the user.
    Inactive,
    /// Nobody has pushed the user, and sign-in may not create users.
    NotProvisioned,
    /// The user name is another user's.
    NameTaken,
    /// The token does not say how the user is called.
    NoUserName,
    /// What the token says of the person cannot be stored.
    NotStorable,
    /// The application where it was begun may not ask any more.
    ApplicationGone,
    /// Muster, or its database, had a problem.
    Failed,
}

impl SignInEnd {
    const ALL: [Self; 15] = [
        Self::SignedIn,
        Self::NotUnderWay,
        Self::WrongAddress,
        Self::ProviderRefused,
        Self::ProviderFailed,
        Self::CodeRefused,
        Self::InvalidToken,
        Self::NotSetUp,
        Self::Inactive,
        Self::NotProvisioned,
        Self::NameTaken,
        Self::NoUserName,
        Self::NotStorable,
        Self::ApplicationGone,
        Self::Failed,
    ];

    fn labels(self) -> ResultLabels {
        let result = match self {
            Self::SignedIn => "signed-in",
            Self::NotUnderWay => "not-under-way",
            Self::WrongAddress => "wrong-address",
            Self::ProviderRefused => "provider-refused",
            Self::ProviderFailed => "provider-failed",
            Self::CodeRefused => "code-refused",
            Self::InvalidToken => "invalid-token",
            Self::NotSetUp => "not-set-up",
            Self::Inactive => "inactive",
            Self::NotProvisioned => "not-provisioned",
            Self::NameTaken => "user-name-taken",
            Self::NoUserName => "no-user-name",
            Self::NotStorable => "not-storable",
            Self::ApplicationGone => "application-gone",
            Self::Failed => "failed",
        };
        ResultLabels { result }
    }
}

/// The counters of one process.
pub struct Metrics {
    registry: Registry,
    quirks: Family<QuirkLabels, Counter>,
    refusals: Family<RefusalLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<DurationLabels, Histogram, fn() -> Histogram>,
    held: Counter,
    turned_away: Family<ReasonLabels, Counter>,
    sign_ins: Family<ResultLabels, Counter>,
    in_use: Family<PoolLabels, Gauge>,
    waiting: Family<PoolLabels, Gauge>,
    bodies: Gauge,
    answers: Gauge,
    bulk: Gauge,
    long_waits: Gauge,
    not_logged: Counter,
    webhook_deliveries: Family<ResultLabels, Counter>,
    webhook_lag_events: Gauge,
    webhook_lag_seconds: Gauge,
}

impl Metrics {
    /// Counters at zero; every compatibility rule, reason and limit is there from the beginning.
    #[expect(clippy::too_many_lines, reason = "it is the one list of what is counted")]
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
        let held = Counter::default();
        let turned_away = Family::<ReasonLabels, Counter>::default();
        for reason in TurnedAway::ALL {
            drop(turned_away.get_or_create(&reason.labels()));
        }
        let sign_ins = Family::<ResultLabels, Counter>::default();
        for end in SignInEnd::ALL {
            drop(sign_ins.get_or_create(&end.labels()));
        }
        let (in_use, waiting) = (Family::default(), Family::default());
        let [bodies, answers, bulk, long_waits] = [(); 4].map(|()| Gauge::default());
        let webhook_deliveries = Family::<ResultLabels, Counter>::default();
        let [webhook_lag_events, webhook_lag_seconds] = [(); 2].map(|()| Gauge::default());
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
        registry.register(
            "muster_brake_held",
            "Requests that the mass-change brake held",
            held.clone(),
        );
        registry.register(
            "muster_turned_away",
            "Requests turned away that might have been served at another time",
            turned_away.clone(),
        );
        registry.register(
            "muster_sign_ins",
            "Sign-ins by how they ended; one that nobody came back from has no end",
            sign_ins.clone(),
        );
        registry.register("muster_database_turns", "Connections in use", in_use.clone());
        registry.register("muster_database_waiting", "Work that waits for one", waiting.clone());
        let help = "Memory that the bodies of requests under way are reckoned to take";
        registry.register_with_unit("muster_bodies", help, Unit::Bytes, bodies.clone());
        let help = "Memory that large answers on their way take";
        registry.register_with_unit("muster_answers", help, Unit::Bytes, answers.clone());
        let not_logged = Counter::default();
        registry.register(
            "muster_requests_not_logged",
            "Requests that came too fast to be in the log of requests",
            not_logged.clone(),
        );
        registry.register("muster_bulk_jobs", "Bulk requests that are carried out", bulk.clone());
        let help = "Requests that wait for something to be logged";
        registry.register("muster_long_waits", help, long_waits.clone());
        registry.register(
            "muster_webhook_deliveries",
            "Attempts to send an event to a webhook, and webhooks that were disabled",
            webhook_deliveries.clone(),
        );
        let help = "Events from the one that the slowest webhook waits for to the last of all";
        registry.register("muster_webhook_lag_events", help, webhook_lag_events.clone());
        let help = "Age of the oldest event that waits to be sent to a webhook";
        let gauge = webhook_lag_seconds.clone();
        registry.register_with_unit("muster_webhook_lag", help, Unit::Seconds, gauge);
        Self {
            registry,
            quirks,
            refusals,
            limited,
            requests,
            durations,
            held,
            turned_away,
            sign_ins,
            in_use,
            waiting,
            bodies,
            answers,
            bulk,
            long_waits,
            not_logged,
            webhook_deliveries,
            webhook_lag_events,
            webhook_lag_seconds,
        }
    }

    /// Counts the rules that one request made use of.
    pub fn count_quirks(&self, quirks: &Quirks) {
        for quirk in quirks.iter() {
            self.quirks.get_or_create(&QuirkLabels { quirk: quirk.name() }).inc();
        }
    }

    /// Counts a request that the mass-change brake held.
    pub fn count_held(&self) {
        self.held.inc();
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

    /// Counts a sign-in by how it ended.
    pub fn count_sign_in(&self, end: SignInEnd) {
        self.sign_ins.get_or_create(&end.labels()).inc();
    }

    /// Counts a request that was turned away.
    pub fn turn_away(&self, reason: TurnedAway) {
        self.turned_away.get_or_create(&reason.labels()).inc();
    }

    /// Notes how many were turned away, where somebody else counts them.
    pub fn set_turned_away(&self, reason: TurnedAway, count: u64) {
        let counter = self.turned_away.get_or_create(&reason.labels());
        counter.inner().store(count, Ordering::Relaxed);
    }

    /// Notes how busy a pool of connections to the database is.
    pub fn set_database(&self, pool: &'static str, in_use: usize, waiting: usize) {
        let labels = PoolLabels { pool };
        self.in_use.get_or_create(&labels).set(whole(in_use));
        self.waiting.get_or_create(&labels).set(whole(waiting));
    }

    /// Notes how much memory bodies take.
    pub fn set_bodies(&self, bytes: usize) {
        self.bodies.set(whole(bytes));
    }

    /// Notes how much memory large answers on their way take.
    pub fn set_answers(&self, bytes: usize) {
        self.answers.set(whole(bytes));
    }

    /// Notes how many bulk requests are carried out.
    pub fn set_bulk(&self, jobs: usize) {
        self.bulk.set(whole(jobs));
    }

    /// Notes how many requests wait for something to be logged.
    pub fn set_long_waits(&self, requests: usize) {
        self.long_waits.set(whole(requests));
    }

    /// Notes how many requests are not in the log of requests.
    pub fn set_not_logged(&self, count: u64) {
        self.not_logged.inner().store(count, Ordering::Relaxed);
    }

    /// Notes how many attempts to send an event to a webhook ended so.
    pub fn set_webhook_deliveries(&self, result: &'static str, count: u64) {
        let counter = self.webhook_deliveries.get_or_create(&ResultLabels { result });
        counter.inner().store(count, Ordering::Relaxed);
    }

    /// Notes how far the slowest webhook is behind.
    pub fn set_webhook_lag(&self, events: i64, seconds: i64) {
        self.webhook_lag_events.set(events);
        self.webhook_lag_seconds.set(seconds);
    }

    /// All of it as text, and what else there is to tell behind it.
    ///
    /// # Errors
    /// What the writer says.
    pub fn encode_with(&self, more: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode_registry(&mut text, &self.registry)?;
        text::encode(&mut text, more)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The method, if HTTP has it: a client may make up as many others as it likes.
pub fn known_method(method: &str) -> &'static str {
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
        let text = metrics.encode_with(&Registry::default()).unwrap();
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
