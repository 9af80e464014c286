//! What the operations of a job have to do with each other.

use std::collections::BTreeMap;

use super::Method;
use super::job::Operation;
use super::order::Node;
use super::references::referred;
use super::write::{Request, Target};
use crate::scim::error::{ScimError, ScimResult};

/// Most characters of a client's own words in a message.
const QUOTED: usize = 100;
const UNDECLARED: &str = "no operation of this request has that bulkId";

/// The operations with their relations. One that refers to what the job has not becomes one that
/// cannot be done.
///
/// # Errors
/// `invalidSyntax` where two have the same `bulkId`: nobody could tell which one is referred to.
pub(super) fn linked(mut operations: Vec<Operation>) -> ScimResult<(Vec<Operation>, Vec<Node>)> {
    let declared = declared(&operations)?;
    let nodes: Vec<ScimResult<Node>> = operations
        .iter()
        .map(|operation| match &operation.request {
            Ok(request) => node(request, &declared, &operations),
            Err(_) => Ok(Node::default()),
        })
        .collect();
    let nodes = nodes
        .into_iter()
        .zip(&mut operations)
        .map(|(node, operation)| {
            node.unwrap_or_else(|error| {
                operation.request = Err(error);
                Node::default()
            })
        })
        .collect();
    Ok((operations, nodes))
}

/// The places of the operations that have a `bulkId`.
fn declared(operations: &[Operation]) -> ScimResult<BTreeMap<String, usize>> {
    let mut declared = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        if let Some(bulk_id) = &operation.bulk_id
            && declared.insert(bulk_id.clone(), place).is_some()
        {
            return Err(ScimError::invalid_syntax(format!(
                "the bulkId '{}' stands for several operations; it must be unique within the \
                 request",
                quoted(bulk_id)
            )));
        }
    }
    Ok(declared)
}

fn node(
    request: &Request,
    declared: &BTreeMap<String, usize>,
    operations: &[Operation],
) -> ScimResult<Node> {
    let find = |name: &str| {
        let place = declared.get(name)?;
        Some((*place, operations.get(*place)?))
    };
    let mut node = Node::default();
    if let Some(target) = request.target() {
        if let Target::Created(name) = target {
            match find(name) {
                Some((place, operation)) if operation.known_method() == Some(Method::Post) => {
                    node.needs.insert(place)
                }
                Some(_) => {
                    let why = "in a 'path' it must be the bulkId of a POST";
                    return Err(dangling(name, why));
                }
                None => return Err(dangling(name, UNDECLARED)),
            };
        }
        node.changes = Some(target.to_string());
    }
    let mut error = None;
    request.each_text(&mut |text| {
        let Some(name) = referred(text) else {
            node.mentions.insert(text.to_owned());
            return;
        };
        match find(name) {
            Some((_, operation)) if operation.known_method() == Some(Method::Delete) => {
                error.get_or_insert_with(|| {
                    dangling(name, "the operation of that bulkId is a DELETE")
                });
            }
            Some((place, operation)) => {
                node.needs.insert(place);
                // An operation on a resource that is there already stands for that resource.
                let target = operation.request.as_ref().ok().and_then(Request::target);
                node.mentions.insert(target.map_or_else(|| text.to_owned(), Target::to_string));
            }
            None => {
                error.get_or_insert_with(|| dangling(name, UNDECLARED));
            }
        }
    });
    error.map_or(Ok(node), Err)
}

fn dangling(name: &str, why: &str) -> ScimError {
    ScimError::invalid_value(format!("'bulkId:{}' refers to nothing: {why}", quoted(name)))
}

/// A client's own words, as far as a message repeats them.
pub(super) fn quoted(text: &str) -> &str {
    text.char_indices().nth(QUOTED).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}
