//! The log of requests on its way to the store: requests leave a record in a queue and go on; a task
//! writes what is there every second, and sooner where much is, and whoever reads the log has it written
//! first.
//!
//! The queue is bounded. Where more comes than is written, what tells least is given up, and counted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tokio::time::{MissedTickBehavior, interval};

use super::App;
use crate::config::{LogRequests, RequestLogSettings};
use crate::db::StoreError;
use crate::db::requests::{self as rows, NewRequest};
use crate::directory::requests::mask::Masks;
use crate::directory::requests::record::{self, Draft, Record, Weight};
use crate::scim::schema::Registry;

/// How often what is there is written.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// How often what is too old is removed.
const PRUNE_EVERY: Duration = Duration::from_mins(1);
/// Records that wait to be written, at most.
const MAX_RECORDS: usize = 10_000;
/// Those of them in which something was read. As they are written once a second, it is also about the
/// most that is written of them in a second.
const MAX_READS: usize = 1_000;
/// Bytes that they take, at most.
const MAX_SIZE: usize = 16 * 1024 * 1024;
/// Bytes of other records than reads that wait before they are written sooner.
const MUCH: usize = 1024 * 1024;
/// Records of nobody's that are taken in a second.
const NOBODY_A_SECOND: u32 = 10;
/// How long after a sign-in that could not begin another one of the same connection is taken, in
/// microseconds: those rows have a connection, so that they are not among nobody's that are bounded in all.
const NOT_BEGUN_EVERY: i64 = 10 * 1_000_000;
/// Sign-ins that could not begin that are taken in a minute, of all connections.
const NOT_BEGUN_A_MINUTE: usize = 10;
/// A minute in microseconds.
const MINUTE: i64 = 60 * 1_000_000;
/// Rows of nobody's that are kept in all.
const MAX_NOBODY: i64 = 10_000;
/// Records that are made rows, and rows that are written in one transaction: as there may be many, never all
/// are in memory in both shapes.
const BATCH: usize = 200;
/// Rows that are removed in one statement.
const PRUNE_BATCH: i64 = 500;

/// What is on its way to the log of requests.
#[derive(Debug)]
pub struct RequestLog {
    settings: RequestLogSettings,
    masks: Arc<Masks>,
    queue: Mutex<Queue>,
    /// Whether the queue takes no more reads, for those that ask without waiting for it.
    is_full_of_reads: AtomicBool,
    /// Told when what waits had better be written before its time.
    is_much: Notify,
    /// Records that were taken from the queue and are not written yet; who has it writes.
    taken: AsyncMutex<Taken>,
    /// How many records were given up.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Taken {
    drafts: Vec<Draft>,
    rows: Arc<Vec<NewRequest>>,
}

/// The records that wait, those of each weight in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    reads: VecDeque<(u64, Record)>,
    telling: VecDeque<(u64, Record)>,
    nobodys: VecDeque<(u64, Record)>,
    next: u64,
    size: usize,
    /// The part of the size that is that of reads.
    size_of_reads: usize,
    /// The second in which the last of nobody's came, and how many had in it.
    nobody: (i64, u32),
    /// The sign-ins of the last minute that could not begin: when, and of which connection.
    not_begun: VecDeque<(i64, String)>,
}

impl Queue {
    /// Adds a record; says how many were given up for it.
    fn push(&mut self, record: Record) -> u64 {
        let weight = record.weight();
        if record.not_begun().is_some_and(|connection| !self.takes_not_begun(connection, record.at))
        {
            return 1;
        }
        if weight == Weight::Nobody {
            let second = record.at.div_euclid(1_000_000);
            if self.nobody.0 != second {
                self.nobody = (second, 0);
            }
            if self.nobody.1 >= NOBODY_A_SECOND {
                return 1;
            }
            self.nobody.1 += 1;
        }
        if weight == Weight::Read && self.is_full_of_reads() {
            return 1;
        }
        self.grow(&record);
        let number = self.next;
        self.next += 1;
        self.of(weight).push_back((number, record));
        let mut lost = 0;
        while self.len() > MAX_RECORDS || self.size > MAX_SIZE {
            let order = [Weight::Read, Weight::Nobody, Weight::Telling];
            if !order.into_iter().any(|weight| self.give_up(weight)) {
                break;
            }
            lost += 1;
        }
        lost
    }

    /// Whether one more sign-in that could not begin is taken. Anybody can send them.
    fn takes_not_begun(&mut self, connection: &str, at: i64) -> bool {
        self.not_begun.retain(|(then, _)| (at - MINUTE..=at).contains(then));
        let is_new = |(then, of): &(i64, String)| of != connection || at - then >= NOT_BEGUN_EVERY;
        let takes = self.not_begun.len() < NOT_BEGUN_A_MINUTE && self.not_begun.iter().all(is_new);
        if takes {
            self.not_begun.push_back((at, connection.to_owned()));
        }
        takes
    }

    fn is_full_of_reads(&self) -> bool {
        self.reads.len() >= MAX_READS
    }

    fn is_much(&self) -> bool {
        self.size - self.size_of_reads >= MUCH
    }

    fn grow(&mut self, record: &Record) {
        self.size += record.size();
        self.size_of_reads += size_of_read(record);
    }

    fn shrink(&mut self, record: &Record) {
        self.size -= record.size();
        self.size_of_reads -= size_of_read(record);
    }

    fn of(&mut self, weight: Weight) -> &mut VecDeque<(u64, Record)> {
        match weight {
            Weight::Read => &mut self.reads,
            Weight::Telling => &mut self.telling,
            Weight::Nobody => &mut self.nobodys,
        }
    }

    fn len(&self) -> usize {
        self.reads.len() + self.telling.len() + self.nobodys.len()
    }

    /// Gives the oldest record of a weight up; says whether there was one.
    fn give_up(&mut self, weight: Weight) -> bool {
        let Some((_, oldest)) = self.of(weight).pop_front() else { return false };
        self.shrink(&oldest);
        true
    }

    /// Takes the next records that came before the one with this number, in the order in which they came.
    fn take(&mut self, most: usize, end: u64) -> Vec<Record> {
        let mut taken = Vec::new();
        while taken.len() < most {
            let queues = [&mut self.reads, &mut self.telling, &mut self.nobodys];
            let number_of = |queue: &VecDeque<(u64, Record)>| queue.front().map(|first| first.0);
            let next = queues
                .into_iter()
                .filter(|queue| number_of(queue).is_some_and(|number| number < end))
                .min_by_key(|queue| number_of(queue))
                .and_then(VecDeque::pop_front);
            let Some((_, record)) = next else { break };
            self.shrink(&record);
            taken.push(record);
        }
        if self.len() == 0 {
            // What waited in an hour of need is not kept room for.
            for queue in [&mut self.reads, &mut self.telling, &mut self.nobodys] {
                queue.shrink_to(MAX_READS);
            }
        }
        taken
    }
}

fn size_of_read(record: &Record) -> usize {
    if record.weight() == Weight::Read { record.size() } else { 0 }
}

impl RequestLog {
    /// An empty log.
    pub fn new(settings: RequestLogSettings, registry: &Registry) -> Self {
        Self {
            settings,
            masks: Arc::new(Masks::of(registry)),
            queue: Mutex::default(),
            is_full_of_reads: AtomicBool::new(false),
            is_much: Notify::new(),
            taken: AsyncMutex::default(),
            lost: AtomicU64::new(0),
        }
    }

    /// Whether anything is logged.
    pub fn is_on(&self) -> bool {
        self.settings.which != LogRequests::Off
    }

    /// Whether a read is left out, which is counted where it should have been logged. Asked before its
    /// record is put together: that takes about as long as to look a user up.
    pub fn leaves_read_out(&self) -> bool {
        let is_full = self.settings.which == LogRequests::All
            && self.is_full_of_reads.load(Ordering::Relaxed);
        if is_full {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_full || self.settings.which != LogRequests::All
    }

    /// Adds a record, which waits for nothing.
    pub fn push(&self, record: Record) {
        if !self.is_on() {
            return;
        }
        let mut queue = self.queue();
        let lost = queue.push(record);
        self.is_full_of_reads.store(queue.is_full_of_reads(), Ordering::Relaxed);
        if queue.is_much() {
            self.is_much.notify_one();
        }
        drop(queue);
        self.lost.fetch_add(lost, Ordering::Relaxed);
    }

    /// See [`Queue::take`].
    fn take(&self, most: usize, end: u64) -> Vec<Record> {
        let mut queue = self.queue();
        let records = queue.take(most, end);
        self.is_full_of_reads.store(queue.is_full_of_reads(), Ordering::Relaxed);
        records
    }

    /// How many records were given up.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in there panics halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives rows up that the store does not take.
    fn give_up(&self, count: usize, error: &StoreError) {
        log::error!("{count} requests are not logged: {error}");
        self.lost.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl App {
    /// Writes what requests have left behind for the log; says whether the store has taken it. Has to be
    /// awaited to its end: what is under way would be written again.
    pub async fn save_requests(&self) -> bool {
        let log = &self.requests;
        let mut taken = log.taken.lock().await;
        // What comes from here on is for the next time, or there might be no end.
        let end = log.queue().next;
        loop {
            // What could not be written before comes first.
            if let Err(error) = self.write_taken(&mut taken).await {
                log::log!(error.level(), "could not log requests, and tries again: {error}");
                return false;
            }
            let records = log.take(BATCH, end);
            if records.is_empty() {
                return true;
            }
            let (masks, count) = (log.masks.clone(), records.len());
            let has_bodies = log.settings.bodies;
            // Bodies are read and masked away from the threads that serve requests.
            let draft = move || {
                records.into_iter().map(|record| record.draft(&masks, has_bodies)).collect()
            };
            match tokio::task::spawn_blocking(draft).await {
                Ok(drafts) => taken.drafts = drafts,
                Err(_) => log.give_up(count, &StoreError::Panicked),
            }
        }
    }

    /// Writes what was taken from the queue.
    ///
    /// # Errors
    /// The store cannot be had; what is left is written later.
    async fn write_taken(&self, taken: &mut Taken) -> Result<(), StoreError> {
        let log = &self.requests;
        if !taken.drafts.is_empty() {
            let drafts = Arc::new(std::mem::take(&mut taken.drafts));
            let given = drafts.clone();
            match self.db.read(move |conn| record::complete(conn, &given)).await {
                Ok(rows) => taken.rows = Arc::new(rows),
                Err(error) if error.is_unavailable() => {
                    taken.drafts = Arc::unwrap_or_clone(drafts);
                    return Err(error);
                }
                Err(error) => log.give_up(drafts.len(), &error),
            }
        }
        if taken.rows.is_empty() {
            return Ok(());
        }
        let counted = Arc::new(record::counted(&taken.rows));
        let write = || {
            let (rows, counted) = (taken.rows.clone(), counted.clone());
            self.db.note("log_requests", move |conn| {
                Ok::<_, StoreError>(rows::append(conn, &rows, &counted)?)
            })
        };
        let mut done = write().await;
        if matches!(&done, Err(error) if !error.is_unavailable()) {
            // A connection may have gone in between.
            done = write().await;
        }
        match done {
            Ok(()) => {}
            Err(error) if error.is_unavailable() => return Err(error),
            Err(error) => log.give_up(taken.rows.len(), &error),
        }
        taken.rows = Arc::default();
        Ok(())
    }

    /// Writes the log of requests every second, or sooner where much waits, and removes what is too old or too much of it, until
    /// the server is about to stop.
    pub async fn look_after_requests(&self) {
        let (mut writes, mut prunes) = (interval(WRITE_EVERY), interval(PRUNE_EVERY));
        for turns in [&mut writes, &mut prunes] {
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let stopped = self.stopped();
        tokio::pin!(stopped);
        let mut is_taken = true;
        loop {
            tokio::select! {
                _ = writes.tick() => is_taken = self.save_requests().await,
                // A store that takes nothing is not asked at every request.
                () = self.requests.is_much.notified(), if is_taken => {
                    is_taken = self.save_requests().await;
                }
                _ = prunes.tick() => self.prune_requests().await,
                () = &mut stopped => return,
            }
        }
    }

    /// Removes what is too old, or too much, of the log of requests.
    pub async fn prune_requests(&self) {
        let settings = self.settings.request_log;
        let keep = i64::try_from(settings.keep.as_micros()).unwrap_or(i64::MAX);
        let before = (self.clock)().saturating_sub(keep);
        let surplus =
            self.db.read(move |conn| Ok::<_, StoreError>(rows::surplus(conn, settings.most)?));
        let surplus = match surplus.await {
            Ok(surplus) => surplus,
            Err(error) => {
                log::log!(error.level(), "could not count the requests of the log: {error}");
                return;
            }
        };
        loop {
            let removed = self.db.note("prune_requests", move |conn| {
                let removed = rows::prune(conn, before, surplus, PRUNE_BATCH)?;
                let nobodys = rows::prune_nobody(conn, MAX_NOBODY, PRUNE_BATCH)?;
                rows::prune_hours(conn, before)?;
                Ok::<_, StoreError>(removed.max(nobodys))
            });
            match removed.await {
                // Others have their turn in between.
                Ok(removed) if i64::try_from(removed).is_ok_and(|count| count >= PRUNE_BATCH) => {}
                Ok(_) => return,
                Err(error) => {
                    log::log!(error.level(), "could not remove old requests from the log: {error}");
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::directory::requests::Kind;
    use crate::directory::requests::record::{Kept, SignIn};

    fn record(status: u16) -> Record {
        Record {
            at: 0,
            duration: 1,
            kind: Kind::SignIn,
            method: "GET",
            path: "/login/callback".to_owned(),
            query: None,
            status,
            token: None,
            token_hash: None,
            request_id: status.to_string(),
            client: None,
            user_agent: None,
            quirks: Vec::new(),
            resources: None,
            request: Kept::default(),
            answer: Kept::default(),
            sign_in: Some(Box::new(SignIn {
                connection_id: Some("c".to_owned()),
                ..SignIn::default()
            })),
        }
    }

    fn nobodys(at: i64) -> Record {
        Record { at, sign_in: None, ..record(404) }
    }

    fn read(number: u16) -> Record {
        use crate::access::Permit;
        use crate::directory::connections::{Connection, Settings};
        use crate::directory::tokens::Authenticated;
        let connection = Connection {
            id: "c".to_owned(),
            name: "c".to_owned(),
            settings: Settings::default(),
            created_at: 0,
            updated_at: 0,
        };
        let token = Authenticated {
            token_id: "t".to_owned(),
            connection: Arc::new(connection),
            permit: Permit::default(),
            expires_at: None,
            note_at: 0,
        };
        let (token, sign_in) = (Some(Arc::new(token)), None);
        let request_id = number.to_string();
        Record { kind: Kind::Scim, token, sign_in, request_id, ..record(200) }
    }

    #[test]
    fn reads_are_given_up_first() {
        let mut queue = Queue::default();
        let most = u16::try_from(MAX_READS).expect("a small number");
        let lost: u64 = (0..most + 3).map(|number| queue.push(read(number))).sum();
        assert_eq!(lost, 3, "the first are kept, so that it is known beforehand what is not");
        for _ in 0..MAX_RECORDS - MAX_READS {
            assert_eq!(queue.push(record(303)), 0);
        }
        assert_eq!(queue.push(record(403)), 1);
        assert_eq!(queue.len(), MAX_RECORDS);
        let all = queue.take(usize::MAX, u64::MAX);
        assert_eq!(all.first().expect("the oldest read").request_id, "1");
        assert_eq!(all.last().expect("the newest").request_id, "403");
        assert_eq!(all.iter().filter(|record| record.weight() == Weight::Telling).count(), 9_001);
        assert_eq!((queue.len(), queue.size), (0, 0));
    }

    #[test]
    fn records_are_taken_as_they_came_and_no_later_ones() {
        let mut queue = Queue::default();
        let records = [read(0), record(1), nobodys(0), read(3), record(4), record(5)];
        assert_eq!(records.map(|record| queue.push(record)), [0; 6]);
        let mut ids = |most, end| {
            let taken = queue.take(most, end);
            taken.into_iter().map(|record| record.request_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(4, 5), ["0", "1", "404", "3"]);
        assert_eq!(ids(4, 5), ["4"]);
        assert!(ids(4, 5).is_empty());
        assert_eq!(ids(4, 6), ["5"]);
        assert_eq!((queue.len(), queue.size), (0, 0));
    }

    #[test]
    fn reads_beyond_the_first_are_counted_without_a_record() {
        let registry = Registry::load(&[]).expect("a registry");
        let settings = |which| RequestLogSettings { which, ..RequestLogSettings::default() };
        let log = RequestLog::new(settings(LogRequests::All), &registry);
        for number in 0..u16::try_from(MAX_READS).expect("a small number") {
            assert!(!log.leaves_read_out(), "{number}");
            log.push(read(number));
        }
        assert!(log.leaves_read_out());
        assert_eq!(log.lost(), 1);
        assert_eq!(log.take(usize::MAX, u64::MAX).len(), MAX_READS);
        assert!(!log.leaves_read_out());
        let log = RequestLog::new(settings(LogRequests::Writes), &registry);
        assert!(log.leaves_read_out());
        assert_eq!(log.lost(), 0, "it was not to be logged");
    }

    #[tokio::test]
    async fn it_is_told_that_much_waits_of_what_is_no_read() {
        let registry = Registry::load(&[]).expect("a registry");
        let log = RequestLog::new(RequestLogSettings::default(), &registry);
        let body = Bytes::from(vec![b'x'; 15 * 1024]);
        let push = || log.push(Record { request: Kept::of(&body), ..record(303) });
        push();
        for number in 0..500 {
            log.push(Record { request: Kept::of(&body), ..read(number) });
        }
        assert!(log.queue().size > MUCH);
        assert!(log.is_much.notified().now_or_never().is_none());
        (0..MUCH / body.len()).for_each(|_| push());
        assert!(log.is_much.notified().now_or_never().is_some());
    }

    #[test]
    fn bodies_have_their_bounds() {
        let mut queue = Queue::default();
        let body = Bytes::from(vec![b'x'; 15 * 1024]);
        let mut lost = 0;
        for _ in 0..2_000 {
            lost += queue.push(Record { request: Kept::of(&body), ..record(303) });
        }
        assert!(queue.size <= MAX_SIZE && lost > 900, "{lost}");
        assert_eq!(lost + u64::try_from(queue.len()).expect("a count"), 2_000);
    }

    #[test]
    fn long_heads_have_the_same_bounds() {
        let long = || "x".repeat(60 * 1024);
        let heads: [fn(String) -> Record; 4] = [
            |text| Record { path: text, ..record(303) },
            |text| Record { query: Some(text), ..record(303) },
            |text| Record { user_agent: Some(text), ..record(303) },
            |text| {
                let facts = SignIn { facts: Some(text), ..SignIn::default() };
                let connection_id = Some("c".to_owned());
                Record { sign_in: Some(Box::new(SignIn { connection_id, ..facts })), ..record(303) }
            },
        ];
        for head in heads {
            let mut queue = Queue::default();
            let lost: u64 = (0..300).map(|_| queue.push(head(long()))).sum();
            assert!(queue.size <= MAX_SIZE && lost >= 300 - 16 * 1024 / 60, "{lost}");
            queue.take(usize::MAX, u64::MAX);
            assert_eq!(queue.size, 0);
        }
    }

    #[test]
    fn nobody_fills_the_log() {
        let mut queue = Queue::default();
        let lost: u64 = (0..25).map(|_| queue.push(nobodys(1_500_000))).sum();
        assert_eq!(lost, 15);
        assert_eq!(queue.push(nobodys(2_000_000)), 0);
        assert_eq!(queue.len(), 11);
    }

    #[test]
    fn sign_ins_that_cannot_begin_do_not_fill_the_log() {
        let failed = |second: i64, connection: usize| {
            let connection_id = Some(connection.to_string());
            let sign_in = SignIn { not_begun: true, connection_id, ..SignIn::default() };
            Record { at: second * 1_000_000, sign_in: Some(Box::new(sign_in)), ..record(502) }
        };
        assert_eq!(failed(0, 1).weight(), Weight::Nobody);
        let mut queue = Queue::default();
        let lost: u64 = (0..60).map(|second| queue.push(failed(second, 1))).sum();
        assert_eq!(lost, 54, "one in ten seconds of a connection");
        let lost: u64 = (2..22).map(|connection| queue.push(failed(60, connection))).sum();
        assert_eq!(lost, 16, "ten in a minute of all, of which six were there");
        assert_eq!(queue.push(failed(120, 1)), 0);
        assert_eq!(queue.push(failed(500, 1)), 0);
    }
}
