//! Behaviour over HTTP, on both databases. The tree of modules mirrors the routes.
//!
//! Every case runs on SQLite and on PostgreSQL, each time on a throwaway database of its own. Where
//! no PostgreSQL is found its half is reported as ignored.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that meets the unexpected has failed"
)]

mod api;
mod cli;
mod fixtures;
mod layout;
mod login;
mod ops;
mod races;
mod scim;
mod signin;
mod simulation;
mod store;
mod support;
mod takeover;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cases = [
        scim::cases(),
        signin::CASES.to_vec(),
        login::cases(),
        simulation::CASES.to_vec(),
        takeover::CASES.to_vec(),
        api::cases(),
        cli::cases(),
        races::cases(),
        ops::CASES.to_vec(),
        store::cases(),
        fixtures::cases(),
        layout::CASES.to_vec(),
    ];
    support::run(cases.concat())
}
