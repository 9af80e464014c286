//! Who sets webhooks up, by `/api/v1/webhooks`, and that their secrets stay secret.

use muster::db::{Db, backup, state};
use muster::directory::{replay, sealing, webhooks};
use serde_json::{Value, json};

use super::{Hook, by, cursors, dispatcher, feed_after, kinds, push_user};
use crate::support::receiver::Receiver;
use crate::support::{Backend, Case, ScimClient, TestApp, TestDatabase, cases, log};

pub const CASES: &[Case] = cases![
    webhooks_are_set_up_by_the_back_end,
    what_is_wrong_with_a_webhook_is_said,
    two_signatures_while_a_secret_is_changed,
    no_secret_is_in_an_event_or_an_answer,
    a_copy_goes_on_where_the_store_was,
    a_store_that_was_built_from_the_log_has_no_secret,
    what_was_sent_is_counted,
];

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn create(admin: &ScimClient, pairs: &[(&str, &str)]) -> Value {
    let path = format!("/webhooks?{}", encoded(pairs));
    admin.post(&path, &Value::Null).await.expect(201).body
}

async fn webhooks_are_set_up_by_the_back_end(app: TestApp) {
    let (admin, receiver, dispatcher) = (app.admin().await, Receiver::start(), dispatcher(&app));
    let settings =
        [("url", receiver.url.as_str()), ("action", "user.*,team.created"), ("label", "x")];
    let made = create(&admin, &settings).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    let path = format!("/webhooks/{id}");
    let shown = admin.get(&path).await.expect(200).body;
    assert_eq!(shown["types"], json!(["team.created", "user.*"]));
    assert_eq!((&shown["label"], &shown["state"]), (&json!("x"), &json!("active")));
    assert_eq!(admin.get("/webhooks").await.expect(200).body["webhooks"], json!([shown]));
    let event = feed_after(&app, 0)
        .await
        .into_iter()
        .find(|event| event["action"] == "created" && event["subject"]["type"] == "webhook")
        .expect("an event");
    assert_eq!(event["actor"]["type"], "admin-token");
    // The rest of the address may be a credential, and others hear of this event.
    let origin = receiver.url.strip_suffix("/hooks").expect("a path");
    assert_eq!(
        (&made["url"], &event["data"]["after"]["url"]),
        (&json!(receiver.url), &json!(origin))
    );
    assert!(event["requestId"].is_string());

    push_user(&app.scim(), "ann").await;
    let paused = admin.post(&format!("{path}/pause"), &Value::Null).await.expect(200).body;
    assert_eq!(paused["state"], "paused");
    dispatcher.deliver_due().await.expect("a look");
    assert!(receiver.received().is_empty());
    admin.post(&format!("{path}/resume"), &Value::Null).await.expect(200);
    dispatcher.deliver_due().await.expect("a delivery");
    assert_eq!(kinds(&receiver.take()), ["user.created"]);

    let rotated = admin.post(&format!("{path}/rotate?overlap=60"), &Value::Null).await.expect(200);
    let new_secret = rotated.body["secret"].as_str().expect("a secret").to_owned();
    assert_ne!(new_secret, secret);
    admin.post(&format!("{path}/replay?after=0"), &Value::Null).await.expect(200);
    dispatcher.deliver_due().await.expect("a delivery");
    let again = receiver.take();
    assert_eq!(kinds(&again), ["user.created"]);
    assert!(again[0].is_signed_by(&secret) && again[0].is_signed_by(&new_secret));

    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect(404);
    admin.delete(&path).await.expect(404);
    push_user(&app.scim(), "bob").await;
    dispatcher.deliver_due().await.expect("a look");
    assert!(receiver.received().is_empty());
}

async fn what_is_wrong_with_a_webhook_is_said(app: TestApp) {
    let admin = app.admin().await;
    let good = ("url", "https://app.example.com/hooks");
    for (pairs, word) in [
        (vec![], "'url' is missing"),
        (vec![("url", "http://app.example.com/")], "https"),
        (vec![("url", "https://ann:pw@app.example.com/")], "without a user"),
        (vec![good, ("action", "user.created,user.nothing")], "user.nothing"),
        (vec![good, ("label", "a\u{7}b")], "label"),
        (vec![good, ("tpyes", "user.created")], "tpyes"),
    ] {
        let answer = admin.post(&format!("/webhooks?{}", encoded(&pairs)), &Value::Null).await;
        let body = answer.expect(400).body;
        assert!(body["message"].as_str().is_some_and(|text| text.contains(word)), "{body}");
    }
    let nobody = [good, ("connection", "nobody")];
    admin.post(&format!("/webhooks?{}", encoded(&nobody)), &Value::Null).await.expect(404);
    assert_eq!(admin.get("/webhooks").await.expect(200).body["webhooks"], json!([]));
    let id = create(&admin, &[good]).await["id"].as_str().expect("an id").to_owned();
    for path in ["replay", "replay?after=99999", "rotate?overlap=-1", "pause?x=1"] {
        admin.post(&format!("/webhooks/{id}/{path}"), &Value::Null).await.expect(400);
    }
    let other = "018f0000-0000-7000-8000-000000000000";
    for path in ["pause", "resume", "rotate", "replay?after=0"] {
        admin.post(&format!("/webhooks/{other}/{path}"), &Value::Null).await.expect(404);
    }
    for (method, path) in
        [("PUT", "/webhooks"), ("PATCH", "/webhooks/x"), ("GET", "/webhooks/x/pause")]
    {
        let answer = admin.with_body(method, path, &Value::Null).await.expect(405);
        assert!(answer.header("allow").is_some());
    }
    // SCIM's tokens open nothing here.
    app.api_with(app.default_token()).get("/webhooks").await.expect(401);
}

async fn two_signatures_while_a_secret_is_changed(app: TestApp) {
    let hook = Hook::new(&app).await;
    hook.deliver().await;
    let second = hook.rotate(&app, Some(app.clock.now() + 3_600_000_000)).await;
    let received = hook.deliver().await;
    assert_eq!(kinds(&received), ["webhook.secret_rotated"]);
    assert_eq!(received[0].signatures.len(), 2);
    assert!(received[0].is_signed_by(&hook.secret) && received[0].is_signed_by(&second));
    assert!(hook.json(&app).await["old_secret_until"].is_string());
    app.clock.advance(3601);
    push_user(&app.scim(), "ann").await;
    let received = hook.deliver().await;
    assert_eq!(received[0].signatures.len(), 1);
    assert!(received[0].is_signed_by(&second));
    assert_eq!(hook.json(&app).await["old_secret_until"], Value::Null);
    // Where the secret is known to others, it counts no more.
    let third = hook.rotate(&app, None).await;
    let received = hook.deliver().await;
    assert!(received[0].is_signed_by(&third));
    assert!(!received[0].is_signed_by(&second) && received[0].signatures.len() == 1);
}

async fn no_secret_is_in_an_event_or_an_answer(app: TestApp) {
    let hook = Hook::new(&app).await;
    let second = hook.rotate(&app, Some(app.clock.now() + 3_600_000_000)).await;
    hook.deliver().await;
    let admin = app.admin().await;
    sealing::seal(&app.db, app.clock.now()).await.expect("a seal");
    let mut texts = vec![
        String::from_utf8(log::exported(&app.db).await).expect("text"),
        json!(feed_after(&app, 0).await).to_string(),
        format!("{:?}", hook.webhook(&app).await),
    ];
    for path in ["/webhooks".to_owned(), format!("/webhooks/{}", hook.id)] {
        texts.push(admin.get(&path).await.expect(200).text);
    }
    texts.push(app.anonymous().get("/metrics").await.expect(200).text);
    for text in &texts {
        for secret in [&hook.secret, &second] {
            let random = secret.strip_prefix("whsec_").expect("a secret");
            assert!(!text.contains(&random[..20]) && !text.contains("whsec_"), "{text}");
        }
    }
}

async fn a_copy_goes_on_where_the_store_was(app: TestApp) {
    let hook = Hook::new(&app).await;
    push_user(&app.scim(), "ann").await;
    hook.deliver().await;
    push_user(&app.scim(), "bob").await;
    let folder = crate::support::scratch();
    let file = folder.path().join("copy.db");
    let written = file.clone();
    app.db.read(move |conn| backup::write(conn, &written)).await.expect("a copy");
    let copy = TestDatabase::at(Backend::Sqlite, &format!("sqlite://{}", file.display()));
    let copied = TestApp::start(copy).await;
    assert_eq!(hook.json(&copied).await["cursor"], hook.json(&app).await["cursor"]);
    dispatcher(&copied).deliver_due().await.expect("a delivery");
    let received = hook.receiver.take();
    assert_eq!(kinds(&received)[0], "user.created");
    assert!(received[0].is_signed_by(&hook.secret));
    copied.stopper().await;
}

async fn a_store_that_was_built_from_the_log_has_no_secret(app: TestApp) {
    let hook = Hook::new(&app).await;
    push_user(&app.scim(), "ann").await;
    hook.deliver().await;
    sealing::seal(&app.db, app.clock.now()).await.expect("a seal");
    let log = log::exported(&app.db).await;
    let database = TestDatabase::migrated(Backend::Sqlite);
    let built = Db::new(database.url.parse().expect("a database URL"), 1);
    replay::replay(&built, log.as_slice()).await.expect("a log that can be replayed");
    let digest = |db: Db| async move { db.snapshot(state::digest).await.expect("a state") };
    assert_eq!(digest(built.clone()).await, digest(app.db.clone()).await);
    let built = TestApp::start(database).await;
    assert_eq!(hook.json(&built).await["has_secret"], false);
    let sending = dispatcher(&built);
    sending.deliver_due().await.expect("a look");
    assert!(hook.receiver.received().is_empty(), "nothing is sent that is not signed");
    let (id, by) = (hook.id.clone(), by(&built));
    let (_, secret) = built
        .db
        .write("test", move |conn| webhooks::rotate(conn, &id, Some(i64::MAX), &by))
        .await
        .expect("a secret");
    sending.deliver_due().await.expect("a delivery");
    let received = hook.receiver.take();
    // From where it was created: the receiver knows by their ids what it has already.
    assert_eq!(kinds(&received)[..2], ["webhook.created", "user.created"]);
    assert!(cursors(&received).is_sorted());
    assert!(received.iter().all(|one| one.is_signed_by(secret.expose())));
    built.stopper().await;
}

async fn what_was_sent_is_counted(app: TestApp) {
    let text = app.anonymous().get("/metrics").await.expect(200).text;
    for line in [
        "muster_webhook_deliveries_total{result=\"delivered\"} 0",
        "muster_webhook_deliveries_total{result=\"failed\"} 0",
        "muster_webhook_deliveries_total{result=\"disabled\"} 0",
        "muster_webhook_lag_events 0",
        "muster_webhook_lag_seconds 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}
