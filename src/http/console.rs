//! The console: pages for the vendor's support, rendered here, that work without a script.
//!
//! [`guard`] lets nobody in but operators, [`shell`] is what is around every page, and each page is a
//! module of its own.

pub mod actions;
pub mod connection;
pub mod connections;
pub mod doctor;
pub mod events;
mod failure;
mod guard;
pub mod log;
pub mod login;
mod parts;
pub mod setup;
pub mod shell;
pub mod teams;
pub mod user;
pub mod users;

pub use self::guard::admit;
