//! A job in the course of being carried out, and the answer to it.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::answer::result;
use super::circle::{Broken, Circle, Member};
use super::job::{Job, Operation};
use super::links::quoted;
use super::order::{self, Node};
use super::write::{Request, Write, Written};
use super::{BULK_RESPONSE_SCHEMA, Ids};
use crate::scim::error::{ScimError, ScimResult};
use crate::scim::schema::Registry;

/// A job of which some steps are done.
#[derive(Debug)]
pub struct Run {
    operations: Vec<Operation>,
    nodes: Vec<Node>,
    /// The steps to come.
    steps: VecDeque<Vec<usize>>,
    /// What came of each operation so far; `None` for one that was not processed.
    outcomes: Vec<Option<ScimResult<Written>>>,
    ids: Ids,
    errors: u64,
    fail_on_errors: Option<u64>,
}

/// What is to be done in one transaction.
#[derive(Debug)]
pub enum Step {
    /// One operation, by its place in the request.
    One(usize, Box<Write>),
    /// Several that refer to each other.
    Circle(Circle),
}

impl Step {
    /// Carries the step out; `write` does one write of it. Returns what came of each operation, by
    /// its place.
    ///
    /// # Errors
    /// What `write` says, or a single endpoint of the data. The caller takes back what was written.
    pub fn carry_out<E: From<ScimError>>(
        &self,
        registry: &Registry,
        mut write: impl FnMut(&Write) -> Result<Written, E>,
    ) -> Result<Vec<(usize, Written)>, Broken<E>> {
        match self {
            Self::One(place, one) => match write(one) {
                Ok(written) => Ok(vec![(*place, written)]),
                Err(error) => Err(Broken { place: Some(*place), error }),
            },
            Self::Circle(circle) => circle.carry_out(registry, write),
        }
    }

    /// The places of the operations.
    pub fn places(&self) -> Vec<usize> {
        match self {
            Self::One(place, _) => vec![*place],
            Self::Circle(circle) => circle.members.iter().map(|member| member.place).collect(),
        }
    }
}

impl Run {
    /// Begins a job.
    pub fn new(job: Job) -> Self {
        Self {
            steps: order::steps(&job.nodes).into(),
            outcomes: job.operations.iter().map(|_| None).collect(),
            operations: job.operations,
            nodes: job.nodes,
            ids: Ids::new(),
            errors: 0,
            fail_on_errors: job.fail_on_errors,
        }
    }

    /// What to do next; `None` at the end of the job, or when it has had as many errors as its
    /// client accepts. What cannot be done is passed over.
    pub fn next(&mut self, registry: &Registry) -> Option<Step> {
        while !self.is_over() {
            let places = self.steps.pop_front()?;
            match self.step(&places, registry) {
                Ok(step) => return Some(step),
                Err(broken) => self.fail(&places, &broken),
            }
        }
        None
    }

    /// Takes down that a step succeeded.
    pub fn succeed(&mut self, done: Vec<(usize, Written)>) {
        for (place, written) in done {
            if let Some(bulk_id) = self.operations.get(place).and_then(|one| one.bulk_id.clone()) {
                self.ids.insert(bulk_id, written.id.clone());
            }
            self.record(place, Ok(written));
        }
    }

    /// Takes down that a step failed.
    pub fn fail(&mut self, places: &[usize], broken: &Broken<ScimError>) {
        for &place in places {
            let error = match broken.place {
                Some(culprit) if culprit != place => self.in_a_circle_with(culprit),
                _ => broken.error.clone(),
            };
            self.record(place, Err(error));
        }
    }

    /// Takes down that whatever is left fails for the same reason.
    pub fn abandon(&mut self, error: &ScimError) {
        while !self.is_over()
            && let Some(places) = self.steps.pop_front()
        {
            self.fail(&places, &Broken { place: None, error: error.clone() });
        }
    }

    /// How many operations were processed, and how many of them failed.
    pub fn counts(&self) -> (usize, u64) {
        (self.outcomes.iter().flatten().count(), self.errors)
    }

    /// The answer: what came of each operation that was processed, in the order of the request.
    pub fn answer(&self, base_url: &str) -> Value {
        let results: Vec<Value> = self
            .operations
            .iter()
            .zip(&self.outcomes)
            .filter_map(|(operation, outcome)| {
                Some(result(operation, outcome.as_ref()?, &self.ids, base_url))
            })
            .collect();
        json!({ "schemas": [BULK_RESPONSE_SCHEMA], "Operations": results })
    }

    /// "The number of errors that the service provider will accept before the operation is
    /// terminated": with 1, the first one ends the job, as the RFC's example has it.
    fn is_over(&self) -> bool {
        self.fail_on_errors.is_some_and(|limit| self.errors >= limit)
    }

    fn record(&mut self, place: usize, outcome: ScimResult<Written>) {
        self.errors += u64::from(outcome.is_err());
        if let Some(slot) = self.outcomes.get_mut(place) {
            *slot = Some(outcome);
        }
    }

    fn step(&self, places: &[usize], registry: &Registry) -> Result<Step, Broken<ScimError>> {
        let mut members = Vec::with_capacity(places.len());
        let mut ids = Ids::new();
        let mut is_circle = false;
        for &place in places {
            let broken = |error| Broken { place: Some(place), error };
            let (request, needs) = self.asked(place).map_err(broken)?;
            for needed in needs {
                if places.binary_search(needed).is_ok() {
                    is_circle = true;
                } else {
                    let (name, id) = self.created(*needed).map_err(broken)?;
                    ids.insert(name, id);
                }
            }
            members.push((place, request));
        }
        match members.as_slice() {
            [(place, request)] if !is_circle => {
                let write = request.write(registry, &ids);
                let write = write.map_err(|error| Broken { place: Some(*place), error })?;
                Ok(Step::One(*place, Box::new(write)))
            }
            _ => {
                let member = |(place, request): (usize, &Request)| {
                    let bulk_id = self.operations.get(place).and_then(|one| one.bulk_id.clone());
                    let request = request.clone();
                    Member { place, bulk_id: bulk_id.unwrap_or_default(), request }
                };
                let members = members.into_iter().map(member).collect();
                Ok(Step::Circle(Circle { members, ids }))
            }
        }
    }

    /// What an operation asks for, and which others it needs.
    fn asked(&self, place: usize) -> ScimResult<(&Request, &BTreeSet<usize>)> {
        match (self.operations.get(place), self.nodes.get(place)) {
            (Some(Operation { request: Ok(request), .. }), Some(node)) => {
                Ok((request, &node.needs))
            }
            (Some(Operation { request: Err(error), .. }), _) => Err(error.clone()),
            _ => Err(ScimError::new(500, "there is no such operation")),
        }
    }

    /// The id that a `bulkId` stands for.
    fn created(&self, place: usize) -> ScimResult<(String, String)> {
        let name = self.bulk_id(place);
        let id = self.ids.get(name).ok_or_else(|| {
            let name = quoted(name);
            ScimError::new(
                409,
                format!(
                    "this operation refers to the one with the bulkId '{name}', which failed; see \
                     there what to mend"
                ),
            )
        })?;
        Ok((name.to_owned(), id.clone()))
    }

    fn in_a_circle_with(&self, culprit: usize) -> ScimError {
        let name = quoted(self.bulk_id(culprit));
        ScimError::new(
            409,
            format!(
                "this operation and the one with the bulkId '{name}' refer to each other, and that \
                 one failed, so neither is done; see there what to mend"
            ),
        )
    }

    fn bulk_id(&self, place: usize) -> &str {
        self.operations.get(place).and_then(|one| one.bulk_id.as_deref()).unwrap_or_default()
    }
}
