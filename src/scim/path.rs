//! Attribute paths (RFC 7644 section 3.10): `urn:…:User:name.givenName` taken apart, not yet held
//! against a schema.

use std::fmt;

use super::filter::Expression;
pub use super::filter::parse_patch_path;

/// An attribute path as written, split into its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttrPath {
    /// The schema URN before the last colon, if any.
    pub urn: Option<String>,
    /// The attribute name.
    pub name: String,
    /// The sub-attribute name after the dot, if any.
    pub sub: Option<String>,
}

impl AttrPath {
    /// Splits `text` at the last colon and the first dot after it.
    ///
    /// The text is not checked against any schema; the caller has made sure that it holds only
    /// characters of attribute names and URNs.
    pub fn split(text: &str) -> Self {
        let (urn, rest) = match text.rsplit_once(':') {
            Some((urn, rest)) => (Some(urn.to_owned()), rest),
            None => (None, text),
        };
        let (name, sub) = match rest.split_once('.') {
            Some((name, sub)) => (name.to_owned(), Some(sub.to_owned())),
            None => (rest.to_owned(), None),
        };
        Self { urn, name, sub }
    }

    /// The whole path joined again, where it could be a bare schema URN.
    pub fn as_urn(&self) -> Option<String> {
        self.urn.is_some().then(|| self.to_string())
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.urn {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.name)?;
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

/// The path of a PATCH operation: `attrPath / valuePath [subAttr]` (RFC 7644 section 3.5.2).
#[derive(Debug, Clone, PartialEq)]
pub struct PatchPath {
    /// The attribute.
    pub path: AttrPath,
    /// Which of its elements are meant.
    pub filter: Option<Expression>,
    /// The sub-attribute after the value filter.
    pub sub: Option<String>,
}
