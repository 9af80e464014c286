//! A model of an organisation and its identity provider drives the real server, by SCIM and by
//! sign-ins, through histories drawn at random: what has to hold of the convergence of the two
//! (`docs/convergence.md`) is checked after each step and in the end.
//!
//! `MUSTER_TEST_HISTORIES` says how many histories, `MUSTER_TEST_SEED` which one is the first.

mod browser;
mod dump;
mod history;
mod okta;
mod org;
mod sabotage;
mod world;

use futures_util::StreamExt;
use futures_util::stream;

use self::browser::Browser;
use self::history::{Setup, Step, generate, shrink};
use self::sabotage::Sabotage;
use self::world::World;
use crate::support::{Backend, Case, TestApp, TestDatabase, cases, database_cases};

pub fn cases() -> Vec<Case> {
    let apps: &[Case] = cases![histories_converge];
    let databases: &[Case] = database_cases![a_broken_rule_is_noticed];
    [apps, databases].concat()
}

/// Histories of a run where nothing else is said.
const FEW: u64 = 40;
/// Within so many histories a broken rule has to be noticed.
const SOON: u64 = 100;
/// Histories at a time, each with a connection of its own.
const AT_A_TIME: usize = 6;

/// A history in which something does not hold.
struct Failure {
    seed: u64,
    setup: Setup,
    error: String,
}

async fn run(
    app: &TestApp,
    browser: &Browser,
    setup: Setup,
    steps: &[Step],
    sabotage: Option<Sabotage>,
) -> Result<(), String> {
    World::new(app, browser, setup, sabotage).await.run(steps).await
}

/// The first failure among so many histories: those of some seeds, each with everybody's last
/// sign-in after the last push, and before it. Both have to come to the same truth.
async fn explore(
    app: &TestApp,
    browser: &Browser,
    first: u64,
    histories: u64,
    sabotage: Option<Sabotage>,
) -> Option<Failure> {
    let failures = stream::iter(0..histories)
        .map(|number| async move {
            let seed = first + number / 2;
            let (mut setup, steps) = generate(seed);
            setup.sign_in_first = number % 2 == 1;
            let done = run(app, browser, setup, &steps, sabotage).await;
            done.err().map(|error| Failure { seed, setup, error })
        })
        .buffered(AT_A_TIME)
        .filter_map(std::future::ready)
        // A rule that was broken on purpose has to be noticed as that rule.
        .filter(|failure| {
            let is_it = sabotage.is_none_or(|sabotage| failure.error.contains(sabotage.sign()));
            std::future::ready(is_it)
        });
    std::pin::pin!(failures).next().await
}

/// A failure as a short history that can be read.
async fn told(
    app: &TestApp,
    browser: &Browser,
    failure: &Failure,
    sabotage: Option<Sabotage>,
) -> (usize, String) {
    use std::fmt::Write;

    let (setup, steps) = (failure.setup, generate(failure.seed).1);
    let is_it = |error: &String| sabotage.is_none_or(|it| error.contains(it.sign()));
    let fails = async |steps: &[Step]| {
        run(app, browser, setup, steps, sabotage).await.err().is_some_and(|error| is_it(&error))
    };
    let steps = shrink(steps, fails).await;
    let error = run(app, browser, setup, &steps, sabotage).await.err();
    let mut text = format!(
        "seed {}: {}\nshortened: {}\nwith {setup:?}",
        failure.seed,
        failure.error,
        error.unwrap_or_else(|| "it does not fail any more: a race".to_owned())
    );
    for (number, step) in steps.iter().enumerate() {
        let _ = write!(text, "\n{number:3}. {step:?}");
    }
    (steps.len(), text)
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"))
}

async fn histories_converge(app: TestApp) {
    let browser = Browser::new(&app).await;
    let (first, many) = (number("MUSTER_TEST_SEED", 1), number("MUSTER_TEST_HISTORIES", FEW));
    if let Some(failure) = explore(&app, &browser, first, many, None).await {
        panic!("{}", told(&app, &browser, &failure, None).await.1);
    }
}

async fn a_broken_rule_is_noticed(database: TestDatabase) {
    // They all sign in from one address, and a fast machine is at more than that is let do a minute.
    let app = TestApp::start_with(database, |settings| settings.limits.sign_ins = 0).await;
    let browser = Browser::new(&app).await;
    for sabotage in Sabotage::ALL {
        let failure = explore(&app, &browser, 1, SOON, Some(sabotage)).await;
        let failure = failure.unwrap_or_else(|| panic!("nobody noticed: {sabotage:?}"));
        if app.database.backend == Backend::Postgres {
            // How it is shortened is the same on both, and is tried where it takes less time.
            continue;
        }
        let (length, text) = told(&app, &browser, &failure, Some(sabotage)).await;
        assert!(length <= 12, "a short history shows it: {text}");
    }
    app.stopper().await;
}
