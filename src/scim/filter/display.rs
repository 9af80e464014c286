//! Writes an expression as filter text that parses to the same expression again.
//!
//! Parentheses appear only where precedence needs them: `and` binds closer than `or`.

use std::fmt::{self, Write as _};

use super::{Expression, Literal, Operator};

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(members) => {
                let grouped = |member: &Self| matches!(member, Self::And(_) | Self::Or(_));
                join(f, members, " and ", grouped)
            }
            Self::Or(members) => join(f, members, " or ", |member| matches!(member, Self::Or(_))),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare { path, op, value } => write!(f, "{path} {op} {value}"),
            Self::Present(path) => write!(f, "{path} pr"),
            Self::ValuePath { path, filter } => write!(f, "{path}[{filter}]"),
        }
    }
}

fn join(
    f: &mut fmt::Formatter<'_>,
    members: &[Expression],
    separator: &str,
    grouped: impl Fn(&Expression) -> bool,
) -> fmt::Result {
    for (place, member) in members.iter().enumerate() {
        if place > 0 {
            f.write_str(separator)?;
        }
        if grouped(member) {
            write!(f, "({member})")?;
        } else {
            write!(f, "{member}")?;
        }
    }
    Ok(())
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => quoted(f, text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(truth) => write!(f, "{truth}"),
            Self::Null => f.write_str("null"),
        }
    }
}

/// Writes a JSON string; RFC 8259 section 7 wants quote, backslash and controls escaped.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{0}'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(character))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}
