//! The harness: cases, throwaway databases, and a real server with clients for it.

mod answer;
mod app;
mod cases;
mod database;
pub mod description;
pub mod log;
mod postgres;
pub mod process;
pub mod provider;
pub mod receiver;
mod scratch;
pub mod strict;
mod wait;

pub use answer::Answer;
pub use app::{ScimClient, TestApp, patch_body};
pub use cases::{Case, Run, run, schema_folder};
pub(crate) use cases::{cases, database_cases, needing, pure_cases, schema_cases};
pub use database::{Backend, TestDatabase};
pub use postgres::Cluster;
pub use scratch::scratch;
pub use wait::{eventually, eventually_some};
