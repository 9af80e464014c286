//! What a server that is killed, a database that goes away and a disk that fills leave behind:
//! every acknowledged write, nothing that is half done, and events that say the same as the state.
//!
//! `MUSTER_CRASH_KILLS` and `MUSTER_CRASH_WRITES` say how much the kills are tried:
//! `MUSTER_CRASH_KILLS=200 MUSTER_CRASH_WRITES=100000 cargo test --release --test it -- crash::kills`

mod client;
mod drain;
mod feed;
mod kills;
mod outage;
mod storage;
mod writer;

use crate::support::Case;

pub fn cases() -> Vec<Case> {
    [kills::cases(), outage::cases(), storage::cases(), drain::cases()].concat()
}
