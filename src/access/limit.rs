//! How often somebody may come: requests of a token, failed attempts and begun sign-ins of an
//! address.
//!
//! Each process counts for itself, in tables of bounded size; nothing of it is stored. Entry point:
//! [`Limiter`].

mod buckets;
mod recent;

use std::net::{IpAddr, Ipv6Addr};

use self::buckets::Buckets;
use self::recent::Recent;

/// Requests a second that one token may make in the long run.
pub const DEFAULT_REQUESTS: u32 = 200;
/// Failed attempts a minute from one address, for each kind of credential.
pub const DEFAULT_FAILURES: u32 = 60;
/// Sign-ins a minute that may be begun from one address.
pub const DEFAULT_SIGN_INS: u32 = 1200;

/// So many seconds' worth of requests may come at once.
const BURST: i64 = 10;
/// Most tokens or addresses that a table knows.
const TABLE: usize = 65_536;
/// Most credentials of a kind that are known to be good.
const KNOWN: usize = 32_768;
/// Bits that name a network of IPv6: whoever has one address of it has them all.
const V6_NETWORK: u32 = 64;
const SECOND: i64 = 1_000_000;

/// How often somebody may come; 0 is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second that one token may make in the long run.
    pub requests: u32,
    /// Failed attempts a minute from one address, for each kind of credential.
    pub failures: u32,
    /// Sign-ins a minute that may be begun from one address.
    pub sign_ins: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { requests: DEFAULT_REQUESTS, failures: DEFAULT_FAILURES, sign_ins: DEFAULT_SIGN_INS }
    }
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Requests of one token.
    Requests,
    /// Failed attempts from one address.
    Failures,
    /// Sign-ins begun from one address.
    SignIns,
}

impl Limit {
    /// Every one there is.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Failures, Self::SignIns];

    /// The name that it is counted under.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Failures => "failures",
            Self::SignIns => "sign-ins",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Requests => "this token sends more requests than the server takes of one",
            Self::Failures => "too many attempts from this address failed",
            Self::SignIns => "too many sign-ins were begun from this address",
        }
    }
}

/// Somebody comes too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {seconds} s", .limit.reason())]
pub struct TooOften {
    pub limit: Limit,
    /// When to come again.
    pub seconds: u64,
}

/// What somebody tries to get in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// The token of a SCIM client.
    Token,
    /// The token of the vendor's own back end.
    AdminToken,
    /// An application's id and secret.
    Client,
    /// A code that an application exchanges.
    Code,
    /// The answer to a sign-in.
    SignIn,
    /// A link to the set-up page.
    ShareLink,
}

impl Credential {
    const COUNT: usize = 6;

    fn place(self) -> usize {
        match self {
            Self::Token => 0,
            Self::AdminToken => 1,
            Self::Client => 2,
            Self::Code => 3,
            Self::SignIn => 4,
            Self::ShareLink => 5,
        }
    }
}

/// Counts who comes how often. The time is passed in, in UTC microseconds.
pub struct Limiter {
    requests: Buckets<String>,
    failures: Buckets<(Credential, IpAddr)>,
    sign_ins: Buckets<IpAddr>,
    /// Hashes of credentials that were good lately, of each kind.
    good: [Recent<String>; Credential::COUNT],
}

impl Limiter {
    /// Nobody has come yet.
    pub fn new(limits: Limits) -> Self {
        let (second, minute) = (SECOND, 60 * SECOND);
        Self {
            requests: Buckets::new(limits.requests, second, BURST * second, TABLE),
            failures: Buckets::new(limits.failures, minute, minute, TABLE),
            sign_ins: Buckets::new(limits.sign_ins, minute, minute, TABLE),
            good: std::array::from_fn(|_| Recent::new(KNOWN)),
        }
    }

    /// Whether a token may make a request now, which is counted.
    ///
    /// # Errors
    /// It has made too many.
    pub fn request(&self, token: &str, now: i64) -> Result<(), TooOften> {
        let taken = self.requests.take(token.to_owned(), now);
        taken.map_err(|seconds| TooOften { limit: Limit::Requests, seconds })
    }

    /// Counts more work of a token's request: one that does many things is as many requests.
    pub fn more_work(&self, token: &str, amount: usize, now: i64) {
        self.requests.charge(token.to_owned(), i64::try_from(amount).unwrap_or(i64::MAX), now);
    }

    /// Whether a sign-in may be begun from an address now, which is counted.
    ///
    /// # Errors
    /// Too many were.
    pub fn sign_in(&self, address: IpAddr, now: i64) -> Result<(), TooOften> {
        let taken = self.sign_ins.take(network(address), now);
        taken.map_err(|seconds| TooOften { limit: Limit::SignIns, seconds })
    }

    /// Whether somebody at an address may try a credential, of which this is the hash.
    ///
    /// One that was good lately may always be tried: whoever sits behind the same address as somebody
    /// who guesses goes on working.
    ///
    /// # Errors
    /// Too many attempts from there have failed.
    pub fn attempt(
        &self,
        credential: Credential,
        address: IpAddr,
        hash: &str,
        now: i64,
    ) -> Result<(), TooOften> {
        match self.failures.wait(&(credential, network(address)), now) {
            Some(seconds) if !self.is_good(credential, hash) => {
                Err(TooOften { limit: Limit::Failures, seconds })
            }
            _ => Ok(()),
        }
    }

    /// Counts an attempt that failed.
    pub fn failed(&self, credential: Credential, address: IpAddr, hash: &str, now: i64) {
        self.ended(credential, hash);
        self.failures.charge((credential, network(address)), 1, now);
    }

    /// Takes down that a credential is good no more.
    pub fn ended(&self, credential: Credential, hash: &str) {
        if let Some(good) = self.good.get(credential.place()) {
            good.forget(hash);
        }
    }

    /// Takes down that a credential is good.
    pub fn succeeded(&self, credential: Credential, hash: String) {
        if let Some(good) = self.good.get(credential.place()) {
            good.note(hash);
        }
    }

    fn is_good(&self, credential: Credential, hash: &str) -> bool {
        self.good.get(credential.place()).is_some_and(|good| good.has(hash))
    }
}

/// Who is counted as one: an address of IPv4, the network of one of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => {
            let host = u128::MAX >> V6_NETWORK;
            IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !host))
        }
        four @ IpAddr::V4(_) => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn failures_of_an_address_end_attempts_but_not_with_what_was_good() {
        let limiter = Limiter::new(Limits { failures: 3, ..Limits::default() });
        let (here, kind) = (address("192.0.2.7"), Credential::Token);
        limiter.succeeded(kind, "good".to_owned());
        for _ in 0..3 {
            assert_eq!(limiter.attempt(kind, here, "bad", 0), Ok(()));
            limiter.failed(kind, here, "bad", 0);
        }
        let error = limiter.attempt(kind, here, "bad", 0).unwrap_err();
        assert_eq!(error, TooOften { limit: Limit::Failures, seconds: 20 });
        assert!(error.to_string().ends_with("try again in 20 s"));
        assert_eq!(limiter.attempt(kind, address("::ffff:192.0.2.7"), "bad", 0), Err(error));
        // Not elsewhere, not by another kind of credential, not with what is good.
        assert_eq!(limiter.attempt(kind, address("192.0.2.8"), "bad", 0), Ok(()));
        assert_eq!(limiter.attempt(Credential::Code, here, "bad", 0), Ok(()));
        assert_eq!(limiter.attempt(kind, here, "good", 0), Ok(()));
        // What was good and fails is good no more.
        limiter.failed(kind, here, "good", 0);
        assert!(limiter.attempt(kind, here, "good", 0).is_err());
        assert_eq!(limiter.attempt(kind, here, "bad", 41 * SECOND), Ok(()));
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one() {
        assert_eq!(network(address("2001:db8:1:2:3:4:5:6")), address("2001:db8:1:2::"));
        assert_eq!(network(address("::ffff:192.0.2.7")), address("192.0.2.7"));
        assert_eq!(network(address("192.0.2.7")), address("192.0.2.7"));
    }

    #[test]
    fn a_token_may_come_in_bursts_and_no_limit_is_none() {
        let limiter = Limiter::new(Limits { requests: 2, failures: 0, sign_ins: 0 });
        for _ in 0..20 {
            assert_eq!(limiter.request("a", 0), Ok(()));
        }
        assert_eq!(limiter.request("a", 0).map_err(|error| error.seconds), Err(1));
        assert_eq!(limiter.request("b", 0), Ok(()));
        assert_eq!(limiter.request("a", SECOND), Ok(()));
        limiter.more_work("a", 9, SECOND);
        assert_eq!(limiter.request("a", SECOND).map_err(|error| error.seconds), Err(5));
        let here = address("192.0.2.7");
        for _ in 0..5000 {
            limiter.failed(Credential::Token, here, "bad", 0);
            assert_eq!(limiter.attempt(Credential::Token, here, "bad", 0), Ok(()));
            assert_eq!(limiter.sign_in(here, 0), Ok(()));
        }
    }
}
