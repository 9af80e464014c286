//! Bodies as they come in: none larger or slower than it may be, and of all together no more than
//! there is memory for.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::web::{self, Bytes, BytesMut};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::client::Client;
use crate::app::App;
use crate::app::budget::{Held, Spent};
use crate::metrics::TurnedAway;
use crate::scim::ScimError;

/// Bytes a second that a body has to come with, after the time that each is given.
const PACE: f64 = 64.0 * 1024.0;
/// About what a JSON value takes in memory, in bytes, besides its text.
const VALUE: usize = 128;

/// A body, and the memory that it counts for.
pub struct Received {
    pub bytes: Bytes,
    pub memory: Held,
}

/// Why a body was not received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotReceived {
    CutOff,
    /// It is longer than it may be.
    TooLarge,
    /// It takes more memory than there is for all.
    NeverFits,
    Slow,
    /// The bodies of the client's connection, or of all who have none, have their share of the memory
    /// already.
    Share,
    /// There is no memory for it now.
    NoMemory,
}

impl NotReceived {
    fn of(spent: Spent) -> Self {
        match spent {
            Spent::Share => Self::Share,
            Spent::All => Self::NoMemory,
            Spent::TooMuch => Self::NeverFits,
        }
    }

    /// The status of the answer.
    pub fn status(self) -> u16 {
        match self {
            Self::CutOff => 400,
            Self::Slow => 408,
            Self::TooLarge | Self::NeverFits => 413,
            Self::Share => 429,
            Self::NoMemory => 503,
        }
    }

    /// What is wrong, and what to do.
    pub fn text(self) -> &'static str {
        match self {
            Self::CutOff => "the body was cut off",
            Self::Slow => "the body came too slowly; send the request again",
            Self::TooLarge => "the body is too large",
            Self::NeverFits => {
                "the body takes more memory than the server may use; send less at once"
            }
            Self::Share => {
                "the bodies of this connection's requests under way are too large together; send \
                 fewer at a time"
            }
            Self::NoMemory => {
                "the server has too many large bodies under way; send the request again"
            }
        }
    }

    fn count(self, app: &App) -> Self {
        match self {
            Self::Slow => app.metrics.turn_away(TurnedAway::SlowBody),
            Self::Share => app.metrics.turn_away(TurnedAway::BodyShare),
            Self::NoMemory => app.metrics.turn_away(TurnedAway::BodyMemory),
            Self::CutOff | Self::TooLarge | Self::NeverFits => {}
        }
        self
    }
}

impl From<NotReceived> for ScimError {
    fn from(reason: NotReceived) -> Self {
        match reason {
            NotReceived::CutOff => Self::invalid_syntax(reason.text()),
            _ => Self::new(reason.status(), reason.text()),
        }
    }
}

/// Receives a body of at most `limit` bytes.
///
/// # Errors
/// See [`NotReceived`].
pub async fn receive(
    request: &HttpRequest,
    payload: &mut Payload,
    limit: usize,
) -> Result<Received, NotReceived> {
    // Every server has the application.
    let app = request.app_data::<web::Data<App>>().ok_or(NotReceived::NoMemory)?;
    let memory = {
        let extensions = request.extensions();
        let client = extensions.get::<Client>();
        // Whoever has not said who they are shares with all others who have not.
        app.bodies.begin(Some(client.map_or("", |client| client.connection().id.as_str())))
    };
    let mut received = Received { bytes: Bytes::new(), memory };
    match fill(&mut received.memory, payload, limit, app.settings.body_patience).await {
        Ok(bytes) => received.bytes = bytes.freeze(),
        Err(reason) => return Err(reason.count(app)),
    }
    Ok(received)
}

async fn fill(
    memory: &mut Held,
    payload: &mut Payload,
    limit: usize,
    patience: Duration,
) -> Result<BytesMut, NotReceived> {
    let begun = Instant::now() + patience;
    let mut bytes = BytesMut::new();
    loop {
        #[expect(clippy::cast_precision_loss, reason = "a body is not that large")]
        let pace = Duration::from_secs_f64(bytes.len() as f64 / PACE);
        let chunk = match timeout_at(begun + pace, payload.next()).await {
            Err(_) => return Err(NotReceived::Slow),
            Ok(None) => return Ok(bytes),
            Ok(Some(chunk)) => chunk.map_err(|_| NotReceived::CutOff)?,
        };
        if bytes.len() + chunk.len() > limit {
            return Err(NotReceived::TooLarge);
        }
        memory.take(chunk.len()).map_err(NotReceived::of)?;
        bytes.extend_from_slice(&chunk);
    }
}

impl Received {
    /// Counts what the body takes once it has been parsed as JSON.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn weigh(&mut self, app: &App) -> Result<(), NotReceived> {
        let parsed = most_values(&self.bytes).saturating_mul(VALUE);
        self.memory.take(parsed).map_err(|spent| NotReceived::of(spent).count(app))
    }
}

/// How many values a JSON text has at most; exact but for empty arrays and objects.
fn most_values(text: &[u8]) -> usize {
    let (mut count, mut is_text, mut is_escaped) = (1, false, false);
    for byte in text {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_text,
            b'"' => is_text = !is_text,
            b',' | b'[' | b'{' if !is_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::most_values;

    fn values(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(values).sum::<usize>(),
            Value::Object(members) => 1 + members.values().map(values).sum::<usize>(),
            _ => 1,
        }
    }

    fn empty(value: &Value) -> usize {
        match value {
            Value::Array(items) => {
                usize::from(items.is_empty()) + items.iter().map(empty).sum::<usize>()
            }
            Value::Object(members) => {
                usize::from(members.is_empty()) + members.values().map(empty).sum::<usize>()
            }
            _ => 0,
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i64>().prop_map(Value::from),
            "[a\\[\\]{},\"\\\\é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 5, |inner| {
            let key = "[a,\"\\\\\\[{]{0,3}";
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_counted_without_parsing(value in any_value()) {
            let expected = values(&value) + empty(&value);
            prop_assert_eq!(most_values(value.to_string().as_bytes()), expected);
        }
    }
}
