//! Database URLs. The scheme decides the database; a mistyped one is refused, never made into a
//! file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the store is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// `sqlite://muster.db` (relative) or `sqlite:///var/lib/muster/muster.db` (absolute).
    Sqlite(PathBuf),
    /// `postgres://user:password@host/database`, or `postgresql://…`, as libpq reads it.
    Postgres(String),
}

/// Why a database URL is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error(
        "the database URL has the unknown scheme '{0}'; use sqlite://FILE or postgres://HOST/DATABASE"
    )]
    UnknownScheme(String),
    #[error("the database URL has no scheme; use sqlite://FILE or postgres://HOST/DATABASE")]
    NoScheme,
    #[error(
        "the database URL cannot be read; write @, :, /, # and % in a user name or password as %40, \
         %3A, %2F, %23 and %25, and each parameter as name=value"
    )]
    Unreadable,
    #[error("sqlite:// needs a file name, such as sqlite://muster.db")]
    NoFile,
    #[error("an in-memory SQLite database cannot be shared by several connections; name a file")]
    InMemory,
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(DatabaseUrlError::NoScheme)?;
        match scheme {
            "sqlite" => match rest {
                "" => Err(DatabaseUrlError::NoFile),
                ":memory:" => Err(DatabaseUrlError::InMemory),
                file => Ok(Self::Sqlite(PathBuf::from(file))),
            },
            "postgres" | "postgresql" => {
                // libpq would take part of a password for a host, and say so in its errors.
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let is_one = authority.matches('@').count() <= 1 && url::Url::parse(text).is_ok();
                if !is_one || !is_well_encoded(rest) || !has_named_parameters(rest) {
                    return Err(DatabaseUrlError::Unreadable);
                }
                Ok(Self::Postgres(text.to_owned()))
            }
            other => Err(DatabaseUrlError::UnknownScheme(other.to_owned())),
        }
    }
}

/// Whether every percent sign begins a byte, and none that is NUL: libpq repeats what it cannot
/// decode in its errors, and that may be a password.
fn is_well_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| {
        // The parser of numbers would take a sign.
        let digits = rest.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        digits.is_some_and(|digits| digits != "00")
    })
}

/// Whether every parameter has a name that could be one, and a value: libpq repeats other names.
fn has_named_parameters(text: &str) -> bool {
    let Some((_, query)) = text.split_once('?') else { return true };
    query.split('&').all(|parameter| {
        let name = parameter.split_once('=').map(|(name, _)| name).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    })
}

impl DatabaseUrl {
    /// The file of a SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(file) => Some(file),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for DatabaseUrl {
    /// The URL without its password and parameters, fit for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite://{}", file.display()),
            Self::Postgres(url) => match url::Url::parse(url) {
                Ok(url) => {
                    let host = url.host_str().unwrap_or("localhost");
                    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
                    write!(f, "postgres://{host}{port}{}", url.path())
                }
                Err(_) => f.write_str("postgres://…"),
            },
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_scheme_is_refused() {
        for text in ["postgre://localhost/muster", "sqlite3://a.db", "SQLITE://a.db", "mysql://h/d"]
        {
            assert!(
                matches!(text.parse::<DatabaseUrl>(), Err(DatabaseUrlError::UnknownScheme(_))),
                "{text}"
            );
        }
        for text in ["muster.db", "sqlite:muster.db", "postgres:/localhost/muster", ""] {
            assert_eq!(text.parse::<DatabaseUrl>(), Err(DatabaseUrlError::NoScheme), "{text}");
        }
        assert_eq!("sqlite://".parse::<DatabaseUrl>(), Err(DatabaseUrlError::NoFile));
        assert_eq!("sqlite://:memory:".parse::<DatabaseUrl>(), Err(DatabaseUrlError::InMemory));
    }

    #[test]
    fn a_password_that_would_be_misread_is_refused() {
        for text in [
            "postgres://m:s3cr@t@localhost/m",
            "postgres://m:ab/cd@localhost/m",
            "postgres://m:s3cr%@localhost/m",
            "postgres://m:s3cr%zz@localhost/m",
            "postgres://m:s3cr%00@localhost/m",
            "postgres://m:s3cr%+1@localhost/m",
            "postgres://localhost/m?password=s3cr%4",
            "postgres://localhost/m?s3cr",
            "postgres://localhost/m?s3cr=x",
            "postgres://localhost/m?sslmode=require&s3cr",
        ] {
            let error = text.parse::<DatabaseUrl>().expect_err("a refusal");
            assert_eq!(error, DatabaseUrlError::Unreadable);
            assert!(!error.to_string().contains("s3cr"), "{error}");
        }
        for text in [
            "postgres://m:s3cr%40t@localhost/m",
            "postgres://m@%2Ftmp%2Fsockets/m",
            "postgres://localhost/m?sslmode=require&connect_timeout=5&application_name=a%20b",
        ] {
            assert!(text.parse::<DatabaseUrl>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let url: DatabaseUrl = "postgres://muster:hunter2@db:5432/muster?sslmode=require"
            .parse()
            .expect("a PostgreSQL URL");
        assert_eq!(format!("{url} {url:?}"), "postgres://db:5432/muster postgres://db:5432/muster");
    }
}
