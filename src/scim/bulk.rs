//! Bulk jobs (RFC 7644 section 3.7): several writes in one request, which may refer to what others of
//! them create.
//!
//! [`Job::parse`] reads a request, [`Run`] says step by step what to do next and takes down how it
//! went, and the answer is what the run knows in the end. Carrying a step out is the caller's part.

mod answer;
mod circle;
mod job;
mod links;
mod order;
mod references;
mod run;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

pub use self::circle::{Broken, Circle};
pub use self::job::Job;
pub use self::run::{Run, Step};
pub use self::write::{Verb, Write, Written};

/// The `schemas` value of a job.
pub const BULK_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// The `schemas` value of the answer to a job.
pub const BULK_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// Most operations of one job; `bulk.maxOperations` of the service provider configuration.
pub const MAX_BULK_OPERATIONS: usize = 1000;
/// Most bytes of one job; `bulk.maxPayloadSize` of the service provider configuration.
pub const MAX_BULK_PAYLOAD: usize = 1_048_576;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    const ALL: [Self; 4] = [Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// Methods are compared without regard to case, as SCIM compares text that does not say
    /// otherwise.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text))
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Which resources an operation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    Users,
    Groups,
}

impl Endpoint {
    const ALL: [Self; 2] = [Self::Users, Self::Groups];
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Users => "Users",
            Self::Groups => "Groups",
        })
    }
}

/// The ids that `bulkId`s stand for, as far as they are known.
type Ids = BTreeMap<String, String>;
