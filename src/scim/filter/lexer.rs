//! Tokens of filters and PATCH paths.

use super::{FilterError, Found, MAX_LENGTH};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Word(String),
    Text(String),
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    End,
}

impl Token {
    pub(super) fn found(&self) -> Found {
        match self {
            Self::Word(w) if w.len() <= 20 && w.chars().all(|c| c.is_ascii_alphabetic()) => {
                Found::Word(w.clone())
            }
            Self::Word(_) => Found::Other,
            Self::Text(_) => Found::String,
            Self::Open => Found::Symbol('('),
            Self::Close => Found::Symbol(')'),
            Self::OpenBracket => Found::Symbol('['),
            Self::CloseBracket => Found::Symbol(']'),
            Self::End => Found::End,
        }
    }
}

/// All tokens with their positions; the last is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token, usize)>, FilterError> {
    if text.len() > MAX_LENGTH {
        return Err(FilterError::TooLong { length: text.len() });
    }
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(at, c)) = chars.peek() {
        let token = match c {
            ' ' | '\t' | '\n' | '\r' => {
                chars.next();
                continue;
            }
            '(' => {
                chars.next();
                Token::Open
            }
            ')' => {
                chars.next();
                Token::Close
            }
            '[' => {
                chars.next();
                Token::OpenBracket
            }
            ']' => {
                chars.next();
                Token::CloseBracket
            }
            '"' => {
                chars.next();
                let mut end = None;
                while let Some((i, c)) = chars.next() {
                    match c {
                        '\\' => {
                            chars.next();
                        }
                        '"' => {
                            end = Some(i + 1);
                            break;
                        }
                        _ => {}
                    }
                }
                let end = end.ok_or(FilterError::UnterminatedString { at })?;
                let s: String = serde_json::from_str(text.get(at..end).unwrap_or_default())
                    .map_err(|_| FilterError::BadEscape { at })?;
                if s.contains('\0') {
                    return Err(FilterError::Nul { at });
                }
                Token::Text(s)
            }
            _ => {
                let mut w = String::new();
                while let Some(&(_, c)) = chars.peek() {
                    if matches!(c, ' ' | '\t' | '\n' | '\r' | '(' | ')' | '[' | ']' | '"') {
                        break;
                    }
                    if c == '\0' {
                        return Err(FilterError::Nul { at });
                    }
                    w.push(c);
                    chars.next();
                }
                Token::Word(w)
            }
        };
        out.push((token, at));
    }
    out.push((Token::End, text.len()));
    Ok(out)
}
