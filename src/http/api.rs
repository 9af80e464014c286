//! `/api/v1`: what the vendor's own back end reads and lets through, with an admin token.

pub mod admin;
mod answer;
pub mod brakes;
pub mod description;
pub mod doctor;
pub mod events;
mod parameters;
pub mod requests;
pub mod teams;
pub mod users;
pub mod webhooks;

pub use self::answer::{method_not_allowed, no_such_endpoint, other_method, post_only};
