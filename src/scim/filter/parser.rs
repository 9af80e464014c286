//! From tokens to expressions, by recursive descent; each method is a rule of the grammar.
//!
//! The grammar is RFC 7644 figure 1, with `and` closer than `or` and any amount of white space.

use serde_json::Number;

use super::super::path::{AttrPath, PatchPath};
use super::super::quirks::Quirk;
use super::lexer::{Kind, Token, tokens};
use super::{Expected, Expression, FilterError, Literal, MAX_DEPTH, MAX_TERMS, Operator, Parsed};

/// Reads a filter.
///
/// # Errors
/// What is wrong with the text, and at which byte.
pub fn parse(text: &str) -> Result<Expression, FilterError> {
    parse_with_quirks(text).map(|parsed| parsed.expression)
}

/// Reads a filter, and says which tolerances that took.
///
/// # Errors
/// As [`parse`].
pub fn parse_with_quirks(text: &str) -> Result<Parsed, FilterError> {
    let mut parser = Parser::new(text)?;
    let expression = parser.disjunction(Nesting::default())?;
    parser.end(Expected::MoreOrEnd)?;
    Ok(Parsed { expression, tolerances: parser.tolerances })
}

/// Reads the path of a PATCH operation (RFC 7644 section 3.5.2).
///
/// # Errors
/// As [`parse`].
pub fn parse_patch_path(text: &str) -> Result<PatchPath, FilterError> {
    let mut parser = Parser::new(text)?;
    let path = parser.path(Expected::Path)?;
    if !parser.takes_symbol('[') {
        parser.end(Expected::BracketOrEnd)?;
        return Ok(PatchPath { path, filter: None, sub: None });
    }
    let filter = Some(parser.disjunction(Nesting { depth: 1, in_brackets: true })?);
    parser.symbol(']', Expected::MoreOrBracket)?;
    let sub = parser.sub_attribute();
    parser.end(Expected::SubAttributeOrEnd)?;
    Ok(PatchPath { path, filter, sub })
}

/// Where in the nesting a rule stands.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    /// Whether the rule stands inside the brackets of a value path.
    in_brackets: bool,
}

impl Nesting {
    /// One level further in.
    fn deeper(self, at: usize) -> Result<Self, FilterError> {
        if self.depth >= MAX_DEPTH {
            return Err(FilterError::TooDeep { at });
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    /// The index of the next token.
    next: usize,
    terms: usize,
    tolerances: Vec<Quirk>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, FilterError> {
        Ok(Self { tokens: tokens(text)?, next: 0, terms: 0, tolerances: Vec::new() })
    }

    /// `conjunction *("or" conjunction)`
    fn disjunction(&mut self, nesting: Nesting) -> Result<Expression, FilterError> {
        let first = self.conjunction(nesting)?;
        let mut members = vec![first];
        while self.takes_keyword("or") {
            members.push(self.conjunction(nesting)?);
        }
        Ok(joined(members, Expression::Or))
    }

    /// `term *("and" term)`
    fn conjunction(&mut self, nesting: Nesting) -> Result<Expression, FilterError> {
        let first = self.term(nesting)?;
        let mut members = vec![first];
        while self.takes_keyword("and") {
            members.push(self.term(nesting)?);
        }
        Ok(joined(members, Expression::And))
    }

    /// `group / "not" group / path "[" disjunction "]" / comparison`
    fn term(&mut self, nesting: Nesting) -> Result<Expression, FilterError> {
        if self.is_symbol('(') {
            return self.group(nesting);
        }
        // An attribute may be called `not`: the parenthesis makes the difference.
        if self.is_keyword("not") && self.kind_after_next() == &Kind::Symbol('(') {
            self.next += 1;
            return Ok(Expression::Not(Box::new(self.group(nesting)?)));
        }
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(FilterError::TooManyTerms { at: self.at() });
        }
        let path = self.path(Expected::Term)?;
        if self.is_symbol('[') { self.value_path(path, nesting) } else { self.comparison(path) }
    }

    /// `"(" disjunction ")"`
    fn group(&mut self, nesting: Nesting) -> Result<Expression, FilterError> {
        let nesting = nesting.deeper(self.at())?;
        self.symbol('(', Expected::OpeningParenthesis)?;
        let inner = self.disjunction(nesting)?;
        self.symbol(')', Expected::MoreOrParenthesis)?;
        Ok(inner)
    }

    /// `"[" disjunction "]" ["." name comparison]`, where the last part is a tolerance: one
    /// more thing that the same element has to meet.
    fn value_path(&mut self, path: AttrPath, nesting: Nesting) -> Result<Expression, FilterError> {
        let at = self.at();
        if nesting.in_brackets {
            return Err(FilterError::NestedValuePath { at });
        }
        let nesting = Nesting { in_brackets: true, ..nesting.deeper(at)? };
        self.symbol('[', Expected::Term)?;
        let mut filter = self.disjunction(nesting)?;
        self.symbol(']', Expected::MoreOrBracket)?;
        if let Some(name) = self.sub_attribute() {
            self.tolerate(Quirk::ComparedValuePath);
            let last = self.comparison(AttrPath { urn: None, name, sub: None })?;
            filter = match filter {
                Expression::And(mut members) => {
                    members.push(last);
                    Expression::And(members)
                }
                other => Expression::And(vec![other, last]),
            };
        }
        Ok(Expression::ValuePath { path, filter: Box::new(filter) })
    }

    /// `"pr" / operator literal`
    fn comparison(&mut self, path: AttrPath) -> Result<Expression, FilterError> {
        if self.takes_keyword("pr") {
            return Ok(Expression::Present(path));
        }
        let Kind::Word(word) = self.kind() else { return Err(self.unexpected(Expected::Operator)) };
        let Some(op) = Operator::from_keyword(word) else {
            return Err(self.unexpected(Expected::Operator));
        };
        self.next += 1;
        let value = self.literal()?;
        Ok(Expression::Compare { path, op, value })
    }

    /// A JSON string, number, boolean or null; a bare word passes for a string.
    fn literal(&mut self) -> Result<Literal, FilterError> {
        let literal = match self.kind() {
            Kind::Text(text) => Literal::String(text.clone()),
            Kind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "true" => Literal::Boolean(true),
                "false" => Literal::Boolean(false),
                "null" => Literal::Null,
                _ => match serde_json::from_str::<Number>(word) {
                    Ok(number) => Literal::Number(number),
                    Err(_) if is_huge_number(word) => {
                        return Err(FilterError::NumberRange { at: self.at() });
                    }
                    // Quotes of another kind would make a value that nobody has.
                    Err(_) if !is_bare_value(word) => {
                        return Err(self.unexpected(Expected::Value));
                    }
                    Err(_) => {
                        let text = (*word).to_owned();
                        self.tolerate(Quirk::UnquotedValue);
                        Literal::String(text)
                    }
                },
            },
            _ => return Err(self.unexpected(Expected::Value)),
        };
        self.next += 1;
        Ok(literal)
    }

    /// `[URI ":"] name ["." name]`
    fn path(&mut self, expected: Expected) -> Result<AttrPath, FilterError> {
        let Kind::Word(word) = self.kind() else { return Err(self.unexpected(expected)) };
        let path = AttrPath::split(word);
        // A schema's URN on its own also splits at its last colon, into parts like `2` and `0`.
        let plain = is_name(&path.name) && path.sub.as_deref().is_none_or(is_name);
        let urn = path.urn.as_deref().is_some_and(|urn| urn.bytes().all(is_urn_byte))
            && word.bytes().all(is_urn_byte);
        if !(plain && path.urn.is_none() || urn) {
            return Err(FilterError::BadName { at: self.at() });
        }
        self.next += 1;
        Ok(path)
    }

    /// The name in a `.name` that follows a bracket.
    fn sub_attribute(&mut self) -> Option<String> {
        let Kind::Word(word) = self.kind() else { return None };
        let name = word.strip_prefix('.').filter(|name| is_name(name))?.to_owned();
        self.next += 1;
        Some(name)
    }

    fn kind(&self) -> &Kind<'a> {
        self.tokens.get(self.next).map_or(&Kind::End, |token| &token.kind)
    }

    fn kind_after_next(&self) -> &Kind<'a> {
        self.tokens.get(self.next + 1).map_or(&Kind::End, |token| &token.kind)
    }

    fn at(&self) -> usize {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |token| token.at)
    }

    fn is_symbol(&self, symbol: char) -> bool {
        *self.kind() == Kind::Symbol(symbol)
    }

    fn takes_symbol(&mut self, symbol: char) -> bool {
        let found = self.is_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    fn symbol(&mut self, symbol: char, expected: Expected) -> Result<(), FilterError> {
        if self.takes_symbol(symbol) { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self.kind(), Kind::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn takes_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        self.next += usize::from(found);
        found
    }

    fn end(&self, expected: Expected) -> Result<(), FilterError> {
        if *self.kind() == Kind::End { Ok(()) } else { Err(self.unexpected(expected)) }
    }

    fn unexpected(&self, expected: Expected) -> FilterError {
        FilterError::Unexpected { at: self.at(), expected, found: self.kind().found() }
    }

    fn tolerate(&mut self, quirk: Quirk) {
        if !self.tolerances.contains(&quirk) {
            self.tolerances.push(quirk);
        }
    }
}

/// The only member itself, or all of them joined.
fn joined(mut members: Vec<Expression>, join: fn(Vec<Expression>) -> Expression) -> Expression {
    if members.len() > 1 {
        return join(members);
    }
    // There is always one.
    members.pop().unwrap_or(Expression::And(members))
}

/// `ATTRNAME` of RFC 7643 section 2.1, with the `$` of `$ref`.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte))
}

fn is_urn_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.-_$/%".contains(&byte)
}

/// A word that can pass for a string: the characters of names, ids and addresses.
fn is_bare_value(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+:/=|".contains(&byte))
}

/// A number that JSON could write but that has no value here.
fn is_huge_number(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit() || first == '-')
        && word.parse::<f64>().is_ok()
}
