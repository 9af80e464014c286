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

use futures_util::future::{join_all, join3};
use muster::directory::connections::AdminError;

use crate::support::{Answer, Case, ScimClient, TestApp};

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

/// That whoever asked is told to come back, after whole seconds.
#[track_caller]
fn names_seconds(answer: &Answer) {
    let seconds = answer.header("retry-after");
    let seconds = seconds.unwrap_or_else(|| panic!("no time to come back: {}", answer.request));
    assert!(seconds.parse::<u32>().is_ok_and(|seconds| seconds > 0), "{seconds}");
}

/// That a SCIM client is told to come back, after whole seconds, and what the reason is.
#[track_caller]
fn comes_back(answer: Answer, status: u16) -> String {
    names_seconds(&answer);
    answer.expect_error(status, None)
}

/// Asks each kind of endpoint for what it cannot read now, and sees that it says so in its own words,
/// as 503 with whole seconds. Returns what SCIM's says.
async fn each_kind_comes_back(app: &TestApp, admin: &ScimClient) -> String {
    let (scim, anyone) = (app.scim(), app.anonymous());
    let forms = [
        (
            "/token",
            "grant_type=authorization_code&client_id=x&code=y&redirect_uri=https://a.example",
        ),
        ("/introspect", "token=x"),
        ("/revoke", "token=x"),
    ];
    let forms = forms.map(|(path, form)| {
        let request = anyone.request("POST", path).basic_auth("x", Some("y"));
        anyone.send(request.header("content-type", "application/x-www-form-urlencoded").body(form))
    });
    let userinfo = anyone.request("GET", "/userinfo").bearer_auth("muster_access_x");
    let programs = join3(scim.get("/Users"), admin.get("/users"), anyone.send(userinfo));
    let (programs, page, forms) =
        join3(programs, anyone.get("/authorize?client_id=x"), join_all(forms)).await;
    let (scim, api, userinfo) = programs;
    for answer in [&api, &userinfo, &page].into_iter().chain(&forms) {
        assert_eq!(answer.status, 503, "{}", answer.request);
        names_seconds(answer);
    }
    assert_eq!(api.body["error"], "unavailable");
    for answer in forms {
        assert_eq!(answer.body["error"], "temporarily_unavailable", "{}", answer.request);
    }
    assert!(page.text.starts_with("<!doctype html>"), "{}", page.text);
    comes_back(scim, 503)
}

/// The id of a connection.
async fn connection_id(app: &TestApp, name: &'static str) -> String {
    let found = app.db.read(move |conn| {
        Ok::<_, AdminError>(muster::directory::connections::find(conn, name)?.id)
    });
    found.await.expect("a connection")
}
