//! The diagnosis: what is looked at, what was found, and what to do about it, in words for whoever runs
//! the server. Nothing is changed by it.
//!
//! Here is what the store tells, in one snapshot and at a bounded cost: nowhere are all users looked at,
//! and what was not looked at is said. What takes the network is [`crate::app::doctor`]'s, which is the
//! one entry for the command and for the server.

mod connection;
mod store;

use std::time::Duration;

use serde_json::{Value, json};

use super::connections::{self, AdminError, Connection};
use crate::db::Conn;

/// A day, in microseconds.
pub(crate) const DAY: i64 = 86_400 * 1_000_000;
/// How far apart clocks may be, in microseconds: tokens are judged by them.
pub(crate) const SKEW: i64 = 60 * 1_000_000;
/// So many connections are looked at.
const MOST_CONNECTIONS: usize = 50;

/// How it is with what was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Ok,
    /// It was not looked at, or does not apply.
    Unchecked,
    /// Somebody should look at it.
    Warning,
    /// Something does not work, or will not soon.
    Problem,
}

impl Status {
    /// The name for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchecked => "not-checked",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// What each check is about, by its name.
pub const ABOUT: [(&str, &str); 29] = [
    ("database", "whether the database can be reached, and which one it is"),
    ("migrations", "whether its tables are those of this program"),
    ("integrity", "whether SQLite's file is whole"),
    ("disk", "whether there is room on the disk of SQLite's file"),
    ("wal", "whether SQLite's journal is of a usual size"),
    ("database-clock", "whether the database's clock and this one agree"),
    ("totals", "whether the totals of users and groups are what there is"),
    ("log", "whether the log of events is sealed"),
    ("seals", "whether the newest events are those that were sealed"),
    ("admin-tokens", "how long the tokens of your back end work"),
    ("public-url", "whether identity providers accept the server's address"),
    ("server", "whether the server answers at its address and reaches its database"),
    ("certificate", "whether the server's certificate is good, and for how long"),
    ("server-clock", "whether the server's clock and this one agree"),
    ("connections", "which connections there are"),
    ("sign-in", "whether sign-in is set up"),
    ("issuer", "whether the identity provider answers and is understood"),
    ("issuer-name", "whether the issuer is written as the provider writes it"),
    ("issuer-keys", "whether the provider has keys that ID tokens can be verified with"),
    ("issuer-clock", "whether the provider's clock and this one agree"),
    ("mix-up", "whether answers of several providers are kept apart"),
    ("client-secret", "whether the file with the client secret can be read"),
    ("groups-filter", "whether the filter of groups lets anything through"),
    ("groups-claim", "whether sign-ins bring a complete list of groups"),
    ("scim-tokens", "whether the provider has a token that works, and for how long"),
    ("activity", "when the provider last pushed something, and somebody last signed in"),
    ("disagreements", "whether pushed groups and groups claims agree"),
    ("two-apps", "whether people are assigned to both of the provider's applications"),
    ("brake", "whether the mass-change brake holds anything"),
];

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The name, which stays as it is.
    pub name: &'static str,
    /// What is looked at.
    pub about: &'static str,
    /// The connection that it is about, if it is about one.
    pub connection: Option<String>,
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Check {
    fn new(
        name: &'static str,
        status: Status,
        found: impl Into<String>,
        advice: Option<String>,
    ) -> Self {
        let about = ABOUT.iter().find(|(known, _)| *known == name).map_or("", |(_, about)| about);
        Self { name, about, connection: None, status, found: found.into(), advice }
    }

    /// All is well.
    pub fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, found, None)
    }

    /// It was not looked at.
    pub fn unchecked(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, Status::Unchecked, why, None)
    }

    /// Somebody should look at it.
    pub fn warning(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warning, found, Some(advice.into()))
    }

    /// Something does not work.
    pub fn problem(
        name: &'static str,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Problem, found, Some(advice.into()))
    }

    /// The same, about a connection.
    #[must_use]
    pub fn of(self, connection: &str) -> Self {
        Self { connection: Some(connection.to_owned()), ..self }
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "about": self.about,
            "connection": self.connection,
            "status": self.status.as_str(),
            "found": self.found,
            "advice": self.advice,
        })
    }
}

/// All that was looked at, in the order in which it is to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub checks: Vec<Check>,
}

impl Report {
    /// How it is with the worst of it; what was not looked at is no fault.
    pub fn status(&self) -> Status {
        let worst = self.checks.iter().map(|check| check.status).max();
        worst.filter(|worst| *worst > Status::Unchecked).unwrap_or(Status::Ok)
    }

    /// The report for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "status": self.status().as_str(),
            "checks": self.checks.iter().map(Check::to_json).collect::<Value>(),
        })
    }
}

/// How much may be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The largest SQLite file that is checked, in bytes.
    pub file: i64,
    /// How long that may take; the table that is looked at then is finished.
    pub time: Duration,
    /// The most users and groups that are counted to hold the totals against them.
    pub counted: i64,
}

impl Bounds {
    /// For a command, which somebody waits for and which holds nobody up.
    pub const COMMAND: Self =
        Self { file: 16 << 30, time: Duration::from_secs(20), counted: 5_000_000 };
    /// For a server that has others to serve.
    pub const SERVER: Self =
        Self { file: 256 << 20, time: Duration::from_secs(1), counted: 200_000 };
}

/// What the store tells.
#[derive(Debug)]
pub struct Told {
    /// Of the store as a whole.
    pub store: Vec<Check>,
    /// The connections that were looked at, with what was found of each.
    pub connections: Vec<(Connection, Vec<Check>)>,
    /// How many of all connections people can sign in by.
    pub signing_in: usize,
}

/// Looks at the store: at one connection, or at all as far as they are not too many. Has to be called in
/// a snapshot.
///
/// # Errors
/// There is no such connection; or the store's.
pub fn look(
    conn: &mut Conn,
    connection: Option<&str>,
    bounds: Bounds,
    now: i64,
) -> Result<Told, AdminError> {
    let mut checks = store::look(conn, bounds, now)?;
    let all = connections::all(conn)?;
    let signing_in = all.iter().filter(|one| one.settings.sign_in.issuer.is_some()).count();
    let wanted: Vec<Connection> = match connection {
        Some(name) => vec![connections::find(conn, name)?],
        None => all.iter().take(MOST_CONNECTIONS).cloned().collect(),
    };
    checks.push(match (all.len(), wanted.len()) {
        (0, _) => Check::warning(
            "connections",
            "there is none, so nobody can push anything or sign in",
            "Make one with 'muster connection create NAME'.",
        ),
        (number, looked_at) if looked_at < number && connection.is_none() => Check::warning(
            "connections",
            format!("there are {number}, of which the first {looked_at} by name were looked at"),
            "Name a connection to have another one looked at.",
        ),
        (number, looked_at) => {
            Check::ok("connections", format!("{looked_at} of {number} looked at"))
        }
    });
    let mut found = Vec::with_capacity(wanted.len());
    for one in wanted {
        let checks = connection::look(conn, &one, &all, now)?;
        let checks = checks.into_iter().map(|check| check.of(&one.name)).collect();
        found.push((one, checks));
    }
    Ok(Told { store: checks, connections: found, signing_in })
}

/// A length of time in words, in the largest unit that has one.
pub(crate) fn lasting(micros: i64) -> String {
    let seconds = micros.unsigned_abs() / 1_000_000;
    let (number, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

/// A size in words.
pub(crate) fn sized(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut size = bytes;
    for (place, unit) in UNITS.iter().enumerate() {
        if size < 1024 * 1024 || place + 1 == UNITS.len() {
            return format!("{}.{} {unit}", size / 1024, size % 1024 * 10 / 1024);
        }
        size /= 1024;
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_reports() {
        let report = |statuses: &[Status]| Report {
            checks: statuses.iter().map(|status| Check::new("log", *status, "", None)).collect(),
        };
        assert_eq!(report(&[]).status(), Status::Ok);
        assert_eq!(report(&[Status::Ok, Status::Unchecked]).status(), Status::Ok);
        assert_eq!(report(&[Status::Warning, Status::Unchecked]).status(), Status::Warning);
        assert_eq!(report(&[Status::Problem, Status::Warning]).status(), Status::Problem);
    }

    #[test]
    fn numbers_are_told_in_words() {
        for (micros, words) in [
            (0, "0 seconds"),
            (1_000_000, "1 second"),
            (-119_000_000, "119 seconds"),
            (7_199_000_000, "119 minutes"),
            (DAY, "24 hours"),
            (30 * DAY, "30 days"),
        ] {
            assert_eq!(lasting(micros), words);
        }
        for (bytes, words) in [
            (0, "0 bytes"),
            (1024, "1.0 KiB"),
            (1536 * 1024, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
            (3 << 50, "3072.0 TiB"),
        ] {
            assert_eq!(sized(bytes), words);
        }
    }
}
