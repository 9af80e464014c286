//! Why a filter or a path cannot be used: one variant per failure, its text only in `Display`.
//!
//! The texts are for the administrator who reads them in the identity provider's task list. They
//! repeat names from the filter, never its values, which may be personal data.

use std::fmt;

use super::super::error::ScimError;
use super::super::schema::AttributeType;
use super::{MAX_DEPTH, MAX_LENGTH, MAX_TERMS, Operator};

/// A failure to read a filter or path, or to fit it to the schema.
///
/// `at` is a byte offset into the text, from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// The text is longer than [`MAX_LENGTH`].
    #[error("the text has {length} bytes; at most {MAX_LENGTH} are read, so split the request")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// More than [`MAX_DEPTH`] levels of nesting.
    #[error("at byte offset {at}: parentheses, `not` and brackets nest deeper than {MAX_DEPTH}")]
    TooDeep {
        /// The opening that is one too many.
        at: usize,
    },
    /// More than [`MAX_TERMS`] comparisons.
    #[error("at byte offset {at}: more than {MAX_TERMS} comparisons, so split the request")]
    TooManyTerms {
        /// The comparison that is one too many.
        at: usize,
    },
    /// The grammar wants something else here.
    #[error("at byte offset {at}: expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        at: usize,
        /// What could stand here.
        expected: Expected,
        /// What stands here.
        found: Found,
    },
    /// A string without its closing quote.
    #[error("at byte offset {at}: the string that begins here has no closing quote")]
    UnterminatedString {
        /// The opening quote.
        at: usize,
    },
    /// A text in quotes that is no JSON string.
    #[error(
        "at byte offset {at}: the string that begins here is no JSON string: a backslash begins \
         an escape (write \\\\ for itself), surrogates come in pairs, and control characters are \
         escaped"
    )]
    BadString {
        /// The opening quote.
        at: usize,
    },
    /// The character NUL, raw or escaped; no attribute can hold it.
    #[error("at byte offset {at}: values cannot hold the character NUL")]
    Nul {
        /// The character or its escape.
        at: usize,
    },
    /// A number beyond what JSON numbers can carry here.
    #[error("at byte offset {at}: the number is too large")]
    NumberRange {
        /// Its first byte.
        at: usize,
    },
    /// A word that cannot be an attribute path.
    #[error(
        "at byte offset {at}: an attribute path is a name of letters, digits, `-` and `_`, with a \
         schema URN and `:` before it or `.` and a sub-attribute after it"
    )]
    BadName {
        /// The word's first byte.
        at: usize,
    },
    /// A bracket inside brackets.
    #[error("at byte offset {at}: brackets cannot stand inside brackets (RFC 7644 3.4.2.2)")]
    NestedValuePath {
        /// The inner bracket.
        at: usize,
    },
    /// The same, in an expression that is not from the parser.
    #[error("{path}[…] stands inside another pair of brackets")]
    ValuePathInside {
        /// The inner path.
        path: String,
    },
    /// An expression nested deeper than any parsed one.
    #[error("the filter is nested too deeply")]
    TreeTooDeep,
    /// The schema has no such attribute.
    #[error("{owner} has no attribute {path}")]
    UnknownAttribute {
        /// The resource type, or the attribute before the bracket.
        owner: String,
        /// The path as written.
        path: String,
    },
    /// A schema URN where an attribute has to stand.
    #[error("{path} is a schema; name one of its attributes, as in {path}:attribute")]
    NamesSchema {
        /// The URN.
        path: String,
    },
    /// The attribute is never returned, so a filter must not reveal it either.
    #[error("{path} cannot be used in a filter")]
    NotFilterable {
        /// The path as written.
        path: String,
    },
    /// A comparison with a complex attribute that has no `value`.
    #[error("{path} has sub-attributes; compare one of them, as in {path}.{example}")]
    NeedsSubAttribute {
        /// The path as written.
        path: String,
        /// The first sub-attribute.
        example: String,
    },
    /// Brackets after an attribute that has neither several values nor sub-attributes.
    #[error("{path} is a single simple value; compare it without brackets")]
    NoElements {
        /// The path as written.
        path: String,
    },
    /// The operator has no meaning for the attribute's type.
    #[error("{op} cannot be used with {path}, which is of type {}", type_name(*.kind))]
    OperatorNotAllowed {
        /// The path as written.
        path: String,
        /// The operator.
        op: Operator,
        /// The attribute's type.
        kind: AttributeType,
    },
    /// `null` with an operator other than `eq` and `ne`.
    #[error("null can be compared with eq and ne only, not with {op}, as in the term of {path}")]
    NullOrder {
        /// The path as written.
        path: String,
        /// The operator.
        op: Operator,
    },
    /// The literal does not fit the attribute's type.
    #[error("{path} is of type {} and must be compared with {}", type_name(*.kind), literal(*.kind))]
    WrongLiteral {
        /// The path as written.
        path: String,
        /// The attribute's type.
        kind: AttributeType,
    },
}

impl FilterError {
    /// Where the text cannot be read on, as a byte offset, where it is one place.
    pub fn at(&self) -> Option<usize> {
        match self {
            Self::TooDeep { at }
            | Self::TooManyTerms { at }
            | Self::Unexpected { at, .. }
            | Self::UnterminatedString { at }
            | Self::BadString { at }
            | Self::Nul { at }
            | Self::NumberRange { at }
            | Self::BadName { at }
            | Self::NestedValuePath { at } => Some(*at),
            _ => None,
        }
    }

    /// The error for a PATCH path: 400 `invalidPath`.
    pub fn into_path_error(self) -> ScimError {
        ScimError::invalid_path(format!("The path cannot be used: {self}."))
    }
}

impl From<FilterError> for ScimError {
    fn from(error: FilterError) -> Self {
        Self::invalid_filter(format!("The filter cannot be used: {error}."))
    }
}

/// What the grammar wants at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The start of a term.
    Term,
    /// A comparison operator or `pr`.
    Operator,
    /// A literal.
    Value,
    /// The parenthesis of a group.
    OpeningParenthesis,
    /// More of the filter, or its end.
    MoreOrEnd,
    /// More of the group, or its end.
    MoreOrParenthesis,
    /// More of the value filter, or its end.
    MoreOrBracket,
    /// The first word of a path.
    Path,
    /// A bracket, or the end of a path.
    BracketOrEnd,
    /// A sub-attribute, or the end of a path.
    SubAttributeOrEnd,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Term => "an attribute name, `not (` or `(`",
            Self::Operator => "an operator (eq, ne, co, sw, ew, gt, ge, lt, le or pr)",
            Self::Value => "a value (a string in double quotes, a number, true, false or null)",
            Self::OpeningParenthesis => "`(`",
            Self::MoreOrEnd => "`and`, `or` or the end",
            Self::MoreOrParenthesis => "`and`, `or` or `)`",
            Self::MoreOrBracket => "`and`, `or` or `]`",
            Self::Path => "an attribute path",
            Self::BracketOrEnd => "`[` or the end",
            Self::SubAttributeOrEnd => "a sub-attribute such as `.value`, or the end",
        })
    }
}

/// What stands at the place where the grammar wants something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The end of the text.
    End,
    /// A string in quotes.
    String,
    /// A parenthesis or bracket.
    Symbol(char),
    /// A short word of letters, which may be repeated in a message.
    Word(String),
    /// Any other word.
    Other,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("the end"),
            Self::String => f.write_str("a string"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Other => f.write_str("something else"),
        }
    }
}

fn type_name(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::String => "string",
        AttributeType::Boolean => "boolean",
        AttributeType::Decimal => "decimal",
        AttributeType::Integer => "integer",
        AttributeType::DateTime => "dateTime",
        AttributeType::Reference => "reference",
        AttributeType::Binary => "binary",
        AttributeType::Complex => "complex",
    }
}

fn literal(kind: AttributeType) -> &'static str {
    match kind {
        AttributeType::Boolean => "true or false",
        AttributeType::Decimal | AttributeType::Integer => "a number",
        AttributeType::DateTime => "a date and time such as \"2011-05-13T04:42:34Z\"",
        _ => "a string in double quotes",
    }
}
