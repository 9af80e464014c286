//! How fast the program is, over HTTP, on a store of any size, on both databases.
//!
//! ```console
//! cargo bench --bench load -- --users 1000,100000 --databases sqlite,postgres
//! ```
//!
//! For every size a store is filled, the program started on it, and driven by 1, 8 and 64 clients
//! that keep their connections. Beside each figure stands what it is of: a handler that does nothing
//! but answer the same bytes, the same statement on the database alone, and the same row at the
//! smallest size.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measurement that meets the unexpected is none"
)]

mod bare;
mod client;
mod raw;
mod report;
mod rows;
mod sign_in;
mod subject;
#[expect(dead_code, unused_imports, unused_macros, reason = "the tests need more of it")]
#[path = "../../tests/it/support/mod.rs"]
mod support;

use std::rc::Rc;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use self::bare::Bare;
use self::client::{Ask, Lane, drive};
use self::raw::{Loops, Raw};
use self::report::{Line, Report, peak, reset_peak};
use self::rows::{PAGE, Row};
use self::sign_in::SignIn;
use self::subject::{Seed, Subject};
use self::support::Backend;

/// How long an answer may take, in seconds, for several clients to ask for it at once: they are more than
/// there are connections to the database, and whoever waits too long for one is turned away.
const SLOW: f64 = 3.0;

/// Measures the program.
#[derive(Parser)]
struct Options {
    /// Users in the store, one or more sizes, the smallest first
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    users: Vec<usize>,
    /// Databases
    #[arg(long, value_delimiter = ',', default_value = "sqlite,postgres")]
    databases: Vec<String>,
    /// Clients at once
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    clients: Vec<usize>,
    /// Seconds that every figure is taken of
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Only the rows with this in their name
    #[arg(long)]
    row: Option<String>,
    /// What the server is told besides, such as "--log-requests off"
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    serve: String,
    /// Leaves out what the figures are held against
    #[arg(long)]
    alone: bool,
    /// Also writes the figures to this file, as JSON
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|first| first == "bare") {
        return bare::serve(&arguments[2..]);
    }
    let options = Options::parse();
    let mut report = Report::default();
    actix_web::rt::System::new().block_on(async {
        for users in options.users.clone() {
            let seed = Rc::new(Seed::grow(users));
            for name in &options.databases {
                let backend = match name.as_str() {
                    "sqlite" => Backend::Sqlite,
                    "postgres" => Backend::Postgres,
                    other => panic!("'{other}' is neither sqlite nor postgres"),
                };
                measure(&options, &seed, backend, &mut report).await;
            }
        }
    });
    if let Some(file) = &options.json {
        std::fs::write(file, report.to_json().to_string()).expect("the figures in a file");
    }
}

/// Measures every row of a size on a database.
async fn measure(options: &Options, seed: &Rc<Seed>, backend: Backend, report: &mut Report) {
    let mut subject = Subject::start(seed, backend, &options.serve);
    let sign_in = SignIn::set_up(&subject, seed.users).await;
    let host = subject.host();
    let cursor = last_cursor(&host, seed).await;
    let rows = rows::all(seed, &sign_in, &cursor);
    let wanted = |row: &&Row| options.row.as_ref().is_none_or(|part| row.name.contains(part));
    report.begin(backend, seed.users, subject.bytes());
    let lasting = Duration::from_secs_f64(options.seconds);
    for row in rows.iter().filter(wanted) {
        let bare = match &row.sample {
            Some(sample) if !options.alone => Some((sample, bare(&host, sample).await)),
            _ => None,
        };
        for clients in options.clients.iter().filter(|clients| **clients <= row.most_clients) {
            reset_peak(subject.id());
            let measured = drive(&host, *clients, lasting, &row.work).await;
            let peak = peak(subject.id());
            let bare = match &bare {
                Some((_, bare)) => {
                    Some(drive(&bare.host, *clients, lasting, &row.work).await.per_second)
                }
                None => None,
            };
            let loops = Loops { database: &subject.database, seed, lasting };
            let raw = row.raw.filter(|_| !options.alone);
            let pool = raw.filter(|raw| raw.is_look_up()).map(|raw| loops.pooled(raw, *clients));
            let raw = raw.map(|raw| raw_beside(&loops, raw, *clients));
            let is_slow = measured.per_second * SLOW < 1.0;
            report.add(&Line { row, clients: *clients, measured, peak, bare, raw, pool });
            if is_slow {
                break;
            }
        }
    }
    subject.stop();
}

/// A handler that gives the answer that the program gives.
async fn bare(host: &str, sample: &Ask) -> Bare {
    let answer = Lane::open(host, 0).await.get(sample).await;
    Bare::start(&answer)
}

/// The database alone, from one thread beside one client, from eight beside more. What writes and
/// cannot be done at once by several is done in batches instead.
fn raw_beside(loops: &Loops<'_>, raw: Raw, clients: usize) -> f64 {
    let is_one_writer = raw == Raw::Create && loops.database.backend == Backend::Sqlite;
    match (clients, is_one_writer) {
        (1, _) => loops.per_second(raw, 1, 1),
        (_, true) => loops.per_second(raw, 1, clients),
        (_, false) => loops.per_second(raw, 8, 1),
    }
}

/// The cursor of the last page, which only those before it lead to.
async fn last_cursor(host: &str, seed: &Seed) -> String {
    let mut lane = Lane::open(host, 0).await;
    let (mut cursor, mut seen) = (String::new(), 0);
    loop {
        // Large steps, and at last one that leaves a page.
        let left = seed.users - seen;
        let count = if left > 1_000 + PAGE { 1_000 } else { left - PAGE };
        let ask = Ask {
            path: format!("/scim/v2/Users?attributes=id&count={count}&cursor={cursor}"),
            token: Some(seed.token.clone()),
            ..Ask::default()
        };
        let page: Value = serde_json::from_slice(&lane.get(&ask).await.body).expect("JSON");
        let next = page["nextCursor"].as_str().expect("a next page");
        cursor = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        seen += count;
        if seed.users - seen <= PAGE {
            return next.to_owned();
        }
    }
}
