//! Sign-in: from the application's request to the provider and back.

pub mod authorize;
pub mod callback;
mod client;
mod cookie;
mod failure;
pub mod initiate;
pub mod logout;
pub mod metadata;
mod page;
mod parameters;
pub mod refused;
pub mod revoke;
mod start;
pub mod token;
pub mod userinfo;

pub use page::page_policy;
