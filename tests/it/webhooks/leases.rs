//! One process at a time delivers, and one that was given up moves no cursor.

use super::{Hook, cursors, dispatcher, kinds, push_user};
use crate::support::receiver::Reply;
use crate::support::{Case, TestApp, cases};

pub const CASES: &[Case] = cases![
    one_process_at_a_time_delivers,
    a_process_that_lost_its_lease_moves_no_cursor,
    a_delivery_that_was_overtaken_by_a_replay_moves_no_cursor,
    of_many_at_once_one_delivers,
];

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
