//! What is not taken is sent again, later and later, and given up after days.

use std::net::IpAddr;
use std::sync::Arc;

use muster::directory::sealing;
use muster::directory::webhooks::{Change, From, New, State};
use muster::reach::Reach;
use muster::webhooks::Dispatcher;
use serde_json::{Value, json};

use super::{Hook, cursors, feed_after, kinds, push_user};
use crate::support::receiver::Reply;
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    a_failure_is_tried_again_later_and_nothing_overtakes_it,
    a_receiver_says_when_to_come_back,
    a_receiver_that_is_gone_is_left_alone,
    a_webhook_that_fails_for_days_is_disabled,
    a_redirect_is_a_failure,
    a_receiver_that_cannot_be_reached_is_tried_again,
    a_receiver_at_a_private_address_is_not_asked,
    events_that_were_removed_disable_the_webhook,
    what_was_removed_of_a_connection_is_not_passed_over,
    events_are_sent_again_from_a_cursor_or_a_time,
    what_is_paused_is_sent_later,
    one_that_fails_is_tried_at_once_where_it_is_resumed,
];

/// Beyond the delay after one failure, chance included.
const AFTER_ONE: i64 = 7;

/// The events about a webhook, after its beginning, by what they say happened.
async fn told(app: &TestApp, hook: &Hook, action: &str) -> Vec<Value> {
    let events = feed_after(app, 0).await.into_iter();
    events
        .filter(|event| event["subject"]["id"] == hook.id.as_str() && event["action"] == action)
        .collect()
}

/// Removes every event that is there.
pub async fn remove_all_events(app: &TestApp) {
    app.database.without_log();
    // The events under the last seal stay, so there has to be another one after them.
    sealing::seal(&app.db, app.clock.now()).await.expect("a seal");
    push_user(&app.scim(), &format!("later-{}", uuid::Uuid::now_v7())).await;
    sealing::seal(&app.db, app.clock.now()).await.expect("a seal");
    app.clock.advance(1);
    let now = app.clock.now();
    assert!(sealing::prune(&app.db, now, now).await.expect("a removal") > 0);
}

async fn a_failure_is_tried_again_later_and_nothing_overtakes_it(app: TestApp) {
    let hook = Hook::new(&app).await;
    let client = app.scim();
    push_user(&client, "ann").await;
    push_user(&client, "bob").await;
    hook.receiver.answers([Reply::Status(204), Reply::Status(500), Reply::Status(503)]);
    let first = hook.deliver().await;
    assert_eq!(kinds(&first), ["webhook.created", "user.created"]);
    let shown = hook.json(&app).await;
    assert_eq!((&shown["failures"], &shown["last_error"]), (&json!(1), &json!("it answered 500")));
    // Not before its time, whatever else happens.
    push_user(&client, "cid").await;
    assert!(hook.deliver().await.is_empty());
    assert!(hook.dispatcher.lag().events >= 2);
    app.clock.advance(AFTER_ONE);
    let second = hook.deliver().await;
    assert_eq!(cursors(&second), [first[1].cursor()], "the same again, and nothing else");
    assert_eq!(second[0].id, first[1].id, "an id for the receiver to know it by");
    assert_eq!(second[0].text, first[1].text);
    assert!(second[0].timestamp > first[1].timestamp, "signed anew");
    assert!(second[0].is_signed_by(&hook.secret));
    assert_eq!(hook.json(&app).await["failures"], 2);
    app.clock.advance(60);
    assert!(hook.deliver().await.is_empty(), "the second pause is longer");
    app.clock.advance(301);
    let third = hook.deliver().await;
    assert_eq!(kinds(&third), ["user.created", "user.created", "user.created"]);
    assert!(cursors(&third).is_sorted());
    assert_eq!(third[0].id, first[1].id);
    let shown = hook.json(&app).await;
    assert_eq!((&shown["failures"], &shown["next_attempt_at"]), (&json!(0), &Value::Null));
    assert!(hook.deliver().await.is_empty());
    assert_eq!(hook.dispatcher.lag().events, 0);
}

async fn a_receiver_says_when_to_come_back(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.receiver.answers([Reply::With(429, "retry-after", "3600".to_owned())]);
    assert_eq!(hook.deliver().await.len(), 1);
    app.clock.advance(3590);
    assert!(hook.deliver().await.is_empty());
    app.clock.advance(15);
    assert_eq!(hook.deliver().await.len(), 1);
}

async fn a_receiver_that_is_gone_is_left_alone(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.receiver.answers([Reply::Status(410)]);
    let first = hook.deliver().await;
    assert_eq!(first.len(), 1);
    let shown = hook.json(&app).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("disabled"), &json!("receiver-gone")));
    app.clock.advance(100 * 86_400);
    assert!(hook.deliver().await.is_empty());
    let told = told(&app, &hook, "disabled").await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["actor"], json!({ "type": "server", "id": null }));
    assert_eq!(told[0]["data"]["after"]["reason"], "receiver-gone");
    // Where somebody has mended it, it goes on where it was.
    hook.resume(&app).await;
    let again = hook.deliver().await;
    assert_eq!(again[0].id, first[0].id);
    assert_eq!(hook.json(&app).await["state"], "active");
    assert!(kinds(&again).contains(&"webhook.disabled"));
}

async fn a_webhook_that_fails_for_days_is_disabled(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.receiver.always_answers(500);
    let mut attempts = 0;
    let mut hours = 0;
    while hook.json(&app).await["state"] == "active" {
        attempts += hook.deliver().await.len();
        assert!(hours < 7 * 24, "it is given up");
        app.clock.advance(3600);
        hours += 1;
    }
    assert!(hours > 5 * 24, "not before five days are over: {hours}");
    assert!((12..30).contains(&attempts), "{attempts} attempts");
    assert_eq!(hook.json(&app).await["reason"], "failing");
    assert_eq!(told(&app, &hook, "disabled").await.len(), 1);
    // Nothing is lost, however long it was.
    push_user(&app.scim(), "ann").await;
    hook.receiver.always_answers(200);
    assert!(hook.deliver().await.is_empty());
    hook.resume(&app).await;
    let received = hook.deliver().await;
    assert_eq!(kinds(&received)[0], "webhook.created");
    assert!(kinds(&received).contains(&"user.created"));
    assert!(cursors(&received).is_sorted());
}

async fn a_redirect_is_a_failure(app: TestApp) {
    let hook = Hook::new(&app).await;
    let elsewhere = super::Receiver::start();
    hook.receiver.answers([Reply::With(307, "location", elsewhere.url.clone())]);
    assert_eq!(hook.deliver().await.len(), 1);
    assert!(elsewhere.received().is_empty());
    assert_eq!(hook.json(&app).await["last_error"], "it answered 307");
}

async fn a_receiver_that_cannot_be_reached_is_tried_again(app: TestApp) {
    let hook = Hook::new(&app).await;
    // Nobody listens there, and nobody else can: the port is taken.
    let deaf = tokio::net::TcpSocket::new_v4().expect("a socket");
    deaf.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let url = format!("http://{}/", deaf.local_addr().expect("an address"));
    let change = Change { url: Some(url), ..Change::default() };
    hook.set(&app, change).await.expect("another address");
    assert!(hook.deliver().await.is_empty());
    assert_eq!(hook.json(&app).await["last_error"], "it cannot be connected to");
    drop(deaf);
    let back = Change { url: Some(hook.receiver.url.clone()), ..Change::default() };
    hook.set(&app, back).await.expect("the first address");
    app.clock.advance(AFTER_ONE);
    assert_eq!(kinds(&hook.deliver().await)[0], "webhook.created");
}

async fn a_receiver_at_a_private_address_is_not_asked(app: TestApp) {
    let hook = Hook::new(&app).await;
    let port = hook.receiver.url.rsplit(':').next().expect("a port").to_owned();
    let refused = "is not public";
    for url in ["https://10.0.0.1/".to_owned(), "https://169.254.169.254/latest".to_owned()] {
        hook.set(&app, Change { url: Some(url), ..Change::default() }).await.expect("an address");
        hook.resume(&app).await;
        assert!(hook.deliver().await.is_empty());
        let error = hook.json(&app).await["last_error"].as_str().unwrap_or_default().to_owned();
        assert!(error.contains(refused) && error.contains("--allow-webhook-network"), "{error}");
        app.clock.advance(400);
    }
    // A name is held to the same.
    let reach = Reach::default().looking_up(Arc::new(|_| {
        Box::pin(async { Ok(vec!["127.0.0.1".parse::<IpAddr>().expect("an address")]) })
    }));
    let clock = app.clock.clone();
    let dispatcher = Dispatcher::new(app.db.clone(), reach, Arc::new(move || clock.now()));
    let dispatcher = Arc::new(dispatcher.expect("a dispatcher"));
    let url = format!("https://hooks.example.com:{port}");
    hook.set(&app, Change { url: Some(url), ..Change::default() }).await.expect("an address");
    hook.resume(&app).await;
    dispatcher.deliver_due().await.expect("a delivery");
    assert!(hook.receiver.received().is_empty());
    let error = hook.json(&app).await["last_error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains(refused), "{error}");
}

async fn events_that_were_removed_disable_the_webhook(app: TestApp) {
    let hook = Hook::new(&app).await;
    push_user(&app.scim(), "ann").await;
    remove_all_events(&app).await;
    assert!(hook.deliver().await.is_empty(), "nothing is passed over in silence");
    let shown = hook.json(&app).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("disabled"), &json!("events-removed")));
    // To go on as if nothing were missing is to be asked for.
    hook.resume(&app).await;
    assert!(hook.deliver().await.is_empty());
    assert_eq!(hook.json(&app).await["reason"], "events-removed");
    hook.replay(&app, From::After("0".to_owned())).await.expect("the beginning of what there is");
    hook.resume(&app).await;
    assert!(!hook.deliver().await.is_empty());
    assert_eq!(hook.json(&app).await["state"], "active");
}

/// Not even where nothing of the connection is left that it would seem to wait for.
async fn what_was_removed_of_a_connection_is_not_passed_over(app: TestApp) {
    let other = app.other("other").await;
    let connection = Some("other".to_owned());
    let hook = Hook::with(&app, New { connection, ..New::default() }).await;
    hook.deliver().await;
    hook.receiver.answers([Reply::Status(500)]);
    push_user(&other, "lost").await;
    assert_eq!(hook.deliver().await.len(), 1);
    remove_all_events(&app).await;
    assert!(hook.deliver().await.is_empty());
    let token = app.new_token("other").await.1;
    push_user(&app.with_token(&token), "late").await;
    app.clock.advance(AFTER_ONE);
    assert!(hook.deliver().await.is_empty(), "nothing is passed over in silence");
    assert_eq!(hook.json(&app).await["reason"], "events-removed");
}

async fn events_are_sent_again_from_a_cursor_or_a_time(app: TestApp) {
    let hook = Hook::new(&app).await;
    let client = app.scim();
    push_user(&client, "ann").await;
    app.clock.advance(3600);
    let time = app.clock.now();
    push_user(&client, "bob").await;
    push_user(&client, "cid").await;
    let first = hook.deliver().await;
    assert_eq!(first.len(), 4);
    hook.replay(&app, From::After(first[1].cursor().to_string())).await.expect("a replay");
    let again = hook.deliver().await;
    assert_eq!(cursors(&again)[..2], cursors(&first)[2..]);
    assert_eq!(again[0].id, first[2].id, "the same event has the same id");
    assert_eq!(kinds(&again), ["user.created", "user.created", "webhook.replayed"]);
    hook.replay(&app, From::Since(time)).await.expect("a replay");
    let again = hook.deliver().await;
    assert_eq!(again[0].id, first[2].id);
    // The beginning, and nothing that is not there.
    hook.replay(&app, From::After("0".to_owned())).await.expect("a replay");
    assert_eq!(kinds(&hook.deliver().await)[0], "connection.created");
    for bad in ["99999", "-1", "x", ""] {
        assert!(hook.replay(&app, From::After(bad.to_owned())).await.is_err(), "{bad}");
    }
    hook.replay(&app, From::Since(i64::MAX)).await.expect("the end");
    assert_eq!(kinds(&hook.deliver().await), ["webhook.replayed"]);
}

async fn what_is_paused_is_sent_later(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.deliver().await;
    let paused = Change { state: Some(State::Paused), ..Change::default() };
    hook.set(&app, paused).await.expect("a paused webhook");
    push_user(&app.scim(), "ann").await;
    assert!(hook.deliver().await.is_empty());
    hook.resume(&app).await;
    let received = hook.deliver().await;
    assert_eq!(kinds(&received), ["webhook.updated", "user.created", "webhook.updated"]);
}

/// Whoever delivers hears of it by the event.
async fn one_that_fails_is_tried_at_once_where_it_is_resumed(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.receiver.answers([Reply::Status(500)]);
    hook.deliver().await;
    assert!(hook.json(&app).await["next_attempt_at"].is_string());
    hook.resume(&app).await;
    assert_eq!(hook.json(&app).await["next_attempt_at"], Value::Null);
    assert_eq!(told(&app, &hook, "updated").await.len(), 1);
    assert_eq!(kinds(&hook.deliver().await)[..2], ["webhook.created", "webhook.updated"]);
    // Of one that waits for nothing there is nothing to tell.
    hook.resume(&app).await;
    assert_eq!(told(&app, &hook, "updated").await.len(), 1);
}
