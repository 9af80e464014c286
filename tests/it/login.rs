//! Sign-in over HTTP, with providers of the tests' own: how it goes well, and a row for each thing
//! that can be wrong, each refused for its own reason and for no other.

mod accepted;
mod applications;
mod flow;
pub mod harness;
mod keys;
mod me;
mod mix_up;
mod people;
mod providers;
mod redirects;
mod refusals;
mod requests;
mod state;

use crate::support::Case;

pub fn cases() -> Vec<Case> {
    [
        flow::CASES.to_vec(),
        state::cases(),
        refusals::CASES.to_vec(),
        accepted::CASES.to_vec(),
        keys::cases(),
        providers::cases(),
        mix_up::CASES.to_vec(),
        people::CASES.to_vec(),
        redirects::cases(),
        requests::cases(),
        applications::CASES.to_vec(),
        me::CASES.to_vec(),
    ]
    .concat()
}
