//! Who may do what, from where, and how often.

mod changes;
mod commands;
mod limits;
mod networks;
mod proxies;
mod scopes;

use muster::access::Permit;
use muster::config::Settings;
use muster::directory::connections::{self, AdminError};
use muster::directory::tokens;

use crate::support::{Answer, Case, ScimClient, TestApp, TestDatabase};

pub fn cases() -> Vec<Case> {
    [
        scopes::cases(),
        networks::CASES.to_vec(),
        proxies::cases(),
        limits::CASES.to_vec(),
        commands::CASES.to_vec(),
        changes::cases(),
    ]
    .concat()
}

/// A token of the connection `default` with those scopes, from those networks; its id and the token.
async fn token(app: &TestApp, scopes: &str, allow_from: &str) -> (String, String) {
    let permit = Permit {
        scopes: scopes.parse().expect("scopes"),
        allow_from: allow_from.parse().expect("networks"),
    };
    let now = app.clock.now();
    app.db
        .write("create_token", move |conn| {
            let connection = connections::find(conn, "default")?;
            let made = tokens::create_with(conn, &connection, "narrow", &permit, None, now)?;
            Ok::<_, AdminError>((made.0.id, made.1.expose().to_owned()))
        })
        .await
        .expect("a token")
}

async fn revoke(app: &TestApp, id: &str) {
    let (id, now) = (id.to_owned(), app.clock.now());
    app.db
        .write("revoke", move |conn| tokens::revoke(conn, &id, now))
        .await
        .expect("a token to revoke");
}

/// A server that believes whoever is on this machine, as if the tests were its proxy.
async fn behind_proxy(database: TestDatabase, set: impl FnOnce(&mut Settings)) -> TestApp {
    TestApp::start_with(database, |settings| {
        settings.proxies.trusted = "127.0.0.1".parse().expect("a network");
        set(settings);
    })
    .await
}

/// Asks as if from an address, by way of a proxy.
async fn get_from(client: &ScimClient, address: &str, path: &str) -> Answer {
    client.send(client.request("GET", path).header("x-forwarded-for", address)).await
}

/// What a counter of the server says.
async fn counted(app: &TestApp, line: &str) -> u64 {
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    let found = text.lines().find_map(|found| found.strip_prefix(line)).expect("the counter");
    found.trim().parse().expect("a number")
}
