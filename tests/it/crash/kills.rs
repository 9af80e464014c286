//! The server, or PostgreSQL under it, is killed again and again while clients write.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use diesel::RunQueryDsl;
use futures_util::future::{join, join_all};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::client::{Client, Outcome};
use super::feed::{Followed, Replica};
use super::writer::{Progress, Tally, Writer};
use crate::support::process::{Server, run, succeeds};
use crate::support::{Backend, Case, Cluster, TestDatabase, database_cases, log, needing};

const WRITERS: u64 = 16;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_mins(2);
const KILLS: u64 = 4;
const WRITES_A_KILL: u64 = 60;
/// Bounds so wide that no client of so few meets them.
const WIDE: [&str; 4] = ["--max-bulk", "64", "--rate-limit", "0"];

pub fn cases() -> Vec<Case> {
    let server: &[Case] = database_cases![a_server_that_is_killed_loses_nothing];
    let database: &[Case] = needing!(Cluster::can_be_made; postgres_that_is_killed_loses_nothing);
    [server, database].concat()
}

fn size(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

/// Counts what is sent and what is acknowledged, and says when it is enough for a kill.
struct Count {
    seen: Cell<u64>,
    enough: Cell<u64>,
    killing: Notify,
}

impl Count {
    fn add(&self, some: u64) {
        self.seen.set(self.seen.get() + some);
        if self.seen.get() >= self.enough.get() {
            self.killing.notify_one();
        }
    }
}

impl Progress for Count {
    fn sent(&self) {
        self.add(1);
    }

    fn acknowledged(&self, writes: u64) {
        self.add(writes);
    }
}

/// The clients, and what they and the follower of the events know.
struct Crowd {
    writers: Vec<Writer>,
    replica: Replica,
    random: StdRng,
    kills: u64,
    begun: Instant,
}

impl Crowd {
    fn new() -> Self {
        Self {
            writers: (0..WRITERS).map(Writer::new).collect(),
            replica: Replica::default(),
            random: StdRng::seed_from_u64(WRITERS),
            kills: 0,
            begun: Instant::now(),
        }
    }

    fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for writer in &self.writers {
            all.acknowledged += writer.tally.acknowledged;
            all.applied += writer.tally.applied;
            all.dropped += writer.tally.dropped;
            all.lost.extend(writer.tally.lost.iter().cloned());
            all.half_done.extend(writer.tally.half_done.iter().cloned());
        }
        all
    }

    /// Whether there is more to be done.
    fn goes_on(&self) -> bool {
        let kills = size("MUSTER_CRASH_KILLS", KILLS);
        let writes = size("MUSTER_CRASH_WRITES", kills * WRITES_A_KILL);
        self.kills < kills || self.tally().acknowledged < writes
    }

    /// All write until `kill`, which comes after so many writes on average, at any moment of theirs.
    async fn write(&mut self, client: &Client, kill: impl AsyncFnOnce()) {
        let kills = size("MUSTER_CRASH_KILLS", KILLS);
        let writes = size("MUSTER_CRASH_WRITES", kills * WRITES_A_KILL);
        // Each is counted twice, as sent and as acknowledged.
        let enough = 2 * writes.div_ceil(kills.max(1));
        let enough = self.random.random_range(enough / 2..=enough + enough / 2 + WRITERS);
        let count = Count { seen: Cell::new(0), enough: Cell::new(enough), killing: Notify::new() };
        let is_killed = Cell::new(false);
        let all = async {
            join_all(self.writers.iter_mut().map(|writer| writer.write(client, &count))).await;
            assert!(is_killed.get(), "all were turned away after {} of {enough}", count.seen.get());
        };
        join(all, async {
            count.killing.notified().await;
            is_killed.set(true);
            kill().await;
        })
        .await;
        self.kills += 1;
    }

    /// Holds what the server shows, now that it is back, against the logs and the events.
    async fn check(&mut self, client: &Client, everything: bool) {
        let looks = self.writers.iter_mut().map(|writer| writer.check(client, everything));
        let seen = join_all(looks).await;
        self.replica.follow(client).await;
        for (seen, shown) in seen.into_iter().flatten() {
            let of: &BTreeMap<String, Followed> =
                if seen.is_user { &self.replica.users } else { &self.replica.teams };
            Replica::compare(of, &seen.id, shown.as_ref());
        }
        let tally = self.tally();
        assert_eq!(tally.lost, [""; 0], "acknowledged and lost");
        assert_eq!(tally.half_done, [""; 0], "half done");
    }

    /// The last look, at everything there is.
    async fn finish(mut self, client: &Client, what: &str) {
        self.check(client, true).await;
        for writer in &self.writers {
            writer.compare_history(&self.replica);
        }
        let tally = self.tally();
        eprintln!(
            "{what}: kills={} acknowledged={} lost={} half_done={} \
             not_acknowledged: carried_out={} not_carried_out={}; events={} seconds={}",
            self.kills,
            tally.acknowledged,
            tally.lost.len(),
            tally.half_done.len(),
            tally.applied,
            tally.dropped,
            self.replica.events(),
            self.begun.elapsed().as_secs()
        );
    }
}

fn admin_token(database: &TestDatabase) -> String {
    succeeds(&run(database, &["admin-token", "create"]))
}

fn client(server: &Server, token: &str, admin_token: &str) -> Client {
    Client::new(&server.field("Listening on").expect("an address"), token, admin_token)
}

/// Waits until PostgreSQL has found that the clients of a server that was killed are gone: what
/// they had sent it may still be carried out.
fn until_alone(database: &TestDatabase) {
    if database.backend == Backend::Sqlite {
        return;
    }
    let mut conn = database.connect();
    let others = "DO $$ BEGIN WHILE EXISTS (SELECT 1 FROM pg_stat_activity WHERE \
                  datname = current_database() AND pid <> pg_backend_pid() AND \
                  backend_type = 'client backend') LOOP PERFORM pg_sleep(0.002); \
                  PERFORM pg_stat_clear_snapshot(); END LOOP; END $$";
    diesel::sql_query(others).execute(&mut conn).expect("to be alone");
}

async fn a_server_that_is_killed_loses_nothing(database: TestDatabase) {
    let mut server = Server::start_logging(&database, &WIDE, "warn");
    let token = server.field("API token").expect("a token");
    let admin_token = admin_token(&database);
    let mut crowd = Crowd::new();
    let last = loop {
        let client = client(&server, &token, &admin_token);
        crowd.check(&client, false).await;
        if !crowd.goes_on() {
            break client;
        }
        crowd.write(&client, async || server.kill()).await;
        until_alone(&database);
        server = Server::start_logging(&database, &WIDE, "warn");
    };
    crowd.finish(&last, database.backend.name()).await;
    log::tells_all(&database, 1).await;
    if database.backend == Backend::Sqlite {
        assert_eq!(database.integrity(), "ok");
    }
    server.stop();
}

/// PostgreSQL ends without a word, as in a crash, and starts again; the server stays.
fn postgres_that_is_killed_loses_nothing() {
    actix_web::rt::System::new().block_on(async {
        let mut cluster = Cluster::durable();
        let database = cluster.database();
        let server = Server::start_logging(&database, &WIDE, "warn");
        let token = server.field("API token").expect("a token");
        let client = client(&server, &token, &admin_token(&database));
        let mut crowd = Crowd::new();
        while crowd.goes_on() {
            crowd.write(&client, async || cluster.stop("QUIT")).await;
            cluster.start();
            until_ready(&client).await;
            crowd.check(&client, false).await;
        }
        crowd.finish(&client, "PostgreSQL killed").await;
        server.stop();
        log::tells_all(&database, 1).await;
    });
}

/// Asks until the server reaches its database again.
async fn until_ready(client: &Client) {
    let begun = Instant::now();
    while begun.elapsed() < LONG {
        match client.send("GET", "/readyz", None).await {
            Outcome::Answered { status: 200, .. } => return,
            Outcome::Answered { status: 503, .. } => tokio::task::yield_now().await,
            other => panic!("/readyz: {other:?}"),
        }
    }
    panic!("it is not ready after {LONG:?}");
}
