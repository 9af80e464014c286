//! What a SCIM token may do: read or write, users or groups, each on its own.

use std::fmt;
use std::str::FromStr;

/// One thing that a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    UsersRead,
    UsersWrite,
    GroupsRead,
    GroupsWrite,
}

impl Scope {
    /// Every scope there is.
    pub const ALL: [Self; 4] =
        [Self::UsersRead, Self::UsersWrite, Self::GroupsRead, Self::GroupsWrite];

    /// The scope as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "users:read",
            Self::UsersWrite => "users:write",
            Self::GroupsRead => "groups:read",
            Self::GroupsWrite => "groups:write",
        }
    }

    fn bit(self) -> u8 {
        match self {
            Self::UsersRead => 1,
            Self::UsersWrite => 2,
            Self::GroupsRead => 4,
            Self::GroupsWrite => 8,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        known.ok_or_else(|| format!("'{text}' is no scope; there are {}", Scopes::ALL))
    }
}

/// Several scopes; all of them by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// All scopes.
    pub const ALL: Self = Self(15);

    /// Whether the scope is among them.
    pub fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Those that are among them, in the order in which they are written.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }

    /// These, and another one.
    #[must_use]
    pub fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }
}

impl Default for Scopes {
    fn default() -> Self {
        Self::ALL
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        scopes.into_iter().fold(Self(0), Self::with)
    }
}

/// With a space between them, as OAuth writes them (RFC 6749 section 3.3).
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Scope::as_str).collect();
        f.write_str(&names.join(" "))
    }
}

impl FromStr for Scopes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for bits in 0..16 {
            let scopes = Scopes(bits);
            assert_eq!(scopes.to_string().parse(), Ok(scopes));
            assert_eq!(scopes.iter().collect::<Scopes>(), scopes);
        }
        assert_eq!(Scopes::default(), Scope::ALL.into_iter().collect());
        let read: Scopes = "groups:read users:read".parse().unwrap();
        assert_eq!(read.to_string(), "users:read groups:read");
        for wrong in ["users", "users:delete", "Users:read", "users:read,users:write"] {
            let error = wrong.parse::<Scopes>().unwrap_err();
            assert!(error.contains("users:read users:write"), "{error}");
        }
    }
}
