//! Webhooks: what is sent, in which order, signed with what, and what happens when it is not taken.

mod admin;
mod commands;
mod failures;
mod leases;
mod order;

use std::sync::Arc;

use muster::directory::Actor;
use muster::directory::connections::AdminError;
use muster::directory::webhooks::{self, By, Change, From, New, State, Webhook};
use muster::reach::Reach;
use muster::webhooks::Dispatcher;
use serde_json::{Value, json};

use crate::support::receiver::{Received, Receiver};
use crate::support::{Case, ScimClient, TestApp};

pub fn cases() -> Vec<Case> {
    [order::CASES, failures::CASES, leases::CASES, admin::CASES, commands::CASES].concat()
}

/// A webhook of a store, its receiver, and somebody who delivers.
struct Hook {
    receiver: Receiver,
    dispatcher: Arc<Dispatcher>,
    id: String,
    secret: String,
}

fn by(app: &TestApp) -> By {
    By { actor: Actor::CommandLine, request_id: None, now: app.clock.now() }
}

/// Somebody who delivers, as if in a process of its own.
fn dispatcher(app: &TestApp) -> Arc<Dispatcher> {
    let clock = app.clock.clone();
    let clock = Arc::new(move || clock.now());
    Arc::new(Dispatcher::new(app.db.clone(), Reach::default(), clock).expect("a dispatcher"))
}

impl Hook {
    /// A webhook that sends everything from now on.
    async fn new(app: &TestApp) -> Self {
        Self::with(app, New::default()).await
    }

    /// A webhook that sends what is said.
    async fn with(app: &TestApp, new: New) -> Self {
        let receiver = Receiver::start();
        let new = New { url: receiver.url.clone(), ..new };
        let (webhook, secret) = webhooks::create(&app.db, new, by(app)).await.expect("a webhook");
        let secret = secret.expose().to_owned();
        Self { receiver, dispatcher: dispatcher(app), id: webhook.id, secret }
    }

    /// Delivers what can be delivered now; gives back what came.
    async fn deliver(&self) -> Vec<Received> {
        self.dispatcher.deliver_due().await.expect("a delivery");
        self.receiver.take()
    }

    async fn webhook(&self, app: &TestApp) -> Webhook {
        let id = self.id.clone();
        app.db.read(move |conn| webhooks::find(conn, &id)).await.expect("the webhook")
    }

    async fn json(&self, app: &TestApp) -> Value {
        self.webhook(app).await.to_json(app.clock.now())
    }

    async fn set(&self, app: &TestApp, change: Change) -> Result<Webhook, AdminError> {
        let (id, by) = (self.id.clone(), by(app));
        app.db.write("test", move |conn| webhooks::update(conn, &id, &change, &by)).await
    }

    async fn resume(&self, app: &TestApp) {
        let change = Change { state: Some(State::Active), ..Change::default() };
        self.set(app, change).await.expect("an active webhook");
    }

    async fn replay(&self, app: &TestApp, from: From) -> Result<Webhook, AdminError> {
        let (id, by) = (self.id.clone(), by(app));
        app.db.write("test", move |conn| webhooks::replay(conn, &id, &from, &by)).await
    }

    async fn rotate(&self, app: &TestApp, old_until: Option<i64>) -> String {
        let (id, by) = (self.id.clone(), by(app));
        let rotated =
            app.db.write("test", move |conn| webhooks::rotate(conn, &id, old_until, &by)).await;
        rotated.expect("another secret").1.expose().to_owned()
    }
}

/// All events of the feed after a cursor.
async fn feed_after(app: &TestApp, after: i64) -> Vec<Value> {
    let admin = app.admin().await;
    let body = admin.get(&format!("/events?count=1000&after={after}")).await.expect(200).body;
    body["events"].as_array().expect("events").clone()
}

fn cursors(received: &[Received]) -> Vec<i64> {
    received.iter().map(Received::cursor).collect()
}

fn kinds(received: &[Received]) -> Vec<&str> {
    received.iter().map(Received::kind).collect()
}

async fn push_user(client: &ScimClient, name: &str) -> String {
    client.post("/Users", &json!({ "userName": name })).await.expect(201).id()
}
