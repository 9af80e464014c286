//! Nobody who writes waits for a seal: it is hashed beside what is written, however long that takes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use muster::db::{Conn, Db, StoreError};
use muster::directory::{feed, sealing};
use serde_json::json;

use super::verified;
use crate::support::{Case, TestApp, cases, eventually};

pub const CASES: &[Case] = cases![nobody_who_writes_waits_for_a_hash];

/// The lock that PostgreSQL's side of the gate is.
const LOCK: i64 = 7_355_608;

#[diesel::declare_sql_function]
extern "SQL" {
    fn gate(data: Text) -> Text;
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Where a store's own connections stand still until it is opened: at the first event whose data they
/// read, as who hashes it has to.
struct Gate {
    sqlite: Arc<Barrier>,
    /// Holds the lock and sees who waits for it.
    postgres: Option<Conn>,
}

#[derive(Default)]
struct Barrier {
    is_met: AtomicBool,
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Barrier {
    fn pass(&self) {
        self.is_met.store(true, Ordering::SeqCst);
        let mut is_open = self.is_open.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Gate {
    /// A gate in the way of both kinds of connections of a store that has one of each.
    async fn closed(app: &TestApp, db: &Db) -> Self {
        let sqlite = Arc::new(Barrier::default());
        let mut postgres = app.database.connect();
        let lock = format!("SELECT pg_advisory_lock({LOCK})");
        let postgres = postgres.is_postgres().then(|| {
            postgres.batch_execute(&lock).expect("a lock");
            postgres
        });
        let barrier = sqlite.clone();
        db.read(move |conn| put_up(conn, &barrier)).await.expect("a gate for readers");
        let barrier = sqlite.clone();
        db.note("gate", move |conn| put_up(conn, &barrier)).await.expect("a gate for writers");
        Self { sqlite, postgres }
    }

    /// Whether somebody stands at it.
    fn is_met(&mut self) -> bool {
        let Some(conn) = &mut self.postgres else {
            return self.sqlite.is_met.load(Ordering::SeqCst);
        };
        let waiting = format!(
            "SELECT count(*) AS count FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
             AND objid = {LOCK} AND database = (SELECT oid FROM pg_database WHERE datname = \
             current_database())"
        );
        diesel::sql_query(waiting).get_result::<Count>(conn).expect("a number").count > 0
    }
}

impl Drop for Gate {
    /// Opens it, also where the test has failed: threads would wait for ever.
    fn drop(&mut self) {
        *self.sqlite.is_open.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.sqlite.opened.notify_all();
    }
}

/// Puts a view of the same name before the events, for this connection alone.
fn put_up(conn: &mut Conn, barrier: &Arc<Barrier>) -> Result<(), StoreError> {
    let view = |gate: &str, events: &str| {
        format!(
            "CREATE TEMP VIEW events AS SELECT sequence, connection_id, at, actor, actor_id, \
             request_id, action, subject, subject_id, {gate}(data) AS data, position, changes \
             FROM {events}"
        )
    };
    match conn {
        Conn::Sqlite(conn) => {
            let barrier = barrier.clone();
            gate_utils::register_impl(conn, move |data: String| {
                barrier.pass();
                data
            })?;
            conn.batch_execute("PRAGMA query_only = OFF; PRAGMA trusted_schema = ON")?;
            conn.batch_execute(&view("gate", "main.events"))?;
        }
        Conn::Postgres(conn) => {
            conn.batch_execute(&format!(
                "CREATE FUNCTION pg_temp.gate(data TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE \
                 AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared({LOCK}); RETURN data; END $$"
            ))?;
            conn.batch_execute(&view("pg_temp.gate", "public.events"))?;
        }
    }
    Ok(())
}

async fn nobody_who_writes_waits_for_a_hash(app: TestApp) {
    let (client, now) = (app.scim(), app.clock.now());
    let ann = client.post("/Users", &json!({ "userName": "ann" })).await.expect(201).id();
    while app.db.note("place_events", feed::place).await.expect("positions") {}
    let before = verified(&app.db, None).await.expect("a whole log").unsealed;
    // Another process seals; it has a connection for reading and one for writing.
    let db = Db::new(app.database.url.parse().expect("a database URL"), 1);
    let mut gate = Gate::closed(&app, &db).await;
    let sealing = actix_web::rt::spawn({
        let db = db.clone();
        async move { sealing::seal(&db, now).await }
    });
    eventually("it reads an event", async || {
        assert!(!sealing.is_finished(), "it reads no event");
        gate.is_met()
    })
    .await;
    // While the events are about to be hashed, there are new ones, and changes of what is there.
    client.post("/Users", &json!({ "userName": "ben" })).await.expect(201);
    client.delete(&format!("/Users/{ann}")).await.expect(204);
    assert!(!sealing.is_finished());
    assert_eq!(verified(&app.db, None).await.expect("a whole log").seals, 0);
    drop(gate);
    sealing.await.expect("no panic").expect("seals");
    let report = verified(&app.db, None).await.expect("a whole log");
    assert_eq!((report.seals, report.sealed, report.unsealed), (1, before, 2), "{report:?}");
    sealing::seal(&app.db, now).await.expect("seals");
    let report = verified(&app.db, None).await.expect("a whole log");
    assert_eq!((report.seals, report.sealed, report.unsealed), (2, before + 2, 0), "{report:?}");
}
