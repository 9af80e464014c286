//! Query parameters of the read API. They are read strictly: a misspelt `connection` must not show
//! every tenant.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use actix_web::HttpRequest;

use super::answer::Failure;
use crate::directory::read::Range;

/// Longest value of a parameter, in bytes; the same as a user name may have.
const MAX_LENGTH: usize = 1024;
/// How many items a page has, unless the request says otherwise.
pub const DEFAULT_COUNT: i64 = 100;
/// How many items a page has at most.
pub const MAX_COUNT: i64 = 1_000;

/// The parameters of a request.
#[derive(Debug)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads the parameters that an endpoint knows.
    ///
    /// # Errors
    /// There is another one, or one comes twice, is empty or too long.
    pub fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, Failure> {
        Self::parse(request.query_string(), known)
    }

    fn parse(query: &str, known: &[&str]) -> Result<Self, Failure> {
        let mut found = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.contains(&&*name) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let message = format!("there is no parameter '{name}' here; known are: {known}");
                return Err(Failure::Invalid(message));
            }
            let wrong = |what: &str| Err(Failure::Invalid(format!("'{name}' {what}")));
            if value.is_empty() {
                return wrong("is empty; give it a value or leave it away");
            }
            if value.len() > MAX_LENGTH || value.contains('\0') {
                return wrong("must have at most 1,024 bytes, and no NUL");
            }
            if found.contains_key(&*name) {
                return wrong("is given more than once");
            }
            found.insert(name.into_owned(), value.into_owned());
        }
        Ok(Self(found))
    }

    /// A parameter as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter as owned text.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// A whole number.
    ///
    /// # Errors
    /// It is none, or out of range.
    pub fn number(&self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(Failure::Invalid(format!(
                "'{name}' must be a whole number from {} to {}",
                range.start(),
                range.end()
            ))),
        }
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// It is neither.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Failure::Invalid(format!("'{name}' must be true or false"))),
        }
    }

    /// How many items a page may have.
    ///
    /// # Errors
    /// It is no number from 1 to 1,000.
    pub fn count(&self) -> Result<i64, Failure> {
        Ok(self.number("count", 1..=MAX_COUNT)?.unwrap_or(DEFAULT_COUNT))
    }

    /// The part of a list that goes by ids.
    ///
    /// # Errors
    /// `after` is no id, or `count` no count.
    pub fn range(&self) -> Result<Range, Failure> {
        let after = self.owned("after");
        if after.as_deref().is_some_and(|after| !is_id(after)) {
            let message = "'after' must be the 'next' of the page before, as it was";
            return Err(Failure::Invalid(message.to_owned()));
        }
        Ok(Range { after, count: self.count()? })
    }
}

/// The id in the path. Any other text is an id that nobody has.
///
/// # Errors
/// It is no id.
pub fn id(request: &HttpRequest) -> Result<String, Failure> {
    let id = request.match_info().get("id").filter(|id| is_id(id));
    id.map(str::to_owned)
        .ok_or_else(|| Failure::NotFound("there is nothing with this id".to_owned()))
}

/// Whether a text is written as ids are.
fn is_id(text: &str) -> bool {
    uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(query: &str) -> String {
        let known = ["connection", "after", "count", "active"];
        let read = Parameters::parse(query, &known).and_then(|read| {
            read.range()?;
            read.boolean("active").map(drop)
        });
        read.expect_err(query).to_string()
    }

    #[test]
    fn a_garbled_parameter_is_refused_with_what_to_mend() {
        assert!(message("conection=acme").contains("known are: connection, after, count, active"));
        assert!(message("count=0").contains("from 1 to 1000"));
        assert!(message("count=1001").contains("from 1 to 1000"));
        assert!(message("count=ten").contains("whole number"));
        assert!(message("count=").contains("empty"));
        assert!(message("count=1&count=2").contains("more than once"));
        assert!(message("active=yes").contains("true or false"));
        assert!(message("after=x").contains("'next'"));
        assert!(message("after=018F0000-0000-7000-8000-00000000000A").contains("'next'"));
        assert!(message("connection=a%00b").contains("NUL"));
        assert!(message(&format!("connection={}", "a".repeat(1025))).contains("1,024"));
    }
}
