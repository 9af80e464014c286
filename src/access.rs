//! Who may do what from where, and how often: scopes, networks, proxies and limits, as pure values.
//!
//! It imports nothing of ours. Entry points: [`Permit`], what a token may do; [`proxy::Proxies`],
//! whose request it is; and [`limit::Limiter`], whether it comes too often.

pub mod limit;
pub mod network;
pub mod proxy;
pub mod scope;

use std::net::IpAddr;

use self::network::Networks;
use self::scope::Scopes;

/// What the bearer of a token may do, and from where; everything from everywhere by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Permit {
    pub scopes: Scopes,
    /// Where requests have to come from; from everywhere where it names nothing.
    pub allow_from: Networks,
}

impl Permit {
    /// Whether requests may come from the address.
    pub fn admits(&self, address: Option<IpAddr>) -> bool {
        self.allow_from.admits(address)
    }
}

/// Why somebody was not let in, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    NoToken,
    UnknownToken,
    /// A token, but of another kind than the endpoint takes.
    OtherToken,
    ExpiredToken,
    RevokedToken,
    /// No live admin token.
    AdminToken,
    /// A good token from an address that it may not be used from.
    Address,
    /// A good token that may not do this.
    Scope,
    /// An application that does not prove who it is.
    Client,
    /// A code that is not good, or not for whom it came from.
    Code,
    /// The answer to a sign-in that is not under way.
    SignIn,
    /// No live link to the set-up page.
    ShareLink,
}

impl Refusal {
    /// Every one there is.
    pub const ALL: [Self; 12] = [
        Self::NoToken,
        Self::UnknownToken,
        Self::OtherToken,
        Self::ExpiredToken,
        Self::RevokedToken,
        Self::AdminToken,
        Self::Address,
        Self::Scope,
        Self::Client,
        Self::Code,
        Self::SignIn,
        Self::ShareLink,
    ];

    /// The name that it is counted under.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::UnknownToken => "unknown-token",
            Self::OtherToken => "other-token",
            Self::ExpiredToken => "expired-token",
            Self::RevokedToken => "revoked-token",
            Self::AdminToken => "admin-token",
            Self::Address => "address",
            Self::Scope => "scope",
            Self::Client => "client",
            Self::Code => "code",
            Self::SignIn => "sign-in",
            Self::ShareLink => "share-link",
        }
    }
}
