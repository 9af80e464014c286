//! Sign-in: from the application's request to the provider and back.

pub mod authorize;
pub mod callback;
mod client;
pub(super) mod cookie;
pub(super) mod failure;
pub mod initiate;
pub mod logout;
pub mod metadata;
pub mod page;
pub(super) mod parameters;
pub mod refused;
pub mod revoke;
pub(super) mod start;
pub mod token;
pub mod userinfo;

pub use page::page_policy;
pub(super) use start::redirect;
