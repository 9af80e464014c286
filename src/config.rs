//! Settings of a running server.

use crate::oidc::Reach;

/// Default limit of a request body, in bytes: a group of 100,000 members, each with all that an
/// answer shows of it, is about 25 MiB.
pub const DEFAULT_MAX_BODY: usize = 64 * 1024 * 1024;
/// Default limit of the body of a request about one user, in bytes.
pub const MAX_USER_BODY: usize = 1024 * 1024;
/// Default number of PostgreSQL connections, or of SQLite readers.
pub const DEFAULT_POOL_SIZE: u32 = 10;
/// Default number of requests that may wait for events at a time.
pub const DEFAULT_MAX_WAITING: usize = 100;

/// What a server needs to know besides its store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Scheme, host and port under which clients reach the server, without a slash at its end.
    pub public_url: String,
    /// Limit of the body of a request about a group, in bytes.
    pub max_body: usize,
    /// Number of threads that serve requests.
    pub workers: usize,
    /// Number of requests that may wait for events at a time; any more are answered at once.
    pub max_waiting: usize,
    /// Where the identity providers may be that people sign in at.
    pub reach: Reach,
}

impl Settings {
    /// Settings for a public URL, everything else at its default.
    pub fn new(public_url: impl Into<String>) -> Self {
        let public_url: String = public_url.into();
        Self {
            public_url: public_url.trim_end_matches('/').to_owned(),
            max_body: DEFAULT_MAX_BODY,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            max_waiting: DEFAULT_MAX_WAITING,
            reach: Reach::default(),
        }
    }

    /// Base URL of the SCIM endpoint: what the identity provider's form asks for.
    pub fn scim_base_url(&self) -> String {
        format!("{}/scim/v2", self.public_url)
    }

    /// Where a provider begins a sign-in (OpenID Connect Core section 4).
    pub fn initiate_login_uri(&self) -> String {
        format!("{}/login/initiate", self.public_url)
    }

    /// The redirect URI of sign-in.
    pub fn redirect_uri(&self) -> String {
        format!("{}/login/callback", self.public_url)
    }
}
