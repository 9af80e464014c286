//! What the fuzz targets do with an input, apart from libFuzzer, so that the tests can do it too.
//!
//! A target panics where Muster breaks a promise; each module says which one it holds Muster to.

pub mod bulk;
pub mod claims;
pub mod cursor;
pub mod filter;
pub mod known;
pub mod patch;
pub mod path;
pub mod query;
pub mod redirect;
pub mod request;
pub mod resource;

/// Does with an input what a target does.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: [(&str, Target); 10] = [
    ("bulk", bulk::run),
    ("claims", claims::run),
    ("cursor", cursor::run),
    ("filter", filter::run),
    ("patch", patch::run),
    ("path", path::run),
    ("query", query::run),
    ("redirect", redirect::run),
    ("request", request::run),
    ("resource", resource::run),
];
