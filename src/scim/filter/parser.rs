//! From tokens to expressions.

use serde_json::Number;

use super::super::path::{AttrPath, PatchPath};
use super::super::quirks::Quirk;
use super::lexer::{Token, tokens};
use super::{Expected, Expression, FilterError, Literal, MAX_DEPTH, MAX_TERMS, Operator, Parsed};

pub fn parse(text: &str) -> Result<Expression, FilterError> {
    parse_with_quirks(text).map(|p| p.expression)
}

pub fn parse_with_quirks(text: &str) -> Result<Parsed, FilterError> {
    let mut p = Parser::new(text)?;
    let expression = p.or(0, false)?;
    match p.peek() {
        (Token::End, _) => Ok(Parsed { expression, tolerances: p.quirks }),
        _ => Err(p.unexpected(Expected::MoreOrEnd)),
    }
}

pub fn parse_patch_path(text: &str) -> Result<PatchPath, FilterError> {
    parse_patch_path_with_quirks(text).map(|(p, _)| p)
}

pub fn parse_patch_path_with_quirks(text: &str) -> Result<(PatchPath, Vec<Quirk>), FilterError> {
    let mut p = Parser::new(text)?;
    let path = p.path(Expected::Path)?;
    let mut filter = None;
    let mut sub = None;
    if p.peek().0 == Token::OpenBracket {
        p.next();
        filter = Some(p.or(1, true)?);
        p.expect(&Token::CloseBracket, Expected::MoreOrBracket)?;
        if let (Token::Word(w), _) = p.peek() {
            match w.strip_prefix('.') {
                Some(s) if is_name(s) => {
                    sub = Some(s.to_owned());
                    p.next();
                }
                _ => return Err(p.unexpected(Expected::SubAttributeOrEnd)),
            }
        }
    }
    match p.peek() {
        (Token::End, _) => Ok((PatchPath { path, filter, sub }, p.quirks)),
        _ => Err(p.unexpected(Expected::BracketOrEnd)),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    place: usize,
    terms: usize,
    quirks: Vec<Quirk>,
}

fn is_name(s: &str) -> bool {
    !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$'))
}

impl Parser {
    fn new(text: &str) -> Result<Self, FilterError> {
        Ok(Self { tokens: tokens(text)?, place: 0, terms: 0, quirks: Vec::new() })
    }
    fn peek(&self) -> (Token, usize) {
        self.tokens.get(self.place).cloned().unwrap_or((Token::End, 0))
    }
    fn next(&mut self) -> (Token, usize) {
        let t = self.peek();
        self.place += 1;
        t
    }
    fn unexpected(&self, expected: Expected) -> FilterError {
        let (t, at) = self.peek();
        FilterError::Unexpected { at, expected, found: t.found() }
    }
    fn expect(&mut self, token: &Token, expected: Expected) -> Result<(), FilterError> {
        if self.peek().0 == *token {
            self.next();
            Ok(())
        } else {
            Err(self.unexpected(expected))
        }
    }
    fn keyword(&mut self, k: &str) -> bool {
        if let (Token::Word(w), _) = self.peek()
            && w.eq_ignore_ascii_case(k)
        {
            self.next();
            true
        } else {
            false
        }
    }
    fn or(&mut self, depth: usize, inside: bool) -> Result<Expression, FilterError> {
        let mut v = vec![self.and(depth, inside)?];
        while self.keyword("or") {
            v.push(self.and(depth, inside)?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { Expression::Or(v) })
    }
    fn and(&mut self, depth: usize, inside: bool) -> Result<Expression, FilterError> {
        let mut v = vec![self.term(depth, inside)?];
        while self.keyword("and") {
            v.push(self.term(depth, inside)?);
        }
        Ok(if v.len() == 1 { v.remove(0) } else { Expression::And(v) })
    }
    fn group(&mut self, depth: usize, inside: bool) -> Result<Expression, FilterError> {
        let (_, at) = self.peek();
        if depth >= MAX_DEPTH {
            return Err(FilterError::TooDeep { at });
        }
        self.expect(&Token::Open, Expected::OpeningParenthesis)?;
        let e = self.or(depth + 1, inside)?;
        self.expect(&Token::Close, Expected::MoreOrParenthesis)?;
        Ok(e)
    }
    fn term(&mut self, depth: usize, inside: bool) -> Result<Expression, FilterError> {
        match self.peek() {
            (Token::Open, _) => self.group(depth, inside),
            (Token::Word(w), _)
                if w.eq_ignore_ascii_case("not")
                    && matches!(self.tokens.get(self.place + 1), Some((Token::Open, _))) =>
            {
                self.next();
                Ok(Expression::Not(Box::new(self.group(depth, inside)?)))
            }
            (_, at) => {
                self.terms += 1;
                if self.terms > MAX_TERMS {
                    return Err(FilterError::TooManyTerms { at });
                }
                let path = self.path(Expected::Term)?;
                if let (Token::OpenBracket, at) = self.peek() {
                    if inside {
                        return Err(FilterError::NestedValuePath { at });
                    }
                    if depth >= MAX_DEPTH {
                        return Err(FilterError::TooDeep { at });
                    }
                    self.next();
                    let inner = self.or(depth + 1, true)?;
                    self.expect(&Token::CloseBracket, Expected::MoreOrBracket)?;
                    if let (Token::Word(w), _) = self.peek()
                        && let Some(s) = w.strip_prefix('.')
                        && is_name(s)
                    {
                        self.next();
                        let rest =
                            self.comparison(AttrPath { urn: None, name: s.to_owned(), sub: None })?;
                        let mut terms = match inner {
                            Expression::And(v) => v,
                            e => vec![e],
                        };
                        terms.push(rest);
                        return Ok(Expression::ValuePath {
                            path,
                            filter: Box::new(Expression::And(terms)),
                        });
                    }
                    return Ok(Expression::ValuePath { path, filter: Box::new(inner) });
                }
                self.comparison(path)
            }
        }
    }
    fn comparison(&mut self, path: AttrPath) -> Result<Expression, FilterError> {
        let (Token::Word(w), _) = self.peek() else {
            return Err(self.unexpected(Expected::Operator));
        };
        if w.eq_ignore_ascii_case("pr") {
            self.next();
            return Ok(Expression::Present(path));
        }
        let Some(op) = Operator::from_keyword(&w) else {
            return Err(self.unexpected(Expected::Operator));
        };
        self.next();
        let value = match self.peek() {
            (Token::Text(s), _) => Literal::String(s),
            (Token::Word(w), at) => {
                if w.eq_ignore_ascii_case("true") {
                    Literal::Boolean(true)
                } else if w.eq_ignore_ascii_case("false") {
                    Literal::Boolean(false)
                } else if w.eq_ignore_ascii_case("null") {
                    Literal::Null
                } else if let Ok(n) = serde_json::from_str::<Number>(&w) {
                    Literal::Number(n)
                } else if w.starts_with(|c: char| c.is_ascii_digit() || c == '-')
                    && w.parse::<f64>().is_ok()
                {
                    return Err(FilterError::NumberRange { at });
                } else {
                    self.quirks.push(Quirk::UnquotedValue);
                    Literal::String(w)
                }
            }
            _ => return Err(self.unexpected(Expected::Value)),
        };
        self.next();
        Ok(Expression::Compare { path, op, value })
    }
    fn path(&mut self, expected: Expected) -> Result<AttrPath, FilterError> {
        let (Token::Word(w), at) = self.peek() else { return Err(self.unexpected(expected)) };
        let path = AttrPath::split(&w);
        let bare = path.as_urn().is_some();
        let ok = (is_name(&path.name) || bare)
            && path.sub.as_deref().is_none_or(|s| is_name(s) || bare)
            && path.urn.as_deref().is_none_or(|u| {
                u.chars().all(|c| {
                    c.is_ascii_alphanumeric()
                        || matches!(c, ':' | '.' | '-' | '_' | '$' | '/' | '%')
                })
            });
        if !ok {
            return Err(FilterError::BadName { at });
        }
        self.next();
        Ok(path)
    }
}
