//! The same statements on the database alone, from one thread and from several, with the durability
//! that the program asks for.

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use muster::db::connection::{Access, Conn};
use muster::db::requests::{NewRequest, Wanted, Whose};
use muster::db::schema::{events, memberships, requests, user_emails, users};
use muster::db::{Db, StoreError};
use serde_json::Value;

use super::rows::pick;
use super::subject::Seed;
use crate::support::TestDatabase;

/// Does something with the connection inside, as the program does where it matters: over two kinds of
/// connection the text of a statement is put together anew to find it prepared.
macro_rules! on_either {
    ($conn:expr, |$inner:ident| $statement:expr) => {
        match $conn {
            Conn::Sqlite($inner) => $statement,
            Conn::Postgres($inner) => $statement,
        }
    };
}

/// What is asked of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Raw {
    ById,
    ByUserName,
    ByExternalId,
    ByEmail,
    Create,
    /// A body with so many members is parsed, and the members of the group are read.
    Members(usize),
}

impl Raw {
    /// Whether it is one statement that finds one user.
    pub fn is_look_up(self) -> bool {
        !matches!(self, Self::Create | Self::Members(_))
    }
}

/// The program's own number of connections to PostgreSQL.
const POOL: u32 = 10;

/// What the loops need to know of the store.
pub struct Loops<'a> {
    pub database: &'a TestDatabase,
    pub seed: &'a Seed,
    pub lasting: Duration,
}

impl Loops<'_> {
    /// How often a second it is done by so many threads, each with a connection of its own; `batch`
    /// are done in one transaction, where it is one that writes.
    pub fn per_second(&self, raw: Raw, threads: usize, batch: usize) -> f64 {
        let barrier = Barrier::new(threads);
        let tenant = self.tenant();
        let counts: Vec<(u64, f64)> = std::thread::scope(|scope| {
            let started: Vec<_> = (0..threads)
                .map(|thread| {
                    let (barrier, tenant) = (&barrier, tenant.as_str());
                    scope.spawn(move || self.one(raw, thread, batch, barrier, tenant))
                })
                .collect();
            started.into_iter().map(|thread| thread.join().expect("a thread")).collect()
        });
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        counts.iter().map(|(count, seconds)| *count as f64 / seconds).sum()
    }

    /// How often a second the statement is done through the program's own pool, by so many tasks: what
    /// the turns, the threads and the database leave to it.
    pub fn pooled(&self, raw: Raw, tasks: usize) -> f64 {
        let (ids, tenant) = (Arc::new(self.seed.ids.clone()), self.tenant());
        let url = self.database.url.parse().expect("a URL");
        let lasting = self.lasting;
        let run = async move {
            let db = Db::new(url, POOL).of(&tenant);
            let begun = Instant::now();
            let task = |task: usize| {
                let (db, ids, tenant) = (db.clone(), ids.clone(), Arc::<str>::from(&*tenant));
                tokio::spawn(async move {
                    let mut done = 0;
                    while begun.elapsed() < lasting {
                        let number = pick(task, done, ids.len());
                        let (ids, tenant) = (ids.clone(), tenant.clone());
                        let read = db.read(move |conn| {
                            look_up(conn, raw, &tenant, &ids[number], number);
                            Ok::<_, StoreError>(())
                        });
                        read.await.expect("a user");
                        done += 1;
                    }
                    done
                })
            };
            let tasks: Vec<_> = (0..tasks).map(task).collect();
            let mut done = 0;
            for task in tasks {
                done += task.await.expect("a task");
            }
            #[expect(clippy::cast_precision_loss, reason = "a rate")]
            let per_second = done as f64 / begun.elapsed().as_secs_f64();
            per_second
        };
        // Not on this thread, which has a runtime of its own.
        let run = || tokio::runtime::Runtime::new().expect("a runtime").block_on(run);
        std::thread::scope(|scope| scope.spawn(run).join().expect("a thread"))
    }

    fn tenant(&self) -> String {
        let id = users::id.eq(&self.seed.ids[0]);
        users::table
            .filter(id)
            .select(users::connection_id)
            .first(&mut self.database.connect())
            .expect("a user")
    }

    fn one(
        &self,
        raw: Raw,
        thread: usize,
        batch: usize,
        barrier: &Barrier,
        tenant: &str,
    ) -> (u64, f64) {
        let url = self.database.url.parse().expect("a URL");
        let access = if raw == Raw::Create { Access::Write } else { Access::Read };
        let mut conn = Conn::open(&url, access).expect("a connection");
        let template = (raw == Raw::Create).then(|| Template::read(&mut conn, &self.seed.ids[0]));
        let body = match raw {
            Raw::Members(size) => self.body(size),
            _ => String::new(),
        };
        barrier.wait();
        let begun = Instant::now();
        let mut done = 0;
        while begun.elapsed() < self.lasting || done == 0 {
            let number = pick(thread, done, self.seed.users);
            match raw {
                Raw::Create => {
                    let template = template.as_ref().expect("what to write");
                    let turn = done;
                    conn.write(|conn| {
                        for row in 0..batch as u64 {
                            template.insert(conn, tenant, thread, turn + row)?;
                        }
                        Ok::<_, diesel::result::Error>(())
                    })
                    .expect("a transaction");
                    done += batch as u64;
                    continue;
                }
                Raw::Members(size) => self.read_members(&mut conn, size, &body),
                _ => look_up(&mut conn, raw, tenant, &self.seed.ids[number], number),
            }
            done += 1;
        }
        (done, begun.elapsed().as_secs_f64())
    }

    fn body(&self, size: usize) -> String {
        let members: Vec<Value> =
            self.seed.ids[..size].iter().map(|id| serde_json::json!({ "value": id })).collect();
        serde_json::json!({ "displayName": "x", "members": members }).to_string()
    }

    fn read_members(&self, conn: &mut Conn, size: usize, body: &str) {
        let parsed: Value = serde_json::from_str(body).expect("JSON");
        let members = memberships::table
            .filter(memberships::team_id.eq(self.seed.group(size).expect("a group")))
            .select(memberships::user_id);
        let found: Vec<String> = on_either!(conn, |conn| members.load(conn)).expect("members");
        assert_eq!(parsed["members"].as_array().map(Vec::len), Some(size));
        assert!(found.len() >= size - 1);
    }
}

fn look_up(conn: &mut Conn, raw: Raw, tenant: &str, id: &str, number: usize) {
    let of_tenant = users::connection_id.eq(tenant);
    let name = format!("user{number:07}");
    let wanted = users::table.select((users::id, users::document, users::version));
    let found: QueryResult<(String, String, i64)> = match raw {
        Raw::ById => {
            let wanted = wanted.filter(of_tenant).filter(users::id.eq(id));
            on_either!(conn, |conn| wanted.first(conn))
        }
        Raw::ByUserName => {
            let folded = users::user_name_fold.eq(format!("{name}@example.com"));
            let wanted = wanted.filter(of_tenant).filter(folded);
            on_either!(conn, |conn| wanted.first(conn))
        }
        Raw::ByExternalId => {
            let external_id = users::external_id.eq(format!("00u{name}"));
            let wanted = wanted.filter(of_tenant).filter(external_id);
            on_either!(conn, |conn| wanted.first(conn))
        }
        Raw::ByEmail => {
            let with_address = user_emails::table
                .filter(user_emails::connection_id.eq(tenant))
                .filter(user_emails::value_fold.eq(format!("{name}@mail.example.com")))
                .select(user_emails::user_id);
            let wanted = wanted.filter(of_tenant).filter(users::id.eq_any(with_address));
            on_either!(conn, |conn| wanted.first(conn))
        }
        Raw::Create | Raw::Members(_) => unreachable!("no look-up"),
    };
    found.expect("a user");
}

/// What the program has written for one user, to write the same for others.
struct Template {
    display_name: String,
    document: String,
    data: String,
    changes: Option<String>,
    /// What stands in the log of requests, if it is kept; but for what differs from user to user.
    request: Option<NewRequest>,
}

impl Template {
    fn read(conn: &mut Conn, id: &str) -> Self {
        let (display_name, document) = users::table
            .filter(users::id.eq(id))
            .select((users::display_name.assume_not_null(), users::document))
            .first(conn)
            .expect("one");
        let (data, changes) = events::table
            .filter(events::subject_id.eq(id))
            .select((events::data, events::changes))
            .first(conn)
            .expect("an event");
        Self { display_name, document, data, changes, request: logged_creation(conn) }
    }

    fn insert(&self, conn: &mut Conn, tenant: &str, thread: usize, turn: u64) -> QueryResult<()> {
        let id = uuid::Uuid::now_v7().to_string();
        let name = format!("raw-{}-{thread}-{turn}-{id}", std::process::id());
        let now = 1_700_000_000_000_000_i64;
        let user = diesel::insert_into(users::table).values((
            users::id.eq(&id),
            users::connection_id.eq(tenant),
            users::user_name.eq(&name),
            users::user_name_fold.eq(&name),
            users::external_id.eq(&name),
            users::display_name.eq(&self.display_name),
            users::display_name_fold.eq(&self.display_name),
            users::active.eq(true),
            users::scim_owned.eq(true),
            users::document.eq(&self.document),
            users::version.eq(1_i64),
            users::created_at.eq(now),
            users::updated_at.eq(now),
        ));
        on_either!(conn, |conn| user.execute(conn))?;
        let address = diesel::insert_into(user_emails::table).values((
            user_emails::user_id.eq(&id),
            user_emails::position.eq(0_i64),
            user_emails::connection_id.eq(tenant),
            user_emails::value_fold.eq(&name),
        ));
        on_either!(conn, |conn| address.execute(conn))?;
        let event = diesel::insert_into(events::table).values((
            events::connection_id.eq(tenant),
            events::at.eq(now),
            events::actor.eq("token"),
            events::actor_id.eq(&id),
            events::request_id.eq(&id),
            events::action.eq("created"),
            events::subject.eq("user"),
            events::subject_id.eq(&id),
            events::data.eq(&self.data),
            events::changes.eq(&self.changes),
        ));
        on_either!(conn, |conn| event.execute(conn))?;
        let Some(request) = &self.request else { return Ok(()) };
        let request = NewRequest {
            request_id: id.clone(),
            user_id: Some(id),
            user_name: Some(name.clone()),
            user_name_fold: Some(name),
            ..request.clone()
        };
        let request = diesel::insert_into(requests::table).values(&request);
        on_either!(conn, |conn| request.execute(conn)).map(drop)
    }
}

/// What the program has logged of a creation, which it does within a second or two; nothing where it was
/// told to log nothing.
#[expect(clippy::disallowed_methods, reason = "nothing tells when it is there")]
fn logged_creation(conn: &mut Conn) -> Option<NewRequest> {
    let wanted = Wanted {
        whose: Whose::All,
        user: None,
        team: None,
        only_errors: false,
        kind: Some("scim"),
        method: Some("POST"),
        request_id: None,
        before: None,
        after: None,
        limit: 100,
    };
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        let found = muster::db::requests::page(conn, &wanted).expect("a log");
        let creation = found.iter().find(|row| {
            row.request.status == 201 && row.request.resource_type.as_deref() == Some("User")
        });
        if let Some(creation) = creation {
            // A list leaves the bodies out.
            let whole = muster::db::requests::find(conn, creation.id).expect("a row");
            return whole.map(|row| NewRequest {
                request_id: String::new(),
                user_id: None,
                user_name: None,
                user_name_fold: None,
                ..row.request
            });
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("no creation is in the log of requests: the loop writes no rows of it");
    None
}
