//! The steps of a run: each is done once, judged once and printed as one line.
//!
//! [`Report::step`] is for what the client needs, [`Report::should`] for what is only recommended.
//! An [`Outcome`] remembers whether its step went well, so that a later step which builds on it
//! says "not run" instead of vanishing.

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;

use serde_json::{Value, json};

use super::expect::Checked;

/// A token shorter than this is not masked in the output: the mask would hit innocent words.
const SHORTEST_SECRET: usize = 8;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
    Note,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Note => "note",
        }
    }
}

/// A step that has been judged.
#[derive(Debug)]
struct Step {
    name: String,
    verdict: Verdict,
    detail: String,
}

/// Everything a run has found so far.
#[derive(Debug)]
pub struct Report {
    profile: &'static str,
    secret: String,
    json: bool,
    steps: Vec<Step>,
}

/// What a step gave, or the name of the step that gave nothing.
#[derive(Debug)]
pub struct Outcome<T> {
    step: String,
    value: Option<T>,
}

impl<T> Outcome<T> {
    /// The value of the step, or the reason why a step that needs it is not run.
    pub fn need(&self) -> Checked<&T> {
        self.value.as_ref().ok_or_else(|| format!("not run: it needs the step \"{}\"", self.step))
    }
}

impl Report {
    /// An empty report; `secret` never appears in it.
    pub fn new(profile: &'static str, secret: &str, json: bool) -> Self {
        Self { profile, secret: secret.to_owned(), json, steps: Vec::new() }
    }

    /// Does the work of a step the client depends on.
    pub async fn step<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Checked<T>>,
    ) -> Outcome<T> {
        self.judge(name, work.await, Verdict::Fail)
    }

    /// Does the work of a step that is recommended: if it does not hold, that is a note.
    pub async fn should<T>(
        &mut self,
        name: &str,
        work: impl Future<Output = Checked<T>>,
    ) -> Outcome<T> {
        self.judge(name, work.await, Verdict::Note)
    }

    /// One or the other, as the client is known to depend on it or is only said to.
    pub async fn step_or_should<T>(
        &mut self,
        is_known: bool,
        name: &str,
        work: impl Future<Output = Checked<T>>,
    ) -> Outcome<T> {
        let otherwise = if is_known { Verdict::Fail } else { Verdict::Note };
        self.judge(name, work.await, otherwise)
    }

    /// Records a failure that is not the outcome of a step.
    pub fn fail(&mut self, name: &str, detail: impl Display) {
        self.record(name, Verdict::Fail, &detail.to_string());
    }

    /// How many steps failed.
    pub fn failed(&self) -> usize {
        self.count(Verdict::Fail)
    }

    /// Prints the summary line, or the whole report as one JSON object.
    pub fn finish(&self) {
        if self.json {
            print_line(&self.to_json().to_string());
        } else {
            print_line(&format!("{} passed, {} failed", self.count(Verdict::Pass), self.failed()));
        }
    }

    fn judge<T>(&mut self, name: &str, result: Checked<T>, otherwise: Verdict) -> Outcome<T> {
        let value = match result {
            Ok(value) => {
                self.record(name, Verdict::Pass, "");
                Some(value)
            }
            Err(detail) => {
                self.record(name, otherwise, &detail);
                None
            }
        };
        Outcome { step: name.to_owned(), value }
    }

    fn record(&mut self, name: &str, verdict: Verdict, detail: &str) {
        let mut detail = detail.split_whitespace().collect::<Vec<_>>().join(" ");
        if self.secret.len() >= SHORTEST_SECRET {
            detail = detail.replace(&self.secret, "[token]");
        }
        if !self.json {
            let colon = if detail.is_empty() { "" } else { ": " };
            print_line(&format!("{}  {name}{colon}{detail}", verdict.word()));
        }
        self.steps.push(Step { name: name.to_owned(), verdict, detail });
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }

    fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let result = step.verdict.word().to_ascii_lowercase();
                json!({"name": step.name, "result": result, "detail": step.detail})
            })
            .collect();
        json!({
            "profile": self.profile,
            "passed": self.count(Verdict::Pass),
            "failed": self.failed(),
            "steps": steps,
        })
    }
}

/// Prints a line; a reader that has gone away must not keep the clean-up from being done.
fn print_line(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_step_that_builds_on_a_failed_one_fails_with_its_name() {
        let mut report = Report::new("okta", "s3cr3t-token", true);
        let first = report.step("create", async { Err::<u8, _>("no".to_owned()) }).await;
        report.step("read", async { first.need().copied() }).await;
        assert_eq!(report.failed(), 2);
        let json = report.to_json();
        assert_eq!(json.pointer("/steps/1/result"), Some(&json!("fail")));
        assert_eq!(
            json.pointer("/steps/1/detail"),
            Some(&json!("not run: it needs the step \"create\""))
        );
    }

    #[tokio::test]
    async fn a_recommendation_never_fails_the_run_and_the_token_is_masked() {
        let mut report = Report::new("okta", "s3cr3t-token", true);
        report.should("tidy", async { Err::<(), _>("echoed\n s3cr3t-token".to_owned()) }).await;
        report.step("fine", async { Ok(()) }).await;
        let json = report.to_json();
        assert_eq!((report.failed(), json.get("passed")), (0, Some(&json!(1))));
        assert_eq!(json.pointer("/steps/0/result"), Some(&json!("note")));
        assert_eq!(json.pointer("/steps/0/detail"), Some(&json!("echoed [token]")));
    }
}
