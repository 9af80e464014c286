//! One request to a receiver, bounded in time and size; a redirect is a failure, not an instruction.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use serde_json::{Value, json};
use url::Url;

use super::signature;
use crate::directory::webhooks::{EventType, Webhook};
use crate::reach::{NotAllowed, Reach};
use crate::secret::Secret;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an answer may take, all in all.
pub const WHOLE: Duration = Duration::from_secs(15);
/// How long a connection is kept that nothing goes over. Many servers end one after five seconds, and
/// what is sent just then fails.
const IDLE: Duration = Duration::from_secs(4);
/// How much of an answer is read, which nobody looks at, so that its connection can be used again.
const MAX_ANSWER: usize = 4 * 1024;
/// The status by which a receiver says that it wants nothing more.
const GONE: u16 = 410;

/// Why nothing can be sent at all.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP client for webhooks cannot be set up: {0}")]
pub struct SendError(#[from] reqwest::Error);

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Taken(u16),
    /// The receiver wants nothing more.
    Gone,
    /// It failed: what is said of it, and how long the receiver asks to be left alone.
    Failed { error: String, retry_after: Option<Duration> },
}

impl Outcome {
    fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), retry_after: None }
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same whenever the event is sent to the webhook.
    pub id: String,
    pub body: String,
}

impl Message {
    /// An event of the feed, at a position.
    pub fn of(webhook: &Webhook, position: i64, event: &Value) -> Self {
        let body = json!({
            "type": EventType::of(event).as_str(),
            "timestamp": event.get("time"),
            "data": event,
        });
        // A position is another event's after a backup was restored, and the time is not.
        let time = event.get("time").and_then(Value::as_str);
        let time = time.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let time = time.map_or(0, |time| time.timestamp_micros());
        Self { id: id(webhook, &format!("{position}_{time}")), body: body.to_string() }
    }

    /// An event that tells of nothing, to see whether a receiver takes it.
    pub fn test(webhook: &Webhook, time: &str) -> Self {
        let body = json!({
            "type": "muster.test",
            "timestamp": time,
            "data": { "webhook": webhook.id },
        });
        let unique = uuid::Uuid::now_v7().simple().to_string();
        Self { id: id(webhook, &format!("test_{unique}")), body: body.to_string() }
    }
}

/// An id that has no full stop in it, as what is signed is parted by those.
fn id(webhook: &Webhook, place: &str) -> String {
    format!("msg_{}_{place}", webhook.id.replace('-', ""))
}

/// Whoever sends requests to receivers.
#[derive(Debug, Clone)]
pub struct Sender {
    client: reqwest::Client,
    reach: Arc<Reach>,
}

impl Sender {
    /// A client with all bounds set.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(reach: Reach) -> Result<Self, SendError> {
        let reach = Arc::new(reach);
        let client = reqwest::Client::builder()
            // None of the environment, which might be meant for some addresses only.
            .no_proxy()
            .dns_resolver(reach.clone())
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, reach })
    }

    /// Sends a message at a time, in UTC microseconds, signed with each of the secrets.
    pub async fn send(
        &self,
        url: &str,
        secrets: &[Secret],
        message: &Message,
        now: i64,
    ) -> Outcome {
        let Ok(parsed) = Url::parse(url) else { return Outcome::failed("its address is none") };
        if !self.reach.may_name(url, &parsed) {
            return Outcome::failed(UNSAFE);
        }
        let timestamp = now / 1_000_000;
        let body = message.body.as_bytes();
        let Ok(signed) = signature::header(secrets, &message.id, timestamp, body) else {
            return Outcome::failed(
                "its secret is none; give it another with 'muster webhook rotate'",
            );
        };
        let request = self
            .client
            .post(parsed)
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signed)
            .body(message.body.clone());
        match request.send().await {
            Ok(mut answer) => {
                let status = answer.status().as_u16();
                let retry_after = retry_after(answer.headers(), now);
                let mut read = 0;
                while let Ok(Some(chunk)) = answer.chunk().await {
                    read += chunk.len();
                    if read > MAX_ANSWER {
                        break;
                    }
                }
                match status {
                    200..=299 => Outcome::Taken(status),
                    GONE => Outcome::Gone,
                    _ => Outcome::Failed { error: format!("it answered {status}"), retry_after },
                }
            }
            Err(error) => Outcome::failed(told(&error)),
        }
    }
}

/// What is said of an address that nothing is sent to.
const UNSAFE: &str = "its address is not https, or leads to one that is not public; a network that is not \
     can be allowed with 'muster serve --allow-webhook-network'";

/// What is said of a request that failed; the library's words may hold the address.
fn told(error: &reqwest::Error) -> &'static str {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(found) = cause {
        if found.is::<NotAllowed>() {
            return UNSAFE;
        }
        cause = found.source();
    }
    if error.is_timeout() {
        "it takes too long to answer"
    } else if error.is_connect() {
        "it cannot be connected to"
    } else {
        "the request failed"
    }
}

/// How long the receiver asks to be left alone: seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap, now: i64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(text).ok()?.timestamp_micros();
    Some(Duration::from_micros(u64::try_from(at.saturating_sub(now)).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_when_to_come_back_in_two_ways() {
        let asked = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            // 1 November 2026, 12:00:00
            retry_after(&headers, 1_793_534_400_000_000)
        };
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        assert_eq!(asked("Sun, 01 Nov 2026 12:02:00 GMT"), Some(Duration::from_mins(2)));
        assert_eq!(asked("Sun, 01 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        for garbled in ["", "soon", "-1", "1.5"] {
            assert_eq!(asked(garbled), None, "{garbled}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), 0), None);
    }
}
