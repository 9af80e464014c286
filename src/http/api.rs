//! `/api/v1`: what the vendor's own back end reads and lets through, with an admin token.

pub mod admin;
mod answer;
pub mod brakes;
pub mod description;
pub mod events;
mod parameters;
pub mod teams;
pub mod users;

pub use self::answer::{method_not_allowed, no_such_endpoint, post_only};
