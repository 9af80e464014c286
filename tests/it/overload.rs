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

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use muster::directory::connections::AdminError;
use reqwest::RequestBuilder;

use crate::support::{Answer, Case, ScimClient, TestApp, eventually};

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
    eventually(&format!("{name} is {least}"), async || counted(app, name).await >= least).await;
}

/// Waits until the server counts nothing more there.
async fn until_none(app: &TestApp, name: &str) {
    eventually(&format!("{name} is 0"), async || counted(app, name).await == 0).await;
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

/// A kind of endpoint, which has errors of a form of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Scim,
    Api,
    Userinfo,
    OAuth,
    Page,
}

/// A request of each kind that has to read something, not yet sent; SCIM's is the first.
fn each_kind(app: &TestApp, admin: &ScimClient) -> Vec<(Kind, LocalBoxFuture<'static, Answer>)> {
    let (scim, admin, anyone) = (app.scim(), admin.clone(), app.anonymous());
    let send = |request: RequestBuilder| {
        let anyone = anyone.clone();
        async move { anyone.send(request).await }.boxed_local()
    };
    let form = |path: &str, form: &'static str| {
        let request = anyone.request("POST", path).basic_auth("x", Some("y"));
        send(request.header("content-type", "application/x-www-form-urlencoded").body(form))
    };
    let code = "grant_type=authorization_code&client_id=x&code=y&redirect_uri=https://a.example";
    let userinfo = anyone.request("GET", "/userinfo").bearer_auth("muster_access_x");
    vec![
        (Kind::Scim, async move { scim.get("/Users").await }.boxed_local()),
        (Kind::Api, async move { admin.get("/users").await }.boxed_local()),
        (Kind::Userinfo, send(userinfo)),
        (Kind::OAuth, form("/token", code)),
        (Kind::OAuth, form("/introspect", "token=x")),
        (Kind::OAuth, form("/revoke", "token=x")),
        (Kind::Page, send(anyone.request("GET", "/authorize?client_id=x"))),
    ]
}

/// That an endpoint tells to come back in its own words, as 503 with whole seconds. Returns what it
/// says.
#[track_caller]
fn is_told(kind: Kind, answer: Answer) -> String {
    assert_eq!(answer.status, 503, "{}", answer.request);
    names_seconds(&answer);
    match kind {
        Kind::Scim => return comes_back(answer, 503),
        Kind::Api => assert_eq!(answer.body["error"], "unavailable"),
        Kind::Userinfo => {}
        Kind::OAuth => {
            assert_eq!(answer.body["error"], "temporarily_unavailable", "{}", answer.request);
        }
        Kind::Page => assert!(answer.text.starts_with("<!doctype html>"), "{}", answer.text),
    }
    answer.text
}

/// Asks all kinds of endpoints at once for what they cannot read now, and sees that they say so.
/// Returns what SCIM's says.
async fn each_kind_comes_back(app: &TestApp, admin: &ScimClient) -> String {
    let (kinds, requests): (Vec<_>, Vec<_>) = each_kind(app, admin).into_iter().unzip();
    let answers = join_all(requests).await;
    let told: Vec<_> = kinds.into_iter().zip(answers).map(|(kind, a)| is_told(kind, a)).collect();
    told.into_iter().next().expect("SCIM's")
}

/// The id of a connection.
async fn connection_id(app: &TestApp, name: &'static str) -> String {
    let found = app.db.read(move |conn| {
        Ok::<_, AdminError>(muster::directory::connections::find(conn, name)?.id)
    });
    found.await.expect("a connection")
}
