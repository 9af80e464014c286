//! Settings of a running server.

use std::time::Duration;

use crate::access::limit::Limits;
use crate::access::proxy::Proxies;
use crate::reach::Reach;

/// Default limit of a request body, in bytes: a group of 100,000 members, each with all that an
/// answer shows of it, is about 25 MiB.
pub const DEFAULT_MAX_BODY: usize = 64 * 1024 * 1024;
/// Default limit of the body of a request about one user, in bytes.
pub const MAX_USER_BODY: usize = 1024 * 1024;
/// Default number of PostgreSQL connections, or of SQLite readers.
pub const DEFAULT_POOL_SIZE: u32 = 10;
/// Default number of requests that may wait for events at a time.
pub const DEFAULT_MAX_WAITING: usize = 100;
/// Default number of seconds that requests under way have to finish when the server stops.
pub const DEFAULT_DRAIN_TIME: u64 = 30;

/// Default number of requests that may wait for the database at a time, for reading and for writing
/// each.
pub const DEFAULT_MAX_QUEUE: usize = 500;
/// Default number of seconds that a search may keep the database busy.
pub const DEFAULT_QUERY_TIMEOUT: u64 = 10;
/// Default number of bytes that the bodies of requests under way may take together.
pub const DEFAULT_BODY_MEMORY: usize = 512 * 1024 * 1024;
/// Default number of bulk requests that are carried out at a time.
pub const DEFAULT_MAX_BULK: usize = 8;
/// Default number of connections that clients may have open at a time.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
/// The members that the groups of one page show together, unless it is one group alone: each takes
/// about a kilobyte while the answer is made.
const PAGE_MEMBERS: i64 = 200_000;
/// How long a request waits for its turn at the database before it is told to come back.
const QUEUE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to send the head of a request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client may take to send a body, besides a second for each 64 KiB.
const BODY_PATIENCE: Duration = Duration::from_secs(20);
/// How long a client may leave what it was sent unread.
const READER_PATIENCE: Duration = Duration::from_secs(30);
/// Anybody can begin a sign-in, so that the table would otherwise grow with every request of somebody
/// who never comes back.
const MAX_FLOWS: usize = 100_000;
/// How often the log is sealed.
const SEAL_EVERY: Duration = Duration::from_mins(1);

/// Default number of days that requests are kept in their log.
pub const DEFAULT_KEEP_REQUESTS: &str = "14d";
/// Default number of requests that are kept in their log.
pub const DEFAULT_MAX_REQUESTS: i64 = 1_000_000;

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRequests {
    All,
    /// Those that ask for a change, those that fail, and sign-ins.
    Writes,
    Off,
}

/// What is kept of requests, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLogSettings {
    pub which: LogRequests,
    /// Whether the bodies of changes and errors are kept too.
    pub bodies: bool,
    pub keep: Duration,
    /// How many are kept at most.
    pub most: i64,
}

impl Default for RequestLogSettings {
    fn default() -> Self {
        Self {
            which: LogRequests::All,
            bodies: true,
            keep: Duration::from_hours(14 * 24),
            most: DEFAULT_MAX_REQUESTS,
        }
    }
}

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
    /// Seconds that requests under way have to finish when the server stops.
    pub drain_time: u64,
    /// Number of requests that may wait for the database at a time, for reading and for writing each.
    pub max_queue: usize,
    /// How long they wait before they are told to come back.
    pub queue_patience: Duration,
    /// How long a search may keep the database busy.
    pub query_timeout: Duration,
    /// Number of bytes that the bodies of requests under way may take together, and as many large
    /// answers on their way.
    pub body_memory: usize,
    /// Number of members that the groups of one page show together, unless it is one group alone.
    pub page_members: i64,
    /// Number of bulk requests that are carried out at a time.
    pub max_bulk: usize,
    /// Number of connections that clients may have open at a time.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request.
    pub head_patience: Duration,
    /// How long a client may take to send a body, besides a second for each 64 KiB.
    pub body_patience: Duration,
    /// How long a client may leave what it was sent unread before its connection is ended.
    pub reader_patience: Duration,
    /// About as many sign-ins can be under way at once. Where there are too many, the oldest give way
    /// of the connections that have the most.
    pub max_flows: usize,
    /// How often the log is sealed: an event is open to tampering for so long.
    pub seal_every: Duration,
    /// What is kept of requests.
    pub request_log: RequestLogSettings,
    /// The proxies that are believed when they say for whom they ask.
    pub proxies: Proxies,
    /// How often somebody may come.
    pub limits: Limits,
    /// Where the identity providers may be that people sign in at.
    pub reach: Reach,
    /// Where the receivers of webhooks may be.
    pub webhook_reach: Reach,
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
            drain_time: DEFAULT_DRAIN_TIME,
            max_queue: DEFAULT_MAX_QUEUE,
            queue_patience: QUEUE_PATIENCE,
            query_timeout: Duration::from_secs(DEFAULT_QUERY_TIMEOUT),
            body_memory: DEFAULT_BODY_MEMORY,
            page_members: PAGE_MEMBERS,
            max_bulk: DEFAULT_MAX_BULK,
            max_connections: DEFAULT_MAX_CONNECTIONS,
            head_patience: HEAD_PATIENCE,
            body_patience: BODY_PATIENCE,
            reader_patience: READER_PATIENCE,
            max_flows: MAX_FLOWS,
            seal_every: SEAL_EVERY,
            request_log: RequestLogSettings::default(),
            proxies: Proxies::default(),
            limits: Limits::default(),
            reach: Reach::default(),
            webhook_reach: Reach::default(),
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
