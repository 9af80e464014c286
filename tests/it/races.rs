//! Races between real processes: two servers on one PostgreSQL; one server that many connections
//! ask at once, and two on one file, for SQLite.
//!
//! A case is a number of rounds. Each sends requests at the same moment, to the servers in turn, and
//! then holds what there is against what was acknowledged: it has to be what some order of the
//! requests gives, every answer has to be one that an order allows, and none may be the server's
//! fault. `MUSTER_RACE_ROUNDS` is the number of rounds of every case; with it the figures are
//! printed.

mod bulk;
mod groups;
mod keys;
mod order;
mod people;
mod removals;
mod sign_in;
mod stage;
mod start;
mod teams;
mod tokens;
mod users;

use crate::support::Case;

/// Cases that are given a stage: each plays on every stage that the database has.
macro_rules! races {
    ($($name:ident),* $(,)?) => {
        &[$($crate::support::Case {
            module: module_path!(),
            name: stringify!($name),
            run: $crate::support::Run::Database(|database| Box::pin(async move {
                for number in 0..$crate::races::stage::stages(&database) {
                    let stage = $crate::races::stage::Stage::set(
                        database.backend, number, stringify!($name),
                    ).await;
                    $name(&stage).await;
                    let database = stage.database.clone();
                    stage.clear();
                    // What the processes wrote at once, one log tells in one order.
                    $crate::support::log::tells_all(&database, 1).await;
                }
            })),
        }),*]
    };
}

use races;

pub fn cases() -> Vec<Case> {
    [
        order::CASES.to_vec(),
        groups::CASES.to_vec(),
        users::CASES.to_vec(),
        keys::CASES.to_vec(),
        removals::CASES.to_vec(),
        bulk::CASES.to_vec(),
        tokens::CASES.to_vec(),
        sign_in::CASES.to_vec(),
        teams::CASES.to_vec(),
        start::CASES.to_vec(),
    ]
    .concat()
}
