//! Muster: a SCIM 2.0 provisioning server with an OpenID Connect sign-in module over the same users
//! and teams.

pub mod access;
pub mod app;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod directory;
pub mod http;
pub mod metrics;
pub mod oidc;
pub mod reach;
pub mod schemas;
pub mod scim;
pub mod secret;
pub mod serving;
pub mod webhooks;
