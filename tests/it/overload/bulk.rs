//! Bulk requests: so many at a time, and a share for each connection.

use muster::db::StoreError;
use serde_json::json;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::{comes_back, counted, until, until_none};
use crate::support::{Case, ScimClient, TestApp, TestDatabase, database_cases};

pub const CASES: &[Case] = database_cases![bulk_requests_are_few_at_a_time];

const JOBS: &str = "muster_bulk_jobs";

async fn bulk_requests_are_few_at_a_time(database: TestDatabase) {
    let app = TestApp::start_with(database, |settings| {
        settings.max_bulk = 4;
        settings.queue_patience = super::LONG;
    })
    .await;
    let mut clients = vec![app.scim()];
    for name in ["b", "c", "d", "e"] {
        clients.push(app.other(name).await);
    }
    let send = |client: &ScimClient, name: &str| {
        let client = client.clone();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": [{
                "method": "POST", "path": "/Users", "bulkId": "a", "data": { "userName": name },
            }],
        });
        async move { client.post("/Bulk", &body).await }
    };
    // Nobody can write, so that no job comes to an end.
    let held = hold_writers(&app).await;
    let mut under_way = Vec::new();
    for (client, number) in clients.iter().zip(1..=4) {
        under_way.push(actix_web::rt::spawn(send(client, "ann")));
        until(&app, JOBS, number).await;
        if number == 1 {
            let detail = comes_back(send(client, "ben").await, 429);
            assert!(detail.contains("one after the other"), "{detail}");
        }
    }
    comes_back(send(&clients[4], "ann").await, 503);
    for reason in ["bulk-share", "bulk-full"] {
        let name = format!("muster_turned_away_total{{reason=\"{reason}\"}}");
        assert_eq!(counted(&app, &name).await, 1, "{reason}");
    }
    for client in &clients {
        client.get("/Users").await.expect(200);
    }
    drop(held);
    for done in under_way {
        let answer = done.await.expect("an answer").expect(200);
        assert_eq!(answer.body["Operations"][0]["status"], "201");
    }
    until_none(&app, JOBS).await;
    let answer = send(&clients[4], "ann").await.expect(200);
    assert_eq!(answer.body["Operations"][0]["status"], "201");
    assert!(clients[0].find("/Users", "userName eq \"ben\"").await.is_empty());
}

/// Takes all turns for writing, until what is returned is dropped.
async fn hold_writers(app: &TestApp) -> Vec<std::sync::mpsc::Sender<()>> {
    let mut held = Vec::new();
    for _ in 0..turns(app) {
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        held.push(release);
        let db = app.db.clone();
        actix_web::rt::spawn(async move {
            let wait = move |_: &mut _| {
                let _ = released.lock().expect("a channel").recv();
                Ok::<_, StoreError>(())
            };
            db.note("hold", wait).await.expect("a turn");
        });
    }
    let turns = u64::try_from(turns(app)).expect("a number");
    until(app, r#"muster_database_turns{pool="write"}"#, turns).await;
    held
}

fn turns(app: &TestApp) -> usize {
    match app.database.backend {
        crate::support::Backend::Sqlite => 1,
        crate::support::Backend::Postgres => 3,
    }
}
