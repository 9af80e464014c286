//! The console over HTTP.

mod browser;
mod pages;
mod setup;

use crate::support::Case;

pub fn cases() -> Vec<Case> {
    [pages::CASES, setup::CASES].concat()
}
