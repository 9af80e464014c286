//! The SCIM 2.0 protocol, pure: no I/O, no clock, nothing of the rest of the program.
//!
//! JSON comes in, typed values and plans go out; RFC 7643 says what the data is and RFC 7644 what
//! may be done to it.

pub mod bulk;
pub mod condition;
pub mod cursor;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod fold;
pub mod group;
pub mod list;
pub mod members;
pub mod patch;
pub mod path;
pub mod precis;
pub mod projection;
pub mod query;
pub mod quirks;
pub mod reference;
pub mod resource;
pub mod schema;
pub mod sort;
pub mod unique;
pub mod value;

pub use error::{ScimError, ScimResult, ScimType};
