//! SCIM filters (RFC 7644 section 3.4.2.2), from the text of a query to the answer yes or no.
//!
//! Three steps: [`parse`] reads text into an [`Expression`] and knows no schema; [`check`] holds it
//! against a resource type and gives a [`Filter`], whose names and literals are typed; [`matches()`]
//! asks a resource document. The lexer and the value filters also serve PATCH paths. Pure: imports
//! nothing but `scim`, `serde_json` and `chrono`.

use std::borrow::Cow;

use serde_json::Number;

use super::fold::fold;
use super::path::AttrPath;
use super::precis::prepare;
use super::quirks::Quirk;
use super::schema::{Attribute, AttributeType, Target, Uniqueness};

mod check;
mod display;
mod error;
mod eval;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub use check::{check, check_each, check_element};
pub use error::{Expected, FilterError, Found};
pub use eval::{instant, matches, matches_element};
pub use parser::{parse, parse_patch_path, parse_with_quirks};

/// The longest filter or path that is read, in bytes.
pub const MAX_LENGTH: usize = 8 * 1024;

/// How deep parentheses, `not (` and brackets may nest, counted together.
pub const MAX_DEPTH: usize = 32;

/// How many comparisons and `pr` terms one filter may hold.
pub const MAX_TERMS: usize = 512;

/// A filter as it was written, not yet held against a schema.
///
/// `And` and `Or` hold two members or more, and no inner filter holds a `ValuePath`; the parser
/// sees to both. Its `Display` writes filter text that parses to the same expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// All members hold.
    And(Vec<Expression>),
    /// At least one member holds.
    Or(Vec<Expression>),
    /// The inner expression does not hold.
    Not(Box<Expression>),
    /// `path op value`.
    Compare {
        /// The attribute on the left.
        path: AttrPath,
        /// The operator.
        op: Operator,
        /// The literal on the right.
        value: Literal,
    },
    /// `path pr`: the attribute has a value.
    Present(AttrPath),
    /// `path[filter]`: one and the same element meets the whole inner filter.
    ValuePath {
        /// The attribute before the bracket.
        path: AttrPath,
        /// What its element has to meet; names sub-attributes.
        filter: Box<Expression>,
    },
}

/// The comparison operators of RFC 7644 table 3, without `pr`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal.
    Eq,
    /// Not equal: exactly the negation of `eq`.
    Ne,
    /// Contains.
    Co,
    /// Starts with.
    Sw,
    /// Ends with.
    Ew,
    /// Greater than.
    Gt,
    /// Greater than or equal.
    Ge,
    /// Less than.
    Lt,
    /// Less than or equal.
    Le,
}

impl Operator {
    /// Every operator, in the order of the RFC's table.
    pub const ALL: [Self; 9] =
        [Self::Eq, Self::Ne, Self::Co, Self::Sw, Self::Ew, Self::Gt, Self::Ge, Self::Lt, Self::Le];

    /// The keyword in the filter language.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }

    /// The operator of that keyword; "attribute names and attribute operators used in filters are
    /// case insensitive" (RFC 7644 section 3.4.2.2).
    pub fn from_keyword(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str().eq_ignore_ascii_case(word))
    }

    /// Whether the operator looks inside a string (`co`, `sw`, `ew`).
    pub fn is_substring(self) -> bool {
        matches!(self, Self::Co | Self::Sw | Self::Ew)
    }

    /// Whether the operator needs an order among values (`gt`, `ge`, `lt`, `le`).
    pub fn is_ordering(self) -> bool {
        matches!(self, Self::Gt | Self::Ge | Self::Lt | Self::Le)
    }
}

/// The right-hand side of a comparison as written: a JSON string, number, boolean or null.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A string, with its escapes resolved; never holds NUL.
    String(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Boolean(bool),
    /// `null`.
    Null,
}

/// A parsed filter, with the tolerances that reading it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The filter.
    pub expression: Expression,
    /// What was let pass, each quirk once.
    pub tolerances: Vec<Quirk>,
}

/// A filter whose names and literals fit the schema.
///
/// [`check()`] makes it. Targets inside a `ValuePath` name the sub-attribute in
/// [`Target::attribute`]; their extension and sub are `None`. For an element that is not an object,
/// as in `schemas[value eq "x"]`, that attribute is the pseudo sub-attribute `value`.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All members hold.
    And(Vec<Filter>),
    /// At least one member holds.
    Or(Vec<Filter>),
    /// The inner filter does not hold.
    Not(Box<Filter>),
    /// A comparison; the value is of the type of the target's leaf.
    Compare {
        /// What is compared.
        target: Target,
        /// The operator, which fits the type.
        op: Operator,
        /// The typed literal.
        value: Value,
    },
    /// The target has a value.
    Present(Target),
    /// One and the same element meets the whole inner filter.
    ValuePath {
        /// The multi-valued or complex attribute.
        target: Target,
        /// What the element has to meet.
        filter: Box<Filter>,
    },
}

/// A literal that fits the attribute it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// For string, reference and binary attributes; [`comparable`] says how to compare.
    Text {
        /// The text as written, not folded.
        raw: String,
    },
    /// For boolean attributes; only with `eq` and `ne`.
    Boolean(bool),
    /// For decimal and integer attributes.
    Number(Number),
    /// For dateTime attributes: microseconds since 1970-01-01T00:00:00Z.
    DateTime(i64),
}

/// Whether values of the attribute compare as they stand, not folded.
///
/// Binary values do, whatever their definition says: base64 is case exact (RFC 7643 section
/// 2.3.6), though the RFC's own User schema lists `x509Certificates.value` as `caseExact: false`.
pub fn is_case_exact(attribute: &Attribute) -> bool {
    attribute.case_exact || attribute.kind == AttributeType::Binary
}

/// The form in which texts of the attribute are compared.
///
/// "Before comparing … a userName … service providers MUST use" PRECIS (RFC 7644 section 5).
pub fn comparable<'a>(attribute: &Attribute, text: &'a str) -> Cow<'a, str> {
    if is_case_exact(attribute) {
        Cow::Borrowed(text)
    } else if attribute.name == "userName" && attribute.uniqueness == Uniqueness::Server {
        prepare(text)
    } else {
        fold(text)
    }
}
