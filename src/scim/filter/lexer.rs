//! Tokens of filters and PATCH paths: words, strings in quotes, parentheses and brackets.
//!
//! A word is whatever stands between those and white space; the parser decides what it means.

use super::{FilterError, Found, MAX_LENGTH};

/// The longest word that an error message repeats, in bytes: keywords and mistyped ones, no values.
const LONGEST_ECHO: usize = 20;

/// A token and where it begins, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: usize,
}

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind<'a> {
    /// A name, a keyword, a number or a bare value.
    Word(&'a str),
    /// A JSON string, its escapes resolved.
    Text(String),
    /// One of `(`, `)`, `[` and `]`.
    Symbol(char),
    /// The end of the text.
    End,
}

impl Kind<'_> {
    /// How a message calls the token.
    pub(super) fn found(&self) -> Found {
        match self {
            Self::Word(word)
                if word.len() <= LONGEST_ECHO
                    && word.bytes().all(|byte| byte.is_ascii_alphabetic()) =>
            {
                Found::Word((*word).to_owned())
            }
            Self::Word(_) => Found::Other,
            Self::Text(_) => Found::String,
            Self::Symbol(symbol) => Found::Symbol(*symbol),
            Self::End => Found::End,
        }
    }
}

/// All tokens of `text`; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(FilterError::TooLong { length: text.len() });
    }
    if let Some(at) = text.find('\0') {
        return Err(FilterError::Nul { at });
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let (kind, length) = match first {
            ' ' | '\t' | '\n' | '\r' => {
                at += 1;
                continue;
            }
            '(' | ')' | '[' | ']' => (Kind::Symbol(first), 1),
            '"' => string(rest, at)?,
            _ => word(rest),
        };
        tokens.push(Token { kind, at });
        at += length;
    }
    tokens.push(Token { kind: Kind::End, at: text.len() });
    Ok(tokens)
}

/// The word at the beginning of `rest`, and its length.
fn word(rest: &str) -> (Kind<'_>, usize) {
    let end = rest.find([' ', '\t', '\n', '\r', '(', ')', '[', ']', '"']).unwrap_or(rest.len());
    (Kind::Word(rest.get(..end).unwrap_or_default()), end)
}

/// The string at the beginning of `rest`, and its length with both quotes.
fn string(rest: &str, at: usize) -> Result<(Kind<'_>, usize), FilterError> {
    let mut escaped = false;
    let closing = rest.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    let length = closing.ok_or(FilterError::UnterminatedString { at })? + 2;
    let text: String = serde_json::from_str(rest.get(..length).unwrap_or_default())
        .map_err(|_| FilterError::BadString { at })?;
    if text.contains('\0') {
        return Err(FilterError::Nul { at });
    }
    Ok((Kind::Text(text), length))
}
