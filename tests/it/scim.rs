//! `/scim/v2`.

mod bulk;
mod concurrency;
mod conditional;
mod cursor;
mod discovery;
mod errors;
pub mod events;
mod extension;
mod filter;
mod groups;
mod random;
mod rfc;
mod sort;
mod tenants;
mod tokens;
mod users;
mod values;

use crate::support::Case;

pub fn cases() -> Vec<Case> {
    let own = [
        users::CASES,
        values::CASES,
        groups::CASES,
        filter::CASES,
        filter::EXTENDED,
        errors::CASES,
        tenants::CASES,
        tokens::CASES,
        discovery::CASES,
        events::CASES,
        concurrency::CASES,
        conditional::CASES,
        sort::CASES,
        sort::EXTENDED,
        cursor::CASES,
        rfc::CASES,
    ];
    [own.concat(), bulk::cases(), extension::cases()].concat()
}
