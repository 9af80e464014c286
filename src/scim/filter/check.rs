//! Holding an expression against the schema.

use std::sync::Arc;

use serde_json::Number;

use super::super::condition::own_version;
use super::super::path::AttrPath;
use super::super::quirks::{Quirk, Quirks};
use super::super::schema::{Attribute, AttributeType, Resolved, ResourceType, Returned, Target};
use super::super::value::format::whole;
use super::{Expression, Filter, FilterError, Literal, MAX_DEPTH, Operator, Value, eval::instant};

/// The filter that `expression` is for resources of the type; notes the tolerances that took.
///
/// # Errors
/// An attribute the type does not have, an operator or literal that does not fit its type, or an
/// attribute that is never returned.
pub fn check(
    expression: &Expression,
    resource_type: &ResourceType,
    quirks: &mut Quirks,
) -> Result<Filter, FilterError> {
    walk(expression, &Names::Resource(resource_type), 0, quirks)
}

/// The filter that `expression` is for elements of the attribute.
///
/// # Errors
/// As [`check`].
pub fn check_element(
    expression: &Expression,
    attribute: &Attribute,
    quirks: &mut Quirks,
) -> Result<Filter, FilterError> {
    walk(expression, &Names::Element(attribute), 0, quirks)
}

/// The filters that `expression` is for each of several resource types searched at once.
///
/// "For filtered attributes that are not part of a particular resource type, the service provider
/// SHALL treat the attribute as if there is no attribute value" (RFC 7644 section 3.4.2.1). An
/// attribute that none of the types has is an error all the same.
///
/// # Errors
/// As [`check`].
pub fn check_each<const N: usize>(
    expression: &Expression,
    resource_types: [&ResourceType; N],
    quirks: &mut Quirks,
) -> Result<[Filter; N], FilterError> {
    nowhere(expression, &resource_types)?;
    let mut failure = None;
    let filters = resource_types.map(|resource_type| {
        walk(expression, &Names::OneOfSeveral(resource_type), 0, quirks).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            never()
        })
    });
    failure.map_or(Ok(filters), Err)
}

/// The filter that nothing meets.
fn never() -> Filter {
    Filter::Or(Vec::new())
}

/// The filter that everything meets.
fn always() -> Filter {
    Filter::And(Vec::new())
}

/// Refuses an attribute that none of the resource types has.
fn nowhere(expression: &Expression, resource_types: &[&ResourceType]) -> Result<(), FilterError> {
    let known = |path: &AttrPath| {
        let found = resource_types.iter().any(|resource_type| {
            matches!(resource_type.resolve(path), Some(Resolved::Attribute(_)))
        });
        if found {
            return Ok(());
        }
        Err(FilterError::UnknownAttribute {
            owner: "no resource type".to_owned(),
            path: path.to_string(),
        })
    };
    match expression {
        Expression::And(terms) | Expression::Or(terms) => {
            terms.iter().try_for_each(|term| nowhere(term, resource_types))
        }
        Expression::Not(inner) => nowhere(inner, resource_types),
        Expression::Compare { path, .. }
        | Expression::Present(path)
        | Expression::ValuePath { path, .. } => known(path),
    }
}

/// What the names of an expression refer to.
enum Names<'a> {
    /// Attributes of a resource.
    Resource(&'a ResourceType),
    /// Attributes of one of several types of resources; it need not have them all.
    OneOfSeveral(&'a ResourceType),
    /// Sub-attributes of an element.
    Element(&'a Attribute),
}

impl Names<'_> {
    fn target(&self, path: &AttrPath, quirks: &mut Quirks) -> Result<Target, FilterError> {
        match self {
            Self::Resource(resource_type) | Self::OneOfSeveral(resource_type) => {
                match resource_type.resolve(path) {
                    Some(Resolved::Attribute(target)) => Ok(target),
                    Some(_) => Err(FilterError::NamesSchema { path: path.to_string() }),
                    None => match resource_type.resolve_unqualified(path) {
                        Some(Resolved::Attribute(target)) => {
                            quirks.note(Quirk::UnqualifiedExtension);
                            Ok(target)
                        }
                        _ => Err(unknown(&resource_type.name, path)),
                    },
                }
            }
            Self::Element(attribute) => {
                let sub = element_attribute(attribute, path)
                    .ok_or_else(|| unknown(&attribute.name, path))?;
                Ok(Target { extension: None, attribute: sub, sub: None })
            }
        }
    }

    /// Whether the attribute counts as one without a value.
    fn lacks(&self, path: &AttrPath) -> bool {
        matches!(self, Self::OneOfSeveral(resource_type) if resource_type.resolve(path).is_none())
    }
}

/// The sub-attribute of that name; an element that is not an object is its own `value`.
fn element_attribute(attribute: &Attribute, path: &AttrPath) -> Option<Arc<Attribute>> {
    if path.urn.is_some() || path.sub.is_some() {
        return None;
    }
    if attribute.is_complex() {
        return attribute.sub_attribute(&path.name).cloned();
    }
    path.name.eq_ignore_ascii_case("value").then(|| {
        let value =
            Attribute { name: "value".to_owned(), multi_valued: false, ..attribute.clone() };
        Arc::new(value)
    })
}

fn unknown(owner: &str, path: &AttrPath) -> FilterError {
    FilterError::UnknownAttribute { owner: owner.to_owned(), path: path.to_string() }
}

fn walk(
    expression: &Expression,
    names: &Names<'_>,
    depth: usize,
    quirks: &mut Quirks,
) -> Result<Filter, FilterError> {
    // The parser never nests as deep; an expression may come from elsewhere.
    if depth > 4 * MAX_DEPTH {
        return Err(FilterError::TreeTooDeep);
    }
    let mut all = |members: &[Expression]| {
        let walk = |member| walk(member, names, depth + 1, quirks);
        members.iter().map(walk).collect::<Result<Vec<_>, _>>()
    };
    match expression {
        Expression::And(members) => all(members).map(Filter::And),
        Expression::Or(members) => all(members).map(Filter::Or),
        Expression::Not(inner) => Ok(Filter::Not(Box::new(walk(inner, names, depth + 1, quirks)?))),
        Expression::Compare { path, op, value } if names.lacks(path) => {
            Ok(if holds_without_value(*op, value) { always() } else { never() })
        }
        Expression::Present(path) | Expression::ValuePath { path, .. } if names.lacks(path) => {
            Ok(never())
        }
        Expression::Present(path) => {
            Ok(Filter::Present(visible(names.target(path, quirks)?, path)?))
        }
        Expression::Compare { path, op, value } => {
            let compared = compare(names.target(path, quirks)?, path, *op, value, quirks)?;
            Ok(assume_not_primary(compared, names))
        }
        Expression::ValuePath { path, filter } => {
            if matches!(names, Names::Element(_)) {
                return Err(FilterError::ValuePathInside { path: path.to_string() });
            }
            let target = visible(names.target(path, quirks)?, path)?;
            let leaf = target.leaf().clone();
            if !leaf.multi_valued && !leaf.is_complex() {
                return Err(FilterError::NoElements { path: path.to_string() });
            }
            let inner = walk(filter, &Names::Element(&leaf), depth + 1, quirks)?;
            Ok(Filter::ValuePath { target, filter: Box::new(inner) })
        }
    }
}

/// Whether a comparison holds for an attribute without a value.
fn holds_without_value(op: Operator, value: &Literal) -> bool {
    match op {
        Operator::Eq => *value == Literal::Null,
        Operator::Ne => *value != Literal::Null,
        _ => false,
    }
}

/// An attribute that is never returned must not be guessed by filters either
/// (RFC 7643 section 7, `returned`).
fn visible(target: Target, path: &AttrPath) -> Result<Target, FilterError> {
    let hidden = |attribute: &Attribute| attribute.returned == Returned::Never;
    if hidden(&target.attribute) || hidden(target.leaf()) {
        return Err(FilterError::NotFilterable { path: path.to_string() });
    }
    Ok(target)
}

fn compare(
    target: Target,
    path: &AttrPath,
    op: Operator,
    literal: &Literal,
    quirks: &mut Quirks,
) -> Result<Filter, FilterError> {
    let mut target = visible(target, path)?;
    if *literal == Literal::Null {
        // "Unassigned" and null are one state (RFC 7643 section 2.5).
        return match op {
            Operator::Eq => Ok(Filter::Not(Box::new(Filter::Present(target)))),
            Operator::Ne => Ok(Filter::Present(target)),
            _ => Err(FilterError::NullOrder { path: path.to_string(), op }),
        };
    }
    if target.leaf().is_complex() {
        // `emails eq "x"` is about `emails.value`, the default sub-attribute (section 2.4).
        let value = target.leaf().sub_attribute("value").filter(|_| target.sub.is_none()).cloned();
        if value.is_none() {
            let first = target.leaf().sub_attributes.first();
            let example = first.map(|sub| sub.name.clone()).unwrap_or_default();
            return Err(FilterError::NeedsSubAttribute { path: path.to_string(), example });
        }
        target.sub = value;
        target = visible(target, path)?;
    }
    let kind = target.leaf().kind;
    if !fits(op, kind) {
        return Err(FilterError::OperatorNotAllowed { path: path.to_string(), op, kind });
    }
    let mut value = typed(literal, kind, quirks)
        .ok_or_else(|| FilterError::WrongLiteral { path: path.to_string(), kind })?;
    if let Value::Text { raw } = &mut value
        && target.is("meta", Some("version"))
    {
        // The store knows the version; what a tag says of related resources is not part of it.
        *raw = own_version(raw);
    }
    Ok(Filter::Compare { target, op, value })
}

/// "If not specified, the value of 'primary' SHALL be assumed to be 'false'" (RFC 7643 section 2.4):
/// what is not primary is whatever does not say that it is.
fn assume_not_primary(filter: Filter, names: &Names<'_>) -> Filter {
    let in_element = matches!(names, Names::Element(attribute) if attribute.multi_valued);
    let is_primary = |target: &Target| {
        let is_of_element = in_element || (target.sub.is_some() && target.attribute.multi_valued);
        let leaf = target.leaf();
        is_of_element && leaf.name == "primary" && leaf.kind == AttributeType::Boolean
    };
    match filter {
        Filter::Compare { target, op, value: Value::Boolean(false) } if is_primary(&target) => {
            let leaf = Target { extension: None, attribute: target.leaf().clone(), sub: None };
            let primary =
                Filter::Compare { target: leaf, op: Operator::Eq, value: Value::Boolean(true) };
            let mut not_primary = Filter::Not(Box::new(primary));
            if !in_element {
                let elements = Target { sub: None, ..target };
                not_primary = Filter::ValuePath { target: elements, filter: Box::new(not_primary) };
            }
            if op == Operator::Ne { Filter::Not(Box::new(not_primary)) } else { not_primary }
        }
        other => other,
    }
}

/// The number as an integer, if it is one.
fn shortest(number: &Number) -> Number {
    let integer = number.as_i64().or_else(|| number.as_f64().and_then(whole));
    let double = || number.as_f64().and_then(Number::from_f64);
    integer.map(Number::from).or_else(double).unwrap_or_else(|| number.clone())
}

/// Whether the operator has a meaning for the type (RFC 7644 table 3).
fn fits(op: Operator, kind: AttributeType) -> bool {
    match kind {
        AttributeType::String | AttributeType::Reference => true,
        AttributeType::Boolean | AttributeType::Binary => !op.is_substring() && !op.is_ordering(),
        _ => !op.is_substring(),
    }
}

/// The literal as a value of the type, if it is one.
fn typed(literal: &Literal, kind: AttributeType, quirks: &mut Quirks) -> Option<Value> {
    match (kind, literal) {
        (AttributeType::Boolean, Literal::Boolean(flag)) => Some(Value::Boolean(*flag)),
        // Entra ID compares `primary` with "true", in quotes.
        (AttributeType::Boolean, Literal::String(text)) => {
            let flag = text.to_ascii_lowercase().parse().ok()?;
            quirks.note(Quirk::StringBoolean);
            Some(Value::Boolean(flag))
        }
        (AttributeType::DateTime, Literal::String(text)) => instant(text).map(Value::DateTime),
        (AttributeType::Decimal | AttributeType::Integer, Literal::Number(number)) => {
            Some(Value::Number(shortest(number)))
        }
        (
            AttributeType::String | AttributeType::Reference | AttributeType::Binary,
            Literal::String(text),
        ) => Some(Value::Text { raw: text.clone() }),
        _ => None,
    }
}
