//! One process at a time delivers, and one that was given up moves no cursor.

use actix_web::rt;
use muster::directory::webhooks::{self, Change, New, Types};

use super::{Hook, by, cursors, dispatcher, kinds, push_user};
use crate::support::receiver::{Receiver, Reply};
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    one_process_at_a_time_delivers,
    a_process_that_lost_its_lease_moves_no_cursor,
    a_delivery_that_was_overtaken_by_a_replay_moves_no_cursor,
    of_many_at_once_one_delivers,
    another_secret_counts_for_a_delivery_under_way,
    another_address_counts_for_a_delivery_under_way,
    a_deleted_webhook_sends_nothing_more,
    webhooks_take_turns,
];

/// Longer than a webhook is delivered to while others wait.
const TURN: i64 = 11;
/// How many are delivered to at a time.
const PLACES: usize = 64;

/// Longer than a lease.
const LEASE: i64 = 61;

async fn one_process_at_a_time_delivers(app: TestApp) {
    let hook = Hook::new(&app).await;
    let other = dispatcher(&app);
    push_user(&app.scim(), "ann").await;
    hook.receiver.answers([Reply::Held]);
    let own = hook.dispatcher.clone();
    let first = actix_web::rt::spawn(async move { own.deliver_due().await });
    hook.receiver.wait_for(1).await;
    assert_eq!(other.deliver_due().await.expect("a look"), 0);
    assert_eq!(hook.receiver.received().len(), 1);
    hook.receiver.let_go_on();
    first.await.expect("a task").expect("a delivery");
    let received = hook.receiver.take();
    assert_eq!(kinds(&received), ["webhook.created", "user.created"]);
    // The lease was given back, and the other one goes on from there.
    push_user(&app.scim(), "bob").await;
    assert_eq!(other.deliver_due().await.expect("a look"), 1);
    assert_eq!(kinds(&hook.receiver.take()), ["user.created"]);
}

async fn a_process_that_lost_its_lease_moves_no_cursor(app: TestApp) {
    let hook = Hook::new(&app).await;
    let begin = hook.webhook(&app).await.cursor();
    let other = dispatcher(&app);
    push_user(&app.scim(), "ann").await;
    hook.receiver.answers([Reply::Held, Reply::Status(500)]);
    let own = hook.dispatcher.clone();
    let first = actix_web::rt::spawn(async move { own.deliver_due().await });
    hook.receiver.wait_for(1).await;
    // The first one is given up for dead, and the second one fails.
    app.clock.advance(LEASE);
    assert_eq!(other.deliver_due().await.expect("a look"), 1);
    assert_eq!(hook.webhook(&app).await.cursor(), begin);
    // What the first one hears late is not written down, and it sends nothing more.
    hook.receiver.let_go_on();
    first.await.expect("a task").expect("a delivery");
    assert_eq!(hook.receiver.take().len(), 2);
    assert_eq!(hook.webhook(&app).await.cursor(), begin);
    assert_eq!(hook.json(&app).await["failures"], 1);
    app.clock.advance(7);
    other.deliver_due().await.expect("a delivery");
    let received = hook.receiver.take();
    assert_eq!(kinds(&received), ["webhook.created", "user.created"]);
    assert!(cursors(&received).is_sorted());
}

async fn a_delivery_that_was_overtaken_by_a_replay_moves_no_cursor(app: TestApp) {
    let hook = Hook::new(&app).await;
    let begin = hook.webhook(&app).await.cursor();
    push_user(&app.scim(), "ann").await;
    hook.deliver().await;
    push_user(&app.scim(), "bob").await;
    hook.receiver.answers([Reply::Held]);
    let own = hook.dispatcher.clone();
    let first = actix_web::rt::spawn(async move { own.deliver_due().await });
    hook.receiver.wait_for(1).await;
    let from = muster::directory::webhooks::From::After(begin.to_string());
    hook.replay(&app, from).await.expect("a replay");
    hook.receiver.let_go_on();
    first.await.expect("a task").expect("a delivery");
    hook.receiver.take();
    let again = hook.deliver().await;
    assert_eq!(kinds(&again)[..2], ["webhook.created", "user.created"]);
}

async fn of_many_at_once_one_delivers(app: TestApp) {
    let hook = Hook::new(&app).await;
    for number in 0..20 {
        push_user(&app.scim(), &format!("user{number}")).await;
    }
    let others: Vec<_> = (0..4).map(|_| dispatcher(&app)).collect();
    let all = others.iter().map(muster::webhooks::Dispatcher::deliver_due);
    for done in futures_util::future::join_all(all).await {
        done.expect("a look");
    }
    let received = hook.receiver.take();
    assert_eq!(received.len(), 21, "each once: {:?}", cursors(&received));
    assert!(cursors(&received).is_sorted());
}

/// Begins a delivery of three events, and lets go on once the webhook was changed; gives back all that was sent
/// to where it was at first.
async fn change_under_way(app: &TestApp, hook: &Hook, change: impl AsyncFnOnce()) -> usize {
    for name in ["ann", "bob"] {
        push_user(&app.scim(), name).await;
    }
    hook.receiver.answers([Reply::Held]);
    let own = hook.dispatcher.clone();
    let first = rt::spawn(async move { own.deliver_due().await });
    hook.receiver.wait_for(1).await;
    change().await;
    hook.receiver.let_go_on();
    first.await.expect("a task").expect("a delivery");
    hook.receiver.take().len()
}

async fn another_secret_counts_for_a_delivery_under_way(app: TestApp) {
    let hook = Hook::new(&app).await;
    let mut secret = String::new();
    let sent = change_under_way(&app, &hook, async || secret = hook.rotate(&app, None).await).await;
    assert_eq!(sent, 1, "the one that was under way");
    let received = hook.deliver().await;
    assert_eq!(kinds(&received)[..2], ["webhook.created", "user.created"]);
    assert!(received.iter().all(|one| one.is_signed_by(&secret) && one.signatures.len() == 1));
}

async fn another_address_counts_for_a_delivery_under_way(app: TestApp) {
    let (hook, elsewhere) = (Hook::new(&app).await, Receiver::start());
    let change = Change { url: Some(elsewhere.url.clone()), ..Change::default() };
    let changed = async || drop(hook.set(&app, change).await.expect("another address"));
    assert_eq!(change_under_way(&app, &hook, changed).await, 1, "the one that was under way");
    assert!(hook.deliver().await.is_empty());
    assert_eq!(kinds(&elsewhere.take())[..2], ["webhook.created", "user.created"]);
}

async fn a_deleted_webhook_sends_nothing_more(app: TestApp) {
    let hook = Hook::new(&app).await;
    let deleted = async || {
        let (id, by) = (hook.id.clone(), by(&app));
        let work = move |conn: &mut muster::db::Conn| webhooks::delete(conn, &id, &by);
        app.db.write("test", work).await.expect("a deletion");
    };
    assert_eq!(change_under_way(&app, &hook, deleted).await, 1, "the one that was under way");
    assert!(hook.deliver().await.is_empty());
}

/// One more than there are places for, all of which have more to send than they get to in their turn.
async fn webhooks_take_turns(app: TestApp) {
    let types: Types = "team.*".parse().expect("a type");
    let many = Receiver::start();
    for _ in 0..PLACES {
        let (url, types) = (many.url.clone(), Some(types.clone()));
        let new = New { url, types, ..New::default() };
        webhooks::create(&app.db, new, by(&app)).await.expect("a webhook");
    }
    let hook = Hook::with(&app, New { types: Some(types), ..New::default() }).await;
    for name in ["Staff", "Sales"] {
        let team = serde_json::json!({ "displayName": name });
        app.scim().post("/Groups", &team).await.expect(201);
    }
    many.answers(vec![Reply::Held; PLACES]);
    let own = hook.dispatcher.clone();
    let first = rt::spawn(async move { own.deliver_due().await });
    many.wait_for(PLACES).await;
    app.clock.advance(TURN);
    for _ in 0..PLACES {
        many.let_go_on();
    }
    assert_eq!(first.await.expect("a task").expect("a delivery"), PLACES);
    assert_eq!(many.take().len(), PLACES, "each gives its place up after its turn");
    assert!(hook.receiver.received().is_empty());
    // Now it is the turn of the one that waited, though all others have waited for what they send for longer.
    assert_eq!(hook.deliver().await.len(), 2);
    assert_eq!(many.take().len(), PLACES - 1);
    assert!(hook.deliver().await.is_empty());
    assert_eq!(many.take().len(), 1, "and the last one is not forgotten");
}
