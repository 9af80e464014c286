//! Holding an expression against the schema.

use std::sync::Arc;

use super::super::path::AttrPath;
use super::super::schema::{Attribute, AttributeType, Resolved, ResourceType, Returned, Target};
use super::{Expression, Filter, FilterError, Literal, MAX_DEPTH, Operator, Value, eval::instant};

/// The filter that `expression` is for resources of the type.
pub fn check(expression: &Expression, resource_type: &ResourceType) -> Result<Filter, FilterError> {
    walk(expression, &Names::Resource(resource_type), 0)
}

/// The filter that `expression` is for elements of the attribute.
pub fn check_element(
    expression: &Expression,
    attribute: &Attribute,
) -> Result<Filter, FilterError> {
    walk(expression, &Names::Element(attribute), 0)
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
) -> Result<[Filter; N], FilterError> {
    nowhere(expression, &resource_types)?;
    let mut failure = None;
    let filters = resource_types.map(|resource_type| {
        walk(expression, &Names::OneOfSeveral(resource_type), 0).unwrap_or_else(|error| {
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
            suggestion: None,
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

enum Names<'a> {
    Resource(&'a ResourceType),
    OneOfSeveral(&'a ResourceType),
    Element(&'a Attribute),
}

impl Names<'_> {
    fn target(&self, path: &AttrPath) -> Result<Target, FilterError> {
        match self {
            Self::Resource(rt) | Self::OneOfSeveral(rt) => match rt.resolve(path) {
                Some(Resolved::Attribute(t)) => Ok(t),
                Some(_) => Err(FilterError::NamesSchema { path: path.to_string() }),
                None => Err(FilterError::UnknownAttribute {
                    owner: rt.name.clone(),
                    path: path.to_string(),
                    suggestion: None,
                }),
            },
            Self::Element(a) => {
                let unknown = || FilterError::UnknownAttribute {
                    owner: a.name.clone(),
                    path: path.to_string(),
                    suggestion: None,
                };
                if path.urn.is_some() || path.sub.is_some() {
                    return Err(unknown());
                }
                if !a.is_complex() {
                    if path.name.eq_ignore_ascii_case("value") {
                        let pseudo = Attribute {
                            name: "value".to_owned(),
                            multi_valued: false,
                            ..(*a).clone()
                        };
                        return Ok(Target {
                            extension: None,
                            attribute: Arc::new(pseudo),
                            sub: None,
                        });
                    }
                    return Err(unknown());
                }
                let sub = a.sub_attribute(&path.name).ok_or_else(unknown)?;
                Ok(Target { extension: None, attribute: sub.clone(), sub: None })
            }
        }
    }
}

fn walk(e: &Expression, names: &Names<'_>, depth: usize) -> Result<Filter, FilterError> {
    if depth > 4 * MAX_DEPTH {
        return Err(FilterError::TreeTooDeep);
    }
    if let Names::OneOfSeveral(rt) = names {
        match e {
            Expression::Compare { path, .. }
            | Expression::Present(path)
            | Expression::ValuePath { path, .. }
                if rt.resolve(path).is_none() =>
            {
                let holds_without_value = matches!(
                    e,
                    Expression::Compare { op: Operator::Ne, value, .. } if *value != Literal::Null
                ) || matches!(
                    e,
                    Expression::Compare { op: Operator::Eq, value: Literal::Null, .. }
                );
                return Ok(if holds_without_value {
                    Filter::Not(Box::new(never()))
                } else {
                    never()
                });
            }
            _ => {}
        }
    }
    let all = |v: &[Expression]| {
        v.iter().map(|e| walk(e, names, depth + 1)).collect::<Result<Vec<_>, _>>()
    };
    match e {
        Expression::And(v) => all(v).map(Filter::And),
        Expression::Or(v) => all(v).map(Filter::Or),
        Expression::Not(e) => Ok(Filter::Not(Box::new(walk(e, names, depth + 1)?))),
        Expression::Present(p) => {
            let t = names.target(p)?;
            visible(&t, p)?;
            Ok(Filter::Present(t))
        }
        Expression::Compare { path, op, value } => compare(names.target(path)?, path, *op, value),
        Expression::ValuePath { path, filter } => {
            if matches!(names, Names::Element(_)) {
                return Err(FilterError::ValuePathInside { path: path.to_string() });
            }
            let target = names.target(path)?;
            visible(&target, path)?;
            let leaf = target.leaf().clone();
            if !leaf.multi_valued && !leaf.is_complex() {
                return Err(FilterError::NoElements { path: path.to_string() });
            }
            let inner = walk(filter, &Names::Element(&leaf), depth + 1)?;
            Ok(Filter::ValuePath { target, filter: Box::new(inner) })
        }
    }
}

fn visible(t: &Target, path: &AttrPath) -> Result<(), FilterError> {
    if t.attribute.returned == Returned::Never || t.leaf().returned == Returned::Never {
        return Err(FilterError::NotFilterable { path: path.to_string() });
    }
    Ok(())
}

fn compare(
    target: Target,
    path: &AttrPath,
    op: Operator,
    literal: &Literal,
) -> Result<Filter, FilterError> {
    visible(&target, path)?;
    if *literal == Literal::Null {
        return match op {
            Operator::Eq => Ok(Filter::Not(Box::new(Filter::Present(target)))),
            Operator::Ne => Ok(Filter::Present(target)),
            _ => Err(FilterError::NullOrder { path: path.to_string(), op }),
        };
    }
    let mut target = target;
    if target.leaf().is_complex() {
        let needs = |a: &Attribute| FilterError::NeedsSubAttribute {
            path: path.to_string(),
            example: a.sub_attributes.first().map(|s| s.name.clone()).unwrap_or_default(),
        };
        let value = target.leaf().sub_attribute("value").cloned().filter(|_| target.sub.is_none());
        match value {
            Some(v) => target.sub = Some(v),
            None => return Err(needs(target.leaf())),
        }
    }
    let leaf = target.leaf().clone();
    let wrong = || FilterError::WrongLiteral { path: path.to_string(), kind: leaf.kind };
    let not_allowed =
        || FilterError::OperatorNotAllowed { path: path.to_string(), op, kind: leaf.kind };
    let textual = matches!(
        leaf.kind,
        AttributeType::String | AttributeType::Reference | AttributeType::Binary
    );
    if op.is_substring() && !matches!(leaf.kind, AttributeType::String | AttributeType::Reference) {
        return Err(not_allowed());
    }
    if op.is_ordering() && matches!(leaf.kind, AttributeType::Boolean | AttributeType::Binary) {
        return Err(not_allowed());
    }
    let value = match (leaf.kind, literal) {
        (AttributeType::Boolean, Literal::Boolean(b)) => Value::Boolean(*b),
        (AttributeType::Boolean, Literal::String(s)) => {
            Value::Boolean(s.to_ascii_lowercase().parse().map_err(|_| wrong())?)
        }
        (AttributeType::DateTime, Literal::String(s)) => {
            Value::DateTime(instant(s).ok_or_else(wrong)?)
        }
        (AttributeType::Decimal | AttributeType::Integer, Literal::Number(n)) => {
            Value::Number(n.clone())
        }
        (_, Literal::String(s)) if textual => Value::Text { raw: s.clone() },
        _ => return Err(wrong()),
    };
    Ok(Filter::Compare { target, op, value })
}
