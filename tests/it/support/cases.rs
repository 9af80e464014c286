//! Cases and how they run: each as a trial of its own for every database.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};

use super::app::TestApp;
use super::database::{Backend, TestDatabase};
use super::{database, log, postgres};

/// How long a case on a database may take: longer than any does on a slow machine.
const LIMIT: Duration = Duration::from_mins(8);
/// How long any case may take, with all that is made for it and cleaned up after it.
const OUTER_LIMIT: Duration = Duration::from_mins(10);
/// Who says how much some of them do takes the time that it takes.
const LONGER: [&str; 6] = [
    "MUSTER_CRASH_KILLS",
    "MUSTER_CRASH_WRITES",
    "MUSTER_FUZZ_RUNS",
    "MUSTER_RACE_ROUNDS",
    "MUSTER_SOAK_SECONDS",
    "MUSTER_TEST_HISTORIES",
];

/// What a case needs.
#[derive(Clone, Copy)]
pub enum Run {
    /// A running server with an empty store.
    App(fn(TestApp) -> LocalBoxFuture<'static, ()>),
    /// A running server with the schemas of `tests/fixtures/schemas`, and an empty store.
    Schemas(fn(TestApp) -> LocalBoxFuture<'static, ()>),
    /// A migrated database.
    Database(fn(TestDatabase) -> LocalBoxFuture<'static, ()>),
    /// Nothing; runs once.
    Pure(fn()),
    /// Something of the machine, and is ignored where it does not have that; runs once.
    Needing(fn() -> bool, fn()),
}

/// A test case. The lists of cases are held against the functions by the compiler: a function that
/// is in no list is dead code.
#[derive(Clone, Copy)]
pub struct Case {
    pub module: &'static str,
    pub name: &'static str,
    pub run: Run,
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::App(|app| Box::pin($name(app))),
        }),*]
    };
}

macro_rules! schema_cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::Schemas(|app| Box::pin($name(app))),
        }),*]
    };
}

macro_rules! database_cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::Database(|database| Box::pin($name(database))),
        }),*]
    };
}

macro_rules! pure_cases {
    ($($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::Pure($name),
        }),*]
    };
}

/// Cases that need something of the machine: `needing!(is_there; case, …)`.
macro_rules! needing {
    ($is_there:expr; $($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::Needing($is_there, $name),
        }),*]
    };
}

pub(crate) use {cases, database_cases, needing, pure_cases, schema_cases};

/// The folder of schemas that the tests of extensions use.
pub fn schema_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schemas")
}

#[derive(Default)]
struct Count {
    passed: AtomicUsize,
    failed: AtomicUsize,
}

/// Runs the cases as the command line says.
pub fn run(cases: Vec<Case>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // They wait for disks and for each other more than they compute.
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    arguments.test_threads = arguments.test_threads.or(Some(2 * cores));
    let available = postgres::is_available();
    let counts: Arc<[Count; 3]> = Arc::default();
    let mut trials = Vec::new();
    let mut ignored = [0; 3];
    for case in cases {
        let path = case.module.strip_prefix("it::").unwrap_or(case.module);
        let name = |prefix: &str| format!("{prefix}::{path}::{}", case.name);
        match case.run {
            Run::Pure(test) => {
                let counts = counts.clone();
                trials.push(Trial::test(name("other"), move || counted(&counts[2], test)));
            }
            Run::Needing(is_there, test) => {
                let counts = counts.clone();
                let is_missing = !is_there();
                ignored[2] += usize::from(is_missing);
                let trial = Trial::test(name("other"), move || counted(&counts[2], test));
                trials.push(trial.with_ignored_flag(is_missing));
            }
            Run::App(_) | Run::Schemas(_) | Run::Database(_) => {
                for (backend, place) in [(Backend::Sqlite, 0), (Backend::Postgres, 1)] {
                    let counts = counts.clone();
                    let is_missing = backend == Backend::Postgres && !available;
                    ignored[place] += usize::from(is_missing);
                    let trial = Trial::test(name(backend.name()), move || {
                        counted(&counts[place], move || on_database(case.run, backend))
                    });
                    trials.push(trial.with_ignored_flag(is_missing));
                }
            }
        }
    }
    if !available {
        eprintln!(
            "PostgreSQL: none found (looked for MUSTER_TEST_POSTGRES_URL and for server \
             programs): {} tests ignored",
            ignored[1]
        );
        if std::env::var_os("MUSTER_TEST_REQUIRE_POSTGRES").is_some() {
            eprintln!("PostgreSQL is required here");
            return ExitCode::FAILURE;
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let names = ["sqlite", "postgres", "other"];
        for ((name, count), ignored) in names.iter().zip(counts.iter()).zip(ignored) {
            println!(
                "{name}: {} passed, {} failed, {ignored} ignored",
                count.passed.load(Ordering::Relaxed),
                count.failed.load(Ordering::Relaxed)
            );
        }
    }
    postgres::stop();
    database::stop();
    conclusion.exit_code()
}

fn counted(count: &Count, test: impl FnOnce() + Send + 'static) -> Result<(), Failed> {
    let done = ended(test);
    let counter = if done.is_ok() { &count.passed } else { &count.failed };
    counter.fetch_add(1, Ordering::Relaxed);
    done.map_err(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Failed::from(text.unwrap_or_else(|| "the test panicked".to_owned()))
    })
}

/// How a test ends. One that has no end fails and is left where it is, whatever it waits for: it is not to
/// keep everybody from hearing of the others.
fn ended(test: impl FnOnce() + Send + 'static) -> std::thread::Result<()> {
    let (sender, coming) = channel();
    std::thread::spawn(move || {
        // Nobody listens any more to one that took too long.
        let _ = sender.send(std::panic::catch_unwind(AssertUnwindSafe(test)));
    });
    let limit = if may_take_longer() { Duration::MAX } else { OUTER_LIMIT };
    let told = || -> Box<dyn Any + Send> { Box::new(format!("no end after {OUTER_LIMIT:?}")) };
    coming.recv_timeout(limit).unwrap_or_else(|_| Err(told()))
}

fn may_take_longer() -> bool {
    LONGER.iter().any(|name| std::env::var_os(name).is_some())
}

/// Carries a test out; one that has no end is given up, and fails.
async fn in_time(test: impl Future<Output = ()>) {
    if may_take_longer() {
        return test.await;
    }
    let done = tokio::time::timeout(LIMIT, test).await;
    assert!(done.is_ok(), "it has not come to an end after {LIMIT:?}");
}

fn on_database(run: Run, backend: Backend) {
    let database = TestDatabase::migrated(backend);
    actix_web::rt::System::new().block_on(async move {
        match run {
            Run::App(test) | Run::Schemas(test) => {
                let app = match run {
                    Run::Schemas(_) => TestApp::with_schemas(database, &schema_folder()).await,
                    _ => TestApp::start(database).await,
                };
                let stop = app.stopper();
                let (database, now) = (app.database.clone(), app.clock.now());
                let done = AssertUnwindSafe(in_time(test(app))).catch_unwind().await;
                stop.await;
                if let Err(panic) = done {
                    std::panic::resume_unwind(panic);
                }
                if database.has_log() {
                    log::tells_all(&database, now).await;
                }
            }
            Run::Database(test) => in_time(test(database)).await,
            Run::Pure(test) | Run::Needing(_, test) => test(),
        }
    });
}
