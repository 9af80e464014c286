//! More than the server can do: what is beyond a bound is turned away at once, says when to come
//! back, and changes nothing; everybody else is served meanwhile.

mod bodies;
mod bulk;
mod connections;
mod database;
mod hostile;
mod pages;
mod raw;
mod soak;

use std::time::Duration;

use muster::directory::connections::AdminError;

use crate::support::{Answer, Case, TestApp};

pub fn cases() -> Vec<Case> {
    let own = [
        database::CASES,
        bodies::CASES,
        bulk::CASES,
        connections::CASES,
        hostile::CASES,
        pages::CASES,
        soak::CASES,
    ];
    own.concat()
}

/// Longer than any test takes.
const LONG: Duration = Duration::from_hours(1);

/// A number that the server counts.
async fn counted(app: &TestApp, name: &str) -> u64 {
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().expect("a number")
}

/// Waits until the server has counted at least so much.
async fn until(app: &TestApp, name: &str, least: u64) {
    while counted(app, name).await < least {
        tokio::task::yield_now().await;
    }
}

/// Waits until the server counts nothing more there.
async fn until_none(app: &TestApp, name: &str) {
    while counted(app, name).await > 0 {
        tokio::task::yield_now().await;
    }
}

/// That a SCIM client is told to come back, after whole seconds, and what the reason is.
#[track_caller]
fn comes_back(answer: Answer, status: u16) -> String {
    let seconds = answer.header("retry-after").expect("a time to come back").to_owned();
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{seconds}");
    answer.expect_error(status, None)
}

/// The id of a connection.
async fn connection_id(app: &TestApp, name: &'static str) -> String {
    let found = app.db.read(move |conn| {
        Ok::<_, AdminError>(muster::directory::connections::find(conn, name)?.id)
    });
    found.await.expect("a connection")
}
