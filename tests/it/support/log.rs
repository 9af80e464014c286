//! The log of events against the state: what is in the store can be built from the log, by the other
//! kind of database too, and the log is whole.

use muster::db::{Db, StoreError, state};
use muster::directory::{replay, sealing};

use super::database::{Backend, TestDatabase};

/// The log as it is exported.
pub async fn exported(db: &Db) -> Vec<u8> {
    db.snapshot(|conn| {
        let mut lines = Vec::new();
        sealing::export(conn, 0, &mut lines)?;
        Ok::<_, sealing::ExportError>(lines)
    })
    .await
    .expect("a log")
}

/// Builds the state of a store from its log, and expects it to be the same.
pub async fn tells_all(database: &TestDatabase, now: i64) {
    let db = Db::new(database.url.parse().expect("a database URL"), 1);
    sealing::seal(&db, now).await.expect("seals");
    let log = exported(&db).await;
    let found = replay::verify(log.as_slice(), None).expect("a whole log");
    assert_eq!(found.unsealed, 0, "{found:?}");
    let copy = TestDatabase::migrated(Backend::Sqlite);
    let built = Db::new(copy.url.parse().expect("a database URL"), 1);
    replay::replay(&built, log.as_slice()).await.expect("a log that can be replayed");
    let state = |db: Db| async move { db.snapshot(state::digest).await.expect("a state") };
    if state(db.clone()).await != state(built.clone()).await {
        let (there, here) = (rows(db).await, rows(built).await);
        let missing: Vec<_> = there.iter().filter(|row| !here.contains(row)).collect();
        let extra: Vec<_> = here.iter().filter(|row| !there.contains(row)).collect();
        panic!("the log does not tell all: it lacks {missing:#?} and gives {extra:#?}");
    }
}

async fn rows(db: Db) -> Vec<String> {
    db.snapshot(|conn| {
        let mut rows = Vec::new();
        state::each_row(conn, &mut |row| rows.push(row.to_owned()))?;
        Ok::<_, StoreError>(rows)
    })
    .await
    .expect("rows")
}
