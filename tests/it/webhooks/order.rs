//! What is sent is the feed, in its order.

use diesel::connection::SimpleConnection;
use futures_util::future::join_all;
use muster::directory::webhooks::{New, Types};
use serde_json::{Value, json};

use super::{Hook, cursors, feed_after, kinds, push_user};
use crate::support::{Case, TestApp, cases, patch_body};

pub const CASES: &[Case] = cases![
    what_happens_is_sent_signed_and_in_order,
    what_happened_before_is_not_sent,
    the_order_is_kept_while_many_write,
    types_and_connections_select,
    the_deletion_of_its_connection_is_the_last_that_is_sent,
    a_large_event_is_sent_whole,
    a_quiet_connection_waits_for_nothing,
    the_last_events_of_others_are_passed_over,
    a_lease_that_was_left_behind_holds_up_nothing,
    what_is_removed_is_passed_over_first,
];

async fn what_happens_is_sent_signed_and_in_order(app: TestApp) {
    let hook = Hook::new(&app).await;
    let begin = hook.webhook(&app).await.cursor();
    let client = app.scim();
    let ann = push_user(&client, "ann").await;
    let team = json!({ "displayName": "Staff", "members": [{ "value": ann }] });
    client.post("/Groups", &team).await.expect(201);
    let off = patch_body(json!([{ "op": "replace", "path": "active", "value": false }]));
    client.patch(&format!("/Users/{ann}"), &off).await.expect(200);
    let received = hook.deliver().await;
    let expected = ["webhook.created", "user.created", "team.created", "user.deactivated"];
    assert_eq!(kinds(&received), expected);
    let feed = feed_after(&app, begin).await;
    for (one, event) in received.iter().zip(&feed) {
        assert_eq!(&one.body["data"], event, "an event as the feed shows it");
        assert_eq!(one.body["timestamp"], event["time"]);
        assert!(one.is_signed_by(&hook.secret), "{one:?}");
        assert!(!one.is_signed_by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        assert_eq!(one.signatures.len(), 1);
        assert!((app.clock.now() / 1_000_000 - one.timestamp).abs() < 60, "seconds, as of now");
        assert_eq!(one.path, "/hooks");
        assert!(!one.id.contains('.') && one.id.starts_with("msg_"), "{}", one.id);
        // After a backup was restored another event may have the position.
        let time = event["time"].as_str().expect("a time");
        let time = chrono::DateTime::parse_from_rfc3339(time).expect("a time").timestamp_micros();
        assert!(one.id.ends_with(&format!("_{}_{time}", one.cursor())), "{}", one.id);
    }
    // Nothing comes twice, and the next one is the next one: that of whoever read the feed here.
    assert_eq!(kinds(&hook.deliver().await), ["admin_token.created"]);
    assert!(hook.deliver().await.is_empty());
    push_user(&client, "bob").await;
    let next = hook.deliver().await;
    assert_eq!(kinds(&next).last(), Some(&"user.created"));
    assert!(next.iter().all(|one| received.iter().all(|before| before.id != one.id)));
    assert_eq!(hook.json(&app).await["failures"], 0);
    assert!(hook.json(&app).await["last_delivered_at"].is_string());
}

async fn what_happened_before_is_not_sent(app: TestApp) {
    // Nobody has read the feed yet, so that nothing has a place in it.
    push_user(&app.scim(), "before").await;
    let hook = Hook::new(&app).await;
    assert_eq!(kinds(&hook.deliver().await), ["webhook.created"]);
}

async fn the_order_is_kept_while_many_write(app: TestApp) {
    let hook = Hook::new(&app).await;
    let begin = hook.webhook(&app).await.cursor();
    let client = app.scim();
    let people = join_all((0..6).map(|number| {
        let client = client.clone();
        async move { push_user(&client, &format!("user{number}")).await }
    }))
    .await;
    let writers = people.iter().map(|id| {
        let client = client.clone();
        async move {
            for round in 0..12 {
                let title =
                    json!([{ "op": "replace", "path": "title", "value": format!("{round}") }]);
                client.patch(&format!("/Users/{id}"), &patch_body(title)).await.expect(200);
            }
        }
    });
    let writing = join_all(writers);
    tokio::pin!(writing);
    let mut received = Vec::new();
    loop {
        tokio::select! {
            _ = &mut writing => break,
            more = hook.deliver() => received.extend(more),
        }
    }
    received.extend(hook.deliver().await);
    // A delivery that was under way when the last was written may have been cut off.
    received.extend(hook.receiver.take());
    app.clock.advance(61);
    received.extend(hook.deliver().await);
    // Whoever drops what came already has everything, in order.
    let mut seen: Vec<i64> = Vec::new();
    for cursor in cursors(&received) {
        if !seen.contains(&cursor) {
            seen.push(cursor);
        }
    }
    assert!(seen.is_sorted(), "{seen:?}");
    let feed = feed_after(&app, begin).await;
    let feed: Vec<String> = feed
        .iter()
        .filter(|event| event["subject"]["type"] != "admin-token")
        .map(|event| event["cursor"].as_str().expect("a cursor").to_owned())
        .collect();
    assert_eq!(seen.iter().map(i64::to_string).collect::<Vec<_>>(), feed);
    for id in &people {
        let titles: Vec<&Value> = received
            .iter()
            .filter(|one| one.body["data"]["subject"]["id"] == id.as_str())
            .filter(|one| one.kind() == "user.updated")
            .map(|one| &one.body["data"]["data"]["after"]["title"])
            .collect();
        assert!(titles.len() >= 12, "{titles:?}");
    }
}

async fn types_and_connections_select(app: TestApp) {
    let other = app.other("other").await;
    let types: Types = "user.* team.deleted".parse().expect("types");
    let of_other = New { connection: Some("other".to_owned()), ..New::default() };
    let hook = Hook::with(&app, of_other).await;
    let typed = Hook::with(&app, New { types: Some(types), ..New::default() }).await;
    let client = app.scim();
    push_user(&client, "ann").await;
    push_user(&other, "bob").await;
    let team = client.post("/Groups", &json!({ "displayName": "Staff" })).await.expect(201).id();
    client.delete(&format!("/Groups/{team}")).await.expect(204);
    typed.dispatcher.deliver_due().await.expect("a delivery");
    assert_eq!(kinds(&typed.receiver.take()), ["user.created", "user.created", "team.deleted"]);
    let received = hook.receiver.take();
    assert_eq!(kinds(&received), ["webhook.created", "user.created"]);
    assert!(received.iter().all(|one| one.body["data"]["connection"] == "other"));
    // What was passed over is not looked at again.
    assert_eq!(typed.dispatcher.deliver_due().await.expect("a delivery"), 0);
    assert_eq!(typed.dispatcher.lag().events, 0);
}

async fn the_deletion_of_its_connection_is_the_last_that_is_sent(app: TestApp) {
    let other = app.other("other").await;
    let types: Types = "user.*".parse().expect("types");
    let connection = Some("other".to_owned());
    let hook = Hook::with(&app, New { connection, types: Some(types), ..New::default() }).await;
    push_user(&other, "bob").await;
    let now = app.clock.now();
    app.db
        .write("test", move |conn| muster::directory::connections::delete(conn, "other", now))
        .await
        .expect("a deletion");
    assert_eq!(kinds(&hook.deliver().await), ["user.created", "connection.deleted"]);
    let shown = hook.json(&app).await;
    assert_eq!(
        (&shown["state"], &shown["reason"]),
        (&json!("disabled"), &json!("connection-deleted"))
    );
    assert_eq!(shown["connection"], Value::Null);
    push_user(&app.scim(), "ann").await;
    assert!(hook.deliver().await.is_empty());
}

async fn a_large_event_is_sent_whole(app: TestApp) {
    let hook = Hook::new(&app).await;
    let client = app.scim();
    let ids = app.seed(2_000);
    let members: Value = ids.iter().map(|id| json!({ "value": id })).collect();
    let team = json!({ "displayName": "All", "members": members });
    client.post("/Groups", &team).await.expect(201);
    let received = hook.deliver().await;
    let last = received.last().expect("an event");
    assert_eq!(last.body["data"]["data"]["members"]["added"].as_array().map(Vec::len), Some(2_000));
    assert!(last.is_signed_by(&hook.secret));
}

/// What others do moves the cursor of a webhook whose connection is quiet, so that it does not seem to
/// have missed it once it is removed.
async fn a_quiet_connection_waits_for_nothing(app: TestApp) {
    app.database.without_log();
    app.other("quiet").await;
    let connection = Some("quiet".to_owned());
    let hook = Hook::with(&app, New { connection, ..New::default() }).await;
    hook.deliver().await;
    let before = hook.webhook(&app).await.cursor();
    for number in 0..5 {
        push_user(&app.scim(), &format!("user{number}")).await;
    }
    assert!(hook.deliver().await.is_empty());
    assert!(hook.webhook(&app).await.cursor() >= before + 5);
    super::failures::remove_all_events(&app).await;
    let quiet = app.new_token("quiet").await.1;
    push_user(&app.with_token(&quiet), "late").await;
    assert_eq!(kinds(&hook.deliver().await), ["token.created", "user.created"]);
}

/// A webhook of a connection where nothing happens any more, which has sent all there is.
async fn quiet_hook(app: &TestApp) -> Hook {
    app.database.without_log();
    app.other("quiet").await;
    let connection = Some("quiet".to_owned());
    let hook = Hook::with(app, New { connection, ..New::default() }).await;
    hook.deliver().await;
    hook
}

/// Expects the webhook to send what comes after everything was removed that is there.
async fn goes_on_after_a_removal(app: &TestApp, hook: &Hook) {
    super::failures::remove_all_events(app).await;
    let quiet = app.new_token("quiet").await.1;
    push_user(&app.with_token(&quiet), "late").await;
    assert_eq!(kinds(&hook.deliver().await), ["token.created", "user.created"]);
}

/// Also where nothing at all happens after them.
async fn the_last_events_of_others_are_passed_over(app: TestApp) {
    let hook = quiet_hook(&app).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let own = hook.dispatcher.clone();
    let running = actix_web::rt::spawn(own.run(async move { drop(stopped.await) }));
    push_user(&app.scim(), "ann").await;
    // That one is sent by whoever runs, which so has passed over what there was before.
    let other = Hook::new(&app).await;
    other.receiver.wait_for(1).await;
    push_user(&app.scim(), "last").await;
    other.receiver.wait_for(2).await;
    let last = other.receiver.received().last().expect("an event").cursor();
    app.clock.advance(61);
    let is_past = async || hook.webhook(&app).await.cursor() >= last;
    crate::support::eventually("the last event is passed over", is_past).await;
    stop.send(()).expect("somebody who runs");
    running.await.expect("a task");
}

async fn a_lease_that_was_left_behind_holds_up_nothing(app: TestApp) {
    let hook = quiet_hook(&app).await;
    let left = format!(
        "UPDATE webhook_deliveries SET lease = 'gone', lease_until = {}",
        app.clock.now() + 60_000_000
    );
    app.database.connect().batch_execute(&left).expect("a lease");
    let before = hook.webhook(&app).await.cursor();
    push_user(&app.scim(), "ann").await;
    assert!(hook.deliver().await.is_empty());
    assert_eq!(hook.webhook(&app).await.cursor(), before, "somebody may be about to write it");
    app.clock.advance(61);
    assert!(hook.deliver().await.is_empty());
    assert!(hook.webhook(&app).await.cursor() > before);
    goes_on_after_a_removal(&app, &hook).await;
}

/// Nobody has delivered meanwhile.
async fn what_is_removed_is_passed_over_first(app: TestApp) {
    let hook = quiet_hook(&app).await;
    push_user(&app.scim(), "ann").await;
    goes_on_after_a_removal(&app, &hook).await;
}
