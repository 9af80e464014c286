//! Sign-in: from the application's request to the provider and back.

pub mod authorize;
pub mod callback;
mod cookie;
pub mod initiate;
pub mod logout;
pub mod metadata;
mod page;
mod start;
pub mod token;
pub mod userinfo;
