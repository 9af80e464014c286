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

mod access;
mod api;
mod audit;
mod brake;
mod cli;
mod console;
mod crash;
mod doctor;
mod dry_run;
mod fixtures;
mod fuzz;
mod hardening;
mod layout;
mod login;
mod ops;
mod overload;
mod packaging;
mod races;
mod requests;
mod scim;
mod signin;
mod simulation;
mod store;
mod supply;
mod support;
mod takeover;
mod webhooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cases = [
        scim::cases(),
        signin::CASES.to_vec(),
        login::cases(),
        simulation::cases(),
        takeover::CASES.to_vec(),
        access::cases(),
        api::cases(),
        audit::cases(),
        brake::cases(),
        cli::cases(),
        console::cases(),
        crash::cases(),
        doctor::cases(),
        dry_run::cases(),
        races::cases(),
        requests::cases(),
        ops::CASES.to_vec(),
        overload::cases(),
        packaging::all(),
        store::cases(),
        fixtures::cases(),
        hardening::cases(),
        fuzz::CASES.to_vec(),
        layout::CASES.to_vec(),
        supply::CASES.to_vec(),
        webhooks::cases(),
    ];
    support::run(cases.concat())
}
